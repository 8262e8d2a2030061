// SPDX-License-Identifier: GPL-2.0-only
/*
 * Network backend: the frames of a capture's file, read with libpcap (pcap and pcapng, either order
 * of bytes, stamps in micro- or nanoseconds), for the guest in their order and byte for byte; what
 * the guest sends goes nowhere. The clock starts when the guest has its first buffers. A frame
 * waits for its time and for the guest's buffers, and is never dropped for either.
 *
 * What is no whole frame in the file, as a snap length cut it, is passed over and counted; where
 * the file itself is damaged the replay ends. Both, and how many frames the guest could not take,
 * are told in one line when the file's end is reached. The link stays up.
 *
 * Threads: as net_backend.h says. Reading blocks the pair's thread for as long as the disk takes.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pcap/pcap.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "net.h"

#define NS_PER_SEC	 1000000000ll
#define REPLAY_SPEED_MIN 0.001
#define REPLAY_SPEED_MAX 1000000
/* Stamps that lie further apart were not taken by one clock. */
#define REPLAY_GAP_MAX (100ll * 365 * 24 * 3600)
#define REPLAY_BUDGET  1024 /* records passed over in one go */

/* The functions of libpcap that are used, loaded by the first such device. */
static struct {
	typeof(&pcap_fopen_offline_with_tstamp_precision) fopen_offline;
	typeof(&pcap_datalink) datalink;
	typeof(&pcap_datalink_val_to_name) datalink_name;
	typeof(&pcap_next_ex) next_ex;
	typeof(&pcap_geterr) geterr;
	typeof(&pcap_close) close;
} lib;

/**
 * struct net_replay - the backend; @be.fd is a timer for the next frame
 * @speed: 0: as fast as the guest takes them
 * @ph:	   the next frame, with @data, if @have
 * @first: stamp of the first frame
 * @start: when that was given, CLOCK_MONOTONIC ns; 0: not yet
 * @armed: what the timer is set to
 */
struct net_replay {
	struct net_backend be;
	pcap_t *pcap;
	char *path;
	double speed;
	struct pcap_pkthdr *ph;
	const u_char *data;
	bool have, done;
	struct timespec first;
	int64_t start, armed;
	uint64_t stat_frames, stat_cut, stat_sent;
};

static int replay_load(struct err *err)
{
	static const char *const sonames[] = { "libpcap.so.0.8", "libpcap.so.1", NULL };
	static const struct net_lib_sym syms[] = {
		{ "pcap_fopen_offline_with_tstamp_precision", (void **)&lib.fopen_offline },
		{ "pcap_datalink", (void **)&lib.datalink },
		{ "pcap_datalink_val_to_name", (void **)&lib.datalink_name },
		{ "pcap_next_ex", (void **)&lib.next_ex },
		{ "pcap_geterr", (void **)&lib.geterr },
		{ "pcap_close", (void **)&lib.close },
		{ NULL, NULL },
	};

	return net_lib_load(sonames, "libpcap0.8", "--net replay", syms, err);
}

static void replay_end(struct net_replay *r, const char *why)
{
	uint64_t refused = load_once(&r->be.refused);

	r->done = true;
	log_notice("--net replay=%s: %s%s%" PRIu64 " frames delivered, %" PRIu64
		   " refused (longer or shorter than the guest takes), %" PRIu64
		   " passed over (cut in the file)",
		   r->path, why ? why : "",
		   why ? "; the replay ends here: " : "the end: ", r->stat_frames - refused,
		   refused, r->stat_cut);
}

/* Have the next whole frame in hand; false at the end of the file, or if it would take too long. */
static bool replay_next(struct net_replay *r)
{
	unsigned int budget = REPLAY_BUDGET;
	int ret;

	while (!r->have && !r->done && budget--) {
		ret = lib.next_ex(r->pcap, &r->ph, &r->data);
		if (ret < 0) {
			replay_end(r, ret == PCAP_ERROR_BREAK ? NULL : lib.geterr(r->pcap));
			return false;
		}
		r->have = r->ph->caplen == r->ph->len;
		net_count(&r->stat_cut, !r->have);
	}
	return r->have;
}

/* The timer says so at once: there may be more to pass over, but others have their turn first. */
static void replay_go_on(struct net_replay *r)
{
	const struct itimerspec soon = { .it_value.tv_nsec = 1 };

	timerfd_settime(r->be.fd, 0, &soon, NULL);
	r->armed = 0;
}

/* When the frame in hand is due, CLOCK_MONOTONIC ns. An older one than the first is due at once. */
static int64_t replay_due(struct net_replay *r, int64_t now)
{
	int64_t sec, ns;

	if (!r->start) {
		r->start = now;
		r->first.tv_sec = r->ph->ts.tv_sec;
		r->first.tv_nsec = r->ph->ts.tv_usec; /* nanoseconds, as asked for */
	}
	if (__builtin_sub_overflow((int64_t)r->ph->ts.tv_sec, (int64_t)r->first.tv_sec, &sec) ||
	    sec > REPLAY_GAP_MAX || sec < 0)
		return now;
	ns = sec * NS_PER_SEC + r->ph->ts.tv_usec - r->first.tv_nsec;
	/* Slowed down, it may be due in centuries. */
	return r->start + (int64_t)MIN(ns / r->speed, (double)REPLAY_GAP_MAX * NS_PER_SEC);
}

