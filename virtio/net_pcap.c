// SPDX-License-Identifier: GPL-2.0-only
/*
 * Records a network device's frames in a pcap file, with libpcap: both directions, nanosecond
 * stamps, without the virtio header. What an offload would have added later is not there: a
 * segmented packet is recorded as the one large frame that passed; but an open checksum is
 * completed in the record.
 *
 * The file always ends on a whole record: the buffer is written out before a record would overflow
 * it, and whatever a failed write has left is cut off. A full disk ends the capture, not the guest.
 *
 * Threads: open and close from the main thread, the rest from any device thread (mutex).
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pcap/pcap.h>
#include <pthread.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "net.h"

#define PCAP_SNAPLEN	 262144
#define PCAP_BUFFER	 (256u << 10)
#define PCAP_HDR_LEN	 24 /* of the file */
#define PCAP_REC_HDR_LEN 16
#define PCAP_FLUSH_MS	 1000

/* The functions of libpcap that are used, loaded by the first capture. */
static struct {
	typeof(&pcap_open_dead_with_tstamp_precision) open_dead;
	typeof(&pcap_close) close;
	typeof(&pcap_compile) compile;
	typeof(&pcap_freecode) freecode;
	typeof(&pcap_geterr) geterr;
	typeof(&pcap_offline_filter) filter;
	typeof(&pcap_dump_fopen) dump_fopen;
	typeof(&pcap_dump) dump;
	typeof(&pcap_dump_close) dump_close;
} lib;

struct net_pcap {
	pthread_mutex_t lock;
	FILE *f;
	int fd;
	pcap_t *dead;
	pcap_dumper_t *dump;
	struct bpf_program prog;
	bool has_filter;
	bool created;
	bool failed;
	char *path;
	uint8_t *frame;
	char *buf;	 /* PCAP_BUFFER bytes, stdio's */
	off_t whole;	 /* length of the file, all of it records */
	size_t buffered; /* bytes, and records, that are not in the file yet */
	uint64_t nbuffered;
	struct timespec since; /* age of the oldest of them, CLOCK_MONOTONIC */
	uint64_t stat_captured, stat_filtered, stat_lost;
};

static int pcap_load(struct err *err)
{
	static const char *const sonames[] = { "libpcap.so.0.8", "libpcap.so.1", NULL };
	static const struct net_lib_sym syms[] = {
		{ "pcap_open_dead_with_tstamp_precision", (void **)&lib.open_dead },
		{ "pcap_close", (void **)&lib.close },
		{ "pcap_compile", (void **)&lib.compile },
		{ "pcap_freecode", (void **)&lib.freecode },
		{ "pcap_geterr", (void **)&lib.geterr },
		{ "pcap_offline_filter", (void **)&lib.filter },
		{ "pcap_dump_fopen", (void **)&lib.dump_fopen },
		{ "pcap_dump", (void **)&lib.dump },
		{ "pcap_dump_close", (void **)&lib.dump_close },
		{ NULL, NULL },
	};

	return net_lib_load(sonames, "libpcap0.8", "--net pcap", syms, err);
}

static int pcap_open_file(struct net_pcap *pc, const char *file, struct err *err)
{
	const int flags = O_WRONLY | O_CLOEXEC | O_NONBLOCK;
	struct stat st;
	int ret;

	pc->fd = open(file, flags | O_CREAT | O_EXCL, 0600);
	pc->created = pc->fd >= 0;
	if (pc->fd < 0 && errno == EEXIST)
		pc->fd = open(file, flags);
	if (pc->fd < 0) {
		ret = -errno;
		return err_set(err, ret, "--net pcap=%s: cannot write it: %s", file,
			       strerror(-ret));
	}
	if (fstat(pc->fd, &st) || !S_ISREG(st.st_mode))
		return err_set(err, -EINVAL, "--net pcap=%s: not a regular file", file);
	if (flock(pc->fd, LOCK_EX | LOCK_NB))
		return err_set(err, -EBUSY, "--net pcap=%s: in use by another capture", file);
	return 0;
}

int net_pcap_open(const char *file, const char *filter, struct net_pcap **out, struct err *err)
{
	struct net_pcap *pc;
	int ret;

	ret = pcap_load(err);
	if (ret)
		return ret;
	pc = calloc(1, sizeof(*pc));
	if (!pc)
		return err_set(err, -ENOMEM, "--net pcap: out of memory");
	pc->fd = -1;
	pthread_mutex_init(&pc->lock, NULL);
	pc->path = strdup(file);
	pc->frame = malloc(NET_FRAME_MAX);
	pc->buf = malloc(PCAP_BUFFER);
	pc->dead = lib.open_dead(DLT_EN10MB, PCAP_SNAPLEN, PCAP_TSTAMP_PRECISION_NANO);
	if (!pc->path || !pc->frame || !pc->buf || !pc->dead) {
		ret = err_set(err, -ENOMEM, "--net pcap: out of memory");
		goto fail;
	}
	if (filter) {
		if (lib.compile(pc->dead, &pc->prog, filter, 1, PCAP_NETMASK_UNKNOWN)) {
			ret = err_set(err, -EINVAL, "--net filter: '%.80s': %s", filter,
				      lib.geterr(pc->dead));
			goto fail;
		}
		pc->has_filter = true;
	}
	ret = pcap_open_file(pc, file, err);
	if (ret)
		goto fail;
	*out = pc;
	return 0;
fail:
	net_pcap_close(pc);
	return ret;
}

