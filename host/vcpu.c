// SPDX-License-Identifier: GPL-2.0-only
/*
 * The run loop and exit dispatch. A vCPU thread never waits for I/O: doorbells and interrupts
 * travel by eventfds, what does come here is set-up and legacy ports. No locks of its own.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "vcpu.h"
#include "vm.h"

#define VCPU_KICK_SIGNAL SIGUSR1

static void vcpu_on_kick(int sig)
{
	/* Its arrival is all that matters: it makes the accelerator's run call return. */
}

int vcpu_setup_signal(void)
{
	struct sigaction sa = { .sa_handler = vcpu_on_kick };

	return sigaction(VCPU_KICK_SIGNAL, &sa, NULL) < 0 ? -errno : 0;
}

static void vcpu_io(struct bus *bus, const struct vmexit *e)
{
	uint8_t *p = e->io.data;
	uint32_t i;

	/* String instructions come as several items of one port. */
	for (i = 0; i < e->io.count; i++, p += e->io.size) {
		bool known = e->io.write ? bus_write(bus, e->io.addr, p, e->io.size)
					 : bus_read(bus, e->io.addr, p, e->io.size);

		if (!known)
			log_debug("%s: nobody at %#" PRIx64 " (%s of %u)", bus->name, e->io.addr,
				  e->io.write ? "write" : "read", e->io.size);
	}
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
			vcpu_io(&vm->pio, &e);
			break;
		case VMEXIT_MMIO:
			vcpu_io(&vm->mmio, &e);
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
	if (v->started)
		pthread_join(v->thread, NULL);
	v->started = false;
}
