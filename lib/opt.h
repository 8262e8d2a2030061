/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Option tables: one array describes the keys, their types and bounds, where the value goes, and
 * the line of --help. The same code reads `--mem 1G` and the list in `--disk a.img,ro,serial=x`.
 */
#ifndef LODGE_OPT_H
#define LODGE_OPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "err.h"

enum opt_type {
	OPT_END,
	OPT_FLAG,  /* bool; "key" alone means on, key=on|off accepted */
	OPT_STR,   /* const char *; points into memory owned by the parsed text's copy */
	OPT_UINT,  /* uint64_t between min and max */
	OPT_SIZE,  /* uint64_t bytes between min and max, K/M/G/T suffix; plain numbers are bytes */
	OPT_MULTI, /* struct opt_multi: may be given several times */
};

#define OPT_MULTI_MAX 16

struct opt_multi {
	unsigned int n;
	const char *v[OPT_MULTI_MAX];
};

/**
 * struct opt - one key
 * @key:  name; "" is the positional first item of a list
 * @arg:  placeholder of the value in --help, NULL for flags
 * @help: one line
 * @type: how the value is read
 * @off:  offsetof() the field in the configuration struct
 * @min:  lowest value of numbers
 * @max:  highest value of numbers
 */
struct opt {
	const char *key;
	const char *arg;
	const char *help;
	enum opt_type type;
	size_t off;
	uint64_t min, max;
};

/**
 * opt_set - store one value
 * @tab:   table, ends with OPT_END
 * @what:  how messages call the option, such as "--disk"
 * @key:   key, @val its text or NULL when only the key was given
 * @cfg:   struct that the offsets refer to; strings are stored by pointer
 *
 * Return: 0, or -EINVAL with @err naming option, key and remedy.
 */
int opt_set(const struct opt *tab, const char *what, const char *key, const char *val, void *cfg,
	    struct err *err);

/**
 * opt_parse_list - read "FILE,key=value,flag" into a struct
 * @text: changed in place and referred to by the results: it must outlive @cfg. A double comma
 *	  stands for a comma inside a value.
 */
int opt_parse_list(const struct opt *tab, const char *what, char *text, void *cfg, struct err *err);

/** opt_size - read "512M"; bytes, or -EINVAL / -ERANGE */
int opt_size(const char *text, uint64_t *out);

/** opt_help - print the keys of a table, two columns, indented */
void opt_help(const struct opt *tab, const char *prefix, FILE *out);

#endif
