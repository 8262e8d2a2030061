// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the shadow of a lite guest gets before it is asked for.
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

int main(int argc, char **argv)
{
	int ret;

	ksft_case("a new page is filled by its first fault", prefills);
	ksft_case("neighbours come with a fault", prefills_around);
	ksft_case("a table out of sync is filled again", prefills_unsync);
	ret = ksft_run(argc, argv);
	if (e)
		eu_free(e);
	return ret;
}
