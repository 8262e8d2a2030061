// SPDX-License-Identifier: GPL-2.0-only
/*
 * virtio/console.c: both directions with split buffers, a host and a guest that do not read,
 * emergency write, size, and drivers that break the rules.
 */
#include <endian.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>
#include <linux/virtio_console.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_mmio.h>

#include "console.h"
#include "kselftest.h"
#include "table.h"
#include "util.h"
#include "vdrv.h"

#define WAIT_MS	   60000
#define RING_BITS  (1ull << VIRTIO_RING_F_INDIRECT_DESC | 1ull << VIRTIO_RING_F_EVENT_IDX)
#define EMERG	   offsetof(struct virtio_console_config, emerg_wr)
#define SIZE_F	   (1ull << VIRTIO_CONSOLE_F_SIZE)
#define EMERG_F	   (1ull << VIRTIO_CONSOLE_F_EMERG_WRITE)
#define RX	   (&d.q[0])
#define TX	   (&d.q[1])
#define PIPE_BYTES 4096

static struct vdrv d;
static struct vdev *vd;
static struct vmmio *m;
static struct loop *loop;
static struct chardev *cd;
static int in[2], out[2];

static void up(uint16_t cols, uint16_t rows)
{
	struct chardev_cfg ccfg = { 0 };
	struct console_cfg cfg;
	struct err err = { 0 };

	signal(SIGPIPE, SIG_IGN);
	ksft_eq(pipe2(in, O_CLOEXEC), 0);
	ksft_eq(pipe2(out, O_CLOEXEC), 0);
	fcntl(out[1], F_SETFL, O_NONBLOCK);
	fcntl(out[1], F_SETPIPE_SZ, PIPE_BYTES);
	ksft_eq(loop_create(&loop), 0);
	ccfg.loop = loop;
	ccfg.in_fd = in[0];
	ccfg.out_fd = out[1];
	ksft_eq(chardev_create(&ccfg, &cd), 0);
	chardev_resize(cd, cols, rows);
	ksft_eq(loop_start(loop, "io"), 0);
	vdrv_init(&d);
	cfg.cd = cd;
	ksft_eq(console_ops.create(&cfg, &d.mem, &vd, &err), 0);
	ksft_eq(vmmio_create(vd, &m), 0);
	d.m = m;
}

static void down(void)
{
	unsigned int i;

	vdev_reset(vd);
	vmmio_destroy(m);
	console_ops.destroy(vd);
	chardev_destroy(cd);
	loop_stop(loop);
	loop_destroy(loop);
	vdrv_fini(&d);
	for (i = 0; i < 2; i++) {
		close(in[i]);
		close(out[i]);
	}
}

static void start(uint64_t features)
{
	vdrv_start(&d, m, features, 2, 0);
}

static uint8_t pattern(size_t i)
{
	return i * 7 + i / 251;
}

static uint64_t put(const void *text, size_t len)
{
	uint64_t gpa = vdrv_alloc(&d, len, 1);

	memcpy(vdrv_hva(&d, gpa, len), text, len);
	return gpa;
}

static void hear(const void *want, size_t len)
{
	static uint8_t buf[1 << 20];
	size_t n = 0;
	ssize_t ret;

	ksft_check(len <= sizeof(buf));
	while (n < len) {
		ret = read(out[0], buf + n, len - n);
		ksft_check(ret > 0);
		n += ret;
	}
	ksft_memeq(buf, want, len);
}

static void wait_tx(void)
{
	uint16_t head;
	uint32_t len;

	ksft_check(vdrv_wait_used(TX, &head, &len, WAIT_MS));
	ksft_eq(len, 0);
}

static void identity(void)
{
	struct virtio_console_config c;

	up(0, 0);
	ksft_eq(vdrv_read32(&d, VIRTIO_MMIO_DEVICE_ID), VIRTIO_ID_CONSOLE);
	/* Without a terminal there is no size to offer, and never more than one port. */
	ksft_check(!(vd->features & (SIZE_F | 1ull << VIRTIO_CONSOLE_F_MULTIPORT)));
	vdrv_config(&d, 0, &c, sizeof(c));
	ksft_eq(le32toh(c.max_nr_ports), 1);
	start(RING_BITS | EMERG_F);
	down();
}

