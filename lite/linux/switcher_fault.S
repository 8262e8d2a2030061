/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Part of switcher.S: page faults that are the guest's own, and the one #GP that is frequent. RSP
 * is at D_VEC, which has vector, error code and the processor's frame.
 */

/*
 * A page fault that is the guest's own goes to its kernel at once: where the shadow has the entry
 * for nothing (lite_mmu.none, by its reserved bits), and where a program writes to what is
 * read-only. Either may be the shadow's fault yet, so one at the same address as the one before is
 * looked into by the core; and so is any in the kernel's half, as a kernel has no use for a fault
 * that is over when it looks.
 */
sw_pf:
	testb	$3, 24(%rsp)
	jz	sw_trap
	testb	$FAST_OFF, RO(R_FAST)
	jnz	sw_leave
	mov	%rax, RW(D_T0)
	mov	%rbx, RW(D_T1)
	mov	%rcx, RW(D_T2)
	mov	%cr2, %rbx
	mov	%rbx, RW(D_PF)
	cmp	%rbx, RW(D_LAST_PF)
	je	sw_pf_again
	bt	$47, %rbx
	jc	sw_pf_not
	cmpq	$0, RW(D_QUEUED)
	jne	sw_pf_not			/* the shadow is behind */
	mov	8(%rsp), %ecx		/* 1 present, 2 write, 4 user, 8 reserved, 16 fetch */
	test	$8, %cl
	jz	1f
	and	$0x16, %ecx
	jmp	2f
1:	cmp	$7, %ecx
	jne	sw_pf_not
	IF_KERNEL 24, sw_pf_not		/* a program's only */
2:	mov	RO(R_TRAP + 8 * 14), %rax
	test	%rax, %rax
	jz	sw_pf_not
	mov	%rax, RW(D_T3)
	IF_KERNEL 24, sw_pf_kernel
	mov	RW(D_KSP), %rax
	and	$-16, %rax
	CHECK_PLACE -64(%rax), %rbx, sw_pf_not
	KERNEL_ROOT
	KERNEL_ACCESS
sw_pfu_from:
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
	mov	%rcx, -48(%rax)
	mov	%r11, -56(%rax)
	mov	RW(D_T2), %rcx
	mov	%rcx, -64(%rax)
sw_pfu_to:
	sub	$64, %rax
	mov	%rax, RW(D_RSP)
	mov	RW(D_PF), %rbx
	mov	%rbx, RW(D_LAST_PF)
	mov	RO(R_VI), %rax
	mov	%rbx, 16(%rax)			/* arch.cr2 */
	jmp	sw_to_handler

/* The guest's kernel has met it: on its own stack, in a frame that tells of ring 0. */
sw_pf_kernel:
	mov	40(%rsp), %rax
	and	$-16, %rax
	CHECK_PLACE -64(%rax), %rbx, sw_pf_not
	KERNEL_ACCESS
sw_pfk_from:
	movq	$SW_SHOWN_SS, -8(%rax)
	mov	40(%rsp), %rbx
	mov	%rbx, -16(%rax)
	mov	16(%rsp), %rbx
	mov	%rbx, -40(%rax)
	and	$0x12, %ecx
	mov	%rcx, -48(%rax)
	mov	%r11, -56(%rax)
	mov	RW(D_T2), %rcx
	mov	%rcx, -64(%rax)
	mov	RO(R_AC), %rcx			/* ours, not the guest's */
	not	%rcx
	and	32(%rsp), %rcx
	mov	RO(R_VI), %rbx
	cmpb	$0, 1(%rbx)
	je	1f
	and	$~0x200, %rcx			/* IF is the mask, inverted */
	mov	%rcx, -24(%rax)
	movabs	$(1 << 32 | SW_SHOWN_CS), %rcx
	jmp	2f
1:	mov	%rcx, -24(%rax)
	mov	$SW_SHOWN_CS, %ecx
2:	mov	%rcx, -32(%rax)
sw_pfk_to:
	sub	$64, %rax
	mov	%rax, RW(D_RSP)
	mov	RW(D_PF), %rcx
	mov	%rcx, RW(D_LAST_PF)
	mov	RO(R_VI), %rax
	mov	%rcx, 16(%rax)
	mov	RW(D_T2), %rcx
	jmp	sw_to_kernel

/* The stack is the core's business, and the fault still the one of before. */
sw_pfu_bad:
sw_pfk_bad:
	lea	RW(D_VEC), %rsp
	mov	RW(D_PF), %rax
	mov	%rax, %cr2
sw_pf_again:
	movq	$0, RW(D_LAST_PF)
sw_pf_not:
	mov	RW(D_T2), %rcx
	mov	RW(D_T0), %rax
	mov	RW(D_T1), %rbx
	jmp	sw_leave

/*
 * Linux reads the inactive GS base by RDMSR each time it changes tasks: answered here. All other
 * #GPs are the core's.
 */
sw_gp:
	testb	$3, 24(%rsp)
	jz	sw_trap
	IF_KERNEL 24, 1f
	jmp	sw_leave
1:	cmp	$0xc0000102, %ecx
	jne	sw_leave
	mov	%rax, RW(D_T0)
	mov	16(%rsp), %rax
	KERNEL_ACCESS
sw_rdmsr_from:
	cmpw	$0x320f, (%rax)
sw_rdmsr_to:
	jne	sw_rdmsr_not
	addq	$2, 16(%rsp)
	andb	$0xfe, 34(%rsp)			/* RF was for the instruction that is done */
	swapgs
	rdgsbase %rax
	swapgs
	mov	%rax, %rdx
	shr	$32, %rdx
	mov	%eax, %eax
	incq	RW(D_N_TRAP)
	add	$16, %rsp
	iretq
sw_rdmsr_bad:
	lea	RW(D_VEC), %rsp			/* as the processor had left it */
sw_rdmsr_not:
	mov	RW(D_T0), %rax
	jmp	sw_leave
