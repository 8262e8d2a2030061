// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fuzzer: the network device's queues, two pairs and control. Send, receive and control run as in
 * the product, but on one thread and when the input says so, over a backend that makes up frames
 * and takes, refuses or delays them as the input says. Threads are only counted (instead of
 * net_thread.c), so that the second pair comes and goes as the driver's commands say.
 *
 * Checked besides: what the backend is asked to send lies in guest memory behind a header that the
 * features allow; a received frame arrives whole, in as many buffers as its header says; control
 * commands are answered; the second pair's backend is attached when that pair is active, and asked
 * for frames only then.
 */
#include <errno.h>

#include "fuzz.h"
#include "log.h"
#include "net.h"

/* Queues by what they are for; their places depend on what was negotiated. */
enum { RX, TX, CTRL, RX2, TX2, QUEUES };

#define SIZE	 64 /* of each queue */
#define SLOTS	 16 /* chains by the rules: slot n has descriptors 4n to 4n + 3 */
#define RING(q)	 (0x10000ull + 4096 * (q))
#define AVAIL(q) (RING(q) + 1024)
#define USED(q)	 (RING(q) + 2048)
#define DATA	 0x100000000ull
#define SLOT_LEN 4096u
#define DATA_LEN (QUEUES * SLOTS * SLOT_LEN)
#define FRAMES	 256

static struct gmem mem;
static struct net_dev *nd;
static struct net_backend be, be2;
static bool posted[QUEUES][SLOTS], spoiled;
static uint16_t last_used[QUEUES];
static int send_result, set_result, start_result;
static bool link_dead, attached;
static unsigned int threads;

/* Frames on their way in: frame n has byte n first and a pattern made of n. */
static struct virtio_net_hdr_v1 in_hdr[FRAMES];
static uint32_t in_len[FRAMES];
static uint8_t in_next, in_end, in_seen[2];

/* Instead of lib/log.c: the link that goes down so often is not worth a line. */
void log_print(enum log_level level, const char *fmt, ...)
{
}

static uint64_t slot_gpa(unsigned int q, unsigned int n)
{
	return DATA + (q * SLOTS + n) * SLOT_LEN;
}

static uint8_t *slot_data(unsigned int q, unsigned int n)
{
	return mem.slot[1].hva + (q * SLOTS + n) * SLOT_LEN;
}

/* NULL: the driver, who knows of one pair, has no such queue. */
static struct vq *queue(unsigned int q)
{
	static const unsigned int many[] = { 0, 1, 4, 2, 3 };

	if (vdev_has(&nd->vd, VIRTIO_NET_F_MQ))
		return &nd->vd.vq[many[q]];
	return q > CTRL ? NULL : &nd->vd.vq[q];
}

/* --- threads, instead of net_thread.c --- */

int net_thread_init(struct net_pair *p)
{
	return 0;
}

void net_thread_fini(struct net_pair *p)
{
}

int net_thread_start(struct net_pair *p)
{
	if (p->index && start_result)
		return start_result;
	threads++;
	return 0;
}

void net_thread_stop(struct net_pair *p)
{
	fuzz_assert(threads--);
}

/* A second each time it is asked for: no command waits. */
uint64_t net_now_ns(void)
{
	static uint64_t now;

	now += 1000000000;
	return now;
}

void net_flush(struct net_pair *p)
{
	vq_flush(p->rx.vq);
	vq_flush(p->tx.vq);
}

/* --- the backend --- */

static bool in_guest(const struct iovec *v)
{
	const uint8_t *p = v->iov_base;
	unsigned int i;

	for (i = 0; i < mem.nslots; i++) {
		const struct gmem_slot *s = &mem.slot[i];

		if (p >= s->hva && p < s->hva + s->len)
			return v->iov_len <= (size_t)(s->hva + s->len - p);
	}
	return false;
}

static bool has(unsigned int bit)
{
	return vdev_has(&nd->vd, bit);
}