static void transmit(void)
{
	struct vdrv_buf buf[5];
	unsigned int i, round;

	up(0, 0);
	for (round = 0; round < 3; round++) {
		start(round ? RING_BITS : 0);
		buf[0] = (struct vdrv_buf){ put("one piece", 9), 9 };
		ksft_check(vdrv_add(TX, buf, 1, 0, false) >= 0);
		vdrv_kick(TX);
		hear("one piece", 9);
		wait_tx();
		/* Split, with empty and one-byte parts. */
		for (i = 0; i < 5; i++)
			buf[i] = (struct vdrv_buf){ put(&"abcde"[i], 1), i == 2 ? 0 : 1 };
		ksft_check(vdrv_add(TX, buf, 5, 0, round == 2) >= 0);
		vdrv_kick(TX);
		hear("abde", 4);
		wait_tx();
		vdrv_reset(&d);
	}
	down();
}

/* More than the chardev and the pipe hold, in one chain; the used entry comes when all is taken. */
static void slow_host(void)
{
	const size_t len = 4 * CHARDEV_OUT_SIZE;
	static uint8_t want[4 * CHARDEV_OUT_SIZE];
	struct vdrv_buf buf[4];
	uint16_t head;
	uint32_t n;
	size_t i;

	for (i = 0; i < len; i++)
		want[i] = pattern(i);
	up(0, 0);
	start(RING_BITS);
	for (i = 0; i < 4; i++)
		buf[i] = (struct vdrv_buf){ put(want + i * CHARDEV_OUT_SIZE, CHARDEV_OUT_SIZE),
					    CHARDEV_OUT_SIZE };
	ksft_check(vdrv_add(TX, buf, 4, 0, false) >= 0);
	vdrv_kick(TX); /* returns although nobody reads */
	usleep(50000);
	ksft_check(!vdrv_used(TX, &head, &n));
	/* The other direction goes on meanwhile. */
	buf[0] = (struct vdrv_buf){ vdrv_alloc(&d, 16, 1), 16 };
	ksft_check(vdrv_add(RX, buf, 0, 1, false) >= 0);
	vdrv_kick(RX);
	ksft_eq(write(in[1], "key", 3), 3);
	ksft_check(vdrv_wait_used(RX, &head, &n, WAIT_MS));
	ksft_eq(n, 3);
	hear(want, len);
	wait_tx();
	down();
}

/* A reset in the middle of a chain that cannot be written out, and a new start. */
static void reset_while_blocked(void)
{
	static uint8_t junk[4 * CHARDEV_OUT_SIZE];
	struct vdrv_buf buf = { 0, sizeof(junk) };
	uint8_t byte;

	up(0, 0);
	start(0);
	memset(junk, '.', sizeof(junk));
	buf.gpa = put(junk, sizeof(junk));
	ksft_check(vdrv_add(TX, &buf, 1, 0, false) >= 0);
	vdrv_kick(TX);
	usleep(20000);
	vdrv_reset(&d);
	start(0);
	buf = (struct vdrv_buf){ put("!", 1), 1 };
	ksft_check(vdrv_add(TX, &buf, 1, 0, false) >= 0);
	vdrv_kick(TX);
	do
		ksft_eq(read(out[0], &byte, 1), 1);
	while (byte == '.');
	ksft_eq(byte, '!');
	wait_tx();
	down();
}

