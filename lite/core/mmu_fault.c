// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page faults: either the guest's own, to be injected, or the shadow lacks what the guest's tables
 * allow. Builds the path of shadow pages from the root, and with the leaf its neighbours. Writes of
 * the guest's kernel to its tables through read-only mappings are let through here; mmu_sync()
 * makes up for them. Under vm->lock.
 */
#include "mmu_int.h"

#define ERR_P 0x01ull
#define ERR_W 0x02ull
#define ERR_U 0x04ull
#define ERR_I 0x10ull
#define ERR_K 0x20ull /* a protection key; shadow entries have key 0 */

#define FAULT_TRIES 8
#define PREFILL	    128u /* entries, aligned: 16 cache lines of the guest's table */

u64 leaf_spte(struct lite_vm *vm, unsigned int role, u64 e)
{
	struct lite_slot *slot;
	struct lite_frame *f;
	u64 spte;

	if ((e & (PTE_P | PTE_A)) != (PTE_P | PTE_A))
		return 0;
	f = lite_frame(vm, (e & PTE_FRAME) >> 12, &slot);
	if (!f)
		return 0;
	spte = mmu_load(&f->pa);
	if (!spte)
		return 0;
	spte |= PTE_P | PTE_A | (e & (PTE_U | PTE_NX)) | view_flags(vm, role);
	/* Not before the guest's entry is dirty: the processor marks only ours. */
	if ((e & PTE_W) && (e & PTE_D) && !slot->readonly)
		spte |= PTE_W | PTE_D;
	return spte;
}

/*
 * Flushes of single pages did not find it while it was in no table of theirs, nor what it leads to:
 * a table that is out of sync is compared, and an upper one comes back entry by entry.
 */
static void child_in_step(struct lite_vcpu *v, u32 child)
{
	const struct lite_spage *sp = &v->vm->mmu.spage[child];

	if (sp->level > 1)
		spage_empty(v->vm, child, 0, 512);
	else if (lite_frame(v->vm, sp->gfn, NULL)->flags & FRAME_UNSYNC)
		mmu_compare_leaves(v, sp->gfn);
}

/* The shadow page of level 1 on @w's path; reserved before. */
static u32 build_path(struct lite_vcpu *v, u64 va, const struct mmu_walk *w)
{
	struct lite_vm *vm = v->vm;
	unsigned int role = mmu_view(v), level;
	u32 parent = spage_get(v, w->gfn[4], 4, role | v->id);

	for (level = 4; level > 1; level--) {
		unsigned int idx = mmu_index(va, level);
		u64 *t = spage_table(vm, &vm->mmu.spage[parent]);
		u64 flags = upper_flags(vm, role, w->e[level]);
		u32 child = spage_find(vm, w->gfn[level - 1], level - 1, role);

		if (t[idx] && child && (t[idx] & PTE_FRAME) == vm->mmu.spage[child].pa) {
			mmu_store(&t[idx], vm->mmu.spage[child].pa | flags);
			vm->mmu.spage[child].used = true;
		} else {
			/* First, as it may release shadow pages of the levels below. */
			spage_unlink(vm, parent, idx);
			child = spage_get(v, w->gfn[level - 1], level - 1, role);
			if (vm->mmu.unsyncs)
				child_in_step(v, child);
			spage_link(vm, parent, idx, child, flags);
		}
		parent = child;
	}
	return parent;
}

/* Only entries that are empty, or say that the guest has nothing. */
static void line_fill(struct lite_vcpu *v, u32 leaf, unsigned int idx, const u64 *guest)
{
	struct lite_vm *vm = v->vm;
	const struct lite_spage *sp = &vm->mmu.spage[leaf];
	const u64 *t = spage_table(vm, sp);
	const u64 none = vm->mmu.none;
	unsigned int end = idx + MMU_LINE;

	if (line_absent(&guest[idx]) && !line_or(&t[idx], none))
		return;
	for (; idx < end; idx++) {
		u64 spte;

		if (t[idx] && t[idx] != none)
			continue;
		spte = leaf_shadow(vm, sp->role, mmu_load(&guest[idx]));
		if (spte == t[idx])
			continue;
		spage_set_leaf(vm, leaf, idx, spte);
		v->stats.fills += spte && spte != none;
	}
}

/* All of a page that has no entry but @idx, as one that is new. */
static void page_fill(struct lite_vcpu *v, u32 leaf, unsigned int idx, const u64 *guest)
{
	struct lite_spage *sp = &v->vm->mmu.spage[leaf];
	u64 *t = spage_table(v->vm, sp);
	const u64 none = v->vm->mmu.none;
	unsigned int line, filled = 0;

	for (line = 0; line < 512; line += MMU_LINE) {
		if (line == (idx & ~(MMU_LINE - 1)) || !line_absent(&guest[line])) {
			line_fill(v, leaf, line, guest);
			continue;
		}
		line_set(&t[line], none);
		filled += MMU_LINE;
	}
	if (none)
		sp->present += filled;
}

static void prefill(struct lite_vcpu *v, u32 leaf, unsigned int idx, const u64 *ep)
{
	const struct lite_spage *sp = &v->vm->mmu.spage[leaf];
	unsigned int first = idx & ~(PREFILL - 1), i;
	const u64 *guest = ep - idx;

	if (sp->present == (spage_table(v->vm, sp)[idx] ? 1 : 0)) {
		page_fill(v, leaf, idx, guest);
		return;
	}
	/* Of a full page what is new has been told, but for a table that is out of sync. */
	if (sp->present == 512 && !(lite_frame(v->vm, sp->gfn, NULL)->flags & FRAME_UNSYNC))
		return;
	for (i = first; i < first + PREFILL; i += MMU_LINE)
		line_fill(v, leaf, i, guest);
}

