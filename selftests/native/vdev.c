// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device's life without a transport: what order of status, feature and queue writes a driver may
 * use, and what the device and its threads see of it. The device here only counts.
 */
#include <sys/eventfd.h>
#include <unistd.h>

#include "kselftest.h"
#include "log.h"
#include "vdrv.h"
#include "vdev.h"

#define ACK	    VIRTIO_CONFIG_S_ACKNOWLEDGE
#define DRIVER	    VIRTIO_CONFIG_S_DRIVER
#define FEATURES_OK VIRTIO_CONFIG_S_FEATURES_OK
#define DRIVER_OK   VIRTIO_CONFIG_S_DRIVER_OK
#define NEEDS_RESET VIRTIO_CONFIG_S_NEEDS_RESET
#define FAILED	    VIRTIO_CONFIG_S_FAILED
#define READY	    (ACK | DRIVER | FEATURES_OK)

#define V1	(1ull << VIRTIO_F_VERSION_1)
#define F_BASE	(1ull << 3)
#define F_EXTRA (1ull << 4) /* needs F_BASE */

static struct vdrv d;
static struct vdev vd;
static uint8_t config[12];
static int activated, quiesced, config_writes, irqs[2], activate_ret;
static bool have_device;
static void (*in_quiesce)(void);

static int toy_activate(struct vdev *v)
{
	activated++;
	return activate_ret;
}

static void toy_quiesce(struct vdev *v)
{
	quiesced++;
	if (in_quiesce)
		in_quiesce();
}

static bool toy_features_ok(uint64_t f)
{
	return !(f & F_EXTRA) || f & F_BASE;
}

static void toy_config_write(struct vdev *v, uint32_t off, const void *buf, uint32_t len)
{
	config_writes++;
	memcpy(config + off, buf, len);
}

static void toy_stats(struct vdev *v, FILE *out)
{
	fputs("toys=3", out);
}

static const struct vdev_ops toy_ops = {
	.name = "toy",
	.id = 42,
	.activate = toy_activate,
	.quiesce = toy_quiesce,
	.features_ok = toy_features_ok,
	.config_write = toy_config_write,
	.stats = toy_stats,
};

static void toy_irq(struct vdev *v, int queue)
{
	__atomic_fetch_add(&irqs[queue == VDEV_IRQ_CONFIG], 1, __ATOMIC_SEQ_CST);
}

static const struct vdev_transport toy_tp = { .irq = toy_irq };

static void end(void)
{
	if (!have_device)
		return;
	vdev_reset(&vd);
	vdev_fini(&vd);
	vdrv_fini(&d);
	have_device = false;
}

static void start(void)
{
	in_quiesce = NULL;
	end();
	activated = quiesced = config_writes = irqs[0] = irqs[1] = activate_ret = 0;
	vdrv_init(&d);
	memset(&vd, 0, sizeof(vd));
	memset(config, 0, sizeof(config));
	ksft_eq(vdev_init(&vd, &toy_ops, &d.mem, F_BASE | F_EXTRA, 3, 64), 0);
	have_device = true;
	strcpy(vd.label, "toy0");
	vd.config = config;
	vd.config_len = sizeof(config);
	vd.tp = &toy_tp;
}

static void features(uint64_t f)
{
	vdev_set_features(&vd, 0, f);
	vdev_set_features(&vd, 1, f >> 32);
}

static uint8_t status(uint8_t val)
{
	vdev_set_status(&vd, val);
	return vd.status;
}

static void negotiate(uint64_t f)
{
	status(ACK);
	status(ACK | DRIVER);
	features(f);
	ksft_eq(status(READY), READY);
}

static int enable(unsigned int index)
{
	struct vdrv_q *q = &d.q[index];
	struct vq *vq = vdev_queue_setup(&vd, index);

	ksft_check(vq);
	vdrv_q_init(&d, q, 8, vdev_has(&vd, VIRTIO_RING_F_EVENT_IDX));
	vq->size = 8;
	vq->desc_gpa = q->desc_gpa;
	vq->avail_gpa = q->avail_gpa;
	vq->used_gpa = q->used_gpa;
	return vdev_queue_enable(&vd, index);
}

static void run(void)
{
	start();
	negotiate(V1);
	ksft_eq(enable(0), 0);
	ksft_eq(status(READY | DRIVER_OK), READY | DRIVER_OK);
	ksft_eq(activated, 1);
}

/* --- features --- */

static void unoffered(void)
{
	unsigned int bit;

	start();
	for (bit = 0; bit < 64; bit++) {
		if (vd.features >> bit & 1)
			continue;
		vdev_reset(&vd);
		status(ACK | DRIVER);
		features(V1 | 1ull << bit);
		ksft_eq(status(READY), ACK | DRIVER);
		/* The driver may think again. */
		features(V1);
		ksft_eq(status(READY), READY);
	}
}

