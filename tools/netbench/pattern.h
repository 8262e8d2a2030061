/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What --verify sends: every byte follows from the stream's number and its offset in the stream, so
 * that a receiver can check any piece, and lost, doubled or exchanged pieces do not pass.
 */
#ifndef NETBENCH_PATTERN_H
#define NETBENCH_PATTERN_H

#include <stddef.h>
#include <stdint.h>

/** nb_pattern_fill - make bytes @offset to @offset + @len of stream @stream */
void nb_pattern_fill(void *buf, size_t len, uint32_t stream, uint64_t offset);

/**
 * nb_pattern_check - compare with what nb_pattern_fill() would make
 *
 * Return: how many bytes are right before the first wrong one; @len when all are.
 */
size_t nb_pattern_check(const void *buf, size_t len, uint32_t stream, uint64_t offset);

#endif
