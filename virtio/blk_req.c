// SPDX-License-Identifier: GPL-2.0-only
/*
 * The block device's protocol (virtio 1.2, 5.2.6): from a descriptor chain to a checked request,
 * and from its outcome to a status byte. Nothing is assumed about how the driver cut the chain
 * (2.7.4): the header is the first 16 readable bytes, the status the last writable one. Moving data
 * is blk_xfer.c's.
 *
 * Everything the guest wrote is copied once and checked on the copy. A chain without room for
 * header or status breaks the device; a request that cannot be served gets a status.
 *
 * Runs on the device's thread; no locks.
 */
#include <endian.h>
#include <string.h>

#include "blk.h"
#include "util.h"

/* Requests popped before the backend gets to run, so that the first does not wait for the last. */
#define BLK_BATCH 64u

struct req_iter {
	struct iovec *iov;
	unsigned int n;
};

/* Copy up to @len bytes off the front of the buffers, which shrink. */
static size_t iter_take(struct req_iter *it, void *buf, size_t len)
{
	size_t done = 0;

	while (it->n && done < len) {
		size_t part = MIN(len - done, it->iov->iov_len);

		memcpy((uint8_t *)buf + done, it->iov->iov_base, part);
		done += part;
		it->iov->iov_base = (uint8_t *)it->iov->iov_base + part;
		it->iov->iov_len -= part;
		if (it->iov->iov_len)
			break;
		it->iov++;
		it->n--;
	}
	return done;
}

/* Sectors of the request as bytes; false when any lies beyond the disk. Nothing here can wrap. */
static bool req_range(const struct blk_dev *bd, uint64_t sector, uint64_t nsectors,
		      struct blk_range *r)
{
	if (sector > bd->sectors || nsectors > bd->sectors - sector)
		return false;
	r->off = sector * BLK_SECTOR;
	r->len = nsectors * BLK_SECTOR;
	return true;
}

/*
 * Bytes at the start of the writable part that we have certainly written (2.7.8.2). The status
 * counts only when it follows directly.
 */
static uint32_t req_written(const struct blk_req *rq, uint64_t data)
{
	return data + 1 == rq->chain.in_len ? data + 1 : data;
}

static void req_free(struct blk_req *rq)
{
	struct blk_dev *bd = rq->bd;

	bd->free_req[bd->nfree++] = rq - bd->req;
}

static void req_complete(struct blk_req *rq, uint8_t status, uint64_t data)
{
	struct blk_dev *bd = rq->bd;

	*rq->status = status;
	if (status != VIRTIO_BLK_S_OK)
		bd->stat_errors++;
	if (!vdev_is_broken(&bd->vd)) {
		vq_push(bd->vd.vq, rq->chain.head, req_written(rq, data));
		bd->pushed = true;
	}
	req_free(rq);
}

void blk_req_finish(struct blk_req *rq, uint8_t status)
{
	struct blk_dev *bd = rq->bd;
	uint64_t data = 0;

	if (status == VIRTIO_BLK_S_OK) {
		switch (rq->type) {
		case VIRTIO_BLK_T_IN:
			data = rq->data_len;
			bd->stat_reads++;
			bd->stat_read_bytes += data;
			break;
		case VIRTIO_BLK_T_OUT:
			bd->stat_writes++;
			bd->stat_write_bytes += rq->data_len;
			break;
		case VIRTIO_BLK_T_FLUSH:
			bd->stat_flushes++;
			break;
		default:
			bd->stat_discards++;
			break;
		}
	}
	req_complete(rq, status, data);
}

static void req_get_id(struct blk_req *rq)
{
	const char *from = rq->bd->serial;
	size_t left = MIN(rq->data_len, (uint64_t)sizeof(rq->bd->serial)), done = 0;
	unsigned int i;

	for (i = 0; i < rq->ndata && left; i++) {
		size_t part = MIN(left, rq->data[i].iov_len);

		memcpy(rq->data[i].iov_base, from + done, part);
		done += part;
		left -= part;
	}
	req_complete(rq, VIRTIO_BLK_S_OK, done);
}

static uint8_t req_parse_rw(struct blk_req *rq, uint64_t sector)
{
	struct blk_range r;

	if (rq->data_len % BLK_SECTOR)
		return VIRTIO_BLK_S_IOERR;
	if (!req_range(rq->bd, sector, rq->data_len / BLK_SECTOR, &r))
		return VIRTIO_BLK_S_IOERR;
	rq->off = r.off;
	rq->len = r.len;
	return VIRTIO_BLK_S_OK;
}

