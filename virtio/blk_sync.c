// SPDX-License-Identifier: GPL-2.0-only
/*
 * Block I/O by plain system calls on the device's own thread: for hosts that do not permit
 * io_uring. One request at a time, hence slow at any queue depth above one, and correct. The
 * helpers at the top are shared with blk_uring.c, which does some operations in line.
 *
 * No locks; everything runs on the device's thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "blk_backend.h"
#include "util.h"

struct blk_sync {
	struct blk_backend be;
	struct blk_io_list done;
};

int blk_io_falloc_mode(enum blk_io_op op)
{
	/* KEEP_SIZE: required with PUNCH_HOLE, and block devices want it for both. */
	return FALLOC_FL_KEEP_SIZE |
	       (op == BLK_IO_PUNCH ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE);
}

int64_t blk_io_run(int fd, const struct blk_io *io)
{
	ssize_t ret;

	do {
		switch (io->op) {
		case BLK_IO_READ:
			ret = preadv2(fd, io->iov, io->niov, io->off, 0);
			break;
		case BLK_IO_WRITE:
			ret = pwritev2(fd, io->iov, io->niov, io->off, io->dsync ? RWF_DSYNC : 0);
			break;
		case BLK_IO_SYNC:
			ret = fdatasync(fd);
			break;
		default:
			ret = fallocate(fd, blk_io_falloc_mode(io->op), io->off, io->len);
			break;
		}
	} while (ret < 0 && errno == EINTR);
	return ret < 0 ? -errno : ret;
}

void blk_io_list_init(struct blk_io_list *l)
{
	l->head = NULL;
	l->tail = &l->head;
}

void blk_io_list_add(struct blk_io_list *l, struct blk_io *io)
{
	io->next = NULL;
	*l->tail = io;
	l->tail = &io->next;
}

void blk_io_list_drain(struct blk_io_list *l, const struct blk_backend_cfg *cfg)
{
	struct blk_io *io;

	while ((io = l->head)) {
		l->head = io->next;
		if (!l->head)
			l->tail = &l->head;
		cfg->done(io, io->res);
	}
}

static int blk_sync_create(const struct blk_backend_cfg *cfg, struct blk_backend **out)
{
	struct blk_sync *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->be.ops = &blk_sync_ops;
	s->be.cfg = *cfg;
	blk_io_list_init(&s->done);
	*out = &s->be;
	return 0;
}

static void blk_sync_destroy(struct blk_backend *be)
{
	free(container_of(be, struct blk_sync, be));
}

static void blk_sync_submit(struct blk_backend *be, struct blk_io *io)
{
	struct blk_sync *s = container_of(be, struct blk_sync, be);

	io->res = blk_io_run(be->cfg.fd, io);
	blk_io_list_add(&s->done, io);
}

static unsigned int blk_sync_wait(struct blk_backend *be, bool block)
{
	struct blk_sync *s = container_of(be, struct blk_sync, be);
	struct pollfd pfd[2] = {
		{ .fd = be->cfg.kick_fd, .events = POLLIN },
		{ .fd = be->cfg.stop_fd, .events = POLLIN },
	};
	uint64_t count;

	if (s->done.head) {
		blk_io_list_drain(&s->done, &be->cfg);
		return 0;
	}
	if (poll(pfd, ARRAY_SIZE(pfd), block ? -1 : 0) <= 0 || !(pfd[0].revents & POLLIN))
		return 0;
	/* Level triggered: the count must go back to zero, or the next poll() returns at once. */
	if (read(be->cfg.kick_fd, &count, sizeof(count)) < 0)
		return 0;
	return BLK_EV_KICK;
}

const struct blk_backend_ops blk_sync_ops = {
	.name = "synchronous I/O",
	.create = blk_sync_create,
	.destroy = blk_sync_destroy,
	.submit = blk_sync_submit,
	.wait = blk_sync_wait,
};
