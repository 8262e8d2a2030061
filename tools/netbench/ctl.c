// SPDX-License-Identifier: GPL-2.0-only
/*
 * Messages of the control connection, see proto.h: byte order, sizes, bounds. The peer is not
 * trusted: a body has the size that its type has and no other, texts are made printable, and a
 * message must be whole in a given time. No state; any thread, one at a time per connection.
 */
#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "netbench.h"

#define be32(f) ((f) = htobe32(f))
#define be64(f) ((f) = htobe64(f))

static const uint32_t ctl_sizes[NB_MSG_TYPES] = {
	[NB_MSG_TEST] = sizeof(struct nb_wire_test),
	[NB_MSG_DATA] = sizeof(struct nb_wire_data),
	[NB_MSG_WELCOME] = sizeof(struct nb_wire_welcome),
	[NB_MSG_PROGRESS] = sizeof(struct nb_wire_progress),
	[NB_MSG_STREAM] = sizeof(struct nb_wire_stream),
	[NB_MSG_RESULT] = sizeof(struct nb_wire_result),
	[NB_MSG_FAILED] = sizeof(struct nb_wire_failed),
};

/* To the other byte order, in place; the same both ways. */
static void ctl_swap(enum nb_type type, union nb_wire_body *b)
{
	switch (type) {
	case NB_MSG_TEST:
		be32(b->test.kind);
		be32(b->test.dirs);
		be32(b->test.streams);
		be32(b->test.length);
		be32(b->test.flags);
		be32(b->test.interval_ms);
		be32(b->test.timeout_ms);
		be32(b->test.ms);
		be64(b->test.bytes);
		be64(b->test.rate);
		break;
	case NB_MSG_DATA:
		be32(b->data.stream);
		break;
	case NB_MSG_PROGRESS:
		be64(b->progress.ns);
		be64(b->progress.bytes);
		be64(b->progress.packets);
		break;
	case NB_MSG_STREAM:
		be32(b->stream.stream);
		be64(b->stream.bytes);
		be64(b->stream.packets);
		be64(b->stream.reordered);
		be64(b->stream.retrans);
		be64(b->stream.ns);
		break;
	case NB_MSG_RESULT:
		be64(b->result.user_us);
		be64(b->result.system_us);
		break;
	case NB_MSG_FAILED:
		be32(b->failed.code);
		break;
	default:
		break;
	}
}

/* Up to @len bytes in @buf, of which there are *@done. 1: all; 0: not yet. */
static int ctl_recv_some(int fd, void *buf, size_t len, size_t *done)
{
	ssize_t n;

	while (*done < len) {
		n = recv(fd, (char *)buf + *done, len - *done, MSG_DONTWAIT);
		if (!n)
			return -ECONNRESET;
		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -errno;
		*done += n;
	}
	return 1;
}

static int ctl_why(const char *peer, int e, struct err *err)
{
	if (e == -ETIMEDOUT)
		return err_set(err, e,
			       "%s: says nothing any more: is it still there? --timeout is "
			       "how long to wait",
			       peer);
	if (e == -ECONNRESET || e == -EPIPE)
		return err_set(err, e,
			       "%s: closed the connection before the test was over: see "
			       "what it says there",
			       peer);
	return err_set(err, e, "%s: control connection: %s", peer, strerror(-e));
}

static int ctl_check_head(const struct nb_wire_head *h, const char *peer, struct err *err)
{
	unsigned int type = be16toh(h->type);

	if (be32toh(h->magic) != NB_MAGIC)
		return err_set(err, -EPROTO,
			       "%s: does not speak netbench's protocol: is another "
			       "program on that port? -p gives the port",
			       peer);
	if (be16toh(h->version) != NB_VERSION)
		return err_set(err, -EPROTONOSUPPORT,
			       "%s: speaks version %u of the protocol, this "
			       "netbench version %u: use the same build on both sides",
			       peer, be16toh(h->version), NB_VERSION);
	if (!type || type >= NB_MSG_TYPES || be32toh(h->size) != ctl_sizes[type])
		return err_set(err, -EPROTO,
			       "%s: sent a message of type %u with %u bytes, which "
			       "the protocol does not have: use the same build on both sides",
			       peer, type, be32toh(h->size));
	return 0;
}

