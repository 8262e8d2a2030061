/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The user's terminal as a chardev. When input is a terminal it is put in raw mode and Ctrl-A is
 * the escape: Ctrl-A X quits, Ctrl-A A sends a Ctrl-A, Ctrl-A H shows these keys; other keys after
 * Ctrl-A are swallowed. Input from anything else passes as it is, and its end is the end of input,
 * no more.
 *
 * Threads: term_open() and term_close() on the main thread, the loop not running yet or no longer
 * needed; input is read on the loop's thread. At most one terminal is open at a time.
 */
#ifndef LODGE_TERM_H
#define LODGE_TERM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chardev.h"

/**
 * struct term_cfg
 * @loop:      as in struct chardev_cfg
 * @in_fd:     STDIN_FILENO, or -1 to leave input alone
 * @out_fd:    STDOUT_FILENO
 * @quit:      Ctrl-A X, on the loop's thread; must not call back into term or chardev; may be NULL
 * @quit_arg:  its argument
 * @watch:     as in struct chardev_cfg
 * @watch_arg: its argument
 */
struct term_cfg {
	struct loop *loop;
	int in_fd, out_fd;
	void (*quit)(void *arg);
	void *quit_arg;
	void (*watch)(void *arg, const void *buf, size_t len);
	void *watch_arg;
};

struct term;

/**
 * term_open - take the terminal over
 *
 * Raw mode is left again by term_close(), at exit(3) and on the signals that mean a crash; whoever
 * ends the process otherwise calls term_restore(). Input is left alone when this process is not in
 * the terminal's foreground. SIGPIPE is ignored from now on.
 *
 * Return: 0 or -errno; nothing has changed then.
 */
int term_open(const struct term_cfg *cfg, struct term **out);

/** term_chardev - for the serial or console device, valid until term_close() */
struct chardev *term_chardev(struct term *t);

/** term_winch - SIGWINCH has come (not from the handler): pass the new size on; any thread */
void term_winch(struct term *t);

/** term_close - flush for up to two seconds, restore, free; NULL is allowed */
void term_close(struct term *t);

/** term_restore - give the terminal its modes back; idempotent, async-signal-safe */
void term_restore(void);

/** struct term_escape - parser of the escape keys, all zero at first */
struct term_escape {
	bool armed; /* Ctrl-A was the last byte */
};

enum term_event { TERM_QUIT = 1 << 0, TERM_HELP = 1 << 1 };

/**
 * term_escape - take the escapes out of @buf in place
 * @events: enum term_event bits that occurred are or'ed in
 *
 * Return: bytes left. What follows Ctrl-A X is dropped.
 */
size_t term_escape(struct term_escape *e, uint8_t *buf, size_t len, unsigned int *events);

#endif
