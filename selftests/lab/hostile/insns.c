// SPDX-License-Identifier: GPL-2.0-only
/*
 * Instructions that are not a guest's to execute, from its kernel and from its user mode: system
 * registers, MSRs, ports, every int n, flags, and state that the processor refuses to load.
 */
#include "hostile.h"

/* GP_UD and OK_GP: processors differ, and the emulated one checks less than others. */
enum outcome { OK, GP, UD, DB_UD, GP_UD, OK_GP };

struct insn {
	const char *text;
	enum outcome kernel, user;
	unsigned char len, code[11];
};

#define I(text, kernel, user, ...)                                            \
	{                                                                     \
		text, kernel, user, sizeof((unsigned char[]){ __VA_ARGS__ }), \
		{                                                             \
			__VA_ARGS__                                           \
		}                                                             \
	}
/* Memory operands are (%rdi). */
static const struct insn insns[] = {
	I("lgdt", GP, GP, 0x0f, 0x01, 0x17),
	I("lidt", GP, GP, 0x0f, 0x01, 0x1f),
	I("lldt", GP, GP, 0x0f, 0x00, 0xd0),
	I("ltr", GP, GP, 0x0f, 0x00, 0xd8),
	I("sgdt", OK_GP, OK_GP, 0x0f, 0x01, 0x07),
	I("sidt", OK_GP, OK_GP, 0x0f, 0x01, 0x0f),
	I("sldt", OK_GP, OK_GP, 0x0f, 0x00, 0xc0),
	I("str", OK_GP, OK_GP, 0x0f, 0x00, 0xc8),
	I("smsw", OK, OK_GP, 0x0f, 0x01, 0xe0),
	I("lmsw", OK, GP, 0x0f, 0x01, 0xf0),
	I("clts", OK, GP, 0x0f, 0x06),
	I("invd", OK, GP, 0x0f, 0x08),
	I("wbinvd", OK, GP, 0x0f, 0x09),
	I("invlpg", GP, GP, 0x0f, 0x01, 0x3f),
	I("invpcid", GP_UD, GP_UD, 0x66, 0x0f, 0x38, 0x82, 0x07),
	I("rdpmc", GP, GP, 0x31, 0xc9, 0x0f, 0x33),
	I("rdtsc", OK, OK, 0x0f, 0x31),
	I("rdmsr", OK, GP, 0xb9, 0x80, 0x00, 0x00, 0xc0, 0x0f, 0x32),
	I("wrmsr", OK, GP, 0xb9, 0x82, 0x00, 0x00, 0xc0, 0x0f, 0x30),
	I("xsetbv of nothing", GP, GP, 0x31, 0xc9, 0x31, 0xc0, 0x31, 0xd2, 0x0f, 0x01, 0xd1),
	I("monitor", GP_UD, GP_UD, 0x31, 0xc9, 0x0f, 0x01, 0xc8),
	I("mwait", GP_UD, GP_UD, 0x31, 0xc9, 0x0f, 0x01, 0xc9),
	I("swapgs", OK, GP, 0x0f, 0x01, 0xf8),
	I("sysret", GP, GP, 0x48, 0x0f, 0x07),
	I("sysret to 32 bits", GP, GP, 0x0f, 0x07),
	I("sysenter", GP_UD, GP_UD, 0x0f, 0x34),
	I("sysexit", GP_UD, GP_UD, 0x0f, 0x35),
	I("vmcall", GP_UD, GP_UD, 0x0f, 0x01, 0xc1),
	I("vmlaunch", GP_UD, GP_UD, 0x0f, 0x01, 0xc2),
	I("vmxoff", GP_UD, GP_UD, 0x0f, 0x01, 0xc4),
	I("vmmcall", GP_UD, GP_UD, 0x0f, 0x01, 0xd9),
	I("vmrun", GP_UD, GP_UD, 0x0f, 0x01, 0xd8),
	I("vmload", GP_UD, GP_UD, 0x0f, 0x01, 0xda),
	I("stgi", GP_UD, GP_UD, 0x0f, 0x01, 0xdc),
	I("clgi", GP_UD, GP_UD, 0x0f, 0x01, 0xdd),
	I("skinit", GP_UD, GP_UD, 0x0f, 0x01, 0xde),
	I("rsm", GP_UD, GP_UD, 0x0f, 0xaa),
	I("getsec", GP_UD, GP_UD, 0x31, 0xc0, 0x0f, 0x37),
	I("encls", GP_UD, GP_UD, 0x0f, 0x01, 0xcf),
	I("xsaves", GP_UD, GP_UD, 0x0f, 0xc7, 0x2f),
	I("xrstors", GP_UD, GP_UD, 0x0f, 0xc7, 0x1f),
	I("ud0", UD, UD, 0x0f, 0xff, 0xc0),
	I("ud1", UD, UD, 0x0f, 0xb9, 0xc0),
	I("ud2", UD, UD, 0x0f, 0x0b),
	I("into", UD, UD, 0xce),
	I("icebp", DB_UD, DB_UD, 0xf1),
	I("cli", OK, GP, 0xfa),
	I("sti", OK, GP, 0xfb),
	I("in", OK, GP, 0xb2, 0x80, 0xec),
	I("out", OK, GP, 0xe6, 0x80),
	I("insb", GP, GP, 0x6c),
	I("rep outsl", GP, GP, 0xb9, 0x10, 0x00, 0x00, 0x00, 0xf3, 0x6f),
	I("mov from CR0", OK, GP, 0x0f, 0x20, 0xc0),
	I("mov from CR3", OK, GP, 0x0f, 0x20, 0xd8),
	I("mov from CR8", GP_UD, GP_UD, 0x44, 0x0f, 0x20, 0xc0),
	I("mov to CR8", GP_UD, GP_UD, 0x44, 0x0f, 0x22, 0xc0),
	I("mov to CR1", UD, GP_UD, 0x0f, 0x22, 0xc8),
	I("mov to CR0", OK, GP, 0x31, 0xc0, 0x0f, 0x22, 0xc0),
	I("mov to CR4", OK, GP, 0x31, 0xc0, 0x0f, 0x22, 0xe0),
	I("all ones to CR4", OK, GP, 0x48, 0x83, 0xc8, 0xff, 0x0f, 0x22, 0xe0),
	I("mov to DR7", OK, GP, 0x31, 0xc0, 0x0f, 0x23, 0xf8),
	I("mov from DR7", OK, GP, 0x0f, 0x21, 0xf8),
	I("FS base of no address", OK_GP, OK_GP, 0x48, 0x0f, 0xba, 0xe8, 0x3e, 0xf3, 0x48, 0x0f,
	  0xae, 0xd0),
	I("GS base of no address", OK_GP, OK_GP, 0x48, 0x0f, 0xba, 0xe8, 0x3e, 0xf3, 0x48, 0x0f,
	  0xae, 0xd8),
	I("fxrstor, bad MXCSR", OK_GP, OK_GP, 0xc7, 0x47, 0x18, 0xff, 0xff, 0xff, 0xff, 0x0f, 0xae,
	  0x0f),
	I("ldmxcsr, bad", OK_GP, OK_GP, 0xc7, 0x07, 0xff, 0xff, 0xff, 0xff, 0x0f, 0xae, 0x17),
	I("clac", GP_UD, GP_UD, 0x0f, 0x01, 0xca),
	I("stac", GP_UD, GP_UD, 0x0f, 0x01, 0xcb),
};

