// SPDX-License-Identifier: GPL-2.0-only
/*
 * File systems of the guest's init: the kernel's own at start, the root disk of root=, the way into
 * it, and unmounting at the end. Called by init.c only.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "init.h"

struct early_mount {
	const char *source, *target, *type, *data;
	unsigned long flags;
};

static const struct early_mount early_mounts[] = {
	{ "proc", "/proc", "proc", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC },
	{ "sysfs", "/sys", "sysfs", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC },
	{ "devtmpfs", "/dev", "devtmpfs", "mode=0755", MS_NOSUID },
	{ "devpts", "/dev/pts", "devpts", "mode=0620,gid=5,ptmxmode=0666", MS_NOSUID | MS_NOEXEC },
	{ "shm", "/dev/shm", "tmpfs", "mode=1777", MS_NOSUID | MS_NODEV },
	{ "run", "/run", "tmpfs", "mode=0755", MS_NOSUID | MS_NODEV },
	{ "tmp", "/tmp", "tmpfs", "mode=1777", MS_NOSUID | MS_NODEV },
};

static const char *const kernel_fs[] = { "/proc", "/sys", "/dev", "/run" };

void mount_early(void)
{
	const struct early_mount *m;
	size_t i;

	for (i = 0; i < sizeof(early_mounts) / sizeof(early_mounts[0]); i++) {
		m = &early_mounts[i];
		mkdir(m->target, 0755);
		if (mount(m->source, m->target, m->type, m->flags, m->data) && errno != EBUSY)
			init_note("mount %s: %s", m->target, strerror(errno));
	}
	/* What udev would make. */
	(void)!symlink("/proc/self/fd", "/dev/fd");
	(void)!symlink("/proc/self/fd/0", "/dev/stdin");
	(void)!symlink("/proc/self/fd/1", "/dev/stdout");
	(void)!symlink("/proc/self/fd/2", "/dev/stderr");
}

/*
 * pivot_root refuses to work on the kernel's rootfs itself. A bind mount of it, moved over "/", is
 * the same files behind an ordinary mount, at no cost in memory.
 */
void mount_private_root(void)
{
	if (mount("/", "/root", NULL, MS_BIND, NULL)) {
		init_note("bind mount of the initramfs: %s", strerror(errno));
		return;
	}
	mount_take_kernel_fs("/root", MS_MOVE);
	/* /tmp is not taken along by name elsewhere: a root disk has its own. */
	mount("/tmp", "/root/tmp", NULL, MS_MOVE, NULL);
	if (chdir("/root") || mount(".", "/", NULL, MS_MOVE, NULL) || chroot(".") || chdir("/"))
		init_note("moving the initramfs's mount: %s", strerror(errno));
}

void mount_take_kernel_fs(const char *newroot, unsigned long how)
{
	char target[64];
	size_t i;

	for (i = 0; i < sizeof(kernel_fs) / sizeof(kernel_fs[0]); i++) {
		snprintf(target, sizeof(target), "%s%s", newroot, kernel_fs[i]);
		mkdir(target, 0755);
		if (mount(kernel_fs[i], target, NULL, how, NULL))
			init_note("%s in the new root: %s", kernel_fs[i], strerror(errno));
	}
}

static bool is_block(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISBLK(st.st_mode);
}

/* LABEL=... and UUID=...: busybox's findfs knows the super blocks. */
static bool find_by_tag(const char *tag, char *path, size_t size)
{
	const char *const argv[] = { "/bin/sh", "-c", "findfs \"$0\" >/run/rootdev 2>/dev/null",
				     tag, NULL };
	ssize_t n;
	int fd;

	if (init_spawn_wait(argv) != 0)
		return false;
	fd = open("/run/rootdev", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, path, size - 1);
	close(fd);
	if (n <= 0)
		return false;
	path[n] = '\0';
	path[strcspn(path, "\n")] = '\0';
	return is_block(path);
}

