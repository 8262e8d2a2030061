/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The way into the guest and back, and what is answered without leaving it.
 *
 * Called by world.c with interrupts off, at this processor's switcher address. The text is mapped
 * at the same address in the host's and the guest's page tables, so a CR3 write is all that lies
 * between the two views. While the guest's IDT is loaded, nothing but the handlers below may run
 * at ring 0: they know that NMIs and machine checks can come at any instruction.
 *
 * Order. In: IDT first, so that an NMI finds a handler that needs neither GDT, TSS nor page tables
 * of either side; then GDT and TSS, selectors, bases, CR3. Out: CR3, GDT and TSS, selectors, bases,
 * IDT last.
 */
#include <linux/linkage.h>
#include <asm/nospec-branch.h>
#include <asm/segment.h>

#include "switcher.h"

#define RW(x) (sw_text + SW_RW + (x))(%rip)
#define RO(x) (sw_text + SW_RO + (x))(%rip)
#define HO(x) (sw_text + SW_HO + (x))(%rip)

	.section .rodata, "a"
	.balign 4096
	.globl sw_text, sw_text_end, sw_enter, sw_vectors, sw_syscall, sw_syscall32
sw_text:

/* Take bases of FS, GS and the inactive GS out of, or back into, the processor; clobbers rax. */
.macro BASES_SAVE fs, gs, kgs
	rdfsbase %rax
	mov	%rax, HO(\fs)
	rdgsbase %rax
	mov	%rax, HO(\gs)
	swapgs
	rdgsbase %rax
	mov	%rax, HO(\kgs)
	swapgs
.endm
.macro BASES_LOAD fs, gs, kgs
	swapgs
	mov	HO(\kgs), %rax
	wrgsbase %rax
	swapgs
	mov	HO(\gs), %rax
	wrgsbase %rax
	mov	HO(\fs), %rax
	wrfsbase %rax
.endm

/* What an NMI or machine check in host context has left on its stack is not for the guest. */
.macro SCRUB
	xor	%ecx, %ecx
	xor	%eax, %eax
	.irp	ist, 1, 2, 3, 4
	.irp	off, 8, 16, 24, 32, 40, 48, 56, 64, 72
	mov	%rax, RW(D_IST + \ist * D_IST_SIZE - \off)
	.endr
	.endr
.endm

/*
 * To \label if it is the guest's kernel that met the trap, whose frame has CS at \cs(%rsp), and
 * which came from the guest.
 */
.macro IF_KERNEL cs, label
	testb	$2, \cs(%rsp)
	jz	\label
	testl	$FAST_TWO, RO(R_FAST)
	jz	703f
	cmpb	$0, RW(D_MODE)
	jne	\label
703:
.endm

/* \reg: the present pair of roots. Its lowest byte \low is free in R_BASE: it stays in there. */
.macro PRESENT_BASE reg, low
	lea	RO(R_BASE), \reg
	mov	RW(D_BASE), \low
	and	$(SW_BASES - 1) * B_SIZE, \low
.endm

/*
 * With two roots: the guest's kernel's pages are there, and the switcher may touch them. Clobbers
 * RBX.
 */
.macro KERNEL_ROOT
	testl	$FAST_TWO, RO(R_FAST)
	jz	704f
	PRESENT_BASE %rbx, %bl
	mov	B_KCR3(%rbx), %rbx
	mov	%rbx, %cr3
704:
.endm
.macro KERNEL_ACCESS
	testl	$FAST_STAC, RO(R_FAST)
	jz	705f
	stac
705:
.endm

/*
 * To \fail unless address \at is canonical with 4 levels, and outside of the hole with 4 and 5. The
 * same then holds for less than a page from there on, or it is where nothing is: before the hole
 * no guest has an address, and nothing is behind the lower half. Clobbers \tmp.
 */
.macro CHECK_PLACE at, tmp, fail
	lea	\at, \tmp
	sar	$43, \tmp		/* -16: the hole; -15 to 15 */
	add	$15, \tmp
	cmp	$30, \tmp
	ja	\fail
