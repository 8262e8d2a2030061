// SPDX-License-Identifier: GPL-2.0-only
/*
 * netbench's command line. One table has the options, their help, and whose they are; numbers have
 * units; what does not go together is told in one line. Called by main.c; no threads.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "netbench.h"

#define DEFAULT_TIMEOUT_MS 10000
#define DEFAULT_MS	   10000
#define DEFAULT_LENGTH	   (128u << 10)
/* With the headers of IPv6 and UDP it fits into 1500 bytes. */
#define DEFAULT_UDP 1448
#define DEFAULT_RR  1

enum { OPT_BIDIR = 256, OPT_RR, OPT_VERIFY, OPT_TIMEOUT, OPT_WAIT, OPT_JSON };

enum opt_side { BOTH, CLIENT, SERVER };

static const struct opt {
	int key; /* the short one if it is a character */
	enum opt_side side;
	const char *name, *arg, *help;
} opts[] = {
	{ 's', SERVER, "server", NULL, "serve clients, one test at a time, until killed" },
	{ '1', SERVER, "one", NULL, "end after one test" },
	{ 'p', BOTH, "port", "PORT", "the server's port, TCP and UDP (5301; 0 with -s: any)" },
	{ 'B', BOTH, "bind", "ADDRESS", "of this machine: listen there, or come from there" },
	{ '4', BOTH, "ipv4", NULL, "IPv4 only" },
	{ '6', BOTH, "ipv6", NULL, "IPv6 only" },
	{ 't', CLIENT, "time", "TIME", "how long: seconds, or 300ms (10)" },
	{ 'n', CLIENT, "bytes", "BYTES", "instead of -t: how much; with --rr: transactions" },
	{ 'P', CLIENT, "parallel", "N", "streams in each direction, 1 to 128 (1)" },
	{ 'l', CLIENT, "length", "BYTES", "of a message (128K; with -u 1448; with --rr 1)" },
	{ 'R', CLIENT, "reverse", NULL, "the server sends" },
	{ OPT_BIDIR, CLIENT, "bidir", NULL, "both send" },
	{ 'u', CLIENT, "udp", NULL, "UDP instead of TCP" },
	{ 'b', CLIENT, "rate", "RATE",
	  "with -u: bits/s, or 5000pps, of each direction; 0: no limit (0)" },
	{ OPT_RR, CLIENT, "rr", NULL, "request and response over TCP: round trips" },
	{ OPT_VERIFY, CLIENT, "verify", NULL, "receivers check every byte" },
	{ 'i', CLIENT, "interval", "TIME", "between lines of progress; 0: none (1)" },
	{ OPT_TIMEOUT, CLIENT, "timeout", "TIME", "how long to wait for a silent peer (10)" },
	{ OPT_WAIT, CLIENT, "wait", "TIME", "keep trying to connect for so long (0)" },
	{ OPT_JSON, CLIENT, "json", NULL, "the report as one JSON object; progress on stderr" },
	{ 'h', BOTH, "help", NULL, "this text" },
};

struct unit {
	const char *suffix;
	double factor;
};

static const struct unit units_bytes[] = { { "", 1 },	     { "K", 1024 },	  { "M", 1 << 20 },
					   { "G", 1 << 30 }, { "T", 1ull << 40 }, { NULL, 0 } };
static const struct unit units_rate[] = {
	{ "", 1 }, { "K", 1e3 }, { "M", 1e6 }, { "G", 1e9 }, { NULL, 0 }
};
static const struct unit units_pps[] = {
	{ "pps", 1 }, { "Kpps", 1e3 }, { "Mpps", 1e6 }, { NULL, 0 }
};
static const struct unit units_ms[] = {
	{ "", 1000 }, { "s", 1000 }, { "ms", 1 }, { "m", 60000 }, { NULL, 0 }
};
static const struct unit units_none[] = { { "", 1 }, { NULL, 0 } };

/* A decimal number with one of the units behind it; never more than 2^60, so that it has room. */
static bool opts_number(const char *text, const struct unit *units, uint64_t *value)
{
	size_t len = strspn(text, "0123456789.");
	char digits[32], *end;
	double v;

	if (!len || len >= sizeof(digits) || text[0] == '.')
		return false;
	memcpy(digits, text, len);
	digits[len] = '\0';
	v = strtod(digits, &end);
	while (units->suffix && strcmp(text + len, units->suffix))
		units++;
	if (*end || !units->suffix)
		return false;
	v *= units->factor;
	*value = v < (double)(1ull << 60) ? (uint64_t)(v + 1e-6) : 1ull << 60;
	return true;
}

