// SPDX-License-Identifier: GPL-2.0-only
/*
 * virtio-net (virtio 1.2, 5.1): options, features, life cycle. What happens to frames is in
 * net_tx.c and net_rx.c, to commands in net_ctrl.c, when they do is in net_thread.c and by which
 * pair of queues in net_pair.c; where frames go is a backend's business (net_backend.h).
 *
 * Threads: set-up calls, under vdev.lock; the queues belong to the threads of net_thread.c from
 * activate to quiesce.
 */
#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <linux/virtio_ids.h>

#include "net.h"
#include "table.h"

static int net_activate(struct vdev *vd)
{
	struct net_dev *nd = container_of(vd, struct net_dev, vd);
	int ret;

	if (nd->pcap) {
		ret = net_pcap_start(nd->pcap);
		if (ret)
			return ret;
	}
	nd->rx_offloads = vd->negotiated & NET_GUEST_OFFLOADS;
	return net_pairs_start(nd);
}

static void net_quiesce(struct vdev *vd)
{
	struct net_dev *nd = container_of(vd, struct net_dev, vd);

	net_pairs_stop(nd);
	memcpy(nd->config.mac, nd->mac, ETH_ALEN);
}

/* 5.1.3.1 */
static bool net_features_ok(uint64_t f)
{
	const uint64_t need_ctrl = NET_BIT(VIRTIO_NET_F_CTRL_RX) | NET_BIT(VIRTIO_NET_F_MQ) |
				   NET_BIT(VIRTIO_NET_F_CTRL_MAC_ADDR) |
				   NET_BIT(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS);

	if (f & need_ctrl && !(f & NET_BIT(VIRTIO_NET_F_CTRL_VQ)))
		return false;
	return net_offloads_valid(f);
}

static void net_stats(struct vdev *vd, FILE *out)
{
	struct net_dev *nd = container_of(vd, struct net_dev, vd);
	unsigned int i;

	net_pairs_stats(nd, out);
	for (i = 0; i < nd->npairs; i++)
		if (nd->pair[i]->be->ops->stats)
			nd->pair[i]->be->ops->stats(nd->pair[i]->be, out);
	if (nd->pcap)
		net_pcap_stats(nd->pcap, out);
}

static void net_destroy(struct vdev *vd)
{
	struct net_dev *nd = container_of(vd, struct net_dev, vd);
	unsigned int i;

	/* The first queue last: it is the one that leaves the interface as it was. */
	for (i = nd->npairs; i--;)
		net_pair_free(nd->pair[i]);
	if (nd->pcap)
		net_pcap_close(nd->pcap);
	vdev_fini(vd);
	free(nd);
}

int net_parse_mac(const char *text, uint8_t mac[ETH_ALEN], struct err *err)
{
	unsigned int b[ETH_ALEN], i;
	int end = -1;

	if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5],
		   &end) != ETH_ALEN ||
	    end != 17 || text[end])
		return err_set(
			err, -EINVAL,
			"--net mac: '%.40s' is not a MAC address; use six bytes in hex, such "
			"as 52:54:00:12:34:56",
			text);
	if (b[0] & 1)
		return err_set(err, -EINVAL,
			       "--net mac: %s is a multicast address; make its first byte even",
			       text);
	if (!(b[0] | b[1] | b[2] | b[3] | b[4] | b[5]))
		return err_set(err, -EINVAL, "--net mac: %s is nobody's address", text);
	for (i = 0; i < ETH_ALEN; i++)
		mac[i] = b[i];
	return 0;
}

/* The given address, or a random one of those that are for local use. */
static int net_choose_mac(struct net_dev *nd, const char *text, struct err *err)
{
	if (text)
		return net_parse_mac(text, nd->mac, err);
	if (getrandom(nd->mac, ETH_ALEN, 0) != ETH_ALEN)
		return err_set(err, -EIO, "--net: no random MAC address; give one with mac=");
	nd->mac[0] = (nd->mac[0] & ~1) | 2;
	return 0;
}

/* Closes @be and what follows it on its list. */
static void net_close_list(struct net_backend *be)
{
	struct net_backend *next;

	for (; be; be = next) {
		next = be->next;
		be->ops->close(be);
	}
}

