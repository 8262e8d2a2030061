// SPDX-License-Identifier: GPL-2.0-only
/*
 * The network device's queues as a driver sees them (virtio 1.2, 5.1.6), well-formed and hostile
 * alike: transmit and receive. Commands and features are net_ctrl.c's.
 */
#include "netdrv.h"

#define CSUM   VIRTIO_NET_HDR_F_NEEDS_CSUM
#define TCPV4  VIRTIO_NET_HDR_GSO_TCPV4
#define ALL    (~0ull)
#define NO_MRG (~NET_BIT(VIRTIO_NET_F_MRG_RXBUF))

static uint8_t frame[NET_FRAME_MAX + 64], got[NET_FRAME_MAX + 64];

/* --- transmit -------------------------------------------------------------------------------- */

static void tx_layout(const uint32_t *part, unsigned int n, bool indirect)
{
	struct virtio_net_hdr_v1 hdr;
	struct vdrv_buf b[64];
	struct nic k;
	uint32_t len = 0, off = 0, used;
	uint16_t head;
	unsigned int i;
	uint8_t *p;

	nic_up(&k, NULL, ALL, 0);
	nic_fill(frame, sizeof(frame), n);
	memset(frame, 0, NET_HDR_LEN);
	for (i = 0; i < n; i++) {
		b[i].gpa = i & 1 ? vdrv_alloc(&k.d, part[i], 1) : vdrv_alloc_high(&k.d, part[i], 1);
		b[i].len = part[i];
		p = vdrv_hva(&k.d, b[i].gpa, part[i]);
		memcpy(p, frame + len, part[i]);
		len += part[i];
	}
	ksft_check(vdrv_add(&k.d.q[NIC_TX], b, n, 0, indirect) >= 0);
	vdrv_kick(&k.d.q[NIC_TX]);
	ksft_eq(nic_sent(&k, &hdr, got, sizeof(got), NIC_WAIT), len - NET_HDR_LEN);
	ksft_memeq(got, frame + NET_HDR_LEN, len - NET_HDR_LEN);
	for (off = 0; off < NET_HDR_LEN; off++)
		ksft_eq(((uint8_t *)&hdr)[off], 0);
	ksft_check(vdrv_wait_used(&k.d.q[NIC_TX], &head, &used, NIC_WAIT));
	ksft_eq(nic_stat(&k, "tx_bytes"), len - NET_HDR_LEN);
	nic_down(&k);
}

static void tx_any_layout(void)
{
	static const uint32_t one[] = { 12 + 60 }, two[] = { 12, 1514 }, odd[] = { 5, 3, 4, 7, 53 },
			      mix[] = { 1, 30, 1, 1000, 400 };
	uint32_t bytes[40];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bytes); i++)
		bytes[i] = 1;
	for (i = 0; i < 2; i++) {
		tx_layout(one, 1, i);
		tx_layout(two, 2, i);
		tx_layout(odd, ARRAY_SIZE(odd), i);
		tx_layout(mix, ARRAY_SIZE(mix), i);
		tx_layout(bytes, ARRAY_SIZE(bytes), i);
	}
}

#define LONG 8000

static void tx_many_in_order(void)
{
	struct virtio_net_hdr_v1 hdr;
	unsigned int i, in = 0;
	struct nic k;

	nic_up(&k, NULL, ALL, 0);
	/* More than the wire takes: the rest waits in the device and in the queue. */
	for (i = 0; i < 400; i++) {
		nic_fill(frame, LONG, i);
		nic_send(&k, NULL, frame, LONG);
		if (i - in < 200)
			continue;
		nic_fill(frame, LONG, in++);
		ksft_eq(nic_sent(&k, &hdr, got, sizeof(got), NIC_WAIT), LONG);
		ksft_memeq(got, frame, LONG);
		nic_wait_sent(&k);
	}
	for (; in < 400; nic_wait_sent(&k)) {
		nic_fill(frame, LONG, in++);
		ksft_eq(nic_sent(&k, &hdr, got, sizeof(got), NIC_WAIT), LONG);
		ksft_memeq(got, frame, LONG);
	}
	ksft_check(nic_stat(&k, "tx_waits"));
	ksft_eq(nic_stat(&k, "tx_packets"), 400);
	ksft_eq(nic_stat(&k, "tx_drops"), 0);
	nic_down(&k);
}

