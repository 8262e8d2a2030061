// SPDX-License-Identifier: GPL-2.0-only
/*
 * VCPUOP_initialise: a vCPU's first state, from a struct vcpu_guest_context in guest memory. It is
 * too big for a stack, so it is read field by field, each once, checked, and put into the vCPU,
 * which is parked meanwhile; it counts as initialised when all of them were right. Called by
 * hc_vcpu.c, in the full tier; the order of locks is vm->up_lock, vm->lock.
 */
#include "hypercall.h"
#include "vsched.h"

#include <xen/xen.h>

#define CONTEXT(field) (va + offsetof(struct vcpu_guest_context, field))

/* RFLAGS that a guest may have, and what is always there. */
#define RFLAGS_GUEST 0x254dd5ull
#define RFLAGS_FIXED 0x202ull

static int context_flags(struct lite_vcpu *v, struct lite_vcpu *to, u64 va, u64 *flags)
{
	int err = mmu_read(v, flags, CONTEXT(flags), sizeof(*flags));

	if (!err)
		to->kernel = *flags & VGCF_in_kernel;
	return err;
}

static int context_regs(struct lite_vcpu *v, struct lite_vcpu *to, u64 va)
{
	struct cpu_user_regs u;
	struct lite_regs *r = &to->r;
	int err = mmu_read(v, &u, CONTEXT(user_regs), sizeof(u));

	if (err)
		return err;
	if (!lite_va_ok(u.rip, 1))
		return -EINVAL;
	r->r15 = u.r15;
	r->r14 = u.r14;
	r->r13 = u.r13;
	r->r12 = u.r12;
	r->r11 = u.r11;
	r->r10 = u.r10;
	r->r9 = u.r9;
	r->r8 = u.r8;
	r->rbp = u.rbp;
	r->rbx = u.rbx;
	r->rax = u.rax;
	r->rcx = u.rcx;
	r->rdx = u.rdx;
	r->rsi = u.rsi;
	r->rdi = u.rdi;
	r->rip = u.rip;
	r->rsp = u.rsp;
	r->rflags = (u.rflags & RFLAGS_GUEST) | RFLAGS_FIXED;
	r->cs = to->kernel ? LITE_KERN_CS : LITE_USER_CS;
	r->ss = to->kernel ? LITE_KERN_SS : LITE_USER_DS;
	to->ds = segment_safe(to, u.ds);
	to->es = segment_safe(to, u.es);
	to->fs = segment_safe(to, u.fs);
	to->gs = segment_safe(to, u.gs);
	return 0;
}

static int context_traps(struct lite_vcpu *v, struct lite_vcpu *to, u64 va)
{
	struct trap_info t;
	u32 i;
	int err;

	for (i = 0; i < 256; i++) {
		err = mmu_read(v, &t, CONTEXT(trap_ctxt) + i * sizeof(t), sizeof(t));
		if (err)
			return err;
		if (t.address && !lite_va_ok(t.address, 1))
			return -EINVAL;
		to->trap[i].address = t.address;
		to->trap[i].dpl = t.flags & 3;
		to->trap[i].mask = t.flags & 4;
	}
	return 0;
}

/* Event, failsafe and system call, which follow each other; 0: none. */
static int context_callbacks(struct lite_vcpu *v, struct lite_vcpu *to, u64 va, u64 flags)
{
	static const u8 type[3] = { LITE_CB_EVENT, LITE_CB_FAILSAFE, LITE_CB_SYSCALL };
	const bool mask[3] = { true, flags & VGCF_failsafe_disables_events,
			       flags & VGCF_syscall_disables_events };
	u64 at[3];
	u32 i;
	int err = mmu_read(v, at, CONTEXT(event_callback_eip), sizeof(at));

	for (i = 0; i < 3 && !err; i++) {
		if (!lite_va_ok(at[i], 1))
			return -EINVAL;
		to->callback[type[i]].address = at[i];
		to->callback[type[i]].mask = mask[i];
	}
	return err;
}

