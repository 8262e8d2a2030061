// SPDX-License-Identifier: GPL-2.0-only
/*
 * sched_op, vcpu_op, set_timer_op: how the guest waits, for what, and where it wants its vcpu_info.
 * Called from the dispatcher; sched_prepare() before entries. All on the vCPU's own thread; only
 * v->vi and v->poll are looked at by others (event.c).
 *
 * Of the run states the guest is told running and blocked. That its thread waited for a processor
 * of the host's is not known here, and counts as running.
 */
#include "vsched.h"
#include "event.h"
#include "hypercall.h"

#include <xen/xen.h>

#include <xen/sched.h>
#include <xen/vcpu.h>

#define POLL_PORTS_MAX 128

_Static_assert(sizeof(struct vcpu_info) == 64, "copied as eight words");
_Static_assert(sizeof(((struct vcpu_runstate_info *)0)->time) ==
		       sizeof(((struct lite_vcpu *)0)->run_time),
	       "the same four states");

static void runstate_enter(struct lite_vcpu *v, u32 state)
{
	u64 now = lite_time_now(v->vm);

	v->run_time[v->run_state] += now - v->run_since;
	v->run_since = now;
	v->run_state = state;
}

static void runstate_fill(const struct lite_vcpu *v, struct vcpu_runstate_info *r)
{
	memset(r, 0, sizeof(*r));
	r->state = v->run_state;
	r->state_entry_time = v->run_since;
	memcpy(r->time, v->run_time, sizeof(r->time));
}

static int runstate_write(struct lite_vcpu *v, u64 va)
{
	struct vcpu_runstate_info r;

	runstate_fill(v, &r);
	return mmu_write(v, va, &r, sizeof(r));
}

void sched_prepare(struct lite_vcpu *v)
{
	if (v->deadline && lite_time_now(v->vm) >= v->deadline) {
		v->deadline = 0;
		v->changed |= LITE_CH_TIMER;
		event_virq_raise(v, VIRQ_TIMER);
	}
	if (v->run_state == RUNSTATE_running)
		return;
	runstate_enter(v, RUNSTATE_running);
	/* Where the guest wanted it there may be no memory any more: that is its own loss. */
	if (v->runstate_va && runstate_write(v, v->runstate_va))
		v->want = LITE_WANT_NONE;
}

static enum lite_next block(struct lite_vcpu *v, u64 *ret)
{
	runstate_enter(v, RUNSTATE_blocked);
	*ret = 0;
	return LITE_BLOCK;
}

static enum lite_next sched_block(struct lite_vcpu *v, u64 *ret)
{
	bool pending;

	__atomic_store_n(&v->poll, POLL_NONE, __ATOMIC_SEQ_CST);
	pending = lite_event_pending(v);
	if (!pending && v->tier == LITE_LIGHT)
		return LITE_FULL;
	__atomic_store_n(&v->vi->evtchn_upcall_mask, 0, __ATOMIC_SEQ_CST);
	return pending ? hc_done(0, ret) : block(v, ret);
}

/*
 * Until one of some ports, usually masked, is pending. With one vCPU nobody but the VMM raises
 * ports, so the next one that it raises ends the wait and the guest looks again. A poll with a
 * time limit does not wait: the guest's own timer is the only one, and to return early is allowed.
 */
static enum lite_next sched_poll(struct lite_vcpu *v, u64 va, u64 *ret)
{
	struct sched_poll p;
	evtchn_port_t port;
	u32 i;
	int err = mmu_read(v, &p, va, sizeof(p));

	if (err)
		return hc_done(err, ret);
	if (p.nr_ports > POLL_PORTS_MAX)
		return hc_done(-EINVAL, ret);
	if (v->tier == LITE_LIGHT)
		return LITE_FULL;
	/* Waiting before looking: pairs with lite_port_raise(). */
	__atomic_store_n(&v->poll, POLL_WAITING, __ATOMIC_SEQ_CST);
	for (i = 0; i < p.nr_ports; i++) {
		err = mmu_read(v, &port, (u64)p.ports.p + i * sizeof(port), sizeof(port));
		if (!err && port >= LODGE_PORTS_MAX)
			err = -EINVAL;
		if (err || event_port_pending(v->vm, port))
			goto out;
	}
	if (!p.timeout && !lite_event_pending(v))
		return block(v, ret);
out:
	__atomic_store_n(&v->poll, POLL_NONE, __ATOMIC_SEQ_CST);
	return hc_done(err, ret);
}

static enum lite_next sched_shutdown(struct lite_vcpu *v, u64 va, u64 *ret)
{
	struct sched_shutdown s;
	int err;

