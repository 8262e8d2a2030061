// SPDX-License-Identifier: GPL-2.0-only
/*
 * Network backend: an interface of the host, shared with it through libpcap. The guest is one more
 * station on that wire: it gets what the interface receives, and what it sends goes out there. The
 * host itself is not to be reached this way, as with macvtap: what either sends passes the other.
 *
 * Frames come without a virtio header, so it is made here. The kernel leaves open the checksums of
 * frames that never saw a wire (veth, bridges), and joins segments that arrived one by one (GRO):
 * the guest is told of both where it has agreed to that, else checksums are completed, and joined
 * frames are for guests that merge buffers. The guest gets no offloads for what it sends.
 *
 * Threads: as net_backend.h says; stats takes a lock against itself.
 */
#include <errno.h>
#include <inttypes.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pcap/pcap.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "log.h"
#include "net.h"

#define IFACE_GONE_MS 200

/* Of the kernel's ring; with GRO on each frame takes a slot for the longest. */
#define IFACE_BUFFER (32 << 20)

/* The functions of libpcap that are used, loaded by the first such device. */
static struct {
	typeof(&pcap_create) create;
	typeof(&pcap_set_snaplen) set_snaplen;
	typeof(&pcap_set_promisc) set_promisc;
	typeof(&pcap_set_immediate_mode) set_immediate_mode;
	typeof(&pcap_set_buffer_size) set_buffer_size;
	typeof(&pcap_activate) activate;
	typeof(&pcap_setnonblock) setnonblock;
	typeof(&pcap_setdirection) setdirection;
	typeof(&pcap_get_selectable_fd) get_selectable_fd;
	typeof(&pcap_datalink) datalink;
	typeof(&pcap_next_ex) next_ex;
	typeof(&pcap_inject) inject;
	typeof(&pcap_stats) stats;
	typeof(&pcap_geterr) geterr;
	typeof(&pcap_statustostr) statustostr;
	typeof(&pcap_close) close;
} lib;

/**
 * struct net_iface - the backend
 * @mtu:       of the interface, when it was opened
 * @offloads:  NET_GUEST_OFFLOADS in force
 * @frame:     a frame on its way out, in one piece
 * @stat_open: frames whose checksum was open
 * @stat_joined: frames longer than the MTU
 * @stat_unfit:	 frames that were not for the guest: joined datagrams, or cut by the kernel
 */
struct net_iface {
	struct net_backend be;
	pcap_t *pcap;
	char name[IFNAMSIZ];
	uint32_t mtu;
	uint64_t offloads;
	bool down_told, long_told, joined_told, down_seen, gone;
	pthread_mutex_t lock;
	uint64_t stat_open, stat_joined, stat_unfit;
	uint8_t frame[NET_FRAME_MAX];
};

static int iface_load(struct err *err)
{
	static const char *const sonames[] = { "libpcap.so.0.8", "libpcap.so.1", NULL };
	static const struct net_lib_sym syms[] = {
		{ "pcap_create", (void **)&lib.create },
		{ "pcap_set_snaplen", (void **)&lib.set_snaplen },
		{ "pcap_set_promisc", (void **)&lib.set_promisc },
		{ "pcap_set_immediate_mode", (void **)&lib.set_immediate_mode },
		{ "pcap_set_buffer_size", (void **)&lib.set_buffer_size },
		{ "pcap_activate", (void **)&lib.activate },
		{ "pcap_setnonblock", (void **)&lib.setnonblock },
		{ "pcap_setdirection", (void **)&lib.setdirection },
		{ "pcap_get_selectable_fd", (void **)&lib.get_selectable_fd },
		{ "pcap_datalink", (void **)&lib.datalink },
		{ "pcap_next_ex", (void **)&lib.next_ex },
		{ "pcap_inject", (void **)&lib.inject },
		{ "pcap_stats", (void **)&lib.stats },
		{ "pcap_geterr", (void **)&lib.geterr },
		{ "pcap_statustostr", (void **)&lib.statustostr },
		{ "pcap_close", (void **)&lib.close },
		{ NULL, NULL },
	};

	return net_lib_load(sonames, "libpcap0.8", "--net iface", syms, err);
}

static int iface_set_offloads(struct net_backend *be, uint64_t features)
{
	struct net_iface *f = container_of(be, struct net_iface, be);

	f->offloads = features;
	return 0;
}

static int iface_send(struct net_backend *be, const struct iovec *iov, unsigned int n, size_t len)
{
	struct net_iface *f = container_of(be, struct net_iface, be);
	int error;

	net_iov_read(iov + 1, n - 1, 0, f->frame, len);
	if (lib.inject(f->pcap, f->frame, len) >= 0)
		return 0;
	error = errno;
	if (error == EMSGSIZE && !f->long_told) {
		f->long_told = true;
		log_warn("--net iface=%s: the guest sends frames longer than its MTU of %u, which "
			 "are lost; tell the guest with mtu=%u",
			 f->name, f->mtu, f->mtu);
	} else if (error == ENETDOWN && !f->down_told) {
		f->down_told = true;
		log_warn("%s is down, frames are lost; bring it up with: ip link set %s up",
			 f->name, f->name);
	}
	return error ? -error : -EIO;
}