static int context_descriptors(struct lite_vcpu *v, struct lite_vcpu *to, u64 va)
{
	u64 ldt[2], gdt[17];
	u32 i, nr;
	int err;

	err = mmu_read(v, ldt, CONTEXT(ldt_base), sizeof(ldt));
	if (!err)
		err = mmu_read(v, gdt, CONTEXT(gdt_frames), sizeof(gdt));
	if (err)
		return err;
	if (ldt[1] || gdt[16] > FIRST_RESERVED_GDT_ENTRY)
		return -EINVAL;
	nr = (gdt[16] + 511) / 512;
	for (i = 0; i < nr; i++)
		if (!lite_frame(v->vm, gdt[i], NULL))
			return -EINVAL;
	to->ldt_nr = 0;
	return gdt_set(v, to, gdt, gdt[16]);
}

static int context_bases(struct lite_vcpu *v, struct lite_vcpu *to, u64 va)
{
	u64 sp[2], base[3], dr[8];
	u32 i;
	int err;

	err = mmu_read(v, sp, CONTEXT(kernel_ss), sizeof(sp));
	if (!err)
		err = mmu_read(v, base, CONTEXT(fs_base), sizeof(base));
	if (!err)
		err = mmu_read(v, dr, CONTEXT(debugreg), sizeof(dr));
	if (err)
		return err;
	if (sp[1] && !lite_va_ok(sp[1] - 128, 128))
		return -EINVAL;
	for (i = 0; i < 3; i++)
		if (!lite_va_canonical(base[i]))
			return -EINVAL;
	to->kernel_sp = sp[1];
	to->fs_base = base[0];
	to->gs_base = base[to->kernel ? 1 : 2];
	to->gs_other = base[to->kernel ? 2 : 1];
	for (i = 0; i < 8 && !err; i++)
		if (i < 4 || i > 5)
			err = debugreg_set(to, i, dr[i]);
	return err;
}

/* A frame that is pinned as a root. */
static bool root_ok(struct lite_vm *vm, u64 gpa)
{
	struct lite_slot *slot;
	struct lite_frame *f = lite_frame(vm, gpa >> 12, &slot);

	return f && !(gpa & ~LITE_PAGE_MASK) && !slot->readonly && f->flags & FRAME_PINNED(4);
}

/* CR3 is the kernel's, CR1 the user's, which may be missing. */
static int context_roots(struct lite_vcpu *v, struct lite_vcpu *to, u64 va)
{
	struct lite_vm *vm = v->vm;
	u64 cr[8];
	int err = mmu_read(v, cr, CONTEXT(ctrlreg), sizeof(cr));

	if (err)
		return err;
	lite_lock(&vm->lock);
	if (!root_ok(vm, cr[3]) || (cr[1] && !root_ok(vm, cr[1]))) {
		err = -EINVAL;
	} else {
		to->kroot = cr[3] >> 12;
		to->uroot = cr[1] >> 12;
		lite_roots_forget(to);
		mmu_gtlb_flush(vm);
	}
	lite_unlock(&vm->lock);
	return err;
}

static int context_set(struct lite_vcpu *v, struct lite_vcpu *to, u64 va)
{
	u64 flags;
	int err;

	err = context_flags(v, to, va, &flags);
	if (!err)
		err = context_descriptors(v, to, va); /* what selectors may be, first */
	if (!err)
		err = context_regs(v, to, va);
	if (!err)
		err = context_traps(v, to, va);
	if (!err)
		err = context_callbacks(v, to, va, flags);
	if (!err)
		err = context_bases(v, to, va);
	if (!err)
		err = context_roots(v, to, va);
	return err;
}

int vcpu_initialise(struct lite_vcpu *v, struct lite_vcpu *to, u64 va)
{
	int err;

	if (!lite_va_ok(va, sizeof(struct vcpu_guest_context)))
		return -EFAULT;
	lite_lock(&v->vm->up_lock);
	/* Who is up, or has ever been: initialised. Nobody else gets here for @to meanwhile. */
	err = to->initialised ? -EEXIST : !to->parked ? -EINVAL : context_set(v, to, va);
	if (!err) {
		to->changed = LITE_CH_ALL;
		to->initialised = true;
	}
	lite_unlock(&v->vm->up_lock);
	return err;
}
