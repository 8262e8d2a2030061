/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The constant list of devices. Adding a device is one line in table.c.
 */
#ifndef LODGE_TABLE_H
#define LODGE_TABLE_H

#include "vdev.h"

extern const struct vdev_ops *const vdev_table[]; /* ends with NULL */

extern const struct vdev_ops blk_ops;
extern const struct vdev_ops net_ops;
extern const struct vdev_ops console_ops;
extern const struct vdev_ops rng_ops;

#endif
