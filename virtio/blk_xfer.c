// SPDX-License-Identifier: GPL-2.0-only
/*
 * Moving a checked request's data: the steps it takes on the image, one operation at a time.
 *
 * Most requests are one step, between the image and the guest's own buffers. The rest:
 * - Direct I/O wants buffers, lengths and offsets aligned. What is not goes through a bounce
 *   buffer, in pieces of BLK_BOUNCE_SIZE, whatever the guest's size was. A write that covers blocks
 *   in part reads them first and then has the image for itself, or it would put back its
 *   neighbours' old data. Such requests wait their turn in one list, first in, first out, and so do
 *   all that come after them.
 * - Discards and zeroes are fallocate(2); where that is missing, a discard is dropped and zeroes
 *   are written, from a bounce buffer.
 * - Without VIRTIO_BLK_F_FLUSH what was completed is on the disk (5.2.6.2): writes carry dsync, and
 *   zeroing ends with a sync.
 *
 * Runs on the device's thread; no locks.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "blk.h"
#include "log.h"
#include "util.h"

#define BLK_RETRIES	  1000u
#define BLK_ERRORS_LOGGED 8u

static void xfer_submit(struct blk_req *rq)
{
	rq->bd->be->ops->submit(rq->bd->be, &rq->io);
}

static void xfer_op(struct blk_req *rq, enum blk_step step, enum blk_io_op op, uint64_t off,
		    uint64_t len)
{
	rq->step = step;
	rq->retries = 0;
	rq->io.op = op;
	rq->io.dsync = op == BLK_IO_WRITE && rq->bd->write_through;
	rq->io.off = off;
	rq->io.len = len;
	xfer_submit(rq);
}

static void xfer_bounce_op(struct blk_req *rq, enum blk_step step, enum blk_io_op op, uint64_t off,
			   uint64_t len)
{
	rq->bounce_iov.iov_base = rq->bounce;
	rq->bounce_iov.iov_len = len;
	rq->io.iov = &rq->bounce_iov;
	rq->io.niov = 1;
	xfer_op(rq, step, op, off, len);
}

/* Copy between the guest's buffers, from byte @pos on, and @buf. */
static void xfer_copy(const struct blk_req *rq, uint64_t pos, uint8_t *buf, size_t len,
		      bool to_guest)
{
	unsigned int i;

	for (i = 0; i < rq->ndata && len; i++) {
		const struct iovec *v = &rq->data[i];
		size_t part;

		if (pos >= v->iov_len) {
			pos -= v->iov_len;
			continue;
		}
		part = MIN(len, v->iov_len - pos);
		if (to_guest)
			memcpy((uint8_t *)v->iov_base + pos, buf, part);
		else
			memcpy(buf, (uint8_t *)v->iov_base + pos, part);
		buf += part;
		len -= part;
		pos = 0;
	}
}

static bool xfer_aligned(const struct blk_req *rq)
{
	const struct blk_image *img = &rq->bd->img;
	unsigned int i;

	if ((rq->off | rq->len) & (img->off_align - 1))
		return false;
	if (img->mem_align == 1 && img->off_align == 1)
		return true;
	for (i = 0; i < rq->ndata; i++)
		if ((uintptr_t)rq->data[i].iov_base & (img->mem_align - 1) ||
		    rq->data[i].iov_len & (img->off_align - 1))
			return false;
	return true;
}

/* The next piece of a bounced request: [@start, @end) wanted, [@lo, @hi) in whole blocks. */
struct xfer_piece {
	uint64_t start, end, lo, hi;
};

static struct xfer_piece xfer_piece(const struct blk_req *rq)
{
	const uint64_t align = rq->bd->img.off_align;
	struct xfer_piece p;

	p.start = rq->off + rq->pos;
	p.lo = ALIGN_DOWN(p.start, align);
	p.end = MIN(rq->off + rq->len, p.lo + BLK_BOUNCE_SIZE);
	p.hi = ALIGN_UP(p.end, align);
	return p;
}

