// SPDX-License-Identifier: GPL-2.0-only
/*
 * The byte stream behind a console; see chardev.h.
 *
 * Output costs the guest's thread a lock and a copy. The first byte after silence also arms a
 * one-shot timer of OUT_DELAY_NS, so that a UART's single bytes leave in batches and not with one
 * wake-up each; a ring that is half full is drained at once.
 *
 * Locks, outer first: drain_lock (who writes to out_fd), cb_lock (held across client callbacks),
 * lock (both rings). The client's own locks come between cb_lock and lock.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "chardev.h"
#include "log.h"
#include "util.h"

#define OUT_DELAY_NS 1000000
#define IN_CHUNK     1024u

struct chardev {
	struct chardev_cfg cfg;
	struct loop_src *in_src, *out_src, *timer_src;
	int timer_fd;

	pthread_mutex_t cb_lock;
	const struct chardev_client *client;
	void *client_arg;

	pthread_mutex_t drain_lock;
	size_t watched; /* output offset up to which cfg.watch has seen it */
	bool out_dead;	/* the host side is gone for good; output is dropped */

	pthread_mutex_t lock;
	/* Offsets run freely; offset % size is the place in the ring. */
	size_t out_head, out_tail;
	bool out_armed;	 /* a drain is under way: timer armed or EPOLLOUT awaited */
	bool out_urgent; /* the timer has been shortened since the last drain */
	bool tx_wanted;	 /* a write was cut short */
	size_t in_head, in_tail;
	bool in_paused; /* input ring is full, in_src is off */
	bool in_eof;
	uint16_t cols, rows;
	uint8_t out[CHARDEV_OUT_SIZE];
	uint8_t in[CHARDEV_IN_SIZE];
};

static void chardev_arm(struct chardev *cd, long ns)
{
	const struct itimerspec when = { .it_value.tv_nsec = ns };

	timerfd_settime(cd->timer_fd, 0, &when, NULL);
}

size_t chardev_write(struct chardev *cd, const void *buf, size_t len)
{
	size_t room, pos, n, first;
	long delay = 0;

	if (!len)
		return 0;
	pthread_mutex_lock(&cd->lock);
	room = CHARDEV_OUT_SIZE - (cd->out_head - cd->out_tail);
	n = MIN(len, room);
	pos = cd->out_head % CHARDEV_OUT_SIZE;
	first = MIN(n, CHARDEV_OUT_SIZE - pos);
	memcpy(cd->out + pos, buf, first);
	memcpy(cd->out, (const uint8_t *)buf + first, n - first);
	cd->out_head += n;
	if (n < len)
		cd->tx_wanted = true;
	if (!cd->out_armed) {
		cd->out_armed = true;
		delay = OUT_DELAY_NS;
	}
	if (room - n < CHARDEV_OUT_SIZE / 2 && !cd->out_urgent) {
		cd->out_urgent = true;
		delay = 1;
	}
	pthread_mutex_unlock(&cd->lock);
	if (delay)
		chardev_arm(cd, delay);
	return n;
}

static void chardev_watch(struct chardev *cd, size_t head)
{
	size_t pos, n;

	while (cd->cfg.watch && cd->watched != head) {
		pos = cd->watched % CHARDEV_OUT_SIZE;
		n = MIN(head - cd->watched, CHARDEV_OUT_SIZE - pos);
		cd->cfg.watch(cd->cfg.arg, cd->out + pos, n);
		cd->watched += n;
	}
}

enum client_event { RX_READY, TX_READY, RESIZED };

static void chardev_tell(struct chardev *cd, enum client_event ev)
{
	const struct chardev_client *c;
	void (*fn)(void *arg);

	pthread_mutex_lock(&cd->cb_lock);
	c = cd->client;
	if (c) {
		fn = ev == RX_READY ? c->rx_ready : ev == TX_READY ? c->tx_ready : c->resized;
		if (fn)
			fn(cd->client_arg);
	}
	pthread_mutex_unlock(&cd->cb_lock);
}

