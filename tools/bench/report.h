/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the benchmark programs share: the clock, the median of some rounds, and the one line per
 * figure that tools/bench/bench reads:
 *
 *	NAME VALUE UNIT SPREAD% OPS BEST	VALUE: median of the rounds; SPREAD: (highest -
 *						lowest) / median; OPS: operations in all; BEST: of
 *						the rounds
 *	NAME - UNIT REASON...			not measured
 *
 * Header only, because each program is a single file linked statically. One thread.
 */
#ifndef LODGE_BENCH_REPORT_H
#define LODGE_BENCH_REPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define BENCH_MAX_ROUNDS 15

/** bench_now_ns() - nanoseconds on a clock that never steps. */
static inline uint64_t bench_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + ts.tv_nsec;
}

static inline int bench_compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/**
 * bench_report() - print a figure
 * @rounds: @n values, which get sorted
 * @ops: operations in all rounds together
 * @rate: more is better; else it is a time
 */
static inline void bench_report(const char *name, double *rounds, int n, const char *unit,
				uint64_t ops, bool rate)
{
	double median;

	qsort(rounds, n, sizeof(*rounds), bench_compare);
	median = n % 2 ? rounds[n / 2] : (rounds[n / 2 - 1] + rounds[n / 2]) / 2;
	printf("%s %.3f %s %.0f%% %llu %.3f\n", name, median, unit,
	       median > 0 ? 100 * (rounds[n - 1] - rounds[0]) / median : 0, (unsigned long long)ops,
	       rounds[rate ? n - 1 : 0]);
	fflush(stdout);
}

/** bench_skip() - say why there is no figure. */
static inline void bench_skip(const char *name, const char *unit, const char *why)
{
	printf("%s - %s %s\n", name, unit, why);
	fflush(stdout);
}

#endif
