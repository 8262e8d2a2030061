// SPDX-License-Identifier: GPL-2.0-only
/*
 * The life of a virtio device, whatever its type and transport (virtio 1.2, chapters 2 and 3.1):
 * negotiation, status, queue set-up, start, reset.
 *
 * Not here: registers (mmio.c), requests (the devices). Set-up calls come from vCPU threads, under
 * vdev.lock. The lock is held while ops->quiesce waits for the device's threads, so whatever those
 * threads call (vdev_broken, vdev_flush, vdev_is_broken) must not take it: status is atomic
 * instead, and only ever gains bits except in a reset, when no such thread is left.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "log.h"
#include "util.h"
#include "vdev.h"

#define S_ACKNOWLEDGE VIRTIO_CONFIG_S_ACKNOWLEDGE
#define S_DRIVER      VIRTIO_CONFIG_S_DRIVER
#define S_FEATURES_OK VIRTIO_CONFIG_S_FEATURES_OK
#define S_DRIVER_OK   VIRTIO_CONFIG_S_DRIVER_OK
#define S_NEEDS_RESET VIRTIO_CONFIG_S_NEEDS_RESET
#define S_FAILED      VIRTIO_CONFIG_S_FAILED

/* What a driver may set; NEEDS_RESET is the device's own. */
#define S_DRIVERS (S_ACKNOWLEDGE | S_DRIVER | S_FEATURES_OK | S_DRIVER_OK | S_FAILED)

/* A guest that breaks, resets and breaks again must not fill the host's log. */
#define BROKEN_LINES 8

static uint8_t status_get(const struct vdev *vd)
{
	return __atomic_load_n(&vd->status, __ATOMIC_SEQ_CST);
}

static uint8_t status_add(struct vdev *vd, uint8_t bits)
{
	return __atomic_fetch_or(&vd->status, bits, __ATOMIC_SEQ_CST);
}

int vdev_init(struct vdev *vd, const struct vdev_ops *ops, const struct gmem *mem,
	      uint64_t features, unsigned int nvq, uint16_t size_max)
{
	unsigned int i;
	int ret;

	assert(nvq);
	vd->ops = ops;
	vd->mem = mem;
	vd->features = features | 1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_RING_F_EVENT_IDX |
		       1ull << VIRTIO_RING_F_INDIRECT_DESC;
	vd->vq = aligned_alloc(_Alignof(struct vq), nvq * sizeof(*vd->vq));
	if (!vd->vq)
		return -ENOMEM;
	vd->nvq = nvq;
	for (i = 0; i < nvq; i++)
		vq_init(&vd->vq[i], mem, size_max);
	for (i = 0; i < nvq; i++) {
		vd->vq[i].kick_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (vd->vq[i].kick_fd < 0) {
			ret = -errno;
			goto fail;
		}
	}
	pthread_mutex_init(&vd->lock, NULL);
	return 0;
fail:
	while (i--)
		close(vd->vq[i].kick_fd);
	free(vd->vq);
	vd->vq = NULL;
	return ret;
}

void vdev_fini(struct vdev *vd)
{
	unsigned int i;

	assert(!vd->active);
	for (i = 0; i < vd->nvq; i++)
		close(vd->vq[i].kick_fd);
	free(vd->vq);
	vd->vq = NULL;
	pthread_mutex_destroy(&vd->lock);
}

void vdev_set_features(struct vdev *vd, uint32_t sel, uint32_t val)
{
	unsigned int shift = sel * 32;

	if (sel > 1)
		return;
	pthread_mutex_lock(&vd->lock);
	if (!(status_get(vd) & S_FEATURES_OK)) {
		vd->negotiated &= ~(0xffffffffull << shift);
		vd->negotiated |= (uint64_t)val << shift;
	}
	pthread_mutex_unlock(&vd->lock);
}

static bool features_ok_locked(const struct vdev *vd)
{
	uint64_t f = vd->negotiated;

	if (f & ~vd->features || !(f >> VIRTIO_F_VERSION_1 & 1))
		return false;
	return !vd->ops->features_ok || vd->ops->features_ok(f);
}

/*
 * NEEDS_RESET, and the interrupt that goes with it in a live device (2.1.2); false: not the first.
 */
static bool needs_reset(struct vdev *vd)
{
	uint8_t old = status_add(vd, S_NEEDS_RESET);

	if (old & S_NEEDS_RESET)
		return false;
	if (old & S_DRIVER_OK && vd->tp)
		vd->tp->irq(vd, VDEV_IRQ_CONFIG);
	return true;
}

/* Count a breakdown; is it still worth a line in the log? */
static bool worth_a_line(struct vdev *vd)
{
	unsigned int nr = __atomic_fetch_add(&vd->stat_broken, 1, __ATOMIC_RELAXED);

	if (nr == BROKEN_LINES)
		log_warn("%s: broken %u times, no more lines about it", vd->label, nr);
	return nr < BROKEN_LINES;
}

void vdev_broken(struct vdev *vd, const char *why)
{
	if (needs_reset(vd) && worth_a_line(vd))
		log_warn("%s: the guest's driver broke the rules: %s", vd->label, why);
}

bool vdev_is_broken(const struct vdev *vd)
{
	return status_get(vd) & S_NEEDS_RESET;
}

static void activate_locked(struct vdev *vd)
{
	unsigned int i;
	int ret;

	for (i = 0; i < vd->nvq && !vd->vq[i].enabled; i++)
		;
	if (i == vd->nvq) {
		vdev_broken(vd, "DRIVER_OK without any queue");
		return;
	}
	ret = vd->ops->activate(vd);
	if (ret) {
		if (needs_reset(vd) && worth_a_line(vd))
			log_err("%s: cannot start the device: %s", vd->label, strerror(-ret));
		return;
	}
	vd->active = true;
}

