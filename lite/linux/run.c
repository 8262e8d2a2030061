// SPDX-License-Identifier: GPL-2.0-only
/*
 * LODGE_RUN: the loop around the world switch. What an exit means is the core's business; what the
 * core lacks is fetched here, where one may sleep. On the VMM's thread, under lodge_vcpu.lock,
 * until a signal or an exit to the VMM. The guest has an FPU state of its own.
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <asm/fpu/api.h>

#include "vm.h"

/* The light exits live on the pool: below this, it is filled before the guest is entered. */
#define POOL_LOW (MMU_POOL_MAX / 2)

/* --- time --- */

static u64 vcpu_left(struct lodge_vcpu *vc, u64 at)
{
	u64 now = lite_time_now(&vc->vm->vm);

	return at > now ? at - now : 0;
}

enum hrtimer_restart lodge_vcpu_timer_fn(struct hrtimer *timer)
{
	struct lodge_vcpu *vc = container_of(timer, struct lodge_vcpu, timer);
	u64 left = vcpu_left(vc, READ_ONCE(vc->timer_at));

	/* The guest's clock is the bare TSC, the host's is disciplined: they may differ. */
	if (left) {
		hrtimer_forward_now(timer, ns_to_ktime(left));
		return HRTIMER_RESTART;
	}
	env_vcpu_kick(&vc->v);
	return HRTIMER_NORESTART;
}

static void vcpu_timer_arm(struct lodge_vcpu *vc)
{
	struct lite_vcpu *v = &vc->v;

	u64 at;

	if (!(v->changed & LITE_CH_TIMER))
		return;
	v->changed &= ~LITE_CH_TIMER;
	at = lite_deadline(v);
	hrtimer_cancel(&vc->timer);
	WRITE_ONCE(vc->timer_at, at);
	if (at)
		hrtimer_start(&vc->timer, ns_to_ktime(vcpu_left(vc, at)), HRTIMER_MODE_REL);
}

static bool vcpu_woken(struct lodge_vcpu *vc)
{
	u64 at = lite_deadline(&vc->v);

	/* Who is set down while it sleeps is woken by that: SCHEDOP_block may return early. */
	return lite_event_pending(&vc->v) || READ_ONCE(vc->v.down) || (at && !vcpu_left(vc, at));
}

/* --- what the core lacks --- */

static void vcpu_give_back(struct lodge_vcpu *vc)
{
	u32 want = xchg(&vc->vm->evict_want, 0);

	WRITE_ONCE(vc->nudged, false);
	if (want)
		vc->v.stats.shadow_evicted += lodge_evict(vc->vm, want);
}