static uint64_t net_features(const struct net_cfg *cfg, uint64_t offloads, unsigned int npairs)
{
	uint64_t f = NET_BIT(VIRTIO_NET_F_MAC) | NET_BIT(VIRTIO_NET_F_STATUS) |
		     NET_BIT(VIRTIO_NET_F_MRG_RXBUF) | NET_BIT(VIRTIO_NET_F_CTRL_VQ) |
		     NET_BIT(VIRTIO_NET_F_CTRL_RX) | NET_BIT(VIRTIO_NET_F_CTRL_MAC_ADDR);

	if (offloads & NET_BIT(VIRTIO_NET_F_GUEST_CSUM))
		f |= NET_BIT(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS);
	if (cfg->mtu)
		f |= NET_BIT(VIRTIO_NET_F_MTU);
	if (npairs > 1)
		f |= NET_BIT(VIRTIO_NET_F_MQ);
	return f | offloads;
}

int net_create_with(const struct net_cfg *cfg, const struct gmem *mem, struct net_backend *be,
		    struct vdev **out, struct err *err)
{
	struct net_backend *b, *next;
	unsigned int npairs = 0;
	struct net_dev *nd;
	int ret;

	for (b = be; b; b = b->next)
		npairs++;
	assert(npairs && npairs <= NET_PAIRS_MAX);
	nd = calloc(1, sizeof(*nd));
	if (!nd) {
		ret = err_set(err, -ENOMEM, "--net: out of memory");
		goto close;
	}
	nd->poll_ns = cfg->poll * 1000;
	ret = net_choose_mac(nd, cfg->mac, err);
	if (ret)
		goto free;
	memcpy(nd->config.mac, nd->mac, ETH_ALEN);
	nd->config.status = htole16(VIRTIO_NET_S_LINK_UP);
	nd->config.max_virtqueue_pairs = htole16(npairs);
	nd->config.mtu = htole16(cfg->mtu);
	nd->vd.config = &nd->config;
	nd->vd.config_len = offsetof(struct virtio_net_config, speed);
	ret = vdev_init(&nd->vd, &net_ops, mem, net_features(cfg, be->offloads, npairs),
			2 * npairs + 1, NET_RING);
	if (ret) {
		err_set(err, ret, "--net: %s", strerror(-ret));
		goto free;
	}
	if (cfg->pcap) {
		ret = net_pcap_open(cfg, npairs, &nd->pcap, err);
		if (ret)
			goto fini;
	}
	for (; be; be = next, nd->npairs++) {
		next = be->next;
		ret = net_pair_new(nd, nd->npairs, be);
		if (ret) {
			be = next;
			err_set(err, ret, "--net: %s", strerror(-ret));
			goto pairs;
		}
	}
	*out = &nd->vd;
	return 0;
pairs:
	while (nd->npairs--)
		net_pair_free(nd->pair[nd->npairs]);
	if (nd->pcap)
		net_pcap_close(nd->pcap);
fini:
	vdev_fini(&nd->vd);
free:
	free(nd);
close:
	net_close_list(be);
	return ret;
}

/* Everything that is wrong with the words themselves, before anything is opened. */
static int net_check_cfg(const struct net_cfg *c, struct err *err)
{
	uint8_t mac[ETH_ALEN];

	if (!!c->tap + c->user + !!c->iface + !!c->replay != 1)
		return err_set(err, -EINVAL,
			       "--net: give one of tap=NAME, user, iface=NAME, replay=FILE, none");
	if (c->addr && !c->tap)
		return err_set(err, -EINVAL, "--net: addr is for tap=");
	if (c->offload && !c->tap && !c->iface)
		return err_set(err, -EINVAL, "--net: offload is for tap= and iface=");
	if (c->hostfwd.n && !c->user)
		return err_set(err, -EINVAL, "--net: hostfwd is for user");
	if (c->queues > 1 && !c->tap)
		return err_set(
			err, -EINVAL,
			"--net: queues is for tap=; the others have one queue, leave it out");
	if (c->replay_speed && !c->replay)
		return err_set(err, -EINVAL, "--net: replay-speed is for replay=");
	if (c->offload && strcmp(c->offload, "on") && strcmp(c->offload, "off"))
		return err_set(err, -EINVAL, "--net offload: '%.40s' is neither on nor off",
			       c->offload);
	if (!c->pcap &&
	    (c->filter || c->pcap_size || c->pcap_files || c->pcap_snap || c->pcap_buffer))
		return err_set(err, -EINVAL, "--net: %s needs pcap=FILE",
			       c->filter       ? "filter"
			       : c->pcap_size  ? "pcap-size"
			       : c->pcap_files ? "pcap-files"
			       : c->pcap_snap  ? "pcap-snap"
					       : "pcap-buffer");
	if (!c->pcap_size != !c->pcap_files)
		return err_set(err, -EINVAL, "--net: %s; give both, or neither for one file",
			       c->pcap_size ? "pcap-size needs pcap-files=N"
					    : "pcap-files needs pcap-size=SIZE");
	return c->mac ? net_parse_mac(c->mac, mac, err) : 0;
}

