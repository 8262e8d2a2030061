// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reading the user's files; see boot_file.h. Main thread, before the guest runs; no state.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "boot_file.h"
#include "util.h"

int boot_file_open(const char *opt, const char *path, uint64_t *size, struct err *err)
{
	struct stat st;
	int fd, ret;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return err_set(err, -errno, "%s %s: %s", opt, path, strerror(errno));
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		ret = err_set(err, -EINVAL, "%s %s: not a regular file", opt, path);
		goto close;
	}
	if (!st.st_size) {
		ret = err_set(err, -ENODATA, "%s %s: the file is empty", opt, path);
		goto close;
	}
	*size = st.st_size;
	return fd;
close:
	close(fd);
	return ret;
}

/* However many calls it takes. */
int boot_file_read(int fd, void *buf, uint64_t len, uint64_t off)
{
	uint8_t *p = buf;

	while (len) {
		ssize_t n = pread(fd, p, MIN(len, 1ull << 30), off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -ENODATA;
		p += n;
		off += n;
		len -= n;
	}
	return 0;
}
