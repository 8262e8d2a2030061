// SPDX-License-Identifier: GPL-2.0-only
/*
 * virtio-rng (virtio 1.2, 5.4): the host kernel's random numbers, by getrandom(2) straight into the
 * guest's buffers, at most RNG_MAX bytes a request. No rate limit: the host's generator is a
 * computation and does not run dry.
 *
 * Threads: the queue belongs to the device's own loop, from activate to quiesce.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>
#include <linux/virtio_ids.h>

#include "log.h"
#include "loop.h"
#include "table.h"
#include "util.h"
#include "vdev.h"

#define RNG_QUEUE_SIZE 64
#define RNG_MAX	       (64 * KIB)

struct rng {
	struct vdev vd;
	struct loop *loop; /* while active */
	uint64_t stat_bytes;
	struct iovec vec[VQ_SIZE_MAX];
};

static uint32_t rng_fill(struct rng *r, const struct vq_chain *chain)
{
	size_t done = 0, off = 0, want;
	unsigned int i = 0;
	ssize_t n;

	while (i < chain->nin && done < RNG_MAX) {
		want = MIN(chain->iov[i].iov_len - off, RNG_MAX - done);
		n = getrandom((uint8_t *)chain->iov[i].iov_base + off, want, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			log_warn("%s: getrandom: %s", r->vd.label, strerror(errno));
			break;
		}
		done += n;
		off += n;
		if (off == chain->iov[i].iov_len) {
			i++;
			off = 0;
		}
	}
	store_once(&r->stat_bytes, r->stat_bytes + done);
	return done;
}

static void rng_event(void *arg, uint32_t events)
{
	struct rng *r = arg;
	struct vq *vq = &r->vd.vq[0];
	struct vq_chain chain = { .iov = r->vec, .iov_max = VQ_SIZE_MAX };
	unsigned int budget;
	uint64_t one = 1;
	int ret;

	(void)events;
	if (read(vq->kick_fd, &one, sizeof(one)) >= 0)
		store_once(&vq->stat_kicks, vq->stat_kicks + 1);
	if (vdev_is_broken(&r->vd))
		return;
	for (budget = RNG_QUEUE_SIZE; budget; budget--) {
		ret = vq_pop(vq, &chain);
		if (ret < 0)
			goto broken;
		if (!ret) {
			vdev_flush(&r->vd, vq);
			if (!vq_kicks_on(vq))
				return;
			continue;
		}
		if (chain.nout) {
			vq_break(vq, "request has device-readable buffers");
			goto broken;
		}
		vq_push(vq, chain.head, rng_fill(r, &chain));
	}
	/* Come back by the loop, where somebody who wants us to stop is heard. */
	vdev_flush(&r->vd, vq);
	one = 1;
	if (write(vq->kick_fd, &one, sizeof(one)) < 0)
		return; /* saturated: a kick is pending */
	return;
broken:
	vdev_broken(&r->vd, vq->broken);
}

static int rng_activate(struct vdev *vd)
{
	struct rng *r = container_of(vd, struct rng, vd);
	uint64_t one = 1;
	int ret;

	ret = loop_create(&r->loop);
	if (ret)
		return ret;
	if (vd->vq[0].enabled)
		ret = loop_add(r->loop, vd->vq[0].kick_fd, EPOLLIN, rng_event, r, NULL);
	if (!ret)
		ret = loop_start(r->loop, vd->label[0] ? vd->label : "rng");
	if (ret) {
		loop_destroy(r->loop);
		r->loop = NULL;
		return ret;
	}
	/* A first look, for what the driver queued without a kick. */
	if (write(vd->vq[0].kick_fd, &one, sizeof(one)) < 0)
		return 0; /* saturated: a kick is pending */
	return 0;
}

static void rng_quiesce(struct vdev *vd)
{
	struct rng *r = container_of(vd, struct rng, vd);

	loop_stop(r->loop);
	loop_destroy(r->loop);
	r->loop = NULL;
}

static void rng_stats(struct vdev *vd, FILE *out)
{
	struct rng *r = container_of(vd, struct rng, vd);

	fprintf(out, "bytes=%llu", (unsigned long long)load_once(&r->stat_bytes));
}

static void rng_destroy(struct vdev *vd)
{
	vdev_fini(vd);
	free(container_of(vd, struct rng, vd));
}

static int rng_create(const void *cfg, const struct gmem *mem, struct vdev **out, struct err *err)
{
	struct rng *r;
	int ret;

	(void)cfg;
	r = calloc(1, sizeof(*r));
	if (!r)
		return err_set(err, -ENOMEM, "rng: out of memory");
	ret = vdev_init(&r->vd, &rng_ops, mem, 0, 1, RNG_QUEUE_SIZE);
	if (ret) {
		free(r);
		return err_set(err, ret, "rng: cannot make an eventfd; raise 'ulimit -n'");
	}
	*out = &r->vd;
	return 0;
}

static const struct opt rng_opts[] = { { .type = OPT_END } };

const struct vdev_ops rng_ops = {
	.name = "rng",
	.help = "random numbers from the host; always there",
	.id = VIRTIO_ID_RNG,
	.opts = rng_opts,
	.create = rng_create,
	.destroy = rng_destroy,
	.activate = rng_activate,
	.quiesce = rng_quiesce,
	.stats = rng_stats,
};
