// SPDX-License-Identifier: GPL-2.0-only
/*
 * lodge run: the command line of a guest, and what the user is told about it. The options come from
 * one table here and from the devices' own tables.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "log.h"
#include "mem.h"
#include "opt.h"
#include "run.h"
#include "table.h"
#include "util.h"

#define RUN_CPUS_MAX 254

static const struct opt run_opts[] = {
	{ "kernel", "FILE", "bzImage to boot, such as /boot/vmlinuz-* (required)", OPT_STR,
	  offsetof(struct run_cfg, kernel), 0, 0 },
	{ "initrd", "FILE", "initial RAM disk", OPT_STR, offsetof(struct run_cfg, initrd), 0, 0 },
	{ "append", "TEXT", "kernel command line, behind console= and panic=-1", OPT_STR,
	  offsetof(struct run_cfg, append), 0, 0 },
	{ "cpus", "N", "virtual processors (1)", OPT_UINT, offsetof(struct run_cfg, cpus), 1,
	  RUN_CPUS_MAX },
	{ "mem", "SIZE", "guest memory, with K, M or G (512M)", OPT_SIZE,
	  offsetof(struct run_cfg, mem), MEM_SIZE_MIN, 0 },
	{ "mem-backing", "KIND", "auto, memfd or anon: what guest memory lies on (auto)", OPT_STR,
	  offsetof(struct run_cfg, backing), 0, 0 },
	{ "accel", "NAME", "what runs the guest: auto, kvm or lite (auto)", OPT_STR,
	  offsetof(struct run_cfg, accel), 0, 0 },
	{ "console", "KIND", "serial (ttyS0; hvc0 in lite mode), virtio (hvc0) or none (serial)",
	  OPT_STR, offsetof(struct run_cfg, console), 0, 0 },
	{ "monitor", "unix:PATH", "control socket; 'help' there lists the commands", OPT_STR,
	  offsetof(struct run_cfg, monitor), 0, 0 },
	{ "name", "NAME", "the guest's name in messages and thread names (guest)", OPT_STR,
	  offsetof(struct run_cfg, name), 0, 0 },
	{ "sandbox", "on|off",
	  "once the guest is set up, allow only the system calls it needs (on)", OPT_STR,
	  offsetof(struct run_cfg, sandbox), 0, 0 },
	{ "stats", NULL, "print counters of vCPUs and devices at the end", OPT_FLAG,
	  offsetof(struct run_cfg, stats), 0, 0 },
	{ "verbose", NULL, "tell what happens on the way", OPT_FLAG,
	  offsetof(struct run_cfg, verbose), 0, 0 },
	{ .type = OPT_END },
};

static void run_help(FILE *out)
{
	const struct vdev_ops *const *d;

	fputs("usage: lodge run --kernel FILE [OPTION]...\n"
	      "Boots a Linux kernel as a guest; ends with the guest, with its init's exit "
	      "status.\n\n",
	      out);
	opt_help(run_opts, "--", out);
	for (d = vdev_table; *d; d++) {
		if (!(*d)->option)
			continue;
		fprintf(out, "\n  %s %s\n      %s\n", (*d)->option, (*d)->option_arg, (*d)->help);
		opt_help((*d)->opts, "    ", out);
	}
	fprintf(out,
		"\nCtrl-A X ends the guest, Ctrl-A H shows the keys. SIGTERM and SIGINT press its "
		"power\n"
		"button, a second one kills it. Exit status: the guest's own after a power-off, %d "
		"after\n"
		"a kernel panic, %d after a crash, %d when lodge could not do as told.\n",
		CMD_EXIT_PANIC, CMD_EXIT_CRASH, CMD_EXIT_FAIL);
}

static int run_add_device(struct run_cfg *cfg, const struct vdev_ops *ops, const char *val,
			  struct err *err)
{
	void *dev_cfg;
	char *text;

	/* The one "device" that is none: QEMU's habit for "no network". */
	if (!strcmp(ops->option, "--net") && !strcmp(val, "none"))
		return 0;
	if (cfg->ndev == RUN_DEVS_MAX)
		return err_set(err, -E2BIG, "%s: more than %d devices; use fewer", ops->option,
			       RUN_DEVS_MAX);
	/* Both live as long as the process: devices keep pointers into the text. */
	dev_cfg = calloc(1, ops->cfg_size);
	text = strdup(val);
	if (!dev_cfg || !text) {
		free(dev_cfg);
		free(text);
		return err_set(err, -ENOMEM, "out of memory");
	}
	cfg->dev[cfg->ndev].ops = ops;
	cfg->dev[cfg->ndev++].cfg = dev_cfg;
	return opt_parse_list(ops->opts, ops->option, text, dev_cfg, err);
}

