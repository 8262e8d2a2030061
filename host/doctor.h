/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Between the two files of lodge doctor: how a line is said. All print on standard output.
 */
#ifndef LODGE_DOCTOR_H
#define LODGE_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>

enum verdict { OK, NOTE, BAD };

/** say - one line about a subject; printf style, no newline */
void say(enum verdict v, const char *subject, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/** mend - below it: what would help */
void mend(const char *how);

/** doctor_read - a file's first line, without its end; false, and "", when there is none */
bool doctor_read(const char *path, char *line, size_t size);

/** doctor_lite - what lite mode needs; true when guests can run in it */
bool doctor_lite(void);

#endif
