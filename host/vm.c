// SPDX-License-Identifier: GPL-2.0-only
/*
 * The life of a guest; see vm.h. The order of vm_destroy() is that of vm_create() backwards: vCPUs
 * first, then devices (their threads use guest memory), then the accelerator, memory last.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/virtio_mmio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "acpi.h"
#include "log.h"
#include "util.h"
#include "vm.h"

static int vm_map(struct vm *vm, uint64_t gpa, uint64_t len, void *hva, bool readonly)
{
	return vm->avm->ops->mem_set(vm->avm, vm->nslots++, gpa, len, hva, readonly);
}

int vm_create(struct vm *vm, const struct accel_ops *accel, const char *name, unsigned int ncpus,
	      uint64_t mem_size, enum mem_backing backing, struct err *err)
{
	unsigned int i;
	int ret;

	vm->name = name;
	vm->ncpus = ncpus;
	vm->pio.name = "port";
	vm->mmio.name = "memory";
	vm->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	vm->ack_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (vm->stop_fd < 0 || vm->ack_fd < 0)
		return err_set(err, -errno, "eventfd: %s", strerror(errno));
	ret = mem_create(&vm->mem, mem_size, backing, err);
	if (ret)
		return ret;
	ret = accel->vm_create(&vm->avm, ncpus, err);
	if (ret)
		return ret;
	for (i = 0; i < vm->mem.gmem.nslots; i++) {
		struct gmem_slot *s = &vm->mem.gmem.slot[i];

		ret = vm_map(vm, s->gpa, s->len, s->hva, false);
		if (ret)
			return err_set(err, ret, "--mem: cannot give memory to the guest: %s",
				       strerror(-ret));
	}
	ret = platform_init(&vm->platform, vm, &vm->pio);
	if (!ret)
		ret = ioapic_init(&vm->ioapic, vm->avm, &vm->mmio);
	if (!ret)
		ret = accel->irqfd(vm->avm, LODGE_GSI_EVENT, vm->platform.event_fd);
	if (ret)
		return err_set(err, ret, "cannot set up the machine: %s", strerror(-ret));
	vm->vcpu = calloc(ncpus, sizeof(*vm->vcpu));
	if (!vm->vcpu)
		return err_set(err, -ENOMEM, "out of memory");
	for (i = 0; i < ncpus; i++) {
		vm->vcpu[i].vm = vm;
		ret = accel->vcpu_create(vm->avm, i, &vm->vcpu[i].av, err);
		if (ret)
			return ret;
	}
	return 0;
}

static void vm_dev_read(struct bus_dev *d, uint64_t off, void *data, unsigned int len)
{
	vmmio_read(container_of(d, struct vm_dev, bus)->tp, off, data, len);
}

static void vm_dev_write(struct bus_dev *d, uint64_t off, const void *data, unsigned int len)
{
	vmmio_write(container_of(d, struct vm_dev, bus)->tp, off, data, len);
}

/*
 * Doorbells without exits: each queue's notification, and the acknowledgement of used-buffer
 * interrupts, which needs no action at all (see mmio.c) and would otherwise cost an exit for each.
 */
static int vm_dev_doorbells(struct vm *vm, struct vm_dev *d)
{
	const struct accel_ops *ops = vm->avm->ops;
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
			      VIRTIO_MMIO_INT_VRING, vm->ack_fd);
}

int vm_add_device(struct vm *vm, struct vdev *vd, struct err *err)
{
	struct vm_dev *d = &vm->dev[vm->ndev];
	uint64_t base = LODGE_MMIO_BASE + vm->ndev * LODGE_MMIO_STRIDE;
	unsigned int i, nth = 0;
	int ret;

	if (vm->ndev == ARRAY_SIZE(vm->dev)) {
		vd->ops->destroy(vd);
		return err_set(err, -ENOSPC, "more than %zu devices; use fewer",
			       ARRAY_SIZE(vm->dev));
	}
	for (i = 0; i < vm->ndev; i++)
		nth += vm->dev[i].vd->ops == vd->ops;
	snprintf(vd->label, sizeof(vd->label), "%s%u", vd->ops->name, nth);
	d->vd = vd;
	vm->ndev++;
	d->bus = (struct bus_dev){
		.name = vd->label,
		.base = base,
		.len = LODGE_MMIO_STRIDE,
		.read = vm_dev_read,
		.write = vm_dev_write,
	};
	ret = vmmio_create(vd, &d->tp);
	if (!ret)
		ret = bus_add(&vm->mmio, &d->bus);
	if (!ret && vm->avm->caps & ACCEL_CAP_ROMEM)
		ret = vm_map(vm, base, LODGE_MMIO_STRIDE, d->tp->page, true);
	if (!ret)
		ret = vm->avm->ops->irqfd(vm->avm, LODGE_GSI_VIRTIO_BASE + vm->ndev - 1,
					  d->tp->irq_fd);
	if (!ret)
		ret = vm_dev_doorbells(vm, d);
	return ret ? err_set(err, ret, "%s: cannot attach it: %s", vd->label, strerror(-ret)) : 0;
}

