// SPDX-License-Identifier: GPL-2.0-only
/*
 * Xen's paravirtual machine (lite/abi/pv.h): RAM in one piece, and behind it, at the next multiple
 * of 1 GiB, a window of pages: the bus page, the devices' registers, the shared info page. Event
 * channels are the interrupts and the doorbells. The console is Xen's ring, the guest's hvc0.
 * Called through struct machine; see machine.h for threads.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lite/abi/pv.h"
#include "log.h"
#include "machine.h"
#include "pvbus.h"
#include "pvconsole.h"
#include "util.h"
#include "vm.h"

#define PAGE 4096ull

/**
 * struct pv - the board
 * @window:	gpa of the window
 * @bus:	its bus page; filled while devices are added, only read by the guest
 * @port:	the first event channel that no device has
 * @shared:	the shared info page
 * @cd:		the console's, NULL without one; the ring is served from load() on
 * @early:	the guest is to say things by hypercall; else what little it says so is nobody's
 * @console_irq, @console_kick: eventfds of its event channel, -1 without one
 */
struct pv {
	uint64_t window;
	struct lodge_bus *bus;
	uint32_t port;
	void *shared;
	struct chardev *cd;
	struct pvconsole *console;
	bool early;
	int console_irq, console_kick;
};

_Static_assert(sizeof(struct lodge_bus) <= PAGE, "one page");
_Static_assert(LODGE_BUS_DEVICES >= LODGE_MMIO_DEVICES, "a place for each");

