/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A histogram of latencies with a bounded relative error: every power of two is cut into
 * NB_HIST_SUB equal buckets, so that a percentile is at most 1/NB_HIST_SUB above the truth, over
 * the whole range of 64 bits, in fixed memory and a few instructions per sample. One writer, no
 * locks: each thread has its own, and they are added up in the end.
 */
#ifndef NETBENCH_HIST_H
#define NETBENCH_HIST_H

#include <stdint.h>

#define NB_HIST_SUB_BITS 6
#define NB_HIST_SUB	 (1u << NB_HIST_SUB_BITS)
#define NB_HIST_BUCKETS	 ((64 - NB_HIST_SUB_BITS + 1) * NB_HIST_SUB)

/**
 * struct nb_hist - all zero before use
 * @count: samples
 * @sum:   of the samples
 * @min:   smallest sample; meaningless while @count is 0
 * @max:   largest sample, exact
 */
struct nb_hist {
	uint64_t count, sum, min, max;
	uint64_t bucket[NB_HIST_BUCKETS];
};

/** nb_hist_add - one sample */
void nb_hist_add(struct nb_hist *h, uint64_t value);

/** nb_hist_merge - add the samples of @from to @to */
void nb_hist_merge(struct nb_hist *to, const struct nb_hist *from);

/**
 * nb_hist_percentile - the value that a share of the samples does not exceed
 * @per_mille: 500 for the median, 999 for p99.9; at most 1000
 *
 * Return: the upper end of the bucket that has the sample of that rank (the nearest-rank
 * definition), but never more than @max; 0 when there are no samples.
 */
uint64_t nb_hist_percentile(const struct nb_hist *h, unsigned int per_mille);

/** nb_hist_top - the largest value that belongs to a bucket */
uint64_t nb_hist_top(unsigned int bucket);

#endif
