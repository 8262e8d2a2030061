// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fuzzer: the block device's requests. The protocol and the data mover run as in the product, on
 * one thread, over a backend that is an array in memory and succeeds, fails, is short or late as
 * the input says. So each input means the same every time.
 *
 * Checked besides: every operation lies inside the image, is aligned where direct I/O wants that,
 * and moves exactly what its buffers hold; a request that was built by the rules comes back with
 * the status that the rules want; all that was taken is given back before a reset is over.
 */
#include <errno.h>

#include "blk.h"
#include "fuzz.h"
#include "log.h"

#define RING	   0x10000ull /* descriptors, rings, one indirect table per slot */
#define RING_LEN   4096
#define AVAIL	   (RING + 512)
#define USED	   (RING + 640)
#define TABLES	   (RING + 2048)
#define DATA	   0x100000000ull
#define DATA_LEN   16384
#define SIZE	   32 /* of the queue */
#define SLOTS	   8  /* requests by the rules: slot n has descriptors 4n to 4n + 3 */
#define STATUS(n)  (DATA + 16 * (n))
#define HEADER(n)  (DATA + 256 + 32 * (n))
#define RANGES(n)  (DATA + 512 + 32 * (n))
#define BUFFERS	   (DATA + 1024)
#define IMAGE_SIZE 32768u

static struct gmem mem;
static struct blk_dev bd;
static struct blk_backend be;
static struct blk_io *ios, **ios_tail; /* submitted, not done */
static uint8_t image[IMAGE_SIZE];
static bool posted[SLOTS];
static bool may_fail; /* operations have failed or been short */
static bool spoiled;  /* the driver breaks the rules: anything may overwrite anything */
static uint8_t want[SLOTS];
static uint16_t last_used;

static const uint32_t lens[] = { 512,  1024, 4096, 1,	  511, 513,   0,
				 1536, 2048, 8192, 15360, 16,  16384, 0xffffffff };

/* Instead of lib/log.c: what the backend is made to fail at is not worth a line. */
void log_print(enum log_level level, const char *fmt, ...)
{
}

static void *data_at(uint64_t gpa)
{
	return mem.slot[1].hva + (gpa - DATA);
}

/* --- the backend --- */

static void be_submit(struct blk_backend *b, struct blk_io *io)
{
	io->next = NULL;
	*ios_tail = io;
	ios_tail = &io->next;
}

static bool in_guest(const struct iovec *v)
{
	const uint8_t *p = v->iov_base, *from = mem.slot[1].hva;

	return p >= from && v->iov_len <= DATA_LEN && p + v->iov_len <= from + DATA_LEN;
}

static bool in_bounce(const struct iovec *v)
{
	const uint8_t *p = v->iov_base;

	return bd.bounce && p >= bd.bounce && v->iov_len <= BLK_BOUNCE_SIZE &&
	       p + v->iov_len <= bd.bounce + BLK_BOUNCE_NR * BLK_BOUNCE_SIZE;
}

/* Move up to @max bytes; what was asked for has been checked. */
static uint64_t move(struct blk_io *io, uint64_t max)
{
	uint64_t done = 0;
	unsigned int i;

	for (i = 0; i < io->niov && done < max; i++) {
		size_t part = MIN(io->iov[i].iov_len, max - done);

		if (io->op == BLK_IO_READ)
			memcpy(io->iov[i].iov_base, image + io->off + done, part);
		else
			memcpy(image + io->off + done, io->iov[i].iov_base, part);
		done += part;
	}
	return done;
}

static void check_io(const struct blk_io *io)
{
	uint64_t sum = 0;
	unsigned int i;

	fuzz_assert(io->off <= IMAGE_SIZE && io->len <= IMAGE_SIZE - io->off);
	fuzz_assert(!bd.img.ro || io->op == BLK_IO_READ || io->op == BLK_IO_SYNC);
	if (io->op != BLK_IO_READ && io->op != BLK_IO_WRITE)
		return;
	fuzz_assert(io->len);
	for (i = 0; i < io->niov; i++) {
		fuzz_assert(in_guest(&io->iov[i]) || in_bounce(&io->iov[i]));
		sum += io->iov[i].iov_len;
	}
	fuzz_assert(sum == io->len);
	if (bd.img.direct && !may_fail) {
		fuzz_assert(!((io->off | io->len) % bd.img.off_align));
		for (i = 0; i < io->niov; i++)
			fuzz_assert(!((uintptr_t)io->iov[i].iov_base % bd.img.mem_align));
	}
}

