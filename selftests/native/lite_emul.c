// SPDX-License-Identifier: GPL-2.0-only
/*
 * What lite mode's core does for a guest's kernel that ring 1 may not do, and what it tells of the
 * processor (lite/core/emul.c, msr.c, cpuid.c).
 */
#include "lite_fake.h"

/* --- emulated instructions --------------------------- */

static void emul_user(void)
{
	static const u8 ops[][3] = {
		/* hlt, cli, sti, wrmsr, mov from cr0, in, out, clts */
		{ 0xf4 }, { 0xfa },	  { 0xfb },	 { 0x0f, 0x30 }, { 0x0f, 0x20, 0xc0 },
		{ 0xec }, { 0xe7, 0x80 }, { 0x0f, 0x06 }
	};
	size_t i;

	for (i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		start(false);
		refused(emulate(ops[i], 3));
	}
}

/* Its programs may not read the TSC; the kernel itself still can, from ring 1 as well. */
static void emul_tsd(void)
{
	start(true);
	vcpu.r.rax = 4;
	ksft_eq(EMULATE(0x0f, 0x22, 0xe0), LITE_RESUME); /* mov %rax, %cr4 */
	ksft_check(vcpu.tsd);
	ksft_check(vcpu.changed & LITE_CH_CR4);
	ksft_eq(EMULATE(0x0f, 0x20, 0xe3), LITE_RESUME); /* mov %cr4, %rbx */
	ksft_eq(vcpu.r.rbx & 4, 4);
	vcpu.r.rdx = ~0ull;
	ksft_eq(EMULATE(0x0f, 0x31), LITE_RESUME);
	ksft_eq(vcpu.r.rip, CODE + 2);
	ksft_eq(vcpu.r.rax | vcpu.r.rdx << 32, env_tsc());
	vcpu.r.rax = 0;
	vcpu.changed = 0;
	ksft_eq(EMULATE(0x0f, 0x22, 0xe0), LITE_RESUME);
	ksft_check(!vcpu.tsd);
	ksft_check(vcpu.changed & LITE_CH_CR4);
	start(false);
	vcpu.tsd = true;
	refused(EMULATE(0x0f, 0x31));
}

/* SGDT to @at says where the guest's own table is, and is @len bytes long. */
static void sgdt_stores(u64 at, unsigned int len)
{
	u64 base = word(at + 2);

	ksft_eq(vcpu.r.rip, CODE + len);
	ksft_eq(word(at) & 0xffff, 0xfff);
	ksft_eq(base, 0xffff808000000000ull + (7 << 12));
}

#define SGDT(...)                                  \
	do {                                       \
		start(true);                       \
		vm.ram_va = 0xffff808000000000ull; \
		vm.frames = 16;                    \
		vcpu.gdt_gfn[0] = 7;               \
		vcpu.r.rbx = vcpu.r.rbp = MEM;     \
		vcpu.r.r12 = vcpu.r.r13 = MEM;     \
		vcpu.r.rsi = 0x40;                 \
		EMULATE(__VA_ARGS__);              \
	} while (0)

static void emul_sgdt(void)
{
	SGDT(0x0f, 0x01, 0x03); /* (%rbx) */
	sgdt_stores(MEM, 3);
	SGDT(0x0f, 0x01, 0x43, 0x10); /* 16(%rbx) */
	sgdt_stores(MEM + 16, 4);
	SGDT(0x0f, 0x01, 0x83, 0x00, 0x08, 0, 0); /* 2048(%rbx) */
	sgdt_stores(MEM + 0x800, 7);
	SGDT(0x0f, 0x01, 0x44, 0x24, 0xe0); /* -32(%rsp) */
	sgdt_stores(STACK - 32, 5);
	SGDT(0x0f, 0x01, 0x04, 0xf3); /* (%rbx,%rsi,8) */
	sgdt_stores(MEM + 0x200, 4);
	SGDT(0x41, 0x0f, 0x01, 0x44, 0x24, 0x08); /* 8(%r12) */
	sgdt_stores(MEM + 8, 6);
	SGDT(0x41, 0x0f, 0x01, 0x45, 0x08); /* 8(%r13) */
	sgdt_stores(MEM + 8, 5);
	SGDT(0x0f, 0x01, 0x05, 0x39, 0x05, 0, 0); /* 0x539(%rip) */
	sgdt_stores(CODE + 7 + 0x539, 7);
	SGDT(0x65, 0x0f, 0x01, 0x03); /* %gs:(%rbx) */
	refused(LITE_RESUME);
	SGDT(0x0f, 0x01, 0x0b); /* sidt */
	refused(LITE_RESUME);
	SGDT(0x0f, 0x01, 0x04, 0x25, 0, 0x10, 0, 0); /* 0x1000, where nothing can be written */
	refused(LITE_RESUME);
	start(true);
	refused(EMULATE(0x0f, 0x01, 0x03)); /* no such view of memory */
}

