// SPDX-License-Identifier: GPL-2.0-only
/*
 * The payload of pattern.h: 64-bit words, each a mix of its own number and the stream's, stored
 * little endian. Whole words are made and compared at once; the ends byte by byte.
 */
#include <endian.h>
#include <string.h>

#include "pattern.h"

/* Odd, with no pattern in their bits. */
#define MIX_WORD   0x9e3779b97f4a7c15ull
#define MIX_STREAM 0xd1b54a32d192ed03ull

static uint64_t pattern_word(uint32_t stream, uint64_t word)
{
	uint64_t x = (word + 1) * MIX_WORD + (stream + 1ull) * MIX_STREAM;

	return htole64(x ^ x >> 32);
}

static unsigned char pattern_byte(uint32_t stream, uint64_t offset)
{
	uint64_t w = pattern_word(stream, offset / 8);

	return ((const unsigned char *)&w)[offset % 8];
}

void nb_pattern_fill(void *buf, size_t len, uint32_t stream, uint64_t offset)
{
	unsigned char *p = buf;
	uint64_t w;

	for (; len && offset % 8; len--)
		*p++ = pattern_byte(stream, offset++);
	for (; len >= 8; len -= 8, p += 8, offset += 8) {
		w = pattern_word(stream, offset / 8);
		memcpy(p, &w, 8);
	}
	for (; len; len--)
		*p++ = pattern_byte(stream, offset++);
}

size_t nb_pattern_check(const void *buf, size_t len, uint32_t stream, uint64_t offset)
{
	const unsigned char *p = buf;
	size_t i = 0;
	uint64_t w;

	while (i < len) {
		if ((offset + i) % 8 == 0 && len - i >= 8) {
			w = pattern_word(stream, (offset + i) / 8);
			if (!memcmp(p + i, &w, 8)) {
				i += 8;
				continue;
			}
		}
		if (p[i] != pattern_byte(stream, offset + i))
			break;
		i++;
	}
	return i;
}
