// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shadow page tables with several vCPUs: who has to leave the guest before what. Step by step, and
 * then with a thread for each vCPU, that plays a processor with a cache of tables: what it has seen
 * once since it entered the guest, it may look into again until it leaves, and whatever it finds
 * must be an entry of that level. For ThreadSanitizer as well.
 */
#include <pthread.h>

#include "kselftest.h"
#include "lite/core/mmu_int.h"
#include "lite/user/env_user.h"

#define P PTE_P
#define W PTE_W
#define U PTE_U
#define A PTE_A
#define D PTE_D

#define TABLES 12u
#define FRAMES 24u
#define VCPUS  4u
#define CACHE  16u
#define ROUNDS 10000u

struct cpu {
	struct lite_vcpu v;
	pthread_t thread;
	u64 state;
	bool leave;
	struct {
		u64 pa;
		unsigned int level;
	} cached[CACHE];
	unsigned int nr_cached;
	u64 looks, left;
};

static struct eu *e;
static struct cpu cpu[VCPUS];
static u64 frames_end; /* pages of the arena below are guest frames */

/* --- two vCPUs, one thread --------------------------- */

static void cross_now(struct lite_vcpu *v)
{
	if (lite_in_guest(v))
		lite_guest_cross(v);
}

static void add_vcpus(u32 n)
{
	u32 i;

	memset(cpu, 0, sizeof(cpu));
	for (i = 0; i < n; i++) {
		cpu[i].v.vm = &e->vm;
		cpu[i].v.id = i;
		cpu[i].v.kernel = true;
		cpu[i].v.tier = LITE_FULLTIER;
		cpu[i].v.kroot = 1;
		lite_roots_forget(&cpu[i].v);
		cpu[i].state = 0x9e3779b97f4a7c15ull * (i + 1);
		e->vm.vcpu[i] = &cpu[i].v;
	}
	e->vm.vcpus = n;
	e->vm.alone = n == 1;
}

static void vm_new(struct eu_config c, u32 vcpus)
{
	if (e)
		eu_free(e);
	c.frames = FRAMES;
	e = eu_new(&c);
	frames_end = 1 + FRAMES;
	add_vcpus(vcpus);
}

/* gfn 1 is the root, 2, 3, 4 below it; va 0 is gfn 10 then, and 4 is mapped read-only at 0x1000. */
static void tables_of(struct eu_config c)
{
	vm_new(c, 2);
	eu_fill(e, 64);
	eu_pte(e, 1, 0, 2 << 12 | P | W | A);
	eu_pte(e, 2, 0, 3 << 12 | P | W | A);
	eu_pte(e, 3, 0, 4 << 12 | P | W | A);
	eu_pte(e, 4, 0, 10 << 12 | P | W | A | D);
	eu_pte(e, 4, 1, 4 << 12 | P | A);
	e->leave = cross_now;
}

static void tables(void)
{
	tables_of((struct eu_config){ .cache = true });
}

static void touch(struct lite_vcpu *v, u64 va, u64 err)
{
	enum mmu_result res = MMU_INJECT;
	u64 code = err;

	ksft_eq(mmu_root(v), 0);
	ksft_eq(mmu_fault(v, va, &code, &res), 0);
	ksft_eq(res, MMU_FIXED);
}

static void leave_and_return(struct lite_vcpu *v)
{
	lite_guest_cross(v);
	lite_guest_cross(v);
}

/* Who has left counts as such though it is in the guest again when one looks. */
static void pages_run_out(void)
{
	struct lite_vcpu *a = &cpu[0].v, *b = &cpu[1].v;
	unsigned int i;
	struct lite_mmu *m;

	tables_of((struct eu_config){ .cache = true, .spages = 10 });
	m = &e->vm.mmu;
	e->leave = leave_and_return;
	for (i = 0; i < 8; i++) {
		eu_pte(e, 3, i, (11ull + i) << 12 | P | W | A);
		eu_pte(e, 11 + i, 0, 10 << 12 | P | W | A | D);
	}
	lite_guest_cross(b);
	for (i = 0; i < 64; i++) {
		eu_fill(e, 64);
		touch(a, (i & 7) << 21, 0);
		ksft_check(m->spages + m->limbos <= m->spages_max - 1);
		ksft_eq(mmu_audit(&e->vm, false, NULL, 0), 0);
		eu_trash(e);
	}
	ksft_check(e->leaves);
	lite_guest_cross(b);
}

