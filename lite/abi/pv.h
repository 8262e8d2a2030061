/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * What a lite guest sees beyond Xen's PV ABI: one hypercall, and the bus that virtio devices are
 * found on. Shared by the module, the VMM and the guest's front end; frozen, add but never change.
 *
 * Each device has a page of registers, laid out and behaving as virtio-mmio version 2's (virtio
 * 1.2, 4.2.2), which the guest may only read. It writes a register by LODGE_HC_VIRTIO_WRITE, kicks
 * a queue by sending on the queue's event channel (instead of QueueNotify), and gets the queue's
 * interrupts on the same channel; changes of the configuration come on a channel of the device's
 * own. The interrupt registers are not used.
 *
 * The bus page lists the devices. It lies at the first page of the PV window, whose address
 * LODGE_HC_BUS returns; device i's registers follow at page 1 + i, the shared info page is the
 * last.
 */
#ifndef LODGE_ABI_PV_H
#define LODGE_ABI_PV_H

#include <linux/types.h>

/* __HYPERVISOR_arch_7; RDI is the operation. */
#define LODGE_HYPERCALL 55

#define LODGE_HC_VERSION      0 /* returns LODGE_PV_VERSION */
#define LODGE_HC_BUS	      1 /* returns the gpa of struct lodge_bus, or -ENODEV */
#define LODGE_HC_VIRTIO_WRITE 2 /* RSI device, RDX offset, R10 value, R8 size: 0 or -EINVAL */
#define LODGE_HC_NOP	      3 /* returns 0: what a hypercall costs */

#define LODGE_PV_VERSION 1

#define LODGE_BUS_MAGIC	  0x5355424547444f4cull /* "LODGEBUS" */
#define LODGE_BUS_DEVICES 24

/* Event channels of the VMM: the console's, the power button's, then a block for each device. */
#define LODGE_PORT_CONSOLE 2
#define LODGE_PORT_POWER   3
#define LODGE_PORT_VIRTIO  16
#define LODGE_PORT_PER_DEV 16 /* +0: configuration changed; +1+q: queue q, both ways */
#define LODGE_PORT_DEV_MAX 32 /* a device with more queues has the next block as well */
#define LODGE_PORTS_HOST   (LODGE_PORT_VIRTIO + LODGE_BUS_DEVICES * LODGE_PORT_PER_DEV)

/* Pages of the window behind the guest's RAM, from LODGE_HC_BUS's address on. */
#define LODGE_WIN_BUS	      0
#define LODGE_WIN_DEVICE      1
#define LODGE_WIN_SHARED_INFO (LODGE_WIN_DEVICE + LODGE_BUS_DEVICES)
#define LODGE_WIN_PAGES	      (LODGE_WIN_SHARED_INFO + 1)

struct lodge_bus_device {
	__u32 virtio_id; /* 0: none */
	__u32 port;	 /* configuration changes; queue q: port + 1 + q */
	__u32 queues;
	__u32 page; /* of the window */
};

struct lodge_bus {
	__u64 magic;
	__u32 version; /* LODGE_PV_VERSION */
	__u32 devices;
	struct lodge_bus_device device[LODGE_BUS_DEVICES];
};

#endif