static void xfer_spill(struct blk_req *rq)
{
	struct xfer_piece p = xfer_piece(rq);
	uint8_t *buf = rq->bounce + (p.start - p.lo);

	if (rq->zero_fill)
		memset(buf, 0, p.end - p.start);
	else
		xfer_copy(rq, rq->pos, buf, p.end - p.start, false);
	xfer_bounce_op(rq, BLK_STEP_SPILL, BLK_IO_WRITE, p.lo, p.hi - p.lo);
}

static void xfer_next_piece(struct blk_req *rq)
{
	struct xfer_piece p = xfer_piece(rq);

	if (rq->type == VIRTIO_BLK_T_IN || p.lo != p.start || p.hi != p.end)
		xfer_bounce_op(rq, BLK_STEP_FILL, BLK_IO_READ, p.lo, p.hi - p.lo);
	else
		xfer_spill(rq);
}

static bool xfer_may_punch(const struct blk_req *rq)
{
	return rq->ranges[rq->range].unmap && !rq->bd->img.no_punch;
}

/*
 * Waiting. A request runs between xfer_run() and xfer_rest(); most can always run.
 */

static bool xfer_may_run(const struct blk_req *rq)
{
	const struct blk_dev *bd = rq->bd;

	return !bd->exclusive && !(rq->exclusive && bd->running) &&
	       !(rq->bounced && !bd->nfree_bounce);
}

static void xfer_run(struct blk_req *rq)
{
	struct blk_dev *bd = rq->bd;

	bd->running++;
	if (rq->exclusive)
		bd->exclusive = true;
	if (rq->bounced) {
		rq->bounce = bd->free_bounce[--bd->nfree_bounce];
		rq->pos = 0;
		xfer_next_piece(rq);
		return;
	}
	switch (rq->type) {
	case VIRTIO_BLK_T_IN:
	case VIRTIO_BLK_T_OUT:
		rq->io.iov = rq->data;
		rq->io.niov = rq->ndata;
		xfer_op(rq, BLK_STEP_DIRECT,
			rq->type == VIRTIO_BLK_T_IN ? BLK_IO_READ : BLK_IO_WRITE, rq->off, rq->len);
		break;
	case VIRTIO_BLK_T_FLUSH:
		xfer_op(rq, BLK_STEP_SYNC, BLK_IO_SYNC, 0, 0);
		break;
	default:
		xfer_op(rq, BLK_STEP_ALLOC, xfer_may_punch(rq) ? BLK_IO_PUNCH : BLK_IO_ZERO,
			rq->off, rq->len);
		break;
	}
}

static void xfer_rest(struct blk_req *rq)
{
	struct blk_dev *bd = rq->bd;

	bd->running--;
	if (rq->exclusive)
		bd->exclusive = false;
	if (rq->bounced)
		bd->free_bounce[bd->nfree_bounce++] = rq->bounce;
}

static void xfer_queue(struct blk_req *rq)
{
	struct blk_dev *bd = rq->bd;

	if (!bd->wait_head && xfer_may_run(rq)) {
		xfer_run(rq);
		return;
	}
	rq->next = NULL;
	*bd->wait_tail = rq;
	bd->wait_tail = &rq->next;
}

static void xfer_run_waiting(struct blk_dev *bd)
{
	struct blk_req *rq;

	while ((rq = bd->wait_head) && xfer_may_run(rq)) {
		bd->wait_head = rq->next;
		if (!bd->wait_head)
			bd->wait_tail = &bd->wait_head;
		xfer_run(rq);
	}
}

static void xfer_finish(struct blk_req *rq, int error)
{
	struct blk_dev *bd = rq->bd;

	if (error && bd->errors_logged < BLK_ERRORS_LOGGED) {
		bd->errors_logged++;
		log_warn("%s: request type %u, %llu bytes at %llu: %s%s", bd->vd.label, rq->type,
			 (unsigned long long)rq->len, (unsigned long long)rq->off, strerror(-error),
			 bd->errors_logged == BLK_ERRORS_LOGGED ? "; no more of these" : "");
	}
	xfer_rest(rq);
	blk_req_finish(rq, error ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK);
	xfer_run_waiting(bd);
}

