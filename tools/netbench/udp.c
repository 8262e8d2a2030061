// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the threads of UDP streams do: batches of datagrams with sendmmsg() and recvmmsg(), at a
 * rate if there is one. A datagram begins with its number; the receiver counts what comes, and what
 * comes after a higher number has come. Called by run.c only; a thread touches nothing but its own
 * stream. How the sockets of both sides find each other is in udp_open.c.
 */
#include <endian.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#include "netbench.h"
#include "pattern.h"

#define BATCH	    64
#define BATCH_BYTES (1u << 20)
/* Receivers look at run->quit, and senders at run->stop, this often. */
#define LOOK_MS 100
/* The silence after which nothing is on its way any more. */
#define QUIET_MS 300
/* A full queue of the interface; what a few packets take. */
#define FULL_NS 50000

struct udp_batch {
	struct mmsghdr msg[BATCH];
	struct iovec iov[BATCH];
	unsigned int size;
	uint32_t len;
	char *buf;
};

static unsigned int udp_batch_size(const struct nb_test *t)
{
	return t->length * BATCH <= BATCH_BYTES ? BATCH : BATCH_BYTES / t->length;
}

size_t nb_udp_space(const struct nb_test *t)
{
	return (size_t)udp_batch_size(t) * t->length;
}

static void udp_batch_init(struct udp_batch *b, const struct nb_test *t, char *buf)
{
	unsigned int i;

	memset(b, 0, sizeof(*b));
	b->size = udp_batch_size(t);
	b->len = t->length;
	b->buf = buf;
	for (i = 0; i < b->size; i++) {
		b->iov[i].iov_base = buf + (size_t)i * b->len;
		b->iov[i].iov_len = b->len;
		b->msg[i].msg_hdr.msg_iov = &b->iov[i];
		b->msg[i].msg_hdr.msg_iovlen = 1;
	}
}

static void udp_sleep(uint64_t ns)
{
	struct timespec ts;

	if (ns > LOOK_MS * 1000000ull)
		ns = LOOK_MS * 1000000ull;
	ts = (struct timespec){ .tv_nsec = ns };
	nanosleep(&ts, NULL);
}

/*
 * How many may go now, at the rate: the first at once, the others after the time that those before
 * them take. 0 after a sleep.
 */
static unsigned int udp_due(const struct nb_stream *s, double gap_ns, uint64_t sent,
			    unsigned int most)
{
	uint64_t gone;
	double due;

	if (gap_ns <= 0)
		return most;
	gone = nb_now_ns() - s->run->go_ns;
	due = gone / gap_ns + 1 - sent;
	if (due >= most)
		return most;
	if (due >= 1)
		return due;
	udp_sleep(sent * gap_ns - gone + 1);
	return 0;
}

static void udp_fill(const struct nb_stream *s, char *p, uint64_t seq)
{
	const struct nb_test *t = s->run->test;
	struct nb_wire_datagram head = { .seq = htobe64(seq),
					 .magic = htobe32(NB_MAGIC),
					 .stream = htobe32(s->index) };

	memcpy(p, &head, sizeof(head));
	if (t->verify)
		nb_pattern_fill(p + sizeof(head), t->length - sizeof(head), s->index,
				seq * t->length + sizeof(head));
}

int nb_udp_send(struct nb_stream *s, char *buf)
{
	const struct nb_test *t = s->run->test;
	double gap_ns = t->rate ? t->length * 8e9 * t->streams / t->rate : 0;
	uint64_t sent = 0, share = UINT64_MAX;
	unsigned int i, nr;
	struct udp_batch b;
	int n;

	udp_batch_init(&b, t, buf);
	if (t->bytes) /* whole datagrams */
		share = (t->bytes / t->streams + t->length - 1) / t->length;
	while (sent < share && !load_once(&s->run->stop)) {
		nr = udp_due(s, gap_ns, sent, MIN(b.size, share - sent));
		if (!nr)
			continue;
		for (i = 0; i < nr; i++)
			udp_fill(s, b.iov[i].iov_base, sent + i);
		n = sendmmsg(s->fd, b.msg, nr, MSG_NOSIGNAL);
		if (n < 0) {
			if (errno != ENOBUFS)
				return errno == EAGAIN ? -ETIMEDOUT : -errno;
			udp_sleep(FULL_NS);
			continue;
		}
		sent += n;
		store_once(&s->now.packets, sent);
		store_once(&s->now.bytes, sent * t->length);
	}
	return 0;
}

/* Return: 1 for a datagram of this stream, 0 for something else, -EBADMSG. */
static int udp_take(struct nb_stream *s, const struct mmsghdr *m, uint64_t *next)
{
	const struct nb_test *t = s->run->test;
	const char *p = m->msg_hdr.msg_iov->iov_base;
	struct nb_wire_datagram head;
	uint64_t seq;
	size_t good;

	if (m->msg_len != t->length || (m->msg_hdr.msg_flags & MSG_TRUNC))
		return 0;
	memcpy(&head, p, sizeof(head));
	if (be32toh(head.magic) != NB_MAGIC || be32toh(head.stream) != s->index)
		return 0;
	seq = be64toh(head.seq);
	if (t->verify) {
		good = nb_pattern_check(p + sizeof(head), t->length - sizeof(head), s->index,
					seq * t->length + sizeof(head));
		if (good < t->length - sizeof(head)) {
			s->bad = seq * t->length + sizeof(head) + good;
			return -EBADMSG;
		}
	}
	if (seq < *next)
		s->now.reordered++;
	else
		*next = seq + 1;
	return 1;
}

int nb_udp_receive(struct nb_stream *s, char *buf)
{
	uint64_t got = 0, next = 0, now, last = nb_now_ns(), quit = 0;
	const uint64_t most_ns = s->run->test->timeout_ms * 1000000ull;
	struct udp_batch b;
	int i, n, e;

	udp_batch_init(&b, s->run->test, buf);
	nb_sock_timeouts(s->fd, LOOK_MS, LOOK_MS);
	s->now.ns = 0;
	for (;;) {
		n = recvmmsg(s->fd, b.msg, b.size, MSG_WAITFORONE, NULL);
		/* A refusal belongs to a hello that came too early. */
		if (n < 0 && errno != EAGAIN && errno != ECONNREFUSED && errno != EINTR)
			return -errno;
		now = nb_now_ns();
		e = 0;
		for (i = 0; i < n && e >= 0; i++) {
			e = udp_take(s, &b.msg[i], &next);
			if (e <= 0)
				continue;
			got++;
			last = now;
		}
		if (e < 0)
			return e;
		if (last == now) {
			store_once(&s->now.packets, got);
			store_once(&s->now.bytes, got * s->run->test->length);
			s->now.ns = now - s->run->go_ns;
		}
		if (!load_once(&s->run->quit))
			continue;
		if (!quit)
			quit = now;
		/* A peer that never becomes quiet does not hold anybody up. */
		if (now - last >= QUIET_MS * 1000000ull || now - quit >= most_ns)
			return 0;
	}
}