static void check_hdr(const struct virtio_net_hdr_v1 *h, size_t len)
{
	fuzz_assert(!(h->flags & ~VIRTIO_NET_HDR_F_NEEDS_CSUM));
	if (h->flags) {
		fuzz_assert(has(VIRTIO_NET_F_CSUM));
		fuzz_assert((size_t)h->csum_start + h->csum_offset + 2 <= len);
	}
	if (h->gso_type == VIRTIO_NET_HDR_GSO_NONE)
		return;
	fuzz_assert(h->flags && h->gso_size && h->hdr_len <= len);
	switch (h->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_TCPV4:
		fuzz_assert(has(VIRTIO_NET_F_HOST_TSO4));
		break;
	case VIRTIO_NET_HDR_GSO_TCPV6:
		fuzz_assert(has(VIRTIO_NET_F_HOST_TSO6));
		break;
	case VIRTIO_NET_HDR_GSO_UDP_L4:
		fuzz_assert(has(VIRTIO_NET_F_HOST_USO) && h->gso_type < 128);
		break;
	default:
		fuzz_assert(false);
	}
	fuzz_assert(h->gso_type < 128 || has(VIRTIO_NET_F_HOST_ECN));
}

static int be_send(struct net_backend *b, const struct iovec *iov, unsigned int n, size_t len)
{
	static uint8_t copy[SLOT_LEN];
	size_t sum = 0;
	unsigned int i;

	fuzz_assert(b == &be || attached);
	fuzz_assert(iov[0].iov_len == NET_HDR_LEN && !in_guest(&iov[0]));
	for (i = 1; i < n; i++) {
		if (!iov[i].iov_len)
			continue;
		fuzz_assert(in_guest(&iov[i]));
		memcpy(copy, iov[i].iov_base, MIN(iov[i].iov_len, sizeof(copy)));
		sum += iov[i].iov_len;
	}
	fuzz_assert(sum == len && len >= NET_FRAME_MIN && len <= NET_FRAME_MAX);
	check_hdr(iov[0].iov_base, len);
	return send_result;
}

static uint8_t pattern(uint8_t frame, size_t i)
{
	return frame + i * 7 + (i >> 8);
}

static ssize_t be_recv(struct net_backend *b, const struct iovec *iov, unsigned int n)
{
	uint8_t frame = in_next;
	size_t done = 0, left = in_len[frame], part, i;

	fuzz_assert(b == &be || attached);
	if (link_dead)
		return -EBADFD;
	if (in_next == in_end)
		return -EAGAIN;
	in_next++;
	fuzz_assert(n >= 2 && iov[0].iov_len == NET_HDR_LEN);
	memcpy(iov[0].iov_base, &in_hdr[frame], NET_HDR_LEN);
	for (iov++, n--; n && left; n--, iov++) {
		part = MIN(left, iov->iov_len);
		for (i = 0; i < part; i++)
			((uint8_t *)iov->iov_base)[i] = pattern(frame, done + i);
		done += part;
		left -= part;
	}
	return NET_HDR_LEN + done;
}

static int be_set(struct net_backend *b, uint64_t f)
{
	fuzz_assert(b == &be && !(f & ~(nd->vd.negotiated & NET_GUEST_OFFLOADS)));
	return set_result;
}

static int be_attach(struct net_backend *b, bool on)
{
	fuzz_assert(b == &be2 && on != attached);
	if (on && set_result)
		return set_result;
	attached = on;
	return 0;
}

static void be_close(struct net_backend *b)
{
}

static const struct net_backend_ops be_ops = {
	.name = "fuzz",
	.close = be_close,
	.set_offloads = be_set,
	.attach = be_attach,
	.send = be_send,
	.recv = be_recv,
};

/* --- the device, without its thread --- */

static struct vdev_ops real_ops;

static void toy_quiesce(struct vdev *vd)
{
	unsigned int i;

	real_ops.quiesce(vd);
	fuzz_assert(!threads && !attached);
	/* Nothing is kept: what was popped has been pushed or given back. */
	for (i = 0; i < vd->nvq; i++)
		fuzz_assert(vdev_is_broken(vd) || !vd->vq[i].inflight);
}

static struct vdev_ops toy_ops;

static void no_irq(struct vdev *vd, int queue)
{
}

static void no_change(struct vdev *vd)
{
}

static const struct vdev_transport toy_tp = { .irq = no_irq, .config_changed = no_change };