/* Counters of a test that takes a day at most; the sums of all streams' fit, too. */
static int ctl_check_figures(enum nb_type type, const union nb_wire_body *b, const char *peer,
			     struct err *err)
{
	uint64_t most = 0;

	if (type == NB_MSG_PROGRESS)
		most = b->progress.ns | b->progress.bytes | b->progress.packets;
	else if (type == NB_MSG_STREAM)
		most = b->stream.bytes | b->stream.packets | b->stream.reordered |
		       b->stream.retrans | b->stream.ns;
	else if (type == NB_MSG_RESULT)
		most = b->result.user_us | b->result.system_us;
	if (most < NB_MAX_FIGURE)
		return 0;
	return err_set(err, -EPROTO,
		       "%s: sent figures that no test comes to: what serves there is no netbench, "
		       "or a broken one",
		       peer);
}

/* Not one byte of what follows the message: that may belong to a stream. */
int nb_ctl_recv_part(int fd, const char *peer, struct nb_ctl_in *in, struct err *err)
{
	union nb_wire_body *b = &in->body;
	unsigned int i;
	int e;

	if (!in->nhead)
		memset(b, 0, sizeof(*b));
	if (in->nhead < sizeof(in->head)) {
		e = ctl_recv_some(fd, &in->head, sizeof(in->head), &in->nhead);
		if (e <= 0)
			return e ? ctl_why(peer, e, err) : 0;
		e = ctl_check_head(&in->head, peer, err);
		if (e)
			return e;
		in->type = be16toh(in->head.type);
	}
	e = ctl_recv_some(fd, b, ctl_sizes[in->type], &in->nbody);
	if (e <= 0)
		return e ? ctl_why(peer, e, err) : 0;
	in->nhead = 0;
	in->nbody = 0;
	ctl_swap(in->type, b);
	if (in->type == NB_MSG_FAILED) {
		b->failed.text[sizeof(b->failed.text) - 1] = '\0';
		for (i = 0; b->failed.text[i]; i++)
			if (b->failed.text[i] < ' ' || b->failed.text[i] > '~')
				b->failed.text[i] = '?';
	}
	e = ctl_check_figures(in->type, b, peer, err);
	return e ? e : 1;
}

int nb_ctl_recv(int fd, const char *peer, enum nb_type *type, union nb_wire_body *body, uint32_t ms,
		struct err *err)
{
	uint64_t end = nb_now_ns() + ms * 1000000ull, now;
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct nb_ctl_in in = { 0 };
	int e;

	do {
		now = nb_now_ns();
		if (now >= end || !poll(&p, 1, (end - now) / 1000000 + 1))
			return ctl_why(peer, -ETIMEDOUT, err);
		e = nb_ctl_recv_part(fd, peer, &in, err);
	} while (!e);
	*type = in.type;
	*body = in.body;
	return e < 0 ? e : 0;
}

