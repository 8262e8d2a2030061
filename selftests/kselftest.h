/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Native test programs in the kernel's style: KTAP on stdout, exit status 0 (passed), 1 (failed) or
 * 4 (skipped). A program lists its cases and runs them:
 *
 *	static void wraps(void) { ksft_eq(f(65535), 0); }
 *
 *	int main(int argc, char **argv)
 *	{
 *		ksft_case("index wraps", wraps);
 *		return ksft_run(argc, argv);
 *	}
 *
 * An assertion that does not hold says where, and ends its case; a case that ends passed. Arguments
 * select the cases whose names contain one of them; -l lists the names. A case that hangs is the
 * runner's business (selftests/run).
 *
 * Threads: assertions may be used in threads that a case has started: the case then fails and that
 * thread exits, so whoever waits for it looks at ksft_failed() as well.
 */
#ifndef LODGE_KSELFTEST_H
#define LODGE_KSELFTEST_H

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KSFT_PASS      0
#define KSFT_FAIL      1
#define KSFT_SKIP      4
#define KSFT_CASES_MAX 256

struct ksft_case {
	const char *name;
	void (*fn)(void);
};

static struct {
	struct ksft_case cases[KSFT_CASES_MAX];
	unsigned int n;
	jmp_buf out;
	pthread_t thread;
	int failed; /* of the running case; atomic, any thread */
	char skip[160];
} ksft;

/* ksft_msg - a diagnostic line; any thread */
static inline __attribute__((format(printf, 1, 2))) void ksft_msg(const char *fmt, ...)
{
	char line[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	printf("# %s\n", line);
}

/* ksft_failed - has an assertion of the running case failed, in whatever thread? */
static inline bool ksft_failed(void)
{
	return __atomic_load_n(&ksft.failed, __ATOMIC_ACQUIRE);
}

static inline __attribute__((noreturn)) void ksft_leave(void)
{
	if (pthread_equal(pthread_self(), ksft.thread))
		longjmp(ksft.out, 1);
	pthread_exit(NULL);
}

#define ksft_fail(...)                                                    \
	do {                                                              \
		ksft_msg("%s:%d: in %s()", __FILE__, __LINE__, __func__); \
		ksft_msg(__VA_ARGS__);                                    \
		__atomic_store_n(&ksft.failed, 1, __ATOMIC_RELEASE);      \
		ksft_leave();                                             \
	} while (0)

#define ksft_check(cond)                                  \
	do {                                              \
		if (!(cond))                              \
			ksft_fail("expected: %s", #cond); \
	} while (0)

/* Integers of any width and sign; both sides are evaluated once. */
#define ksft_eq(a, b)                                                                             \
	do {                                                                                      \
		long long a_ = (long long)(a), b_ = (long long)(b);                               \
		if (a_ != b_)                                                                     \
			ksft_fail("expected: %s == %s, have %lld (0x%llx) and %lld (0x%llx)", #a, \
				  #b, a_, (unsigned long long)a_, b_, (unsigned long long)b_);    \
	} while (0)

#define ksft_streq(a, b)                                                                \
	do {                                                                            \
		const char *a_ = (a), *b_ = (b);                                        \
		if (!a_ || !b_ || strcmp(a_, b_))                                       \
			ksft_fail("expected: %s == %s, have \"%s\" and \"%s\"", #a, #b, \
				  a_ ? a_ : "(null)", b_ ? b_ : "(null)");              \
	} while (0)

#define ksft_memeq(a, b, len)                                                                    \
	do {                                                                                     \
		const unsigned char *a_ = (const void *)(a), *b_ = (const void *)(b);            \
		size_t i_, n_ = (len);                                                           \
		for (i_ = 0; i_ < n_; i_++)                                                      \
			if (a_[i_] != b_[i_])                                                    \
				ksft_fail("%s and %s differ at byte %zu of %zu: 0x%02x, 0x%02x", \
					  #a, #b, i_, n_, a_[i_], b_[i_]);                       \
	} while (0)

/* End the running case as skipped; only in the case's own thread. */
#define ksft_skip(...)                                               \
	do {                                                         \
		snprintf(ksft.skip, sizeof(ksft.skip), __VA_ARGS__); \
		ksft_leave();                                        \
	} while (0)

static inline void ksft_case(const char *name, void (*fn)(void))
{
	if (ksft.n == KSFT_CASES_MAX)
		abort();
	ksft.cases[ksft.n++] = (struct ksft_case){ name, fn };
}

static inline bool ksft_selected(const char *name, int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++)
		if (strstr(name, argv[i]))
			return true;
	return argc < 2;
}

/* Alone with its jump buffer, whose return leaves no variable of a caller in doubt. */
static __attribute__((noinline)) void ksft_one(const struct ksft_case *c)
{
	ksft.failed = 0;
	ksft.skip[0] = '\0';
	if (!setjmp(ksft.out))
		c->fn();
}

/* ksft_run - run what was listed; the value is main()'s */
static inline int ksft_run(int argc, char **argv)
{
	unsigned int i, planned = 0, nr = 0, failed = 0, skipped = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 2 && !strcmp(argv[1], "-l")) {
		for (i = 0; i < ksft.n; i++)
			puts(ksft.cases[i].name);
		return KSFT_PASS;
	}
	for (i = 0; i < ksft.n; i++)
		planned += ksft_selected(ksft.cases[i].name, argc, argv);
	printf("TAP version 13\n1..%u\n", planned);
	ksft.thread = pthread_self();
	for (i = 0; i < ksft.n; i++) {
		const struct ksft_case *c = &ksft.cases[i];

		if (!ksft_selected(c->name, argc, argv))
			continue;
		ksft_one(c);
		nr++;
		failed += ksft_failed();
		skipped += !ksft_failed() && ksft.skip[0];
		printf("%s %u %s%s%s\n", ksft_failed() ? "not ok" : "ok", nr, c->name,
		       ksft.skip[0] && !ksft_failed() ? " # SKIP " : "",
		       ksft_failed() ? "" : ksft.skip);
	}
	if (failed || !nr)
		return KSFT_FAIL;
	return skipped == nr ? KSFT_SKIP : KSFT_PASS;
}

#endif
