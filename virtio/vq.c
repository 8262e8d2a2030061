// SPDX-License-Identifier: GPL-2.0-only
/*
 * Split virtqueues, device side (virtio 1.2, 2.7). The driver may be hostile and may change every
 * byte of the ring at any time: each descriptor is read once, field by field, into a local copy,
 * and only the copy is checked and used. Every walk ends after vq->size descriptors.
 *
 * Not here: which thread works on a queue, eventfds, what a request means. Called by vdev.c
 * (set-up) and by the devices' threads. No locks: one thread at a time per queue. Ring fields are
 * little endian, as is every processor that this runs on.
 */
#include <assert.h>
#include <string.h>

#include "util.h"
#include "vq.h"

/* The event fields lie behind the two rings: what the other side wants to be woken for (2.7.7). */
#define used_event(vq)	(&(vq)->avail->ring[(vq)->size])
#define avail_event(vq) ((uint16_t *)&(vq)->used->ring[(vq)->size])

static bool head_busy(const struct vq *vq, uint16_t head)
{
	return vq->busy[head / 64] >> (head % 64) & 1;
}

static void head_flip(struct vq *vq, uint16_t head)
{
	vq->busy[head / 64] ^= 1ull << (head % 64);
}

void vq_init(struct vq *vq, const struct gmem *mem, uint16_t size_max)
{
	assert(size_max && size_max <= VQ_SIZE_MAX && !(size_max & (size_max - 1)));
	memset(vq, 0, sizeof(*vq));
	vq->mem = mem;
	vq->size_max = size_max;
	vq->kick_fd = -1;
}

void vq_reset(struct vq *vq)
{
	/* Not by way of vq_init(): somebody may be reading the statistics. */
	vq->desc = NULL;
	vq->avail = NULL;
	vq->used = NULL;
	vq->size = 0;
	vq->event_idx = false;
	vq->indirect = false;
	vq->enabled = false;
	vq->desc_gpa = 0;
	vq->avail_gpa = 0;
	vq->used_gpa = 0;
	vq->last_avail = 0;
	vq->avail_seen = 0;
	vq->used_idx = 0;
	vq->used_flushed = 0;
	store_once(&vq->inflight, 0);
	vq->broken = NULL;
	memset(vq->busy, 0, sizeof(vq->busy));
}

void vq_break(struct vq *vq, const char *why)
{
	if (!vq->broken)
		vq->broken = why;
}

static int broken(struct vq *vq, const char *why)
{
	vq_break(vq, why);
	return -EPROTO;
}

int vq_enable(struct vq *vq)
{
	const char *why = NULL;
	void *desc, *avail, *used;
	uint64_t n = vq->size;

	/* Both rings end in an event field, negotiated or not (2.7.6, 2.7.8). */
	desc = gmem_ptr(vq->mem, vq->desc_gpa, n * sizeof(struct vring_desc));
	avail = gmem_ptr(vq->mem, vq->avail_gpa, sizeof(struct vring_avail) + (n + 1) * 2);
	used = gmem_ptr(vq->mem, vq->used_gpa,
			sizeof(struct vring_used) + n * sizeof(struct vring_used_elem) + 2);
	if (!n || n > vq->size_max || n & (n - 1))
		why = "queue size is zero, not a power of two, or above the maximum";
	else if (vq->desc_gpa % VRING_DESC_ALIGN_SIZE || vq->avail_gpa % VRING_AVAIL_ALIGN_SIZE ||
		 vq->used_gpa % VRING_USED_ALIGN_SIZE)
		why = "a part of the ring is misaligned";
	else if (!desc || !avail || !used)
		why = "a part of the ring is outside memory";
	if (why) {
		vq_break(vq, why);
		return -EINVAL;
	}
	vq->desc = desc;
	vq->avail = avail;
	vq->used = used;
	vq->enabled = true;
	return 0;
}

/* Look whether the driver has added chains: 1, 0, or -EPROTO. */
static int poll_avail(struct vq *vq)
{
	/* Pairs with the driver's release of the index: its entries and descriptors are there. */
	uint16_t idx = load_acquire(&vq->avail->idx);

	if (idx == vq->avail_seen)
		return 0;
	/*
	 * A chain holds at least one descriptor from its turn in the avail ring until its turn in
	 * the used ring, so that both kinds together never exceed the size.
	 */
	if ((uint16_t)(idx - vq->last_avail) > vq->size - vq->inflight)
		return broken(vq, "more chains available than the ring can hold");
	vq->avail_seen = idx;
	return 1;
}

/* Add one buffer to the chain; zero-length ones only count for the bound of the walk. */
static int add_buffer(struct vq *vq, struct vq_chain *c, const struct vring_desc *d)
{
	bool in = d->flags & VRING_DESC_F_WRITE;
	struct iovec *iov = &c->iov[c->nout + c->nin];

	if (!in && c->nin)
		return broken(vq, "a readable descriptor after a writable one");
	if (!d->len)
		return 0;
	if (c->nout + c->nin == c->iov_max)
		return broken(vq, "a chain of more buffers than the device takes");
	iov->iov_base = gmem_ptr(vq->mem, d->addr, d->len);
	iov->iov_len = d->len;
	if (!iov->iov_base)
		return broken(vq, "a buffer outside memory");
	if (in) {
		c->nin++;
		c->in_len += d->len;
	} else {
		c->nout++;
		c->out_len += d->len;
	}
	if (c->out_len + c->in_len > UINT32_MAX)
		return broken(vq, "a chain of 4 GiB or more");
	return 0;
}

