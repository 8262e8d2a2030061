// SPDX-License-Identifier: GPL-2.0-only
/*
 * The network device's pairs of queues (virtio 1.2, 5.1.2, 5.1.6.5.5): negotiation, the command
 * that says how many are used, well-formed and hostile, also while frames pass and across resets;
 * what pairs count; busy polling. Real queues of a tap are net_tap.c's.
 */
#include <endian.h>
#include <pthread.h>
#include <sched.h>
#include <time.h>
#include <linux/virtio_mmio.h>

#include "netdrv.h"

#define ALL   (~0ull)
#define PAIRS 3
#define CTRL  (2 * PAIRS)
#define RX(p) (2 * (p))
#define TX(p) (2 * (p) + 1)
#define LEN   300

static uint8_t frame[NET_FRAME_MAX], got[NET_FRAME_MAX];

static void mq_up(struct nic *k, const struct net_cfg *cfg)
{
	nic_create_pairs(k, cfg, nic_offloads, PAIRS);
	vdrv_start(&k->d, k->m, ALL, 0, 0);
}

static int wire_of(const struct nic *k, unsigned int pair)
{
	return pair ? k->more[pair - 1].wire : k->wire;
}

/* Without the interrupt, which another thread may be waiting for. */
static bool wait_used(struct vdrv_q *q, uint32_t *len)
{
	uint16_t head;
	unsigned int ms;

	for (ms = 0; ms < NIC_WAIT; ms++) {
		if (vdrv_used(q, &head, len))
			return true;
		usleep(1000);
	}
	return false;
}

/* A command by queue @q, its answer. */
static int command(struct nic *k, unsigned int q, uint8_t class, uint8_t cmd, const void *data,
		   uint32_t len)
{
	uint64_t gpa = vdrv_alloc(&k->d, 16, 1);
	uint8_t *p = vdrv_hva(&k->d, gpa, 16);
	struct vdrv_buf b[] = { { gpa, 2 + len }, { gpa + 15, 1 } };
	uint32_t used;

	p[0] = class;
	p[1] = cmd;
	if (len)
		memcpy(p + 2, data, len);
	p[15] = 0xee;
	ksft_check(vdrv_add(&k->d.q[q], b, 1, 1, false) >= 0);
	vdrv_kick(&k->d.q[q]);
	ksft_check(wait_used(&k->d.q[q], &used));
	ksft_eq(used, 1);
	return p[15];
}

static int set_pairs(struct nic *k, uint16_t n)
{
	n = htole16(n);
	return command(k, CTRL, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, &n, 2);
}

static void post(struct nic *k, unsigned int pair, unsigned int n)
{
	while (n--) {
		struct vdrv_buf b = { vdrv_alloc_high(&k->d, 2048, 16), 2048 };

		ksft_check(vdrv_add(&k->d.q[RX(pair)], &b, 0, 1, false) >= 0);
	}
	vdrv_kick(&k->d.q[RX(pair)]);
}

static void send_by(struct nic *k, unsigned int pair, unsigned int seed, bool kick)
{
	struct vdrv_buf b = { vdrv_alloc_high(&k->d, NET_HDR_LEN + LEN, 16), NET_HDR_LEN + LEN };
	uint8_t *p = vdrv_hva(&k->d, b.gpa, b.len);

	nic_fill(p + NET_HDR_LEN, LEN, seed);
	ksft_check(vdrv_add(&k->d.q[TX(pair)], &b, 1, 0, false) >= 0);
	if (kick)
		vdrv_kick(&k->d.q[TX(pair)]);
	else
		vdrv_publish(&k->d.q[TX(pair)]);
}

/* The next frame on the pair's wire is the one with this seed. */
static void expect_sent(struct nic *k, unsigned int pair, unsigned int seed, int ms)
{
	struct pollfd p = { .fd = wire_of(k, pair), .events = POLLIN };
	struct virtio_net_hdr_v1 hdr;
	struct iovec v[] = { { &hdr, NET_HDR_LEN }, { got, sizeof(got) } };

	ksft_eq(poll(&p, 1, ms), 1);
	ksft_eq(readv(p.fd, v, 2), NET_HDR_LEN + LEN);
	nic_fill(frame, LEN, seed);
	ksft_memeq(got, frame, LEN);
}

