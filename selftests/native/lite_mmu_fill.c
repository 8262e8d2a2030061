// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the shadow of a lite guest gets before it is asked for: neighbours, new roots.
 */
#include "lite_tables.h"

static void prefills(void)
{
	unsigned int i;

	start();
	for (i = 0; i < 130; i++)
		eu_pte(e, L1, i, PTE(DATA + (i & 31), P | W | U | A | (i & 1 ? D : 0)));
	for (i = 135; i < 512; i += 9)
		eu_pte(e, L1, i, PTE(DATA + (i & 31), P | U | (i & 1 ? A : 0)));
	/* All of a page that is new */
	ksft_eq(eu_access(e, VA + 0x5000, 0, false), 0);
	for (i = 0; i < 130; i++)
		ksft_eq(eu_spte(e, VA + i * 0x1000) & FLAGS, P | U | A | (i & 1 ? W | D : 0));
	for (i = 130; i < 512; i++)
		if (i % 9)
			ksft_eq(eu_spte(e, VA + i * 0x1000), e->vm.mmu.none);
		else
			ksft_eq(eu_spte(e, VA + i * 0x1000) & FLAGS, i & 1 ? P | U | A : 0);
	ksft_eq(e->v.stats.fills, 130 + 21);
	audit(true);
}

/* A page that has other entries gets those around: 128. */
static void prefills_around(void)
{
	unsigned int i;

	start();
	for (i = 0; i < 512; i++)
		eu_pte(e, L1, i, PTE(DATA + (i & 31), P | W | U));
	ksft_eq(eu_access(e, VA + 0x5000, 0, false), 0);
	ksft_eq(e->v.stats.fills, 1);
	for (i = 0; i < 512; i++)
		eu_pte(e, L1, i, PTE(DATA + (i & 31), P | W | U | A));
	ksft_eq(eu_access(e, VA + 0x7000, 0, false), 0);
	for (i = 0; i < 512; i++)
		ksft_eq(eu_spte(e, VA + i * 0x1000) & FLAGS, i < 128 ? P | U | A : 0);
	audit(true);
	/* As it does where the guest has nothing and the page but one entry, elsewhere. */
	start();
	for (i = 0; i < 512; i++)
		eu_pte(e, L1, i, PTE(DATA + (i & 31), P | W | U));
	ksft_eq(eu_access(e, VA + 0x5000, 0, false), 0);
	for (i = 0; i < 512; i++)
		if (i != 5)
			eu_pte(e, L1, i, 0);
	ksft_eq(eu_access(e, VA + 140 * 0x1000, 0, false), FAULT | E_U);
	ksft_check(eu_spte(e, VA + 0x5000) & P);
	ksft_eq(eu_spte(e, VA + 140 * 0x1000), e->vm.mmu.none);
	ksft_eq(eu_spte(e, VA + 120 * 0x1000), 0);
	audit(true);
}

/* One that is full and in sync has been told all; one out of sync has not. */
static void prefills_unsync(void)
{
	unsigned int i;

	start();
	for (i = 1; i < 8; i++)
		eu_pte(e, L1, i, 0);
	eu_pte(e, L1, 8, PTE(L1, P | A)); /* the kernel sees its table, read-only */
	ksft_eq(mmu_pin(&e->v, L1, 1), 0);
	ksft_eq(eu_access(e, VA, 0, false), 0);
	ksft_eq(eu_spte(e, VA + 0x3000), e->vm.mmu.none);
	eu_pte(e, L2, 0, PTE(L1, P | W));
	ksft_eq(eu_access(e, VA + 0x8000, E_W, true), 0);
	eu_pte(e, L1, 3, PTE(DATA + 3, P | W | A | D));
	eu_pte(e, L1, 4, PTE(DATA + 4, P | W | A | D));
	ksft_eq(eu_access(e, VA + 0x3000, 0, true), 0);
	ksft_eq(eu_spte(e, VA + 0x4000) & ~FLAGS, PA(DATA + 4));
	audit(false);
}

/* The kernel's half of a new root: what has a shadow page is there at once, and nothing else. */
static void roots_filled(void)
{
	const u64 half = 0xffff800000000000ull;
	u64 kva = half + ((300ull - 256) << 39), other = half + ((511ull - 256) << 39);

	start();
	eu_pte(e, L4, 300, PTE(L3, P | W | A));
	eu_pte(e, L4, 301, PTE(L3, P | W | A | NX));
	eu_pte(e, L4, 302, PTE(L3, P | W));	   /* nobody has been there by it */
	eu_pte(e, L4, 303, PTE(OTHER, P | W | A)); /* has none */
	eu_pte(e, L4, 511, PTE(FRAMES, P | W | A));
	memcpy(table(DATA) + 256, table(L4) + 256, 256 * 8);
	ksft_eq(eu_access(e, kva, E_W, true), 0);
	ksft_eq(mmu_pin(&e->v, DATA, 4), 0);
	ksft_eq(mmu_new_base(&e->v, DATA, false), 0);
	ksft_eq(mmu_root(&e->v), 0);
	ksft_check(eu_spte(e, kva) & P);
	ksft_eq(eu_level(e, kva, 4) & FLAGS, P | W | A);
	ksft_eq(eu_level(e, kva + (1ull << 39), 4) & FLAGS, P | W | A | NX);
	ksft_eq(eu_level(e, kva + (2ull << 39), 4), 0);
	ksft_eq(eu_level(e, kva + (3ull << 39), 4), 0);
	ksft_eq(eu_level(e, other, 4), 0);
	ksft_eq(eu_level(e, VA, 4), 0);
	audit(true);
	/* It follows its table like any other. */
	ksft_eq(mmu_update(&e->v, PTE(DATA, 300 * 8), 0, false), 0);
	ksft_eq(eu_level(e, kva, 4), 0);
	audit(true);
}

/* While a table is out of sync, a new root finds what is below by faults, which look at it. */
static void roots_unsync(void)
{
	u64 kva = 0xffff800000000000ull + ((300ull - 256) << 39);

	start();
	eu_pte(e, L4, 300, PTE(L3, P | W | A));
	memcpy(table(DATA) + 256, table(L4) + 256, 256 * 8);
	eu_pte(e, L1, 8, PTE(L1, P | A));
	ksft_eq(mmu_pin(&e->v, L1, 1), 0);
	ksft_eq(eu_access(e, kva, 0, true), 0);
	ksft_eq(eu_access(e, kva + 0x8000, E_W, true), 0);
	ksft_check(e->vm.mmu.unsyncs);
	mmu_roots_set(&e->v, DATA, 0);
	ksft_eq(mmu_root(&e->v), 0);
	ksft_eq(eu_level(e, kva, 4), 0);
	ksft_eq(eu_access(e, kva, 0, true), 0);
	audit(true);
}

int main(int argc, char **argv)
{
	int ret;

	ksft_case("a new page is filled by its first fault", prefills);
	ksft_case("neighbours come with a fault", prefills_around);
	ksft_case("a table out of sync is filled again", prefills_unsync);
	ksft_case("a new root has the kernel's half", roots_filled);
	ksft_case("a new root leaves tables out of sync to faults", roots_unsync);
	ret = ksft_run(argc, argv);
	if (e)
		eu_free(e);
	return ret;
}
