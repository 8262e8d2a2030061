// SPDX-License-Identifier: GPL-2.0-only
/*
 * The register file of virtio-mmio version 2 (virtio 1.2, 4.2.2). A page holds what every register
 * reads as, at the register's own offset, since the guest may be reading the page itself: whatever
 * changes a register stores to the page before the write that caused it returns.
 *
 * Not here: what the writes mean to the device (vdev.c), how the guest reaches this code
 * (host/bus.c), the transport that has these registers but other interrupts (pvbus.c).
 *
 * Register writes run under vmmio.lock. The transport calls run in the device's threads, for which
 * vdev.c may be waiting under both locks: they take config_lock at most.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/virtio_mmio.h>

#include "mmio.h"
#include "util.h"

#define MAGIC	  0x74726976 /* "virt" */
#define VERSION	  2
#define VENDOR_ID 0x47444f4c /* "LODG" */

static uint32_t *reg(struct vmmio *m, uint32_t off)
{
	return (uint32_t *)(m->page + off);
}

static void put(struct vmmio *m, uint32_t off, uint32_t val)
{
	store_once(reg(m, off), val);
}

/*
 * vCPU and device threads both change the status. Whoever stores last has looked at vd->status
 * after its store, and found what it had stored: a stale value cannot stay.
 */
void vmmio_publish_status(struct vmmio *m)
{
	uint32_t status;

	do {
		status = __atomic_load_n(&m->vd->status, __ATOMIC_SEQ_CST);
		__atomic_store_n(reg(m, VIRTIO_MMIO_STATUS), status, __ATOMIC_SEQ_CST);
	} while (status != __atomic_load_n(&m->vd->status, __ATOMIC_SEQ_CST));
}

static void publish_features(struct vmmio *m)
{
	uint64_t f = m->vd->features;

	put(m, VIRTIO_MMIO_DEVICE_FEATURES, m->dev_feat_sel > 1 ? 0 : f >> (32 * m->dev_feat_sel));
}

/* A queue that is not there has a maximal size of 0 (4.2.3.2). */
static void publish_queue(struct vmmio *m)
{
	const struct vq *vq = m->queue_sel < m->vd->nvq ? &m->vd->vq[m->queue_sel] : NULL;

	put(m, VIRTIO_MMIO_QUEUE_NUM_MAX, vq ? vq->size_max : 0);
	put(m, VIRTIO_MMIO_QUEUE_READY, vq && vq->enabled);
}

/*
 * The generation changes before and after, and 8-byte fields change at once. A driver that reads in
 * between two of several fields may still pair old with new; it reads again after the interrupt
 * that tells of the change.
 */
static void publish_config(struct vmmio *m)
{
	uint32_t *gen = reg(m, VIRTIO_MMIO_CONFIG_GENERATION);
	uint8_t *to = m->page + VIRTIO_MMIO_CONFIG;
	const uint8_t *from = m->vd->config;
	uint32_t i, len = m->vd->config_len;

	pthread_mutex_lock(&m->config_lock);
	if (len && memcmp(to, from, len)) {
		__atomic_fetch_add(gen, 1, __ATOMIC_SEQ_CST);
		for (i = 0; i < len; i += 8) {
			uint64_t val = 0; /* behind the end the page reads as zero */

			memcpy(&val, from + i, MIN(8, len - i));
			store_once((uint64_t *)(to + i), val);
		}
		__atomic_fetch_add(gen, 1, __ATOMIC_SEQ_CST);
	}
	pthread_mutex_unlock(&m->config_lock);
}

/* Transport call, any thread. */
static void mmio_irq(struct vdev *vd, int queue)
{
	struct vmmio *m = container_of(vd->tp, struct vmmio, tp);
	bool config = queue == VDEV_IRQ_CONFIG;

	if (config)
		vmmio_publish_status(m); /* it may tell of NEEDS_RESET */
	/* Before the edge: the guest's handler reads the register, then clears what it has read. */
	__atomic_fetch_or(reg(m, VIRTIO_MMIO_INTERRUPT_STATUS),
			  config ? VIRTIO_MMIO_INT_CONFIG : VIRTIO_MMIO_INT_VRING,
			  __ATOMIC_SEQ_CST);
	eventfd_write(m->irq_fd, 1);
}

