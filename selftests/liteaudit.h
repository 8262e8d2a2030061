/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * For native tests of lite's shadow page tables: the case fails if the audit has something to say.
 */
#ifndef LITEAUDIT_H
#define LITEAUDIT_H

#include "kselftest.h"
#include "lite/user/env_user.h"

/** eu_audit - mmu_audit() of @e's guest; @guest: its own tables have to explain each entry */
static inline void eu_audit(struct eu *e, bool guest)
{
	char why[128] = "";
	u32 n = mmu_audit(&e->vm, guest, why, sizeof(why));

	if (n)
		ksft_fail("%u violations, the first: %s", n, why);
}

#endif
