// SPDX-License-Identifier: GPL-2.0-only
/*
 * Unpacks a kernel; see payload.h. The formats are those of the kernel's build, told apart by their
 * first bytes; libraries do the work. Output is bounded by the size that the payload itself ends
 * with, and that by PAYLOAD_MAX. Main thread, before the guest runs; no state.
 */
#include <errno.h>
#include <lz4.h>
#include <lzma.h>
#include <string.h>
#include <sys/mman.h>
#include <zlib.h>
#include <zstd.h>

#include "payload.h"
#include "util.h"

#define LZMA_MEM_MAX (256 * MIB)
#define LZ4_MAGIC    0x184c2102u /* of the legacy frame */
#define LZ4_BLOCK    (8u << 20)	 /* what one of its blocks unpacks to, at most */
#define SIZE_TRAILER 4u

static uint32_t payload_le32(const uint8_t *p)
{
	return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

/* These unpack all of @in to at most @cap bytes and return how many, or -1. */
static int64_t payload_gzip(const uint8_t *in, size_t len, uint8_t *out, size_t cap)
{
	z_stream s = {
		.next_in = (uint8_t *)in,
		.avail_in = len,
		.next_out = out,
		.avail_out = cap,
	};
	int ret;

	if (inflateInit2(&s, MAX_WBITS + 16) != Z_OK) /* 16: a gzip header, not zlib's */
		return -1;
	ret = inflate(&s, Z_FINISH);
	inflateEnd(&s);
	return ret == Z_STREAM_END ? (int64_t)s.total_out : -1;
}

static int64_t payload_lzma_run(lzma_stream *s, const uint8_t *in, size_t len, uint8_t *out,
				size_t cap)
{
	lzma_ret ret;

	s->next_in = in;
	s->avail_in = len;
	s->next_out = out;
	s->avail_out = cap;
	ret = lzma_code(s, LZMA_FINISH);
	lzma_end(s);
	return ret == LZMA_STREAM_END ? (int64_t)s->total_out : -1;
}

static int64_t payload_xz(const uint8_t *in, size_t len, uint8_t *out, size_t cap)
{
	lzma_stream s = LZMA_STREAM_INIT;

	if (lzma_stream_decoder(&s, LZMA_MEM_MAX, 0) != LZMA_OK)
		return -1;
	return payload_lzma_run(&s, in, len, out, cap);
}

static int64_t payload_lzma(const uint8_t *in, size_t len, uint8_t *out, size_t cap)
{
	lzma_stream s = LZMA_STREAM_INIT;

	if (lzma_alone_decoder(&s, LZMA_MEM_MAX) != LZMA_OK)
		return -1;
	return payload_lzma_run(&s, in, len, out, cap);
}

static int64_t payload_zstd(const uint8_t *in, size_t len, uint8_t *out, size_t cap)
{
	size_t frame = ZSTD_findFrameCompressedSize(in, len), n;

	if (ZSTD_isError(frame))
		return -1;
	n = ZSTD_decompress(out, cap, in, frame);
	return ZSTD_isError(n) ? -1 : (int64_t)n;
}

static int64_t payload_lz4(const uint8_t *in, size_t len, uint8_t *out, size_t cap)
{
	size_t at = 0, done = 0;

	while (at < len) {
		uint32_t size;
		int n;

		if (len - at < 4)
			return -1;
		size = payload_le32(in + at);
		at += 4;
		if (size == LZ4_MAGIC)
			continue;
		if (!size || size > len - at || size > LZ4_COMPRESSBOUND(LZ4_BLOCK))
			return -1;
		n = LZ4_decompress_safe((const char *)in + at, (char *)out + done, size,
					MIN(cap - done, LZ4_BLOCK));
		if (n < 0)
			return -1;
		at += size;
		done += n;
	}
	return done;
}

static int64_t payload_plain(const uint8_t *in, size_t len, uint8_t *out, size_t cap)
{
	if (len > cap)
		return -1;
	memcpy(out, in, len);
	return len;
}

static const struct payload_format {
	const char *name;
	uint8_t magic_len;
	uint8_t magic[6];
	/* NULL: known, and not supported */
	int64_t (*unpack)(const uint8_t *in, size_t len, uint8_t *out, size_t cap);
} payload_formats[] = {
	{ "gzip", 2, { 0x1f, 0x8b }, payload_gzip },
	{ "XZ", 6, { 0xfd, '7', 'z', 'X', 'Z', 0 }, payload_xz },
	{ "Zstandard", 4, { 0x28, 0xb5, 0x2f, 0xfd }, payload_zstd },
	{ "LZ4", 4, { 0x02, 0x21, 0x4c, 0x18 }, payload_lz4 },
	{ "LZMA", 3, { 0x5d, 0, 0 }, payload_lzma },
	{ "bzip2", 3, { 'B', 'Z', 'h' }, NULL },
	{ "LZO", 4, { 0x89, 'L', 'Z', 'O' }, NULL },
	{ "nothing", 4, { 0x7f, 'E', 'L', 'F' }, payload_plain },
};

static const struct payload_format *payload_format(const uint8_t *in, size_t len)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(payload_formats); i++) {
		const struct payload_format *f = &payload_formats[i];

		if (len > f->magic_len + SIZE_TRAILER && !memcmp(in, f->magic, f->magic_len))
			return f;
	}
	return NULL;
}

int payload_unpack(const uint8_t *in, size_t len, const char *path, uint8_t **out, size_t *out_len,
		   struct err *err)
{
	const struct payload_format *f = payload_format(in, len);
	uint32_t size;
	int64_t n;
	void *p;

	if (!f || !f->unpack)
		return err_set(
			err, -ENOEXEC,
			"--kernel %s: is packed with %s, which lite mode cannot unpack; use a "
			"kernel packed with gzip, LZ4, LZMA, XZ or Zstandard",
			path, f ? f->name : "something unknown");
	size = f->unpack == payload_plain ? len : payload_le32(in + len - SIZE_TRAILER);
	if (!size || size > PAYLOAD_MAX)
		return err_set(err, -ENOEXEC,
			       "--kernel %s: damaged: unpacked it would have %u bytes", path, size);
	/* gzip's own trailer ends with the size; after the others it is the kernel build's. */
	if (f->unpack != payload_gzip && f->unpack != payload_plain)
		len -= SIZE_TRAILER;
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		 -1, 0);
	if (p == MAP_FAILED)
		return err_set(err, -errno, "--kernel %s: no memory to unpack it: %s", path,
			       strerror(errno));
	n = f->unpack(in, len, p, size);
	if (n != size) {
		munmap(p, size);
		return err_set(err, -ENOEXEC, "--kernel %s: damaged: its %s data does not unpack",
			       path, f->name);
	}
	*out = p;
	*out_len = size;
	return 0;
}

void payload_free(uint8_t *out, size_t out_len)
{
	if (out)
		munmap(out, out_len);
}
