// SPDX-License-Identifier: GPL-2.0-only
/*
 * Network device: the thread that serves a pair of queues, from activate to quiesce. It sleeps in
 * one place, for a kick, the backend, or the order to stop.
 *
 * Events are edge-triggered: a kick is never read from its eventfd, and each round of work costs
 * one epoll_wait(). What a budget has left over is remembered here, not in the descriptors.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "net.h"

/* What an event is about, and what a round has to look at. */
enum {
	NET_EV_STOP = 1 << 0,
	NET_EV_RX = 1 << 1,
	NET_EV_TX = 1 << 2,
	NET_EV_CTRL = 1 << 3,
	NET_EV_BACKEND = 1 << 4,
};

/* Looking for work: what had been done when it was last found, and when to give up. */
struct net_spell {
	uint64_t done, until;
};

static int net_watch(struct net_pair *p, int op, int fd, uint32_t events, uint32_t what)
{
	struct epoll_event ev = { .events = events, .data.u32 = what };

	return epoll_ctl(p->epfd, op, fd, &ev) ? -errno : 0;
}

/*
 * What is wanted of the backend's fd. Not frames that the guest has no buffers for, which would
 * wake the thread one by one; not room to send when nothing is held, or each frame would report
 * that too.
 */
static void net_arm(struct net_pair *p)
{
	uint32_t events = EPOLLET | (p->muted ? 0 : EPOLLIN) | (p->tx.held ? EPOLLOUT : 0);

	if (p->armed == events || p->be->fd < 0)
		return;
	/* Reports at once what is already there. */
	net_watch(p, p->armed ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, p->be->fd, events, NET_EV_BACKEND);
	p->armed = events;
}

/* Where the queues share the interrupt, one is enough for a frame and the answer to it. */
void net_flush(struct net_pair *p)
{
	bool tx = vq_flush(p->tx.vq), rx = vq_flush(p->rx.vq);
	struct vdev *vd = &p->dev->vd;

	if (tx && rx && !vd->tp->irq_per_queue) {
		net_count(&p->tx.vq->stat_quiet, 1);
		tx = false;
	}
	if (tx) {
		net_count(&p->tx.vq->stat_irqs, 1);
		vd->tp->irq(vd, p->tx.vq - vd->vq);
	}
	if (rx) {
		net_count(&p->rx.vq->stat_irqs, 1);
		vd->tp->irq(vd, p->rx.vq - vd->vq);
	}
}

static unsigned int net_event(struct net_pair *p, const struct epoll_event *ev)
{
	switch (ev->data.u32) {
	case NET_EV_RX:
		net_count(&p->rx.vq->stat_kicks, 1);
		return NET_EV_RX;
	case NET_EV_TX:
		net_count(&p->tx.vq->stat_kicks, 1);
		return NET_EV_TX;
	case NET_EV_CTRL:
		net_count(&net_ctrl_vq(p->dev)->stat_kicks, 1);
		return NET_EV_CTRL;
	case NET_EV_BACKEND:
		p->muted = p->rx.starved;
		return NET_EV_RX | (p->tx.held ? NET_EV_TX : 0);
	}
	return 0;
}

/* Sleep for @timeout ms at most; returns what there is to do. */
static unsigned int net_wait(struct net_pair *p, int timeout)
{
	struct epoll_event ev[8];
	unsigned int todo = 0;
	int i, n;

	if (p->be->ops->wait) {
		p->be->ops->wait(p->be, p->epfd, timeout);
		todo = NET_EV_RX;
		timeout = 0;
	}
	n = epoll_wait(p->epfd, ev, ARRAY_SIZE(ev), timeout);
	for (i = 0; i < n; i++)
		todo |= net_event(p, &ev[i]);
	return todo;
}

/*
 * On a single processor this thread takes it away from the guest at every kick, and so gets one
 * frame at a time. A batch thread waits until the guest sleeps or has had its time: the queue
 * fills, and one kick and one interrupt serve many frames. With more processors it wakes on
 * another one.
 */
static void net_set_policy(bool single)
{
	const struct sched_param none = { 0 };

	if (single)
		sched_setscheduler(0, SCHED_BATCH, &none);
}

static bool net_single_cpu(void)
{
	cpu_set_t cpus;

	return !sched_getaffinity(0, sizeof(cpus), &cpus) && CPU_COUNT(&cpus) == 1;
}

static void net_set_name(const struct net_pair *p)
{
	char name[16]; /* the kernel's limit */

	if (p->index)
		snprintf(name, sizeof(name), "%.12s.%u", p->dev->vd.label, p->index % 10);
	else
		snprintf(name, sizeof(name), "%.15s", p->dev->vd.label);
	pthread_setname_np(pthread_self(), name);
}

uint64_t net_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

