// SPDX-License-Identifier: GPL-2.0-only
/*
 * Network device, from the backend to the guest: frames are read straight into the guest's buffers,
 * as many as a frame needs where they may be merged (virtio 1.2, 5.1.6.3, 5.1.6.4). Runs on the
 * pair's thread.
 *
 * The header goes to our own memory first: it is checked against what the guest agreed to, and
 * completed, before the guest's memory sees it. Behind the guest's buffers lies one of ours (the
 * spill): a frame that reaches it was longer than those buffers, and waits there for more of them,
 * or is dropped when more would not help. No frame is ever cut, none is looked at twice.
 */
#include <endian.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "log.h"
#include "net.h"

/*
 * Frames, and bytes, between two looks at the send side; also the most that one interrupt covers.
 */
#define RX_BUDGET	64
#define RX_BUDGET_BYTES (512u << 10)
/* More than a tap's queue holds: an end for a backend that never runs dry. */
#define RX_DRAIN_MAX 4096

_Static_assert(NET_RX_IOV + 2 <= IOV_MAX, "a window must fit one readv()");

/* Nothing longer is expected, so this much room is enough to take whatever comes. */
static size_t rx_want(const struct net_dev *nd)
{
	uint64_t gso = NET_GUEST_OFFLOADS & ~NET_BIT(VIRTIO_NET_F_GUEST_CSUM);

	if (load_once(&nd->rx_offloads) & gso)
		return NET_FRAME_MAX;
	if (vdev_has(&nd->vd, VIRTIO_NET_F_MTU))
		return nd->config.mtu + 18u;
	return NET_MTU + 18;
}

/* Move the window back to the start of its arrays. */
static void rx_compact(struct net_rx *rx)
{
	unsigned int n = rx->end - rx->start;

	memmove(&rx->iov[1], &rx->iov[rx->start], n * sizeof(rx->iov[0]));
	rx->start = 1;
	rx->end = 1 + n;
	n = rx->bend - rx->bstart;
	memmove(&rx->buf[0], &rx->buf[rx->bstart], n * sizeof(rx->buf[0]));
	rx->bstart = 0;
	rx->bend = n;
}

/* The first NET_HDR_LEN bytes of the window's first buffer leave it for hdr_iov[]. */
static void rx_carve(struct net_rx *rx)
{
	struct net_buf *b = &rx->buf[rx->bstart];
	size_t left = NET_HDR_LEN, part;

	b->room -= NET_HDR_LEN;
	rx->room -= NET_HDR_LEN;
	for (rx->nhdr = 0; left; rx->nhdr++) {
		struct iovec *v = &rx->iov[rx->start];

		part = MIN(left, v->iov_len);
		rx->hdr_iov[rx->nhdr].iov_base = v->iov_base;
		rx->hdr_iov[rx->nhdr].iov_len = part;
		left -= part;
		v->iov_base = (uint8_t *)v->iov_base + part;
		v->iov_len -= part;
		if (!v->iov_len) {
			rx->start++;
			b->niov--;
		}
	}
}

/*
 * Take buffers until the window has @want bytes or, without merging, one buffer. 0, also when there
 * are too few; -EPROTO: the guest's fault.
 */
static int rx_fill(struct net_pair *p, size_t want)
{
	struct net_rx *rx = &p->rx;
	bool merge = vdev_has(&p->dev->vd, VIRTIO_NET_F_MRG_RXBUF);
	struct vq_chain c;
	int ret;

	while (merge ? rx->room < want : rx->bstart == rx->bend) {
		if (rx->end > 1 + NET_RING || rx->bend == ARRAY_SIZE(rx->buf)) {
			/* A window of many tiny pieces: enough, the spill takes the rest. */
			if (rx->end - rx->start > NET_RING)
				return 0;
			rx_compact(rx);
		}
		c.iov = &rx->iov[rx->end];
		c.iov_max = NET_RING;
		ret = vq_pop(rx->vq, &c);
		if (!ret)
			return 0;
		if (ret < 0) {
			vdev_broken(&p->dev->vd, rx->vq->broken);
			return -EPROTO;
		}
		if (c.nout || c.in_len < NET_HDR_LEN) {
			vdev_broken(&p->dev->vd,
				    c.nout ? "receive buffer is not for the device to write"
					   : "receive buffer is shorter than the header");
			return -EPROTO;
		}
		rx->buf[rx->bend].head = c.head;
		rx->buf[rx->bend].niov = c.nin;
		rx->buf[rx->bend].room = c.in_len;
		rx->room += c.in_len;
		rx->end += c.nin;
		if (rx->bstart == rx->bend++)
			rx_carve(rx);
	}
	return 0;
}

