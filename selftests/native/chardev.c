// SPDX-License-Identifier: GPL-2.0-only
/*
 * lib/chardev.c: output that the host does not take, input that the guest does not take, the
 * filter, the watcher, flushing and the end of either side.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "chardev.h"
#include "kselftest.h"
#include "util.h"

struct rig {
	struct loop *loop;
	struct chardev *cd;
	int in[2], out[2];
	atomic_int rx, tx, resized;
	char seen[32];
	atomic_size_t nseen;
};

static void rx_ready(void *arg)
{
	((struct rig *)arg)->rx++;
}

static void tx_ready(void *arg)
{
	((struct rig *)arg)->tx++;
}

static void resized(void *arg)
{
	((struct rig *)arg)->resized++;
}

static const struct chardev_client client = { rx_ready, tx_ready, resized };

static size_t drop_x(void *arg, uint8_t *buf, size_t len)
{
	size_t i, n = 0;

	for (i = 0; i < len; i++)
		if (buf[i] != 'x')
			buf[n++] = buf[i];
	return n;
}

static void watch(void *arg, const void *buf, size_t len)
{
	struct rig *r = arg;
	size_t n = MIN(len, sizeof(r->seen) - 1 - r->nseen);

	memcpy(r->seen + r->nseen, buf, n);
	r->nseen += n;
}

static void rig_up(struct rig *r, struct chardev_cfg cfg, bool start)
{
	memset(r, 0, sizeof(*r));
	signal(SIGPIPE, SIG_IGN);
	ksft_eq(pipe2(r->in, O_CLOEXEC), 0);
	ksft_eq(pipe2(r->out, O_CLOEXEC), 0);
	fcntl(r->out[1], F_SETFL, O_NONBLOCK);
	fcntl(r->out[1], F_SETPIPE_SZ, 4096);
	ksft_eq(loop_create(&r->loop), 0);
	cfg.loop = r->loop;
	cfg.arg = r;
	if (cfg.in_fd != -1)
		cfg.in_fd = r->in[0];
	if (cfg.out_fd != -1)
		cfg.out_fd = r->out[1];
	ksft_eq(chardev_create(&cfg, &r->cd), 0);
	chardev_attach(r->cd, &client, r);
	if (start)
		ksft_eq(loop_start(r->loop, "io"), 0);
}

static void rig_down(struct rig *r)
{
	unsigned int i;

	chardev_detach(r->cd);
	chardev_destroy(r->cd);
	loop_stop(r->loop);
	loop_destroy(r->loop);
	for (i = 0; i < 2; i++) {
		close(r->in[i]);
		close(r->out[i]);
	}
}

static void wait_for(atomic_int *v, int want)
{
	while (*v < want)
		usleep(100);
}

static void read_all(int fd, void *buf, size_t len)
{
	size_t done = 0;
	ssize_t n;

	while (done < len) {
		n = read(fd, (char *)buf + done, len - done);
		ksft_check(n > 0);
		done += n;
	}
}

static void output(void)
{
	struct rig r;
	char buf[6];

	rig_up(&r, (struct chardev_cfg){ .watch = watch }, true);
	ksft_eq(chardev_write(r.cd, "a", 1), 1);
	ksft_eq(chardev_write(r.cd, "", 0), 0);
	ksft_eq(chardev_write(r.cd, "bcdef", 5), 5);
	/* The timer alone sends it. */
	read_all(r.out[0], buf, 6);
	ksft_memeq(buf, "abcdef", 6);
	ksft_check(chardev_flush(r.cd, 1000));
	ksft_streq(r.seen, "abcdef");
	ksft_eq(r.tx, 0);
	rig_down(&r);
}

static uint8_t pattern(size_t i)
{
	return i * 7 + i / 251;
}

