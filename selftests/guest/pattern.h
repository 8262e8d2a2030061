/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Data that can be made again from a seed, and a sum over data: for the guests' test programs. Both
 * work on 64-bit words, as byte-wise sums would be what an emulated machine spends its time on.
 */
#ifndef SELFTESTS_GUEST_PATTERN_H
#define SELFTESTS_GUEST_PATTERN_H

#include <stdint.h>
#include <stddef.h>
#include <string.h>

/**
 * pattern_next() - one step of xorshift64*
 * @s: state, never 0
 */
static inline uint64_t pattern_next(uint64_t *s)
{
	uint64_t x = *s;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*s = x;
	return x * 0x2545f4914f6cdd1dull;
}

/**
 * pattern_fill() - the next bytes of a sequence
 * @len: in bytes; only the last piece of a sequence may have a length that is no multiple of 8
 */
static inline void pattern_fill(uint64_t *s, void *buf, size_t len)
{
	uint8_t *p = buf;
	uint64_t w;

	for (; len >= 8; p += 8, len -= 8) {
		w = pattern_next(s);
		memcpy(p, &w, 8);
	}
	w = pattern_next(s);
	memcpy(p, &w, len);
}

/**
 * pattern_sum() - add bytes to a sum
 * @sum: the sum of what came before, 1 at the start
 * @len: as in pattern_fill()
 *
 * Each step is a bijection of the sum, and order matters: a changed, lost or moved word shows.
 */
static inline uint64_t pattern_sum(uint64_t sum, const void *buf, size_t len)
{
	const uint8_t *p = buf;
	uint64_t w;

	for (; len >= 8; p += 8, len -= 8) {
		memcpy(&w, p, 8);
		sum = (sum ^ w) * 0x9e3779b97f4a7c15ull;
		sum ^= sum >> 29;
	}
	for (; len; p++, len--)
		sum = (sum ^ *p) * 0x100000001b3ull + 1;
	return sum;
}

#endif
