/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The firmware tables by which a stock kernel finds its processors, its interrupt controller, the
 * power button and the virtio-mmio devices.
 */
#ifndef LODGE_ACPI_H
#define LODGE_ACPI_H

#include <stdbool.h>

#include "gmem.h"
#include "lite/abi/platform.h"

/**
 * struct acpi_config - what there is to describe
 * @ncpus:   processors; APIC ids are 0 to ncpus - 1
 * @uart:    is there a console UART?
 * @nvirtio: virtio-mmio devices, with consecutive pages from LODGE_MMIO_BASE and lines from
 *	     LODGE_GSI_VIRTIO_BASE
 */
struct acpi_config {
	unsigned int ncpus;
	bool uart;
	unsigned int nvirtio;
};

/**
 * acpi_build - write all tables into guest memory below 1 MiB (ACPI 6.4, chapter 5)
 * @rsdp: gets the guest-physical address of the root pointer
 *
 * Return: 0, or -E2BIG / -EFAULT when they do not fit.
 */
int acpi_build(const struct gmem *mem, const struct acpi_config *cfg, uint64_t *rsdp);

#endif
