// SPDX-License-Identifier: GPL-2.0-only
/*
 * Opening disk images: what may be a disk, who may have it, how big it is, and how direct I/O wants
 * its buffers. All of it before the guest runs, on the main thread; every refusal is one line that
 * says what to do. Requests are no business of this file.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "blk_image.h"
#include "log.h"
#include "util.h"

#define SECTOR 512u

static const struct {
	unsigned int off;
	unsigned int len;
	const char *magic;
	const char *name;
} blk_formats[] = {
	{ 0, 4, "QFI\xfb", "qcow2" }, { 0, 4, "QED\0", "qed" },
	{ 0, 4, "KDMV", "vmdk" },     { 0, 8, "vhdxfile", "vhdx" },
	{ 0, 8, "conectix", "vpc" },  { 0x40, 4, "\x7f\x10\xda\xbe", "vdi" },
};

/* Asked before opening: to open a tape or a watchdog does things. */
static int image_check_type(const char *path, mode_t mode, struct err *err)
{
	if (S_ISREG(mode) || S_ISBLK(mode))
		return 0;
	return err_set(err, S_ISDIR(mode) ? -EISDIR : -EINVAL,
		       "--disk %s: is a %s; give a raw image file or a block device", path,
		       S_ISDIR(mode)	? "directory"
		       : S_ISFIFO(mode) ? "FIFO"
		       : S_ISSOCK(mode) ? "socket"
					: "character device");
}

static int image_open_error(const char *path, bool ro, int code, struct err *err)
{
	switch (code) {
	case -ENOENT:
		return err_set(
			err, code,
			"--disk %s: no such file; make an empty disk with 'truncate -s 8G %s'",
			path, path);
	case -EBUSY:
		return err_set(err, code,
			       "--disk %s: in use by the host (mounted, or part of an array); "
			       "release it, or add ,ro",
			       path);
	case -EACCES:
	case -EPERM:
	case -EROFS:
		if (!ro && access(path, R_OK) == 0)
			return err_set(err, code,
				       "--disk %s: not writable (%s); add ,ro to use it read-only",
				       path, strerror(-code));
		break;
	}
	return err_set(err, code, "--disk %s: cannot open: %s", path, strerror(-code));
}

/*
 * Readers share, a writer is alone. The lock belongs to the open file, not to the process or a
 * path, and goes with it however the process ends.
 */
static int image_lock(int fd, const char *path, bool ro, struct err *err)
{
	struct flock fl = { .l_type = ro ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET };

	if (fcntl(fd, F_OFD_SETLK, &fl) == 0)
		return 0;
	if (errno == EAGAIN || errno == EACCES)
		return err_set(err, -EBUSY,
			       "--disk %s: in use by another process; stop it, or give ,ro to both",
			       path);
	log_warn("--disk %s: this file system has no locks (%s); nothing guards against a second "
		 "writer",
		 path, strerror(errno));
	return 0;
}

static int image_check_format(int fd, const char *path, struct err *err)
{
	char head[SECTOR];
	unsigned int i;
	ssize_t n;

	n = pread(fd, head, sizeof(head), 0);
	if (n < 0)
		return err_set(err, -errno, "--disk %s: cannot read: %s", path, strerror(errno));
	if (n < (ssize_t)sizeof(head))
		return err_set(err, -EIO, "--disk %s: cannot read the first sector", path);
	for (i = 0; i < ARRAY_SIZE(blk_formats); i++) {
		const char *name = blk_formats[i].name;

		if (memcmp(head + blk_formats[i].off, blk_formats[i].magic, blk_formats[i].len))
			continue;
		return err_set(err, -EINVAL,
			       "--disk %s: is a %s image; convert it with 'qemu-img convert -f %s "
			       "-O raw %s NEW'",
			       path, name, name, path);
	}
	return 0;
}

static int image_measure(struct blk_image *img, const struct stat *st, const char *path,
			 struct err *err)
{
	unsigned int pba = 0, io_min = 0, io_opt = 0;
	int lba = 0;

	img->lba_size = SECTOR;
	/* Files: whole pages, as the page cache and most file systems work. */
	img->pba_size = 4096;
	img->io_min = 4096;
	img->size = st->st_size;
	if (S_ISBLK(st->st_mode)) {
		if (ioctl(img->lock_fd, BLKGETSIZE64, &img->size) ||
		    ioctl(img->lock_fd, BLKSSZGET, &lba))
			return err_set(err, -errno, "--disk %s: cannot tell its size: %s", path,
				       strerror(errno));
		img->lba_size = lba;
		if (ioctl(img->lock_fd, BLKPBSZGET, &pba) == 0)
			img->pba_size = MAX(pba, img->lba_size);
		if (ioctl(img->lock_fd, BLKIOMIN, &io_min) == 0)
			img->io_min = MAX(io_min, img->pba_size);
		if (ioctl(img->lock_fd, BLKIOOPT, &io_opt) == 0)
			img->io_opt = io_opt;
	}
	if (img->size < SECTOR)
		return err_set(err, -EINVAL,
			       "--disk %s: is empty; give it a size with 'truncate -s 8G %s'", path,
			       path);
	return 0;
}

/* Before Linux 6.1 nobody says what direct I/O wants: try. 0 when nothing works. */
static uint32_t image_probe_align(int fd, uint8_t *buf, unsigned int shift_buf)
{
	uint32_t align;

	for (align = SECTOR; align <= BLK_ALIGN_MAX; align <<= 1)
		if (pread(fd, buf + (shift_buf ? align : 0), align, align) >= 0 || errno != EINVAL)
			return align;
	return 0;
}

