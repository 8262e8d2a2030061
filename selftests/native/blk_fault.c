// SPDX-License-Identifier: GPL-2.0-only
/*
 * The block device over a backend that misbehaves: between the device and its real backend stands
 * one that cuts transfers short, fails them, or holds them back until the test lets go, and that
 * writes down what it was asked.
 */
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <time.h>

#include "blkdrv.h"
#include "deny_calls.h"

#define OK    VIRTIO_BLK_S_OK
#define IOERR VIRTIO_BLK_S_IOERR
#define IN    VIRTIO_BLK_T_IN
#define OUT   VIRTIO_BLK_T_OUT
#define FLUSH VIRTIO_BLK_T_FLUSH

/* Set while the device is idle; the counters are read by the test while it runs. */
static struct {
	const struct blk_backend_ops *real;
	struct blk_io_list done, held;
	size_t cut;	    /* transfers move no more than this; 0: all */
	unsigned int again; /* so many EAGAIN and EINTR before each success */
	int error[8];	    /* of each operation, or 0 */
	bool hold;	    /* atomic */
	unsigned int tries;
	unsigned int count[8], ndsync; /* atomic */
	enum blk_io_op last;
} hook;

static int64_t hook_run(struct blk_backend *be, struct blk_io *io)
{
	struct iovec iov[260];
	struct blk_io part = *io;
	size_t left = hook.cut;
	unsigned int i;

	if (hook.error[io->op])
		return hook.error[io->op];
	if (hook.tries++ < hook.again)
		return hook.tries & 1 ? -EAGAIN : -EINTR;
	hook.tries = 0;
	if (io->op > BLK_IO_WRITE || !hook.cut)
		return blk_io_run(be->cfg.fd, io);
	for (i = 0; i < io->niov && left; i++) {
		iov[i] = io->iov[i];
		iov[i].iov_len = MIN(left, iov[i].iov_len);
		left -= iov[i].iov_len;
	}
	part.iov = iov;
	part.niov = i;
	return blk_io_run(be->cfg.fd, &part);
}

static void hook_submit(struct blk_backend *be, struct blk_io *io)
{
	hook.last = io->op;
	__atomic_fetch_add(&hook.ndsync, io->dsync, __ATOMIC_RELEASE);
	__atomic_fetch_add(&hook.count[io->op], 1, __ATOMIC_RELEASE);
	if (load_acquire(&hook.hold)) {
		blk_io_list_add(&hook.held, io);
		return;
	}
	io->res = hook_run(be, io);
	blk_io_list_add(&hook.done, io);
}

static unsigned int hook_wait(struct blk_backend *be, bool block)
{
	struct blk_io_list held = hook.held;
	struct blk_io *io, *next;

	if (held.head && !load_acquire(&hook.hold)) {
		blk_io_list_init(&hook.held);
		for (io = held.head; io; io = next) {
			next = io->next;
			io->res = hook_run(be, io);
			blk_io_list_add(&hook.done, io);
		}
	}
	if (hook.done.head) {
		blk_io_list_drain(&hook.done, &be->cfg);
		return 0;
	}
	return hook.real->wait(be, block);
}

static void hook_destroy(struct blk_backend *be)
{
	hook.real->destroy(be);
}

static const struct blk_backend_ops hook_ops = {
	.name = "hook",
	.submit = hook_submit,
	.wait = hook_wait,
	.destroy = hook_destroy,
};

static void disk_hook(struct disk *k)
{
	memset(&hook, 0, sizeof(hook));
	blk_io_list_init(&hook.done);
	blk_io_list_init(&hook.held);
	hook.real = k->bd->be->ops;
	/* Seen when the device's thread next wakes up. */
	store_release(&k->bd->be->ops, &hook_ops);
}

static void hook_hold(void)
{
	store_release(&hook.hold, true);
}

static void hook_release(struct disk *k)
{
	uint64_t one = 1;

	store_release(&hook.hold, false);
	ksft_eq(write(k->vd->vq->kick_fd, &one, sizeof(one)), sizeof(one));
}

