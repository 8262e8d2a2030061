/* SPDX-License-Identifier: GPL-2.0-only */
/* Event channels, 2-level ABI: what the rest of the core needs of them. */
#ifndef LITE_EVENT_H
#define LITE_EVENT_H

#include "lite.h"

enum event_port_type { /* lite_port.type */
		       PORT_FREE,
		       PORT_HOST, /* the VMM's: an eventfd in each direction */
		       PORT_UNBOUND,
		       PORT_VIRQ,
		       PORT_IPI,
};

/** event_init - ports 1 .. vm->ports_host - 1 become the VMM's; every port is masked */
void event_init(struct lite_vm *vm);

/** event_raise - raise @port; who has to be kicked is noted in v->kicks. v's own thread */
void event_raise(struct lite_vcpu *v, u32 port);

/** event_kick - kick those that v->kicks notes. Full tier */
void event_kick(struct lite_vcpu *v);

/** event_virq_raise - raise the port that the guest has bound to @virq, if any. v's own thread */
void event_virq_raise(struct lite_vcpu *v, u32 virq);

/** event_clear - @port is not pending any more */
void event_clear(struct lite_vm *vm, u32 port);

/** event_unmask - unmask @port; if it is pending, its vCPU hears of it. v's own thread */
void event_unmask(struct lite_vcpu *v, u32 port);

/** event_port_pending - is @port's pending bit set? */
bool event_port_pending(const struct lite_vm *vm, u32 port);

#endif
