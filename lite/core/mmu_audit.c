// SPDX-License-Identifier: GPL-2.0-only
/*
 * The shadow's invariants, checked from scratch: the oracle of tests and fuzzers. Slow; a running
 * VM does not need it. Takes no lock: the caller keeps the VM still.
 */
#include "mmu_int.h"

#define LEAF_BITS  (PTE_FRAME | PTE_P | PTE_W | PTE_U | PTE_A | PTE_D | PTE_NX)
#define UPPER_BITS (PTE_FRAME | PTE_P | PTE_W | PTE_U | PTE_A | PTE_NX)

struct audit {
	struct lite_vm *vm;
	bool check_guest;
	u32 bad;
	u64 upper; /* present upper entries */
	u64 links; /* nodes in lists of parents */
	char *why;
	size_t len;
};

/* The first violation's text, and where: a shadow page's index << 12 | the entry's, in hex. */
static void audit_bad(struct audit *a, const char *what, u32 index, unsigned int idx)
{
	u64 where = (u64)index << 12 | idx;
	size_t n = 0;
	int shift;

	if (a->bad++ || !a->why || !a->len)
		return;
	while (*what && n + 1 < a->len)
		a->why[n++] = *what++;
	for (shift = 32; shift >= 0 && n + 1 < a->len; shift -= 4)
		a->why[n++] = "0123456789abcdef"[(where >> shift) & 15];
	a->why[n] = '\0';
}

static bool pa_is_frame(struct lite_vm *vm, u64 pa, bool write)
{
	u32 i;
	u64 j;

	for (i = 0; i < vm->slots; i++)
		for (j = 0; j < vm->slot[i].nr; j++)
			if (vm->slot[i].frame[j].pa == pa)
				return !write || !vm->slot[i].readonly;
	return false;
}

static bool unsync_explains(struct lite_vm *vm, u32 link, u64 gfn)
{
	u32 i;

	for (i = 0; i < vm->mmu.unsyncs; i++)
		if (vm->mmu.unsync[i].link == link && vm->mmu.unsync[i].gfn == gfn)
			return true;
	return false;
}

static void audit_leaf(struct audit *a, u32 index, unsigned int idx, u64 spte, const u64 *guest)
{
	struct lite_vm *vm = a->vm;
	unsigned int role = vm->mmu.spage[index].role;
	u64 e, want, extra;

	if (vm->mmu.none && spte == vm->mmu.none) {
		if (guest && (mmu_load(&guest[idx]) & PTE_P))
			audit_bad(a, "leaf: the guest has something at ", index, idx);
		return;
	}
	if (!(spte & PTE_P) || !(spte & PTE_A) || (spte & ~LEAF_BITS) ||
	    !(spte & PTE_W) != !(spte & PTE_D))
		audit_bad(a, "leaf: forbidden bits at ", index, idx);
	if (!pa_is_frame(vm, spte & PTE_FRAME, spte & PTE_W))
		audit_bad(a, "leaf: not a frame, or writable of a read-only slot at ", index, idx);
	if (view_flags(vm, role) & ~spte)
		audit_bad(a, "leaf: out of reach of a kernel in ring 3 at ", index, idx);
	if (!guest)
		return;
	e = mmu_load(&guest[idx]);
	want = leaf_spte(vm, role, e);
	extra = spte ^ want;
	/* The shadow may lack the right to write; it has more only for a table out of sync. */
	if (extra == (PTE_W | PTE_D) &&
	    (!(spte & PTE_W) || unsync_explains(vm, index << 9 | idx, (e & PTE_FRAME) >> 12)))
		return;
	if (extra)
		audit_bad(a, "leaf: the guest's entry does not allow it at ", index, idx);
}

static void audit_upper(struct audit *a, u32 index, unsigned int idx, u64 spte, const u64 *guest)
{
	struct lite_vm *vm = a->vm;
	struct lite_spage *sp = &vm->mmu.spage[index];
	u64 e;
	u32 child;

	a->upper++;
	if (!(spte & PTE_P) || (spte & ~UPPER_BITS))
		audit_bad(a, "upper: forbidden bits at ", index, idx);
	if (!guest)
		return;
	e = mmu_load(&guest[idx]);
	child = spage_find(vm, (e & PTE_FRAME) >> 12, sp->level - 1, sp->role & ROLE_USER);
	if (!(e & PTE_P) || !child ||
	    spte != (vm->mmu.spage[child].pa | upper_flags(vm, sp->role, e)))
		audit_bad(a, "upper: the guest's entry does not allow it at ", index, idx);
}

