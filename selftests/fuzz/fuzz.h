/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the fuzzers share: the input as a stream of small decisions. An input that runs out decides
 * 0 from there on, so that every prefix of an input is an input. Values are drawn from tables of
 * interesting ones, since random 64-bit addresses are nearly all uninteresting.
 */
#ifndef LODGE_FUZZ_H
#define LODGE_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

/* A finding of the fuzzer's own; the sanitizers have theirs. */
#define fuzz_assert(cond)                                                                    \
	do {                                                                                 \
		if (!(cond)) {                                                               \
			fprintf(stderr, "%s:%d: expected: %s\n", __FILE__, __LINE__, #cond); \
			abort();                                                             \
		}                                                                            \
	} while (0)

struct fuzz {
	const uint8_t *p;
	size_t left;
};

static inline void fuzz_bytes(struct fuzz *f, void *to, size_t len)
{
	size_t n = MIN(len, f->left);

	memset(to, 0, len);
	if (!n)
		return;
	memcpy(to, f->p, n);
	f->p += n;
	f->left -= n;
}

static inline uint8_t fuzz_u8(struct fuzz *f)
{
	uint8_t v;

	fuzz_bytes(f, &v, 1);
	return v;
}

static inline uint32_t fuzz_u32(struct fuzz *f)
{
	uint32_t v;

	fuzz_bytes(f, &v, 4);
	return v;
}

static inline uint64_t fuzz_u64(struct fuzz *f)
{
	uint64_t v;

	fuzz_bytes(f, &v, 8);
	return v;
}

#define FUZZ_PICK(f, table) ((table)[fuzz_u8(f) % ARRAY_SIZE(table)])

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#endif
