// SPDX-License-Identifier: GPL-2.0-only
/*
 * The benchmark guest's first program: says that the kernel is done and user space has begun, then
 * becomes the ordinary init. rdinit= names it. One thread; no memory of its own.
 */
#include <unistd.h>

int main(void)
{
	static const char text[] = "@@ mark boot_to_init\n";
	char *const argv[] = { "/init", NULL };

	(void)!write(STDOUT_FILENO, text, sizeof(text) - 1);
	execv(argv[0], argv);
	return 127;
}
