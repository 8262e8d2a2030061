// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the threads of TCP streams do: one send() or recv() for each message, and nothing else
 * without --verify. The time is looked at by the control thread, which sets run->stop. Called by
 * run.c only; a thread touches nothing but its own stream.
 */
#include <errno.h>

#include "netbench.h"
#include "pattern.h"

static int tcp_error(void)
{
	return errno == EAGAIN ? -ETIMEDOUT : -errno;
}

/* A test of so many bytes: this stream's share. The first ones take what does not divide. */
static uint64_t tcp_share(const struct nb_stream *s)
{
	const struct nb_test *t = s->run->test;
	uint32_t nr = s->index % t->streams;

	if (!t->bytes)
		return UINT64_MAX;
	return t->bytes / t->streams + (nr < t->bytes % t->streams);
}

int nb_tcp_send(struct nb_stream *s, char *buf)
{
	const struct nb_test *t = s->run->test;
	uint64_t done = 0, share = tcp_share(s);
	size_t len = t->length;
	ssize_t n;

	while (done < share && !load_once(&s->run->stop)) {
		if (share - done < len)
			len = share - done;
		if (t->verify)
			nb_pattern_fill(buf, len, s->index, done);
		n = send(s->fd, buf, len, MSG_NOSIGNAL);
		if (n < 0)
			return tcp_error();
		done += n;
		store_once(&s->now.bytes, done);
	}
	s->now.retrans = nb_sock_retrans(s->fd);
	return shutdown(s->fd, SHUT_WR) ? -errno : 0;
}

int nb_tcp_receive(struct nb_stream *s, char *buf)
{
	const struct nb_test *t = s->run->test;
	uint64_t done = 0, share = tcp_share(s);
	size_t good;
	ssize_t n;

	for (;;) {
		n = recv(s->fd, buf, t->length, 0);
		if (n <= 0)
			return n ? tcp_error() : 0;
		if (t->verify) {
			good = nb_pattern_check(buf, n, s->index, done);
			if (good < (size_t)n) {
				s->bad = done + good;
				return -EBADMSG;
			}
		}
		done += n;
		store_once(&s->now.bytes, done);
		if (done > share)
			return -EPROTO;
	}
}
