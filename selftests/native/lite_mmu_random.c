// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shadow page tables of a lite guest under random operations, with an audit after each. An obedient
 * guest changes its tables by updates and through mappings that it is given for that: then an
 * access succeeds if and only if a walk of its tables, done here once more, says so. A hostile one
 * writes them anyhow: then only safety holds. The seed is fixed: every run is the same.
 */
#include "kselftest.h"
#include "lite/user/env_user.h"
#include "lite_bits.h"

#define TABLES 12u /* gfns that updates and roots are taken of */
#define FRAMES 24u
#define SLOTS  3u /* indices in use at each level, so that random paths meet */
#define STEPS  30000u

static struct eu *e;
static u64 state;
static bool plain; /* no entry for nothing: a processor without reserved bits */

static u32 rnd(u32 n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (u32)(state >> 32) % n;
}

static unsigned int rnd_index(void)
{
	/* In three lines of a table, and in both halves of a root */
	static const unsigned int index[SLOTS + 2] = { 0, 9, 300, 1, 511 };

	return index[rnd(rnd(8) ? SLOTS : SLOTS + 2)];
}

static u64 rnd_va(void)
{
	u64 va = 0;
	unsigned int level;

	for (level = 4; level >= 1; level--)
		va = va << 9 | rnd_index();
	return (u64)((s64)(va << 28) >> 16);
}

static u64 rnd_pte(void)
{
	u64 gfn = rnd(4) ? rnd(TABLES) : rnd(FRAMES + 2), pte;

	if (!rnd(30))
		gfn = EU_ROM_GFN + rnd(3);
	pte = gfn << 12 | (rnd(12) ? P : 0) | (rnd(4) ? W : 0) | (rnd(3) ? U : 0) | A * rnd(2) |
	      D * rnd(2);
	if (!rnd(8))
		pte |= NX;
	if (!rnd(30))
		pte |= PSE;
	if (!rnd(40))
		pte |= (u64)rnd(0x7fffffff) << 20;
	return pte;
}

static void audit(bool guest, unsigned int step, unsigned int op)
{
	char why[128] = "";
	u32 n = mmu_audit(&e->vm, guest, why, sizeof(why));

	if (n)
		ksft_fail("step %u, operation %u: %u violations, the first: %s", step, op, n, why);
}

/* The architecture's walk, and Xen's rules: 0 or the error code. *@leaf: its frame */
static long model(u64 va, u64 err, bool kernel, u64 *leaf)
{
	long code = (long)(err & 0x12) | (kernel ? 0 : 4) | 1 << 16;
	bool two = e->vm.ring == 3;
	u64 gfn = two && !kernel ? e->v.uroot : e->v.kroot, all = ~0ull, any = 0;
	unsigned int level;

	for (level = 4; level >= 1; level--) {
		u64 pte;

		if (gfn >= FRAMES) /* foreign, or a table in a read-only slot */
			return code | 1;
		pte = ((u64 *)eu_page(e, gfn))[(va >> (3 + 9 * level)) & 511];
		if (!(pte & P))
			return code;
		if (level > 1 && (pte & PSE))
			return code | 1;
		all &= pte;
		any |= pte;
		gfn = (pte & 0x000ffffffffff000ull) >> 12;
	}
	*leaf = gfn;
	if (gfn >= FRAMES && (gfn < EU_ROM_GFN || gfn >= EU_ROM_GFN + 2 || (err & 2)))
		return code | 1;
	if (((err & 2) && !(all & W)) || (!kernel && !(all & U)))
		return code | 1;
	if ((err & 16) && ((any & NX) || (kernel && !two && (all & U))))
		return code | 1;
	return 0;
}

static void step_access(u64 va, bool obedient, bool flushed)
{
	u64 err = rnd(3) ? 2 * rnd(2) : 16, leaf = 0;
	bool kernel = rnd(3);
	long want = model(va, err, kernel, &leaf), have;

	have = eu_access(e, va, err, kernel);
	if (e->vm.ring == 3 && !kernel && !e->v.uroot) {
		ksft_eq(have, -EINVAL);
		return;
	}
	if (!obedient || have == want)
		return;
	/* Stale rights until the guest flushes, of a table that it writes to. */
	if (!have && e->vm.mmu.unsyncs && !flushed)
		return;
	if (have || !(err & 2) || !kernel ||
	    !(lite_frame(&e->vm, leaf, NULL)->flags & FRAME_UNSYNC))
		ksft_fail("access 0x%llx error 0x%llx kernel %d: 0x%lx, expected 0x%lx",
			  (unsigned long long)va, (unsigned long long)err, kernel, have, want);
}