/* Finish the oldest operation. @how: 0 as asked for. */
static void complete(uint8_t how)
{
	static const int errors[] = { -EIO, -EAGAIN, -EOPNOTSUPP, -EINVAL, -EINTR, -ENOSPC };
	struct blk_io *io = ios;
	int64_t res = 0;

	if (!io)
		return;
	ios = io->next;
	if (!ios)
		ios_tail = &ios;
	check_io(io);
	if (how >= 128) {
		may_fail = true;
		res = errors[how % ARRAY_SIZE(errors)];
	} else if (io->op == BLK_IO_READ || io->op == BLK_IO_WRITE) {
		uint64_t max = io->len;

		if (how && how < 64 && max > how) {
			may_fail = true; /* pieces of any length: alignment is not ours any more */
			max -= how;
		}
		res = move(io, max);
	} else if (io->op != BLK_IO_SYNC) {
		memset(image + io->off, 0, io->len);
	}
	blk_xfer_done(io, res);
}

static unsigned int be_wait(struct blk_backend *b, bool block)
{
	complete(0);
	return 0;
}

static const struct blk_backend_ops be_ops = { .name = "fuzz",
					       .submit = be_submit,
					       .wait = be_wait };

/* --- the device, without its thread --- */

static void flush(void)
{
	if (bd.pushed)
		vdev_flush(&bd.vd, bd.vd.vq);
	bd.pushed = false;
}

static int toy_activate(struct vdev *vd)
{
	const unsigned int n = vd->vq->size;
	unsigned int i;

	bd.req = calloc(n, sizeof(*bd.req));
	bd.iov = calloc((size_t)n * n, sizeof(*bd.iov));
	bd.free_req = calloc(n, sizeof(*bd.free_req));
	for (i = 0; i < n; i++) {
		bd.req[i].bd = &bd;
		bd.req[i].chain.iov = &bd.iov[(size_t)i * n];
		bd.req[i].chain.iov_max = n;
		bd.free_req[i] = n - 1 - i;
	}
	bd.nfree = n;
	bd.write_through = !vdev_has(vd, VIRTIO_BLK_F_FLUSH);
	bd.pushed = false;
	fuzz_assert(!blk_xfer_init(&bd));
	return 0;
}

static void toy_quiesce(struct vdev *vd)
{
	unsigned int n = 0;

	while (bd.nfree < vd->vq->size) {
		fuzz_assert(ios && n++ < 100000);
		complete(0);
		flush();
	}
	fuzz_assert(!ios);
	blk_xfer_fini(&bd);
	free(bd.req);
	free(bd.iov);
	free(bd.free_req);
}

static const struct vdev_ops toy_ops = {
	.name = "blk", .id = VIRTIO_ID_BLOCK, .activate = toy_activate, .quiesce = toy_quiesce
};

static void no_irq(struct vdev *vd, int queue)
{
}

static void no_change(struct vdev *vd)
{
}

static const struct vdev_transport toy_tp = { .irq = no_irq, .config_changed = no_change };

static void restart(struct fuzz *f)
{
	static const uint16_t aligns[] = { 512, 4096, 512, 1 };
	uint8_t how = fuzz_u8(f);
	uint64_t features = bd.vd.features;
	struct vq *vq = bd.vd.vq;

	vdev_reset(&bd.vd);
	memset(mem.slot[0].hva, 0, RING_LEN);
	memset(posted, 0, sizeof(posted));
	last_used = 0;
	may_fail = spoiled = false;
	bd.sync_failed = false;
	bd.img.ro = how & 1;
	bd.img.direct = how & 2;
	bd.img.off_align = bd.img.direct ? aligns[how >> 6] : 1;
	bd.img.mem_align = bd.img.direct ? aligns[(how >> 6) ^ 3] : 1;
	bd.img.no_punch = how & 4;
	bd.img.no_zero = how & 8;
	if (how & 16)
		features &= ~(1ull << VIRTIO_BLK_F_FLUSH);
	if (how & 32)
		features &= ~(1ull << VIRTIO_BLK_F_WRITE_ZEROES | 1ull << VIRTIO_RING_F_EVENT_IDX);
	if (bd.img.ro) /* not offered then */
		features &= ~(1ull << VIRTIO_BLK_F_DISCARD | 1ull << VIRTIO_BLK_F_WRITE_ZEROES);
	vdev_set_status(&bd.vd, 3);
	vdev_set_features(&bd.vd, 0, features);
	vdev_set_features(&bd.vd, 1, features >> 32);
	vdev_set_status(&bd.vd, 11);
	vq->size = SIZE;
	vq->desc_gpa = RING;
	vq->avail_gpa = AVAIL;
	vq->used_gpa = USED;
	fuzz_assert(!vdev_queue_enable(&bd.vd, 0));
	vdev_set_status(&bd.vd, 15);
	fuzz_assert(bd.vd.active);
}

