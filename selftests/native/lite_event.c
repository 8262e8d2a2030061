// SPDX-License-Identifier: GPL-2.0-only
/*
 * Event channels of a lite guest, and polling for them.
 */
#include <pthread.h>

#include "litedrv.h"

static u32 ipi(void)
{
	struct evtchn_bind_ipi b = { .vcpu = 0 };

	ksft_eq(evt(EVTCHNOP_bind_ipi, b), 0);
	args_get(&b, sizeof(b));
	return b.port;
}

static void ports(void)
{
	struct evtchn_bind_virq vq = { .virq = VIRQ_TIMER };
	struct evtchn_alloc_unbound un = { .dom = DOMID_SELF };
	struct evtchn_status st = { .dom = DOMID_SELF };
	struct evtchn_bind_vcpu bv = { .port = HOST_MAX };
	struct evtchn_bind_ipi bi = { .vcpu = 1 };
	struct evtchn_close cl;
	u32 i;

	setup();
	ksft_eq(evt(EVTCHNOP_bind_virq, vq), 0);
	ksft_eq(cpu.virq_port[VIRQ_TIMER], HOST_MAX);
	ksft_eq(evt(EVTCHNOP_bind_virq, vq), -EEXIST);
	vq.virq = NR_VIRQS;
	ksft_eq(evt(EVTCHNOP_bind_virq, vq), -EINVAL);
	vq.virq = VIRQ_DEBUG;
	vq.vcpu = 1;
	ksft_eq(evt(EVTCHNOP_bind_virq, vq), -ENOENT);
	ksft_eq(evt(EVTCHNOP_bind_ipi, bi), -ENOENT);
	ksft_eq(ipi(), HOST_MAX + 1);
	ksft_eq(evt(EVTCHNOP_alloc_unbound, un), 0);
	ksft_eq(vm.port[HOST_MAX + 2].type, PORT_UNBOUND);
	un.dom = 0;
	ksft_eq(evt(EVTCHNOP_alloc_unbound, un), -EPERM);
	ksft_eq(evt(EVTCHNOP_bind_interdomain, un), -EINVAL);
	ksft_eq(evt(EVTCHNOP_reset, un), -ENOSYS);
	ksft_eq(evt(EVTCHNOP_init_control, un), -ENOSYS);

	st.port = HOST_MAX;
	ksft_eq(evt(EVTCHNOP_status, st), 0);
	args_get(&st, sizeof(st));
	ksft_eq(st.status, EVTCHNSTAT_virq);
	ksft_eq(st.u.virq, VIRQ_TIMER);
	st.port = 2;
	ksft_eq(evt(EVTCHNOP_status, st), 0);
	args_get(&st, sizeof(st));
	ksft_eq(st.status, EVTCHNSTAT_interdomain);
	st.port = 4000;
	ksft_eq(evt(EVTCHNOP_status, st), 0);
	args_get(&st, sizeof(st));
	ksft_eq(st.status, EVTCHNSTAT_closed);
	st.port = LODGE_PORTS_MAX;
	ksft_eq(evt(EVTCHNOP_status, st), -EINVAL);

	ksft_eq(evt(EVTCHNOP_bind_vcpu, bv), -EINVAL); /* a virq's */
	bv.port = 2;
	ksft_eq(evt(EVTCHNOP_bind_vcpu, bv), 0);
	bv.vcpu = 1;
	ksft_eq(evt(EVTCHNOP_bind_vcpu, bv), -ENOENT);

	cl.port = HOST_MAX;
	ksft_eq(evt(EVTCHNOP_close, cl), 0);
	ksft_eq(cpu.virq_port[VIRQ_TIMER], 0);
	ksft_eq(evt(EVTCHNOP_close, cl), -EINVAL);
	cl.port = 2;
	ksft_eq(evt(EVTCHNOP_close, cl), 0);
	ksft_eq(vm.port[2].type, PORT_HOST);
	cl.port = 0;
	ksft_eq(evt(EVTCHNOP_close, cl), -EINVAL);
	cl.port = ~0u;
	ksft_eq(evt(EVTCHNOP_close, cl), -EINVAL);
	ksft_eq(ipi(), HOST_MAX); /* used again */
	for (i = HOST_MAX + 3; i < LODGE_PORTS_MAX; i++)
		ksft_eq(ipi(), i);
	bi.vcpu = 0;
	ksft_eq(evt(EVTCHNOP_bind_ipi, bi), -ENOSPC);
}

