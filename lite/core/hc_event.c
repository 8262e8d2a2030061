// SPDX-License-Identifier: GPL-2.0-only
/*
 * event_channel_op: who gets which port. Called from the dispatcher, on a vCPU's own thread, in
 * either tier. The table of ports is changed under vm->event_lock, which is held while an answer is
 * written to the guest; raising, sending and unmasking read it without. Delivery is event.c's.
 */
#include "event.h"
#include "hypercall.h"

#include <xen/xen.h>

#include <xen/event_channel.h>

static int event_lock(struct lite_vcpu *v)
{
	if (v->tier == LITE_LIGHT)
		return lite_trylock(&v->vm->event_lock) ? 0 : -EBUSY;
	lite_lock(&v->vm->event_lock);
	return 0;
}

static void event_unlock(struct lite_vcpu *v)
{
	lite_unlock(&v->vm->event_lock);
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

static void port_take(struct lite_vm *vm, u32 port, u8 type, u32 vcpu, u16 virq)
{
	vm->port[port].virq = virq;
	__atomic_store_n(&vm->port[port].vcpu, vcpu, __ATOMIC_RELAXED);
	__atomic_store_n(&vm->port[port].type, type, __ATOMIC_RELEASE); /* pairs with port_type() */
	vm->port_next = port + 1;
}

static u8 port_type(const struct lite_vm *vm, u32 port)
{
	port = lite_index(port, LODGE_PORTS_MAX); /* port 0 is nobody's */
	return port < LODGE_PORTS_MAX ? __atomic_load_n(&vm->port[port].type, __ATOMIC_ACQUIRE)
				      : (u8)PORT_FREE;
}

/* Of these each vCPU has its own. */
static bool virq_own(u32 virq)
{
	return virq == VIRQ_TIMER || virq == VIRQ_DEBUG || virq == VIRQ_XENOPROF ||
	       virq == VIRQ_XENPMU;
}

/* The answer is written before the port is taken, for the write may have to be repeated. */
static int bind_virq_locked(struct lite_vcpu *v, u64 va, struct evtchn_bind_virq *b)
{
	struct lite_vcpu *to = lite_vcpu_of(v->vm, b->vcpu);
	int err;

	if (!to)
		return -ENOENT;
	if (to->virq_port[b->virq])
		return -EEXIST;
	b->port = port_find(v->vm);
	if (!b->port)
		return -ENOSPC;
	err = mmu_write(v, va, b, sizeof(*b));
	if (err)
		return err;
	port_take(v->vm, b->port, PORT_VIRQ, b->vcpu, b->virq);
	__atomic_store_n(&to->virq_port[b->virq], b->port, __ATOMIC_RELAXED);
	return 0;
}

static int bind_virq(struct lite_vcpu *v, u64 va)
{
	struct evtchn_bind_virq b;
	int err = mmu_read(v, &b, va, sizeof(b));

	if (err)
		return err;
	if (b.virq >= NR_VIRQS || (b.vcpu && !virq_own(b.virq)))
		return -EINVAL;
	err = event_lock(v);
	if (err)
		return err;
	err = bind_virq_locked(v, va, &b);
	event_unlock(v);
	return err;
}

/* A new port of that @type; the answer, @len bytes at @va, has it in *@port. */
static int port_new(struct lite_vcpu *v, u8 type, u32 vcpu, u64 va, const void *answer, size_t len,
		    u32 *port)
{
	int err = event_lock(v);

	if (err)
		return err;
	*port = port_find(v->vm);
	err = *port ? mmu_write(v, va, answer, len) : -ENOSPC;
	if (!err)
		port_take(v->vm, *port, type, vcpu, 0);
	event_unlock(v);
	return err;
}

static int bind_ipi(struct lite_vcpu *v, u64 va)
{
	struct evtchn_bind_ipi b;
	int err = mmu_read(v, &b, va, sizeof(b));

	if (err)
		return err;
	if (!lite_vcpu_of(v->vm, b.vcpu))
		return -ENOENT;
	return port_new(v, PORT_IPI, b.vcpu, va, &b, sizeof(b), &b.port);
}

static int alloc_unbound(struct lite_vcpu *v, u64 va)
{
	struct evtchn_alloc_unbound b;
	int err = mmu_read(v, &b, va, sizeof(b));

	if (err)
		return err;
	if (b.dom != DOMID_SELF)
		return -EPERM;
	return port_new(v, PORT_UNBOUND, 0, va, &b, sizeof(b), &b.port);
}

/* The VMM's ports stay: closing and binding one anew is how a driver of the guest is reloaded. */
static int port_close(struct lite_vcpu *v, u64 va)
{
	struct lite_vm *vm = v->vm;
	struct evtchn_close c;
	struct lite_vcpu *to;
	int err = mmu_read(v, &c, va, sizeof(c));

	if (!err)
		err = event_lock(v);
	if (err)
		return err;
	switch (port_type(vm, c.port)) {
	case PORT_FREE:
		err = -EINVAL;
		goto out;
	case PORT_HOST:
		/* To the vCPU that it would be bound to at the start. */
		__atomic_store_n(&vm->port[c.port].vcpu, 0, __ATOMIC_RELAXED);
		event_clear(vm, c.port);
		goto out;
	case PORT_VIRQ:
		to = lite_vcpu_of(vm, vm->port[c.port].vcpu);
		__atomic_store_n(&to->virq_port[vm->port[c.port].virq], 0, __ATOMIC_RELAXED);
		break;
	}
	event_clear(vm, c.port);
	__atomic_store_n(&vm->port[c.port].type, PORT_FREE, __ATOMIC_RELEASE);
	if (c.port < vm->port_next)
		vm->port_next = c.port;
out:
	event_unlock(v);
	return err;
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
	s.vcpu = __atomic_load_n(&v->vm->port[s.port].vcpu, __ATOMIC_RELAXED);
	switch (port_type(v->vm, s.port)) {
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
	u8 type;
	int err = mmu_read(v, &b, va, sizeof(b));

	if (err)
		return err;
	if (!lite_vcpu_of(v->vm, b.vcpu))
		return -ENOENT;
	err = event_lock(v);
	if (err)
		return err;
	type = port_type(v->vm, b.port);
	if (type == PORT_HOST || type == PORT_UNBOUND)
		__atomic_store_n(&v->vm->port[b.port].vcpu, b.vcpu, __ATOMIC_SEQ_CST);
	else
		err = -EINVAL;
	event_unlock(v);
	return err;
}

static int port_unmask(struct lite_vcpu *v, u64 va)
{
	struct evtchn_unmask u;
	int err = mmu_read(v, &u, va, sizeof(u));

	if (err)
		return err;
	if (port_type(v->vm, u.port) == PORT_FREE)
		return -EINVAL;
	event_unmask(v, u.port);
	return 0;
}

static enum lite_next port_send(struct lite_vcpu *v, u64 va, u64 *ret)
{
	struct evtchn_send s;
	int err = mmu_read(v, &s, va, sizeof(s));

	if (err)
		return hc_done(err, ret);
	switch (port_type(v->vm, s.port)) {
	case PORT_HOST:
		if (v->tier == LITE_LIGHT)
			return LITE_FULL;
		env_port_send(v->vm, s.port);
		break;
	case PORT_IPI:
		event_raise(v, s.port);
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
