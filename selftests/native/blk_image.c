// SPDX-License-Identifier: GPL-2.0-only
/*
 * What may be a disk and who may have it: every refusal is one line with a remedy, and nothing is
 * left open or locked.
 */
#include <errno.h>
#include <linux/loop.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "blkdrv.h"

static const struct gmem no_mem;

/* An option text that is refused with @code, in one line that holds each of @w1, @w2. */
static void refused(const char *text, int code, const char *w1, const char *w2)
{
	struct err err = { 0 };
	struct vdev *vd = NULL;

	ksft_eq(disk_create(text, &no_mem, &vd, &err), code);
	ksft_check(!vd);
	ksft_eq(err.code, code);
	if (strchr(err.msg, '\n') || strncmp(err.msg, "--disk", 6) || !strstr(err.msg, w1) ||
	    !strstr(err.msg, w2))
		ksft_fail("message: %s", err.msg);
}

static struct vdev *accepted(const char *text)
{
	struct err err = { 0 };
	struct vdev *vd = NULL;

	if (disk_create(text, &no_mem, &vd, &err))
		ksft_fail("%s", err.msg);
	return vd;
}

static void missing(void)
{
	refused("/nonexistent/disk.img", -ENOENT, "no such file", "truncate");
	refused("", -EINVAL, "--disk", "empty");
	refused("ro=on,ro", -ENOENT, "no such file", "ro=on");
}

static void not_a_disk(void)
{
	char dir[64] = "/tmp/lodge-blk.XXXXXX", fifo[96];

	refused("/tmp", -EISDIR, "is a directory", "raw image file");
	refused("/tmp,ro", -EISDIR, "is a directory", "raw image file");
	refused("/dev/null", -EINVAL, "character device", "raw image file");
	ksft_check(mkdtemp(dir));
	snprintf(fifo, sizeof(fifo), "%s/fifo", dir);
	ksft_eq(mkfifo(fifo, 0600), 0);
	/* And does not wait for somebody to open the other end. */
	refused(fifo, -EINVAL, "FIFO", "raw image file");
	unlink(fifo);
	rmdir(dir);
}

static void empty_file(void)
{
	char path[128];
	int fd = disk_image(path, sizeof(path), NULL, 0);

	refused(path, -EINVAL, "is empty", "truncate");
	ksft_eq(ftruncate(fd, 511), 0);
	refused(path, -EINVAL, "is empty", "truncate");
	ksft_eq(ftruncate(fd, 512), 0);
	blk_ops.destroy(accepted(path));
	unlink(path);
	close(fd);
}

static void marked_read_only(void)
{
	char path[128], text[160];
	int fd = disk_image(path, sizeof(path), NULL, 4096);

	ksft_eq(fchmod(fd, 0444), 0);
	refused(path, -EACCES, "not writable", ",ro");
	snprintf(text, sizeof(text), "%s,ro", path);
	blk_ops.destroy(accepted(text));
	unlink(path);
	close(fd);
}

static void other_formats(void)
{
	static const struct {
		const char *name, *magic;
		unsigned int off, len;
	} f[] = { { "qcow2", "QFI\xfb", 0, 4 },
		  { "vmdk", "KDMV", 0, 4 },
		  { "vhdx", "vhdxfile", 0, 8 },
		  { "vdi", "\x7f\x10\xda\xbe", 64, 4 } };
	char path[128];
	unsigned int i;
	int fd;

	for (i = 0; i < ARRAY_SIZE(f); i++) {
		fd = disk_image(path, sizeof(path), NULL, 65536);
		ksft_eq(pwrite(fd, f[i].magic, f[i].len, f[i].off), f[i].len);
		refused(path, -EINVAL, f[i].name, "qemu-img convert");
		unlink(path);
		close(fd);
	}
}

static void bad_values(void)
{
	char path[128], text[256];
	int fd = disk_image(path, sizeof(path), NULL, 4096);
	static const struct {
		const char *keys, *w;
	} bad[] = { { "serial=123456789012345678901", "20 characters" },
		    { "direct=maybe", "auto, on or off" },
		    { "discard=1", "on or off" },
		    { "ro=1", "neither on nor off" },
		    { "format=raw", "unknown key" } };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(text, sizeof(text), "%s,%s", path, bad[i].keys);
		refused(text, -EINVAL, bad[i].w, "");
	}
	/* None of them kept the lock. */
	blk_ops.destroy(accepted(path));
	unlink(path);
	close(fd);
}

