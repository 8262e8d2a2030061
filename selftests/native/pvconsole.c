// SPDX-License-Identifier: GPL-2.0-only
/*
 * host/pvconsole.c against a front end of our own: order and completeness both ways through rings
 * that wrap, a host that does not take output, a guest that does not take input, indices that make
 * no sense, and what is left in the ring at the end.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <xen/io/console.h>

#include "host/pvconsole.h"
#include "kselftest.h"
#include "util.h"

#define TOTAL	(300u << 10)
#define WAIT_MS 20000

static struct {
	struct loop *loop;
	struct chardev *cd;
	struct pvconsole *c;
	union {
		struct xencons_interface ring;
		uint8_t page[4096];
	};
	int in[2], out[2];
	int irq, kick;
} u;

static uint8_t pattern(uint32_t i)
{
	return i * 7 + (i >> 8);
}

static void up(uint32_t start)
{
	struct chardev_cfg cfg = {};

	memset(&u, 0, sizeof(u));
	signal(SIGPIPE, SIG_IGN);
	ksft_eq(pipe2(u.in, O_CLOEXEC), 0);
	ksft_eq(pipe2(u.out, O_CLOEXEC), 0);
	fcntl(u.out[1], F_SETFL, O_NONBLOCK);
	fcntl(u.out[1], F_SETPIPE_SZ, 4096);
	u.irq = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	u.kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	u.ring.in_cons = u.ring.in_prod = u.ring.out_cons = u.ring.out_prod = start;
	ksft_eq(loop_create(&u.loop), 0);
	cfg.loop = u.loop;
	cfg.in_fd = u.in[0];
	cfg.out_fd = u.out[1];
	ksft_eq(chardev_create(&cfg, &u.cd), 0);
	ksft_eq(pvconsole_create(u.cd, u.page, u.irq, u.kick, &u.c), 0);
	ksft_eq(loop_start(u.loop, "io"), 0);
}

static void down(void)
{
	unsigned int i;

	pvconsole_destroy(u.c);
	chardev_destroy(u.cd);
	loop_stop(u.loop);
	loop_destroy(u.loop);
	for (i = 0; i < 2; i++) {
		close(u.in[i]);
		close(u.out[i]);
	}
	close(u.irq);
	close(u.kick);
}

static void kick(void)
{
	eventfd_write(u.kick, 1);
}

static void wait_irq(void)
{
	struct pollfd p = { .fd = u.irq, .events = POLLIN };
	eventfd_t n;

	ksft_eq(poll(&p, 1, WAIT_MS), 1);
	eventfd_read(u.irq, &n);
}

/* Puts bytes @from.. of the pattern into the ring, as many as fit. */
static uint32_t put(uint32_t from, uint32_t max)
{
	uint32_t prod = u.ring.out_prod, n = 0;

	while (n < max && prod - load_acquire(&u.ring.out_cons) < sizeof(u.ring.out)) {
		u.ring.out[prod++ % sizeof(u.ring.out)] = pattern(from + n);
		n++;
	}
	store_release(&u.ring.out_prod, prod);
	if (n)
		kick();
	return n;
}

static uint32_t take(uint8_t *buf)
{
	uint32_t cons = u.ring.in_cons, n = 0;

	while (cons != load_acquire(&u.ring.in_prod))
		buf[n++] = u.ring.in[cons++ % sizeof(u.ring.in)];
	store_release(&u.ring.in_cons, cons);
	if (n)
		kick();
	return n;
}

/* Reads @len bytes of output and compares them with the pattern. */
static void expect(uint32_t from, uint32_t len)
{
	uint8_t buf[4096];
	uint32_t i, done = 0;

	while (done < len) {
		ssize_t n = read(u.out[0], buf, MIN(sizeof(buf), len - done));

		ksft_check(n > 0);
		for (i = 0; i < n; i++)
			ksft_eq(buf[i], pattern(from + done + i));
		done += n;
	}
}

static void *reader(void *arg)
{
	(void)arg;
	expect(0, TOTAL);
	return NULL;
}