static void expect_silence(struct nic *k, unsigned int pair)
{
	struct pollfd p = { .fd = wire_of(k, pair), .events = POLLIN };

	ksft_eq(poll(&p, 1, 50), 0);
}

static void inject(struct nic *k, unsigned int pair, unsigned int seed)
{
	struct virtio_net_hdr_v1 none = { 0 };
	struct iovec v[] = { { &none, NET_HDR_LEN }, { frame, LEN } };

	nic_fill(frame, LEN, seed);
	ksft_eq(writev(wire_of(k, pair), v, 2), NET_HDR_LEN + LEN);
}

static void expect_received(struct nic *k, unsigned int pair)
{
	uint32_t len = 0;

	ksft_check(wait_used(&k->d.q[RX(pair)], &len));
	ksft_eq(len, NET_HDR_LEN + LEN);
}

/* One frame each way. */
static void expect_works(struct nic *k, unsigned int pair)
{
	uint32_t len;

	send_by(k, pair, pair + 1, true);
	expect_sent(k, pair, pair + 1, NIC_WAIT);
	ksft_check(wait_used(&k->d.q[TX(pair)], &len));
	post(k, pair, 1);
	inject(k, pair, 7);
	expect_received(k, pair);
}

static void negotiation(void)
{
	struct virtio_net_config c;
	struct nic k;

	nic_up(&k, NULL, ALL, 0);
	ksft_check(!(k.vd->features & NET_BIT(VIRTIO_NET_F_MQ)));
	nic_down(&k);
	mq_up(&k, NULL);
	ksft_check(vdev_has(k.vd, VIRTIO_NET_F_MQ));
	vdrv_config(&k.d, 0, &c, 12);
	ksft_eq(le16toh(c.max_virtqueue_pairs), PAIRS);
	ksft_check(!vdrv_features(&k.d, NET_BIT(VIRTIO_NET_F_MQ)));
	ksft_check(vdrv_features(&k.d, NET_BIT(VIRTIO_NET_F_MQ) | NET_BIT(VIRTIO_NET_F_CTRL_VQ)));
	nic_down(&k);
}

static void driver_without_it(void)
{
	static const uint8_t on = 1;
	const uint16_t two = htole16(2);
	struct nic k;

	nic_create_pairs(&k, NULL, nic_offloads, PAIRS);
	vdrv_start(&k.d, k.m, ~NET_BIT(VIRTIO_NET_F_MQ), 3, 0);
	ksft_eq(command(&k, 2, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, &on, 1),
		VIRTIO_NET_OK);
	ksft_eq(command(&k, 2, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, &two, 2),
		VIRTIO_NET_ERR);
	expect_works(&k, 0);
	/* And the next one finds it behind all pairs. */
	vdrv_start(&k.d, k.m, ALL, 0, 0);
	ksft_eq(set_pairs(&k, PAIRS), VIRTIO_NET_OK);
	expect_works(&k, 2);
	nic_down(&k);
}

static void one_pair_at_first(void)
{
	struct nic k;

	mq_up(&k, NULL);
	ksft_check(!k.more[0].attached && !k.more[1].attached);
	ksft_eq(nic_stat(&k, "pairs"), PAIRS);
	ksft_eq(nic_stat(&k, "active"), 1);
	send_by(&k, 1, 5, true);
	expect_silence(&k, 1);
	expect_works(&k, 0);
	/* What was queued too early is not lost. */
	ksft_eq(set_pairs(&k, 2), VIRTIO_NET_OK);
	ksft_check(k.more[0].attached && !k.more[1].attached);
	expect_sent(&k, 1, 5, NIC_WAIT);
	nic_down(&k);
}