static void outcome(const struct insn *i, bool user)
{
	enum outcome want = user ? i->user : i->kernel;
	__u64 none = user ? SYSCALL : NONE, v = end.r13;
	bool ok = ended == 1;

	switch (want) {
	case OK:
		ok = ok && v == none;
		break;
	case GP:
		ok = ok && v == 13 && !end.r14;
		break;
	case UD:
		ok = ok && v == 6;
		break;
	case DB_UD:
		ok = ok && (v == 1 || v == 6);
		break;
	case GP_UD:
		ok = ok && (v == 6 || (v == 13 && !end.r14));
		break;
	case OK_GP:
		ok = ok && (v == none || v == 13);
		break;
	}
	if (!ok) {
		tell();
		ksft_fail("%s, %s mode", i->text, user ? "user" : "kernel");
	}
}

BODY(slot, "1: .rept 16; nop; .endr")
UBODY(uslot, "mov $0x515000, %edi\n .rept 16; nop; .endr")

static void all_insns(bool user)
{
	unsigned int i;

	for (i = 0; i < sizeof(insns) / sizeof(insns[0]); i++) {
		make(user ? uslot : slot, user ? uslot_end : slot_end, user);
		memcpy(at(user ? UCODE + 5 : BODY_AT), insns[i].code, insns[i].len);
		go(LONG);
		outcome(&insns[i], user);
	}
	drop();
}

CASE(kernel_insns, "privileged instructions in the guest's kernel")
{
	all_insns(false);
}

CASE(user_insns, "privileged instructions in user mode")
{
	all_insns(true);
}

USER(u_hlt, "hlt in user mode", "hlt")
{
	traps(13, 0);
}

GUEST_STAYS(hlt, "hlt waits for an event", "hlt")
{
	waits();
}

GUEST(cr3_bad, "a root that is none", "movabs $0x7ffff000, %rax; mov %rax, %cr3")
{
	traps(13, 0);
}