static void pages_wait(void)
{
	struct lite_vcpu *a = &cpu[0].v, *b = &cpu[1].v;
	struct lite_mmu *m;
	u32 pooled;

	tables();
	m = &e->vm.mmu;
	touch(a, 0, 0);
	lite_guest_cross(b);
	pooled = m->pooled;
	ksft_eq(mmu_update(a, 1 << 12, 0, false), 0); /* three tables go */
	ksft_eq(m->limbos, 3);
	ksft_eq(m->pooled, pooled + 2); /* two companions */
	limbo_settle(&e->vm);
	ksft_eq(m->limbos, 3);
	ksft_eq(e->leaves, 0);
	ksft_eq(mmu_audit(&e->vm, true, NULL, 0), 0);

	/* Those that go now do not free those, nor are they freed with them. */
	ksft_eq(mmu_update(a, 1 << 12, 2 << 12 | P | W | A, false), 0);
	touch(a, 0, 0);
	ksft_eq(mmu_update(a, 1 << 12, 0, false), 0);
	ksft_eq(m->limbos, 6);
	lite_guest_cross(b);
	lite_guest_cross(b); /* left, and is in again */
	limbo_settle(&e->vm);
	ksft_eq(m->limbos, 3);
	lite_guest_cross(b);
	limbo_settle(&e->vm);
	ksft_eq(m->limbos, 0);
	ksft_eq(e->leaves, 0);
	ksft_eq(mmu_audit(&e->vm, true, NULL, 0), 0);

	/* Nobody in the guest: at once. */
	ksft_eq(mmu_update(a, 1 << 12, 2 << 12 | P | W | A, false), 0);
	touch(a, 0, 0);
	ksft_eq(mmu_update(a, 1 << 12, 0, false), 0);
	ksft_eq(m->limbos, 0);
}

/* To who still walks it such a page must not say that the guest has nothing: that may change. */
static void pages_empty(void)
{
	struct lite_vcpu *a = &cpu[0].v, *b = &cpu[1].v;
	const u64 *t;
	unsigned int i;

	tables();
	touch(a, 0, 0);
	t = spage_table(&e->vm, &e->vm.mmu.spage[spage_find(&e->vm, 4, 1, 0)]);
	ksft_check(t[0]);
	ksft_eq(t[20], e->vm.mmu.none);
	lite_guest_cross(b);
	ksft_eq(mmu_update(a, 1 << 12, 0, false), 0);
	ksft_eq(e->vm.mmu.limbos, 3);
	for (i = 0; i < 512; i++)
		ksft_eq(t[i], 0);
	lite_guest_cross(b);
}

static void writes_wait(void)
{
	struct lite_vcpu *a = &cpu[0].v, *b = &cpu[1].v;
	struct lite_mmu *m;
	u64 root;

	tables();
	m = &e->vm.mmu;
	touch(a, 0, 0);
	touch(a, 0x1000, 3); /* the table becomes writable */
	ksft_eq(m->unsyncs, 1);
	root = a->root_pa;
	lite_guest_cross(b);
	a->tier = LITE_LIGHT;
	ksft_eq(mmu_flush(a, ~0ull, 0), -EBUSY);
	ksft_eq(m->unsyncs, 1);
	ksft_eq(e->leaves, 0);
	eu_pte(e, 4, 0, 11 << 12 | P | W | A | D); /* b could do this still */
	a->tier = LITE_FULLTIER;
	ksft_eq(mmu_flush(a, ~0ull, 0), 0);
	ksft_eq(e->leaves, 1);
	ksft_check(!lite_in_guest(b));
	ksft_eq(m->unsyncs, 0);
	ksft_eq(a->stats.shoots, 1);
	e->v.root_pa = root;
	ksft_eq(eu_spte(e, 0) & PTE_FRAME, lite_frame(&e->vm, 11, NULL)->pa);
	ksft_eq(eu_spte(e, 0x1000) & PTE_W, 0);

	/* Nobody is in the guest: in a light exit, too. */
	touch(a, 0x1000, 3);
	a->tier = LITE_LIGHT;
	ksft_eq(mmu_flush(a, ~0ull, 0), 0);
	ksft_eq(e->leaves, 1);
	a->tier = LITE_FULLTIER;
}

