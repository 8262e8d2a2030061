// SPDX-License-Identifier: GPL-2.0-only
/*
 * A list that a signal handler may walk at any moment; see last_words.h. One thread writes it, and
 * the handler interrupts that one: each change is a single store, made when all before it is done.
 */
#include <stddef.h>

#include "last_words.h"
#include "util.h"

static struct last_words *words;

void last_words_add(struct last_words *w)
{
	w->next = words;
	store_release(&words, w); /* pairs with last_words_say()'s acquire */
}

void last_words_remove(struct last_words *w)
{
	struct last_words **p;

	for (p = &words; *p && *p != w; p = &(*p)->next)
		;
	if (*p)
		store_release(p, w->next); /* the same pair */
}

void last_words_say(void)
{
	struct last_words *w;

	for (w = load_acquire(&words); w; w = load_acquire(&w->next))
		w->say(w);
}
