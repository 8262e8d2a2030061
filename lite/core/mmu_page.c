// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shadow pages: their table, keys, links, the pool they are made of, eviction. Knows nothing of
 * what a guest's entries mean (mmu_fault.c, mmu_sync.c). Under vm->lock.
 */
#include "mmu_int.h"

size_t mmu_spage_size(void)
{
	return sizeof(struct lite_spage);
}

void mmu_init(struct lite_vm *vm, struct lite_spage *spage, u32 max, bool cache)
{
	struct lite_mmu *m = &vm->mmu;
	u32 i;

	if (max > MMU_SPAGES_LIMIT)
		max = MMU_SPAGES_LIMIT;
	m->spage = spage;
	m->spages_max = max;
	m->cache = cache;
	m->clock_hand = 1;
	for (i = max; i-- > 1;) {
		spage[i].next = m->free_head;
		m->free_head = i;
	}
}

void mmu_fini(struct lite_vm *vm, void (*put)(void *arg, u64 pa), void *arg)
{
	struct lite_mmu *m = &vm->mmu;
	u32 i;

	for (i = 1; i < m->spages_max; i++) {
		if (!m->spage[i].in_use)
			continue;
		put(arg, m->spage[i].pa);
		if (m->spage[i].links)
			put(arg, m->spage[i].links);
		m->spage[i].in_use = false;
	}
	for (i = m->limbo; i; i = m->spage[i].next)
		put(arg, m->spage[i].pa);
	for (i = m->limbo_old; i; i = m->spage[i].next)
		put(arg, m->spage[i].pa);
	m->limbo = m->limbo_old = m->limbos = 0;
	while (m->pooled)
		put(arg, m->pool[--m->pooled]);
	while (m->trashed)
		put(arg, m->trash[--m->trashed]);
	while (m->spare) {
		u64 pa = m->spare;

		m->spare = *(u64 *)lite_ptr(vm, pa);
		put(arg, pa);
	}
	m->spages = 0;
	m->spages_max = 0;
}

/* ---- pages ---- */

/* Never fails, so that a release of thousands of tables cannot stop half way. */
void page_put(struct lite_vm *vm, u64 pa)
{
	struct lite_mmu *m = &vm->mmu;

	if (m->pooled < MMU_POOL_MAX) {
		memset(lite_ptr(vm, pa), 0, LITE_PAGE_SIZE);
		m->pool[m->pooled++] = pa;
	} else if (m->trashed < MMU_POOL_MAX * 4) {
		m->trash[m->trashed++] = pa;
	} else {
		*(u64 *)lite_ptr(vm, pa) = m->spare;
		m->spare = pa;
	}
}

/* Pages beyond the bounds of pool and trash: to whichever has room now. */
static void spare_settle(struct lite_vm *vm)
{
	struct lite_mmu *m = &vm->mmu;

	while (m->spare && (m->pooled < MMU_RESERVE_PAGES || m->trashed < MMU_POOL_MAX * 4)) {
		u64 pa = m->spare;

		m->spare = *(u64 *)lite_ptr(vm, pa);
		memset(lite_ptr(vm, pa), 0, LITE_PAGE_SIZE);
		if (m->pooled < MMU_RESERVE_PAGES)
			m->pool[m->pooled++] = pa;
		else
			m->trash[m->trashed++] = pa;
	}
}

/* ---- keys ---- */

u32 spage_get(struct lite_vcpu *v, u64 gfn, unsigned int level, unsigned int role)
{
	struct lite_vm *vm = v->vm;
	struct lite_mmu *m = &vm->mmu;
	struct lite_frame *f;
	struct lite_spage *sp;
	u32 i = spage_find(vm, gfn, level, role);

	if (i) {
		m->spage[i].used = true;
		return i;
	}
	i = m->free_head;
	sp = &m->spage[i];
	m->free_head = sp->next;
	m->spages++;
	f = lite_frame(vm, gfn, NULL);
	*sp = (struct lite_spage){
		.pa = m->pool[--m->pooled],
		.gfn = gfn,
		.next = f->shadow,
		.level = level,
		.role = role,
		.used = true,
		.in_use = true,
	};
	if (level > 1)
		sp->links = m->pool[--m->pooled];
	if (level == 4)
		spage_table(vm, sp)[ROOT_HOLE_FIRST] = root_hole_entry(vm, role);
	f->shadow = i;
	f->flags |= FRAME_TABLE;
	v->stats.shadow_new++;
	return i;
}

