// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fuzzer: a lite guest that makes hypercalls, changes its page tables in every way it can, and
 * touches memory, against all of lite/core. The input is a stream of steps; each is an exit that
 * serve() hands to the core, or something that happens without one.
 *
 * Checked besides lite_oracle.h's, after each step: a guest that keeps to Xen's rules (obedient)
 * gets through to a page if and only if its own tables say so. Of others only the safety of the
 * rest of the machine is asked for.
 */
#include "lite_calls.h"

#define STEPS 300u

/* A trap of either ring; those that no guest can cause end it, so they come seldom. */
static bool step_vector(struct fuzz *f, u8 env)
{
	static const u16 vecs[] = { 0,
				    1,
				    3,
				    4,
				    5,
				    6,
				    7,
				    9,
				    10,
				    11,
				    12,
				    13,
				    16,
				    17,
				    19,
				    0x80,
				    LITE_VEC_SYSCALL,
				    LITE_VEC_SYSCALL32 };
	u8 k = fuzz_u8(f);
	u64 vec = FUZZ_PICK(f, vecs);
	bool kernel = k & 1;

	if (k == 0xff)
		vec = fuzz_u8(f);
	if (kernel && (vec == LITE_VEC_SYSCALL32 || vec == LITE_VEC_SYSCALL))
		return true;
	back(kernel);
	if (!kernel && (k & 2))
		e->v.r.cs = LITE_USER_CS32;
	if (k & 4)
		e->v.r.rsp = pick_va(f);
	return serve(f, vec, fuzz_u8(f), 0, env);
}

/* --- the processor ------------------------------------------------------------------------ */

/* Faults until the access gets through or is the guest's own fault. @ret as model()'s. */
static bool access_va(struct fuzz *f, u8 env, u64 va, u64 err, bool kernel, long *ret)
{
	unsigned int tries;
	u64 traps = e->v.stats.traps;

	/* #GP, before any table is looked at. */
	if (!lite_va_canonical(va)) {
		*ret = 1 << 16;
		return true;
	}
	for (tries = 0; tries < 64; tries++) {
		back(kernel);
		if (attempts(f, root, 0) != LITE_RESUME)
			return false;
		*ret = 0;
		if (eu_hw(e, va, err, kernel))
			return true;
		if (!serve(f, TRAP_PF,
			   err | (kernel && e->vm.ring == 1 ? 0 : 4) | (eu_spte(e, va) & P), va,
			   env))
			return false;
		*ret = 1 << 16;
		if (e->v.stats.traps != traps)
			return true;
		env &= ENV_LIGHT;
	}
	fuzz_assert(0); /* the same fault for ever */
	return false;
}

static bool step_access(struct fuzz *f, u8 env)
{
	u64 va = pick_va(f), leaf = NOBODY, entry = 0, to;
	u8 k = fuzz_u8(f);
	u64 err = k & 2 ? 2 : k & 4 ? 16 : 0;
	bool kernel = !(k & 1), was = obedient;
	long want = model(va, err, kernel, &leaf, &entry), have;
	unsigned int unsyncs = e->vm.mmu.unsyncs;

	if (env & (ENV_EVENT | ENV_WRITE))
		was = false;
	if (!lite_va_ok(va, 1))
		want = 1 << 16;
	if (!access_va(f, env, va, err, kernel, &have))
		return false;
	/* Rights that are stale until the guest flushes; a table that is written as one. */
	if (was && !have != !want && !(!have && unsyncs))
		fuzz_assert(!have && (err & 2) && kernel &&
			    (lite_frame(&e->vm, leaf, NULL)->flags & FRAME_UNSYNC));
	if (have || !(err & 2))
		return true;
	to = eu_spte(e, va) & FN;
	fuzz_assert(to);
	oracle_prepare(e);
	fuzz_assert(oracle.gfn[to / 4096] != NOBODY && !oracle.rom[to / 4096]);
	if (!(k & 8) || !may_write(oracle.gfn[to / 4096]))
		return true;
	*(u64 *)(e->arena + to + indices[k >> 5 & 3] * 8) = pick_pte(f);
	allow(oracle.gfn[to / 4096] << 12 | indices[k >> 5 & 3] << 3);
	return true;
}