static void tx_reset_while_held(void)
{
	struct virtio_net_hdr_v1 hdr;
	unsigned int i;
	struct nic k;

	nic_up(&k, NULL, ALL, 0);
	for (i = 0; i < 200; i++)
		nic_send(&k, NULL, frame, LONG);
	nic_wait_stat(&k, "tx_waits", 1);
	vdrv_reset(&k.d);
	while (nic_sent(&k, &hdr, got, sizeof(got), 0) == LONG)
		;
	vdrv_start(&k.d, k.m, ALL, 0, 0);
	nic_fill(frame, 200, 1);
	nic_send(&k, NULL, frame, 200);
	ksft_eq(nic_sent(&k, &hdr, got, sizeof(got), NIC_WAIT), 200);
	ksft_memeq(got, frame, 200);
	nic_wait_sent(&k);
	nic_down(&k);
}

static void tx_shorter_than_header(void)
{
	struct vdrv_buf b[2];
	struct nic k;

	nic_up(&k, NULL, ALL, 0);
	b[0] = (struct vdrv_buf){ vdrv_alloc(&k.d, 11, 1), 11 };
	vdrv_add(&k.d.q[NIC_TX], b, 1, 0, false);
	vdrv_kick(&k.d.q[NIC_TX]);
	nic_wait_broken(&k);
	/* And again with nothing to read at all: the device comes back from a reset. */
	vdrv_start(&k.d, k.m, ALL, 0, 0);
	b[0].len = 4;
	vdrv_add(&k.d.q[NIC_TX], b, 0, 1, false);
	vdrv_kick(&k.d.q[NIC_TX]);
	nic_wait_broken(&k);
	nic_down(&k);
}

static void tx_impossible_length(void)
{
	struct virtio_net_hdr_v1 hdr;
	struct nic k;

	nic_up(&k, NULL, ALL, 0);
	nic_send(&k, NULL, frame, 0);
	nic_send(&k, NULL, frame, NET_FRAME_MIN - 1);
	nic_send(&k, NULL, frame, NET_FRAME_MAX + 1);
	nic_wait_stat(&k, "tx_drops", 3);
	nic_send(&k, NULL, frame, NET_FRAME_MIN);
	ksft_eq(nic_sent(&k, &hdr, got, sizeof(got), NIC_WAIT), NET_FRAME_MIN);
	nic_send(&k, NULL, frame, NET_FRAME_MAX);
	ksft_eq(nic_sent(&k, &hdr, got, sizeof(got), NIC_WAIT), NET_FRAME_MAX);
	nic_wait_stat(&k, "tx_packets", 2);
	nic_down(&k);
}