/* Wait until the backend has been asked for @n operations of a kind. */
static void hook_wait_count(enum blk_io_op op, unsigned int n)
{
	unsigned int ms;

	for (ms = 0; load_acquire(&hook.count[op]) < n; ms++) {
		ksft_check(ms < DISK_WAIT_MS);
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
}

/* Long enough for a device that errs to err; a correct one makes no use of it. */
static void give_it_time(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
}

/* Started with all features but @without, with the hook in place. */
static void up(struct disk *k, uint64_t without)
{
	disk_open(k, MIB, ",direct=off");
	disk_start(k, ~without);
	disk_hook(k);
}

/* A plain request in flight; each has its own header, data (512 bytes) and status. */
struct flight {
	uint64_t hdr, data, status;
	int head;
};

static void launch_at(struct disk *k, struct flight *f, uint32_t type, uint64_t sector,
		      uint64_t data)
{
	struct vdrv_buf b[3];

	f->hdr = vdrv_alloc(&k->d, 16, 16);
	f->status = vdrv_alloc(&k->d, 1, 1);
	f->data = data;
	*(uint8_t *)vdrv_hva(&k->d, f->status, 1) = 0xee;
	disk_hdr(k, f->hdr, type, sector);
	b[0] = (struct vdrv_buf){ f->hdr, 16 };
	b[1] = (struct vdrv_buf){ data, 512 };
	b[2] = (struct vdrv_buf){ f->status, 1 };
	f->head = vdrv_add(&k->d.q[0], b, type == OUT ? 2 : 1, type == OUT ? 1 : 2, false);
	ksft_check(f->head >= 0);
	vdrv_kick(&k->d.q[0]);
}

static void launch(struct disk *k, struct flight *f, uint32_t type, uint64_t sector)
{
	launch_at(k, f, type, sector, vdrv_alloc(&k->d, 512, 512));
}

static uint8_t flight_status(struct disk *k, const struct flight *f)
{
	return *(uint8_t *)vdrv_hva(&k->d, f->status, 1);
}

static void land(struct disk *k, unsigned int n)
{
	uint16_t head;
	uint32_t len;

	while (n--)
		ksft_check(vdrv_wait_used(&k->d.q[0], &head, &len, DISK_WAIT_MS));
}

static void transfer(struct disk *k, uint64_t sector, uint32_t len)
{
	uint64_t buf = vdrv_alloc(&k->d, len, 512);
	uint8_t *p = vdrv_hva(&k->d, buf, len), *file = malloc(len);
	uint32_t i;

	for (i = 0; i < len; i++)
		p[i] = i * 31 + i / 256;
	ksft_eq(disk_io(k, OUT, sector, buf, len), OK);
	disk_peek(k, sector * 512, file, len);
	ksft_memeq(file, p, len);
	memset(p, 0, len);
	ksft_eq(disk_io(k, IN, sector, buf, len), OK);
	ksft_memeq(p, file, len);
	free(file);
}

static void short_transfers(void)
{
	struct vdrv_buf b[12];
	struct disk k;
	uint64_t buf;
	uint8_t file[4096], *p;
	unsigned int i;

	up(&k, 0);
	hook.cut = 700;
	transfer(&k, 3, 8192);
	ksft_eq(hook.count[BLK_IO_WRITE], 12);
	/* Over segments: cuts inside of them, at their ends, and over several. */
	buf = vdrv_alloc(&k.d, 4096, 512);
	p = vdrv_hva(&k.d, buf, 4096);
	b[0] = (struct vdrv_buf){ k.hdr, 16 };
	for (i = 0; i < 8; i++)
		b[1 + i] = (struct vdrv_buf){ buf + i * 350, 350 };
	b[9] = (struct vdrv_buf){ buf + 2800, 700 };
	b[10] = (struct vdrv_buf){ buf + 3500, 596 };
	b[11] = (struct vdrv_buf){ k.status, 1 };
	disk_hdr(&k, k.hdr, IN, 40);
	ksft_eq(disk_chain(&k, b, 1, 11, false), 4097);
	disk_peek(&k, 40 * 512, file, 4096);
	ksft_memeq(p, file, 4096);
	disk_down(&k);

	/* The same through a bounce buffer, blocks rewritten in part. */
	disk_open(&k, MIB, ",direct=off");
	k.bd->img.off_align = 4096;
	disk_start(&k, ~0ull);
	disk_hook(&k);
	hook.cut = 700;
	transfer(&k, 3, 8192);
	transfer(&k, 5, BLK_BOUNCE_SIZE + 512);
	disk_down(&k);
}

static void interrupted(void)
{
	struct disk k;

	up(&k, 0);
	hook.again = 5;
	transfer(&k, 7, 4096);
	ksft_eq(disk_io(&k, FLUSH, 0, 0, 0), OK);
	disk_down(&k);
}

/* Not for ever, though. */
static void interrupted_for_ever(void)
{
	struct disk k;
	uint64_t buf;

	up(&k, 0);
	buf = vdrv_alloc(&k.d, 512, 512);
	hook.again = UINT_MAX;
	ksft_eq(disk_io(&k, IN, 0, buf, 512), IOERR);
	disk_down(&k);
}

static void errors(void)
{
	struct disk k;
	uint64_t buf;
	uint32_t used;

	up(&k, 0);
	buf = vdrv_alloc(&k.d, 4096, 512);
	hook.error[BLK_IO_READ] = -EIO;
	hook.error[BLK_IO_WRITE] = -ENOSPC;
	ksft_eq(disk_io_len(&k, IN, 0, buf, 4096, &used), IOERR);
	ksft_eq(used, 0);
	ksft_eq(disk_io(&k, OUT, 0, buf, 4096), IOERR);
	hook.error[BLK_IO_PUNCH] = hook.error[BLK_IO_ZERO] = -EIO;
	disk_range(vdrv_hva(&k.d, buf, 16), 8, 8, 0);
	ksft_eq(disk_io(&k, VIRTIO_BLK_T_WRITE_ZEROES, 0, buf, 16), IOERR);
	ksft_eq(disk_io(&k, VIRTIO_BLK_T_DISCARD, 0, buf, 16), IOERR);
	/* Zeroes by writing, and the writing fails. */
	hook.error[BLK_IO_PUNCH] = hook.error[BLK_IO_ZERO] = -EOPNOTSUPP;
	ksft_eq(disk_io(&k, VIRTIO_BLK_T_WRITE_ZEROES, 0, buf, 16), IOERR);
	ksft_eq(k.bd->nfree_bounce, BLK_BOUNCE_NR);
	ksft_check(!vdrv_broken(&k.d));
	memset(hook.error, 0, sizeof(hook.error));
	transfer(&k, 0, 4096);
	ksft_eq(k.bd->stat_errors, 5);
	disk_down(&k);
}

/* Lost once is lost: after a failed sync none may succeed, whatever the host says. */
static void failed_flush(void)
{
	struct disk k;

	up(&k, 0);
	ksft_eq(disk_io(&k, FLUSH, 0, 0, 0), OK);
	hook.error[BLK_IO_SYNC] = -EIO;
	ksft_eq(disk_io(&k, FLUSH, 0, 0, 0), IOERR);
	hook.error[BLK_IO_SYNC] = 0;
	ksft_eq(disk_io(&k, FLUSH, 0, 0, 0), IOERR);
	disk_start(&k, ~0ull);
	ksft_eq(disk_io(&k, FLUSH, 0, 0, 0), IOERR);
	disk_down(&k);
}

static void failed_flush_child(void)
{
	struct disk k;

	disk_up(&k, MIB, "");
	ksft_check(k.bd->be->ops == &blk_sync_ops);
	ksft_eq(disk_io(&k, FLUSH, 0, 0, 0), IOERR);
	disk_down(&k);
}

static void failed_flush_sync(void)
{
	const struct deny deny[] = { { __NR_io_uring_setup, ENOSYS }, { __NR_fdatasync, EIO } };

	in_child(deny, ARRAY_SIZE(deny), failed_flush_child);
}

static void flush_waits_for_the_disk(void)
{
	struct vdrv_buf b[2];
	struct disk k;
	uint8_t *status;
	uint16_t head;
	uint64_t buf;
	uint32_t len;

	up(&k, 0);
	buf = vdrv_alloc(&k.d, 512, 512);
	ksft_eq(disk_io(&k, OUT, 0, buf, 512), OK);
	ksft_eq(hook.ndsync, 0);
	ksft_eq(hook.count[BLK_IO_SYNC], 0);
	hook_hold();
	disk_hdr(&k, k.hdr, FLUSH, 0);
	status = vdrv_hva(&k.d, k.status, 1);
	*status = 0xee;
	b[0] = (struct vdrv_buf){ k.hdr, 16 };
	b[1] = (struct vdrv_buf){ k.status, 1 };
	ksft_check(vdrv_add(&k.d.q[0], b, 1, 1, false) >= 0);
	vdrv_kick(&k.d.q[0]);
	hook_wait_count(BLK_IO_SYNC, 1);
	give_it_time();
	ksft_check(!vdrv_used(&k.d.q[0], &head, &len));
	ksft_eq(*status, 0xee);
	hook_release(&k);
	land(&k, 1);
	ksft_eq(*status, OK);
	disk_down(&k);
}

/* 5.2.6.2: a driver that cannot flush gets its writes on the disk when they complete. */
static void write_through(void)
{
	struct disk k;
	uint64_t buf;
	unsigned int before;

	up(&k, 1ull << VIRTIO_BLK_F_FLUSH);
	buf = vdrv_alloc(&k.d, 4096, 512);
	ksft_eq(disk_io(&k, OUT, 0, buf, 4096), OK);
	ksft_eq(hook.count[BLK_IO_WRITE], 1);
	ksft_eq(hook.ndsync, 1);
	ksft_eq(disk_io(&k, IN, 0, buf, 4096), OK);
	ksft_eq(hook.ndsync, 1);
	/* By fallocate where that works, which the sync makes last. */
	disk_range(vdrv_hva(&k.d, buf, 16), 8, 8, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP);
	ksft_eq(disk_io(&k, VIRTIO_BLK_T_WRITE_ZEROES, 0, buf, 16), OK);
	if (!k.bd->img.no_punch || !k.bd->img.no_zero)
		ksft_eq(hook.last, BLK_IO_SYNC);
	before = hook.ndsync;
	k.bd->img.no_zero = k.bd->img.no_punch = true;
	ksft_eq(disk_io(&k, VIRTIO_BLK_T_WRITE_ZEROES, 0, buf, 16), OK);
	ksft_eq(hook.last, BLK_IO_WRITE);
	ksft_eq(hook.ndsync, before + 1);
	disk_down(&k);
}

/* Somebody makes the file shorter than the disk. */
static void image_shrinks(void)
{
	static const char *const keys[] = { ",direct=off", "" };
	struct disk k;
	uint64_t buf;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(keys); i++) {
		disk_up(&k, MIB, keys[i]);
		buf = vdrv_alloc(&k.d, 8192, 4096);
		ksft_eq(ftruncate(k.fd, 65536 + 4096), 0);
		ksft_eq(disk_io(&k, IN, 256, buf, 4096), IOERR);
		ksft_eq(disk_io(&k, IN, 128, buf, 8192), IOERR);
		ksft_eq(disk_io(&k, IN, 128, buf, 4096), OK);
		ksft_check(!vdrv_broken(&k.d));
		disk_down(&k);
	}
}