static void without_version_1(void)
{
	start();
	status(ACK | DRIVER);
	features(F_BASE);
	ksft_eq(status(READY), ACK | DRIVER);
	/* Nor without a word about features. */
	start();
	status(ACK | DRIVER);
	ksft_eq(status(READY), ACK | DRIVER);
}

static void dependency(void)
{
	start();
	status(ACK | DRIVER);
	features(V1 | F_EXTRA);
	ksft_eq(status(READY), ACK | DRIVER);
	features(V1 | F_EXTRA | F_BASE);
	ksft_eq(status(READY), READY);
}

static void features_frozen(void)
{
	start();
	negotiate(V1 | F_BASE);
	features(V1 | F_EXTRA | 1ull << 60);
	ksft_eq(vd.negotiated, V1 | F_BASE);
	vdev_set_features(&vd, 2, ~0u);
	vdev_set_features(&vd, 0x80000001, 0);
	ksft_eq(vd.negotiated, V1 | F_BASE);
	vdev_reset(&vd);
	ksft_eq(vd.negotiated, 0);
	features(V1);
	vdev_set_features(&vd, 2, ~0u);
	vdev_set_features(&vd, 33, ~0u);
	ksft_eq(vd.negotiated, V1);
}

/* --- status --- */

static void status_order(void)
{
	start();
	features(V1);
	ksft_eq(status(FEATURES_OK), 0);
	ksft_eq(status(DRIVER_OK), 0);
	ksft_eq(status(ACK), ACK);
	ksft_eq(status(ACK | FEATURES_OK), ACK);
	ksft_eq(status(ACK | DRIVER), ACK | DRIVER);
	ksft_eq(status(ACK | DRIVER | DRIVER_OK), ACK | DRIVER);
	ksft_eq(activated, 0);
	ksft_eq(status(READY), READY);
}

static void status_bits_stay(void)
{
	run();
	ksft_eq(status(ACK), READY | DRIVER_OK);
	ksft_eq(status(DRIVER_OK), READY | DRIVER_OK);
	ksft_eq(status(READY), READY | DRIVER_OK);
	ksft_eq(activated, 1);
	ksft_eq(quiesced, 0);
	/* Clearing FEATURES_OK must not reopen the negotiation. */
	status(ACK | DRIVER | DRIVER_OK);
	features(V1 | F_BASE);
	ksft_eq(vd.negotiated, V1);
	/* Bits that are not the driver's, or nobody's. */
	ksft_eq(status(READY | DRIVER_OK | NEEDS_RESET | 16 | 32), READY | DRIVER_OK);
	ksft_eq(status(0), 0);
	ksft_eq(quiesced, 1);
}

static void activate_once(void)
{
	run();
	status(READY | DRIVER_OK);
	status(DRIVER_OK);
	ksft_eq(activated, 1);
}

static void no_queue(void)
{
	start();
	negotiate(V1);
	status(READY | DRIVER_OK);
	ksft_eq(activated, 0);
	ksft_check(vdev_is_broken(&vd));
	ksft_eq(status(0), 0);
	ksft_eq(quiesced, 0);
}

static void failed(void)
{
	start();
	negotiate(V1);
	ksft_eq(enable(0), 0);
	ksft_eq(status(READY | FAILED), READY | FAILED);
	ksft_eq(status(READY | FAILED | DRIVER_OK), READY | FAILED);
	ksft_eq(activated, 0);
}

static void activate_fails(void)
{
	start();
	activate_ret = -ENOMEM;
	negotiate(V1);
	ksft_eq(enable(0), 0);
	ksft_eq(status(READY | DRIVER_OK), READY | DRIVER_OK | NEEDS_RESET);
	ksft_eq(irqs[1], 1);
	ksft_eq(status(0), 0);
	ksft_eq(quiesced, 0);
	activate_ret = 0;
	negotiate(V1);
	ksft_eq(enable(0), 0);
	ksft_eq(status(READY | DRIVER_OK), READY | DRIVER_OK);
}

/* --- queues --- */

