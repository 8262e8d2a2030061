/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * --monitor unix:PATH: a line protocol on a unix socket, for people (socat, nc -U) and scripts. A
 * request is a line; the answer is any number of lines and then "ok" or "error: REASON". What the
 * commands do is the owner's table; "help" is built in.
 *
 * Threads: everything after monitor_create() happens on the loop's thread, the commands too.
 */
#ifndef LODGE_MONITOR_H
#define LODGE_MONITOR_H

#include <stdio.h>

#include "err.h"
#include "loop.h"

#define MONITOR_CLIENTS_MAX 8
#define MONITOR_LINE_MAX    256 /* bytes, without the newline */

/**
 * struct monitor_cmd - one command; a table of them ends with a NULL name
 * @help: one line
 * @fn:	  runs it: lines of the answer to @out (in memory, may be as long as it likes), 0 or a
 *	  negative errno with the reason in @err. Must not block and must not destroy the monitor.
 */
struct monitor_cmd {
	const char *name;
	const char *help;
	int (*fn)(void *arg, FILE *out, struct err *err);
};

struct monitor;

/**
 * monitor_create - listen
 * @loop: dispatches the sockets; must outlive the monitor
 * @addr: the option's text, "unix:PATH". A socket that nobody listens on any more is replaced.
 * @cmds: table, constant
 * @arg:  for the commands
 * @out:  the monitor
 * @err:  one line for the user
 *
 * Return: 0 or -errno; nothing has been created then.
 */
int monitor_create(struct loop *loop, const char *addr, const struct monitor_cmd *cmds, void *arg,
		   struct monitor **out, struct err *err);

/**
 * monitor_destroy - give clients what was answered already, if they take it at once; close; remove
 * the socket. Not from a command. NULL is allowed.
 */
void monitor_destroy(struct monitor *m);

#endif
