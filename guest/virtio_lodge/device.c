// SPDX-License-Identifier: GPL-2.0-only
/*
 * The virtio transport (virtio 1.2, 4.2, with lite/abi/pv.h's kicks and interrupts): registers are
 * read from the device's page, which is ordinary memory that the host keeps up to date, and written
 * by a hypercall, whose effects are in the page when it returns.
 *
 * Locks: none; virtio serialises what happens to one device. Interrupt handlers touch their queue
 * only. Rings get guest-physical addresses: with Xen's direct DMA, what the DMA API gives.
 */
#include <linux/dma-mapping.h>
#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/platform_device.h>
#include <linux/slab.h>
#include <linux/version.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>
#include <xen/events.h>

#include "lodge.h"

/*
 * One device.
 * @regs:   its register page
 * @port:   event channel of configuration changes; queue q has port + 1 + q
 * @queues: how many have event channels
 */
struct lodge_device {
	struct virtio_device vdev;
	struct platform_device *parent;
	u8 *regs;
	unsigned int index;
	unsigned int port;
	unsigned int queues;
	int config_irq;
	char name[24];
};

/* @irq: 0 for a queue without callback */
struct lodge_queue {
	struct virtqueue *vq;
	unsigned int port;
	int irq;
	char name[32];
};

static struct lodge_device *to_lodge(struct virtio_device *vdev)
{
	return container_of(vdev, struct lodge_device, vdev);
}

static u32 reg_read(struct lodge_device *ld, unsigned int reg)
{
	return READ_ONCE(*(u32 *)(ld->regs + reg));
}

static void reg_write_sized(struct lodge_device *ld, unsigned int reg, u64 val, unsigned int size)
{
	long err = lodge_hypercall(LODGE_HC_VIRTIO_WRITE, ld->index, reg, val, size);

	WARN_ONCE(err, "virtio_lodge: a write of register %#x failed: %ld\n", reg, err);
}

static void reg_write(struct lodge_device *ld, unsigned int reg, u32 val)
{
	reg_write_sized(ld, reg, val, 4);
}

static void lodge_get(struct virtio_device *vdev, unsigned int offset, void *buf, unsigned int len)
{
	const void *from = to_lodge(vdev)->regs + VIRTIO_MMIO_CONFIG + offset;

	/* A field of 8 bytes changes at once and is read at once. */
	if (len == 8 && IS_ALIGNED(offset, 8)) {
		u64 val = READ_ONCE(*(u64 *)from);

		memcpy(buf, &val, 8);
	} else {
		memcpy(buf, from, len);
	}
	/* Before the generation is looked at again. */
	rmb();
}

static void lodge_set(struct virtio_device *vdev, unsigned int offset, const void *buf,
		      unsigned int len)
{
	struct lodge_device *ld = to_lodge(vdev);
	unsigned int i;
	u64 val = 0;

	if (len == 1 || len == 2 || len == 4 || len == 8) {
		memcpy(&val, buf, len);
		reg_write_sized(ld, VIRTIO_MMIO_CONFIG + offset, val, len);
		return;
	}
	for (i = 0; i < len; i++)
		reg_write_sized(ld, VIRTIO_MMIO_CONFIG + offset + i, ((u8 *)buf)[i], 1);
}

static u32 lodge_generation(struct virtio_device *vdev)
{
	u32 gen = reg_read(to_lodge(vdev), VIRTIO_MMIO_CONFIG_GENERATION);

	/* Before the configuration is read. */
	rmb();
	return gen;
}

static u8 lodge_get_status(struct virtio_device *vdev)
{
	return reg_read(to_lodge(vdev), VIRTIO_MMIO_STATUS);
}

static void lodge_set_status(struct virtio_device *vdev, u8 status)
{
	reg_write(to_lodge(vdev), VIRTIO_MMIO_STATUS, status);
}

/* Synchronous: the device has let go of the rings when the write returns. */
static void lodge_reset(struct virtio_device *vdev)
{
	reg_write(to_lodge(vdev), VIRTIO_MMIO_STATUS, 0);
}

