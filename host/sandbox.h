/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The last step before the first guest instruction: the process gives up what it will not need
 * again.
 */
#ifndef LODGE_SANDBOX_H
#define LODGE_SANDBOX_H

#include "err.h"

/**
 * sandbox_enter - no new privileges, and only the system calls of a running guest
 *
 * All threads, those there are and those to come. Other calls fail with EPERM; running another
 * program is among them. Cannot be undone. Main thread.
 *
 * Return: 0, or -errno with a line that names --sandbox.
 */
int sandbox_enter(struct err *err);

#endif