/* Each access of a bind answers "later" once: still one port, and the guest is told which. */
static void bind_later(void)
{
	struct evtchn_bind_ipi b = { .vcpu = 0 };
	u32 i;
	s64 ret;

	for (i = 1; i <= 2; i++) {
		setup();
		later = i;
		ksft_eq(call(__HYPERVISOR_event_channel_op, EVTCHNOP_bind_ipi,
			     args_put(&b, sizeof(b)), 0, 0, 0, &ret),
			LITE_WANT);
		ksft_eq(ipi(), HOST_MAX);
		ksft_eq(ipi(), HOST_MAX + 1);
	}
}

static void events(void)
{
	struct shared_info *s = (void *)guest_mem[SHARED];
	struct evtchn_send send = { .port = 5 };
	struct evtchn_unmask un = { .port = 5 };
	u32 port;
	s64 ret;

	setup();
	ksft_check(!lite_event_pending(&cpu));
	lite_port_raise(&vm, 5);
	ksft_eq(s->evtchn_pending[0], 1 << 5);
	ksft_eq(kicks, 0); /* masked */
	ksft_check(!lite_event_pending(&cpu));
	ksft_eq(evt(EVTCHNOP_unmask, un), 0);
	ksft_check(lite_event_pending(&cpu));
	ksft_eq(s->vcpu_info[0].evtchn_pending_sel, 1);
	ksft_eq(s->evtchn_mask[0], ~(1ul << 5));

	s->evtchn_pending[0] = 0;
	s->vcpu_info[0].evtchn_pending_sel = 0;
	s->vcpu_info[0].evtchn_upcall_pending = 0;
	lite_port_raise(&vm, 5);
	lite_port_raise(&vm, 5);
	ksft_eq(kicks, 1);
	ksft_check(lite_event_pending(&cpu));
	lite_port_raise(&vm, 0);
	lite_port_raise(&vm, LODGE_PORTS_MAX);
	lite_port_raise(&vm, ~0u);
	ksft_eq(s->evtchn_pending[0], 1 << 5);
	s->evtchn_mask[63] = 0;
	lite_port_raise(&vm, LODGE_PORTS_MAX - 1);
	ksft_eq(s->vcpu_info[0].evtchn_pending_sel, 1 | 1ul << 63);

	cpu.tier = LITE_LIGHT;
	ksft_eq(call(__HYPERVISOR_event_channel_op, EVTCHNOP_send, args_put(&send, sizeof(send)), 0,
		     0, 0, &ret),
		LITE_FULL);
	ksft_eq(sends, 0);
	cpu.tier = LITE_FULLTIER;
	ksft_eq(evt(EVTCHNOP_send, send), 0);
	ksft_eq(sends, 1);
	ksft_eq(last_send, 5);
	port = ipi();
	send.port = port;
	ksft_eq(evt(EVTCHNOP_send, send), 0);
	ksft_check(event_port_pending(&vm, port));
	ksft_eq(sends, 1);
	send.port = port + 1;
	ksft_eq(evt(EVTCHNOP_send, send), -EINVAL);
	send.port = ~0u;
	ksft_eq(evt(EVTCHNOP_send, send), -EINVAL);
	un.port = port + 1;
	ksft_eq(evt(EVTCHNOP_unmask, un), -EINVAL);
	un.port = ~0u;
	ksft_eq(evt(EVTCHNOP_unmask, un), -EINVAL);
}