/*
 * The only read of a descriptor. Volatile, so that the compiler reads each field once and never
 * goes back; packed, since nothing makes a driver align its indirect tables.
 */
static struct vring_desc read_desc(const struct vring_desc *table, uint16_t i)
{
	struct unaligned {
		struct vring_desc d;
	} __attribute__((packed));
	const volatile struct unaligned *p = (const volatile struct unaligned *)table + i;

	return (struct vring_desc){
		.addr = p->d.addr, .len = p->d.len, .flags = p->d.flags, .next = p->d.next
	};
}

/* Follow the chain from descriptor i of the ring, perhaps into one indirect table (2.7.5.3). */
static int walk(struct vq *vq, struct vq_chain *c, uint16_t i)
{
	const struct vring_desc *table = vq->desc;
	uint32_t n = vq->size;
	unsigned int left = vq->size;
	bool indirect = false; /* not table != desc: a table may be the ring itself */
	struct vring_desc d;

	for (;;) {
		d = read_desc(table, i);
		if (d.flags & VRING_DESC_F_INDIRECT) {
			if (!vq->indirect)
				return broken(vq, "an indirect descriptor without the feature");
			if (indirect)
				return broken(vq, "a nested indirect descriptor");
			if (d.flags & VRING_DESC_F_NEXT)
				return broken(vq, "an indirect descriptor with a next one");
			n = d.len / sizeof(d);
			if (!n || d.len % sizeof(d) || n > UINT16_MAX + 1)
				return broken(vq, "an indirect table of impossible length");
			table = gmem_ptr(vq->mem, d.addr, d.len);
			if (!table)
				return broken(vq, "an indirect table outside memory");
			indirect = true;
			i = 0;
			continue; /* its own descriptor is none of the chain's buffers */
		}
		if (!left--)
			return broken(vq, "a descriptor loop, or a chain longer than the ring");
		if (add_buffer(vq, c, &d))
			return -EPROTO;
		if (!(d.flags & VRING_DESC_F_NEXT))
			return 0;
		if (d.next >= n)
			return broken(vq, "a next descriptor past the end of its table");
		i = d.next;
	}
}

int vq_pop(struct vq *vq, struct vq_chain *c)
{
	int ret;

	if (vq->broken)
		return -EPROTO;
	if (!vq->enabled)
		return 0;
	if (vq->last_avail == vq->avail_seen) {
		ret = poll_avail(vq);
		if (ret <= 0)
			return ret;
	}
	c->nout = c->nin = 0;
	c->out_len = c->in_len = 0;
	c->head = load_once(&vq->avail->ring[vq->last_avail & (vq->size - 1)]);
	if (c->head >= vq->size)
		return broken(vq, "an available entry past the end of the ring");
	if (head_busy(vq, c->head))
		return broken(vq, "a chain made available again before it was used");
	ret = walk(vq, c, c->head);
	if (ret)
		return ret;
	head_flip(vq, c->head);
	vq->inflight++;
	vq->last_avail++;
	vq->stat_chains++;
	return 1;
}

void vq_unpop(struct vq *vq, const struct vq_chain *c)
{
	assert(vq->inflight && head_busy(vq, c->head));
	head_flip(vq, c->head);
	vq->inflight--;
	vq->last_avail--;
	vq->stat_chains--;
}

void vq_push(struct vq *vq, uint16_t head, uint32_t len)
{
	struct vring_used_elem *e = &vq->used->ring[vq->used_idx & (vq->size - 1)];

	assert(vq->inflight && head < vq->size && head_busy(vq, head));
	e->id = head;
	e->len = len;
	head_flip(vq, head);
	vq->inflight--;
	vq->used_idx++;
}

bool vq_flush(struct vq *vq)
{
	uint16_t old = vq->used_flushed;
	bool wanted;

	if (old == vq->used_idx)
		return false;
	/* Pairs with the driver's acquire of the index: it sees the entries and the data before. */
	store_release(&vq->used->idx, vq->used_idx);
	vq->used_flushed = vq->used_idx;
	/*
	 * Pairs with the driver's full barrier between asking for interrupts and looking at the
	 * used index once more: either it sees the new index, or we see that it asked.
	 */
	full_barrier();
	/* Every flush asks, and for at most size entries: the span never wraps past its start. */
	if (vq->event_idx)
		wanted = vring_need_event(load_once(used_event(vq)), vq->used_idx, old);
	else
		wanted = !(load_once(&vq->avail->flags) & VRING_AVAIL_F_NO_INTERRUPT);
	vq->stat_quiet += !wanted;
	return wanted;
}

void vq_kicks_off(struct vq *vq)
{
	/*
	 * With the event index there is nothing to write: avail_event stays where the driver has
	 * passed it, and it kicks again only after 2^16 more chains.
	 */
	if (vq->enabled && !vq->event_idx)
		store_once(&vq->used->flags, VRING_USED_F_NO_NOTIFY);
}

bool vq_kicks_on(struct vq *vq)
{
	if (!vq->enabled || vq->broken)
		return vq->broken;
	/*
	 * From avail_seen on: chains that were taken and given back have been kicked for already.
	 */
	if (vq->event_idx)
		store_once(avail_event(vq), vq->avail_seen);
	else
		store_once(&vq->used->flags, 0);
	/*
	 * Pairs with the driver's full barrier between publishing its index and looking whether to
	 * kick: either it sees that we ask, or we see its index.
	 */
	full_barrier();
	return load_once(&vq->avail->idx) != vq->avail_seen;
}