bool spage_is_root(const struct lite_vm *vm, const struct lite_spage *sp)
{
	const struct lite_vcpu *v = lite_vcpu_of(vm, sp->role % ROLE_USER);

	if (sp->level != 4 || !v)
		return false;
	return (sp->role & ROLE_USER ? v->uroot : v->kroot) == sp->gfn ||
	       base_keeps(v, sp->gfn, sp->role & ROLE_USER);
}

/* ---- links ---- */

static struct mmu_link *link_ptr(struct lite_vm *vm, u32 id)
{
	struct mmu_link *page = lite_ptr(vm, vm->mmu.spage[id >> 9].links);

	return page + (id & 511);
}

void spage_link(struct lite_vm *vm, u32 parent, unsigned int idx, u32 child, u64 flags)
{
	struct lite_spage *p = &vm->mmu.spage[parent], *c = &vm->mmu.spage[child];
	u32 id = parent << 9 | idx;
	struct mmu_link *l = link_ptr(vm, id);

	l->next = c->parents;
	l->prev = LINK_HEAD | child;
	if (l->next)
		link_ptr(vm, l->next)->prev = id;
	c->parents = id;
	mmu_store(&spage_table(vm, p)[idx], c->pa | flags);
	p->present++;
}

void spage_unlink(struct lite_vm *vm, u32 parent, unsigned int idx)
{
	struct lite_spage *p = &vm->mmu.spage[parent];
	struct mmu_link *l = link_ptr(vm, parent << 9 | idx);
	struct lite_spage *c;
	struct lite_frame *f;

	if (!spage_table(vm, p)[idx] || root_hole(p->level, idx))
		return;
	mmu_store(&spage_table(vm, p)[idx], 0);
	p->present--;
	if (l->next)
		link_ptr(vm, l->next)->prev = l->prev;
	if (!(l->prev & LINK_HEAD)) {
		link_ptr(vm, l->prev)->next = l->next;
		return;
	}
	c = &vm->mmu.spage[l->prev & ~LINK_HEAD];
	c->parents = l->next;
	if (c->parents)
		return;
	/* The guest may change a table that is neither pinned nor in use without telling. */
	f = lite_frame(vm, c->gfn, NULL);
	if (!(f->flags & FRAME_PINNED(c->level)))
		spage_release(vm, l->prev & ~LINK_HEAD);
}

void spage_set_leaf(struct lite_vm *vm, u32 index, unsigned int idx, u64 spte)
{
	struct lite_spage *sp = &vm->mmu.spage[index];
	u64 *t = spage_table(vm, sp);

	sp->present += !!spte - !!t[idx];
	mmu_store(&t[idx], spte);
}

void spage_empty(struct lite_vm *vm, u32 index, unsigned int first, unsigned int last)
{
	struct lite_spage *sp = &vm->mmu.spage[index];
	const u64 *t = spage_table(vm, sp);
	unsigned int i, idx;

	for (i = first; i < last && sp->present; i += MMU_LINE) {
		if (!line_or(&t[i], 0))
			continue;
		for (idx = i; idx < i + MMU_LINE; idx++)
			spage_unlink(vm, index, idx);
	}
}

