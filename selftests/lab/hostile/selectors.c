// SPDX-License-Identifier: GPL-2.0-only
/*
 * Selectors and descriptors that would lead to ring 0, also by way of the launcher's own LDT; and
 * debug registers: breakpoints on the hypervisor and on the host, and those that are pending when
 * the ring changes.
 */
#include <asm/ldt.h>
#include <sys/syscall.h>

#include "hostile.h"

/* Moves to DS ES FS GS SS, of RPL 0, 1 and 3: ring 0's, the TSS, nothing, beyond the end. */
static const struct {
	__u16 sel, err;
} bad[] = {
	{ 0x08, 0x08 },	    { 0x10, 0x10 }, { 0x11, 0x10 }, { 0x13, 0x10 }, { 0x18, 0x18 },
	{ 0x19, 0x18 },	    { 0x1b, 0x18 }, { 0x38, 0x38 }, { 0x40, 0x40 }, { 0x43, 0x40 },
	{ 0x48, 0x48 },	    { 0x60, 0x60 }, { 0x63, 0x60 }, { 0x6b, 0x68 }, { 0x80, 0x80 },
	{ 0x88, 0x88 },	    { 0x4, 0x4 },   { 0x7, 0x4 },   { 0xc, 0xc },   { 0xffff, 0xfffc },
	{ 0xfff8, 0xfff8 },
};

BODY(load_ds, "mov 0x511000, %eax; mov %eax, %ds")
BODY(load_es, "mov 0x511000, %eax; mov %eax, %es")
BODY(load_fs, "mov 0x511000, %eax; mov %eax, %fs")
BODY(load_gs, "mov 0x511000, %eax; mov %eax, %gs")
BODY(load_ss, "mov 0x511000, %eax; mov %eax, %ss")
BODY(far_ret, "mov 0x511000, %eax; push %rax; lea 1f(%rip), %rax; push %rax; lretq\n1:")
BODY(far_jmp, "mov 0x511000, %eax; mov %eax, 0x511014; movl $0x500800, 0x511010;"
	      "ljmp *0x511010")
BODY(far_call, "mov 0x511000, %eax; mov %eax, 0x511014; movl $0x500800, 0x511010;"
	       "lcall *0x511010")
BODY(iretq_, "mov %ss, %eax; push %rax; push %rsp; pushfq; mov 0x511000, %eax; push %rax; lea "
	     "1f(%rip), %rax;"
	     "push %rax; iretq\n1:")
BODY(int_ret, "mov $0x800000000000, %rsp; iretq")

static void all_bad(const char *code, const char *code_end, const char *name)
{
	unsigned int i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		make(code, code_end, false);
		*(__u32 *)at(ARGS) = bad[i].sel;
		go(LONG);
		if (ended != 1 || end.r13 != 13 || end.r14 != bad[i].err) {
			tell();
			ksft_fail("%s of %x", name, bad[i].sel);
		}
	}
	drop();
}

#define ALL_BAD(code) all_bad(code, code##_end, #code)

CASE(loads, "selectors that are not a guest's, loaded")
{
	ALL_BAD(load_ds);
	ALL_BAD(load_es);
	ALL_BAD(load_fs);
	ALL_BAD(load_gs);
	ALL_BAD(load_ss);
}

CASE(jumps, "selectors that are not a guest's, jumped to")
{
	ALL_BAD(far_jmp);
	/* QEMU's processor takes the stack of the others for a supervisor's: SMAP is in the way. */
	if (ring == 3)
		return;
	ALL_BAD(far_ret);
	ALL_BAD(far_call);
	ALL_BAD(iretq_);
}

GUEST(fine, "those that are, loaded and seen",
      "mov $0x2b, %eax; mov %eax, %ds; mov %ss, %eax;"
      "mov %eax, %ss; mov $0x33, %eax; mov %eax, %es; mov $0x23, %eax; mov %eax, %fs;"
      "mov $55, %eax; mov $3, %edi; syscall; mov %fs, %r12d")
{
	gives(0x23);
}

GUEST(behind, "enters user mode behind the hypervisor's back",
      "movl $0x3fb8, 0x513000;"
      "movl $0x90050f00, 0x513004; push $0x2b; push $0x512ff0; push $0x33; push $0x513000; lretq")
{
	if (ring == 3)
		ksft_skip("with the kernel in ring 3, there is no user mode behind its back");
	/* The program's system call counts as its kernel's, and that may not execute its page. */
	traps(14, 0x11);
}

/* --- descriptors -------------------------- */

#define GDT_AT (300 * PAGE)

