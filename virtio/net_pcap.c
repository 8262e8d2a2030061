// SPDX-License-Identifier: GPL-2.0-only
/*
 * Records a network device's frames, both directions, off the data path: each pair of queues copies
 * its frames to a ring of its own, and one thread takes them from all rings, oldest first, through
 * the filter to the files (net_pcap_set.c). A ring that is full costs records, never traffic, and
 * every frame is counted in one place: captured, filtered, dropped or lost.
 *
 * What an offload would have added later is not there: a segmented packet is recorded as the one
 * large frame that passed; but an open checksum is completed in the record, if that is whole.
 *
 * Threads: open, start, stats and close from set-up threads, record from the pairs' threads, one
 * for each ring. The writer sleeps while nothing comes, and then for as long as the oldest record
 * may wait, or until a ring fills up: so a frame costs a wake-up now and then, not one each.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "net.h"

#define PCAP_RING_LEN (8u << 20) /* default; touched only as far as the writer falls behind */
#define PCAP_LAG_MS   200	 /* a record's way to the file, at most */
#define PCAP_HOLD_NS  20000000	 /* other rings may still get older ones for so long */
#define PCAP_SYNC_MS  1000
#define PCAP_SKIP     UINT32_MAX /* as caplen: the ring goes on at its start */

/**
 * struct pcap_rec - a frame in a ring, in one piece
 * @caplen: bytes that follow
 * @len:    of the frame
 */
struct pcap_rec {
	uint64_t ns; /* CLOCK_REALTIME */
	uint32_t caplen, len;
	uint32_t csum_start, csum_offset;
	uint64_t csum; /* open */
	uint8_t data[];
};

_Static_assert(sizeof(struct pcap_rec) == 32, "a power of two: rings are cut into units of it");

/**
 * struct pcap_ring - of one pair; positions count bytes since the start and never wrap
 * @head: end of what is in it; release by the pair's thread, acquire by the writer
 * @seen: the last @tail that the pair's thread saw
 * @tail: start of what is in it; release by the writer, acquire by the pair's thread
 * @end:  the head up to which the writer takes in this round
 */
struct pcap_ring {
	uint8_t *data __attribute__((aligned(CACHE_LINE)));
	uint64_t head, seen;
	uint64_t stat_frames, stat_dropped, stat_lost;
	uint64_t tail __attribute__((aligned(CACHE_LINE)));
	uint64_t end;
};

/* What the writer wants to be woken for. */
enum { PCAP_WAKE_NONE, PCAP_WAKE_FULL, PCAP_WAKE_ANY };

struct net_pcap {
	struct net_pcap_set *set;
	char *path;
	uint32_t snap, ring_len;
	bool whole; /* the filter is to see all of a frame, whatever is recorded of it */
	unsigned int nrings;
	struct pcap_ring *ring;
	bool started;
	pthread_t thread;
	int wake_fd;
	bool stop;	 /* release by close, acquire by the writer */
	bool failed;	 /* set by the writer for good; a hint to the others */
	uint32_t want;	 /* PCAP_WAKE_* */
	uint64_t sync;	 /* asked for; release by who waits, acquire by the writer */
	uint64_t synced; /* done, under the lock */
	pthread_mutex_t lock;
	pthread_cond_t cond;
	uint64_t stat_captured, stat_filtered, stat_cut, stat_lost; /* the writer's */
};

int net_pcap_open(const struct net_cfg *cfg, unsigned int pairs, struct net_pcap **out,
		  struct err *err)
{
	size_t size = pairs * sizeof(struct pcap_ring);
	pthread_condattr_t attr;
	struct net_pcap *pc;
	unsigned int i;
	int ret;

