/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A network card for tests: the device on vdrv's driver and, in place of a tap, one end of a pair
 * of datagram sockets ("the wire"), which like a tap passes a virtio header and a frame at a time,
 * cuts what does not fit, and is full after a few. Each test has its own instance.
 */
#ifndef LODGE_NETDRV_H
#define LODGE_NETDRV_H

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kselftest.h"
#include "net.h"
#include "table.h"
#include "vdrv.h"

#define NIC_WAIT 5000 /* ms */
#define NIC_RX	 0
#define NIC_TX	 1
#define NIC_CTRL 2
#define NIC_MORE 2 /* pairs that there may be besides the first */

/* The wire of another pair. */
struct nic_more {
	struct net_backend be;
	int wire;
	bool attached;
	int attach_error; /* what attach() returns */
};

struct nic {
	struct vdrv d;
	struct vdev *vd;
	struct vmmio *m;
	struct net_backend be;
	int wire;	   /* the test's end */
	uint64_t offloads; /* as last set in the backend */
	int set_error;	   /* what set_offloads() returns */
	bool dead;	   /* recv() fails for good */
	struct nic_more more[NIC_MORE];
};

static inline void nic_be_close(struct net_backend *be)
{
	close(be->fd);
}

static inline int nic_be_set(struct net_backend *be, uint64_t f)
{
	struct nic *n = container_of(be, struct nic, be);

	store_once(&n->offloads, f);
	return n->set_error;
}

static inline int nic_be_send(struct net_backend *be, const struct iovec *iov, unsigned int n,
			      size_t len)
{
	if (iov[0].iov_len != NET_HDR_LEN || net_iov_len(iov + 1, n - 1) != len)
		abort();
	return writev(be->fd, iov, n) < 0 ? -errno : 0;
}

static inline ssize_t nic_be_recv(struct net_backend *be, const struct iovec *iov, unsigned int n)
{
	struct nic *nic = container_of(be, struct nic, be);
	ssize_t ret;

	if (load_once(&nic->dead))
		return -EBADFD;
	ret = readv(be->fd, iov, n);
	return ret < 0 ? -errno : ret;
}

static const struct net_backend_ops nic_be_ops = {
	.name = "wire",
	.close = nic_be_close,
	.set_offloads = nic_be_set,
	.send = nic_be_send,
	.recv = nic_be_recv,
};

static inline int nic_more_attach(struct net_backend *be, bool on)
{
	struct nic_more *m = container_of(be, struct nic_more, be);

	if (on && m->attach_error)
		return m->attach_error;
	if (m->attached == on)
		abort();
	store_once(&m->attached, on);
	return 0;
}

static inline ssize_t nic_more_recv(struct net_backend *be, const struct iovec *iov, unsigned int n)
{
	ssize_t ret = readv(be->fd, iov, n);

	if (!container_of(be, struct nic_more, be)->attached)
		abort();
	return ret < 0 ? -errno : ret;
}

static const struct net_backend_ops nic_more_ops = {
	.name = "wire",
	.close = nic_be_close,
	.attach = nic_more_attach,
	.send = nic_be_send,
	.recv = nic_more_recv,
};

static const uint64_t nic_offloads = NET_HOST_OFFLOADS | NET_GUEST_OFFLOADS;

/* The device's end of a new wire; the test's is *wire. */
static inline int nic_wire(int *wire)
{
	int sv[2], len = 128 << 10;

	ksft_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sv), 0);
	ksft_eq(setsockopt(sv[0], SOL_SOCKET, SO_SNDBUF, &len, sizeof(len)), 0);
	ksft_eq(setsockopt(sv[1], SOL_SOCKET, SO_SNDBUF, &len, sizeof(len)), 0);
	*wire = sv[1];
	return sv[0];
}

/* nic_create_pairs - a card with these offloads and so many pairs of queues; not started */
static inline void nic_create_pairs(struct nic *n, const struct net_cfg *cfg, uint64_t offloads,
				    unsigned int pairs)
{
	const struct net_cfg none = { 0 };
	struct net_backend **last = &n->be.next;
	struct err err = { 0 };
	unsigned int i;

	memset(n, 0, sizeof(*n));
	vdrv_init(&n->d);
	n->be.ops = &nic_be_ops;
	n->be.fd = nic_wire(&n->wire);
	n->be.offloads = offloads;
	for (i = 0; i + 1 < pairs; i++) {
		n->more[i].be.ops = &nic_more_ops;
		n->more[i].be.fd = nic_wire(&n->more[i].wire);
		*last = &n->more[i].be;
		last = &n->more[i].be.next;
	}
	ksft_eq(net_create_with(cfg ? cfg : &none, &n->d.mem, &n->be, &n->vd, &err), 0);
	snprintf(n->vd->label, sizeof(n->vd->label), "net0");
	ksft_eq(vmmio_create(n->vd, &n->m), 0);
}

/* nic_create - the same with one pair */
static inline void nic_create(struct nic *n, const struct net_cfg *cfg, uint64_t offloads)
{
	nic_create_pairs(n, cfg, offloads, 1);
}