.endm

sw_enter:
	push	%rbp
	push	%rbx
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	pushfq
	mov	%rsp, HO(H_RSP)
	sgdt	HO(H_GDT)
	sidt	HO(H_IDT)
	sldt	HO(H_LDT)
	mov	%cr3, %rax
	mov	%rax, RO(R_HCR3)
	mov	%ds, HO(H_SEL)
	mov	%es, HO(H_SEL + 2)
	mov	%fs, HO(H_SEL + 4)
	mov	%gs, HO(H_SEL + 6)
	BASES_SAVE H_FS, H_GS, H_KGS
	lidt	HO(H_SIDT)
	/* The guest may have breakpoints on the host: none of its code runs with them. */
	mov	HO(H_DR7), %rax
	test	%rax, %rax
	jz	1f
	mov	%rax, %dr7
1:
	/*
	 * The launcher's LDT, if it has one: its linear address would be looked up in the guest's
	 * page tables, and what the guest has there could be a gate to ring 0.
	 */
	cmpw	$0, HO(H_LDT)
	je	1f
	xor	%eax, %eax
	lldt	%ax
1:
	lgdt	HO(H_SGDT)
	andb	$0xfd, RO(R_GDT + 0x40 + 5)	/* LTR wants a TSS that is not busy */
	mov	$0x40, %eax
	ltr	%ax
	cmpw	$0, HO(H_GLDT)
	je	1f
	lldt	HO(H_GLDT)
1:
	mov	HO(H_GSEL), %ds
	mov	HO(H_GSEL + 2), %es
	mov	HO(H_GSEL + 4), %fs
	mov	HO(H_GSEL + 6), %gs
	BASES_LOAD H_GFS, H_GGS, H_GKGS
	lea	RW(D_STACK), %rsp
sw_to_guest:
	SCRUB
	testb	$FAST_VERW, RO(R_FAST)
	jz	1f
	verw	HO(H_VERW)
1:
	mov	HO(H_GCR3), %rax
	mov	%rax, %cr3			/* ---- guest view ---- */
	lea	RW(D_REGS), %rsp
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	pop	%r11
	pop	%r10
	pop	%r9
	pop	%r8
	pop	%rax
	pop	%rcx
	pop	%rdx
	pop	%rsi
	pop	%rdi
	add	$16, %rsp
	testl	$FAST_TWO, RO(R_FAST)
	jz	1f
	/* The page is in the programs' root, too: with Meltdown they could read their kernel's. */
	i = D_REGS
	.rept	15
	movq	$0, RW(i)
	i = i + 8
	.endr
	movq	$0, RW(D_T0)
	movq	$0, RW(D_T1)
	movq	$0, RW(D_T2)
	movq	$0, RW(D_T3)
1:	iretq

/*
 * SYSCALL, from ring 3 or ring 1: the processor does not say which. RCX has RIP, R11 the flags.
 */
	.balign	16
sw_syscall:
	mov	%rsp, RW(D_RSP)
	lea	RW(D_STACK), %rsp
	testl	$FAST_OFF | FAST_STAC, RO(R_FAST)
	jnz	sw_syscall_odd
sw_syscall_on:
	cmpb	$0, RW(D_MODE)
	je	sw_user_syscall
	cmp	$23, %rax
	je	sw_hc_iret
	cmp	$3, %rax
	je	sw_hc_stack
	cmp	$25, %rax
	je	sw_hc_segment
	cmp	$1, %rax
	je	sw_hc_update
	cmp	$14, %rax
	je	sw_hc_va
	cmp	$26, %rax
	je	sw_hc_ext
	jmp	sw_slow
sw_syscall_odd:
	testb	$FAST_OFF, RO(R_FAST)
	jnz	sw_slow
	stac
	jmp	sw_syscall_on
