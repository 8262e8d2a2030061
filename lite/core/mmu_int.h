/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Inside of the shadow MMU: shadow pages and what mmu_*.c share. Everything here is called with
 * vm->lock held, except where it says "no lock".
 *
 * A shadow page is keyed by (gfn, level, role): a guest table that is used at two levels has two of
 * them, so that a table of pointers is never read as a table of frames. It never changes its key.
 *
 * The role of a root is whose it is, since a root has its vCPU's part of the hole; and with the
 * guest's kernel in ring 3 (ring.h) each role says which view it belongs to: the kernel's, in which
 * all is open to ring 3, or that of the guest's programs (ROLE_USER), with the guest's own U bits.
 *
 * Every present upper entry is a node of its child's list of parents. A node lies in the companion
 * page of the parent's table, at the entry's own index; its name (link id) is the parent's index
 * << 9 | the entry's. So unlinking needs neither a search nor memory.
 *
 * A guest that exits to the hypervisor has left its CR3, and entering it loads CR3, without PGE. So
 * tables that are given up are reused at once if no other vCPU is in the guest, and else when each
 * of those has left it (mmu_shoot.c).
 */
#ifndef LITE_MMU_INT_H
#define LITE_MMU_INT_H

#include "lite.h"
#include "ring.h"

#define PTE_P	  0x001ull
#define PTE_W	  0x002ull
#define PTE_U	  0x004ull
#define PTE_A	  0x020ull
#define PTE_D	  0x040ull
#define PTE_PSE	  0x080ull
#define PTE_NX	  (1ull << 63)
#define PTE_FRAME 0x000ffffffffff000ull

#define ROOT_HOLE_FIRST 256u
#define ROOT_HOLE_LAST	271u

#define MMU_SPAGES_LIMIT (1u << 22) /* a link id and LINK_HEAD fit into 32 bits */
#define LINK_HEAD	 (1u << 31)

/* What one operation may take: a path from the root, three of its four tables with companions. */
#define MMU_RESERVE_PAGES  8
#define MMU_RESERVE_SPAGES 4

/* Shadow pages that wait for vCPUs to leave the guest; from there on they are made to. */
#define MMU_LIMBO_MAX 256u

#define MMU_LIGHT_TRIES 64 /* for a lock in a light exit */

/**
 * struct mmu_link - a present upper entry in its child's list of parents
 * @next: link id of the next, or 0
 * @prev: of the one before; of the first: LINK_HEAD | the child's index
 */
struct mmu_link {
	u32 next, prev;
};

/**
 * struct lite_spage - a shadow page
 * @pa:	     its table
 * @links:   levels 2 to 4: the companion page, 512 struct mmu_link
 * @next:    of the same gfn, or of the free list; 0 ends both
 * @parents: first link; 0: an orphan
 * @present: entries that are not zero, without the root's own
 * @used:    since the clock's hand was here
 */
struct lite_spage {
	u64 pa, links;
	u64 gfn;
	u32 next, parents;
	u16 present;
	u8 level, role;
	bool used, in_use;
};

