// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pairs of roots between which the switcher changes by itself (lite/core/mmu_base.c): which there
 * are, that their shadows stay while they are listed and no longer, and that a number that the
 * guest made up does nothing.
 */
#include "liteaudit.h"
#include "mmu_int.h"

#define PTE(gfn, bits) ((u64)(gfn) << 12 | (bits))
#define PWU	       (PTE_P | PTE_W | PTE_U)
#define VA	       0x10000000000ull /* index 2 at level 4, 0 below */

/* Roots 1 to 12 share the tables below; frame DATA + n is what root n has at VA. */
enum { ROOT = 1, ROOTS = 12, L3 = 20, L2 = 40, L1 = 60, DATA = 80, FRAMES = 128 };

static struct eu *e;

static void audit(void)
{
	eu_audit(e, true);
}

static void start_as(struct eu_config c)
{
	unsigned int i;

	if (e)
		eu_free(e);
	c.frames = FRAMES;
	e = eu_new(&c);
	for (i = 0; i < ROOTS; i++) {
		eu_pte(e, ROOT + i, 2, PTE(L3 + i, PWU));
		eu_pte(e, L3 + i, 0, PTE(L2 + i, PWU));
		eu_pte(e, L2 + i, 0, PTE(L1 + i, PWU));
		eu_pte(e, L1 + i, 0, PTE(DATA + i, PWU));
		ksft_eq(mmu_pin(&e->v, ROOT + i, 4), 0);
	}
	eu_fill(e, 64);
}

static void start(void)
{
	start_as((struct eu_config){ .cache = true });
}

/* As the guest's kernel does it; then the program at work. */
static void change(unsigned int kroot, unsigned int uroot)
{
	eu_fill(e, 64);
	ksft_eq(mmu_new_base(&e->v, kroot, false), 0);
	ksft_eq(mmu_new_base(&e->v, uroot, true), 0);
	ksft_eq(mmu_root(&e->v), 0);
	audit();
}

static u64 seen(void)
{
	return eu_access(e, VA, 0, true) ? 0 : (eu_spte(e, VA) & PTE_FRAME);
}

static u64 data(unsigned int root)
{
	return lite_frame(&e->vm, DATA + root - ROOT, NULL)->pa;
}

static unsigned int pairs(void)
{
	unsigned int i, n = 0;

	for (i = 0; i < LITE_BASES; i++)
		n += !!e->v.base[i].root_pa;
	return n;
}

static void taken(void)
{
	u64 first, second;
	u32 one, gen;

	start();
	change(1, 0);
	ksft_eq(seen(), data(1));
	one = e->v.base_now;
	first = e->v.root_pa;
	change(2, 3);
	ksft_eq(seen(), data(2));
	second = e->v.root_pa;
	ksft_check(one && e->v.base_now && e->v.base_now != one && first != second);
	ksft_eq(pairs(), 2);
	ksft_check(mmu_base_ok(&e->v));

	e->v.changed = 0;
	mmu_base_taken(&e->v, one);
	ksft_eq(e->v.kroot, 1);
	ksft_eq(e->v.uroot, 0);
	ksft_eq(e->v.root_pa, first);
	ksft_check(e->v.changed & LITE_CH_ROOT);
	ksft_eq(mmu_root(&e->v), 0);
	ksft_eq(e->v.root_pa, first);
	ksft_eq(seen(), data(1));
	audit();

	/* Away and back, with no exit between: that is a flush, too. */
	gen = e->vm.mmu.gtlb_gen;
	mmu_base_taken(&e->v, one);
	ksft_eq(e->vm.mmu.gtlb_gen, gen + 1);
	mmu_base_taken(&e->v, 0);
	ksft_eq(e->vm.mmu.gtlb_gen, gen + 1);

	/* Another pair of the same kernel's root is a pair of its own. */
	change(2, 4);
	ksft_eq(pairs(), 3);
	ksft_eq(e->v.root_pa, second);
}

static void made_up(void)
{
	static const u64 bad[] = { 0, 5, LITE_BASES, LITE_BASES + 1, 1ull << 32 | 1, ~0ull };
	struct lite_base now;
	unsigned int i;

	start();
	change(1, 0);
	change(2, 3);
	now = e->v.base[e->v.base_now];
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		mmu_base_taken(&e->v, bad[i]);
		ksft_eq(e->v.kroot, 2);
		ksft_eq(e->v.uroot, 3);
		ksft_eq(e->v.root_pa, now.root_pa);
	}
	/* Nor from roots that are not a pair: the old one's shadow would be left behind. */
	ksft_eq(mmu_unpin(&e->v, 2), 0);
	ksft_check(!e->v.base_now && !mmu_base_ok(&e->v));
	for (i = 0; i < LITE_BASES; i++)
		mmu_base_taken(&e->v, i);
	ksft_eq(e->v.kroot, 2);
	audit();
}

