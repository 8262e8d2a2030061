/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A lite guest for the fuzzers: its memory and first tables, and serve(), which is to the core what
 * the world switch is: it hands it an exit and does what the core asks for, as slowly, in as many
 * attempts and with as many surprises in between as the input wants. One vCPU. Included once.
 */
#ifndef LODGE_LITE_GUEST_H
#define LODGE_LITE_GUEST_H

#include "lite_oracle.h"

#include "event.h"
#include "mmu_int.h"
#include "vsched.h"
#include "lite/abi/pv.h"

#define RAM 32u /* frames */
#define ROM 2u

enum { /* frames, and what they are for at first; the guest may use them otherwise */
       G_L4 = 1,
       G_L3,
       G_L2,
       G_L1,
       G_L4B,	   /* a second root, with the same kernel */
       G_FREE = 6, /* to 12: more tables */
       TABLES = 13,
       G_CODE = 13, /* to 14, as all of these two */
       G_ARGS = 15,
       G_STACK = 17,
       G_GDT = 19,
       G_DATA = 20,
       G_USER = 24,
       G_SHARED = 28,
};

#define KVA(gfn) (0xffff880000000000ull + ((u64)(gfn) << 12))
#define HANDLER	 0xffffffff81000000ull
#define SP	 (KVA(G_STACK + 2) - 64)

/* The byte of a step that says how its environment behaves. */
#define ENV_LIGHT  0x01 /* a light exit first */
#define ENV_LOCKED 0x02 /* somebody holds the mmu's lock then */
#define ENV_REFUSE 0x04 /* what is wanted is not there at first */
#define ENV_SCANTY 0x08 /* pages come a few at a time */
#define ENV_EVICT  0x10 /* reclaim between two attempts */
#define ENV_EVENT  0x20 /* a device's event between two attempts */
#define ENV_WRITE  0x40 /* guest memory changes between two attempts */
#define ENV_TRASH  0x80 /* pages given up are not fetched */

/* Told to libFuzzer as if they were branches: orders of steps, and kinds of shadow pages. */
static u8 seen[32 * 32 + 256] __attribute__((section("__libfuzzer_extra_counters"), used));

static struct eu *e;
static bool obedient;		 /* the guest has kept to Xen's rules so far */
static void (*judge_step)(void); /* sets @obedient by what the step has done so far */
static bool any_ring;		 /* set by who can do with a kernel in ring 3, too */
static u64 m2p[RAM];

static inline void guest_tables(void)
{
	unsigned int i;

	eu_pte(e, G_L4, 272, G_L3 << 12 | P | W | U | A);
	eu_pte(e, G_L4, 0, G_L3 << 12 | P | W | U | A);
	eu_pte(e, G_L4B, 272, G_L3 << 12 | P | W | U | A);
	eu_pte(e, G_L3, 0, G_L2 << 12 | P | W | U | A);
	eu_pte(e, G_L2, 0, G_L1 << 12 | P | W | U | A);
	for (i = 0; i < RAM; i++) {
		u64 flags = i < TABLES ? P | A | NX : i < G_ARGS ? P | A : P | W | A | D | NX;

		eu_pte(e, G_L1, i, (u64)i << 12 | flags | (i >= G_USER && i < G_SHARED ? U : 0));
	}
	eu_pte(e, G_L1, RAM, EU_ROM_GFN << 12 | P | A | U);
}

