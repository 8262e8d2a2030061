// SPDX-License-Identifier: GPL-2.0-only
/*
 * A vCPU's own registers: kernel stack, segment bases, debug registers, I/O privilege. Called from
 * the dispatcher, in either tier, and (debug registers) by the instruction emulator and for
 * LODGE_STATE_SET.
 */
#include "hypercall.h"

#include <xen/xen.h>

#include <xen/physdev.h>

#define DR6_FIXED 0xffff0ff0ull
#define DR6_BITS  0x0000e00full
#define DR7_FIXED 0x00000400ull
#define DR7_BITS  0xffff03ffull /* without general detect and transactional debugging */

enum lite_next hc_stack_switch(struct lite_vcpu *v, const u64 arg[5], u64 *ret)
{
	/* The switcher pushes frames there, as the hypervisor: never near its own pages. */
	if (!lite_va_ok(arg[1] - 128, 128))
		return hc_done(-EINVAL, ret);
	v->kernel_sp = arg[1];
	return hc_done(0, ret);
}

/* What user code loads into GS is its own affair: what does not fit becomes the null selector. */
static void gs_user_select(struct lite_vcpu *v, u16 sel)
{
	v->gs = segment_safe(v, sel);
	v->gs_other = segment_base(v, v->gs);
}

enum lite_next hc_set_segment_base(struct lite_vcpu *v, const u64 arg[5], u64 *ret)
{
	u64 base = arg[1];

	if (arg[0] != SEGBASE_GS_USER_SEL && !lite_va_canonical(base))
		return hc_done(-EINVAL, ret);
	switch (arg[0]) {
	case SEGBASE_FS:
		v->fs_base = base;
		break;
	case SEGBASE_GS_USER:
		v->gs_other = base;
		break;
	case SEGBASE_GS_KERNEL:
		v->gs_base = base;
		break;
	case SEGBASE_GS_USER_SEL:
		gs_user_select(v, base);
		break;
	default:
		return hc_done(-EINVAL, ret);
	}
	return hc_done(0, ret);
}

/* Four bits each from bit 16 on, the lower two of which are the kind of access: 2 is I/O. */
static bool dr7_ok(u64 val)
{
	u32 i;

	if (val >> 32)
		return false;
	for (i = 0; i < 4; i++)
		if ((val >> (16 + 4 * i) & 3) == 2)
			return false;
	return true;
}

int debugreg_set(struct lite_vcpu *v, u64 reg, u64 val)
{
	switch (reg) {
	case 0:
	case 1:
	case 2:
	case 3:
		if (!lite_va_ok(val, 1))
			return -EINVAL;
		v->dr[reg] = val;
		break;
	case 6:
		if (val >> 32)
			return -EINVAL;
		v->dr6 = (val & DR6_BITS) | DR6_FIXED;
		break;
	case 7:
		if (!dr7_ok(val))
			return -EINVAL;
		v->dr7 = (val & DR7_BITS) | DR7_FIXED;
		break;
	default:
		return -EINVAL;
	}
	v->changed |= LITE_CH_DEBUG;
	return 0;
}

int debugreg_get(const struct lite_vcpu *v, u64 reg, u64 *val)
{
	if (reg < 4)
		*val = v->dr[reg];
	else if (reg == 6)
		*val = v->dr6;
	else if (reg == 7)
		*val = v->dr7;
	else
		return -EINVAL;
	return 0;
}

enum lite_next hc_set_debugreg(struct lite_vcpu *v, const u64 arg[5], u64 *ret)
{
	return hc_done(debugreg_set(v, arg[0], arg[1]), ret);
}

enum lite_next hc_get_debugreg(struct lite_vcpu *v, const u64 arg[5], u64 *ret)
{
	u64 val = 0;
	int err = debugreg_get(v, arg[0], &val);

	return hc_done(err ? err : (s64)val, ret);
}

enum lite_next hc_fpu_taskswitch(struct lite_vcpu *v, const u64 arg[5], u64 *ret)
{
	(void)v;
	(void)arg;
	/* CR0.TS is not modelled: the guest has the FPU whenever it runs. */
	return hc_done(0, ret);
}

static int iopl_set(struct lite_vcpu *v, u64 va)
{
	struct physdev_set_iopl op;
	int err = mmu_read(v, &op, va, sizeof(op));

	if (err)
		return err;
	if (op.iopl > 3)
		return -EINVAL;
	v->iopl = op.iopl;
	return 0;
}

/* The bitmap stays in the guest's memory and is looked up there for each access. */
static int iobitmap_set(struct lite_vcpu *v, u64 va)
{
	struct physdev_set_iobitmap op;
	int err = mmu_read(v, &op, va, sizeof(op));
	u64 map;

	if (err)
		return err;
	map = (u64)op.bitmap.p;
	if (op.nr_ports > 65536 || !lite_va_ok(map, (op.nr_ports + 7) / 8))
		return -EINVAL;
	v->iobmp_va = map;
	v->iobmp_ports = op.nr_ports;
	return 0;
}

enum lite_next hc_physdev_op(struct lite_vcpu *v, const u64 arg[5], u64 *ret)
{
	switch (arg[0]) {
	case PHYSDEVOP_set_iopl:
		return hc_done(iopl_set(v, arg[1]), ret);
	case PHYSDEVOP_set_iobitmap:
		return hc_done(iobitmap_set(v, arg[1]), ret);
	}
	return hc_done(-ENOSYS, ret);
}
