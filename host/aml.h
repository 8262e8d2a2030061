/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Just enough of the ACPI machine language (ACPI 6.4, chapter 20) to describe a lodge machine: a
 * bounded buffer and one function a construct. Overflow is remembered and reported at the end.
 */
#ifndef LODGE_AML_H
#define LODGE_AML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct aml {
	uint8_t *buf;
	size_t len, max;
	bool overflow;
};

/* Raw bytes, integers in their shortest form, strings, four-letter or rooted names. */
void aml_bytes(struct aml *a, const void *p, size_t n);
void aml_byte(struct aml *a, uint8_t b);
void aml_int(struct aml *a, uint32_t v);
void aml_string(struct aml *a, const char *s);
void aml_name(struct aml *a, const char *path);

/* Name (NAME, ...): the object follows. */
void aml_def_name(struct aml *a, const char *name);
void aml_def_eisaid(struct aml *a, const char *name, const char *id);

/*
 * Everything that has a package length is opened and closed: the returned mark goes to aml_end().
 * The package, buffer and field forms are closed in the same way.
 */
size_t aml_scope(struct aml *a, const char *path);
size_t aml_device(struct aml *a, const char *name);
size_t aml_method(struct aml *a, const char *name, unsigned int args, bool serialized);
size_t aml_package(struct aml *a, uint8_t elements);
size_t aml_if(struct aml *a);
size_t aml_field(struct aml *a, const char *region);
void aml_end(struct aml *a, size_t mark);

/* OperationRegion in port space, and a byte-wide member of a field. */
void aml_io_region(struct aml *a, const char *name, uint16_t port, uint8_t len);
void aml_field_byte(struct aml *a, const char *name);

/* _CRS: opened, filled with descriptors, closed. */
size_t aml_crs(struct aml *a);
void aml_crs_io(struct aml *a, uint16_t port, uint8_t len);
void aml_crs_mem32(struct aml *a, uint32_t base, uint32_t len);
void aml_crs_irq_edge(struct aml *a, uint32_t gsi);
void aml_crs_end(struct aml *a, size_t mark);

#endif