static void opts_help(void)
{
	unsigned int i;
	char left[40];

	printf("usage: netbench [OPTION]... HOST\n"
	       "       netbench -s [OPTION]...\n"
	       "Measures the network between this machine and one where `netbench -s` runs.\n\n");
	for (i = 0; i < ARRAY_SIZE(opts); i++) {
		const struct opt *o = &opts[i];

		snprintf(left, sizeof(left), "%c%c%s--%s%s%s", o->key < 256 ? '-' : ' ',
			 o->key < 256 ? o->key : ' ', o->key < 256 ? ", " : "  ", o->name,
			 o->arg ? " " : "", o->arg ? o->arg : "");
		printf("  %-24s %s\n", left, o->help);
	}
	printf("\nBYTES may end in K, M, G or T, powers of 1024; RATE in K, M or G, powers of "
	       "1000;\nTIME is in seconds, or ends in ms, s or m. Options but for -p, -B, -4 and "
	       "-6 are\nthe client's if they stand below them.\n");
}

static const struct opt *opts_find(int key)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(opts); i++)
		if (opts[i].key == key)
			return &opts[i];
	return NULL;
}

static int opts_bad(const struct opt *o, const char *text, const char *wants, struct err *err)
{
	return err_set(err, -EINVAL, "%s%.*s %.64s: wants %s", o->key < 256 ? "-" : "--",
		       o->key < 256 ? 1 : 32,
		       o->key < 256 ? (const char[]){ (char)o->key, 0 } : o->name, text, wants);
}

static int opts_u32(const struct opt *o, const char *text, const struct unit *units,
		    const char *wants, uint32_t *out, struct err *err)
{
	uint64_t v;

	if (!opts_number(text, units, &v))
		return opts_bad(o, text, wants, err);
	*out = v > UINT32_MAX ? UINT32_MAX : v;
	return 0;
}

#define WANTS_BYTES "a number of bytes, such as 1448 or 128K"
#define WANTS_TIME  "a time, such as 10, 0.5 or 300ms"

/* @pps: packets per second that -b asked for; bits follow when the length is known */
static int opts_set(const struct opt *o, const char *arg, struct nb_options *opt, uint64_t *pps,
		    struct err *err)
{
	struct nb_test *t = &opt->test;

	switch (o->key) {
	case 's':
		opt->server = true;
		break;
	case '1':
		opt->once = true;
		break;
	case 'p':
		if (opts_u32(o, arg, units_none, "a port, 1 to 65535", &opt->port, err))
			return err->code;
		if (opt->port > 65535 || strchr(arg, '.'))
			return opts_bad(o, arg, "a port, 1 to 65535", err);
		break;
	case 'B':
		opt->bind = arg;
		break;
	case '4':
		opt->v4 = true;
		break;
	case '6':
		opt->v6 = true;
		break;
	case 't':
		if (opts_u32(o, arg, units_ms, WANTS_TIME, &t->ms, err))
			return err->code;
		return t->ms && t->ms <= NB_MAX_MS ? 0 : opts_bad(o, arg, "1ms to 86400", err);
	case 'n':
		if (!opts_number(arg, units_bytes, &t->bytes))
			return opts_bad(o, arg, WANTS_BYTES, err);
		return t->bytes && t->bytes <= NB_MAX_BYTES ? 0
							    : opts_bad(o, arg, "1 to 1024T", err);
	case 'P':
		return opts_u32(o, arg, units_none, "a number of streams", &t->streams, err);
	case 'l':
		return opts_u32(o, arg, units_bytes, WANTS_BYTES, &t->length, err);
	case 'R':
		t->dirs |= NB_TO_CLIENT;
		break;
	case OPT_BIDIR:
		t->dirs |= NB_BOTH;
		break;
	case 'u':
		t->kind = NB_UDP;
		break;
	case 'b':
		if (opts_number(arg, units_rate, &t->rate))
			*pps = 0;
		else if (!opts_number(arg, units_pps, pps) || !*pps)
			return opts_bad(o, arg, "a rate, such as 500M or 20000pps, or 0", err);
		break;
	case OPT_RR:
		t->kind = NB_RR;
		break;
	case OPT_VERIFY:
		t->verify = true;
		break;
	case 'i':
		return opts_u32(o, arg, units_ms, WANTS_TIME, &t->interval_ms, err);
	case OPT_TIMEOUT:
		return opts_u32(o, arg, units_ms, WANTS_TIME, &t->timeout_ms, err);
	case OPT_WAIT:
		return opts_u32(o, arg, units_ms, WANTS_TIME, &opt->wait_ms, err);
	case OPT_JSON:
		opt->json = true;
		break;
	}
	return 0;
}