/* Write one contiguous piece. 1: there may be more, 0: nothing left, -EAGAIN: host is not ready. */
static int chardev_drain_some(struct chardev *cd)
{
	size_t head, tail, pos, n;
	bool ready, more;
	ssize_t ret;

	pthread_mutex_lock(&cd->lock);
	head = cd->out_head;
	tail = cd->out_tail; /* changes only under drain_lock, which we hold */
	if (head == tail) {
		cd->out_armed = false;
		cd->out_urgent = false;
		pthread_mutex_unlock(&cd->lock);
		return 0;
	}
	pthread_mutex_unlock(&cd->lock);

	/* Bytes between tail and head stay put while the lock is open: writers only append. */
	chardev_watch(cd, head);
	pos = tail % CHARDEV_OUT_SIZE;
	n = MIN(head - tail, CHARDEV_OUT_SIZE - pos);
	if (!cd->out_dead) {
		ret = write(cd->cfg.out_fd, cd->out + pos, n);
		if (ret >= 0) {
			n = ret;
		} else if (errno == EAGAIN || errno == EINTR) {
			return errno == EINTR ? 1 : -EAGAIN;
		} else {
			log_warn("console output is lost from here on: %s", strerror(errno));
			cd->out_dead = true;
		}
	}

	pthread_mutex_lock(&cd->lock);
	cd->out_tail += n;
	more = cd->out_head != cd->out_tail;
	ready = cd->tx_wanted && cd->out_head - cd->out_tail <= CHARDEV_OUT_SIZE / 2;
	if (ready)
		cd->tx_wanted = false;
	if (!more) {
		cd->out_armed = false;
		cd->out_urgent = false;
	}
	pthread_mutex_unlock(&cd->lock);
	if (ready)
		chardev_tell(cd, TX_READY);
	return more || ready;
}

/* The timer has fired or out_fd has become writable. */
static void chardev_drain(void *arg, uint32_t events)
{
	struct chardev *cd = arg;
	uint64_t count;
	unsigned int i;
	int ret = 1;

	(void)events;
	if (read(cd->timer_fd, &count, sizeof(count)) < 0)
		count = 0; /* here because of EPOLLOUT */

	pthread_mutex_lock(&cd->drain_lock);
	/* Bounded, so that a guest that never stops talking does not keep us from the keyboard. */
	for (i = 0; i < 4 && ret > 0; i++)
		ret = chardev_drain_some(cd);
	if (cd->out_src)
		loop_mod(cd->out_src, ret == -EAGAIN ? EPOLLOUT : 0);
	if (ret > 0)
		chardev_arm(cd, 1);
	pthread_mutex_unlock(&cd->drain_lock);
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ll + ts.tv_nsec / 1000000;
}

bool chardev_flush(struct chardev *cd, int timeout_ms)
{
	const int64_t end = now_ms() + timeout_ms;
	struct pollfd pfd = { .fd = cd->cfg.out_fd, .events = POLLOUT };
	int64_t left;
	int ret;

	/* In this thread rather than in the loop's, which need not run any more. */
	pthread_mutex_lock(&cd->drain_lock);
	for (;;) {
		ret = chardev_drain_some(cd);
		left = end - now_ms();
		if (!ret || left <= 0)
			break;
		if (ret == -EAGAIN)
			poll(&pfd, 1, left);
	}
	if (cd->out_src && ret == -EAGAIN)
		loop_mod(cd->out_src, EPOLLOUT);
	else if (ret)
		chardev_arm(cd, 1);
	pthread_mutex_unlock(&cd->drain_lock);
	return !ret;
}

static void chardev_input(void *arg, uint32_t events)
{
	struct chardev *cd = arg;
	uint8_t buf[IN_CHUNK];
	size_t room, pos, first;
	ssize_t n;

	(void)events;
	pthread_mutex_lock(&cd->lock);
	room = CHARDEV_IN_SIZE - (cd->in_head - cd->in_tail); /* only grows behind our back */
	pthread_mutex_unlock(&cd->lock);

	n = read(cd->cfg.in_fd, buf, cd->cfg.in_lossy ? IN_CHUNK : MIN(room, IN_CHUNK));
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		pthread_mutex_lock(&cd->lock);
		cd->in_eof = true;
		loop_mod(cd->in_src, 0);
		pthread_mutex_unlock(&cd->lock);
		return;
	}
	if (cd->cfg.filter)
		n = cd->cfg.filter(cd->cfg.arg, buf, n);

	pthread_mutex_lock(&cd->lock);
	n = MIN((size_t)n, room);
	pos = cd->in_head % CHARDEV_IN_SIZE;
	first = MIN((size_t)n, CHARDEV_IN_SIZE - pos);
	memcpy(cd->in + pos, buf, first);
	memcpy(cd->in, buf + first, n - first);
	cd->in_head += n;
	if (cd->in_head - cd->in_tail == CHARDEV_IN_SIZE && !cd->cfg.in_lossy) {
		cd->in_paused = true;
		loop_mod(cd->in_src, 0);
	}
	pthread_mutex_unlock(&cd->lock);
	if (n)
		chardev_tell(cd, RX_READY);
}

