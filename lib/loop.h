/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A small event loop over epoll: file descriptors in, callbacks out, on a thread of its own or on
 * the caller's. No timers (a timerfd is a file descriptor), no priorities. Used by the terminal,
 * the monitor, the console and rng devices and the main thread.
 *
 * Threads: every function may be called from any thread, callbacks included, unless it says
 * otherwise. Callbacks run one at a time, with no lock of the loop held.
 */
#ifndef LODGE_LOOP_H
#define LODGE_LOOP_H

#include <stdint.h>
#include <sys/epoll.h>

struct loop;
struct loop_src;

/** loop_create - new, empty loop; 0 or -errno */
int loop_create(struct loop **out);

/** loop_destroy - free a loop that is not running, with the sources still in it; fds stay open */
void loop_destroy(struct loop *l);

/**
 * loop_add - watch a file descriptor
 * @fd:     must stay open until loop_del() returns. Files that epoll does not take because they
 *	    never block (regular files, /dev/null) count as always ready.
 * @events: EPOLLIN, EPOLLOUT, level triggered; 0 watches nothing, not even errors
 * @fn:     called on the loop's thread with the events that occurred
 * @out:    the source; may be NULL for one that lives as long as the loop
 *
 * Return: 0, -ENOMEM or -errno of epoll_ctl(2).
 */
int loop_add(struct loop *l, int fd, uint32_t events, void (*fn)(void *arg, uint32_t events),
	     void *arg, struct loop_src **out);

/**
 * loop_mod - watch for other events from now on; 0 or -errno
 *
 * Without effect in a source's own callback when another thread is in loop_del() for it.
 */
int loop_mod(struct loop_src *s, uint32_t events);

/**
 * loop_del - stop watching and forget the source
 * @s: NULL is allowed
 *
 * After return the callback neither runs nor will run, except that a callback may delete its own
 * source (or any other) and then finish. The caller must not hold a lock that the callback takes.
 */
void loop_del(struct loop_src *s);

/** loop_run - dispatch on the calling thread until loop_quit(); 0 or -errno */
int loop_run(struct loop *l);

/**
 * loop_quit - make loop_run() return soon; remembered when it is not running yet
 *
 * Async-signal-safe.
 */
void loop_quit(struct loop *l);

/**
 * loop_start - run on a new thread, all signals blocked
 * @name: thread name, at most 15 characters count
 *
 * Return: 0 or -errno.
 */
int loop_start(struct loop *l, const char *name);

/** loop_stop - quit and join the thread of loop_start(); nothing happens when there is none */
void loop_stop(struct loop *l);

#endif
