// SPDX-License-Identifier: GPL-2.0-only
/*
 * The shadow brought back into step with the guest's tables: entry by entry as they change, and for
 * tables that the guest's kernel writes without telling (out of sync, mmu_fault.c) when it flushes.
 * Under vm->lock.
 */
#include "mmu_int.h"

/* Entry @idx of an upper shadow page may stay if it is what @e would become now. */
static void upper_refresh(struct lite_vm *vm, u32 index, unsigned int idx, u64 e)
{
	struct lite_spage *sp = &vm->mmu.spage[index];
	u64 spte = spage_table(vm, sp)[idx];
	u32 child;

	if (!spte || root_hole(sp->level, idx))
		return;
	if ((e & PTE_P) && !(e & PTE_PSE)) {
		child = spage_find(vm, (e & PTE_FRAME) >> 12, sp->level - 1, sp->role & ROLE_USER);
		if (child && spte == (vm->mmu.spage[child].pa | upper_flags(vm, sp->role, e)))
			return;
	}
	spage_unlink(vm, index, idx);
}

static void show_leaf(struct lite_vcpu *v, u32 index, unsigned int idx, u64 e)
{
	u64 spte = leaf_shadow(v->vm, v->vm->mmu.spage[index].role, e);

	spage_set_leaf(v->vm, index, idx, spte);
	v->stats.fills += spte && spte != v->vm->mmu.none;
}

void mmu_show(struct lite_vcpu *v, struct lite_frame *f, u64 gfn, unsigned int idx, u64 e)
{
	struct lite_vm *vm = v->vm;
	unsigned int level, n;

	if (f->shadow && !vm->mmu.spage[f->shadow].next && vm->mmu.spage[f->shadow].level == 1) {
		/* As it nearly always is. */
		show_leaf(v, f->shadow, idx, e);
		return;
	}
	for (level = 4; f->shadow && level >= 1; level--) {
		for (n = 0; n < mmu_roles(vm, level); n++) {
			u32 i = spage_find(vm, gfn, level, mmu_role(vm, level, n));

			if (i && level > 1)
				upper_refresh(vm, i, idx, e);
			else if (i)
				show_leaf(v, i, idx, e);
		}
	}
}

static void line_compare(struct lite_vm *vm, u32 index, unsigned int idx, const u64 *guest)
{
	const struct lite_spage *sp = &vm->mmu.spage[index];
	const u64 *t = spage_table(vm, sp);
	unsigned int end = idx + MMU_LINE;
	u64 spte;

	if (line_absent(&guest[idx]) && !line_or(&t[idx], vm->mmu.none))
		return;
	for (; idx < end; idx++) {
		if (!t[idx])
			continue;
		spte = leaf_shadow(vm, sp->role, mmu_load(&guest[idx]));
		if (spte != t[idx])
			spage_set_leaf(vm, index, idx, spte);
	}
}

/* @gfn's shadow pages of @level, against what it holds now; it is resident. */
static void level_compare(struct lite_vcpu *v, u64 gfn, unsigned int level)
{
	struct lite_vm *vm = v->vm;
	const u64 *guest = lite_ptr(vm, lite_frame(vm, gfn, NULL)->pa);
	unsigned int n, idx;

	for (n = 0; n < mmu_roles(vm, level); n++) {
		unsigned int role = mmu_role(vm, level, n);
		u32 i = spage_find(vm, gfn, level, role);
		u64 *t;

		if (!i)
			continue;
		v->stats.syncs++;
		if (level == 1) {
			for (idx = 0; idx < 512 && vm->mmu.spage[i].present; idx += MMU_LINE)
				line_compare(vm, i, idx, guest);
			continue;
		}
		t = spage_table(vm, &vm->mmu.spage[i]);
		for (idx = 0; idx < 512 && vm->mmu.spage[i].present; idx++)
			if (t[idx])
				upper_refresh(vm, i, idx, mmu_load(&guest[idx]));
	}
}

void mmu_compare_leaves(struct lite_vcpu *v, u64 gfn)
{
	level_compare(v, gfn, 1);
}

void unsync_add(struct lite_vm *vm, struct lite_frame *f, u64 gfn, u32 link)
{
	struct lite_mmu *m = &vm->mmu;
	u32 i;

	f->flags |= FRAME_UNSYNC;
	for (i = 0; i < m->unsyncs; i++)
		if (m->unsync[i].gfn == gfn && m->unsync[i].link == link)
			return;
	m->unsync[m->unsyncs].gfn = gfn;
	m->unsync[m->unsyncs++].link = link;
}

