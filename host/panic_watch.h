/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Listens to a guest's console for "Kernel panic - not syncing: REASON" and keeps the first REASON,
 * so that `lodge run` can end with one clear line. Guest user space can print such a line as well:
 * it explains a panic that something else has reported, and is no proof of one.
 *
 * Threads: any; one lock.
 */
#ifndef LODGE_PANIC_WATCH_H
#define LODGE_PANIC_WATCH_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#define PANIC_REASON_MAX 200

/* Bytes that may follow a panic: registers, and call traces of all processors. */
#define PANIC_TRAIL_MAX 65536

struct panic_watch {
	pthread_mutex_t lock;
	unsigned int matched; /* bytes of the phrase seen */
	unsigned int len;
	bool done;    /* the line has ended or is full */
	size_t trail; /* bytes since then */
	char reason[PANIC_REASON_MAX + 1];
};

void panic_watch_init(struct panic_watch *w);

/** panic_watch_feed - more console output; struct panic_watch *, as chardev_cfg.watch wants it */
void panic_watch_feed(void *watch, const void *buf, size_t len);

/**
 * panic_watch_reason - copy what has been heard, printable ASCII
 *
 * Return: false when there was no panic line, or when the console has gone on for longer than a
 * panic does: then somebody has only quoted one. A line that is not complete yet counts.
 */
bool panic_watch_reason(struct panic_watch *w, char *buf, size_t len);

#endif