/* Linux flushes a page of a program's that runs elsewhere, as for writeback. */
static void page_of_others(void)
{
	struct lite_vcpu *a = &cpu[0].v, *b = &cpu[1].v;
	struct lite_mmu *m;

	tables();
	m = &e->vm.mmu;
	touch(b, 0, 0);
	e->v.root_pa = b->root_pa;
	lite_guest_cross(b);
	/* a has an address space of its own, in which it writes to b's table. */
	a->kroot = 5;
	eu_pte(e, 5, 0, 6 << 12 | P | W | A);
	eu_pte(e, 6, 0, 7 << 12 | P | W | A);
	eu_pte(e, 7, 0, 8 << 12 | P | W | A);
	eu_pte(e, 8, 1, 4 << 12 | P | A);
	touch(a, 0x1000, 3);
	ksft_eq(m->unsyncs, 1);
	eu_pte(e, 4, 0, 0);
	ksft_eq(mmu_flush(a, 0, 0), 0); /* a has nothing there */
	ksft_check(eu_spte(e, 0) & P && eu_spte(e, 0) != m->none);
	ksft_eq(mmu_flush(a, 0, 1u << 1), 0);
	ksft_eq(eu_spte(e, 0), m->none);
	ksft_eq(m->unsyncs, 1);
	ksft_eq(e->leaves, 0); /* that is mmu_shoot()'s */
	ksft_check(lite_in_guest(b));
	ksft_eq(mmu_audit(&e->vm, true, NULL, 0), 0);
	lite_guest_cross(b);
}

static void pins_wait(void)
{
	struct lite_vcpu *a = &cpu[0].v, *b = &cpu[1].v;
	struct lite_mmu *m;

	tables();
	m = &e->vm.mmu;
	ksft_eq(mmu_pin(a, 5, 1), 0);
	ksft_eq(m->unsyncs, 0);
	lite_guest_cross(b);
	ksft_eq(mmu_pin(a, 4, 1), 0);
	ksft_eq(m->unsyncs, 1); /* b may have it writable still */
	ksft_eq(mmu_flush(a, ~0ull, 0), 0);
	ksft_eq(e->leaves, 1);
	lite_guest_cross(b);
	ksft_eq(mmu_pin(a, 4, 1), 0);
	lite_guest_cross(b);
	lite_guest_cross(b); /* it has forgotten that by itself */
	ksft_eq(mmu_flush(a, ~0ull, 0), 0);
	ksft_eq(e->leaves, 1);
	ksft_eq(m->unsyncs, 0);
}

static void shoots(void)
{
	struct lite_vcpu *a = &cpu[0].v, *b = &cpu[1].v;

	tables();
	lite_guest_cross(b);
	ksft_eq(mmu_shoot(a, 1), 0);   /* itself */
	ksft_eq(mmu_shoot(a, ~3u), 0); /* who does not exist */
	ksft_eq(e->leaves, 0);
	a->tier = LITE_LIGHT;
	ksft_eq(mmu_shoot(a, 2), -EBUSY);
	a->tier = LITE_FULLTIER;
	ksft_eq(mmu_shoot(a, 2), 0);
	ksft_eq(e->leaves, 1);
	ksft_eq(mmu_shoot(a, 2), 0);
	ksft_eq(e->leaves, 1);
	ksft_eq(mmu_new_base(b, 6, false), 0);
	ksft_eq(mmu_root(b), 0);
	ksft_eq(mmu_root(a), 0);
	/* A root in use is emptied, whosever it is, and not taken away. */
	ksft_eq(mmu_pin(a, 6, 4), 0);
	ksft_check(spage_find(&e->vm, 6, 4, 1));
	ksft_eq(mmu_evict(&e->vm, 100), 0);
	ksft_eq(mmu_audit(&e->vm, true, NULL, 0), 0);
}