static void leaf_read_only(struct lite_vm *vm, u32 link)
{
	u32 index = link >> 9, idx = link & 511;
	u64 spte = spage_table(vm, &vm->mmu.spage[index])[idx];

	if (spte != vm->mmu.none)
		spage_set_leaf(vm, index, idx, spte & ~(PTE_W | PTE_D));
}

int mmu_sync(struct lite_vcpu *v)
{
	struct lite_vm *vm = v->vm;
	struct lite_mmu *m = &vm->mmu;
	unsigned int level;
	bool live = false;
	u32 i;
	int err;

	if (!m->unsyncs)
		return 0;
	/* No table is compared while it can still be written, by whichever processor. */
	for (i = 0; i < m->unsyncs; i++) {
		if (!m->unsync[i].link)
			continue;
		leaf_read_only(vm, m->unsync[i].link);
		live = true;
	}
	/* The links stay until this succeeds: a second call does all of it again. */
	err = vm->vcpus < 2 ? 0 : mmu_shoot(v, unsync_who(vm, live));
	if (err)
		return err;
	while (m->unsyncs) {
		u64 gfn = m->unsync[--m->unsyncs].gfn;
		struct lite_frame *f = lite_frame(vm, gfn, NULL);

		if (!(f->flags & FRAME_UNSYNC))
			continue;
		f->flags &= ~FRAME_UNSYNC;
		/* From above, and looked up anew: unlinking may release what is below. */
		for (level = 4; f->shadow && level >= 1; level--)
			level_compare(v, gfn, level);
	}
	return 0;
}

/* All that is out of sync is last-level tables, of which a flush of one page needs one entry. */
static bool unsync_leaves(const struct lite_vm *vm)
{
	const struct lite_mmu *m = &vm->mmu;
	u32 i, j;

	for (i = 0; i < m->unsyncs; i++)
		for (j = lite_frame((struct lite_vm *)vm, m->unsync[i].gfn, NULL)->shadow; j;
		     j = m->spage[j].next)
			if (m->spage[j].level > 1)
				return false;
	return true;
}

static bool sync_page_of(struct lite_vcpu *v, u64 root, u64 va)
{
	struct mmu_walk w;
	struct lite_frame *f;
	int err = mmu_walk(v, root, va, 1, &w);

	if (err) /* what it finds when the table is there again: build_path() */
		return err != -EAGAIN;
	f = lite_frame(v->vm, w.gfn[1], NULL);
	if (f->flags & FRAME_UNSYNC)
		mmu_show(v, f, w.gfn[1], mmu_index(va, 1), w.e[1]);
	return true;
}

/*
 * The guest flushes one page, mostly after it has changed the entry: its table may stay out of
 * sync, so that the next such change is no exit. Linux flushes pages of programs that run on other
 * vCPUs only, too. False: mmu_sync() has to do it.
 */
static bool sync_page(struct lite_vcpu *v, u64 va, u32 who)
{
	struct lite_vm *vm = v->vm;
	struct lite_vcpu *of;
	u32 i;

	if (!vm->mmu.unsyncs)
		return true;
	if (!unsync_leaves(vm))
		return false;
	who |= 1u << v->id;
	for (i = 0; i < LITE_VCPUS_MAX; i++) {
		of = who >> i & 1 ? lite_vcpu_of(vm, i) : NULL;
		if (!of)
			continue;
		if (!sync_page_of(v, of->kroot, va))
			return false;
		if (ring_two_roots(vm) && of->uroot && !sync_page_of(v, of->uroot, va))
			return false;
	}
	return true;
}

/* Without the cache: all below the root of that role is built anew. */
static void root_empty(struct lite_vm *vm, u64 gfn, unsigned int role)
{
	u32 i = spage_find(vm, gfn, 4, role);

	if (i)
		spage_empty(vm, i, 0, ROOT_HOLE_FIRST);
}

int mmu_flush(struct lite_vcpu *v, u64 va, u32 who)
{
	int err = mmu_lock(v);

	if (err)
		return err;
	mmu_gtlb_flush(v->vm);
	err = va != ~0ull && sync_page(v, va, who) ? 0 : mmu_sync(v);
	if (!err && va == ~0ull && !v->vm->mmu.cache) {
		root_empty(v->vm, v->kroot, v->id);
		root_empty(v->vm, v->uroot, ROLE_USER | v->id);
	}
	mmu_unlock(v);
	return err;
}