static void polls(void)
{
	evtchn_port_t list[2] = { 5, 6 };
	struct sched_poll p = { .nr_ports = 2 };
	struct sched_shutdown sh = { .reason = SHUTDOWN_crash };
	u64 va = BASE + 0x9000;
	s64 ret;

	setup();
	p.ports.p = (void *)va;
	memcpy(guest_mem[9], list, sizeof(list));
	args_put(&p, sizeof(p));
	ksft_eq(call(__HYPERVISOR_sched_op, SCHEDOP_poll, BASE + ARGS, 0, 0, 0, &ret), LITE_BLOCK);
	ksft_check(!lite_event_pending(&cpu));
	lite_port_raise(&vm, 6); /* masked: no upcall, and yet it wakes */
	ksft_eq(kicks, 1);
	ksft_check(lite_event_pending(&cpu));
	ksft_eq(hc(__HYPERVISOR_sched_op, SCHEDOP_poll, BASE + ARGS, 0), 0);
	ksft_check(!lite_event_pending(&cpu));
	lite_port_raise(&vm, 7);
	ksft_eq(kicks, 1); /* nobody polls any more */

	list[1] = LODGE_PORTS_MAX;
	memcpy(guest_mem[9], list, sizeof(list));
	ksft_eq(hc(__HYPERVISOR_sched_op, SCHEDOP_poll, BASE + ARGS, 0), -EINVAL);
	p.nr_ports = 129;
	ksft_eq(hc_arg(__HYPERVISOR_sched_op, SCHEDOP_poll, p), -EINVAL);
	/* One port, and a time limit. */
	p.nr_ports = 1;
	p.timeout = 5;
	cpu.changed = 0;
	ksft_eq(call(__HYPERVISOR_sched_op, SCHEDOP_poll, args_put(&p, sizeof(p)), 0, 0, 0, &ret),
		LITE_BLOCK);
	ksft_eq(cpu.changed, LITE_CH_TIMER);
	ksft_eq(lite_deadline(&cpu), 5);
	cpu.deadline = 3;
	ksft_eq(lite_deadline(&cpu), 3);
	cpu.deadline = 0;
	lite_port_raise(&vm, 8); /* another one */
	ksft_check(!lite_event_pending(&cpu));
	fake_tsc = 1005;
	sched_prepare(&cpu);
	ksft_eq(lite_deadline(&cpu), 0);
	ksft_eq(cpu.poll, POLL_NONE);
	ksft_eq(vm.polling, 0);
	ksft_eq(hc_arg(__HYPERVISOR_sched_op, SCHEDOP_poll, p), 0); /* it is over */
	p.timeout = 0;
	p.ports.p = (void *)LITE_HOLE_START;
	ksft_eq(hc_arg(__HYPERVISOR_sched_op, SCHEDOP_poll, p), -EFAULT);
	ksft_eq(cpu.poll, POLL_NONE);

	cpu.tier = LITE_LIGHT;
	ksft_eq(call(__HYPERVISOR_sched_op, SCHEDOP_shutdown, args_put(&sh, sizeof(sh)), 0, 0, 0,
		     &ret),
		LITE_FULL);
	cpu.tier = LITE_FULLTIER;
	ksft_eq(call(__HYPERVISOR_sched_op, SCHEDOP_shutdown, BASE + ARGS, 0, 0, 0, &ret),
		LITE_EXIT);
	ksft_eq(cpu.exit.reason, LODGE_EXIT_SHUTDOWN);
	ksft_eq(cpu.exit.shutdown.reason, SHUTDOWN_crash);
	sh.reason = 77;
	ksft_eq(hc_arg(__HYPERVISOR_sched_op, SCHEDOP_shutdown, sh), -EINVAL);
}

/* Two vCPUs: each hears of its own. */
static void targets(void)
{
	struct shared_info *s = (void *)guest_mem[SHARED];
	struct evtchn_bind_ipi bi = { .vcpu = 1 };
	struct evtchn_bind_virq vq = { .virq = VIRQ_TIMER, .vcpu = 1 };
	struct evtchn_bind_vcpu bv = { .port = 5, .vcpu = 1 };
	struct evtchn_unmask un = { .port = 5 };
	struct evtchn_send send;
	struct evtchn_close cl;

	setup();
	lite_vcpu_init(&other, &vm, 1);
	other.tier = LITE_FULLTIER;
	memset(s->evtchn_mask, 0, sizeof(s->evtchn_mask));
	ksft_eq(evt(EVTCHNOP_bind_ipi, bi), 0);
	args_get(&bi, sizeof(bi));
	send.port = bi.port;
	ksft_eq(evt(EVTCHNOP_send, send), 0);
	ksft_eq(cpu.kicks, 2); /* for the full tier */
	ksft_eq(kicks, 0);
	event_kick(&cpu);
	ksft_eq(kicks, 1);
	ksft_check(kicked == &other);
	ksft_eq(cpu.kicks, 0);
	ksft_check(lite_event_pending(&other));
	ksft_check(!lite_event_pending(&cpu));
	ksft_eq(evt(EVTCHNOP_send, send), 0); /* it knows already */
	ksft_eq(cpu.kicks, 0);

	ksft_eq(evt(EVTCHNOP_bind_virq, vq), 0);
	ksft_check(other.virq_port[VIRQ_TIMER]);
	ksft_eq(cpu.virq_port[VIRQ_TIMER], 0);
	vq.virq = VIRQ_CONSOLE;
	ksft_eq(evt(EVTCHNOP_bind_virq, vq), -EINVAL); /* there is one for all */
	cl.port = other.virq_port[VIRQ_TIMER];
	ksft_eq(evt(EVTCHNOP_close, cl), 0);
	ksft_eq(other.virq_port[VIRQ_TIMER], 0);

	/* The VMM's are vCPU 0's until they are bound. */
	s->vcpu_info[1].evtchn_upcall_pending = 0;
	s->vcpu_info[1].evtchn_pending_sel = 0;
	lite_port_raise(&vm, 4);
	ksft_check(kicked == &cpu);
	ksft_eq(evt(EVTCHNOP_bind_vcpu, bv), 0);
	lite_port_raise(&vm, 5);
	ksft_check(kicked == &other);
	ksft_check(lite_event_pending(&other));
	bv.vcpu = 2;
	ksft_eq(evt(EVTCHNOP_bind_vcpu, bv), -ENOENT);

	/* Unmasking tells the one that it is bound to. */
	s->vcpu_info[1].evtchn_upcall_pending = 0;
	s->vcpu_info[1].evtchn_pending_sel = 0;
	s->evtchn_mask[0] = 1 << 5;
	ksft_eq(evt(EVTCHNOP_unmask, un), 0);
	ksft_eq(cpu.kicks, 2);
	ksft_check(lite_event_pending(&other));
	cl.port = 5;
	ksft_eq(evt(EVTCHNOP_close, cl), 0);
	ksft_eq(vm.port[5].vcpu, 0);
}

