// SPDX-License-Identifier: GPL-2.0-only
/*
 * The table of hypercalls, and multicall, which is a loop over it. Called by the trap code for a
 * SYSCALL of the guest's kernel; on the vCPU's thread, no locks held.
 *
 * A multicall keeps its place in v->multi_done: twice the number of entries that are finished, plus
 * one when the next has been executed and only its result is not written yet. So no entry is ever
 * executed twice, however often it has to wait for the host. What could block or leave for the VMM
 * is not allowed inside.
 */
#include "hypercall.h"

#include "lite/abi/pv.h"

#include <xen/xen.h>

struct hc_entry {
	enum lite_next (*fn)(struct lite_vcpu *v, const u64 arg[5], u64 *ret);
	bool multi; /* allowed in a multicall */
};

static const struct hc_entry hc_table[64] = {
	[__HYPERVISOR_set_trap_table] = { hc_set_trap_table, true },
	[__HYPERVISOR_mmu_update] = { hc_mmu_update, true },
	[__HYPERVISOR_set_gdt] = { hc_set_gdt, true },
	[__HYPERVISOR_stack_switch] = { hc_stack_switch, true },
	[__HYPERVISOR_fpu_taskswitch] = { hc_fpu_taskswitch, true },
	[__HYPERVISOR_set_debugreg] = { hc_set_debugreg, true },
	[__HYPERVISOR_get_debugreg] = { hc_get_debugreg, true },
	[__HYPERVISOR_update_descriptor] = { hc_update_descriptor, true },
	[__HYPERVISOR_memory_op] = { hc_memory_op, true },
	[__HYPERVISOR_update_va_mapping] = { hc_update_va_mapping, true },
	[__HYPERVISOR_set_timer_op] = { hc_set_timer_op, true },
	[__HYPERVISOR_xen_version] = { hc_xen_version, true },
	[__HYPERVISOR_console_io] = { hc_console_io, false },
	[__HYPERVISOR_vm_assist] = { hc_vm_assist, true },
	[__HYPERVISOR_vcpu_op] = { hc_vcpu_op, true },
	[__HYPERVISOR_set_segment_base] = { hc_set_segment_base, true },
	[__HYPERVISOR_mmuext_op] = { hc_mmuext_op, true },
	[__HYPERVISOR_sched_op] = { hc_sched_op, false },
	[__HYPERVISOR_callback_op] = { hc_callback_op, true },
	[__HYPERVISOR_event_channel_op] = { hc_event_channel_op, true },
	[__HYPERVISOR_physdev_op] = { hc_physdev_op, true },
	[LODGE_HYPERCALL] = { hc_lodge, false },
};

enum lite_next hc_spend(struct lite_vcpu *v)
{
	if (v->budget) {
		v->budget--;
		return LITE_RESUME;
	}
	if (v->tier == LITE_LIGHT)
		return LITE_FULL;
	v->want = LITE_WANT_NONE;
	return LITE_WANT;
}

#define HC_MAX (sizeof(hc_table) / sizeof(hc_table[0]))

int hc_frame(struct lite_vcpu *v, u64 gfn, void **out)
{
	struct lite_slot *slot = NULL;

	if (!lite_frame(v->vm, gfn, &slot) || !slot || slot->readonly)
		return -EINVAL;
	return lite_gfn_ptr(v, gfn, out);
}

/* One entry of a multicall, not iret, not a multicall: LITE_RESUME and the result, or not done. */
static enum lite_next multi_one(struct lite_vcpu *v, const struct multicall_entry *e)
{
	const struct hc_entry *h;
	enum lite_next next;
	u64 arg[5];
	u32 i;

	if (e->op >= HC_MAX) {
		v->multi_result = (u64)-ENOSYS;
		return LITE_RESUME;
	}
	h = &hc_table[lite_index(e->op, HC_MAX)];
	if (!h->fn || !h->multi) {
		v->multi_result = (u64)(h->fn ? -EINVAL : -ENOSYS);
		return LITE_RESUME;
	}
	for (i = 0; i < 5; i++)
		arg[i] = e->args[i];
	next = h->fn(v, arg, &v->multi_result);
	if (next == LITE_RESUME) {
		v->stats.hypercalls[e->op]++;
		v->batch_done = 0;
	}
	return next;
}

static enum lite_next hc_multicall(struct lite_vcpu *v, const u64 arg[5], u64 *ret)
{
	u64 list = arg[0], nr = arg[1], at;
	struct multicall_entry e;
	enum lite_next next;
	int err;

	if (nr > HC_BATCH_MAX)
		return hc_done(-EINVAL, ret);
	if (!lite_va_ok(list, nr * sizeof(e)))
		return hc_done(-EFAULT, ret);
	while (v->multi_done < 2 * nr) {
		at = list + v->multi_done / 2 * sizeof(e);
		if (!(v->multi_done & 1)) {
			next = hc_spend(v);
			if (next != LITE_RESUME)
				return next;
			err = mmu_read(v, &e, at, sizeof(e));
			if (err)
				return hc_done(err, ret);
			next = multi_one(v, &e);
			if (next != LITE_RESUME)
				return next;
			v->multi_done++;
		}
		err = mmu_write(v, at + offsetof(struct multicall_entry, result), &v->multi_result,
				sizeof(v->multi_result));
		if (err)
			return hc_done(err, ret);
		v->multi_done++;
	}
	return hc_done(0, ret);
}

enum lite_next hypercall(struct lite_vcpu *v, u64 nr, const u64 arg[5], u64 *ret)
{
	enum lite_next next;

	v->budget = v->tier == LITE_LIGHT ? HC_BUDGET_LIGHT : HC_BUDGET_FULL;
	if (nr == __HYPERVISOR_multicall)
		next = hc_multicall(v, arg, ret);
	else if (nr < HC_MAX && hc_table[lite_index(nr, HC_MAX)].fn)
		next = hc_table[lite_index(nr, HC_MAX)].fn(v, arg, ret);
	else
		next = hc_done(-ENOSYS, ret);
	if (next == LITE_FULL || next == LITE_WANT)
		return next;
	v->multi_done = 0;
	v->batch_done = 0;
	if (nr < sizeof(v->stats.hypercalls) / sizeof(v->stats.hypercalls[0]))
		v->stats.hypercalls[nr]++;
	return next;
}