static inline u64 mmu_load(const u64 *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

/* A processor may be walking the table. */
static inline void mmu_store(u64 *p, u64 e)
{
	__atomic_store_n(p, e, __ATOMIC_RELEASE);
}

/* Tables are mostly empty, so what looks at a whole one goes by cache lines. */
#define MMU_LINE 8u

static inline u64 line_or(const u64 *t, u64 flip)
{
	u64 any = 0;
	unsigned int i;

#pragma GCC unroll 8
	for (i = 0; i < MMU_LINE; i++)
		any |= mmu_load(&t[i]) ^ flip;
	return any;
}

static inline bool line_absent(const u64 *guest)
{
	return !(line_or(guest, 0) & PTE_P);
}

static inline void line_set(u64 *t, u64 e)
{
	unsigned int i;

#pragma GCC unroll 8
	for (i = 0; i < MMU_LINE; i++)
		mmu_store(&t[i], e);
}

static inline u64 *spage_table(const struct lite_vm *vm, const struct lite_spage *sp)
{
	return lite_ptr(vm, sp->pa);
}

static inline unsigned int mmu_index(u64 va, unsigned int level)
{
	return (va >> (3 + 9 * level)) & 511;
}

/* Roles: of a root, its vCPU's number; below, 0; with ROLE_USER, of the view of programs. */
#define ROLE_USER LITE_VCPUS_MAX

/* How many roles of one view there are at @level: roots are a vCPU's own. */
static inline unsigned int mmu_view_roles(const struct lite_vm *vm, unsigned int level)
{
	return level == 4 ? vm->vcpus : 1;
}

/* How many shadow pages of one gfn and @level there can be, and the role of the @i'th. */
static inline unsigned int mmu_roles(const struct lite_vm *vm, unsigned int level)
{
	return mmu_view_roles(vm, level) * (ring_two_roots(vm) ? 2 : 1);
}

static inline unsigned int mmu_role(const struct lite_vm *vm, unsigned int level, unsigned int i)
{
	unsigned int n = mmu_view_roles(vm, level);

	return i < n ? i : ROLE_USER + i - n;
}

/* The view that @v's present mode sees. */
static inline unsigned int mmu_view(const struct lite_vcpu *v)
{
	return ring_two_roots(v->vm) && !v->kernel ? ROLE_USER : 0;
}

/* What the guest's entries get besides in that view: ring 3 has to reach its kernel's pages. */
static inline u64 view_flags(const struct lite_vm *vm, unsigned int role)
{
	return ring_two_roots(vm) && !(role & ROLE_USER) ? PTE_U : 0;
}

static inline bool root_hole(unsigned int level, unsigned int idx)
{
	return level == 4 && idx >= ROOT_HOLE_FIRST && idx <= ROOT_HOLE_LAST;
}

static inline int mmu_lock(struct lite_vcpu *v)
{
	unsigned int tries;

	if (v->tier != LITE_LIGHT) {
		lite_lock(&v->vm->lock);
		return 0;
	}
	for (tries = 0; !lite_trylock(&v->vm->lock); tries++) {
		if (tries == MMU_LIGHT_TRIES)
			return -EBUSY;
		__builtin_ia32_pause();
	}
	return 0;
}

static inline void mmu_unlock(struct lite_vcpu *v)
{
	lite_unlock(&v->vm->lock);
}

/* mmu_page.c */

/** spage_find - index of the live shadow page of that key, or 0 */
static inline u32 spage_find(struct lite_vm *vm, u64 gfn, unsigned int level, unsigned int role)
{
	const struct lite_frame *f = lite_frame(vm, gfn, NULL);
	u32 i;

	for (i = f ? f->shadow : 0; i; i = vm->mmu.spage[i].next)
		if (vm->mmu.spage[i].level == level && vm->mmu.spage[i].role == role)
			return i;
	return 0;
}

/** spage_get - find or make; after mmu_reserve() it does not fail. @gfn is of a slot */
u32 spage_get(struct lite_vcpu *v, u64 gfn, unsigned int level, unsigned int role);

/** spage_link - entry @idx of @parent, which is empty, becomes @child with @flags */
void spage_link(struct lite_vm *vm, u32 parent, unsigned int idx, u32 child, u64 flags);

/** spage_unlink - empty upper entry @idx; a child that nothing else keeps is released */
void spage_unlink(struct lite_vm *vm, u32 parent, unsigned int idx);

/** spage_set_leaf - entry @idx of a level 1 shadow page; @spte 0 empties it */
void spage_set_leaf(struct lite_vm *vm, u32 index, unsigned int idx, u64 spte);

/** spage_empty - upper entries [@first, @last), multiples of MMU_LINE */
void spage_empty(struct lite_vm *vm, u32 index, unsigned int first, unsigned int last);

/** spage_release - out of its parents, children dropped, pages given back */
void spage_release(struct lite_vm *vm, u32 index);

/** spage_drop_gfn - release all of @gfn's; roots in use are emptied instead */
void spage_drop_gfn(struct lite_vm *vm, u64 gfn);

/** spage_is_root - of a vCPU, now, or of a pair in its list */
bool spage_is_root(const struct lite_vm *vm, const struct lite_spage *sp);

/** mmu_reserve - pages and table entries for one operation, by eviction if need be; or -EAGAIN */
int mmu_reserve(struct lite_vcpu *v);

/** page_put - a page that nobody walks: to the pool, or the environment frees it. Never fails */
void page_put(struct lite_vm *vm, u64 pa);

/* mmu_base.c */

/** base_keeps - @gfn is the kernel's, or @user, root of one of @v's pairs: its shadow stays */
bool base_keeps(const struct lite_vcpu *v, u64 gfn, bool user);

/** base_drop - no pair has @gfn any more */
void base_drop(struct lite_vm *vm, u64 gfn);

/** base_give_up - nor any other; false: there were none */
bool base_give_up(struct lite_vcpu *v);

/** base_add - v's roots, which it has just been given, are a pair if they may be one */
void base_add(struct lite_vcpu *v);

/* mmu_sync.c */

/** mmu_show - all shadow pages of @gfn, whose frame is @f, get to know its entry @idx, @e */
void mmu_show(struct lite_vcpu *v, struct lite_frame *f, u64 gfn, unsigned int idx, u64 e);

/** mmu_pin_locked, mmu_unpin_locked - mmu_pin(), mmu_unpin() */
int mmu_pin_locked(struct lite_vcpu *v, u64 gfn, unsigned int level);
int mmu_unpin_locked(struct lite_vcpu *v, u64 gfn);

/* mmu_shoot.c */

/** limbo_put - shadow page @index, in no table or list, can be made anew when it is safe */
void limbo_put(struct lite_vm *vm, u32 index);

/** limbo_drain - all of it: everybody has left the guest since, vm->lock being held throughout */
void limbo_drain(struct lite_vm *vm);

/** limbo_settle - take back what nobody can walk any more. Does not wait */
void limbo_settle(struct lite_vm *vm);

/** unsync_stale - a writable mapping of a table has gone, but perhaps not from all processors */
void unsync_stale(struct lite_vm *vm);

/** unsync_who - the vCPUs that may still have such a mapping; @live: there is one in a table */
u32 unsync_who(struct lite_vm *vm, bool live);

/** shoot_others - some vCPU but @v (may be NULL) is in the guest; tables were changed before */
bool shoot_others(const struct lite_vm *vm, const struct lite_vcpu *v);

/* mmu_walk.c */

/**
 * struct mmu_walk - the guest's own translation of an address; entries by level, 1 to 4
 * @gfn:  of the tables
 * @ep:	  the entries' places in guest memory
 * @e:	  what was read there, once
 * @last: lowest level that was read
 */
struct mmu_walk {
	u64 gfn[5];
	u64 *ep[5];
	u64 e[5];
	unsigned int last;
};

/**
 * mmu_walk - from table @root down to level @stop's entry; no lock, changes nothing
 *
 * Return: 0: that entry is present, or @stop's own was read and is not (look at w->e[stop]);
 * -ENOENT: an upper entry is not present; -EFAULT: it has reserved bits or is of a foreign frame;
 * -EAGAIN.
 */
int mmu_walk(struct lite_vcpu *v, u64 root, u64 va, unsigned int stop, struct mmu_walk *w);

/** mmu_walk_mark - set A in the walked entries, and D in the leaf; false: they changed. No lock */
bool mmu_walk_mark(struct mmu_walk *w, bool dirty);

/* mmu_fault.c */

/** leaf_spte - the shadow of a guest's leaf entry for @role, 0 if it may not have one now */
u64 leaf_spte(struct lite_vm *vm, unsigned int role, u64 e);

/** leaf_shadow - the same; where the guest has nothing, the entry that says so */
static inline u64 leaf_shadow(struct lite_vm *vm, unsigned int role, u64 e)
{
	return e & PTE_P ? leaf_spte(vm, role, e) : vm->mmu.none;
}

/* mmu_sync.c */

/** mmu_compare_leaves - @gfn's shadow pages of level 1, against what it holds now; resident */
void mmu_compare_leaves(struct lite_vcpu *v, u64 gfn);

/** mmu_sync - out-of-sync tables are read-only again, and agree with their shadows; or -EBUSY */
int mmu_sync(struct lite_vcpu *v);

/** unsync_add - table @gfn may be written unseen, by entry @link; there is room */
void unsync_add(struct lite_vm *vm, struct lite_frame *f, u64 gfn, u32 link);

/** upper_flags - what @role's shadow of the upper entry @e has besides the child's address */
static inline u64 upper_flags(const struct lite_vm *vm, unsigned int role, u64 e)
{
	return PTE_P | PTE_A | (e & (PTE_W | PTE_U | PTE_NX)) | view_flags(vm, role);
}

/** root_hole_entry - what a root of @role has in the hypervisor's first slot */
static inline u64 root_hole_entry(const struct lite_vm *vm, unsigned int role)
{
	u64 pa = vm->mmu.hyp_pa[role];

	return pa ? pa | PTE_P | PTE_W | PTE_A | PTE_D | view_flags(vm, role) : 0;
}

#endif