static const struct {
	const char *name;
	__u64 desc;
	bool good;
} descs[] = {
	{ "data", 0x00cff3000000ffff, true },
	{ "data that is read only", 0x00cff1000000ffff, true },
	{ "data that expands down", 0x00cff7000000ffff, true },
	{ "32-bit code", 0x00cffb000000ffff, true },
	{ "code that cannot be read", 0x00cff9000000ffff, false },
	{ "absent data", 0x00cf73000000ffff, false },
	{ "data of ring 0", 0x00cf93000000ffff, false },
	{ "data of ring 1", 0x00cfb3000000ffff, false },
	{ "code of ring 0", 0x00cf9b000000ffff, false },
	{ "64-bit code of ring 0", 0x00af9b000000ffff, false },
	{ "conforming code of ring 0", 0x00af9f000000ffff, false },
	{ "a call gate", 0x0050ec0000100800, false },
	{ "an interrupt gate", 0x0050ee0000100800, false },
	{ "a TSS", 0x0000e90000000067, false },
	{ "an LDT", 0x0050e2000000ffff, false },
	{ "a task gate", 0x0000e50000400000, false },
};

BODY(load_tls,
     "mov $0x63, %eax; mov %eax, %es; mov $55, %eax; mov $3, %edi; syscall; mov %es, %r12d")

CASE(descriptors, "descriptors for user mode that are not")
{
	unsigned int i, way;

	for (way = 0; way < 2; way++)
		for (i = 0; i < sizeof(descs) / sizeof(descs[0]); i++) {
			__u64 *gdt;

			obey_start();
			*(__u64 *)at(ARGS) = GDT_AT / PAGE;
			gdt = at(GDT_AT);
			if (way)
				gdt[12] = descs[i].desc;
			ksft_eq(hc(2, BASE + ARGS, 512, 0, 0, 0), 0);
			if (!way)
				ksft_eq(hc(10, GDT_AT + 0x60, descs[i].desc, 0, 0, 0), 0);
			memcpy(at(BODY_AT), load_tls, load_tls_end - load_tls);
			again();
			go(LONG);
			if (descs[i].good ? ended != 1 || end.r13 != NONE || end.r12 != 0x63
					  : ended != 1 || end.r13 != 13 || end.r14 != 0x60) {
				tell();
				ksft_fail("%s (%u)", descs[i].name, way);
			}
		}
	drop();
}

CASE(descriptor_gone, "a descriptor that goes while its selector is loaded")
{
	unsigned int i;

	for (i = 0; i < sizeof(descs) / sizeof(descs[0]); i++) {
		obey_start();
		*(__u64 *)at(ARGS) = GDT_AT / PAGE;
		ksft_eq(hc(2, BASE + ARGS, 512, 0, 0, 0), 0);
		ksft_eq(hc(10, GDT_AT + 0x60, 0x00cff3000000ffff, 0, 0, 0), 0);
		begin.ds = begin.es = begin.fs = begin.gs = 0x63;
		ksft_eq(hc(10, GDT_AT + 0x60, descs[i].desc, 0, 0, 0), 0);
		begin.ds = begin.es = begin.fs = begin.gs = 0;
		ksft_eq(hc(55, 3, 0, 0, 0, 0), 0);
	}
	drop();
}

CASE(gdts, "tables of descriptors that are none")
{
	obey_start();
	ksft_eq(hc(2, BASE + ARGS, 15 * 512, 0, 0, 0), -EINVAL);
	ksft_eq(hc(2, BASE + ARGS, ~0ull, 0, 0, 0), -EINVAL);
	ksft_eq(hc(2, BASE + ARGS, 1ull << 32, 0, 0, 0), -EINVAL);
	ksft_eq(hc(2, sw, 512, 0, 0, 0), -EFAULT);
	*(__u64 *)at(ARGS) = FRAMES;
	ksft_eq(hc(2, BASE + ARGS, 512, 0, 0, 0), -EINVAL);
	*(__u64 *)at(ARGS) = 1ull << 60;
	ksft_eq(hc(2, BASE + ARGS, 512, 0, 0, 0), -EINVAL);
	ksft_eq(hc(10, FRAMES * PAGE, 0, 0, 0, 0), -EINVAL);
	ksft_eq(hc(10, ~7ull, 0, 0, 0, 0), -EINVAL);
	ksft_eq(hc(10, GDT_AT + 4, 0, 0, 0, 0), -EINVAL);
	drop();
}

/*
 * The launcher has an LDT. What the processor keeps of that is a linear address, which the guest
 * could map: with a call gate to ring 0 in it.
 */