	pc = calloc(1, sizeof(*pc));
	if (!pc)
		return err_set(err, -ENOMEM, "--net pcap: out of memory");
	pthread_mutex_init(&pc->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&pc->cond, &attr);
	pthread_condattr_destroy(&attr);
	pc->snap = cfg->pcap_snap ? cfg->pcap_snap : NET_FRAME_MAX;
	pc->whole = cfg->filter;
	pc->ring_len = PCAP_RING_LEN;
	if (cfg->pcap_buffer)
		for (pc->ring_len = 1; pc->ring_len < cfg->pcap_buffer;)
			pc->ring_len *= 2;
	pc->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	pc->path = strdup(cfg->pcap);
	pc->ring = aligned_alloc(CACHE_LINE, size);
	if (pc->ring) {
		memset(pc->ring, 0, size);
		pc->nrings = pairs;
	}
	for (i = 0; i < pc->nrings; i++) {
		pc->ring[i].data = malloc(pc->ring_len);
		if (!pc->ring[i].data)
			break;
	}
	if (!pc->path || !pc->ring || i < pairs || pc->wake_fd < 0) {
		ret = err_set(err, -ENOMEM, "--net pcap: out of memory");
		goto fail;
	}
	ret = net_pcap_set_open(cfg, &pc->set, err);
	if (ret)
		goto fail;
	*out = pc;
	return 0;
fail:
	net_pcap_close(pc);
	return ret;
}

/* --- the pairs' side */

/*
 * The head that was just stored comes before the look at what the writer wants; the full barrier
 * pairs with pcap_sleep()'s, which says what it wants before it looks at the heads.
 */
static void pcap_wake(struct net_pcap *pc, bool full)
{
	uint32_t want;

	full_barrier();
	want = load_once(&pc->want);
	if (want == PCAP_WAKE_NONE || (want == PCAP_WAKE_FULL && !full))
		return;
	if (__atomic_exchange_n(&pc->want, PCAP_WAKE_NONE, __ATOMIC_RELAXED) != PCAP_WAKE_NONE)
		eventfd_write(pc->wake_fd, 1);
}

/* Room for @need bytes in one piece at *@pos, or NULL. */
static struct pcap_rec *ring_reserve(struct net_pcap *pc, struct pcap_ring *r, uint32_t need,
				     uint64_t *pos)
{
	uint32_t at = r->head & (pc->ring_len - 1), skip = 0;

	if (at + need > pc->ring_len)
		skip = pc->ring_len - at;
	if (r->head + skip + need - r->seen > pc->ring_len) {
		r->seen = load_acquire(&r->tail); /* pairs with pcap_take()'s release */
		if (r->head + skip + need - r->seen > pc->ring_len)
			return NULL;
	}
	if (skip)
		((struct pcap_rec *)(r->data + at))->caplen = PCAP_SKIP;
	*pos = r->head + skip;
	return (struct pcap_rec *)(r->data + (*pos & (pc->ring_len - 1)));
}