static void reap(void)
{
	const struct vq *vq = bd.vd.vq;

	/* A guest may change the used ring; this one does not. */
	for (; last_used != vq->used->idx; last_used++) {
		const struct vring_used_elem *e = &vq->used->ring[last_used % SIZE];
		unsigned int n = e->id / 4;

		fuzz_assert(e->id < SIZE);
		if (e->id % 4 || !posted[n])
			continue;
		posted[n] = false;
		if (spoiled || (may_fail && want[n] == VIRTIO_BLK_S_OK))
			continue;
		fuzz_assert(*(uint8_t *)data_at(STATUS(n)) == want[n]);
	}
}

static void run(struct fuzz *f)
{
	unsigned int n = 0;

	while (blk_req_take(&bd))
		fuzz_assert(n++ < 1000);
	flush();
	for (n = fuzz_u8(f) % 8; n && ios; n--) {
		complete(fuzz_u8(f));
		flush();
	}
	reap();
}

/* --- the driver --- */

static void make_available(uint16_t head)
{
	struct vring_avail *a = bd.vd.vq->avail;

	a->ring[a->idx % SIZE] = head;
	a->idx++;
}

static void put(struct vring_desc *t, unsigned int i, uint64_t addr, uint32_t len, uint16_t flags)
{
	t[i] = (struct vring_desc){ addr, len, flags | VRING_DESC_F_NEXT, 0 };
}

static uint8_t rw_status(uint32_t type, uint64_t sector, uint64_t bytes)
{
	if (type == VIRTIO_BLK_T_OUT && bd.img.ro)
		return VIRTIO_BLK_S_IOERR;
	if (bytes % 512 || sector > IMAGE_SIZE / 512 || bytes > IMAGE_SIZE - sector * 512)
		return VIRTIO_BLK_S_IOERR;
	return VIRTIO_BLK_S_OK;
}

/* What must come of a list with one range. */
static uint8_t range_status(uint32_t type, const struct virtio_blk_discard_write_zeroes *r)
{
	bool discard = type == VIRTIO_BLK_T_DISCARD;

	if (!vdev_has(&bd.vd, discard ? VIRTIO_BLK_F_DISCARD : VIRTIO_BLK_F_WRITE_ZEROES) ||
	    r->flags > 1 || (discard && r->flags))
		return VIRTIO_BLK_S_UNSUPP;
	if (r->sector > IMAGE_SIZE / 512 || r->num_sectors > IMAGE_SIZE / 512 - r->sector)
		return VIRTIO_BLK_S_IOERR;
	return VIRTIO_BLK_S_OK;
}

static void request(struct fuzz *f)
{
	static const uint32_t types[] = { VIRTIO_BLK_T_IN,	 VIRTIO_BLK_T_OUT,
					  VIRTIO_BLK_T_FLUSH,	 VIRTIO_BLK_T_GET_ID,
					  VIRTIO_BLK_T_DISCARD,	 VIRTIO_BLK_T_WRITE_ZEROES,
					  VIRTIO_BLK_T_SCSI_CMD, 0xffffffff };
	static const uint64_t sectors[] = { 0,	1,  7,	8,	    32,	   62,
					    63, 64, 65, 1ull << 55, ~0ull, ~0ull >> 9 };
	unsigned int n = fuzz_u8(f) % SLOTS, i = 0, nbuf, part;
	struct virtio_blk_outhdr hdr = { 0 };
	struct virtio_blk_discard_write_zeroes r = { 0 };
	struct vring_desc t[8], *ring = bd.vd.vq->desc;
	uint8_t how = fuzz_u8(f);
	uint16_t dir;
	uint64_t bytes = 0;

	if (posted[n] || vdev_is_broken(&bd.vd))
		return;
	hdr.type = FUZZ_PICK(f, types);
	hdr.sector = FUZZ_PICK(f, sectors);
	want[n] = VIRTIO_BLK_S_UNSUPP;
	memcpy(data_at(HEADER(n)), &hdr, sizeof(hdr));
	*(uint8_t *)data_at(STATUS(n)) = 0xee;
	/* The header in one piece or two. */
	part = how & 1 ? 1 + how / 16 % 15 : sizeof(hdr);
	put(t, i++, HEADER(n), part, 0);
	if (part < sizeof(hdr))
		put(t, i++, HEADER(n) + part, sizeof(hdr) - part, 0);
	dir = hdr.type == VIRTIO_BLK_T_IN || hdr.type == VIRTIO_BLK_T_GET_ID ? VRING_DESC_F_WRITE
									     : 0;
	switch (hdr.type) {
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES:
		r.sector = FUZZ_PICK(f, sectors);
		r.num_sectors = fuzz_u8(f) % 80;
		r.flags = fuzz_u8(f) % 4;
		memcpy(data_at(RANGES(n)), &r, sizeof(r));
		put(t, i++, RANGES(n), sizeof(r), 0);
		want[n] = range_status(hdr.type, &r);
		break;
	default:
		for (nbuf = how / 2 % 3; nbuf; nbuf--) {
			uint32_t len = FUZZ_PICK(f, lens);
			uint64_t at = BUFFERS + fuzz_u8(f) % 16 * 512 + (how & 8 ? 0 : fuzz_u8(f));

			if (!gmem_ptr(&mem, at, len) && len)
				len = 512;
			put(t, i++, at, len, dir);
			bytes += len;
		}
		if (hdr.type == VIRTIO_BLK_T_IN || hdr.type == VIRTIO_BLK_T_OUT)
			want[n] = rw_status(hdr.type, hdr.sector, bytes);
		else if (hdr.type == VIRTIO_BLK_T_FLUSH || hdr.type == VIRTIO_BLK_T_GET_ID)
			want[n] = VIRTIO_BLK_S_OK;
		break;
	}
	put(t, i++, STATUS(n), 1, VRING_DESC_F_WRITE);
	t[i - 1].flags = VRING_DESC_F_WRITE;
	for (nbuf = 0; nbuf < i; nbuf++)
		t[nbuf].next = i > 4 || how & 4 ? nbuf + 1 : 4 * n + nbuf + 1;
	if (i > 4 || how & 4) {
		memcpy(gmem_ptr(&mem, TABLES + 128 * n, 128), t, 16 * i);
		ring[4 * n] =
			(struct vring_desc){ TABLES + 128 * n, 16 * i, VRING_DESC_F_INDIRECT, 0 };
	} else {
		memcpy(&ring[4 * n], t, 16 * i);
	}
	posted[n] = true;
	make_available(4 * n);
}

