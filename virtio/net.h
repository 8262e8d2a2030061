/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The inside of the network device, shared by net*.c and its tests. One struct net_pair per pair of
 * queues, each with its own thread, backend and epoll instance; pair 0's thread also serves the
 * control queue, and starts and stops the other pairs as the driver says.
 *
 * Threads: a struct net_pair belongs to its thread while the pair is active; between pairs nothing
 * is shared but what is read-only meanwhile. Counters are read from elsewhere without a lock.
 * net_dev.rx_offloads and net_dev.active are written by pair 0 and read by all.
 */
#ifndef LODGE_NET_H
#define LODGE_NET_H

#include "net_backend.h"
#include "util.h"
#include "vdev.h"

#define NET_PAIRS_MAX	  8
#define NET_MTU		  1500	/* of who was told of no other */
#define NET_POLL_MAX	  10000 /* microseconds */
#define NET_RING	  256	/* entries, hence also the longest chain */
#define NET_RX_IOV	  (2 * NET_RING)
#define NET_CTRL_DATA_MAX 4096 /* longest control command that is looked at */
#define NET_CTRL_REST_MS  5

/* Counters have one writer, and readers that must not see half of one. */
#define net_count(p, n) store_once((p), *(p) + (n))

struct net_dev;
struct net_pcap;

/**
 * struct net_cfg - what --net says
 */
struct net_cfg {
	const char *tap;
	bool user;
	const char *iface;
	const char *replay;
	const char *replay_speed;
	const char *addr;
	const char *mac;
	const char *offload;
	uint64_t mtu;
	uint64_t queues; /* pairs of them; 0: not given */
	uint64_t poll;	 /* microseconds */
	struct opt_multi hostfwd;
	const char *pcap;
	const char *filter;
	uint64_t pcap_size, pcap_files, pcap_snap, pcap_buffer;
};

/**
 * struct net_buf - a chain in hand
 * @niov: its iovecs that are still in the window
 * @room: its bytes that are still in the window
 */
struct net_buf {
	uint16_t head;
	uint16_t niov;
	uint32_t room;
};

/**
 * struct net_rx - receive side: the guest's buffers "in hand", taken from the queue, not yet filled
 * @iov:     [0] is left for the header; [start, end) are the buffers; one more for @spill
 * @buf:     [bstart, bend), the chains they came from
 * @room:    bytes in the window
 * @hdr_iov: where the first buffer's header goes; those bytes have left the window
 * @pending: length of a frame that waits for more buffers, 0: none; its end is in @spill
 * @inside:  how much of @pending is in the window already
 * @starved: waiting for a kick
 * @kicks:   the driver has been told to kick (or never told otherwise)
 *
 * Chains in hand cost nothing to keep and save popping them again for every frame.
 */
struct net_rx {
	struct vq *vq;
	struct iovec iov[NET_RX_IOV + 2];
	struct net_buf buf[2 * NET_RING];
	unsigned int start, end, bstart, bend;
	size_t room;
	struct iovec hdr_iov[NET_HDR_LEN];
	unsigned int nhdr;
	uint32_t pending, inside;
	bool starved, kicks;
	struct virtio_net_hdr_v1 hdr;
	uint8_t *spill; /* NET_FRAME_MAX + 1 bytes */
	uint64_t stat_packets, stat_bytes, stat_drops, stat_waits;
};

/**
 * struct net_tx - send side
 * @held:    @chain was popped and @len bytes of it wait until the backend can take them
 * @frame:   private copy of a frame, for the capture; NULL without one
 */
struct net_tx {
	struct vq *vq;
	struct iovec iov[NET_RING + 1];
	struct iovec *frag; /* the frame to send: frag[0] is the header, inside iov[] */
	unsigned int nfrag;
	struct vq_chain chain;
	uint32_t len;
	bool held;
	struct virtio_net_hdr_v1 hdr;
	uint8_t *frame;
	uint64_t stat_packets, stat_bytes, stat_drops, stat_waits;
};

/**
 * struct net_pair - a pair of queues
 * @polling:    looking for work instead of waiting for events; the driver need not kick
 * @stat_polls: times that it did so; @stat_hits: times that work came before it gave up
 */