GUEST(cr3_zero, "a root without tables", "xor %eax, %eax; mov %rax, %cr3")
{
	dies(LOST_STACK);
}

GUEST(cr4_kept, "CR4 is as it is shown, whatever is written",
      "mov $-1, %rax; mov %rax, %cr4;"
      "mov %cr4, %r12; and $0x177bff, %r12; xor %ecx, %ecx; rdpmc")
{
	/* Neither PGE, PCE nor the like, and no rdpmc after it. */
	traps(13, 0);
	ksft_eq(end.r12 & ~0x50624ull, 0); /* TSD is the guest's own */
}

/* --- int n -------------------------- */

BODY(int_n, "int $0x20")
UBODY(uint_n, "int $0x20")

CASE(all_int, "int n, for all n, from the guest's kernel")
{
	unsigned int i;

	make(int_n, int_n_end, false);
	for (i = 0; i < 256; i++) {
		((__u8 *)at(BODY_AT))[1] = i;
		again();
		go(LONG);
		expect(ended == 1 && end.r13 == i);
	}
	drop();
}

CASE(user_int, "int n, for all n, from user mode")
{
	unsigned int i, open;
	__u64 *t;

	for (open = 0; open < 2; open++) {
		make(uint_n, uint_n_end, true);
		t = at(TRAPS);
		for (i = 0; i < 256 && !open; i++)
			t[2 * i] &= ~(3ull << 8);
		for (i = 0; i < 256; i++) {
			((__u8 *)at(UCODE))[1] = i;
			again();
			go(LONG);
			/* 3 and 4 are every program's. */
			if (open || i == 3 || i == 4)
				expect(ended == 1 && end.r13 == i);
			else
				traps(13, i * 8 + 2);
		}
	}
	drop();
}

/* --- flags -------------------------- */

BODY(popf, "mov 0x511000, %rax; push %rax; popfq; pushfq; pop %r12")
UBODY(upopf, "mov 0x512000, %rax; push %rax; popfq; pushfq; pop %rax")

static void all_flags(bool user)
{
	unsigned int bit;
	__u64 got;

	make(user ? upopf : popf, user ? upopf_end : popf_end, user);
	for (bit = 0; bit < 64; bit++) {
		*(__u64 *)at(user ? USTACK : ARGS) = 1ull << bit;
		again();
		go(LONG);
		if (bit == 8) {
			traps(1, 0);
			continue;
		}
		expect(ended == 1 && end.r13 == (user ? SYSCALL : NONE));
		got = user ? end.r14 : end.r12;
		/* NT, AC and ID are anybody's, IF stays on, IOPL, VM, VIF and VIP stay off. */
		ksft_eq(got & 0x3a3000, (1ull << bit) & 0x200000);
		ksft_check(got & 0x200);
	}
	drop();
}

CASE(kernel_flags, "popf of every flag, in the guest's kernel")
{
	all_flags(false);
}

CASE(user_flags, "popf of every flag, in user mode")
{
	all_flags(true);
}

GUEST(iopl_iret, "iret to user mode with IOPL 3, then cli",
      "movw $0xfa90, 0x513000;"
      "mov $0x513000, %eax;" IRET("0x33", "0x3202"))
{
	traps(13, 0);
}

GUEST(nt_syscall, "hypercall with NT, AC and DF set",
      "pushfq; orl $0x44400, (%rsp); popfq;"
      "mov $63, %eax; syscall; mov %rax, %r12")
{
	gives(-ENOSYS);
}

GUEST(nt_iret, "iret hypercall with NT, AC and DF set",
      "pushfq; orl $0x44400, (%rsp); popfq;"
      "movw $0x050f, 0x513000; mov $0x513000, %eax;" IRET("0x33", "0x202"))
{
	expect(ended == 1 && end.r13 == SYSCALL);
}

USER(nt_trap, "a trap with NT, AC and DF set", "pushfq; orl $0x44400, (%rsp); popfq; ud2")
{
	expect(ended == 1 && end.r13 == 6);
}

USER(step_syscall, "a single step over a system call",
     "mov $5, %eax; pushfq;"
     "orl $0x100, (%rsp); popfq")
{
	user_gives(5);
}

GUEST(step_hypercall, "a single step over a hypercall",
      "pushfq; orl $0x100, (%rsp); popfq;"
      "syscall; mov %rax, %r12")
{
	expect(ended == 1 && (end.r13 == NONE || end.r13 == 1));
}

/* --- MSRs and ports -------------------------- */