	if (v->tier == LITE_LIGHT)
		return LITE_FULL;
	err = mmu_read(v, &s, va, sizeof(s));
	if (err)
		return hc_done(err, ret);
	if (s.reason > SHUTDOWN_MAX)
		return hc_done(-EINVAL, ret);
	v->exit.reason = LODGE_EXIT_SHUTDOWN;
	v->exit.shutdown.reason = s.reason;
	*ret = 0;
	return LITE_EXIT;
}

enum lite_next hc_sched_op(struct lite_vcpu *v, const u64 arg[5], u64 *ret)
{
	switch (arg[0]) {
	case SCHEDOP_yield: /* the host takes the processor whenever it wants */
		return hc_done(0, ret);
	case SCHEDOP_block:
		return sched_block(v, ret);
	case SCHEDOP_poll:
		return sched_poll(v, arg[1], ret);
	case SCHEDOP_shutdown:
		return sched_shutdown(v, arg[1], ret);
	}
	return hc_done(-ENOSYS, ret);
}

static void timer_set(struct lite_vcpu *v, u64 deadline)
{
	v->deadline = deadline;
	v->changed |= LITE_CH_TIMER;
}

enum lite_next hc_set_timer_op(struct lite_vcpu *v, const u64 arg[5], u64 *ret)
{
	timer_set(v, arg[0]);
	return hc_done(0, ret);
}

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
static int vcpu_info_set(struct lite_vcpu *v, u64 va)
{
	struct vcpu_register_vcpu_info reg;
	struct vcpu_info *vi;
	u64 *from = (u64 *)v->vi, *to;
	void *page;
	u32 i;
	int err = mmu_read(v, &reg, va, sizeof(reg));

	if (err)
		return err;
	if (reg.offset > LITE_PAGE_SIZE - sizeof(*vi) || reg.offset & 7)
		return -EINVAL;
	err = hc_frame(v, reg.mfn, &page);
	if (err)
		return err;
	to = (u64 *)((char *)page + reg.offset);
	for (i = 0; i < sizeof(*vi) / sizeof(*to); i++)
		__atomic_store_n(&to[i], __atomic_load_n(&from[i], __ATOMIC_RELAXED),
				 __ATOMIC_RELAXED);
	vi = (struct vcpu_info *)to;
	v->vi_pa = lite_frame(v->vm, reg.mfn, NULL)->pa + reg.offset;
	v->changed |= LITE_CH_VI;
	__atomic_store_n(&v->vi, vi, __ATOMIC_SEQ_CST); /* pairs with event_mark() */
	__atomic_store_n(&vi->evtchn_pending_sel, ~0ul, __ATOMIC_SEQ_CST);
	__atomic_store_n(&vi->evtchn_upcall_pending, 1, __ATOMIC_SEQ_CST);
	return 0;
}

static int runstate_set(struct lite_vcpu *v, u64 va)
{
	struct vcpu_register_runstate_memory_area a;
	int err = mmu_read(v, &a, va, sizeof(a));

	if (err)
		return err;
	if (a.addr.p) {
		err = runstate_write(v, a.addr.p);
		if (err)
			return err;
	}
	v->runstate_va = a.addr.p;
	return 0;
}

enum lite_next hc_vcpu_op(struct lite_vcpu *v, const u64 arg[5], u64 *ret)
{
	u64 va = arg[2];

	/* The guest counts its vCPUs by asking which exist. */
	if (arg[1] >= v->vm->vcpus)
		return hc_done(-ENOENT, ret);
	switch (arg[0]) {
	case VCPUOP_initialise:
		return hc_done(-EEXIST, ret);
	case VCPUOP_up:
		return hc_done(0, ret);
	case VCPUOP_down:
		return hc_done(-EINVAL, ret);
	case VCPUOP_is_up:
		return hc_done(1, ret);
	case VCPUOP_get_runstate_info:
		return hc_done(runstate_write(v, va), ret);
	case VCPUOP_register_runstate_memory_area:
		return hc_done(runstate_set(v, va), ret);
	case VCPUOP_stop_periodic_timer:
		return hc_done(0, ret);
	case VCPUOP_set_singleshot_timer:
		return hc_done(singleshot_set(v, va), ret);
	case VCPUOP_stop_singleshot_timer:
		timer_set(v, 0);
		return hc_done(0, ret);
	case VCPUOP_register_vcpu_info:
		return hc_done(vcpu_info_set(v, va), ret);
	}
	return hc_done(-ENOSYS, ret);
}