static void direct_impossible(void)
{
	char path[128], text[160];
	int fd = disk_image(path, sizeof(path), NULL, 4096 + 100);

	snprintf(text, sizeof(text), "%s,direct=on", path);
	refused(text, -EINVAL, "direct=on", "direct=off");
	/* auto takes the page cache instead. */
	blk_ops.destroy(accepted(path));
	unlink(path);
	close(fd);
}

static void writers_are_alone(void)
{
	char path[128], ro[160];
	int fd = disk_image(path, sizeof(path), NULL, 4096);
	struct vdev *a, *b;

	snprintf(ro, sizeof(ro), "%s,ro", path);
	a = accepted(path);
	refused(path, -EBUSY, "in use by another process", ",ro");
	refused(ro, -EBUSY, "in use by another process", ",ro");
	blk_ops.destroy(a);

	a = accepted(ro);
	b = accepted(ro);
	refused(path, -EBUSY, "in use by another process", ",ro");
	blk_ops.destroy(a);
	refused(path, -EBUSY, "in use by another process", ",ro");
	blk_ops.destroy(b);
	blk_ops.destroy(accepted(path));
	unlink(path);
	close(fd);
}

/* A process that has had a running disk is killed: the lock goes with it, at once. */
static void lock_goes_with_the_process(void)
{
	char path[128], c;
	int fd = disk_image(path, sizeof(path), NULL, 65536), status, ready[2], i;
	pid_t pid;

	for (i = 0; i < 20; i++) {
		ksft_eq(pipe(ready), 0);
		pid = fork();
		ksft_check(pid >= 0);
		if (!pid) {
			struct err err = { 0 };
			struct vdrv d;
			struct vdev *vd;
			struct vmmio *m;

			/* When the case fails before it kills us. */
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			vdrv_init(&d);
			if (disk_create(path, &d.mem, &vd, &err) || vmmio_create(vd, &m))
				_exit(1);
			vdrv_start(&d, m, ~0ull, 0, 0);
			if (write(ready[1], "", 1) != 1)
				_exit(2);
			for (;;)
				pause();
		}
		close(ready[1]);
		ksft_eq(read(ready[0], &c, 1), 1);
		close(ready[0]);
		refused(path, -EBUSY, "in use by another process", ",ro");
		kill(pid, SIGKILL);
		ksft_eq(waitpid(pid, &status, 0), pid);
		blk_ops.destroy(accepted(path));
	}
	unlink(path);
	close(fd);
}

/* Running, reset and destroyed in this process: free again, whatever io_uring still holds. */
static void lock_goes_with_the_device(void)
{
	char path[128];
	int fd = disk_image(path, sizeof(path), NULL, 65536), i;

	for (i = 0; i < 50; i++) {
		struct err err = { 0 };
		struct vdev *vd;
		struct vmmio *m;
		struct vdrv d;

		vdrv_init(&d);
		if (disk_create(path, &d.mem, &vd, &err))
			ksft_fail("%s", err.msg);
		ksft_eq(vmmio_create(vd, &m), 0);
		vdrv_start(&d, m, ~0ull, 0, 0);
		vmmio_destroy(m);
		vdev_reset(vd);
		blk_ops.destroy(vd);
		vdrv_fini(&d);
	}
	unlink(path);
	close(fd);
}

/* A loop device with 4 KiB sectors on @fd, or a skip. Taken apart when @loop is closed. */
static void loop_setup(int fd, char *path, size_t len, int *loop)
{
	struct loop_config cfg = {
		.fd = fd,
		.block_size = 4096,
		.info.lo_flags = LO_FLAGS_AUTOCLEAR,
	};
	int ctl = open("/dev/loop-control", O_RDWR | O_CLOEXEC), nr;

	if (ctl < 0)
		ksft_skip("no loop devices here: %s", strerror(errno));
	nr = ioctl(ctl, LOOP_CTL_GET_FREE);
	close(ctl);
	snprintf(path, len, "/dev/loop%d", nr);
	*loop = nr < 0 ? -1 : open(path, O_RDWR | O_CLOEXEC);
	if (*loop < 0)
		ksft_skip("no free loop device");
	if (ioctl(*loop, LOOP_CONFIGURE, &cfg)) {
		close(*loop);
		ksft_skip("no loop device with 4 KiB sectors: %s", strerror(errno));
	}
}

