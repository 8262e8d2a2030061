/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The inside of a capture: rings between a pair's thread and the writer (net_pcap_ring.c), which
 * net_pcap.c reads and net_pcap_set.c's files get.
 *
 * Threads: of each ring one, the pair's, puts frames in, and one, the writer, takes them out.
 */
#ifndef LODGE_NET_PCAP_H
#define LODGE_NET_PCAP_H

#include "net.h"

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
 * @last: stamp of the newest record
 * @busy: the pair's thread has, or is about to have, a stamp whose record is not in it yet
 * @tail: start of what is in it; release by the writer, acquire by the pair's thread
 * @end:  the head up to which the writer takes in this round
 * @idle: all records with this stamp or an older one are in it
 */
struct pcap_ring {
	uint8_t *data __attribute__((aligned(CACHE_LINE)));
	uint32_t size;
	bool busy;
	uint64_t head, seen, last;
	uint64_t stat_frames, stat_dropped, stat_lost;
	uint64_t tail __attribute__((aligned(CACHE_LINE)));
	uint64_t end, idle;
};

/** pcap_now - CLOCK_REALTIME in ns */
uint64_t pcap_now(void);

/**
 * pcap_ring_mark - so much in a ring is to be written at once
 *
 * What is left of it must do for as long as that takes to begin.
 */
static inline uint32_t pcap_ring_mark(const struct pcap_ring *r)
{
	return r->size / 4;
}

/** pcap_ring_init - zeroed, of @size bytes, a power of two; 0 or -ENOMEM. fini also after that */
int pcap_ring_init(struct pcap_ring *r, uint32_t size);
void pcap_ring_fini(struct pcap_ring *r);

/**
 * pcap_ring_put - copy a frame, with a stamp; the pair's thread
 * @caplen: so much of it
 *
 * The others as in net_pcap_record(). False: there is no room.
 */
bool pcap_ring_put(struct pcap_ring *r, const struct virtio_net_hdr_v1 *hdr,
		   const struct iovec *iov, unsigned int n, uint32_t len, uint32_t caplen);

/** pcap_ring_past_mark - is there so much in it that it should be written? the pair's thread */
bool pcap_ring_past_mark(struct pcap_ring *r);

/**
 * pcap_ring_look - begin a round with what is in the ring now; the writer
 *
 * Return: a stamp; whatever is put in later, and so not in this round, has none that is older.
 */
uint64_t pcap_ring_look(struct pcap_ring *r, uint64_t now);

/** pcap_ring_peek - the oldest record of this round, or NULL; the writer's to change */
struct pcap_rec *pcap_ring_peek(struct pcap_ring *r);

/** pcap_ring_take - done with the record that was peeked at */
void pcap_ring_take(struct pcap_ring *r, const struct pcap_rec *rec);

/** pcap_ring_used - bytes in it; the writer */
uint64_t pcap_ring_used(const struct pcap_ring *r);

#endif