/* True when the frame in hand is due; else the timer tells. */
static bool replay_is_due(struct net_replay *r)
{
	struct itimerspec it = { 0 };
	struct timespec t;
	int64_t now, due;

	if (!r->speed)
		return true;
	clock_gettime(CLOCK_MONOTONIC, &t);
	now = t.tv_sec * NS_PER_SEC + t.tv_nsec;
	due = replay_due(r, now);
	if (due <= now)
		return true;
	if (r->armed != due) {
		it.it_value.tv_sec = due / NS_PER_SEC;
		it.it_value.tv_nsec = due % NS_PER_SEC;
		r->armed = due;
		if (timerfd_settime(r->be.fd, TFD_TIMER_ABSTIME, &it, NULL))
			return true;
	}
	return false;
}

static ssize_t replay_recv(struct net_backend *be, const struct iovec *iov, unsigned int n)
{
	struct net_replay *r = container_of(be, struct net_replay, be);
	size_t done;

	if (!replay_next(r)) {
		if (!r->done)
			replay_go_on(r);
		return -EAGAIN;
	}
	if (!replay_is_due(r))
		return -EAGAIN;
	r->have = false;
	net_count(&r->stat_frames, 1);
	memset(iov[0].iov_base, 0, iov[0].iov_len);
	done = net_iov_write(iov + 1, n - 1, 0, r->data, r->ph->caplen);
	return NET_HDR_LEN + done;
}

static int replay_send(struct net_backend *be, const struct iovec *iov, unsigned int n, size_t len)
{
	struct net_replay *r = container_of(be, struct net_replay, be);

	net_count(&r->stat_sent, 1);
	return 0;
}

static void replay_stats(struct net_backend *be, FILE *out)
{
	struct net_replay *r = container_of(be, struct net_replay, be);
	uint64_t refused = load_once(&be->refused);

	fprintf(out,
		" replay_delivered=%" PRIu64 " replay_refused=%" PRIu64 " replay_cut=%" PRIu64
		" replay_ended=%d replay_ignored=%" PRIu64,
		load_once(&r->stat_frames) - refused, refused, load_once(&r->stat_cut),
		load_once(&r->done), load_once(&r->stat_sent));
}

static void replay_close(struct net_backend *be)
{
	struct net_replay *r = container_of(be, struct net_replay, be);

	/* A guest that has ended right after the last frame has not asked for one more. */
	if (r->stat_frames && replay_next(r))
		replay_end(r, "the guest ended first");
	if (r->pcap)
		lib.close(r->pcap);
	if (be->fd >= 0)
		close(be->fd);
	free(r->path);
	free(r);
}

static const struct net_backend_ops replay_ops = {
	.name = "replay",
	.close = replay_close,
	.send = replay_send,
	.recv = replay_recv,
	.stats = replay_stats,
};

static int replay_parse_speed(const char *text, double *speed, struct err *err)
{
	char *end = NULL;

	*speed = 1;
	if (!text || !strcmp(text, "original"))
		return 0;
	*speed = 0;
	if (!strcmp(text, "max"))
		return 0;
	if (*text >= '0' && *text <= '9')
		*speed = strtod(text, &end);
	if (end && !strcmp(end, "x") && *speed >= REPLAY_SPEED_MIN && *speed <= REPLAY_SPEED_MAX)
		return 0;
	return err_set(err, -EINVAL,
		       "--net replay-speed: '%.40s' is no speed; use original, max or, such as "
		       "2x or 0.5x, a factor from 0.001x to 1000000x",
		       text);
}

/* A file that somebody else may be recording. */
static FILE *replay_open_file(const char *path, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	FILE *f;

	if (fd < 0) {
		err_set(err, -errno, "--net replay=%s: cannot read it: %s", path, strerror(errno));
		return NULL;
	}
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		err_set(err, -EINVAL, "--net replay=%s: not a regular file", path);
		goto close;
	}
	/* Where there are no locks nobody has one. */
	if (flock(fd, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK) {
		err_set(err, -EBUSY, "--net replay=%s: it is being recorded; wait for that to end",
			path);
		goto close;
	}
	f = fdopen(fd, "r");
	if (f)
		return f;
	err_set(err, -ENOMEM, "--net replay: out of memory");
close:
	close(fd);
	return NULL;
}

static int replay_open(struct net_replay *r, struct err *err)
{
	char msg[PCAP_ERRBUF_SIZE];
	const char *name;
	FILE *f;
	int link;

	f = replay_open_file(r->path, err);
	if (!f)
		return err->code;
	r->pcap = lib.fopen_offline(f, PCAP_TSTAMP_PRECISION_NANO, msg);
	if (!r->pcap) {
		fclose(f);
		return err_set(err, -EINVAL, "--net replay=%s: no capture: %s", r->path, msg);
	}
	link = lib.datalink(r->pcap);
	name = lib.datalink_name(link);
	if (link != DLT_EN10MB)
		return err_set(err, -EINVAL,
			       "--net replay=%s: its frames are of link type %d (%s); only those "
			       "of Ethernet can be replayed",
			       r->path, link, name ? name : "unknown");
	r->be.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (r->be.fd < 0)
		return err_set(err, -errno, "--net replay=%s: timer: %s", r->path, strerror(errno));
	return 0;
}

int net_replay_open(const char *file, const char *speed, struct net_backend **out, struct err *err)
{
	struct net_replay *r;
	int ret;

	ret = replay_load(err);
	if (ret)
		return ret;
	r = calloc(1, sizeof(*r));
	if (!r)
		return err_set(err, -ENOMEM, "--net replay: out of memory");
	r->be.ops = &replay_ops;
	r->be.fd = -1;
	r->be.patient = true;
	r->path = strdup(file);
	ret = r->path ? replay_parse_speed(speed, &r->speed, err)
		      : err_set(err, -ENOMEM, "--net replay: out of memory");
	if (!ret)
		ret = replay_open(r, err);
	if (ret)
		goto fail;
	*out = &r->be;
	return 0;
fail:
	replay_close(&r->be);
	return ret;
}