/* More than ring and pipe hold, and the host does not read: bounded, in order, nothing lost. */
static void backpressure(void)
{
	static uint8_t buf[4 * CHARDEV_OUT_SIZE], got[sizeof(buf)];
	size_t i, off = 0, stuck;
	struct rig r;

	for (i = 0; i < sizeof(buf); i++)
		buf[i] = pattern(i);
	rig_up(&r, (struct chardev_cfg){}, true);
	/* Feed until nothing moves any more: ring and pipe are full then. */
	for (i = 0; i < 50; i++) {
		off += chardev_write(r.cd, buf + off, sizeof(buf) - off);
		usleep(1000);
	}
	ksft_check(off >= CHARDEV_OUT_SIZE);
	ksft_check(off <= CHARDEV_OUT_SIZE + 8192);
	ksft_eq(chardev_write(r.cd, buf + off, 1), 0);
	ksft_check(!chardev_flush(r.cd, 20));
	stuck = off;
	r.tx = 0;
	/* The host reads: the client is told that it may go on. */
	read_all(r.out[0], got, off);
	wait_for(&r.tx, 1);
	while (off < sizeof(buf)) {
		off += chardev_write(r.cd, buf + off, sizeof(buf) - off);
		if (off > stuck) {
			read_all(r.out[0], got + stuck, off - stuck);
			stuck = off;
		}
	}
	ksft_memeq(got, buf, sizeof(buf));
	rig_down(&r);
}

static void flush_without_loop(void)
{
	struct rig r;
	char buf[5];

	rig_up(&r, (struct chardev_cfg){}, false);
	ksft_eq(chardev_write(r.cd, "hello", 5), 5);
	ksft_check(chardev_flush(r.cd, 1000));
	read_all(r.out[0], buf, 5);
	ksft_memeq(buf, "hello", 5);
	rig_down(&r);
}

static void reader_gone(void)
{
	static char junk[CHARDEV_OUT_SIZE];
	unsigned int i;
	struct rig r;

	rig_up(&r, (struct chardev_cfg){ .watch = watch }, true);
	close(r.out[0]);
	r.out[0] = dup(r.in[0]);
	/* Dropped, but still watched, and nobody waits for ever. */
	ksft_eq(chardev_write(r.cd, "last words", 10), 10);
	ksft_check(chardev_flush(r.cd, 1000));
	ksft_streq(r.seen, "last words");
	for (i = 0; i < 4; i++) {
		ksft_check(chardev_write(r.cd, junk, sizeof(junk)) > 0);
		ksft_check(chardev_flush(r.cd, 1000));
	}
	rig_down(&r);
}

static void null_device(void)
{
	struct rig r;

	rig_up(&r, (struct chardev_cfg){ .in_fd = -1, .out_fd = -1, .watch = watch }, true);
	ksft_eq(chardev_write(r.cd, "nowhere", 7), 7);
	ksft_check(chardev_flush(r.cd, 1000));
	ksft_streq(r.seen, "nowhere");
	ksft_check(!chardev_readable(r.cd));
	rig_down(&r);
}

static void input(void)
{
	struct rig r;
	char buf[16];

	rig_up(&r, (struct chardev_cfg){ .filter = drop_x }, true);
	ksft_check(!chardev_readable(r.cd));
	ksft_eq(write(r.in[1], "axbx", 4), 4);
	wait_for(&r.rx, 1);
	ksft_check(chardev_readable(r.cd));
	ksft_eq(chardev_read(r.cd, buf, 1), 1);
	ksft_eq(chardev_read(r.cd, buf + 1, sizeof(buf) - 1), 1);
	ksft_memeq(buf, "ab", 2);
	ksft_eq(chardev_read(r.cd, buf, 1), 0);
	/* End of input: nothing happens but that nothing comes. */
	close(r.in[1]);
	r.in[1] = dup(r.in[0]);
	usleep(10000);
	ksft_check(!chardev_readable(r.cd));
	rig_down(&r);
}

static int pending(int fd)
{
	int n = 0;

	ioctl(fd, FIONREAD, &n);
	return n;
}

static void input_backpressure(void)
{
	static uint8_t buf[3 * CHARDEV_IN_SIZE], got[sizeof(buf)];
	size_t i, done = 0;
	struct rig r;

	for (i = 0; i < sizeof(buf); i++)
		buf[i] = pattern(i);
	rig_up(&r, (struct chardev_cfg){}, true);
	ksft_eq(write(r.in[1], buf, sizeof(buf)), sizeof(buf));
	usleep(10000); /* it reads ahead as far as it will */
	while (done < sizeof(buf))
		done += chardev_read(r.cd, got + done, MIN(sizeof(buf) - done, 1000));
	ksft_memeq(got, buf, sizeof(buf));
	rig_down(&r);
}