static void emul_flags(void)
{
	start(true);
	ksft_eq(EMULATE(0xfa), LITE_RESUME);
	ksft_eq(info.evtchn_upcall_mask, 1);
	ksft_eq(vcpu.r.rip, CODE + 1);
	ksft_eq(EMULATE(0xfb), LITE_RESUME);
	ksft_eq(info.evtchn_upcall_mask, 0);
}

static void emul_halt(void)
{
	start(true);
	info.evtchn_upcall_mask = 1;
	ksft_eq(EMULATE(0xf4), LITE_BLOCK);
	ksft_eq(vcpu.r.rip, CODE + 1);
	ksft_eq(info.evtchn_upcall_mask, 0);
	info.evtchn_upcall_pending = 1;
	ksft_eq(EMULATE(0xf4), LITE_RESUME);
	ksft_eq(vcpu.r.rip, HANDLER + 0x10000);
}

static enum lite_next wrmsr(u32 msr, u64 val)
{
	vcpu.r.rcx = msr;
	vcpu.r.rax = (u32)val | 0xffull << 32; /* the upper halves do not count */
	vcpu.r.rdx = val >> 32 | 0xffull << 32;
	return EMULATE(0x0f, 0x30);
}

static u64 rdmsr(u32 msr)
{
	vcpu.r.rcx = msr;
	ksft_eq(EMULATE(0x0f, 0x32), LITE_RESUME);
	ksft_eq(vcpu.r.rip, CODE + 2);
	ksft_eq(vcpu.r.rax >> 32, 0);
	return vcpu.r.rax | vcpu.r.rdx << 32;
}

static void emul_msrs(void)
{
	start(true);
	ksft_eq(wrmsr(0xc0000100, 0xffff800012345678ull), LITE_RESUME);
	ksft_eq(vcpu.r.rip, CODE + 2);
	ksft_eq(vcpu.fs_base, 0xffff800012345678ull);
	ksft_eq(wrmsr(0xc0000101, 0x11), LITE_RESUME);
	ksft_eq(wrmsr(0xc0000102, 0x22), LITE_RESUME);
	ksft_eq(vcpu.gs_base, 0x11);
	ksft_eq(vcpu.gs_other, 0x22);
	ksft_eq(rdmsr(0xc0000100), 0xffff800012345678ull);
	ksft_eq(rdmsr(0xc0000101), 0x11);
	ksft_eq(rdmsr(0xc0000102), 0x22);
	ksft_eq(rdmsr(0xc0000080), 0xd01);
	ksft_eq(rdmsr(0x277), 0x0007040600070406ull);
	ksft_eq(rdmsr(0x10), 0x123456789abcull);
	ksft_eq(wrmsr(0x79, 0), LITE_RESUME);
	ksft_eq(vcpu.r.rip, CODE + 2);
	refused(wrmsr(0xc0000100, 0x800000000000ull));
	ksft_eq(vcpu.fs_base, 0xffff800012345678ull);
	start(true);
	refused(wrmsr(0x3a, 5));
	start(true);
	refused(wrmsr(0x12345, 5));
	start(true);
	vcpu.r.rcx = 0x12345;
	refused(EMULATE(0x0f, 0x32));
}

