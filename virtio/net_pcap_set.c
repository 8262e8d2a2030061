// SPDX-License-Identifier: GPL-2.0-only
/*
 * The files of a capture, written with libpcap: nanosecond stamps, Ethernet, no virtio header. One
 * file, or a set that is written in turn, each up to a size, and begun anew from the first when the
 * last is full; their names are those of tcpdump's -C and -W.
 *
 * All files are opened beforehand, as a running guest's VMM may open none. A file always ends on a
 * whole record: the buffer is written out before a record would overflow it, and whatever a failed
 * write has left is cut off. A full disk ends the capture, not the guest.
 *
 * Threads: one at a time; the main thread, then the writer of net_pcap.c, then the main thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <pcap/pcap.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "net.h"

#define PCAP_SNAPLEN	 262144 /* what tcpdump has by default */
#define PCAP_BUFFER	 (256u << 10)
#define PCAP_HDR_LEN	 24 /* of the file */
#define PCAP_REC_HDR_LEN 16

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

/**
 * struct pcap_file - one of the set
 * @created: there was none of that name
 * @begun:   it has a header, so it is a capture, if one without records
 */
struct pcap_file {
	char *path;
	int fd;
	bool created, begun;
};

/**
 * struct net_pcap_set - the files
 * @cur:      the one that is written
 * @max:      bytes of a file, 0: no end
 * @f:	      stdio's of file[cur], on a descriptor of its own
 * @buf:      PCAP_BUFFER bytes, @f's
 * @whole:    length of file[cur], all of it records
 * @buffered: bytes, and @nbuffered records, that are not in it yet; @ncut of them are cut
 * @started:  all files are this capture's; what was in them before is gone
 * @begun:    how often a file was begun
 * @error:    -errno that ended the capture
 */