static void tx_header_rules(void)
{
	const uint64_t csum = NET_BIT(VIRTIO_NET_F_CSUM), tso4 = NET_BIT(VIRTIO_NET_F_HOST_TSO4);
	const uint64_t tso6 = NET_BIT(VIRTIO_NET_F_HOST_TSO6), all = ~0ull;
	const uint64_t ecn = NET_BIT(VIRTIO_NET_F_HOST_ECN), uso = NET_BIT(VIRTIO_NET_F_HOST_USO);
	const struct {
		uint8_t flags, gso;
		uint16_t hdr_len, size, start, off;
		uint64_t features;
		uint32_t len;
		int ret;
	} t[] = {
		{ 0, 0, 0, 0, 0, 0, 0, 60, 0 },
		{ CSUM, 0, 0, 0, 34, 16, csum, 60, 0 },
		{ CSUM, 0, 0, 0, 34, 16, 0, 60, -EINVAL },	    /* not negotiated */
		{ CSUM, 0, 0, 0, 34, 24, csum, 60, 0 },		    /* the last two bytes */
		{ CSUM, 0, 0, 0, 34, 25, csum, 60, -EINVAL },	    /* one further */
		{ CSUM, 0, 0, 0, 65535, 65535, csum, 60, -EINVAL }, /* would wrap in 16 bits */
		{ CSUM, 0, 0, 0, 65535, 3, csum, 60, -EINVAL },
		{ CSUM, TCPV4, 54, 1448, 34, 16, csum | tso4, 9000, 0 },
		{ CSUM, TCPV4, 54, 1448, 34, 16, csum | tso6, 9000, -EINVAL },
		{ CSUM, TCPV4, 54, 0, 34, 16, csum | tso4, 9000, -EINVAL },
		{ 0, TCPV4, 54, 1448, 34, 16, csum | tso4, 9000, -EINVAL },
		{ CSUM, TCPV4 | 0x80, 54, 1448, 34, 16, csum | tso4, 9000, -EINVAL },
		{ CSUM, TCPV4 | 0x80, 54, 1448, 34, 16, csum | tso4 | ecn, 9000, 0 },
		{ CSUM, 4, 74, 1448, 54, 16, csum | tso6, 9000, 0 },
		{ CSUM, 4, 74, 1448, 54, 16, csum | tso4, 9000, -EINVAL },
		{ CSUM, 5, 42, 1400, 34, 6, csum | uso, 9000, 0 },
		{ CSUM, 5, 42, 1400, 34, 6, csum | tso4, 9000, -EINVAL },
		{ CSUM, 5 | 0x80, 42, 1400, 34, 6, all, 9000, -EINVAL },
		{ CSUM, 3, 42, 1400, 34, 6, all, 9000, -EINVAL }, /* UFO is never offered */
		{ CSUM, 0x80, 0, 0, 34, 6, all, 9000, -EINVAL },
		{ CSUM, 2, 42, 1400, 34, 6, all, 9000, -EINVAL },
	};
	struct virtio_net_hdr_v1 h;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(t); i++) {
		h = (struct virtio_net_hdr_v1){ .flags = t[i].flags,
						.gso_type = t[i].gso,
						.hdr_len = t[i].hdr_len,
						.gso_size = t[i].size,
						.csum_start = t[i].start,
						.csum_offset = t[i].off };
		if (net_hdr_check(&h, t[i].features, t[i].len) != t[i].ret)
			ksft_fail("row %u: not %d", i, t[i].ret);
	}
	/* What the device must ignore does not reach the backend. */
	h = (struct virtio_net_hdr_v1){
		.flags = 0xfe, .hdr_len = 999, .gso_size = 9, .csum_start = 999, .num_buffers = 9
	};
	ksft_eq(net_hdr_check(&h, all, 60), 0);
	ksft_eq(h.flags | h.hdr_len | h.gso_size | h.csum_start | h.num_buffers, 0);
	/* The header's length is a hint: held to the frame, not believed. */
	h = (struct virtio_net_hdr_v1){ .flags = CSUM,
					.gso_type = TCPV4,
					.hdr_len = 65535,
					.gso_size = 100,
					.csum_start = 34,
					.csum_offset = 16 };
	ksft_eq(net_hdr_check(&h, all, 200), 0);
	ksft_eq(h.hdr_len, 200);
}

static void tx_gso_not_negotiated(void)
{
	struct virtio_net_hdr_v1 h = { .flags = CSUM,
				       .gso_type = TCPV4,
				       .gso_size = 1448,
				       .csum_start = 34,
				       .csum_offset = 16 },
				 hdr;
	struct nic k;

	nic_up(&k, NULL, ~NET_HOST_OFFLOADS, 0);
	nic_send(&k, &h, frame, 5000);
	nic_wait_sent(&k);
	ksft_eq(nic_stat(&k, "tx_drops"), 1);
	ksft_eq(nic_sent(&k, &hdr, got, sizeof(got), 20), -1);
	vdrv_start(&k.d, k.m, ALL, 0, 0);
	nic_send(&k, &h, frame, 5000);
	ksft_eq(nic_sent(&k, &hdr, got, sizeof(got), NIC_WAIT), 5000);
	ksft_memeq(&hdr, &h, NET_HDR_LEN);
	nic_down(&k);
}

/* --- receive --------------------------------------------------------------------------------- */

static void rx_one_buffer(void)
{
	struct virtio_net_hdr_v1 *h;
	struct vdrv_buf b;
	struct nic k;
	uint16_t head;
	uint32_t len;
	uint8_t *p;
	int i;

	nic_up(&k, NULL, ALL, 0);
	b = (struct vdrv_buf){ vdrv_alloc(&k.d, 2048, 16), 2048 };
	p = vdrv_hva(&k.d, b.gpa, b.len);
	h = (void *)p;
	for (i = 0; i < 5; i++) {
		memset(p, 0xee, 2048);
		nic_post(&k, &b, 1);
		vdrv_kick(&k.d.q[NIC_RX]);
		nic_fill(frame, 1000, i);
		nic_inject(&k, NULL, frame, 1000);
		ksft_check(vdrv_wait_used(&k.d.q[NIC_RX], &head, &len, NIC_WAIT));
		ksft_eq(len, NET_HDR_LEN + 1000);
		ksft_eq(h->num_buffers, 1);
		ksft_eq(h->flags | h->gso_type, 0);
		ksft_memeq(p + NET_HDR_LEN, frame, 1000);
		ksft_eq(p[NET_HDR_LEN + 1000], 0xee);
	}
	nic_down(&k);
}

