// SPDX-License-Identifier: GPL-2.0-only
/*
 * ACPI machine language; see aml.h. Used by acpi.c only, before the guest runs. Package lengths are
 * always written in their three-byte form, so that closing one is a patch and never a move.
 */
#include <assert.h>
#include <string.h>

#include "aml.h"

#define AML_EXT	    0x5b
#define AML_PKG_LEN 3

void aml_bytes(struct aml *a, const void *p, size_t n)
{
	if (a->overflow || n > a->max - a->len) {
		a->overflow = true;
		return;
	}
	memcpy(a->buf + a->len, p, n);
	a->len += n;
}

void aml_byte(struct aml *a, uint8_t b)
{
	aml_bytes(a, &b, 1);
}

void aml_int(struct aml *a, uint32_t v)
{
	uint8_t le[4] = { v, v >> 8, v >> 16, v >> 24 };

	if (v <= 1) {
		aml_byte(a, v);
	} else if (v <= 0xff) {
		aml_byte(a, 0x0a);
		aml_bytes(a, le, 1);
	} else if (v <= 0xffff) {
		aml_byte(a, 0x0b);
		aml_bytes(a, le, 2);
	} else {
		aml_byte(a, 0x0c);
		aml_bytes(a, le, 4);
	}
}

void aml_string(struct aml *a, const char *s)
{
	aml_byte(a, 0x0d);
	aml_bytes(a, s, strlen(s) + 1);
}

/* "\\A", "ABCD" or "\\ABCD.EFGH"; segments are padded with underscores to four letters. */
void aml_name(struct aml *a, const char *path)
{
	const char *dot = strchr(path, '.');
	const char *p = path;

	if (*p == '\\')
		aml_byte(a, *p++);
	if (dot)
		aml_byte(a, 0x2e);
	do {
		char seg[4] = { '_', '_', '_', '_' };
		size_t n = strcspn(p, ".");

		assert(n <= 4);
		memcpy(seg, p, n);
		aml_bytes(a, seg, 4);
		p += n;
	} while (*p++ == '.');
}

void aml_def_name(struct aml *a, const char *name)
{
	aml_byte(a, 0x08);
	aml_name(a, name);
}

/* Three letters of five bits, then four hex digits, big endian (ACPI 6.4, 19.6.36). */
void aml_def_eisaid(struct aml *a, const char *name, const char *id)
{
	uint8_t b[4];
	unsigned int i, v = 0;

	for (i = 0; i < 3; i++)
		v = v << 5 | (id[i] - '@');
	for (; i < 7; i++)
		v = v << 4 | (id[i] <= '9' ? id[i] - '0' : id[i] - 'A' + 10);
	/* 15 + 16 bits: the top bit stays clear. */
	b[0] = v >> 24;
	b[1] = v >> 16;
	b[2] = v >> 8;
	b[3] = v;
	aml_def_name(a, name);
	aml_byte(a, 0x0c);
	aml_bytes(a, b, 4);
}

/* Reserve a package length; it counts from its own first byte. */
static size_t aml_begin(struct aml *a)
{
	size_t mark = a->len;
	uint8_t room[AML_PKG_LEN] = { 0 };

	aml_bytes(a, room, sizeof(room));
	return mark;
}

void aml_end(struct aml *a, size_t mark)
{
	size_t n = a->len - mark;

	if (a->overflow)
		return;
	a->buf[mark] = 2 << 6 | (n & 0xf);
	a->buf[mark + 1] = n >> 4;
	a->buf[mark + 2] = n >> 12;
}

static size_t aml_open(struct aml *a, bool ext, uint8_t op, const char *name)
{
	size_t mark;

	if (ext)
		aml_byte(a, AML_EXT);
	aml_byte(a, op);
	mark = aml_begin(a);
	if (name)
		aml_name(a, name);
	return mark;
}

size_t aml_scope(struct aml *a, const char *path)
{
	return aml_open(a, false, 0x10, path);
}

size_t aml_device(struct aml *a, const char *name)
{
	return aml_open(a, true, 0x82, name);
}

size_t aml_method(struct aml *a, const char *name, unsigned int args, bool serialized)
{
	size_t mark = aml_open(a, false, 0x14, name);

	aml_byte(a, args | serialized << 3);
	return mark;
}

size_t aml_package(struct aml *a, uint8_t elements)
{
	size_t mark = aml_open(a, false, 0x12, NULL);

	aml_byte(a, elements);
	return mark;
}

size_t aml_if(struct aml *a)
{
	return aml_open(a, false, 0xa0, NULL);
}

size_t aml_field(struct aml *a, const char *region)
{
	size_t mark = aml_open(a, true, 0x81, region);

	aml_byte(a, 0x01); /* byte access, no lock, preserve */
	return mark;
}

void aml_io_region(struct aml *a, const char *name, uint16_t port, uint8_t len)
{
	aml_byte(a, AML_EXT);
	aml_byte(a, 0x80);
	aml_name(a, name);
	aml_byte(a, 0x01); /* SystemIO */
	aml_int(a, port);
	aml_int(a, len);
}

void aml_field_byte(struct aml *a, const char *name)
{
	aml_name(a, name);
	aml_byte(a, 8); /* bits, as a one-byte package length */
}

/* A buffer whose size is itself patched at the end: word constant, then the descriptors. */
size_t aml_crs(struct aml *a)
{
	size_t mark;
	uint8_t size[3] = { 0x0b, 0, 0 };

	aml_def_name(a, "_CRS");
	mark = aml_open(a, false, 0x11, NULL);
	aml_bytes(a, size, sizeof(size));
	return mark;
}

void aml_crs_io(struct aml *a, uint16_t port, uint8_t len)
{
	uint8_t d[8] = { 0x47, 1, port, port >> 8, port, port >> 8, 1, len };

	aml_bytes(a, d, sizeof(d));
}

void aml_crs_mem32(struct aml *a, uint32_t base, uint32_t len)
{
	uint8_t d[12] = { 0x86, 9, 0, 1 };

	memcpy(d + 4, &base, 4);
	memcpy(d + 8, &len, 4);
	aml_bytes(a, d, sizeof(d));
}

void aml_crs_irq_edge(struct aml *a, uint32_t gsi)
{
	/* Consumer, edge, active high, exclusive; one interrupt. */
	uint8_t d[9] = { 0x89, 6, 0, 0x03, 1 };

	memcpy(d + 5, &gsi, 4);
	aml_bytes(a, d, sizeof(d));
}

void aml_crs_end(struct aml *a, size_t mark)
{
	static const uint8_t end_tag[2] = { 0x79, 0 };
	size_t n;

	aml_bytes(a, end_tag, sizeof(end_tag));
	aml_end(a, mark);
	if (a->overflow)
		return;
	n = a->len - mark - AML_PKG_LEN - 3;
	a->buf[mark + AML_PKG_LEN + 1] = n;
	a->buf[mark + AML_PKG_LEN + 2] = n >> 8;
}