struct net_pair {
	struct net_dev *dev;
	struct net_backend *be;
	unsigned int index;
	int epfd, stop_fd;
	bool stop;	/* release by quiesce, acquire by the thread */
	bool muted;	/* not told of frames, as the guest has no buffers */
	uint32_t armed; /* what epoll reports of the backend's fd */
	bool failed;	/* the backend has */
	bool polling;
	pthread_t thread;
	uint64_t stat_polls, stat_hits;
	struct net_tx tx __attribute__((aligned(CACHE_LINE)));
	struct net_rx rx __attribute__((aligned(CACHE_LINE)));
};

struct net_dev {
	struct vdev vd;
	struct virtio_net_config config;
	uint8_t mac[ETH_ALEN]; /* what config.mac goes back to at a reset */
	uint64_t rx_offloads;  /* NET_GUEST_OFFLOADS in force */
	uint64_t stat_ctrl;
	uint64_t ctrl_due; /* CLOCK_MONOTONIC ns: for when the changes so far would do */
	struct net_pcap *pcap;
	uint64_t poll_ns;    /* how long to look for work before sleeping */
	unsigned int npairs; /* that there are; constant */
	unsigned int active; /* pairs [0, active) have a thread */
	struct net_pair *pair[NET_PAIRS_MAX];
};

/*
 * Pair n has queues 2n and 2n + 1. The control queue is behind those of all pairs, whether used or
 * not; but a driver that knows of only one pair looks for it behind that (5.1.2).
 */
static inline struct vq *net_ctrl_vq(struct net_dev *nd)
{
	return &nd->vd.vq[2 * (vdev_has(&nd->vd, VIRTIO_NET_F_MQ) ? nd->npairs : 1)];
}

/* What a round of work came to. */
enum net_work {
	NET_IDLE,   /* nothing left until an event */
	NET_MORE,   /* stopped by its budget */
	NET_LATER,  /* of the control queue: to be looked at again in NET_CTRL_REST_MS */
	NET_BROKEN, /* vdev_broken() has been called */
};

/* net.c */

/**
 * net_create_with - make the device on a given backend, with a pair for each on its list
 * @be: taken over, with all of its list, also on failure
 */
int net_create_with(const struct net_cfg *cfg, const struct gmem *mem, struct net_backend *be,
		    struct vdev **out, struct err *err);

/** net_parse_mac - read xx:xx:xx:xx:xx:xx of a single station; 0 or -EINVAL with @err */
int net_parse_mac(const char *text, uint8_t mac[ETH_ALEN], struct err *err);

/* net_pair.c */

/** net_pair_new - a stopped pair; takes @be, also on failure. 0 or -errno */
int net_pair_new(struct net_dev *nd, unsigned int index, struct net_backend *be);

/** net_pair_free - of a stopped pair, with its backend; NULL is allowed */
void net_pair_free(struct net_pair *p);

/** net_pairs_start - DRIVER_OK: pair 0 begins, alone (5.1.6.5.5); 0 or -errno */
int net_pairs_start(struct net_dev *nd);

/**
 * net_pairs_set - the driver wants @n pairs, 1 to npairs; on pair 0's thread
 *
 * When it returns, no frame comes in by the others, and what was there to be sent by them has been.
 *
 * Return: 0, or -errno, and then everything is as before.
 */
int net_pairs_set(struct net_dev *nd, unsigned int n);

/** net_pairs_stop - all of them; the queues are the caller's when it returns */
void net_pairs_stop(struct net_dev *nd);

/** net_pairs_stats - totals, and with several pairs also each one's, unless zero */
void net_pairs_stats(const struct net_dev *nd, FILE *out);

/* net_thread.c */

/** net_thread_init - descriptors for a pair's thread; net_thread_fini() also after an error */
int net_thread_init(struct net_pair *p);
void net_thread_fini(struct net_pair *p);

/** net_thread_start - 0 or -errno of pthread_create(3) */
int net_thread_start(struct net_pair *p);