int nb_ctl_send(int fd, enum nb_type type, const union nb_wire_body *body)
{
	struct {
		struct nb_wire_head head;
		union nb_wire_body body;
	} msg = { .head = { .magic = htobe32(NB_MAGIC),
			    .version = htobe16(NB_VERSION),
			    .type = htobe16(type),
			    .size = htobe32(ctl_sizes[type]) } };
	size_t len = sizeof(msg.head) + ctl_sizes[type], done;
	ssize_t n;

	if (ctl_sizes[type]) {
		memcpy(&msg.body, body, ctl_sizes[type]);
		ctl_swap(type, &msg.body);
	}
	for (done = 0; done < len; done += n) {
		n = send(fd, (char *)&msg + done, len - done, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			n = 0;
		else if (n < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
	}
	return 0;
}

void nb_ctl_fail(int fd, const struct err *why)
{
	union nb_wire_body body = { 0 };

	body.failed.code = -why->code;
	snprintf(body.failed.text, sizeof(body.failed.text), "%.*s",
		 (int)sizeof(body.failed.text) - 1, why->msg);
	nb_ctl_send(fd, NB_MSG_FAILED, &body);
}

void nb_test_to_wire(const struct nb_test *test, struct nb_wire_test *wire)
{
	*wire = (struct nb_wire_test){ .kind = test->kind,
				       .dirs = test->dirs,
				       .streams = test->streams,
				       .length = test->length,
				       .flags = test->verify ? NB_FLAG_VERIFY : 0,
				       .interval_ms = test->interval_ms,
				       .timeout_ms = test->timeout_ms,
				       .ms = test->ms,
				       .bytes = test->bytes,
				       .rate = test->rate };
}

void nb_test_from_wire(const struct nb_wire_test *wire, struct nb_test *test)
{
	*test = (struct nb_test){ .kind = wire->kind,
				  .dirs = wire->dirs,
				  .streams = wire->streams,
				  .length = wire->length,
				  .verify = wire->flags & NB_FLAG_VERIFY,
				  .interval_ms = wire->interval_ms,
				  .timeout_ms = wire->timeout_ms,
				  .ms = wire->ms,
				  .bytes = wire->bytes,
				  .rate = wire->rate };
}

int nb_test_check(const struct nb_test *t, struct err *err)
{
	uint32_t min = t->kind == NB_UDP ? NB_MIN_UDP : 1;
	uint32_t max = t->kind == NB_UDP ? NB_MAX_UDP : NB_MAX_LENGTH;
	uint32_t nr_dirs = t->dirs == NB_BOTH ? 2 : 1;

	if (t->kind >= NB_KINDS || !t->dirs || t->dirs > NB_BOTH ||
	    (t->kind == NB_RR && t->dirs != NB_TO_SERVER))
		return err_set(err, -EINVAL,
			       "kind %u with directions %u: there is no such test: "
			       "use the same build on both sides",
			       (unsigned int)t->kind, t->dirs);
	if (!t->streams || t->streams > NB_MAX_STREAMS)
		return err_set(err, -EINVAL, "-P %u: wants 1 to %u streams", t->streams,
			       NB_MAX_STREAMS);
	if (t->length < min || t->length > max)
		return err_set(err, -EINVAL, "-l %u: wants %u to %u bytes%s", t->length, min, max,
			       t->kind == NB_UDP ? " with -u" : "");
	if ((uint64_t)t->length * t->streams * nr_dirs > NB_MAX_BUFFERS)
		return err_set(err, -EINVAL,
			       "-P %u with -l %u: more than %u MiB of buffers: take "
			       "less streams or shorter messages",
			       t->streams, t->length, NB_MAX_BUFFERS >> 20);
	if (!t->ms == !t->bytes || t->ms > NB_MAX_MS || t->bytes > NB_MAX_BYTES)
		return err_set(err, -EINVAL,
			       "time %u ms, %llu bytes: wants either, at most %u s "
			       "(-t) or %llu TiB (-n)",
			       t->ms, (unsigned long long)t->bytes, NB_MAX_MS / 1000,
			       NB_MAX_BYTES >> 40);
	if (t->bytes && t->bytes < t->streams)
		return err_set(err, -EINVAL,
			       "-n %llu: less than a byte for each of %u streams: "
			       "take more, or a smaller -P",
			       (unsigned long long)t->bytes, t->streams);
	if (t->rate > NB_MAX_RATE || (t->rate && t->kind != NB_UDP))
		return err_set(err, -EINVAL, "-b %llu: wants -u, and at most %llu",
			       (unsigned long long)t->rate, NB_MAX_RATE);
	if (t->timeout_ms < NB_MIN_TIMEOUT_MS || t->timeout_ms > NB_MAX_TIMEOUT_MS)
		return err_set(err, -EINVAL, "--timeout %u ms: wants %u to %u seconds",
			       t->timeout_ms, NB_MIN_TIMEOUT_MS / 1000, NB_MAX_TIMEOUT_MS / 1000);
	if (t->interval_ms && (t->interval_ms < 10 || t->interval_ms > NB_MAX_MS))
		return err_set(err, -EINVAL, "-i %u ms: wants 0, or 0.01 to %u s", t->interval_ms,
			       NB_MAX_MS / 1000);
	return 0;
}