static void queue_states(void)
{
	start();
	ksft_check(!vdev_queue_setup(&vd, 0));
	ksft_eq(vdev_queue_enable(&vd, 0), -EBUSY);
	status(ACK | DRIVER);
	ksft_check(!vdev_queue_setup(&vd, 0));
	features(V1);
	status(READY);
	ksft_check(vdev_queue_setup(&vd, 0));
	ksft_check(vdev_queue_setup(&vd, 2));
	ksft_check(!vdev_queue_setup(&vd, 3));
	ksft_check(!vdev_queue_setup(&vd, ~0u));
	ksft_eq(vdev_queue_enable(&vd, 3), -EBUSY);
	ksft_eq(vdev_queue_enable(&vd, ~0u), -EBUSY);
	ksft_eq(enable(0), 0);
	/* Size and addresses of an enabled queue stand. */
	ksft_check(!vdev_queue_setup(&vd, 0));
	ksft_eq(vdev_queue_enable(&vd, 0), -EBUSY);
	ksft_check(!vd.vq[0].event_idx && !vd.vq[0].indirect);
	/* But it may be taken back while nothing runs. */
	vdev_queue_disable(&vd, 3);
	vdev_queue_disable(&vd, 0);
	ksft_check(!vd.vq[0].enabled);
	ksft_eq(enable(0), 0);
	status(READY | DRIVER_OK);
	vdev_queue_disable(&vd, 0);
	ksft_check(vd.vq[0].enabled);
	ksft_check(!vdev_queue_setup(&vd, 1));
	ksft_eq(vdev_queue_enable(&vd, 1), -EBUSY);
	ksft_check(!vdev_is_broken(&vd));
}

static void queue_features(void)
{
	start();
	negotiate(V1 | 1ull << VIRTIO_RING_F_EVENT_IDX);
	ksft_eq(enable(0), 0);
	ksft_check(vd.vq[0].event_idx && !vd.vq[0].indirect);
	start();
	negotiate(V1 | 1ull << VIRTIO_RING_F_INDIRECT_DESC);
	ksft_eq(enable(0), 0);
	ksft_check(!vd.vq[0].event_idx && vd.vq[0].indirect);
}

static void bad_ring(void)
{
	start();
	negotiate(V1);
	vdev_queue_setup(&vd, 1)->size = 48;
	ksft_eq(vdev_queue_enable(&vd, 1), -EINVAL);
	ksft_eq(vd.status, READY | NEEDS_RESET);
	ksft_eq(irqs[1], 0); /* not before DRIVER_OK (2.1.2) */
	ksft_eq(status(READY | DRIVER_OK), READY | NEEDS_RESET);
	ksft_eq(activated, 0);
	ksft_eq(status(0), 0);
	negotiate(V1);
	ksft_eq(enable(1), 0);
	ksft_eq(status(READY | DRIVER_OK), READY | DRIVER_OK);
}

/* --- configuration --- */

static void config_states(void)
{
	const uint32_t val = 0x11223344;

	start();
	vdev_config_write(&vd, 0, &val, 4);
	status(ACK | DRIVER);
	vdev_config_write(&vd, 0, &val, 4);
	ksft_eq(config_writes, 0);
	features(V1);
	status(READY);
	vdev_config_write(&vd, 8, &val, 4);
	ksft_eq(config_writes, 1);
	ksft_memeq(config + 8, &val, 4);
	vdev_config_write(&vd, 9, &val, 4);
	vdev_config_write(&vd, 12, &val, 1);
	vdev_config_write(&vd, ~0u, &val, 4);
	vdev_config_write(&vd, ~0u - 3, &val, 4);
	ksft_eq(config_writes, 1);
}

/* --- reset and errors --- */

static void reset(void)
{
	eventfd_t n;
	unsigned int round;

	start();
	for (round = 1; round <= 3; round++) {
		negotiate(V1 | F_BASE);
		ksft_eq(enable(0), 0);
		ksft_eq(enable(2), 0);
		status(READY | DRIVER_OK);
		eventfd_write(vd.vq[0].kick_fd, 3);
		ksft_eq(status(0), 0);
		ksft_eq(activated, round);
		ksft_eq(quiesced, round);
		ksft_eq(vd.negotiated, 0);
		ksft_eq(vd.stat_resets, round);
		ksft_check(!vd.vq[0].enabled && !vd.vq[2].enabled && !vd.vq[0].desc);
		ksft_eq(eventfd_read(vd.vq[0].kick_fd, &n), -1);
		ksft_eq(errno, EAGAIN);
	}
	vdev_reset(&vd);
	ksft_eq(quiesced, 3);
}

static void broken_once(void)
{
	run();
	vdev_broken(&vd, "first");
	vdev_broken(&vd, "second");
	ksft_eq(vd.status, READY | DRIVER_OK | NEEDS_RESET);
	ksft_eq(irqs[1], 1);
	ksft_eq(vd.stat_broken, 1);
	ksft_eq(status(0), 0);
	ksft_check(!vdev_is_broken(&vd));
	negotiate(V1);
	ksft_eq(enable(0), 0);
	status(READY | DRIVER_OK);
	vdev_broken(&vd, "third");
	ksft_eq(irqs[1], 2);
}

