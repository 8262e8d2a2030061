// SPDX-License-Identifier: GPL-2.0-only
/*
 * Network backend: an IP network inside this process, by libslirp. The guest's connections become
 * sockets of the user who runs the VMM, so that no privilege is needed; forwarded ports let the
 * host in. IPv4 only, libslirp's usual addresses.
 *
 * A packet costs the guest, this process and libslirp the same whatever its length, so they are as
 * long as they can be: libslirp makes those of a large MTU, which the guest is told of, and takes
 * the guest's large segments as they are, once their checksums are there. A driver that knows of no
 * MTU gets none larger than 1500 bytes: in TCP it says so itself, others are made fragments here.
 *
 * libslirp hands frames over from within its own calls, whereas the device asks for them when it
 * has buffers: between the two lies a bounded queue. What does not fit is dropped, as on any wire.
 *
 * Threads: libslirp is not thread safe; all of it runs on the queue pair's thread, except for
 * set-up and clean-up, when that thread does not exist.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <net/ethernet.h>
#include <poll.h>
#include <slirp/libslirp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "log.h"
#include "net.h"

/* Twice the windows, of 64 KiB each, of 64 connections. */
#define USER_FIFO_LEN (8u << 20)
#define USER_TIMERS   2
#define USER_POLL_MAX 4096

#define USER_NET   0x0a000200u /* 10.0.2.0 */
#define USER_MASK  0xffffff00u
#define USER_HOST  (USER_NET + 2)
#define USER_DNS   (USER_NET + 3)
#define USER_GUEST (USER_NET + 15)

/* The functions of libslirp that are used, loaded by the first such device. */
static struct {
	typeof(&slirp_new) new;
	typeof(&slirp_cleanup) cleanup;
	typeof(&slirp_pollfds_fill) pollfds_fill;
	typeof(&slirp_pollfds_poll) pollfds_poll;
	typeof(&slirp_input) input;
	typeof(&slirp_add_hostxfwd) add_hostxfwd;
} lib;

struct user_timer {
	SlirpTimerCb cb; /* NULL: free */
	void *arg;
	int64_t expires; /* ms, -1: not armed */
};

/**
 * struct net_user - the backend
 * @mtu:      of the guest's driver
 * @offloads: NET_GUEST_OFFLOADS in force
 * @fifo: frames for the guest, each a 32-bit length and its bytes, in [head, tail)
 * @frag: bytes of the first one that the guest has had, in fragments
 * @pfd:  pfd[0] is the device's epoll instance, the others are libslirp's sockets
 */
struct net_user {
	struct net_backend be;
	Slirp *slirp;
	unsigned int mtu;
	uint64_t offloads;
	struct user_timer timer[USER_TIMERS];
	struct pollfd *pfd;
	unsigned int npfd, pfd_max;
	uint8_t *fifo;
	uint32_t head, tail, frag;
	uint64_t stat_missed; /* frames that the fifo had no room for */
	uint8_t frame[NET_FRAME_MAX];
};

static int64_t user_now_ns(void *opaque)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static ssize_t user_to_guest(const void *buf, size_t len, void *opaque)
{
	struct net_user *u = opaque;
	uint32_t n = len;

	if (len > NET_FRAME_MAX)
		goto missed;
	if (u->head == u->tail) {
		u->head = 0;
		u->tail = 0;
	}
	if (u->tail + sizeof(n) + n > USER_FIFO_LEN) {
		/* To be moved no more than once, on average: so half of it is room for sure. */
		if (u->tail - u->head > u->head)
			goto missed;
		memmove(u->fifo, u->fifo + u->head, u->tail - u->head);
		u->tail -= u->head;
		u->head = 0;
	}
	memcpy(u->fifo + u->tail, &n, sizeof(n));
	memcpy(u->fifo + u->tail + sizeof(n), buf, n);
	u->tail += sizeof(n) + n;
	return len;
missed:
	net_count(&u->stat_missed, 1);
	return len;
}

static void user_guest_error(const char *msg, void *opaque)
{
	log_debug("slirp: %s", msg);
}

static void *user_timer_new(SlirpTimerCb cb, void *arg, void *opaque)
{
	struct net_user *u = opaque;
	unsigned int i;

	for (i = 0; i < USER_TIMERS; i++)
		if (!u->timer[i].cb) {
			u->timer[i] = (struct user_timer){ cb, arg, -1 };
			return &u->timer[i];
		}
	log_err("slirp wants more than %d timers", USER_TIMERS);
	return NULL;
}

