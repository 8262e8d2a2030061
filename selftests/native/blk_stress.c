// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random I/O against a model: up to 64 requests in flight, of random place, length, segmentation
 * and alignment of buffers; a copy of the disk in memory says what every read must return and what
 * the image must hold in the end. What is in flight never overlaps, as then the outcome would be
 * anybody's. And resets in the middle of it all.
 */
#include <errno.h>
#include <sched.h>
#include <sys/wait.h>

#include "blkdrv.h"
#include "deny_calls.h"

#define SIZE	 (4 * MIB)
#define NSECT	 (SIZE / 512)
#define DEPTH	 64u
#define SECT_MAX 300u /* of one request: more than a bounce buffer holds */
#define SLOT	 (SECT_MAX * 512 + 8192)

struct slot {
	bool busy;
	int head;
	uint32_t type;
	uint64_t sector;
	unsigned int n;
	uint64_t hdr, status;
	struct vdrv_buf seg[40];
	unsigned int nseg;
};

struct load {
	struct disk k;
	uint8_t *model;
	bool taken[NSECT]; /* by a request in flight */
	struct slot slot[DEPTH];
	uint64_t arena;
	uint64_t seed;
	unsigned int inflight, reads, writes, zeroes, flushes;
};

static uint32_t rnd(struct load *l, uint32_t below)
{
	/* xorshift64*: the same load on every run. */
	l->seed ^= l->seed >> 12;
	l->seed ^= l->seed << 25;
	l->seed ^= l->seed >> 27;
	return (l->seed * 2685821657736338717ull >> 32) % below;
}

static void load_init_in(struct load *l, const char *dir, const char *keys, uint64_t seed)
{
	unsigned int i;

	memset(l, 0, sizeof(*l));
	l->seed = seed;
	disk_open_in(&l->k, dir, SIZE, keys);
	l->model = malloc(SIZE);
	disk_peek(&l->k, 0, l->model, SIZE);
	l->arena = vdrv_alloc_high(&l->k.d, DEPTH * SLOT, 4096);
	for (i = 0; i < DEPTH; i++) {
		l->slot[i].hdr = vdrv_alloc(&l->k.d, 64, 16);
		l->slot[i].status = vdrv_alloc(&l->k.d, 1, 1);
	}
}

static void load_init(struct load *l, const char *keys, uint64_t seed)
{
	load_init_in(l, NULL, keys, seed);
}

static void load_fini(struct load *l)
{
	disk_down(&l->k);
	free(l->model);
}

/* A free range, after some tries; length 0 when there was none. */
static void pick_range(struct load *l, struct slot *s)
{
	unsigned int tries, i;

	for (tries = 0; tries < 8; tries++) {
		s->n = 1 + rnd(l, rnd(l, 4) ? 16 : SECT_MAX);
		s->sector = rnd(l, NSECT - s->n + 1);
		if (rnd(l, 2)) {
			s->sector &= ~7ull;
			s->n = MIN(ALIGN_UP(s->n, 8), SECT_MAX & ~7u);
			if (s->sector + s->n > NSECT)
				continue;
		}
		for (i = 0; i < s->n && !l->taken[s->sector + i]; i++)
			;
		if (i == s->n)
			return;
	}
	s->n = 0;
}

/* Cut the data into segments: often one, aligned; at times at odd places and addresses. */
static void pick_segments(struct load *l, struct slot *s)
{
	uint64_t gpa = l->arena + (s - l->slot) * SLOT;
	uint32_t left = s->n * 512;
	bool odd = !rnd(l, 4);

	if (odd)
		gpa += rnd(l, 4096);
	for (s->nseg = 0; left; s->nseg++) {
		uint32_t len = left;

		if (s->nseg < 39 && rnd(l, 3))
			len = 1 + rnd(l, left);
		if (!odd && s->nseg < 39)
			len = MIN(ALIGN_UP(len, 512), left);
		s->seg[s->nseg] = (struct vdrv_buf){ gpa, len };
		gpa += len;
		left -= len;
	}
}

static void fill(struct load *l, struct slot *s)
{
	uint8_t *p = l->model + s->sector * 512;
	unsigned int i;
	uint32_t j;

	for (j = 0; j < s->n * 512; j += 4) {
		uint32_t v = rnd(l, UINT32_MAX);

		memcpy(p + j, &v, 4);
	}
	for (i = 0; i < s->nseg; i++) {
		memcpy(vdrv_hva(&l->k.d, s->seg[i].gpa, s->seg[i].len), p, s->seg[i].len);
		p += s->seg[i].len;
	}
}

static void zero_request(struct load *l, struct slot *s)
{
	memset(l->model + s->sector * 512, 0, s->n * 512);
	disk_range(vdrv_hva(&l->k.d, s->hdr + 16, 16), s->sector, s->n, rnd(l, 2));
	s->seg[0] = (struct vdrv_buf){ s->hdr + 16, 16 };
	s->nseg = 1;
}