/* Discard and write-zeroes: a list of ranges (5.2.6.1, 5.2.6.2). */
static uint8_t req_parse_ranges(struct blk_req *rq, struct req_iter *it)
{
	const bool discard = rq->type == VIRTIO_BLK_T_DISCARD;
	struct virtio_blk_discard_write_zeroes d;
	struct blk_dev *bd = rq->bd;
	uint64_t n = rq->data_len / sizeof(d);
	unsigned int i;

	if (!vdev_has(&bd->vd, discard ? VIRTIO_BLK_F_DISCARD : VIRTIO_BLK_F_WRITE_ZEROES))
		return VIRTIO_BLK_S_UNSUPP;
	if (!n || n > BLK_RANGES_MAX || rq->data_len % sizeof(d))
		return VIRTIO_BLK_S_IOERR;
	for (i = 0; i < n; i++) {
		uint32_t flags, nsectors;

		iter_take(it, &d, sizeof(d));
		flags = le32toh(d.flags);
		nsectors = le32toh(d.num_sectors);
		if (flags & ~VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP || (discard && flags))
			return VIRTIO_BLK_S_UNSUPP;
		if (nsectors > (discard ? BLK_DISCARD_MAX : BLK_ZEROES_MAX) ||
		    !req_range(bd, le64toh(d.sector), nsectors, &rq->ranges[i]))
			return VIRTIO_BLK_S_IOERR;
		rq->ranges[i].unmap = discard || (flags && bd->config.write_zeroes_may_unmap);
	}
	rq->nranges = n;
	rq->range = 0;
	return VIRTIO_BLK_S_OK;
}

static void req_use_out(struct blk_req *rq, const struct req_iter *out)
{
	rq->data = out->iov;
	rq->ndata = out->n;
	rq->data_len = rq->chain.out_len - sizeof(struct virtio_blk_outhdr);
}

/* @in: what the device may write, without the status byte; @out: readable, without the header. */
static void req_dispatch(struct blk_req *rq, uint64_t sector, struct req_iter *in,
			 struct req_iter *out)
{
	uint8_t status = VIRTIO_BLK_S_UNSUPP;

	rq->data = in->iov;
	rq->ndata = in->n;
	rq->data_len = rq->chain.in_len - 1;
	switch (rq->type) {
	case VIRTIO_BLK_T_IN:
		status = req_parse_rw(rq, sector);
		break;
	case VIRTIO_BLK_T_OUT:
		req_use_out(rq, out);
		status = rq->bd->img.ro ? VIRTIO_BLK_S_IOERR : req_parse_rw(rq, sector);
		break;
	case VIRTIO_BLK_T_FLUSH:
		rq->len = 0;
		status = VIRTIO_BLK_S_OK;
		break;
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES:
		req_use_out(rq, out);
		status = req_parse_ranges(rq, out);
		break;
	case VIRTIO_BLK_T_GET_ID:
		req_get_id(rq);
		return;
	}
	if (status != VIRTIO_BLK_S_OK)
		req_complete(rq, status, 0);
	else
		blk_xfer_start(rq);
}

/* Return: NULL, or how the guest broke the device. */
static const char *req_parse(struct blk_req *rq)
{
	struct vq_chain *c = &rq->chain;
	struct req_iter out = { c->iov, c->nout };
	struct req_iter in = { c->iov + c->nout, c->nin };
	struct virtio_blk_outhdr hdr;
	struct iovec *last;

	if (iter_take(&out, &hdr, sizeof(hdr)) != sizeof(hdr))
		return "request without a whole header";
	if (!in.n)
		return "request without room for a status";
	last = &in.iov[in.n - 1];
	last->iov_len--;
	rq->status = (uint8_t *)last->iov_base + last->iov_len;
	if (!last->iov_len)
		in.n--;

	rq->type = le32toh(hdr.type);
	req_dispatch(rq, le64toh(hdr.sector), &in, &out);
	return NULL;
}

bool blk_req_take(struct blk_dev *bd)
{
	struct vq *vq = bd->vd.vq;
	unsigned int n = 0;

	if (vdev_is_broken(&bd->vd))
		return false;
	vq_kicks_off(vq);
	do {
		for (;;) {
			struct blk_req *rq;
			const char *why;
			int ret;

			if (n++ == BLK_BATCH)
				return true;
			/* Every completion leads back here: no kick is needed. */
			if (!bd->nfree)
				return false;
			rq = &bd->req[bd->free_req[bd->nfree - 1]];
			ret = vq_pop(vq, &rq->chain);
			if (ret < 0)
				vdev_broken(&bd->vd, vq->broken);
			if (ret <= 0)
				break;
			bd->nfree--;
			why = req_parse(rq);
			if (why) {
				req_free(rq);
				vdev_broken(&bd->vd, why);
				return false;
			}
		}
	} while (!vdev_is_broken(&bd->vd) && vq_kicks_on(vq));
	return false;
}