static void emul_control(void)
{
	start(true);
	vcpu.kroot = 0x77;
	ksft_eq(EMULATE(0x0f, 0x20, 0xd8), LITE_RESUME); /* mov cr3, rax */
	ksft_eq(vcpu.r.rax, 0x77000);
	ksft_eq(vcpu.r.rip, CODE + 3);
	ksft_eq(EMULATE(0x41, 0x0f, 0x20, 0xc7), LITE_RESUME); /* cr0, r15 */
	ksft_eq(vcpu.r.r15, 0x80050033);
	ksft_eq(EMULATE(0x0f, 0x20, 0xe3), LITE_RESUME); /* cr4, rbx */
	ksft_eq(vcpu.r.rbx, 0x50620);
	vm.xcr0 = 0;
	ksft_eq(EMULATE(0x0f, 0x20, 0xe3), LITE_RESUME);
	ksft_eq(vcpu.r.rbx, 0x10620);
	vcpu.r.rsi = 0xabcd;
	ksft_eq(EMULATE(0x0f, 0x22, 0xd6), LITE_RESUME); /* rsi, cr2 */
	ksft_eq(info.arch.cr2, 0xabcd);
	ksft_eq(EMULATE(0x0f, 0x20, 0xd1), LITE_RESUME); /* cr2, rcx */
	ksft_eq(vcpu.r.rcx, 0xabcd);
	vcpu.r.rdi = 0x55018;
	ksft_eq(EMULATE(0x0f, 0x22, 0xdf), LITE_RESUME); /* rdi, cr3 */
	ksft_eq(new_base, 0x55);
	ksft_eq(EMULATE(0x0f, 0x22, 0xe0), LITE_RESUME); /* rax, cr4 */
	ksft_eq(EMULATE(0x0f, 0x22, 0xc0), LITE_RESUME); /* rax, cr0 */
	ksft_eq(EMULATE(0x0f, 0x06), LITE_RESUME);	 /* clts */
	ksft_eq(vcpu.r.rip, CODE + 2);
	vcpu.r.rdi = 0x666000;
	refused(EMULATE(0x0f, 0x22, 0xdf));
	start(true);
	ksft_eq(EMULATE(0x44, 0x0f, 0x20, 0xc0), LITE_RESUME); /* cr8 */
	ksft_eq(vcpu.r.rip, HANDLER + 6 * 16);
}

static void emul_debug(void)
{
	start(true);
	vcpu.r.rax = 0x4000;
	ksft_eq(EMULATE(0x0f, 0x23, 0xc8), LITE_RESUME); /* rax, dr1 */
	ksft_eq(vcpu.dr[1], 0x4000);
	ksft_eq(vcpu.r.rip, CODE + 3);
	ksft_eq(EMULATE(0x0f, 0x21, 0xcb), LITE_RESUME); /* dr1, rbx */
	ksft_eq(vcpu.r.rbx, 0x4000);
	refused(EMULATE(0x0f, 0x23, 0xf8));
	start(true);
	refused(EMULATE(0x0f, 0x21, 0xe8));
}

static void emul_group7(void)
{
	start(true);
	ksft_eq(EMULATE(0x0f, 0x01, 0xf8), LITE_RESUME); /* swapgs */
	ksft_eq(vcpu.gs_base, 0x66);
	ksft_eq(vcpu.gs_other, 0x65);
	ksft_check(vcpu.kernel);
	vcpu.r.rax = 7;
	vcpu.r.rcx = vcpu.r.rdx = 0;
	ksft_eq(EMULATE(0x0f, 0x01, 0xd1), LITE_RESUME); /* xsetbv */
	ksft_eq(vcpu.r.rip, CODE + 3);
	ksft_eq(EMULATE(0x0f, 0x01, 0xe3), LITE_RESUME); /* smsw ebx */
	ksft_eq(vcpu.r.rbx, 0x80050033);
	ksft_eq(EMULATE(0x0f, 0x01, 0xf0), LITE_RESUME); /* lmsw ax */
	ksft_eq(EMULATE(0x0f, 0x09), LITE_RESUME);	 /* wbinvd */
	vcpu.r.rax = 3;
	refused(EMULATE(0x0f, 0x01, 0xd1));
	start(true);
	vcpu.r.rax = 7;
	vcpu.r.rdx = 0;
	vcpu.r.rcx = 1;
	refused(EMULATE(0x0f, 0x01, 0xd1));
	start(true);
	refused(EMULATE(0x0f, 0x01, 0x10)); /* lgdt */
	start(true);
	refused(EMULATE(0x0f, 0x33)); /* rdpmc */
	start(true);
	refused(EMULATE(0x0f, 0x00, 0xd8)); /* ltr */
	start(true);
	refused(EMULATE(0xf3, 0x6c)); /* rep insb */
}