CASE(launcher_ldt, "the launcher's LDT is not there for the guest")
{
	struct user_desc d = {
		.entry_number = 3, .limit = 0xfffff, .seg_32bit = 1, .limit_in_pages = 1
	};
	unsigned int i, ds, es;

	if (syscall(SYS_modify_ldt, 1, &d, sizeof(d)))
		ksft_skip("no modify_ldt()");
	for (i = 0; i < 8; i++) {
		make(load_ds, load_ds_end, false);
		*(__u32 *)at(ARGS) = i * 8 | 7;
		go(LONG);
		traps(13, i * 8 | 4);
		make(far_call, far_call_end, false);
		*(__u32 *)at(ARGS) = i * 8 | 7;
		go(LONG);
		traps(13, i * 8 | 4);
	}
	drop();
	/* And the launcher, with its own selectors loaded, finds them as they were. */
	make(load_tls, load_tls_end, false);
	asm volatile("mov %0, %%es" : : "r"(3 * 8 | 7));
	go(LONG);
	asm volatile("mov %%es, %0" : "=r"(es));
	asm volatile("lsl %1, %0" : "=r"(ds) : "r"(3 * 8 | 7));
	asm volatile("mov %0, %%es" : : "r"(0));
	traps(13, 0x60);
	ksft_eq(es, 3 * 8 | 7);
	ksft_eq(ds, 0xffffffff);
	drop();
}

/*
 * A descriptor that goes while FS or GS has a selector of it: what leaves the guest must not load
 * that with the switcher's IDT. Again and again, as being switched out mends it.
 */
CASE(launcher_stale, "a launcher with selectors of descriptors that are gone")
{
	struct user_desc d = { .entry_number = 3,
			       .limit = 0xfffff,
			       .seg_32bit = 1,
			       .limit_in_pages = 1 },
			 none = { .entry_number = 3, .read_exec_only = 1, .seg_not_present = 1 };
	unsigned int i, gs = 1;

	for (i = 0; i < 40; i++) {
		unsigned long base;

		if (syscall(SYS_modify_ldt, 1, &d, sizeof(d)))
			ksft_skip("no modify_ldt()");
		make(load_tls, load_tls_end, false);
		/* FS has the thread's own data: its base comes back at once. */
		asm volatile("rdfsbase %0" : "=r"(base));
		if (i & 1)
			asm volatile("mov %0, %%fs; wrfsbase %1" : : "r"(3 * 8 | 7), "r"(base));
		else
			asm volatile("mov %0, %%gs" : : "r"(3 * 8 | 7));
		syscall(SYS_modify_ldt, 17, &none, sizeof(none));
		go(LONG);
		traps(13, 0x60);
		asm volatile("mov %0, %%fs; wrfsbase %1" : : "r"(0), "r"(base));
		asm volatile("mov %%gs, %0" : "=r"(gs));
		asm volatile("mov %0, %%gs" : : "r"(0));
		ksft_check(!gs || gs == (3 * 8 | 7));
		drop();
	}
}

/* --- debug registers -------------------------- */

CASE(bp_refused, "breakpoints on the hypervisor")
{
	static const __u64 va[] = { 0xffff800000000000, 0xffff87fffffffff8, 0x800000000000,
				    0xff00004000000000, 0xff00004000004800 };
	unsigned int i, k;

	obey_start();
	for (i = 0; i < sizeof(va) / sizeof(va[0]); i++)
		for (k = 0; k < 4; k++)
			ksft_eq(hc(8, k, va[i], 0, 0, 0), -EINVAL);
	ksft_eq(hc(8, 4, 0, 0, 0, 0), -EINVAL);
	ksft_eq(hc(8, 5, 0, 0, 0, 0), -EINVAL);
	ksft_eq(hc(8, 8, 0, 0, 0, 0), -EINVAL);
	ksft_eq(hc(8, 7, 1ull << 32, 0, 0, 0), -EINVAL);
	ksft_eq(hc(8, 7, 0x20001, 0, 0, 0), -EINVAL); /* I/O */
	/* General detect is dropped. */
	ksft_eq(hc(8, 7, 0x2000, 0, 0, 0), 0);
	ksft_eq(hc(9, 7, 0, 0, 0, 0), 0x400);
	drop();
}

/* Of @name in the kernel's or the module's text or data, 0 if it is not there to be seen. */
static __u64 symbol(const char *name)
{
	FILE *f = fopen("/proc/kallsyms", "r");
	char line[300], what[200];
	__u64 va, got = 0;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%llx %*c %199s", &va, what) == 2 && !strcmp(what, name))
			got = va;
	if (f)
		fclose(f);
	return got;
}

