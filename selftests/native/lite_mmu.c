// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shadow page tables of a lite guest, by cases; lite_mmu_random has the random ones.
 */
#include "lite_tables.h"

static void maps(void)
{
	start();
	ksft_eq(eu_access(e, VA, 0, false), 0);
	ksft_eq(eu_spte(e, VA), PA(DATA) | P | U | A);
	ksft_check(e->v.changed & LITE_CH_ROOT);
	ksft_eq(table(L1)[0], PTE(DATA, P | W | U | A));
	ksft_eq(table(L2)[0], PTE(L1, P | W | U | A));
	ksft_eq(table(L4)[2], PTE(L3, P | W | U | A));
	ksft_eq(table(L1)[1], PTE(DATA + 1, P | W | U)); /* not touched, not accessed */
	ksft_eq(eu_spte(e, VA + 0x1000), 0);

	ksft_eq(eu_access(e, VA, E_W, false), 0);
	ksft_eq(eu_spte(e, VA), PA(DATA) | P | W | U | A | D);
	ksft_eq(table(L1)[0], PTE(DATA, P | W | U | A | D));
	ksft_eq(eu_access(e, VA + 0x8000, 0, false), FAULT | E_U);
	ksft_eq(eu_access(e, VA + 0x8000, E_W, true), FAULT | E_W);
	ksft_eq(eu_access(e, VA + (1ull << 30), 0, true), FAULT);
	e->v.changed = 0;
	ksft_eq(mmu_root(&e->v), 0);
	ksft_eq(e->v.changed, 0);
	audit(true);
}

static void permissions(void)
{
	start();
	eu_pte(e, L1, 0, PTE(DATA, P | U | A));
	eu_pte(e, L1, 1, PTE(DATA, P | W | A));
	eu_pte(e, L1, 2, PTE(DATA, P | W | U | NX));
	eu_pte(e, L1, 3, PTE(DATA, P | W));
	ksft_eq(eu_access(e, VA, E_W, false), FAULT | E_P | E_W | E_U);
	ksft_eq(eu_access(e, VA, E_W, true), FAULT | E_P | E_W);
	ksft_eq(eu_access(e, VA, E_I, false), 0);
	ksft_eq(eu_access(e, VA, E_I, true), FAULT | E_P | E_I); /* a user's page */
	ksft_eq(eu_access(e, VA + 0x1000, 0, false), FAULT | E_P | E_U);
	ksft_eq(eu_access(e, VA + 0x1000, E_W, true), 0);
	ksft_eq(eu_access(e, VA + 0x2000, E_I, false), FAULT | E_P | E_I | E_U);
	ksft_eq(eu_access(e, VA + 0x2000, E_W, false), 0);
	ksft_check(eu_spte(e, VA + 0x2000) & NX);
	ksft_eq(eu_access(e, VA + 0x3000, E_I, true), 0);
	audit(true);
	/* Upper levels: a new table at index 1 of level 3. */
	eu_pte(e, L3, 1, PTE(OTHER, P | U | NX));
	eu_pte(e, OTHER, 0, PTE(L1, P | W | U));
	ksft_eq(eu_access(e, VA + (1ull << 30) + 0x2000, E_W, false), FAULT | E_P | E_W | E_U);
	ksft_eq(eu_access(e, VA + (1ull << 30) + 0x3000, E_I, true), FAULT | E_P | E_I);
	ksft_eq(eu_access(e, VA + (1ull << 30), 0, false), 0);
	ksft_eq(eu_level(e, VA + (1ull << 30), 3) & FLAGS, P | U | A | NX);
	audit(true);
}

static void foreign(void)
{
	start();
	eu_pte(e, L1, 0, PTE(FRAMES, P | W | U | A | D));
	eu_pte(e, L1, 1, PTE(0xffffffffffull, P | W | U | A | D));
	eu_pte(e, L2, 1, PTE(FRAMES, P | W | U));
	eu_pte(e, L2, 2, PTE(L1, P | W | U | PSE));
	eu_pte(e, L2, 3, PTE(EU_ROM_GFN, P | W | U));
	ksft_eq(eu_access(e, VA, 0, false), FAULT | E_P | E_U);
	ksft_eq(eu_access(e, VA + 0x1000, E_W, false), FAULT | E_P | E_W | E_U);
	ksft_eq(eu_access(e, VA + 0x2000, 0, false), 0); /* and no neighbours */
	ksft_eq(eu_spte(e, VA), 0);
	ksft_eq(eu_access(e, VA + (1 << 21), 0, false), FAULT | E_P | E_U);
	ksft_eq(eu_access(e, VA + (2 << 21), 0, false), FAULT | E_P | E_U);
	ksft_eq(eu_access(e, VA + (3 << 21), 0, false), FAULT | E_P | E_U);
	ksft_eq(mmu_new_base(&e->v, FRAMES, false), -EINVAL);
	ksft_eq(mmu_new_base(&e->v, EU_ROM_GFN, false), -EINVAL);
	ksft_eq(mmu_pin(&e->v, FRAMES, 1), -EINVAL);
	ksft_eq(mmu_pin(&e->v, DATA, 5), -EINVAL);
	ksft_eq(mmu_unpin(&e->v, FRAMES), -EINVAL);
	audit(true);
}

