// SPDX-License-Identifier: GPL-2.0-only
/*
 * Option tables; see opt.h. No state, no locks.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "opt.h"
#include "util.h"

static int opt_uint(const char *text, uint64_t *out)
{
	char *end;

	/* strtoull takes "-1" and " 1"; we do not. */
	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	errno = 0;
	*out = strtoull(text, &end, 0);
	if (errno)
		return -ERANGE;
	return *end ? -EINVAL : 0;
}

int opt_size(const char *text, uint64_t *out)
{
	unsigned int shift = 0;
	char *end;
	uint64_t v;

	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	errno = 0;
	v = strtoull(text, &end, 0);
	if (errno)
		return -ERANGE;
	switch (toupper((unsigned char)*end)) {
	case 'T':
		shift = 40;
		break;
	case 'G':
		shift = 30;
		break;
	case 'M':
		shift = 20;
		break;
	case 'K':
		shift = 10;
		break;
	case '\0':
		*out = v;
		return 0;
	default:
		return -EINVAL;
	}
	if (end[1])
		return -EINVAL;
	if (v > UINT64_MAX >> shift)
		return -ERANGE;
	*out = v << shift;
	return 0;
}

static void opt_size_text(uint64_t v, char *buf, size_t len)
{
	static const char unit[] = { 0, 'K', 'M', 'G', 'T' };
	unsigned int i = 0;

	while (i + 1 < ARRAY_SIZE(unit) && v && !(v & 1023)) {
		v >>= 10;
		i++;
	}
	snprintf(buf, len, i ? "%" PRIu64 "%c" : "%" PRIu64, v, unit[i]);
}

/* "--disk ro" or, for a positional or a whole option, "--disk". */
static void opt_name(char *buf, size_t len, const char *what, const char *key)
{
	snprintf(buf, len, *key ? "%s %s" : "%s", what, key);
}

static int opt_number(const struct opt *o, const char *name, const char *val, void *cfg,
		      struct err *err)
{
	bool size = o->type == OPT_SIZE;
	char lo[32], hi[32];
	uint64_t v;
	int ret;

	ret = size ? opt_size(val, &v) : opt_uint(val, &v);
	if (ret == -EINVAL)
		return err_set(err, ret, "%s: '%.40s' is not a %s", name, val,
			       size ? "size; use a number with K, M or G, such as 512M" : "number");
	if (ret || v < o->min || v > o->max) {
		opt_size_text(o->min, lo, sizeof(lo));
		opt_size_text(o->max, hi, sizeof(hi));
		return err_set(err, -ERANGE, "%s: %.40s is out of range; use %s to %s", name, val,
			       lo, hi);
	}
	*(uint64_t *)((char *)cfg + o->off) = v;
	return 0;
}

int opt_set(const struct opt *tab, const char *what, const char *key, const char *val, void *cfg,
	    struct err *err)
{
	const struct opt *o;
	struct opt_multi *m;
	char name[96];

	opt_name(name, sizeof(name), what, key);
	for (o = tab; o->type != OPT_END; o++)
		if (!strcmp(o->key, key))
			break;
	if (o->type == OPT_END)
		return err_set(err, -EINVAL, "%s: unknown key '%.40s'; see 'lodge run --help'",
			       what, key);
	if (!val && o->type != OPT_FLAG)
		return err_set(err, -EINVAL, "%s needs a value: %s=%s", name, key, o->arg);
	if (val && !*val)
		return err_set(err, -EINVAL, "%s: the value is empty", name);

	switch (o->type) {
	case OPT_FLAG:
		if (val && strcmp(val, "on") && strcmp(val, "off"))
			return err_set(err, -EINVAL, "%s: '%.40s' is neither on nor off", name,
				       val);
		*(bool *)((char *)cfg + o->off) = !val || !strcmp(val, "on");
		return 0;
	case OPT_STR:
		*(const char **)((char *)cfg + o->off) = val;
		return 0;
	case OPT_MULTI:
		m = (struct opt_multi *)((char *)cfg + o->off);
		if (m->n == OPT_MULTI_MAX)
			return err_set(err, -E2BIG, "%s: given more than %d times", name,
				       OPT_MULTI_MAX);
		m->v[m->n++] = val;
		return 0;
	default:
		return opt_number(o, name, val, cfg, err);
	}
}

/* Cut the next item off: ends at a single comma, ",," is folded to ",". NULL at the end. */
static char *opt_next_item(char **text)
{
	char *start = *text, *in = start, *out = start;

	if (!start)
		return NULL;
	*text = NULL;
	for (; *in; in++) {
		if (*in == ',') {
			if (in[1] != ',') {
				*text = in + 1;
				break;
			}
			in++;
		}
		*out++ = *in;
	}
	*out = '\0';
	return start;
}

int opt_parse_list(const struct opt *tab, const char *what, char *text, void *cfg, struct err *err)
{
	bool first = true;
	char *item, *eq;
	int ret;

	while ((item = opt_next_item(&text))) {
		eq = strchr(item, '=');
		if (first && !*tab->key && tab->type != OPT_END) {
			ret = opt_set(tab, what, "", item, cfg, err);
		} else {
			if (!*item || *item == '=')
				return err_set(
					err, -EINVAL,
					"%s: an empty key between commas; remove it, or write "
					"',,' for a comma inside a value",
					what);
			if (eq)
				*eq++ = '\0';
			ret = opt_set(tab, what, item, eq, cfg, err);
		}
		if (ret)
			return ret;
		first = false;
	}
	return 0;
}

void opt_help(const struct opt *tab, const char *prefix, FILE *out)
{
	const struct opt *o;
	char left[64];

	for (o = tab; o->type != OPT_END; o++) {
		if (!*o->key)
			continue;
		snprintf(left, sizeof(left), "%s%s%s%s", prefix, o->key,
			 !o->arg	  ? ""
			 : *prefix == '-' ? " "
					  : "=",
			 o->arg ? o->arg : "");
		fprintf(out, "  %-28s %s\n", left, o->help);
	}
}