static void emul_ports(void)
{
	start(true);
	vcpu.r.rdx = 0x20;
	vcpu.r.rax = 0x1122334455667788;
	ksft_eq(EMULATE(0xec), LITE_RESUME);
	ksft_eq(vcpu.r.rax, 0x11223344556677ff);
	ksft_eq(EMULATE(0x66, 0xed), LITE_RESUME);
	ksft_eq(vcpu.r.rax, 0x112233445566ffff);
	ksft_eq(vcpu.r.rip, CODE + 2);
	ksft_eq(EMULATE(0xed), LITE_RESUME);
	ksft_eq(vcpu.r.rax, 0xffffffff);
	ksft_eq(EMULATE(0xe4, 0x42), LITE_RESUME); /* the timer chip counts to 0 at once */
	ksft_eq(vcpu.r.rax, 0xffffff00);
	ksft_eq(vcpu.r.rip, CODE + 2);
	ksft_eq(EMULATE(0xe4, 0x61), LITE_RESUME);
	ksft_eq(vcpu.r.rax & 0xff, 0);
	ksft_eq(EMULATE(0xe6, 0x80), LITE_RESUME);
	ksft_eq(EMULATE(0xef), LITE_RESUME);
	ksft_check(!vcpu.io_pending);
}

static void emul_ports_vmm(void)
{
	start(true);
	vcpu.r.rdx = 0xabc0600;
	vcpu.r.rax = 0x1234567890abcdef;
	ksft_eq(EMULATE(0xee), LITE_EXIT);
	ksft_eq(vcpu.exit.reason, LODGE_EXIT_PIO);
	ksft_eq(vcpu.exit.io.port, 0x600);
	ksft_eq(vcpu.exit.io.size, 1);
	ksft_eq(vcpu.exit.io.write, 1);
	ksft_eq(vcpu.exit.io.data, 0xef);
	ksft_eq(vcpu.r.rip, CODE + 1);
	ksft_check(!vcpu.io_pending);
	ksft_eq(EMULATE(0xef), LITE_EXIT);
	ksft_eq(vcpu.exit.io.data, 0x90abcdef);
	ksft_eq(EMULATE(0x66, 0xed), LITE_EXIT);
	ksft_eq(vcpu.exit.io.write, 0);
	ksft_eq(vcpu.exit.io.size, 2);
	ksft_check(vcpu.io_pending);
	lite_complete_io(&vcpu, 0x99998888);
	ksft_eq(vcpu.r.rax, 0x1234567890ab8888);
	lite_complete_io(&vcpu, 0x7777);
	ksft_eq(vcpu.r.rax, 0x1234567890ab8888); /* once */
	ksft_eq(EMULATE(0xed), LITE_EXIT);
	lite_complete_io(&vcpu, 0x99998888);
	ksft_eq(vcpu.r.rax, 0x99998888);
	vcpu.r.rdx = 0x6ff; /* not with its last byte outside */
	ksft_eq(EMULATE(0xef), LITE_RESUME);
}

static void emul_ports_user(void)
{
	start(false);
	vcpu.iopl = 3;
	vcpu.r.rdx = 0x600;
	ksft_eq(EMULATE(0xee), LITE_EXIT);
	start(false);
	vcpu.iobmp_va = MEM;
	vcpu.iobmp_ports = 0x800;
	memset(mem, 0xff, 0x100);
	mem[0x600 / 8] = 0xfe;
	vcpu.r.rdx = 0x600;
	ksft_eq(EMULATE(0xee), LITE_EXIT);
	refused(EMULATE(0xef)); /* four ports, of which one is allowed */
	start(false);
	vcpu.iobmp_va = MEM;
	vcpu.iobmp_ports = 0x607;
	memset(mem, 0, 0x100);
	vcpu.r.rdx = 0x605;
	refused(EMULATE(0xef)); /* the last one is beyond the bitmap */
}