static inline void guest_new(struct fuzz *f)
{
	u8 how = fuzz_u8(f);
	bool ring3 = any_ring && (how & 1 ? how >> 6 == 3 : how & 64);
	struct eu_config c = {
		.frames = RAM,
		.rom = ROM,
		.spages = how & 1 ? 9 + (how >> 6) : 48,
		.cache = !(how & 2),
		.absent = how & 4,
		.ring = ring3 ? 3 : 1,
	};
	struct lodge_pv pv = {
		.shared_info = (u64)G_SHARED << 12,
		.root = (u64)G_L4 << 12,
		.frames = RAM,
		.ports_host = 32,
	};
	unsigned int i;

	e = eu_new(&c);
	obedient = !(how & 8);
	e->vm.hole_va = LITE_HOLE_START;
	e->vm.mmu.hyp_pa[0] = how & 16 ? 0 : (e->arena_pages - 1) * LITE_PAGE_SIZE;
	if (ring3)
		e->vm.mmu.hyp_pa[LITE_VCPUS_MAX] = e->vm.mmu.hyp_pa[0];
	e->vm.tsc_mul = 1u << 31;
	e->vm.tsc_shift = 1;
	e->vm.xcr0 = 7;
	e->vm.has_smap = how & 32 && !ring3;
	lite_vm_init(&e->vm);
	lite_vcpu_init(&e->v, &e->vm, 0);
	guest_tables();
	eu_page(e, G_SHARED);
	e->vm.m2p = m2p;
	fuzz_assert(!lite_vm_start(&e->vm, &pv));
	e->v.kroot = G_L4;
	e->v.uroot = ring3 ? G_L4B : 0;
	e->v.kernel_sp = SP;
	for (i = 0; i < 256; i++)
		e->v.trap[i] = (struct lite_trap){ HANDLER + 16 * i, i & 3, i & 4 };
	for (i = 0; i < LITE_CB_MAX; i++)
		e->v.callback[i].address = HANDLER + 0x10000 + 16 * i;
	e->v.r.rip = KVA(G_CODE);
	e->v.r.rsp = SP;
}

static inline void guest_free(void)
{
	oracle_nobody(e);
	eu_free(e); /* checks that all pages have come back */
	e = NULL;
}

static inline void *guest_mem(u64 gfn)
{
	return eu_page(e, gfn);
}

/* What surprises the core between two attempts at the same exit. */
static inline void meanwhile(struct fuzz *f, u8 env)
{
	if (env & ENV_EVICT)
		mmu_evict(&e->vm, 1 + (env & 3));
	if (env & ENV_EVENT)
		lite_port_raise(&e->vm, 1 + env % 40);
	if (env & ENV_WRITE) {
		u64 gfn = fuzz_u8(f) % RAM;
		struct lite_frame *frame = lite_frame(&e->vm, gfn, NULL);

		if (!obedient || !frame->shadow)
			((u8 *)guest_mem(gfn))[fuzz_u8(f) * 16] = fuzz_u8(f);
	}
}

/* What shadow pages there are now: by level, whether linked, pinned, in use, out of sync. */
static inline void seen_pages(void)
{
	u32 i;

	for (i = 1; i < e->vm.mmu.spages_max; i++) {
		struct lite_spage *sp = &e->vm.mmu.spage[i];
		unsigned int kind;
		u16 flags;

		if (!sp->in_use)
			continue;
		flags = lite_frame(&e->vm, sp->gfn, NULL)->flags;
		kind = (sp->level - 1) | !!sp->parents << 2 | !!sp->present << 3;
		kind |= !!(flags & FRAME_PINNED(sp->level)) << 4 | !!(flags & FRAME_UNSYNC) << 5;
		kind |= !!sp->next << 6 | !!(flags & FRAME_PINNED_ANY) << 7;
		seen[32 * 32 + kind] = 1;
	}
}

/* What the core changes of a vCPU though it has not served the exit: nothing that matters. */
static inline void unchanged(const struct lite_vcpu *before)
{
	struct lite_vcpu *v = &e->v, now = *v;

	if (v->r.vec == LITE_VEC_SERVED)
		return;
	fuzz_assert(!memcmp(&now.r, &before->r, sizeof(now.r)));
	fuzz_assert(now.kernel == before->kernel);
	/* A batch that has got half way. */
	if (now.multi_done || now.batch_done)
		return;
	now.want = before->want;
	now.want_gfn = before->want_gfn;
	now.stats = before->stats;
	now.budget = before->budget;
	now.multi_result = before->multi_result;
	now.ac = before->ac;
	now.exit = before->exit;
	now.batch_done = before->batch_done;
	memcpy(now.gtlb, before->gtlb, sizeof(now.gtlb));
	now.gtlb_gen = before->gtlb_gen;
	now.root_gfn = before->root_gfn;
	now.uroot_gfn = before->uroot_gfn;
	now.poll = before->poll; /* the end of a poll may be noted late */
	/* An LDT that cannot be read is none, however often that is found out. */
	if (!now.ldt_nr && before->ldt_nr) {
		now.ldt_nr = before->ldt_nr;
		now.changed = before->changed;
		now.ds = before->ds;
		now.es = before->es;
		now.fs = before->fs;
		now.gs = before->gs;
		now.fs_base = before->fs_base;
		now.gs_base = before->gs_base;
		now.gs_other = before->gs_other;
	}
	if (memcmp(&now, before, sizeof(now))) {
		size_t i = 0;

		while (((u8 *)&now)[i] == ((const u8 *)before)[i])
			i++;
		fprintf(stderr, "hypercall %llu, byte %zu of struct lite_vcpu has changed\n",
			(unsigned long long)v->r.rax, i);
		abort();
	}
}

