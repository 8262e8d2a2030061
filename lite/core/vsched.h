/* SPDX-License-Identifier: GPL-2.0-only */
/* sched.c, hc_vcpu.c and time.c: blocking, the single-shot timer, run states, clocks. */
#ifndef LITE_VSCHED_H
#define LITE_VSCHED_H

#include "lite.h"

/* lite_vcpu.poll. A waiting SCHEDOP_poll is ended by its port, or by any if it has several. */
enum sched_poll_state {
	POLL_NONE,
	POLL_WAITING,
	POLL_WOKEN,
};

/**
 * sched_prepare - the first thing of lite_prepare(): raises VIRQ_TIMER when v->deadline has passed,
 * and tells the guest that it runs again if it was blocked, and of stolen time. Either tier.
 */
void sched_prepare(struct lite_vcpu *v);

/** sched_halt - hlt: unmask events, and LITE_BLOCK or, if one is pending, LITE_RESUME. Full tier */
enum lite_next sched_halt(struct lite_vcpu *v);

/** timer_set - @v's next VIRQ_TIMER, in ns of guest time; 0: none. v's own thread */
void timer_set(struct lite_vcpu *v, u64 deadline);

/** runstate_write - the run states of @of to @v's memory at @va; an error of mmu_write() */
int runstate_write(struct lite_vcpu *v, const struct lite_vcpu *of, u64 va);

/** sched_vcpu_info_init - v->vi is the vcpu_info in the shared page, until the guest moves it */
void sched_vcpu_info_init(struct lite_vcpu *v);

/** time_publish - fill every vcpu_info's clock and the wall clock in the shared page */
void time_publish(struct lite_vm *vm);

#endif
