/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A vCPU's thread: it runs the guest and hands exits to the buses.
 */
#ifndef LODGE_VCPU_H
#define LODGE_VCPU_H

#include <pthread.h>
#include <stdbool.h>

#include "accel.h"

struct vm;

struct vcpu {
	struct vm *vm;
	struct accel_vcpu *av;
	pthread_t thread;
	bool started;
};

/** vcpu_setup_signal - install the kick signal's handler; once per process, before any vCPU runs */
int vcpu_setup_signal(void);

/** vcpu_start - create the thread; 0 or -errno */
int vcpu_start(struct vcpu *v);

/** vcpu_kick - make it look at vm_stopping() soon; any thread, any time after vcpu_start() */
void vcpu_kick(struct vcpu *v);

/** vcpu_join - wait for the thread's end */
void vcpu_join(struct vcpu *v);

#endif