sw_slow:
	mov	%r11, RW(D_FLAGS)
	mov	%rcx, RW(D_RIP)
	movq	$SW_USER_SS, RW(D_SS)		/* the core puts the right ones */
	movq	$SW_USER_CS, RW(D_CS)
	lea	RW(D_RIP), %rsp
	pushq	$0
	pushq	$0x100
	jmp	sw_leave

	.balign	16
sw_syscall32:
	mov	%rsp, RW(D_RSP)
	mov	%r11, RW(D_FLAGS)
	mov	%rcx, RW(D_RIP)
	movq	$SW_USER_SS, RW(D_SS)
	movq	$0x23, RW(D_CS)
	lea	RW(D_RIP), %rsp
	pushq	$0
	pushq	$0x101
	jmp	sw_leave

/* HYPERVISOR_stack_switch(ss, sp): only noted, since it is checked at each use anyway. */
sw_hc_stack:
	mov	%rsi, RW(D_KSP)
	jmp	sw_hc_done

/* HYPERVISOR_set_segment_base(which, base): FS, GS of the user, GS of the kernel. */
sw_hc_segment:
	mov	%rsi, %rax
	shl	$16, %rax
	sar	$16, %rax
	cmp	%rsi, %rax
	jne	1f				/* not canonical: the core says so */
	cmp	$2, %rdi
	ja	1f
	je	3f
	test	%edi, %edi
	jnz	2f
	wrfsbase %rsi
	jmp	sw_hc_done
3:	wrgsbase %rsi
	jmp	sw_hc_done
2:	swapgs
	wrgsbase %rsi
	swapgs
	jmp	sw_hc_done
1:	mov	$25, %eax
	jmp	sw_slow

/* Back to the guest's kernel after the hypercall, RAX = 0; RCX, R11 and the flags are lost. */
sw_hc_done:
	incq	RW(D_N_HC)
	mov	RW(D_RSP), %rax
	mov	%rax, RW(D_FAR + 16)
	mov	%rcx, RW(D_FAR)
	xor	%eax, %eax
sw_far_kernel:
	testl	$FAST_SMAP, RO(R_FAST)
	jz	2f
	stac
1:	lea	RW(D_FAR + 32), %rsp
	pushq	RO(R_KSS)
	lea	-8(%rsp), %rsp
	pushq	RO(R_KCS)
	lea	-8(%rsp), %rsp
sw_sti:	sti				/* no interrupt before the next instruction is done */
	lretq
2:	testl	$FAST_STAC, RO(R_FAST)
	jz	1b
	clac					/* to ring 3 it is the alignment check */
	jmp	1b

/* A user's system call becomes one of the guest's kernel: frame on its stack. */
sw_user_syscall:
	mov	%rax, RW(D_T0)
	mov	%rbx, RW(D_T1)
	mov	RW(D_KSP), %rax
	and	$-16, %rax
	CHECK_PLACE -64(%rax), %rbx, sw_bounce_bad
	KERNEL_ROOT
	mov	RW(D_RSP), %rbx
sw_bounce_from:
	movq	$SW_USER_SS, -8(%rax)
	mov	%rbx, -16(%rax)
	mov	%r11, -24(%rax)
	movq	$SW_USER_CS, -32(%rax)
	mov	%rcx, -40(%rax)
	mov	%r11, -48(%rax)
	mov	%rcx, -56(%rax)
sw_bounce_to:
	sub	$56, %rax
	mov	%rax, RW(D_FAR + 16)
	mov	RO(R_SYSCALL), %rax
	mov	%rax, RW(D_FAR)
	mov	RO(R_VI), %rax
	movb	$1, 1(%rax)			/* events masked */
	movb	$1, RW(D_MODE)
	swapgs
	incq	RW(D_N_SYSCALL)
	mov	RW(D_T0), %rax
	mov	RW(D_T1), %rbx
	jmp	sw_far_kernel
sw_bounce_bad:
	mov	RW(D_T0), %rax
	mov	RW(D_T1), %rbx
	lea	RW(D_STACK), %rsp
	jmp	sw_slow