/* Frames that the pair has been through with; grows, whatever becomes of them. */
static uint64_t net_done(const struct net_pair *p)
{
	return p->rx.stat_packets + p->rx.stat_drops + p->tx.stat_packets + p->tx.stat_drops;
}

/*
 * After a round that left nothing to do: what to look at again without an event for it, 0: sleep.
 * Work is followed by @ns of looking for more, in which the driver is not asked to kick; then a
 * last look at the queue asks it again.
 */
static unsigned int net_poll(struct net_pair *p, uint64_t ns, struct net_spell *s)
{
	uint64_t done = net_done(p), now = net_now_ns();

	if (done != s->done) {
		net_count(p->polling ? &p->stat_hits : &p->stat_polls, 1);
		p->polling = true;
		s->done = done;
		s->until = now + ns;
	} else if (p->polling && now >= s->until) {
		p->polling = false;
		return NET_EV_TX;
	}
	return p->polling ? NET_EV_TX | NET_EV_RX : 0;
}

static void *net_thread(void *arg)
{
	struct net_pair *p = arg;
	struct net_dev *nd = p->dev;
	unsigned int todo = NET_EV_RX | NET_EV_TX | NET_EV_CTRL, more, later = 0;
	bool single = net_single_cpu();
	/* There, who could make work would be kept from it. */
	uint64_t poll_ns = single ? 0 : nd->poll_ns;
	struct net_spell spell = { .done = net_done(p) };
	enum net_work work;

	net_set_name(p);
	net_set_policy(single);
	/* Any pair may have broken the device. */
	while (!load_acquire(&p->stop) && !vdev_is_broken(&nd->vd)) {
		more = 0;
		if (todo & NET_EV_CTRL && !p->index) {
			work = net_ctrl_run(nd, net_ctrl_vq(nd));
			if (work == NET_BROKEN)
				break;
			more |= work == NET_MORE ? NET_EV_CTRL : 0;
			later = work == NET_LATER ? NET_EV_CTRL : 0;
		}
		if (todo & NET_EV_TX) {
			work = net_tx_run(p);
			if (work == NET_BROKEN)
				break;
			more |= work == NET_MORE ? NET_EV_TX : 0;
		}
		/* What was sent is often answered by now, before there is an event for it. */
		if (todo & (NET_EV_RX | NET_EV_TX)) {
			work = net_rx_run(p);
			if (work == NET_BROKEN)
				break;
			more |= work == NET_MORE ? NET_EV_RX : 0;
			p->muted &= p->rx.starved;
		}
		net_flush(p);
		net_arm(p);
		if (!more && poll_ns)
			more = net_poll(p, poll_ns, &spell);
		todo = more | later;
		todo |= net_wait(p, more ? 0 : later ? NET_CTRL_REST_MS : -1);
	}
	return NULL;
}

/* Signals are for the VMM's main thread. */
int net_thread_start(struct net_pair *p)
{
	sigset_t all, old;
	int ret;

	/* Which one it is depends on what was negotiated. */
	if (!p->index) {
		ret = net_watch(p, EPOLL_CTL_ADD, net_ctrl_vq(p->dev)->kick_fd, EPOLLIN | EPOLLET,
				NET_EV_CTRL);
		if (ret)
			return ret;
	}
	p->stop = false;
	p->muted = false;
	p->polling = false;
	net_arm(p);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	ret = -pthread_create(&p->thread, NULL, net_thread, p);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (ret && !p->index)
		net_watch(p, EPOLL_CTL_DEL, net_ctrl_vq(p->dev)->kick_fd, 0, 0);
	return ret;
}

void net_thread_stop(struct net_pair *p)
{
	eventfd_t n;

	store_release(&p->stop, true); /* pairs with the thread's acquire */
	eventfd_write(p->stop_fd, 1);
	pthread_join(p->thread, NULL);
	eventfd_read(p->stop_fd, &n);
	if (!p->index)
		net_watch(p, EPOLL_CTL_DEL, net_ctrl_vq(p->dev)->kick_fd, 0, 0);
	p->polling = false;
}

int net_thread_init(struct net_pair *p)
{
	int ret;

	p->epfd = epoll_create1(EPOLL_CLOEXEC);
	p->stop_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (p->epfd < 0 || p->stop_fd < 0)
		return -errno;
	ret = net_watch(p, EPOLL_CTL_ADD, p->stop_fd, EPOLLIN, NET_EV_STOP);
	if (!ret)
		ret = net_watch(p, EPOLL_CTL_ADD, p->rx.vq->kick_fd, EPOLLIN | EPOLLET, NET_EV_RX);
	if (!ret)
		ret = net_watch(p, EPOLL_CTL_ADD, p->tx.vq->kick_fd, EPOLLIN | EPOLLET, NET_EV_TX);
	return ret;
}

void net_thread_fini(struct net_pair *p)
{
	if (p->epfd >= 0)
		close(p->epfd);
	if (p->stop_fd >= 0)
		close(p->stop_fd);
}
