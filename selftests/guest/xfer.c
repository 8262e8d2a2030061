// SPDX-License-Identifier: GPL-2.0-only
/*
 * Moves checkable data, in the guest and on its host alike:
 *
 *	xfer fill DIR MIB SEED		files of random sizes and contents; prints their sums
 *	xfer sum FILE...		prints "SUM SIZE NAME" of each
 *	xfer zero DISK OFFSET BYTES	has the block layer write zeroes
 *	xfer listen PORT WHAT		one TCP connection: WHAT is "recv", or "send BYTES SEED";
 *	xfer connect HOST PORT WHAT	prints "SUM BYTES recv" or "SUM BYTES send"
 *
 * Exit status 0, or 1 with a line on stderr. HOST is an IPv4 address. Connecting is tried again for
 * as long as nobody listens, up to 60 s.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pattern.h"

static uint8_t buf[256 << 10];

static void die(const char *what)
{
	fprintf(stderr, "xfer: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void write_all(int fd, const uint8_t *p, size_t len, const char *what)
{
	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0)
			die(what);
		p += n;
		len -= n;
	}
}

/* @len bytes of the sequence @seed to @fd. Return: their sum. */
static uint64_t produce(int fd, uint64_t len, uint64_t seed, const char *what)
{
	uint64_t state = seed * 2 + 1, sum = 1;
	size_t n;

	for (; len; len -= n) {
		n = len < sizeof(buf) ? len : sizeof(buf);
		pattern_fill(&state, buf, n);
		sum = pattern_sum(sum, buf, n);
		write_all(fd, buf, n, what);
	}
	return sum;
}

/* Everything up to the end of @fd. A sum wants whole buffers, whatever pieces come. */
static uint64_t consume(int fd, uint64_t *len, const char *what)
{
	uint64_t sum = 1;
	size_t fill;
	ssize_t n;

	*len = 0;
	do {
		for (fill = 0; fill < sizeof(buf); fill += n) {
			n = read(fd, buf + fill, sizeof(buf) - fill);
			if (n < 0)
				die(what);
			if (!n)
				break;
		}
		sum = pattern_sum(sum, buf, fill);
		*len += fill;
	} while (fill == sizeof(buf));
	return sum;
}

static int fill(const char *dir, uint64_t left, uint64_t seed)
{
	uint64_t state = seed * 2 + 1, size, sum;
	unsigned int i;
	char name[32];
	int fd;

	if (chdir(dir))
		die(dir);
	for (i = 0; left; i++) {
		/* Many small ones, some of megabytes. */
		size = pattern_next(&state) % (i % 4 ? 64 << 10 : 8 << 20) + 1;
		if (size > left)
			size = left;
		snprintf(name, sizeof(name), "f%05u", i);
		fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0644);
		if (fd < 0)
			die(name);
		sum = produce(fd, size, pattern_next(&state), name);
		if (close(fd))
			die(name);
		printf("%016" PRIx64 " %" PRIu64 " %s\n", sum, size, name);
		left -= size;
	}
	return 0;
}

static int sums(char **files)
{
	const char *base;
	uint64_t len, sum;
	int fd;

	for (; *files; files++) {
		base = strrchr(*files, '/');
		fd = open(*files, O_RDONLY);
		if (fd < 0)
			die(*files);
		sum = consume(fd, &len, *files);
		printf("%016" PRIx64 " %" PRIu64 " %s\n", sum, len, base ? base + 1 : *files);
		close(fd);
	}
	return 0;
}

static int tcp_listen(int port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(port) };
	int sk = socket(AF_INET, SOCK_STREAM, 0), one = 1, fd;

	setsockopt(sk, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(sk, (struct sockaddr *)&sin, sizeof(sin)) || listen(sk, 1))
		die("listen");
	fd = accept(sk, NULL, NULL);
	if (fd < 0)
		die("accept");
	close(sk);
	return fd;
}

static int tcp_connect(const char *host, int port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(port) };
	int i, sk;

	if (inet_pton(AF_INET, host, &sin.sin_addr) != 1) {
		errno = EINVAL;
		die(host);
	}
	for (i = 0;; i++) {
		sk = socket(AF_INET, SOCK_STREAM, 0);
		if (!connect(sk, (struct sockaddr *)&sin, sizeof(sin)))
			return sk;
		if (errno != ECONNREFUSED || i == 600)
			die("connect");
		close(sk);
		usleep(100000);
	}
}

static int transfer(int sk, char **what)
{
	uint64_t len, sum;
	char c;

	if (!strcmp(what[0], "recv")) {
		sum = consume(sk, &len, "recv");
	} else {
		len = strtoull(what[1], NULL, 0);
		sum = produce(sk, len, strtoull(what[2], NULL, 0), "send");
		/* All of it has arrived when the other side closes, too. */
		if (shutdown(sk, SHUT_WR) || read(sk, &c, 1) != 0)
			die("the end of send");
	}
	printf("%016" PRIx64 " %" PRIu64 " %s\n", sum, len, what[0]);
	close(sk);
	return 0;
}

static int zero(const char *disk, uint64_t offset, uint64_t bytes)
{
	uint64_t range[2] = { offset, bytes };
	int fd = open(disk, O_WRONLY);

	if (fd < 0 || ioctl(fd, BLKZEROOUT, range) || fsync(fd))
		die(disk);
	close(fd);
	return 0;
}

static int usage(void)
{
	fputs("usage: xfer fill DIR MIB SEED | sum FILE... | zero DISK OFFSET BYTES |\n"
	      "       listen PORT WHAT | connect HOST PORT WHAT\n       WHAT: recv | send BYTES "
	      "SEED\n",
	      stderr);
	return 2;
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	if (argc == 5 && !strcmp(argv[1], "fill"))
		return fill(argv[2], strtoull(argv[3], NULL, 0) << 20, strtoull(argv[4], NULL, 0));
	if (argc >= 3 && !strcmp(argv[1], "sum"))
		return sums(argv + 2);
	if (argc == 5 && !strcmp(argv[1], "zero"))
		return zero(argv[2], strtoull(argv[3], NULL, 0), strtoull(argv[4], NULL, 0));
	if ((argc == 4 || argc == 6) && !strcmp(argv[1], "listen"))
		return transfer(tcp_listen(atoi(argv[2])), argv + 3);
	if ((argc == 5 || argc == 7) && !strcmp(argv[1], "connect"))
		return transfer(tcp_connect(argv[2], atoi(argv[3])), argv + 4);
	return usage();
}