static void hole(void)
{
	u64 code = E_W, b;
	enum mmu_result res;

	start();
	e->vm.mmu.hyp_pa[0] = PA(63); /* any page */
	eu_pte(e, L4, 256, PTE(L3, P | W | U | A));
	eu_pte(e, L4, 271, PTE(L3, P | W | U | A));
	eu_pte(e, L4, 272, PTE(L3, P | W | U | A));
	ksft_eq(mmu_root(&e->v), 0);
	ksft_eq(mmu_fault(&e->v, LITE_HOLE_START, &code, &res), 0);
	ksft_eq(res, MMU_INJECT);
	ksft_eq(code, E_W);
	ksft_eq(eu_access(e, LITE_HOLE_END - 0x1000, 0, true), FAULT);
	ksft_eq(eu_access(e, LITE_HOLE_END, 0, true), 0);
	ksft_eq(eu_level(e, LITE_HOLE_START, 4), PA(63) | 0x63);
	ksft_eq(eu_level(e, LITE_HOLE_END - 1, 4), 0);
	ksft_eq(mmu_read(&e->v, &b, LITE_HOLE_START, 8), -EFAULT);
	ksft_eq(mmu_read(&e->v, &b, LITE_HOLE_START - 4, 8), -EFAULT);
	ksft_eq(mmu_write(&e->v, LITE_HOLE_END - 1, &b, 8), -EFAULT);
	ksft_eq(mmu_read(&e->v, &b, 0x7ffffffffffcull, 8), -EFAULT);
	ksft_eq(mmu_update_va(&e->v, LITE_HOLE_START, 0), -EINVAL);
	ksft_eq(mmu_update(&e->v, PTE(L4, 256 * 8), 0, false), 0);
	ksft_eq(mmu_unpin(&e->v, L4), 0);
	ksft_eq(eu_level(e, LITE_HOLE_START, 4), PA(63) | 0x63);
	audit(true);
	e->vm.mmu.hyp_pa[0] = 0;
}

/* Faults of the guest's own at such entries need no walk: the switcher reflects them. */
static void absent_marked(void)
{
	u64 none, hidden;

	start();
	none = e->vm.mmu.none;
	ksft_check(none & P && none >> 40 & 0xfff);
	eu_pte(e, L1, 3, 0);
	eu_pte(e, L1, 5, 0);
	eu_pte(e, L1, 140, 0);
	/* Not before there is a table for it. */
	ksft_eq(eu_access(e, VA + 0x3000, 0, false), FAULT | E_U);
	ksft_eq(eu_spte(e, VA + 0x3000), 0);
	ksft_eq(eu_access(e, VA, E_W, false), 0);
	ksft_eq(eu_spte(e, VA + 0x3000), none);
	ksft_eq(eu_spte(e, VA + 140 * 0x1000), none);
	ksft_eq(eu_access(e, VA + 140 * 0x1000, E_W, false), FAULT | E_W | E_U);
	ksft_eq(eu_spte(e, VA + 140 * 0x1000), none);
	audit(true);
	/* An update is seen at once; its opposite too. */
	ksft_eq(mmu_update(&e->v, PTE(L1, 3 * 8), PTE(DATA + 3, P | W | U | A | D), false), 0);
	ksft_eq(eu_spte(e, VA + 0x3000), PA(DATA + 3) | P | W | U | A | D);
	ksft_eq(mmu_update_va(&e->v, VA + 0x3000, 0), 0);
	ksft_eq(eu_spte(e, VA + 0x3000), none);
	/* Present, but not accessed yet: that has to be marked in the guest's entry first. */
	ksft_eq(mmu_update_va(&e->v, VA + 0x3000, PTE(DATA + 3, P | U)), 0);
	ksft_eq(eu_spte(e, VA + 0x3000), 0);
	audit(true);
	/* A write that nobody was told of does not leave the entry wrong for ever. */
	ksft_eq(eu_spte(e, VA + 0x5000), none);
	eu_pte(e, L1, 5, PTE(DATA + 5, P | U | A));
	ksft_check(mmu_audit(&e->vm, true, NULL, 0));
	ksft_eq(eu_access(e, VA + 0x5000, 0, false), 0);
	audit(true);
	/* Processors without reserved bits. */
	hidden = none;
	start();
	e->vm.mmu.none = 0;
	eu_pte(e, L1, 3, 0);
	eu_pte(e, L1, 140, 0);
	ksft_eq(eu_access(e, VA, E_W, false), 0);
	ksft_eq(eu_spte(e, VA + 0x3000), 0);
	ksft_eq(eu_access(e, VA + 140 * 0x1000, E_W, false), FAULT | E_W | E_U);
	ksft_eq(mmu_update_va(&e->v, VA, 0), 0);
	ksft_eq(eu_spte(e, VA), 0);
	audit(true);
	e->vm.mmu.none = hidden;
}