static inline enum lite_next core_call(enum lite_next (*fn)(struct lite_vcpu *),
				       enum lite_tier tier, bool locked)
{
	struct lite_vcpu before;
	enum lite_next next;

	e->v.tier = tier;
	before = e->v;
	e->vm.lock.held = locked;
	next = fn(&e->v);
	fuzz_assert(!!e->vm.lock.held == locked);
	e->vm.lock.held = 0;
	fuzz_assert(next != LITE_FULL || tier == LITE_LIGHT);
	if ((next == LITE_FULL || next == LITE_WANT) && fn == lite_handle)
		unchanged(&before);
	return next;
}

/* Calls @fn until it lacks nothing more. */
static inline enum lite_next attempts(struct fuzz *f, enum lite_next (*fn)(struct lite_vcpu *),
				      u8 env)
{
	unsigned int tries;
	enum lite_next next = LITE_FULL;

	if (env & ENV_LIGHT)
		next = core_call(fn, LITE_LIGHT, env & ENV_LOCKED);
	for (tries = 0; next == LITE_FULL || next == LITE_WANT; tries++) {
		fuzz_assert(tries < 400);
		if (next == LITE_WANT && !((env & ENV_REFUSE) && tries % 2 == 0)) {
			if (e->v.want == LITE_WANT_POOL && (env & ENV_SCANTY)) {
				e->v.want = LITE_WANT_NONE;
				eu_fill(e, 3);
			} else {
				eu_want(e);
			}
		}
		if (tries < 4)
			meanwhile(f, env);
		next = core_call(fn, LITE_FULLTIER, false);
		if (!(env & ENV_TRASH))
			eu_trash(e);
	}
	return next;
}

static inline enum lite_next root(struct lite_vcpu *v)
{
	switch (mmu_root(v)) {
	case 0:
		return LITE_RESUME;
	case -EAGAIN:
		return LITE_WANT;
	case -EBUSY:
		return LITE_FULL;
	default:
		return lite_kill(v, "no root");
	}
}

static inline void exit_check(void)
{
	const struct lodge_run *x = &e->v.exit;

	switch (x->reason) {
	case LODGE_EXIT_PIO:
		fuzz_assert(x->io.port >= 0x500 && x->io.port + x->io.size <= 0x700);
		fuzz_assert(x->io.size == 1 || x->io.size == 2 || x->io.size == 4);
		fuzz_assert(x->io.write <= 1 && e->v.io_pending == !x->io.write);
		break;
	case LODGE_EXIT_VIRTIO:
		fuzz_assert(x->virtio.device < LODGE_BUS_DEVICES);
		fuzz_assert(x->virtio.offset + x->virtio.size <= 4096);
		break;
	case LODGE_EXIT_CONSOLE:
		fuzz_assert(x->console.len <= sizeof(x->console.text));
		break;
	case LODGE_EXIT_SHUTDOWN:
		fuzz_assert(x->shutdown.reason <= 5);
		break;
	default:
		fuzz_assert(0);
	}
}

/*
 * The exit @vec, until the guest can be entered again. False: the VM has ended. After that @e->v
 * is what the guest would go on with.
 */
