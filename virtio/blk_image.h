/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The file or block device behind a disk: opened, locked, measured. Used by blk.c at start-up;
 * constant afterwards, except for what it learns about fallocate(2), which belongs to the device's
 * thread.
 */
#ifndef LODGE_BLK_IMAGE_H
#define LODGE_BLK_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"

enum blk_direct { BLK_DIRECT_AUTO, BLK_DIRECT_ON, BLK_DIRECT_OFF };

/* Coarser alignments than this are not worth bouncing for. A page, so any mapping satisfies it. */
#define BLK_ALIGN_MAX 4096u

/**
 * struct blk_image - an open image
 * @fd:	       for I/O
 * @lock_fd:   carries the lock and nothing else. A separate open file, because the kernel may keep
 *	       @fd alive for a while after the process is gone (io_uring), and the lock with it.
 * @ro:	       no writes
 * @direct:    @fd bypasses the page cache
 * @in_memory: on a file system that has no disk below: nothing ever waits
 * @mem_align: direct I/O: alignment of buffers; 1 when buffered
 * @off_align: direct I/O: alignment of offsets, of lengths and of every segment; 1 when buffered
 * @size:      bytes
 * @lba_size:  smallest unit the guest should address, bytes (512 for files)
 * @pba_size:  smallest unit that is written without a read, bytes
 * @io_min:    preferred minimum of an I/O, bytes
 * @io_opt:    optimal I/O, bytes; 0 when unknown
 * @no_punch:  fallocate(2) cannot deallocate here
 * @no_zero:   fallocate(2) cannot zero here
 */
struct blk_image {
	int fd;
	int lock_fd;
	bool ro;
	bool direct;
	bool in_memory;
	uint32_t mem_align;
	uint32_t off_align;
	uint64_t size;
	uint32_t lba_size;
	uint32_t pba_size;
	uint32_t io_min;
	uint32_t io_opt;
	bool no_punch;
	bool no_zero;
};

/**
 * blk_image_open - open, lock and measure a raw image
 * @path:   regular file or block device
 * @ro:	    share it with other readers; else nobody else may have it
 * @direct: whether to bypass the page cache
 *
 * Return: 0, or -errno with @err filled and nothing left open.
 */
int blk_image_open(struct blk_image *img, const char *path, bool ro, enum blk_direct direct,
		   struct err *err);

/** blk_image_close - give back the lock and the files */
void blk_image_close(struct blk_image *img);

#endif
