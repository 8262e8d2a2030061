/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The IO-APIC of a PC guest, for accelerators that keep only local APICs (ACCEL_CAP_X86_PC): a
 * register file whose entries are handed to accel_ops.irq_route as messages.
 */
#ifndef LODGE_IOAPIC_H
#define LODGE_IOAPIC_H

#include <pthread.h>

#include "accel.h"
#include "bus.h"
#include "lite/abi/platform.h"

struct ioapic {
	struct bus_dev bus;
	struct accel_vm *vm;
	pthread_mutex_t lock; /* all below */
	uint32_t select;
	uint32_t id;
	uint64_t redir[LODGE_GSI_COUNT];
};

/** ioapic_init - all lines masked, registered on @mmio; 0 or bus_add()'s error */
int ioapic_init(struct ioapic *io, struct accel_vm *vm, struct bus *mmio);

/** ioapic_fini - vCPUs have stopped */
void ioapic_fini(struct ioapic *io);

#endif
