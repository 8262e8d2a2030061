// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where a guest goes and where its frames go: iret, stacks, trap handlers, callbacks, segment bases
 * and RIP, in the hypervisor's addresses, where nothing is, or where no address is.
 */
#include "hostile.h"

#define NONCANON 0x800000000000ull
#define HOLE4	 0xffff800000000000ull

/* --- iret -------------------------- */

#define IRET_TO(rip, cs, flags) "movabs $" rip ", %rax;" IRET(cs, flags)

GUEST(iret_hole, "iret to user mode in the switcher", "mov %rbx, %rax;" IRET("0x33", "0x202"))
{
	if (levels == 5)
		traps(13, 0);
	else
		traps(14, 0x14);
}

GUEST(iret_hole4, "iret to user mode in Xen's addresses",
      IRET_TO("0xffff804000000000", "0x33", "0x202"))
{
	traps(14, 0x14);
}

GUEST(iret_noncanon, "iret to user mode at no address", IRET_TO("0x800000000000", "0x33", "0x202"))
{
	traps(13, 0);
	ksft_eq(end.r11 & 3, 3);
}

GUEST(iret_k_noncanon, "iret to its kernel at no address",
      IRET_TO("0x800000000000", "0xe030", "0x202"))
{
	traps(13, 0);
	ksft_eq(end.r11 & 3, 0);
}

GUEST(iret_k_hole, "iret to its kernel in the hole", "lea 0x7000(%rbx), %rax;" IRET("0", "0x2"))
{
	expect(ended == 1 && (end.r13 == 13 || (end.r13 == 14 && end.r14 == 0x10)));
}

GUEST(iret_ring0, "iret to ring 0 with IOPL 3",
      "mov $0x513000, %eax; movl $0xfb9d9c0f, (%rax);"
      "lea 1f(%rip), %rax;" IRET("0x10", "0x3202") "1: mov %cs, %r12d; pushfq; pop %rax;"
						   "and $0x3000, %eax; or %rax, %r12")
{
	gives(KERN_CS);
}

GUEST(iret_user, "iret to user mode with every flag",
      "movl $0x050f9c, 0x513000;"
      "movw $0x9c58, 0x513000; movw $0x050f, 0x513002; movb $0x9c, 0x513000; movb $0x58, 0x513001;"
      "mov $0x513000, %eax;" IRET("0x33", "-257"))
{
	expect(ended == 1 && end.r13 == SYSCALL);
	ksft_eq(end.r14 & 0x1a3000, 0); /* IOPL, VM, VIF, VIP; NT is a program's own affair */
}

/* As at the end of a system call: RCX and R11 are what SYSRET takes. */
#define SYS_IRET(flags)                                                                \
	"push $0x2b; push $0x512ff0; push $" flags "; push $0x33; push %rax; push $0;" \
	"push %rax; push $" flags "; push $0; mov $23, %eax; syscall;"

/* lea (%rcx,%r11), %rax; add %rsp, %rax; syscall */
GUEST(iret_sys, "iret as from a system call: RIP, RSP, RCX, R11",
      "movl $0x19048d4a, 0x513000; movl $0x0fe00148, 0x513004; movb $5, 0x513008;"
      "mov $0x513000, %eax;" SYS_IRET("0x202"))
{
	user_gives(0x513000 + 0x202 + 0x512ff0);
	ksft_eq(end.r9, 0x513009);
}

GUEST(iret_sys_noncanon, "the same to no address",
      "movabs $0x800000000000, %rax;" SYS_IRET("0x202"))
{
	traps(13, 0);
	ksft_eq(end.r11 & 3, 3);
}

GUEST(iret_sys_step, "the same with TF: one instruction is done",
      "movl $0x050f9090, 0x513000; mov $0x513000, %eax;" SYS_IRET("0x302"))
{
	traps(1, 0);
	ksft_eq(end.r9, 0x513001);
}

