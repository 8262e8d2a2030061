// SPDX-License-Identifier: GPL-2.0-only
/*
 * virtio-mmio registers, and a whole device behind them: an echo device whose thread copies what is
 * readable to what is writable. Every register read is checked against the page, which a guest may
 * be reading directly.
 */
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <linux/virtio_mmio.h>

#include "kselftest.h"
#include "log.h"
#include "vdrv.h"

#define ACK	    VIRTIO_CONFIG_S_ACKNOWLEDGE
#define DRIVER	    VIRTIO_CONFIG_S_DRIVER
#define FEATURES_OK VIRTIO_CONFIG_S_FEATURES_OK
#define DRIVER_OK   VIRTIO_CONFIG_S_DRIVER_OK
#define NEEDS_RESET VIRTIO_CONFIG_S_NEEDS_RESET
#define RUNNING	    (ACK | DRIVER | FEATURES_OK | DRIVER_OK)
#define WAIT_MS	    20000
#define ALL	    (~0ull)

struct echo_config {
	uint64_t value;
	uint32_t writable;
	uint8_t odd[3];
} __attribute__((packed));

struct echo {
	struct vdev vd;
	pthread_t thread;
	int stop_fd;
	struct echo_config config;
};

static struct vdrv d;
static struct echo echo;
static struct vmmio *m;

static void *echo_thread(void *arg)
{
	struct echo *e = arg;
	struct vq *vq = &e->vd.vq[0];
	struct iovec iov[VQ_SIZE_MAX];
	struct vq_chain c = { .iov = iov, .iov_max = VQ_SIZE_MAX };
	struct pollfd p[2] = { { .fd = e->stop_fd, .events = POLLIN },
			       { .fd = vq->kick_fd, .events = POLLIN } };
	eventfd_t n;
	int ret;

	for (;;) {
		while ((ret = vq_pop(vq, &c)) == 1) {
			size_t len = c.nout && c.nin ? MIN(iov[0].iov_len, iov[c.nout].iov_len) : 0;

			if (len)
				memmove(iov[c.nout].iov_base, iov[0].iov_base, len);
			vq_push(vq, c.head, len);
		}
		vdev_flush(&e->vd, vq);
		if (ret < 0) {
			vdev_broken(&e->vd, vq->broken);
			p[1].fd = -1;
		} else if (vq_kicks_on(vq)) {
			continue;
		}
		poll(p, 2, -1);
		if (p[0].revents)
			return NULL;
		if (eventfd_read(vq->kick_fd, &n) == 0)
			vq->stat_kicks++;
	}
}

static int echo_activate(struct vdev *vd)
{
	struct echo *e = container_of(vd, struct echo, vd);

	return -pthread_create(&e->thread, NULL, echo_thread, e);
}

static void echo_quiesce(struct vdev *vd)
{
	struct echo *e = container_of(vd, struct echo, vd);
	eventfd_t n;

	eventfd_write(e->stop_fd, 1);
	pthread_join(e->thread, NULL);
	eventfd_read(e->stop_fd, &n);
}

static void echo_config_write(struct vdev *vd, uint32_t off, const void *buf, uint32_t len)
{
	struct echo *e = container_of(vd, struct echo, vd);

	if (off == offsetof(struct echo_config, writable) && len == 4)
		memcpy(&e->config.writable, buf, 4);
}

static const struct vdev_ops echo_ops = {
	.name = "echo",
	.id = 42,
	.activate = echo_activate,
	.quiesce = echo_quiesce,
	.config_write = echo_config_write,
};

static void end(void)
{
	if (!m)
		return;
	vdev_reset(&echo.vd);
	vmmio_destroy(m);
	m = NULL;
	vdev_fini(&echo.vd);
	close(echo.stop_fd);
	vdrv_fini(&d);
}

