// SPDX-License-Identifier: GPL-2.0-only
/*
 * sched_op, set_timer_op and run states: how a vCPU waits, for what, and what the guest is told of
 * that. Called from the dispatcher; sched_prepare() before entries. All on the vCPU's own thread;
 * others look at v->vi and v->poll (event.c), and at v->down.
 *
 * Of the run states the guest is told running, blocked and offline as they begin. That its thread
 * waited for a processor of the host's is known afterwards (v->stolen), and is then told as time in
 * which it was runnable.
 */
#include "vsched.h"
#include "event.h"
#include "hypercall.h"

#include <xen/xen.h>

#include <xen/sched.h>
#include <xen/vcpu.h>

#define POLL_PORTS_MAX 128
#define RFLAGS_AC      0x40000ull

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

int runstate_write(struct lite_vcpu *v, const struct lite_vcpu *of, u64 va)
{
	struct vcpu_runstate_info r;

	memset(&r, 0, sizeof(r));
	r.state = of->run_state;
	r.state_entry_time = of->run_since;
	memcpy(r.time, of->run_time, sizeof(r.time));
	return mmu_write(v, va, &r, sizeof(r));
}

/*
 * Other vCPUs may be reading: the time of entry is flagged while the rest changes. Where the guest
 * wanted it there may be no memory any more: that is its own loss.
 */
static void runstate_tell(struct lite_vcpu *v)
{
	const u64 at = offsetof(struct vcpu_runstate_info, state_entry_time);
	u64 va = v->runstate_va, entry = v->run_since | XEN_RUNSTATE_UPDATE;
	int state = v->run_state;
	int err;

	err = mmu_write(v, va + at, &entry, sizeof(entry));
	__atomic_thread_fence(__ATOMIC_RELEASE);
	if (!err)
		err = mmu_write(v, va, &state, sizeof(state));
	if (!err)
		err = mmu_write(v, va + offsetof(struct vcpu_runstate_info, time), v->run_time,
				sizeof(v->run_time));
	__atomic_thread_fence(__ATOMIC_RELEASE);
	entry = v->run_since;
	if (!err)
		err = mmu_write(v, va + at, &entry, sizeof(entry));
	if (err)
		v->want = LITE_WANT_NONE;
}

/* The vCPU runs again, or still; v->stolen of the time of before was not its own. */
static void runstate_resume(struct lite_vcpu *v)
{
	u32 was = v->run_state;
	u64 stolen = v->stolen;

	v->stolen = 0;
	runstate_enter(v, RUNSTATE_running);
	if (stolen > v->run_time[was])
		stolen = v->run_time[was];
	v->run_time[was] -= stolen;
	v->run_time[RUNSTATE_runnable] += stolen;
	v->stats.steal += stolen;
	if (v->runstate_va)
		runstate_tell(v);
}

static void poll_end(struct lite_vcpu *v)
{
	__atomic_fetch_and(&v->vm->polling, ~(1u << v->id), __ATOMIC_SEQ_CST);
	__atomic_store_n(&v->poll, POLL_NONE, __ATOMIC_SEQ_CST);
	if (v->poll_until)
		v->changed |= LITE_CH_TIMER;
	v->poll_until = 0;
}

void sched_prepare(struct lite_vcpu *v)
{
	if (__atomic_load_n(&v->poll, __ATOMIC_RELAXED) != POLL_NONE)
		poll_end(v);
	/* Not in a light exit: the timer of the environment ends the guest's turn in time. */
	if (v->deadline && v->tier != LITE_LIGHT && lite_time_now(v->vm) >= v->deadline) {
		v->deadline = 0;
		v->changed |= LITE_CH_TIMER;
		event_virq_raise(v, VIRQ_TIMER);
	}
	if (v->run_state != RUNSTATE_running || v->stolen)
		runstate_resume(v);
}

bool lite_park(struct lite_vcpu *v)
{
	bool down;

	lite_lock(&v->vm->up_lock);
	down = v->down;
	if (down && !v->parked) {
		v->parked = true;
		runstate_enter(v, RUNSTATE_offline);
		/* A kernel that brings its processor up looks again whether AC is clear. */
		if (v->kernel && v->ac)
			v->r.rflags &= ~RFLAGS_AC;
		v->ac = false;
	}
	lite_unlock(&v->vm->up_lock);
	return down;
}

u64 lite_deadline(const struct lite_vcpu *v)
{
	if (!v->poll_until || (v->deadline && v->deadline < v->poll_until))
		return v->deadline;
	return v->poll_until;
}

static enum lite_next block(struct lite_vcpu *v, u64 *ret)
{
	runstate_enter(v, RUNSTATE_blocked);
	*ret = 0;
	return LITE_BLOCK;
}

enum lite_next sched_halt(struct lite_vcpu *v)
{
	u64 ret;

	__atomic_store_n(&v->vi->evtchn_upcall_mask, 0, __ATOMIC_SEQ_CST);
	return lite_event_pending(v) ? LITE_RESUME : block(v, &ret);
}

static enum lite_next sched_block(struct lite_vcpu *v, u64 *ret)
{
	bool pending;

	pending = lite_event_pending(v);
	if (!pending && v->tier == LITE_LIGHT)
		return LITE_FULL;
	__atomic_store_n(&v->vi->evtchn_upcall_mask, 0, __ATOMIC_SEQ_CST);
	return pending ? hc_done(0, ret) : block(v, ret);
}

/* Until one of some ports, usually masked, is pending, or until the time that the guest gives. */
static enum lite_next sched_poll(struct lite_vcpu *v, u64 va, u64 *ret)
{
	struct sched_poll p;
	evtchn_port_t port = 0;
	u32 i;
	int err = mmu_read(v, &p, va, sizeof(p));

	if (err)
		return hc_done(err, ret);
	if (p.nr_ports > POLL_PORTS_MAX)
		return hc_done(-EINVAL, ret);
	if (v->tier == LITE_LIGHT)
		return LITE_FULL;
	if (p.nr_ports == 1) {
		err = mmu_read(v, &port, (u64)p.ports.p, sizeof(port));
		if (err)
			return hc_done(err, ret);
	}
	/* Waiting before looking: pairs with poll_wake(). */
	__atomic_store_n(&v->poll_port, port, __ATOMIC_RELAXED);
	__atomic_store_n(&v->poll, POLL_WAITING, __ATOMIC_SEQ_CST);
	__atomic_fetch_or(&v->vm->polling, 1u << v->id, __ATOMIC_SEQ_CST);
	for (i = 0; i < p.nr_ports; i++) {
		if (p.nr_ports > 1)
			err = mmu_read(v, &port, (u64)p.ports.p + i * sizeof(port), sizeof(port));
		if (!err && port >= LODGE_PORTS_MAX)
			err = -EINVAL;
		if (err || event_port_pending(v->vm, port))
			goto out;
	}
	if (lite_event_pending(v) || (p.timeout && lite_time_now(v->vm) >= p.timeout))
		goto out;
	v->poll_until = p.timeout;
	if (p.timeout)
		v->changed |= LITE_CH_TIMER;
	return block(v, ret);
out:
	poll_end(v);
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

void timer_set(struct lite_vcpu *v, u64 deadline)
{
	v->deadline = deadline;
	v->changed |= LITE_CH_TIMER;
}

enum lite_next hc_set_timer_op(struct lite_vcpu *v, const u64 arg[5], u64 *ret)
{
	timer_set(v, arg[0]);
	return hc_done(0, ret);
}
