/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where a guest's kernel runs, and what follows from it. lite/abi/ring_policy.h has the choice.
 *
 * Ring 1, one root: page tables take ring 1 for a supervisor, so the guest's own user bits hold as
 * they are, and a system call changes no page tables. What the processor keeps apart by "user" and
 * "supervisor" only, speculation above all, it does not keep apart here.
 *
 * Ring 3, two roots: guest kernel and guest programs are both users to the processor, which keeps
 * them from the host as it keeps programs from a kernel. They are kept from each other by page
 * tables: of the kernel's root, in which every page of the guest is a user's, programs see nothing.
 * Each way between them changes CR3. The switcher's mode byte says who runs: no selector does.
 */
#ifndef LITE_RING_H
#define LITE_RING_H

#include "lite.h"

/** ring_two_roots - programs and kernel of this guest have page tables of their own */
static inline bool ring_two_roots(const struct lite_vm *vm)
{
	return vm->ring == 3;
}

#endif