static void start(void)
{
	end();
	vdrv_init(&d);
	memset(&echo, 0, sizeof(echo));
	echo.stop_fd = eventfd(0, EFD_NONBLOCK);
	ksft_check(echo.stop_fd >= 0);
	ksft_eq(vdev_init(&echo.vd, &echo_ops, &d.mem, 1ull << 5, 3, 256), 0);
	strcpy(echo.vd.label, "echo0");
	echo.config.value = 0x1122334455667788;
	echo.vd.config = &echo.config;
	echo.vd.config_len = sizeof(echo.config);
	ksft_eq(vmmio_create(&echo.vd, &m), 0);
	d.m = m;
}

/* What the guest sees in the page and by an exit is the same. */
static uint32_t rd(uint32_t reg)
{
	uint32_t val = vdrv_read32(&d, reg), seen;

	memcpy(&seen, m->page + reg, 4);
	ksft_eq(val, seen);
	return val;
}

static void wr(uint32_t reg, uint32_t val)
{
	vdrv_write32(&d, reg, val);
}

static void identity(void)
{
	uint32_t reg;

	start();
	ksft_eq((uintptr_t)m->page % 4096, 0);
	ksft_eq(rd(VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
	ksft_eq(rd(VIRTIO_MMIO_VERSION), 2);
	ksft_eq(rd(VIRTIO_MMIO_DEVICE_ID), 42);
	ksft_eq(rd(VIRTIO_MMIO_VENDOR_ID), 0x47444f4c);
	ksft_eq(rd(VIRTIO_MMIO_STATUS), 0);
	ksft_eq(rd(VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	ksft_eq(rd(VIRTIO_MMIO_QUEUE_NUM_MAX), 256);
	ksft_eq(rd(VIRTIO_MMIO_QUEUE_READY), 0);
	ksft_eq(rd(VIRTIO_MMIO_SHM_LEN_LOW), 0xffffffff);
	ksft_eq(rd(VIRTIO_MMIO_SHM_LEN_HIGH), 0xffffffff);
	/* Write-only, legacy and unassigned registers read as zero, whatever was written. */
	for (reg = 0; reg < VIRTIO_MMIO_CONFIG; reg += 4) {
		switch (reg) {
		case VIRTIO_MMIO_MAGIC_VALUE ... VIRTIO_MMIO_DEVICE_FEATURES:
		case VIRTIO_MMIO_QUEUE_NUM_MAX:
		case VIRTIO_MMIO_SHM_LEN_LOW ... VIRTIO_MMIO_SHM_BASE_HIGH:
		case VIRTIO_MMIO_STATUS:
		case VIRTIO_MMIO_CONFIG_GENERATION:
			continue;
		}
		wr(reg, 0);
		ksft_eq(rd(reg), 0);
		if (reg != VIRTIO_MMIO_QUEUE_SEL)
			wr(reg, 0xffffffff);
		ksft_eq(rd(reg), 0);
	}
	/* And read-only ones stay. */
	for (reg = 0; reg < VIRTIO_MMIO_DEVICE_FEATURES; reg += 4)
		wr(reg, 0);
	ksft_eq(rd(VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
	ksft_eq(rd(VIRTIO_MMIO_DEVICE_ID), 42);
}

static void feature_words(void)
{
	start();
	wr(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
	ksft_eq(rd(VIRTIO_MMIO_DEVICE_FEATURES), (uint32_t)echo.vd.features);
	wr(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	ksft_eq(rd(VIRTIO_MMIO_DEVICE_FEATURES), echo.vd.features >> 32);
	wr(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 2);
	ksft_eq(rd(VIRTIO_MMIO_DEVICE_FEATURES), 0);
	wr(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0x80000001);
	ksft_eq(rd(VIRTIO_MMIO_DEVICE_FEATURES), 0);
}

static void refused_features(void)
{
	start();
	wr(VIRTIO_MMIO_STATUS, ACK | DRIVER);
	wr(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	wr(VIRTIO_MMIO_DRIVER_FEATURES, 1); /* VERSION_1 */
	wr(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	wr(VIRTIO_MMIO_DRIVER_FEATURES, 1 << 6); /* not offered */
	wr(VIRTIO_MMIO_STATUS, ACK | DRIVER | FEATURES_OK);
	ksft_eq(rd(VIRTIO_MMIO_STATUS), ACK | DRIVER);
	wr(VIRTIO_MMIO_DRIVER_FEATURES, 1 << 5);
	wr(VIRTIO_MMIO_STATUS, ACK | DRIVER | FEATURES_OK);
	ksft_eq(rd(VIRTIO_MMIO_STATUS), ACK | DRIVER | FEATURES_OK);
	/* Status is one byte: more is no reset, and nothing else either. */
	wr(VIRTIO_MMIO_STATUS, 0x100);
	wr(VIRTIO_MMIO_STATUS, 0x1000f);
	ksft_eq(rd(VIRTIO_MMIO_STATUS), ACK | DRIVER | FEATURES_OK);
}

static void queue_select(void)
{
	static const uint32_t bad[] = { 3, 4, 255, 256, 0x10000, 0x7fffffff, 0xffffffff };
	unsigned int i;

	start();
	d.notify = NULL;
	ksft_check(vdrv_features(&d, ALL));
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		wr(VIRTIO_MMIO_QUEUE_SEL, bad[i]);
		ksft_eq(rd(VIRTIO_MMIO_QUEUE_NUM_MAX), 0);
		ksft_eq(rd(VIRTIO_MMIO_QUEUE_READY), 0);
		wr(VIRTIO_MMIO_QUEUE_NUM, 8);
		wr(VIRTIO_MMIO_QUEUE_DESC_LOW, 0x10000);
		wr(VIRTIO_MMIO_QUEUE_READY, 1);
		ksft_eq(rd(VIRTIO_MMIO_QUEUE_READY), 0);
		wr(VIRTIO_MMIO_QUEUE_NOTIFY, bad[i]);
	}
	ksft_eq(rd(VIRTIO_MMIO_STATUS), ACK | DRIVER | FEATURES_OK);
	wr(VIRTIO_MMIO_QUEUE_SEL, 2);
	ksft_eq(rd(VIRTIO_MMIO_QUEUE_NUM_MAX), 256);
	vdrv_setup_queue(&d, 2, 8);
	wr(VIRTIO_MMIO_QUEUE_SEL, 1);
	ksft_eq(rd(VIRTIO_MMIO_QUEUE_READY), 0);
	wr(VIRTIO_MMIO_QUEUE_SEL, 2);
	ksft_eq(rd(VIRTIO_MMIO_QUEUE_READY), 1);
	wr(VIRTIO_MMIO_QUEUE_READY, 0);
	ksft_eq(rd(VIRTIO_MMIO_QUEUE_READY), 0);
}

static void queue_size(void)
{
	static const uint32_t bad[] = { 0, 3, 6, 512, 32768, 0x10008, 0x80000008, 0xffffffff };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		start();
		ksft_check(vdrv_features(&d, ALL));
		vdrv_q_init(&d, &d.q[0], 8, false);
		wr(VIRTIO_MMIO_QUEUE_DESC_LOW, d.q[0].desc_gpa);
		wr(VIRTIO_MMIO_QUEUE_AVAIL_LOW, d.q[0].avail_gpa);
		wr(VIRTIO_MMIO_QUEUE_USED_LOW, d.q[0].used_gpa);
		wr(VIRTIO_MMIO_QUEUE_USED_HIGH, d.q[0].used_gpa >> 32);
		wr(VIRTIO_MMIO_QUEUE_NUM, bad[i]);
		wr(VIRTIO_MMIO_QUEUE_READY, 1);
		ksft_eq(rd(VIRTIO_MMIO_QUEUE_READY), 0);
		ksft_check(vdrv_broken(&d));
		ksft_eq(rd(VIRTIO_MMIO_STATUS), ACK | DRIVER | FEATURES_OK | NEEDS_RESET);
		vdrv_reset(&d);
		ksft_eq(rd(VIRTIO_MMIO_STATUS), 0);
	}
}

static void queue_frozen(void)
{
	start();
	vdrv_start(&d, m, ALL, 1, 16);
	wr(VIRTIO_MMIO_QUEUE_SEL, 0);
	wr(VIRTIO_MMIO_QUEUE_NUM, 256);
	wr(VIRTIO_MMIO_QUEUE_DESC_LOW, 0);
	wr(VIRTIO_MMIO_QUEUE_DESC_HIGH, 7);
	wr(VIRTIO_MMIO_QUEUE_AVAIL_LOW, 0);
	wr(VIRTIO_MMIO_QUEUE_USED_HIGH, 0xffffffff);
	wr(VIRTIO_MMIO_QUEUE_READY, 0);
	ksft_eq(rd(VIRTIO_MMIO_QUEUE_READY), 1);
	ksft_eq(echo.vd.vq[0].size, 16);
	ksft_eq(echo.vd.vq[0].desc_gpa, d.q[0].desc_gpa);
	ksft_eq(echo.vd.vq[0].avail_gpa, d.q[0].avail_gpa);
	ksft_eq(echo.vd.vq[0].used_gpa, d.q[0].used_gpa);
	/* A second queue comes too late. */
	wr(VIRTIO_MMIO_QUEUE_SEL, 1);
	wr(VIRTIO_MMIO_QUEUE_NUM, 16);
	wr(VIRTIO_MMIO_QUEUE_READY, 1);
	ksft_eq(rd(VIRTIO_MMIO_QUEUE_READY), 0);
	ksft_eq(rd(VIRTIO_MMIO_STATUS), RUNNING);
}

static void access_sizes(void)
{
	uint64_t val = ~0ull;
	uint8_t byte = 0xff;
	unsigned int off;

	start();
	vmmio_read(m, 0, &val, 8);
	ksft_eq(val, 0);
	val = ~0ull;
	vmmio_read(m, 0, &val, 2);
	ksft_eq(val, 0xffffffffffff0000);
	vmmio_read(m, 0, &byte, 1);
	ksft_eq(byte, 0);
	for (off = 1; off < 4; off++) {
		uint32_t word = ~0u;

		vmmio_read(m, VIRTIO_MMIO_VENDOR_ID + off, &word, 4);
		ksft_eq(word, 0);
	}
	byte = ACK;
	vmmio_write(m, VIRTIO_MMIO_STATUS, &byte, 1);
	val = ACK;
	vmmio_write(m, VIRTIO_MMIO_STATUS, &val, 2);
	vmmio_write(m, VIRTIO_MMIO_STATUS, &val, 8);
	vmmio_write(m, VIRTIO_MMIO_STATUS + 2, &val, 4);
	ksft_eq(rd(VIRTIO_MMIO_STATUS), 0);
	/* Configuration space takes any width, up to its end and the page's. */
	for (off = 0; off < 8; off++) {
		vmmio_read(m, VIRTIO_MMIO_CONFIG + off, &byte, 1);
		ksft_eq(byte, 0x11 * (8 - off));
	}
	vmmio_read(m, VIRTIO_MMIO_CONFIG, &val, 8);
	ksft_eq(val, 0x1122334455667788);
	val = ~0ull;
	vmmio_read(m, VIRTIO_MMIO_CONFIG + sizeof(echo.config), &val, 8);
	ksft_eq(val, 0);
	vmmio_read(m, VMMIO_PAGE_SIZE - 8, &val, 8);
	ksft_eq(val, 0);
	for (off = 1; off < 20; off++) {
		val = ~0ull;
		vmmio_read(m, VMMIO_PAGE_SIZE - 8 + off, &val, 8);
		ksft_eq(val, 0);
		vmmio_write(m, VMMIO_PAGE_SIZE - 8 + off, &val, 8);
	}
	vmmio_read(m, ~0ull - 3, &val, 8);
	vmmio_write(m, ~0ull - 3, &val, 8);
	vmmio_write(m, 1ull << 32, &(uint32_t){ ACK }, 4);
	ksft_eq(rd(VIRTIO_MMIO_STATUS), 0);
}

static void config_access(void)
{
	uint32_t val = 0xcafe, seen;

	start();
	vmmio_write(m, VIRTIO_MMIO_CONFIG + 8, &val, 4);
	vdrv_config(&d, 8, &seen, 4);
	ksft_eq(seen, 0); /* not before FEATURES_OK */
	ksft_check(vdrv_features(&d, ALL));
	vmmio_write(m, VIRTIO_MMIO_CONFIG + 8, &val, 4);
	ksft_eq(*(uint32_t *)(m->page + VIRTIO_MMIO_CONFIG + 8), 0xcafe);
	val = 0xbeef;
	vmmio_write(m, VIRTIO_MMIO_CONFIG, &val, 4); /* a field that the device keeps */
	vmmio_write(m, VIRTIO_MMIO_CONFIG + 12, &val, 4);
	vmmio_write(m, VIRTIO_MMIO_CONFIG + 15, &val, 4);
	ksft_eq(*(uint64_t *)(m->page + VIRTIO_MMIO_CONFIG), 0x1122334455667788);
	ksft_eq(*(uint32_t *)(m->page + VIRTIO_MMIO_CONFIG + 12), 0);
}

static void generation(void)
{
	uint32_t before, after;

	start();
	before = rd(VIRTIO_MMIO_CONFIG_GENERATION);
	echo.vd.tp->config_changed(&echo.vd); /* nothing has */
	ksft_eq(rd(VIRTIO_MMIO_CONFIG_GENERATION), before);
	echo.config.odd[2]++;
	ksft_eq(m->page[VIRTIO_MMIO_CONFIG + 14], 0);
	echo.vd.tp->config_changed(&echo.vd);
	after = rd(VIRTIO_MMIO_CONFIG_GENERATION);
	ksft_check(after != before);
	ksft_eq(m->page[VIRTIO_MMIO_CONFIG + 14], 1);
}

#define CHANGES 100000

static void *change_config(void *arg)
{
	uint32_t i;

	for (i = 1; i <= CHANGES; i++) {
		echo.config.value = (uint64_t)i << 32 | i;
		echo.config.writable = i;
		echo.vd.tp->config_changed(&echo.vd);
	}
	return NULL;
}

/* A driver that reads while the device changes its configuration must not pair old with new. */
static void straddling(void)
{
	struct echo_config seen = { .writable = 0 };
	unsigned int reads = 0;
	pthread_t t;

	start();
	echo.config.value = 0;
	echo.vd.tp->config_changed(&echo.vd);
	ksft_check(!pthread_create(&t, NULL, change_config, NULL));
	while (seen.writable != CHANGES) {
		vdrv_config(&d, 0, &seen, sizeof(seen));
		reads++;
		if (seen.value != ((uint64_t)seen.writable << 32 | seen.writable))
			break;
	}
	pthread_join(t, NULL);
	ksft_msg("%u whole reads", reads);
	ksft_eq(seen.value, (uint64_t)CHANGES << 32 | CHANGES);
}

static bool irq_raised(void)
{
	eventfd_t n;

	return !eventfd_read(m->irq_fd, &n);
}

static void interrupt_status(void)
{
	start();
	vdrv_start(&d, m, ALL, 1, 8);
	ksft_check(!irq_raised());
	echo.vd.tp->irq(&echo.vd, 0);
	ksft_eq(rd(VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING);
	ksft_check(irq_raised());
	/* The accelerator swallows this acknowledgement; the next edges must come all the same. */
	echo.vd.tp->irq(&echo.vd, 0);
	ksft_check(irq_raised());
	echo.vd.tp->irq(&echo.vd, VDEV_IRQ_CONFIG);
	ksft_check(irq_raised());
	ksft_eq(rd(VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING | VIRTIO_MMIO_INT_CONFIG);
	/* Exactly the bits written are cleared. */
	wr(VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_CONFIG);
	ksft_eq(rd(VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING);
	wr(VIRTIO_MMIO_INTERRUPT_ACK, 0);
	wr(VIRTIO_MMIO_INTERRUPT_ACK, 0xfffffffe);
	ksft_eq(rd(VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING);
	wr(VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
	ksft_eq(rd(VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	echo.vd.tp->irq(&echo.vd, VDEV_IRQ_CONFIG);
	wr(VIRTIO_MMIO_STATUS, 0);
	ksft_eq(rd(VIRTIO_MMIO_INTERRUPT_STATUS), 0);
}

static void reset_registers(void)
{
	start();
	vdrv_start(&d, m, ALL, 0, 8);
	wr(VIRTIO_MMIO_QUEUE_SEL, 1);
	wr(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	wr(VIRTIO_MMIO_STATUS, 0);
	ksft_eq(rd(VIRTIO_MMIO_STATUS), 0);
	ksft_eq(rd(VIRTIO_MMIO_DEVICE_FEATURES), (uint32_t)echo.vd.features);
	ksft_eq(rd(VIRTIO_MMIO_QUEUE_READY), 0);
	ksft_eq(rd(VIRTIO_MMIO_QUEUE_NUM_MAX), 256);
	ksft_eq(echo.vd.negotiated, 0);
	ksft_check(!echo.vd.active);
}

static void notify(void)
{
	eventfd_t n;

	start();
	wr(VIRTIO_MMIO_QUEUE_NOTIFY, 1);
	wr(VIRTIO_MMIO_QUEUE_NOTIFY, 3);
	ksft_eq(eventfd_read(echo.vd.vq[0].kick_fd, &n), -1);
	ksft_eq(eventfd_read(echo.vd.vq[1].kick_fd, &n), 0);
	ksft_eq(eventfd_read(echo.vd.vq[2].kick_fd, &n), -1);
}

static void echoes(uint64_t features, unsigned int rounds)
{
	uint64_t out, in;
	unsigned int i;
	uint32_t len;

	start();
	vdrv_start(&d, m, features, 0, 0);
	ksft_eq(d.q[0].size, 256);
	out = vdrv_alloc(&d, 4096, 4096);
	in = vdrv_alloc_high(&d, 4096, 4096);
	for (i = 0; i < rounds; i++) {
		*(uint32_t *)vdrv_hva(&d, out, 4) = i;
		vdrv_add(&d.q[0], (struct vdrv_buf[]){ { out, 100 }, { in, 200 } }, 1, 1,
			 features && i % 2);
		vdrv_kick(&d.q[0]);
		ksft_check(vdrv_wait_used(&d.q[0], NULL, &len, WAIT_MS));
		ksft_eq(len, 100);
		ksft_eq(*(uint32_t *)vdrv_hva(&d, in, 4), i);
	}
	ksft_eq(rd(VIRTIO_MMIO_STATUS), RUNNING);
}

static void echo_all_features(void)
{
	echoes(ALL, 2000);
}

static void echo_no_features(void)
{
	echoes(0, 2000);
}

/* The driver resets at any moment, with chains on their way, and starts over. */
static void reset_in_the_middle(void)
{
	unsigned int round, i;
	uint64_t gpa, low, high;

	start();
	gpa = vdrv_alloc(&d, 4096, 4096);
	low = d.low_next;
	high = d.high_next;
	for (round = 0; round < 300; round++) {
		d.low_next = low;
		d.high_next = high;
		memset(vdrv_hva(&d, low, 1 << 20), 0, 1 << 20);
		memset(vdrv_hva(&d, high, 1 << 20), 0, 1 << 20);
		vdrv_start(&d, m, round % 2 ? ALL : 0, 1 + round % 3, 64);
		vdrv_add(&d.q[0], (struct vdrv_buf[]){ { gpa, 8 }, { gpa + 64, 8 } }, 1, 1, false);
		vdrv_kick(&d.q[0]);
		ksft_check(vdrv_wait_used(&d.q[0], NULL, NULL, WAIT_MS));
		for (i = 0; i < 20; i++) {
			vdrv_add(&d.q[0], (struct vdrv_buf[]){ { gpa, 8 }, { gpa + 64, 8 } }, 1, 1,
				 false);
			if (i % 4 == 0)
				vdrv_kick(&d.q[0]);
		}
		vdrv_kick(&d.q[0]);
		for (i = 0; i < round % 7; i++)
			vdrv_used(&d.q[0], NULL, NULL);
		vdrv_reset(&d);
		ksft_eq(rd(VIRTIO_MMIO_STATUS), 0);
		ksft_eq(rd(VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	}
	ksft_eq(echo.vd.stat_resets, 600); /* each start begins with one */
}

static void bad_chain(void)
{
	unsigned int round;
	uint32_t irq;

	start();
	for (round = 0; round < 3; round++) {
		vdrv_start(&d, m, ALL, 1, 8);
		vdrv_add(&d.q[0], &(struct vdrv_buf){ 0xd0000000, 8 }, 1, 0, false);
		vdrv_kick(&d.q[0]);
		do
			irq = vdrv_wait_irq(&d, WAIT_MS);
		while (irq && !(irq & VIRTIO_MMIO_INT_CONFIG));
		ksft_check(irq);
		/* The page says so no later than the interrupt. */
		ksft_eq(rd(VIRTIO_MMIO_STATUS), RUNNING | NEEDS_RESET);
		vdrv_kick(&d.q[0]);
		ksft_check(!vdrv_used(&d.q[0], NULL, NULL));
	}
}

static void start_by_hand(void)
{
	static const uint8_t step[] = { 0, 1, 3, 11 };
	struct vdrv_q *q = &d.q[0];
	unsigned int i;

	store_once(&q->avail->idx, 0);
	for (i = 0; i < ARRAY_SIZE(step); i++) {
		vdrv_write32(&d, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
		vdrv_write32(&d, VIRTIO_MMIO_DRIVER_FEATURES, 1);
		vdrv_write32(&d, VIRTIO_MMIO_STATUS, step[i]);
	}
	vdrv_write32(&d, VIRTIO_MMIO_QUEUE_SEL, 0);
	vdrv_write32(&d, VIRTIO_MMIO_QUEUE_NUM, 8);
	vdrv_write32(&d, VIRTIO_MMIO_QUEUE_DESC_LOW, q->desc_gpa);
	vdrv_write32(&d, VIRTIO_MMIO_QUEUE_AVAIL_LOW, q->avail_gpa);
	vdrv_write32(&d, VIRTIO_MMIO_QUEUE_USED_LOW, q->used_gpa);
	vdrv_write32(&d, VIRTIO_MMIO_QUEUE_USED_HIGH, q->used_gpa >> 32);
	vdrv_write32(&d, VIRTIO_MMIO_QUEUE_READY, 1);
	vdrv_write32(&d, VIRTIO_MMIO_STATUS, 15);
}

/* Several vCPUs at once, none of which plays by the rules; the device's thread comes and goes. */
static void *hostile(void *arg)
{
	uint32_t seed = (uintptr_t)arg, i;
	struct vdrv_q *q = &d.q[0];

	for (i = 0; i < 20000; i++) {
		static const uint32_t regs[] = {
			VIRTIO_MMIO_STATUS,	     VIRTIO_MMIO_STATUS,
			VIRTIO_MMIO_QUEUE_SEL,	     VIRTIO_MMIO_QUEUE_NUM,
			VIRTIO_MMIO_QUEUE_READY,     VIRTIO_MMIO_QUEUE_NOTIFY,
			VIRTIO_MMIO_QUEUE_DESC_LOW,  VIRTIO_MMIO_QUEUE_AVAIL_LOW,
			VIRTIO_MMIO_QUEUE_USED_LOW,  VIRTIO_MMIO_QUEUE_USED_HIGH,
			VIRTIO_MMIO_DRIVER_FEATURES, VIRTIO_MMIO_DRIVER_FEATURES_SEL,
			VIRTIO_MMIO_INTERRUPT_ACK,   VIRTIO_MMIO_DEVICE_FEATURES_SEL,
			VIRTIO_MMIO_CONFIG + 8,
		};
		uint32_t reg, val;

		seed = seed * 1664525 + 1013904223;
		reg = regs[(seed >> 8) % ARRAY_SIZE(regs)];
		val = (seed >> 16) % 4;
		switch (reg) {
		case VIRTIO_MMIO_STATUS:
			val = (const uint8_t[]){ 0, 1, 3, 11, 15, 15, 15, 15 }[(seed >> 20) % 8];
			break;
		case VIRTIO_MMIO_QUEUE_NUM:
			val = 8;
			break;
		case VIRTIO_MMIO_QUEUE_DESC_LOW:
			val = q->desc_gpa;
			break;
		case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
			val = q->avail_gpa;
			break;
		case VIRTIO_MMIO_QUEUE_USED_LOW:
			val = q->used_gpa;
			break;
		case VIRTIO_MMIO_QUEUE_USED_HIGH:
			val = q->used_gpa >> 32;
			break;
		case VIRTIO_MMIO_DRIVER_FEATURES:
			vdrv_write32(&d, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
			val = 1;
			break;
		}
		vdrv_write32(&d, reg, val);
		if (seed >> 24 == 0)
			start_by_hand();
		store_once(&q->avail->idx, load_once(&q->avail->idx) + (seed >> 18) % 3);
		vdrv_write32(&d, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
		vdrv_read32(&d, reg & ~3u);
	}
	return NULL;
}

static void hostile_vcpus(void)
{
	pthread_t t[3];
	uintptr_t i;

	start();
	vdrv_q_init(&d, &d.q[0], 8, false);
	for (i = 0; i < 8; i++)
		d.q[0].desc[i] =
			(struct vring_desc){ VDRV_LOW_GPA, 16, i % 3 ? 1 : 2, (i + 1) % 8 };
	for (i = 0; i < 3; i++)
		ksft_check(!pthread_create(&t[i], NULL, hostile, (void *)(i + 1)));
	for (i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	ksft_msg("%llu resets, broken %u times, %llu chains",
		 (unsigned long long)echo.vd.stat_resets, echo.vd.stat_broken,
		 (unsigned long long)echo.vd.vq[0].stat_chains);
	ksft_check(echo.vd.stat_resets && echo.vd.vq[0].stat_chains);
	/* And it still works for who behaves. */
	vdrv_start(&d, m, ALL, 1, 8);
	vdrv_add(&d.q[0], &(struct vdrv_buf){ VDRV_LOW_GPA, 8 }, 1, 0, false);
	vdrv_kick(&d.q[0]);
	ksft_check(vdrv_wait_used(&d.q[0], NULL, NULL, WAIT_MS));
}

int main(int argc, char **argv)
{
	int ret;

	log_set_level(LOG_ERR);
	ksft_case("identity, unassigned and read-only registers", identity);
	ksft_case("feature words", feature_words);
	ksft_case("unoffered features", refused_features);
	ksft_case("queue_select out of range", queue_select);
	ksft_case("queue size not offered", queue_size);
	ksft_case("queue changed after set-up", queue_frozen);
	ksft_case("access sizes, alignment and bounds", access_sizes);
	ksft_case("configuration written at the wrong time or place", config_access);
	ksft_case("configuration generation", generation);
	ksft_case("configuration read while it changes", straddling);
	ksft_case("interrupt status and acknowledgement", interrupt_status);
	ksft_case("reset clears the registers", reset_registers);
	ksft_case("notify", notify);
	ksft_case("a device at work, all features", echo_all_features);
	ksft_case("a device at work, no features", echo_no_features);
	ksft_case("reset in the middle, with chains in flight", reset_in_the_middle);
	ksft_case("a bad chain: NEEDS_RESET and the interrupt", bad_chain);
	ksft_case("several hostile vCPUs", hostile_vcpus);
	ret = ksft_run(argc, argv);
	end();
	return ret;
}