GUEST(iret_cs, "iret with selectors that are not the guest's",
      "lea 1f(%rip), %rax;" IRET("0x40", "0x202") "1: mov %cs, %r12d")
{
	gives(KERN_CS);
}

GUEST(iret_32, "iret to 32-bit mode, RIP beyond it", IRET_TO("0x700513000", "0x23", "0x202"))
{
	/* Taken modulo 2^32, as is what is there: 00 00 is an addition to memory at RAX. */
	expect(ended == 1 && (end.r11 & 3) == 3 && (end.r13 == 14 || end.r13 == 13));
}

GUEST(iret_stackless, "iret from no stack", "mov $0x600000, %esp; mov $23, %eax; syscall")
{
	dies("iret from a stack that cannot be read");
}

GUEST(iret_stack_hole, "iret from a stack in the hole",
      "lea 0x4000(%rbx), %rsp; mov $23, %eax;"
      "syscall")
{
	dies("iret from a stack that cannot be read");
}

GUEST(iret_stack_edge, "iret from a stack whose end is in the hole",
      "mov %r15, %rsp; sub $8, %rsp; mov $23, %eax; syscall")
{
	dies("iret from a stack that cannot be read");
}

GUEST(iret_stack_ho, "iret from a stack in the host's page",
      "lea 0x7000(%rbx), %rsp;"
      "mov $23, %eax; syscall")
{
	dies("iret from a stack that cannot be read");
}

GUEST(iret_stack_noncanon, "iret from a stack at no address",
      "movabs $0x7fffffffffe0, %rsp;"
      "mov $23, %eax; syscall")
{
	dies("iret from a stack that cannot be read");
}

/* --- the end of the address space -------------------------- */

CASE(last_syscall, "a hypercall as the last instruction before the gap")
{
	__u64 *l4, *l3, *l2, *l1;

	/* 0x7ffffffff000 is frame 300; its last two bytes are a SYSCALL. */
	obey_start();
	l4 = at(ROOT), l3 = at(301 * PAGE), l2 = at(302 * PAGE), l1 = at(303 * PAGE);
	l4[255] = TABLE(301 * PAGE);
	l3[511] = TABLE(302 * PAGE);
	l2[511] = TABLE(303 * PAGE);
	l1[511] = 300 * PAGE | 0x63;
	memcpy(at(301 * PAGE - 10), "\xb8\x03\x00\x00\x00\x31\xff\x90\x0f\x05", 10);
	jump(NONCANON - 10);
	/* Processors fault at the return, in the switcher; others after it. */
	expect((!ended && run->reason == LODGE_EXIT_KILLED) || end.r13 == 13 || end.r13 == 14);
	/* The same, by way of the core; and in user mode, where it is its kernel's affair. */
	obey_start();
	l4 = at(ROOT), l3 = at(301 * PAGE), l2 = at(302 * PAGE), l1 = at(303 * PAGE);
	l4[255] = TABLE(301 * PAGE);
	l3[511] = TABLE(302 * PAGE);
	l2[511] = TABLE(303 * PAGE);
	l1[511] = 300 * PAGE | 0x63;
	memcpy(at(301 * PAGE - 10), "\xb8\x3f\x00\x00\x00\x31\xff\x90\x0f\x05", 10);
	jump(NONCANON - 10);
	expect(ended == 1 && end.r13 == 13);
	drop();
}

/* --- stacks -------------------------- */

/* What the guest's kernel has as its stack when it traps: an exception, an event, a page fault. */
#define STACKS(X)                                                                   \
	X(rw, "the writable page", "lea 0x4800(%rbx), %rsp", NO_STACK)              \
	X(ho, "the host's page", "lea 0x7800(%rbx), %rsp", NO_STACK)                \
	X(gap, "no address", "movabs $0x800000001000, %rsp", NO_STACK)              \
	X(edge, "the end of addresses", "movabs $0x800000000000, %rsp", LOST_STACK) \
	X(xen, "Xen's addresses", "movabs $0xffff800000001000, %rsp", NO_STACK)     \
	X(zero, "nothing at all", "xor %esp, %esp", LOST_STACK)                     \
	X(none, "an unmapped page", "mov $0x700000, %esp", LOST_STACK)

