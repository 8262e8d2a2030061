// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test driver: the walk of a device through its virtio-mmio registers (virtio 1.2, 3.1.1 and
 * 4.2.3.1), in the order that Linux takes. See vdrv.h.
 */
#include <poll.h>
#include <sys/eventfd.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>

#include "vdrv.h"
#include "vdrv_assert.h"

#define S_ACKNOWLEDGE VIRTIO_CONFIG_S_ACKNOWLEDGE
#define S_DRIVER      VIRTIO_CONFIG_S_DRIVER
#define S_FEATURES_OK VIRTIO_CONFIG_S_FEATURES_OK
#define S_DRIVER_OK   VIRTIO_CONFIG_S_DRIVER_OK

uint32_t vdrv_read32(struct vdrv *d, uint32_t reg)
{
	uint32_t val = 0xdeadbeef;

	vmmio_read(d->m, reg, &val, 4);
	return val;
}

void vdrv_write32(struct vdrv *d, uint32_t reg, uint32_t val)
{
	vmmio_write(d->m, reg, &val, 4);
}

void vdrv_config(struct vdrv *d, uint32_t off, void *buf, uint32_t len)
{
	uint32_t gen, i;

	do {
		gen = vdrv_read32(d, VIRTIO_MMIO_CONFIG_GENERATION);
		for (i = 0; i < len; i++)
			vmmio_read(d->m, VIRTIO_MMIO_CONFIG + off + i, (uint8_t *)buf + i, 1);
	} while (gen != vdrv_read32(d, VIRTIO_MMIO_CONFIG_GENERATION));
}

static void add_status(struct vdrv *d, uint32_t bits)
{
	vdrv_write32(d, VIRTIO_MMIO_STATUS, vdrv_read32(d, VIRTIO_MMIO_STATUS) | bits);
}

void vdrv_reset(struct vdrv *d)
{
	unsigned int i;

	vdrv_write32(d, VIRTIO_MMIO_STATUS, 0);
	vdrv_assert(!vdrv_read32(d, VIRTIO_MMIO_STATUS));
	for (i = 0; i < VDRV_QUEUES; i++)
		vdrv_q_fini(&d->q[i]);
	d->features = 0;
}

bool vdrv_features(struct vdrv *d, uint64_t wanted)
{
	uint64_t offered;

	vdrv_reset(d);
	add_status(d, S_ACKNOWLEDGE);
	add_status(d, S_DRIVER);
	vdrv_write32(d, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	offered = (uint64_t)vdrv_read32(d, VIRTIO_MMIO_DEVICE_FEATURES) << 32;
	vdrv_write32(d, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
	offered |= vdrv_read32(d, VIRTIO_MMIO_DEVICE_FEATURES);
	d->features = offered & (wanted | 1ull << VIRTIO_F_VERSION_1);
	vdrv_write32(d, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	vdrv_write32(d, VIRTIO_MMIO_DRIVER_FEATURES, d->features >> 32);
	vdrv_write32(d, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	vdrv_write32(d, VIRTIO_MMIO_DRIVER_FEATURES, d->features);
	add_status(d, S_FEATURES_OK);
	return vdrv_read32(d, VIRTIO_MMIO_STATUS) & S_FEATURES_OK;
}

static void write64(struct vdrv *d, uint32_t reg_low, uint64_t val)
{
	vdrv_write32(d, reg_low, val);
	vdrv_write32(d, reg_low + 4, val >> 32);
}

void vdrv_setup_queue(struct vdrv *d, unsigned int index, uint16_t size)
{
	struct vdrv_q *q = &d->q[index];

	vdrv_write32(d, VIRTIO_MMIO_QUEUE_SEL, index);
	vdrv_assert(!vdrv_read32(d, VIRTIO_MMIO_QUEUE_READY));
	if (!size)
		size = vdrv_read32(d, VIRTIO_MMIO_QUEUE_NUM_MAX);
	vdrv_assert(size);
	vdrv_q_init(d, q, size, d->features >> VIRTIO_RING_F_EVENT_IDX & 1);
	q->index = index;
	vdrv_write32(d, VIRTIO_MMIO_QUEUE_NUM, size);
	write64(d, VIRTIO_MMIO_QUEUE_DESC_LOW, q->desc_gpa);
	write64(d, VIRTIO_MMIO_QUEUE_AVAIL_LOW, q->avail_gpa);
	write64(d, VIRTIO_MMIO_QUEUE_USED_LOW, q->used_gpa);
	vdrv_write32(d, VIRTIO_MMIO_QUEUE_READY, 1);
	vdrv_assert(vdrv_read32(d, VIRTIO_MMIO_QUEUE_READY) == 1);
}

static void notify(struct vdrv_q *q)
{
	vdrv_write32(q->d, VIRTIO_MMIO_QUEUE_NOTIFY, q->index);
}

void vdrv_start(struct vdrv *d, struct vmmio *m, uint64_t wanted, unsigned int nq, uint16_t size)
{
	unsigned int i;

	d->m = m;
	d->notify = notify;
	vdrv_assert(vdrv_read32(d, VIRTIO_MMIO_MAGIC_VALUE) == 0x74726976);
	vdrv_assert(vdrv_read32(d, VIRTIO_MMIO_VERSION) == 2);
	vdrv_assert(vdrv_features(d, wanted));
	for (i = 0; i < VDRV_QUEUES && (!nq || i < nq); i++) {
		vdrv_write32(d, VIRTIO_MMIO_QUEUE_SEL, i);
		if (!vdrv_read32(d, VIRTIO_MMIO_QUEUE_NUM_MAX))
			break;
		vdrv_setup_queue(d, i, size);
	}
	vdrv_assert(!nq || i == nq);
	add_status(d, S_DRIVER_OK);
	vdrv_assert(vdrv_read32(d, VIRTIO_MMIO_STATUS) ==
		    (S_ACKNOWLEDGE | S_DRIVER | S_FEATURES_OK | S_DRIVER_OK));
}

/* Wait for the interrupt and acknowledge it: false after @ms; @status is 0 when it came twice. */
static bool take_irq(struct vdrv *d, int ms, uint32_t *status)
{
	struct pollfd p = { .fd = d->m->irq_fd, .events = POLLIN };
	eventfd_t count;

	if (poll(&p, 1, ms) != 1 || eventfd_read(d->m->irq_fd, &count))
		return false;
	*status = vdrv_read32(d, VIRTIO_MMIO_INTERRUPT_STATUS);
	vdrv_write32(d, VIRTIO_MMIO_INTERRUPT_ACK, *status);
	return true;
}

uint32_t vdrv_wait_irq(struct vdrv *d, int ms)
{
	uint32_t status = 0;

	/* The status may have been acknowledged with the interrupt before. */
	while (!status && take_irq(d, ms, &status))
		;
	return status;
}

bool vdrv_wait_used(struct vdrv_q *q, uint16_t *head, uint32_t *len, int ms)
{
	uint32_t status;

	while (!vdrv_used(q, head, len)) {
		if (vdrv_irq_on(q))
			continue;
		if (!take_irq(q->d, ms, &status) && load_acquire(&q->used->idx) == q->last_used)
			return false;
	}
	return true;
}

bool vdrv_broken(struct vdrv *d)
{
	return vdrv_read32(d, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET;
}