static void block_device(void)
{
	uint8_t want[8192], zero[4096] = { 0 };
	char path[128], dev[64];
	struct virtio_blk_config c;
	struct disk k = { 0 };
	struct err err = { 0 };
	uint64_t buf;
	uint8_t *p;
	int loop, excl;

	k.fd = disk_image(path, sizeof(path), NULL, MIB);
	unlink(path);
	loop_setup(k.fd, dev, sizeof(dev), &loop);

	/* Held by the host, as a mounted one is. */
	excl = open(dev, O_RDWR | O_EXCL | O_CLOEXEC);
	ksft_check(excl >= 0);
	refused(dev, -EBUSY, "in use by the host", ",ro");
	close(excl);

	vdrv_init(&k.d);
	if (disk_create(dev, &k.d.mem, &k.vd, &err))
		ksft_fail("%s", err.msg);
	refused(dev, -EBUSY, "in use", ",ro");
	k.bd = container_of(k.vd, struct blk_dev, vd);
	strcpy(k.vd->label, "blk0");
	ksft_eq(vmmio_create(k.vd, &k.m), 0);
	k.hdr = vdrv_alloc(&k.d, 16, 16);
	k.status = vdrv_alloc(&k.d, 1, 1);
	disk_start(&k, ~0ull);
	vdrv_config(&k.d, 0, &c, sizeof(c));
	ksft_eq(le64toh(c.capacity), MIB / 512);
	ksft_eq(le32toh(c.blk_size), 4096);
	buf = vdrv_alloc(&k.d, 8192, 4096);
	p = vdrv_hva(&k.d, buf, 8192);
	ksft_eq(disk_io(&k, VIRTIO_BLK_T_IN, 8, buf, 8192), VIRTIO_BLK_S_OK);
	ksft_eq(pread(loop, want, 8192, 4096), 8192);
	ksft_memeq(p, want, 8192);
	/* A driver that writes single sectors in spite of blk_size. */
	memset(p, 0x21, 512);
	ksft_eq(disk_io(&k, VIRTIO_BLK_T_OUT, 9, buf, 512), VIRTIO_BLK_S_OK);
	memset(want + 512, 0x21, 512);
	ksft_eq(disk_io(&k, VIRTIO_BLK_T_IN, 8, buf, 8192), VIRTIO_BLK_S_OK);
	ksft_memeq(p, want, 8192);
	disk_range(p, 16, 8, 0);
	ksft_eq(disk_io(&k, VIRTIO_BLK_T_WRITE_ZEROES, 0, buf, 16), VIRTIO_BLK_S_OK);
	/* Part of a block, which fallocate on a device refuses. */
	disk_range(p, 9, 1, 0);
	ksft_eq(disk_io(&k, VIRTIO_BLK_T_WRITE_ZEROES, 0, buf, 16), VIRTIO_BLK_S_OK);
	memset(want + 512, 0, 512);
	memset(want + 4096, 0, 4096);
	ksft_eq(disk_io(&k, VIRTIO_BLK_T_IN, 8, buf, 8192), VIRTIO_BLK_S_OK);
	ksft_memeq(p, want, 4096);
	ksft_memeq(p + 4096, zero, 4096);
	ksft_eq(disk_io(&k, VIRTIO_BLK_T_FLUSH, 0, 0, 0), VIRTIO_BLK_S_OK);
	disk_down(&k);
	close(loop);
}

int main(int argc, char **argv)
{
	ksft_case("missing file", missing);
	ksft_case("directory, FIFO, character device", not_a_disk);
	ksft_case("empty file", empty_file);
	ksft_case("file that is marked read-only", marked_read_only);
	ksft_case("images of other formats", other_formats);
	ksft_case("bad values of keys", bad_values);
	ksft_case("direct I/O that cannot be", direct_impossible);
	ksft_case("a second writer is refused", writers_are_alone);
	ksft_case("the lock goes with a killed process", lock_goes_with_the_process);
	ksft_case("the lock goes with the device", lock_goes_with_the_device);
	ksft_case("block device with 4 KiB sectors", block_device);
	return ksft_run(argc, argv);
}
