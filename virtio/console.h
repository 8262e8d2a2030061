/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Configuration of the virtio console. It has no command line option of its own: whoever owns the
 * terminal decides which device gets it and calls console_ops.create() with this struct.
 */
#ifndef LODGE_CONSOLE_H
#define LODGE_CONSOLE_H

#include "chardev.h"

/**
 * struct console_cfg
 * @cd: where output goes and input comes from; the console becomes its client and must be destroyed
 *	first. If it has a size already, the guest is offered the size and told of changes.
 */
struct console_cfg {
	struct chardev *cd;
};

#endif