/* Make a request in a free slot; false when the ring or the disk is full. */
static bool submit(struct load *l, struct slot *s)
{
	struct vdrv_buf b[48];
	unsigned int dice = rnd(l, 100), i, nout;

	s->type = dice < 45   ? VIRTIO_BLK_T_IN
		  : dice < 92 ? VIRTIO_BLK_T_OUT
		  : dice < 96 ? VIRTIO_BLK_T_WRITE_ZEROES
			      : VIRTIO_BLK_T_FLUSH;
	s->n = 0;
	s->nseg = 0;
	if (s->type != VIRTIO_BLK_T_FLUSH) {
		pick_range(l, s);
		if (!s->n)
			return false;
		if (s->type == VIRTIO_BLK_T_WRITE_ZEROES)
			zero_request(l, s);
		else
			pick_segments(l, s);
	}
	disk_hdr(&l->k, s->hdr, s->type, s->type == VIRTIO_BLK_T_WRITE_ZEROES ? 0 : s->sector);
	*(uint8_t *)vdrv_hva(&l->k.d, s->status, 1) = 0xee;
	b[0] = (struct vdrv_buf){ s->hdr, 16 };
	memcpy(b + 1, s->seg, s->nseg * sizeof(*b));
	b[1 + s->nseg] = (struct vdrv_buf){ s->status, 1 };
	nout = s->type == VIRTIO_BLK_T_IN ? 1 : 1 + s->nseg;
	s->head = vdrv_add(&l->k.d.q[0], b, nout, s->nseg + 2 - nout, rnd(l, 2));
	if (s->head < 0) {
		/* Nothing of it was added, and the model must not have it either. */
		ksft_check(s->type != VIRTIO_BLK_T_WRITE_ZEROES);
		return false;
	}
	if (s->type == VIRTIO_BLK_T_OUT)
		fill(l, s);
	for (i = 0; i < s->n; i++)
		l->taken[s->sector + i] = true;
	s->busy = true;
	l->inflight++;
	return true;
}

static void complete(struct load *l, uint16_t head, uint32_t len)
{
	struct slot *s = NULL;
	unsigned int i;
	uint8_t *p;

	for (i = 0; i < DEPTH; i++)
		if (l->slot[i].busy && l->slot[i].head == head)
			s = &l->slot[i];
	ksft_check(s);
	ksft_eq(*(uint8_t *)vdrv_hva(&l->k.d, s->status, 1), VIRTIO_BLK_S_OK);
	ksft_eq(len, s->type == VIRTIO_BLK_T_IN ? s->n * 512 + 1 : 1);
	p = l->model + s->sector * 512;
	for (i = 0; i < s->nseg && s->type == VIRTIO_BLK_T_IN; i++) {
		ksft_memeq(vdrv_hva(&l->k.d, s->seg[i].gpa, s->seg[i].len), p, s->seg[i].len);
		p += s->seg[i].len;
	}
	for (i = 0; i < s->n; i++)
		l->taken[s->sector + i] = false;
	l->reads += s->type == VIRTIO_BLK_T_IN;
	l->writes += s->type == VIRTIO_BLK_T_OUT;
	l->zeroes += s->type == VIRTIO_BLK_T_WRITE_ZEROES;
	l->flushes += s->type == VIRTIO_BLK_T_FLUSH;
	s->busy = false;
	l->inflight--;
}

/* Put up to @n more in flight. Write-zeroes first needs room: three descriptors always fit then. */
static void submit_some(struct load *l, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < DEPTH && n; i++) {
		if (l->slot[i].busy || l->k.d.q[0].nfree < 3)
			continue;
		if (!submit(l, &l->slot[i]))
			break;
		n--;
	}
	vdrv_kick(&l->k.d.q[0]);
}

static void run(struct load *l, unsigned int requests)
{
	uint16_t head;
	uint32_t len;

	while (requests || l->inflight) {
		unsigned int burst = 1 + rnd(l, DEPTH), before = l->inflight;

		submit_some(l, MIN(requests, burst));
		requests -= l->inflight - before;
		if (!l->inflight)
			continue;
		ksft_check(vdrv_wait_used(&l->k.d.q[0], &head, &len, DISK_WAIT_MS));
		complete(l, head, len);
		while (rnd(l, 8) && vdrv_used(&l->k.d.q[0], &head, &len))
			complete(l, head, len);
	}
}

static void check_image(struct load *l)
{
	uint8_t *image = malloc(SIZE);

	disk_peek(&l->k, 0, image, SIZE);
	ksft_memeq(image, l->model, SIZE);
	ksft_eq(lseek(l->k.fd, 0, SEEK_END), SIZE);
	free(image);
}

static void load_run(struct load *l, uint64_t features, unsigned int requests)
{
	disk_start(&l->k, features);
	run(l, requests);
	check_image(l);
	ksft_msg("%u reads, %u writes, %u zeroed, %u flushes", l->reads, l->writes, l->zeroes,
		 l->flushes);
	ksft_check(l->reads && l->writes && l->zeroes && l->flushes);
}

