// SPDX-License-Identifier: GPL-2.0-only
/*
 * virtio-console (virtio 1.2, 5.3): one port, no MULTIPORT. Output goes to a struct chardev and
 * waits there for the host's terminal, input is taken from it as the guest gives buffers; neither
 * side ever blocks a vCPU. The emergency write register works from the first instruction on.
 *
 * Threads: the queues belong to the device's own loop, which lives from activate to quiesce. The
 * chardev's callbacks only write wake_fd, except for a change of size, which takes vdev.lock; the
 * device's thread never takes that, as quiesce waits for it with the lock held.
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <linux/virtio_console.h>
#include <linux/virtio_ids.h>

#include "console.h"
#include "loop.h"
#include "table.h"
#include "util.h"
#include "vdev.h"

#define CONSOLE_QUEUE_SIZE 128

enum { CONSOLE_RX, CONSOLE_TX, CONSOLE_NVQ };

struct console {
	struct vdev vd;
	struct chardev *cd;
	struct loop *loop; /* while active */
	int wake_fd;	   /* input has come, output may go on, or work is left over */
	struct virtio_console_config config;

	/* The device's thread only. */
	bool tx_busy; /* tx is popped and not written out yet */
	struct vq_chain tx;
	unsigned int tx_iov; /* next buffer of it */
	size_t tx_off;	     /* bytes of that already written */
	uint64_t stat_tx, stat_rx;
	struct iovec tx_vec[VQ_SIZE_MAX];
	struct iovec rx_vec[VQ_SIZE_MAX];
};

static void console_wake(void *arg)
{
	struct console *c = arg;
	uint64_t one = 1;

	if (write(c->wake_fd, &one, sizeof(one)) < 0)
		return; /* saturated: it is awake */
}

static void console_clear(int fd)
{
	uint64_t count;

	if (read(fd, &count, sizeof(count)) < 0)
		return; /* EAGAIN: somebody else was faster */
}

/* False: the chardev is full, tx_ready will wake us. */
static bool console_tx_copy(struct console *c)
{
	struct iovec *iov;
	size_t n;

	while (c->tx_iov < c->tx.nout) {
		iov = &c->tx.iov[c->tx_iov];
		n = chardev_write(c->cd, (uint8_t *)iov->iov_base + c->tx_off,
				  iov->iov_len - c->tx_off);
		store_once(&c->stat_tx, c->stat_tx + n);
		c->tx_off += n;
		if (c->tx_off < iov->iov_len)
			return false;
		c->tx_iov++;
		c->tx_off = 0;
	}
	return true;
}

static void console_tx(struct console *c)
{
	struct vq *vq = &c->vd.vq[CONSOLE_TX];
	unsigned int budget;
	int ret;

	for (budget = VQ_SIZE_MAX; budget; budget--) {
		if (!c->tx_busy) {
			ret = vq_pop(vq, &c->tx);
			if (ret < 0)
				goto broken;
			if (!ret) {
				vdev_flush(&c->vd, vq);
				if (!vq_kicks_on(vq))
					return;
				continue;
			}
			if (c->tx.nin) {
				vq_break(vq, "transmit buffer is device-writable");
				goto broken;
			}
			c->tx_busy = true;
			c->tx_iov = 0;
			c->tx_off = 0;
		}
		if (!console_tx_copy(c)) {
			vdev_flush(&c->vd, vq);
			return;
		}
		vq_push(vq, c->tx.head, 0);
		c->tx_busy = false;
	}
	vdev_flush(&c->vd, vq);
	console_wake(c);
	return;
broken:
	vdev_broken(&c->vd, vq->broken);
}

static uint32_t console_rx_fill(struct console *c, const struct vq_chain *chain)
{
	uint32_t done = 0;
	unsigned int i;
	size_t n;

	for (i = 0; i < chain->nin; i++) {
		n = chardev_read(c->cd, chain->iov[i].iov_base, chain->iov[i].iov_len);
		done += n;
		if (n < chain->iov[i].iov_len)
			break;
	}
	store_once(&c->stat_rx, c->stat_rx + done);
	return done;
}

static void console_rx(struct console *c)
{
	struct vq *vq = &c->vd.vq[CONSOLE_RX];
	struct vq_chain chain = { .iov = c->rx_vec, .iov_max = VQ_SIZE_MAX };
	unsigned int budget;
	int ret;

	for (budget = VQ_SIZE_MAX; budget && chardev_readable(c->cd); budget--) {
		ret = vq_pop(vq, &chain);
		if (ret < 0)
			goto broken;
		if (!ret) {
			vdev_flush(&c->vd, vq);
			if (!vq_kicks_on(vq))
				return;
			continue;
		}
		if (chain.nout) {
			vq_break(vq, "receive buffer is device-readable");
			goto broken;
		}
		vq_push(vq, chain.head, console_rx_fill(c, &chain));
	}
	vdev_flush(&c->vd, vq);
	if (!budget)
		console_wake(c);
	return;
broken:
	vdev_broken(&c->vd, vq->broken);
}

/* Take note of a kick; is the queue still to be worked on? */
static bool console_kicked(struct console *c, struct vq *vq)
{
	console_clear(vq->kick_fd);
	store_once(&vq->stat_kicks, vq->stat_kicks + 1);
	return !vdev_is_broken(&c->vd);
}

static void console_rx_event(void *arg, uint32_t events)
{
	struct console *c = arg;

	(void)events;
	if (console_kicked(c, &c->vd.vq[CONSOLE_RX]))
		console_rx(c);
}

