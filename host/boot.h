/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Loaders: they read the user's kernel and initrd, put them and everything the boot protocol asks
 * for into guest memory, and say where the boot processor starts.
 */
#ifndef LODGE_BOOT_H
#define LODGE_BOOT_H

#include <stdbool.h>
#include <stdint.h>

#include "accel.h"
#include "err.h"
#include "mem.h"

/**
 * struct boot_image - what to boot
 * @kernel:  path of a bzImage (a distribution's vmlinuz)
 * @initrd:  path, or NULL
 * @cmdline: the complete kernel command line
 * @rsdp:    guest-physical address of the ACPI root pointer; PC only
 * @pv:      of a Xen PV guest only. In: @shared_info, the gpa of that page, and whether to give the
 *	     guest a @console ring; out: @console_gpa, the page of the ring
 */
struct boot_image {
	const char *kernel;
	const char *initrd;
	const char *cmdline;
	uint64_t rsdp;
	struct {
		uint64_t shared_info;
		bool console;
		uint64_t console_gpa;
	} pv;
};

/**
 * boot_bzimage_check - is the kernel file one that we can boot? Reads it, changes nothing.
 */
int boot_bzimage_check(const char *path, struct err *err);

/**
 * boot_bzimage_load - load by the 64-bit boot protocol (Documentation/x86/boot.rst)
 *
 * Return: 0 with @entry filled, or -errno with @err naming --kernel, --initrd, --append or --mem.
 */
int boot_bzimage_load(const struct mem *mem, const struct boot_image *img,
		      struct accel_entry *entry, struct err *err);

/** boot_xenpv_check - is the kernel file one that can be booted as a Xen PV guest? */
int boot_xenpv_check(const char *path, struct err *err);

/**
 * boot_xenpv_load - unpack the kernel and load it by Xen's 64-bit PV protocol (<xen/xen.h>)
 * @mem: zeroed, in one piece from 0 on
 *
 * Return: 0 with @entry (its cr3 the gpa of the first root table) and @img->pv filled, or -errno
 * with @err as above.
 */
int boot_xenpv_load(const struct mem *mem, struct boot_image *img, struct accel_entry *entry,
		    struct err *err);

#endif