static void queue(u64 q)
{
	e->v.queue[e->v.queued++] = q;
}

/* What the switcher has taken: the guest's tables have it, the shadow follows. */
static void requests(void)
{
	start();
	ksft_eq(eu_access(e, VA, E_W, false), 0);
	eu_pte(e, L1, 3, PTE(DATA + 9, P | W | U | A | D));
	eu_pte(e, L1, 0, 0);
	queue(PTE(L1, 3 * 8));
	queue(PTE(L1, 0));
	ksft_eq(mmu_queue_run(&e->v), 0);
	ksft_eq(e->v.queued, 0);
	ksft_eq(eu_spte(e, VA + 0x3000), PA(DATA + 9) | P | W | U | A | D);
	ksft_eq(eu_spte(e, VA), e->vm.mmu.none);
	audit(true);
	/* What counts is what is there by then, and foreign frames do not. */
	eu_pte(e, L1, 3, PTE(FRAMES + 1, P | W | U | A | D));
	queue(PTE(L1, 3 * 8));
	ksft_eq(mmu_queue_run(&e->v), 0);
	ksft_eq(eu_spte(e, VA + 0x3000), 0);
	/* An upper entry goes, and with it what it led to. */
	ksft_check(eu_level(e, VA, 2));
	eu_pte(e, L2, 0, 0);
	queue(PTE(L2, 0));
	ksft_eq(mmu_queue_run(&e->v), 0);
	ksft_eq(eu_level(e, VA, 2), 0);
	audit(true);
	/* Pins in their order, among requests that make no sense. */
	queue(PTE(FRAMES, 0));
	queue(~0ull);
	queue(PTE(EU_ROM_GFN, 1));
	queue(PTE(DATA + 20, 1));
	queue(PTE(DATA + 21, 4));
	queue(PTE(DATA + 21, 5));
	ksft_eq(mmu_queue_run(&e->v), 0);
	ksft_eq(lite_frame(&e->vm, DATA + 20, NULL)->flags & FRAME_PINNED_ANY, FRAME_PINNED(1));
	ksft_eq(lite_frame(&e->vm, DATA + 21, NULL)->flags & FRAME_PINNED_ANY, 0);
	ksft_eq(lite_frame(&e->vm, EU_ROM_GFN, NULL)->flags & FRAME_PINNED_ANY, 0);
	audit(true);
	/* A light exit does not wait for the lock. */
	e->v.tier = LITE_LIGHT;
	lite_lock(&e->vm.lock);
	queue(PTE(DATA + 20, 5));
	ksft_eq(mmu_queue_run(&e->v), -EBUSY);
	ksft_eq(e->v.queued, 1);
	lite_unlock(&e->vm.lock);
	ksft_eq(mmu_queue_run(&e->v), 0);
	ksft_eq(lite_frame(&e->vm, DATA + 20, NULL)->flags & FRAME_PINNED_ANY, 0);
}

static void protection_key(void)
{
	u64 code = E_P | E_W | E_U | 0x20;
	enum mmu_result res;

	start();
	ksft_eq(eu_access(e, VA, E_W, false), 0);
	/* The entry is in place already: no fill could mend it. */
	ksft_eq(mmu_fault(&e->v, VA, &code, &res), 0);
	ksft_eq(res, MMU_INJECT);
	ksft_eq(code, E_P | E_W | 0x20 | (e->v.kernel ? 0 : E_U));
	audit(true);
}

static void readonly_slot(void)
{
	u64 x = 1;

	start();
	eu_pte(e, L1, 0, PTE(EU_ROM_GFN, P | W | U | A | D));
	eu_pte(e, L1, 1, PTE(EU_ROM_GFN + 1, P | W | U | A | D));
	ksft_eq(eu_access(e, VA, 0, false), 0);
	ksft_eq(eu_spte(e, VA), PA(EU_ROM_GFN) | P | U | A);
	ksft_eq(eu_spte(e, VA + 0x1000), PA(EU_ROM_GFN + 1) | P | U | A);
	ksft_eq(eu_access(e, VA, E_W, false), FAULT | E_P | E_W | E_U);
	ksft_eq(mmu_write(&e->v, VA, &x, 8), -EFAULT);
	ksft_eq(mmu_read(&e->v, &x, VA, 8), 0);
	ksft_eq(x, 0);
	ksft_eq(mmu_update(&e->v, PTE(EU_ROM_GFN, 0), 0, false), -EINVAL);
	ksft_eq(mmu_update(&e->v, PTE(L1, 16), PTE(EU_ROM_GFN + 2, P | W | A | D), false), 0);
	ksft_eq(eu_spte(e, VA + 0x2000), PA(EU_ROM_GFN + 2) | P | A);
	ksft_eq(mmu_pin(&e->v, EU_ROM_GFN, 1), -EINVAL);
	audit(true);
}