static void console_tx_event(void *arg, uint32_t events)
{
	struct console *c = arg;

	(void)events;
	if (console_kicked(c, &c->vd.vq[CONSOLE_TX]))
		console_tx(c);
}

static void console_wake_event(void *arg, uint32_t events)
{
	struct console *c = arg;

	(void)events;
	console_clear(c->wake_fd);
	if (c->vd.vq[CONSOLE_TX].enabled && !vdev_is_broken(&c->vd))
		console_tx(c);
	if (c->vd.vq[CONSOLE_RX].enabled && !vdev_is_broken(&c->vd))
		console_rx(c);
}

static int console_activate(struct vdev *vd)
{
	struct console *c = container_of(vd, struct console, vd);
	struct vq *rx = &vd->vq[CONSOLE_RX], *tx = &vd->vq[CONSOLE_TX];
	int ret;

	c->tx_busy = false;
	c->tx.iov = c->tx_vec;
	c->tx.iov_max = VQ_SIZE_MAX;
	ret = loop_create(&c->loop);
	if (ret)
		return ret;
	ret = loop_add(c->loop, c->wake_fd, EPOLLIN, console_wake_event, c, NULL);
	if (!ret && rx->enabled)
		ret = loop_add(c->loop, rx->kick_fd, EPOLLIN, console_rx_event, c, NULL);
	if (!ret && tx->enabled)
		ret = loop_add(c->loop, tx->kick_fd, EPOLLIN, console_tx_event, c, NULL);
	if (!ret)
		ret = loop_start(c->loop, vd->label[0] ? vd->label : "console");
	if (ret) {
		loop_destroy(c->loop);
		c->loop = NULL;
		return ret;
	}
	/* Input may have come before, and the driver may have filled queues without a kick. */
	console_wake(c);
	return 0;
}

static void console_quiesce(struct vdev *vd)
{
	struct console *c = container_of(vd, struct console, vd);

	loop_stop(c->loop);
	loop_destroy(c->loop);
	c->loop = NULL;
}

static void console_config_write(struct vdev *vd, uint32_t off, const void *buf, uint32_t len)
{
	struct console *c = container_of(vd, struct console, vd);

	/* Little endian: the character is the register's first byte (5.3.4). */
	if (off == offsetof(struct virtio_console_config, emerg_wr) && len)
		chardev_write(c->cd, buf, 1);
}

static void console_resized(void *arg)
{
	struct console *c = arg;
	struct vdev *vd = &c->vd;
	uint16_t cols, rows;

	chardev_size(c->cd, &cols, &rows);
	pthread_mutex_lock(&vd->lock);
	c->config.cols = htole16(cols);
	c->config.rows = htole16(rows);
	pthread_mutex_unlock(&vd->lock);
	if (!vd->tp || !(vd->features & 1ull << VIRTIO_CONSOLE_F_SIZE))
		return;
	vd->tp->config_changed(vd);
	if (load_once(&vd->active) && vdev_has(vd, VIRTIO_CONSOLE_F_SIZE))
		vd->tp->irq(vd, VDEV_IRQ_CONFIG);
}

static const struct chardev_client console_client = {
	.rx_ready = console_wake,
	.tx_ready = console_wake,
	.resized = console_resized,
};

static void console_stats(struct vdev *vd, FILE *out)
{
	struct console *c = container_of(vd, struct console, vd);

	fprintf(out, "tx_bytes=%llu rx_bytes=%llu", (unsigned long long)load_once(&c->stat_tx),
		(unsigned long long)load_once(&c->stat_rx));
}

static void console_destroy(struct vdev *vd)
{
	struct console *c = container_of(vd, struct console, vd);

	chardev_detach(c->cd);
	vdev_fini(vd);
	close(c->wake_fd);
	free(c);
}

static int console_create(const void *cfg, const struct gmem *mem, struct vdev **out,
			  struct err *err)
{
	const struct console_cfg *cc = cfg;
	uint64_t features = 1ull << VIRTIO_CONSOLE_F_EMERG_WRITE;
	uint16_t cols, rows;
	struct console *c;
	int ret;

	c = calloc(1, sizeof(*c));
	if (!c)
		return err_set(err, -ENOMEM, "console: out of memory");
	c->cd = cc->cd;
	if (chardev_size(c->cd, &cols, &rows)) {
		features |= 1ull << VIRTIO_CONSOLE_F_SIZE;
		c->config.cols = htole16(cols);
		c->config.rows = htole16(rows);
	}
	c->config.max_nr_ports = htole32(1);
	c->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ret = c->wake_fd < 0 ? -errno : 0;
	if (!ret)
		ret = vdev_init(&c->vd, &console_ops, mem, features, CONSOLE_NVQ,
				CONSOLE_QUEUE_SIZE);
	if (ret) {
		if (c->wake_fd >= 0)
			close(c->wake_fd);
		free(c);
		return err_set(err, ret, "console: cannot make an eventfd; raise 'ulimit -n'");
	}
	c->vd.config = &c->config;
	c->vd.config_len = sizeof(c->config);
	chardev_attach(c->cd, &console_client, c);
	*out = &c->vd;
	return 0;
}

static const struct opt console_opts[] = { { .type = OPT_END } };

const struct vdev_ops console_ops = {
	.name = "console",
	.help = "virtio console (hvc0)",
	.id = VIRTIO_ID_CONSOLE,
	.opts = console_opts,
	.cfg_size = sizeof(struct console_cfg),
	.create = console_create,
	.destroy = console_destroy,
	.activate = console_activate,
	.quiesce = console_quiesce,
	.config_write = console_config_write,
	.config_early = true,
	.stats = console_stats,
};