static void iface_tell_joined(struct net_iface *f)
{
	if (!f->joined_told)
		log_warn("--net iface=%s: frames arrive joined to ones longer than its MTU, which "
			 "the guest may not take; keep them apart with: ethtool -K %s gro off lro "
			 "off, and tso off gso off at a local sender",
			 f->name, f->name);
	f->joined_told = true;
}

/* A frame of several segments that the kernel has joined. What its header must say; 5.1.6.4. */
static void iface_gso(struct net_iface *f, const struct net_l4 *l4, struct virtio_net_hdr_v1 *hdr)
{
	uint32_t hdrs = l4->start - l4->ip + l4->hdr_len;
	uint64_t need =
		l4->v6 ? NET_BIT(VIRTIO_NET_F_GUEST_TSO6) : NET_BIT(VIRTIO_NET_F_GUEST_TSO4);

	if (!(f->offloads & need) || f->mtu <= hdrs) {
		iface_tell_joined(f);
		return;
	}
	hdr->gso_type = l4->v6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
	hdr->gso_size = f->mtu - hdrs;
	hdr->hdr_len = l4->start + l4->hdr_len;
}

/*
 * The virtio header that the frame needs. 1: @sum, of two bytes, belongs at @hdr's place of the
 * checksum; 0: the frame stays as it is; -EMSGSIZE: nobody can tell how to take it apart again.
 */
static int iface_make_hdr(struct net_iface *f, const uint8_t *frame, uint32_t len,
			  struct virtio_net_hdr_v1 *hdr, uint16_t *sum)
{
	struct net_l4 l4;
	bool open;

	memset(hdr, 0, sizeof(*hdr));
	if (!net_l4_find(frame, len, &l4))
		return 0;
	open = net_csum_open(frame, &l4);
	net_count(&f->stat_open, open);
	hdr->csum_start = l4.start;
	hdr->csum_offset = l4.offset;
	if (l4.end > f->mtu + l4.ip) {
		net_count(&f->stat_joined, 1);
		if (l4.proto != IPPROTO_TCP) {
			iface_tell_joined(f);
			return -EMSGSIZE;
		}
		iface_gso(f, &l4, hdr);
	}
	/* Segments can only be made of a frame whose checksum is open. */
	if (hdr->gso_type || (open && f->offloads & NET_BIT(VIRTIO_NET_F_GUEST_CSUM))) {
		hdr->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		*sum = l4.pseudo;
		return !open;
	}
	if (open)
		*sum = net_csum_value(frame, l4.end, l4.start);
	return open;
}

/*
 * An interface that is deleted goes down first, and of that alone the socket tells. So when it is
 * down, wait a moment for what follows; once each time, since it may come up again.
 */
static bool iface_is_there(struct net_iface *f)
{
	struct ifreq ifr = { 0 };
	unsigned int ms;

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", f->name);
	for (ms = 0; ms < IFACE_GONE_MS; ms++) {
		if (ioctl(f->be.fd, SIOCGIFFLAGS, &ifr))
			return errno != ENODEV;
		if (ifr.ifr_flags & IFF_UP) {
			f->down_seen = false;
			return true;
		}
		if (f->down_seen)
			return true;
		usleep(1000);
	}
	f->down_seen = true;
	return true;
}

static ssize_t iface_recv(struct net_backend *be, const struct iovec *iov, unsigned int n)
{
	struct net_iface *f = container_of(be, struct net_iface, be);
	struct virtio_net_hdr_v1 hdr;
	struct pcap_pkthdr *ph;
	const u_char *data;
	uint16_t sum;
	size_t done;
	int ret, patch;

	ret = lib.next_ex(f->pcap, &ph, &data);
	if (!ret && iface_is_there(f))
		return -EAGAIN;
	if (ret <= 0) {
		if (!f->gone)
			log_err("--net iface=%s: %s", f->name,
				ret ? lib.geterr(f->pcap) : "the interface has gone");
		f->gone = true;
		return -ENETDOWN;
	}
	patch = -EMSGSIZE;
	if (ph->caplen == ph->len)
		patch = iface_make_hdr(f, data, ph->len, &hdr, &sum);
	if (patch < 0) {
		net_count(&f->stat_unfit, 1);
		return -EINTR;
	}
	done = net_iov_write(iov + 1, n - 1, 0, data, ph->len);
	if (patch)
		net_iov_write(iov + 1, n - 1, hdr.csum_start + hdr.csum_offset, &sum, sizeof(sum));
	if (!hdr.flags) {
		hdr.csum_start = 0;
		hdr.csum_offset = 0;
	}
	memcpy(iov[0].iov_base, &hdr, sizeof(hdr));
	return NET_HDR_LEN + done;
}

/* What the kernel had no room for since the start. */
static uint64_t iface_missed(struct net_iface *f)
{
	struct pcap_stat st = { 0 };
	uint64_t n = 0;

	pthread_mutex_lock(&f->lock);
	if (!lib.stats(f->pcap, &st))
		n = st.ps_drop;
	pthread_mutex_unlock(&f->lock);
	return n;
}