/* A root that is its own table at every level: a shadow page must not show up as a leaf. */
static void recursive(void)
{
	u64 va = 0, i;

	start();
	for (i = 1; i <= 4; i++)
		va |= 3ull << (3 + 9 * i);
	eu_pte(e, L4, 3, PTE(L4, P | W | U));
	ksft_eq(eu_access(e, va, E_W, false), 0);
	ksft_eq(eu_spte(e, va) & ~FLAGS, PA(L4));
	ksft_eq(e->vm.mmu.spages, 4);
	audit(true);
	/* The guest writes its root's entry for the tables below by that mapping. */
	ksft_eq(mmu_update(&e->v, PTE(L4, 3 * 8), 0, false), 0);
	ksft_eq(e->vm.mmu.spages, 1);
	ksft_eq(eu_access(e, va, 0, false), FAULT | E_U);
	audit(true);
	eu_pte(e, L4, 3, PTE(L4, P | W | U));
	ksft_eq(eu_access(e, va, E_W, false), 0);
	ksft_eq(mmu_unpin(&e->v, L4), 0);
	ksft_eq(e->vm.mmu.spages, 1); /* the current root, empty */
	ksft_eq(eu_spte(e, va), 0);
	audit(true);
}

static void pins(void)
{
	start();
	ksft_eq(mmu_pin(&e->v, L1, 1), 0);
	ksft_eq(eu_access(e, VA, 0, false), 0);
	ksft_eq(e->vm.mmu.spages, 4);
	/* An unpinned table goes with its last parent, a pinned one stays. */
	ksft_eq(mmu_update(&e->v, PTE(L3, 0), 0, false), 0);
	ksft_eq(e->vm.mmu.spages, 3);
	audit(true);
	ksft_eq(mmu_update(&e->v, PTE(L3, 0), PTE(L2, P | W | U), false), 0);
	ksft_eq(eu_access(e, VA, 0, false), 0);
	ksft_eq(e->vm.mmu.spages, 4);
	ksft_eq(mmu_unpin(&e->v, L1), 0);
	ksft_eq(e->vm.mmu.spages, 3);
	ksft_eq(eu_spte(e, VA), 0);
	audit(true);
	/* Now it may be written unseen. */
	eu_pte(e, L1, 0, PTE(DATA + 9, P | U));
	ksft_eq(eu_access(e, VA, 0, false), 0);
	ksft_eq(eu_spte(e, VA) & ~FLAGS, PA(DATA + 9));
	eu_pte(e, L1, 0, PTE(DATA + 10, P | U));
	ksft_eq(mmu_pin(&e->v, L1, 1), 0);
	ksft_eq(eu_access(e, VA, 0, false), 0);
	ksft_eq(eu_spte(e, VA) & ~FLAGS, PA(DATA + 10));
	audit(true);
}

static void shared_leaf(void)
{
	start();
	eu_pte(e, L2, 1, PTE(L1, P | U));
	ksft_eq(eu_access(e, VA, E_W, false), 0);
	ksft_eq(eu_access(e, VA + (1 << 21), 0, false), 0);
	ksft_eq(eu_access(e, VA + (1 << 21), E_W, false), FAULT | E_P | E_W | E_U);
	ksft_eq(e->vm.mmu.spages, 4);
	audit(true);
	ksft_eq(mmu_update(&e->v, PTE(L2, 0), 0, false), 0);
	ksft_eq(e->vm.mmu.spages, 4);
	ksft_eq(eu_access(e, VA + (1 << 21), 0, false), 0);
	audit(true);
	ksft_eq(mmu_update(&e->v, PTE(L2, 8), 0, false), 0);
	ksft_eq(e->vm.mmu.spages, 3);
	audit(true);
}

