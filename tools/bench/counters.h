/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Readings of a running VMM, taken from the host: what KVM counts for its guest, what the VMM's own
 * monitor says, processor time, and how long this machine was kept from running if it is emulated.
 * vmwatch takes one before and one after a row and writes what has grown. Knows no particular VMM;
 * a source that is not there adds nothing. One thread.
 */
#ifndef LODGE_BENCH_COUNTERS_H
#define LODGE_BENCH_COUNTERS_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

#define COUNTERS_MAX  320
#define COUNTERS_NAME 40

struct counters {
	int count;
	char name[COUNTERS_MAX][COUNTERS_NAME];
	long long value[COUNTERS_MAX];
};

/**
 * struct counters_source - where readings come from
 * @pid: the VMM
 * @monitor: path of a unix socket that answers "stats" with lines of NAME KEY=VALUE... and then
 *	"ok"; or NULL
 * @sock: the connection to it; -1 before it is made. counters_read() makes it, nobody closes it
 * @steal: a port whose other end answers each byte with nanoseconds (tools/bench/steal), or NULL
 * @vhost: the kernel's thread that works for the VMM's network; 0: not looked for yet, -1: none
 */
struct counters_source {
	pid_t pid;
	const char *monitor;
	const char *steal;
	int sock;
	pid_t vhost;
};

/** counters_read() - take a reading, before or @after what is measured; replaces what was in @c. */
void counters_read(struct counters *c, struct counters_source *s, bool after);

/**
 * counters_write_growth() - write "@section NAME GROWTH" for each counter of both readings that has
 *	changed
 */
void counters_write_growth(FILE *f, const char *section, const struct counters *before,
			   const struct counters *after);

#endif
