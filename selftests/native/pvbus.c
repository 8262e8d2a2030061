// SPDX-License-Identifier: GPL-2.0-only
/*
 * virtio/pvbus.c: the registers through the hypercall's arguments and the page, and who is
 * interrupted: the queue's own eventfd for used buffers, the configuration's for everything else.
 */
#include <sys/eventfd.h>
#include <unistd.h>
#include <linux/virtio_mmio.h>

#include "kselftest.h"
#include "lite/abi/pv.h"
#include "log.h"
#include "pvbus.h"
#include "vdrv.h"

#define ACK	    VIRTIO_CONFIG_S_ACKNOWLEDGE
#define DRIVER	    VIRTIO_CONFIG_S_DRIVER
#define FEATURES_OK VIRTIO_CONFIG_S_FEATURES_OK
#define DRIVER_OK   VIRTIO_CONFIG_S_DRIVER_OK
#define NEEDS_RESET VIRTIO_CONFIG_S_NEEDS_RESET
#define NVQ	    3

static struct vdrv d;
static struct vdev vd;
static struct pvbus *b;
static uint32_t config[2];
static bool active;

static int toy_activate(struct vdev *v)
{
	active = true;
	return 0;
}

static void toy_quiesce(struct vdev *v)
{
	active = false;
}

static void toy_config_write(struct vdev *v, uint32_t off, const void *buf, uint32_t len)
{
	memcpy((uint8_t *)config + off, buf, len);
}

static const struct vdev_ops toy_ops = {
	.name = "toy",
	.id = 42,
	.activate = toy_activate,
	.quiesce = toy_quiesce,
	.config_write = toy_config_write,
};

static uint32_t rd(uint32_t reg)
{
	uint32_t val;

	memcpy(&val, pvbus_page(b) + reg, 4);
	return val;
}

static void wr(uint32_t reg, uint32_t val)
{
	pvbus_write(b, reg, val, 4);
}

static unsigned int signals(int fd)
{
	eventfd_t n = 0;

	eventfd_read(fd, &n);
	return n;
}

static void up(unsigned int nvq)
{
	memset(&vd, 0, sizeof(vd));
	memset(config, 0, sizeof(config));
	config[0] = 0x11223344;
	vdrv_init(&d);
	ksft_eq(vdev_init(&vd, &toy_ops, &d.mem, 0, nvq, 256), 0);
	strcpy(vd.label, "toy0");
	vd.config = config;
	vd.config_len = sizeof(config);
	ksft_eq(pvbus_create(&vd, &b), 0);
}

static void down(void)
{
	vdev_reset(&vd);
	pvbus_destroy(b);
	vdev_fini(&vd);
	vdrv_fini(&d);
}

