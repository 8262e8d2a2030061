/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Part of switcher.S: page table hypercalls that need not leave the guest's view.
 *
 * The entry is written to the guest's table at once, through the guest's memory as the hole has it
 * (R_RAM: writable for ring 1 too, whose memory it is), and its place is noted in D_QUEUE. The next
 * exit of whatever kind brings the shadow up to date (mmu_queue.c) before anything else. Until then
 * the shadow is as a TLB would be that was not flushed yet: an access that it does not allow is
 * an exit, and what it allows too much goes when the guest flushes, which is an exit as well. With
 * several vCPUs it never allows too much.
 *
 * Only requests of the guest's own frames, with nothing to be told of them afterwards; single ones,
 * but for updates of a guest with one vCPU. Everything else, and all that is wrong, is left to the
 * core.
 */

/* To \fail unless entry \val, if it is present, is of a frame of RAM, and no large page. */
.macro CHECK_ENTRY val, low, tmp, fail
	test	$1, \low
	jz	701f
	test	$0x80, \low
	jnz	\fail
	mov	\val, \tmp
	shl	$12, \tmp
	shr	$24, \tmp
	cmp	RO(R_FRAMES), \tmp
	jae	\fail
701:
.endm

/*
 * To \not if there are other vCPUs and the entry is present: one of them may flush for this one,
 * or without an exit of this one's between, and must not find the old entry in the shadow again.
 */
.macro CHECK_OLD ram, gpa, not
	testb	$FAST_OTHERS, RO(R_FAST)
	jz	702f
	testb	$1, (\ram, \gpa)
	jnz	\not
702:
.endm

/* To sw_slow unless the list is this guest's, and without a result: RDX and R10 may be used. */
.macro CHECK_LIST
	testb	$FAST_QUEUE, RO(R_FAST)
	jz	sw_slow
	test	%rdx, %rdx
	jnz	sw_slow
	cmp	$SW_DOMID_SELF, %r10
	jne	sw_slow
.endm

.macro LIST_AGAIN
	xor	%edx, %edx
	mov	$SW_DOMID_SELF, %r10d
.endm

/* The same of a single request: RSI may be used, too. */
.macro CHECK_SINGLE not
	CHECK_LIST
	cmp	$1, %rsi
	jne	sw_slow
	CHECK_PLACE (%rdi), %r10, \not
.endm

.macro SINGLE_AGAIN
	mov	$1, %esi
	LIST_AGAIN
.endm

/*
 * HYPERVISOR_mmu_update(RDI list, RSI count, RDX 0, R10 self). Where one of several requests is not
 * for here the core does all of them, once more those before it: with one vCPU nothing can have
 * come between.
 */
sw_hc_update:
	CHECK_LIST
	mov	%rdi, RW(D_T0)
	mov	%rsi, RW(D_T1)
	mov	%rsi, RW(D_T2)
	CHECK_PLACE (%rdi), %r10, sw_upd_not
	cmp	$1, %rsi
	je	sw_upd_from
	testb	$FAST_OTHERS, RO(R_FAST)
	jnz	sw_upd_not
	lea	-1(%rsi), %r10
	cmp	$SW_BATCH, %r10
	jae	sw_upd_not
sw_upd_from:
	mov	(%rdi), %rdx
	mov	8(%rdi), %r10
	test	$7, %dl				/* MMU_NORMAL_PT_UPDATE, aligned */
	jnz	sw_upd_not
	mov	%rdx, %rax
	shr	$12, %rax
	cmp	RO(R_FRAMES), %rax
	jae	sw_upd_not
	CHECK_ENTRY %r10, %r10b, %rax, sw_upd_not
	mov	RW(D_QUEUED), %rax
	cmp	$SW_QUEUE, %rax
	jae	sw_upd_not
	mov	RO(R_RAM), %rsi
	CHECK_OLD %rsi, %rdx, sw_upd_not
	mov	%r10, (%rsi, %rdx)
	lea	RW(D_QUEUE), %rsi
	mov	%rdx, (%rsi, %rax, 8)
	incq	RW(D_QUEUED)
	add	$16, %rdi
	decq	RW(D_T2)
	jnz	sw_upd_from
sw_upd_to:
	mov	RW(D_T0), %rdi
	mov	RW(D_T1), %rsi
	LIST_AGAIN
	jmp	sw_hc_done
sw_upd_bad:
	lea	RW(D_STACK), %rsp
sw_upd_not:
	mov	RW(D_T0), %rdi
	mov	RW(D_T1), %rsi
	LIST_AGAIN
	mov	$1, %eax
	jmp	sw_slow

/* HYPERVISOR_mmuext_op, with registers as above: MMUEXT_PIN_L1_TABLE (0) to UNPIN_TABLE (4). */
sw_hc_ext:
	/* Pins have an order: with other vCPUs, theirs among these would be lost. */
	testb	$FAST_OTHERS, RO(R_FAST)
	jnz	sw_slow
	cmp	$2, %rsi
	je	sw_hc_base
	CHECK_SINGLE sw_ext_not