static int vcpu_want(struct lodge_vcpu *vc)
{
	struct lodge_vm *lv = vc->vm;
	struct lite_vcpu *v = &vc->v;
	enum lite_want want = v->want;
	int err = 0;

	v->want = LITE_WANT_NONE;
	switch (want) {
	case LITE_WANT_POOL:
		lodge_trash_free(lv);
		err = lodge_pool_fill(lv);
		break;
	case LITE_WANT_FRAME:
		mutex_lock(&lv->lock);
		err = lodge_pin(lv, v->want_gfn);
		mutex_unlock(&lv->lock);
		break;
	case LITE_WANT_LDT:
		for (; !err && v->ldt_pages < min_t(u64, v->want_gfn, LITE_LDT_PAGES);
		     v->ldt_pages++) {
			v->ldt[v->ldt_pages] = (u64 *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
			if (!v->ldt[v->ldt_pages])
				return -ENOMEM;
		}
		break;
	default:
		break;
	}
	return err;
}

static enum lite_next vcpu_core(struct lodge_vcpu *vc, enum lite_next (*fn)(struct lite_vcpu *))
{
	enum lite_next next;

	preempt_disable();
	vc->v.tier = LITE_FULLTIER;
	next = fn(&vc->v);
	preempt_enable();
	return next;
}

/* lite_prepare()'s shape for the shadow root: it must be there before every entry. */
static enum lite_next vcpu_root(struct lite_vcpu *v)
{
	switch (mmu_root(v)) {
	case 0:
		return LITE_RESUME;
	case -EAGAIN:
		return LITE_WANT;
	case -EBUSY:
		return LITE_FULL;
	default:
		return lite_kill(v, "the root page table is not in the guest's memory");
	}
}

/*
 * Calls @fn until it lacks nothing: *next. Returns -ENOMEM, -EFAULT or -EINTR when what it wants
 * cannot be had; it can be called again then.
 */
static int vcpu_call(struct lodge_vcpu *vc, enum lite_next (*fn)(struct lite_vcpu *),
		     enum lite_next *next)
{
	int err;

	for (;;) {
		*next = vcpu_core(vc, fn);
		if (*next == LITE_WANT) {
			err = vcpu_want(vc);
			if (err)
				return err;
		} else if (*next != LITE_FULL) {
			return 0;
		}
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
}

/* --- the loop --- */

/* Sleeps until the guest has something to do: 0, or -EINTR. */
static int vcpu_wait(struct lodge_vcpu *vc)
{
	int err;

	vc->v.stats.halts++;
	do {
		vcpu_give_back(vc);
		vcpu_timer_arm(vc);
		WRITE_ONCE(vc->waiting, true);
		/* wait_event's barrier orders it before the conditions: see env_vcpu_kick() */
		err = wait_event_interruptible(vc->wait, vcpu_woken(vc) || READ_ONCE(vc->nudged));
		WRITE_ONCE(vc->waiting, false);
	} while (!err && READ_ONCE(vc->nudged) && !vcpu_woken(vc));
	if (err)
		return -EINTR;
	vc->halted = false;
	return 0;
}

/* Sleeps until another vCPU sets this one up: 0, or -EINTR. */
static int vcpu_down(struct lodge_vcpu *vc)
{
	struct lite_vcpu *v = &vc->v;
	bool down;
	int err = 0;

	for (;;) {
		vcpu_give_back(vc);
		preempt_disable();
		down = lite_park(v);
		preempt_enable();
		if (!down || err)
			return down ? -EINTR : 0;
		WRITE_ONCE(vc->waiting, true);
		err = wait_event_interruptible(vc->wait, !smp_load_acquire(&v->down) ||
								 READ_ONCE(vc->nudged));
		WRITE_ONCE(vc->waiting, false);
	}
}

/* What the scheduler knows of this thread's waiting for a processor is stolen from the guest. */
static void vcpu_steal(struct lodge_vcpu *vc)
{
#ifdef CONFIG_SCHED_INFO
	u64 delay = current->sched_info.run_delay;

	if (delay == vc->run_delay)
		return;
	/* The first time, and should the VMM have changed threads, there is nothing to compare. */
	if (vc->run_delay && delay > vc->run_delay)
		vc->v.stolen += delay - vc->run_delay;
	vc->run_delay = delay;
#endif
}

/* From here to the next exit that is not the host's own: *next, or -errno. */
static int vcpu_enter(struct lodge_vcpu *vc, enum lite_next *next)
{
	struct lite_vcpu *v = &vc->v;
	int err;

	vcpu_give_back(vc);
	if (READ_ONCE(vc->vm->vm.mmu.trashed))
		lodge_trash_free(vc->vm);
	if (READ_ONCE(vc->vm->vm.mmu.pooled) < POOL_LOW) {
		err = lodge_pool_fill(vc->vm);
		if (err)
			return err;
	}
	vcpu_steal(vc);
	err = vcpu_call(vc, lite_prepare, next);
	if (err || *next != LITE_RESUME)
		return err;
	err = vcpu_call(vc, vcpu_root, next);
	if (err || *next != LITE_RESUME)
		return err;
	vcpu_timer_arm(vc);

	switch (world_enter(v, &vc->w, next)) {
	case 0:
		vc->unserved = true;
		break;
	case 1:
		*next = LITE_RESUME;
		break;
	default:
		/* A light exit got this far; what it could not do is done by lite_handle(). */
		vc->unserved = *next == LITE_WANT || *next == LITE_FULL;
		break;
	}
	return 0;
}

static int vcpu_loop(struct lodge_vcpu *vc)
{
	enum lite_next next;
	int err;

	for (;;) {
		if (signal_pending(current))
			return -EINTR;
		/* Work that is done on the way to user mode only; then the VMM runs us again. */
		if (test_thread_flag(TIF_NOTIFY_RESUME))
			return 0;
		cond_resched();

		if (vc->halted) {
			err = vcpu_wait(vc);
			if (err)
				return err;
		}
		next = LITE_RESUME;
		if (!vc->unserved) {
			err = vcpu_enter(vc, &next);
			if (err)
				return err;
		}
		if (vc->unserved) {
			err = vcpu_call(vc, lite_handle, &next);
			if (err)
				return err;
			vc->unserved = false;
		}
		if (next == LITE_BLOCK)
			vc->halted = true;
		if (next == LITE_DOWN) {
			err = vcpu_down(vc);
			if (err)
				return err;
		}
		if (next == LITE_EXIT || next == LITE_DEAD)
			return 1;
	}
}

static void vcpu_killed(struct lodge_vcpu *vc)
{
	struct lodge_run *run = vc->run;

	memset(run, 0, sizeof(*run));
	run->reason = LODGE_EXIT_KILLED;
	BUILD_BUG_ON(sizeof(run->killed.why) != sizeof(vc->vm->vm.why));
	memcpy(run->killed.why, vc->vm->vm.why, sizeof(run->killed.why));
	run->killed.why[sizeof(run->killed.why) - 1] = '\0';
}

long lodge_vcpu_run(struct lodge_vcpu *vc)
{
	struct lite_vcpu *v = &vc->v;
	int ret;

	if (!smp_load_acquire(&vc->vm->ready)) /* pairs with vm_pv_set()'s release */
		return -EINVAL;
	if (vc->vm->vm.dead) {
		vcpu_killed(vc);
		return 0;
	}
	if (v->io_pending) {
		lite_complete_io(v, READ_ONCE(vc->run->io.data));
		v->io_pending = false;
	}
	vc->run->reason = LODGE_EXIT_NONE;

	fpu_swap_kvm_fpstate(&vc->fpu, true);
	ret = vcpu_loop(vc);
	world_put(&vc->w);
	fpu_swap_kvm_fpstate(&vc->fpu, false);
	if (ret <= 0)
		return ret;
	if (vc->vm->vm.dead)
		vcpu_killed(vc);
	else
		memcpy(vc->run, &v->exit, sizeof(v->exit));
	return 0;
}
