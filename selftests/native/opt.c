// SPDX-License-Identifier: GPL-2.0-only
/*
 * lib/opt.c: sizes, numbers, flags and lists, and that every mistake names the option and the
 * remedy.
 */
#include <errno.h>

#include "kselftest.h"
#include "opt.h"

struct cfg {
	const char *file;
	bool ro;
	const char *serial;
	uint64_t n, size;
	struct opt_multi many;
};

static const struct opt tab[] = {
	{ "", "FILE", "image", OPT_STR, offsetof(struct cfg, file), 0, 0 },
	{ "ro", NULL, "read only", OPT_FLAG, offsetof(struct cfg, ro), 0, 0 },
	{ "serial", "TEXT", "serial number", OPT_STR, offsetof(struct cfg, serial), 0, 0 },
	{ "n", "N", "number", OPT_UINT, offsetof(struct cfg, n), 1, 8 },
	{ "size", "SIZE", "bytes", OPT_SIZE, offsetof(struct cfg, size), 1 << 20, 1ull << 40 },
	{ "many", "X", "several", OPT_MULTI, offsetof(struct cfg, many), 0, 0 },
	{ .type = OPT_END },
};

static void size_good(void)
{
	static const struct {
		const char *text;
		uint64_t v;
	} t[] = {
		{ "0", 0 },
		{ "1", 1 },
		{ "1K", 1024 },
		{ "1k", 1024 },
		{ "512M", 512u << 20 },
		{ "3G", 3ull << 30 },
		{ "10T", 10ull << 40 },
		{ "0x10K", 16384 },
		{ "18446744073709551615", UINT64_MAX },
	};
	unsigned int i;
	uint64_t v;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		ksft_eq(opt_size(t[i].text, &v), 0);
		ksft_eq(v, t[i].v);
	}
}

static void size_bad(void)
{
	static const char *const inval[] = { "",  "abc", "-1",	 " 1", "1GG", "1 G",
					     "K", "1KB", "1.5G", "+1", "1X",  "1P" };
	static const char *const range[] = { "18446744073709551616", "99999999999T", "16777216T",
					     "18014398509481984K" };
	unsigned int i;
	uint64_t v;

	for (i = 0; i < sizeof(inval) / sizeof(inval[0]); i++) {
		ksft_msg("'%s'", inval[i]);
		ksft_eq(opt_size(inval[i], &v), -EINVAL);
	}
	for (i = 0; i < sizeof(range) / sizeof(range[0]); i++) {
		ksft_msg("'%s'", range[i]);
		ksft_eq(opt_size(range[i], &v), -ERANGE);
	}
}

static int parse(const char *text, struct cfg *c, struct err *err)
{
	static char copy[256]; /* the results point into it */

	memset(c, 0, sizeof(*c));
	memset(err, 0, sizeof(*err));
	snprintf(copy, sizeof(copy), "%s", text);
	return opt_parse_list(tab, "--disk", copy, c, err);
}

static void list_good(void)
{
	struct err err;
	struct cfg c;

	ksft_eq(parse("a.img,ro,serial=x y,n=8,size=1M", &c, &err), 0);
	ksft_streq(c.file, "a.img");
	ksft_check(c.ro);
	ksft_streq(c.serial, "x y");
	ksft_eq(c.n, 8);
	ksft_eq(c.size, 1 << 20);
	ksft_eq(parse("a.img,ro=off", &c, &err), 0);
	ksft_check(!c.ro);
	ksft_eq(parse("a.img,ro=on", &c, &err), 0);
	ksft_check(c.ro);
}

static void list_commas(void)
{
	struct err err;
	struct cfg c;

	ksft_eq(parse("a,,b.img,serial=1,,2,,", &c, &err), 0);
	ksft_streq(c.file, "a,b.img");
	ksft_streq(c.serial, "1,2,");
	/* Three: an escaped one, and one that separates. */
	ksft_eq(parse("a,,,ro", &c, &err), 0);
	ksft_streq(c.file, "a,");
	ksft_check(c.ro);
	/* The positional item may contain '='. */
	ksft_eq(parse("a=b,ro", &c, &err), 0);
	ksft_streq(c.file, "a=b");
}

static void expect(const char *text, int code, const char *names)
{
	struct err err;
	struct cfg c;

	ksft_msg("'%s'", text);
	ksft_eq(parse(text, &c, &err), code);
	ksft_eq(err.code, code);
	ksft_msg("  %s", err.msg);
	ksft_check(strstr(err.msg, "--disk"));
	ksft_check(strstr(err.msg, names));
	ksft_check(!strchr(err.msg, '\n'));
}

static void list_bad(void)
{
	expect("", -EINVAL, "empty");
	expect("a,bogus", -EINVAL, "bogus");
	expect("a,bogus=1", -EINVAL, "bogus");
	expect("a,ro=maybe", -EINVAL, "ro");
	expect("a,serial", -EINVAL, "serial");
	expect("a,serial=", -EINVAL, "serial");
	expect("a,n=0", -ERANGE, "1 to 8");
	expect("a,n=9", -ERANGE, "1 to 8");
	expect("a,n=x", -EINVAL, "not a number");
	expect("a,n=1K", -EINVAL, "not a number");
	expect("a,n=99999999999999999999", -ERANGE, "1 to 8");
	expect("a,size=0", -ERANGE, "1M to 1T");
	expect("a,size=1K", -ERANGE, "1M to 1T");
	expect("a,size=10T", -ERANGE, "1M to 1T");
	expect("a,size=abc", -EINVAL, "512M");
	expect("a,size=1GG", -EINVAL, "512M");
	expect("a,", -EINVAL, "empty key");
	expect("a,=1", -EINVAL, "empty key");
	expect("a,,,=1", -EINVAL, "empty key");
}

static void multi(void)
{
	struct err err = { 0 };
	struct cfg c = { 0 };
	unsigned int i;

	for (i = 0; i < OPT_MULTI_MAX; i++)
		ksft_eq(opt_set(tab, "--net", "many", "v", &c, &err), 0);
	ksft_eq(c.many.n, OPT_MULTI_MAX);
	ksft_eq(opt_set(tab, "--net", "many", "v", &c, &err), -E2BIG);
	ksft_eq(c.many.n, OPT_MULTI_MAX);
}

static void first_reason(void)
{
	struct err err = { 0 };

	ksft_eq(err_set(&err, -EINVAL, "first %d", 1), -EINVAL);
	ksft_eq(err_set(&err, -EIO, "second"), -EIO);
	ksft_eq(err.code, -EINVAL);
	ksft_streq(err.msg, "first 1");
	ksft_eq(err_set(NULL, -EIO, "nobody listens"), -EIO);
}

static void help(void)
{
	char text[1024] = { 0 };
	FILE *f = fmemopen(text, sizeof(text) - 1, "w");

	opt_help(tab, "", f);
	fclose(f);
	ksft_check(strstr(text, "serial=TEXT"));
	ksft_check(strstr(text, "read only"));
	ksft_check(!strstr(text, "image")); /* the positional item has no key to list */
}

int main(int argc, char **argv)
{
	ksft_case("sizes that are right", size_good);
	ksft_case("sizes that are wrong or too large", size_bad);
	ksft_case("list: flags, strings, numbers", list_good);
	ksft_case("list: a double comma is a comma", list_commas);
	ksft_case("list: mistakes name option, key and remedy", list_bad);
	ksft_case("an option given too often", multi);
	ksft_case("the first reason is kept", first_reason);
	ksft_case("help", help);
	return ksft_run(argc, argv);
}
