// SPDX-License-Identifier: GPL-2.0-only
/*
 * Request and response, --rr: the client's thread sends a message, waits for one of the same
 * length, and notes how long that took; the server's thread answers. One transaction at a time on
 * each connection. Called by run.c only; a thread touches nothing but its own stream.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "netbench.h"
#include "pattern.h"

/* Responses are a stream of their own to the pattern: an echo would not pass. */
#define RR_RESPONSE 0x80000000u

/* Return: 0, 1 when the peer ended the stream before the first byte, or -errno. */
static int rr_get(struct nb_stream *s, char *buf, uint32_t stream, uint64_t offset)
{
	const struct nb_test *t = s->run->test;
	size_t done = 0, good;
	ssize_t n;

	while (done < t->length) {
		n = recv(s->fd, buf + done, t->length - done, 0);
		if (!n)
			return done ? -ECONNRESET : 1;
		if (n < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		done += n;
	}
	if (!t->verify)
		return 0;
	good = nb_pattern_check(buf, t->length, stream, offset);
	if (good == t->length)
		return 0;
	s->bad = offset + good;
	return -EBADMSG;
}

static int rr_put(struct nb_stream *s, char *buf, uint32_t stream, uint64_t offset)
{
	const struct nb_test *t = s->run->test;
	size_t done;
	ssize_t n;

	if (t->verify)
		nb_pattern_fill(buf, t->length, stream, offset);
	for (done = 0; done < t->length; done += n) {
		n = send(s->fd, buf + done, t->length - done, MSG_NOSIGNAL);
		if (n < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
	}
	return 0;
}

static void rr_begin(const struct nb_stream *s)
{
	int one = 1;

	setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

static void rr_count(struct nb_stream *s, uint64_t nr)
{
	store_once(&s->now.packets, nr);
	store_once(&s->now.bytes, nr * s->run->test->length);
}

int nb_rr_ask(struct nb_stream *s, char *buf)
{
	const struct nb_test *t = s->run->test;
	/* With -n: transactions, not bytes. */
	uint64_t share = t->bytes / t->streams + (s->index < t->bytes % t->streams);
	uint64_t nr = 0, start;
	int e;

	rr_begin(s);
	while ((!t->bytes || nr < share) && !load_once(&s->run->stop)) {
		start = nb_now_ns();
		e = rr_put(s, buf, s->index, nr * t->length);
		if (!e)
			e = rr_get(s, buf, s->index | RR_RESPONSE, nr * t->length);
		if (e)
			return e > 0 ? -ECONNRESET : e;
		nb_hist_add(s->hist, nb_now_ns() - start);
		rr_count(s, ++nr);
	}
	s->now.retrans = nb_sock_retrans(s->fd);
	return shutdown(s->fd, SHUT_WR) ? -errno : 0;
}

int nb_rr_answer(struct nb_stream *s, char *buf)
{
	const struct nb_test *t = s->run->test;
	uint64_t nr = 0;
	int e;

	rr_begin(s);
	for (;;) {
		e = rr_get(s, buf, s->index, nr * t->length);
		if (!e)
			e = rr_put(s, buf, s->index | RR_RESPONSE, nr * t->length);
		if (e)
			return e > 0 ? 0 : e;
		rr_count(s, ++nr);
	}
}
