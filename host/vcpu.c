// SPDX-License-Identifier: GPL-2.0-only
/*
 * The run loop and exit dispatch. A vCPU thread never waits for I/O: doorbells and interrupts
 * travel by eventfds, what does come here is set-up and legacy ports. No locks of its own.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "log.h"
#include "vcpu.h"
#include "vm.h"

/* Nobody sends this one by hand. */
#define VCPU_KICK_SIGNAL   (SIGRTMIN + 1)
#define VCPU_KICK_AGAIN_NS 50000000

static void vcpu_on_kick(int sig)
{
	/* Its arrival is all that matters: it makes the accelerator's run call return. */
}

int vcpu_setup_signal(void)
{
	struct sigaction sa = { .sa_handler = vcpu_on_kick };

	return sigaction(VCPU_KICK_SIGNAL, &sa, NULL) < 0 ? -errno : 0;
}

static void *vcpu_thread(void *arg)
{
	struct vcpu *v = arg;
	struct vm *vm = v->vm;
	const struct accel_ops *ops = v->av->vm->ops;
	struct vmexit e;
	char name[32];
	sigset_t set;

	snprintf(name, sizeof(name), "%.7s/vcpu%u", vm->name, v->av->id);
	name[15] = '\0'; /* the kernel's limit */
	pthread_setname_np(pthread_self(), name);
	sigemptyset(&set);
	sigaddset(&set, VCPU_KICK_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);

	while (!vm_stopping(vm)) {
		ops->vcpu_run(v->av, &e);
		switch (e.kind) {
		case VMEXIT_NONE:
			break;
		case VMEXIT_PIO:
			bus_exit(&vm->pio, &e);
			break;
		case VMEXIT_HALT:
			vm_stop(vm, VM_END_POWEROFF, NULL);
			break;
		case VMEXIT_SHUTDOWN:
			vm_stop(vm, VM_END_CRASH, e.why);
			break;
		case VMEXIT_FAIL:
			vm_stop(vm, VM_END_FAIL, e.why);
			break;
		default:
			vm->machine->exit(vm, &e);
			break;
		}
	}
	return NULL;
}

int vcpu_start(struct vcpu *v)
{
	int ret;

	ret = pthread_create(&v->thread, NULL, vcpu_thread, v);
	if (ret)
		return -ret;
	v->started = true;
	return 0;
}

void vcpu_kick(struct vcpu *v)
{
	if (!v->started)
		return;
	v->av->vm->ops->vcpu_kick(v->av);
	pthread_kill(v->thread, VCPU_KICK_SIGNAL);
}

void vcpu_join(struct vcpu *v)
{
	struct timespec until;

	/* A kick that comes right before the accelerator's run call may be lost: repeat it. */
	while (v->started) {
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += VCPU_KICK_AGAIN_NS;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		if (pthread_timedjoin_np(v->thread, NULL, &until) == ETIMEDOUT)
			vcpu_kick(v);
		else
			v->started = false;
	}
}
