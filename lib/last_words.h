/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is to be said when the process ends without clean-up, since that takes too long: who would
 * lose something by that leaves a function, and takes it back when there is nothing to lose.
 */
#ifndef LODGE_LAST_WORDS_H
#define LODGE_LAST_WORDS_H

/**
 * struct last_words - embedded by whoever has them
 * @say: runs in a signal handler, on the main thread, while all other threads go on: no locks, no
 *	 memory, nothing that waits without a bound
 */
struct last_words {
	void (*say)(struct last_words *w);
	struct last_words *next;
};

/** last_words_add, last_words_remove - on the main thread; not added: nothing to remove */
void last_words_add(struct last_words *w);
void last_words_remove(struct last_words *w);

/** last_words_say - all of them, in any order; from the main thread's signal handler */
void last_words_say(void);

#endif