/*
 * May the guest be handed this frame? The backend can hold some from before its settings changed.
 */
static bool rx_hdr_ok(const struct net_dev *nd, struct virtio_net_hdr_v1 *hdr, uint32_t len)
{
	uint64_t have = load_once(&nd->rx_offloads), need = 0;

	hdr->flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID;
	if (!(have & NET_BIT(VIRTIO_NET_F_GUEST_CSUM))) {
		if (hdr->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
			return false;
		hdr->flags = 0;
	}
	switch (hdr->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_NONE:
		/* 5.1.4.1: nothing above the MTU that was agreed on. */
		return !vdev_has(&nd->vd, VIRTIO_NET_F_MTU) || len <= nd->config.mtu + 18u;
	case VIRTIO_NET_HDR_GSO_TCPV4:
		need = NET_BIT(VIRTIO_NET_F_GUEST_TSO4);
		break;
	case VIRTIO_NET_HDR_GSO_TCPV6:
		need = NET_BIT(VIRTIO_NET_F_GUEST_TSO6);
		break;
	case VIRTIO_NET_HDR_GSO_UDP_L4:
		/* The header does not tell v4 from v6; the backend has one switch for both. */
		need = NET_BIT(VIRTIO_NET_F_GUEST_USO4);
		break;
	default:
		return false;
	}
	if (hdr->gso_type & VIRTIO_NET_HDR_GSO_ECN)
		need |= NET_BIT(VIRTIO_NET_F_GUEST_ECN);
	return (have & need) == need;
}

/* Hand the first buffers of the window, with a frame of @len bytes in them, to the guest. */
static void rx_commit(struct net_pair *p, uint32_t len)
{
	struct net_rx *rx = &p->rx;
	unsigned int k = 0, i, left = len;

	if (p->dev->pcap)
		net_pcap_record(p->dev->pcap, p->index, &rx->hdr, &rx->iov[rx->start],
				rx->end - rx->start, len);
	do {
		struct net_buf *b = &rx->buf[rx->bstart];
		uint32_t part = MIN(left, b->room);

		vq_push(rx->vq, b->head, part + (k ? 0 : NET_HDR_LEN));
		left -= part;
		rx->start += b->niov;
		rx->room -= b->room;
		rx->bstart++;
		k++;
	} while (left);

	/* Not seen by the guest before the flush, so it may be written after the pushes. */
	rx->hdr.num_buffers = k;
	for (i = 0, k = 0; i < rx->nhdr; k += rx->hdr_iov[i++].iov_len)
		memcpy(rx->hdr_iov[i].iov_base, (uint8_t *)&rx->hdr + k, rx->hdr_iov[i].iov_len);
	if (rx->bstart != rx->bend)
		rx_carve(rx);
	net_count(&rx->stat_packets, 1);
	net_count(&rx->stat_bytes, len);
}

static void rx_refuse(struct net_pair *p)
{
	net_count(&p->rx.stat_drops, 1);
	net_count(&p->be->refused, 1);
}

/*
 * A frame of rx->pending bytes did not fit the window. 1: now it does, and is committed; 0: wait
 * for buffers; -ENOBUFS: no buffers will help, it is dropped; -EPROTO.
 */
static int rx_finish(struct net_pair *p)
{
	struct net_rx *rx = &p->rx;
	uint32_t len = rx->pending;
	int ret;

	ret = rx_fill(p, len);
	if (ret)
		return ret;
	if (rx->room < len) {
		/* All of the ring is in hand, or all that a window holds: it cannot get better. */
		if (vdev_has(&p->dev->vd, VIRTIO_NET_F_MRG_RXBUF) &&
		    rx->bend - rx->bstart < rx->vq->size && rx->end - rx->start <= NET_RING)
			return 0;
		rx->pending = 0;
		rx_refuse(p);
		return -ENOBUFS;
	}
	net_iov_write(&rx->iov[rx->start], rx->end - rx->start, rx->inside, rx->spill,
		      len - rx->inside);
	rx->pending = 0;
	rx_commit(p, len);
	return 1;
}

/*
 * Read one frame. Its length once committed, 0: dropped, pending or passed over, -EAGAIN, other
 * errors for good.
 */
static ssize_t rx_one(struct net_pair *p)
{
	struct net_rx *rx = &p->rx;
	struct iovec *v = &rx->iov[rx->start - 1];
	ssize_t n;
	uint32_t len;

	v->iov_base = &rx->hdr;
	v->iov_len = NET_HDR_LEN;
	rx->iov[rx->end].iov_base = rx->spill;
	rx->iov[rx->end].iov_len = NET_FRAME_MAX + 1;
	n = p->be->ops->recv(p->be, v, rx->end - rx->start + 2);
	if (n < 0)
		return n == -EINTR ? 0 : n;
	if (n < (ssize_t)(NET_HDR_LEN + NET_FRAME_MIN) ||
	    n > (ssize_t)(NET_HDR_LEN + NET_FRAME_MAX) ||
	    !rx_hdr_ok(p->dev, &rx->hdr, n - NET_HDR_LEN)) {
		rx_refuse(p);
		return 0;
	}
	len = n - NET_HDR_LEN;
	if (len > rx->room) {
		rx->pending = len;
		rx->inside = rx->room;
		return 0;
	}
	rx_commit(p, len);
	return len;
}

/* The backend's end: tell once, here and in the guest, where the link goes down. */
static void rx_failed(struct net_pair *p, int error)
{
	struct vdev *vd = &p->dev->vd;

	if (p->failed)
		return;
	p->failed = true;
	log_err("%s: %s: %s; the link is down", vd->label, p->be->ops->name, strerror(error));
	/* Atomic: another pair's may fail at the same time. */
	__atomic_fetch_and(&p->dev->config.status, (__virtio16)~htole16(VIRTIO_NET_S_LINK_UP),
			   __ATOMIC_SEQ_CST);
	vd->tp->config_changed(vd);
	vd->tp->irq(vd, VDEV_IRQ_CONFIG);
}

/* No buffers. True: some came after all; false: a kick will tell. */
static bool rx_starve(struct net_pair *p)
{
	p->rx.kicks = true;
	if (vq_kicks_on(p->rx.vq))
		return true;
	net_count(&p->rx.stat_waits, !p->rx.starved);
	p->rx.starved = true;
	return false;
}

enum net_work net_rx_run(struct net_pair *p)
{
	struct net_rx *rx = &p->rx;
	size_t bytes = 0, want = rx_want(p->dev);
	enum net_work work = NET_MORE;
	unsigned int n;
	ssize_t ret;

	for (n = 0; n < RX_BUDGET && bytes < RX_BUDGET_BYTES; n++) {
		ret = rx->pending ? rx_finish(p) : 0;
		/* What the queue has must be in hand before it can be said to have none. */
		if (ret != -EPROTO && !rx->pending)
			ret = rx_fill(p, want);
		if (ret == -EPROTO)
			return NET_BROKEN;
		if (rx->pending || rx->bstart == rx->bend) {
			if (rx_starve(p))
				continue;
			return NET_IDLE;
		}
		rx->starved = false;
		if (rx->kicks)
			vq_kicks_off(rx->vq);
		rx->kicks = false;
		ret = rx_one(p);
		if (ret < 0) {
			if (ret != -EAGAIN)
				rx_failed(p, -ret);
			work = NET_IDLE;
			break;
		}
		bytes += ret;
	}
	return work;
}

void net_rx_drain(struct net_pair *p)
{
	struct iovec v[] = { { &p->rx.hdr, NET_HDR_LEN }, { p->rx.spill, NET_FRAME_MAX + 1 } };
	unsigned int n;
	ssize_t ret = 0;

	if (p->be->patient)
		return;
	for (n = 0; n < RX_DRAIN_MAX && (ret >= 0 || ret == -EINTR); n++) {
		ret = p->be->ops->recv(p->be, v, ARRAY_SIZE(v));
		net_count(&p->rx.stat_drops, ret >= 0);
	}
}

void net_rx_reset(struct net_pair *p, bool give_back)
{
	struct net_rx *rx = &p->rx;

	while (give_back && rx->bend > rx->bstart) {
		struct vq_chain c = { .head = rx->buf[--rx->bend].head };

		vq_unpop(rx->vq, &c);
	}
	rx->start = 1;
	rx->end = 1;
	rx->bstart = 0;
	rx->bend = 0;
	rx->room = 0;
	if (rx->pending)
		rx_refuse(p); /* it is gone */
	rx->pending = 0;
	rx->starved = false;
	rx->kicks = true;
}