static void user_timer_free(void *timer, void *opaque)
{
	struct user_timer *t = timer;

	if (t)
		t->cb = NULL;
}

static void user_timer_mod(void *timer, int64_t expires, void *opaque)
{
	struct user_timer *t = timer;

	if (t)
		t->expires = expires;
}

/* Every wait collects the descriptors anew, and everything happens on the waiting thread. */
static void user_poll_fd(int fd, void *opaque)
{
}

static void user_notify(void *opaque)
{
}

static const SlirpCb user_cb = {
	.send_packet = user_to_guest,
	.guest_error = user_guest_error,
	.clock_get_ns = user_now_ns,
	.timer_new = user_timer_new,
	.timer_free = user_timer_free,
	.timer_mod = user_timer_mod,
	.register_poll_fd = user_poll_fd,
	.unregister_poll_fd = user_poll_fd,
	.notify = user_notify,
};

static int user_add_poll(int fd, int events, void *opaque)
{
	struct net_user *u = opaque;
	struct pollfd *pfd;

	if (u->npfd == u->pfd_max) {
		pfd = u->pfd_max < USER_POLL_MAX ? realloc(u->pfd, 2 * u->pfd_max * sizeof(*pfd))
						 : NULL;
		if (!pfd)
			return -1; /* libslirp takes it for "nothing happened" */
		u->pfd = pfd;
		u->pfd_max *= 2;
	}
	pfd = &u->pfd[u->npfd];
	pfd->fd = fd;
	pfd->revents = 0;
	pfd->events = (events & SLIRP_POLL_IN ? POLLIN : 0) |
		      (events & SLIRP_POLL_OUT ? POLLOUT : 0) |
		      (events & SLIRP_POLL_PRI ? POLLPRI : 0);
	return u->npfd++;
}

static int user_revents(int idx, void *opaque)
{
	struct net_user *u = opaque;
	int ev;

	if (idx < 1 || (unsigned int)idx >= u->npfd)
		return 0;
	ev = u->pfd[idx].revents;
	return (ev & POLLIN ? SLIRP_POLL_IN : 0) | (ev & POLLOUT ? SLIRP_POLL_OUT : 0) |
	       (ev & POLLPRI ? SLIRP_POLL_PRI : 0) | (ev & POLLERR ? SLIRP_POLL_ERR : 0) |
	       (ev & POLLHUP ? SLIRP_POLL_HUP : 0);
}

static void user_run_timers(struct net_user *u)
{
	int64_t now = user_now_ns(NULL) / 1000000;
	unsigned int i;

	for (i = 0; i < USER_TIMERS; i++) {
		struct user_timer *t = &u->timer[i];

		if (t->cb && t->expires >= 0 && t->expires <= now) {
			t->expires = -1;
			t->cb(t->arg);
		}
	}
}

static void user_wait(struct net_backend *be, int epfd, int timeout)
{
	struct net_user *u = container_of(be, struct net_user, be);
	uint32_t ms = timeout < 0 ? UINT32_MAX : (uint32_t)timeout;
	int64_t now = user_now_ns(NULL) / 1000000;
	unsigned int i;
	int ret;

	u->pfd[0] = (struct pollfd){ .fd = epfd, .events = POLLIN };
	u->npfd = 1;
	lib.pollfds_fill(u->slirp, &ms, user_add_poll, u);
	for (i = 0; i < USER_TIMERS; i++)
		if (u->timer[i].cb && u->timer[i].expires >= 0)
			ms = MIN((int64_t)ms, MAX(u->timer[i].expires - now, 0));
	ret = poll(u->pfd, u->npfd, ms > INT32_MAX ? -1 : (int)ms);
	lib.pollfds_poll(u->slirp, ret < 0, user_revents, u);
	user_run_timers(u);
}

static int user_set_offloads(struct net_backend *be, uint64_t features)
{
	struct net_user *u = container_of(be, struct net_user, be);

	u->offloads = features;
	return 0;
}

static void user_set_mtu(struct net_backend *be, unsigned int mtu)
{
	struct net_user *u = container_of(be, struct net_user, be);

	u->mtu = mtu;
	u->frag = 0;
}

