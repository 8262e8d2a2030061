// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fuzzer: memory slots of a lite guest. Slots of every place, size and flag are offered, as
 * LODGE_MEM_SET would, between accesses through entries that name frames in, around and far from
 * them, and attempts to start the VM.
 *
 * Checked: a slot is taken if and only if a list kept here, in 128 bits, has room for it; an access
 * succeeds if and only if a slot has the frame (for writing: one that is not read-only), and goes
 * to that frame's own memory; a VM starts if and only if its pages are where they may be.
 */
#include <sys/mman.h>

#include "lite_guest.h"

#define STEPS 200u
#define LOW   16u /* frames of slot 0 */
#define HUGE  4096u

struct entry {
	unsigned __int128 from, to; /* gfns */
	bool used, readonly;
};

static struct entry model[LODGE_SLOTS_MAX];
static bool huge; /* a slot is too big to be searched by mmu_audit() */
static u64 room;  /* frames that may still become resident */

static u64 near_slot(struct fuzz *f)
{
	const struct entry *m = &model[fuzz_u8(f) % LODGE_SLOTS_MAX];
	u8 k = fuzz_u8(f);
	u64 at = m->used ? (u64)(k & 1 ? m->to : m->from) : LOW;

	return at + (s64)(k >> 1 & 15) - 8;
}

static u64 any_gfn(struct fuzz *f)
{
	static const u64 odd[] = { 0,
				   1,
				   LOW,
				   0x1000,
				   LITE_FRAMES_MAX - 1,
				   LITE_FRAMES_MAX,
				   LITE_FRAMES_MAX + 1,
				   1ull << 36,
				   (1ull << 40) - 1,
				   1ull << 40,
				   (1ull << 52) - 1,
				   ~0ull >> 12,
				   0x7ffffffffffff };
	u8 k = fuzz_u8(f);

	return k & 1 ? near_slot(f) : k & 2 ? k >> 2 : FUZZ_PICK(f, odd);
}

static int expected(const struct lodge_mem *m)
{
	unsigned __int128 from = m->gpa / 4096, to = from + m->size / 4096;
	unsigned int i;

	if (m->slot >= LODGE_SLOTS_MAX || m->flags > LODGE_MEM_RDONLY)
		return -EINVAL;
	if (m->gpa % 4096 || m->size % 4096 || m->hva % 4096 || from == to)
		return -EINVAL;
	if (to > LITE_FRAMES_MAX || (m->slot == 0) != (from == 0) || (!m->slot && m->flags))
		return -EINVAL;
	for (i = 0; i < LODGE_SLOTS_MAX; i++)
		if (model[i].used && (i == m->slot || (from < model[i].to && model[i].from < to)))
			return -EEXIST;
	return 0;
}

/* The frames' array; of a huge slot only what is touched becomes memory. */
static struct lite_frame *frames_new(u64 nr)
{
	void *p;

