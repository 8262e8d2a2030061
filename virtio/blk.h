/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Inside the block device: what blk.c (life cycle, thread), blk_req.c (the protocol) and
 * blk_xfer.c (moving data to and from the image) share. Nobody else includes this, except tests.
 *
 * Threads: everything below blk_dev.thread belongs to the device's thread while it lives.
 */
#ifndef LODGE_BLK_H
#define LODGE_BLK_H

#include <semaphore.h>
#include <linux/virtio_blk.h>

#include "blk_backend.h"
#include "blk_image.h"
#include "vdev.h"

#define BLK_SECTOR     512u
#define BLK_QUEUE_SIZE 256u
#define BLK_RANGES_MAX 16u /* ranges in one discard or write-zeroes request */

/* Longest range, in sectors: 1 GiB to discard; zeroing may mean writing, so less. */
#define BLK_DISCARD_MAX (2u << 20)
#define BLK_ZEROES_MAX	(512u << 10)

/* What direct I/O cannot take as it is goes through these, a piece at a time. */
#define BLK_BOUNCE_SIZE (128u << 10)
#define BLK_BOUNCE_NR	8u

enum blk_step {
	BLK_STEP_DIRECT, /* between the image and the guest's buffers */
	BLK_STEP_FILL,	 /* image to bounce buffer */
	BLK_STEP_SPILL,	 /* bounce buffer to image */
	BLK_STEP_ALLOC,	 /* fallocate(2) */
	BLK_STEP_SYNC,	 /* to stable storage */
};

struct blk_range {
	uint64_t off; /* bytes */
	uint64_t len;
	bool unmap;
};

/**
 * struct blk_req - one request, from pop to push
 * @io:	       the operation in flight for it; at most one
 * @chain:     its descriptors; .iov is this request's share of blk_dev.iov
 * @type:      VIRTIO_BLK_T_*
 * @status:    where the status byte goes, in guest memory
 * @data:      the data buffers: chain.iov without header and status
 * @data_len:  bytes in @data
 * @step:      what @io is doing
 * @retries:   of @io, after EAGAIN
 * @bounced:   data goes through @bounce
 * @exclusive: rewrites parts of blocks that it does not own: nothing else may run
 * @zero_fill: @bounce is filled with zeroes instead of data
 * @off:       range on the image being worked on, bytes
 * @len:       its length
 * @pos:       bytes of it that are done (bounced only)
 * @ranges:    discard and write-zeroes: copy of the guest's list
 */
struct blk_req {
	struct blk_io io;
	struct blk_dev *bd;
	struct vq_chain chain;
	uint32_t type;
	uint8_t *status;
	struct iovec *data;
	unsigned int ndata;
	uint64_t data_len;
	enum blk_step step;
	unsigned int retries;
	bool bounced, exclusive, zero_fill;
	uint64_t off, len, pos;
	uint8_t *bounce;
	struct iovec bounce_iov;
	struct blk_req *next; /* on the waiting list */
	unsigned int nranges, range;
	struct blk_range ranges[BLK_RANGES_MAX];
};

struct blk_dev {
	struct vdev vd;
	struct blk_image img;
	struct virtio_blk_config config;
	char serial[VIRTIO_BLK_ID_BYTES];
	uint64_t sectors;

	pthread_t thread;
	sem_t started;
	int start_error;
	int stop_fd;
	bool stop; /* atomic: quiesce wants the thread gone */

	struct blk_backend *be;
	bool write_through; /* the driver cannot flush */
	bool pushed;	    /* chains were pushed and not flushed */
	bool sync_failed;   /* dirty pages may be lost: no flush can succeed any more */
	unsigned int errors_logged;

	struct blk_req *req; /* vq.size of them */
	struct iovec *iov;   /* vq.size for each */
	uint16_t *free_req;  /* stack of indices, so that only hot requests are touched */
	unsigned int nfree;

	uint8_t *bounce; /* BLK_BOUNCE_NR buffers */
	uint8_t *free_bounce[BLK_BOUNCE_NR];
	unsigned int nfree_bounce;
	unsigned int running; /* requests that hold the image */
	bool exclusive;	      /* the one that is running is alone */
	struct blk_req *wait_head, **wait_tail;

	uint64_t stat_reads, stat_writes, stat_flushes, stat_discards;
	uint64_t stat_read_bytes, stat_write_bytes, stat_errors;
};

/**
 * blk_req_take - pop requests and start them (virtio 1.2, 5.2.6)
 *
 * Return: true when it stopped early to let the backend run: more may be available, no kick will
 * come for it.
 */
bool blk_req_take(struct blk_dev *bd);

/**
 * blk_req_finish - write the status and push the chain; @rq is free afterwards
 * @status: VIRTIO_BLK_S_*
 */
void blk_req_finish(struct blk_req *rq, uint8_t status);

/** blk_xfer_init - the bounce buffers and the waiting list, before the thread runs; 0 or -ENOMEM */
int blk_xfer_init(struct blk_dev *bd);

/** blk_xfer_fini - undo blk_xfer_init(); harmless without it */
void blk_xfer_fini(struct blk_dev *bd);

/**
 * blk_xfer_start - move @rq's data, or flush, discard or zero; ends in blk_req_finish()
 *
 * Sectors have been checked. May wait for other requests of the device.
 */
void blk_xfer_start(struct blk_req *rq);

/** blk_xfer_done - struct blk_backend_cfg.done */
void blk_xfer_done(struct blk_io *io, int64_t res);

#endif