static void step_table_write(bool obedient)
{
	u64 gfn = rnd(TABLES);

	if (obedient && !(lite_frame(&e->vm, gfn, NULL)->flags & FRAME_UNSYNC))
		return;
	eu_pte(e, gfn, rnd_index(), rnd_pte());
}

/* By the shadow, as the guest's code does: whatever is mapped writable gets written. */
static void step_blind_write(void)
{
	u64 va = rnd_va(), pte;

	if (eu_access(e, va, 2, true))
		return;
	pte = eu_spte(e, va) & 0x000ffffffffff000ull;
	((u64 *)(e->arena + pte))[rnd_index()] = rnd_pte();
}

/* As the switcher does it: some entries are written, then the shadow hears of all. */
static void step_queue(void)
{
	unsigned int n = 1 + rnd(LITE_QUEUE);

	while (e->v.queued < n) {
		u64 gfn = rnd(TABLES), idx = rnd_index();

		if (rnd(8)) {
			eu_pte(e, gfn, idx, rnd_pte());
			e->v.queue[e->v.queued++] = gfn << 12 | idx << 3;
		} else {
			e->v.queue[e->v.queued++] = gfn << 12 | (1 + rnd(7));
		}
	}
	mmu_queue_run(&e->v);
}

/* The entry for @va in a last-level table that is out of sync, or NULL. */
static u64 *unsync_entry(u64 va)
{
	u64 gfn = e->v.kroot, *pte = NULL;
	unsigned int level;

	for (level = 4; level >= 1; level--) {
		if (gfn >= FRAMES)
			return NULL;
		pte = (u64 *)eu_page(e, gfn) + ((va >> (3 + 9 * level)) & 511);
		if (level == 1)
			break;
		if ((*pte & (P | PSE)) != P)
			return NULL;
		gfn = (*pte & 0x000ffffffffff000ull) >> 12;
	}
	return lite_frame(&e->vm, gfn, NULL)->flags & FRAME_UNSYNC ? pte : NULL;
}

/* Entries change, then their pages are flushed, and no more. */
static int step_flush(bool obedient)
{
	u64 va = rnd_va(), *pte;
	unsigned int i;
	int err = 0;

	for (i = 0; i < 32 && !err; i++, va = rnd_va()) {
		pte = unsync_entry(va);
		if (!pte)
			continue;
		*pte = rnd_pte();
		err = mmu_flush(&e->v, va, 0);
		if (!err)
			step_access(va, obedient, true);
	}
	return err ? err : mmu_flush(&e->v, rnd(2) ? ~0ull : va, 0);
}

/* The switcher has changed to other roots, or the guest says that it has. */
static void step_base(bool obedient)
{
	if (!obedient || (mmu_base_ok(&e->v) && !e->v.queued))
		mmu_base_taken(&e->v, rnd(LITE_BASES + 2));
}

static unsigned int one(bool obedient)
{
	unsigned int op = rnd(42);
	u64 gfn = rnd(TABLES), b[4] = { rnd_pte(), rnd_pte(), 0, 0 };
	int err = 0;

	if (op == 41)
		step_base(obedient);
	else if (op == 40)
		step_queue();
	else if (op >= 32)
		step_access(rnd_va(), obedient, false);
	else if (op < 12)
		err = mmu_update(&e->v, gfn << 12 | rnd_index() << 3, rnd_pte(), rnd(2));
	else if (op < 20)
		step_access(rnd_va(), obedient, false);
	else if (op < 22)
		step_table_write(obedient);
	else if (op == 22)
		err = mmu_pin(&e->v, gfn, 1 + rnd(4));
	else if (op == 23)
		err = mmu_unpin(&e->v, gfn);
	else if (op == 24)
		err = mmu_new_base(&e->v, gfn, rnd(2) && e->vm.ring == 3);
	else if (op < 27)
		err = step_flush(obedient);
	else if (op == 27)
		err = mmu_update_va(&e->v, rnd_va(), rnd_pte());
	else if (op == 28)
		err = mmu_read(&e->v, b, rnd_va() + rnd(4096), sizeof(b));
	else if (op == 29 && !obedient)
		err = mmu_write(&e->v, rnd_va() + rnd(4096), b, sizeof(b));
	else if (op == 30 && !obedient)
		step_blind_write();
	else if (op == 31 && !rnd(8))
		mmu_evict(&e->vm, rnd(4));
	ksft_check(err == 0 || err == -EINVAL || err == -EFAULT || err == -EAGAIN);
	if (err == -EAGAIN)
		ksft_check(eu_want(e));
	ksft_check(!e->vm.lock.held);
	return op;
}

