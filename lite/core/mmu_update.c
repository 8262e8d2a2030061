// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the guest tells of its tables: updates, pins, roots. Fills no table but by entries that the
 * guest has just written. Flushes, and the shadow of what it does not tell: mmu_sync.c. Under
 * vm->lock.
 */
#include "mmu_int.h"

#define PRESERVE_TRIES 16

static u64 entry_write(u64 *ep, u64 val, bool preserve_ad)
{
	unsigned int tries;
	u64 old = mmu_load(ep), new;

	for (tries = 0; preserve_ad && tries < PRESERVE_TRIES; tries++) {
		new = val | (old & (PTE_A | PTE_D));
		if (__atomic_compare_exchange_n(ep, &old, new, false, __ATOMIC_ACQ_REL,
						__ATOMIC_RELAXED))
			return new;
	}
	__atomic_store_n(ep, val, __ATOMIC_RELEASE);
	return val;
}

static bool frame_upper(struct lite_vm *vm, const struct lite_frame *f)
{
	u32 i;

	for (i = f->shadow; i; i = vm->mmu.spage[i].next)
		if (vm->mmu.spage[i].level > 1)
			return true;
	return f->flags & FRAME_PINNED_ANY & ~FRAME_PINNED(1);
}

static int update_locked(struct lite_vcpu *v, u64 gpa, u64 val, bool preserve_ad)
{
	struct lite_vm *vm = v->vm;
	struct lite_slot *slot;
	struct lite_frame *f = lite_frame(vm, gpa >> 12, &slot);
	unsigned int idx = (gpa >> 3) & 511;
	void *table;
	int err;

	if (!f || slot->readonly || (gpa & 7))
		return -EINVAL;
	if (val & PTE_P) {
		/* No slot has a frame with bits beyond the processor's width. */
		if (!lite_frame(vm, (val & PTE_FRAME) >> 12, NULL))
			return -EINVAL;
		if ((val & PTE_PSE) && frame_upper(vm, f))
			return -EINVAL;
	}
	err = lite_gfn_ptr(v, gpa >> 12, &table);
	if (err)
		return err;
	val = entry_write((u64 *)table + idx, val, preserve_ad);
	mmu_show(v, f, gpa >> 12, idx, val);
	return 0;
}

int mmu_update(struct lite_vcpu *v, u64 gpa, u64 val, bool preserve_ad)
{
	int err = mmu_lock(v);

	if (err)
		return err;
	err = update_locked(v, gpa, val, preserve_ad);
	mmu_unlock(v);
	return err;
}

int mmu_update_va(struct lite_vcpu *v, u64 va, u64 val)
{
	struct mmu_walk w;
	int err;

	if (!lite_va_ok(va, 1))
		return -EINVAL;
	err = mmu_lock(v);
	if (err)
		return err;
	err = mmu_walk(v, v->kroot, va, 1, &w);
	if (!err)
		err = update_locked(v, w.gfn[1] << 12 | mmu_index(va, 1) << 3, val, false);
	else if (err != -EAGAIN)
		err = -EINVAL;
	mmu_unlock(v);
	return err;
}

int mmu_pin_locked(struct lite_vcpu *v, u64 gfn, unsigned int level)
{
	struct lite_vm *vm = v->vm;
	struct lite_slot *slot;
	struct lite_frame *f = lite_frame(vm, gfn, &slot);
	int err;

	if (!f || slot->readonly || level < 1 || level > 4)
		return -EINVAL;
	/*
	 * The guest has just made it read-only, which another processor may not have heard of yet:
	 * Xen would flush here, so the guest does not.
	 */
	if (shoot_others(vm, v)) {
		err = vm->mmu.unsyncs == MMU_UNSYNC_MAX ? mmu_sync(v) : 0;
		if (err)
			return err;
		unsync_add(vm, f, gfn, 0);
		unsync_stale(vm);
	}
	base_drop(vm, gfn);
	/* What it held before it was a table of the guest's may have changed unseen. */
	spage_drop_gfn(vm, gfn);
	f->flags |= FRAME_PINNED(level) | FRAME_TABLE;
	return 0;
}

int mmu_unpin_locked(struct lite_vcpu *v, u64 gfn)
{
	struct lite_frame *f = lite_frame(v->vm, gfn, NULL);

	if (!f)
		return -EINVAL;
	f->flags &= ~FRAME_PINNED_ANY;
	base_drop(v->vm, gfn);
	spage_drop_gfn(v->vm, gfn);
	return 0;
}

int mmu_pin(struct lite_vcpu *v, u64 gfn, unsigned int level)
{
	int err = mmu_lock(v);

	if (err)
		return err;
	err = mmu_pin_locked(v, gfn, level);
	mmu_unlock(v);
	return err;
}

int mmu_unpin(struct lite_vcpu *v, u64 gfn)
{
	int err = mmu_lock(v);

	if (err)
		return err;
	err = mmu_unpin_locked(v, gfn);
	mmu_unlock(v);
	return err;
}