static const struct vdev_ops *run_find_device(const char *arg)
{
	const struct vdev_ops *const *d;

	for (d = vdev_table; *d; d++)
		if ((*d)->option && !strcmp((*d)->option, arg))
			return *d;
	return NULL;
}

static const struct opt *run_find_opt(const char *key)
{
	const struct opt *o;

	for (o = run_opts; o->type != OPT_END; o++)
		if (!strcmp(o->key, key))
			return o;
	return NULL;
}

/* "--key value" and "--key=value"; the table's own texts have the user's spelling of the option. */
static int run_parse(int argc, char **argv, struct run_cfg *cfg, struct err *err)
{
	const struct vdev_ops *ops;
	const struct opt *o;
	struct opt one[2] = { { .type = OPT_END }, { .type = OPT_END } };
	const char *val;
	char *eq;
	int i, ret;

	for (i = 1; i < argc; i++) {
		char *arg = argv[i];

		if (!strcmp(arg, "--help") || !strcmp(arg, "-h")) {
			cfg->help = true;
			return 0;
		}
		if (strncmp(arg, "--", 2) || !arg[2])
			return err_set(err, -EINVAL,
				       "'%.60s' is not an option; see 'lodge run --help'", arg);
		eq = strchr(arg, '=');
		if (eq)
			*eq = '\0';
		ops = run_find_device(arg);
		o = run_find_opt(arg + 2);
		if (!ops && !o)
			return err_set(err, -EINVAL, "unknown option %.60s; see 'lodge run --help'",
				       arg);
		val = eq ? eq + 1 : NULL;
		if (!val && (ops || o->type != OPT_FLAG)) {
			if (++i == argc)
				return err_set(err, -EINVAL, "%s needs a value: %s %s", arg, arg,
					       ops ? ops->option_arg : o->arg);
			val = argv[i];
		}
		if (ops) {
			ret = run_add_device(cfg, ops, val, err);
		} else if (val && !*val && !strcmp(o->key, "append")) {
			cfg->append = ""; /* what a script's empty variable makes of it */
			ret = 0;
		} else {
			one[0] = *o;
			one[0].key = "";
			if (!strcmp(o->key, "mem"))
				one[0].max = mem_host_size();
			ret = opt_set(one, arg, "", val, cfg, err);
		}
		if (ret)
			return ret;
	}
	return 0;
}

/* @val must be one of @words, which the message lists. */
static int run_check_word(const char *opt, const char *val, const char *const *words,
			  struct err *err)
{
	char list[64] = "";
	size_t n = 0;
	unsigned int i;

	for (i = 0; words[i]; i++) {
		if (!strcmp(val, words[i]))
			return 0;
		n += snprintf(list + n, sizeof(list) - n, "%s%s",
			      !i	     ? ""
			      : words[i + 1] ? ", "
					     : " or ",
			      words[i]);
	}
	return err_set(err, -EINVAL, "%s: unknown kind '%.40s'; use %s", opt, val, list);
}

static int run_check(struct run_cfg *cfg, struct err *err)
{
	static const char *const consoles[] = { "serial", "virtio", "none", NULL };
	static const char *const backings[] = { "auto", "memfd", "anon", NULL };
	static const char *const sandbox[] = { "on", "off", NULL };
	int ret;

	if (!cfg->kernel)
		return err_set(err, -EINVAL,
			       "--kernel is missing: give a bzImage, such as /boot/vmlinuz-*");
	if (cfg->mem % MIB)
		return err_set(err, -EINVAL,
			       "--mem: not a whole number of MiB; use one, such as 512M");
	ret = run_check_word("--console", cfg->console, consoles, err);
	if (!ret)
		ret = run_check_word("--mem-backing", cfg->backing, backings, err);
	if (!ret)
		ret = run_check_word("--sandbox", cfg->sandbox, sandbox, err);
	return ret;
}

int cmd_run(int argc, char **argv)
{
	struct run_cfg cfg = {
		.accel = "auto",
		.append = "",
		.console = "serial",
		.backing = "auto",
		.sandbox = "on",
		.name = "guest",
		.cpus = 1,
		.mem = 512 * MIB,
	};
	struct run_result res = { 0 };
	struct err err = { 0 };
	int ret;

	ret = run_parse(argc, argv, &cfg, &err);
	if (!ret && cfg.help) {
		run_help(stdout);
		return 0;
	}
	if (!ret)
		ret = run_check(&cfg, &err);
	if (!ret) {
		log_set_level(cfg.verbose ? LOG_DEBUG : LOG_NOTICE);
		ret = run_guest(&cfg, &res, &err);
	}
	if (ret) {
		fprintf(stderr, "lodge: %s\n", err.code ? err.msg : strerror(-ret));
		return CMD_EXIT_FAIL;
	}
	if (*res.line)
		fprintf(stderr, "lodge: %s\n", res.line);
	return res.status;
}