static void updates(void)
{
	start();
	ksft_eq(eu_access(e, VA, E_W, false), 0);
	ksft_eq(mmu_update(&e->v, PTE(L1, 8), PTE(DATA + 20, P | W | U | A | D), false), 0);
	ksft_eq(eu_spte(e, VA + 0x1000), PA(DATA + 20) | P | W | U | A | D);
	ksft_eq(mmu_update(&e->v, PTE(L1, 8), PTE(DATA + 20, P | W | U | A), false), 0);
	ksft_eq(eu_spte(e, VA + 0x1000), PA(DATA + 20) | P | U | A);
	ksft_eq(mmu_update(&e->v, PTE(L1, 8), PTE(DATA + 20, P | W | U), false), 0);
	ksft_eq(eu_spte(e, VA + 0x1000), 0);
	/* Accessed and dirty kept */
	ksft_eq(mmu_update(&e->v, PTE(L1, 0), PTE(DATA, P | U), true), 0);
	ksft_eq(table(L1)[0], PTE(DATA, P | U | A | D));
	ksft_eq(eu_spte(e, VA), PA(DATA) | P | U | A);
	ksft_eq(mmu_update(&e->v, PTE(L1, 0), 0xdead000, false), 0); /* not present: anything */
	ksft_eq(table(L1)[0], 0xdead000);
	ksft_eq(eu_spte(e, VA), e->vm.mmu.none);
	/* PAT at level 1 is not shown, a large page above is refused */
	ksft_eq(mmu_update(&e->v, PTE(L1, 0), PTE(DATA, P | A | PSE | 0x118), false), 0);
	ksft_eq(eu_spte(e, VA), PA(DATA) | P | A);
	ksft_eq(mmu_update(&e->v, PTE(L2, 0), PTE(DATA, P | PSE), false), -EINVAL);
	ksft_eq(mmu_update(&e->v, PTE(L1, 0), PTE(FRAMES, P), false), -EINVAL);
	ksft_eq(mmu_update(&e->v, PTE(L1, 0), PTE(1ull << 39, P), false), -EINVAL);
	ksft_eq(mmu_update(&e->v, PTE(FRAMES, 0), 0, false), -EINVAL);
	ksft_eq(mmu_update(&e->v, ~7ull, 0, false), -EINVAL);
	ksft_eq(mmu_update(&e->v, PTE(L1, 4), 0, false), -EINVAL);
	ksft_eq(table(L1)[0], PTE(DATA, P | A | PSE | 0x118));
	audit(true);

	ksft_eq(mmu_update_va(&e->v, VA + 0x3000, PTE(DATA + 21, P | A)), 0);
	ksft_eq(eu_spte(e, VA + 0x3000), PA(DATA + 21) | P | A);
	ksft_eq(mmu_update_va(&e->v, VA + (1ull << 39), 0), -EINVAL);
	ksft_eq(mmu_update_va(&e->v, VA, PTE(FRAMES, P)), -EINVAL);
	audit(true);
}

/* The kernel writes a live table through a mapping that it knows to be read-only. */
static void table_writes(void)
{
	const u64 at = VA + 0x7000;

	start();
	ksft_eq(mmu_pin(&e->v, L1, 1), 0);
	eu_pte(e, L1, 7, PTE(L1, P | A));
	eu_pte(e, L1, 6, PTE(DATA, P | A));
	ksft_eq(eu_access(e, VA, E_W, false), 0);
	ksft_eq(eu_access(e, at, E_W, false), FAULT | E_P | E_W | E_U);
	ksft_eq(eu_access(e, VA + 0x6000, E_W, true), FAULT | E_P | E_W); /* not a table */
	/* Nor through what the guest's user mode could write by then. */
	eu_pte(e, L1, 500, PTE(L1, P | U | A));
	ksft_eq(eu_access(e, VA + 500 * 0x1000, E_W, true), FAULT | E_P | E_W);
	ksft_eq(eu_access(e, at, E_W, true), 0);
	ksft_check(lite_frame(&e->vm, L1, NULL)->flags & FRAME_UNSYNC);
	ksft_eq(table(L1)[7], PTE(L1, P | A)); /* neither dirty nor writable for the guest */
	audit(true);
	eu_pte(e, L1, 0, 0);
	eu_pte(e, L1, 1, PTE(DATA + 30, P | U));
	ksft_check(eu_spte(e, VA)); /* until it flushes */
	audit(true);
	/* Of one page: its entry; the table is written on. */
	eu_pte(e, L1, 6, 0);
	ksft_eq(mmu_flush(&e->v, VA, 0), 0);
	ksft_eq(eu_spte(e, VA), e->vm.mmu.none);
	ksft_check(eu_spte(e, VA + 0x6000) & P);
	ksft_check(eu_spte(e, at) & W);
	audit(true);
	ksft_eq(mmu_flush(&e->v, ~0ull, 0), 0);
	ksft_eq(eu_spte(e, VA + 0x6000), e->vm.mmu.none);
	ksft_eq(eu_spte(e, at) & (P | W), P);
	ksft_check(!(lite_frame(&e->vm, L1, NULL)->flags & FRAME_UNSYNC));
	ksft_eq(e->vm.mmu.unsyncs, 0);
	audit(true);
	/* Upper tables too. */
	eu_pte(e, L1, 7, PTE(L2, P | A));
	ksft_eq(mmu_update(&e->v, PTE(L1, 7 * 8), PTE(L2, P | A), false), 0);
	ksft_eq(eu_access(e, VA + 0x1000, 0, false), 0);
	ksft_eq(eu_access(e, at, E_W, true), 0);
	eu_pte(e, L2, 0, PTE(OTHER, P | W | U));
	ksft_eq(mmu_flush(&e->v, VA, 0), 0);
	ksft_eq(e->vm.mmu.unsyncs, 0);
	ksft_eq(eu_level(e, VA, 2), 0);
	audit(true);
	/* A table that is neither pinned nor in use is ordinary memory. */
	eu_pte(e, L2, 0, PTE(L1, P | W | U));
	ksft_eq(mmu_unpin(&e->v, L1), 0);
	ksft_eq(mmu_update(&e->v, PTE(L1, 5 * 8), PTE(OTHER, P | A), false), 0);
	ksft_eq(eu_access(e, VA + 0x5000, E_W, true), FAULT | E_P | E_W);
	audit(true);
}

