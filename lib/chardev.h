/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A byte stream between a guest's console device (the client) and a pair of host file descriptors.
 * Neither side ever waits for the other: output is taken into a ring of CHARDEV_OUT_SIZE bytes and
 * written by the loop's thread; input is read ahead into a ring of CHARDEV_IN_SIZE bytes and
 * fetched by the client when the guest can take it.
 *
 * Threads: write, read, readable, size: any thread. Client callbacks come from the loop's thread or
 * from a thread in chardev_flush(), one at a time, with no lock held that the functions here take;
 * they must not block and must not call attach, detach, flush or destroy. The process ignores
 * SIGPIPE.
 */
#ifndef LODGE_CHARDEV_H
#define LODGE_CHARDEV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loop.h"

#define CHARDEV_OUT_SIZE 65536u
#define CHARDEV_IN_SIZE	 4096u

struct chardev;

/**
 * struct chardev_cfg - the host side
 * @loop:     dispatches the file descriptors; must outlive the chardev
 * @in_fd:    input, -1 for none; end of file is the end of input and nothing else
 * @out_fd:   output, non-blocking where it can block; -1 throws output away
 * @in_lossy: when the input ring is full, go on reading and drop (a keyboard, whose escape keys
 *	      must work although the guest does not read) instead of leaving the bytes in the fd
 * @filter:   sees input before the client, may shorten it in place, returns the new length; NULL
 * @watch:    sees all output in order, whether or not the host takes it; NULL
 * @arg:      for @filter and @watch
 */
struct chardev_cfg {
	struct loop *loop;
	int in_fd, out_fd;
	bool in_lossy;
	size_t (*filter)(void *arg, uint8_t *buf, size_t len);
	void (*watch)(void *arg, const void *buf, size_t len);
	void *arg;
};

/**
 * struct chardev_client - the guest side's callbacks, each may be NULL
 * @rx_ready: input has arrived; called for every batch
 * @tx_ready: there is room again after chardev_write() took less than it was given
 * @resized:  the terminal has another size, see chardev_size()
 */
struct chardev_client {
	void (*rx_ready)(void *arg);
	void (*tx_ready)(void *arg);
	void (*resized)(void *arg);
};

/** chardev_create - 0 or -errno; the fds stay the caller's and must outlive the chardev */
int chardev_create(const struct chardev_cfg *cfg, struct chardev **out);

/** chardev_destroy - free; pending output is lost without chardev_flush(); NULL is allowed */
void chardev_destroy(struct chardev *cd);

/** chardev_attach - connect the one client; input that is there already is announced at once */
void chardev_attach(struct chardev *cd, const struct chardev_client *client, void *arg);

/** chardev_detach - no callback runs or will run after return */
void chardev_detach(struct chardev *cd);

/**
 * chardev_write - output from the guest, never blocks
 *
 * Return: bytes taken, from the start of @buf. When fewer than @len, tx_ready will be called.
 */
size_t chardev_write(struct chardev *cd, const void *buf, size_t len);

/** chardev_read - fetch up to @len bytes of input, never blocks; 0 when there is none */
size_t chardev_read(struct chardev *cd, void *buf, size_t len);

/** chardev_readable - would chardev_read() return something? */
bool chardev_readable(struct chardev *cd);

/**
 * chardev_flush - write what is buffered, waiting for the host side; not from a callback
 * @timeout_ms: give up after this long
 *
 * Return: true when nothing is left.
 */
bool chardev_flush(struct chardev *cd, int timeout_ms);

/** chardev_resize - the terminal's size, in characters; tells the client if it has changed */
void chardev_resize(struct chardev *cd, uint16_t cols, uint16_t rows);

/** chardev_size - false when there is no terminal */
bool chardev_size(struct chardev *cd, uint16_t *cols, uint16_t *rows);

#endif