static int net_create(const void *cfg, const struct gmem *mem, struct vdev **out, struct err *err)
{
	struct net_cfg copy = *(const struct net_cfg *)cfg, *c = &copy;
	bool offload = !c->offload || !strcmp(c->offload, "on");
	struct net_backend *be;
	int ret;

	ret = net_check_cfg(c, err);
	if (ret)
		return ret;
	/* Both ends of that wire are ours, and each packet costs the same. */
	if (c->user && !c->mtu)
		c->mtu = NET_USER_MTU;
	if (c->tap)
		ret = net_tap_open(c->tap, c->addr, c->mtu, offload, MAX(c->queues, 1), &be, err);
	else if (c->iface)
		ret = net_iface_open(c->iface, offload, &be, err);
	else if (c->replay)
		ret = net_replay_open(c->replay, c->replay_speed, &be, err);
	else
		ret = net_user_open(&c->hostfwd, c->mtu, &be, err);
	return ret ? ret : net_create_with(c, mem, be, out, err);
}

#define NET_OPT(k, a, t, f, ...)                                                               \
	{                                                                                      \
		.key = k, .arg = a, .type = t, .off = offsetof(struct net_cfg, f), __VA_ARGS__ \
	}

static const struct opt net_opts[] = {
	NET_OPT("tap", "NAME", OPT_STR, tap, .help = "a tap interface, made if there is none"),
	NET_OPT("user", NULL, OPT_FLAG, user,
		.help = "a network inside lodge, which needs no privilege"),
	NET_OPT("iface", "NAME", OPT_STR, iface,
		.help = "an interface of the host, shared with it"),
	NET_OPT("replay", "FILE", OPT_STR, replay,
		.help = "frames from a capture; what is sent goes nowhere"),
	NET_OPT("replay-speed", "SPEED", OPT_STR, replay_speed,
		.help = "original, max, or a factor such as 2x (original)"),
	NET_OPT("addr", "A.B.C.D/LEN", OPT_STR, addr,
		.help = "address of the host's side of a tap"),
	NET_OPT("hostfwd", "FWD", OPT_MULTI, hostfwd,
		.help = "forward a port: tcp:[HOSTADDR]:PORT-[GUESTADDR]:PORT"),
	NET_OPT("mac", "ADDR", OPT_STR, mac, .help = "the guest's MAC address (random)"),
	NET_OPT("mtu", "BYTES", OPT_UINT, mtu, .help = "largest packet, told to the guest",
		.min = 68, .max = 65535),
	NET_OPT("offload", "on|off", OPT_STR, offload,
		.help = "checksums and segmentation left to the host's kernel (on)"),
	NET_OPT("queues", "N", OPT_UINT, queues,
		.help = "pairs of queues of a tap, for guests with several processors (1)",
		.min = 1, .max = NET_PAIRS_MAX),
	NET_OPT("poll", "USEC", OPT_UINT, poll,
		.help = "look for more work that long before sleeping (0)", .max = NET_POLL_MAX),
	NET_OPT("pcap", "FILE", OPT_STR, pcap, .help = "record what passes, both ways"),
	NET_OPT("filter", "EXPR", OPT_STR, filter,
		.help = "record only what matches, as in tcpdump"),
	NET_OPT("pcap-size", "SIZE", OPT_SIZE, pcap_size,
		.help = "go on in the next file when one has this size", .min = 128 * KIB,
		.max = INT64_MAX),
	NET_OPT("pcap-files", "N", OPT_UINT, pcap_files, .help = "this many files, written in turn",
		.min = 1, .max = 100),
	NET_OPT("pcap-snap", "BYTES", OPT_UINT, pcap_snap,
		.help = "record no more of a frame than its start", .min = NET_FRAME_MIN,
		.max = 262144),
	NET_OPT("pcap-buffer", "SIZE", OPT_SIZE, pcap_buffer,
		.help = "memory for frames on their way to the file (8M)", .min = 256 * KIB,
		.max = GIB),
	{ .type = OPT_END },
};

const struct vdev_ops net_ops = {
	.name = "net",
	.option = "--net",
	.option_arg = "tap=NAME|user|iface=NAME|replay=FILE|none[,...]",
	.help = "a network card; may be given several times",
	.id = VIRTIO_ID_NET,
	.opts = net_opts,
	.cfg_size = sizeof(struct net_cfg),
	.create = net_create,
	.destroy = net_destroy,
	.activate = net_activate,
	.quiesce = net_quiesce,
	.features_ok = net_features_ok,
	.stats = net_stats,
};
