// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test driver: guest memory and rings. See vdrv.h. Ring accesses are a driver's: it owns
 * descriptors and the avail ring, reads the used ring, and keeps its free list outside the ring,
 * since a device under test must not be able to lead it astray.
 */
#include <sys/eventfd.h>
#include <sys/mman.h>

#include "util.h"
#include "vdrv.h"
#include "vdrv_assert.h"

#define GUARD (64ull << 10)

static void slot_map(struct gmem_slot *s, uint64_t gpa, uint64_t len)
{
	uint8_t *p = mmap(NULL, len + 2 * GUARD, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	vdrv_assert(p != MAP_FAILED);
	vdrv_assert(!mprotect(p + GUARD, len, PROT_READ | PROT_WRITE));
	*s = (struct gmem_slot){ .gpa = gpa, .len = len, .hva = p + GUARD };
}

void vdrv_init(struct vdrv *d)
{
	memset(d, 0, sizeof(*d));
	slot_map(&d->mem.slot[0], VDRV_LOW_GPA, VDRV_LOW_LEN);
	slot_map(&d->mem.slot[1], VDRV_HIGH_GPA, VDRV_HIGH_LEN);
	d->mem.nslots = 2;
	d->low_next = VDRV_LOW_GPA;
	d->high_next = VDRV_HIGH_GPA;
}

void vdrv_fini(struct vdrv *d)
{
	unsigned int i;

	for (i = 0; i < VDRV_QUEUES; i++)
		vdrv_q_fini(&d->q[i]);
	for (i = 0; i < d->mem.nslots; i++)
		munmap(d->mem.slot[i].hva - GUARD, d->mem.slot[i].len + 2 * GUARD);
	d->mem.nslots = 0;
}

uint64_t vdrv_alloc(struct vdrv *d, uint64_t len, uint64_t align)
{
	uint64_t gpa = ALIGN_UP(d->low_next, align);

	vdrv_assert(gpa + len <= VDRV_LOW_GPA + VDRV_LOW_LEN);
	d->low_next = gpa + len;
	return gpa;
}

uint64_t vdrv_alloc_high(struct vdrv *d, uint64_t len, uint64_t align)
{
	uint64_t gpa = ALIGN_UP(d->high_next, align);

	vdrv_assert(gpa + len <= VDRV_HIGH_GPA + VDRV_HIGH_LEN);
	d->high_next = gpa + len;
	return gpa;
}

void *vdrv_hva(struct vdrv *d, uint64_t gpa, uint64_t len)
{
	unsigned int i;

	for (i = 0; i < d->mem.nslots; i++) {
		struct gmem_slot *s = &d->mem.slot[i];

		if (gpa >= s->gpa && gpa + len <= s->gpa + s->len)
			return s->hva + (gpa - s->gpa);
	}
	vdrv_assert(!"address inside guest memory");
	return NULL;
}

void vdrv_q_init(struct vdrv *d, struct vdrv_q *q, uint16_t size, bool event_idx)
{
	uint16_t i;

	vdrv_q_fini(q);
	*q = (struct vdrv_q){ .d = d, .size = size, .event_idx = event_idx, .kick_fd = -1 };
	/* Three separate places, so that nothing relies on the legacy layout. */
	q->used_gpa = vdrv_alloc_high(d, 6 + 8ull * size, 4);
	q->desc_gpa = vdrv_alloc(d, 16ull * size, 16);
	q->avail_gpa = vdrv_alloc(d, 6 + 2ull * size, 2);
	q->desc = vdrv_hva(d, q->desc_gpa, 16ull * size);
	q->avail = vdrv_hva(d, q->avail_gpa, 6 + 2ull * size);
	q->used = vdrv_hva(d, q->used_gpa, 6 + 8ull * size);
	q->next_free = calloc(size, sizeof(*q->next_free));
	q->chain_len = calloc(size, sizeof(*q->chain_len));
	q->table_gpa = calloc(size, sizeof(*q->table_gpa));
	q->table_max = calloc(size, sizeof(*q->table_max));
	vdrv_assert(q->next_free && q->chain_len && q->table_gpa && q->table_max);
	for (i = 0; i < size; i++)
		q->next_free[i] = i + 1;
	q->nfree = size;
}

void vdrv_q_fini(struct vdrv_q *q)
{
	free(q->next_free);
	free(q->chain_len);
	free(q->table_gpa);
	free(q->table_max);
	q->next_free = q->chain_len = q->table_max = NULL;
	q->table_gpa = NULL;
}

void vdrv_q_attach(struct vdrv_q *q, struct vq *vq, bool indirect)
{
	vq_init(vq, &q->d->mem, VQ_SIZE_MAX);
	vq->size = q->size;
	vq->desc_gpa = q->desc_gpa;
	vq->avail_gpa = q->avail_gpa;
	vq->used_gpa = q->used_gpa;
	vq->event_idx = q->event_idx;
	vq->indirect = indirect;
	vdrv_assert(!vq_enable(vq));
}

static void fill(struct vring_desc *t, const struct vdrv_buf *b, bool in, bool more, uint16_t next)
{
	t->addr = b->gpa;
	t->len = b->len;
	t->flags = (in ? VRING_DESC_F_WRITE : 0) | (more ? VRING_DESC_F_NEXT : 0);
	t->next = more ? next : 0;
}

int vdrv_add(struct vdrv_q *q, const struct vdrv_buf *buf, unsigned int nout, unsigned int nin,
	     bool indirect)
{
	unsigned int i, n = nout + nin, used = indirect ? 1 : n;
	uint16_t head = q->free_head, at = head;

	vdrv_assert(n && n <= VDRV_CHAIN_MAX);
	if (used > q->nfree)
		return -1;
	if (indirect) {
		struct vring_desc *t;

		if (n > q->table_max[head]) {
			q->table_gpa[head] = vdrv_alloc_high(q->d, 16ull * n, 16);
			q->table_max[head] = n;
		}
		t = vdrv_hva(q->d, q->table_gpa[head], 16ull * n);
		for (i = 0; i < n; i++)
			fill(&t[i], &buf[i], i >= nout, i + 1 < n, i + 1);
		q->desc[head] = (struct vring_desc){ .addr = q->table_gpa[head],
						     .len = 16 * n,
						     .flags = VRING_DESC_F_INDIRECT };
		at = q->next_free[head];
	} else {
		for (i = 0; i < n; i++) {
			uint16_t next = q->next_free[at];

			fill(&q->desc[at], &buf[i], i >= nout, i + 1 < n, next);
			at = next;
		}
	}
	q->free_head = at;
	q->nfree -= used;
	q->chain_len[head] = used;
	q->avail->ring[q->avail_idx % q->size] = head;
	q->avail_idx++;
	return head;
}

bool vdrv_publish(struct vdrv_q *q)
{
	uint16_t old = q->avail_published;

	if (old == q->avail_idx)
		return false;
	/* Pairs with vq_pop()'s acquire: the device finds the descriptors written. */
	store_release(&q->avail->idx, q->avail_idx);
	q->avail_published = q->avail_idx;
	/* Pairs with vq_kicks_on(): it sees the index, or we see that it asks. */
	full_barrier();
	if (!q->event_idx)
		return !(load_once(&q->used->flags) & VRING_USED_F_NO_NOTIFY);
	return vring_need_event(load_once((uint16_t *)&q->used->ring[q->size]), q->avail_idx, old);
}

void vdrv_kick(struct vdrv_q *q)
{
	if (!vdrv_publish(q))
		return;
	q->kicks++;
	if (q->kick_fd >= 0)
		eventfd_write(q->kick_fd, 1);
	else if (q->d->notify)
		q->d->notify(q);
}

bool vdrv_used(struct vdrv_q *q, uint16_t *head, uint32_t *len)
{
	struct vring_used_elem e;
	uint16_t i, at, next;

	/* Pairs with vq_flush()'s release: the entry and the data are there. */
	if (load_acquire(&q->used->idx) == q->last_used)
		return false;
	e = q->used->ring[q->last_used % q->size];
	vdrv_assert(e.id < q->size);
	vdrv_assert(q->chain_len[e.id]); /* used twice, or never made available */
	for (i = q->chain_len[e.id], at = e.id; i; i--, at = next) {
		next = q->next_free[at]; /* untouched since the chain was built */
		q->next_free[at] = q->free_head;
		q->free_head = at;
		q->nfree++;
	}
	q->chain_len[e.id] = 0;
	q->last_used++;
	if (q->event_idx && !q->irq_off)
		store_once(&q->avail->ring[q->size], q->last_used);
	if (head)
		*head = e.id;
	if (len)
		*len = e.len;
	return true;
}

void vdrv_irq_off(struct vdrv_q *q)
{
	q->irq_off = true;
	if (q->event_idx)
		/* As far behind as possible. */
		store_once(&q->avail->ring[q->size], (uint16_t)(q->last_used - 1));
	else
		store_once(&q->avail->flags, VRING_AVAIL_F_NO_INTERRUPT);
}

bool vdrv_irq_on(struct vdrv_q *q)
{
	q->irq_off = false;
	if (q->event_idx)
		store_once(&q->avail->ring[q->size], q->last_used);
	else
		store_once(&q->avail->flags, 0);
	/* Pairs with vq_flush(): it sees that we ask, or we see its index. */
	full_barrier();
	return load_acquire(&q->used->idx) != q->last_used;
}
