/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who answers which port or guest-physical address outside of RAM. Filled before the first vCPU
 * runs and constant from then on, so look-ups take no lock; a device's handlers may run on several
 * vCPU threads at once and lock for themselves.
 */
#ifndef LODGE_BUS_H
#define LODGE_BUS_H

#include <stdbool.h>
#include <stdint.h>

#include "accel.h"
#include "err.h"

#define BUS_DEVS_MAX 48

/**
 * struct bus_dev - a range and its two handlers; embed it, container_of() gets the device back
 * @off passed to the handlers is relative to @base; @len is 1, 2, 4 or 8 and the access never
 * leaves the range. @write may be NULL (ignored), @read too (all ones).
 */
struct bus_dev {
	const char *name;
	uint64_t base, len;
	void (*read)(struct bus_dev *d, uint64_t off, void *data, unsigned int len);
	void (*write)(struct bus_dev *d, uint64_t off, const void *data, unsigned int len);
};

struct bus {
	const char *name;
	unsigned int n;
	struct bus_dev *dev[BUS_DEVS_MAX]; /* sorted by base */
};

/** bus_add - register a range; -EEXIST when it overlaps another, -ENOSPC when the bus is full */
int bus_add(struct bus *b, struct bus_dev *d);

/** bus_read - all ones where nobody answers; false then */
bool bus_read(const struct bus *b, uint64_t addr, void *data, unsigned int len);

/** bus_write - false where nobody answers */
bool bus_write(const struct bus *b, uint64_t addr, const void *data, unsigned int len);

/** bus_exit - serve a PIO or MMIO exit, all of its items; any vCPU thread */
void bus_exit(const struct bus *b, const struct vmexit *e);

#endif