/* Recursion, by spage_unlink() of children: one level down each time, so three deep. */
void spage_release(struct lite_vm *vm, u32 index)
{
	struct lite_mmu *m = &vm->mmu;
	struct lite_spage *sp = &m->spage[index];
	struct lite_frame *f = lite_frame(vm, sp->gfn, NULL);
	u32 *at = &f->shadow, i;

	while (*at != index)
		at = &m->spage[*at].next;
	*at = sp->next;

	while (sp->parents) {
		u32 id = sp->parents;
		struct lite_spage *p = &m->spage[id >> 9];

		sp->parents = link_ptr(vm, id)->next;
		mmu_store(&spage_table(vm, p)[id & 511], 0);
		p->present--;
	}
	/* A leaf page is cleared by page_put(), unless somebody may walk it until then. */
	if (sp->level > 1)
		spage_empty(vm, index, 0, 512);
	for (i = 0; sp->level == 1 && vm->vcpus > 1 && i < 512; i += MMU_LINE)
		line_set(spage_table(vm, sp) + i, 0);
	for (i = 0; sp->level == 1 && i < m->unsyncs; i++) {
		if (m->unsync[i].link >> 9 != index)
			continue;
		m->unsync[i].link = 0;
		unsync_stale(vm);
	}

	/* No processor has ever walked the companion. */
	if (sp->links)
		page_put(vm, sp->links);
	m->spages--;
	limbo_put(vm, index);
}

void spage_drop_gfn(struct lite_vm *vm, u64 gfn)
{
	unsigned int level, n;
	u32 i;

	/* From above: what a release takes along is of lower levels. */
	for (level = 4; level >= 1; level--) {
		for (n = 0; n < mmu_roles(vm, level); n++) {
			i = spage_find(vm, gfn, level, mmu_role(vm, level, n));
			if (!i)
				continue;
			if (spage_is_root(vm, &vm->mmu.spage[i]))
				spage_empty(vm, i, 0, 512);
			else
				spage_release(vm, i);
		}
	}
}

/* ---- eviction ---- */

static bool evict_one(struct lite_vm *vm)
{
	struct lite_mmu *m = &vm->mmu;
	u64 n;

	for (n = 2ull * m->spages_max; n; n--) {
		u32 i = m->clock_hand;
		struct lite_spage *sp = &m->spage[i];

		m->clock_hand = i + 1 < m->spages_max ? i + 1 : 1;
		if (!i || !sp->in_use || spage_is_root(vm, sp))
			continue;
		if (!sp->used) {
			spage_release(vm, i);
			return true;
		}
		sp->used = false;
	}
	return false;
}

u32 mmu_evict(struct lite_vm *vm, u32 n)
{
	u32 before, left;

	lite_lock(&vm->lock);
	limbo_settle(vm);
	spare_settle(vm);
	before = vm->mmu.spages;
	left = before > n ? before - n : 0;
	while (vm->mmu.spages > left && evict_one(vm))
		;
	n = before - vm->mmu.spages;
	lite_unlock(&vm->lock);
	return n;
}

int mmu_reserve(struct lite_vcpu *v)
{
	struct lite_vm *vm = v->vm;
	struct lite_mmu *m = &vm->mmu;
	u32 before = m->spages;
	int err;

	if (m->limbos)
		limbo_settle(vm);
	while (m->spages + MMU_RESERVE_SPAGES > m->spages_max - 1)
		if (!evict_one(vm) && !base_give_up(v))
			return -EINVAL;
	v->stats.shadow_evicted += before - m->spages;
	if (m->limbos > MMU_LIMBO_MAX ||
	    m->spages + m->limbos + MMU_RESERVE_SPAGES > m->spages_max - 1) {
		err = mmu_shoot(v, ~0u);
		if (err)
			return err;
		limbo_drain(vm);
	}
	/* An operation takes what it was promised without looking again. */
	if (m->spages + m->limbos + MMU_RESERVE_SPAGES > m->spages_max - 1)
		return -EINVAL;
	spare_settle(vm);
	if (m->pooled >= MMU_RESERVE_PAGES)
		return 0;
	v->want = LITE_WANT_POOL;
	return -EAGAIN;
}
