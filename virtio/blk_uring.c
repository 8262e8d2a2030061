// SPDX-License-Identifier: GPL-2.0-only
/*
 * Block I/O by io_uring. The ring is also the only place where the device's thread sleeps: kicks
 * and the stop arrive as completions of polls that stand in the ring, so one system call submits
 * everything that was popped and waits for whatever happens first.
 *
 * - The kick is a multishot poll. Each write to the eventfd makes one completion, nothing has to be
 *   read or armed again; the eventfd's count is never looked at.
 * - The image is a registered file and the ring's own descriptor is registered, which saves two
 *   reference counts per operation in a process with many threads.
 * - Guest memory is not registered. A fixed buffer serves only requests of one segment, and
 *   registering pins: all guest memory would be resident from the start, counted against
 *   RLIMIT_MEMLOCK (8 MiB for an ordinary user). What it saves is one page lookup per 4 KiB.
 * - What does not wait for a disk (cfg.at_once: cached writes, and everything on tmpfs) goes in
 *   line, by plain system calls. In the ring most file systems hand it to a worker thread, one
 *   after the other as it takes the inode's lock: two context switches for a memcpy.
 *
 * No locks; everything runs on the device's thread.
 */
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <time.h>

#include "blk_backend.h"
#include "log.h"
#include "util.h"

struct blk_uring {
	struct blk_backend be;
	struct io_uring ring;
	struct blk_io_list done; /* done in line, not yet reported */
	bool kick_armed;
};

/* user_data of the two polls; operations carry their own address. */
static char tag_kick, tag_stop;

/* Best first. The first two need Linux 6.1 and 5.19; EINVAL means an older one. */
static const unsigned int setup_flags[] = {
	IORING_SETUP_CQSIZE | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
	IORING_SETUP_CQSIZE | IORING_SETUP_COOP_TASKRUN,
	IORING_SETUP_CQSIZE,
};

static int uring_setup(struct io_uring *ring, unsigned int depth)
{
	struct io_uring_params p;
	unsigned int i;
	int ret = -EINVAL;

	for (i = 0; i < ARRAY_SIZE(setup_flags) && ret == -EINVAL; i++) {
		p = (struct io_uring_params){
			.flags = setup_flags[i],
			/* Room for every operation and for kicks that come meanwhile. */
			.cq_entries = 2 * depth + 64,
		};
		ret = io_uring_queue_init_params(depth, ring, &p);
	}
	if (ret)
		return ret;
	/* Came with multishot polls, in Linux 5.13. */
	if (!(p.features & IORING_FEAT_RSRC_TAGS)) {
		io_uring_queue_exit(ring);
		return -ENOSYS;
	}
	return 0;
}

static struct io_uring_sqe *uring_sqe(struct blk_uring *u)
{
	struct io_uring_sqe *sqe;

