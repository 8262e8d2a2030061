/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An unpacked kernel as a Xen PV guest: its segments, and what its ELF notes (<xen/elfnote.h>) ask
 * for. The file is not trusted: everything used later has been checked here.
 */
#ifndef LODGE_ELF_PV_H
#define LODGE_ELF_PV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

#define ELF_PV_SEGMENTS_MAX 16

struct elf_pv_segment {
	uint64_t gpa; /* where it goes, counted from the start of the guest's memory */
	uint64_t file_off, file_len;
	uint64_t mem_len; /* what is beyond file_len is zero */
};

/**
 * struct elf_pv - a kernel that can be booted
 * @segment:	 by rising gpa, without overlaps
 * @end:	 first gpa behind all segments
 * @virt_base:	 guest virtual address of gpa 0 in the first mapping; 1 GiB aligned
 * @entry:	 virtual, inside a segment
 * @hypercall_page: gpa of the page that the loader fills with hypercall stubs, 0 for none
 * @mod_by_frame: the initrd is named by its frame and need not be mapped
 */
struct elf_pv {
	struct elf_pv_segment segment[ELF_PV_SEGMENTS_MAX];
	unsigned int nsegments;
	uint64_t end;
	uint64_t virt_base;
	uint64_t entry;
	uint64_t hypercall_page;
	bool mod_by_frame;
};

/**
 * elf_pv_parse - check an ELF file and its notes
 * @path: for messages
 *
 * Return: 0 with @out filled, or -ENOEXEC with @err naming --kernel.
 */
int elf_pv_parse(const uint8_t *elf, size_t len, const char *path, struct elf_pv *out,
		 struct err *err);

/** elf_pv_load - copy the segments to @ram, zeroed memory of at least @e->end bytes */
void elf_pv_load(const struct elf_pv *e, const uint8_t *elf, uint8_t *ram);

#endif