static inline bool serve(struct fuzz *f, u64 vec, u64 err, u64 cr2, u8 env)
{
	enum lite_next next;
	unsigned int i;

	e->v.r.vec = vec;
	e->v.r.err = err;
	e->v.cr2 = cr2;
	next = attempts(f, lite_handle, env);
	for (i = 0; i < 2 && next != LITE_DEAD; i++) {
		if (next == LITE_EXIT) {
			exit_check();
			lite_complete_io(&e->v, 0xa5a5a5a5);
		} else if (next == LITE_BLOCK && e->v.deadline) {
			e->tsc = e->v.deadline + 1;
		}
		if (env & ENV_EVENT)
			lite_port_raise(&e->vm, 1 + env % 40);
		next = attempts(f, lite_prepare, env);
		fuzz_assert(next == LITE_RESUME || next == LITE_DEAD);
		if (next == LITE_RESUME)
			next = attempts(f, root, env);
	}
	if (next == LITE_DEAD) {
		fuzz_assert(e->vm.dead && e->vm.why[0] && memchr(e->vm.why, 0, sizeof(e->vm.why)));
		fuzz_assert(e->v.exit.reason == LODGE_EXIT_KILLED);
		return false;
	}
	fuzz_assert(next == LITE_RESUME);
	/* A result may have gone to where the guest maps a table of its own. */
	if (judge_step)
		judge_step();
	oracle_entry(e, obedient);
	return true;
}

/* Back in the guest's kernel, as if its handler had returned. */
static inline void back(bool kernel)
{
	lite_set_mode(&e->v, kernel);
	e->v.r.rip = kernel ? KVA(G_CODE) : (u64)G_USER << 12;
	e->v.r.rsp = SP;
	e->v.r.cs = kernel ? LITE_KERN_CS : LITE_USER_CS;
	e->v.r.ss = kernel ? LITE_KERN_SS : LITE_USER_DS;
	e->v.r.rflags = FLAGS_SET;
}

static const u64 bad_va[] = {
	0,
	8,
	4095,
	0x7ffffffff000,
	0x7fffffffffff,
	0x7ffffffffff8,
	0x800000000000,
	0xffff7fffffffffff,
	LITE_HOLE_START - 8,
	LITE_HOLE_START - 1,
	LITE_HOLE_START,
	LITE_HOLE_START + 0x1000,
	LITE_HOLE_END - 1,
	LITE_HOLE_END - 16,
	LITE_HOLE_END,
	0xfffffffffffff000ull,
	~0ull - 7,
	~0ull,
	1ull << 63,
};

static const unsigned int indices[] = { 0, 1, 2, 300, 511 };

/* An address: on a path that the tables' few used entries make up, of a frame, or an odd one. */
static inline u64 pick_va(struct fuzz *f)
{
	u8 k = fuzz_u8(f);
	u64 va = 0, path;
	unsigned int i;

	if (k >= 240)
		return FUZZ_PICK(f, bad_va);
	if (k >= 128)
		return KVA(k % RAM) + fuzz_u8(f) * 16;
	path = k | fuzz_u8(f) << 7;
	for (i = 0; i < 4; i++, path /= 5)
		va = va << 9 | indices[path % 5];
	return (u64)((s64)(va << 28) >> 16) | (path % 8) * 0x1c8;
}

static inline u64 pick_gfn(struct fuzz *f)
{
	static const u64 odd[] = { 0,
				   RAM - 1,
				   RAM,
				   EU_ROM_GFN,
				   EU_ROM_GFN + 1,
				   EU_ROM_GFN + 2,
				   (1ull << 40) - 1,
				   1ull << 28,
				   ~0ull,
				   ~0ull >> 12 };
	u8 k = fuzz_u8(f);

	if (k < 176)
		return 1 + k % (TABLES - 1);
	if (k < 232)
		return k % RAM;
	return k < 244 ? EU_ROM_GFN + k % ROM : odd[k % ARRAY_SIZE(odd)];
}

static inline u64 pick_pte(struct fuzz *f)
{
	u64 pte = pick_gfn(f) << 12;
	u8 k = fuzz_u8(f);

	pte |= (k & 1 ? 0 : P) | (k & 2 ? 0 : W) | (k & 4 ? U : 0) | (k & 8 ? 0 : A);
	pte |= (k & 16 ? D : 0) | (k & 32 ? NX : 0);
	if ((k & 0xc0) == 0xc0)
		pte |= k & 1 ? PSE | P : (u64)k << 8 | P;
	return pte;
}

#endif
