/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * In which ring guests' kernels run, and why: for the module, which decides when it is loaded, and
 * for lodge doctor, which foretells it. lite/core/ring.h says what follows from it.
 */
#ifndef LODGE_ABI_RING_POLICY_H
#define LODGE_ABI_RING_POLICY_H

/* What the administrator asks for: the module's parameter ring=auto, 1 or 3. */
enum ring_policy { RING_AUTO = 0, RING_1 = 1, RING_3 = 3 };

/**
 * struct ring_host - what of the host matters, by its kernel's own account
 * @meltdown: a program may read what is mapped for supervisors
 * @eibrs:    branches are kept apart by user and supervisor (enhanced or automatic IBRS)
 * @trusted:  the administrator says by allow_unisolated=1 that neither matters
 */
struct ring_host {
	_Bool meltdown, eibrs, trusted;
};

/**
 * ring_choose - the ring of guests' kernels on this host, or 0: @policy is refused
 * @why: set to one line that explains the choice, or the refusal
 */
static inline unsigned int ring_choose(enum ring_policy policy, const struct ring_host *h,
				       const char **why)
{
	if (policy == RING_3) {
		*why = "asked for by ring=3";
		return 3;
	}
	if (h->trusted && (h->meltdown || h->eibrs)) {
		*why = "guests are trusted, says allow_unisolated=1";
		return 1;
	}
	if (h->meltdown) {
		*why = "the processor has Meltdown: in ring 1 a guest's users could read its "
		       "kernel";
		return policy == RING_1 ? 0 : 3;
	}
	if (h->eibrs) {
		*why = "enhanced IBRS does not keep ring 1 from steering the host's branches";
		return policy == RING_1 ? 0 : 3;
	}
	*why = policy == RING_1 ? "asked for by ring=1"
				: "nothing of this processor speaks against it, and it is faster";
	return 1;
}

#endif