/* --- a thread each --------------------------- */

static u32 rnd(struct cpu *c, u32 n)
{
	c->state ^= c->state << 13;
	c->state ^= c->state >> 7;
	c->state ^= c->state << 17;
	return (u32)(c->state >> 32) % n;
}

static unsigned int rnd_index(struct cpu *c)
{
	static const unsigned int index[4] = { 0, 1, 300, 511 };

	return index[rnd(c, rnd(c, 8) ? 2 : 4)];
}

static u64 rnd_va(struct cpu *c)
{
	u64 va = 0;
	unsigned int level;

	for (level = 4; level >= 1; level--)
		va = va << 9 | rnd_index(c);
	return (u64)((s64)(va << 28) >> 16);
}

static u64 rnd_pte(struct cpu *c)
{
	u64 gfn = rnd(c, 4) ? rnd(c, TABLES) : rnd(c, FRAMES + 2);

	return gfn << 12 | (rnd(c, 12) ? P : 0) | (rnd(c, 4) ? W : 0) | (rnd(c, 3) ? U : 0) |
	       A * rnd(c, 2) | D * rnd(c, 2);
}

static void want(struct cpu *c)
{
	lite_lock(&e->vm.lock);
	if (c->v.want == LITE_WANT_POOL)
		eu_fill(e, 16);
	c->v.want = LITE_WANT_NONE;
	lite_unlock(&e->vm.lock);
}

/* A table's entry as a processor finds it; a walk goes on in what is returned. */
static u64 look(struct cpu *c, u64 pa, unsigned int level, unsigned int i)
{
	u64 entry = mmu_load((u64 *)(e->arena + pa) + i), to = (entry & PTE_FRAME) >> 12;

	c->looks++;
	if (!entry || entry == e->vm.mmu.none || root_hole(level, i))
		return 0;
	if (!(entry & P) || !to || (level == 1) != (to < frames_end) || to >= e->arena_pages)
		ksft_fail("an entry of level %u: 0x%llx", level, (unsigned long long)entry);
	return entry & PTE_FRAME;
}

static void remember(struct cpu *c, u64 pa, unsigned int level)
{
	unsigned int i = c->nr_cached < CACHE ? c->nr_cached++ : rnd(c, CACHE);

	c->cached[i].pa = pa;
	c->cached[i].level = level;
}

static void in_guest(struct cpu *c)
{
	u64 steps = 1 + rnd(c, 60), va, pa;
	unsigned int level, i;

	c->nr_cached = 0;
	lite_guest_cross(&c->v);
	__atomic_thread_fence(__ATOMIC_SEQ_CST); /* a write of CR3 */
	while (steps-- && !__atomic_load_n(&c->leave, __ATOMIC_ACQUIRE)) {
		va = rnd_va(c);
		pa = c->v.root_pa;
		for (level = 4; pa && level >= 1; level--) {
			remember(c, pa, level);
			pa = look(c, pa, level, mmu_index(va, level));
		}
		i = rnd(c, c->nr_cached);
		look(c, c->cached[i].pa, c->cached[i].level, rnd_index(c));
	}
	c->left += __atomic_load_n(&c->leave, __ATOMIC_RELAXED);
	lite_guest_cross(&c->v);
	__atomic_store_n(&c->leave, false, __ATOMIC_RELAXED);
}

static void leave_soon(struct lite_vcpu *v)
{
	__atomic_store_n(&((struct cpu *)v)->leave, true, __ATOMIC_RELEASE);
}

static int operation(struct cpu *c, unsigned int op)
{
	struct lite_vcpu *v = &c->v;
	u64 gfn = rnd(c, TABLES), err = rnd(c, 2) * 2, b[4];
	enum mmu_result res;

	if (op < 10)
		return mmu_update(v, gfn << 12 | rnd_index(c) << 3, rnd_pte(c), rnd(c, 2));
	if (op < 24)
		return mmu_fault(v, rnd_va(c), &err, &res);
	if (op == 24)
		return mmu_pin(v, gfn, 1 + rnd(c, 4));
	if (op == 25)
		return mmu_unpin(v, gfn);
	if (op == 26)
		return mmu_new_base(v, gfn, false);
	if (op == 27)
		return mmu_flush(v, rnd(c, 2) ? ~0ull : rnd_va(c), rnd(c, 1 << VCPUS));
	if (op == 28)
		return mmu_shoot(v, rnd(c, 16));
	if (op == 29)
		return mmu_read(v, b, rnd_va(c), sizeof(b));
	if (op == 30) {
		mmu_evict(&e->vm, rnd(c, 4));
		return 0;
	}
	/* Behind the hypervisor's back. */
	__atomic_store_n((u64 *)eu_page(e, gfn) + rnd_index(c), rnd_pte(c), __ATOMIC_RELAXED);
	return 0;
}

