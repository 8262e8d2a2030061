// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loads a library when an option first needs it. libpcap and libslirp pull in ten more libraries:
 * linked in the ordinary way they would cost every guest 2 MiB of memory and their loading time,
 * whether it has a network or not. Called by the main thread at set-up; loaded libraries stay.
 */
#include <dlfcn.h>
#include <errno.h>

#include "net.h"

int net_lib_load(const char *const *sonames, const char *package, const char *option,
		 const struct net_lib_sym *syms, struct err *err)
{
	const char *const *name;
	void *lib = NULL;

	for (name = sonames; *name && !lib; name++)
		lib = dlopen(*name, RTLD_NOW | RTLD_LOCAL);
	if (!lib)
		return err_set(err, -ENOENT, "%s needs %s; install Debian's package %s", option,
			       sonames[0], package);
	for (; syms->name; syms++) {
		*syms->to = dlsym(lib, syms->name);
		if (!*syms->to)
			return err_set(err, -ENOSYS, "%s: %s has no %s; install a newer %s", option,
				       sonames[0], syms->name, package);
	}
	return 0;
}