static void output(void)
{
	uint32_t sent = 0;
	pthread_t t;

	up(0xfffffc00); /* the indices wrap, too */
	ksft_eq(pthread_create(&t, NULL, reader, NULL), 0);
	while (sent < TOTAL) {
		sent += put(sent, TOTAL - sent);
		if (sent < TOTAL)
			wait_irq();
	}
	pthread_join(t, NULL);
	down();
}

static void output_waits(void)
{
	uint32_t sent = 0, before;
	struct pollfd p = { .fd = u.irq, .events = POLLIN };

	up(0);
	p.fd = u.irq;
	/* Until nothing moves: chardev, pipe and ring are full. */
	do {
		before = sent;
		sent += put(sent, TOTAL - sent);
		if (poll(&p, 1, 200) == 1)
			wait_irq();
	} while (sent != before);
	ksft_check(sent >= CHARDEV_OUT_SIZE + sizeof(u.ring.out));
	ksft_check(sent < TOTAL);
	ksft_eq(u.ring.out_prod - u.ring.out_cons, sizeof(u.ring.out));
	expect(0, sent);
	down();
}

static void *writer(void *arg)
{
	uint8_t buf[1000];
	uint32_t i, done = 0;

	(void)arg;
	while (done < TOTAL) {
		uint32_t len = MIN(sizeof(buf), TOTAL - done);

		for (i = 0; i < len; i++)
			buf[i] = pattern(done + i);
		if (write(u.in[1], buf, len) != (ssize_t)len)
			ksft_fail("write: %s", strerror(errno));
		done += len;
	}
	return NULL;
}

static void input(void)
{
	uint8_t buf[sizeof(u.ring.in)];
	uint32_t got = 0, i, n;
	pthread_t t;

	up(0xfffffe00);
	ksft_eq(pthread_create(&t, NULL, writer, NULL), 0);
	while (got < TOTAL) {
		n = take(buf);
		if (!n) {
			wait_irq();
			continue;
		}
		for (i = 0; i < n; i++)
			ksft_eq(buf[i], pattern(got + i));
		got += n;
	}
	pthread_join(t, NULL);
	ksft_eq(got, TOTAL);
	down();
}

static void bad_output_index(void)
{
	up(0);
	store_release(&u.ring.out_prod, 0x80000000);
	kick();
	while (load_acquire(&u.ring.out_cons) != 0x80000000)
		usleep(100);
	/* From there on it is a ring again. */
	ksft_eq(put(0, 100), 100);
	expect(0, 100);
	down();
}

static void bad_input_index(void)
{
	uint8_t buf[sizeof(u.ring.in)];

	up(0);
	store_release(&u.ring.in_cons, 5000); /* far ahead of what there is */
	ksft_eq(write(u.in[1], "abc", 3), 3);
	ksft_eq(put(0, 10), 10);
	expect(0, 10); /* output goes on */
	ksft_eq(load_acquire(&u.ring.in_prod), 0);
	store_release(&u.ring.in_cons, 0);
	kick();
	while (load_acquire(&u.ring.in_prod) != 3)
		usleep(100);
	ksft_eq(take(buf), 3);
	ksft_memeq(buf, "abc", 3);
	down();
}

static void last_words(void)
{
	up(0);
	memcpy(u.ring.out, "\0\0\0", 3);
	u.ring.out[0] = pattern(0);
	u.ring.out[1] = pattern(1);
	u.ring.out_prod = 2; /* and no kick */
	pvconsole_destroy(u.c);
	u.c = NULL;
	ksft_check(chardev_flush(u.cd, WAIT_MS));
	expect(0, 2);
	down();
}

int main(int argc, char **argv)
{
	ksft_case("output arrives whole and in order", output);
	ksft_case("output waits for the host", output_waits);
	ksft_case("input arrives whole and in order", input);
	ksft_case("a bad output index drops the ring's content only", bad_output_index);
	ksft_case("a bad input index stops input only", bad_input_index);
	ksft_case("what is in the ring at the end is written", last_words);
	return ksft_run(argc, argv);
}