	while (!(sqe = io_uring_get_sqe(&u->ring))) {
		int ret = io_uring_submit(&u->ring);

		/* Out of memory for requests, or of room for completions that wait() will take. */
		if (ret < 0 && ret != -EINTR)
			nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	return sqe;
}

static void uring_arm_kick(struct blk_uring *u)
{
	struct io_uring_sqe *sqe = uring_sqe(u);

	io_uring_prep_poll_multishot(sqe, u->be.cfg.kick_fd, POLLIN);
	io_uring_sqe_set_data(sqe, &tag_kick);
	u->kick_armed = true;
}

static void uring_arm_stop(struct blk_uring *u)
{
	struct io_uring_sqe *sqe = uring_sqe(u);

	io_uring_prep_poll_add(sqe, u->be.cfg.stop_fd, POLLIN);
	io_uring_sqe_set_data(sqe, &tag_stop);
}

static int blk_uring_create(const struct blk_backend_cfg *cfg, struct blk_backend **out)
{
	struct blk_uring *u = calloc(1, sizeof(*u));
	int ret;

	if (!u)
		return -ENOMEM;
	u->be.ops = &blk_uring_ops;
	u->be.cfg = *cfg;
	blk_io_list_init(&u->done);
	ret = uring_setup(&u->ring, cfg->depth + 2);
	if (ret)
		goto err_free;
	ret = io_uring_register_files(&u->ring, &cfg->fd, 1);
	if (ret)
		goto err_ring;
	/* Linux 5.18; only saves time. */
	io_uring_register_ring_fd(&u->ring);
	uring_arm_kick(u);
	uring_arm_stop(u);
	*out = &u->be;
	return 0;

err_ring:
	io_uring_queue_exit(&u->ring);
err_free:
	free(u);
	return ret;
}

static void blk_uring_destroy(struct blk_backend *be)
{
	struct blk_uring *u = container_of(be, struct blk_uring, be);

	io_uring_queue_exit(&u->ring);
	free(u);
}

static void blk_uring_submit(struct blk_backend *be, struct blk_io *io)
{
	struct blk_uring *u = container_of(be, struct blk_uring, be);
	struct io_uring_sqe *sqe;

	if (be->cfg.at_once >> (io->dsync ? BLK_IO_SYNC : io->op) & 1) {
		io->res = blk_io_run(be->cfg.fd, io);
		blk_io_list_add(&u->done, io);
		return;
	}
	sqe = uring_sqe(u);
	/* The file is number 0 of the registered ones. */
	switch (io->op) {
	case BLK_IO_READ:
		if (io->niov == 1)
			io_uring_prep_read(sqe, 0, io->iov->iov_base, io->iov->iov_len, io->off);
		else
			io_uring_prep_readv(sqe, 0, io->iov, io->niov, io->off);
		break;
	case BLK_IO_WRITE:
		if (io->niov == 1)
			io_uring_prep_write(sqe, 0, io->iov->iov_base, io->iov->iov_len, io->off);
		else
			io_uring_prep_writev(sqe, 0, io->iov, io->niov, io->off);
		sqe->rw_flags = io->dsync ? RWF_DSYNC : 0;
		break;
	case BLK_IO_SYNC:
		io_uring_prep_fsync(sqe, 0, IORING_FSYNC_DATASYNC);
		break;
	default:
		io_uring_prep_fallocate(sqe, 0, blk_io_falloc_mode(io->op), io->off, io->len);
		break;
	}
	io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
	io_uring_sqe_set_data(sqe, io);
}

/* Report completions. done() may submit, which is safe: slots are given back after the loop. */
static unsigned int uring_reap(struct blk_uring *u)
{
	unsigned int head, n = 0, events = 0;
	struct io_uring_cqe *cqe;

	io_uring_for_each_cqe(&u->ring, head, cqe) {
		void *tag = io_uring_cqe_get_data(cqe);

		n++;
		if (tag == &tag_kick) {
			events |= BLK_EV_KICK;
			if (!(cqe->flags & IORING_CQE_F_MORE))
				u->kick_armed = false;
		} else if (tag != &tag_stop) {
			u->be.cfg.done(tag, cqe->res);
		}
	}
	io_uring_cq_advance(&u->ring, n);
	return events;
}

static unsigned int blk_uring_wait(struct blk_backend *be, bool block)
{
	struct blk_uring *u = container_of(be, struct blk_uring, be);
	bool queued, ready;
	int ret = 0;

	/* The kernel drops a multishot poll when completions overflow. */
	if (!u->kick_armed)
		uring_arm_kick(u);
	queued = io_uring_sq_ready(&u->ring);
	ready = u->done.head || io_uring_cq_ready(&u->ring);
	if (block && !ready)
		ret = io_uring_submit_and_wait(&u->ring, 1);
	else if (queued || !ready)
		ret = io_uring_submit_and_get_events(&u->ring);
	/*
	 * EBUSY and EAGAIN: completions overflowed or the kernel is short of memory; what is not
	 * submitted stays queued for the next round. Pause, unless there is something to reap.
	 */
	if (ret < 0 && ret != -EINTR && !io_uring_cq_ready(&u->ring)) {
		if (ret != -EBUSY && ret != -EAGAIN)
			log_warn("io_uring_enter: error %d", -ret);
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	blk_io_list_drain(&u->done, &be->cfg);
	return uring_reap(u);
}

const struct blk_backend_ops blk_uring_ops = {
	.name = "io_uring",
	.create = blk_uring_create,
	.destroy = blk_uring_destroy,
	.submit = blk_uring_submit,
	.wait = blk_uring_wait,
};