/*
 * HYPERVISOR_iret. Frame at the guest's RSP: rax r11 rcx flags rip cs rflags rsp ss. RAX, RCX and
 * R11 are free. Nothing is written through a guest address but the event mask, whose page is ours.
 */
sw_hc_iret:
	mov	RW(D_RSP), %rax
	mov	%rax, RW(D_T2)
	CHECK_PLACE (%rax), %r11, sw_iret_bad	/* what is read, and nothing of ours */
	mov	RO(R_VI), %rcx
sw_iret_from:
	cmpb	$0, (%rcx)			/* an event is pending: the core's business */
	jne	sw_iret_bad
	cmpq	$0, 24(%rax)
	jne	sw_iret_bad
	mov	48(%rax), %r11
	and	$SW_FLAGS, %r11d
	or	$0x202, %r11d
	mov	40(%rax), %rcx
	test	$3, %cl
	jz	1f
	cmp	$SW_USER_CS, %rcx
	jne	sw_iret_bad
	cmpw	$SW_USER_SS, 64(%rax)
	jne	sw_iret_bad
	testb	$2, 49(%rax)			/* a user with events masked */
	jz	sw_iret_bad
	testl	$FAST_TWO, RO(R_FAST)
	jz	2f
	PRESENT_BASE %rcx, %cl
	cmpq	$0, B_UCR3(%rcx)
	je	sw_iret_bad
2:
	mov	32(%rax), %rcx
	mov	%rcx, RW(D_RIP)
	shr	$47, %rcx
	jnz	sw_iret_bad
	mov	%r11, RW(D_FLAGS)
	mov	56(%rax), %rcx
	mov	%rcx, RW(D_RSP)
	mov	8(%rax), %r11
	mov	16(%rax), %rcx
	mov	(%rax), %rax
	mov	%rax, RW(D_T0)
	mov	RO(R_VI), %rax
	movb	$0, 1(%rax)
	testl	$FAST_TWO, RO(R_FAST)
	jz	2f
	movq	$0, RW(D_T1)			/* the kernel's, see sw_to_guest */
	movq	$0, RW(D_T2)
	movq	$0, RW(D_T3)
	PRESENT_BASE %rax, %al
	mov	B_UCR3(%rax), %rax
	mov	%rax, %cr3
2:	mov	RW(D_T0), %rax
	movb	$0, RW(D_MODE)
	swapgs
	incq	RW(D_N_IRET)
	/*
	 * From a system call RCX and R11 are as SYSRET leaves them, which is the faster one. The
	 * address is canonical, so that it does not fault here, on the program's stack; and it does
	 * not do TF and RF as IRETQ does.
	 */
	cmp	RW(D_RIP), %rcx
	jne	2f
	cmp	RW(D_FLAGS), %r11
	jne	2f
	test	$0x10100, %r11d
	jnz	2f
	mov	RW(D_RSP), %rsp
	sysretq
2:	movq	$SW_USER_CS, RW(D_CS)
	movq	$SW_USER_SS, RW(D_SS)
	lea	RW(D_RIP), %rsp
	iretq
1:	mov	32(%rax), %rcx			/* to the guest's kernel */
	mov	%rcx, RW(D_RIP)
	sar	$47, %rcx
	inc	%rcx
	cmp	$1, %rcx
	ja	sw_iret_bad			/* iretq would fault here, in ring 0 */
	or	RO(R_AC), %r11
	mov	%r11, RW(D_FLAGS)
	mov	8(%rax), %r11
	mov	16(%rax), %rcx
	mov	%rcx, RW(D_T1)
	mov	56(%rax), %rcx
	mov	%rcx, RW(D_RSP)
	mov	49(%rax), %cl			/* mask = !IF */
	shr	$1, %cl
	and	$1, %cl
	xor	$1, %cl
	mov	(%rax), %rax
	mov	%rax, RW(D_T0)
	mov	RO(R_VI), %rax
	mov	%cl, 1(%rax)
