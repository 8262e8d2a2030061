// SPDX-License-Identifier: GPL-2.0-only
/*
 * How the two sockets of a UDP stream find each other, on the one port that firewalls and
 * port-forwarding know: the client sends a hello with the cookie until it has the answer; the
 * server connects the socket that got it, and opens the next one on the same port. One stream after
 * the other, in the thread of the control connection, before any stream's thread exists.
 */
#include <endian.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>

#include "netbench.h"

#define RETRY_MS 200

static void udp_hello_init(struct nb_wire_hello *h, enum nb_type type, const uint8_t *cookie,
			   uint32_t stream)
{
	*h = (struct nb_wire_hello){ .magic = htobe32(NB_MAGIC),
				     .version = htobe16(NB_VERSION),
				     .type = htobe16(type),
				     .stream = htobe32(stream) };
	memcpy(h->cookie, cookie, NB_COOKIE);
}

/*
 * Is there the wanted hello in the queue? What else is there is thrown away: only so much of it,
 * since whoever sends it may be faster than this.
 */
static bool udp_hello_recv(int fd, const struct nb_wire_hello *want, struct sockaddr_storage *from,
			   socklen_t *len)
{
	struct nb_wire_hello h;
	unsigned int budget;
	ssize_t n;

	for (budget = 256; budget; budget--) {
		*len = sizeof(*from);
		n = recvfrom(fd, &h, sizeof(h), MSG_DONTWAIT | MSG_TRUNC, (struct sockaddr *)from,
			     len);
		if (n < 0 && errno != ECONNREFUSED)
			return false;
		if (n == sizeof(h) && !memcmp(&h, want, sizeof(h)))
			return true;
	}
	return false;
}

/* Streams go to the host that asked for the test, wherever a hello says that it is from. */
static bool udp_is_peer(int ctl, const struct sockaddr_storage *from)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);

	if (getpeername(ctl, (struct sockaddr *)&peer, &len) || peer.ss_family != from->ss_family)
		return false;
	if (peer.ss_family == AF_INET)
		return ((struct sockaddr_in *)&peer)->sin_addr.s_addr ==
		       ((const struct sockaddr_in *)from)->sin_addr.s_addr;
	return !memcmp(&((struct sockaddr_in6 *)&peer)->sin6_addr,
		       &((const struct sockaddr_in6 *)from)->sin6_addr, sizeof(struct in6_addr));
}

/* The server has something to say instead of an answer: that it failed. */
static int udp_open_failed(int ctl, struct err *err)
{
	union nb_wire_body body;
	enum nb_type type;
	int e;

	e = nb_ctl_recv(ctl, "the server", &type, &body, NB_HANDSHAKE_MS, err);
	if (e)
		return e;
	return err_set(err, -EPROTO, "the server: %s",
		       type == NB_MSG_FAILED ? body.failed.text : "sent a message out of turn");
}

static int udp_open_one(int fd, int ctl, uint32_t stream, uint32_t timeout_ms,
			const uint8_t *cookie, struct err *err)
{
	struct pollfd p[2] = { { .fd = fd, .events = POLLIN }, { .fd = ctl, .events = POLLIN } };
	uint64_t end = nb_now_ns() + timeout_ms * 1000000ull;
	struct nb_wire_hello hello, answer;
	struct sockaddr_storage from;
	socklen_t len;

	udp_hello_init(&hello, NB_MSG_DATA, cookie, stream);
	udp_hello_init(&answer, NB_MSG_WELCOME, cookie, stream);
	while (nb_now_ns() < end) {
		/* What goes wrong here is seen as no answer. */
		send(fd, &hello, sizeof(hello), MSG_NOSIGNAL);
		if (poll(p, 2, RETRY_MS) < 0 && errno != EINTR)
			return err_set(err, -errno, "poll: %s", strerror(errno));
		if (p[1].revents)
			return udp_open_failed(ctl, err);
		if (udp_hello_recv(fd, &answer, &from, &len))
			return 0;
		if (p[0].revents & POLLERR)
			poll(NULL, 0, RETRY_MS);
	}
	return err_set(err, -ETIMEDOUT,
		       "stream %u: no answer by UDP in %u s: let the port through "
		       "the firewalls between, for UDP as for TCP",
		       stream, timeout_ms / 1000);
}

