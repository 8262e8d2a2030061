/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What must hold of a lite guest whatever it has done, found out by other means than mmu_audit()'s:
 * the shadow is walked from its root as a processor would, knowing nothing of shadow pages but
 * their memory. And the state that the guest would be entered with. Included by the lite fuzzers.
 */
#ifndef LODGE_LITE_ORACLE_H
#define LODGE_LITE_ORACLE_H

#include "fuzz.h"
#include "hypercall.h"
#include "trap.h"
#include "lite/user/env_user.h"

#define P   0x1ull
#define W   0x2ull
#define U   0x4ull
#define A   0x20ull
#define D   0x40ull
#define PSE 0x80ull
#define G   0x100ull
#define NX  (1ull << 63)
#define FN  0x000ffffffffff000ull

#define NOBODY	     (~0ull)
#define ORACLE_PAGES 1024u

struct oracle {
	struct eu *e;
	u64 gfn[ORACLE_PAGES]; /* of the guest frame in this page of the arena */
	bool rom[ORACLE_PAGES];
	bool idle[ORACLE_PAGES]; /* of nobody's: in a pool, a list, never used */
	u8 level[ORACLE_PAGES];	 /* a shadow table seen at that level */
	u64 table[ORACLE_PAGES]; /* and for that guest table */
	u8 view[ORACLE_PAGES];	 /* and of that role, mmu_int.h */
	u8 role;		 /* of the root whose tree is being walked */
};

static struct oracle oracle;

static inline u64 oracle_page(u64 pa)
{
	fuzz_assert(!(pa & 4095) && pa && pa / 4096 < oracle.e->arena_pages);
	return pa / 4096;
}

static inline void oracle_idle(u64 pa)
{
	u64 page = oracle_page(pa);

	fuzz_assert(oracle.gfn[page] == NOBODY && !oracle.idle[page]); /* given back once */
	oracle.idle[page] = true;
}

static inline void oracle_prepare(struct eu *e)
{
	struct lite_mmu *m = &e->vm.mmu;
	u64 i, j, pa;

	fuzz_assert(e->arena_pages <= ORACLE_PAGES);
	memset(&oracle, 0, sizeof(oracle));
	oracle.e = e;
	memset(oracle.gfn, 0xff, sizeof(oracle.gfn));
	for (i = 0; i < e->vm.slots; i++) {
		struct lite_slot *s = &e->vm.slot[i];

		for (j = 0; j < s->nr; j++) {
			if (!s->frame[j].pa)
				continue;
			oracle.gfn[oracle_page(s->frame[j].pa)] = s->gfn + j;
			oracle.rom[oracle_page(s->frame[j].pa)] = s->readonly;
		}
	}
	fuzz_assert(m->pooled <= MMU_POOL_MAX && m->trashed <= MMU_POOL_MAX * 4);
	for (i = 0; i < m->pooled; i++)
		oracle_idle(m->pool[i]);
	for (i = 0; i < m->trashed; i++)
		oracle_idle(m->trash[i]);
	for (pa = m->spare; pa; pa = *(u64 *)(e->arena + pa))
		oracle_idle(pa);
	for (pa = e->free_page; pa; pa = *(u64 *)(e->arena + pa))
		oracle_idle(pa);
}

/* The guest's entry allows what the shadow's does; @from: the upper entry or the leaf. */
static inline void oracle_rights(u64 have, u64 guest)
{
	fuzz_assert(guest & P);
	/* A kernel in ring 3 has to reach all. */
	if (oracle.e->vm.ring == 3 && !oracle.role)
		fuzz_assert(have & U);
	else
		fuzz_assert(!(have & U) || (guest & U));
	fuzz_assert((have & NX) || !(guest & NX));
}