#define STACK_CASES(id, name, text, why)                                                   \
	GUEST(ud_##id, "#UD with its stack in " name, text "; ud2")                        \
	{                                                                                  \
		dies(why);                                                                 \
	}                                                                                  \
	GUEST(gp_##id, "#GP with its stack in " name, text "; lgdt (%rdi)")                \
	{                                                                                  \
		dies(why);                                                                 \
	}                                                                                  \
	GUEST(pf_##id, "#PF with its stack in " name, text "; mov 0x700000, %eax")         \
	{                                                                                  \
		dies(why);                                                                 \
	}                                                                                  \
	GUEST(int_##id, "int with its stack in " name, text "; int $0x20")                 \
	{                                                                                  \
		dies(why);                                                                 \
	}                                                                                  \
	GUEST(bp_##id, "int3 with its stack in " name, text "; int3")                      \
	{                                                                                  \
		dies(why);                                                                 \
	}                                                                                  \
	/* A timer in the past; events on: they come with the next hypercall. */           \
	GUEST(ev_##id, "an event with its stack in " name,                                 \
	      "movl $0, 0x511000; movl $0, 0x511004; mov $32, %eax; mov $1, %edi;"         \
	      "mov $0x511000, %esi; syscall; mov 0x511008, %ecx;"                          \
	      "btr %rcx, 0x440a00; mov $15, %eax; mov $1, %edi;"                           \
	      "syscall;" text "; movb $0, 0x440001; mov $55, %eax; mov $3, %edi; syscall") \
	{                                                                                  \
		dies(why);                                                                 \
	}                                                                                  \
	/* Interrupts push nothing for the guest. */                                       \
	GUEST(irq_##id, "interrupts with its stack in " name,                              \
	      text "; mov $4000000, %ecx; 1: dec %ecx; jnz 1b; mov $7, %r12d")             \
	{                                                                                  \
		gives(7);                                                                  \
	}
STACKS(STACK_CASES)

/* The stack for traps of user mode: a hypercall notes it, its use looks at it. */
#define KSTACK(sp) "mov $3, %eax; movabs $" sp ", %rsi; syscall; mov %rax, %r12;"
#define TO_USER	   "mov $0x513000, %eax;" IRET("0x33", "0x202")

#define KSTACKS(X)                                                    \
	X(gap, "no address", "0x800000001000")                        \
	X(edge, "the end of addresses", "0x800000000000")             \
	X(xen, "Xen's addresses", "0xffff800000001000")               \
	X(last, "Xen's last addresses", "0xffff880000000000")         \
	X(sw4, "the switcher with 4 levels", "0xffff804000004800")    \
	X(sw5, "the switcher with 5 levels", "0xff00004000004800")    \
	X(ho5, "the host's page with 5 levels", "0xff00004000007800") \
	X(none, "an unmapped page", "0x700000")                       \
	X(zero, "address 0", "0")                                     \
	X(wrap, "both ends of memory", "0x18")

#define KSTACK_CASES(id, name, sp)                                                              \
	GUEST(k_sc_##id, "a system call, the kernel's stack in " name,                          \
	      "movw $0x050f, 0x513000;" KSTACK(sp) TO_USER)                                     \
	{                                                                                       \
		dies(LOST_STACK);                                                               \
	}                                                                                       \
	GUEST(k_ud_##id, "#UD in user mode, the kernel's stack in " name,                       \
	      "movw $0x0b0f, 0x513000;" KSTACK(sp) TO_USER)                                     \
	{                                                                                       \
		dies(LOST_STACK);                                                               \
	}                                                                                       \
	GUEST(k_pf_##id, "#PF in user mode, the kernel's stack in " name,                       \
	      "movl $0xa1, 0x513000; movl $0, 0x513004; movl $0x00700000, 0x513001;" KSTACK(sp) \
		      TO_USER)                                                                  \
	{                                                                                       \
		dies(LOST_STACK);                                                               \
	}
KSTACKS(KSTACK_CASES)

USER(u_rsp, "user mode has its stack in the hole", "lea 0x4800(%rbx), %rsp; mov $9, %eax")
{
	user_gives(9);
}

USER(u_rsp_pf, "user mode pushes to the hole", "movabs $0xff00004000004800, %rsp; push %rax")
{
	expect(ended == 1 && end.r13 >= 12 && end.r13 <= 14 && (end.r11 & 3) == 3);
}

USER(u_rsp_ud, "user mode traps with its stack at no address", "movabs $0x800000001000, %rsp; ud2")
{
	traps(6, 0);
}

/* --- handlers, callbacks, bases -------------------------- */

static const __u64 bad_va[] = { 0x800000000000,	    0xffff800000000000, 0xffff804000000000,
				0xffff87ffffffffff, 0xff00004000000000, 0xff00004000007000,
				0x8000000000000000, 0xffff7fffffffffff };

CASE(trap_table, "trap handlers in the hole")
{
	unsigned int i;
	__u64 *t;

	obey_start();
	for (i = 0; i < sizeof(bad_va) / sizeof(bad_va[0]); i++) {
		t = at(ARGS);
		t[0] = 6;
		t[1] = bad_va[i];
		t[2] = t[3] = 0;
		ksft_eq(hc(0, BASE + ARGS, 0, 0, 0, 0), -EINVAL);
	}
	ksft_eq(hc(0, bad_va[0], 0, 0, 0, 0), -EFAULT);
	ksft_eq(hc(0, sw, 0, 0, 0, 0), -EFAULT);
	drop();
}

CASE(callbacks, "callbacks in the hole")
{
	unsigned int i, type;
	__u64 *t;

	obey_start();
	for (i = 0; i < sizeof(bad_va) / sizeof(bad_va[0]); i++)
		for (type = 0; type < 12; type++) {
			t = at(ARGS);
			t[0] = type | 1 << 16;
			t[1] = bad_va[i];
			ksft_eq(hc(30, 0, BASE + ARGS, 0, 0, 0),
				type == 3 || type == 5 ? -ENOSYS : -EINVAL);
		}
	ksft_eq(hc(30, 0, sw, 0, 0, 0), -EFAULT);
	ksft_eq(hc(30, 1, sw + SW_HO, 0, 0, 0), -EFAULT);
	drop();
}

CASE(bases, "segment bases that are none")
{
	unsigned int i, which;

	obey_start();
	for (i = 0; i < sizeof(bad_va) / sizeof(bad_va[0]); i++)
		for (which = 0; which < 3; which++) {
			__s64 v = bad_va[i] << 16;

			ksft_eq(hc(25, which, bad_va[i], 0, 0, 0),
				(__u64)(v >> 16) == bad_va[i] ? 0 : -EINVAL);
		}
	for (i = 0; i < 0x10000; i += 13)
		ksft_eq(hc(25, 3, i, 0, 0, 0), 0);
	ksft_eq(hc(25, 4, 0, 0, 0, 0), -EINVAL);
	drop();
}

/* Through GS, to what the guest's kernel may not read, or to no address. */
GUEST(gs_hole, "reads the host's page through GS",
      "lea 0x7000(%rbx), %rax; wrgsbase %rax;"
      "mov %gs:0, %r12")
{
	traps(14, 0);
}

GUEST(jump_gap, "jumps to no address", "movabs $0x800000000000, %rax; jmp *%rax")
{
	expect(ended == 1 && (end.r13 == 13 || (levels == 5 && end.r13 == 14)));
}

USER(u_jump_gap, "user mode jumps to no address", "movabs $0x800000000000, %rax; jmp *%rax")
{
	expect(ended == 1 && (end.r13 == 13 || (levels == 5 && end.r13 == 14)));
}

int main(int argc, char **argv)
{
	on_cpu(0);
	return hostile_run(argc, argv);
}
