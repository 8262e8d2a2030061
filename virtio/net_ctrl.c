// SPDX-License-Identifier: GPL-2.0-only
/*
 * Network device, control queue (virtio 1.2, 5.1.6.5): receive modes, MAC addresses, run-time
 * offloads, number of pairs. Runs on pair 0's thread. A command is copied once; whatever is wrong
 * with it is answered with VIRTIO_NET_ERR, and only a chain without room for that answer breaks the
 * device.
 *
 * The receive filter is not applied: the guest is handed every frame that the backend has, which
 * the driver must cope with (5.1.6.5.1), and sorts them itself.
 */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "net.h"

#define CTRL_BUDGET 16
/*
 * Each pair that comes or goes, and each change of offloads, takes the lock that all of the host's
 * networks share: so many of them at once, and then one in so long.
 */
#define CTRL_LOCK_BURST 32
#define CTRL_LOCK_NS	5000000ull

struct ctrl_cmd {
	struct virtio_net_ctrl_hdr hdr;
	uint8_t data[NET_CTRL_DATA_MAX];
} __attribute__((packed));

bool net_offloads_valid(uint64_t f)
{
	const uint64_t csum = NET_BIT(VIRTIO_NET_F_CSUM), gcsum = NET_BIT(VIRTIO_NET_F_GUEST_CSUM);
	const uint64_t tso = NET_BIT(VIRTIO_NET_F_HOST_TSO4) | NET_BIT(VIRTIO_NET_F_HOST_TSO6);
	const uint64_t gtso = NET_BIT(VIRTIO_NET_F_GUEST_TSO4) | NET_BIT(VIRTIO_NET_F_GUEST_TSO6);
	const uint64_t uso4 = NET_BIT(VIRTIO_NET_F_GUEST_USO4);
	const uint64_t uso6 = NET_BIT(VIRTIO_NET_F_GUEST_USO6);

	if (f & (tso | NET_BIT(VIRTIO_NET_F_HOST_USO)) && !(f & csum))
		return false;
	if (f & (gtso | uso4 | uso6) && !(f & gcsum))
		return false;
	if (f & NET_BIT(VIRTIO_NET_F_HOST_ECN) && !(f & tso))
		return false;
	return !(f & NET_BIT(VIRTIO_NET_F_GUEST_ECN)) || f & gtso;
}

/* 5.1.6.5.1: the state is one byte. */
static int ctrl_rx(const struct ctrl_cmd *c, size_t len)
{
	return c->hdr.cmd <= VIRTIO_NET_CTRL_RX_ALLMULTI && len == 1 ? 0 : -EINVAL;
}

/* One table: a count, then that many addresses. Returns its length, or -EINVAL past the end. */
static ssize_t mac_table_len(const uint8_t *data, size_t len)
{
	uint32_t n;

	if (len < sizeof(n))
		return -EINVAL;
	memcpy(&n, data, sizeof(n));
	if (n > (len - sizeof(n)) / ETH_ALEN)
		return -EINVAL;
	return sizeof(n) + n * ETH_ALEN;
}

/* 5.1.6.5.2 */
static int ctrl_mac(struct net_dev *nd, const struct ctrl_cmd *c, size_t len)
{
	ssize_t n, m;

	switch (c->hdr.cmd) {
	case VIRTIO_NET_CTRL_MAC_TABLE_SET:
		n = mac_table_len(c->data, len);
		if (n < 0)
			return -EINVAL;
		m = mac_table_len(c->data + n, len - n);
		return m < 0 || (size_t)(n + m) != len ? -EINVAL : 0;
	case VIRTIO_NET_CTRL_MAC_ADDR_SET:
		if (len != ETH_ALEN || !vdev_has(&nd->vd, VIRTIO_NET_F_CTRL_MAC_ADDR) ||
		    c->data[0] & 1)
			return -EINVAL;
		memcpy(nd->config.mac, c->data, ETH_ALEN);
		nd->vd.tp->config_changed(&nd->vd);
		return 0;
	}
	return -EINVAL;
}

/* The host's lock is about to be taken so often. */
static void ctrl_charge(struct net_dev *nd, unsigned int locks)
{
	uint64_t now = net_now_ns();

	nd->ctrl_due = MAX(nd->ctrl_due, now) + locks * CTRL_LOCK_NS;
}

