// SPDX-License-Identifier: GPL-2.0-only
/*
 * The constant list of devices: the command line's options, --help and the VM's devices all come
 * from here. A new device is one line.
 */
#include <stddef.h>

#include "table.h"

const struct vdev_ops *const vdev_table[] = {
	&blk_ops, &net_ops, &console_ops, &rng_ops, NULL,
};
