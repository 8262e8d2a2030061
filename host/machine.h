/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a guest's kernel finds itself on: a PC without firmware, or Xen's paravirtual interface. The
 * accelerator decides which; vm.c has what both have in common and calls the rest through here.
 *
 * Threads: all on the main thread with the guest not running, but for @exit: vCPU threads.
 */
#ifndef LODGE_MACHINE_H
#define LODGE_MACHINE_H

#include <stdio.h>

#include "accel.h"
#include "boot.h"
#include "chardev.h"

struct vm;
struct vm_dev;

/**
 * struct machine - a const table; the state is vm->board, made by @init, freed by @fini
 * @low_max:	   for mem_create()
 * @cmdline:	   what the kernel's command line begins with on every such machine, or ""
 * @console_arg:   the same for a machine that has the platform's console
 * @check:	   is the kernel file one that this machine can boot?
 * @init:	   interrupts and ports; memory and accelerator are there, vCPUs not. 0 or -errno
 * @fini:	   devices are gone, the accelerator is not; NULL as board is allowed
 * @add_device:	   connect @d, whose vdev and index are set, to the guest; 0 or -errno, with @err
 *		   where that says more than the errno
 * @remove_device: @d's queues are at rest; undoes what @add_device has come to
 * @add_console:   the platform's console, on @cd, which outlives it; 0 or -errno
 * @drop_console:  vCPUs have stopped: what waits goes to the chardev; may be called again
 * @console_stats: "key=value" words
 * @load:	   kernel, tables and whatever the kernel wants to be told, into memory
 * @exit:	   exits that only this machine has
 */
struct machine {
	uint64_t low_max;
	const char *cmdline, *console_arg;
	int (*check)(const char *kernel, struct err *err);
	int (*init)(struct vm *vm);
	void (*fini)(struct vm *vm);
	int (*add_device)(struct vm *vm, struct vm_dev *d, struct err *err);
	void (*remove_device)(struct vm_dev *d);
	int (*add_console)(struct vm *vm, struct chardev *cd);
	void (*drop_console)(struct vm *vm);
	void (*console_stats)(struct vm *vm, FILE *out);
	int (*load)(struct vm *vm, struct boot_image *img, struct accel_entry *entry,
		    struct err *err);
	void (*exit)(struct vm *vm, const struct vmexit *e);
};

extern const struct machine machine_pc, machine_pv;

/** machine_of - the machine that an accelerator's guests run on */
static inline const struct machine *machine_of(const struct accel_ops *accel)
{
	return accel->caps & ACCEL_CAP_XEN_PV ? &machine_pv : &machine_pc;
}

#endif