static void audit_table(struct audit *a, u32 index)
{
	struct lite_vm *vm = a->vm;
	struct lite_spage *sp = &vm->mmu.spage[index];
	struct lite_frame *f = lite_frame(vm, sp->gfn, NULL);
	const u64 *t = spage_table(vm, sp), *guest = NULL;
	unsigned int idx, present = 0;
	u64 hyp;

	if (a->check_guest && !(f->flags & FRAME_UNSYNC))
		guest = f->pa ? lite_ptr(vm, f->pa) : NULL;
	for (idx = 0; idx < 512; idx++) {
		if (root_hole(sp->level, idx)) {
			hyp = idx == ROOT_HOLE_FIRST ? root_hole_entry(vm, sp->role) : 0;
			if (t[idx] != hyp)
				audit_bad(a, "root: the hypervisor's entry at ", index, idx);
			continue;
		}
		if (!t[idx])
			continue;
		present++;
		if (sp->level == 1)
			audit_leaf(a, index, idx, t[idx], guest);
		else
			audit_upper(a, index, idx, t[idx], guest);
	}
	if (present != sp->present)
		audit_bad(a, "count of present entries of ", index, 0);
}

/* Parents: live, of the next level, pointing here; a list that cannot end is cut. */
static void audit_parents(struct audit *a, u32 index)
{
	struct lite_mmu *m = &a->vm->mmu;
	struct lite_spage *sp = &m->spage[index];
	u64 bound = (u64)m->spages_max << 9;
	u32 id, next, prev = LINK_HEAD | index;

	for (id = sp->parents; id; id = next) {
		struct lite_spage *p = &m->spage[id >> 9];
		struct mmu_link *l;

		if (id >> 9 >= m->spages_max || !p->in_use || p->level != sp->level + 1 ||
		    (p->role ^ sp->role) & ROLE_USER) {
			audit_bad(a, "parent is not of the next level, or of another view: of ",
				  index, 0);
			return;
		}
		l = (struct mmu_link *)lite_ptr(a->vm, p->links) + (id & 511);
		if (l->prev != prev)
			audit_bad(a, "list of parents is torn: of ", index, 0);
		if ((spage_table(a->vm, p)[id & 511] & PTE_FRAME) != sp->pa)
			audit_bad(a, "parent's entry points elsewhere: of ", index, 0);
		prev = id;
		next = l->next;
		a->links++;
		if (!--bound) {
			audit_bad(a, "list of parents has no end: of ", index, 0);
			return;
		}
	}
}

static void audit_key(struct audit *a, u32 index)
{
	struct lite_vm *vm = a->vm;
	struct lite_mmu *m = &vm->mmu;
	struct lite_spage *sp = &m->spage[index];

	if (sp->level < 1 || sp->level > 4 || (sp->level < 4 && sp->role % ROLE_USER) ||
	    sp->role >= 2 * ROLE_USER || (sp->role & ROLE_USER && !ring_two_roots(vm)) || !sp->pa ||
	    !sp->links != (sp->level == 1))
		audit_bad(a, "key or pages of ", index, 0);
	else if (spage_find(vm, sp->gfn, sp->level, sp->role) != index)
		audit_bad(a, "not found by its key: ", index, 0);
	else if (a->check_guest && !sp->parents && !spage_is_root(vm, sp) &&
		 !(lite_frame(vm, sp->gfn, NULL)->flags & FRAME_PINNED(sp->level)))
		audit_bad(a, "neither pinned nor in use, and still there: ", index, 0);
}