static void run(bool obedient, struct eu_config c, u64 seed)
{
	unsigned int i, op;
	u64 rom;

	c.frames = FRAMES;
	c.rom = 2;
	if (e)
		eu_free(e);
	e = eu_new(&c);
	e->vm.mmu.hyp_pa[0] = e->vm.mmu.hyp_pa[LITE_VCPUS_MAX] =
		(e->arena_pages - 1) * LITE_PAGE_SIZE;
	state = seed;
	e->v.kroot = 1;
	if (plain)
		e->vm.mmu.none = 0;
	for (i = 0; i < STEPS; i++) {
		op = one(obedient);
		eu_trash(e);
		audit(obedient, i, op);
	}
	for (rom = 0; rom < 2; rom++)
		for (i = 0; i < 512; i++)
			ksft_eq(((u64 *)eu_page(e, EU_ROM_GFN + rom))[i], 0);
	ksft_msg("%llu fills, %llu shadow pages made, %llu tables compared", e->v.stats.fills,
		 e->v.stats.shadow_new, e->v.stats.syncs);
	ksft_check(e->v.stats.fills > 100);
	ksft_check(e->v.stats.shadow_new > 100);
	ksft_check(e->v.stats.syncs > 5);
}

static void obedient(void)
{
	run(true, (struct eu_config){ .cache = true }, 0x9e3779b97f4a7c15ull);
	run(true, (struct eu_config){ .cache = true, .absent = true }, 88172645463325252ull);
}

static void obedient_small(void)
{
	run(true, (struct eu_config){ .cache = true, .spages = 8 }, 0x2545f4914f6cdd1dull);
	run(true, (struct eu_config){ .cache = false }, 0xd1342543de82ef95ull);
}

static void hostile(void)
{
	run(false, (struct eu_config){ .cache = true }, 0xbf58476d1ce4e5b9ull);
	run(false, (struct eu_config){ .cache = false, .absent = true }, 0x94d049bb133111ebull);
}

static void hostile_small(void)
{
	run(false, (struct eu_config){ .cache = true, .spages = 9 }, 0xff51afd7ed558ccdull);
}

/* Two views, by two roots. */
static void ring3(void)
{
	run(true, (struct eu_config){ .cache = true, .ring = 3 }, 0xc6a4a7935bd1e995ull);
	run(true, (struct eu_config){ .cache = false, .ring = 3 }, 0x87c37b91114253d5ull);
	run(false, (struct eu_config){ .cache = true, .ring = 3 }, 0x4cf5ad432745937full);
	run(false, (struct eu_config){ .cache = true, .spages = 12, .ring = 3 },
	    0x52dce729da3ed7a1ull);
}

static void without_none(void)
{
	plain = true;
	run(true, (struct eu_config){ .cache = true }, 0xa0761d6478bd642full);
	run(false, (struct eu_config){ .cache = true, .absent = true }, 0xe7037ed1a0b428dbull);
	plain = false;
}

int main(int argc, char **argv)
{
	int ret;

	ksft_case("an obedient guest", obedient);
	ksft_case("an obedient guest, with few shadow pages or no cache", obedient_small);
	ksft_case("a hostile guest", hostile);
	ksft_case("a hostile guest, with few shadow pages", hostile_small);
	ksft_case("a kernel in ring 3", ring3);
	ksft_case("a processor without reserved bits", without_none);
	ret = ksft_run(argc, argv);
	if (e)
		eu_free(e);
	return ret;
}