static void traffic_of_their_own(void)
{
	unsigned int i, n, rx = 0, tx = 0;
	char key[32];
	struct nic k;

	mq_up(&k, NULL);
	ksft_eq(set_pairs(&k, PAIRS), VIRTIO_NET_OK);
	for (i = 0; i < PAIRS; i++)
		for (n = 0; n <= i; n++)
			expect_works(&k, i);
	ksft_eq(set_pairs(&k, 1), VIRTIO_NET_OK); /* counters at rest, but for pair 0's */
	nic_wait_stat(&k, "rx_packets", 6);
	for (i = 0; i < PAIRS; i++) {
		snprintf(key, sizeof(key), "p%u.rx_packets", i);
		ksft_eq(nic_stat(&k, key), i + 1);
		rx += nic_stat(&k, key);
		snprintf(key, sizeof(key), "p%u.tx_bytes", i);
		ksft_eq(nic_stat(&k, key), (i + 1) * LEN);
		tx += nic_stat(&k, key);
		/* Each frame was kicked for at most once, and interrupted for or not. */
		ksft_check(k.vd->vq[TX(i)].stat_kicks <= i + 1);
		ksft_check(k.vd->vq[TX(i)].stat_irqs + k.vd->vq[TX(i)].stat_quiet <= i + 1);
		ksft_check(k.vd->vq[TX(i)].stat_irqs + k.vd->vq[TX(i)].stat_quiet > 0);
	}
	ksft_eq(nic_stat(&k, "rx_packets"), rx);
	ksft_eq(nic_stat(&k, "tx_bytes"), tx);
	ksft_eq(nic_stat(&k, "tx_packets"), 6);
	nic_down(&k);
}

static void hostile_commands(void)
{
	static const uint16_t bad[] = { 0, PAIRS + 1, 256, 0x100, 0x8000, 0xffff };
	static const uint8_t two[8] = { 2 };
	struct nic k;
	unsigned int i;

	mq_up(&k, NULL);
	ksft_eq(set_pairs(&k, 2), VIRTIO_NET_OK);
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		ksft_eq(set_pairs(&k, bad[i]), VIRTIO_NET_ERR);
	for (i = 0; i < sizeof(two); i++)
		if (i != 2)
			ksft_eq(command(&k, CTRL, VIRTIO_NET_CTRL_MQ,
					VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, two, i),
				VIRTIO_NET_ERR);
	for (i = 1; i < 256; i += 2)
		ksft_eq(command(&k, CTRL, VIRTIO_NET_CTRL_MQ, i, two, 2), VIRTIO_NET_ERR);
	ksft_eq(nic_stat(&k, "active"), 2);
	ksft_check(k.more[0].attached && !k.more[1].attached && !vdrv_broken(&k.d));
	expect_works(&k, 0);
	expect_works(&k, 1);
	nic_down(&k);
}

static void queues_not_set_up(void)
{
	unsigned int i;
	struct nic k;

	mq_up(&k, NULL);
	ksft_check(vdrv_features(&k.d, ALL));
	for (i = 0; i <= CTRL; i++)
		if (i != TX(2))
			vdrv_setup_queue(&k.d, i, 0);
	vdrv_write32(&k.d, VIRTIO_MMIO_STATUS, 15);
	ksft_eq(set_pairs(&k, 3), VIRTIO_NET_ERR);
	ksft_eq(nic_stat(&k, "active"), 1);
	ksft_check(!k.more[0].attached && !k.more[1].attached);
	ksft_eq(set_pairs(&k, 2), VIRTIO_NET_OK);
	expect_works(&k, 1);
	nic_down(&k);
}

static void backend_refuses(void)
{
	struct nic k;

	mq_up(&k, NULL);
	k.more[1].attach_error = -EINVAL;
	ksft_eq(set_pairs(&k, 3), VIRTIO_NET_ERR);
	ksft_check(!k.more[0].attached);
	ksft_eq(nic_stat(&k, "active"), 1);
	expect_works(&k, 0);
	k.more[1].attach_error = 0;
	ksft_eq(set_pairs(&k, 3), VIRTIO_NET_OK);
	expect_works(&k, 2);
	nic_down(&k);
}

static void sent_before_it_goes(void)
{
	unsigned int i, n;
	struct nic k;

	mq_up(&k, NULL);
	for (n = 0; n < 8; n++) {
		ksft_eq(set_pairs(&k, PAIRS), VIRTIO_NET_OK);
		for (i = 0; i < 20; i++)
			send_by(&k, 2, n + i, i & 1);
		ksft_eq(set_pairs(&k, 1), VIRTIO_NET_OK);
		for (i = 0; i < 20; i++)
			expect_sent(&k, 2, n + i, 0);
	}
	nic_down(&k);
}