sw_ext_from:
	mov	(%rdi), %edx
	mov	8(%rdi), %r10
sw_ext_to:
	cmp	$4, %edx
	ja	sw_ext_not
	cmp	RO(R_FRAMES), %r10
	jae	sw_ext_not
	mov	RW(D_QUEUED), %rax
	cmp	$SW_QUEUE, %rax
	jae	sw_ext_not
	shl	$12, %r10
	lea	1(%r10, %rdx), %rdx		/* a level, or 5 */
	lea	RW(D_QUEUE), %rsi
	mov	%rdx, (%rsi, %rax, 8)
	incq	RW(D_QUEUED)
	SINGLE_AGAIN
	jmp	sw_hc_done
sw_ext_bad:
	lea	RW(D_STACK), %rsp
sw_ext_not:
	SINGLE_AGAIN
	mov	$26, %eax
	jmp	sw_slow

/*
 * The same with two requests, a change of program: MMUEXT_NEW_BASEPTR (5), MMUEXT_NEW_USER_BASEPTR
 * (15), to a pair of roots that is known here (mmu_base.c).
 */
sw_hc_base:
	testl	$FAST_BASE, RO(R_FAST)
	jz	sw_slow
	cmpq	$0, RW(D_QUEUED)		/* the shadow is behind */
	jne	sw_slow
	CHECK_LIST
	mov	%rbx, RW(D_T0)
	CHECK_PLACE (%rdi), %r10, sw_base_not
sw_base_from:
	cmpl	$5, (%rdi)
	jne	sw_base_not
	cmpl	$15, 24(%rdi)
	jne	sw_base_not
	mov	8(%rdi), %rdx
	mov	32(%rdi), %r10
sw_base_to:
	lea	RO(R_BASE), %rbx
	mov	$B_SIZE, %eax
1:	cmp	%rdx, B_KROOT(%rbx, %rax)
	jne	2f
	cmp	%r10, B_UROOT(%rbx, %rax)
	je	3f
2:	add	$B_SIZE, %eax
	cmp	$SW_BASES * B_SIZE, %eax
	jne	1b
	jmp	sw_base_not
3:	mov	%rax, RW(D_BASE)
	mov	B_KCR3(%rbx, %rax), %rdx
	mov	%rdx, %cr3
	testl	$FAST_PKU, RO(R_FAST)
	jz	1f
	/* What one program has denied itself by its keys is not the next one's. */
	mov	%rcx, %r10
	xor	%eax, %eax
	xor	%ecx, %ecx
	xor	%edx, %edx
	wrpkru
	mov	%r10, %rcx
1:	mov	RW(D_T0), %rbx
	LIST_AGAIN
	incq	RW(D_N_BASE)
	jmp	sw_hc_done
sw_base_bad:
	lea	RW(D_STACK), %rsp
sw_base_not:
	mov	RW(D_T0), %rbx
	LIST_AGAIN
	mov	$26, %eax
	jmp	sw_slow

/* HYPERVISOR_update_va_mapping(RDI address, RSI entry, RDX no flush): by the guest's own tables. */
sw_hc_va:
	testb	$FAST_QUEUE, RO(R_FAST)
	jz	sw_slow
	test	%rdx, %rdx
	jnz	sw_slow
	mov	%rbx, RW(D_T0)
	mov	%r10, RW(D_T1)
	CHECK_PLACE (%rdi), %rbx, sw_va_not
	CHECK_ENTRY %rsi, %sil, %rax, sw_va_not
	mov	RO(R_RAM), %r10
	PRESENT_BASE %rbx, %bl
	mov	B_KROOT(%rbx), %rax
	shl	$12, %rax
sw_va_from:
	.irp	shift, 36, 27, 18
	mov	%rdi, %rbx
	shr	$\shift, %rbx
	and	$0xff8, %ebx
	add	%rax, %rbx
	mov	(%r10, %rbx), %rax
	test	$1, %al
	jz	sw_va_not
	test	$0x80, %al
	jnz	sw_va_not
	shl	$12, %rax
	shr	$24, %rax
	cmp	RO(R_FRAMES), %rax
	jae	sw_va_not
	shl	$12, %rax
	.endr
	mov	%rdi, %rbx
	shr	$9, %rbx
	and	$0xff8, %ebx
	add	%rax, %rbx
	mov	RW(D_QUEUED), %rax
	cmp	$SW_QUEUE, %rax
	jae	sw_va_not
	CHECK_OLD %r10, %rbx, sw_va_not
	mov	%rsi, (%r10, %rbx)
sw_va_to:
	lea	RW(D_QUEUE), %r10
	mov	%rbx, (%r10, %rax, 8)
	incq	RW(D_QUEUED)
	mov	RW(D_T0), %rbx
	mov	RW(D_T1), %r10
	jmp	sw_hc_done
sw_va_bad:
	lea	RW(D_STACK), %rsp
sw_va_not:
	mov	RW(D_T0), %rbx
	mov	RW(D_T1), %r10
	mov	$14, %eax
	jmp	sw_slow
