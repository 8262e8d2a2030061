// SPDX-License-Identifier: GPL-2.0-only
/*
 * The PC without firmware: an IO-APIC, ACPI tables, a UART, and virtio-mmio windows in the hole
 * below 4 GiB. Called through struct machine; see machine.h for threads.
 */
#include <errno.h>
#include <linux/virtio_mmio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "acpi.h"
#include "ioapic.h"
#include "lite/abi/platform.h"
#include "machine.h"
#include "mmio.h"
#include "serial.h"
#include "util.h"
#include "vm.h"

struct pc {
	struct ioapic ioapic;
	struct serial *serial;
	int uart_fd;
	int ack_fd; /* swallows interrupt acknowledgements; nobody reads it */
};

static int pc_init(struct vm *vm)
{
	struct pc *pc = calloc(1, sizeof(*pc));
	int ret;

	if (!pc)
		return -ENOMEM;
	pc->uart_fd = -1;
	pc->ack_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (pc->ack_fd < 0) {
		ret = -errno;
		free(pc);
		return ret;
	}
	vm->board = pc;
	ret = ioapic_init(&pc->ioapic, vm->avm, &vm->mmio);
	return ret ? ret : vm->avm->ops->irqfd(vm->avm, LODGE_GSI_EVENT, vm->platform.event_fd);
}

static void pc_fini(struct vm *vm)
{
	struct pc *pc = vm->board;

	if (!pc)
		return;
	serial_destroy(pc->serial);
	ioapic_fini(&pc->ioapic);
	if (pc->uart_fd >= 0)
		close(pc->uart_fd);
	close(pc->ack_fd);
	free(pc);
	vm->board = NULL;
}

static void pc_dev_read(struct bus_dev *d, uint64_t off, void *data, unsigned int len)
{
	vmmio_read(container_of(d, struct vm_dev, bus)->tp, off, data, len);
}

static void pc_dev_write(struct bus_dev *d, uint64_t off, const void *data, unsigned int len)
{
	vmmio_write(container_of(d, struct vm_dev, bus)->tp, off, data, len);
}

/*
 * Doorbells without exits: each queue's notification, and the acknowledgement of used-buffer
 * interrupts, which needs no action at all (see mmio.c) and would otherwise cost an exit for each.
 */
static int pc_dev_doorbells(struct vm *vm, struct vm_dev *d)
{
	const struct accel_ops *ops = vm->avm->ops;
	struct pc *pc = vm->board;
	unsigned int i;
	int ret;

	if (!(vm->avm->caps & ACCEL_CAP_IOEVENTFD))
		return 0;
	for (i = 0; i < d->vd->nvq; i++) {
		ret = ops->ioeventfd(vm->avm, d->bus.base + VIRTIO_MMIO_QUEUE_NOTIFY, i,
				     d->vd->vq[i].kick_fd);
		if (ret)
			return ret;
	}
	return ops->ioeventfd(vm->avm, d->bus.base + VIRTIO_MMIO_INTERRUPT_ACK,
			      VIRTIO_MMIO_INT_VRING, pc->ack_fd);
}

static int pc_add_device(struct vm *vm, struct vm_dev *d, struct err *err)
{
	uint64_t base = LODGE_MMIO_BASE + d->index * LODGE_MMIO_STRIDE;
	int ret;

	d->bus = (struct bus_dev){
		.name = d->vd->label,
		.base = base,
		.len = LODGE_MMIO_STRIDE,
		.read = pc_dev_read,
		.write = pc_dev_write,
	};
	ret = vmmio_create(d->vd, &d->tp);
	if (!ret)
		ret = bus_add(&vm->mmio, &d->bus);
	if (!ret && vm->avm->caps & ACCEL_CAP_ROMEM)
		ret = vm_map(vm, base, LODGE_MMIO_STRIDE, d->tp->page, true);
	if (!ret)
		ret = vm->avm->ops->irqfd(vm->avm, LODGE_GSI_VIRTIO_BASE + d->index, d->tp->irq_fd);
	return ret ? ret : pc_dev_doorbells(vm, d);
}

static void pc_remove_device(struct vm_dev *d)
{
	if (d->tp)
		vmmio_destroy(d->tp);
}

static int pc_add_console(struct vm *vm, struct chardev *cd)
{
	struct pc *pc = vm->board;
	int ret;

	pc->uart_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (pc->uart_fd < 0)
		return -errno;
	ret = serial_create(cd, pc->uart_fd, &pc->serial);
	if (!ret)
		ret = bus_add(&vm->pio, serial_bus_dev(pc->serial));
	return ret ? ret : vm->avm->ops->irqfd(vm->avm, LODGE_GSI_UART, pc->uart_fd);
}

/* A UART keeps nothing back. */
static void pc_drop_console(struct vm *vm)
{
}

static void pc_console_stats(struct vm *vm, FILE *out)
{
	struct pc *pc = vm->board;

	if (!pc->serial)
		return;
	fputs("serial ", out);
	serial_stats(pc->serial, out);
	fputc('\n', out);
}

static int pc_load(struct vm *vm, struct boot_image *img, struct accel_entry *entry,
		   struct err *err)
{
	struct pc *pc = vm->board;
	struct acpi_config acpi = {
		.ncpus = vm->ncpus,
		.uart = pc->serial,
		.nvirtio = vm->ndev,
	};
	int ret;

	ret = acpi_build(&vm->mem.gmem, &acpi, &img->rsdp);
	if (ret)
		return err_set(err, ret, "cannot build the firmware tables: %s", strerror(-ret));
	return boot_bzimage_load(&vm->mem, img, entry, err);
}

static void pc_exit(struct vm *vm, const struct vmexit *e)
{
	if (e->kind == VMEXIT_MMIO)
		bus_exit(&vm->mmio, e);
}

const struct machine machine_pc = {
	.low_max = LODGE_RAM_LOW_MAX,
	.cmdline = "",
	.console_arg = "console=ttyS0 ",
	.check = boot_bzimage_check,
	.init = pc_init,
	.fini = pc_fini,
	.add_device = pc_add_device,
	.remove_device = pc_remove_device,
	.add_console = pc_add_console,
	.drop_console = pc_drop_console,
	.console_stats = pc_console_stats,
	.load = pc_load,
	.exit = pc_exit,
};
