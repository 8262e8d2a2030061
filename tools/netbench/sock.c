// SPDX-License-Identifier: GPL-2.0-only
/*
 * netbench's sockets: names, listening, connecting, and the lines that say why it did not work.
 * Buffers are left to the kernel's autotuning. No state; any thread.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "netbench.h"

#define RETRY_MS 100

uint64_t nb_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + ts.tv_nsec;
}

void nb_sock_text(const struct sockaddr *addr, socklen_t len, char *text, size_t size)
{
	char host[INET6_ADDRSTRLEN + 32], port[8];
	const char *h = host;

	if (getnameinfo(addr, len, host, sizeof(host), port, sizeof(port),
			NI_NUMERICHOST | NI_NUMERICSERV)) {
		snprintf(text, size, "the peer");
		return;
	}
	/* IPv4 through a socket of IPv6. */
	if (!strncmp(h, "::ffff:", 7) && strchr(h, '.'))
		h += 7;
	snprintf(text, size, "%.48s port %.7s", h, port);
}

void nb_sock_timeouts(int fd, uint32_t recv_ms, uint32_t send_ms)
{
	struct timeval r = { recv_ms / 1000, recv_ms % 1000 * 1000 };
	struct timeval s = { send_ms / 1000, send_ms % 1000 * 1000 };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &r, sizeof(r));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &s, sizeof(s));
}

uint64_t nb_sock_retrans(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) ? 0 : info.tcpi_total_retrans;
}

/* -B takes numbers only: it is about one address of this machine, not about a name. */
static struct addrinfo *sock_bind_info(const char *text, int family, uint32_t port, struct err *err)
{
	struct addrinfo hints = { .ai_family = family,
				  .ai_socktype = SOCK_STREAM,
				  .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE };
	struct addrinfo *info;
	char service[8];
	int e;

	snprintf(service, sizeof(service), "%u", port);
	e = getaddrinfo(text, service, &hints, &info);
	if (!e)
		return info;
	err_set(err, -EINVAL, "-B %s: %s: give an address%s of this machine", text, gai_strerror(e),
		family == AF_INET    ? ", of IPv4 as the server's,"
		: family == AF_INET6 ? ", of IPv6 as the server's,"
				     : "");
	return NULL;
}

static int sock_family(const struct nb_options *opt)
{
	return opt->v4 ? AF_INET : opt->v6 ? AF_INET6 : AF_UNSPEC;
}

static int sock_listen_one(const struct addrinfo *a, bool only_v6)
{
	int fd, one = 1, v6 = only_v6;

	fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (a->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6, sizeof(v6));
	if (bind(fd, a->ai_addr, a->ai_addrlen) || listen(fd, 2 * NB_MAX_STREAMS + 16)) {
		v6 = -errno;
		close(fd);
		return v6;
	}
	return fd;
}

int nb_sock_listen(const struct nb_options *opt, struct err *err)
{
	int family = sock_family(opt), fd = -EAFNOSUPPORT;
	struct addrinfo *info, *a;

	/* Without -B the one socket serves IPv6 and IPv4, or what the machine has of them. */
	if (!opt->bind && family == AF_UNSPEC) {
		info = sock_bind_info("::", AF_INET6, opt->port, err);
		if (!info)
			return err->code;
		fd = sock_listen_one(info, false);
		freeaddrinfo(info);
		if (fd >= 0 || fd == -EADDRINUSE)
			goto out;
		family = AF_INET;
	}
	info = sock_bind_info(opt->bind		   ? opt->bind
			      : family == AF_INET6 ? "::"
						   : "0.0.0.0",
			      family, opt->port, err);
	if (!info)
		return err->code;
	for (a = info; a && fd < 0; a = a->ai_next)
		fd = sock_listen_one(a, true);
	freeaddrinfo(info);
out:
	if (fd == -EADDRINUSE)
		err_set(err, fd,
			"-p %u: the port is in use: end the other server, or take "
			"another port",
			opt->port);
	else if (fd == -EADDRNOTAVAIL)
		err_set(err, fd, "-B %s: this machine has no such address: see `ip address`",
			opt->bind ? opt->bind : "");
	else if (fd == -EACCES)
		err_set(err, fd, "-p %u: only root may listen there: take a port from 1024 on",
			opt->port);
	else if (fd < 0)
		err_set(err, fd, "-p %u: cannot listen: %s", opt->port, strerror(-fd));
	return fd;
}

/* connect() with a time-out; the socket is a blocking one again afterwards. */
static int sock_connect_fd(int fd, const struct sockaddr *addr, socklen_t len, uint32_t ms)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	socklen_t size = sizeof(int);
	int flags = fcntl(fd, F_GETFL), e = 0, n;

	fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	if (connect(fd, addr, len)) {
		if (errno != EINPROGRESS)
			return -errno;
		do {
			n = poll(&p, 1, ms);
		} while (n < 0 && errno == EINTR);
		if (n <= 0)
			return n ? -errno : -ETIMEDOUT;
		if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &size))
			return -errno;
		if (e)
			return -e;
	}
	fcntl(fd, F_SETFL, flags);
	return 0;
}