/* 5.1.6.5.6: what was negotiated may be switched off, and on again. */
static int ctrl_offloads(struct net_dev *nd, const struct ctrl_cmd *c, size_t len)
{
	struct net_backend *be = nd->pair[0]->be;
	uint64_t f;
	int ret;

	if (c->hdr.cmd != VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET || len != sizeof(f) ||
	    !vdev_has(&nd->vd, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS))
		return -EINVAL;
	memcpy(&f, c->data, sizeof(f));
	if (f & ~(nd->vd.negotiated & NET_GUEST_OFFLOADS) || !net_offloads_valid(f))
		return -EINVAL;
	if (f == nd->rx_offloads)
		return 0;
	ctrl_charge(nd, 1);
	ret = be->ops->set_offloads ? be->ops->set_offloads(be, f) : 0;
	if (ret)
		return ret;
	store_once(&nd->rx_offloads, f);
	return 0;
}

/* 5.1.6.5.5: how many pairs the driver uses from now on. */
static int ctrl_mq(struct net_dev *nd, const struct ctrl_cmd *c, size_t len)
{
	uint16_t n;

	if (c->hdr.cmd != VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET || len != sizeof(n) ||
	    !vdev_has(&nd->vd, VIRTIO_NET_F_MQ))
		return -EINVAL;
	memcpy(&n, c->data, sizeof(n));
	n = le16toh(n);
	if (n < VIRTIO_NET_CTRL_MQ_VQ_PAIRS_MIN || n > nd->npairs)
		return -EINVAL;
	ctrl_charge(nd, n > nd->active ? n - nd->active : nd->active - n);
	return net_pairs_set(nd, n);
}

/* The queue rests as a whole: commands are answered in order, and this is nobody's fast path. */
static bool ctrl_rests(const struct net_dev *nd)
{
	return nd->ctrl_due && nd->ctrl_due > net_now_ns() + CTRL_LOCK_BURST * CTRL_LOCK_NS;
}

static int ctrl_command(struct net_dev *nd, const struct vq_chain *c)
{
	struct ctrl_cmd cmd;
	size_t len;

	if (c->out_len < sizeof(cmd.hdr) || c->out_len > sizeof(cmd))
		return -EINVAL;
	len = net_iov_read(c->iov, c->nout, 0, &cmd, c->out_len) - sizeof(cmd.hdr);
	switch (cmd.hdr.class) {
	case VIRTIO_NET_CTRL_RX:
		return vdev_has(&nd->vd, VIRTIO_NET_F_CTRL_RX) ? ctrl_rx(&cmd, len) : -EINVAL;
	case VIRTIO_NET_CTRL_MAC:
		return ctrl_mac(nd, &cmd, len);
	case VIRTIO_NET_CTRL_GUEST_OFFLOADS:
		return ctrl_offloads(nd, &cmd, len);
	case VIRTIO_NET_CTRL_MQ:
		return ctrl_mq(nd, &cmd, len);
	}
	return -EINVAL;
}

enum net_work net_ctrl_run(struct net_dev *nd, struct vq *vq)
{
	struct iovec iov[NET_RING];
	struct vq_chain c = { .iov = iov, .iov_max = NET_RING };
	enum net_work work = NET_MORE;
	virtio_net_ctrl_ack ack;
	unsigned int n;
	int ret;

	for (n = 0; n < CTRL_BUDGET; n++) {
		/* A command can take long; what is left is the next driver's, or nobody's. */
		if (load_acquire(&nd->pair[0]->stop)) {
			work = NET_IDLE;
			break;
		}
		if (ctrl_rests(nd)) {
			work = NET_LATER;
			break;
		}
		ret = vq_pop(vq, &c);
		if (!ret) {
			if (vq_kicks_on(vq))
				continue;
			work = NET_IDLE;
			break;
		}
		if (ret < 0 || c.in_len < sizeof(ack)) {
			vdev_broken(&nd->vd, ret < 0 ? vq->broken
						     : "control chain has no room for the answer");
			return NET_BROKEN;
		}
		ack = ctrl_command(nd, &c) ? VIRTIO_NET_ERR : VIRTIO_NET_OK;
		net_iov_write(c.iov + c.nout, c.nin, 0, &ack, sizeof(ack));
		vq_push(vq, c.head, sizeof(ack));
		net_count(&nd->stat_ctrl, 1);
	}
	vdev_flush(&nd->vd, vq);
	return work;
}
