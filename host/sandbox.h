/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The last step before the first guest instruction: the process gives up what it will not need
 * again.
 */
#ifndef LODGE_SANDBOX_H
#define LODGE_SANDBOX_H

#include <stdbool.h>

#include "err.h"

/**
 * struct sandbox_cfg - what the guest has, and hence what has to stay possible
 * @disk:    a disk: io_uring, whose own requests no filter of system calls sees
 * @net:     a network device: Internet sockets, and reading resolv.conf
 * @monitor: a socket in the file system, to be removed at the end
 */
struct sandbox_cfg {
	bool disk, net, monitor;
};

/**
 * sandbox_enter - no new privileges, and only the system calls of a running guest
 *
 * All threads, those there are and those to come. Other calls fail with EPERM; running another
 * program is among them. Cannot be undone. Main thread.
 *
 * Return: 0, or -errno with a line that names --sandbox.
 */
int sandbox_enter(const struct sandbox_cfg *cfg, struct err *err);

#endif
