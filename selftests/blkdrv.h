/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A disk under test: an image in a temporary file, the device made from option text as on the
 * command line, the test driver attached, and single requests with the buffers cut as a case wants
 * them. Included by the native block tests. A case that fails leaves its disk behind; the image has
 * no name by then.
 */
#ifndef LODGE_BLKDRV_H
#define LODGE_BLKDRV_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blk.h"
#include "kselftest.h"
#include "table.h"
#include "util.h"
#include "vdrv.h"

#define DISK_WAIT_MS 30000

struct disk {
	struct vdrv d;
	struct vdev *vd;
	struct blk_dev *bd;
	struct vmmio *m;
	int fd; /* the image, for the test's own eyes */
	char path[128];
	uint64_t hdr, status; /* guest-physical */
};

/* Make a device from the text behind --disk. */
static inline int disk_create(const char *text, const struct gmem *mem, struct vdev **out,
			      struct err *err)
{
	char *copy = strdup(text);
	void *cfg = calloc(1, blk_ops.cfg_size);
	int ret;

	ret = opt_parse_list(blk_ops.opts, "--disk", copy, cfg, err);
	if (!ret)
		ret = blk_ops.create(cfg, mem, out, err);
	free(cfg);
	free(copy);
	return ret;
}

/* An image of @size bytes whose byte n is n / 512 + n, so that no two sectors are equal soon. */
static inline int disk_image(char *path, size_t len, const char *dir, uint64_t size)
{
	uint8_t buf[4096];
	uint64_t off;
	unsigned int i;
	int fd;

	snprintf(path, len, "%s/lodge-blk.XXXXXX", dir ? dir : getenv("TMPDIR") ?: "/tmp");
	if (dir && access(dir, W_OK))
		ksft_skip("no %s here", dir);
	fd = mkostemp(path, O_CLOEXEC);
	ksft_check(fd >= 0);
	for (off = 0; off < size; off += sizeof(buf)) {
		for (i = 0; i < sizeof(buf); i++)
			buf[i] = (off + i) / 512 * 7 + i;
		ksft_check(pwrite(fd, buf, MIN(sizeof(buf), size - off), off) > 0);
	}
	/* Direct I/O must find it, and discards must have something to give back. */
	ksft_eq(fsync(fd), 0);
	return fd;
}

/* @keys: ",ro" and the like; not started yet, so that a case may change what it wants. */
static inline void disk_open_in(struct disk *k, const char *dir, uint64_t size, const char *keys)
{
	struct err err = { 0 };
	char text[256];
	int ret;

	memset(k, 0, sizeof(*k));
	k->fd = disk_image(k->path, sizeof(k->path), dir, size);
	vdrv_init(&k->d);
	snprintf(text, sizeof(text), "%s%s", k->path, keys);
	ret = disk_create(text, &k->d.mem, &k->vd, &err);
	if (ret)
		ksft_msg("%s", err.msg);
	unlink(k->path);
	ksft_eq(ret, 0);
	k->bd = container_of(k->vd, struct blk_dev, vd);
	strcpy(k->vd->label, "blk0");
	ksft_eq(vmmio_create(k->vd, &k->m), 0);
	k->hdr = vdrv_alloc(&k->d, sizeof(struct virtio_blk_outhdr), 16);
	k->status = vdrv_alloc(&k->d, 1, 1);
}

static inline void disk_open(struct disk *k, uint64_t size, const char *keys)
{
	disk_open_in(k, NULL, size, keys);
}

static inline void disk_start(struct disk *k, uint64_t features)
{
	vdrv_start(&k->d, k->m, features, 0, 0);
}

/* Opened and started with all features. */
static inline void disk_up(struct disk *k, uint64_t size, const char *keys)
{
	disk_open(k, size, keys);
	disk_start(k, ~0ull);
}

static inline void disk_down(struct disk *k)
{
	vmmio_destroy(k->m);
	vdev_reset(k->vd);
	blk_ops.destroy(k->vd);
	vdrv_fini(&k->d);
	close(k->fd);
}

static inline void disk_hdr(struct disk *k, uint64_t gpa, uint32_t type, uint64_t sector)
{
	struct virtio_blk_outhdr h = { .type = htole32(type), .sector = htole64(sector) };

	memcpy(vdrv_hva(&k->d, gpa, sizeof(h)), &h, sizeof(h));
}

/* Run one chain to its end. Return: used length; fails the case when it does not come back. */
static inline uint32_t disk_chain(struct disk *k, const struct vdrv_buf *b, unsigned int nout,
				  unsigned int nin, bool indirect)
{
	uint16_t head;
	uint32_t len;
	int added = vdrv_add(&k->d.q[0], b, nout, nin, indirect);

	ksft_check(added >= 0);
	vdrv_kick(&k->d.q[0]);
	ksft_check(vdrv_wait_used(&k->d.q[0], &head, &len, DISK_WAIT_MS));
	ksft_eq(head, added);
	return len;
}

/*
 * The plain request: header, one data buffer (none when @len is 0), status.
 * Return: status byte; the used length in @used when that is not NULL.
 */
static inline uint8_t disk_io_len(struct disk *k, uint32_t type, uint64_t sector, uint64_t gpa,
				  uint32_t len, uint32_t *used)
{
	bool in = type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID;
	uint8_t *status = vdrv_hva(&k->d, k->status, 1);
	struct vdrv_buf b[3] = { { k->hdr, sizeof(struct virtio_blk_outhdr) } };
	unsigned int n = 1;
	uint32_t got;

	disk_hdr(k, k->hdr, type, sector);
	*status = 0xee;
	if (len)
		b[n++] = (struct vdrv_buf){ gpa, len };
	b[n++] = (struct vdrv_buf){ k->status, 1 };
	got = disk_chain(k, b, 1 + (len && !in), 1 + (len && in), false);
	if (used)
		*used = got;
	return *status;
}

static inline uint8_t disk_io(struct disk *k, uint32_t type, uint64_t sector, uint64_t gpa,
			      uint32_t len)
{
	return disk_io_len(k, type, sector, gpa, len, NULL);
}

/* What the image holds, read behind the device's back. */
static inline void disk_peek(struct disk *k, uint64_t off, void *buf, size_t len)
{
	ksft_eq(pread(k->fd, buf, len, off), len);
}

/* One range of a discard or write-zeroes request, in guest memory. */
static inline void disk_range(void *at, uint64_t sector, uint32_t n, uint32_t flags)
{
	struct virtio_blk_discard_write_zeroes r = { .sector = htole64(sector),
						     .num_sectors = htole32(n),
						     .flags = htole32(flags) };

	memcpy(at, &r, sizeof(r));
}

#endif
