// SPDX-License-Identifier: GPL-2.0-only
/*
 * The subcommand table; nothing else.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "util.h"

static int cmd_version(int argc, char **argv)
{
	puts("lodge " LODGE_VERSION);
	return 0;
}

static const struct cmd cmds[] = {
	{ "run", "boot a Linux kernel as a guest", cmd_run },
	{ "doctor", "what this host can do, what is missing, and how to mend it", cmd_doctor },
	{ "version", "print the version", cmd_version },
};

static void main_help(FILE *out)
{
	unsigned int i;

	fputs("usage: lodge COMMAND [OPTION]...\n\n", out);
	for (i = 0; i < ARRAY_SIZE(cmds); i++)
		fprintf(out, "  %-10s %s\n", cmds[i].name, cmds[i].help);
	fputs("\n'lodge COMMAND --help' tells about its options.\n", out);
}

/*
 * A closed standard descriptor would be the next one that is opened: an event queue, a socket, a
 * disk image that then gets the console's text.
 */
static void main_reserve_stdio(void)
{
	int fd;

	for (fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) < 0)
			_exit(CMD_EXIT_FAIL);
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "--help";
	unsigned int i;

	main_reserve_stdio();
	if (!strcmp(name, "--help") || !strcmp(name, "-h") || !strcmp(name, "help")) {
		main_help(argc > 1 ? stdout : stderr);
		return argc > 1 ? 0 : CMD_EXIT_FAIL;
	}
	if (!strcmp(name, "--version"))
		name = "version";
	for (i = 0; i < ARRAY_SIZE(cmds); i++)
		if (!strcmp(name, cmds[i].name))
			return cmds[i].fn(argc - 1, argv + 1);
	fprintf(stderr, "lodge: unknown command '%.40s'; see 'lodge --help'\n", name);
	return CMD_EXIT_FAIL;
}