/* The guest has nothing at @w's leaf, nor at its neighbours, often: those faults need no exit. */
static void note_absent(struct lite_vcpu *v, u64 va, const struct mmu_walk *w)
{
	u32 leaf = v->vm->mmu.none ? spage_find(v->vm, w->gfn[1], 1, mmu_view(v)) : 0;

	if (leaf)
		prefill(v, leaf, mmu_index(va, 1), w->ep[1]);
}

/*
 * A table that the guest's kernel may change by just writing: it believes that the hypervisor
 * emulates that. Only while it is a table that Xen would take for one too.
 */
static bool table_write(const struct mmu_walk *w, const struct lite_frame *f)
{
	u64 upper = w->e[4] & w->e[3] & w->e[2];

	return (upper & PTE_W) && !(upper & w->e[1] & PTE_U) && (f->flags & FRAME_TABLE) &&
	       ((f->flags & FRAME_PINNED_ANY) || f->shadow);
}

static bool may_access(const struct lite_vcpu *v, const struct mmu_walk *w, u64 err)
{
	u64 all = w->e[4] & w->e[3] & w->e[2] & w->e[1];
	u64 any = w->e[4] | w->e[3] | w->e[2] | w->e[1];
	bool smep = v->kernel && !ring_two_roots(v->vm) && (all & PTE_U);

	if (!v->kernel && !(all & PTE_U))
		return false;
	if ((err & ERR_W) && !(all & PTE_W))
		return false;
	/* Rings 1 and 0 are one to SMEP: retrying would fault for ever. */
	return !(err & ERR_I) || (!(any & PTE_NX) && !smep);
}

/* One attempt. 1: entries changed meanwhile, again. *@present: what the guest's error code says */
static int fault_once(struct lite_vcpu *v, u64 va, u64 err, enum mmu_result *res, bool *present)
{
	struct lite_vm *vm = v->vm;
	struct mmu_walk w;
	struct lite_slot *slot;
	struct lite_frame *f;
	bool ptwr = false;
	void *page;
	u64 gfn, spte;
	unsigned int idx;
	u32 leaf;
	int ret;

	*res = MMU_INJECT;
	ret = mmu_walk(v, mmu_view(v) ? v->uroot : v->kroot, va, 1, &w);
	*present = ret == -EFAULT || (!ret && (w.e[1] & PTE_P));
	if (ret == -EAGAIN)
		return ret;
	if (!ret && !*present)
		note_absent(v, va, &w);
	if (ret || !*present)
		return 0;
	gfn = (w.e[1] & PTE_FRAME) >> 12;
	f = lite_frame(vm, gfn, &slot);
	if (!f || ((err & ERR_W) && slot->readonly))
		return 0;
	if (!may_access(v, &w, err)) {
		ptwr = (err & ERR_W) && v->kernel && !(w.e[1] & PTE_W) && table_write(&w, f);
		if (!ptwr)
			return 0;
	}
	ret = lite_gfn_ptr(v, gfn, &page);
	if (!ret)
		ret = mmu_reserve(v);
	if (ret)
		return ret;
	if (!mmu_walk_mark(&w, (err & ERR_W) && !ptwr))
		return 1;

	if (ptwr && vm->mmu.unsyncs == MMU_UNSYNC_MAX) {
		ret = mmu_sync(v);
		if (ret)
			return ret;
	}
	*res = MMU_FIXED;
	leaf = build_path(v, va, &w);
	idx = mmu_index(va, 1);
	spte = leaf_spte(vm, mmu_view(v), w.e[1]);
	if (ptwr) {
		spte |= PTE_W | PTE_D;
		unsync_add(vm, f, gfn, leaf << 9 | idx);
	}
	spage_set_leaf(vm, leaf, idx, spte);
	v->stats.fills++;
	prefill(v, leaf, idx, w.ep[1]);
	return 0;
}

int mmu_fault(struct lite_vcpu *v, u64 va, u64 *err, enum mmu_result *res)
{
	bool present = false;
	unsigned int tries;
	int ret;

	*res = MMU_INJECT;
	/*
	 * A user may take key 0's rights away in PKRU, whatever CPUID says. The shadow entry is
	 * there and right: filling it again would fault for ever, so the guest has to judge.
	 */
	if (*err & ERR_K) {
		*err = ERR_P | ERR_K | (*err & (ERR_W | ERR_I)) | (v->kernel ? 0 : ERR_U);
		return 0;
	}
	ret = mmu_lock(v);
	if (ret)
		return ret;
	if (lite_va_ok(va, 1)) {
		ret = 1;
		for (tries = 0; ret == 1 && tries < FAULT_TRIES; tries++)
			ret = fault_once(v, va, *err, res, &present);
		/* Somebody keeps changing the entries: the access faults again. */
		if (ret == 1) {
			*res = MMU_FIXED;
			ret = 0;
		}
	}
	mmu_unlock(v);
	if (!ret && *res == MMU_INJECT)
		*err = (*err & (ERR_W | ERR_I)) | (present ? ERR_P : 0) | (v->kernel ? 0 : ERR_U);
	return ret;
}