/* What was given, by the keys of opts[]. */
static bool opts_given(const bool *given, int key)
{
	return given[opts_find(key) - opts];
}

static int opts_agree(const bool *given, const struct nb_options *opt, struct err *err)
{
	static const int pairs[][2] = { { 't', 'n' },	 { 'R', OPT_BIDIR },	{ OPT_RR, 'u' },
					{ OPT_RR, 'R' }, { OPT_RR, OPT_BIDIR }, { '4', '6' } };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(opts); i++) {
		if (!given[i] || opts[i].side != (opt->server ? CLIENT : SERVER))
			continue;
		return err_set(err, -EINVAL, "--%s is the %s's: %s", opts[i].name,
			       opt->server ? "client" : "server",
			       opt->server ? "leave it out, or leave out -s" : "give -s as well");
	}
	for (i = 0; i < ARRAY_SIZE(pairs); i++)
		if (opts_given(given, pairs[i][0]) && opts_given(given, pairs[i][1]))
			return err_set(err, -EINVAL,
				       "--%s and --%s do not go together: leave out "
				       "one",
				       opts_find(pairs[i][0])->name, opts_find(pairs[i][1])->name);
	if (opts_given(given, 'b') && !opts_given(given, 'u'))
		return err_set(err, -EINVAL, "--rate is for UDP: give -u as well, or leave it out");
	if (!opt->server && !opt->port)
		return err_set(err, -EINVAL, "-p 0: wants the server's port, 1 to 65535");
	return 0;
}

static int opts_finish(const bool *given, struct nb_options *opt, uint64_t pps, struct err *err)
{
	struct nb_test *t = &opt->test;

	/* An option that came later may have said otherwise. */
	if (opts_given(given, OPT_RR))
		t->kind = NB_RR;
	if (!t->dirs)
		t->dirs = NB_TO_SERVER;
	if (!opts_given(given, 't') && !t->bytes)
		t->ms = DEFAULT_MS;
	if (!opts_given(given, 'l'))
		t->length = t->kind == NB_UDP  ? DEFAULT_UDP
			    : t->kind == NB_RR ? DEFAULT_RR
					       : DEFAULT_LENGTH;
	if (pps)
		t->rate = pps > NB_MAX_RATE ? UINT64_MAX : pps * 8 * t->length;
	return nb_test_check(t, err);
}

int nb_options_parse(int argc, char **argv, struct nb_options *opt, struct err *err)
{
	struct option longs[ARRAY_SIZE(opts) + 1] = { 0 };
	char shorts[2 * ARRAY_SIZE(opts) + 2] = ":", *p = shorts + 1;
	bool given[ARRAY_SIZE(opts)] = { false };
	const struct opt *o;
	uint64_t pps = 0;
	unsigned int i;
	int key;

	*opt = (struct nb_options){ .port = NB_PORT };
	opt->test.streams = 1;
	opt->test.interval_ms = 1000;
	opt->test.timeout_ms = DEFAULT_TIMEOUT_MS;
	for (i = 0; i < ARRAY_SIZE(opts); i++) {
		longs[i] = (struct option){ opts[i].name, opts[i].arg ? required_argument : 0, NULL,
					    opts[i].key };
		if (opts[i].key < 256) {
			*p++ = opts[i].key;
			if (opts[i].arg)
				*p++ = ':';
		}
	}
	opterr = 0;
	while ((key = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		if (key == 'h') {
			opts_help();
			return 1;
		}
		if (key == '?' || key == ':')
			return err_set(err, -EINVAL, "%.64s: %s: see netbench --help",
				       argv[optind - 1],
				       key == ':' ? "wants a value" : "no such option");
		o = opts_find(key);
		given[o - opts] = true;
		if (opts_set(o, optarg, opt, &pps, err))
			return err->code;
	}
	if (opts_agree(given, opt, err))
		return err->code;
	if (opt->server)
		return optind == argc ? 0
				      : err_set(err, -EINVAL,
						"%.64s: a server wants no host: leave "
						"it out",
						argv[optind]);
	if (argc - optind != 1 || !*argv[optind])
		return err_set(err, -EINVAL,
			       "wants one host to measure with, %d given: netbench "
			       "[OPTION]... HOST, see --help",
			       argc - optind);
	opt->host = argv[optind];
	return opts_finish(given, opt, pps, err);
}