static struct load load;

static void buffered(void)
{
	load_init(&load, ",direct=off", 1);
	load_run(&load, ~0ull, 8000);
	load_fini(&load);
}

static void direct(void)
{
	load_init(&load, "", 2);
	if (!load.k.bd->img.direct) {
		load_fini(&load);
		ksft_skip("no direct I/O on the file system of the temporary files");
	}
	load_run(&load, ~0ull, 8000);
	ksft_check(load.k.bd->bounce);
	load_fini(&load);
}

static void in_memory(void)
{
	load_init_in(&load, "/dev/shm", "", 8);
	ksft_check(!load.k.bd->img.direct);
	load_run(&load, ~0ull, 8000);
	load_fini(&load);
}

/* As on a disk whose direct I/O takes whole 4 KiB blocks only: most requests rewrite parts. */
static void large_blocks(void)
{
	load_init(&load, "", 3);
	load.k.bd->img.off_align = 4096;
	load.k.bd->img.mem_align = 512;
	load_run(&load, ~0ull, 6000);
	load_fini(&load);
}

static void large_blocks_and_no_fallocate(void)
{
	load_init(&load, ",direct=off", 4);
	load.k.bd->img.off_align = 4096;
	load.k.bd->img.mem_align = 4096;
	load.k.bd->img.no_punch = true;
	load.k.bd->img.no_zero = true;
	load_run(&load, ~0ull, 6000);
	load_fini(&load);
}

static void old_driver(void)
{
	load_init(&load, "", 5);
	load_run(&load, ~(1ull << VIRTIO_RING_F_EVENT_IDX | 1ull << VIRTIO_BLK_F_FLUSH), 2000);
	load_fini(&load);
}

static void sync_child(void)
{
	load_init(&load, "", 6);
	load_run(&load, ~0ull, 4000);
	ksft_check(load.k.bd->be->ops == &blk_sync_ops);
	load_fini(&load);
}

static void no_io_uring(void)
{
	const struct deny deny[] = { { __NR_io_uring_setup, EPERM } };

	in_child(deny, ARRAY_SIZE(deny), sync_child);
}

static uint8_t flush_once(struct disk *k)
{
	disk_start(k, ~0ull);
	return disk_io(k, VIRTIO_BLK_T_FLUSH, 0, 0, 0);
}

/*
 * Reset with up to 64 requests in flight, and use the disk again: all memory that the device knew
 * stays as it was, and every sector holds what it held or what was being written.
 */
static void reset_in_the_middle(void)
{
	struct vdrv *d = &load.k.d;
	uint8_t *arena, *copy, *image;
	unsigned int round, i, j;
	uint64_t arena_len = DEPTH * SLOT;

	load_init(&load, "", 7);
	arena = vdrv_hva(d, load.arena, arena_len);
	copy = malloc(arena_len);
	image = malloc(SIZE);
	for (round = 0; round < 40; round++) {
		/* Each start makes new rings in memory that is never freed: enough for 40. */
		vdrv_start(d, load.k.m, ~0ull, 0, 64);
		submit_some(&load, DEPTH);
		ksft_check(load.inflight);
		for (i = rnd(&load, 20); i; i--)
			sched_yield();
		vdrv_reset(d);
		memcpy(copy, arena, arena_len);
		/* Writes of the model may not have happened: the disk has the last word. */
		disk_peek(&load.k, 0, image, SIZE);
		for (i = 0; i < DEPTH; i++) {
			if (!load.slot[i].busy)
				continue;
			for (j = 0; j < load.slot[i].n; j++) {
				uint64_t at = load.slot[i].sector + j;

				memcpy(load.model + at * 512, image + at * 512, 512);
				load.taken[at] = false;
			}
			load.slot[i].busy = false;
		}
		load.inflight = 0;
		ksft_memeq(image, load.model, SIZE);
		ksft_eq(flush_once(&load.k), VIRTIO_BLK_S_OK);
		ksft_memeq(arena, copy, arena_len);
		vdrv_reset(d);
	}
	vdrv_start(d, load.k.m, ~0ull, 0, 0);
	run(&load, 500);
	check_image(&load);
	free(copy);
	free(image);
	load_fini(&load);
}

int main(int argc, char **argv)
{
	ksft_case("random I/O through the page cache", buffered);
	ksft_case("random direct I/O", direct);
	ksft_case("random I/O on tmpfs", in_memory);
	ksft_case("random I/O on large blocks", large_blocks);
	ksft_case("random I/O on large blocks without fallocate", large_blocks_and_no_fallocate);
	ksft_case("random I/O without flush and event index", old_driver);
	ksft_case("random I/O where io_uring is not permitted", no_io_uring);
	ksft_case("resets in the middle", reset_in_the_middle);
	return ksft_run(argc, argv);
}