/* Any descriptor, anywhere. */
static void spoil(struct fuzz *f)
{
	static const uint64_t addrs[] = { STATUS(1),   HEADER(0), HEADER(1) + 8,       BUFFERS,
					  BUFFERS + 3, RANGES(2), DATA + DATA_LEN - 1, RING + 4096,
					  0xd0000000 };
	uint8_t where = fuzz_u8(f);
	struct vring_desc *t = bd.vd.vq->desc;

	if (where & 128)
		t = gmem_ptr(&mem, TABLES + where / 32 % 4 * 128, 128);
	t += where & 128 ? where % 8 : where % SIZE;
	t->addr = where & 64 ? t->addr : FUZZ_PICK(f, addrs);
	t->len = fuzz_u8(f) & 1 ? t->len : FUZZ_PICK(f, lens);
	t->flags ^= fuzz_u8(f) & 7;
	t->next = fuzz_u8(f) % (SIZE + 1);
	spoiled = true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz f = { data, len };

	if (!mem.nslots) {
		mem.slot[0] = (struct gmem_slot){ RING, RING_LEN, malloc(RING_LEN) };
		/* Aligned as guest memory is, with the sanitizer's eye on what comes after. */
		mem.slot[1] = (struct gmem_slot){ DATA, DATA_LEN, aligned_alloc(4096, DATA_LEN) };
		mem.nslots = 2;
		bd.img = (struct blk_image){ .fd = -1, .lock_fd = -1, .size = IMAGE_SIZE };
		bd.sectors = IMAGE_SIZE / 512;
		be.ops = &be_ops;
		bd.be = &be;
		ios_tail = &ios;
		fuzz_assert(!vdev_init(&bd.vd, &toy_ops, &mem,
				       1ull << VIRTIO_BLK_F_FLUSH | 1ull << VIRTIO_BLK_F_DISCARD |
					       1ull << VIRTIO_BLK_F_WRITE_ZEROES,
				       1, BLK_QUEUE_SIZE));
		bd.vd.tp = &toy_tp;
	}
	memset(mem.slot[1].hva, 0, DATA_LEN);
	memset(image, 0x5a, sizeof(image));
	restart(&f);
	while (f.left) {
		switch (fuzz_u8(&f) % 16) {
		case 0 ... 6:
			request(&f);
			break;
		case 7:
			spoil(&f);
			break;
		case 8:
			make_available(fuzz_u8(&f) % (SIZE + 1));
			spoiled = true;
			break;
		case 9:
			complete(fuzz_u8(&f));
			flush();
			break;
		case 10:
			restart(&f);
			break;
		default:
			run(&f);
			break;
		}
	}
	/* What is left in the queue is taken, and all of it comes back. */
	f = (struct fuzz){ NULL, 0 };
	run(&f);
	vdev_reset(&bd.vd);
	return 0;
}
