/* SPDX-License-Identifier: GPL-2.0-only */
/* sched.c and time.c: blocking, the single-shot timer, run states, clocks. */
#ifndef LITE_VSCHED_H
#define LITE_VSCHED_H

#include "lite.h"

/* lite_vcpu.poll. A waiting SCHEDOP_poll is ended by the next port raised, masked or not. */
enum sched_poll_state {
	POLL_NONE,
	POLL_WAITING,
	POLL_WOKEN,
};

/**
 * sched_prepare - the first thing of lite_prepare(): raises VIRQ_TIMER when v->deadline has passed,
 * and tells the guest that it runs again if it was blocked. Either tier.
 */
void sched_prepare(struct lite_vcpu *v);

/** sched_vcpu_info_init - v->vi is the vcpu_info in the shared page, until the guest moves it */
void sched_vcpu_info_init(struct lite_vcpu *v);

/** time_publish - fill every vcpu_info's clock and the wall clock in the shared page */
void time_publish(struct lite_vm *vm);

#endif