static void xfer_use_bounce_for_zeroes(struct blk_req *rq)
{
	rq->zero_fill = true;
	rq->bounced = true;
	rq->exclusive = (rq->off | rq->len) & (rq->bd->img.off_align - 1);
}

/* Queue the next range that needs anything done; false when there is none. Not running here. */
static bool xfer_queue_range(struct blk_req *rq)
{
	const struct blk_image *img = &rq->bd->img;
	bool discard = rq->type == VIRTIO_BLK_T_DISCARD;

	rq->bounced = rq->exclusive = rq->zero_fill = false;
	for (; rq->range < rq->nranges; rq->range++) {
		rq->off = rq->ranges[rq->range].off;
		rq->len = rq->ranges[rq->range].len;
		if (!rq->len || (discard && img->no_punch))
			continue;
		if (img->no_zero && !xfer_may_punch(rq))
			xfer_use_bounce_for_zeroes(rq);
		xfer_queue(rq);
		return true;
	}
	return false;
}

static void xfer_range_done(struct blk_req *rq)
{
	struct blk_dev *bd = rq->bd;
	bool zeroed_by_alloc = rq->step == BLK_STEP_ALLOC;

	/* A written-through zeroing: the data was not ours to mark dsync. */
	if (zeroed_by_alloc && rq->type == VIRTIO_BLK_T_WRITE_ZEROES && bd->write_through) {
		xfer_op(rq, BLK_STEP_SYNC, BLK_IO_SYNC, 0, 0);
		return;
	}
	rq->range++;
	xfer_rest(rq);
	if (!xfer_queue_range(rq))
		blk_req_finish(rq, VIRTIO_BLK_S_OK);
	xfer_run_waiting(bd);
}

static void xfer_alloc_done(struct blk_req *rq, int error)
{
	struct blk_image *img = &rq->bd->img;
	bool punch = rq->io.op == BLK_IO_PUNCH;

	/* EINVAL: a block device, and part of a block. ENODEV: other special files. */
	if (error && error != -EOPNOTSUPP && error != -EINVAL && error != -ENODEV) {
		xfer_finish(rq, error);
		return;
	}
	if (error == -EOPNOTSUPP && punch)
		img->no_punch = true;
	else if (error == -EOPNOTSUPP)
		img->no_zero = true;
	/* A discard is a hint. */
	if (!error || rq->type == VIRTIO_BLK_T_DISCARD) {
		xfer_range_done(rq);
	} else if (punch && !img->no_zero) {
		xfer_op(rq, BLK_STEP_ALLOC, BLK_IO_ZERO, rq->off, rq->len);
	} else {
		/* Another kind of request now: back to the end of the line. */
		xfer_rest(rq);
		xfer_use_bounce_for_zeroes(rq);
		xfer_queue(rq);
		xfer_run_waiting(rq->bd);
	}
}

static void xfer_sync_done(struct blk_req *rq, int error)
{
	struct blk_dev *bd = rq->bd;

	/*
	 * After a failed sync the kernel drops what it could not write, and the next sync finds
	 * nothing to do. It must not succeed: the guest would take lost data for written.
	 */
	if (error && !bd->sync_failed) {
		bd->sync_failed = true;
		log_err("%s: flush: %s; data may be lost, all further flushes fail", bd->vd.label,
			strerror(-error));
	}
	if (bd->sync_failed && !error)
		error = -EIO;
	if (error || rq->type == VIRTIO_BLK_T_FLUSH)
		xfer_finish(rq, error);
	else
		xfer_range_done(rq);
}