static const __u32 msrs[] = {
	0x10,	    0x1b,	0x3a,	    0x48,	0x49,	    0x79,	0x8b,
	0xc1,	    0xce,	0xfe,	    0x10a,	0x10f,	    0x122,	0x123,
	0x140,	    0x174,	0x175,	    0x176,	0x179,	    0x17a,	0x17b,
	0x186,	    0x198,	0x199,	    0x19a,	0x1a0,	    0x1c4,	0x1c5,
	0x1d9,	    0x1f2,	0x200,	    0x250,	0x277,	    0x2ff,	0x309,
	0x345,	    0x38d,	0x38f,	    0x3f1,	0x400,	    0x480,	0x570,
	0x600,	    0x6a0,	0x6a2,	    0x6a7,	0x6e0,	    0x802,	0x80b,
	0x830,	    0xd90,	0xda0,	    0xc0000080, 0xc0000081, 0xc0000082, 0xc0000083,
	0xc0000084, 0xc0000100, 0xc0000101, 0xc0000102, 0xc0000103, 0xc0000104, 0xc0010000,
	0xc0010010, 0xc0010015, 0xc0010064, 0xc0010111, 0xc0010114, 0xc0010115, 0xc0010117,
	0xc0011020, 0xc0011029, 0x40000000, 0x4b564d00, 0x4b564d01, 0xffffffff, 0x80000000,
	0,
};
/* Those whose value on this processor is to stay. */
static const __u32 kept[] = { 0x1b,	  0x174,      0x175,	  0x176,      0x1a0,	 0x277,
			      0xc0000080, 0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084 };

BODY(msr_w, "mov 0x511000, %ecx; mov 0x511008, %eax; mov 0x51100c, %edx; wrmsr")
BODY(msr_r, "mov 0x511000, %ecx; rdmsr; mov %rdx, %r12; shl $32, %r12; or %rax, %r12")

static void host_msrs(__u64 *val)
{
	int fd = open("/dev/cpu/0/msr", O_RDONLY);
	unsigned int i;

	if (fd < 0)
		ksft_skip("no /dev/cpu/0/msr");
	for (i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		if (pread(fd, &val[i], 8, kept[i]) != 8)
			val[i] = 0;
	close(fd);
}

CASE(all_msrs, "MSRs, read and written: none of the host's changes")
{
	static const __u64 vals[] = { 0, ~0ull, 0xffff800000000000, 0x500800 };
	__u64 before[16], after[16], *a;
	unsigned int i, k, n = sizeof(msrs) / sizeof(msrs[0]);

	host_msrs(before);
	for (k = 0; k < 5; k++) {
		make(k ? msr_w : msr_r, k ? msr_w_end : msr_r_end, false);
		a = at(ARGS);
		for (i = 0; i < n + 100; i++) {
			a[0] = i < n ? msrs[i] : (i * 2654435761u) >> (i & 1 ? 20 : 0);
			a[1] = k ? vals[k - 1] : 0;
			again();
			go(LONG);
			if (ended != 1 || (end.r13 != NONE && (end.r13 != 13 || end.r14))) {
				tell();
				ksft_fail("MSR %llx", a[0]);
			}
		}
	}
	host_msrs(after);
	for (i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		if (before[i] != after[i])
			ksft_fail("MSR %x: %llx, now %llx", kept[i], before[i], after[i]);
	drop();
}

/* Widths by turns; the ports of the VMM are left out. */
BODY(ports, "xor %ebx, %ebx; xor %r12d, %r12d\n"
	    "1: mov %ebx, %edx; mov $-1, %eax; in (%dx), %al; cmp $-1, %al; setne %cl;"
	    "movzbl %cl, %ecx; add %rcx, %r12; out %al, (%dx); in (%dx), %eax; out %ax, (%dx)\n"
	    "add $13, %ebx; cmp $0x4f0, %ebx; jb 1b; cmp $0x700, %ebx; jae 2f; mov $0x700, %ebx\n"
	    "2: cmp $0xfff0, %ebx; jb 1b")
CASE(all_ports, "ports: nothing of the machine answers")
{
	make(ports, ports_end, false);
	go(LONG);
	expect(ended == 1 && end.r13 == NONE);
	/* The timer chip's, which read as 0. */
	ksft_check(end.r12 <= 2);
	drop();
}

GUEST(pci, "the PCI bus by its ports",
      "mov $0xcf8, %edx; mov $0x80000000, %eax; out %eax, (%dx);"
      "mov $0xcfc, %edx; in (%dx), %eax; mov %eax, %r12d")
{
	gives(0xffffffff);
}

GUEST(reset, "the ports that reset a PC",
      "mov $0xfe, %al; out %al, $0x64; mov $0xcf9, %edx;"
      "mov $6, %al; out %al, (%dx); mov $0x92, %edx; mov $1, %al; out %al, (%dx)")
{
	gives(0);
}

int main(int argc, char **argv)
{
	return hostile_run(argc, argv);
}