static void restart(struct fuzz *f)
{
	struct vdev *vd = &nd->vd;
	uint64_t features = vd->features, refused = 0;
	uint8_t how = fuzz_u8(f);
	unsigned int i;

	vdev_reset(vd);
	memset(mem.slot[0].hva, 0, mem.slot[0].len);
	memset(posted, 0, sizeof(posted));
	memset(last_used, 0, sizeof(last_used));
	spoiled = link_dead = false;
	nd->pair[0]->failed = nd->pair[1]->failed = false;
	send_result = set_result = start_result = 0;
	in_next = in_end = in_seen[0] = in_seen[1] = 0;
	if (how & 1)
		refused |= NET_BIT(VIRTIO_NET_F_MRG_RXBUF);
	if (how & 2)
		refused |= NET_GUEST_OFFLOADS;
	if (how & 4)
		refused |= NET_HOST_OFFLOADS;
	if (how & 8)
		refused |= 1ull << VIRTIO_RING_F_EVENT_IDX;
	if (how & 16)
		refused |= NET_GUEST_OFFLOADS & ~NET_BIT(VIRTIO_NET_F_GUEST_CSUM);
	if (how & 32)
		refused |= NET_HOST_OFFLOADS & ~NET_BIT(VIRTIO_NET_F_CSUM);
	if (how & 64)
		refused |= NET_BIT(VIRTIO_NET_F_MQ);
	features &= ~refused;
	vdev_set_status(vd, 3);
	vdev_set_features(vd, 0, features);
	vdev_set_features(vd, 1, features >> 32);
	vdev_set_status(vd, 11);
	for (i = 0; i < QUEUES; i++) {
		struct vq *vq = queue(i);

		if (!vq || (i == TX2 && how & 128))
			continue;
		fuzz_assert(vdev_queue_setup(vd, vq - vd->vq) == vq);
		vq->size = SIZE;
		vq->desc_gpa = RING(i);
		vq->avail_gpa = AVAIL(i);
		vq->used_gpa = USED(i);
		fuzz_assert(!vdev_queue_enable(vd, vq - vd->vq));
	}
	vdev_set_status(vd, 15);
	fuzz_assert(vd->active && threads == 1);
}

static void check_work(enum net_work work)
{
	fuzz_assert((work == NET_BROKEN) == vdev_is_broken(&nd->vd));
}

/* One received frame: its buffers, in order, hold what was sent and no more. */
static void check_received(unsigned int q)
{
	static uint8_t got[NET_HDR_LEN + NET_FRAME_MAX];
	struct virtio_net_hdr_v1 hdr;
	uint8_t *seen = &in_seen[q == RX2];
	const struct vq *vq = queue(q);
	unsigned int k = 0, nbuf = 1, j;
	size_t len = 0, i;
	uint8_t frame;

	do {
		const struct vring_used_elem *e;
		unsigned int n;

		fuzz_assert(last_used[q] != vq->used->idx);
		e = &vq->used->ring[last_used[q]++ % SIZE];
		n = e->id / 4;
		fuzz_assert(e->id < SIZE && e->id % 4 == 0 && posted[q][n]);
		posted[q][n] = false;
		fuzz_assert(len + e->len <= sizeof(got));
		for (i = 0, j = e->id; i < e->len; j++) {
			const struct vring_desc *d = &vq->desc[j];
			size_t part = MIN(e->len - i, (size_t)d->len);

			fuzz_assert(j < e->id + 4u);
			memcpy(got + len + i, gmem_ptr(&mem, d->addr, d->len), part);
			i += part;
		}
		len += e->len;
		if (!k) {
			fuzz_assert(len >= NET_HDR_LEN);
			memcpy(&hdr, got, NET_HDR_LEN);
			nbuf = hdr.num_buffers;
			fuzz_assert(nbuf && (nbuf == 1 || has(VIRTIO_NET_F_MRG_RXBUF)));
		}
	} while (++k < nbuf);
	/* Frames may be dropped, but not overtaken. */
	frame = got[NET_HDR_LEN];
	fuzz_assert((uint8_t)(frame - *seen) < (uint8_t)(in_next - *seen));
	*seen = frame + 1;
	fuzz_assert(len == NET_HDR_LEN + in_len[frame]);
	for (i = NET_HDR_LEN; i < len; i++)
		fuzz_assert(got[i] == pattern(frame, i - NET_HDR_LEN));
}

static void reap(unsigned int q)
{
	const struct vq *vq = queue(q);

	while (vq && vq->enabled && !spoiled && last_used[q] != vq->used->idx) {
		const struct vring_used_elem *e;

		if (q == RX || q == RX2) {
			check_received(q);
			continue;
		}
		e = &vq->used->ring[last_used[q]++ % SIZE];
		fuzz_assert(e->id < SIZE && e->id % 4 == 0 && posted[q][e->id / 4]);
		posted[q][e->id / 4] = false;
		if (q == CTRL)
			fuzz_assert(slot_data(q, e->id / 4)[SLOT_LEN - 1] <= VIRTIO_NET_ERR);
	}
}

