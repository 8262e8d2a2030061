/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One `lodge run` from set-up to exit status: the guest together with the user's terminal, signals
 * and monitor. cmd_run.c parses and prints, vm.c knows nothing of users; this stands between.
 */
#ifndef LODGE_RUN_H
#define LODGE_RUN_H

#include <stdint.h>

#include "accel.h"
#include "err.h"
#include "opt.h"
#include "vdev.h"

#define RUN_DEVS_MAX 22 /* two more places are for the console and the entropy device */

/**
 * struct run_cfg - the command line, parsed
 * @dev: devices in the order given; the configuration structs are the devices' own
 */
struct run_cfg {
	const char *accel;
	const char *kernel, *initrd, *append;
	const char *console, *monitor, *name;
	const char *backing, *sandbox;
	uint64_t cpus, mem;
	bool stats, verbose, help;
	struct {
		const struct vdev_ops *ops;
		void *cfg;
	} dev[RUN_DEVS_MAX];
	unsigned int ndev;
};

/**
 * struct run_result - how it ended
 * @status: what the process should exit with
 * @line:   what to tell the user, empty when there is nothing to say
 */
struct run_result {
	int status;
	char line[384];
};

/**
 * run_guest - boot the guest and stay until it ends
 *
 * Return: 0 with @res filled once the guest has run; -errno with @err when it never did, and then
 * nothing is left behind.
 */
int run_guest(const struct run_cfg *cfg, struct run_result *res, struct err *err);

#endif