void net_pcap_record(struct net_pcap *pc, unsigned int pair, const struct virtio_net_hdr_v1 *hdr,
		     const struct iovec *iov, unsigned int n, uint32_t len)
{
	uint32_t caplen = pc->whole ? len : MIN(len, pc->snap);
	/* So that what is left of the ring has room for the mark to skip it. */
	uint32_t need = ALIGN_UP(sizeof(struct pcap_rec) + caplen, sizeof(struct pcap_rec));
	struct pcap_ring *r = &pc->ring[pair];
	struct pcap_rec *rec;
	struct timespec now;
	uint64_t pos;

	net_count(&r->stat_frames, 1);
	if (load_once(&pc->failed)) {
		net_count(&r->stat_lost, 1);
		return;
	}
	rec = ring_reserve(pc, r, need, &pos);
	if (!rec) {
		net_count(&r->stat_dropped, 1);
		return;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	rec->ns = now.tv_sec * 1000000000ull + now.tv_nsec;
	rec->len = len;
	rec->caplen = caplen;
	rec->csum = hdr->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM;
	rec->csum_start = hdr->csum_start;
	rec->csum_offset = hdr->csum_offset;
	net_iov_read(iov, n, 0, rec->data, caplen);
	store_release(&r->head, pos + need); /* pairs with pcap_drain()'s acquire */
	pcap_wake(pc, pos + need - r->seen >= pc->ring_len / 4);
}

/* --- the writer's side */

/* The writer gives up: what it had taken and not written is lost, too. */
static void pcap_fail(struct net_pcap *pc)
{
	uint64_t cut, n = net_pcap_set_pending(pc->set, &cut);

	if (pc->failed)
		return;
	store_once(&pc->failed, true);
	net_count(&pc->stat_captured, -n);
	net_count(&pc->stat_cut, -cut);
	net_count(&pc->stat_lost, n);
}

/* The oldest record of a ring, or NULL. */
static struct pcap_rec *pcap_peek(struct net_pcap *pc, struct pcap_ring *r)
{
	uint32_t at = r->tail & (pc->ring_len - 1);
	struct pcap_rec *rec = (struct pcap_rec *)(r->data + at);

	if (r->tail == r->end)
		return NULL;
	if (rec->caplen != PCAP_SKIP)
		return rec;
	store_release(&r->tail, r->tail + pc->ring_len - at); /* as in pcap_take() */
	return (struct pcap_rec *)r->data;
}

static void pcap_take(struct net_pcap *pc, struct pcap_ring *r, struct pcap_rec *rec)
{
	uint32_t need = ALIGN_UP(sizeof(*rec) + rec->caplen, sizeof(*rec));
	uint32_t caplen = MIN(rec->caplen, pc->snap);

	if (rec->csum && rec->caplen == rec->len)
		net_csum_complete(rec->data, rec->len, rec->csum_start, rec->csum_offset);
	if (pc->failed) {
		net_count(&pc->stat_lost, 1);
	} else if (!net_pcap_set_match(pc->set, rec->data, rec->caplen)) {
		net_count(&pc->stat_filtered, 1);
	} else if (net_pcap_set_write(pc->set, rec->ns, rec->data, caplen, rec->len)) {
		pcap_fail(pc);
		net_count(&pc->stat_lost, 1);
	} else {
		net_count(&pc->stat_captured, 1);
		net_count(&pc->stat_cut, caplen < rec->len);
	}
	store_release(&r->tail, r->tail + need); /* pairs with ring_reserve()'s acquire */
}

/*
 * Write what is there now, in the order of its stamps. With several rings a young record is left,
 * if @hold: one with an older stamp may be on its way into another ring.
 */
static void pcap_drain(struct net_pcap *pc, bool hold)
{
	struct pcap_rec *rec, *oldest;
	struct pcap_ring *from = NULL;
	struct timespec ts;
	uint64_t now;
	unsigned int i;

	clock_gettime(CLOCK_REALTIME, &ts);
	now = ts.tv_sec * 1000000000ull + ts.tv_nsec;
	for (i = 0; i < pc->nrings; i++)
		pc->ring[i].end = load_acquire(&pc->ring[i].head);
	for (;;) {
		for (i = 0, oldest = NULL; i < pc->nrings; i++) {
			rec = pcap_peek(pc, &pc->ring[i]);
			if (rec && (!oldest || rec->ns < oldest->ns)) {
				oldest = rec;
				from = &pc->ring[i];
			}
		}
		/* One from the future, of a clock that was set back, waits for nothing. */
		if (!oldest || (hold && oldest->ns <= now && now - oldest->ns < PCAP_HOLD_NS))
			break;
		pcap_take(pc, from, oldest);
	}
	if (net_pcap_set_flush(pc->set))
		pcap_fail(pc);
}

static bool pcap_ready(struct net_pcap *pc, uint32_t want)
{
	unsigned int i;

	if (load_acquire(&pc->stop) || load_acquire(&pc->sync) != pc->synced)
		return true;
	for (i = 0; i < pc->nrings; i++) {
		uint64_t used = load_acquire(&pc->ring[i].head) - pc->ring[i].tail;

		if (want == PCAP_WAKE_ANY ? used > 0 : used >= pc->ring_len / 4)
			return true;
	}
	return false;
}

static void pcap_sleep(struct net_pcap *pc, uint32_t want, int ms)
{
	struct pollfd pfd = { .fd = pc->wake_fd, .events = POLLIN };
	eventfd_t n;

	store_once(&pc->want, want);
	full_barrier(); /* pairs with pcap_wake()'s */
	if (!pcap_ready(pc, want))
		poll(&pfd, 1, ms);
	store_once(&pc->want, PCAP_WAKE_NONE);
	eventfd_read(pc->wake_fd, &n);
}

static void *pcap_thread(void *arg)
{
	struct net_pcap *pc = arg;
	uint64_t sync;
	bool stop;

	pthread_setname_np(pthread_self(), "pcap");
	if (net_pcap_set_start(pc->set))
		pcap_fail(pc);
	for (;;) {
		stop = load_acquire(&pc->stop);
		sync = load_acquire(&pc->sync); /* pairs with pcap_sync()'s release */
		pcap_drain(pc, pc->nrings > 1 && !stop && sync == pc->synced);
		pthread_mutex_lock(&pc->lock);
		pc->synced = sync;
		pthread_cond_broadcast(&pc->cond);
		pthread_mutex_unlock(&pc->lock);
		if (stop)
			return NULL;
		pcap_sleep(pc, PCAP_WAKE_ANY, -1);
		pcap_sleep(pc, PCAP_WAKE_FULL, PCAP_LAG_MS);
	}
}

/* --- from outside */

/* Signals are for the VMM's main thread. */
int net_pcap_start(struct net_pcap *pc)
{
	sigset_t all, old;
	int ret;

	if (pc->started)
		return 0;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	ret = -pthread_create(&pc->thread, NULL, pcap_thread, pc);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	store_release(&pc->started, !ret); /* pairs with net_pcap_stats()'s acquire */
	return ret;
}

/* Wait until all that was recorded before is written, but not for ever: disks hang. */
static void pcap_sync(struct net_pcap *pc)
{
	struct timespec until;
	uint64_t mine;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += PCAP_SYNC_MS / 1000;
	pthread_mutex_lock(&pc->lock);
	mine = pc->sync + 1;
	store_release(&pc->sync, mine);
	eventfd_write(pc->wake_fd, 1);
	while (pc->synced < mine)
		if (pthread_cond_timedwait(&pc->cond, &pc->lock, &until))
			break;
	pthread_mutex_unlock(&pc->lock);
}

struct pcap_sum {
	uint64_t frames, captured, filtered, cut, dropped, lost;
};

static struct pcap_sum pcap_sum(struct net_pcap *pc)
{
	struct pcap_sum s = { .captured = load_once(&pc->stat_captured),
			      .filtered = load_once(&pc->stat_filtered),
			      .cut = load_once(&pc->stat_cut),
			      .lost = load_once(&pc->stat_lost) };
	unsigned int i;

	for (i = 0; i < pc->nrings; i++) {
		s.frames += load_once(&pc->ring[i].stat_frames);
		s.dropped += load_once(&pc->ring[i].stat_dropped);
		s.lost += load_once(&pc->ring[i].stat_lost);
	}
	return s;
}

void net_pcap_stats(struct net_pcap *pc, FILE *out)
{
	struct pcap_sum s;

	if (load_acquire(&pc->started))
		pcap_sync(pc);
	s = pcap_sum(pc);
	fprintf(out,
		" pcap_frames=%" PRIu64 " pcap_captured=%" PRIu64 " pcap_cut=%" PRIu64
		" pcap_filtered=%" PRIu64 " pcap_dropped=%" PRIu64 " pcap_lost=%" PRIu64
		" pcap_files=%" PRIu64,
		s.frames, s.captured, s.cut, s.filtered, s.dropped, s.lost,
		net_pcap_set_files(pc->set));
}

void net_pcap_close(struct net_pcap *pc)
{
	struct pcap_sum s;
	unsigned int i;

	if (pc->started) {
		store_release(&pc->stop, true); /* pairs with the writer's acquire */
		eventfd_write(pc->wake_fd, 1);
		pthread_join(pc->thread, NULL);
		s = pcap_sum(pc);
		/* Not only when something is missing: that nothing is, is worth knowing. */
		log_notice("--net pcap=%s: %" PRIu64 " frames: %" PRIu64 " captured (%" PRIu64
			   " cut), %" PRIu64 " filtered, %" PRIu64 " dropped, %" PRIu64 " lost",
			   pc->path, s.frames, s.captured, s.cut, s.filtered, s.dropped, s.lost);
	}
	if (pc->set)
		net_pcap_set_close(pc->set);
	for (i = 0; i < pc->nrings; i++)
		free(pc->ring[i].data);
	if (pc->wake_fd >= 0)
		close(pc->wake_fd);
	pthread_cond_destroy(&pc->cond);
	pthread_mutex_destroy(&pc->lock);
	free(pc->ring);
	free(pc->path);
	free(pc);
}
