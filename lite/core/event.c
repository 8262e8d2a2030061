// SPDX-License-Identifier: GPL-2.0-only
/*
 * Event channels by the 2-level ABI: a pending and a mask bit per port in the shared page, a
 * summary in vcpu_info. lite_port_raise() comes from any context on any CPU and takes no lock; the
 * hypercalls are on the vCPU's own thread.
 *
 * The table of ports has no lock: only the VM's one vCPU changes it, and raising looks at the
 * shared page alone. That page and vcpu_info are the guest's to scribble over: what is in them
 * decides nothing but when the guest gets its own events.
 */
#include "event.h"
#include "hypercall.h"
#include "vsched.h"

#include <xen/xen.h>

#include <xen/event_channel.h>

_Static_assert(LITE_VCPUS_MAX == 1, "vm->port is one thread's");
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

void lite_port_raise(struct lite_vm *vm, u32 port)
{
	struct shared_info *s = __atomic_load_n(&vm->shared, __ATOMIC_ACQUIRE);
	struct lite_vcpu *v = __atomic_load_n(&vm->vcpu[0], __ATOMIC_ACQUIRE);
	unsigned long bit = 1ul << (port % 64);
	u32 poll = POLL_WAITING;
	bool kick = false;

	if (!s || !v || !port || port >= LODGE_PORTS_MAX)
		return;
	if (!__atomic_load_n(&v->vi, __ATOMIC_RELAXED))
		return;
	if (__atomic_fetch_or(&s->evtchn_pending[port / 64], bit, __ATOMIC_SEQ_CST) & bit)
		return;
	/*
	 * Pending before mask, here; mask before pending, where the guest (or EVTCHNOP_unmask)
	 * unmasks: one of the two sees the other.
	 */
	if (!port_bit(s->evtchn_mask, port))
		kick = event_mark(v, port);
	/* Pairs with sched_poll(), which says that it waits before it looks for pending ports. */
	if (__atomic_compare_exchange_n(&v->poll, &poll, POLL_WOKEN, false, __ATOMIC_SEQ_CST,
					__ATOMIC_SEQ_CST))
		kick = true;
	if (kick)
		env_vcpu_kick(v);
}

bool lite_event_pending(const struct lite_vcpu *v)
{
	return __atomic_load_n(&v->vi->evtchn_upcall_pending, __ATOMIC_SEQ_CST) ||
	       __atomic_load_n(&v->poll, __ATOMIC_SEQ_CST) == POLL_WOKEN;
}

void event_virq_raise(struct lite_vcpu *v, u32 virq)
{
	if (virq < NR_VIRQS && v->virq_port[virq])
		lite_port_raise(v->vm, v->virq_port[virq]);
}

void event_init(struct lite_vm *vm)
{
	u32 i;

	for (i = 1; i < vm->ports_host; i++)
		vm->port[i].type = PORT_HOST;
	vm->port_next = vm->ports_host;
	memset(vm->shared->evtchn_mask, 0xff, sizeof(vm->shared->evtchn_mask));
}

/* The lowest port that is free, or 0. Nothing is taken: the caller does when it cannot fail. */
static u32 port_find(struct lite_vm *vm)
{
	u32 i;

	for (i = vm->port_next; i < LODGE_PORTS_MAX; i++)
		if (vm->port[i].type == PORT_FREE)
			return i;
	return 0;
}

static void port_take(struct lite_vm *vm, u32 port, u8 type, u16 virq)
{
	vm->port[port].type = type;
	vm->port[port].vcpu = 0;
	vm->port[port].virq = virq;
	vm->port_next = port + 1;
}

/* The answer is written before the port is taken, for the write may have to be repeated. */
static int bind_virq(struct lite_vcpu *v, u64 va)
{
	struct evtchn_bind_virq b;
	int err = mmu_read(v, &b, va, sizeof(b));

	if (err)
		return err;
	if (b.virq >= NR_VIRQS)
		return -EINVAL;
	if (b.vcpu >= v->vm->vcpus)
		return -ENOENT;
	if (v->virq_port[b.virq])
		return -EEXIST;
	b.port = port_find(v->vm);
	if (!b.port)
		return -ENOSPC;
	err = mmu_write(v, va, &b, sizeof(b));
	if (err)
		return err;
	port_take(v->vm, b.port, PORT_VIRQ, b.virq);
	v->virq_port[b.virq] = b.port;
	return 0;
}

static int bind_ipi(struct lite_vcpu *v, u64 va)
{
	struct evtchn_bind_ipi b;
	int err = mmu_read(v, &b, va, sizeof(b));

	if (err)
		return err;
	if (b.vcpu >= v->vm->vcpus)
		return -ENOENT;
	b.port = port_find(v->vm);
	if (!b.port)
		return -ENOSPC;
	err = mmu_write(v, va, &b, sizeof(b));
	if (!err)
		port_take(v->vm, b.port, PORT_IPI, 0);
	return err;
}

static int alloc_unbound(struct lite_vcpu *v, u64 va)
{
	struct evtchn_alloc_unbound b;
	int err = mmu_read(v, &b, va, sizeof(b));

	if (err)
		return err;
	if (b.dom != DOMID_SELF)
		return -EPERM;
	b.port = port_find(v->vm);
	if (!b.port)
		return -ENOSPC;
	err = mmu_write(v, va, &b, sizeof(b));
	if (!err)
		port_take(v->vm, b.port, PORT_UNBOUND, 0);
	return err;
}