	if (nr <= HUGE)
		return calloc(nr, sizeof(struct lite_frame));
	huge = true;
	p = mmap(NULL, nr * sizeof(struct lite_frame), PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	fuzz_assert(p != MAP_FAILED);
	return p;
}

static void frames_free(struct lite_slot *s)
{
	if (s->nr > HUGE)
		munmap(s->frame, s->nr * sizeof(struct lite_frame));
	else
		free(s->frame);
	memset(s, 0, sizeof(*s));
}

static void add(struct fuzz *f)
{
	static const u64 size[] = { 1,
				    2,
				    3,
				    8,
				    16,
				    17,
				    600,
				    HUGE + 1,
				    LITE_FRAMES_MAX,
				    LITE_FRAMES_MAX - LOW,
				    1ull << 36,
				    1ull << 51,
				    0,
				    (1ull << 52) - 1 };
	u8 k = fuzz_u8(f);
	struct lodge_mem m = {
		.slot = k % (LODGE_SLOTS_MAX + 1),
		.gpa = any_gfn(f) << 12,
		.size = FUZZ_PICK(f, size) << 12,
		.flags = k >> 6 & 1,
	};
	int want;

	if (k & 0x80) {
		u8 odd = fuzz_u8(f);

		m.flags |= odd & 2;
		m.gpa += odd & 4 ? 8 : 0;
		m.size += odd & 8 ? 1 : 0;
		m.hva += odd & 16 ? 2048 : 0;
		m.slot |= odd & 32 ? 1u << 31 : 0;
		if (odd & 64)
			m.size = -m.gpa; /* up to the end of all addresses */
		if (odd & 128)
			m.size -= m.gpa;
	}
	want = expected(&m);
	fuzz_assert(lite_slot_check(&e->vm, &m) == want);
	if (want)
		return;
	lite_slot_add(&e->vm, &m, frames_new(m.size >> 12));
	model[m.slot] = (struct entry){ m.gpa >> 12, (m.gpa >> 12) + (m.size >> 12), true,
					m.flags & LODGE_MEM_RDONLY };
}

static const struct entry *find(u64 gfn)
{
	unsigned int i;

	for (i = 0; i < LODGE_SLOTS_MAX; i++)
		if (model[i].used && gfn >= model[i].from && gfn < model[i].to)
			return &model[i];
	return NULL;
}

static void lookup(u64 gfn)
{
	struct lite_slot *s = NULL;
	struct lite_frame *frame = lite_frame(&e->vm, gfn, &s);
	const struct entry *m = find(gfn);

	fuzz_assert(!frame == !m);
	if (!m)
		return;
	fuzz_assert(s->gfn == m->from && s->nr == m->to - m->from && s->readonly == m->readonly);
	fuzz_assert(frame == &s->frame[gfn - s->gfn]);
}

/* 1: through, 0: the guest's own fault, -1: there is no memory left to make the frame resident */
static int access_va(u64 va, u64 err)
{
	unsigned int tries;

	for (tries = 0; tries < 64; tries++) {
		enum mmu_result res = MMU_FIXED;
		u64 code = err;
		int ret = mmu_root(&e->v);

		if (!ret && eu_hw(e, va, err, true))
			return 1;
		if (!ret)
			ret = mmu_fault(&e->v, va, &code, &res);
		if (!ret && res == MMU_INJECT)
			return 0;
		fuzz_assert(!ret || ret == -EAGAIN);
		if (ret && e->v.want == LITE_WANT_FRAME) {
			fuzz_assert(find(e->v.want_gfn));
			if (!lite_frame(&e->vm, e->v.want_gfn, NULL)->pa && !room--) {
				room = 0;
				return -1;
			}
		}
		if (ret)
			fuzz_assert(eu_want(e));
	}
	fuzz_assert(0);
	return 0;
}

/* Anew each time: the guest may have wanted its shared page right there. */
static void tables(void)
{
	eu_pte(e, G_L4, 272, G_L3 << 12 | P | W | U | A);
	eu_pte(e, G_L3, 0, G_L2 << 12 | P | W | U | A);
	eu_pte(e, G_L2, 0, G_L1 << 12 | P | W | U | A);
	eu_page(e, G_L1);
}

static void access_gfn(struct fuzz *f)
{
	u64 gfn = any_gfn(f), va = KVA(100 + fuzz_u8(f) % 4), err = fuzz_u8(f) & 2, spte;
	u64 pte = (gfn << 12 & FN) | P | W | A | (err ? D : 0);
	const struct entry *m = find(pte >> 12 & (FN >> 12));
	u64 ptr = (u64)G_L1 << 12 | ((va >> 12) & 511) << 3;
	int ret;

	tables();
	/* By hypercall, which refuses what is nobody's, or by a write of the guest's own. */
	if (fuzz_u8(f) & 1)
		fuzz_assert(!mmu_update(&e->v, ptr, pte, false) == !!m);
	else
		eu_pte(e, G_L1, (ptr >> 3) & 511, pte);
	if (!(((u64 *)eu_page(e, G_L1))[(ptr >> 3) & 511] == pte))
		return;
	mmu_flush(&e->v, ~0ull, 0);
	ret = access_va(va, err);
	/* The table was changed behind the shadow's back: what it holds may be older. */
	if (ret <= 0) {
		fuzz_assert(ret < 0 || !m || (err && m->readonly));
		return;
	}
	spte = eu_spte(e, va);
	fuzz_assert(!(err & 2) || (spte & W));
	/* It looks at every frame, of which there may be millions. */
	if (huge)
		return;
	oracle_prepare(e);
	fuzz_assert(oracle.gfn[oracle_page(spte & FN)] != NOBODY);
	fuzz_assert(!(spte & W) || !oracle.rom[oracle_page(spte & FN)]);
}

static void start(struct fuzz *f)
{
	static const u64 frames[] = { LOW, 1, 0, LOW + 1, ~0ull, 8 };
	struct lodge_pv pv = {
		.shared_info = any_gfn(f) << 12,
		.root = any_gfn(f) << 12,
		.frames = FUZZ_PICK(f, frames),
		.ports_host = fuzz_u8(f) * 17,
	};
	static u64 table[LOW];
	const struct entry *s, *r;
	struct lite_frame *frame;
	bool want;

	if (e->vm.shared)
		return;
	pv.shared_info += fuzz_u8(f) == 1;
	s = find(pv.shared_info >> 12);
	r = find(pv.root >> 12);
	frame = lite_frame(&e->vm, pv.shared_info >> 12, NULL);
	want = s && !s->readonly && !(pv.shared_info & 4095) && frame->pa && r && !r->readonly &&
	       pv.root != pv.shared_info && pv.frames && pv.frames <= LOW && pv.ports_host &&
	       pv.ports_host < LODGE_PORTS_MAX;
	e->vm.m2p = table;
	fuzz_assert(!lite_vm_start(&e->vm, &pv) == want);
	if (!want)
		return;
	fuzz_assert((u8 *)e->vm.shared == e->arena + frame->pa);
	fuzz_assert(!e->vm.bus_gpa || find(e->vm.bus_gpa >> 12));
	fuzz_assert(e->v.vi_pa == frame->pa);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz f = { data, len };
	struct eu_config c = { .frames = 64, .cache = true, .absent = true };
	unsigned int i;

	e = eu_new(&c);
	e->vm.slot[0].nr = LOW;
	room = c.frames - 5;
	huge = false;
	memset(model, 0, sizeof(model));
	model[0] = (struct entry){ 0, LOW, true, false };
	lite_vm_init(&e->vm);
	lite_vcpu_init(&e->v, &e->vm, 0);
	e->v.tier = LITE_FULLTIER;
	e->v.kroot = G_L4;
	tables();
	for (i = 0; f.left && i < STEPS; i++) {
		u8 op = fuzz_u8(&f);

		if (op % 4 == 0)
			add(&f);
		else if (op % 4 == 1)
			access_gfn(&f);
		else if (op % 4 == 2)
			lookup(any_gfn(&f));
		else
			start(&f);
		if (!huge)
			oracle_shadow(e, false);
	}
	for (i = 1; i < LODGE_SLOTS_MAX; i++)
		frames_free(&e->vm.slot[i]);
	guest_free();
	return 0;
}
