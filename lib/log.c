// SPDX-License-Identifier: GPL-2.0-only
/*
 * Diagnostics; see log.h. Callable from any thread. The three settings are written at start-up and
 * when the terminal changes mode, and read without a lock: a stale value costs a badly ended line.
 */
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "log.h"
#include "util.h"

static enum log_level log_level = LOG_NOTICE;
static bool log_raw;
static const char *log_name = "lodge";

void log_set_level(enum log_level level)
{
	store_once(&log_level, level);
}

void log_set_raw(bool raw)
{
	store_once(&log_raw, raw);
}

void log_set_name(const char *name)
{
	store_once(&log_name, name);
}

void log_print(enum log_level level, const char *fmt, ...)
{
	static const char *const tag[] = { "error: ", "warning: ", "", "", "debug: " };
	char line[512];
	va_list ap;
	int n, m;

	if (level > load_once(&log_level))
		return;
	n = snprintf(line, sizeof(line) - 2, "%s: %s", load_once(&log_name), tag[level]);
	va_start(ap, fmt);
	m = vsnprintf(line + n, sizeof(line) - 2 - n, fmt, ap);
	va_end(ap);
	n = MIN(n + MAX(m, 0), (int)sizeof(line) - 3);
	if (load_once(&log_raw))
		line[n++] = '\r';
	line[n++] = '\n';
	if (write(STDERR_FILENO, line, n) < 0)
		return; /* nobody is left to tell */
}