/* Behind everybody's back, as a device or a page that is mapped elsewhere would. */
static void step_poke(struct fuzz *f)
{
	u64 gfn = pick_gfn(f);
	u8 k = fuzz_u8(f);
	unsigned int i = indices[k % 5], n;

	/* Rather a table that was in use not long ago, and is not now. */
	for (n = 0; (k & 0x80) && n < RAM; n++) {
		struct lite_frame *frame = lite_frame(&e->vm, (gfn + n) % RAM, NULL);

		if (frame->shadow && !(frame->flags & FRAME_UNSYNC) && may_write((gfn + n) % RAM)) {
			gfn = (gfn + n) % RAM;
			for (n = 0; n < 512 && !(((u64 *)guest_mem(gfn))[i] & P); n++)
				i = (i + 1) % 512;
			break;
		}
	}
	if (gfn >= RAM || !may_write(gfn) || gfn == G_SHARED)
		return;
	((u64 *)guest_mem(gfn))[i] = pick_pte(f);
	allow(gfn << 12 | i << 3);
}

/* A table that is like another, so that deep trees come about soon. */
static void step_table(struct fuzz *f)
{
	u64 gfn = G_FREE + fuzz_u8(f) % (TABLES - G_FREE), to = pick_gfn(f);
	unsigned int i;

	if (to >= RAM || !may_write(gfn))
		return;
	for (i = 0; i < 5; i++) {
		((u64 *)guest_mem(gfn))[indices[i]] = (to + i) % RAM << 12 | P | W | U | A;
		allow(gfn << 12 | indices[i] << 3);
	}
}

/* What the switcher takes: the guest's tables have it at once, the shadow at the next exit. */
static bool step_queue(struct fuzz *f, u8 env)
{
	unsigned int n = 1 + fuzz_u8(f) % 8;

	while (n--) {
		u64 gfn = pick_gfn(f), pte = pick_pte(f);
		unsigned int i = indices[fuzz_u8(f) % 5];

		if (gfn >= RAM || gfn == G_SHARED || !lite_frame(&e->vm, gfn, NULL)->pa)
			continue;
		if ((pte & P) && ((pte & FN) >> 12 >= RAM || (pte & 0x80)))
			continue;
		((u64 *)guest_mem(gfn))[i] = pte;
		allow(gfn << 12 | i << 3);
		e->v.queue[e->v.queued++] = gfn << 12 | i << 3;
	}
	return attempts(f, lite_prepare, env) == LITE_RESUME;
}

static bool step_state(struct fuzz *f, u8 env)
{
	struct lodge_state s;
	u8 k = fuzz_u8(f);

	lite_state_get(&e->v, &s);
	if (k & 1) {
		((u8 *)&s)[fuzz_u8(f) * 2 % sizeof(s)] ^= k;
		s.root = e->v.kroot << 12;
	}
	lite_state_set(&e->v, &s);
	return attempts(f, lite_prepare, env & ~ENV_LIGHT) == LITE_RESUME;
}

static bool step(struct fuzz *f)
{
	u8 op = fuzz_u8(f), env = fuzz_u8(f);

	/* Most steps in a plain environment. */
	if (op & 0x20)
		env = env & 1 ? ENV_LIGHT : 0;
	switch (op & 0x1f) {
	case 0 ... 4:
		return step_update(f, env);
	case 5 ... 11:
		return step_access(f, env);
	case 12:
	case 13:
		return step_update_va(f, env);
	case 14 ... 16:
		return step_ext(f, env);
	case 17:
	case 18:
		return step_multi(f, env);
	case 19:
		return step_event(f, env);
	case 20:
		return step_sched(f, env);
	case 21:
		return step_trap(f, env);
	case 22:
		return step_cpu(f, env);
	case 23:
		return op & 0x80 ? step_sys(f, env) : step_any(f, env);
	case 24:
		return step_iret(f, env);
	case 25:
		return step_vector(f, env);
	case 26:
	case 27:
		step_poke(f);
		return true;
	case 28:
		step_table(f);
		return true;
	case 29:
		meanwhile(f, env);
		eu_trash(e);
		return true;
	case 30:
		return step_state(f, env);
	default:
		if (op & 0x80)
			return step_queue(f, env);
		if (op & 0x40 && (!obedient || mmu_base_ok(&e->v))) {
			mmu_base_taken(&e->v, env);
			return attempts(f, lite_prepare, env) == LITE_RESUME;
		}
		/* Whatever the processor does to accessed and dirty bits: nothing. */
		eu_fill(e, env % 16);
		return true;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz f = { data, len };
	unsigned int i, last = 0;
	bool alive = true;

	args_at = 0x40;
	any_ring = true;
	judge_step = judge;
	guest_new(&f);
	for (i = 0; alive && f.left && i < STEPS; i++) {
		u8 op = f.p[0] & 31;

		seen[last * 32 + op]++;
		last = op;
		remember();
		alive = step(&f);
		judge();
		seen_pages();
		oracle_shadow(e, obedient);
	}
	guest_free();
	return 0;
}