sw_iret_to:
	mov	RO(R_KCS), %rax
	mov	%rax, RW(D_CS)
	mov	RO(R_KSS), %rax
	mov	%rax, RW(D_SS)
	mov	RW(D_T0), %rax
	mov	RW(D_T1), %rcx
	incq	RW(D_N_IRET)
	lea	RW(D_RIP), %rsp
	iretq
sw_iret_bad:
	mov	RW(D_T2), %rax
	mov	%rax, RW(D_RSP)
	mov	$23, %eax
	lea	RW(D_STACK), %rsp
	jmp	sw_slow

#include "switcher_mmu.S"

/* One stub of 16 bytes a vector. */
	.balign	16
sw_vectors:
	i = 0
	.rept	256
	.balign	16
	.if (i == 8) || ((i >= 10) && (i <= 14)) || (i == 17) || (i == 21) || (i == 29) || (i == 30)
	.else
	pushq	$0
	.endif
	pushq	$i
	.if	(i == 1) || (i == 2) || (i == 8) || (i == 18)
	jmp	sw_ist
	.elseif	(i == 0) || (i == 3) || (i == 4) || (i == 6)
	jmp	sw_reflect
	.elseif	(i == 13)
	jmp	sw_gp
	.elseif	(i == 14)
	jmp	sw_pf
	.else
	jmp	sw_trap
	.endif
	i = i + 1
	.endr

/* On an own stack: vec err rip cs flags rsp ss. */
sw_ist:
	testb	$3, 24(%rsp)
	jnz	5f
	cmpl	$8, (%rsp)
	je	4f
	push	%rax
	push	%rcx
	/* Came at ring 0: in the switcher, or in a light exit. Note it and go on. */
	cmpl	$1, 16(%rsp)
	je	3f
	mov	%cr3, %rcx
	mov	RO(R_HCR3), %rax
	mov	%rax, %cr3			/* the note is kept where no guest can reach it */
	cmpl	$2, 16(%rsp)
	jne	1f
	incq	HO(H_NMI)
	jmp	2f
1:	incq	HO(H_MCE)
2:	mov	%rcx, %cr3
	/* IF: between sti and lretq. Back to the sti: its shadow is gone. */
	testb	$2, 49(%rsp)
	jz	6f
	andb	$0xfd, 49(%rsp)
	lea	sw_sti(%rip), %rax
	mov	%rax, 32(%rsp)
6:	pop	%rcx
	pop	%rax
	add	$16, %rsp
	iretq
	/* A guest's watchpoint that met the switcher: ignored. */
3:	andq	$~0x100, 48(%rsp)
	orq	$0x10000, 48(%rsp)
	jmp	6b
4:	movq	$1, RW(D_FAULT)
5:	push	%rax
	.irp	off, 0, 8, 16, 24, 32, 40, 48
	mov	8 + \off(%rsp), %rax
	mov	%rax, RW(D_VEC + \off)
	.endr
	pop	%rax
	lea	RW(D_VEC), %rsp
	jmp	sw_leave

/* Traps without error code that a user's program has met: to the guest's kernel at once. */
sw_reflect:
	IF_KERNEL 24, sw_trap
	testb	$FAST_OFF, RO(R_FAST)
	jnz	sw_leave
	mov	%rax, RW(D_T0)
	mov	%rbx, RW(D_T1)
	mov	%rcx, RW(D_T2)
	mov	(%rsp), %eax
	lea	RO(R_TRAP), %rbx
	mov	(%rbx, %rax, 8), %rax
	test	%rax, %rax
	jz	1f
	mov	%rax, RW(D_T3)
	mov	RW(D_KSP), %rax
	and	$-16, %rax
	CHECK_PLACE -64(%rax), %rbx, 1f
	KERNEL_ROOT
	KERNEL_ACCESS
