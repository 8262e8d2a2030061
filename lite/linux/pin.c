// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory that a guest costs the host: its frames, pinned when first used and until the VM is gone,
 * and the pages of its shadow tables. Pinning runs in the creator's mm under lodge_vm.lock; pool
 * and trash belong to who holds lite_vm.lock.
 */
#include <linux/mm.h>
#include <linux/pfn.h>

#include "vm.h"

/* Frames that are pinned in one go, aligned: a fault each is too many, and a guest is sparse. */
#define PIN_CHUNK 16

static atomic64_t pinned_all = ATOMIC64_INIT(0);

/* How many of @want pages may be pinned; they are accounted for. */
static u64 pin_charge(struct lodge_vm *lv, u64 want)
{
	u64 max = totalram_pages() / 100 * min(lodge_pin_percent, 100u);

	if (atomic64_add_return(want, &pinned_all) <= max)
		goto charged;
	atomic64_sub(want - 1, &pinned_all);
	want = 1;
	if (atomic64_read(&pinned_all) > max) {
		atomic64_dec(&pinned_all);
		return 0;
	}
charged:
	atomic64_add(want, &lv->mm->pinned_vm);
	lv->pinned += want;
	return want;
}

static void pin_uncharge(struct lodge_vm *lv, u64 nr)
{
	atomic64_sub(nr, &pinned_all);
	atomic64_sub(nr, &lv->mm->pinned_vm);
	lv->pinned -= nr;
}

static void pin_done(struct lodge_vm *lv, struct lite_slot *slot, u64 i, struct page *page)
{
	u64 pa = PFN_PHYS(page_to_pfn(page));

	WRITE_ONCE(slot->frame[i].pa, pa);
	if (slot == lv->vm.slot)
		world_ram_map(&lv->w, i, pa);
}

void lodge_pin_shown(struct lodge_vm *lv, u64 gfn)
{
	struct lite_slot *slot = lv->vm.slot;
	u64 i, first = gfn & ~(PIN_CHUNK - 1ull);

	for (i = first; i < first + PIN_CHUNK && i < slot->nr; i++)
		if (slot->frame[i].pa)
			world_ram_map(&lv->w, i, slot->frame[i].pa);
}

int lodge_pin(struct lodge_vm *lv, u64 gfn)
{
	struct page *page[PIN_CHUNK];
	struct lite_slot *slot;
	struct lite_frame *frame = lite_frame(&lv->vm, gfn, &slot);
	unsigned long hva;
	u64 first, last, nr;
	int i, got;

	if (!frame)
		return -EFAULT;
	if (frame->pa)
		return 0;
	/* The run of frames around it that are not resident, within its chunk. */
	gfn -= slot->gfn;
	first = last = gfn;
	while (first % PIN_CHUNK && !slot->frame[first - 1].pa)
		first--;
	while ((last + 1) % PIN_CHUNK && last + 1 < slot->nr && !slot->frame[last + 1].pa)
		last++;

	nr = pin_charge(lv, last - first + 1);
	if (!nr)
		return -ENOMEM;
	if (nr == 1)
		first = gfn;
	hva = lv->hva[slot - lv->vm.slot] + first * PAGE_SIZE;
	/* Also of read-only slots: the VMM writes there, and a copy-on-write must come before. */
	got = pin_user_pages_fast(hva, nr, FOLL_WRITE | FOLL_LONGTERM, page);
	if (got < (int)nr)
		pin_uncharge(lv, nr - max(got, 0));
	/* Taken back by lodge_unpin_all(). */
	for (i = 0; i < got; i++)
		pin_done(lv, slot, first + i, page[i]);
	if (frame->pa)
		return 0;

	/* Something before it in the chunk cannot be pinned; that is not this frame's fault. */
	if (got == -EINTR || got == -ERESTARTNOHAND || got == -ERESTARTSYS)
		return -EINTR;
	if (!pin_charge(lv, 1))
		return -ENOMEM;
	hva = lv->hva[slot - lv->vm.slot] + gfn * PAGE_SIZE;
	got = pin_user_pages_fast(hva, 1, FOLL_WRITE | FOLL_LONGTERM, page);
	if (got == 1) {
		pin_done(lv, slot, gfn, page[0]);
		return 0;
	}
	pin_uncharge(lv, 1);
	if (fatal_signal_pending(current))
		return -EINTR;
	return got == -ENOMEM ? -ENOMEM : -EFAULT;
}

static void unpin_slot(struct lodge_vm *lv, struct lite_slot *slot)
{
	struct page *page[PIN_CHUNK];
	unsigned int n = 0;
	u64 i;

	for (i = 0; i < slot->nr; i++) {
		if (slot->frame[i].pa)
			page[n++] = pfn_to_page(PHYS_PFN(slot->frame[i].pa));
		if (n == PIN_CHUNK || (n && i + 1 == slot->nr)) {
			unpin_user_pages_dirty_lock(page, n, !slot->readonly);
			pin_uncharge(lv, n);
			n = 0;
			cond_resched();
		}
	}
}

void lodge_unpin_all(struct lodge_vm *lv)
{
	unsigned int i;

	for (i = 0; i < LODGE_SLOTS_MAX; i++) {
		struct lite_slot *slot = &lv->vm.slot[i];

		if (!slot->frame)
			continue;
		unpin_slot(lv, slot);
		kvfree(slot->frame);
		slot->frame = NULL;
	}
	WARN_ON_ONCE(lv->pinned);
}

int lodge_pool_fill(struct lodge_vm *lv)
{
	struct lite_mmu *mmu = &lv->vm.mmu;
	bool taken = true;

	while (READ_ONCE(mmu->pooled) < MMU_POOL_MAX && taken) {
		unsigned long page = get_zeroed_page(GFP_KERNEL_ACCOUNT);

		if (!page)
			return READ_ONCE(mmu->pooled) ? 0 : -ENOMEM;
		lodge_mmu_lock(lv);
		taken = mmu->pooled < MMU_POOL_MAX;
		if (taken)
			mmu->pool[mmu->pooled++] = __pa(page);
		lodge_mmu_unlock(lv);
		if (!taken)
			free_page(page);
	}
	return 0;
}

void lodge_trash_free(struct lodge_vm *lv)
{
	struct lite_mmu *mmu = &lv->vm.mmu;
	u64 pa[32];
	u32 i, n;

	do {
		lodge_mmu_lock(lv);
		for (n = 0; n < ARRAY_SIZE(pa) && mmu->trashed; n++)
			pa[n] = mmu->trash[--mmu->trashed];
		lodge_mmu_unlock(lv);
		for (i = 0; i < n; i++)
			free_page((unsigned long)__va(pa[i]));
	} while (n);
}

u32 lodge_evict(struct lodge_vm *lv, u32 nr)
{
	u32 got, done = 0;

	/* The trash has a bound, so in steps. */
	while (done < nr) {
		preempt_disable();
		got = mmu_evict(&lv->vm, min_t(u32, nr - done, MMU_POOL_MAX));
		preempt_enable();
		lodge_trash_free(lv);
		if (!got)
			break;
		done += got;
	}
	return done;
}