struct net_pcap_set {
	struct pcap_file *file;
	unsigned int nfiles, cur;
	uint64_t max;
	pcap_t *dead;
	struct bpf_program prog;
	bool has_filter;
	FILE *f;
	pcap_dumper_t *dump;
	char *buf;
	bool started;
	uint64_t whole;
	size_t buffered;
	uint64_t nbuffered, ncut, begun;
	int error;
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

static int set_open_file(struct pcap_file *pf, struct err *err)
{
	const int flags = O_WRONLY | O_CLOEXEC | O_NONBLOCK;
	struct stat st;
	int ret;

	pf->fd = open(pf->path, flags | O_CREAT | O_EXCL, 0600);
	pf->created = pf->fd >= 0;
	if (pf->fd < 0 && errno == EEXIST)
		pf->fd = open(pf->path, flags);
	if (pf->fd < 0) {
		ret = -errno;
		return err_set(err, ret, "--net pcap=%s: cannot write it: %s", pf->path,
			       strerror(-ret));
	}
	if (fstat(pf->fd, &st) || !S_ISREG(st.st_mode))
		return err_set(err, -EINVAL, "--net pcap=%s: not a regular file", pf->path);
	if (flock(pf->fd, LOCK_EX | LOCK_NB))
		return err_set(err, -EBUSY, "--net pcap=%s: in use by another capture, or replayed",
			       pf->path);
	return 0;
}

/* As tcpdump: zeroes in front, so that names sort; a set of one has no number. */
static int set_open_files(struct net_pcap_set *s, const char *name, unsigned int n, struct err *err)
{
	int digits = 0, ret = 0;
	unsigned int i;

	s->file = calloc(n, sizeof(*s->file));
	if (!s->file)
		return err_set(err, -ENOMEM, "--net pcap: out of memory");
	for (i = n - 1; i; i /= 10)
		digits++;
	for (i = 0; i < n && !ret; i++) {
		struct pcap_file *pf = &s->file[i];

		pf->fd = -1;
		s->nfiles = i + 1;
		if (digits)
			ret = asprintf(&pf->path, "%s%0*u", name, digits, i);
		else
			pf->path = strdup(name);
		if (ret < 0 || !pf->path) {
			pf->path = NULL;
			return err_set(err, -ENOMEM, "--net pcap: out of memory");
		}
		ret = set_open_file(pf, err);
	}
	return ret;
}

int net_pcap_set_open(const struct net_cfg *cfg, struct net_pcap_set **out, struct err *err)
{
	struct net_pcap_set *s;
	int ret;

	ret = pcap_load(err);
	if (ret)
		return ret;
	s = calloc(1, sizeof(*s));
	if (!s)
		return err_set(err, -ENOMEM, "--net pcap: out of memory");
	s->max = cfg->pcap_size;
	s->buf = malloc(PCAP_BUFFER);
	s->dead = lib.open_dead(DLT_EN10MB, cfg->pcap_snap ? cfg->pcap_snap : PCAP_SNAPLEN,
				PCAP_TSTAMP_PRECISION_NANO);
	if (!s->buf || !s->dead) {
		ret = err_set(err, -ENOMEM, "--net pcap: out of memory");
		goto fail;
	}
	if (cfg->filter) {
		if (lib.compile(s->dead, &s->prog, cfg->filter, 1, PCAP_NETMASK_UNKNOWN)) {
			ret = err_set(err, -EINVAL, "--net filter: '%.80s': %s", cfg->filter,
				      lib.geterr(s->dead));
			goto fail;
		}
		s->has_filter = true;
	}
	ret = set_open_files(s, cfg->pcap, cfg->pcap_files ? cfg->pcap_files : 1, err);
	if (ret)
		goto fail;
	*out = s;
	return 0;
fail:
	net_pcap_set_close(s);
	return ret;
}

/* The capture ends; what is in the files stays, up to the last whole record. */
static int set_fail(struct net_pcap_set *s, int error)
{
	const struct pcap_file *pf = &s->file[s->cur];
	bool full = error == -ENOSPC || error == -EDQUOT || error == -EFBIG;

	s->error = error;
	if (s->f)
		__fpurge(s->f);
	s->buffered = 0;
	log_err("--net pcap=%s: %s; the capture ends here, the guest goes on%s", pf->path,
		strerror(-error),
		full ? "; make room, or bound it with pcap-size= and pcap-files=" : "");
	if (ftruncate(pf->fd, s->whole))
		log_warn("--net pcap=%s: its last record is cut", pf->path);
	return error;
}

int net_pcap_set_flush(struct net_pcap_set *s)
{
	if (s->error || !s->buffered)
		return s->error;
	if (fflush(s->f))
		return set_fail(s, errno ? -errno : -EIO);
	s->whole += s->buffered;
	s->buffered = 0;
	s->nbuffered = 0;
	s->ncut = 0;
	return 0;
}

static void set_end_file(struct net_pcap_set *s)
{
	if (s->dump)
		lib.dump_close(s->dump); /* closes the file */
	else if (s->f)
		fclose(s->f);
	s->dump = NULL;
	s->f = NULL;
}

static int set_begin_file(struct net_pcap_set *s, unsigned int i)
{
	struct pcap_file *pf = &s->file[i];
	int fd;

	set_end_file(s);
	s->cur = i;
	s->whole = 0;
	pf->begun = false;
	if (ftruncate(pf->fd, 0) || lseek(pf->fd, 0, SEEK_SET) < 0)
		return set_fail(s, -errno);
	/* The lock lives as long as pf->fd. */
	fd = fcntl(pf->fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return set_fail(s, -errno);
	s->f = fdopen(fd, "w");
	if (!s->f) {
		close(fd);
		return set_fail(s, -ENOMEM);
	}
	if (setvbuf(s->f, s->buf, _IOFBF, PCAP_BUFFER))
		return set_fail(s, -ENOMEM);
	s->dump = lib.dump_fopen(s->dead, s->f);
	if (!s->dump)
		return set_fail(s, -ENOMEM);
	s->buffered = PCAP_HDR_LEN;
	if (net_pcap_set_flush(s))
		return s->error;
	pf->begun = true;
	store_once(&s->begun, s->begun + 1);
	return 0;
}

int net_pcap_set_start(struct net_pcap_set *s)
{
	unsigned int i;

	s->started = true;
	/* What an earlier capture has left in the others would be taken for a part of this one. */
	for (i = 1; i < s->nfiles; i++)
		if (ftruncate(s->file[i].fd, 0)) {
			s->cur = i;
			return set_fail(s, -errno);
		}
	return set_begin_file(s, 0);
}

bool net_pcap_set_match(const struct net_pcap_set *s, const uint8_t *frame, uint32_t len)
{
	struct pcap_pkthdr ph = { .caplen = len, .len = len };

	return !s->has_filter || lib.filter(&s->prog, &ph, frame);
}

int net_pcap_set_write(struct net_pcap_set *s, uint64_t ns, const uint8_t *frame, uint32_t caplen,
		       uint32_t len)
{
	struct pcap_pkthdr ph = { .caplen = caplen, .len = len };
	size_t need = PCAP_REC_HDR_LEN + caplen;

	if (s->error)
		return s->error;
	if (s->buffered + need > PCAP_BUFFER ||
	    (s->max && s->whole + s->buffered + need > s->max)) {
		if (net_pcap_set_flush(s))
			return s->error;
		if (s->max && s->whole + need > s->max &&
		    set_begin_file(s, (s->cur + 1) % s->nfiles))
			return s->error;
	}
	ph.ts.tv_sec = ns / 1000000000;
	ph.ts.tv_usec = ns % 1000000000; /* nanoseconds, as the file's header says */
	lib.dump((u_char *)s->dump, &ph, frame);
	s->buffered += need;
	s->nbuffered++;
	s->ncut += caplen < len;
	return 0;
}

uint64_t net_pcap_set_pending(const struct net_pcap_set *s, uint64_t *cut)
{
	*cut = s->ncut;
	return s->nbuffered;
}

uint64_t net_pcap_set_files(const struct net_pcap_set *s)
{
	return load_once(&s->begun);
}

/* A file that could not be begun, or never was, is not one of this capture's. */
void net_pcap_set_close(struct net_pcap_set *s)
{
	unsigned int i;

	set_end_file(s);
	for (i = 0; i < s->nfiles; i++) {
		struct pcap_file *pf = &s->file[i];

		if (pf->fd >= 0 && !pf->begun && (pf->created || s->started))
			unlink(pf->path);
		if (pf->fd >= 0)
			close(pf->fd);
		free(pf->path);
	}
	if (s->has_filter)
		lib.freecode(&s->prog);
	if (s->dead)
		lib.close(s->dead);
	free(s->file);
	free(s->buf);
	free(s);
}
