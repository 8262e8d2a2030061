// SPDX-License-Identifier: GPL-2.0-only
/*
 * Chooses an accelerator. The order of the table is the order of preference of "auto".
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "accel.h"
#include "util.h"

static const struct accel_ops *const accels[] = { &accel_kvm, &accel_lite };

const char *accel_names(void)
{
	static char names[64];
	unsigned int i;
	size_t n;

	n = snprintf(names, sizeof(names), "auto");
	for (i = 0; i < ARRAY_SIZE(accels); i++)
		n += snprintf(names + n, sizeof(names) - n, "|%s", accels[i]->name);
	return names;
}

int accel_find(const char *name, const struct accel_ops **out, struct err *err)
{
	bool any = !strcmp(name, "auto");
	char all[sizeof(err->msg)] = "";
	struct err e;
	size_t n = 0;
	unsigned int i;
	int ret, first = 0;

	for (i = 0; i < ARRAY_SIZE(accels); i++) {
		if (!any && strcmp(name, accels[i]->name))
			continue;
		memset(&e, 0, sizeof(e));
		ret = accels[i]->probe(&e);
		if (!ret) {
			*out = accels[i];
			return 0;
		}
		if (!any)
			return err_set(err, ret, "--accel %s: %s", name, e.msg);
		first = first ? first : ret;
		if (n < sizeof(all))
			n += snprintf(all + n, sizeof(all) - n, "%s%s: %.140s", n ? "; " : "",
				      accels[i]->name, e.msg);
	}
	if (any)
		return err_set(err, first, "--accel auto: nothing here can run a guest: %s", all);
	return err_set(err, -EINVAL, "--accel: unknown accelerator '%.40s'; use %s", name,
		       accel_names());
}
