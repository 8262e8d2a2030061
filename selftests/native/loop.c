// SPDX-License-Identifier: GPL-2.0-only
/*
 * lib/loop.c: dispatch, changes of interest, deletion from inside and outside of callbacks, files
 * that epoll refuses, start and stop.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "kselftest.h"
#include "loop.h"

struct probe {
	struct loop *l;
	struct loop_src *src, *victim;
	int fd;
	atomic_int calls;
	atomic_int inside;
	int quit_after;
};

static void probe_read(struct probe *p)
{
	uint64_t v;

	if (read(p->fd, &v, sizeof(v)) < 0)
		v = 0;
}

static void count_cb(void *arg, uint32_t events)
{
	struct probe *p = arg;

	(void)events;
	probe_read(p);
	if (++p->calls == p->quit_after)
		loop_quit(p->l);
}

static void kick(int fd)
{
	eventfd_write(fd, 1);
}

static int evfd(void)
{
	return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

static void on_caller(void)
{
	struct probe p = { .fd = evfd(), .quit_after = 1 };

	ksft_eq(loop_create(&p.l), 0);
	ksft_eq(loop_add(p.l, p.fd, EPOLLIN, count_cb, &p, &p.src), 0);
	kick(p.fd);
	ksft_eq(loop_run(p.l), 0);
	ksft_eq(p.calls, 1);
	/* A second run of the same loop. */
	p.quit_after = 2;
	kick(p.fd);
	ksft_eq(loop_run(p.l), 0);
	ksft_eq(p.calls, 2);
	loop_del(p.src);
	loop_destroy(p.l);
	close(p.fd);
}

static void quit_before_run(void)
{
	struct loop *l;

	ksft_eq(loop_create(&l), 0);
	loop_quit(l);
	ksft_eq(loop_run(l), 0);
	loop_destroy(l);
}

static void wait_for(atomic_int *v, int want)
{
	while (*v < want)
		usleep(100);
}

static void interest(void)
{
	struct probe p = { .fd = evfd() };

	ksft_eq(loop_create(&p.l), 0);
	ksft_eq(loop_add(p.l, p.fd, 0, count_cb, &p, &p.src), 0);
	ksft_eq(loop_start(p.l, "a-name-that-is-too-long"), 0);
	kick(p.fd);
	usleep(20000);
	ksft_eq(p.calls, 0);
	ksft_eq(loop_mod(p.src, EPOLLIN), 0);
	wait_for(&p.calls, 1);
	loop_stop(p.l);
	loop_destroy(p.l); /* with its source still there */
	close(p.fd);
}

/* Whichever of two ready sources comes first deletes the other, which then must not be called. */
static void kill_cb(void *arg, uint32_t events)
{
	struct probe *p = arg;

	(void)events;
	p->calls++;
	loop_del(p->victim);
	loop_del(p->src);
	loop_quit(p->l);
}

static void delete_inside(void)
{
	struct probe a = { .fd = evfd() }, b = { .fd = evfd() };

	ksft_eq(loop_create(&a.l), 0);
	b.l = a.l;
	ksft_eq(loop_add(a.l, a.fd, EPOLLIN, kill_cb, &a, &a.src), 0);
	ksft_eq(loop_add(a.l, b.fd, EPOLLIN, kill_cb, &b, &b.src), 0);
	a.victim = b.src;
	b.victim = a.src;
	kick(a.fd);
	kick(b.fd);
	ksft_eq(loop_run(a.l), 0);
	ksft_eq(a.calls + b.calls, 1);
	loop_destroy(a.l);
	close(a.fd);
	close(b.fd);
}

static void slow_cb(void *arg, uint32_t events)
{
	struct probe *p = arg;

	(void)events;
	p->calls++;
	p->inside = 1;
	usleep(50000);
	p->inside = 0;
}