/* Transport call, any thread. */
static void mmio_config_changed(struct vdev *vd)
{
	publish_config(container_of(vd->tp, struct vmmio, tp));
}

static void publish_reset(struct vmmio *m)
{
	m->dev_feat_sel = m->drv_feat_sel = m->queue_sel = 0;
	put(m, VIRTIO_MMIO_INTERRUPT_STATUS, 0);
	publish_features(m);
	publish_queue(m);
	publish_config(m);
}

int vmmio_init(struct vmmio *m, struct vdev *vd)
{
	assert(vd->config_len <= VMMIO_PAGE_SIZE - VIRTIO_MMIO_CONFIG);
	m->vd = vd;
	m->irq_fd = -1;
	m->tp = (struct vdev_transport){ .irq = mmio_irq, .config_changed = mmio_config_changed };
	m->page = mmap(NULL, VMMIO_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);
	if (m->page == MAP_FAILED)
		return -errno;
	pthread_mutex_init(&m->lock, NULL);
	pthread_mutex_init(&m->config_lock, NULL);
	put(m, VIRTIO_MMIO_MAGIC_VALUE, MAGIC);
	put(m, VIRTIO_MMIO_VERSION, VERSION);
	put(m, VIRTIO_MMIO_DEVICE_ID, vd->ops->id);
	put(m, VIRTIO_MMIO_VENDOR_ID, VENDOR_ID);
	/* No shared memory regions: length and base of all ones (4.2.2.1). */
	put(m, VIRTIO_MMIO_SHM_LEN_LOW, ~0u);
	put(m, VIRTIO_MMIO_SHM_LEN_HIGH, ~0u);
	put(m, VIRTIO_MMIO_SHM_BASE_LOW, ~0u);
	put(m, VIRTIO_MMIO_SHM_BASE_HIGH, ~0u);
	publish_reset(m);
	vmmio_publish_status(m);
	vd->tp = &m->tp;
	return 0;
}

void vmmio_fini(struct vmmio *m)
{
	m->vd->tp = NULL;
	munmap(m->page, VMMIO_PAGE_SIZE);
	pthread_mutex_destroy(&m->lock);
	pthread_mutex_destroy(&m->config_lock);
}

int vmmio_create(struct vdev *vd, struct vmmio **out)
{
	struct vmmio *m;
	int ret;

	m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	ret = vmmio_init(m, vd);
	if (ret)
		goto out_free;
	m->irq_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (m->irq_fd < 0) {
		ret = -errno;
		goto out_fini;
	}
	*out = m;
	return 0;
out_fini:
	vmmio_fini(m);
out_free:
	free(m);
	return ret;
}

void vmmio_destroy(struct vmmio *m)
{
	close(m->irq_fd);
	vmmio_fini(m);
	free(m);
}

void vmmio_read(struct vmmio *m, uint64_t off, void *data, unsigned int len)
{
	memset(data, 0, len);
	if (off >= VMMIO_PAGE_SIZE || len > VMMIO_PAGE_SIZE - off)
		return;
	if (off < VIRTIO_MMIO_CONFIG && (len != 4 || off % 4))
		return;
	if (off < VIRTIO_MMIO_CONFIG_GENERATION) {
		uint32_t val = load_acquire(reg(m, off));

		memcpy(data, &val, 4);
		return;
	}
	/* Who reads through here never sees a generation or a space in the middle of a change. */
	pthread_mutex_lock(&m->config_lock);
	memcpy(data, m->page + off, len);
	pthread_mutex_unlock(&m->config_lock);
}