static void exit_once(struct cpu *c)
{
	unsigned int op = rnd(c, 32);
	u64 state = c->state;
	int err;

	c->v.tier = rnd(c, 3) ? LITE_LIGHT : LITE_FULLTIER;
	for (;;) {
		c->state = state; /* what is repeated is the same */
		err = operation(c, op);
		if (err == -EAGAIN) {
			want(c);
		} else if (err == -EBUSY) {
			ksft_eq(c->v.tier, LITE_LIGHT);
			c->v.tier = LITE_FULLTIER;
		} else {
			break;
		}
	}
	ksft_check(err == 0 || err == -EINVAL || err == -EFAULT);
	c->v.tier = LITE_FULLTIER;
	while ((err = mmu_root(&c->v)) == -EAGAIN)
		want(c);
	ksft_eq(err, 0);
	lite_lock(&e->vm.lock);
	eu_trash(e);
	if (!rnd(c, 100))
		ksft_eq(mmu_audit(&e->vm, false, NULL, 0), 0);
	lite_unlock(&e->vm.lock);
}

static void *run(void *arg)
{
	struct cpu *c = arg;
	unsigned int i;

	for (i = 0; i < ROUNDS; i++) {
		exit_once(c);
		in_guest(c);
	}
	return NULL;
}

static void threads(struct eu_config config, u32 n)
{
	char why[128] = "";
	u64 looks = 0, left = 0;
	u32 i, bad;

	vm_new(config, n);
	e->leave = leave_soon;
	for (i = 0; i < n; i++)
		ksft_eq(pthread_create(&cpu[i].thread, NULL, run, &cpu[i]), 0);
	for (i = 0; i < n; i++) {
		pthread_join(cpu[i].thread, NULL);
		looks += cpu[i].looks;
		left += cpu[i].left;
	}
	bad = mmu_audit(&e->vm, false, why, sizeof(why));
	if (bad)
		ksft_fail("%u violations, the first: %s", bad, why);
	limbo_settle(&e->vm);
	ksft_eq(e->vm.mmu.limbos, 0);
	ksft_msg("%llu looks, %llu times made to leave, %u asked to", (unsigned long long)looks,
		 (unsigned long long)left, e->leaves);
	ksft_check(looks > n * ROUNDS);
	ksft_check(e->leaves);
}

static void two(void)
{
	threads((struct eu_config){ .cache = true }, 2);
}

static void four(void)
{
	threads((struct eu_config){ .cache = true }, 4);
}

static void four_small(void)
{
	threads((struct eu_config){ .cache = true, .spages = 24 }, 4);
}

static void four_nocache(void)
{
	threads((struct eu_config){ .cache = false }, 4);
}

int main(int argc, char **argv)
{
	int ret;

	ksft_case("a table is not used again while a processor may walk it", pages_wait);
	ksft_case("a table that a processor may walk is empty", pages_empty);
	ksft_case("shadow pages run out, and all have left", pages_run_out);
	ksft_case("a table is not compared while a processor may write it", writes_wait);
	ksft_case("a page is flushed of an address space that others have", page_of_others);
	ksft_case("a table that is pinned may be written a little longer", pins_wait);
	ksft_case("flushes of others, and roots of others", shoots);
	ksft_case("two vCPUs", two);
	ksft_case("four vCPUs", four);
	ksft_case("four, with few shadow pages", four_small);
	ksft_case("four, without a cache", four_nocache);
	ret = ksft_run(argc, argv);
	if (e)
		eu_free(e);
	return ret;
}