static void iface_stats(struct net_backend *be, FILE *out)
{
	struct net_iface *f = container_of(be, struct net_iface, be);

	fprintf(out,
		" iface_missed=%" PRIu64 " iface_unfit=%" PRIu64 " iface_joined=%" PRIu64
		" iface_open_csum=%" PRIu64,
		iface_missed(f), load_once(&f->stat_unfit), load_once(&f->stat_joined),
		load_once(&f->stat_open));
}

static void iface_close(struct net_backend *be)
{
	struct net_iface *f = container_of(be, struct net_iface, be);
	uint64_t missed = f->be.fd >= 0 ? iface_missed(f) : 0;

	if (missed)
		log_notice("--net iface=%s: %" PRIu64 " frames missed, as the guest was too slow",
			   f->name, missed);
	if (f->pcap)
		lib.close(f->pcap);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

static const struct net_backend_ops iface_ops = {
	.name = "iface",
	.close = iface_close,
	.set_offloads = iface_set_offloads,
	.send = iface_send,
	.recv = iface_recv,
	.stats = iface_stats,
};

/* libpcap's reason, with the remedy where there is one. */
static int iface_refused(struct net_iface *f, int status, struct err *err)
{
	const char *why = lib.geterr(f->pcap);

	switch (status) {
	case PCAP_ERROR_PERM_DENIED:
	case PCAP_ERROR_PROMISC_PERM_DENIED:
		return err_set(err, -EPERM,
			       "--net iface=%s: no right to use it; that needs CAP_NET_RAW: run "
			       "lodge as root, or give it that right with setcap(8)",
			       f->name);
	case PCAP_ERROR_IFACE_NOT_UP:
		return err_set(err, -ENETDOWN,
			       "--net iface=%s: it is down; bring it up with: ip link set %s up",
			       f->name, f->name);
	}
	return err_set(err, -EIO, "--net iface=%s: %s", f->name,
		       *why ? why : lib.statustostr(status));
}

static int iface_activate(struct net_iface *f, struct err *err)
{
	char msg[PCAP_ERRBUF_SIZE];
	int ret;

	f->pcap = lib.create(f->name, msg);
	if (!f->pcap)
		return err_set(err, -EIO, "--net iface=%s: %s", f->name, msg);
	/* A frame waits for nothing, and none is cut. */
	lib.set_snaplen(f->pcap, NET_FRAME_MAX);
	lib.set_promisc(f->pcap, 1);
	lib.set_immediate_mode(f->pcap, 1);
	lib.set_buffer_size(f->pcap, IFACE_BUFFER);
	ret = lib.activate(f->pcap);
	if (ret < 0)
		return iface_refused(f, ret, err);
	if (ret == PCAP_WARNING_PROMISC_NOTSUP)
		log_warn("--net iface=%s: it takes only frames for the host's own address",
			 f->name);
	if (lib.datalink(f->pcap) != DLT_EN10MB)
		return err_set(err, -EINVAL, "--net iface=%s: not an Ethernet interface", f->name);
	/* The host's own frames, and the guest's, are not for the guest. */
	ret = lib.setdirection(f->pcap, PCAP_D_IN);
	if (!ret)
		ret = lib.setnonblock(f->pcap, 1, msg);
	if (ret)
		return iface_refused(f, PCAP_ERROR, err);
	f->be.fd = lib.get_selectable_fd(f->pcap);
	if (f->be.fd < 0)
		return err_set(err, -EIO, "--net iface=%s: cannot wait for it", f->name);
	return 0;
}

int net_iface_open(const char *name, bool offload, struct net_backend **out, struct err *err)
{
	struct ifreq ifr = { 0 };
	struct net_iface *f;
	int ret, sk;

	ret = iface_load(err);
	if (ret)
		return ret;
	/* libpcap has devices that are no interfaces. */
	if (strlen(name) >= IFNAMSIZ || !if_nametoindex(name))
		return err_set(
			err, -ENODEV,
			"--net iface: there is no interface '%.40s'; list them with: ip link",
			name);
	f = calloc(1, sizeof(*f));
	if (!f)
		return err_set(err, -ENOMEM, "--net iface=%s: out of memory", name);
	f->be.ops = &iface_ops;
	f->be.fd = -1;
	pthread_mutex_init(&f->lock, NULL);
	memcpy(f->name, name, strlen(name) + 1);
	memcpy(ifr.ifr_name, name, strlen(name) + 1);
	sk = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	f->mtu = sk >= 0 && !ioctl(sk, SIOCGIFMTU, &ifr) ? (uint32_t)ifr.ifr_mtu : 1500;
	if (sk >= 0)
		close(sk);
	ret = iface_activate(f, err);
	if (ret)
		goto fail;
	if (offload)
		f->be.offloads = NET_BIT(VIRTIO_NET_F_GUEST_CSUM) |
				 NET_BIT(VIRTIO_NET_F_GUEST_TSO4) |
				 NET_BIT(VIRTIO_NET_F_GUEST_TSO6);
	*out = &f->be;
	return 0;
fail:
	iface_close(&f->be);
	return ret;
}
