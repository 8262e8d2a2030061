/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The console of a paravirtualized guest (hvc0): Xen's console ring, a page of guest memory, on a
 * struct chardev. Output waits in the ring while the host does not take it, input waits in the
 * chardev while the guest does not.
 *
 * Threads: one of its own. The ring is the guest's and hostile: see pvconsole.c.
 */
#ifndef LODGE_PVCONSOLE_H
#define LODGE_PVCONSOLE_H

#include "chardev.h"

struct pvconsole;

/**
 * pvconsole_create - attach to @cd and serve the ring
 * @ring_page: struct xencons_interface in guest memory; must stay mapped until destroy
 * @irq_fd:    eventfd, signalled when the guest should look at the ring; the caller's
 * @kick_fd:   eventfd, non-blocking, the guest's events on the console's channel; the caller's
 *
 * What the ring holds already is served at once. Return: 0 or -errno.
 */
int pvconsole_create(struct chardev *cd, void *ring_page, int irq_fd, int kick_fd,
		     struct pvconsole **out);

/**
 * pvconsole_destroy - stop, detach from the chardev
 *
 * The guest's vCPUs have stopped. Output that is still in the ring (a last message without a kick)
 * goes to the chardev as far as there is room; chardev_flush() comes after. NULL is allowed.
 */
void pvconsole_destroy(struct pvconsole *c);

#endif
