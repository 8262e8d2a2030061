// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page table requests that the switcher has taken (switcher_mmu.S): the guest's tables have them
 * already, the shadow follows here. Called before anything else that an exit brings, and before
 * every entry that follows none; so all that the core does finds both in step. Under vm->lock.
 *
 * The queue was the guest's to write. What makes no sense is passed over.
 */
#include "mmu_int.h"

#define QUEUE_OP 7ull /* 0: an entry was written; 1 to 4: pin as a table of that level; 5: unpin */

#define LIGHT_PINS 8 /* in a light exit */

static void entry_shown(struct lite_vcpu *v, u64 gpa)
{
	struct lite_frame *f = lite_frame(v->vm, gpa >> 12, NULL);
	unsigned int idx = (gpa >> 3) & 511;
	u64 pa;

	if (!f || !f->shadow)
		return;
	pa = mmu_load(&f->pa);
	/* What is there now: somebody may have written again since. */
	if (pa)
		mmu_show(v, f, gpa >> 12, idx, mmu_load((u64 *)lite_ptr(v->vm, pa) + idx));
}

static int request(struct lite_vcpu *v, u64 q)
{
	unsigned int op = q & QUEUE_OP;

	if (!op) {
		entry_shown(v, q);
		return 0;
	}
	return op < 5 ? mmu_pin_locked(v, q >> 12, op) : mmu_unpin_locked(v, q >> 12);
}

int mmu_queue_run(struct lite_vcpu *v)
{
	unsigned int pins = v->tier == LITE_LIGHT ? LIGHT_PINS : LITE_QUEUE;
	int err;

	if (!v->queued)
		return 0;
	err = mmu_lock(v);
	if (err)
		return err;
	while (v->queue_done < v->queued) {
		/* Each may release a tree of tables; interrupts are off in a light exit. */
		err = v->queue[v->queue_done] & QUEUE_OP && !pins-- ? -EBUSY : 0;
		if (err)
			goto out;
		err = request(v, v->queue[v->queue_done]);
		if (err == -EBUSY || err == -EAGAIN)
			goto out;
		v->queue_done++;
		v->stats.sw_updates++;
	}
	err = 0;
	v->queued = 0;
	v->queue_done = 0;
out:
	mmu_unlock(v);
	return err;
}