static int sock_try(const struct nb_options *opt, const struct addrinfo *a, struct err *err)
{
	struct addrinfo *local;
	int fd, e = 0;

	fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (opt->bind) {
		local = sock_bind_info(opt->bind, a->ai_family, 0, err);
		if (!local)
			e = err->code;
		else if (bind(fd, local->ai_addr, local->ai_addrlen))
			e = err_set(err, -errno,
				    "-B %s: %s: give an address of this machine, see "
				    "`ip address`",
				    opt->bind, strerror(errno));
		if (local)
			freeaddrinfo(local);
	}
	if (!e)
		e = sock_connect_fd(fd, a->ai_addr, a->ai_addrlen, opt->test.timeout_ms);
	if (e) {
		close(fd);
		return e;
	}
	return fd;
}

static bool sock_may_come(int e)
{
	return e == -ECONNREFUSED || e == -ENETUNREACH || e == -EHOSTUNREACH || e == -ETIMEDOUT ||
	       e == -ENETDOWN;
}

static int sock_why(const struct nb_options *opt, const char *text, int e, struct err *err)
{
	if (e == -ECONNREFUSED)
		return err_set(err, e,
			       "%s: connection refused: is `netbench -s` running there, on "
			       "this port (-p)?",
			       text);
	if (e == -ETIMEDOUT)
		return err_set(err, e,
			       "%s: no answer in %u s: check the address and the firewalls "
			       "between, or wait longer with --timeout",
			       text, opt->test.timeout_ms / 1000);
	if (e == -ENETUNREACH || e == -EHOSTUNREACH || e == -ENETDOWN)
		return err_set(err, e, "%s: %s: check the address, and `ip route`", text,
			       strerror(-e));
	return err_set(err, e, "%s: cannot connect: %s", text, strerror(-e));
}

int nb_sock_connect(const struct nb_options *opt, struct sockaddr_storage *addr, socklen_t *len,
		    struct err *err)
{
	struct addrinfo hints = { .ai_family = sock_family(opt), .ai_socktype = SOCK_STREAM };
	uint64_t end = nb_now_ns() + opt->wait_ms * 1000000ull;
	struct addrinfo *info, *a;
	int e, one = 1, fd = -1;
	char text[64], port[8];

	snprintf(port, sizeof(port), "%u", opt->port);
	e = getaddrinfo(opt->host, port, &hints, &info);
	if (e == EAI_SYSTEM)
		return err_set(err, -errno, "%s: %s", opt->host, strerror(errno));
	if (e)
		return err_set(err, -ENOENT,
			       "%s: unknown host (%s): give an address%s, or a name "
			       "that this machine can look up",
			       opt->host, gai_strerror(e),
			       opt->v4	 ? " of IPv4, or leave out -4"
			       : opt->v6 ? " of IPv6, or leave out -6"
					 : "");
	for (;;) {
		for (a = info; a; a = a->ai_next) {
			memcpy(addr, a->ai_addr, a->ai_addrlen);
			*len = a->ai_addrlen;
			fd = sock_try(opt, a, err);
			if (fd >= 0 || err->code)
				break;
		}
		if (fd >= 0 || err->code || !sock_may_come(fd) ||
		    nb_now_ns() + RETRY_MS * 1000000ull >= end)
			break;
		usleep(RETRY_MS * 1000);
	}
	freeaddrinfo(info);
	if (fd < 0) {
		nb_sock_text((struct sockaddr *)addr, *len, text, sizeof(text));
		return sock_why(opt, text, fd, err);
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

int nb_sock_like(int ctl, int type, bool client, uint32_t timeout_ms, struct err *err)
{
	struct sockaddr_storage local, peer;
	socklen_t local_len = sizeof(local), peer_len = sizeof(peer);
	char text[64];
	int fd, e, one = 1;

	if (getsockname(ctl, (struct sockaddr *)&local, &local_len) ||
	    getpeername(ctl, (struct sockaddr *)&peer, &peer_len))
		return err_set(err, -errno, "control connection: %s", strerror(errno));
	fd = socket(local.ss_family, type | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_set(err, -errno,
			       "cannot make a socket: %s: raise `ulimit -n`, or take "
			       "less streams with -P",
			       strerror(errno));
	nb_sock_text((struct sockaddr *)&local, local_len, text, sizeof(text));
	if (client) /* sin_port and sin6_port are at the same place */
		((struct sockaddr_in *)&local)->sin_port = 0;
	else
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&local, local_len)) {
		e = err_set(err, -errno, "%s: cannot bind %s: %s", text,
			    type == SOCK_DGRAM ? "the port for UDP" : "a socket", strerror(errno));
		goto fail;
	}
	e = client ? sock_connect_fd(fd, (struct sockaddr *)&peer, peer_len, timeout_ms) : 0;
	if (!e)
		return fd;
	nb_sock_text((struct sockaddr *)&peer, peer_len, text, sizeof(text));
	err_set(err, e, "%s: cannot make one more connection: %s", text, strerror(-e));
fail:
	close(fd);
	return e;
}