/* @kind: 0 execution, 1 write, 3 any access of 8 bytes */
static void host_bp(__u64 va, __u64 len, unsigned int kind)
{
	unsigned int step = kind ? 8 : 1;

	for (; len >= 4 * step; va += 4 * step, len -= 4 * step) {
		begin.dr0 = va;
		begin.dr1 = va + step;
		begin.dr2 = va + 2 * step;
		begin.dr3 = va + 3 * step;
		begin.dr7 = kind ? 0x4ff | (__u64)(kind | 8) * 0x11110000 : 0x4ff;
		again();
		go(LONG);
		/* A fault's frame, a hypercall, an interrupt: none of it a trap of the guest's. */
		gives(0);
	}
}

BODY(busy,
     "mov $20, %ebx; 1: mov $55, %eax; mov $3, %edi; syscall; dec %ebx; jnz 1b; mov %rax, %r12")

CASE(bp_host, "breakpoints on the host's own code and data")
{
	static const char *const text[] = { "world_enter",  "world_light",	 "lite_handle",
					    "area_enter",   "asm_exc_nmi_noist", "asm_exc_nmi",
					    "asm_exc_debug" };
	static const char *const data[] = { "__per_cpu_offset", "jiffies_64", "init_task" };
	unsigned int i;
	__u64 va;

	make(busy, busy_end, false);
	for (i = 0; i < sizeof(text) / sizeof(text[0]); i++) {
		va = symbol(text[i]);
		if (va && va >= 0xffff880000000000)
			host_bp(va, i ? 64 : 1536, 0);
	}
	for (i = 0; i < sizeof(data) / sizeof(data[0]); i++) {
		va = symbol(data[i]);
		if (va && va >= 0xffff880000000000)
			host_bp(va, 64, 3);
	}
	drop();
}

/* A watchpoint that is met by the MOV to SS, and therefore after the next instruction. */
#define WATCH                                                                                 \
	"movl $0, 0x511100; mov %ss, 0x511100; mov $8, %eax; xor %edi, %edi; mov $0x511100, " \
	"%esi; syscall;"                                                                      \
	"mov $8, %eax; mov $7, %edi; mov $0xf0403, %esi; syscall;"

static void pending(void)
{
	/* Either the trap after the instruction, or none, as processors differ. */
	expect(ended == 1 && (end.r13 == 1 || end.r13 == NONE || end.r13 == 3 || end.r13 == 6 ||
			      end.r13 == 0x80 || end.r13 == 4));
}

GUEST(ss_syscall, "a #DB pending at a hypercall", WATCH "mov $63, %eax; mov 0x511100, %ss; syscall")
{
	pending();
}

GUEST(ss_int3, "a #DB pending at int3", WATCH "mov 0x511100, %ss; int3")
{
	pending();
}

GUEST(ss_int80, "a #DB pending at int 0x80", WATCH "mov 0x511100, %ss; int $0x80")
{
	pending();
}

GUEST(ss_ud2, "a #DB pending at ud2", WATCH "mov 0x511100, %ss; ud2")
{
	pending();
}

GUEST(ss_icebp, "a #DB pending at icebp", WATCH "mov 0x511100, %ss; .byte 0xf1")
{
	pending();
}

GUEST(pop_ss, "a #DB pending by pop",
      "mov %ss, %eax; push %rax; mov %rsp, %rbp;" WATCH
      "mov $8, %eax; xor %edi, %edi; mov %rbp, %rsi; syscall; mov 0x511100, %ss; int3")
{
	pending();
}

GUEST(ss_step, "a single step pending at a hypercall",
      "movl $0, 0x511100; mov %ss, 0x511100; mov $63, %eax;"
      "pushfq; orl $0x100, (%rsp); popfq; mov 0x511100, %ss; syscall")
{
	pending();
}

GUEST(ss_step_int3, "a single step pending at int3",
      "movl $0, 0x511100; mov %ss, 0x511100;"
      "pushfq; orl $0x100, (%rsp); popfq; mov 0x511100, %ss; int3")
{
	pending();
}

/* The trap's own frame meets a watchpoint, over and over. */
GUEST(watch_stack, "watchpoints on the stack that frames go to",
      "mov $8, %eax; xor %edi, %edi;"
      "mov $0x51fff0, %esi; syscall; mov $8, %eax; mov $7, %edi; mov $0xf0403, %esi; syscall;"
      "mov $0x5151a0, %eax; movw $0x050f, 0x513000; mov $0x513000, %eax;" IRET("0x33", "0x202"))
{
	expect(ended == 1 && (end.r13 == SYSCALL || end.r13 == 1));
}

GUEST(watch_handler, "breakpoints on its own handlers",
      "mov $8, %eax; xor %edi, %edi;"
      "mov $0x501060, %esi; syscall; mov $8, %eax; mov $7, %edi; mov $0x403, %esi; syscall; ud2")
{
	expect(ended == 1 && (end.r13 == 1 || end.r13 == 6));
}

int main(int argc, char **argv)
{
	return hostile_run(argc, argv);
}