sw_reflect_from:
	mov	48(%rsp), %rbx
	mov	%rbx, -8(%rax)
	mov	40(%rsp), %rbx
	mov	%rbx, -16(%rax)
	mov	32(%rsp), %rbx
	mov	%rbx, -24(%rax)
	mov	24(%rsp), %rbx
	mov	%rbx, -32(%rax)
	mov	16(%rsp), %rbx
	mov	%rbx, -40(%rax)
	mov	%r11, -48(%rax)
	mov	%rcx, -56(%rax)
sw_reflect_to:
	sub	$56, %rax
	mov	%rax, RW(D_RSP)
	mov	RO(R_VI), %rax
sw_to_handler:
	movb	$1, RW(D_MODE)
	swapgs
sw_to_kernel:
	movb	$1, 1(%rax)
	incq	RW(D_N_TRAP)
	mov	RW(D_T3), %rax
	mov	%rax, RW(D_RIP)
	mov	RO(R_KCS), %rax
	mov	%rax, RW(D_CS)
	mov	RO(R_KSS), %rax
	mov	%rax, RW(D_SS)
	mov	RO(R_AC), %rax
	or	$0x202, %rax
	mov	%rax, RW(D_FLAGS)
	mov	RW(D_T0), %rax
	mov	RW(D_T1), %rbx
	lea	RW(D_RIP), %rsp
	iretq
sw_reflect_bad:
	lea	RW(D_VEC), %rsp			/* as the processor had left it */
	mov	RW(D_T2), %rcx
1:	mov	RW(D_T0), %rax
	mov	RW(D_T1), %rbx
	jmp	sw_leave

#include "switcher_fault.S"

sw_trap:
	testb	$3, 24(%rsp)
	jnz	sw_leave
	/* The switcher's own fault: on a guest's address, where that was to be expected? */
	mov	%rax, RW(D_T3)
	mov	16(%rsp), %rax
	push	%rbx
	.macro EXPECT name
	lea	sw_\name\()_from(%rip), %rbx
	cmp	%rbx, %rax
	jb	1f
	lea	sw_\name\()_to(%rip), %rbx
	cmp	%rbx, %rax
	jae	1f
	pop	%rbx
	mov	RW(D_T3), %rax
	jmp	sw_\name\()_bad
1:
	.endm
	EXPECT	bounce
	EXPECT	iret
	EXPECT	reflect
	EXPECT	rdmsr
	EXPECT	pfu
	EXPECT	pfk
	EXPECT	upd
	EXPECT	ext
	EXPECT	va
	EXPECT	base
	pop	%rbx
	mov	RW(D_T3), %rax
	push	%rax
	movq	$1, RW(D_FAULT)
	.irp	off, 0, 8, 16, 24, 32
	mov	8 + \off(%rsp), %rax
	mov	%rax, RW(D_VEC + \off)
	.endr
	pop	%rax
	lea	RW(D_VEC), %rsp

/* RSP is at D_VEC, which has vector, error code and the processor's frame. */
sw_leave:
	push	%rdi
	push	%rsi
	push	%rdx
	push	%rcx
	push	%rax
	push	%r8
	push	%r9
	push	%r10
	push	%r11
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	mov	%cr2, %rax
	mov	%rax, RW(D_CR2)
	mov	RO(R_HCR3), %rax
	mov	%rax, %cr3			/* ---- host view ---- */
	cld
	testb	$FAST_CLAC, RO(R_FAST)
	jz	1f
	clac
1:
	cmpq	$0, HO(H_DR7)
	je	1f
	xor	%eax, %eax
	mov	%rax, %dr7
1:
	/* What the guest has taught the processor's predictions is not for the host's code. */
	testl	$FAST_SPEC, RO(R_FAST)
	jz	1f
	mov	$0x48, %ecx
	mov	HO(H_SPEC), %eax
	xor	%edx, %edx
	wrmsr
1:	testl	$FAST_IBPB, RO(R_FAST)
	jz	1f
	mov	$0x49, %ecx
	mov	$1, %eax
	xor	%edx, %edx
	wrmsr
