/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Guest memory: one mapping, cut into RAM below the device hole and RAM above 4 GiB where the
 * machine has such a hole. It owns the gmem table by which everybody else translates.
 *
 * What backs it decides how fast a guest touches memory for the first time. On a memfd the kernel
 * gives 4 KiB pages unless its policy for shared memory says otherwise (it seldom does), to
 * anonymous memory it gives 2 MiB pages nearly everywhere; with nested paging that is a factor of
 * ten in cold faults. So MEM_AUTO takes the memfd where it gets large pages, or where neither does,
 * and anonymous memory else.
 */
#ifndef LODGE_MEM_H
#define LODGE_MEM_H

#include "err.h"
#include "gmem.h"

#define MEM_SIZE_MIN (32ull << 20)

enum mem_backing { MEM_AUTO, MEM_MEMFD, MEM_ANON };

/**
 * struct mem - all RAM of a guest
 * @gmem: slot 0 is low RAM, slot 1 (if any) RAM from 4 GiB on
 * @fd:	  the memfd, named "guest-ram"; -1 with anonymous memory
 * @base: the mapping; @size bytes
 */
struct mem {
	struct gmem gmem;
	uint8_t *base;
	uint64_t size;
	int fd;
};

/**
 * mem_create - reserve and map guest memory; pages come when they are touched
 * @size:    bytes, a multiple of 1 MiB
 * @low_max: most that lies below 4 GiB; the rest begins there
 * @backing: MEM_MEMFD when others shall be able to map it too
 *
 * Return: 0, or -errno with @err naming --mem.
 */
int mem_create(struct mem *m, uint64_t size, uint64_t low_max, enum mem_backing backing,
	       struct err *err);

/** mem_destroy - unmap and close; safe on a zeroed struct */
void mem_destroy(struct mem *m);

/** mem_host_size - bytes of RAM that this host has: the upper bound of --mem */
uint64_t mem_host_size(void);

#endif
