// SPDX-License-Identifier: GPL-2.0-only
/*
 * Event channels by the 2-level ABI: a pending and a mask bit per port in the shared page, a
 * summary in each vcpu_info. lite_port_raise() comes from any context on any CPU and takes no lock.
 * The hypercalls are in hc_event.c.
 *
 * The table of ports is changed under vm->event_lock and read without: who raises a port that is
 * being bound elsewhere tells one of the two vCPUs. A guest masks a port while it does that, and
 * unmasking looks anew. The shared page and vcpu_info are the guest's to scribble over: what is in
 * them decides nothing but when the guest gets its own events.
 */
#include "event.h"
#include "vsched.h"

#include <xen/xen.h>

#include <xen/event_channel.h>

_Static_assert(EVTCHN_2L_NR_CHANNELS == LODGE_PORTS_MAX, "the 2-level ABI's");

static bool port_bit(const unsigned long *map, u32 port)
{
	return __atomic_load_n(&map[port / 64], __ATOMIC_SEQ_CST) >> (port % 64) & 1;
}

static void port_bit_clear(unsigned long *map, u32 port)
{
	__atomic_fetch_and(&map[port / 64], ~(1ul << (port % 64)), __ATOMIC_SEQ_CST);
}

bool event_port_pending(const struct lite_vm *vm, u32 port)
{
	return port_bit(vm->shared->evtchn_pending, port);
}

/* @port is pending and not masked: tell the guest. True if it did not know yet. */
static bool event_mark(struct lite_vcpu *v, u32 port)
{
	/* Pairs with vcpu_info_set()'s release; the port's pending bit was set before. */
	struct vcpu_info *vi = __atomic_load_n(&v->vi, __ATOMIC_ACQUIRE);
	unsigned long bit = 1ul << (port / 64);

	if (__atomic_fetch_or(&vi->evtchn_pending_sel, bit, __ATOMIC_SEQ_CST) & bit)
		return false;
	return !__atomic_exchange_n(&vi->evtchn_upcall_pending, 1, __ATOMIC_SEQ_CST);
}

/* Pairs with sched_poll(), which says that it waits before it looks for pending ports. */
static u32 poll_wake(struct lite_vm *vm, u32 port)
{
	u32 waiting = __atomic_load_n(&vm->polling, __ATOMIC_SEQ_CST), woken = 0, i;

	for (i = 0; waiting >> i; i++) {
		struct lite_vcpu *v = waiting >> i & 1 ? lite_vcpu_of(vm, i) : NULL;
		u32 poll = POLL_WAITING,
		    only = v ? __atomic_load_n(&v->poll_port, __ATOMIC_RELAXED) : 0;

		if (!v || (only && only != port))
			continue;
		if (__atomic_compare_exchange_n(&v->poll, &poll, POLL_WOKEN, false,
						__ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
			woken |= 1u << i;
	}
	return woken;
}

/* The vCPU that @port is bound to, if it can be told. */
static struct lite_vcpu *port_target(const struct lite_vm *vm, u32 port)
{
	struct lite_vcpu *v =
		lite_vcpu_of(vm, __atomic_load_n(&vm->port[port].vcpu, __ATOMIC_RELAXED));

	return v && __atomic_load_n(&v->vi, __ATOMIC_RELAXED) ? v : NULL;
}

/* Make @port pending. Returns the vCPUs that have to be kicked for it, a bit each. */
static u32 port_raise(struct lite_vm *vm, u32 port)
{
	struct shared_info *s = __atomic_load_n(&vm->shared, __ATOMIC_ACQUIRE);
	unsigned long bit = 1ul << (port % 64);
	struct lite_vcpu *v;
	u32 kick = 0;

	if (!s || !port || port >= LODGE_PORTS_MAX || !port_target(vm, port))
		return 0;
	if (__atomic_fetch_or(&s->evtchn_pending[port / 64], bit, __ATOMIC_SEQ_CST) & bit)
		return 0;
	/*
	 * Pending before mask and target, here; mask before pending, where the guest (or
	 * EVTCHNOP_unmask) unmasks: one of the two sees the other.
	 */
	if (!port_bit(s->evtchn_mask, port)) {
		v = port_target(vm, port);
		if (v && event_mark(v, port))
			kick = 1u << v->id;
	}
	return kick | poll_wake(vm, port);
}

void lite_port_raise(struct lite_vm *vm, u32 port)
{
	u32 kick = port_raise(vm, port), i;

	for (i = 0; kick >> i; i++)
		if (kick >> i & 1)
			env_vcpu_kick(lite_vcpu_of(vm, i));
}

void event_kick(struct lite_vcpu *v)
{
	u32 kick = v->kicks, i;

	v->kicks = 0;
	for (i = 0; kick >> i; i++)
		if (kick >> i & 1)
			env_vcpu_kick(lite_vcpu_of(v->vm, i));
}

bool lite_event_pending(const struct lite_vcpu *v)
{
	u32 poll = __atomic_load_n(&v->poll, __ATOMIC_SEQ_CST);

	if (poll == POLL_WOKEN || __atomic_load_n(&v->nmi_pending, __ATOMIC_RELAXED))
		return true;
	/* Who polls does so with events masked, and waits for others than those. */
	return __atomic_load_n(&v->vi->evtchn_upcall_pending, __ATOMIC_SEQ_CST) &&
	       !(poll == POLL_WAITING &&
		 __atomic_load_n(&v->vi->evtchn_upcall_mask, __ATOMIC_RELAXED));
}

void event_raise(struct lite_vcpu *v, u32 port)
{
	/* This one looks at its events before it enters the guest. */
	v->kicks |= port_raise(v->vm, port) & ~(1u << v->id);
}

void event_virq_raise(struct lite_vcpu *v, u32 virq)
{
	u32 port = virq < NR_VIRQS ? __atomic_load_n(&v->virq_port[virq], __ATOMIC_RELAXED) : 0;

	if (port)
		event_raise(v, port);
}

void event_init(struct lite_vm *vm)
{
	u32 i;

	for (i = 1; i < vm->ports_host; i++)
		vm->port[i].type = PORT_HOST;
	vm->port_next = vm->ports_host;
	memset(vm->shared->evtchn_mask, 0xff, sizeof(vm->shared->evtchn_mask));
}

void event_clear(struct lite_vm *vm, u32 port)
{
	port_bit_clear(vm->shared->evtchn_pending, port);
}

void event_unmask(struct lite_vcpu *v, u32 port)
{
	struct lite_vcpu *to;

	/* Mask before pending: pairs with port_raise(). */
	port_bit_clear(v->vm->shared->evtchn_mask, port);
	to = event_port_pending(v->vm, port) ? port_target(v->vm, port) : NULL;
	if (to && event_mark(to, port) && to != v)
		v->kicks |= 1u << to->id;
}