static void emul_decoding(void)
{
	u8 prefixes[15];

	/* At the end of what can be read. */
	start(true);
	mem[MEM_SIZE - 1] = 0xfa;
	vcpu.r.rip = MEM + MEM_SIZE - 1;
	ksft_eq(serve(13, 0), LITE_RESUME);
	ksft_eq(vcpu.r.rip, MEM + MEM_SIZE);
	start(true);
	mem[MEM_SIZE - 1] = 0x0f;
	vcpu.r.rip = MEM + MEM_SIZE - 1;
	ksft_eq(serve(13, 0), LITE_RESUME);
	gp_is(MEM + MEM_SIZE - 1, 0);
	/* No instruction has more than 15 bytes. */
	start(true);
	memset(prefixes, 0x66, sizeof(prefixes));
	refused(emulate(prefixes, sizeof(prefixes)));
	start(true);
	prefixes[14] = 0xfa;
	ksft_eq(emulate(prefixes, sizeof(prefixes)), LITE_RESUME);
	ksft_eq(vcpu.r.rip, CODE + 15);
	/* A REX that does not come last does not count: cr0 to rdi, not r15. */
	start(true);
	ksft_eq(EMULATE(0x41, 0x66, 0x0f, 0x20, 0xc7), LITE_RESUME);
	ksft_eq(vcpu.r.rdi, 0x80050033);
	/* Code that cannot be read is the guest's own fault. */
	start(true);
	vcpu.r.rip = 0x1000;
	ksft_eq(serve(13, 0x50), LITE_RESUME);
	gp_is(0x1000, 0x50);
	start(true);
	read_error = -EAGAIN;
	ksft_eq(EMULATE(0xfa), LITE_WANT);
	ksft_eq(vcpu.r.rip, CODE);
	start(true);
	vcpu.tier = LITE_LIGHT;
	ksft_eq(EMULATE(0xf4), LITE_FULL);
	ksft_eq(EMULATE(0xec), LITE_FULL);
	ksft_eq(EMULATE(0xcd, 0x80), LITE_FULL);
	ksft_eq(info.evtchn_upcall_mask, 0);
	ksft_eq(vcpu.r.rip, CODE);
	ksft_eq(EMULATE(0xfa), LITE_RESUME);
	ksft_eq(info.evtchn_upcall_mask, 1);
}

/* Any bytes at all: the guest goes on, waits, asks the VMM or gets #GP. It never dies of them. */
static void emul_any_bytes(void)
{
	enum lite_next next;
	unsigned int i, j;
	u8 b[15];

	srand(1);
	for (i = 0; i < 300000; i++) {
		start(i & 1);
		for (j = 0; j < sizeof(b); j++)
			b[j] = rand() >> 8;
		if (i & 2)
			b[0] = 0x0f;
		next = emulate(b, sizeof(b));
		ksft_check(next == LITE_RESUME || next == LITE_BLOCK || next == LITE_EXIT);
		ksft_check(vcpu.r.rip > CODE);
	}
}

/* --- CPUID --------------------------- */

