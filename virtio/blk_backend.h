/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How the block device reaches its image: a const table of operations per way of doing I/O, and the
 * one unit of work. A backend knows file descriptors and host memory; it knows nothing of requests,
 * queues or the guest. blk_uring.c is the one that is wanted, blk_sync.c the one that always works.
 *
 * Threads: create, submit, wait and destroy all run on the device's thread, which sleeps nowhere
 * but in wait().
 */
#ifndef LODGE_BLK_BACKEND_H
#define LODGE_BLK_BACKEND_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

enum blk_io_op {
	BLK_IO_READ,
	BLK_IO_WRITE,
	BLK_IO_SYNC,  /* data and size on stable storage: fdatasync(2) */
	BLK_IO_PUNCH, /* deallocate a range; it reads as zeroes afterwards */
	BLK_IO_ZERO,  /* zero a range and keep it allocated */
};

/**
 * struct blk_io - one operation on the image
 * @op:	   what to do
 * @dsync: a write that is on stable storage when it completes
 * @niov:  entries of @iov, reads and writes only
 * @iov:   host memory; belongs to the submitter, untouched until the operation is done
 * @off:   bytes from the start of the image
 * @len:   bytes; the sum of @iov for reads and writes
 * @res:   used by the backend
 * @next:  used by the backend
 */
struct blk_io {
	enum blk_io_op op;
	bool dsync;
	unsigned int niov;
	struct iovec *iov;
	uint64_t off;
	uint64_t len;
	int64_t res;
	struct blk_io *next;
};

/* Operations that are done and wait for their owner to be told; first in, first out. */
struct blk_io_list {
	struct blk_io *head;
	struct blk_io **tail;
};

#define BLK_EV_KICK 1u /* the driver has added buffers */

struct blk_backend;

/**
 * struct blk_backend_cfg - what a backend needs to live
 * @fd:	     the image
 * @kick_fd: eventfd of the queue; the backend may leave its count as it is
 * @stop_fd: eventfd that ends a wait(); never read by the backend
 * @depth:   operations in flight at most
 * @at_once: bit set of operations (1 << BLK_IO_*) that are over sooner on the calling thread than
 *	     by handing them to another: those that do not wait for a disk. Writes with dsync count
 *	     as BLK_IO_SYNC
 * @done:    called from wait() for each finished operation: bytes moved (reads and writes, maybe
 *	     fewer than asked for), 0, or a negative errno. May submit again.
 */
struct blk_backend_cfg {
	int fd;
	int kick_fd;
	int stop_fd;
	unsigned int depth;
	unsigned int at_once;
	void (*done)(struct blk_io *io, int64_t res);
};

/**
 * struct blk_backend_ops - one way of doing I/O
 * @name:    for messages
 * @create:  0; -ENOSYS, -EPERM or -ENOMEM when this way is closed here. @cfg is copied.
 * @destroy: nothing is in flight any more
 * @submit:  take an operation; it starts in wait() at the latest
 * @wait:    start what was submitted, report what is done, and if @block and nothing was done yet,
 *	     sleep until something is, or a kick or the stop comes. Returns BLK_EV_* bits.
 */
struct blk_backend_ops {
	const char *name;
	int (*create)(const struct blk_backend_cfg *cfg, struct blk_backend **out);
	void (*destroy)(struct blk_backend *be);
	void (*submit)(struct blk_backend *be, struct blk_io *io);
	unsigned int (*wait)(struct blk_backend *be, bool block);
};

struct blk_backend {
	const struct blk_backend_ops *ops;
	struct blk_backend_cfg cfg;
};

extern const struct blk_backend_ops blk_uring_ops;
extern const struct blk_backend_ops blk_sync_ops;

/**
 * blk_io_run - do one operation on the calling thread
 *
 * Return: as blk_backend_cfg.done gets it. -EINTR is handled here.
 */
int64_t blk_io_run(int fd, const struct blk_io *io);

/** blk_io_falloc_mode - the fallocate(2) mode of BLK_IO_PUNCH and BLK_IO_ZERO */
int blk_io_falloc_mode(enum blk_io_op op);

void blk_io_list_init(struct blk_io_list *l);
void blk_io_list_add(struct blk_io_list *l, struct blk_io *io);

/** blk_io_list_drain - tell the owners of all that was on the list when called, and may be added */
void blk_io_list_drain(struct blk_io_list *l, const struct blk_backend_cfg *cfg);

#endif