/* Shared, so that pinned pages stay the mapping's whatever happens to this process. */
static void *pv_page(void)
{
	void *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static int pv_init(struct vm *vm)
{
	struct pv *pv = calloc(1, sizeof(*pv));
	int ret;

	if (!pv)
		return -ENOMEM;
	vm->board = pv;
	pv->console_irq = pv->console_kick = -1;
	pv->port = LODGE_PORT_VIRTIO;
	/* Not next to the RAM, for a kernel that rounds its end up. */
	pv->window = ALIGN_UP(vm->mem.size + (16 << 20), GIB);
	pv->bus = pv_page();
	pv->shared = pv_page();
	if (!pv->bus || !pv->shared)
		return -ENOMEM; /* pv is vm->board */
	pv->bus->magic = LODGE_BUS_MAGIC;
	pv->bus->version = LODGE_PV_VERSION;
	ret = vm_map(vm, pv->window + LODGE_WIN_BUS * PAGE, PAGE, pv->bus, true);
	if (!ret)
		ret = vm_map(vm, pv->window + LODGE_WIN_SHARED_INFO * PAGE, PAGE, pv->shared,
			     false);
	return ret ? ret : vm->avm->ops->irqfd(vm->avm, LODGE_PORT_POWER, vm->platform.event_fd);
}

static void pv_drop_console(struct vm *vm)
{
	struct pv *pv = vm->board;

	if (pv)
		pvconsole_destroy(pv->console);
	if (pv)
		pv->console = NULL;
}

static void pv_fini(struct vm *vm)
{
	struct pv *pv = vm->board;

	if (!pv)
		return;
	pv_drop_console(vm);
	if (pv->console_irq >= 0)
		close(pv->console_irq);
	if (pv->console_kick >= 0)
		close(pv->console_kick);
	if (pv->bus)
		munmap(pv->bus, PAGE);
	if (pv->shared)
		munmap(pv->shared, PAGE);
	free(pv);
	vm->board = NULL;
}

static int pv_dev_ports(struct vm *vm, struct vm_dev *d, uint32_t port)
{
	const struct accel_ops *ops = vm->avm->ops;
	unsigned int q;
	int ret;

	ret = ops->irqfd(vm->avm, port, pvbus_config_fd(d->pvbus));
	for (q = 0; q < d->vd->nvq && !ret; q++) {
		ret = ops->irqfd(vm->avm, port + 1 + q, pvbus_queue_fd(d->pvbus, q));
		if (!ret)
			ret = ops->port_fd(vm->avm, port + 1 + q, d->vd->vq[q].kick_fd);
	}
	return ret;
}

static int pv_add_device(struct vm *vm, struct vm_dev *d, struct err *err)
{
	uint32_t page = LODGE_WIN_DEVICE + d->index;
	struct pv *pv = vm->board;
	uint32_t port = pv->port;
	int ret;

	/* Whole blocks: the configuration's channel and the queues'. */
	pv->port += ALIGN_UP(1 + d->vd->nvq, LODGE_PORT_PER_DEV);
	if (pv->port > LODGE_PORTS_HOST)
		return err_set(err, -ENOSPC,
			       "%s: no room for it among %u devices in lite mode, where one of "
			       "more than %u queues counts as two; use fewer, or --net queues=%u "
			       "at most",
			       d->vd->label, LODGE_BUS_DEVICES, LODGE_PORT_PER_DEV - 1,
			       (LODGE_PORT_PER_DEV - 2) / 2);
	ret = pvbus_create(d->vd, &d->pvbus);
	if (!ret)
		ret = vm_map(vm, pv->window + page * PAGE, PAGE, pvbus_page(d->pvbus), true);
	if (!ret)
		ret = pv_dev_ports(vm, d, port);
	if (ret)
		return ret;
	pv->bus->device[d->index] = (struct lodge_bus_device){
		.virtio_id = d->vd->ops->id,
		.port = port,
		.queues = d->vd->nvq,
		.page = page,
	};
	pv->bus->devices = d->index + 1;
	return 0;
}

static void pv_remove_device(struct vm_dev *d)
{
	pvbus_destroy(d->pvbus);
}

static int pv_add_console(struct vm *vm, struct chardev *cd)
{
	struct pv *pv = vm->board;
	int ret;

	pv->console_irq = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pv->console_kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (pv->console_irq < 0 || pv->console_kick < 0)
		return -errno;
	pv->cd = cd;
	ret = vm->avm->ops->irqfd(vm->avm, LODGE_PORT_CONSOLE, pv->console_irq);
	return ret ? ret : vm->avm->ops->port_fd(vm->avm, LODGE_PORT_CONSOLE, pv->console_kick);
}

/* The chardev counts for nobody, and the ring's two indices are all that there is. */
static void pv_console_stats(struct vm *vm, FILE *out)
{
}

static int pv_load(struct vm *vm, struct boot_image *img, struct accel_entry *entry,
		   struct err *err)
{
	struct pv *pv = vm->board;
	struct accel_pv apv = {
		.shared_info = pv->window + LODGE_WIN_SHARED_INFO * PAGE,
		.frames = vm->mem.size / PAGE,
		.ports = LODGE_PORTS_HOST,
	};
	int ret;

	img->pv.shared_info = apv.shared_info;
	img->pv.console = pv->cd;
	pv->early = strstr(img->cmdline, "earlyprintk=xen");
	ret = boot_xenpv_load(&vm->mem, img, entry, err);
	if (ret)
		return ret;
	apv.root = entry->cr3;
	ret = vm->avm->ops->pv_set(vm->avm, &apv);
	if (ret)
		return err_set(err, ret, "cannot set up the guest: %s", strerror(-ret));
	if (!pv->cd)
		return 0;
	ret = pvconsole_create(pv->cd, gmem_ptr(&vm->mem.gmem, img->pv.console_gpa, PAGE),
			       pv->console_irq, pv->console_kick, &pv->console);
	return ret ? err_set(err, ret, "--console: cannot set up the ring: %s", strerror(-ret)) : 0;
}

static void pv_exit(struct vm *vm, const struct vmexit *e)
{
	struct pv *pv = vm->board;

	switch (e->kind) {
	case VMEXIT_VIRTIO:
		if (e->virtio.device < vm->ndev)
			pvbus_write(vm->dev[e->virtio.device].pvbus, e->virtio.offset,
				    e->virtio.value, e->virtio.size);
		break;
	case VMEXIT_CONSOLE:
		/* What the chardev has no room for is lost. */
		if (pv->cd && pv->early)
			chardev_write(pv->cd, e->console.text, e->console.len);
		break;
	case VMEXIT_POWEROFF:
		vm_stop(vm, VM_END_POWEROFF, NULL);
		break;
	case VMEXIT_RESET:
		vm_stop(vm, VM_END_RESET, NULL);
		break;
	case VMEXIT_PANIC:
		vm_stop(vm, VM_END_PANIC, NULL);
		break;
	default:
		break;
	}
}

const struct machine machine_pv = {
	.low_max = UINT64_MAX,
	/* No ACPI tables tell the guest's init whose the exit status port is. */
	.cmdline = "lodge.exit ",
	.console_arg = "console=hvc0 ",
	.check = boot_xenpv_check,
	.init = pv_init,
	.fini = pv_fini,
	.add_device = pv_add_device,
	.remove_device = pv_remove_device,
	.add_console = pv_add_console,
	.drop_console = pv_drop_console,
	.console_stats = pv_console_stats,
	.load = pv_load,
	.exit = pv_exit,
};