static void pinned_only(void)
{
	start();
	change(1, 2);
	change(3, 4);
	ksft_eq(pairs(), 2);
	/* The user's root is half of a pair, also where it has no shadow. */
	ksft_eq(mmu_unpin(&e->v, 2), 0);
	ksft_eq(pairs(), 1);
	audit();
	ksft_eq(mmu_pin(&e->v, 3, 4), 0);
	ksft_eq(pairs(), 0);
	audit();
	change(5, 2);
	ksft_eq(pairs(), 0);
	ksft_eq(mmu_unpin(&e->v, 6), 0);
	change(6, 0);
	ksft_eq(pairs(), 0);
	change(5, 0);
	ksft_eq(pairs(), 1);
	ksft_eq(seen(), data(5));
	audit();
}

/* Without the cache no root is left to change to; other vCPUs would have to be asked. */
static void not_for_all(void)
{
	start_as((struct eu_config){ 0 });
	change(1, 0);
	change(2, 0);
	ksft_eq(pairs(), 0);
	start();
	e->vm.alone = false;
	change(1, 0);
	change(2, 0);
	ksft_eq(pairs(), 0);
	ksft_check(!mmu_base_ok(&e->v));
}

static void many(void)
{
	unsigned int i;

	start();
	for (i = 0; i < ROOTS; i++) {
		change(ROOT + i, 0);
		ksft_eq(seen(), data(ROOT + i));
	}
	ksft_eq(pairs(), LITE_BASES - 1);
	ksft_eq(e->v.base[e->v.base_now].kroot, ROOTS);
	for (i = 1; i < LITE_BASES; i++) {
		mmu_base_taken(&e->v, i);
		ksft_eq(e->v.base_now, i);
		ksft_eq(seen(), data(e->v.kroot));
		audit();
	}
}

static void flushes(void)
{
	start();
	change(1, 0);
	change(2, 0);
	ksft_eq(seen(), data(2));
	/* Its last-level table goes out of sync: the next change of roots has to compare it. */
	ksft_eq(mmu_pin(&e->v, L1 + 1, 1), 0);
	eu_pte(e, L1 + 1, 1, PTE(L1 + 1, PTE_P | PTE_A));
	ksft_eq(eu_access(e, VA + 0x1000, 2, true), 0);
	ksft_check(e->vm.mmu.unsyncs && !mmu_base_ok(&e->v));
	ksft_eq(mmu_flush(&e->v, ~0ull, 0), 0);
	ksft_check(mmu_base_ok(&e->v));
	audit();
}

/* Of a root that is listed, the shadow stays; what is below may go. */
static void eviction(void)
{
	unsigned int i;

	start();
	change(1, 0);
	ksft_eq(seen(), data(1));
	change(2, 0);
	ksft_eq(seen(), data(2));
	mmu_evict(&e->vm, 1000);
	ksft_eq(e->vm.mmu.spages, 2);
	audit();
	mmu_base_taken(&e->v, e->v.base_now == 1 ? 2 : 1);
	ksft_eq(seen(), data(1));
	audit();

	/* But not when shadow memory has come to its end. */
	start_as((struct eu_config){ .cache = true, .spages = 10 });
	for (i = 1; i <= 6; i++)
		change(i, 0);
	ksft_eq(pairs(), 6);
	ksft_eq(seen(), data(6));
	ksft_eq(pairs(), 0);
	ksft_check(e->vm.mmu.spages < 10 && !mmu_base_ok(&e->v));
	audit();
}

int main(int argc, char **argv)
{
	int ret;

	ksft_case("the switcher changes from one to another", taken);
	ksft_case("numbers that the guest makes up", made_up);
	ksft_case("what is pinned anew, or no longer, is none", pinned_only);
	ksft_case("none without the cache, or with other vCPUs", not_for_all);
	ksft_case("more than there are places", many);
	ksft_case("not with tables out of sync", flushes);
	ksft_case("eviction", eviction);
	ret = ksft_run(argc, argv);
	if (e)
		eu_free(e);
	return ret;
}
