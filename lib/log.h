/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Diagnostics on stderr, one whole line per call and per write(2), so that threads do not mix their
 * lines. Not for results and not for the user's mistakes (struct err), but for what happens on the
 * way: a device that a guest has broken, a backend that went away.
 */
#ifndef LODGE_LOG_H
#define LODGE_LOG_H

#include <stdbool.h>

/* A notice is what the user asked to be told, such as the counts at the end of a capture. */
enum log_level { LOG_ERR, LOG_WARN, LOG_NOTICE, LOG_INFO, LOG_DEBUG };

/* Lines above this level are dropped; LOG_NOTICE until somebody changes it. */
void log_set_level(enum log_level level);

/* While the terminal is raw, lines must end in CR LF. */
void log_set_raw(bool raw);

/* Prefix of every line instead of "lodge"; the string must live on. */
void log_set_name(const char *name);

void log_print(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_err(...)	log_print(LOG_ERR, __VA_ARGS__)
#define log_warn(...)	log_print(LOG_WARN, __VA_ARGS__)
#define log_notice(...) log_print(LOG_NOTICE, __VA_ARGS__)
#define log_info(...)	log_print(LOG_INFO, __VA_ARGS__)
#define log_debug(...)	log_print(LOG_DEBUG, __VA_ARGS__)

#endif