int nb_udp_open(struct nb_run *run, int ctl, const uint8_t *cookie, struct err *err)
{
	unsigned int i;
	int e;

	for (i = 0; i < run->nr; i++) {
		run->streams[i].fd = nb_sock_like(ctl, SOCK_DGRAM, true, 0, err);
		if (run->streams[i].fd < 0)
			return run->streams[i].fd;
		e = udp_open_one(run->streams[i].fd, ctl, i, run->test->timeout_ms, cookie, err);
		if (e)
			return e;
	}
	return 0;
}

/* A hello again means that the answer was lost. */
static void udp_answer(int fd, uint32_t stream, const uint8_t *cookie)
{
	struct nb_wire_hello answer;

	udp_hello_init(&answer, NB_MSG_WELCOME, cookie, stream);
	send(fd, &answer, sizeof(answer), MSG_NOSIGNAL);
}

/* Stream @i has a hello; the next socket must be open before the answer makes the client go on. */
static int udp_accept_one(struct nb_run *run, int ctl, unsigned int i, unsigned int *open,
			  const uint8_t *cookie, struct err *err)
{
	struct nb_wire_hello hello;
	struct sockaddr_storage from;
	socklen_t len;
	int fd = run->streams[i].fd;

	udp_hello_init(&hello, NB_MSG_DATA, cookie, i);
	if (!udp_hello_recv(fd, &hello, &from, &len) || !udp_is_peer(ctl, &from))
		return 0;
	if (i + 1 == *open) {
		if (connect(fd, (struct sockaddr *)&from, len))
			return err_set(err, -errno, "stream %u: cannot connect by UDP: %s", i,
				       strerror(errno));
		if (*open < run->nr) {
			run->streams[*open].fd = nb_sock_like(ctl, SOCK_DGRAM, false, 0, err);
			if (run->streams[*open].fd < 0)
				return run->streams[*open].fd;
		}
		(*open)++;
	}
	udp_answer(fd, i, cookie);
	return 0;
}

int nb_udp_accept(struct nb_run *run, int ctl, const char *peer, const uint8_t *cookie,
		  struct err *err)
{
	const uint64_t patience = run->test->timeout_ms * 1000000ull;
	uint64_t end = nb_now_ns() + patience;
	struct pollfd p[2 * NB_MAX_STREAMS + 1];
	union nb_wire_body body = { 0 };
	/* Sockets that exist; one more than streams once the last is connected. */
	unsigned int i, open = 1, had, fds;
	enum nb_type type;
	int e = 0;

	run->streams[0].fd = nb_sock_like(ctl, SOCK_DGRAM, false, 0, err);
	if (run->streams[0].fd < 0)
		return run->streams[0].fd;
	memcpy(body.welcome.cookie, cookie, NB_COOKIE);
	e = nb_ctl_send(ctl, NB_MSG_WELCOME, &body);
	if (e)
		return err_set(err, e, "%s: control connection: %s", peer, strerror(-e));
	while (!e && nb_now_ns() < end) {
		fds = MIN(open, run->nr);
		had = open;
		for (i = 0; i < fds; i++)
			p[i] = (struct pollfd){ .fd = run->streams[i].fd, .events = POLLIN };
		p[fds] = (struct pollfd){ .fd = ctl, .events = POLLIN };
		poll(p, fds + 1, RETRY_MS);
		for (i = 0; i < fds && !e; i++)
			if (p[i].revents)
				e = udp_accept_one(run, ctl, i, &open, cookie, err);
		if (open > had)
			end = nb_now_ns() + patience;
		if (e || !p[fds].revents)
			continue;
		e = nb_ctl_recv(ctl, peer, &type, &body, NB_HANDSHAKE_MS, err);
		if (!e && type == NB_MSG_START && open > run->nr)
			return 0;
		if (!e)
			e = err_set(err, -EPROTO, "%s: sent message %u where START belongs", peer,
				    (unsigned int)type);
	}
	return e ? e : err_set(err, -ETIMEDOUT, "%s: did not start its UDP streams in time", peer);
}