/* Table @old is no longer the root of that @role. */
static void root_leave(struct lite_vm *vm, u64 old, unsigned int role)
{
	struct lite_frame *f = lite_frame(vm, old, NULL);
	u32 i;

	if (!f || (vm->mmu.cache && f->flags & FRAME_PINNED(4)))
		return;
	i = spage_find(vm, old, 4, role);
	if (i)
		spage_release(vm, i);
}

int mmu_new_base(struct lite_vcpu *v, u64 gfn, bool user)
{
	struct lite_vm *vm = v->vm;
	unsigned int role = v->id | (user ? ROLE_USER : 0);
	struct lite_slot *slot;
	u64 old;
	int err;

	if (!(user && !gfn) && (!lite_frame(vm, gfn, &slot) || slot->readonly))
		return -EINVAL;
	if (user && !ring_two_roots(vm)) {
		if (v->uroot != gfn) {
			v->base_now = 0;
			v->changed |= LITE_CH_ROOT;
		}
		v->uroot = gfn;
		return 0;
	}
	err = mmu_lock(v);
	if (err)
		return err;
	err = mmu_sync(v);
	if (err)
		goto out;
	if (user) {
		old = v->uroot;
		v->uroot = gfn;
	} else {
		/* What one program has denied itself by its keys is not the next one's. */
		if (v->tier == LITE_LIGHT)
			env_pkru_open();
		mmu_gtlb_flush(vm);
		old = v->kroot;
		v->kroot = gfn;
		v->stats.base_switches++;
	}
	lite_roots_forget(v);
	if (old != gfn)
		root_leave(vm, old, role);
out:
	mmu_unlock(v);
	return err;
}

void mmu_roots_set(struct lite_vcpu *v, u64 kroot, u64 uroot)
{
	struct lite_vm *vm = v->vm;
	u64 old_kroot, old_uroot;

	/* Pairs with those who look whether a shadow root is in use. */
	lite_lock(&vm->lock);
	old_kroot = v->kroot;
	old_uroot = v->uroot;
	v->kroot = kroot;
	v->uroot = uroot;
	if (old_kroot != kroot)
		root_leave(vm, old_kroot, v->id);
	if (old_uroot != uroot)
		root_leave(vm, old_uroot, v->id | ROLE_USER);
	lite_roots_forget(v);
	mmu_gtlb_flush(vm);
	lite_unlock(&vm->lock);
}

/*
 * The kernel's half is the same in all roots: what has a shadow there is linked to a new one at
 * once, as each would be an exit. While tables are out of sync, what is below may have been passed
 * over by flushes of single pages: then it is left to build_path().
 */
static void root_fill(struct lite_vm *vm, u32 index)
{
	const struct lite_spage *sp = &vm->mmu.spage[index];
	u64 pa = mmu_load(&lite_frame(vm, sp->gfn, NULL)->pa);
	const u64 *guest;
	unsigned int idx;

	if (!pa || vm->mmu.unsyncs)
		return;
	guest = lite_ptr(vm, pa);
	for (idx = ROOT_HOLE_LAST + 1; idx < 512; idx++) {
		u64 e = mmu_load(&guest[idx]);
		u32 child = 0;

		if ((e & (PTE_P | PTE_A | PTE_PSE)) == (PTE_P | PTE_A))
			child = spage_find(vm, (e & PTE_FRAME) >> 12, 3, sp->role & ROLE_USER);
		if (!child)
			continue;
		spage_link(vm, index, idx, child, upper_flags(vm, sp->role, e));
		vm->mmu.spage[child].used = true;
	}
}

/* The shadow of root @gfn, made if need be. */
static int root_find(struct lite_vcpu *v, u64 gfn, unsigned int role, u64 *pa)
{
	struct lite_vm *vm = v->vm;
	u32 i = spage_find(vm, gfn, 4, role);
	int err;

	if (!i) {
		err = lite_frame(vm, gfn, NULL) ? mmu_reserve(v) : -EINVAL;
		if (err)
			return err;
		i = spage_get(v, gfn, 4, role);
		root_fill(vm, i);
	}
	*pa = vm->mmu.spage[i].pa;
	return 0;
}

int mmu_root(struct lite_vcpu *v)
{
	struct lite_vm *vm = v->vm;
	u64 uroot = ring_two_roots(vm) ? v->uroot : 0;
	int err;

	if (mmu_view(v) && !uroot)
		return -EINVAL;
	/* A root in use is never given up. */
	if (v->root_gfn == v->kroot && v->uroot_gfn == uroot)
		return 0;
	err = mmu_lock(v);
	if (err)
		return err;
	if (vm->mmu.limbos)
		limbo_settle(vm);
	err = root_find(v, v->kroot, v->id, &v->root_pa);
	v->uroot_pa = 0;
	if (!err && uroot)
		err = root_find(v, uroot, ROLE_USER | v->id, &v->uroot_pa);
	v->changed |= LITE_CH_ROOT;
	if (!err) {
		v->root_gfn = v->kroot;
		v->uroot_gfn = uroot;
		base_add(v);
	}
	mmu_unlock(v);
	return err;
}