/* The capture ends; what is in the file stays, up to its last whole record. */
static void pcap_fail_locked(struct net_pcap *pc, int error)
{
	pc->failed = true;
	if (pc->f)
		__fpurge(pc->f);
	pc->stat_captured -= pc->nbuffered;
	pc->stat_lost += pc->nbuffered;
	pc->buffered = 0;
	pc->nbuffered = 0;
	log_err("--net pcap=%s: %s; the capture ends here, the guest goes on", pc->path,
		strerror(error));
	if (ftruncate(pc->fd, pc->whole))
		log_warn("--net pcap=%s: its last record is cut", pc->path);
}

static void pcap_flush_locked(struct net_pcap *pc)
{
	if (!pc->buffered || pc->failed)
		return;
	if (fflush(pc->f)) {
		pcap_fail_locked(pc, errno);
		return;
	}
	pc->whole += pc->buffered;
	pc->buffered = 0;
	pc->nbuffered = 0;
}

int net_pcap_start(struct net_pcap *pc)
{
	int ret = 0;

	pthread_mutex_lock(&pc->lock);
	if (pc->dump || pc->failed)
		goto out;
	ret = -ENOMEM;
	pc->f = fdopen(pc->fd, "w");
	if (!pc->f || setvbuf(pc->f, pc->buf, _IOFBF, PCAP_BUFFER))
		goto out;
	if (ftruncate(pc->fd, 0)) {
		ret = -errno;
		goto out;
	}
	pc->dump = lib.dump_fopen(pc->dead, pc->f);
	if (!pc->dump)
		goto out;
	pc->buffered = PCAP_HDR_LEN;
	pcap_flush_locked(pc);
	ret = 0;
out:
	if (ret)
		pcap_fail_locked(pc, -ret);
	pthread_mutex_unlock(&pc->lock);
	return ret;
}

/*
 * Ones' complement sum of what begins at @start, whose own field holds the pseudo header's (RFC
 * 1071).
 */
static void csum_complete(uint8_t *frame, uint32_t len, uint32_t start, uint32_t offset)
{
	uint64_t sum = 0;
	uint32_t i;
	uint16_t w;

	if (start + offset + 2 > len)
		return;
	for (i = start; i + 1 < len; i += 2) {
		memcpy(&w, frame + i, 2);
		sum += w;
	}
	if (i < len)
		sum += frame[i]; /* little endian: the missing byte is the high one */
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	w = ~sum;
	if (!w)
		w = 0xffff; /* in UDP zero means none */
	memcpy(frame + start + offset, &w, 2);
}

void net_pcap_record(struct net_pcap *pc, const struct virtio_net_hdr_v1 *hdr,
		     const struct iovec *iov, unsigned int n, uint32_t len)
{
	struct pcap_pkthdr ph = { .caplen = len, .len = len };
	struct timespec now;

	pthread_mutex_lock(&pc->lock);
	if (pc->failed) {
		pc->stat_lost++;
		goto out;
	}
	net_iov_read(iov, n, 0, pc->frame, len);
	if (hdr->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		csum_complete(pc->frame, len, hdr->csum_start, hdr->csum_offset);
	clock_gettime(CLOCK_REALTIME, &now);
	ph.ts.tv_sec = now.tv_sec;
	ph.ts.tv_usec = now.tv_nsec; /* nanoseconds, as the file's header says */
	if (pc->has_filter && !lib.filter(&pc->prog, &ph, pc->frame)) {
		pc->stat_filtered++;
		goto out;
	}
	if (pc->buffered + PCAP_REC_HDR_LEN + len > PCAP_BUFFER)
		pcap_flush_locked(pc);
	if (pc->failed) {
		pc->stat_lost++;
		goto out;
	}
	if (!pc->buffered)
		clock_gettime(CLOCK_MONOTONIC, &pc->since);
	lib.dump((u_char *)pc->dump, &ph, pc->frame);
	pc->buffered += PCAP_REC_HDR_LEN + len;
	pc->nbuffered++;
	pc->stat_captured++;
out:
	pthread_mutex_unlock(&pc->lock);
}

int net_pcap_tick(struct net_pcap *pc)
{
	struct timespec now;
	int64_t age;
	int ret = -1;

	pthread_mutex_lock(&pc->lock);
	if (pc->buffered) {
		clock_gettime(CLOCK_MONOTONIC, &now);
		age = (now.tv_sec - pc->since.tv_sec) * 1000ll +
		      (now.tv_nsec - pc->since.tv_nsec) / 1000000;
		if (age >= PCAP_FLUSH_MS)
			pcap_flush_locked(pc);
		else
			ret = PCAP_FLUSH_MS - age;
	}
	pthread_mutex_unlock(&pc->lock);
	return ret;
}

void net_pcap_flush(struct net_pcap *pc)
{
	pthread_mutex_lock(&pc->lock);
	pcap_flush_locked(pc);
	pthread_mutex_unlock(&pc->lock);
}

void net_pcap_stats(struct net_pcap *pc, FILE *out)
{
	pthread_mutex_lock(&pc->lock);
	fprintf(out, " pcap_captured=%" PRIu64 " pcap_filtered=%" PRIu64 " pcap_lost=%" PRIu64,
		pc->stat_captured, pc->stat_filtered, pc->stat_lost);
	pthread_mutex_unlock(&pc->lock);
}

void net_pcap_close(struct net_pcap *pc)
{
	net_pcap_flush(pc);
	if (pc->created && !pc->dump && !pc->failed)
		unlink(pc->path);
	if (pc->dump)
		lib.dump_close(pc->dump); /* closes the file */
	else if (pc->f)
		fclose(pc->f);
	else if (pc->fd >= 0)
		close(pc->fd);
	if (pc->has_filter)
		lib.freecode(&pc->prog);
	if (pc->dead)
		lib.close(pc->dead);
	pthread_mutex_destroy(&pc->lock);
	free(pc->frame);
	free(pc->buf);
	free(pc->path);
	free(pc);
}