static inline void oracle_leaf(u64 have, const u64 *guest)
{
	u64 page, gfn, e;

	/* Says that the guest has nothing there: no processor gets beyond it. */
	if (have == oracle.e->vm.mmu.none) {
		fuzz_assert((have & FN) >> oracle.e->vm.phys_bits);
		fuzz_assert(!guest || !(*guest & P));
		return;
	}
	page = oracle_page(have & FN);
	gfn = oracle.gfn[page];
	fuzz_assert(gfn != NOBODY && !((have & W) && oracle.rom[page]));
	fuzz_assert(!(have & (PSE | G)));
	if (!guest)
		return;
	e = *guest;
	oracle_rights(have, e);
	fuzz_assert((e & A) && (e & FN) >> 12 == gfn);
	/* A write the guest does not allow goes to a table only that is known to be out of sync. */
	if ((have & W) && !((e & W) && (e & D)))
		fuzz_assert(lite_frame(&oracle.e->vm, gfn, NULL)->flags & FRAME_UNSYNC);
}

/* @gfn: the guest table that this is the shadow of, NOBODY if the guest does not keep the rules. */
static inline void oracle_tree(u64 pa, unsigned int level, u64 gfn)
{
	u64 page = oracle_page(pa), *t = (u64 *)(oracle.e->arena + pa), *guest = NULL;
	struct lite_frame *f = lite_frame(&oracle.e->vm, gfn, NULL);
	unsigned int i;

	fuzz_assert(oracle.gfn[page] == NOBODY && !oracle.idle[page]);
	if (oracle.level[page]) {
		fuzz_assert(oracle.level[page] == level && oracle.view[page] == oracle.role);
		fuzz_assert(gfn == NOBODY || oracle.table[page] == NOBODY ||
			    oracle.table[page] == gfn);
		return;
	}
	oracle.level[page] = level;
	oracle.view[page] = oracle.role;
	oracle.table[page] = gfn;
	if (f && f->pa && !(f->flags & FRAME_UNSYNC))
		guest = (u64 *)(oracle.e->arena + f->pa);
	for (i = 0; i < 512; i++) {
		if (level == 4 && i >= 256 && i <= 271) {
			u64 hyp = oracle.e->vm.mmu.hyp_pa[oracle.role];
			u64 flags = oracle.e->vm.ring == 3 && !oracle.role ? 0x67 : 0x63;

			fuzz_assert(t[i] == (i == 256 && hyp ? hyp | flags : 0));
			continue;
		}
		if (!t[i])
			continue;
		fuzz_assert((t[i] & P) && !(t[i] & 0x7ff0000000000000ull));
		if (level == 1) {
			oracle_leaf(t[i], guest ? &guest[i] : NULL);
			continue;
		}
		fuzz_assert(!(t[i] & PSE));
		if (guest) {
			oracle_rights(t[i], guest[i]);
			fuzz_assert(!(guest[i] & PSE) && (!(t[i] & W) || (guest[i] & W)));
		}
		oracle_tree(t[i] & FN, level - 1, guest ? (guest[i] & FN) >> 12 : NOBODY);
	}
}

/**
 * oracle_shadow - all of the shadow
 * @obedient: the guest has kept to the rules, so its own tables have to explain each entry
 */
static inline void oracle_shadow(struct eu *e, bool obedient)
{
	char why[128] = "";

	if (mmu_audit(&e->vm, obedient, why, sizeof(why))) {
		fprintf(stderr, "audit: %s\n", why);
		abort();
	}
}