static int user_send(struct net_backend *be, const struct iovec *iov, unsigned int n, size_t len)
{
	struct net_user *u = container_of(be, struct net_user, be);

	/* A copy, as libslirp looks at some bytes more than once. */
	net_iov_read(iov + 1, n - 1, 0, u->frame, len);
	net_csum_finish(u->frame, len, iov[0].iov_base);
	lib.input(u->slirp, u->frame, len);
	return 0;
}

static ssize_t user_recv(struct net_backend *be, const struct iovec *iov, unsigned int n)
{
	struct net_user *u = container_of(be, struct net_user, be);
	const uint8_t *frame = u->fifo + u->head + sizeof(uint32_t);
	struct virtio_net_hdr_v1 *hdr = iov[0].iov_base;
	uint32_t len, part, done;
	struct net_frag f;

	if (u->head == u->tail)
		return -EAGAIN;
	memcpy(&len, u->fifo + u->head, sizeof(len));
	memset(hdr, 0, sizeof(*hdr));
	if (len <= ETH_HLEN + u->mtu) {
		/* It has never been on a wire. */
		if (u->offloads & NET_BIT(VIRTIO_NET_F_GUEST_CSUM))
			hdr->flags = VIRTIO_NET_HDR_F_DATA_VALID;
		u->head += sizeof(len) + len;
		return NET_HDR_LEN + net_iov_write(iov + 1, n - 1, 0, frame, len);
	}
	part = net_frag_next(frame, len, u->mtu, u->frag, &f);
	if (!part) {
		u->head += sizeof(len) + len;
		return NET_HDR_LEN; /* the device drops, and counts, what is no frame */
	}
	done = net_iov_write(iov + 1, n - 1, 0, f.head, f.len);
	done += net_iov_write(iov + 1, n - 1, f.len, frame + f.len + u->frag, part);
	u->frag += part;
	if (f.last) {
		u->head += sizeof(len) + len;
		u->frag = 0;
	}
	return NET_HDR_LEN + done;
}

static void user_stats(struct net_backend *be, FILE *out)
{
	struct net_user *u = container_of(be, struct net_user, be);

	fprintf(out, " user_missed=%" PRIu64, load_once(&u->stat_missed));
}

static void user_close(struct net_backend *be)
{
	struct net_user *u = container_of(be, struct net_user, be);

	if (u->slirp)
		lib.cleanup(u->slirp);
	free(u->pfd);
	free(u->fifo);
	free(u);
}

static const struct net_backend_ops user_ops = {
	.name = "user",
	.close = user_close,
	.set_offloads = user_set_offloads,
	.set_mtu = user_set_mtu,
	.send = user_send,
	.recv = user_recv,
	.stats = user_stats,
	.wait = user_wait,
};

/* "[ADDR]:PORT" up to @end; an empty address leaves *@addr as it is. */
static int user_parse_end(const char *text, const char *end, uint32_t *addr, uint16_t *port)
{
	const char *colon = memchr(text, ':', end - text);
	char ip[INET_ADDRSTRLEN];
	unsigned long v = 0;
	const char *c;

	if (!colon || colon - text >= INET_ADDRSTRLEN || end == colon + 1 || end - colon > 6)
		return -EINVAL;
	if (colon > text) {
		memcpy(ip, text, colon - text);
		ip[colon - text] = '\0';
		if (inet_pton(AF_INET, ip, addr) != 1)
			return -EINVAL;
	}
	for (c = colon + 1; c < end; c++) {
		if (*c < '0' || *c > '9')
			return -EINVAL;
		v = v * 10 + (*c - '0');
	}
	if (v < 1 || v > 65535)
		return -EINVAL;
	*port = htons(v);
	return 0;
}

int net_user_parse_fwd(const char *text, struct net_fwd *fwd, struct err *err)
{
	const char *host = strchr(text, ':'), *dash = strchr(text, '-');

	*fwd = (struct net_fwd){
		.host_addr = htonl(INADDR_LOOPBACK),
		.guest_addr = htonl(USER_GUEST),
	};
	if (!host || !dash || dash < host)
		goto bad;
	if (!strncmp(text, "udp:", 4))
		fwd->udp = true;
	else if (strncmp(text, "tcp:", 4) && host != text)
		goto bad;
	if (user_parse_end(host + 1, dash, &fwd->host_addr, &fwd->host_port) ||
	    user_parse_end(dash + 1, dash + strlen(dash), &fwd->guest_addr, &fwd->guest_port))
		goto bad;
	return 0;
bad:
	return err_set(
		err, -EINVAL,
		"--net hostfwd: '%.60s' is not tcp:[HOSTADDR]:PORT-[GUESTADDR]:PORT, such as "
		"tcp::2222-:22",
		text);
}

