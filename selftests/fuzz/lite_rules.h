/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whether a lite guest has kept to Xen's rules, and what its own tables then promise it. What makes
 * a guest disobedient is found by comparing its tables before and after a step: a change that was
 * no update of theirs. Included by lite_hc.c, once.
 */
#ifndef LODGE_LITE_RULES_H
#define LODGE_LITE_RULES_H

#include "lite_guest.h"

static u8 before[RAM][4096]; /* guest memory as the step began */
static u64 allowed[64];	     /* entries that this step's updates may change, by gpa */
static unsigned int nallowed;

static void remember(void)
{
	unsigned int i;

	nallowed = 0;
	for (i = 0; obedient && i < RAM; i++)
		if (lite_frame(&e->vm, i, NULL)->pa)
			memcpy(before[i], guest_mem(i), 4096);
		else
			memset(before[i], 0, 4096);
}

static void allow(u64 gpa)
{
	if (nallowed < ARRAY_SIZE(allowed))
		allowed[nallowed++] = gpa & ~7ull;
}

static bool is_allowed(u64 gpa)
{
	unsigned int i;

	for (i = 0; i < nallowed; i++)
		if (allowed[i] == gpa)
			return true;
	return false;
}

/* A table with a shadow has changed, by no update and not through a fault: no obedient guest. */
static void judge(void)
{
	unsigned int i, j;

	for (i = 0; obedient && i < RAM; i++) {
		struct lite_frame *f = lite_frame(&e->vm, i, NULL);
		const u64 *was = (const u64 *)before[i], *is;

		if (!f->shadow || (f->flags & FRAME_UNSYNC) || !f->pa)
			continue;
		is = guest_mem(i);
		if (!memcmp(was, is, 4096))
			continue;
		for (j = 0; j < 512; j++)
			if ((was[j] & ~is[j] || (is[j] & ~was[j] & ~(A | D))) &&
			    !is_allowed((u64)i << 12 | j << 3))
				obedient = false;
	}
}

/* The tables that the guest itself has in use, below @gfn at @level. */
static void mark_used(u64 gfn, unsigned int level, u8 used[RAM])
{
	const u64 *t;
	unsigned int i;

	if (gfn >= RAM || (used[gfn] >> level & 1))
		return;
	used[gfn] |= 1 << level;
	t = guest_mem(gfn);
	for (i = 0; level > 1 && i < 512; i++)
		if (t[i] & P)
			mark_used((t[i] & FN) >> 12, level - 1, used);
}

/*
 * May the guest, as it is, write into this frame itself? If it is no table; if it is one that was
 * made writable; and if it is neither pinned nor below anything that is in use. The last not while
 * there are changes that no flush has told of yet.
 */
static bool may_write(u64 gfn)
{
	struct lite_frame *f = lite_frame(&e->vm, gfn, NULL);
	u8 used[RAM] = { 0 };
	unsigned int i, level;

	if (!obedient || !f->shadow || (f->flags & FRAME_UNSYNC))
		return true;
	if (e->vm.mmu.unsyncs)
		return false;
	mark_used(e->v.kroot, 4, used);
	if (e->vm.ring == 3)
		mark_used(e->v.uroot, 4, used);
	for (i = 0; i < RAM; i++)
		for (level = 1; level <= 4; level++)
			if (lite_frame(&e->vm, i, NULL)->flags & FRAME_PINNED(level))
				mark_used(i, level, used);
	return !used[gfn];
}

/* The architecture's walk by the guest's tables: 0, or the error code it would get | 1 << 16. */
static long model(u64 va, u64 err, bool kernel, u64 *leaf, u64 *entry)
{
	long code = (long)(err & 0x12) | (kernel ? 0 : 4) | 1 << 16;
	bool two = e->vm.ring == 3;
	u64 gfn = two && !kernel ? e->v.uroot : e->v.kroot, all = ~0ull, any = 0, pte = 0;
	unsigned int level;

	for (level = 4; level >= 1; level--) {
		if (gfn >= RAM) /* foreign, or a table in a read-only slot */
			return code | 1;
		*entry = gfn << 12 | ((va >> (3 + 9 * level)) & 511) << 3;
		pte = *(u64 *)((u8 *)guest_mem(gfn) + (*entry & 4095));
		if (!(pte & P))
			return code;
		if (level > 1 && (pte & PSE))
			return code | 1;
		all &= pte;
		any |= pte;
		gfn = (pte & FN) >> 12;
	}
	*leaf = gfn;
	if (gfn >= RAM && (gfn - EU_ROM_GFN >= ROM || (err & 2)))
		return code | 1;
	if (((err & 2) && !(all & W)) || (!kernel && !(all & U)))
		return code | 1;
	if ((err & 16) && ((any & NX) || (kernel && !two && (all & U))))
		return code | 1;
	return 0;
}

#endif
