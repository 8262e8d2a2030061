/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A virtio device on the bus of a paravirtualized guest (lite/abi/pv.h): the registers of
 * virtio-mmio, which the guest reads from their page and writes by a hypercall, with an eventfd for
 * each queue's interrupts and one for changes of the configuration. Kicks come in by the queues'
 * own eventfds (vq.kick_fd). Which event channels all these belong to is the VMM's business.
 *
 * Threads: as in mmio.h.
 */
#ifndef LODGE_PVBUS_H
#define LODGE_PVBUS_H

#include "vdev.h"

struct pvbus;

/**
 * pvbus_create - connect @vd to a new register page
 *
 * Return: 0, -E2BIG when it has more queues than a device has event channels, or -errno.
 */
int pvbus_create(struct vdev *vd, struct pvbus **out);

/** pvbus_destroy - the guest and the device's threads have stopped; NULL is allowed */
void pvbus_destroy(struct pvbus *b);

/** pvbus_page - the registers: one page, mapped shared; the guest may read it, never write */
uint8_t *pvbus_page(struct pvbus *b);

/**
 * pvbus_write - LODGE_HC_VIRTIO_WRITE; the arguments are the guest's, malformed writes are ignored
 *
 * What it changes in the page is there when it returns.
 */
void pvbus_write(struct pvbus *b, uint32_t off, uint64_t val, uint32_t size);

/** pvbus_config_fd - signalled for every change of the configuration or loss of the device */
int pvbus_config_fd(struct pvbus *b);

/** pvbus_queue_fd - signalled for used buffers in queue @q, which must be below vdev.nvq */
int pvbus_queue_fd(struct pvbus *b, unsigned int q);

#endif