struct reset_arg {
	struct disk *k;
	bool done;
};

static void *reset_thread(void *arg)
{
	struct reset_arg *r = arg;

	vdev_reset(r->k->vd);
	store_release(&r->done, true);
	return NULL;
}

/* The guest resets while the host reads into its memory: that must be over when the reset is. */
static void reset_waits_for_io(void)
{
	struct reset_arg r = { 0 };
	struct flight f[8], late;
	uint8_t file[512], *ring, before[4096];
	pthread_t thread;
	struct disk k;
	unsigned int i;

	up(&k, 0);
	hook_hold();
	for (i = 0; i < ARRAY_SIZE(f); i++)
		launch(&k, &f[i], IN, i);
	hook_wait_count(BLK_IO_READ, ARRAY_SIZE(f));
	r.k = &k;
	ksft_eq(pthread_create(&thread, NULL, reset_thread, &r), 0);
	while (!load_acquire(&k.bd->stop))
		sched_yield();
	give_it_time();
	ksft_check(!load_acquire(&r.done));
	/* Too late: what comes after the reset has begun is not started. */
	launch(&k, &late, IN, 100);
	hook_release(&k);
	pthread_join(thread, NULL);
	ksft_eq(hook.count[BLK_IO_READ], ARRAY_SIZE(f));
	for (i = 0; i < ARRAY_SIZE(f); i++) {
		disk_peek(&k, i * 512, file, 512);
		ksft_memeq(vdrv_hva(&k.d, f[i].data, 512), file, 512);
	}
	ksft_eq(flight_status(&k, &late), 0xee);
	ksft_eq(k.vd->vq->inflight, 0);
	/* And from now on the old ring is left alone. */
	ring = vdrv_hva(&k.d, k.d.q[0].used_gpa, 2048);
	memset(ring, 0xa5, 2048);
	memcpy(before, ring, 2048);
	disk_start(&k, ~0ull);
	transfer(&k, 0, 4096);
	ksft_memeq(ring, before, 2048);
	disk_down(&k);
}

