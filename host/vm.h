/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One guest: memory, accelerator, buses, vCPUs, devices, and how it ends. Built and taken apart on
 * the main thread; vm_stop() and vm_stopping() are for any thread.
 */
#ifndef LODGE_VM_H
#define LODGE_VM_H

#include <stdbool.h>
#include <stdio.h>

#include "accel.h"
#include "boot.h"
#include "bus.h"
#include "lite/abi/platform.h"
#include "machine.h"
#include "mem.h"
#include "mmio.h"
#include "platform.h"
#include "pvbus.h"
#include "vcpu.h"
#include "vdev.h"

/* Why a guest ended. The first reason is kept. */
enum vm_end {
	VM_END_NONE,
	VM_END_POWEROFF, /* the guest switched itself off */
	VM_END_RESET,	 /* the guest asked for a reset */
	VM_END_CRASH,	 /* triple fault, or stopped by the accelerator */
	VM_END_FAIL,	 /* the accelerator gave up */
	VM_END_PANIC,	 /* the guest's kernel panicked and said so */
	VM_END_QUIT,	 /* the user ended it */
};

/* A virtio device at its place in the machine; the machine has one transport or the other. */
struct vm_dev {
	struct vdev *vd;
	unsigned int index;
	struct vmmio *tp;
	struct bus_dev bus;
	struct pvbus *pvbus;
};

struct vm {
	const char *name;
	struct mem mem;
	struct accel_vm *avm;
	struct bus pio, mmio;
	struct platform platform;
	const struct machine *machine;
	void *board; /* the machine's own */
	struct vcpu *vcpu;
	unsigned int ncpus;
	struct vm_dev dev[LODGE_MMIO_DEVICES];
	unsigned int ndev;
	unsigned int nslots; /* memory slots handed to the accelerator */

	int stop_fd;	   /* eventfd: readable once the guest has ended */
	enum vm_end end;   /* atomic */
	char end_why[128]; /* written once, by whoever set @end, before stop_fd fires */
};

/**
 * vm_create - memory, accelerator and buses of a new guest
 * @vm: zeroed
 */
int vm_create(struct vm *vm, const struct accel_ops *accel, const char *name, unsigned int ncpus,
	      uint64_t mem_size, enum mem_backing backing, struct err *err);

/** vm_map - show @len bytes at @hva to the guest at @gpa; for machines, before the guest runs */
int vm_map(struct vm *vm, uint64_t gpa, uint64_t len, void *hva, bool readonly);

/** vm_add_device - give a device its register page, interrupt and doorbells; the VM owns it then */
int vm_add_device(struct vm *vm, struct vdev *vd, struct err *err);

/** vm_load - firmware tables, kernel and start state into the guest; the last that opens files */
int vm_load(struct vm *vm, struct boot_image *img, struct err *err);

/** vm_start - start the vCPUs' threads; the guest runs when it returns 0 */
int vm_start(struct vm *vm, struct err *err);

/** vm_stop - end the guest; only the first call has an effect. @why: one line or NULL; copied */
void vm_stop(struct vm *vm, enum vm_end end, const char *why);

/** vm_stopping - has somebody called vm_stop()? */
bool vm_stopping(struct vm *vm);

/** vm_halt - after stop_fd: stop vCPUs and devices; no guest code, no device thread runs then */
void vm_halt(struct vm *vm);

/** vm_destroy - free everything; safe at any stage after vm_create() was tried */
void vm_destroy(struct vm *vm);

/** vm_print_stats - one line per vCPU and device */
void vm_print_stats(struct vm *vm, FILE *out);

#endif
