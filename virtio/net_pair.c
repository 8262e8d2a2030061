// SPDX-License-Identifier: GPL-2.0-only
/*
 * Network device: the life of a pair of queues, and what it counts. Pair 0 runs from activate to
 * quiesce; the others when the driver has asked for them (virtio 1.2, 5.1.6.5.5). A pair that does
 * not run has no thread, and its queue of the interface is detached, so that the host's kernel
 * spreads frames over the others.
 *
 * Threads: new, free, start and stop under vdev.lock or before there is one; net_pairs_set() on
 * pair 0's thread, which net_pairs_stop() ends first. Counters are read by any.
 */
#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "net.h"

/* A queue's worth of frames, and one more round to find that there are no others. */
#define DRAIN_ROUNDS 8

void net_pair_free(struct net_pair *p)
{
	if (!p)
		return;
	if (p->be)
		p->be->ops->close(p->be);
	net_thread_fini(p);
	free(p->rx.spill);
	free(p->tx.frame);
	free(p);
}

int net_pair_new(struct net_dev *nd, unsigned int index, struct net_backend *be)
{
	struct net_pair *p;
	int ret = -ENOMEM;

	p = aligned_alloc(_Alignof(struct net_pair), sizeof(*p));
	if (!p) {
		be->ops->close(be);
		return ret;
	}
	memset(p, 0, sizeof(*p));
	p->epfd = -1;
	p->stop_fd = -1;
	p->index = index;
	p->dev = nd;
	p->be = be;
	p->rx.vq = &nd->vd.vq[2 * index];
	p->tx.vq = &nd->vd.vq[2 * index + 1];
	p->rx.spill = malloc(NET_FRAME_MAX + 1);
	if (!p->rx.spill)
		goto fail;
	if (nd->pcap) {
		p->tx.frame = malloc(NET_FRAME_MAX);
		if (!p->tx.frame)
			goto fail;
	}
	ret = net_thread_init(p);
	if (ret)
		goto fail;
	nd->pair[index] = p;
	return 0;
fail:
	net_pair_free(p);
	return ret;
}

int net_pairs_start(struct net_dev *nd)
{
	struct net_pair *p = nd->pair[0];
	int ret;

	if (p->be->ops->set_mtu)
		p->be->ops->set_mtu(p->be, vdev_has(&nd->vd, VIRTIO_NET_F_MTU)
						   ? le16toh(nd->config.mtu)
						   : NET_MTU);
	ret = p->be->ops->set_offloads ? p->be->ops->set_offloads(p->be, nd->rx_offloads) : 0;
	if (ret)
		return ret;
	net_rx_reset(p, false);
	net_tx_reset(p, false);
	net_rx_drain(p);
	ret = net_thread_start(p);
	if (!ret)
		store_once(&nd->active, 1);
	return ret;
}

static int pair_attach(struct net_pair *p, bool on)
{
	return p->be->ops->attach ? p->be->ops->attach(p->be, on) : 0;
}

/* One more pair. A frame that waited for buffers when it last ran is gone. */
static int pair_add(struct net_pair *p)
{
	int ret;

	if (!p->rx.vq->enabled || !p->tx.vq->enabled)
		return -EINVAL;
	net_rx_reset(p, false);
	net_tx_reset(p, false);
	ret = pair_attach(p, true);
	if (ret)
		return ret;
	ret = net_thread_start(p);
	if (ret)
		pair_attach(p, false);
	return ret;
}

/*
 * What the driver has sent goes out before the pair does, as far as that needs no waiting; the
 * driver sends no more by it (5.1.6.5.5), and if it does, that stays in the queue. Buffers for
 * frames go back there.
 */
static void pair_remove(struct net_pair *p)
{
	enum net_work work = NET_MORE;
	unsigned int n;

	net_thread_stop(p);
	if (!vdev_is_broken(&p->dev->vd))
		for (n = 0; n < DRAIN_ROUNDS && work == NET_MORE; n++)
			work = net_tx_run(p);
	if (pair_attach(p, false))
		log_err("%s: pair %u cannot be detached", p->dev->vd.label, p->index);
	net_rx_reset(p, true);
	net_tx_reset(p, true);
	net_flush(p);
}

int net_pairs_set(struct net_dev *nd, unsigned int n)
{
	unsigned int i, was = nd->active;
	int ret = 0;

	assert(n && n <= nd->npairs);
	for (i = was; i < n && !ret; i++) {
		ret = pair_add(nd->pair[i]);
		if (!ret)
			store_once(&nd->active, i + 1);
	}
	for (i = nd->active; i > (ret ? was : n); i--) {
		pair_remove(nd->pair[i - 1]);
		store_once(&nd->active, i - 1);
	}
	return ret;
}

void net_pairs_stop(struct net_dev *nd)
{
	unsigned int i;

	/* In this order: pair 0's thread may be changing how many there are. */
	net_thread_stop(nd->pair[0]);
	for (i = 1; i < nd->active; i++) {
		net_thread_stop(nd->pair[i]);
		if (pair_attach(nd->pair[i], false))
			log_err("%s: pair %u cannot be detached", nd->vd.label, i);
	}
	for (i = 0; i < nd->active; i++) {
		net_rx_reset(nd->pair[i], true);
		net_tx_reset(nd->pair[i], true);
	}
	store_once(&nd->active, 0);
}

enum {
	RX_PACKETS,
	RX_BYTES,
	RX_DROPS,
	RX_WAITS,
	TX_PACKETS,
	TX_BYTES,
	TX_DROPS,
	TX_WAITS,
	POLLS,
	HITS,
	NSTATS
};

static const char *const stat_names[NSTATS] = {
	"rx_packets", "rx_bytes", "rx_drops", "rx_no_buffer", "tx_packets",
	"tx_bytes",   "tx_drops", "tx_waits", "polls",	      "poll_hits",
};

static void pair_stats(const struct net_pair *p, uint64_t n[NSTATS])
{
	n[RX_PACKETS] = load_once(&p->rx.stat_packets);
	n[RX_BYTES] = load_once(&p->rx.stat_bytes);
	n[RX_DROPS] = load_once(&p->rx.stat_drops);
	n[RX_WAITS] = load_once(&p->rx.stat_waits);
	n[TX_PACKETS] = load_once(&p->tx.stat_packets);
	n[TX_BYTES] = load_once(&p->tx.stat_bytes);
	n[TX_DROPS] = load_once(&p->tx.stat_drops);
	n[TX_WAITS] = load_once(&p->tx.stat_waits);
	n[POLLS] = load_once(&p->stat_polls);
	n[HITS] = load_once(&p->stat_hits);
}

void net_pairs_stats(const struct net_dev *nd, FILE *out)
{
	uint64_t n[NET_PAIRS_MAX][NSTATS], sum;
	unsigned int i, k;

	/* All before any, so that the totals are those of what stands behind them. */
	for (i = 0; i < nd->npairs; i++)
		pair_stats(nd->pair[i], n[i]);
	for (k = 0; k < NSTATS; k++) {
		for (i = 0, sum = 0; i < nd->npairs; i++)
			sum += n[i][k];
		fprintf(out, "%s%s=%" PRIu64, k ? " " : "", stat_names[k], sum);
	}
	fprintf(out, " ctrl=%" PRIu64 " pairs=%u active=%u", load_once(&nd->stat_ctrl), nd->npairs,
		load_once(&nd->active));
	for (i = 0; i < nd->npairs && nd->npairs > 1; i++)
		for (k = 0; k < NSTATS; k++)
			if (n[i][k])
				fprintf(out, " p%u.%s=%" PRIu64, i, stat_names[k], n[i][k]);
}