static void receive(void)
{
	static const char text[] = "0123456789";
	struct vdrv_buf buf[3], big;
	uint16_t head;
	uint32_t len;
	int i;

	up(0, 0);
	/* What is typed before the driver is there waits. */
	ksft_eq(write(in[1], text, 10), 10);
	while (!chardev_readable(cd))
		usleep(100);
	start(RING_BITS);
	/* Buffers of 3 + 1 + 2: filled to the brim, then the rest into the next chain. */
	for (i = 0; i < 3; i++) {
		buf[i].len = (int[]){ 3, 1, 2 }[i];
		buf[i].gpa = vdrv_alloc(&d, buf[i].len, 1);
	}
	big = (struct vdrv_buf){ vdrv_alloc(&d, 64, 1), 64 };
	ksft_check(vdrv_add(RX, buf, 0, 3, false) >= 0);
	ksft_check(vdrv_add(RX, &big, 0, 1, true) >= 0);
	vdrv_kick(RX);
	ksft_check(vdrv_wait_used(RX, &head, &len, WAIT_MS));
	ksft_eq(len, 6);
	ksft_memeq(vdrv_hva(&d, buf[0].gpa, 3), text, 3);
	ksft_memeq(vdrv_hva(&d, buf[1].gpa, 1), text + 3, 1);
	ksft_memeq(vdrv_hva(&d, buf[2].gpa, 2), text + 4, 2);
	ksft_check(vdrv_wait_used(RX, &head, &len, WAIT_MS));
	ksft_eq(len, 4);
	ksft_memeq(vdrv_hva(&d, big.gpa, 4), text + 6, 4);
	ksft_eq(((uint8_t *)vdrv_hva(&d, big.gpa, 64))[4], 0);
	down();
}

/* The guest takes its time: nothing is lost, in order, whatever sizes it offers. */
static void slow_guest(void)
{
	static uint8_t text[3 * CHARDEV_IN_SIZE];
	size_t i, got = 0;
	struct vdrv_buf buf;
	uint16_t head;
	uint32_t len;

	for (i = 0; i < sizeof(text); i++)
		text[i] = pattern(i);
	up(0, 0);
	start(RING_BITS);
	ksft_eq(write(in[1], text, sizeof(text)), sizeof(text));
	for (i = 0; got < sizeof(text); i++) {
		buf.len = 1 + i * 37 % 400;
		buf.gpa = vdrv_alloc(&d, buf.len, 1);
		ksft_check(vdrv_add(RX, &buf, 0, 1, false) >= 0);
		vdrv_kick(RX);
		ksft_check(vdrv_wait_used(RX, &head, &len, WAIT_MS));
		ksft_check(len && len <= buf.len && len <= sizeof(text) - got);
		ksft_memeq(vdrv_hva(&d, buf.gpa, len), text + got, len);
		got += len;
	}
	down();
}

static void emergency(uint8_t c)
{
	uint32_t val = htole32(0xaabbcc00u | c);

	vmmio_write(m, VIRTIO_MMIO_CONFIG + EMERG, &val, sizeof(val));
}

static void emergency_write(void)
{
	uint8_t byte = 'o';

	up(0, 0);
	/* Without a driver, while features are negotiated, with one that runs; a byte alone. */
	emergency('h');
	vdrv_features(&d, EMERG_F);
	emergency('e');
	start(EMERG_F);
	emergency('l');
	emergency('l');
	vmmio_write(m, VIRTIO_MMIO_CONFIG + EMERG, &byte, 1);
	hear("hello", 5);
	/* Other fields are read-only. */
	vmmio_write(m, VIRTIO_MMIO_CONFIG, &byte, 1);
	vmmio_write(m, VIRTIO_MMIO_CONFIG + EMERG + 1, &byte, 1);
	emergency('!');
	hear("!", 1);
	down();
}