static void set_low(uint64_t *v, uint32_t half)
{
	*v = (*v & ~0xffffffffull) | half;
}

static void set_high(uint64_t *v, uint32_t half)
{
	*v = (*v & 0xffffffffull) | (uint64_t)half << 32;
}

/* Size and addresses of the selected queue: ignored unless it can be set up now. */
static void write_queue(struct vmmio *m, uint32_t off, uint32_t val)
{
	struct vq *vq = vdev_queue_setup(m->vd, m->queue_sel);

	if (!vq)
		return;
	switch (off) {
	case VIRTIO_MMIO_QUEUE_NUM:
		/* Not truncated to the field's width: 0 makes vq_enable() refuse. */
		vq->size = val <= vq->size_max ? val : 0;
		break;
	case VIRTIO_MMIO_QUEUE_DESC_LOW:
		set_low(&vq->desc_gpa, val);
		break;
	case VIRTIO_MMIO_QUEUE_DESC_HIGH:
		set_high(&vq->desc_gpa, val);
		break;
	case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
		set_low(&vq->avail_gpa, val);
		break;
	case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
		set_high(&vq->avail_gpa, val);
		break;
	case VIRTIO_MMIO_QUEUE_USED_LOW:
		set_low(&vq->used_gpa, val);
		break;
	case VIRTIO_MMIO_QUEUE_USED_HIGH:
		set_high(&vq->used_gpa, val);
		break;
	}
}

static void write_reg_locked(struct vmmio *m, uint32_t off, uint32_t val)
{
	switch (off) {
	case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
		m->dev_feat_sel = val;
		publish_features(m);
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
		m->drv_feat_sel = val;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES:
		vdev_set_features(m->vd, m->drv_feat_sel, val);
		break;
	case VIRTIO_MMIO_QUEUE_SEL:
		m->queue_sel = val;
		publish_queue(m);
		break;
	case VIRTIO_MMIO_QUEUE_READY:
		if (val & 1)
			vdev_queue_enable(m->vd, m->queue_sel);
		else
			vdev_queue_disable(m->vd, m->queue_sel);
		publish_queue(m);
		vmmio_publish_status(m); /* a bad ring breaks the device */
		break;
	case VIRTIO_MMIO_STATUS:
		if (val > UINT8_MAX)
			break;
		vdev_set_status(m->vd, val);
		if (!val)
			publish_reset(m);
		vmmio_publish_status(m);
		break;
	default:
		write_queue(m, off, val);
		break;
	}
}

/* The other way to kick, for accelerators without ioeventfds and for what they do not match. */
static void notify(struct vmmio *m, uint32_t index)
{
	if (index < m->vd->nvq)
		eventfd_write(m->vd->vq[index].kick_fd, 1);
}

void vmmio_write(struct vmmio *m, uint64_t off, const void *data, unsigned int len)
{
	uint32_t val;

	if (off >= VMMIO_PAGE_SIZE || len > VMMIO_PAGE_SIZE - off)
		return;
	if (off >= VIRTIO_MMIO_CONFIG) {
		pthread_mutex_lock(&m->lock);
		vdev_config_write(m->vd, off - VIRTIO_MMIO_CONFIG, data, len);
		publish_config(m);
		pthread_mutex_unlock(&m->lock);
		return;
	}
	if (len != 4 || off % 4)
		return;
	memcpy(&val, data, 4);
	switch (off) {
	case VIRTIO_MMIO_QUEUE_NOTIFY:
		notify(m, val);
		break;
	case VIRTIO_MMIO_INTERRUPT_ACK:
		__atomic_fetch_and(reg(m, VIRTIO_MMIO_INTERRUPT_STATUS), ~val, __ATOMIC_SEQ_CST);
		break;
	default:
		pthread_mutex_lock(&m->lock);
		write_reg_locked(m, off, val);
		pthread_mutex_unlock(&m->lock);
		break;
	}
}
