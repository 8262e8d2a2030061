// SPDX-License-Identifier: GPL-2.0-only
/*
 * virtio/rng.c: fills what the driver gives, no more than its bound, and nothing that is not for
 * it.
 */
#include <unistd.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_mmio.h>

#include "kselftest.h"
#include "table.h"
#include "vdrv.h"

#define WAIT_MS 60000
#define FILL	0x5a

static struct vdrv d;
static struct vdev *vd;
static struct vmmio *m;

static void up(void)
{
	struct err err = { 0 };

	vdrv_init(&d);
	ksft_eq(rng_ops.create(NULL, &d.mem, &vd, &err), 0);
	ksft_eq(vmmio_create(vd, &m), 0);
}

static void down(void)
{
	vdev_reset(vd);
	vmmio_destroy(m);
	rng_ops.destroy(vd);
	vdrv_fini(&d);
}

/* @n writable buffers of @len each, next to each other, in the middle of bytes that must stay. */
static void ask(struct vdrv_buf *buf, unsigned int n, uint32_t len)
{
	uint64_t gpa = vdrv_alloc(&d, (uint64_t)n * len + 128, 64);
	unsigned int i;

	memset(vdrv_hva(&d, gpa, n * len + 128), FILL, n * len + 128);
	for (i = 0; i < n; i++)
		buf[i] = (struct vdrv_buf){ gpa + 64 + (uint64_t)i * len, len };
}

/* Bytes that a fair generator has changed: all but every 256th or so. */
static bool looks_filled(const uint8_t *p, size_t len)
{
	size_t i, same = 0;

	for (i = 0; i < len; i++)
		same += p[i] == FILL;
	return same <= len / 256 + 8 + len / 32;
}

static bool untouched(const uint8_t *p, size_t len)
{
	while (len && *p == FILL) {
		p++;
		len--;
	}
	return !len;
}

static void request(unsigned int n, uint32_t len, uint32_t want, bool indirect)
{
	struct vdrv_buf buf[8];
	uint16_t head;
	uint32_t got;
	uint8_t *p;
	int h;

	ask(buf, n, len);
	h = vdrv_add(&d.q[0], buf, 0, n, indirect);
	ksft_check(h >= 0);
	vdrv_kick(&d.q[0]);
	ksft_check(vdrv_wait_used(&d.q[0], &head, &got, WAIT_MS));
	ksft_eq(head, h);
	ksft_eq(got, want);
	p = vdrv_hva(&d, buf[0].gpa - 64, n * len + 128);
	ksft_check(untouched(p, 64));
	ksft_check(looks_filled(p + 64, want));
	ksft_check(untouched(p + 64 + want, n * len + 64 - want));
}

static void identity(void)
{
	up();
	d.m = m;
	ksft_eq(vdrv_read32(&d, VIRTIO_MMIO_DEVICE_ID), VIRTIO_ID_RNG);
	vdrv_start(&d, m, 0, 1, 0);
	d.m = m;
	vdrv_write32(&d, VIRTIO_MMIO_QUEUE_SEL, 1);
	ksft_eq(vdrv_read32(&d, VIRTIO_MMIO_QUEUE_NUM_MAX), 0);
	down();
}

static void exact(void)
{
	static const uint32_t len[] = { 1, 16, 64, 255, 256, 257, 4096, 65535, 65536 };
	unsigned int i;

	up();
	vdrv_start(&d, m, 0, 1, 0);
	for (i = 0; i < sizeof(len) / sizeof(len[0]); i++)
		request(1, len[i], len[i], false);
	down();
}

static void split(void)
{
	up();
	vdrv_start(&d, m, 1ull << VIRTIO_RING_F_INDIRECT_DESC | 1ull << VIRTIO_RING_F_EVENT_IDX, 1,
		   0);
	request(8, 1, 8, false);
	request(5, 333, 5 * 333, false);
	request(5, 333, 5 * 333, true);
	down();
}

