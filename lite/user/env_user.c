// SPDX-License-Identifier: GPL-2.0-only
/*
 * See env_user.h. env_*() here record what they are asked; eu_*() play the world switch and the
 * processor's page walk. One thread.
 */
#include "env_user.h"

#include <stdio.h>
#include <stdlib.h>

static struct eu *eu_now;
/* Kept from one VM to the next: a fuzzer makes very many, and fresh pages are dear. */
static u8 *arena_kept;
static u64 arena_kept_pages;

u64 env_tsc(void)
{
	return eu_now->tsc += 1000;
}

/* A processor with everything, whose state components are 64 bytes each. */
void env_cpuid(u32 leaf, u32 sub, u32 out[4])
{
	memset(out, 0xff, 4 * sizeof(out[0]));
	if (!leaf || leaf == 0x80000000)
		out[0] = leaf | 0x28;
	if (leaf == 0xd && sub > 1) {
		out[0] = 64;
		out[1] = 576 + 64 * sub;
	}
}

void env_pkru_open(void)
{
	eu_now->pkru_opened++;
}

void env_vcpu_kick(struct lite_vcpu *v)
{
	(void)v;
	eu_now->kicks++;
}

void env_vcpu_leave(struct lite_vcpu *v)
{
	__atomic_fetch_add(&eu_now->leaves, 1, __ATOMIC_RELAXED);
	if (eu_now->leave)
		eu_now->leave(v);
}

void env_port_send(struct lite_vm *vm, u32 port)
{
	(void)vm;
	eu_now->sends++;
	eu_now->last_port = port;
}

static void *eu_alloc(size_t n, size_t size)
{
	void *p = calloc(n, size);

	if (!p)
		abort();
	return p;
}

struct eu *eu_new(const struct eu_config *c)
{
	struct eu *e = eu_alloc(1, sizeof(*e));
	u32 spages = c->spages ? c->spages : EU_SPAGES;
	struct lite_vm *vm = &e->vm;
	u64 i;

	eu_now = e;
	e->arena_pages = 1 + c->frames + c->rom + 2ull * spages + 2 * MMU_POOL_MAX;
	if (arena_kept_pages != e->arena_pages) {
		free(arena_kept);
		arena_kept = aligned_alloc(LITE_PAGE_SIZE, e->arena_pages * LITE_PAGE_SIZE);
		arena_kept_pages = e->arena_pages;
	}
	e->arena = arena_kept;
	if (!e->arena)
		abort();
	memset(e->arena, 0, e->arena_pages * LITE_PAGE_SIZE);
	vm->dmap = (u64)(uintptr_t)e->arena;
	vm->phys_bits = 40;
	vm->ring = c->ring ? c->ring : 1;
	vm->mmu.none = 0x000ffffffffff001ull;
	vm->frames = c->frames;
	vm->slots = c->rom ? 2 : 1;
	vm->slot[0].nr = c->frames;
	vm->slot[0].frame = eu_alloc(c->frames, sizeof(struct lite_frame));
	if (c->rom) {
		vm->slot[1].gfn = EU_ROM_GFN;
		vm->slot[1].nr = c->rom;
		vm->slot[1].readonly = true;
		vm->slot[1].frame = eu_alloc(c->rom, sizeof(struct lite_frame));
	}
	e->absent_next = 1;
	e->next_page = 1 + c->frames + c->rom;
	if (!c->absent) {
		for (i = 0; i < c->frames; i++)
			eu_page(e, i);
		for (i = 0; i < c->rom; i++)
			eu_page(e, EU_ROM_GFN + i);
	}
	mmu_init(vm, eu_alloc(spages, mmu_spage_size()), spages, c->cache);
	vm->vcpu[0] = &e->v;
	vm->vcpus = 1;
	vm->alone = true;
	e->v.vm = vm;
	e->v.kernel = true;
	e->v.tier = LITE_FULLTIER;
	lite_roots_forget(&e->v);
	return e;
}

static void eu_put(void *arg, u64 pa)
{
	struct eu *e = arg;

	*(u64 *)(e->arena + pa) = e->free_page;
	e->free_page = pa;
	e->pages_out--;
}

void eu_trash(struct eu *e)
{
	while (e->vm.mmu.trashed)
		eu_put(e, e->vm.mmu.trash[--e->vm.mmu.trashed]);
}