/*
 * A frame of @len bytes into buffers of @size bytes each, every one in @parts pieces; only @first
 * of them are there when the frame comes.
 */
static void rx_merge_with(uint32_t len, uint32_t size, unsigned int parts, unsigned int first)
{
	unsigned int nbuf = (NET_HDR_LEN + len + size - 1) / size, i, j, n;
	const unsigned int extra = 3;
	static struct vdrv_buf b[256][16];
	static int head[256];
	uint32_t used, done = 0, part;
	struct virtio_net_hdr_v1 hdr;
	struct nic k;
	uint16_t h;

	ksft_check(nbuf + extra <= 256);
	nic_up(&k, NULL, ALL, 0);
	for (i = 0; i < nbuf + extra; i++) {
		for (j = 0; j < parts; j++) {
			part = j < parts - 1 ? size / parts : size - j * (size / parts);
			b[i][j].gpa = (i + j) & 1 ? vdrv_alloc(&k.d, part, 1)
						  : vdrv_alloc_high(&k.d, part, 1);
			b[i][j].len = part;
		}
		if (i < first)
			head[i] = nic_post(&k, b[i], parts);
	}
	/* The device starts without buffers: let it see that before it sees some. */
	nic_wait_stat(&k, "rx_no_buffer", 1);
	vdrv_kick(&k.d.q[NIC_RX]);
	nic_fill(frame, len, size);
	nic_inject(&k, NULL, frame, len);
	if (first < nbuf)
		nic_wait_stat(&k, "rx_no_buffer", first ? 2 : 1);
	for (i = first; i < nbuf + extra; i++) {
		head[i] = nic_post(&k, b[i], parts);
		vdrv_kick(&k.d.q[NIC_RX]);
	}
	for (i = 0, n = 1; i < n; i++) {
		ksft_check(vdrv_wait_used(&k.d.q[NIC_RX], &h, &used, NIC_WAIT));
		ksft_eq(h, head[i]);
		for (j = 0; j < parts && used; j++) {
			part = MIN(used, b[i][j].len);
			memcpy(got + done, vdrv_hva(&k.d, b[i][j].gpa, part), part);
			done += part;
			used -= part;
		}
		ksft_eq(used, 0);
		if (i)
			continue;
		memcpy(&hdr, got, sizeof(hdr));
		n = hdr.num_buffers;
		ksft_eq(n, nbuf);
	}
	ksft_eq(done, NET_HDR_LEN + len);
	ksft_memeq(got + NET_HDR_LEN, frame, len);
	/* The buffers that were not needed serve the next frame. */
	nic_inject(&k, NULL, frame, NET_FRAME_MIN);
	ksft_check(vdrv_wait_used(&k.d.q[NIC_RX], &h, &used, NIC_WAIT));
	ksft_eq(h, head[nbuf]);
	ksft_eq(nic_stat(&k, "rx_drops"), 0);
	nic_down(&k);
}

static void rx_merge(void)
{
	rx_merge_with(1514, 512, 1, 256);
	rx_merge_with(1514, 527, 3, 256);
	rx_merge_with(1000, 1012, 1, 256); /* to the last byte */
	rx_merge_with(1001, 1012, 1, 256);
	rx_merge_with(NET_FRAME_MAX, 1536, 1, 256);
	rx_merge_with(NET_FRAME_MAX, 4096, 16, 256);
	rx_merge_with(200, 12, 12, 256); /* the first buffer holds the header alone, in bytes */
	rx_merge_with(150, 13, 7, 256);
}

static void rx_merge_late_buffers(void)
{
	rx_merge_with(9000, 1536, 1, 0);
	rx_merge_with(9000, 1536, 1, 1);
	rx_merge_with(9000, 1536, 2, 5);
	rx_merge_with(NET_FRAME_MAX, 1536, 1, 20);
	rx_merge_with(150, 13, 7, 1);
}