/* The guest breaks the device while reads are on their way: they end, and are not handed back. */
static void broken_with_io(void)
{
	struct flight f[4];
	struct vdrv_buf bad;
	struct disk k;
	uint16_t head;
	uint32_t len;
	unsigned int i;

	up(&k, 0);
	hook_hold();
	for (i = 0; i < ARRAY_SIZE(f); i++)
		launch(&k, &f[i], IN, i);
	hook_wait_count(BLK_IO_READ, ARRAY_SIZE(f));
	bad = (struct vdrv_buf){ k.hdr, 16 };
	ksft_check(vdrv_add(&k.d.q[0], &bad, 1, 0, false) >= 0);
	vdrv_kick(&k.d.q[0]);
	ksft_check(vdrv_wait_irq(&k.d, DISK_WAIT_MS));
	ksft_check(vdrv_broken(&k.d));
	hook_release(&k);
	vdev_reset(k.vd);
	ksft_check(!vdrv_used(&k.d.q[0], &head, &len));
	disk_start(&k, ~0ull);
	transfer(&k, 0, 4096);
	disk_down(&k);
}

/* Two sectors of one block: the second write must see what the first has written. */
static void partial_writes_take_turns(void)
{
	uint8_t file[4096], want[4096];
	struct flight f[3];
	struct disk k;

	disk_open(&k, MIB, ",direct=off");
	k.bd->img.off_align = 4096;
	disk_start(&k, ~0ull);
	disk_hook(&k);
	disk_peek(&k, 0, want, 4096);
	memset(want + 512, 0, 512);
	memset(want + 1024, 0, 512);
	hook_hold();
	launch(&k, &f[0], OUT, 1);
	launch(&k, &f[1], OUT, 2);
	/* One that could go at once, and has to stay behind them. */
	launch(&k, &f[2], IN, 0);
	hook_wait_count(BLK_IO_READ, 1);
	give_it_time();
	ksft_eq(load_acquire(&hook.count[BLK_IO_READ]), 1);
	hook_release(&k);
	land(&k, 3);
	ksft_eq(hook.count[BLK_IO_READ], 3);
	ksft_eq(hook.count[BLK_IO_WRITE], 2);
	disk_peek(&k, 0, file, 4096);
	ksft_memeq(file, want, 4096);
	ksft_memeq(vdrv_hva(&k.d, f[2].data, 512), file, 512);
	disk_down(&k);
}

