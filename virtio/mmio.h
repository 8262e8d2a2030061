/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * virtio-mmio, version 2 (virtio 1.2, 4.2): the register file between a guest and a struct vdev.
 *
 * All readable registers live in one page of memory which always holds their current values, so a
 * read is a copy from that page. An accelerator that can map read-only memory shows the page to the
 * guest itself; then reads cost no exit at all. Writes are the only thing that needs code. The
 * interrupt goes out by an eventfd, kicks come in by the queues' eventfds.
 *
 * Threads: vmmio_write() on vCPU threads (serialised inside); the transport calls from any device
 * thread.
 */
#ifndef LODGE_MMIO_H
#define LODGE_MMIO_H

#include "vdev.h"

#define VMMIO_PAGE_SIZE 4096u

/**
 * struct vmmio - one device's register page
 * @vd:	    the device
 * @page:   VMMIO_PAGE_SIZE bytes, page aligned, mapped shared
 * @irq_fd: eventfd, written once per (edge) interrupt; owned by this struct
 *
 * The used-buffer bit of InterruptStatus may stay set after the guest has acknowledged it: the
 * accelerator is free to swallow the write of exactly VIRTIO_MMIO_INT_VRING to InterruptACK (as an
 * ioeventfd that nobody reads), so that a used-buffer interrupt costs no exit to user space. That
 * is harmless: interrupts are edges of @irq_fd and never derived from the register, and a driver
 * that finds the bit set without cause looks at its rings in vain. It even spares the driver
 * spurious interrupts without any bit. The configuration bit is acknowledged by writes of 2 or 3,
 * which always arrive here.
 */
struct vmmio {
	struct vdev *vd;
	uint8_t *page;
	int irq_fd;
	struct vdev_transport tp;
	pthread_mutex_t lock; /* register writes; taken before vdev.lock */
	uint32_t dev_feat_sel, drv_feat_sel, queue_sel;
	pthread_mutex_t config_lock; /* configuration space in @page; innermost, never waits */
};

/**
 * vmmio_init - the register page alone, for a transport that embeds it; undone by vmmio_fini()
 * @m: zeroed
 *
 * The caller replaces tp.irq, which needs irq_fd, before anything can interrupt. Return: 0 or
 * -errno.
 */
int vmmio_init(struct vmmio *m, struct vdev *vd);
void vmmio_fini(struct vmmio *m);

/** vmmio_publish_status - bring the page's status up to date; any thread */
void vmmio_publish_status(struct vmmio *m);

/** vmmio_create - connect @vd to a new register page; 0 or -errno */
int vmmio_create(struct vdev *vd, struct vmmio **out);

/** vmmio_destroy - the guest and the device's threads have stopped */
void vmmio_destroy(struct vmmio *m);

/**
 * vmmio_read - read registers or configuration space
 * @off: offset in the page, @len: 1, 2, 4 or 8; registers (below 0x100) must be read whole and
 * aligned (4.2.2.2); anything else reads as zero
 */
void vmmio_read(struct vmmio *m, uint64_t off, void *data, unsigned int len);

/** vmmio_write - write a register or configuration space; malformed writes are ignored */
void vmmio_write(struct vmmio *m, uint64_t off, const void *data, unsigned int len);

#endif
