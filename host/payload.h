/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel inside a bzImage, unpacked: what the kernel's own stub does where there is one to run.
 */
#ifndef LODGE_PAYLOAD_H
#define LODGE_PAYLOAD_H

#include <stddef.h>
#include <stdint.h>

#include "err.h"

#define PAYLOAD_MAX (512u << 20) /* unpacked; as far as a kernel's first mapping can reach */

/**
 * payload_unpack - unpack a bzImage's payload
 * @in:	  payload_length bytes: the packed kernel, and (except for gzip) its size in 32 bits
 * @path: the file, for messages
 * @out:  the kernel, to be given back by payload_free()
 *
 * Return: 0, or -errno with @err naming --kernel.
 */
int payload_unpack(const uint8_t *in, size_t len, const char *path, uint8_t **out, size_t *out_len,
		   struct err *err);

/** payload_free - NULL is allowed */
void payload_free(uint8_t *out, size_t out_len);

#endif