/* A port of the guest's table that is in use, or NULL. */
static struct lite_port *port_get(struct lite_vm *vm, u32 port)
{
	if (port >= LODGE_PORTS_MAX || vm->port[port].type == PORT_FREE)
		return NULL;
	return &vm->port[port];
}

/* The VMM's ports stay: closing and binding one anew is how a driver of the guest is reloaded. */
static int port_close(struct lite_vcpu *v, u64 va)
{
	struct evtchn_close c;
	struct lite_port *p;
	int err = mmu_read(v, &c, va, sizeof(c));

	if (err)
		return err;
	p = port_get(v->vm, c.port);
	if (!p)
		return -EINVAL;
	port_bit_clear(v->vm->shared->evtchn_pending, c.port);
	if (p->type == PORT_HOST)
		return 0;
	if (p->type == PORT_VIRQ)
		v->virq_port[p->virq] = 0;
	p->type = PORT_FREE;
	if (c.port < v->vm->port_next)
		v->vm->port_next = c.port;
	return 0;
}

static int port_status(struct lite_vcpu *v, u64 va)
{
	struct evtchn_status s;
	int err = mmu_read(v, &s, va, sizeof(s));

	if (err)
		return err;
	if (s.dom != DOMID_SELF)
		return -EPERM;
	if (!s.port || s.port >= LODGE_PORTS_MAX)
		return -EINVAL;
	memset(&s.u, 0, sizeof(s.u));
	s.vcpu = v->vm->port[s.port].vcpu;
	switch (v->vm->port[s.port].type) {
	case PORT_HOST:
		s.status = EVTCHNSTAT_interdomain;
		s.u.interdomain.port = s.port;
		break;
	case PORT_UNBOUND:
		s.status = EVTCHNSTAT_unbound;
		break;
	case PORT_VIRQ:
		s.status = EVTCHNSTAT_virq;
		s.u.virq = v->vm->port[s.port].virq;
		break;
	case PORT_IPI:
		s.status = EVTCHNSTAT_ipi;
		break;
	default:
		s.status = EVTCHNSTAT_closed;
	}
	return mmu_write(v, va, &s, sizeof(s));
}

static int port_bind_vcpu(struct lite_vcpu *v, u64 va)
{
	struct evtchn_bind_vcpu b;
	struct lite_port *p;
	int err = mmu_read(v, &b, va, sizeof(b));

	if (err)
		return err;
	if (b.vcpu >= v->vm->vcpus)
		return -ENOENT;
	p = port_get(v->vm, b.port);
	if (!p || p->type == PORT_VIRQ || p->type == PORT_IPI)
		return -EINVAL;
	p->vcpu = b.vcpu;
	return 0;
}

static int port_unmask(struct lite_vcpu *v, u64 va)
{
	struct evtchn_unmask u;
	int err = mmu_read(v, &u, va, sizeof(u));

	if (err)
		return err;
	if (!port_get(v->vm, u.port))
		return -EINVAL;
	/* Mask before pending: pairs with lite_port_raise(). */
	port_bit_clear(v->vm->shared->evtchn_mask, u.port);
	if (event_port_pending(v->vm, u.port))
		event_mark(v, u.port);
	return 0;
}

static enum lite_next port_send(struct lite_vcpu *v, u64 va, u64 *ret)
{
	struct evtchn_send s;
	struct lite_port *p;
	int err = mmu_read(v, &s, va, sizeof(s));

	if (err)
		return hc_done(err, ret);
	p = port_get(v->vm, s.port);
	if (!p)
		return hc_done(-EINVAL, ret);
	switch (p->type) {
	case PORT_HOST:
		if (v->tier == LITE_LIGHT)
			return LITE_FULL;
		env_port_send(v->vm, s.port);
		break;
	case PORT_IPI:
		lite_port_raise(v->vm, s.port);
		break;
	case PORT_UNBOUND: /* nobody listens */
		break;
	default:
		return hc_done(-EINVAL, ret);
	}
	return hc_done(0, ret);
}

enum lite_next hc_event_channel_op(struct lite_vcpu *v, const u64 arg[5], u64 *ret)
{
	u64 va = arg[1];

	switch (arg[0]) {
	case EVTCHNOP_bind_interdomain: /* there are no other domains */
		return hc_done(-EINVAL, ret);
	case EVTCHNOP_bind_virq:
		return hc_done(bind_virq(v, va), ret);
	case EVTCHNOP_bind_ipi:
		return hc_done(bind_ipi(v, va), ret);
	case EVTCHNOP_alloc_unbound:
		return hc_done(alloc_unbound(v, va), ret);
	case EVTCHNOP_bind_vcpu:
		return hc_done(port_bind_vcpu(v, va), ret);
	case EVTCHNOP_close:
		return hc_done(port_close(v, va), ret);
	case EVTCHNOP_status:
		return hc_done(port_status(v, va), ret);
	case EVTCHNOP_unmask:
		return hc_done(port_unmask(v, va), ret);
	case EVTCHNOP_send:
		return port_send(v, va, ret);
	}
	return hc_done(-ENOSYS, ret);
}
