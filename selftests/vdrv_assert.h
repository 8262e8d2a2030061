/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The test driver is linked into programs with and without kselftest.h (the fuzzers), and its state
 * is of no use after a surprise: it says where and aborts, which every runner counts as a failure.
 */
#ifndef LODGE_VDRV_ASSERT_H
#define LODGE_VDRV_ASSERT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define vdrv_assert(cond)                                                                     \
	do {                                                                                  \
		if (!(cond)) {                                                                \
			printf("# %s:%d: %s(): expected: %s\n", __FILE__, __LINE__, __func__, \
			       #cond);                                                        \
			fflush(stdout);                                                       \
			abort();                                                              \
		}                                                                             \
	} while (0)

#endif
