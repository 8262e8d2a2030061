// SPDX-License-Identifier: GPL-2.0-only
/*
 * The one way in which an error travels up; see err.h. No locks: a struct err belongs to one
 * thread.
 */
#include <stdarg.h>
#include <stdio.h>

#include "err.h"

int err_set(struct err *e, int code, const char *fmt, ...)
{
	va_list ap;

	if (!e || e->code)
		return code;
	e->code = code;
	va_start(ap, fmt);
	vsnprintf(e->msg, sizeof(e->msg), fmt, ap);
	va_end(ap);
	return code;
}