static void cpuid_forced(void)
{
	start(true);
	vcpu.r.rax = 0x40000000;
	code("\x0f\x0bxen\x0f\xa2", 7);
	ksft_eq(serve(6, 0), LITE_RESUME);
	ksft_eq(vcpu.r.rip, CODE + 7);
	ksft_eq(vcpu.r.rax, 0x40000002);
	ksft_memeq(&vcpu.r.rbx, "XenV\0\0\0\0", 8);
	ksft_memeq(&vcpu.r.rcx, "MMXe\0\0\0\0", 8);
	ksft_memeq(&vcpu.r.rdx, "nVMM\0\0\0\0", 8);
	vcpu.r.rax = 0x40000001;
	code("\x0f\x0bxen\x0f\xa2", 7);
	ksft_eq(serve(6, 0), LITE_RESUME);
	ksft_eq(vcpu.r.rax, 0x40011);
	/* Any other is an invalid opcode, and so is this one in user mode. */
	start(true);
	code("\x0f\x0bxen\x0f\xa3", 7);
	ksft_eq(serve(6, 0), LITE_RESUME);
	ksft_eq(vcpu.r.rip, HANDLER + 6 * 16);
	start(false);
	code("\x0f\x0bxen\x0f\xa2", 7);
	ksft_eq(serve(6, 0), LITE_RESUME);
	ksft_eq(vcpu.r.rip, HANDLER + 6 * 16);
}

static u32 out[4];

static void ask(u32 leaf, u32 sub)
{
	cpuid_guest(&vcpu, leaf, sub, out);
}

#define BITS(x, ...) bits(x, (int[]){ __VA_ARGS__, -1 })

static bool bits(u32 x, const int *b)
{
	for (; *b >= 0; b++)
		if (x & (1u << *b))
			return true;
	return false;
}

/* On a processor that has everything. */
static void cpuid_hidden(void)
{
	start(true);
	ask(1, 0);
	ksft_eq(out[1], 0x1ffff); /* one processor, APIC 0 */
	ksft_check(!BITS(out[2], 3, 5, 6, 15, 17, 18, 21, 24));
	ksft_check(!BITS(out[3], 1, 3, 7, 12, 13, 14, 17, 21, 22, 28, 31));
	ksft_eq(out[2] >> 26 & 7, 7);
	ksft_check(out[2] & 1u << 31);
	ask(7, 0);
	ksft_eq(out[0], 1);
	ksft_check(!BITS(out[1], 1, 2, 4, 7, 10, 11, 12, 14, 15, 20, 25));
	ksft_eq(out[1] & 0x321, 0x321); /* FSGSBASE, AVX2, BMI2, ERMS */
	ksft_check(!BITS(out[2], 2, 3, 4, 5, 7, 16, 22, 24, 29, 31));
	ksft_check(!BITS(out[3], 5, 20, 22, 24, 25, 26, 27, 28, 29, 30, 31));
	ask(0x80000001, 0);
	ksft_check(!BITS(out[2], 1, 2, 3, 10, 12, 13, 22, 23, 24, 26, 29));
	ksft_check(!BITS(out[3], 3, 7, 12, 13, 14, 17, 26, 27));
	ksft_eq(out[3] >> 29 & 1, 1);
	ask(0x80000007, 0);
	ksft_eq(out[3], 0x100);
	ask(0x80000008, 0);
	ksft_eq(out[0], 48 << 8 | 0xff);
	ask(4, 0);
	ksft_eq(out[0], 0x3fff);
	ask(0, 0);
	ksft_eq(out[0], 0x16);
}

static void cpuid_zero(void)
{
	static const u32 leaves[] = { 3,	  5,	      9,	  0xa,	      0xb,
				      0xf,	  0x10,	      0x12,	  0x14,	      0x1c,
				      0x1e,	  0x1f,	      0x29,	  0x20000000, 0x40000003,
				      0x400000ff, 0x40000100, 0x8000000a, 0x8000001e, 0x80000029,
				      0xc0000000 };
	size_t i;

	start(true);
	for (i = 0; i < sizeof(leaves) / sizeof(leaves[0]); i++) {
		ask(leaves[i], 0);
		ksft_eq(out[0] | out[1] | out[2] | out[3], 0);
	}
	ask(7, 2);
	ksft_eq(out[0] | out[1] | out[2] | out[3], 0);
}

/* Nothing is made up that the processor has not. */
static void cpuid_empty(void)
{
	start(true);
	cpu_flip = ~0u;
	ask(1, 0);
	ksft_eq(out[2], 1u << 31);
	ksft_eq(out[3], 0);
	ask(7, 0);
	ksft_eq(out[0] | out[1] | out[2] | out[3], 0);
}