static void run(unsigned int q)
{
	struct net_pair *p = nd->pair[q > CTRL];
	enum net_work work;
	unsigned int n = 0;

	if (vdev_is_broken(&nd->vd) || p->index >= nd->active)
		return;
	do {
		fuzz_assert(n++ < 1000);
		work = q == CTRL	     ? net_ctrl_run(nd, net_ctrl_vq(nd))
		       : q == RX || q == RX2 ? net_rx_run(p)
					     : net_tx_run(p);
		/* A command may have found the second pair's queue broken. */
		if (q == CTRL && vdev_is_broken(&nd->vd))
			break;
		check_work(work);
	} while (work == NET_MORE);
	fuzz_assert(threads == nd->active && attached == (nd->active == 2));
	vdev_flush(&nd->vd, queue(q));
	for (q = 0; q < QUEUES && !vdev_is_broken(&nd->vd); q++)
		reap(q);
}

/* --- the driver --- */

static void make_available(unsigned int q, uint16_t head)
{
	struct vring_avail *a = queue(q)->avail;

	a->ring[a->idx % SIZE] = head;
	a->idx++;
}

/* A chain over the slot's own memory, cut where the input says. */
static void chain(struct fuzz *f, unsigned int q, unsigned int n, uint32_t len, uint16_t flags)
{
	struct vring_desc *d = &queue(q)->desc[4 * n];
	uint64_t at = slot_gpa(q, n);
	unsigned int i;

	for (i = 0; i < 3 && len > 1 && fuzz_u8(f) & 1; i++) {
		uint32_t part = 1 + (fuzz_u8(f) & 1 ? fuzz_u8(f) % 16 : len / 2) % (len - 1);

		d[i] = (struct vring_desc){ at, part, flags | VRING_DESC_F_NEXT, 4 * n + i + 1 };
		at += part;
		len -= part;
	}
	d[i] = (struct vring_desc){ at, len, flags, 0 };
	posted[q][n] = true;
	make_available(q, 4 * n);
}

/* May the driver use it? Also while the pair is not active. */
static bool usable(unsigned int q)
{
	return queue(q) && queue(q)->enabled;
}

static void post_receive(struct fuzz *f, unsigned int q)
{
	static const uint32_t lens[] = { 1526, 4096, 12, 13, 26, 64, 512, 2048, 1530 };
	unsigned int n = fuzz_u8(f) % SLOTS;

	if (usable(q) && !posted[q][n])
		chain(f, q, n, FUZZ_PICK(f, lens), VRING_DESC_F_WRITE);
}

static void post_send(struct fuzz *f, unsigned int q)
{
	static const uint32_t lens[] = { 72, 26, 25, 12, 11, 1526, 4096, 1 };
	static const uint8_t gso[] = { 0, 1, 4, 5, 3, 0x81, 0x84, 0x85, 0x80 };
	unsigned int n = fuzz_u8(f) % SLOTS;
	struct virtio_net_hdr_v1 h;

	if (!usable(q) || posted[q][n])
		return;
	fuzz_bytes(f, &h, sizeof(h));
	h.gso_type = FUZZ_PICK(f, gso);
	memcpy(slot_data(q, n), &h, sizeof(h));
	chain(f, q, n, FUZZ_PICK(f, lens), 0);
}

static void post_control(struct fuzz *f)
{
	unsigned int n = fuzz_u8(f) % SLOTS;
	struct vring_desc *d = &queue(CTRL)->desc[4 * n];
	uint8_t *p = slot_data(CTRL, n);
	uint32_t len = fuzz_u8(f) % 48;

	if (posted[CTRL][n])
		return;
	p[0] = fuzz_u8(f) % 6;
	p[1] = fuzz_u8(f) % 4;
	fuzz_bytes(f, p + 2, 40);
	/* The number of pairs, which bytes by chance would seldom hit. */
	if (p[0] == VIRTIO_NET_CTRL_MQ && len & 1) {
		p[1] = VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET;
		p[2] &= 3;
		p[3] = 0;
		len = 4;
	}
	p[SLOT_LEN - 1] = 0xee;
	d[0] = (struct vring_desc){ slot_gpa(CTRL, n), len, VRING_DESC_F_NEXT, 4 * n + 1 };
	d[1] = (struct vring_desc){ slot_gpa(CTRL, n) + SLOT_LEN - 1, 1, VRING_DESC_F_WRITE, 0 };
	posted[CTRL][n] = true;
	make_available(CTRL, 4 * n);
}

