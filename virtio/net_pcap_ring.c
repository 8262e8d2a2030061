// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ring that takes a pair's frames to the writer of a capture, without a lock: see net_pcap.h.
 * It knows of stamps and of whole records; which frames are wanted, when the writer wakes up, and
 * how the rings of several pairs are merged is net_pcap.c's.
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "net_pcap.h"

#define RING_SKIP UINT32_MAX /* as caplen: the ring goes on at its start */

uint64_t pcap_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

int pcap_ring_init(struct pcap_ring *r, uint32_t size)
{
	r->size = size;
	r->data = malloc(size);
	return r->data ? 0 : -ENOMEM;
}

void pcap_ring_fini(struct pcap_ring *r)
{
	free(r->data);
}

/* A multiple of the header, so that what is left of the ring has room for the mark to skip it. */
static uint32_t ring_need(uint32_t caplen)
{
	return ALIGN_UP(sizeof(struct pcap_rec) + caplen, sizeof(struct pcap_rec));
}

/* --- the pair's side */

/* Room for @need bytes in one piece at *@pos, or NULL. */
static struct pcap_rec *ring_reserve(struct pcap_ring *r, uint32_t need, uint64_t *pos)
{
	uint32_t at = r->head & (r->size - 1), skip = 0;

	if (at + need > r->size)
		skip = r->size - at;
	if (r->head + skip + need - r->seen > r->size) {
		r->seen = load_acquire(&r->tail); /* pairs with pcap_ring_take()'s release */
		if (r->head + skip + need - r->seen > r->size)
			return NULL;
	}
	if (skip)
		((struct pcap_rec *)(r->data + at))->caplen = RING_SKIP;
	*pos = r->head + skip;
	return (struct pcap_rec *)(r->data + (*pos & (r->size - 1)));
}

bool pcap_ring_put(struct pcap_ring *r, const struct virtio_net_hdr_v1 *hdr,
		   const struct iovec *iov, unsigned int n, uint32_t len, uint32_t caplen)
{
	uint32_t need = ring_need(caplen);
	struct pcap_rec *rec;
	uint64_t pos;

	rec = ring_reserve(r, need, &pos);
	if (!rec)
		return false;
	store_release(&r->busy, true); /* pairs with pcap_ring_look()'s acquire: behind @last */
	full_barrier(); /* pairs with pcap_look()'s: if not seen busy, the stamp is after its now */
	rec->ns = pcap_now();
	rec->len = len;
	rec->caplen = caplen;
	rec->csum = hdr->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM;
	rec->csum_start = hdr->csum_start;
	rec->csum_offset = hdr->csum_offset;
	net_iov_read(iov, n, 0, rec->data, caplen);
	store_once(&r->last, rec->ns);
	store_release(&r->head, pos + need); /* both pair with pcap_ring_look()'s acquires */
	store_release(&r->busy, false);
	return true;
}

bool pcap_ring_past_mark(struct pcap_ring *r)
{
	if (r->head - r->seen < pcap_ring_mark(r))
		return false;
	r->seen = load_acquire(&r->tail); /* pairs with pcap_ring_take()'s release */
	return r->head - r->seen >= pcap_ring_mark(r);
}

/* --- the writer's side */

/*
 * Who is not busy gets its next stamp later than @now. Who is busy has one already, which is not
 * older than that of its record before.
 */
uint64_t pcap_ring_look(struct pcap_ring *r, uint64_t now)
{
	/* All three pair with pcap_ring_put()'s releases. */
	if (load_acquire(&r->busy))
		r->idle = MAX(r->idle, load_once(&r->last));
	else
		r->idle = now;
	r->end = load_acquire(&r->head);
	return r->idle;
}

struct pcap_rec *pcap_ring_peek(struct pcap_ring *r)
{
	uint32_t at = r->tail & (r->size - 1);
	struct pcap_rec *rec = (struct pcap_rec *)(r->data + at);

	if (r->tail == r->end)
		return NULL;
	if (rec->caplen != RING_SKIP)
		return rec;
	store_release(&r->tail, r->tail + r->size - at); /* as in pcap_ring_take() */
	return (struct pcap_rec *)r->data;
}

void pcap_ring_take(struct pcap_ring *r, const struct pcap_rec *rec)
{
	/* Pairs with the acquires of ring_reserve() and pcap_ring_past_mark(). */
	store_release(&r->tail, r->tail + ring_need(rec->caplen));
}

uint64_t pcap_ring_used(const struct pcap_ring *r)
{
	return load_acquire(&r->head) - r->tail; /* pairs with pcap_ring_put()'s release */
}