/* To DRIVER_OK with all queues, by the specification's walk. */
static void drive(void)
{
	unsigned int i;

	wr(VIRTIO_MMIO_STATUS, 0);
	wr(VIRTIO_MMIO_STATUS, ACK);
	wr(VIRTIO_MMIO_STATUS, ACK | DRIVER);
	wr(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	ksft_eq(rd(VIRTIO_MMIO_DEVICE_FEATURES), 1);
	wr(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	wr(VIRTIO_MMIO_DRIVER_FEATURES, 1);
	wr(VIRTIO_MMIO_STATUS, ACK | DRIVER | FEATURES_OK);
	ksft_eq(rd(VIRTIO_MMIO_STATUS), ACK | DRIVER | FEATURES_OK);
	for (i = 0; i < NVQ; i++) {
		struct vdrv_q *q = &d.q[i];

		wr(VIRTIO_MMIO_QUEUE_SEL, i);
		ksft_eq(rd(VIRTIO_MMIO_QUEUE_NUM_MAX), 256);
		vdrv_q_init(&d, q, 16, false);
		wr(VIRTIO_MMIO_QUEUE_NUM, 16);
		wr(VIRTIO_MMIO_QUEUE_DESC_LOW, q->desc_gpa);
		wr(VIRTIO_MMIO_QUEUE_DESC_HIGH, q->desc_gpa >> 32);
		wr(VIRTIO_MMIO_QUEUE_AVAIL_LOW, q->avail_gpa);
		wr(VIRTIO_MMIO_QUEUE_AVAIL_HIGH, q->avail_gpa >> 32);
		wr(VIRTIO_MMIO_QUEUE_USED_LOW, q->used_gpa);
		wr(VIRTIO_MMIO_QUEUE_USED_HIGH, q->used_gpa >> 32);
		wr(VIRTIO_MMIO_QUEUE_READY, 1);
		ksft_eq(rd(VIRTIO_MMIO_QUEUE_READY), 1);
		d.q[i].kick_fd = vd.vq[i].kick_fd;
	}
	wr(VIRTIO_MMIO_STATUS, ACK | DRIVER | FEATURES_OK | DRIVER_OK);
	ksft_eq(rd(VIRTIO_MMIO_STATUS), ACK | DRIVER | FEATURES_OK | DRIVER_OK);
	ksft_check(active);
}

/* One buffer through queue @i, on both sides by hand. */
static void one(unsigned int i)
{
	struct vdrv_buf buf = { .gpa = vdrv_alloc(&d, 16, 16), .len = 16 };
	struct iovec iov[VQ_SIZE_MAX];
	struct vq_chain c = { .iov = iov, .iov_max = VQ_SIZE_MAX };
	uint16_t head;
	uint32_t len;

	ksft_check(vdrv_add(&d.q[i], &buf, 0, 1, false) >= 0);
	vdrv_kick(&d.q[i]);
	ksft_eq(signals(vd.vq[i].kick_fd), 1);
	ksft_eq(vq_pop(&vd.vq[i], &c), 1);
	vq_push(&vd.vq[i], c.head, 5);
	vdev_flush(&vd, &vd.vq[i]);
	ksft_check(vdrv_used(&d.q[i], &head, &len));
	ksft_eq(len, 5);
}

static void identity(void)
{
	up(NVQ);
	ksft_eq(rd(VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
	ksft_eq(rd(VIRTIO_MMIO_VERSION), 2);
	ksft_eq(rd(VIRTIO_MMIO_DEVICE_ID), 42);
	ksft_eq(rd(VIRTIO_MMIO_STATUS), 0);
	ksft_eq(rd(VIRTIO_MMIO_CONFIG), 0x11223344);
	down();
}

static void per_queue(void)
{
	unsigned int i, k;

	up(NVQ);
	drive();
	for (i = 0; i < NVQ; i++) {
		one(i);
		for (k = 0; k < NVQ; k++)
			ksft_eq(signals(pvbus_queue_fd(b, k)), k == i);
		ksft_eq(signals(pvbus_config_fd(b)), 0);
	}
	ksft_eq(rd(VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	down();
}

static void config_change(void)
{
	uint32_t gen;

	up(NVQ);
	drive();
	gen = rd(VIRTIO_MMIO_CONFIG_GENERATION);
	config[0] = 99;
	vd.tp->config_changed(&vd);
	vd.tp->irq(&vd, VDEV_IRQ_CONFIG);
	ksft_eq(rd(VIRTIO_MMIO_CONFIG), 99);
	ksft_check(rd(VIRTIO_MMIO_CONFIG_GENERATION) != gen);
	ksft_eq(signals(pvbus_config_fd(b)), 1);
	ksft_eq(signals(pvbus_queue_fd(b, 0)), 0);
	pvbus_write(b, VIRTIO_MMIO_CONFIG + 4, 0x1234, 2);
	ksft_eq(rd(VIRTIO_MMIO_CONFIG + 4), 0x1234);
	down();
}

static void broken(void)
{
	up(NVQ);
	drive();
	vdev_broken(&vd, "a test says so");
	ksft_check(rd(VIRTIO_MMIO_STATUS) & NEEDS_RESET);
	ksft_eq(signals(pvbus_config_fd(b)), 1);
	wr(VIRTIO_MMIO_STATUS, 0);
	ksft_eq(rd(VIRTIO_MMIO_STATUS), 0);
	ksft_check(!active);
	drive();
	one(1);
	ksft_eq(signals(pvbus_queue_fd(b, 1)), 1);
	down();
}

static void malformed(void)
{
	static const uint32_t sizes[] = { 0, 3, 5, 16, 0x80000004 };
	uint8_t before[4096];
	unsigned int i;

	up(NVQ);
	drive();
	memcpy(before, pvbus_page(b), sizeof(before));
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		pvbus_write(b, VIRTIO_MMIO_STATUS, 0, sizes[i]);
	pvbus_write(b, VIRTIO_MMIO_STATUS, 0, 2);
	pvbus_write(b, VIRTIO_MMIO_STATUS + 1, 0, 4);
	pvbus_write(b, 4096, 0, 4);
	pvbus_write(b, 4093, ~0ull, 8);
	pvbus_write(b, 0xffffffff, ~0ull, 8);
	pvbus_write(b, VIRTIO_MMIO_QUEUE_NOTIFY, 0xffffffff, 4);
	ksft_memeq(before, pvbus_page(b), sizeof(before));
	down();
}

static void too_many(void)
{
	struct pvbus *none = NULL;

	up(LODGE_PORT_DEV_MAX - 1);
	down();
	memset(&vd, 0, sizeof(vd));
	vdrv_init(&d);
	ksft_eq(vdev_init(&vd, &toy_ops, &d.mem, 0, LODGE_PORT_DEV_MAX, 256), 0);
	ksft_eq(pvbus_create(&vd, &none), -E2BIG);
	ksft_check(!none && !vd.tp);
	vdev_fini(&vd);
	vdrv_fini(&d);
}

int main(int argc, char **argv)
{
	ksft_case("identity and configuration in the page", identity);
	ksft_case("used buffers interrupt their own queue", per_queue);
	ksft_case("a configuration change", config_change);
	ksft_case("a broken device, and its reset", broken);
	ksft_case("malformed writes change nothing", malformed);
	ksft_case("more queues than event channels", too_many);
	return ksft_run(argc, argv);
}