static void delete_waits(void)
{
	struct probe p = { .fd = evfd() };
	int calls;

	ksft_eq(loop_create(&p.l), 0);
	ksft_eq(loop_add(p.l, p.fd, EPOLLIN, slow_cb, &p, &p.src), 0);
	ksft_eq(loop_start(p.l, "loop"), 0);
	kick(p.fd); /* never read: ready for good */
	wait_for(&p.inside, 1);
	loop_del(p.src);
	ksft_eq(p.inside, 0);
	calls = p.calls;
	usleep(20000);
	ksft_eq(p.calls, calls);
	loop_stop(p.l);
	loop_destroy(p.l);
	close(p.fd);
}

static void always_cb(void *arg, uint32_t events)
{
	struct probe *p = arg;

	ksft_check(events & EPOLLIN);
	if (++p->calls == 3) {
		loop_mod(p->src, 0);
		kick(p->quit_after);
	}
}

static void regular_file(void)
{
	struct probe p = { .fd = open("/dev/null", O_RDONLY) }, end = { .fd = evfd() };

	ksft_eq(loop_create(&p.l), 0);
	end.l = p.l;
	end.quit_after = 1;
	p.quit_after = end.fd;
	ksft_eq(loop_add(p.l, end.fd, EPOLLIN, count_cb, &end, &end.src), 0);
	ksft_eq(loop_add(p.l, p.fd, EPOLLIN, always_cb, &p, &p.src), 0);
	ksft_eq(loop_run(p.l), 0);
	ksft_eq(p.calls, 3);
	/* Switched on again from another thread while the loop sleeps. */
	p.calls = 0;
	end.calls = 0;
	end.quit_after = 0;
	ksft_eq(loop_start(p.l, "loop"), 0);
	usleep(10000);
	ksft_eq(loop_mod(p.src, EPOLLIN), 0);
	wait_for(&p.calls, 3);
	loop_stop(p.l);
	loop_destroy(p.l);
	close(p.fd);
	close(end.fd);
}

static void bad_fd(void)
{
	struct loop_src *src = (void *)1;
	struct probe p = { 0 };

	ksft_eq(loop_create(&p.l), 0);
	ksft_eq(loop_add(p.l, 1000000, EPOLLIN, count_cb, &p, &src), -EBADF);
	ksft_check(!src);
	loop_del(src);
	loop_destroy(p.l);
	loop_destroy(NULL);
}

static void *churn(void *arg)
{
	struct probe *p = arg, mine = { .l = p->l };
	int i;

	for (i = 0; i < 500; i++) {
		mine.fd = evfd();
		if (loop_add(p->l, mine.fd, EPOLLIN, count_cb, &mine, &mine.src))
			break;
		kick(mine.fd);
		if (i % 2)
			loop_mod(mine.src, 0);
		loop_del(mine.src);
		close(mine.fd);
		p->calls++;
	}
	return NULL;
}

static void add_delete_storm(void)
{
	pthread_t t[3];
	struct probe p = { 0 };
	int i;

	ksft_eq(loop_create(&p.l), 0);
	ksft_eq(loop_start(p.l, "loop"), 0);
	for (i = 0; i < 3; i++)
		pthread_create(&t[i], NULL, churn, &p);
	for (i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	ksft_eq(p.calls, 1500);
	loop_stop(p.l);
	loop_stop(p.l); /* twice is allowed */
	loop_destroy(p.l);
}

int main(int argc, char **argv)
{
	ksft_case("runs on the caller's thread, twice", on_caller);
	ksft_case("a quit before the run is remembered", quit_before_run);
	ksft_case("no events wanted, none delivered", interest);
	ksft_case("a callback deletes itself and a ready neighbour", delete_inside);
	ksft_case("deletion waits for a running callback", delete_waits);
	ksft_case("files that epoll refuses are always ready", regular_file);
	ksft_case("a bad descriptor is an error", bad_fd);
	ksft_case("adding and deleting from three threads", add_delete_storm);
	return ksft_run(argc, argv);
}