static int user_add_fwd(struct net_user *u, const char *text, struct err *err)
{
	struct sockaddr_in host = { .sin_family = AF_INET }, guest = { .sin_family = AF_INET };
	struct net_fwd fwd;
	int ret;

	ret = net_user_parse_fwd(text, &fwd, err);
	if (ret)
		return ret;
	host.sin_addr.s_addr = fwd.host_addr;
	host.sin_port = fwd.host_port;
	guest.sin_addr.s_addr = fwd.guest_addr;
	guest.sin_port = fwd.guest_port;
	errno = 0;
	if (!lib.add_hostxfwd(u->slirp, (struct sockaddr *)&host, sizeof(host),
			      (struct sockaddr *)&guest, sizeof(guest),
			      fwd.udp ? SLIRP_HOSTFWD_UDP : 0))
		return 0;
	ret = errno ? -errno : -EINVAL;
	return err_set(err, ret, "--net hostfwd=%.60s: cannot listen on port %u: %s%s", text,
		       ntohs(fwd.host_port), strerror(-ret),
		       ret == -EADDRINUSE ? "; choose another one"
		       : ret == -EACCES	  ? "; choose one above 1023"
					  : "");
}

static int user_load(struct err *err)
{
	static const char *const sonames[] = { "libslirp.so.0", NULL };
	static const struct net_lib_sym syms[] = {
		{ "slirp_new", (void **)&lib.new },
		{ "slirp_cleanup", (void **)&lib.cleanup },
		{ "slirp_pollfds_fill", (void **)&lib.pollfds_fill },
		{ "slirp_pollfds_poll", (void **)&lib.pollfds_poll },
		{ "slirp_input", (void **)&lib.input },
		{ "slirp_add_hostxfwd", (void **)&lib.add_hostxfwd },
		{ NULL, NULL },
	};

	return net_lib_load(sonames, "libslirp0", "--net user", syms, err);
}

int net_user_open(const struct opt_multi *hostfwd, unsigned int mtu, struct net_backend **out,
		  struct err *err)
{
	SlirpConfig cfg = {
		.version = 1,
		.in_enabled = true,
		.vnetwork.s_addr = htonl(USER_NET),
		.vnetmask.s_addr = htonl(USER_MASK),
		.vhost.s_addr = htonl(USER_HOST),
		.vdhcp_start.s_addr = htonl(USER_GUEST),
		.vnameserver.s_addr = htonl(USER_DNS),
		.if_mtu = MIN(mtu, NET_USER_MTU),
		.if_mru = MIN(mtu, NET_USER_MTU),
	};
	struct net_user *u;
	unsigned int i;
	int ret;

	ret = user_load(err);
	if (ret)
		return ret;
	u = calloc(1, sizeof(*u));
	if (!u)
		return err_set(err, -ENOMEM, "--net user: out of memory");
	u->be.ops = &user_ops;
	u->be.fd = -1;
	u->be.offloads = NET_BIT(VIRTIO_NET_F_CSUM) | NET_BIT(VIRTIO_NET_F_HOST_TSO4) |
			 NET_BIT(VIRTIO_NET_F_GUEST_CSUM);
	u->mtu = NET_MTU;
	u->pfd_max = 16;
	u->pfd = malloc(u->pfd_max * sizeof(*u->pfd));
	u->fifo =
		malloc(USER_FIFO_LEN); /* untouched, hence not resident, while the guest keeps up */
	if (!u->pfd || !u->fifo) {
		ret = err_set(err, -ENOMEM, "--net user: out of memory");
		goto fail;
	}
	u->slirp = lib.new(&cfg, &user_cb, u);
	if (!u->slirp) {
		ret = err_set(err, -EINVAL, "--net user: libslirp refuses its configuration");
		goto fail;
	}
	for (i = 0; i < hostfwd->n; i++) {
		ret = user_add_fwd(u, hostfwd->v[i], err);
		if (ret)
			goto fail;
	}
	*out = &u->be;
	return 0;
fail:
	user_close(&u->be);
	return ret;
}
