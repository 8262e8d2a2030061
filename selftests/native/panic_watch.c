// SPDX-License-Identifier: GPL-2.0-only
/*
 * host/panic_watch.c: finding the reason of a panic in whatever a console prints.
 */
#include "host/panic_watch.h"
#include "kselftest.h"

#define PANIC "Kernel panic - not syncing: "

static struct panic_watch w;
static char reason[PANIC_REASON_MAX + 1];

static void feed(const char *text)
{
	panic_watch_feed(&w, text, strlen(text));
}

static const char *heard(void)
{
	return panic_watch_reason(&w, reason, sizeof(reason)) ? reason : "(nothing)";
}

static void plain(void)
{
	panic_watch_init(&w);
	feed("[    0.0] Linux version\r\n[    1.234567] " PANIC "VFS: Unable to mount root fs\r\n");
	feed("[    1.3] CPU: 0\r\n[    1.4] ---[ end " PANIC "something else ]---\r\n");
	ksft_streq(heard(), "VFS: Unable to mount root fs");
}

static void prefixes(void)
{
	panic_watch_init(&w);
	feed("<0>[    2.345678][    T1] " PANIC "Attempted to kill init! exitcode=0x00000100\n");
	ksft_streq(heard(), "Attempted to kill init! exitcode=0x00000100");
}

static void chunks(void)
{
	static const char text[] = "KKernel Kernel panic -Kernel panic\n" PANIC "sysrq\r\nmore\n";
	size_t cut, i;

	/* Cut in two at every place, then byte by byte. */
	for (cut = 0; cut < sizeof(text) - 1; cut++) {
		panic_watch_init(&w);
		panic_watch_feed(&w, text, cut);
		panic_watch_feed(&w, text + cut, sizeof(text) - 1 - cut);
		ksft_streq(heard(), "sysrq");
	}
	panic_watch_init(&w);
	for (i = 0; i < sizeof(text) - 1; i++)
		panic_watch_feed(&w, text + i, 1);
	ksft_streq(heard(), "sysrq");
}

static void nothing(void)
{
	panic_watch_init(&w);
	ksft_streq(heard(), "(nothing)");
	feed("Kernel panic - not syncinG: x\nkernel panic - not syncing: x\n");
	ksft_streq(heard(), "(nothing)");
	feed(PANIC); /* the reason is still to come */
	ksft_streq(heard(), "(nothing)");
}

static void unfinished(void)
{
	panic_watch_init(&w);
	feed(PANIC "half a li");
	ksft_streq(heard(), "half a li");
	feed("ne\n");
	ksft_streq(heard(), "half a line");
}

static void bounded(void)
{
	char small[8];
	unsigned int i;

	panic_watch_init(&w);
	feed(PANIC);
	for (i = 0; i < 10000; i++)
		feed("x");
	ksft_eq(strlen(heard()), PANIC_REASON_MAX);
	ksft_check(panic_watch_reason(&w, small, sizeof(small)));
	ksft_streq(small, "xxxxxxx");
}

static void hostile(void)
{
	panic_watch_init(&w);
	feed(PANIC "a\033[2J\tb\x80\xff");
	panic_watch_feed(&w, "\0c\n", 3);
	ksft_streq(heard(), "a?[2J?b???c");
}

static void quoted_long_ago(void)
{
	static char rest[PANIC_TRAIL_MAX / 2];

	memset(rest, 'x', sizeof(rest) - 1);
	panic_watch_init(&w);
	feed("of an old log: " PANIC "long ago\n");
	feed(rest);
	ksft_streq(heard(), "long ago");
	feed(rest);
	feed("and on");
	ksft_streq(heard(), "(nothing)");
}

int main(int argc, char **argv)
{
	ksft_case("the first reason, after a time stamp", plain);
	ksft_case("level and caller before it", prefixes);
	ksft_case("cut anywhere", chunks);
	ksft_case("nothing to hear", nothing);
	ksft_case("a line that does not end", unfinished);
	ksft_case("a line that is too long", bounded);
	ksft_case("control characters", hostile);
	ksft_case("a quoted panic is forgotten when the console goes on", quoted_long_ago);
	return ksft_run(argc, argv);
}