static void bounded(void)
{
	up();
	vdrv_start(&d, m, 0, 1, 0);
	request(1, 65537, 65536, false);
	request(3, 30000, 65536, false);
	down();
}

/* More at once than the device takes in one go, and again after a reset. */
static void full_ring(void)
{
	struct vdrv_buf buf;
	unsigned int i, round;
	uint16_t head;
	uint32_t len;

	up();
	for (round = 0; round < 3; round++) {
		vdrv_start(&d, m, round ? 1ull << VIRTIO_RING_F_EVENT_IDX : 0, 1, 0);
		for (i = 0; i < d.q[0].size; i++) {
			ask(&buf, 1, 32);
			ksft_check(vdrv_add(&d.q[0], &buf, 0, 1, false) >= 0);
		}
		vdrv_kick(&d.q[0]);
		for (i = 0; i < d.q[0].size; i++) {
			ksft_check(vdrv_wait_used(&d.q[0], &head, &len, WAIT_MS));
			ksft_eq(len, 32);
		}
		vdrv_reset(&d);
	}
	down();
}

static void wait_broken(void)
{
	while (!vdrv_broken(&d))
		usleep(100);
}

static void readable(void)
{
	struct vdrv_buf buf[2];
	uint16_t head;
	uint32_t len;

	up();
	/* Alone, and before a writable one: either breaks the device, and nothing is filled. */
	vdrv_start(&d, m, 0, 1, 0);
	ask(buf, 1, 64);
	ksft_check(vdrv_add(&d.q[0], buf, 1, 0, false) >= 0);
	vdrv_kick(&d.q[0]);
	wait_broken();
	ksft_check(!vdrv_used(&d.q[0], &head, &len));
	ksft_check(untouched(vdrv_hva(&d, buf[0].gpa, 64), 64));

	vdrv_reset(&d);
	vdrv_start(&d, m, 0, 1, 0);
	ask(buf, 2, 64);
	ksft_check(vdrv_add(&d.q[0], buf, 1, 1, false) >= 0);
	vdrv_kick(&d.q[0]);
	wait_broken();
	ksft_check(!vdrv_used(&d.q[0], &head, &len));
	ksft_check(untouched(vdrv_hva(&d, buf[0].gpa, 128), 128));

	/* A reset mends it. */
	vdrv_reset(&d);
	vdrv_start(&d, m, 0, 1, 0);
	request(1, 64, 64, false);
	down();
}

static void outside_memory(void)
{
	struct vdrv_buf buf = { VDRV_LOW_GPA + VDRV_LOW_LEN - 16, 32 };

	up();
	vdrv_start(&d, m, 0, 1, 0);
	ksft_check(vdrv_add(&d.q[0], &buf, 0, 1, false) >= 0);
	vdrv_kick(&d.q[0]);
	wait_broken();
	down();
}

static void different(void)
{
	struct vdrv_buf buf[2];
	unsigned int i;
	uint16_t head;
	uint32_t len;

	up();
	vdrv_start(&d, m, 0, 1, 0);
	ask(buf, 2, 32);
	for (i = 0; i < 2; i++) {
		ksft_check(vdrv_add(&d.q[0], &buf[i], 0, 1, false) >= 0);
		vdrv_kick(&d.q[0]);
		ksft_check(vdrv_wait_used(&d.q[0], &head, &len, WAIT_MS));
	}
	ksft_check(memcmp(vdrv_hva(&d, buf[0].gpa, 32), vdrv_hva(&d, buf[1].gpa, 32), 32));
	down();
}

int main(int argc, char **argv)
{
	ksft_case("identity, one queue", identity);
	ksft_case("fills exactly what is asked for", exact);
	ksft_case("split and indirect buffers", split);
	ksft_case("a request beyond the bound is cut", bounded);
	ksft_case("a full ring, and again after resets", full_ring);
	ksft_case("readable buffers break it", readable);
	ksft_case("a buffer outside of memory breaks it", outside_memory);
	ksft_case("no two answers are alike", different);
	return ksft_run(argc, argv);
}
