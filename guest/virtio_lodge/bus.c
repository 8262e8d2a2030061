// SPDX-License-Identifier: GPL-2.0-only
/*
 * The module: is this a paravirtualized guest of lodge, which devices does its bus have. A kernel
 * that runs anywhere else gets -ENODEV and no message.
 *
 * Devices do not come or go while the guest runs, so there is nothing here but init and exit. The
 * exit status of the guest (LODGE_PORT_EXIT_STATUS) is a parameter, since kernels without /dev/port
 * give no other way to an I/O port that works in a paravirtualized guest.
 */
#include <linux/io.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <xen/xen.h>

#include "lite/abi/platform.h"
#include "lodge.h"

static struct lodge_device *devices[LODGE_BUS_DEVICES];

static int exit_status_set(const char *val, const struct kernel_param *kp)
{
	u8 status;
	int err = kstrtou8(val, 0, &status);

	if (err)
		return err;
	outb(status, LODGE_PORT_EXIT_STATUS);
	return 0;
}

static const struct kernel_param_ops exit_status_ops = { .set = exit_status_set };
module_param_cb(exit_status, &exit_status_ops, NULL, 0200);
MODULE_PARM_DESC(exit_status, "what lodge ends with when the guest powers off (write only)");

/* Takes a copy of the bus page. Return: 0 or -errno. */
static int bus_read(phys_addr_t window, struct lodge_bus *bus)
{
	void *page = memremap(window, PAGE_SIZE, MEMREMAP_WB);
	int err = 0;

	if (!page)
		return -ENOMEM;
	memcpy(bus, page, sizeof(*bus));
	memunmap(page);
	if (bus->magic != LODGE_BUS_MAGIC || bus->version != LODGE_PV_VERSION ||
	    bus->devices > LODGE_BUS_DEVICES) {
		pr_err("virtio_lodge: no bus of version %u at %pa\n", LODGE_PV_VERSION, &window);
		err = -EPROTO;
	}
	return err;
}

static bool entry_valid(const struct lodge_bus_device *e)
{
	return e->port >= LODGE_PORT_VIRTIO && e->queues < LODGE_PORT_DEV_MAX &&
	       e->port < LODGE_PORTS_HOST - e->queues && e->page >= LODGE_WIN_DEVICE &&
	       e->page < LODGE_WIN_DEVICE + LODGE_BUS_DEVICES;
}

/* A device that cannot be had does not keep the guest from the others. */
static void bus_populate(phys_addr_t window, const struct lodge_bus *bus)
{
	struct lodge_device *ld;
	unsigned int i;

	for (i = 0; i < bus->devices; i++) {
		const struct lodge_bus_device *e = &bus->device[i];

		if (!e->virtio_id)
			continue;
		ld = entry_valid(e) ? lodge_device_add(i, e, window) : ERR_PTR(-EINVAL);
		if (IS_ERR(ld))
			pr_err("virtio_lodge: device %u: error %ld\n", i, PTR_ERR(ld));
		else
			devices[i] = ld;
	}
}

static void bus_empty(void)
{
	unsigned int i;

	for (i = 0; i < LODGE_BUS_DEVICES; i++)
		if (devices[i])
			lodge_device_del(devices[i]);
}

static int __init lodge_init(void)
{
	struct lodge_bus bus;
	long window;
	int err;

	/* In this order: what is not Xen's interface has no hypercalls at all. */
	if (!xen_pv_domain() || lodge_hypercall(LODGE_HC_VERSION, 0, 0, 0, 0) != LODGE_PV_VERSION)
		return -ENODEV;
	window = lodge_hypercall(LODGE_HC_BUS, 0, 0, 0, 0);
	if (window < 0)
		return window;
	err = bus_read(window, &bus);
	if (err)
		return err;
	err = lodge_power_init();
	if (err)
		return err;
	bus_populate(window, &bus);
	return 0;
}

static void __exit lodge_exit(void)
{
	bus_empty();
	lodge_power_exit();
}

module_init(lodge_init);
module_exit(lodge_exit);

MODULE_DESCRIPTION("virtio bus and power button of lodge's paravirtualized guests");
MODULE_LICENSE("GPL");