static void buffers_come_back(void)
{
	unsigned int n;
	struct nic k;

	mq_up(&k, NULL);
	for (n = 0; n < 8; n++) {
		ksft_eq(set_pairs(&k, 2), VIRTIO_NET_OK);
		if (!n)
			post(&k, 1, 9);
		inject(&k, 1, n);
		expect_received(&k, 1);
		ksft_eq(set_pairs(&k, 1), VIRTIO_NET_OK);
		ksft_eq(k.vd->vq[RX(1)].inflight, 0);
	}
	ksft_check(!vdrv_broken(&k.d));
	nic_down(&k);
}

/* The driver's other half, on pair 0 alone, while pairs come and go. */
struct pump {
	struct nic *k;
	struct vdrv_buf tx, rx[8];
	bool stop;
	unsigned int rounds;
};

static void *pump_frames(void *arg)
{
	static uint8_t sent[NET_HDR_LEN + LEN], mine[NET_HDR_LEN + LEN];
	struct pump *p = arg;
	struct pollfd wire = { .fd = p->k->wire, .events = POLLIN };
	uint32_t len;

	for (; !load_acquire(&p->stop); p->rounds++) {
		nic_fill(sent + NET_HDR_LEN, LEN, p->rounds);
		memcpy(vdrv_hva(&p->k->d, p->tx.gpa, p->tx.len), sent, sizeof(sent));
		ksft_check(vdrv_add(&p->k->d.q[TX(0)], &p->tx, 1, 0, false) >= 0);
		vdrv_kick(&p->k->d.q[TX(0)]);
		ksft_eq(poll(&wire, 1, NIC_WAIT), 1);
		ksft_eq(read(wire.fd, mine, sizeof(mine)), sizeof(mine));
		ksft_memeq(mine + NET_HDR_LEN, sent + NET_HDR_LEN, LEN);
		ksft_check(wait_used(&p->k->d.q[TX(0)], &len));
		ksft_check(vdrv_add(&p->k->d.q[RX(0)], &p->rx[p->rounds % 8], 0, 1, false) >= 0);
		vdrv_kick(&p->k->d.q[RX(0)]);
		ksft_eq(write(wire.fd, sent, sizeof(sent)), sizeof(sent));
		ksft_check(wait_used(&p->k->d.q[RX(0)], &len));
		ksft_eq(len, sizeof(sent));
	}
	return NULL;
}

static void switched_under_traffic(void)
{
	static const uint16_t order[] = { 3, 1, 2, 3, 2, 1, 1, 3 };
	struct nic k;
	struct pump p = { .k = &k };
	pthread_t thread;
	unsigned int i;

	mq_up(&k, NULL);
	p.tx = (struct vdrv_buf){ vdrv_alloc_high(&k.d, 512, 16), NET_HDR_LEN + LEN };
	for (i = 0; i < 8; i++)
		p.rx[i] = (struct vdrv_buf){ vdrv_alloc_high(&k.d, 2048, 16), 2048 };
	ksft_eq(pthread_create(&thread, NULL, pump_frames, &p), 0);
	for (i = 0; i < 80; i++) {
		uint16_t n = order[i % 8];

		ksft_eq(set_pairs(&k, n), VIRTIO_NET_OK);
		ksft_eq(nic_stat(&k, "active"), n);
		ksft_check(k.more[0].attached == (n > 1) && k.more[1].attached == (n > 2));
		if (n > 1)
			expect_works(&k, n - 1);
	}
	store_release(&p.stop, true);
	pthread_join(thread, NULL);
	ksft_check(p.rounds);
	ksft_eq(nic_stat(&k, "p0.tx_packets"), p.rounds);
	ksft_eq(nic_stat(&k, "p0.rx_packets"), p.rounds);
	nic_down(&k);
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ull + t.tv_nsec / 1000000;
}