static bool wait_for_root(const char *root, char *path, size_t size)
{
	int ms;

	for (ms = 0; ms <= INIT_DEVICE_WAIT_MS; ms += 20) {
		if (root[0] == '/') {
			snprintf(path, size, "%s", root);
			if (is_block(path))
				return true;
		} else if (find_by_tag(root, path, size)) {
			return true;
		}
		usleep(20000);
	}
	return false;
}

/*
 * Without rootfstype=: whatever block file system the kernel knows by now, in its order; but ext4
 * first, because its ext2 and ext3 guises complain about ext4's features.
 */
static int mount_any_type(const char *dev, unsigned long flags, const char *data)
{
	char line[128], *type;
	int err = -ENODEV;
	FILE *f;

	if (!mount(dev, "/root", "ext4", flags, data))
		return 0;
	f = fopen("/proc/filesystems", "re");
	if (!f)
		return -errno;
	while (fgets(line, sizeof(line), f)) {
		if (line[0] != '\t')
			continue;
		type = line + 1;
		type[strcspn(type, "\n")] = '\0';
		if (!mount(dev, "/root", type, flags, data)) {
			err = 0;
			break;
		}
		err = -errno;
		if (err == -EACCES || err == -EROFS)
			break;
	}
	fclose(f);
	return err;
}

int mount_root(void)
{
	const char *root = cmdline_get("root"), *type = cmdline_get("rootfstype");
	const char *data = cmdline_get("rootflags");
	unsigned long flags = cmdline_get("rw") ? 0 : MS_RDONLY;
	char dev[128];
	int err;

	if (!root || !*root)
		return -ENOENT;
	if (!wait_for_root(root, dev, sizeof(dev))) {
		fprintf(stderr, "init: root=%s: no such device\n", root);
		return -ENXIO;
	}
	if (type)
		err = mount(dev, "/root", type, flags, data) ? -errno : 0;
	else
		err = mount_any_type(dev, flags, data);
	if (err)
		fprintf(stderr, "init: root=%s: mount: %s\n", root, strerror(-err));
	return err;
}

/* Removes the files of the initramfs, and nothing that is on another file system. */
static void remove_tree(int dirfd, dev_t dev)
{
	struct dirent *e;
	struct stat st;
	DIR *dir;
	int fd;

	dir = fdopendir(dirfd);
	if (!dir) {
		close(dirfd);
		return;
	}
	while ((e = readdir(dir))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (fstatat(dirfd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) || st.st_dev != dev)
			continue;
		if (S_ISDIR(st.st_mode)) {
			fd = openat(dirfd, e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
			if (fd >= 0)
				remove_tree(fd, dev);
		}
		unlinkat(dirfd, e->d_name, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0);
	}
	closedir(dir);
}

int mount_switch_root(const char *newroot)
{
	struct stat st;
	int old;

	umount2("/tmp", MNT_DETACH);
	mount_take_kernel_fs(newroot, MS_MOVE);
	old = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (old < 0 || fstat(old, &st))
		return -errno;
	if (chdir(newroot) || mount(".", "/", NULL, MS_MOVE, NULL) || chroot(".") || chdir("/")) {
		close(old);
		return -errno;
	}
	remove_tree(old, st.st_dev);
	return 0;
}

void mount_all_off(void)
{
	char targets[64][128];
	char line[512], source[128], target[128];
	int n = 0, i;
	FILE *f;

	f = fopen("/proc/self/mounts", "re");
	if (!f)
		return;
	while (n < 64 && fgets(line, sizeof(line), f))
		if (sscanf(line, "%127s %127s", source, target) == 2 && source[0] == '/')
			strcpy(targets[n++], target);
	fclose(f);
	for (i = n - 1; i >= 0; i--) {
		if (umount2(targets[i], 0) &&
		    mount(NULL, targets[i], NULL, MS_REMOUNT | MS_RDONLY, NULL) && errno != EINVAL)
			init_note("unmounting %s: %s", targets[i], strerror(errno));
	}
}