/* A page is flushed while its table is in no table above, or another one is there. */
static void unsync_elsewhere(void)
{
	const u64 at = VA + 0x7000;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		start();
		ksft_eq(mmu_pin(&e->v, L1, 1), 0);
		eu_pte(e, L1, 7, PTE(L1, P | A));
		eu_pte(e, L1, 6, PTE(DATA, P | U | A));
		eu_pte(e, L2, 1, PTE(L1, P | W | U));
		ksft_eq(eu_access(e, VA, 0, true), 0);
		ksft_eq(eu_access(e, at + 0x200000, E_W, true), 0);
		ksft_eq(eu_access(e, VA + 0x6000, 0, false), 0);
		ksft_eq(mmu_update(&e->v, PTE(L2, 0), i ? PTE(OTHER, P | W | U) : 0, false), 0);
		eu_pte(e, L1, 6, 0);
		ksft_eq(mmu_flush(&e->v, VA + 0x6000, 0), 0);
		ksft_eq(mmu_update(&e->v, PTE(L2, 0), PTE(L1, P | W | U), false), 0);
		ksft_eq(eu_access(e, VA + 0x6000, 0, false), FAULT | E_U);
		ksft_eq(eu_access(e, VA, 0, false), 0);
		ksft_eq(eu_spte(e, VA + 0x6000), e->vm.mmu.none);
		audit(true);
	}
}

/* The same with what is above it: to be linked again, with all that it leads to. */
static void unsync_below(void)
{
	unsigned int i;

	for (i = 0; i < 2; i++) {
		start();
		ksft_eq(mmu_pin(&e->v, L1, 1), 0);
		ksft_eq(mmu_pin(&e->v, L2, 2), 0);
		/* A root that has it, read-only, but not what leads to it. */
		eu_pte(e, OTHER, 0, PTE(6, P | W));
		eu_pte(e, 6, 0, PTE(7, P | W));
		eu_pte(e, 7, 0, PTE(8, P | W));
		eu_pte(e, 8, 1, PTE(L1, P | A));
		ksft_eq(mmu_pin(&e->v, OTHER, 4), 0);
		ksft_eq(eu_access(e, VA, 0, true), 0);
		ksft_eq(mmu_new_base(&e->v, OTHER, false), 0);
		ksft_eq(eu_access(e, 0x1000, E_W, true), 0);
		eu_pte(e, L1, 0, PTE(DATA + 11, P | W | U | A | D));
		ksft_eq(mmu_flush(&e->v, VA, 0), 0);
		if (i) {
			eu_pte(e, 9, 0, PTE(L2, P | W | U));
			ksft_eq(mmu_update(&e->v, PTE(OTHER, 2 * 8), PTE(9, P | W | U), false), 0);
		} else {
			ksft_eq(mmu_update(&e->v, PTE(OTHER, 2 * 8), PTE(L3, P | W | U), false), 0);
		}
		ksft_eq(eu_access(e, VA + 0x1000, 0, true), 0);
		ksft_eq(eu_spte(e, VA) & ~FLAGS, PA(DATA + 11));
		audit(true);
	}
}

static void unsync_release(void)
{
	start();
	ksft_eq(mmu_pin(&e->v, OTHER, 1), 0);
	eu_pte(e, L1, 7, PTE(OTHER, P | A));
	ksft_eq(eu_access(e, VA + 0x7000, E_W, true), 0);
	ksft_eq(e->vm.mmu.unsyncs, 1);
	/* The table whose entry maps it goes, its shadow page is reused. */
	ksft_eq(mmu_update(&e->v, PTE(L2, 0), 0, false), 0);
	audit(true);
	eu_pte(e, DATA + 1, 7, PTE(DATA + 2, P | W | U | A | D));
	ksft_eq(mmu_update(&e->v, PTE(L2, 0), PTE(DATA + 1, P | W | U), false), 0);
	ksft_eq(eu_access(e, VA + 0x7000, E_W, false), 0);
	ksft_eq(mmu_flush(&e->v, ~0ull, 0), 0);
	ksft_check(eu_spte(e, VA + 0x7000) & W);
	audit(true);
}

static void unsync_many(void)
{
	unsigned int i;

	start();
	ksft_eq(mmu_pin(&e->v, L1, 1), 0);
	for (i = 0; i < 3 * MMU_UNSYNC_MAX / 2; i++)
		eu_pte(e, L1, 16 + i, PTE(L1, P | A));
	for (i = 0; i < 3 * MMU_UNSYNC_MAX / 2; i++)
		ksft_eq(eu_access(e, VA + (16 + i) * 0x1000ull, E_W, true), 0);
	ksft_check(e->vm.mmu.unsyncs <= MMU_UNSYNC_MAX);
	audit(true);
	ksft_eq(mmu_flush(&e->v, ~0ull, 0), 0);
	for (i = 0; i < 512; i++)
		ksft_eq(eu_spte(e, VA + i * 0x1000ull) & W, 0);
	audit(true);
}