static void rx_no_buffers(void)
{
	struct vdrv_buf b;
	unsigned int i;
	struct nic k;
	uint16_t head;
	uint32_t len;

	nic_up(&k, NULL, ALL, 0);
	b = (struct vdrv_buf){ vdrv_alloc(&k.d, 2048, 16), 2048 };
	for (i = 0; i < 8; i++) {
		nic_fill(frame, 100, i);
		nic_inject(&k, NULL, frame, 100);
	}
	nic_wait_stat(&k, "rx_no_buffer", 1);
	for (i = 0; i < 8; i++) {
		nic_post(&k, &b, 1);
		vdrv_kick(&k.d.q[NIC_RX]);
		ksft_check(vdrv_wait_used(&k.d.q[NIC_RX], &head, &len, NIC_WAIT));
		nic_fill(frame, 100, i);
		ksft_memeq((uint8_t *)vdrv_hva(&k.d, b.gpa, 112) + NET_HDR_LEN, frame, 100);
	}
	ksft_eq(nic_stat(&k, "rx_packets"), 8);
	ksft_eq(nic_stat(&k, "rx_drops"), 0);
	nic_down(&k);
}

static void rx_undersized_unmerged(void)
{
	struct vdrv_buf b;
	struct nic k;
	uint16_t head;
	uint32_t len;

	nic_up(&k, NULL, NO_MRG, 0);
	b = (struct vdrv_buf){ vdrv_alloc(&k.d, 100, 16), 100 };
	nic_post(&k, &b, 1);
	nic_post(&k, &b, 1);
	vdrv_kick(&k.d.q[NIC_RX]);
	nic_inject(&k, NULL, frame, 1000);
	nic_inject(&k, NULL, frame, 89); /* one byte too many */
	nic_wait_stat(&k, "rx_drops", 2);
	nic_fill(frame, 88, 1);
	nic_inject(&k, NULL, frame, 88);
	ksft_check(vdrv_wait_used(&k.d.q[NIC_RX], &head, &len, NIC_WAIT));
	ksft_eq(len, 100);
	ksft_eq(((struct virtio_net_hdr_v1 *)vdrv_hva(&k.d, b.gpa, 12))->num_buffers, 1);
	ksft_memeq((uint8_t *)vdrv_hva(&k.d, b.gpa, 100) + NET_HDR_LEN, frame, 88);
	ksft_eq(nic_stat(&k, "rx_drops"), 2);
	nic_down(&k);
}

static void rx_ring_too_small_to_merge(void)
{
	struct vdrv_buf b;
	unsigned int i;
	struct nic k;
	uint16_t head;
	uint32_t len;

	nic_up(&k, NULL, ALL, 4);
	b = (struct vdrv_buf){ vdrv_alloc(&k.d, 50, 16), 50 };
	for (i = 0; i < 4; i++)
		nic_post(&k, &b, 1);
	vdrv_kick(&k.d.q[NIC_RX]);
	nic_inject(&k, NULL, frame, 4 * 50 - NET_HDR_LEN + 1);
	nic_wait_stat(&k, "rx_drops", 1);
	nic_inject(&k, NULL, frame, 4 * 50 - NET_HDR_LEN);
	for (i = 0; i < 4; i++)
		ksft_check(vdrv_wait_used(&k.d.q[NIC_RX], &head, &len, NIC_WAIT));
	ksft_eq(nic_stat(&k, "rx_packets"), 1);
	nic_down(&k);
}

static void rx_bad_buffers(void)
{
	struct vdrv_buf b;
	struct nic k;

	nic_up(&k, NULL, ALL, 0);
	b = (struct vdrv_buf){ vdrv_alloc(&k.d, 100, 16), 11 };
	nic_post(&k, &b, 1); /* no room for the header */
	vdrv_kick(&k.d.q[NIC_RX]);
	nic_wait_broken(&k);

	vdrv_start(&k.d, k.m, NO_MRG, 0, 0);
	nic_post(&k, &b, 1);
	vdrv_kick(&k.d.q[NIC_RX]);
	nic_wait_broken(&k);

	vdrv_start(&k.d, k.m, ALL, 0, 0);
	b.len = 100;
	vdrv_add(&k.d.q[NIC_RX], &b, 1, 0, false); /* not writable */
	vdrv_kick(&k.d.q[NIC_RX]);
	nic_wait_broken(&k);
	nic_down(&k);
}

