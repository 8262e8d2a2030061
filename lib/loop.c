// SPDX-License-Identifier: GPL-2.0-only
/*
 * The event loop; see loop.h. One mutex guards the list of sources and which callback runs now; it
 * is never held across a callback. A deleted source is freed only after the batch of events that
 * may still point to it, by the dispatching thread or by loop_destroy().
 */
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "loop.h"
#include "util.h"

#define LOOP_BATCH 16

struct loop_src {
	struct loop *l;
	struct loop_src *next;
	int fd;
	uint32_t events;
	bool always; /* epoll refused the fd with EPERM: it never blocks */
	bool polled; /* is in the epoll set */
	bool dead;
	void (*fn)(void *arg, uint32_t events);
	void *arg;
};

struct loop {
	int epfd;
	int wake_fd;
	bool quit;
	pthread_mutex_t lock;
	pthread_cond_t idle; /* the running callback has returned */
	struct loop_src *srcs;
	struct loop_src *current;
	unsigned int nalways; /* sources that are always ready and wanted */
	bool running;
	pthread_t runner; /* valid while running */
	bool threaded;
	pthread_t thread; /* valid while threaded */
	char name[16];
};

int loop_create(struct loop **out)
{
	struct epoll_event ev = { .events = EPOLLIN };
	struct loop *l;
	int ret;

	l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	l->wake_fd = -1;
	l->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epfd < 0)
		goto fail;
	l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->wake_fd < 0)
		goto fail;
	/* The one entry without a source: data.ptr is NULL. */
	if (epoll_ctl(l->epfd, EPOLL_CTL_ADD, l->wake_fd, &ev))
		goto fail;
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->idle, NULL);
	*out = l;
	return 0;
fail:
	ret = -errno;
	if (l->wake_fd >= 0)
		close(l->wake_fd);
	if (l->epfd >= 0)
		close(l->epfd);
	free(l);
	return ret;
}

static void loop_wake(struct loop *l)
{
	uint64_t one = 1;

	if (write(l->wake_fd, &one, sizeof(one)) < 0)
		return; /* the counter is full, so a wake-up is pending anyway */
}

static int src_update_locked(struct loop_src *s, uint32_t events)
{
	struct loop *l = s->l;
	struct epoll_event ev = { .events = events, .data.ptr = s };
	int op;

	if (s->always) {
		l->nalways += !!events - !!s->events;
		s->events = events;
		if (events)
			loop_wake(l);
		return 0;
	}
	if (!events && !s->polled)
		return 0;
	op = !events ? EPOLL_CTL_DEL : s->polled ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
	if (epoll_ctl(l->epfd, op, s->fd, &ev)) {
		if (errno != EPERM || op != EPOLL_CTL_ADD)
			return -errno;
		s->always = true;
		return src_update_locked(s, events);
	}
	s->polled = !!events;
	s->events = events;
	return 0;
}

int loop_add(struct loop *l, int fd, uint32_t events, void (*fn)(void *arg, uint32_t events),
	     void *arg, struct loop_src **out)
{
	struct loop_src *s;
	int ret;

	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->l = l;
	s->fd = fd;
	s->fn = fn;
	s->arg = arg;

	pthread_mutex_lock(&l->lock);
	/* Before the first event can come: the callback may use *out. */
	if (out)
		*out = s;
	ret = src_update_locked(s, events);
	if (!ret) {
		s->next = l->srcs;
		l->srcs = s;
	}
	pthread_mutex_unlock(&l->lock);
	if (ret) {
		if (out)
			*out = NULL;
		free(s);
	}
	return ret;
}

int loop_mod(struct loop_src *s, uint32_t events)
{
	int ret = 0;

	pthread_mutex_lock(&s->l->lock);
	/* Dead: somebody deletes it and waits for the callback that we are in. */
	if (!s->dead && s->events != events)
		ret = src_update_locked(s, events);
	pthread_mutex_unlock(&s->l->lock);
	return ret;
}

void loop_del(struct loop_src *s)
{
	struct loop *l;

	if (!s)
		return;
	l = s->l;
	pthread_mutex_lock(&l->lock);
	assert(!s->dead);
	src_update_locked(s, 0);
	s->dead = true;
	/* From here on only the address of s is used: the loop may free it. */
	while (l->current == s && !(l->running && pthread_equal(l->runner, pthread_self())))
		pthread_cond_wait(&l->idle, &l->lock);
	pthread_mutex_unlock(&l->lock);
}

