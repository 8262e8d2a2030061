/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How a lower room tells the user what is wrong: it fills a struct err with one finished line
 * (what, and the remedy) and returns the negative errno. Only host/cmd_*.c prints it. The first
 * reason is kept: a caller that adds its own on the way up changes nothing.
 */
#ifndef LODGE_ERR_H
#define LODGE_ERR_H

/**
 * struct err - a reason, owned by the caller, all zero before use
 * @code: negative errno, 0 while nothing went wrong
 * @msg:  one line, no newline, no trailing full stop
 */
struct err {
	int code;
	char msg[320];
};

/**
 * err_set - record why something failed, unless a reason is there already
 * @e:    where; may be NULL when the caller only wants the code
 * @code: negative errno
 * @fmt:  the line, printf style; name the option, file or field and the remedy
 *
 * Return: @code, so that `return err_set(...)` reads well.
 */
int err_set(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
