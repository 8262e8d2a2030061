// SPDX-License-Identifier: GPL-2.0-only
/*
 * vcpu_op: vCPUs come up and go down, by their own hand or another's; where they want their
 * vcpu_info and run states. Called from the dispatcher, on the caller's thread.
 *
 * What belongs to another vCPU's thread is changed only under vm->up_lock while that one is parked,
 * that is, sleeps until it is up again. A vCPU can be initialised once, from a context in the
 * guest's memory that is copied and checked field by field (hc_vcpu_init.c).
 */
#include "event.h"
#include "hypercall.h"
#include "vsched.h"

#include <xen/xen.h>

#include <xen/vcpu.h>

_Static_assert(sizeof(struct vcpu_info) == 64, "copied as eight words");

static int singleshot_set(struct lite_vcpu *v, u64 va)
{
	struct vcpu_set_singleshot_timer t;
	int err = mmu_read(v, &t, va, sizeof(t));

	if (err)
		return err;
	if (t.flags & VCPU_SSHOTTMR_future && t.timeout_abs_ns < lite_time_now(v->vm))
		return -ETIME;
	timer_set(v, t.timeout_abs_ns ? t.timeout_abs_ns : 1);
	return 0;
}

void sched_vcpu_info_init(struct lite_vcpu *v)
{
	struct lite_frame *f = lite_frame(v->vm, v->vm->shared_gfn, NULL);
	struct vcpu_info *vi = &v->vm->shared->vcpu_info[v->id];

	vi->evtchn_upcall_mask = 1;
	v->vi_pa = f->pa + v->id * sizeof(*vi);
	v->changed |= LITE_CH_VI;
	__atomic_store_n(&v->vi, vi, __ATOMIC_RELEASE); /* pairs with event_mark() */
}

/*
 * From here on events are noted in the new place. One that is being noted in the old place at the
 * same time has its pending bit set already, so it is enough to have the guest look at all of them.
 */
static int vcpu_info_set_locked(struct lite_vcpu *v, struct lite_vcpu *to,
				const struct vcpu_register_vcpu_info *reg)
{
	struct vcpu_info *vi;
	u64 *src = (u64 *)to->vi, *dst;
	void *page;
	u32 i;
	int err;

	if (v != to && !to->parked)
		return -EINVAL;
	err = hc_frame(v, reg->mfn, &page);
	if (err)
		return err;
	dst = (u64 *)((char *)page + reg->offset);
	for (i = 0; i < sizeof(*vi) / sizeof(*dst); i++)
		__atomic_store_n(&dst[i], __atomic_load_n(&src[i], __ATOMIC_RELAXED),
				 __ATOMIC_RELAXED);
	vi = (struct vcpu_info *)dst;
	to->vi_pa = lite_frame(v->vm, reg->mfn, NULL)->pa + reg->offset;
	to->changed |= LITE_CH_VI;
	__atomic_store_n(&to->vi, vi, __ATOMIC_SEQ_CST); /* pairs with event_mark() */
	__atomic_store_n(&vi->evtchn_pending_sel, ~0ul, __ATOMIC_SEQ_CST);
	__atomic_store_n(&vi->evtchn_upcall_pending, 1, __ATOMIC_SEQ_CST);
	return 0;
}

static int vcpu_info_set(struct lite_vcpu *v, struct lite_vcpu *to, u64 va)
{
	struct vcpu_register_vcpu_info reg;
	int err = mmu_read(v, &reg, va, sizeof(reg));

	if (err)
		return err;
	if (reg.offset > LITE_PAGE_SIZE - sizeof(struct vcpu_info) || reg.offset & 7)
		return -EINVAL;
	lite_lock(&v->vm->up_lock);
	err = vcpu_info_set_locked(v, to, &reg);
	lite_unlock(&v->vm->up_lock);
	return err;
}

/* By the caller's tables it can be written now; by @to's own it is, when it next runs. */
static int runstate_set(struct lite_vcpu *v, struct lite_vcpu *to, u64 va)
{
	struct vcpu_register_runstate_memory_area a;
	int err = mmu_read(v, &a, va, sizeof(a));

	if (!err && a.addr.p)
		err = runstate_write(v, to, a.addr.p);
	if (!err)
		__atomic_store_n(&to->runstate_va, a.addr.p, __ATOMIC_RELAXED);
	return err;
}

static int vcpu_up(struct lite_vcpu *v, struct lite_vcpu *to)
{
	int err = 0;

	lite_lock(&v->vm->up_lock);
	if (!to->initialised) {
		err = -EINVAL;
	} else if (to->down) {
		to->parked = false;
		/* Pairs with the wait for it. */
		__atomic_store_n(&to->down, false, __ATOMIC_RELEASE);
		v->kicks |= 1u << to->id;
	}
	lite_unlock(&v->vm->up_lock);
	return err;
}

/* The last one stays up: nobody could bring another back. */
static int vcpu_down(struct lite_vcpu *v, struct lite_vcpu *to)
{
	u32 i, up = 0;
	int err = 0;

	lite_lock(&v->vm->up_lock);
	for (i = 0; i < LITE_VCPUS_MAX; i++) {
		struct lite_vcpu *o = lite_vcpu_of(v->vm, i);

		up += o && o != to && !o->down;
	}
	if (!up) {
		err = -EINVAL;
	} else if (!to->down) {
		__atomic_store_n(&to->down, true, __ATOMIC_RELEASE);
		if (to != v)
			v->kicks |= 1u << to->id;
	}
	lite_unlock(&v->vm->up_lock);
	return err;
}

enum lite_next hc_vcpu_op(struct lite_vcpu *v, const u64 arg[5], u64 *ret)
{
	/* The guest counts its vCPUs by asking which exist. */
	struct lite_vcpu *to = lite_vcpu_of(v->vm, arg[1]);
	u64 va = arg[2];

	if (!to)
		return hc_done(-ENOENT, ret);
	switch (arg[0]) {
	case VCPUOP_is_up:
		return hc_done(!__atomic_load_n(&to->down, __ATOMIC_ACQUIRE), ret);
	case VCPUOP_get_runstate_info:
		return hc_done(runstate_write(v, to, va), ret);
	case VCPUOP_stop_periodic_timer:
		return hc_done(0, ret);
	case VCPUOP_set_singleshot_timer:
		return hc_done(to == v ? singleshot_set(v, va) : -EINVAL, ret);
	case VCPUOP_stop_singleshot_timer:
		if (to != v)
			return hc_done(-EINVAL, ret);
		timer_set(v, 0);
		return hc_done(0, ret);
	}
	/* What takes vm->up_lock is seldom called. */
	if (v->tier == LITE_LIGHT)
		return LITE_FULL;
	switch (arg[0]) {
	case VCPUOP_initialise:
		return hc_done(vcpu_initialise(v, to, va), ret);
	case VCPUOP_up:
		return hc_done(vcpu_up(v, to), ret);
	case VCPUOP_down:
		return hc_done(vcpu_down(v, to), ret);
	case VCPUOP_register_runstate_memory_area:
		return hc_done(runstate_set(v, to, va), ret);
	case VCPUOP_register_vcpu_info:
		return hc_done(vcpu_info_set(v, to, va), ret);
	case VCPUOP_send_nmi:
		__atomic_store_n(&to->nmi_pending, true, __ATOMIC_RELEASE);
		if (to != v)
			v->kicks |= 1u << to->id;
		return hc_done(0, ret);
	}
	return hc_done(-ENOSYS, ret);
}