/* A keyboard is always read, so that its escape keys are seen; what does not fit is dropped. */
static void input_lossy(void)
{
	static uint8_t buf[3 * CHARDEV_IN_SIZE];
	size_t i, left;
	struct rig r;

	for (i = 0; i < sizeof(buf); i++)
		buf[i] = pattern(i);
	rig_up(&r, (struct chardev_cfg){ .in_lossy = true }, true);
	fcntl(r.in[0], F_SETFL, O_NONBLOCK);
	for (i = 0; i < 3; i++) {
		ksft_eq(write(r.in[1], buf + i * CHARDEV_IN_SIZE, CHARDEV_IN_SIZE),
			CHARDEV_IN_SIZE);
		while (pending(r.in[0]))
			usleep(100);
	}
	left = chardev_read(r.cd, buf + CHARDEV_IN_SIZE, sizeof(buf) - CHARDEV_IN_SIZE);
	ksft_eq(left, CHARDEV_IN_SIZE);
	ksft_memeq(buf + CHARDEV_IN_SIZE, buf, CHARDEV_IN_SIZE);
	rig_down(&r);
}

static void late_client(void)
{
	struct rig r;

	rig_up(&r, (struct chardev_cfg){}, true);
	chardev_detach(r.cd);
	ksft_eq(write(r.in[1], "early", 5), 5);
	while (!chardev_readable(r.cd))
		usleep(100);
	ksft_eq(r.rx, 0);
	chardev_attach(r.cd, &client, &r);
	ksft_eq(r.rx, 1);
	rig_down(&r);
}

static void size(void)
{
	uint16_t cols, rows;
	struct rig r;

	rig_up(&r, (struct chardev_cfg){}, true);
	ksft_check(!chardev_size(r.cd, &cols, &rows));
	chardev_resize(r.cd, 80, 25);
	ksft_eq(r.resized, 1);
	ksft_check(chardev_size(r.cd, &cols, &rows));
	ksft_eq(cols, 80);
	ksft_eq(rows, 25);
	chardev_resize(r.cd, 80, 25);
	ksft_eq(r.resized, 1);
	rig_down(&r);
}

static void regular_files(void)
{
	char name[] = "/tmp/lodge-chardev-XXXXXX", buf[8];
	struct chardev_cfg cfg = {};
	struct loop *loop;
	struct chardev *cd;
	int fd = mkstemp(name);

	ksft_check(fd >= 0);
	unlink(name);
	ksft_eq(pwrite(fd, "input", 5, 0), 5);
	ksft_eq(loop_create(&loop), 0);
	cfg.loop = loop;
	cfg.in_fd = fd;
	cfg.out_fd = dup(fd);
	ksft_eq(chardev_create(&cfg, &cd), 0);
	ksft_eq(loop_start(loop, "io"), 0);
	while (!chardev_readable(cd))
		usleep(100);
	ksft_eq(chardev_read(cd, buf, sizeof(buf)), 5);
	ksft_memeq(buf, "input", 5);
	usleep(10000); /* it meets the end of the file */
	ksft_eq(chardev_write(cd, "out", 3), 3);
	ksft_check(chardev_flush(cd, 1000));
	ksft_eq(pread(fd, buf, sizeof(buf), 0), 8);
	ksft_memeq(buf, "inputout", 8);
	chardev_destroy(cd);
	loop_stop(loop);
	loop_destroy(loop);
	close(cfg.out_fd);
	close(fd);
}

int main(int argc, char **argv)
{
	ksft_case("output in order, by the timer", output);
	ksft_case("output: a host that does not read", backpressure);
	ksft_case("output: flush needs no running loop", flush_without_loop);
	ksft_case("output: the reader has gone away", reader_gone);
	ksft_case("no input and no output", null_device);
	ksft_case("input, filtered, to its end", input);
	ksft_case("input: a guest that does not read", input_backpressure);
	ksft_case("input: a keyboard is read whether or not it fits", input_lossy);
	ksft_case("a client that comes late hears of input", late_client);
	ksft_case("terminal size", size);
	ksft_case("regular files on both sides", regular_files);
	return ksft_run(argc, argv);
}
