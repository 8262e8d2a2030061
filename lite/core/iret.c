// SPDX-License-Identifier: GPL-2.0-only
/*
 * HYPERVISOR_iret: how the guest's kernel leaves a trap, an event or a system call.
 *
 * Also the processor's own IRETQ, where that cannot do it itself.
 *
 * Called by trap.c in either tier, by the vCPU's thread. lite_prepare() checks where the frame
 * leads: what the processor would not accept becomes a fault at that target, in the target's mode.
 */
#include "trap.h"

enum lite_next iret_hypercall(struct lite_vcpu *v)
{
	struct lite_regs *r = &v->r;
	struct iret_context f;
	int ret = mmu_read(v, &f, r->rsp, sizeof(f));

	if (ret)
		return trap_error(v, ret, "iret from a stack that cannot be read");
	r->rip = f.rip;
	r->rsp = f.rsp;
	r->rflags = (f.rflags & FLAGS_GUEST) | FLAGS_SET;
	if ((f.cs & 3) == 3) {
		lite_set_mode(v, false);
		r->cs = f.cs;
		r->ss = f.ss;
	} else {
		r->cs = LITE_KERN_CS;
		r->ss = LITE_KERN_SS;
	}
	if (f.flags & VGCF_in_syscall) {
		/* The frame has nothing of use in their places: what SYSRET leaves in them. */
		r->rcx = r->rip;
		r->r11 = r->rflags;
	} else {
		r->rcx = f.rcx;
		r->r11 = f.r11;
	}
	r->rax = f.rax;
	if (v->nmi_masked) {
		v->nmi_masked = false;
		v->changed |= LITE_CH_TRAPS;
	}
	vi_mask_set(v, !(f.rflags & FLAG_IF));
	v->stats.hypercalls[__HYPERVISOR_iret]++;
	return LITE_RESUME;
}

enum lite_next iret_native(struct lite_vcpu *v, bool *done)
{
	static const u8 iretq[] = { 0x48, 0xcf };
	struct lite_regs *r = &v->r;
	struct {
		u64 rip, cs, rflags, rsp, ss;
	} f;
	u8 b[sizeof(iretq)];
	int ret = mmu_read(v, b, r->rip, sizeof(b));

	if (ret == -EAGAIN || ret == -EBUSY)
		return trap_error(v, ret, "an instruction that cannot be read");
	if (ret || memcmp(b, iretq, sizeof(b)))
		return LITE_RESUME;
	ret = mmu_read(v, &f, r->rsp, sizeof(f));
	if (ret)
		return trap_error(v, ret, "iretq from a stack that cannot be read");
	/* Of a selector there is nothing to take: it stays where it is. */
	r->rip = f.rip;
	r->rsp = f.rsp;
	r->rflags = (f.rflags & FLAGS_GUEST) | FLAGS_SET;
	*done = true;
	return LITE_RESUME;
}