size_t chardev_read(struct chardev *cd, void *buf, size_t len)
{
	size_t pos, n, first;

	pthread_mutex_lock(&cd->lock);
	n = MIN(len, cd->in_head - cd->in_tail);
	pos = cd->in_tail % CHARDEV_IN_SIZE;
	first = MIN(n, CHARDEV_IN_SIZE - pos);
	memcpy(buf, cd->in + pos, first);
	memcpy((uint8_t *)buf + first, cd->in, n - first);
	cd->in_tail += n;
	if (cd->in_paused && !cd->in_eof && cd->in_head - cd->in_tail <= CHARDEV_IN_SIZE / 2) {
		cd->in_paused = false;
		loop_mod(cd->in_src, EPOLLIN);
	}
	pthread_mutex_unlock(&cd->lock);
	return n;
}

bool chardev_readable(struct chardev *cd)
{
	bool ret;

	pthread_mutex_lock(&cd->lock);
	ret = cd->in_head != cd->in_tail;
	pthread_mutex_unlock(&cd->lock);
	return ret;
}

void chardev_attach(struct chardev *cd, const struct chardev_client *client, void *arg)
{
	pthread_mutex_lock(&cd->cb_lock);
	cd->client = client;
	cd->client_arg = arg;
	pthread_mutex_unlock(&cd->cb_lock);
	if (chardev_readable(cd))
		chardev_tell(cd, RX_READY);
}

void chardev_detach(struct chardev *cd)
{
	pthread_mutex_lock(&cd->cb_lock);
	cd->client = NULL;
	pthread_mutex_unlock(&cd->cb_lock);
}

void chardev_resize(struct chardev *cd, uint16_t cols, uint16_t rows)
{
	bool changed;

	pthread_mutex_lock(&cd->lock);
	changed = cd->cols != cols || cd->rows != rows;
	cd->cols = cols;
	cd->rows = rows;
	pthread_mutex_unlock(&cd->lock);
	if (changed)
		chardev_tell(cd, RESIZED);
}

bool chardev_size(struct chardev *cd, uint16_t *cols, uint16_t *rows)
{
	pthread_mutex_lock(&cd->lock);
	*cols = cd->cols;
	*rows = cd->rows;
	pthread_mutex_unlock(&cd->lock);
	return *cols && *rows;
}

int chardev_create(const struct chardev_cfg *cfg, struct chardev **out)
{
	struct chardev *cd;
	int ret;

	cd = calloc(1, sizeof(*cd));
	if (!cd)
		return -ENOMEM;
	cd->cfg = *cfg;
	cd->out_dead = cfg->out_fd < 0;
	pthread_mutex_init(&cd->cb_lock, NULL);
	pthread_mutex_init(&cd->drain_lock, NULL);
	pthread_mutex_init(&cd->lock, NULL);
	cd->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (cd->timer_fd < 0) {
		ret = -errno;
		goto out;
	}
	ret = loop_add(cfg->loop, cd->timer_fd, EPOLLIN, chardev_drain, cd, &cd->timer_src);
	if (!ret && cfg->out_fd >= 0)
		ret = loop_add(cfg->loop, cfg->out_fd, 0, chardev_drain, cd, &cd->out_src);
	/* Last: its callback may come before loop_add() returns. */
	if (!ret && cfg->in_fd >= 0)
		ret = loop_add(cfg->loop, cfg->in_fd, EPOLLIN, chardev_input, cd, &cd->in_src);
out:
	if (ret) {
		chardev_destroy(cd);
		cd = NULL;
	}
	*out = cd;
	return ret;
}

void chardev_destroy(struct chardev *cd)
{
	if (!cd)
		return;
	/* The timer first: its callback uses out_src. */
	loop_del(cd->timer_src);
	loop_del(cd->out_src);
	loop_del(cd->in_src);
	if (cd->timer_fd >= 0)
		close(cd->timer_fd);
	pthread_mutex_destroy(&cd->cb_lock);
	pthread_mutex_destroy(&cd->drain_lock);
	pthread_mutex_destroy(&cd->lock);
	free(cd);
}