/** oracle_entry - the guest could be entered: with what the world switch would load */
static inline void oracle_entry(struct eu *e, bool obedient)
{
	const struct lite_vcpu *v = &e->v;
	struct lite_slot *slot = NULL;
	unsigned int i;

	fuzz_assert(lite_va_canonical(v->r.rip));
	fuzz_assert(!(v->r.rflags & ~(FLAGS_GUEST | FLAGS_SET)));
	fuzz_assert((v->r.rflags & FLAGS_SET) == FLAGS_SET);
	if (v->kernel) {
		fuzz_assert(v->r.cs == LITE_KERN_CS && v->r.ss == LITE_KERN_SS);
		fuzz_assert(!v->ac || (v->r.rflags & FLAG_AC));
	} else {
		fuzz_assert(!user_code_check(v, v->r.cs, v->r.rip));
		fuzz_assert(!user_stack_check(v, v->r.ss));
		fuzz_assert(v->r.cs == LITE_USER_CS || !(v->r.rip >> 32));
	}
	fuzz_assert(lite_va_canonical(v->fs_base) && lite_va_canonical(v->gs_base) &&
		    lite_va_canonical(v->gs_other));
	fuzz_assert(segment_safe(v, v->ds) == v->ds && segment_safe(v, v->es) == v->es);
	fuzz_assert(segment_safe(v, v->fs) == v->fs && segment_safe(v, v->gs) == v->gs);
	fuzz_assert(!v->kernel_sp || lite_va_ok(v->kernel_sp - 128, 128));
	for (i = 0; i < 256; i++)
		fuzz_assert(lite_va_ok(v->trap[i].address, 1) && v->trap[i].dpl < 4);
	for (i = 0; i < LITE_CB_MAX; i++)
		fuzz_assert(lite_va_ok(v->callback[i].address, 1));
	for (i = 0; i < 4; i++) /* code or data, present, of ring 3, accessed */
		fuzz_assert(!v->tls[i] || (v->tls[i] >> 40 & 0xf1) == 0xf1);
	fuzz_assert(v->ldt_nr <= v->ldt_pages * 512);
	for (i = 0; i < (int)v->ldt_nr; i++) { /* code or data of ring 3, accessed, not 64-bit */
		__u64 desc = v->ldt[i / 512][i % 512];

		fuzz_assert(!desc || ((desc >> 40 & 0x71) == 0x71 &&
				      !(desc & DESC_CODE && desc & DESC_LONG)));
	}
	for (i = 0; i < 4; i++) {
		fuzz_assert(lite_va_ok(v->dr[i], 1));
		fuzz_assert((v->dr7 >> (16 + 4 * i) & 3) != 2);
	}
	fuzz_assert(!(v->dr7 & (1 << 13)) && !(v->dr7 >> 32) && !(v->dr6 >> 32));
	fuzz_assert(lite_frame(&e->vm, v->kroot, &slot) && !slot->readonly);

	/* The guest's vcpu_info is in a frame that is the guest's to write. */
	oracle_prepare(e);
	i = oracle_page(v->vi_pa & ~4095ull);
	fuzz_assert((u8 *)v->vi == e->arena + v->vi_pa);
	fuzz_assert(oracle.gfn[i] != NOBODY && !oracle.rom[i]);
	fuzz_assert(!(v->vi_pa & 7) && (v->vi_pa & 4095) + 64 <= 4096);

	/* What copies go to is the guest's, and to be written only if it may be. */
	for (i = 0; i < LITE_GTLB; i++) {
		u64 page;

		if (!v->gtlb[i].key)
			continue;
		page = oracle_page(v->gtlb[i].page - e->arena);
		fuzz_assert(oracle.gfn[page] != NOBODY);
		fuzz_assert(!v->gtlb[i].write || !oracle.rom[page]);
	}
	fuzz_assert(v->root_pa && !(v->root_pa & 4095));
	oracle_tree(v->root_pa, 4, obedient ? v->kroot : NOBODY);
	fuzz_assert(e->vm.ring == 3 || !v->uroot_pa);
	fuzz_assert(e->vm.ring != 3 || v->kernel || v->uroot_pa);
	if (!v->uroot_pa)
		return;
	fuzz_assert(!(v->uroot_pa & 4095) && v->uroot_pa != v->root_pa);
	oracle.role = LITE_VCPUS_MAX;
	oracle_tree(v->uroot_pa, 4, obedient ? v->uroot : NOBODY);
	oracle.role = 0;
}

/* Page 0 is nobody's; nothing has gone astray there. */
static inline void oracle_nobody(struct eu *e)
{
	unsigned int i;

	for (i = 0; i < 512; i++)
		fuzz_assert(!((u64 *)e->arena)[i]);
}

#endif