static void frame_comes(struct fuzz *f)
{
	static const uint32_t lens[] = { 60,   1514, 14,    13,	   1518,  1519,
					 4000, 9000, 65535, 65553, 65554, 0 };
	static const uint8_t gso[] = { 0, 0, 1, 4, 5, 0x81, 3 };
	struct virtio_net_hdr_v1 h = { .flags = fuzz_u8(f) % 8, .gso_type = FUZZ_PICK(f, gso) };

	if ((uint8_t)(in_end + 1) == in_next)
		return;
	in_hdr[in_end] = h;
	in_len[in_end] = FUZZ_PICK(f, lens);
	in_end++;
}

static void spoil(struct fuzz *f)
{
	static const uint64_t addrs[] = { DATA,		DATA + SLOT_LEN, DATA + DATA_LEN - 1,
					  RING(QUEUES), RING(0) + 5,	 0xd0000000 };
	static const uint32_t lens[] = { 0, 1, 11, 12, 13, 4096, DATA_LEN, 0xffffffff };
	unsigned int q = fuzz_u8(f) % QUEUES, i = fuzz_u8(f) % SIZE;
	uint8_t how = fuzz_u8(f);
	struct vring_desc *d;

	if (!usable(q))
		return;
	d = &queue(q)->desc[i];
	spoiled = true;
	d->addr = how & 1 ? d->addr : FUZZ_PICK(f, addrs);
	d->len = how & 2 ? d->len : FUZZ_PICK(f, lens);
	d->flags ^= how >> 2 & 7;
	d->next = fuzz_u8(f) % (SIZE + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const int results[] = { 0, -EAGAIN, -EIO, 0 };
	struct fuzz f = { data, len };
	const struct net_cfg cfg = { 0 };
	struct err err = { 0 };
	struct vdev *vd;
	uint8_t op;

	if (!mem.nslots) {
		mem.slot[0] = (struct gmem_slot){ RING(0), QUEUES * 4096, malloc(QUEUES * 4096) };
		mem.slot[1] = (struct gmem_slot){ DATA, DATA_LEN, malloc(DATA_LEN) };
		mem.nslots = 2;
		be.ops = &be_ops;
		be.fd = -1;
		be.offloads = NET_HOST_OFFLOADS | NET_GUEST_OFFLOADS;
		be2 = be;
		be.next = &be2;
		fuzz_assert(!net_create_with(&cfg, &mem, &be, &vd, &err));
		nd = container_of(vd, struct net_dev, vd);
		real_ops = toy_ops = *vd->ops;
		toy_ops.quiesce = toy_quiesce;
		vd->ops = &toy_ops;
		vd->tp = &toy_tp;
	}
	memset(mem.slot[1].hva, 0, DATA_LEN);
	restart(&f);
	while (f.left) {
		op = fuzz_u8(&f);
		switch (op % 16) {
		case 0 ... 2:
			post_receive(&f, op & 16 ? RX2 : RX);
			break;
		case 3:
		case 4:
			post_send(&f, op & 16 ? TX2 : TX);
			break;
		case 5:
			post_control(&f);
			break;
		case 6:
		case 7:
			frame_comes(&f);
			break;
		case 8:
		case 9:
		case 10:
			run(op & 16 && op % 16 != 10 ? op % 16 - 8 + RX2 : op % 16 - 8u);
			break;
		case 11:
			spoil(&f);
			break;
		case 12:
			send_result = results[op / 16 % 4];
			set_result = results[op / 64];
			start_result = op & 32 ? -EAGAIN : 0;
			break;
		case 13:
			if (op & 16)
				restart(&f);
			else
				run(op / 32 % QUEUES);
			break;
		case 14:
			link_dead = op / 16 == 15;
			run(RX);
			break;
		case 15:
			if (!usable(op / 16 % QUEUES))
				break;
			spoiled = true;
			make_available(op / 16 % QUEUES, fuzz_u8(&f) % (SIZE + 1));
			break;
		}
	}
	vdev_reset(&nd->vd);
	return 0;
}
