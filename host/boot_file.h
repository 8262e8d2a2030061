/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reading the files that the user wants booted: what both loaders share.
 */
#ifndef LODGE_BOOT_FILE_H
#define LODGE_BOOT_FILE_H

#include <stdint.h>

#include "err.h"

/**
 * boot_file_open - open a regular file that is not empty
 * @opt:  the option that named it, for the message
 * @size: bytes in it
 *
 * Return: a descriptor, or -errno with @err naming @opt and @path.
 */
int boot_file_open(const char *opt, const char *path, uint64_t *size, struct err *err);

/** boot_file_read - exactly @len bytes from @off on; 0, -errno, or -ENODATA at the file's end */
int boot_file_read(int fd, void *buf, uint64_t len, uint64_t off);

#endif