static void roots(void)
{
	u64 pa;

	start();
	ksft_eq(eu_access(e, VA, 0, false), 0);
	pa = e->v.root_pa;
	eu_pte(e, OTHER, 2, PTE(L3, P | W | U));
	ksft_eq(mmu_new_base(&e->v, OTHER, false), 0);
	ksft_eq(eu_access(e, VA, 0, false), 0);
	ksft_check(e->v.root_pa != pa);
	ksft_eq(e->vm.mmu.spages, 5);
	audit(true);
	/* Back: the old root was pinned and is still there, the other was not and is gone. */
	ksft_eq(mmu_new_base(&e->v, L4, false), 0);
	ksft_eq(mmu_root(&e->v), 0);
	ksft_eq(e->v.root_pa, pa);
	ksft_check(eu_spte(e, VA));
	ksft_eq(e->vm.mmu.spages, 4);
	ksft_eq(mmu_new_base(&e->v, OTHER, true), 0);
	ksft_eq(e->v.uroot, OTHER);
	ksft_eq(e->v.kroot, L4);
	audit(true);

	/* Without the cache nothing of it survives. */
	start_as((struct eu_config){ .frames = FRAMES });
	ksft_eq(eu_access(e, VA, 0, false), 0);
	ksft_eq(mmu_flush(&e->v, ~0ull, 0), 0);
	ksft_eq(eu_spte(e, VA), 0);
	ksft_eq(e->vm.mmu.spages, 1);
	ksft_eq(eu_access(e, VA, 0, false), 0);
	ksft_eq(mmu_new_base(&e->v, OTHER, false), 0);
	ksft_eq(e->vm.mmu.spages, 0);
	audit(true);
}

static void copies(void)
{
	u8 buf[0x3000], back[0x3000];
	unsigned int i;

	start();
	for (i = 0; i < sizeof(buf); i++)
		buf[i] = i * 7 + i / 256;
	ksft_eq(mmu_write(&e->v, VA + 0x123, buf, sizeof(buf)), 0);
	ksft_eq(mmu_read(&e->v, back, VA + 0x123, sizeof(back)), 0);
	ksft_memeq(back, buf, sizeof(buf));
	ksft_memeq((u8 *)table(DATA) + 0x123, buf, 0x1000 - 0x123);
	ksft_eq(table(L1)[0] & (A | D), A | D);
	ksft_eq(table(L1)[4] & (A | D), 0);
	ksft_eq(mmu_read(&e->v, back, VA + 0x7fff, 2), -EFAULT);
	eu_pte(e, L1, 7, PTE(DATA, P));
	ksft_eq(mmu_read(&e->v, back, VA + 0x7000, 8), 0);
	ksft_eq(mmu_write(&e->v, VA + 0x7000, buf, 8), -EFAULT);
	ksft_eq(table(L1)[7] & D, 0);
	ksft_eq(mmu_read(&e->v, back, VA + 0x100000, 0), 0);
	ksft_eq(e->vm.mmu.spages, 0); /* it goes by the guest's tables alone */
}

static void absent(void)
{
	enum mmu_result res;
	u64 err = 0, x;

	start_as((struct eu_config){ .frames = FRAMES, .cache = true, .absent = true });
	ksft_eq(mmu_root(&e->v), 0);
	ksft_eq(mmu_fault(&e->v, VA, &err, &res), -EAGAIN);
	ksft_eq(e->v.want, LITE_WANT_FRAME);
	ksft_eq(e->v.want_gfn, DATA);
	ksft_eq(table(L1)[0], PTE(DATA, P | W | U)); /* nothing half done */
	ksft_eq(e->vm.mmu.spages, 1);
	ksft_eq(mmu_read(&e->v, &x, VA + 0x1000, 8), -EAGAIN);
	ksft_eq(e->v.want_gfn, DATA + 1);
	ksft_eq(mmu_update(&e->v, PTE(40, 0), 0, false), -EAGAIN);
	ksft_eq(e->v.want_gfn, 40);
	ksft_eq(mmu_update(&e->v, PTE(L1, 0), PTE(41, P | A), false), 0);
	ksft_check(eu_want(e));
	ksft_eq(eu_access(e, VA, 0, true), 0);
	ksft_eq(eu_spte(e, VA), PA(41) | P | A);
	audit(true);
}