static void locked(void)
{
	struct evtchn_bind_ipi b = { .vcpu = 0 };
	s64 ret;

	setup();
	vm.event_lock.held = 1;
	cpu.tier = LITE_LIGHT;
	ksft_eq(call(__HYPERVISOR_event_channel_op, EVTCHNOP_bind_ipi, args_put(&b, sizeof(b)), 0,
		     0, 0, &ret),
		LITE_FULL);
	vm.event_lock.held = 0;
	ksft_eq(ipi(), HOST_MAX);
	ksft_eq(vm.event_lock.held, 0);
	later = 2;
	ksft_eq(call(__HYPERVISOR_event_channel_op, EVTCHNOP_bind_ipi, args_put(&b, sizeof(b)), 0,
		     0, 0, &ret),
		LITE_WANT);
	ksft_eq(vm.event_lock.held, 0);
}

#define RAISES 200000u

static bool raising;

static void *raiser(void *arg)
{
	u32 i;

	(void)arg;
	for (i = 0; i < RAISES; i++)
		lite_port_raise(&vm, 1 + i % (HOST_MAX - 1));
	__atomic_store_n(&raising, false, __ATOMIC_SEQ_CST);
	return NULL;
}

/* As Linux does: the summary first, then the ports. */
static u32 consume(struct lite_vcpu *v)
{
	struct shared_info *s = (void *)guest_mem[SHARED];
	unsigned long got;
	u32 n = 0;

	while (__atomic_exchange_n(&v->vi->evtchn_upcall_pending, 0, __ATOMIC_SEQ_CST)) {
		__atomic_exchange_n(&v->vi->evtchn_pending_sel, 0, __ATOMIC_SEQ_CST);
		got = __atomic_exchange_n(&s->evtchn_pending[0], 0, __ATOMIC_SEQ_CST);
		n += __builtin_popcountl(got);
	}
	return n;
}

/* None gets lost while a thread raises and the vCPU takes them. */
static void races(void)
{
	struct shared_info *s = (void *)guest_mem[SHARED];
	pthread_t t;
	u32 n = 0;

	setup();
	memset(s->evtchn_mask, 0, sizeof(s->evtchn_mask));
	raising = true;
	ksft_eq(pthread_create(&t, NULL, raiser, NULL), 0);
	while (__atomic_load_n(&raising, __ATOMIC_SEQ_CST))
		n += consume(&cpu);
	pthread_join(t, NULL);
	n += consume(&cpu);
	ksft_check(n >= HOST_MAX - 1);
	ksft_eq(s->evtchn_pending[0], 0);
}

int main(int argc, char **argv)
{
	ksft_case("event channels are bound and closed", ports);
	ksft_case("binding waits without binding twice", bind_later);
	ksft_case("events", events);
	ksft_case("polling and shutdown", polls);
	ksft_case("each vCPU hears of its own", targets);
	ksft_case("binding waits for its lock in the full tier", locked);
	ksft_case("no event is lost to a thread that raises them", races);
	return ksft_run(argc, argv);
}
