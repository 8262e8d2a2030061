/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of virtio_lodge.ko share: bus.c finds the devices, device.c is the virtio
 * transport, power.c the power button. The interface to the hypervisor is lite/abi/pv.h.
 */
#ifndef VIRTIO_LODGE_H
#define VIRTIO_LODGE_H

#include <linux/err.h>
#include <linux/types.h>
#include <asm/xen/hypercall.h>

#include "lite/abi/pv.h"

struct lodge_device;

/* lodge_hypercall - see LODGE_HC_*; a result of the operation, or -errno */
static inline long lodge_hypercall(unsigned int op, unsigned long a, unsigned long b,
				   unsigned long c, unsigned long d)
{
	return xen_single_call(LODGE_HYPERCALL, op, a, b, c, d);
}

/**
 * lodge_device_add - register one device of the bus with virtio
 * @index:  on the bus
 * @entry:  its checked copy
 * @window: address of the bus's first page
 *
 * Return: the device, or an ERR_PTR.
 */
struct lodge_device *lodge_device_add(unsigned int index, const struct lodge_bus_device *entry,
				      phys_addr_t window);

/* lodge_device_del - unbind its driver and forget it */
void lodge_device_del(struct lodge_device *ld);

/* lodge_power_init - an input device with the power key; undone by lodge_power_exit() */
int lodge_power_init(void);
void lodge_power_exit(void);

#endif