static void loop_dispatch(struct loop *l, struct loop_src *s, uint32_t events)
{
	pthread_mutex_lock(&l->lock);
	/* An earlier callback of this batch, or another thread, may have changed its mind. */
	events &= s->events | EPOLLERR | EPOLLHUP;
	if (s->dead || !s->events || !events) {
		pthread_mutex_unlock(&l->lock);
		return;
	}
	l->current = s;
	pthread_mutex_unlock(&l->lock);

	s->fn(s->arg, events);

	pthread_mutex_lock(&l->lock);
	l->current = NULL;
	pthread_cond_broadcast(&l->idle);
	pthread_mutex_unlock(&l->lock);
}

static void loop_dispatch_always(struct loop *l)
{
	struct loop_src *s;

	/* Sources are only ever put in front and only this thread takes them out. */
	pthread_mutex_lock(&l->lock);
	s = l->nalways ? l->srcs : NULL;
	pthread_mutex_unlock(&l->lock);
	for (; s; s = s->next)
		if (load_once(&s->always))
			loop_dispatch(l, s, EPOLLIN | EPOLLOUT);
}

static void loop_reap(struct loop *l)
{
	struct loop_src **p, *s;

	pthread_mutex_lock(&l->lock);
	for (p = &l->srcs; (s = *p);) {
		if (s->dead) {
			*p = s->next;
			free(s);
		} else {
			p = &s->next;
		}
	}
	pthread_mutex_unlock(&l->lock);
}

int loop_run(struct loop *l)
{
	struct epoll_event ev[LOOP_BATCH];
	int ret = 0, i, n, timeout;
	uint64_t count;

	pthread_mutex_lock(&l->lock);
	assert(!l->running);
	l->running = true;
	l->runner = pthread_self();
	pthread_mutex_unlock(&l->lock);

	while (!load_acquire(&l->quit)) { /* pairs with loop_quit() */
		pthread_mutex_lock(&l->lock);
		timeout = l->nalways ? 0 : -1;
		pthread_mutex_unlock(&l->lock);
		n = epoll_wait(l->epfd, ev, LOOP_BATCH, timeout);
		if (n < 0 && errno != EINTR) {
			ret = -errno;
			break;
		}
		for (i = 0; i < n; i++) {
			if (ev[i].data.ptr)
				loop_dispatch(l, ev[i].data.ptr, ev[i].events);
			else if (read(l->wake_fd, &count, sizeof(count)) < 0)
				continue; /* somebody woke us for nothing */
		}
		loop_dispatch_always(l);
		loop_reap(l);
	}

	pthread_mutex_lock(&l->lock);
	l->running = false;
	pthread_mutex_unlock(&l->lock);
	store_once(&l->quit, false);
	return ret;
}

void loop_quit(struct loop *l)
{
	store_release(&l->quit, true); /* pairs with loop_run() */
	loop_wake(l);
}

static void *loop_thread(void *arg)
{
	struct loop *l = arg;

	pthread_setname_np(pthread_self(), l->name);
	loop_run(l);
	return NULL;
}

int loop_start(struct loop *l, const char *name)
{
	sigset_t all, old;
	unsigned int i;
	int ret;

	assert(!l->threaded);
	for (i = 0; i + 1 < sizeof(l->name) && name[i]; i++)
		l->name[i] = name[i];
	l->name[i] = '\0';
	/* Signals are for the main thread and the vCPUs' kicks; a new thread inherits the mask. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	ret = -pthread_create(&l->thread, NULL, loop_thread, l);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	l->threaded = !ret;
	return ret;
}

void loop_stop(struct loop *l)
{
	if (!l->threaded)
		return;
	loop_quit(l);
	pthread_join(l->thread, NULL);
	l->threaded = false;
}

void loop_destroy(struct loop *l)
{
	struct loop_src *s, *next;

	if (!l)
		return;
	assert(!l->running && !l->threaded);
	for (s = l->srcs; s; s = next) {
		next = s->next;
		free(s);
	}
	close(l->wake_fd);
	close(l->epfd);
	pthread_mutex_destroy(&l->lock);
	pthread_cond_destroy(&l->idle);
	free(l);
}
