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

/** event_virq_raise - raise the port that the guest has bound to @virq, if any. v's own thread */
void event_virq_raise(struct lite_vcpu *v, u32 virq);

/** event_port_pending - is @port's pending bit set? */
bool event_port_pending(const struct lite_vm *vm, u32 port);

#endif