static void shortage(void)
{
	enum mmu_result res;
	u64 err = 0;

	start();
	ksft_eq(mmu_root(&e->v), 0);
	while (e->vm.mmu.pooled > 7)
		e->vm.mmu.trash[e->vm.mmu.trashed++] = e->vm.mmu.pool[--e->vm.mmu.pooled];
	eu_trash(e);
	ksft_eq(mmu_fault(&e->v, VA, &err, &res), -EAGAIN);
	ksft_eq(e->v.want, LITE_WANT_POOL);
	ksft_eq(e->vm.mmu.spages, 1);
	ksft_eq(table(L1)[0], PTE(DATA, P | W | U));
	audit(true);
	ksft_check(eu_want(e));
	ksft_eq(mmu_fault(&e->v, VA, &err, &res), 0);
	ksft_eq(res, MMU_FIXED);

	/* The lock is somebody else's: a light exit does not wait. */
	e->v.tier = LITE_LIGHT;
	lite_lock(&e->vm.lock);
	ksft_eq(mmu_fault(&e->v, VA, &err, &res), -EBUSY);
	e->v.root_gfn = ~0ull;
	ksft_eq(mmu_root(&e->v), -EBUSY);
	ksft_eq(mmu_update(&e->v, PTE(L1, 0), 0, false), -EBUSY);
	ksft_eq(mmu_pin(&e->v, L1, 1), -EBUSY);
	ksft_eq(mmu_flush(&e->v, ~0ull, 0), -EBUSY);
	ksft_eq(mmu_read(&e->v, &err, VA, 8), 0);
	lite_unlock(&e->vm.lock);
	ksft_eq(mmu_update(&e->v, PTE(L1, 0), 0, false), 0);
}

static void evicts(void)
{
	unsigned int i, round;

	start_as((struct eu_config){ .frames = FRAMES, .spages = 12, .cache = true });
	for (i = 0; i < 24; i++) {
		eu_pte(e, L2, i, PTE(DATA + i, P | W | U));
		eu_pte(e, DATA + i, 0, PTE(L1, P | U));
	}
	for (round = 0; round < 3; round++) {
		for (i = 0; i < 24; i++) {
			ksft_eq(eu_access(e, VA + ((u64)i << 21), 0, false), 0);
			ksft_check(e->vm.mmu.spages < 12);
			audit(true);
		}
	}
	ksft_check(e->v.stats.shadow_evicted);
	ksft_check(mmu_evict(&e->vm, 2) >= 2);
	audit(true);
	mmu_evict(&e->vm, 1000);
	ksft_eq(e->vm.mmu.spages, 1); /* the root stays */
	audit(true);
	ksft_eq(eu_access(e, VA, 0, false), 0);
}

/* More tables go at once than pool and trash can take. */
static void overflow(void)
{
	unsigned int i;

	start_as((struct eu_config){ .frames = 512, .spages = 600, .cache = true });
	for (i = 0; i < 400; i++) {
		eu_pte(e, L2, i, PTE(DATA + i, P | W | U));
		eu_pte(e, DATA + i, 0, PTE(L1, P | U));
		ksft_eq(eu_access(e, VA + ((u64)i << 21), 0, false), 0);
	}
	ksft_eq(e->vm.mmu.spages, 403);
	ksft_eq(mmu_update(&e->v, PTE(L4, 16), 0, false), 0);
	ksft_eq(e->vm.mmu.spages, 1);
	ksft_check(e->vm.mmu.spare);
	audit(true);
	/* They come back by the pool and, as far as there is room, the trash. */
	eu_trash(e);
	ksft_eq(mmu_evict(&e->vm, 0), 0);
	ksft_check(e->vm.mmu.trashed);
	while (e->vm.mmu.spare) {
		eu_trash(e);
		mmu_evict(&e->vm, 0);
	}
	eu_trash(e);
	ksft_eq(e->pages_out, e->vm.mmu.pooled + 2);
}

int main(int argc, char **argv)
{
	int ret;

	ksft_case("faults map pages, with accessed and dirty bits", maps);
	ksft_case("permissions and error codes", permissions);
	ksft_case("foreign frames, large pages and bad roots are refused", foreign);
	ksft_case("the hypervisor's slots of the root", hole);
	ksft_case("what the guest does not have is marked", absent_marked);
	ksft_case("requests that the switcher has taken", requests);
	ksft_case("a fault for a protection key is the guest's", protection_key);
	ksft_case("a read-only slot stays so", readonly_slot);
	ksft_case("a table at four levels has four shadow pages", recursive);
	ksft_case("pinned tables stay, others go with their parents", pins);
	ksft_case("a leaf table with two parents", shared_leaf);
	ksft_case("updates are checked and shown", updates);
	ksft_case("a kernel's writes to its tables", table_writes);
	ksft_case("a table out of sync is away while its page is flushed", unsync_elsewhere);
	ksft_case("what leads to a table out of sync is away meanwhile", unsync_below);
	ksft_case("the mapping of a table out of sync goes away", unsync_release);
	ksft_case("more tables out of sync than there is room for", unsync_many);
	ksft_case("changes of root", roots);
	ksft_case("copies from and to guest virtual memory", copies);
	ksft_case("frames that are not resident are asked for", absent);
	ksft_case("no pages, no lock", shortage);
	ksft_case("eviction", evicts);
	ksft_case("more pages given up than pool and trash take", overflow);
	ret = ksft_run(argc, argv);
	if (e)
		eu_free(e);
	return ret;
}
