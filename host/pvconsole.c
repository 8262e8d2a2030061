// SPDX-License-Identifier: GPL-2.0-only
/*
 * Xen's console ring, the back end's side. Of the shared page only the guest's two indices are
 * read, each once per pass, and checked; ours live in struct pvconsole and are only published. Data
 * is copied out before anybody looks at it. A guest whose indices make no sense loses what its ring
 * held, or gets no input until they do again: that is all.
 *
 * Threads: everything runs in the loop's thread, which sleeps until a kick of the guest or a wake
 * of the chardev. Each pass moves at most one ring full each way: who adds more kicks again.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <xen/io/console.h>

#include "pvconsole.h"
#include "util.h"

#define IN_SIZE	 sizeof(((struct xencons_interface *)0)->in)
#define OUT_SIZE sizeof(((struct xencons_interface *)0)->out)

struct pvconsole {
	struct chardev *cd;
	struct xencons_interface *ring;
	struct loop *loop;
	int irq_fd, kick_fd;
	int wake_fd; /* the chardev has input, or room again */
	uint32_t in_prod, out_cons;
};

/* Guest to host; true when the ring has got room. */
static bool pvconsole_out(struct pvconsole *c)
{
	uint8_t buf[OUT_SIZE];
	/* Pairs with the guest's barrier between data and out_prod. */
	uint32_t prod = load_acquire(&c->ring->out_prod);
	uint32_t n = prod - c->out_cons;
	uint32_t at = c->out_cons % OUT_SIZE, first;

	if (!n)
		return false;
	if (n > OUT_SIZE) {
		c->out_cons = prod;
	} else {
		first = MIN(n, OUT_SIZE - at);
		memcpy(buf, c->ring->out + at, first);
		memcpy(buf + first, c->ring->out, n - first);
		n = chardev_write(c->cd, buf, n);
		c->out_cons += n;
	}
	/* The space is the guest's again only after the copy. */
	store_release(&c->ring->out_cons, c->out_cons);
	return n;
}

/* Host to guest; true when there is something new in the ring. */
static bool pvconsole_in(struct pvconsole *c)
{
	uint8_t buf[IN_SIZE];
	/* Pairs with the guest's barrier between its reads and in_cons. */
	uint32_t used = c->in_prod - load_acquire(&c->ring->in_cons);
	uint32_t at = c->in_prod % IN_SIZE, n, first;

	if (used >= IN_SIZE)
		return false;
	n = chardev_read(c->cd, buf, IN_SIZE - used);
	if (!n)
		return false;
	first = MIN(n, IN_SIZE - at);
	memcpy(c->ring->in + at, buf, first);
	memcpy(c->ring->in, buf + first, n - first);
	c->in_prod += n;
	store_release(&c->ring->in_prod, c->in_prod);
	return true;
}

static void pvconsole_serve(struct pvconsole *c)
{
	bool out = pvconsole_out(c), in = pvconsole_in(c);

	if (out || in)
		eventfd_write(c->irq_fd, 1);
}

static void pvconsole_kicked(void *arg, uint32_t events)
{
	struct pvconsole *c = arg;
	eventfd_t n;

	(void)events;
	eventfd_read(c->kick_fd, &n); /* before the look at the ring, or a kick is lost */
	pvconsole_serve(c);
}

static void pvconsole_woken(void *arg, uint32_t events)
{
	struct pvconsole *c = arg;
	eventfd_t n;

	(void)events;
	eventfd_read(c->wake_fd, &n);
	pvconsole_serve(c);
}

/* Chardev callback. */
static void pvconsole_wake(void *arg)
{
	struct pvconsole *c = arg;

	eventfd_write(c->wake_fd, 1);
}

static const struct chardev_client pvconsole_client = {
	.rx_ready = pvconsole_wake,
	.tx_ready = pvconsole_wake,
};

int pvconsole_create(struct chardev *cd, void *ring_page, int irq_fd, int kick_fd,
		     struct pvconsole **out)
{
	struct pvconsole *c;
	int ret;

	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->cd = cd;
	c->ring = ring_page;
	c->irq_fd = irq_fd;
	c->kick_fd = kick_fd;
	c->in_prod = load_once(&c->ring->in_prod);
	c->out_cons = load_once(&c->ring->out_cons);
	c->wake_fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK); /* 1: look at once */
	if (c->wake_fd < 0) {
		ret = -errno;
		goto out_free;
	}
	ret = loop_create(&c->loop);
	if (ret)
		goto out_close;
	ret = loop_add(c->loop, kick_fd, EPOLLIN, pvconsole_kicked, c, NULL);
	if (!ret)
		ret = loop_add(c->loop, c->wake_fd, EPOLLIN, pvconsole_woken, c, NULL);
	if (!ret)
		ret = loop_start(c->loop, "hvc0");
	if (ret)
		goto out_loop;
	chardev_attach(cd, &pvconsole_client, c);
	*out = c;
	return 0;
out_loop:
	loop_destroy(c->loop);
out_close:
	close(c->wake_fd);
out_free:
	free(c);
	return ret;
}

void pvconsole_destroy(struct pvconsole *c)
{
	if (!c)
		return;
	chardev_detach(c->cd);
	loop_stop(c->loop);
	loop_destroy(c->loop);
	pvconsole_out(c);
	close(c->wake_fd);
	free(c);
}
