// SPDX-License-Identifier: GPL-2.0-only
/*
 * Network device, from the guest to the backend: checks each frame's header (virtio 1.2, 5.1.6.2)
 * and hands the guest's own buffers to the backend, without a copy. Runs on the pair's thread;
 * never blocks: a frame that the backend cannot take now is held until it can.
 */
#include <errno.h>

#include "net.h"

/* Frames between two looks at the receive side. */
#define TX_BUDGET 64

int net_hdr_check(struct virtio_net_hdr_v1 *hdr, uint64_t features, uint32_t len)
{
	uint64_t need;

	/* Only the driver's flag: the others belong to received frames (5.1.6.2.2). */
	hdr->flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM;
	hdr->num_buffers = 0;
	if (hdr->flags) {
		if (!(features & NET_BIT(VIRTIO_NET_F_CSUM)))
			return -EINVAL;
		if ((uint32_t)hdr->csum_start + hdr->csum_offset + 2 > len)
			return -EINVAL;
	} else {
		hdr->csum_start = 0;
		hdr->csum_offset = 0;
	}

	switch (hdr->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_NONE:
		if (hdr->gso_type)
			return -EINVAL;
		hdr->hdr_len = 0;
		hdr->gso_size = 0;
		return 0;
	case VIRTIO_NET_HDR_GSO_TCPV4:
		need = NET_BIT(VIRTIO_NET_F_HOST_TSO4);
		break;
	case VIRTIO_NET_HDR_GSO_TCPV6:
		need = NET_BIT(VIRTIO_NET_F_HOST_TSO6);
		break;
	case VIRTIO_NET_HDR_GSO_UDP_L4:
		need = NET_BIT(VIRTIO_NET_F_HOST_USO);
		break;
	default:
		return -EINVAL;
	}
	if (hdr->gso_type & VIRTIO_NET_HDR_GSO_ECN) {
		if (need == NET_BIT(VIRTIO_NET_F_HOST_USO))
			return -EINVAL;
		need |= NET_BIT(VIRTIO_NET_F_HOST_ECN);
	}
	if ((features & need) != need || !hdr->flags || !hdr->gso_size)
		return -EINVAL;
	/* A hint for how much to copy, nothing else: keep it inside the frame. */
	hdr->hdr_len = MIN(hdr->hdr_len, len);
	return 0;
}

/*
 * Make frag[] out of the chain just popped into iov[1...]: the header in our own memory, then the
 * frame. The guest may change its copy of the header from now on; nobody looks at it again.
 */
static void tx_split(struct net_tx *tx)
{
	unsigned int i = 1, n = tx->chain.nout;
	size_t skip = NET_HDR_LEN;

	net_iov_read(tx->iov + 1, n, 0, &tx->hdr, NET_HDR_LEN);
	for (; skip >= tx->iov[i].iov_len; i++) /* ends: out_len is larger */
		skip -= tx->iov[i].iov_len;
	tx->iov[i].iov_base = (uint8_t *)tx->iov[i].iov_base + skip;
	tx->iov[i].iov_len -= skip;
	/* Nobody reads iov[i - 1]: spare, or part of the guest's header. */
	tx->frag = &tx->iov[i - 1];
	tx->frag->iov_base = &tx->hdr;
	tx->frag->iov_len = NET_HDR_LEN;
	tx->nfrag = n + 2 - i;
	tx->len = tx->chain.out_len - NET_HDR_LEN;
}

/* With a capture the copy is what is sent, so that the record cannot differ from what passed. */
static void tx_linearize(struct net_tx *tx)
{
	net_iov_read(tx->frag + 1, tx->nfrag - 1, 0, tx->frame, tx->len);
	tx->frag[1].iov_base = tx->frame;
	tx->frag[1].iov_len = tx->len;
	tx->nfrag = 2;
}

/* 1: a frame stands in frag[]; 0: the chain held none that may pass; -EPROTO: the guest's fault. */
static int tx_prepare(struct net_pair *p)
{
	struct net_tx *tx = &p->tx;

	if (tx->chain.out_len < NET_HDR_LEN) {
		vdev_broken(&p->dev->vd, "transmit chain is shorter than the header");
		return -EPROTO;
	}
	if (tx->chain.out_len < NET_HDR_LEN + NET_FRAME_MIN ||
	    tx->chain.out_len > NET_HDR_LEN + NET_FRAME_MAX)
		return 0;
	tx_split(tx);
	if (net_hdr_check(&tx->hdr, p->dev->vd.negotiated, tx->len))
		return 0;
	if (p->dev->pcap)
		tx_linearize(tx);
	return 1;
}

/* Send the frame in frag[]; false when it has to wait. */
static bool tx_send(struct net_pair *p)
{
	struct net_tx *tx = &p->tx;
	int ret;

	ret = p->be->ops->send(p->be, tx->frag, tx->nfrag, tx->len);
	if (ret == -EAGAIN) {
		net_count(&tx->stat_waits, !tx->held);
		tx->held = true;
		return false;
	}
	tx->held = false;
	if (ret) {
		net_count(&tx->stat_drops, 1);
	} else {
		net_count(&tx->stat_packets, 1);
		net_count(&tx->stat_bytes, tx->len);
		if (p->dev->pcap)
			net_pcap_record(p->dev->pcap, p->index, &tx->hdr, tx->frag + 1, 1, tx->len);
	}
	vq_push(tx->vq, tx->chain.head, 0);
	return true;
}

enum net_work net_tx_run(struct net_pair *p)
{
	struct net_tx *tx = &p->tx;
	enum net_work work = NET_MORE;
	unsigned int n;
	int ret;

	/* A held frame keeps the queue silent until the backend's fd becomes writable. */
	if (tx->held && !tx_send(p))
		return NET_IDLE;
	vq_kicks_off(tx->vq);
	for (n = 0; n < TX_BUDGET; n++) {
		tx->chain.iov = tx->iov + 1;
		tx->chain.iov_max = NET_RING;
		ret = vq_pop(tx->vq, &tx->chain);
		if (!ret) {
			if (!p->polling && vq_kicks_on(tx->vq))
				continue;
			work = NET_IDLE;
			break;
		}
		if (ret < 0) {
			vdev_broken(&p->dev->vd, tx->vq->broken);
			return NET_BROKEN;
		}
		ret = tx_prepare(p);
		if (ret < 0)
			return NET_BROKEN;
		if (!ret) {
			net_count(&tx->stat_drops, 1);
			vq_push(tx->vq, tx->chain.head, 0);
		} else if (!tx_send(p)) {
			work = NET_IDLE;
			break;
		}
	}
	return work;
}

void net_tx_reset(struct net_pair *p, bool give_back)
{
	if (p->tx.held && give_back)
		vq_unpop(p->tx.vq, &p->tx.chain);
	p->tx.held = false;
}
