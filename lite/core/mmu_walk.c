// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guest frames, and the guest's own tables: translation, accessed and dirty bits, copies from and
 * to guest virtual memory. Touches guest memory only, never a shadow page, and takes no lock:
 * entries are read once, checked, and changed by compare-and-exchange.
 */
#include "mmu_int.h"

#define MARK_TRIES 8

struct lite_frame *lite_frame_far(struct lite_vm *vm, u64 gfn, struct lite_slot **slot)
{
	u32 i;

	for (i = 0; i < vm->slots; i++) {
		struct lite_slot *s = &vm->slot[i];

		if (gfn - s->gfn >= s->nr)
			continue;
		if (slot)
			*slot = s;
		return &s->frame[lite_index(gfn - s->gfn, s->nr)];
	}
	return NULL;
}

int lite_gfn_ptr(struct lite_vcpu *v, u64 gfn, void **out)
{
	struct lite_frame *f = lite_frame(v->vm, gfn, NULL);
	u64 pa;

	*out = NULL;
	if (!f)
		return -EINVAL;
	pa = mmu_load(&f->pa);
	if (!pa) {
		v->want = LITE_WANT_FRAME;
		v->want_gfn = gfn;
		return -EAGAIN;
	}
	*out = lite_ptr(v->vm, pa);
	return 0;
}

int mmu_walk(struct lite_vcpu *v, u64 root, u64 va, unsigned int stop, struct mmu_walk *w)
{
	u64 gfn = root;
	unsigned int level;

	for (level = 4;; level--) {
		struct lite_slot *slot;
		void *table;
		int err;

		/* Accessed and dirty bits are written to tables: none in a read-only slot. */
		if (!lite_frame(v->vm, gfn, &slot) || slot->readonly)
			return -EFAULT;
		err = lite_gfn_ptr(v, gfn, &table);
		if (err)
			return err;
		w->gfn[level] = gfn;
		w->ep[level] = (u64 *)table + mmu_index(va, level);
		w->e[level] = mmu_load(w->ep[level]);
		w->last = level;
		if (level == stop)
			return 0;
		if (!(w->e[level] & PTE_P))
			return -ENOENT;
		if (w->e[level] & PTE_PSE)
			return -EFAULT;
		gfn = (w->e[level] & PTE_FRAME) >> 12;
	}
}

bool mmu_walk_mark(struct mmu_walk *w, bool dirty)
{
	unsigned int level;

	for (level = 4; level >= 1; level--) {
		u64 bits = PTE_A | (level == 1 && dirty ? PTE_D : 0);

		if ((w->e[level] & bits) == bits)
			continue;
		if (!__atomic_compare_exchange_n(w->ep[level], &w->e[level], w->e[level] | bits,
						 false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			return false;
		w->e[level] |= bits;
	}
	return true;
}

void mmu_gtlb_flush(struct lite_vm *vm)
{
	__atomic_fetch_add(&vm->mmu.gtlb_gen, 1, __ATOMIC_RELEASE);
}

static void gtlb_put(struct lite_vcpu *v, u32 gen, u64 va, bool write, u8 *page)
{
	struct lite_gtlb *t = &v->gtlb[va >> 12 & (LITE_GTLB - 1)];

	if (v->gtlb_gen != gen) {
		memset(v->gtlb, 0, sizeof(v->gtlb));
		v->gtlb_gen = gen;
	}
	*t = (struct lite_gtlb){ .key = (va & LITE_PAGE_MASK) | 1, .page = page, .write = write };
}

/* By the guest's tables. @gen: of before they are looked at. */
static int access_walk(struct lite_vcpu *v, u64 va, bool write, u32 gen, u8 **out)
{
	struct lite_slot *slot;
	struct mmu_walk w;
	unsigned int tries;
	void *page;
	u64 gfn;
	int err;

	for (tries = 0; tries < MARK_TRIES; tries++) {
		err = mmu_walk(v, v->kroot, va, 1, &w);
		if (err)
			return err == -EAGAIN ? err : -EFAULT;
		if (!(w.e[1] & PTE_P))
			return -EFAULT;
		if (write && !(w.e[4] & w.e[3] & w.e[2] & w.e[1] & PTE_W))
			return -EFAULT;
		gfn = (w.e[1] & PTE_FRAME) >> 12;
		if (!lite_frame(v->vm, gfn, &slot) || (write && slot->readonly))
			return -EFAULT;
		err = lite_gfn_ptr(v, gfn, &page);
		if (err)
			return err;
		if (!mmu_walk_mark(&w, write))
			continue;
		*out = (u8 *)page + (va & ~LITE_PAGE_MASK);
		gtlb_put(v, gen, va, write, page);
		return 0;
	}
	return -EFAULT;
}

/* One page's worth of @va, as the guest's kernel may access it. */
static inline int access_page(struct lite_vcpu *v, u64 va, bool write, u8 **out)
{
	const struct lite_gtlb *t = &v->gtlb[va >> 12 & (LITE_GTLB - 1)];
	u32 gen = __atomic_load_n(&v->vm->mmu.gtlb_gen, __ATOMIC_ACQUIRE);

	if (t->key != ((va & LITE_PAGE_MASK) | 1) || v->gtlb_gen != gen || (write && !t->write))
		return access_walk(v, va, write, gen, out);
	*out = t->page + (va & ~LITE_PAGE_MASK);
	return 0;
}

/* What is copied is short, and words mostly: without a call then. */
static inline void copy(void *to, const void *from, size_t len)
{
	u64 *dst = to;
	const u64 *src = from;

	if (((uintptr_t)to | (uintptr_t)from | len) & 7 || len > 64) {
		memcpy(to, from, len);
		return;
	}
	for (len /= 8; len; len--)
		__atomic_store_n(dst++, __atomic_load_n(src++, __ATOMIC_RELAXED), __ATOMIC_RELAXED);
}

static size_t in_page(u64 va, size_t len)
{
	size_t room = LITE_PAGE_SIZE - (va & ~LITE_PAGE_MASK);

	return len < room ? len : room;
}

int mmu_read(struct lite_vcpu *v, void *dst, u64 va, size_t len)
{
	u8 *to = dst;

	if (!lite_va_ok(va, len))
		return -EFAULT;
	while (len) {
		size_t n = in_page(va, len);
		u8 *p;
		int err = access_page(v, va, false, &p);

		if (err)
			return err;
		copy(to, p, n);
		to += n;
		va += n;
		len -= n;
	}
	return 0;
}

int mmu_write(struct lite_vcpu *v, u64 va, const void *src, size_t len)
{
	const u8 *from = src;

	if (!lite_va_ok(va, len))
		return -EFAULT;
	while (len) {
		size_t n = in_page(va, len);
		u8 *p;
		int err = access_page(v, va, true, &p);

		if (err)
			return err;
		copy(p, from, n);
		from += n;
		va += n;
		len -= n;
	}
	return 0;
}
