// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pairs of roots, the kernel's and that of programs, between which the switcher may change by
 * itself (switcher_mmu.S), so that a change of program is no exit. mmu_root() adds the pair that it
 * has looked up; a pair goes when the guest pins or unpins one of its tables anew, when another
 * needs its place, or when shadow memory is short.
 *
 * Only in a guest with one vCPU and no other to come. Its thread alone changes the list, under
 * vm->lock and with the guest left; eviction, on any thread, reads it (base_keeps()): the shadow
 * root of a pair stays, since the switcher's own list has its address. Both tables of a pair are
 * pinned, so the guest tells of their changes, in use or not.
 */
#include "mmu_int.h"

bool base_keeps(const struct lite_vcpu *v, u64 gfn, bool user)
{
	const struct lite_base *b;

	for (b = v->base + 1; b < v->base + LITE_BASES; b++)
		if (b->root_pa && (user ? b->uroot : b->kroot) == gfn)
			return true;
	return false;
}

static void base_clear(struct lite_vcpu *v, unsigned int i)
{
	v->base[i] = (struct lite_base){ 0 };
	if (v->base_now == i)
		v->base_now = 0;
	v->changed |= LITE_CH_ROOT;
}

void base_drop(struct lite_vm *vm, u64 gfn)
{
	struct lite_vcpu *v = vm->alone ? lite_vcpu_of(vm, 0) : NULL;
	unsigned int i;

	for (i = 1; v && i < LITE_BASES; i++)
		if (v->base[i].root_pa && (v->base[i].kroot == gfn || v->base[i].uroot == gfn))
			base_clear(v, i);
}

bool base_give_up(struct lite_vcpu *v)
{
	unsigned int i;
	bool any = false;

	for (i = 1; i < LITE_BASES; i++) {
		if (!v->base[i].root_pa)
			continue;
		base_clear(v, i);
		any = true;
	}
	return any;
}

static bool base_pinned(struct lite_vm *vm, u64 gfn)
{
	const struct lite_frame *f = lite_frame(vm, gfn, NULL);

	return f && f->flags & FRAME_PINNED(4);
}

void base_add(struct lite_vcpu *v)
{
	struct lite_vm *vm = v->vm;
	struct lite_base now = { v->kroot, v->uroot, v->root_pa, v->uroot_pa };
	unsigned int i, at = 0;

	v->base_now = 0;
	if (!vm->alone || !vm->mmu.cache || !base_pinned(vm, now.kroot) ||
	    (now.uroot && !base_pinned(vm, now.uroot)))
		return;
	for (i = 1; i < LITE_BASES; i++) {
		const struct lite_base *b = &v->base[i];

		if (b->root_pa && b->kroot == now.kroot && b->uroot == now.uroot)
			at = i;
		else if (!at && !b->root_pa)
			at = i;
	}
	if (!at) {
		at = v->base_next % (LITE_BASES - 1) + 1;
		v->base_next = at;
	}
	v->base[at] = now;
	v->base_now = at;
	v->changed |= LITE_CH_ROOT;
}

bool mmu_base_ok(const struct lite_vcpu *v)
{
	return v->base_now && !v->vm->mmu.unsyncs;
}

void mmu_base_taken(struct lite_vcpu *v, u64 i)
{
	const struct lite_base *b = &v->base[lite_index(i, LITE_BASES)];

	/* Also from one pair to another and back: each change is a flush. */
	if (i)
		mmu_gtlb_flush(v->vm);
	/* The number was the guest's to write; nothing is lost if it is wrong. */
	if (b->root_pa == 0 || !v->base_now || b == &v->base[v->base_now])
		return;
	/* Without the lock: who asks whether a root is in use finds both in the list. */
	__atomic_store_n(&v->kroot, b->kroot, __ATOMIC_RELAXED);
	__atomic_store_n(&v->uroot, b->uroot, __ATOMIC_RELAXED);
	v->root_pa = b->root_pa;
	v->uroot_pa = b->uroot_pa;
	v->root_gfn = b->kroot;
	v->uroot_gfn = ring_two_roots(v->vm) ? b->uroot : 0;
	v->base_now = b - v->base;
	v->changed |= LITE_CH_ROOT;
}