/*
 * Alignments of direct I/O on @fd, checked by a read.
 * Return: NULL, or why it is not possible.
 */
static const char *image_direct_align(struct blk_image *img, int fd)
{
	uint8_t *buf = NULL;
	const char *why = NULL;
	struct statx sx;

	if (posix_memalign((void **)&buf, BLK_ALIGN_MAX, 2 * BLK_ALIGN_MAX))
		return "out of memory";
	memset(&sx, 0, sizeof(sx));
	if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &sx) == 0 &&
	    (sx.stx_mask & STATX_DIOALIGN)) {
		img->mem_align = sx.stx_dio_mem_align;
		img->off_align = sx.stx_dio_offset_align;
	} else {
		img->off_align = image_probe_align(fd, buf, 0);
		img->mem_align = image_probe_align(fd, buf, 1);
	}
	if (!img->mem_align || !img->off_align)
		why = "its file system has no direct I/O";
	else if (img->mem_align > BLK_ALIGN_MAX || img->off_align > BLK_ALIGN_MAX)
		why = "direct I/O needs blocks above 4 KiB here";
	else if (img->size % img->off_align)
		why = "its size is not a multiple of the block that direct I/O needs";
	else if (pread(fd, buf, img->off_align, 0) != (ssize_t)img->off_align)
		why = "a direct read failed";
	free(buf);
	return why;
}

/* Open @path a second time, for I/O: it must still be the same file. */
static int image_reopen(const char *path, int flags, const struct stat *st)
{
	struct stat now;
	int fd;

	fd = open(path, flags | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &now) || now.st_dev != st->st_dev || now.st_ino != st->st_ino) {
		close(fd);
		return -ESTALE;
	}
	return fd;
}

static bool image_in_memory(const struct blk_image *img)
{
	struct statfs fs;

	return fstatfs(img->lock_fd, &fs) == 0 &&
	       (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
}

static int image_open_io(struct blk_image *img, const char *path, const struct stat *st,
			 enum blk_direct direct, struct err *err)
{
	int flags = img->ro ? O_RDONLY : O_RDWR;
	const char *why = NULL;

	/* Recent kernels take O_DIRECT on tmpfs, where there is nothing to bypass. */
	img->in_memory = S_ISREG(st->st_mode) && image_in_memory(img);
	if (direct == BLK_DIRECT_ON || (direct == BLK_DIRECT_AUTO && !img->in_memory)) {
		img->fd = image_reopen(path, flags | O_DIRECT, st);
		if (img->fd >= 0)
			why = image_direct_align(img, img->fd);
		else if (img->fd == -EINVAL)
			why = "its file system has no direct I/O";
		else
			return image_open_error(path, img->ro, img->fd, err);
		if (!why) {
			img->direct = true;
			img->pba_size = MAX(img->pba_size, img->off_align);
			return 0;
		}
		if (direct == BLK_DIRECT_ON)
			return err_set(err, -EINVAL, "--disk %s: direct=on: %s; use direct=off",
				       path, why);
		log_debug("--disk %s: no direct I/O: %s", path, why);
		if (img->fd >= 0)
			close(img->fd);
	}
	img->mem_align = 1;
	img->off_align = 1;
	img->fd = image_reopen(path, flags, st);
	return img->fd < 0 ? image_open_error(path, img->ro, img->fd, err) : 0;
}

int blk_image_open(struct blk_image *img, const char *path, bool ro, enum blk_direct direct,
		   struct err *err)
{
	int flags = (ro ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK;
	struct stat st;
	int ret;

	memset(img, 0, sizeof(*img));
	img->fd = -1;
	img->lock_fd = -1;
	img->ro = ro;
	if (stat(path, &st))
		return image_open_error(path, ro, -errno, err);
	ret = image_check_type(path, st.st_mode, err);
	if (ret)
		return ret;
	/* Root may write to anything; a file that is marked read-only was marked by somebody. */
	if (!ro && S_ISREG(st.st_mode) && !(st.st_mode & 0222))
		return image_open_error(path, ro, -EACCES, err);
	/* On a block device, O_EXCL keeps out what the host has mounted, and mounts after us. */
	if (!ro && S_ISBLK(st.st_mode))
		flags |= O_EXCL;
	img->lock_fd = open(path, flags);
	if (img->lock_fd < 0)
		return image_open_error(path, ro, -errno, err);
	if (fstat(img->lock_fd, &st)) {
		ret = image_open_error(path, ro, -errno, err);
		goto err_close;
	}
	ret = image_check_type(path, st.st_mode, err);
	if (ret)
		goto err_close;
	ret = image_lock(img->lock_fd, path, ro, err);
	if (ret)
		goto err_close;
	ret = image_measure(img, &st, path, err);
	if (ret)
		goto err_close;
	ret = image_check_format(img->lock_fd, path, err);
	if (ret)
		goto err_close;
	ret = image_open_io(img, path, &st, direct, err);
	if (ret)
		goto err_close;
	return 0;

err_close:
	blk_image_close(img);
	return ret;
}

void blk_image_close(struct blk_image *img)
{
	/* The I/O descriptor first: whoever takes the lock next must find our writes made. */
	if (img->fd >= 0)
		close(img->fd);
	if (img->lock_fd >= 0)
		close(img->lock_fd);
	img->fd = -1;
	img->lock_fd = -1;
}