void eu_free(struct eu *e)
{
	struct lite_spage *spage = e->vm.mmu.spage;

	while (e->v.ldt_pages)
		free(e->v.ldt[--e->v.ldt_pages]);
	mmu_fini(&e->vm, eu_put, e);
	if (e->pages_out) {
		fprintf(stderr, "%llu pages have not come back\n",
			(unsigned long long)e->pages_out);
		abort();
	}
	free(spage);
	free(e->vm.slot[0].frame);
	free(e->vm.slot[1].frame);
	free(e);
}

void eu_fill(struct eu *e, u32 n)
{
	struct lite_mmu *m = &e->vm.mmu;

	while (n-- && m->pooled < MMU_POOL_MAX) {
		u64 pa = e->free_page;

		if (pa)
			e->free_page = *(u64 *)(e->arena + pa);
		else if (e->next_page < e->arena_pages)
			pa = e->next_page++ * LITE_PAGE_SIZE;
		else
			abort();
		memset(e->arena + pa, 0, LITE_PAGE_SIZE);
		m->pool[m->pooled++] = pa;
		e->pages_out++;
	}
}

void *eu_page(struct eu *e, u64 gfn)
{
	struct lite_frame *f = lite_frame(&e->vm, gfn, NULL);

	if (!f)
		abort();
	if (!f->pa)
		f->pa = e->absent_next++ * LITE_PAGE_SIZE;
	return e->arena + f->pa;
}

static void eu_ldt(struct lite_vcpu *v, u64 pages)
{
	while (v->ldt_pages < pages && v->ldt_pages < LITE_LDT_PAGES)
		v->ldt[v->ldt_pages++] = eu_alloc(1, LITE_PAGE_SIZE);
}

bool eu_want(struct eu *e)
{
	enum lite_want want = e->v.want;

	e->v.want = LITE_WANT_NONE;
	if (want == LITE_WANT_POOL)
		eu_fill(e, 16);
	else if (want == LITE_WANT_FRAME)
		eu_page(e, e->v.want_gfn);
	else if (want == LITE_WANT_LDT)
		eu_ldt(&e->v, e->v.want_gfn);
	return want != LITE_WANT_NONE;
}

void eu_pte(struct eu *e, u64 gfn, unsigned int i, u64 val)
{
	((u64 *)eu_page(e, gfn))[i] = val;
}

static u64 *eu_entry(struct eu *e, u64 va, unsigned int level)
{
	u64 pa = e->vm.ring == 3 && !e->v.kernel ? e->v.uroot_pa : e->v.root_pa;
	unsigned int l;

	for (l = 4;; l--) {
		u64 *p = (u64 *)(e->arena + pa) + ((va >> (3 + 9 * l)) & 511);

		if (l == level)
			return p;
		if (!(*p & 1))
			return NULL;
		pa = *p & 0x000ffffffffff000ull;
	}
}

u64 eu_level(struct eu *e, u64 va, unsigned int level)
{
	u64 *p = eu_entry(e, va, level);

	return p ? *p : 0;
}

u64 eu_spte(struct eu *e, u64 va)
{
	return eu_level(e, va, 1);
}

bool eu_hw(struct eu *e, u64 va, u64 err, bool kernel)
{
	u64 all = ~0ull, any = 0;
	unsigned int level;

	for (level = 4; level >= 1; level--) {
		u64 *p = eu_entry(e, va, level);

		if (!p || !(*p & 1) || (*p & 0x000ff00000000000ull))
			return false;
		all &= *p;
		any |= *p;
	}
	/* To the processor a kernel in ring 3 is a program. */
	kernel = kernel && e->vm.ring != 3;
	if ((!kernel && !(all & 4)) || ((err & 2) && !(all & 2)))
		return false;
	return !(err & 16) || (!(any >> 63) && !(kernel && (all & 4)));
}

long eu_access(struct eu *e, u64 va, u64 err, bool kernel)
{
	unsigned int tries;
	int ret;

	e->v.kernel = kernel;
	for (tries = 0; tries < 64; tries++) {
		enum mmu_result res;
		u64 code = err | (kernel && e->vm.ring != 3 ? 0 : 4);

		ret = mmu_root(&e->v);
		if (!ret && eu_hw(e, va, err, kernel))
			return 0;
		if (!ret)
			ret = mmu_fault(&e->v, va, &code, &res);
		if (!ret && res == MMU_INJECT)
			return (long)code | 1 << 16;
		if (ret && !(ret == -EAGAIN && eu_want(e)))
			return ret;
	}
	return -ELOOP;
}