static void audit_counts(struct audit *a)
{
	struct lite_vm *vm = a->vm;
	struct lite_mmu *m = &vm->mmu;
	u32 i, live = 0, unused = 0, limbo = 0;

	for (i = 1; i < m->spages_max; i++)
		live += m->spage[i].in_use;
	for (i = m->free_head; i && unused < m->spages_max; i = m->spage[i].next)
		unused++;
	for (i = m->limbo; i && limbo < m->spages_max; i = m->spage[i].next)
		limbo++;
	for (i = m->limbo_old; i && limbo < m->spages_max; i = m->spage[i].next)
		limbo++;
	if (limbo != m->limbos)
		audit_bad(a, "shadow pages that wait do not add up: ", limbo, 0);
	if (live != m->spages || live + unused + limbo != m->spages_max - 1)
		audit_bad(a, "live and free shadow pages do not add up: ", live, unused);
	if (a->upper != a->links)
		audit_bad(a, "entries and links do not add up: ", (u32)a->upper, 0);
	for (i = 0; i < m->unsyncs; i++) {
		struct lite_frame *f = lite_frame(vm, m->unsync[i].gfn, NULL);
		u32 link = m->unsync[i].link;

		if (!f || !(f->flags & FRAME_UNSYNC))
			audit_bad(a, "out of sync without its flag: ", i, 0);
		if (link && (!m->spage[link >> 9].in_use || m->spage[link >> 9].level != 1))
			audit_bad(a, "out of sync by a page that is gone: ", i, 0);
	}
}

/* What a vCPU would be entered with is the shadow of its own roots. */
static void audit_roots(struct audit *a, const struct lite_vcpu *v)
{
	struct lite_vm *vm = a->vm;
	u32 k, u;

	if (v->root_gfn == ~0ull || v->uroot_gfn == ~0ull)
		return;
	k = spage_find(vm, v->root_gfn, 4, v->id);
	u = v->uroot_gfn ? spage_find(vm, v->uroot_gfn, 4, v->id | ROLE_USER) : 0;
	if (v->root_gfn != v->kroot || !k || vm->mmu.spage[k].pa != v->root_pa)
		audit_bad(a, "the root is not its guest's shadow: of vCPU ", v->id, 0);
	if ((u ? vm->mmu.spage[u].pa : 0) != v->uroot_pa)
		audit_bad(a, "nor is the programs' root: of vCPU ", v->id, 0);
}

/* What the switcher may enter it with, too. */
static void audit_bases(struct audit *a, const struct lite_vcpu *v)
{
	struct lite_vm *vm = a->vm;
	unsigned int i;
	u32 k, u;

	for (i = 1; i < LITE_BASES; i++) {
		const struct lite_base *b = &v->base[i];

		if (!b->root_pa)
			continue;
		k = spage_find(vm, b->kroot, 4, v->id);
		u = b->uroot && ring_two_roots(vm) ? spage_find(vm, b->uroot, 4, v->id | ROLE_USER)
						   : 0;
		if (!vm->alone || !k || vm->mmu.spage[k].pa != b->root_pa ||
		    (u ? vm->mmu.spage[u].pa : 0) != b->uroot_pa)
			audit_bad(a, "a pair of roots is not its guest's shadows: ", i, 0);
		else if (!(lite_frame(vm, b->kroot, NULL)->flags & FRAME_PINNED(4)) ||
			 (b->uroot && !(lite_frame(vm, b->uroot, NULL)->flags & FRAME_PINNED(4))))
			audit_bad(a, "a pair of roots is not pinned: ", i, 0);
	}
	if (v->base_now && (v->base[v->base_now].root_pa != v->root_pa ||
			    v->base[v->base_now].uroot_pa != v->uroot_pa))
		audit_bad(a, "the roots are not the pair that they should be: ", v->base_now, 0);
}

u32 mmu_audit(struct lite_vm *vm, bool check_guest, char *why, size_t len)
{
	struct audit a = { .vm = vm, .check_guest = check_guest, .why = why, .len = len };
	u32 i;

	for (i = 1; i < vm->mmu.spages_max; i++) {
		if (!vm->mmu.spage[i].in_use)
			continue;
		audit_key(&a, i);
		if (a.bad)
			return a.bad;
		audit_table(&a, i);
		audit_parents(&a, i);
	}
	audit_counts(&a);
	for (i = 0; i < vm->vcpus; i++) {
		if (!lite_vcpu_of(vm, i))
			continue;
		audit_roots(&a, lite_vcpu_of(vm, i));
		audit_bases(&a, lite_vcpu_of(vm, i));
	}
	return a.bad;
}