/** net_thread_stop - returns when the thread is gone */
void net_thread_stop(struct net_pair *p);

/** net_now_ns - CLOCK_MONOTONIC */
uint64_t net_now_ns(void);

/** net_flush - let the driver see what was done in both queues; interrupt it if it wants that */
void net_flush(struct net_pair *p);

/* net_tx.c */

/**
 * net_hdr_check - may the guest send this header? (5.1.6.2)
 * @hdr:      private copy; unknown flags and what must be ignored are cleared
 * @features: negotiated
 * @len:      of the frame
 *
 * Return: 0, or -EINVAL: drop the frame.
 */
int net_hdr_check(struct virtio_net_hdr_v1 *hdr, uint64_t features, uint32_t len);

/** net_tx_run - send what is in the queue, up to a budget; the caller flushes it */
enum net_work net_tx_run(struct net_pair *p);

/** net_tx_reset - forget (@give_back: un-pop) a held chain */
void net_tx_reset(struct net_pair *p, bool give_back);

/* net_rx.c */

/** net_rx_run - receive what the backend has, up to a budget; the caller flushes the queue */
enum net_work net_rx_run(struct net_pair *p);

/** net_rx_drain - drop what the backend has kept since before the driver came */
void net_rx_drain(struct net_pair *p);

/** net_rx_reset - forget (@give_back: un-pop) the chains in hand */
void net_rx_reset(struct net_pair *p, bool give_back);

/* net_ctrl.c */

/**
 * net_ctrl_run - answer the control queue, on pair 0's thread, up to a budget
 *
 * NET_LATER while the driver has changed pairs or offloads too often.
 */
enum net_work net_ctrl_run(struct net_dev *nd, struct vq *vq);

/**
 * net_offloads_valid - do these NET_GUEST_OFFLOADS (or, in the same way, NET_HOST_OFFLOADS) go
 * together (5.1.3.1)?
 */
bool net_offloads_valid(uint64_t features);

/* net_pcap.c: the capture, from the device's threads to the writer's */

/**
 * net_pcap_open - prepare a capture; files are created, but existing ones are not yet touched
 * @cfg:   pcap, filter, pcap_size, pcap_files, pcap_snap, pcap_buffer
 * @pairs: threads that will record, each under a number of its own from 0
 */
int net_pcap_open(const struct net_cfg *cfg, unsigned int pairs, struct net_pcap **out,
		  struct err *err);

/**
 * net_pcap_start - first activation: start the writer, which begins the first file. Later calls do
 * nothing. 0 or -errno of pthread_create(3).
 */
int net_pcap_start(struct net_pcap *pc);

/**
 * net_pcap_record - record a frame that has passed
 * @pair: whose thread this is; different pairs may record at the same time
 * @hdr:  its header, for the checksum that an offload has left open: completed in the record
 * @iov:  the frame, @len bytes, without the header
 *
 * Never waits: copies the frame to the pair's ring, or counts it as dropped when that is full.
 */
void net_pcap_record(struct net_pcap *pc, unsigned int pair, const struct virtio_net_hdr_v1 *hdr,
		     const struct iovec *iov, unsigned int n, uint32_t len);

/**
 * net_pcap_stats - print the counters; waits, up to a second, until what has been recorded by now
 * is in the file. Not for a device's or vCPU's thread.
 */
void net_pcap_stats(struct net_pcap *pc, FILE *out);

/**
 * net_pcap_close - write all of it, say what became of it in one line of the log, and free
 *
 * Nobody records any more. Files that this capture made and never began are removed.
 */
void net_pcap_close(struct net_pcap *pc);

/* net_pcap_set.c: the files of a capture; of one thread at a time */

struct net_pcap_set;

/** net_pcap_set_open - compile the filter, create or open the files, lock them */
int net_pcap_set_open(const struct net_cfg *cfg, struct net_pcap_set **out, struct err *err);

/** net_pcap_set_start - empty all the files, begin the first; 0 or -errno, which has been told */
int net_pcap_set_start(struct net_pcap_set *s);

/** net_pcap_set_match - does the filter, if there is one, want this frame? */
bool net_pcap_set_match(const struct net_pcap_set *s, const uint8_t *frame, uint32_t len);