/* The step is complete, or failed. */
static void xfer_step(struct blk_req *rq, int error)
{
	struct xfer_piece p;

	switch (rq->step) {
	case BLK_STEP_ALLOC:
		xfer_alloc_done(rq, error);
		return;
	case BLK_STEP_SYNC:
		xfer_sync_done(rq, error);
		return;
	case BLK_STEP_DIRECT:
		xfer_finish(rq, error);
		return;
	case BLK_STEP_FILL:
	case BLK_STEP_SPILL:
		break;
	}
	if (error) {
		xfer_finish(rq, error);
		return;
	}
	p = xfer_piece(rq);
	if (rq->step == BLK_STEP_FILL && rq->type != VIRTIO_BLK_T_IN) {
		xfer_spill(rq);
		return;
	}
	if (rq->step == BLK_STEP_FILL)
		xfer_copy(rq, rq->pos, rq->bounce + (p.start - p.lo), p.end - p.start, true);
	rq->pos += p.end - p.start;
	if (rq->pos < rq->len)
		xfer_next_piece(rq);
	else if (rq->zero_fill)
		xfer_range_done(rq);
	else
		xfer_finish(rq, 0);
}

/* Some of a read or write was done: drop it from the front. The iovec array is ours. */
static void xfer_advance(struct blk_io *io, uint64_t n)
{
	io->off += n;
	io->len -= n;
	while (n) {
		size_t part = MIN(n, io->iov->iov_len);

		io->iov->iov_base = (uint8_t *)io->iov->iov_base + part;
		io->iov->iov_len -= part;
		n -= part;
		if (!io->iov->iov_len) {
			io->iov++;
			io->niov--;
		}
	}
}

void blk_xfer_done(struct blk_io *io, int64_t res)
{
	struct blk_req *rq = container_of(io, struct blk_req, io);
	bool moves = io->op == BLK_IO_READ || io->op == BLK_IO_WRITE;

	if ((res == -EAGAIN || res == -EINTR) && rq->retries++ < BLK_RETRIES) {
		xfer_submit(rq);
		return;
	}
	/* Nothing moved: the file is shorter than it was when we measured it. */
	if (moves && res == 0)
		res = -EIO;
	if (moves && res > 0 && (uint64_t)res < io->len) {
		xfer_advance(io, res);
		rq->retries = 0;
		xfer_submit(rq);
		return;
	}
	xfer_step(rq, res < 0 ? (int)res : 0);
}

void blk_xfer_start(struct blk_req *rq)
{
	struct blk_dev *bd = rq->bd;

	rq->bounced = false;
	rq->exclusive = false;
	rq->zero_fill = false;
	switch (rq->type) {
	case VIRTIO_BLK_T_IN:
	case VIRTIO_BLK_T_OUT:
		if (!rq->len) {
			blk_req_finish(rq, VIRTIO_BLK_S_OK);
			return;
		}
		rq->bounced = !xfer_aligned(rq);
		rq->exclusive = rq->type == VIRTIO_BLK_T_OUT &&
				(rq->off | rq->len) & (bd->img.off_align - 1);
		break;
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES:
		if (!xfer_queue_range(rq))
			blk_req_finish(rq, VIRTIO_BLK_S_OK);
		return;
	}
	xfer_queue(rq);
}

int blk_xfer_init(struct blk_dev *bd)
{
	unsigned int i;

	/* Costs address space only, until the first request that needs it. */
	bd->bounce = mmap(NULL, BLK_BOUNCE_NR * BLK_BOUNCE_SIZE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (bd->bounce == MAP_FAILED) {
		bd->bounce = NULL;
		return -ENOMEM;
	}
	for (i = 0; i < BLK_BOUNCE_NR; i++)
		bd->free_bounce[i] = bd->bounce + i * BLK_BOUNCE_SIZE;
	bd->nfree_bounce = BLK_BOUNCE_NR;
	bd->running = 0;
	bd->exclusive = false;
	bd->wait_head = NULL;
	bd->wait_tail = &bd->wait_head;
	return 0;
}

void blk_xfer_fini(struct blk_dev *bd)
{
	assert(!bd->running && !bd->wait_head);
	if (bd->bounce)
		munmap(bd->bounce, BLK_BOUNCE_NR * BLK_BOUNCE_SIZE);
	bd->bounce = NULL;
}