static void rx_not_agreed_on(void)
{
	struct virtio_net_hdr_v1 tso = { .flags = CSUM, .gso_type = TCPV4, .gso_size = 1448 };
	struct virtio_net_hdr_v1 csum = { .flags = CSUM, .csum_start = 34, .csum_offset = 16 };
	struct virtio_net_hdr_v1 valid = { .flags = VIRTIO_NET_HDR_F_DATA_VALID };
	const struct net_cfg cfg = { .mtu = 1400 };
	struct virtio_net_hdr_v1 *h;
	struct vdrv_buf b;
	unsigned int i;
	struct nic k;
	uint16_t head;
	uint32_t len;

	nic_up(&k, &cfg, ~NET_GUEST_OFFLOADS, 0);
	b = (struct vdrv_buf){ vdrv_alloc(&k.d, 4096, 16), 4096 };
	h = vdrv_hva(&k.d, b.gpa, NET_HDR_LEN);
	for (i = 0; i < 16; i++)
		nic_post(&k, &b, 1);
	vdrv_kick(&k.d.q[NIC_RX]);
	ksft_eq(k.offloads, 0);
	nic_inject(&k, &tso, frame, 3000);
	nic_inject(&k, &csum, frame, 100);
	nic_inject(&k, NULL, frame, 1400 + 19); /* above the MTU that was agreed on */
	nic_inject(&k, NULL, frame, NET_FRAME_MIN - 1);
	nic_wait_stat(&k, "rx_drops", 4);
	nic_inject(&k, NULL, frame, 1400 + 14);
	ksft_check(vdrv_wait_used(&k.d.q[NIC_RX], &head, &len, NIC_WAIT));
	nic_inject(&k, &valid, frame, 100);
	ksft_check(vdrv_wait_used(&k.d.q[NIC_RX], &head, &len, NIC_WAIT));
	ksft_eq(h->flags, 0);

	vdrv_start(&k.d, k.m, ALL, 0, 0);
	ksft_eq(k.offloads, NET_GUEST_OFFLOADS);
	for (i = 0; i < 16; i++)
		nic_post(&k, &b, 1);
	vdrv_kick(&k.d.q[NIC_RX]);
	nic_inject(&k, &tso, frame, 3000);
	ksft_check(vdrv_wait_used(&k.d.q[NIC_RX], &head, &len, NIC_WAIT));
	ksft_eq(h->gso_type, TCPV4);
	ksft_eq(h->gso_size, 1448);
	ksft_eq(len, NET_HDR_LEN + 3000);
	nic_inject(&k, &csum, frame, 100);
	ksft_check(vdrv_wait_used(&k.d.q[NIC_RX], &head, &len, NIC_WAIT));
	ksft_eq(h->flags, CSUM);
	ksft_eq(h->csum_start, 34);
	nic_down(&k);
}

static void rx_reset_with_buffers_in_hand(void)
{
	struct vdrv_buf b[32];
	unsigned int i, round;
	struct nic k;
	uint16_t head;
	uint32_t len;

	nic_create(&k, NULL, nic_offloads);
	for (i = 0; i < 32; i++)
		b[i] = (struct vdrv_buf){ vdrv_alloc(&k.d, 500, 16), 500 };
	for (round = 0; round < 5; round++) {
		vdrv_start(&k.d, k.m, ALL, 0, 0);
		for (i = 0; i < 32; i++)
			nic_post(&k, &b[i], 1);
		vdrv_kick(&k.d.q[NIC_RX]);
		/* A frame that is there before the driver is dropped, so that may take two. */
		do {
			nic_inject(&k, NULL, frame, 1000);
		} while (!vdrv_wait_used(&k.d.q[NIC_RX], &head, &len, 100));
		ksft_eq(len, 500);
		if (round & 1) /* more than there is room for is pending at the reset */
			for (i = 0; i < 6; i++)
				nic_inject(&k, NULL, frame, 9000);
	}
	nic_down(&k);
}

/* What waited for buffers when the driver went is gone, and counted. */
static void rx_waiting_at_a_reset(void)
{
	unsigned int i;
	struct nic k;

	nic_create(&k, NULL, nic_offloads);
	for (i = 1; i <= 3; i++) {
		struct vdrv_buf b = { vdrv_alloc(&k.d, 500, 16), 500 };

		vdrv_start(&k.d, k.m, ALL, 0, 0);
		nic_post(&k, &b, 1);
		vdrv_kick(&k.d.q[NIC_RX]);
		nic_inject(&k, NULL, frame, 1000);
		nic_wait_stat(&k, "rx_no_buffer", i);
		vdrv_reset(&k.d);
		ksft_eq(nic_stat(&k, "rx_drops"), i);
	}
	ksft_eq(nic_stat(&k, "rx_packets"), 0);
	nic_down(&k);
}

