/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A guest with one path of page tables, for tests of its shadow by cases. Included once by each.
 */
#ifndef LODGE_LITE_TABLES_H
#define LODGE_LITE_TABLES_H

#include "lite_bits.h"
#include "liteaudit.h"

#define PA(gfn) (lite_frame(&e->vm, gfn, NULL)->pa)
#define FLAGS	(P | W | U | A | D | PSE | NX)

/* The guest's tables: L4 1, L3 2, L2 3, L1 4; frames from 16 on are data. */
enum { L4 = 1, L3, L2, L1, OTHER, DATA = 16, FRAMES = 64 };
#define VA 0x10000000000ull /* index 2 at level 4, 0 below */

static struct eu *e;

static void audit(bool guest)
{
	eu_audit(e, guest);
}

static u64 *table(u64 gfn)
{
	return eu_page(e, gfn);
}

static void start_as(struct eu_config c)
{
	unsigned int i;

	if (e) /* of the case before */
		eu_free(e);
	e = eu_new(&c);
	eu_pte(e, L4, 2, PTE(L3, P | W | U));
	eu_pte(e, L3, 0, PTE(L2, P | W | U));
	eu_pte(e, L2, 0, PTE(L1, P | W | U));
	for (i = 0; i < 8; i++)
		eu_pte(e, L1, i, PTE(DATA + i, P | W | U));
	ksft_eq(mmu_new_base(&e->v, L4, false), 0);
	e->v.changed = 0;
	ksft_eq(mmu_pin(&e->v, L4, 4), 0);
	eu_fill(e, 16);
}

static void start(void)
{
	start_as((struct eu_config){ .frames = FRAMES, .rom = 4, .cache = true });
}

#endif