static u64 lodge_get_features(struct virtio_device *vdev)
{
	struct lodge_device *ld = to_lodge(vdev);
	u64 features;

	reg_write(ld, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	features = (u64)reg_read(ld, VIRTIO_MMIO_DEVICE_FEATURES) << 32;
	reg_write(ld, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
	return features | reg_read(ld, VIRTIO_MMIO_DEVICE_FEATURES);
}

static int lodge_finalize_features(struct virtio_device *vdev)
{
	struct lodge_device *ld = to_lodge(vdev);

	vring_transport_features(vdev);
	if (!__virtio_test_bit(vdev, VIRTIO_F_VERSION_1)) {
		dev_err(&vdev->dev, "the driver does not take VERSION_1\n");
		return -EINVAL;
	}
	reg_write(ld, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	reg_write(ld, VIRTIO_MMIO_DRIVER_FEATURES, vdev->features >> 32);
	reg_write(ld, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	reg_write(ld, VIRTIO_MMIO_DRIVER_FEATURES, vdev->features);
	return 0;
}

static bool lodge_notify(struct virtqueue *vq)
{
	struct lodge_queue *q = vq->priv;

	notify_remote_via_evtchn(q->port);
	return true;
}

/* The channel is this queue's alone: an event without work is late, never somebody else's. */
static irqreturn_t lodge_queue_irq(int irq, void *data)
{
	struct lodge_queue *q = data;

	vring_interrupt(irq, q->vq);
	return IRQ_HANDLED;
}

static irqreturn_t lodge_config_irq(int irq, void *data)
{
	struct lodge_device *ld = data;

	virtio_config_changed(&ld->vdev);
	return IRQ_HANDLED;
}

static void lodge_del_vq(struct virtqueue *vq)
{
	struct lodge_device *ld = to_lodge(vq->vdev);
	struct lodge_queue *q = vq->priv;

	if (q->irq)
		unbind_from_irqhandler(q->irq, q);
	/* For a driver that gives up before DRIVER_OK; after a reset the queue is off already. */
	reg_write(ld, VIRTIO_MMIO_QUEUE_SEL, vq->index);
	reg_write(ld, VIRTIO_MMIO_QUEUE_READY, 0);
	vring_del_virtqueue(vq);
	kfree(q);
}

static void lodge_del_vqs(struct virtio_device *vdev)
{
	struct virtqueue *vq, *n;

	list_for_each_entry_safe(vq, n, &vdev->vqs, list)
		lodge_del_vq(vq);
}

static void queue_address(struct lodge_device *ld, unsigned int low, unsigned int high, u64 addr)
{
	reg_write(ld, low, addr);
	reg_write(ld, high, addr >> 32);
}

static struct virtqueue *lodge_setup_vq(struct lodge_device *ld, unsigned int index,
					vq_callback_t *callback, const char *name, bool ctx)
{
	struct virtqueue *vq;
	struct lodge_queue *q;
	unsigned int num;
	int irq;

	if (index >= ld->queues)
		return ERR_PTR(-ENOENT);
	reg_write(ld, VIRTIO_MMIO_QUEUE_SEL, index);
	num = reg_read(ld, VIRTIO_MMIO_QUEUE_NUM_MAX);
	if (!num || reg_read(ld, VIRTIO_MMIO_QUEUE_READY))
		return ERR_PTR(-ENOENT);
	q = kzalloc(sizeof(*q), GFP_KERNEL);
	if (!q)
		return ERR_PTR(-ENOMEM);
	q->port = ld->port + 1 + index;
	snprintf(q->name, sizeof(q->name), "%s-%s", dev_name(&ld->vdev.dev), name);
	vq = vring_create_virtqueue(index, num, SMP_CACHE_BYTES, &ld->vdev, true, true, ctx,
				    lodge_notify, callback, name);
	if (!vq) {
		kfree(q);
		return ERR_PTR(-ENOMEM);
	}
	vq->num_max = num;
	vq->priv = q;
	q->vq = vq;
	if (callback) {
		irq = bind_evtchn_to_irqhandler(q->port, lodge_queue_irq, 0, q->name, q);
		if (irq < 0) {
			vring_del_virtqueue(vq);
			kfree(q);
			return ERR_PTR(irq);
		}
		q->irq = irq;
	}
	reg_write(ld, VIRTIO_MMIO_QUEUE_NUM, virtqueue_get_vring_size(vq));
	queue_address(ld, VIRTIO_MMIO_QUEUE_DESC_LOW, VIRTIO_MMIO_QUEUE_DESC_HIGH,
		      virtqueue_get_desc_addr(vq));
	queue_address(ld, VIRTIO_MMIO_QUEUE_AVAIL_LOW, VIRTIO_MMIO_QUEUE_AVAIL_HIGH,
		      virtqueue_get_avail_addr(vq));
	queue_address(ld, VIRTIO_MMIO_QUEUE_USED_LOW, VIRTIO_MMIO_QUEUE_USED_HIGH,
		      virtqueue_get_used_addr(vq));
	reg_write(ld, VIRTIO_MMIO_QUEUE_READY, 1);
	if (!reg_read(ld, VIRTIO_MMIO_QUEUE_READY)) {
		dev_err(&ld->vdev.dev, "the device refuses the ring of queue %u\n", index);
		lodge_del_vq(vq);
		return ERR_PTR(-EIO);
	}
	return vq;
}

/* Queues without a name are left out; the others are numbered without gaps. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 11, 0)
static int lodge_find_vqs(struct virtio_device *vdev, unsigned int nvqs, struct virtqueue *vqs[],
			  struct virtqueue_info infos[], struct irq_affinity *desc)
#define VQ_NAME(i)     (infos[i].name)
#define VQ_CALLBACK(i) (infos[i].callback)
#define VQ_CTX(i)      (infos[i].ctx)
#else
static int lodge_find_vqs(struct virtio_device *vdev, unsigned int nvqs, struct virtqueue *vqs[],
			  vq_callback_t *callbacks[], const char *const names[], const bool *ctx,
			  struct irq_affinity *desc)
#define VQ_NAME(i)     (names[i])
#define VQ_CALLBACK(i) (callbacks[i])
#define VQ_CTX(i)      (ctx && ctx[i])
#endif
{
	unsigned int i, index = 0;

	for (i = 0; i < nvqs; i++) {
		if (!VQ_NAME(i)) {
			vqs[i] = NULL;
			continue;
		}
		vqs[i] = lodge_setup_vq(to_lodge(vdev), index++, VQ_CALLBACK(i), VQ_NAME(i),
					VQ_CTX(i));
		if (IS_ERR(vqs[i])) {
			lodge_del_vqs(vdev);
			return PTR_ERR(vqs[i]);
		}
	}
	return 0;
}

static void lodge_synchronize_cbs(struct virtio_device *vdev)
{
	struct virtqueue *vq;

	list_for_each_entry(vq, &vdev->vqs, list) {
		struct lodge_queue *q = vq->priv;

		if (q->irq)
			synchronize_irq(q->irq);
	}
}

static int lodge_set_vq_affinity(struct virtqueue *vq, const struct cpumask *mask)
{
	struct lodge_queue *q = vq->priv;

	if (!q->irq)
		return -EINVAL;
	return irq_set_affinity(q->irq, mask ? mask : cpu_online_mask);
}

static const char *lodge_bus_name(struct virtio_device *vdev)
{
	return to_lodge(vdev)->name;
}

static const struct virtio_config_ops lodge_config_ops = {
	.get = lodge_get,
	.set = lodge_set,
	.generation = lodge_generation,
	.get_status = lodge_get_status,
	.set_status = lodge_set_status,
	.reset = lodge_reset,
	.find_vqs = lodge_find_vqs,
	.del_vqs = lodge_del_vqs,
	.synchronize_cbs = lodge_synchronize_cbs,
	.get_features = lodge_get_features,
	.finalize_features = lodge_finalize_features,
	.bus_name = lodge_bus_name,
	.set_vq_affinity = lodge_set_vq_affinity,
};

static void lodge_device_release(struct device *dev)
{
	kfree(to_lodge(dev_to_virtio(dev)));
}

struct lodge_device *lodge_device_add(unsigned int index, const struct lodge_bus_device *entry,
				      phys_addr_t window)
{
	struct platform_device *parent;
	struct lodge_device *ld;
	void *regs;
	int err;

	/* A parent for each: names of disks and cards are made from it. */
	parent = platform_device_register_simple("virtio-lodge", index, NULL, 0);
	if (IS_ERR(parent))
		return ERR_CAST(parent);
	err = dma_set_mask_and_coherent(&parent->dev, DMA_BIT_MASK(64));
	if (err)
		goto out_parent;
	err = -ENOMEM;
	regs = memremap(window + (phys_addr_t)entry->page * PAGE_SIZE, PAGE_SIZE, MEMREMAP_WB);
	if (!regs)
		goto out_parent;
	ld = kzalloc(sizeof(*ld), GFP_KERNEL);
	if (!ld)
		goto out_unmap;
	ld->parent = parent;
	ld->regs = regs;
	ld->index = index;
	ld->port = entry->port;
	ld->queues = entry->queues;
	snprintf(ld->name, sizeof(ld->name), "lodge-%u", index);
	ld->vdev.dev.parent = &parent->dev;
	ld->vdev.dev.release = lodge_device_release;
	ld->vdev.config = &lodge_config_ops;
	ld->vdev.id.device = reg_read(ld, VIRTIO_MMIO_DEVICE_ID);
	ld->vdev.id.vendor = reg_read(ld, VIRTIO_MMIO_VENDOR_ID);
	err = register_virtio_device(&ld->vdev);
	if (err) {
		put_device(&ld->vdev.dev);
		goto out_unmap;
	}
	/* Only now has virtio set up what a change needs; one from before is still pending. */
	ld->config_irq = bind_evtchn_to_irqhandler(ld->port, lodge_config_irq, 0, ld->name, ld);
	if (ld->config_irq < 0) {
		err = ld->config_irq;
		unregister_virtio_device(&ld->vdev);
		goto out_unmap;
	}
	return ld;
out_unmap:
	memunmap(regs);
out_parent:
	platform_device_unregister(parent);
	return ERR_PTR(err);
}

void lodge_device_del(struct lodge_device *ld)
{
	struct platform_device *parent = ld->parent;
	void *regs = ld->regs;

	unbind_from_irqhandler(ld->config_irq, ld);
	unregister_virtio_device(&ld->vdev); /* the last reference: frees ld */
	memunmap(regs);
	platform_device_unregister(parent);
}