static void rx_backend_gone(void)
{
	struct virtio_net_config c;
	struct vdrv_buf b;
	struct nic k;
	unsigned int ms;

	nic_up(&k, NULL, ALL, 0);
	vdrv_config(&k.d, 0, &c, 12);
	ksft_eq(c.status, VIRTIO_NET_S_LINK_UP);
	store_once(&k.dead, true);
	b = (struct vdrv_buf){ vdrv_alloc(&k.d, 500, 16), 500 };
	nic_post(&k, &b, 1);
	vdrv_kick(&k.d.q[NIC_RX]);
	for (ms = 0; ms < NIC_WAIT && c.status; ms++) {
		usleep(1000);
		vdrv_config(&k.d, 0, &c, 12);
	}
	ksft_eq(c.status, 0);
	ksft_check(!vdrv_broken(&k.d));
	nic_down(&k);
}

/* --- both ------------------------------------------------------------------------------------ */

static void descriptor_loop(void)
{
	unsigned int q;
	struct nic k;

	nic_create(&k, NULL, nic_offloads);
	for (q = NIC_RX; q <= NIC_CTRL; q++) {
		struct vdrv_buf b[2];

		vdrv_start(&k.d, k.m, ALL, 0, 0);
		b[0] = (struct vdrv_buf){ vdrv_alloc(&k.d, 64, 16), 64 };
		b[1] = b[0];
		vdrv_add(&k.d.q[q], b, q == NIC_RX ? 0 : 2, q == NIC_RX ? 2 : 0, false);
		k.d.q[q].desc[1].flags |= VRING_DESC_F_NEXT;
		k.d.q[q].desc[1].next = 0;
		vdrv_kick(&k.d.q[q]);
		nic_wait_broken(&k);
	}
	nic_down(&k);
}

static void queues_never_enabled(void)
{
	struct virtio_net_hdr_v1 hdr;
	struct nic k;

	/* Only receive and transmit: the control queue stays off. */
	nic_create(&k, NULL, nic_offloads);
	vdrv_start(&k.d, k.m, ALL, 2, 0);
	nic_inject(&k, NULL, frame, 100);
	nic_send(&k, NULL, frame, 100);
	ksft_eq(nic_sent(&k, &hdr, got, sizeof(got), NIC_WAIT), 100);
	/* Only receive. */
	vdrv_start(&k.d, k.m, ALL, 1, 0);
	nic_inject(&k, NULL, frame, 100);
	ksft_check(!vdrv_broken(&k.d));
	nic_down(&k);
}

int main(int argc, char **argv)
{
	ksft_case("tx_any_layout", tx_any_layout);
	ksft_case("tx_many_in_order_through_a_full_backend", tx_many_in_order);
	ksft_case("tx_reset_while_held", tx_reset_while_held);
	ksft_case("tx_shorter_than_header", tx_shorter_than_header);
	ksft_case("tx_impossible_length", tx_impossible_length);
	ksft_case("tx_header_rules", tx_header_rules);
	ksft_case("tx_gso_not_negotiated", tx_gso_not_negotiated);
	ksft_case("rx_one_buffer", rx_one_buffer);
	ksft_case("rx_merge", rx_merge);
	ksft_case("rx_merge_late_buffers", rx_merge_late_buffers);
	ksft_case("rx_no_buffers", rx_no_buffers);
	ksft_case("rx_undersized_unmerged", rx_undersized_unmerged);
	ksft_case("rx_ring_too_small_to_merge", rx_ring_too_small_to_merge);
	ksft_case("rx_bad_buffers", rx_bad_buffers);
	ksft_case("rx_not_agreed_on", rx_not_agreed_on);
	ksft_case("rx_reset_with_buffers_in_hand", rx_reset_with_buffers_in_hand);
	ksft_case("what waits for buffers at a reset is counted", rx_waiting_at_a_reset);
	ksft_case("rx_backend_gone", rx_backend_gone);
	ksft_case("descriptor_loop", descriptor_loop);
	ksft_case("queues_never_enabled", queues_never_enabled);
	return ksft_run(argc, argv);
}
