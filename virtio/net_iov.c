// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copies to and from scattered buffers, for the network device. No state, any thread. Both ends are
 * trusted: guest addresses were checked when the chain was popped.
 */
#include <string.h>

#include "net.h"

size_t net_iov_len(const struct iovec *iov, unsigned int n)
{
	size_t len = 0;
	unsigned int i;

	for (i = 0; i < n; i++)
		len += iov[i].iov_len;
	return len;
}

size_t net_iov_read(const struct iovec *iov, unsigned int n, size_t off, void *buf, size_t len)
{
	size_t done = 0, part;
	unsigned int i;

	for (i = 0; i < n && done < len; i++) {
		if (off >= iov[i].iov_len) {
			off -= iov[i].iov_len;
			continue;
		}
		part = MIN(iov[i].iov_len - off, len - done);
		memcpy((uint8_t *)buf + done, (uint8_t *)iov[i].iov_base + off, part);
		done += part;
		off = 0;
	}
	return done;
}

size_t net_iov_write(const struct iovec *iov, unsigned int n, size_t off, const void *buf,
		     size_t len)
{
	size_t done = 0, part;
	unsigned int i;

	for (i = 0; i < n && done < len; i++) {
		if (off >= iov[i].iov_len) {
			off -= iov[i].iov_len;
			continue;
		}
		part = MIN(iov[i].iov_len - off, len - done);
		memcpy((uint8_t *)iov[i].iov_base + off, (const uint8_t *)buf + done, part);
		done += part;
		off = 0;
	}
	return done;
}