static void size(void)
{
	struct virtio_console_config c;
	uint32_t gen;

	up(80, 25);
	ksft_check(vd->features & SIZE_F);
	start(SIZE_F);
	vdrv_config(&d, 0, &c, sizeof(c));
	ksft_eq(le16toh(c.cols), 80);
	ksft_eq(le16toh(c.rows), 25);
	gen = vdrv_read32(&d, VIRTIO_MMIO_CONFIG_GENERATION);
	chardev_resize(cd, 132, 50);
	ksft_check(vdrv_wait_irq(&d, WAIT_MS) & VIRTIO_MMIO_INT_CONFIG);
	vdrv_config(&d, 0, &c, sizeof(c));
	ksft_eq(le16toh(c.cols), 132);
	ksft_eq(le16toh(c.rows), 50);
	ksft_check(vdrv_read32(&d, VIRTIO_MMIO_CONFIG_GENERATION) != gen);
	/* A driver that did not ask gets no interrupt, but the right size. */
	vdrv_reset(&d);
	start(0);
	chardev_resize(cd, 40, 10);
	ksft_eq(vdrv_wait_irq(&d, 20), 0);
	vdrv_config(&d, 0, &c, sizeof(c));
	ksft_eq(le16toh(c.cols), 40);
	down();
}

static void wait_broken(void)
{
	while (!vdrv_broken(&d))
		usleep(100);
}

static void wrong_direction(void)
{
	struct vdrv_buf buf;
	uint16_t head;
	uint32_t len;

	up(0, 0);
	buf = (struct vdrv_buf){ vdrv_alloc(&d, 64, 1), 64 };
	start(0);
	ksft_check(vdrv_add(TX, &buf, 0, 1, false) >= 0);
	vdrv_kick(TX);
	wait_broken();
	ksft_check(!vdrv_used(TX, &head, &len));
	vdrv_reset(&d);

	start(0);
	ksft_check(vdrv_add(RX, &buf, 1, 0, false) >= 0);
	ksft_eq(write(in[1], "x", 1), 1);
	vdrv_kick(RX);
	wait_broken();
	ksft_check(!vdrv_used(RX, &head, &len));
	vdrv_reset(&d);

	/* The byte is still there for a driver that behaves. */
	start(0);
	ksft_check(vdrv_add(RX, &buf, 0, 1, false) >= 0);
	vdrv_kick(RX);
	ksft_check(vdrv_wait_used(RX, &head, &len, WAIT_MS));
	ksft_eq(len, 1);
	down();
}

static void one_queue(void)
{
	struct vdrv_buf buf;

	up(0, 0);
	/* A driver that only writes: the receive queue is never set up. */
	ksft_check(vdrv_features(&d, 0));
	vdrv_setup_queue(&d, 1, 0);
	vdrv_write32(&d, VIRTIO_MMIO_STATUS,
		     VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
			     VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
	ksft_eq(write(in[1], "ignored", 7), 7);
	buf = (struct vdrv_buf){ put("out", 3), 3 };
	ksft_check(vdrv_add(TX, &buf, 1, 0, false) >= 0);
	vdrv_kick(TX);
	hear("out", 3);
	ksft_check(!vdrv_broken(&d));
	down();
}

static void stats(void)
{
	char text[512] = "";
	struct vdrv_buf buf;
	FILE *f;

	up(0, 0);
	start(0);
	buf = (struct vdrv_buf){ put("four", 4), 4 };
	ksft_check(vdrv_add(TX, &buf, 1, 0, false) >= 0);
	vdrv_kick(TX);
	hear("four", 4);
	wait_tx();
	f = fmemopen(text, sizeof(text) - 1, "w");
	vdev_print_stats(vd, f);
	fclose(f);
	ksft_check(strstr(text, " tx_bytes=4 rx_bytes=0\n"));
	down();
}

int main(int argc, char **argv)
{
	ksft_case("identity and features", identity);
	ksft_case("transmit, whole and split", transmit);
	ksft_case("a host that does not read holds up transmission alone", slow_host);
	ksft_case("reset while transmission is held up", reset_while_blocked);
	ksft_case("receive into split buffers", receive);
	ksft_case("a guest that reads slowly loses nothing", slow_guest);
	ksft_case("emergency write", emergency_write);
	ksft_case("size and its changes", size);
	ksft_case("buffers of the wrong direction break it", wrong_direction);
	ksft_case("a driver with one queue", one_queue);
	ksft_case("statistics", stats);
	return ksft_run(argc, argv);
}