static void cpuid_state(void)
{
	start(true);
	ask(0xd, 0);
	ksft_eq(out[0], 7);
	ksft_eq(out[1], 832);
	ksft_eq(out[2], 832);
	ksft_eq(out[3], 0);
	ask(0xd, 1);
	ksft_eq(out[0], 5); /* XSAVEOPT, XGETBV of 1 */
	ksft_eq(out[1] | out[2] | out[3], 0);
	ask(0xd, 2);
	ksft_eq(out[0], 256);
	ksft_eq(out[1], 576);
	ask(0xd, 5);
	ksft_eq(out[0], 0);
	ask(7, 0);
	ksft_check(!BITS(out[1], 16, 17, 30, 31));
	ksft_eq(out[1] >> 5 & 1, 1);

	vm.xcr0 = 0x602e7; /* and PKRU, AMX, which are not for guests */
	ask(0xd, 0);
	ksft_eq(out[0], 0xe7);
	ksft_eq(out[1], 2688);
	ask(0xd, 9);
	ksft_eq(out[0], 0);
	ask(0xd, 64);
	ksft_eq(out[0], 0);
	ask(7, 0);
	ksft_check(BITS(out[1], 16));

	vm.xcr0 = 3;
	ask(0xd, 0);
	ksft_eq(out[1], 576);
	ask(1, 0);
	ksft_check(!BITS(out[2], 12, 28, 29));
	ksft_check(BITS(out[2], 27));

	vm.xcr0 = 0;
	ask(0xd, 0);
	ksft_eq(out[0] | out[1], 0);
	ask(1, 0);
	ksft_check(!BITS(out[2], 26, 27, 28));
}

/* A guest with several vCPUs has cores, and each knows which it is. */
static void cpuid_topology(void)
{
	start(true);
	vm.vcpus = 6;
	vcpu.id = 5;
	ask(1, 0);
	ksft_eq(out[1] >> 16, 5 << 8 | 6);
	ksft_check(out[3] & 1u << 28);
	ask(4, 0);
	ksft_eq(out[0] >> 26, 7);
	ask(0xb, 0);
	ksft_eq(out[0], 0);
	ksft_eq(out[1], 1);
	ksft_eq(out[2], 1 << 8);
	ksft_eq(out[3], 5);
	ask(0xb, 1);
	ksft_eq(out[0], 3);
	ksft_eq(out[1], 6);
	ksft_eq(out[2], 2 << 8 | 1);
	ask(0xb, 2);
	ksft_eq(out[1], 0);
	ksft_eq(out[2], 2);
	ask(0x80000008, 0);
	ksft_eq(out[2], 3 << 12 | 5);
	ask(0x80000001, 0);
	ksft_check(out[2] & 2);
	vm.vcpus = 1;
	ask(0xb, 1);
	ksft_check(!out[0] && !out[1] && !out[2] && !out[3]);
}

int main(int argc, char **argv)
{
	ksft_case("SGDT", emul_sgdt);
	ksft_case("CR4.TSD", emul_tsd);
	ksft_case("privileged instructions in user mode", emul_user);
	ksft_case("cli, sti", emul_flags);
	ksft_case("hlt", emul_halt);
	ksft_case("MSRs", emul_msrs);
	ksft_case("control registers", emul_control);
	ksft_case("debug registers", emul_debug);
	ksft_case("swapgs, xsetbv and others", emul_group7);
	ksft_case("ports where nothing is", emul_ports);
	ksft_case("ports of the VMM", emul_ports_vmm);
	ksft_case("ports in user mode", emul_ports_user);
	ksft_case("decoding", emul_decoding);
	ksft_case("any bytes", emul_any_bytes);
	ksft_case("forced CPUID", cpuid_forced);
	ksft_case("CPUID: hidden features", cpuid_hidden);
	ksft_case("CPUID: leaves that are not there", cpuid_zero);
	ksft_case("CPUID: nothing made up", cpuid_empty);
	ksft_case("CPUID: XSAVE state", cpuid_state);
	ksft_case("CPUID of several vCPUs", cpuid_topology);
	return ksft_run(argc, argv);
}