static void reset_locked(struct vdev *vd)
{
	unsigned int i;
	eventfd_t kicks;

	if (vd->active)
		vd->ops->quiesce(vd);
	vd->active = false;
	for (i = 0; i < vd->nvq; i++) {
		vq_reset(&vd->vq[i]);
		/* Kicks of the driver before must not wake the one after. */
		eventfd_read(vd->vq[i].kick_fd, &kicks);
	}
	vd->negotiated = 0;
	vd->stat_resets++;
	__atomic_store_n(&vd->status, 0, __ATOMIC_SEQ_CST);
}

void vdev_reset(struct vdev *vd)
{
	pthread_mutex_lock(&vd->lock);
	reset_locked(vd);
	pthread_mutex_unlock(&vd->lock);
}

void vdev_set_status(struct vdev *vd, uint8_t val)
{
	uint8_t cur, add;

	pthread_mutex_lock(&vd->lock);
	if (!val) {
		reset_locked(vd);
		goto out;
	}
	cur = status_get(vd);
	add = val & ~cur & S_DRIVERS;
	/* Each step needs the one before it, which may come in the same write (3.1.1). */
	if (((cur | add) & (S_ACKNOWLEDGE | S_DRIVER)) != (S_ACKNOWLEDGE | S_DRIVER) ||
	    (add & S_FEATURES_OK && !features_ok_locked(vd)))
		add &= ~S_FEATURES_OK;
	if (!((cur | add) & S_FEATURES_OK) || (cur | add) & (S_FAILED | S_NEEDS_RESET))
		add &= ~S_DRIVER_OK;
	/* Before the threads start: an error that they find at once needs DRIVER_OK to be told. */
	status_add(vd, add);
	if (add & S_DRIVER_OK)
		activate_locked(vd);
out:
	pthread_mutex_unlock(&vd->lock);
}

/* Queues are set up after the features are final and before the device runs (3.1.1, step 7). */
static bool may_set_up_locked(const struct vdev *vd, unsigned int index)
{
	uint8_t status = status_get(vd);

	return index < vd->nvq && status & S_FEATURES_OK &&
	       !(status & (S_DRIVER_OK | S_FAILED | S_NEEDS_RESET));
}

struct vq *vdev_queue_setup(struct vdev *vd, unsigned int index)
{
	struct vq *vq = NULL;

	pthread_mutex_lock(&vd->lock);
	if (may_set_up_locked(vd, index) && !vd->vq[index].enabled)
		vq = &vd->vq[index];
	pthread_mutex_unlock(&vd->lock);
	return vq;
}

int vdev_queue_enable(struct vdev *vd, unsigned int index)
{
	struct vq *vq;
	int ret = -EBUSY;

	pthread_mutex_lock(&vd->lock);
	if (!may_set_up_locked(vd, index) || vd->vq[index].enabled)
		goto out;
	vq = &vd->vq[index];
	vq->event_idx = vdev_has(vd, VIRTIO_RING_F_EVENT_IDX);
	vq->indirect = vdev_has(vd, VIRTIO_RING_F_INDIRECT_DESC);
	ret = vq_enable(vq);
	if (ret)
		vdev_broken(vd, vq->broken);
out:
	pthread_mutex_unlock(&vd->lock);
	return ret;
}

void vdev_queue_disable(struct vdev *vd, unsigned int index)
{
	pthread_mutex_lock(&vd->lock);
	if (may_set_up_locked(vd, index))
		vq_reset(&vd->vq[index]);
	pthread_mutex_unlock(&vd->lock);
}

void vdev_config_write(struct vdev *vd, uint32_t off, const void *buf, uint32_t len)
{
	pthread_mutex_lock(&vd->lock);
	/* A driver may only read the configuration before its features stand (3.1.1, step 4). */
	if (vd->ops->config_write && (vd->ops->config_early || status_get(vd) & S_FEATURES_OK) &&
	    off < vd->config_len && len <= vd->config_len - off)
		vd->ops->config_write(vd, off, buf, len);
	pthread_mutex_unlock(&vd->lock);
}

void vdev_flush(struct vdev *vd, struct vq *vq)
{
	if (!vq_flush(vq))
		return;
	vq->stat_irqs++;
	vd->tp->irq(vd, vq - vd->vq);
}

void vdev_print_stats(struct vdev *vd, FILE *out)
{
	unsigned int i;

	fprintf(out, "%s: resets=%llu broken=%u", vd->label,
		(unsigned long long)load_once(&vd->stat_resets), load_once(&vd->stat_broken));
	for (i = 0; i < vd->nvq; i++) {
		const struct vq *vq = &vd->vq[i];

		/* Most queues of a card with many are never used. */
		if (!load_once(&vq->stat_chains) && !load_once(&vq->stat_kicks))
			continue;
		fprintf(out, " q%u.chains=%llu q%u.inflight=%u q%u.kicks=%llu", i,
			(unsigned long long)load_once(&vq->stat_chains), i,
			load_once(&vq->inflight), i,
			(unsigned long long)load_once(&vq->stat_kicks));
		fprintf(out, " q%u.irqs=%llu q%u.quiet=%llu", i,
			(unsigned long long)load_once(&vq->stat_irqs), i,
			(unsigned long long)load_once(&vq->stat_quiet));
	}
	if (vd->ops->stats) {
		fputc(' ', out);
		vd->ops->stats(vd, out);
	}
	fputc('\n', out);
}