int vm_load(struct vm *vm, struct boot_image *img, struct err *err)
{
	struct acpi_config acpi = { .ncpus = vm->ncpus, .uart = vm->uart, .nvirtio = vm->ndev };
	struct accel_entry entry;
	int ret;

	ret = acpi_build(&vm->mem.gmem, &acpi, &img->rsdp);
	if (ret)
		return err_set(err, ret, "cannot build the firmware tables: %s", strerror(-ret));
	ret = boot_bzimage_load(&vm->mem, img, &entry, err);
	if (ret)
		return ret;
	ret = vm->avm->ops->vcpu_entry(vm->vcpu[0].av, &entry);
	return ret ? err_set(err, ret, "cannot set up vCPU 0: %s", strerror(-ret)) : 0;
}

int vm_start(struct vm *vm, struct err *err)
{
	unsigned int i;
	int ret;

	ret = vcpu_setup_signal();
	for (i = 0; i < vm->ncpus && !ret; i++)
		ret = vcpu_start(&vm->vcpu[i]);
	if (ret) {
		vm_stop(vm, VM_END_FAIL, NULL);
		return err_set(err, ret, "cannot start the vCPUs: %s", strerror(-ret));
	}
	return 0;
}

void vm_stop(struct vm *vm, enum vm_end end, const char *why)
{
	enum vm_end none = VM_END_NONE;
	const uint64_t one = 1;

	if (!__atomic_compare_exchange_n(&vm->end, &none, end, false, __ATOMIC_SEQ_CST,
					 __ATOMIC_SEQ_CST))
		return;
	snprintf(vm->end_why, sizeof(vm->end_why), "%s", why ? why : "");
	/* The eventfd orders end_why before the main thread's look at it. */
	if (write(vm->stop_fd, &one, sizeof(one)) < 0)
		log_err("cannot signal the guest's end: %s", strerror(errno));
}

bool vm_stopping(struct vm *vm)
{
	return __atomic_load_n(&vm->end, __ATOMIC_ACQUIRE) != VM_END_NONE;
}

void vm_halt(struct vm *vm)
{
	unsigned int i;

	if (!vm_stopping(vm))
		vm_stop(vm, VM_END_QUIT, NULL);
	for (i = 0; vm->vcpu && i < vm->ncpus; i++)
		vcpu_kick(&vm->vcpu[i]);
	for (i = 0; vm->vcpu && i < vm->ncpus; i++)
		vcpu_join(&vm->vcpu[i]);
	for (i = 0; i < vm->ndev; i++)
		vdev_reset(vm->dev[i].vd);
}

void vm_destroy(struct vm *vm)
{
	unsigned int i;

	vm_halt(vm);
	for (i = vm->ndev; i-- > 0;) {
		if (vm->dev[i].tp)
			vmmio_destroy(vm->dev[i].tp);
		vm->dev[i].vd->ops->destroy(vm->dev[i].vd);
	}
	for (i = 0; vm->vcpu && i < vm->ncpus; i++)
		if (vm->vcpu[i].av)
			vm->avm->ops->vcpu_destroy(vm->vcpu[i].av);
	free(vm->vcpu);
	platform_fini(&vm->platform);
	if (vm->avm) {
		ioapic_fini(&vm->ioapic);
		vm->avm->ops->vm_destroy(vm->avm);
	}
	mem_destroy(&vm->mem);
	if (vm->ack_fd > 0)
		close(vm->ack_fd);
	if (vm->stop_fd > 0)
		close(vm->stop_fd);
}

void vm_print_stats(struct vm *vm, FILE *out)
{
	unsigned int i;

	for (i = 0; i < vm->ncpus; i++) {
		fprintf(out, "vcpu%u ", i);
		vm->avm->ops->vcpu_stats(vm->vcpu[i].av, out);
		fputc('\n', out);
	}
	for (i = 0; i < vm->ndev; i++)
		vdev_print_stats(vm->dev[i].vd, out);
}