1:	testl	$FAST_BHB, RO(R_FAST)
	jz	1f
	mov	$12, %ecx			/* more branches, all taken, than it remembers */
2:	mov	$10, %eax
3:	jmp	4f
	int3
4:	dec	%eax
	jnz	3b
	dec	%ecx
	jnz	2b
	lfence
1:
	cmpq	$0, RW(D_FAULT)
	jne	sw_full
	testb	$FAST_LIGHT, RO(R_FAST)
	jz	sw_full
	mov	RW(D_VEC), %rax
	cmp	$0x100, %rax
	je	1f
	cmp	$14, %rax
	ja	sw_full
	mov	$SW_LIGHT_VECS, %ecx
	bt	%eax, %ecx
	jnc	sw_full
	/*
	 * Light exit: the host's page tables and GS, but IDT, GDT, TSS and MSRs of the guest;
	 * interrupts stay off. Each return in it is of a call in it, so what the guest has put into
	 * the return predictor does not matter yet.
	 */
1:	BASES_SAVE H_GFS, H_GGS, H_GKGS
	mov	HO(H_GS), %rax
	wrgsbase %rax
	mov	HO(H_RSP), %rsp
	and	$-16, %rsp
	mov	HO(H_LARG), %rdi
	mov	HO(H_LIGHT), %rax
	call	sw_call
	mov	%eax, %ebx
	BASES_LOAD H_GFS, H_GGS, H_GKGS
	lea	RW(D_STACK), %rsp
	test	%ebx, %ebx
	jnz	sw_to_guest
sw_full:
	BASES_SAVE H_GFS, H_GGS, H_GKGS
	mov	%ds, HO(H_GSEL)
	mov	%es, HO(H_GSEL + 2)
	mov	%fs, HO(H_GSEL + 4)
	mov	%gs, HO(H_GSEL + 6)
	/* LTR sets the busy bit, which the read-only alias would not have. */
	lgdt	HO(H_GDTRW)
	mov	HO(H_TSSB), %rax
	andb	$0xfd, (%rax)
	mov	$0x40, %eax
	ltr	%ax
	lgdt	HO(H_GDT)
	mov	HO(H_LDT), %ax		/* before the selectors, which may be of it */
	or	HO(H_GLDT), %ax
	jz	1f
	lldt	HO(H_LDT)
1:
	mov	$0x18, %eax
	mov	%eax, %ss
	/* The host's own may be of descriptors that are gone: world.c loads them. */
	xor	%eax, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %fs
	mov	%eax, %gs
	BASES_LOAD H_FS, H_GS, H_KGS
	/* The host's returns to calls from before are not for the guest to predict. */
	testb	$FAST_RSB, RO(R_FAST)
	jz	3f
	lea	RW(D_STACK), %rsp
	mov	$16, %ecx
1:	call	2f
	int3
2:	call	2f
	int3
2:	dec	%ecx
	jnz	1b
	add	$32 * 8, %rsp
	lfence
3:	mov	HO(H_RSP), %rsp
	lidt	HO(H_IDT)
	popfq
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbx
	pop	%rbp
	ret

/* To RAX, not by the indirect predictor, which the guest may have trained as well. */
sw_call:
	call	2f
1:	pause
	lfence
	jmp	1b
2:	mov	%rax, (%rsp)
	ret
sw_text_end:

/*
 * world_dispatch(entry): call a gate of the host's IDT as if its interrupt had come here. The
 * processor aligns the stack before it pushes.
 */
	.text
SYM_FUNC_START(world_dispatch)
	push	%rbp
	mov	%rsp, %rbp
	and	$-16, %rsp
	push	$__KERNEL_DS
	push	%rbp
	pushfq
	push	$__KERNEL_CS
	CALL_NOSPEC rdi
	mov	%rbp, %rsp
	pop	%rbp
	RET
SYM_FUNC_END(world_dispatch)
	.section .note.GNU-stack, "", @progbits
