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
 *
 * Order: a record is written when no older one can come any more. A ring whose thread is not in the
 * middle of a frame can only get younger ones than now, another one younger ones than its last. So
 * records wait only for a thread that was interrupted there; and not even for that when a ring is
 * filling up.
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

#include "last_words.h"
#include "log.h"
#include "net_pcap.h"

#define PCAP_RING_LEN (8u << 20) /* default; touched only as far as the writer falls behind */
#define PCAP_LAG_MS   200	 /* a record's way to the file, at most */
#define PCAP_HELD_MS  500 /* for a thread in the middle of a frame, when all is to be written */
#define PCAP_SYNC_MS  1000
#define PCAP_LAST_MS  500 /* for what is left when lodge ends in a hurry */

/* What the writer wants to be woken for. */
enum { PCAP_WAKE_NONE, PCAP_WAKE_FULL, PCAP_WAKE_ANY };

struct net_pcap {
	struct last_words last;
	struct net_pcap_set *set;
	char *path;
	uint32_t snap;
	bool whole; /* the filter is to see all of a frame, whatever is recorded of it */
	unsigned int nrings;
	struct pcap_ring *ring;
	bool started;
	bool done; /* release by the writer at its end, acquire by pcap_last_words() */
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

static void pcap_last_words(struct last_words *w);

int net_pcap_open(const struct net_cfg *cfg, unsigned int pairs, struct net_pcap **out,
		  struct err *err)
{
	size_t size = pairs * sizeof(struct pcap_ring);
	uint32_t ring_len = PCAP_RING_LEN;
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
	pc->last.say = pcap_last_words;
	last_words_add(&pc->last);
	pc->snap = cfg->pcap_snap ? cfg->pcap_snap : NET_FRAME_MAX;
	pc->whole = cfg->filter;
	if (cfg->pcap_buffer)
		for (ring_len = 1; ring_len < cfg->pcap_buffer;)
			ring_len *= 2;
	pc->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	pc->path = strdup(cfg->pcap);
	pc->ring = aligned_alloc(CACHE_LINE, size);
	if (pc->ring) {
		memset(pc->ring, 0, size);
		pc->nrings = pairs;
	}
	for (i = 0; i < pc->nrings; i++)
		if (pcap_ring_init(&pc->ring[i], ring_len))
			break;
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
static void pcap_wake(struct net_pcap *pc, struct pcap_ring *r)
{
	uint32_t want;

	full_barrier();
	want = load_once(&pc->want);
	if (want == PCAP_WAKE_NONE || (want == PCAP_WAKE_FULL && !pcap_ring_past_mark(r)))
		return;
	if (__atomic_exchange_n(&pc->want, PCAP_WAKE_NONE, __ATOMIC_RELAXED) != PCAP_WAKE_NONE)
		eventfd_write(pc->wake_fd, 1);
}

void net_pcap_record(struct net_pcap *pc, unsigned int pair, const struct virtio_net_hdr_v1 *hdr,
		     const struct iovec *iov, unsigned int n, uint32_t len)
{
	uint32_t caplen = pc->whole ? len : MIN(len, pc->snap);
	struct pcap_ring *r = &pc->ring[pair];

	net_count(&r->stat_frames, 1);
	if (load_once(&pc->failed))
		net_count(&r->stat_lost, 1);
	else if (pcap_ring_put(r, hdr, iov, n, len, caplen))
		pcap_wake(pc, r);
	else
		net_count(&r->stat_dropped, 1);
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

static void pcap_take(struct net_pcap *pc, struct pcap_ring *r, struct pcap_rec *rec)
{
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
	pcap_ring_take(r, rec);
}

/* Begin a round. From the stamp that is returned on, an older record may still come. */
static uint64_t pcap_look(struct net_pcap *pc)
{
	uint64_t now = pcap_now(), until = UINT64_MAX, idle;
	unsigned int i;

	full_barrier(); /* pairs with pcap_ring_put()'s */
	for (i = 0; i < pc->nrings; i++) {
		idle = pcap_ring_look(&pc->ring[i], now);
		until = MIN(until, idle);
	}
	return until;
}

/* Is a ring past its mark, or so far below that the next frame may bring it there? */
static bool pcap_filling(const struct net_pcap *pc, bool nearly)
{
	unsigned int i;

	for (i = 0; i < pc->nrings; i++)
		if (pc->ring[i].end - pc->ring[i].tail >= pcap_ring_mark(&pc->ring[i]) >> nearly)
			return true;
	return false;
}

/*
 * Write what is there now, in the order of its stamps. With @hold those are left that an older one
 * may still come before, unless a ring is filling up: from the stamp on that is returned.
 */
static uint64_t pcap_drain(struct net_pcap *pc, bool hold)
{
	uint64_t until = pcap_look(pc), now = pcap_now();
	struct pcap_rec *rec, *oldest;
	struct pcap_ring *from = NULL;
	bool filling = false;
	unsigned int i;

	for (;;) {
		for (i = 0, oldest = NULL; i < pc->nrings; i++) {
			rec = pcap_ring_peek(&pc->ring[i]);
			if (rec && (!oldest || rec->ns < oldest->ns)) {
				oldest = rec;
				from = &pc->ring[i];
			}
		}
		if (!oldest)
			break;
		/* One from the future, of a clock that was set back, waits for nothing. */
		if (hold && oldest->ns >= until && oldest->ns <= now) {
			filling = pcap_filling(pc, filling);
			if (!filling)
				break;
		}
		pcap_take(pc, from, oldest);
	}
	if (net_pcap_set_flush(pc->set))
		pcap_fail(pc);
	return until;
}

/* All that was recorded before now: somebody waits for it. In order, unless that takes long. */
static void pcap_drain_all(struct net_pcap *pc, bool hold)
{
	uint64_t now = pcap_now();
	unsigned int ms;

	for (ms = 0; hold && pcap_drain(pc, true) <= now; ms++) {
		hold = ms < PCAP_HELD_MS;
		poll(NULL, 0, 1);
	}
	if (!hold)
		pcap_drain(pc, false);
}

static bool pcap_ready(struct net_pcap *pc, uint32_t want)
{
	unsigned int i;

	if (load_acquire(&pc->stop) || load_acquire(&pc->sync) != pc->synced)
		return true;
	for (i = 0; i < pc->nrings; i++) {
		uint64_t used = pcap_ring_used(&pc->ring[i]);

		if (want == PCAP_WAKE_ANY ? used > 0 : used >= pcap_ring_mark(&pc->ring[i]))
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
		if (stop || sync != pc->synced)
			pcap_drain_all(pc, pc->nrings > 1 && !stop);
		else
			pcap_drain(pc, pc->nrings > 1);
		pthread_mutex_lock(&pc->lock);
		pc->synced = sync;
		pthread_cond_broadcast(&pc->cond);
		pthread_mutex_unlock(&pc->lock);
		if (stop)
			break;
		pcap_sleep(pc, PCAP_WAKE_ANY, -1);
		pcap_sleep(pc, PCAP_WAKE_FULL, PCAP_LAG_MS);
	}
	store_release(&pc->done, true); /* pairs with pcap_last_words()'s acquire */
	return NULL;
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
	struct pcap_sum s = { 0 };
	unsigned int i;

	/* Against the order in which they are counted, so that no part is more than the whole. */
	s.cut = load_acquire(&pc->stat_cut);
	s.captured = load_acquire(&pc->stat_captured);
	s.filtered = load_acquire(&pc->stat_filtered);
	s.lost = load_acquire(&pc->stat_lost);
	for (i = 0; i < pc->nrings; i++) {
		s.dropped += load_acquire(&pc->ring[i].stat_dropped);
		s.lost += load_acquire(&pc->ring[i].stat_lost);
		s.frames += load_acquire(&pc->ring[i].stat_frames);
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

/* Not only when something is missing: that nothing is, is worth knowing. */
static void pcap_tell(const struct net_pcap *pc, const struct pcap_sum *s, const char *more)
{
	log_notice("--net pcap=%s: %" PRIu64 " frames: %" PRIu64 " captured (%" PRIu64
		   " cut), %" PRIu64 " filtered, %" PRIu64 " dropped, %" PRIu64 " lost%s",
		   pc->path, s->frames, s->captured, s->cut, s->filtered, s->dropped, s->lost,
		   more);
}

/* The writer may be stuck for good. Numbers and names are all that is formatted here. */
static void pcap_last_words(struct last_words *w)
{
	struct net_pcap *pc = container_of(w, struct net_pcap, last);
	uint64_t pending, cut, left;
	unsigned int ms;
	char more[80] = "";
	struct pcap_sum s;

	if (!load_acquire(&pc->started))
		return;
	store_release(&pc->stop, true); /* pairs with the writer's acquire */
	eventfd_write(pc->wake_fd, 1);
	for (ms = 0; ms < PCAP_LAST_MS && !load_acquire(&pc->done); ms += 10)
		poll(NULL, 0, 10);
	s = pcap_sum(pc);
	pending = net_pcap_set_pending(pc->set, &cut);
	s.captured -= pending;
	s.cut -= cut;
	left = s.frames - s.captured - s.filtered - s.dropped - s.lost;
	if (left)
		snprintf(more, sizeof(more),
			 ", %" PRIu64 " not written, as lodge did not wait for the disk", left);
	pcap_tell(pc, &s, more);
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
		pcap_tell(pc, &s, "");
	}
	last_words_remove(&pc->last);
	if (pc->set)
		net_pcap_set_close(pc->set);
	for (i = 0; i < pc->nrings; i++)
		pcap_ring_fini(&pc->ring[i]);
	if (pc->wake_fd >= 0)
		close(pc->wake_fd);
	pthread_cond_destroy(&pc->cond);
	pthread_mutex_destroy(&pc->lock);
	free(pc->ring);
	free(pc->path);
	free(pc);
}