static void *break_it(void *arg)
{
	vdev_broken(&vd, "a bad request");
	return NULL;
}

static void break_and_wait(void)
{
	pthread_t t;

	if (pthread_create(&t, NULL, break_it, NULL))
		abort();
	pthread_join(t, NULL);
}

/* The device's thread finds an error while the vCPU that resets waits for it, under the lock. */
static void broken_in_quiesce(void)
{
	run();
	in_quiesce = break_and_wait;
	ksft_eq(status(0), 0);
	ksft_eq(quiesced, 1);
	ksft_eq(irqs[1], 1);
	ksft_check(!vdev_is_broken(&vd));
}

static void log_is_bounded(void)
{
	FILE *f = tmpfile();
	int saved = dup(2), lines = 0, i, ch;

	ksft_check(f && saved >= 0);
	start();
	fflush(stderr);
	dup2(fileno(f), 2);
	log_set_level(LOG_WARN);
	for (i = 0; i < 1000; i++) {
		vdev_broken(&vd, "a rule");
		vdev_reset(&vd);
	}
	activate_ret = -EIO;
	for (i = 0; i < 1000; i++) {
		negotiate(V1);
		ksft_eq(enable(0), 0);
		status(READY | DRIVER_OK);
		vdev_reset(&vd);
	}
	fflush(stderr);
	log_set_level(LOG_ERR);
	dup2(saved, 2);
	close(saved);
	rewind(f);
	while ((ch = getc(f)) != EOF)
		lines += ch == '\n';
	fclose(f);
	ksft_eq(vd.stat_broken, 2000);
	ksft_check(lines >= 1 && lines <= 16);
}

static void flush(void)
{
	struct iovec iov[8];
	struct vq_chain c = { .iov = iov, .iov_max = 8 };
	uint64_t gpa;

	run();
	gpa = vdrv_alloc(&d, 64, 64);
	vdev_flush(&vd, &vd.vq[0]);
	ksft_eq(irqs[0], 0);
	vdrv_add(&d.q[0], &(struct vdrv_buf){ gpa, 64 }, 0, 1, false);
	vdrv_publish(&d.q[0]);
	ksft_eq(vq_pop(&vd.vq[0], &c), 1);
	vq_push(&vd.vq[0], c.head, 1);
	vdev_flush(&vd, &vd.vq[0]);
	ksft_eq(irqs[0], 1);
	ksft_eq(vd.vq[0].stat_irqs, 1);
	vdrv_irq_off(&d.q[0]);
	vdrv_add(&d.q[0], &(struct vdrv_buf){ gpa, 64 }, 0, 1, false);
	vdrv_publish(&d.q[0]);
	ksft_eq(vq_pop(&vd.vq[0], &c), 1);
	vq_push(&vd.vq[0], c.head, 1);
	vdev_flush(&vd, &vd.vq[0]);
	ksft_eq(irqs[0], 1);
}

static void stats(void)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	bool whole;

	start();
	vd.vq[2].stat_chains = 12345;
	vdev_print_stats(&vd, f);
	fclose(f);
	whole = !strncmp(text, "toy0: ", 6) && strstr(text, " q2.chains=12345 ") &&
		strstr(text, " toys=3\n") && strchr(text, '\n') == text + len - 1;
	if (!whole)
		ksft_msg("%s", text);
	free(text);
	ksft_check(whole);
}

int main(int argc, char **argv)
{
	int ret;

	log_set_level(LOG_ERR);
	ksft_case("unoffered features", unoffered);
	ksft_case("features without VERSION_1", without_version_1);
	ksft_case("a feature without the one it needs", dependency);
	ksft_case("features after FEATURES_OK", features_frozen);
	ksft_case("status steps out of order", status_order);
	ksft_case("status bits cleared", status_bits_stay);
	ksft_case("DRIVER_OK twice", activate_once);
	ksft_case("DRIVER_OK without a queue", no_queue);
	ksft_case("DRIVER_OK after FAILED", failed);
	ksft_case("a device that cannot start", activate_fails);
	ksft_case("queue set-up at the wrong time, queue index out of range", queue_states);
	ksft_case("ring features follow the negotiation", queue_features);
	ksft_case("a bad ring breaks the device", bad_ring);
	ksft_case("configuration written at the wrong time or place", config_states);
	ksft_case("reset and restart", reset);
	ksft_case("a device breaks once", broken_once);
	ksft_case("a device breaks while it is being reset", broken_in_quiesce);
	ksft_case("a guest cannot fill the log", log_is_bounded);
	ksft_case("interrupts only when they are wanted", flush);
	ksft_case("statistics", stats);
	ret = ksft_run(argc, argv);
	in_quiesce = NULL;
	end();
	return ret;
}
