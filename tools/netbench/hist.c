// SPDX-License-Identifier: GPL-2.0-only
/*
 * The histogram of hist.h. Values below 2 * NB_HIST_SUB have a bucket each; above, a bucket is
 * named by the position of the highest set bit and the NB_HIST_SUB_BITS bits that follow it.
 */
#include "hist.h"

static unsigned int hist_bucket(uint64_t value)
{
	unsigned int shift;

	if (value < 2 * NB_HIST_SUB)
		return value;
	shift = 63 - __builtin_clzll(value) - NB_HIST_SUB_BITS;
	return shift * NB_HIST_SUB + (value >> shift);
}

uint64_t nb_hist_top(unsigned int bucket)
{
	unsigned int shift;
	uint64_t low;

	if (bucket < 2 * NB_HIST_SUB)
		return bucket;
	shift = bucket / NB_HIST_SUB - 1;
	low = (uint64_t)(bucket % NB_HIST_SUB + NB_HIST_SUB) << shift;
	return low + ((1ull << shift) - 1);
}

void nb_hist_add(struct nb_hist *h, uint64_t value)
{
	if (!h->count || value < h->min)
		h->min = value;
	if (value > h->max)
		h->max = value;
	h->count++;
	h->sum += value;
	h->bucket[hist_bucket(value)]++;
}

void nb_hist_merge(struct nb_hist *to, const struct nb_hist *from)
{
	unsigned int i;

	if (!from->count)
		return;
	if (!to->count || from->min < to->min)
		to->min = from->min;
	if (from->max > to->max)
		to->max = from->max;
	to->count += from->count;
	to->sum += from->sum;
	for (i = 0; i < NB_HIST_BUCKETS; i++)
		to->bucket[i] += from->bucket[i];
}

uint64_t nb_hist_percentile(const struct nb_hist *h, unsigned int per_mille)
{
	/* Rounded up without the product overflowing. */
	uint64_t rank = h->count / 1000 * per_mille + (h->count % 1000 * per_mille + 999) / 1000;
	uint64_t seen = 0, top;
	unsigned int i;

	if (!h->count)
		return 0;
	if (!rank)
		rank = 1;
	for (i = 0; i < NB_HIST_BUCKETS; i++) {
		seen += h->bucket[i];
		if (seen >= rank) {
			top = nb_hist_top(i);
			return top < h->max ? top : h->max;
		}
	}
	return h->max;
}