/* nic_up - the same, started with the feature bits of @want that are offered */
static inline void nic_up(struct nic *n, const struct net_cfg *cfg, uint64_t want, uint16_t size)
{
	nic_create(n, cfg, nic_offloads);
	vdrv_start(&n->d, n->m, want, 0, size);
}

static inline void nic_down(struct nic *n)
{
	unsigned int i;

	vdrv_reset(&n->d);
	vmmio_destroy(n->m);
	net_ops.destroy(n->vd);
	close(n->wire);
	for (i = 0; i < NIC_MORE; i++)
		if (n->more[i].be.ops)
			close(n->more[i].wire);
	vdrv_fini(&n->d);
}

static inline uint64_t nic_stat(struct nic *n, const char *key)
{
	char *text = NULL, *p;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	uint64_t v;

	net_ops.stats(n->vd, f);
	fclose(f);
	for (p = strstr(text, key); p && (p[strlen(key)] != '=' || (p != text && p[-1] != ' '));
	     p = strstr(p + 1, key))
		;
	v = p ? strtoull(p + strlen(key) + 1, NULL, 10) : ~0ull;
	free(text);
	return v;
}

/* nic_wait_stat - until a counter has this value */
static inline void nic_wait_stat(struct nic *n, const char *key, uint64_t val)
{
	unsigned int ms;

	for (ms = 0; ms < NIC_WAIT && nic_stat(n, key) != val; ms++)
		usleep(1000);
	if (nic_stat(n, key) != val)
		ksft_fail("%s is %" PRIu64 ", not %" PRIu64, key, nic_stat(n, key), val);
}

static inline void nic_wait_broken(struct nic *n)
{
	unsigned int ms;

	for (ms = 0; ms < NIC_WAIT && !vdrv_broken(&n->d); ms++)
		usleep(1000);
	ksft_check(vdrv_broken(&n->d));
}

/* nic_fill - bytes that differ from their neighbours, from other offsets and other seeds */
static inline void nic_fill(void *buf, size_t len, unsigned int seed)
{
	uint8_t *p = buf;
	size_t i;

	for (i = 0; i < len; i++)
		p[i] = i * 7 + (i >> 8) + seed;
}

/* net_sum16 - as RFC 1071 has it, byte by byte, in the host's order; @sum: of what comes before */
static inline uint16_t net_sum16(uint32_t sum, const void *data, uint32_t len)
{
	const uint8_t *p = data;
	uint32_t i;

	for (i = 0; i < len; i++)
		sum += p[i] << (i & 1 ? 0 : 8);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* nic_inject - a frame arrives */
static inline void nic_inject(struct nic *n, const struct virtio_net_hdr_v1 *hdr, const void *frame,
			      size_t len)
{
	struct virtio_net_hdr_v1 none = { 0 };
	struct iovec v[] = { { hdr ? (void *)hdr : &none, NET_HDR_LEN }, { (void *)frame, len } };

	ksft_eq(writev(n->wire, v, 2), NET_HDR_LEN + len);
}

/* nic_sent - the next frame that left, or -1 if none does within @ms */
static inline ssize_t nic_sent(struct nic *n, struct virtio_net_hdr_v1 *hdr, void *frame,
			       size_t max, int ms)
{
	struct pollfd p = { .fd = n->wire, .events = POLLIN };
	struct iovec v[] = { { hdr, NET_HDR_LEN }, { frame, max } };
	ssize_t ret;

	if (poll(&p, 1, ms) != 1)
		return -1;
	ret = readv(n->wire, v, 2);
	ksft_check(ret >= (ssize_t)NET_HDR_LEN);
	return ret - NET_HDR_LEN;
}

/* nic_post - give the device a receive buffer of @nin parts */
static inline int nic_post(struct nic *n, const struct vdrv_buf *buf, unsigned int nin)
{
	int head = vdrv_add(&n->d.q[NIC_RX], buf, 0, nin, nin > 1);

	ksft_check(head >= 0);
	return head;
}

/* nic_send - queue one frame behind its header, in one buffer, and kick */
static inline void nic_send(struct nic *n, const struct virtio_net_hdr_v1 *hdr, const void *frame,
			    size_t len)
{
	struct vdrv_buf b = { vdrv_alloc_high(&n->d, NET_HDR_LEN + len, 16), NET_HDR_LEN + len };
	uint8_t *p = vdrv_hva(&n->d, b.gpa, b.len);

	memset(p, 0, NET_HDR_LEN);
	if (hdr)
		memcpy(p, hdr, NET_HDR_LEN);
	memcpy(p + NET_HDR_LEN, frame, len);
	ksft_check(vdrv_add(&n->d.q[NIC_TX], &b, 1, 0, false) >= 0);
	vdrv_kick(&n->d.q[NIC_TX]);
}

/* nic_wait_sent - the device gives a sent chain back */
static inline void nic_wait_sent(struct nic *n)
{
	uint16_t head;
	uint32_t len;

	ksft_check(vdrv_wait_used(&n->d.q[NIC_TX], &head, &len, NIC_WAIT));
	ksft_eq(len, 0);
}

#endif
