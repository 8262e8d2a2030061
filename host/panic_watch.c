// SPDX-License-Identifier: GPL-2.0-only
/*
 * See panic_watch.h. A byte at a time, so neither chunk boundaries nor what stands before the
 * phrase (time stamp, caller, log level) matter.
 */
#include <stdio.h>
#include <string.h>

#include "panic_watch.h"

static const char phrase[] = "Kernel panic - not syncing: ";
#define PHRASE_LEN (sizeof(phrase) - 1)

void panic_watch_init(struct panic_watch *w)
{
	memset(w, 0, sizeof(*w));
	pthread_mutex_init(&w->lock, NULL);
}

static void panic_watch_byte_locked(struct panic_watch *w, char c)
{
	if (w->matched < PHRASE_LEN) {
		/* 'K' comes only once in the phrase: no other place to fall back to. */
		w->matched = c == phrase[w->matched] ? w->matched + 1 : c == phrase[0];
		return;
	}
	if (c == '\r' || c == '\n' || w->len == PANIC_REASON_MAX) {
		w->done = true;
		return;
	}
	w->reason[w->len++] = c >= ' ' && c <= '~' ? c : '?';
}

void panic_watch_feed(void *watch, const void *buf, size_t len)
{
	struct panic_watch *w = watch;
	const char *p = buf, *end = p + len;

	pthread_mutex_lock(&w->lock);
	while (p < end && !w->done) {
		if (!w->matched) {
			p = memchr(p, phrase[0], end - p);
			if (!p)
				break;
		}
		panic_watch_byte_locked(w, *p++);
	}
	if (w->done)
		w->trail += end - p;
	pthread_mutex_unlock(&w->lock);
}

bool panic_watch_reason(struct panic_watch *w, char *buf, size_t len)
{
	bool heard;

	pthread_mutex_lock(&w->lock);
	heard = w->len > 0 && w->trail <= PANIC_TRAIL_MAX;
	if (heard)
		snprintf(buf, len, "%s", w->reason);
	pthread_mutex_unlock(&w->lock);
	return heard;
}
