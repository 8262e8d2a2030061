/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Guest memory: one memfd, mapped once, cut into RAM below the device hole and RAM above 4 GiB. It
 * owns the gmem table by which everybody else translates.
 */
#ifndef LODGE_MEM_H
#define LODGE_MEM_H

#include "err.h"
#include "gmem.h"

#define MEM_SIZE_MIN (32ull << 20)

/**
 * struct mem - all RAM of a guest
 * @gmem: slot 0 is low RAM, slot 1 (if any) RAM from 4 GiB on
 * @fd:	  the memfd, named "guest-ram"
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
 * @size: bytes, a multiple of 1 MiB
 *
 * Return: 0, or -errno with @err naming --mem.
 */
int mem_create(struct mem *m, uint64_t size, struct err *err);

/** mem_destroy - unmap and close; safe on a zeroed struct */
void mem_destroy(struct mem *m);

/** mem_host_size - bytes of RAM that this host has: the upper bound of --mem */
uint64_t mem_host_size(void);

#endif
