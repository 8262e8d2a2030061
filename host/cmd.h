/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The verbs of the command line. Only cmd_*.c print to the user and decide the exit status.
 */
#ifndef LODGE_CMD_H
#define LODGE_CMD_H

/*
 * Exit statuses of lodge's own. A guest that powers off gives its init's status (0 to 255), so
 * these sit where commands seldom are.
 */
#define CMD_EXIT_PANIC 121 /* the guest's kernel panicked */
#define CMD_EXIT_CRASH 122 /* the guest stopped in a way that no kernel intends */
#define CMD_EXIT_FAIL  125 /* lodge could not do as it was told: bad option, missing right */

/**
 * struct cmd - one verb
 * @fn: gets its own name as argv[0]; returns the exit status
 */
struct cmd {
	const char *name;
	const char *help;
	int (*fn)(int argc, char **argv);
};

int cmd_run(int argc, char **argv);
int cmd_doctor(int argc, char **argv);

#endif