/* Requests that direct I/O cannot take: memory for a few, the others wait. */
static void bounce_buffers_are_few(void)
{
	struct flight f[3 * BLK_BOUNCE_NR];
	uint8_t file[512];
	struct disk k;
	unsigned int i;

	disk_open(&k, MIB, ",direct=off");
	k.bd->img.off_align = 512;
	k.bd->img.mem_align = 512;
	disk_start(&k, ~0ull);
	disk_hook(&k);
	hook_hold();
	for (i = 0; i < ARRAY_SIZE(f); i++)
		launch_at(&k, &f[i], IN, i, vdrv_alloc(&k.d, 1024, 512) + 3);
	hook_wait_count(BLK_IO_READ, BLK_BOUNCE_NR);
	give_it_time();
	ksft_eq(load_acquire(&hook.count[BLK_IO_READ]), BLK_BOUNCE_NR);
	hook_release(&k);
	land(&k, ARRAY_SIZE(f));
	for (i = 0; i < ARRAY_SIZE(f); i++) {
		ksft_eq(flight_status(&k, &f[i]), OK);
		disk_peek(&k, i * 512, file, 512);
		ksft_memeq(vdrv_hva(&k.d, f[i].data, 512), file, 512);
	}
	ksft_eq(k.bd->nfree_bounce, BLK_BOUNCE_NR);
	disk_down(&k);
}

int main(int argc, char **argv)
{
	ksft_case("short transfers are continued", short_transfers);
	ksft_case("interrupted transfers are repeated", interrupted);
	ksft_case("a transfer that is always interrupted fails", interrupted_for_ever);
	ksft_case("errors of the host reach the guest", errors);
	ksft_case("a failed flush makes all later ones fail", failed_flush);
	ksft_case("a failed flush without io_uring", failed_flush_sync);
	ksft_case("a flush waits for the disk", flush_waits_for_the_disk);
	ksft_case("write-through without the flush feature", write_through);
	ksft_case("the image shrinks", image_shrinks);
	ksft_case("a reset waits for what is in flight", reset_waits_for_io);
	ksft_case("broken with requests in flight", broken_with_io);
	ksft_case("writes of parts of a block take turns", partial_writes_take_turns);
	ksft_case("bounce buffers are few", bounce_buffers_are_few);
	return ksft_run(argc, argv);
}