/**
 * net_pcap_set_write - append a record
 * @ns: since the epoch
 *
 * Return: 0, or -errno once the set has failed, which has been told: the capture is over, and
 * net_pcap_set_pending() is how many earlier records went with it.
 */
int net_pcap_set_write(struct net_pcap_set *s, uint64_t ns, const uint8_t *frame, uint32_t caplen,
		       uint32_t len);

/** net_pcap_set_flush - to the file with what is buffered; 0 or -errno as above */
int net_pcap_set_flush(struct net_pcap_set *s);

/** net_pcap_set_pending - records that are not in a file; @cut: those of them that are cut */
uint64_t net_pcap_set_pending(const struct net_pcap_set *s, uint64_t *cut);

/** net_pcap_set_files - files that were begun */
uint64_t net_pcap_set_files(const struct net_pcap_set *s);

void net_pcap_set_close(struct net_pcap_set *s);

/* net_csum.c */

/**
 * struct net_l4 - where TCP or UDP is in a frame; offsets from its start
 * @ip:      of the IP header
 * @start:   of the TCP or UDP header, @hdr_len bytes long
 * @end:     of the IP packet: padding may follow
 * @offset:  of the checksum, from @start
 * @pseudo:  sum of the pseudo header, not complemented, as it stands in the packet
 */
struct net_l4 {
	bool v6;
	uint8_t proto;
	uint16_t pseudo;
	uint32_t ip, start, end, offset, hdr_len;
};

/** net_l4_find - true for whole TCP or UDP over IPv4 or, without extensions, IPv6 */
bool net_l4_find(const uint8_t *frame, uint32_t len, struct net_l4 *l4);

/** net_csum_open - is the checksum left to an offload, with the pseudo header's in its place? */
bool net_csum_open(const uint8_t *frame, const struct net_l4 *l4);

/** net_csum_value - what belongs into an open checksum of bytes @start to @len, as it is stored */
uint16_t net_csum_value(const uint8_t *frame, uint32_t len, uint32_t start);

/** net_csum_complete - put it there; nothing if there is no such place in the frame */
void net_csum_complete(uint8_t *frame, uint32_t len, uint32_t start, uint32_t offset);

/** net_csum_finish - do what a sent frame's header leaves to others, but for its segmentation */
void net_csum_finish(uint8_t *frame, uint32_t len, const struct virtio_net_hdr_v1 *hdr);

/* net_frag.c */

/**
 * struct net_frag - what begins a fragment
 * @head: Ethernet and IP header, @len bytes
 * @last: there is no other one behind it
 */
struct net_frag {
	uint8_t head[14 + 60];
	uint32_t len;
	bool last;
};

/**
 * net_frag_next - a fragment of a whole frame of IPv4
 * @mtu:  of the fragments
 * @done: bytes of the packet's payload that were in the ones before; the next follow @f->head
 *
 * Return: how many; 0: it cannot be taken apart.
 */
uint32_t net_frag_next(const uint8_t *frame, uint32_t len, uint32_t mtu, uint32_t done,
		       struct net_frag *f);

/* net_lib.c */

struct net_lib_sym {
	const char *name;
	void **to;
};

/**
 * net_lib_load - load a library and look up what is used of it
 * @sonames: tried in turn; ends with NULL
 * @package: Debian's name, for the message
 * @option:  what needs it, for the message
 * @syms:    ends with a NULL name
 */
int net_lib_load(const char *const *sonames, const char *package, const char *option,
		 const struct net_lib_sym *syms, struct err *err);

/* net_iov.c: the bytes behind iovecs */

size_t net_iov_len(const struct iovec *iov, unsigned int n);

/** net_iov_read - copy up to @len bytes, starting @off bytes in; returns the bytes copied */
size_t net_iov_read(const struct iovec *iov, unsigned int n, size_t off, void *buf, size_t len);

/** net_iov_write - the same in the other direction */
size_t net_iov_write(const struct iovec *iov, unsigned int n, size_t off, const void *buf,
		     size_t len);

#endif