/* The host's lock behind each change is everybody's. */
static void switched_no_faster(void)
{
	const struct {
		uint8_t class, cmd;
		uint16_t n;
	} sets[] = { { VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, htole16(1) },
		     { VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, htole16(3) } };
	unsigned int i, n, changes = 0;
	uint64_t start = now_ms();
	struct nic k;

	mq_up(&k, NULL);
	for (i = 0; i < 40; i++, changes += 4) {
		ksft_eq(set_pairs(&k, 3), VIRTIO_NET_OK);
		ksft_eq(set_pairs(&k, 1), VIRTIO_NET_OK);
		expect_works(&k, 0);
	}
	/* 32 at once, and then one in 5 ms. */
	ksft_check(now_ms() - start >= (changes - 32 - 3) * 5);
	/* What changes nothing is not counted. */
	for (i = 0; i < 1000; i++)
		ksft_eq(set_pairs(&k, 1), VIRTIO_NET_OK);

	/* A queue full of changes holds up neither frames nor a reset. */
	for (n = 0; n < 3; n++) {
		start = nic_stat(&k, "ctrl");
		for (i = 0; i < 100; i++) {
			uint64_t gpa = vdrv_alloc(&k.d, 16, 1);
			struct vdrv_buf b[] = { { gpa, 4 }, { gpa + 8, 1 } };

			memcpy(vdrv_hva(&k.d, gpa, 4), &sets[i & 1], 4);
			ksft_check(vdrv_add(&k.d.q[CTRL], b, 1, 1, false) >= 0);
		}
		vdrv_kick(&k.d.q[CTRL]);
		expect_works(&k, 0);
		vdrv_start(&k.d, k.m, ALL, 0, 0);
		ksft_check(nic_stat(&k, "ctrl") < start + 100);
		expect_works(&k, 0);
	}
	nic_down(&k);
}

static void reset_with_pairs(void)
{
	unsigned int i, n;
	struct nic k;

	mq_up(&k, NULL);
	for (n = 0; n < 6; n++) {
		ksft_eq(set_pairs(&k, PAIRS), VIRTIO_NET_OK);
		for (i = 0; i < PAIRS; i++) {
			post(&k, i, 3);
			inject(&k, i, i);
			send_by(&k, i, i, true);
		}
		vdrv_reset(&k.d);
		ksft_check(!k.more[0].attached && !k.more[1].attached);
		ksft_eq(nic_stat(&k, "active"), 0);
		/* What was on its way belongs to nobody. */
		for (i = 0; i < PAIRS; i++)
			while (read(wire_of(&k, i), got, sizeof(got)) > 0)
				;
		for (i = 1; i < PAIRS; i++)
			while (read(k.more[i - 1].be.fd, got, sizeof(got)) > 0)
				;
		vdrv_start(&k.d, k.m, ALL, 0, 0);
		ksft_eq(nic_stat(&k, "active"), 1);
		expect_works(&k, 0);
	}
	nic_down(&k);
}

/* A frame that is queued as the polling ends must not be forgotten. */
static void polling_misses_nothing(void)
{
	const struct net_cfg cfg = { .poll = 100 };
	cpu_set_t cpus;
	unsigned int i;
	uint32_t len;
	struct nic k;

	mq_up(&k, &cfg);
	for (i = 0; i < 300; i++) {
		send_by(&k, 0, i, true);
		expect_sent(&k, 0, i, NIC_WAIT);
		ksft_check(wait_used(&k.d.q[TX(0)], &len));
		usleep(i % 30 * 10);
	}
	ksft_eq(nic_stat(&k, "tx_packets"), 300);
	sched_getaffinity(0, sizeof(cpus), &cpus);
	if (CPU_COUNT(&cpus) > 1) {
		ksft_check(nic_stat(&k, "polls") > 0);
		ksft_eq(nic_stat(&k, "polls") + nic_stat(&k, "poll_hits") <= 300, 1);
	} else {
		ksft_eq(nic_stat(&k, "polls"), 0);
	}
	nic_down(&k);
}

int main(int argc, char **argv)
{
	ksft_case("offered with several pairs, and needs the control queue", negotiation);
	ksft_case("a driver without it uses one pair", driver_without_it);
	ksft_case("one pair at first", one_pair_at_first);
	ksft_case("pairs carry their own frames, and counters add up", traffic_of_their_own);
	ksft_case("hostile commands change nothing", hostile_commands);
	ksft_case("a pair whose queues are not set up", queues_not_set_up);
	ksft_case("a backend that refuses", backend_refuses);
	ksft_case("what was sent goes out before the pair does", sent_before_it_goes);
	ksft_case("buffers of a pair come back", buffers_come_back);
	ksft_case("pairs switched while frames pass", switched_under_traffic);
	ksft_case("pairs are switched so often and no faster", switched_no_faster);
	ksft_case("a reset with pairs active", reset_with_pairs);
	ksft_case("polling misses nothing", polling_misses_nothing);
	return ksft_run(argc, argv);
}
