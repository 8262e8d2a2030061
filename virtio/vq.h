/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Split virtqueues, device side (virtio 1.2, 2.7): the only code that touches a ring. It knows
 * guest memory and nothing of devices, transports or threads. One thread at a time works on a queue
 * (the device's, once activated); set-up happens before that thread exists. Indirect descriptors
 * (2.7.5.3) and the event index (2.7.7) are handled here.
 */
#ifndef LODGE_VQ_H
#define LODGE_VQ_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>
#include <linux/virtio_ring.h>

#include "gmem.h"
#include "util.h"

#define VQ_SIZE_MAX 1024 /* a power of two; also the longest chain we follow */

/**
 * struct vq_chain - one request as popped from a queue
 * @head:    identifies the chain when it is pushed back; below size, and no two chains in flight
 *	     have the same, so that it may index the device's own table of requests
 * @nout:    iov[0..nout) is what the driver wrote (device-readable)
 * @nin:     iov[nout..nout+nin) is what the device may write
 * @out_len: bytes in the readable part
 * @in_len:  bytes in the writable part
 * @iov:     the caller's array, filled by vq_pop(); host addresses, zero-length buffers left out
 * @iov_max: its capacity; VQ_SIZE_MAX always suffices, less makes longer chains a guest error
 */
struct vq_chain {
	uint16_t head;
	uint16_t nout;
	uint16_t nin;
	uint16_t iov_max;
	uint64_t out_len;
	uint64_t in_len;
	struct iovec *iov;
};

/**
 * struct vq - one virtqueue
 *
 * The first part is set while the queue is being configured and constant while it runs; the second
 * belongs to the device thread alone.
 */
struct vq {
	const struct gmem *mem;
	struct vring_desc *desc; /* host addresses of the three parts, NULL until vq_enable() */
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t size;	   /* entries, as the driver set it */
	uint16_t size_max; /* what the device offers */
	bool event_idx;	   /* VIRTIO_RING_F_EVENT_IDX negotiated */
	bool indirect;	   /* VIRTIO_RING_F_INDIRECT_DESC negotiated */
	bool enabled;
	uint64_t desc_gpa, avail_gpa, used_gpa;
	int kick_fd; /* eventfd: the driver has added buffers; owned by the vdev */

	/* Next avail entry to take. */
	uint16_t last_avail __attribute__((aligned(CACHE_LINE)));
	uint16_t avail_seen;   /* the driver's avail index as last read */
	uint16_t used_idx;     /* next used entry to fill */
	uint16_t used_flushed; /* used index as the driver sees it */
	uint16_t inflight;     /* popped and not yet pushed; never above size */
	const char *broken;    /* first reason, NULL while healthy */
	/* stat_quiet: flushes that the driver wanted no interrupt for, or no other one */
	uint64_t stat_chains, stat_kicks, stat_irqs, stat_quiet;
	uint64_t busy[VQ_SIZE_MAX / 64]; /* heads popped and not yet pushed, one bit each */
};

/**
 * vq_init - start life of a queue
 * @vq:	      queue, contents undefined
 * @mem:      guest memory, must outlive the queue
 * @size_max: largest ring size offered, a power of two up to VQ_SIZE_MAX
 *
 * kick_fd is left at -1.
 */
void vq_init(struct vq *vq, const struct gmem *mem, uint16_t size_max);

/** vq_reset - back to the state after vq_init(); kick_fd and the statistics stay */
void vq_reset(struct vq *vq);

/**
 * vq_enable - check the driver's set-up and map the ring (4.2.3.2)
 *
 * Uses size and the three gpa fields; checks power of two, alignment (2.7: 16, 2, 4) and that each
 * part lies wholly in guest memory.
 *
 * Return: 0, or -EINVAL with @vq->broken set.
 */
int vq_enable(struct vq *vq);

/**
 * vq_pop - take the next available chain
 *
 * Every descriptor is copied once and checked on the copy. Guest errors (index past the ring, loop,
 * chain longer than the ring, nested indirect, buffer outside memory, readable after writable,
 * total above 2^32 - 1, more available than the ring holds, a head that is in flight already) break
 * the queue: first reason in @vq->broken. A queue that the driver left disabled never has anything.
 *
 * Return: 1 with @c filled, 0 when nothing is available, -EPROTO when the queue is broken.
 */
int vq_pop(struct vq *vq, struct vq_chain *c);

/**
 * vq_unpop - give back the chain just popped, as if it had never been taken (net receive)
 *
 * Several are given back last one first. The next vq_pop() reads the ring anew.
 */
void vq_unpop(struct vq *vq, const struct vq_chain *c);

/**
 * vq_push - complete a chain; invisible to the driver until vq_flush()
 * @head: vq_chain.head
 * @len:  bytes written to the writable part, counted from its start
 */
void vq_push(struct vq *vq, uint16_t head, uint32_t len);

/**
 * vq_flush - let the driver see all pushed chains
 *
 * Return: true when the driver wants an interrupt for them (2.7.7.2); the caller then raises it.
 */
bool vq_flush(struct vq *vq);

/** vq_kicks_off - tell the driver that kicks are not needed for now (we are polling) */
void vq_kicks_off(struct vq *vq);

/**
 * vq_kicks_on - ask for kicks again
 *
 * For a caller that vq_pop() has told that there is nothing (more), whether or not it then gave
 * chains back; those do not count as something new.
 *
 * Return: true when something became available meanwhile: the caller must look again, as no kick
 * may come for it. Also true when the queue is broken.
 */
bool vq_kicks_on(struct vq *vq);

/** vq_break - record a device-level guest error on this queue; the first reason is kept */
void vq_break(struct vq *vq, const char *why);

#endif
