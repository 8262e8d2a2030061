// SPDX-License-Identifier: GPL-2.0-only
/*
 * The life of a guest; see vm.h. The order of vm_destroy() is that of vm_create() backwards: vCPUs
 * first, then devices (their threads use guest memory), then the accelerator, memory last.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "log.h"
#include "util.h"
#include "vm.h"

int vm_map(struct vm *vm, uint64_t gpa, uint64_t len, void *hva, bool readonly)
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
	vm->machine = machine_of(accel);
	vm->pio.name = "port";
	vm->mmio.name = "memory";
	vm->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (vm->stop_fd < 0)
		return err_set(err, -errno, "eventfd: %s", strerror(errno));
	ret = mem_create(&vm->mem, mem_size, vm->machine->low_max, backing, err);
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
		ret = vm->machine->init(vm);
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

int vm_add_device(struct vm *vm, struct vdev *vd, struct err *err)
{
	struct vm_dev *d = &vm->dev[vm->ndev];
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
	d->index = vm->ndev++;
	ret = vm->machine->add_device(vm, d, err);
	return ret ? err_set(err, ret, "%s: cannot attach it: %s", vd->label, strerror(-ret)) : 0;
}

int vm_load(struct vm *vm, struct boot_image *img, struct err *err)
{
	struct accel_entry entry;
	int ret;

	ret = vm->machine->load(vm, img, &entry, err);
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
	if (vm->board)
		vm->machine->drop_console(vm);
}

void vm_destroy(struct vm *vm)
{
	unsigned int i;

	vm_halt(vm);
	for (i = vm->ndev; i-- > 0;) {
		vm->machine->remove_device(&vm->dev[i]);
		vm->dev[i].vd->ops->destroy(vm->dev[i].vd);
	}
	for (i = 0; vm->vcpu && i < vm->ncpus; i++)
		if (vm->vcpu[i].av)
			vm->avm->ops->vcpu_destroy(vm->vcpu[i].av);
	free(vm->vcpu);
	platform_fini(&vm->platform);
	if (vm->avm) {
		vm->machine->fini(vm);
		vm->avm->ops->vm_destroy(vm->avm);
	}
	mem_destroy(&vm->mem);
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
	vm->machine->console_stats(vm, out);
}
