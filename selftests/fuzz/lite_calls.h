/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A lite guest's hypercalls, with arguments that are mostly near to what a guest would ask for: one
 * step_*() for each family. Included by lite_hc.c, once.
 */
#ifndef LODGE_LITE_CALLS_H
#define LODGE_LITE_CALLS_H

#include "lite_rules.h"

#include <xen/callback.h>
#include <xen/event_channel.h>
#include <xen/memory.h>
#include <xen/physdev.h>
#include <xen/sched.h>
#include <xen/vcpu.h>
#include <xen/version.h>

static unsigned int args_at; /* where in the page of arguments the next goes */

/* Where the guest's kernel sees what it has just put there. */
static u64 put(const void *what, size_t len)
{
	u64 at;

	if (args_at + len > 4096)
		args_at = 0x40;
	at = args_at;
	args_at += (len + 7) & ~7u;
	if (may_write(G_ARGS))
		memcpy((u8 *)guest_mem(G_ARGS) + at, what, len);
	return KVA(G_ARGS) + at;
}
#define PUT(x) put(&(x), sizeof(x))

/* Most calls get the arguments where they should be, some get them anywhere. */
static u64 lead(struct fuzz *f, u64 va, u8 how)
{
	return (how & 0x1f) == 0x1f ? pick_va(f) : va;
}

static bool call(struct fuzz *f, u8 env, u64 nr, u64 a0, u64 a1, u64 a2, u64 a3)
{
	struct lite_regs *r = &e->v.r;

	back(true);
	r->rax = nr;
	r->rdi = a0;
	r->rsi = a1;
	r->rdx = a2;
	r->r10 = a3;
	return serve(f, LITE_VEC_SYSCALL, 0, 0, env);
}

/* More than @max is refused. An event's handler may have been entered since, with RAX as it is. */
static void batch_is_bounded(u64 nr, u64 max)
{
	fuzz_assert(nr <= max || e->v.r.rax == (u64)-EINVAL);
}

/* Up to @n updates; their number. */
static unsigned int updates(struct fuzz *f, struct mmu_update *u, unsigned int n)
{
	static const u64 odd[] = { 0, 1ull << 40, ~0ull, EU_ROM_GFN << 12, RAM << 12 };
	unsigned int i, nr = 1 + fuzz_u8(f) % n;

	for (i = 0; i < nr; i++) {
		u8 k = fuzz_u8(f);
		u64 gpa = pick_gfn(f) << 12 | indices[(k >> 2) % 5] << 3;

		if ((k & 0xfc) == 0xfc)
			gpa = FUZZ_PICK(f, odd);
		else if ((k & 0xe0) == 0xe0) /* the kernel's own mappings */
			gpa = (u64)G_L1 << 12 | (k % RAM) << 3;
		u[i].ptr = (gpa & ~3ull) | ((k & 0xc0) == 0x40 ? k & 3 : (k & 1) << 1);
		u[i].val = pick_pte(f);
		if ((u[i].ptr & 3) == MMU_MACHPHYS_UPDATE)
			u[i].ptr = pick_gfn(f) << 12 | 1;
		else
			allow(gpa);
	}
	return nr;
}

static unsigned int ext_ops(struct fuzz *f, struct mmuext_op *op, unsigned int n)
{
	static const u8 cmd[] = {
		MMUEXT_NEW_BASEPTR,	 MMUEXT_PIN_L1_TABLE,	   MMUEXT_PIN_L2_TABLE,
		MMUEXT_PIN_L3_TABLE,	 MMUEXT_PIN_L4_TABLE,	   MMUEXT_UNPIN_TABLE,
		MMUEXT_TLB_FLUSH_LOCAL,	 MMUEXT_INVLPG_LOCAL,	   MMUEXT_NEW_BASEPTR,
		MMUEXT_NEW_USER_BASEPTR, MMUEXT_CLEAR_PAGE,	   MMUEXT_COPY_PAGE,
		MMUEXT_TLB_FLUSH_ALL,	 MMUEXT_INVLPG_ALL,	   MMUEXT_TLB_FLUSH_MULTI,
		MMUEXT_SET_LDT,		 MMUEXT_FLUSH_CACHE,	   MMUEXT_INVLPG_MULTI,
		MMUEXT_MARK_SUPER,	 MMUEXT_FLUSH_CACHE_GLOBAL
	};
	unsigned int i, nr = 1 + fuzz_u8(f) % n;

	memset(op, 0, n * sizeof(*op));
	for (i = 0; i < nr; i++) {
		op[i].cmd = FUZZ_PICK(f, cmd);
		if (op[i].cmd == MMUEXT_INVLPG_LOCAL || op[i].cmd == MMUEXT_INVLPG_ALL)
			op[i].arg1.linear_addr = pick_va(f);
		else
			op[i].arg1.mfn = pick_gfn(f);
		/* Mostly one of the two roots that have the kernel in them. */
		if (op[i].cmd == MMUEXT_NEW_BASEPTR && op[i].arg1.mfn < TABLES)
			op[i].arg1.mfn = op[i].arg1.mfn % 3 ? G_L4 : G_L4B;
		else if ((op[i].cmd == MMUEXT_PIN_L4_TABLE || op[i].cmd == MMUEXT_UNPIN_TABLE) &&
			 (op[i].arg1.mfn & 1))
			op[i].arg1.mfn = G_L4B;
		if (op[i].cmd == MMUEXT_COPY_PAGE)
			op[i].arg2.src_mfn = pick_gfn(f);
		else if (op[i].cmd == MMUEXT_SET_LDT) {
			op[i].arg1.linear_addr = KVA(op[i].arg1.mfn);
			op[i].arg2.nr_ents = fuzz_u8(f);
		}
	}
	return nr;
}

static bool step_update(struct fuzz *f, u8 env)
{
	struct mmu_update u[4];
	u8 how = fuzz_u8(f);
	unsigned int nr = updates(f, u, ARRAY_SIZE(u));
	u64 done = how & 0x20 ? KVA(G_DATA) + 0x800 : 0, va = lead(f, PUT(u), how);

	if ((how & 0xc0) == 0xc0)
		nr += 4094;
	if (!call(f, env, __HYPERVISOR_mmu_update, va, nr, done, DOMID_SELF))
		return false;
	batch_is_bounded(nr, 4096);
	return true;
}

static bool step_update_va(struct fuzz *f, u8 env)
{
	u64 va = pick_va(f), leaf, entry = 0, val = pick_pte(f);

	model(va, 0, true, &leaf, &entry);
	allow(entry);
	return call(f, env, __HYPERVISOR_update_va_mapping, va, val, fuzz_u8(f), 0);
}

static bool step_ext(struct fuzz *f, u8 env)
{
	struct mmuext_op op[3];
	u8 how = fuzz_u8(f);
	unsigned int nr = ext_ops(f, op, ARRAY_SIZE(op));
	u64 done = how & 0x20 ? KVA(G_DATA) + 0x808 : 0, va = lead(f, PUT(op), how);

	if ((how & 0xc0) == 0xc0)
		nr += 4095;
	if (!call(f, env, __HYPERVISOR_mmuext_op, va, nr, done, DOMID_SELF))
		return false;
	batch_is_bounded(nr, 4096);
	return true;
}

static void multi_entry(struct fuzz *f, struct multicall_entry *m)
{
	u64 leaf, entry = 0;
	struct mmu_update u[2];
	struct mmuext_op op[2];

	memset(m, 0, sizeof(*m));
	switch (fuzz_u8(f) % 8) {
	case 0:
	case 1:
		m->op = __HYPERVISOR_mmu_update;
		m->args[1] = updates(f, u, ARRAY_SIZE(u));
		m->args[0] = PUT(u);
		m->args[3] = DOMID_SELF;
		break;
	case 2:
	case 3:
		m->op = __HYPERVISOR_update_va_mapping;
		m->args[0] = pick_va(f);
		m->args[1] = pick_pte(f);
		m->args[2] = fuzz_u8(f);
		if (m->args[2] & 8) { /* where the results of this very call go */
			m->args[0] = KVA(G_ARGS);
			/* No table: an obedient guest would not map one so. */
			m->args[1] = G_DATA + (m->args[2] >> 4) % (RAM - G_DATA);
			m->args[1] = m->args[1] << 12 | P | W | A | D;
		}
		m->args[2] &= 7;
		model(m->args[0], 0, true, &leaf, &entry);
		allow(entry);
		break;
	case 4:
	case 5:
		m->op = __HYPERVISOR_mmuext_op;
		m->args[1] = ext_ops(f, op, ARRAY_SIZE(op));
		m->args[0] = PUT(op);
		m->args[3] = DOMID_SELF;
		break;
	case 6:
		m->op = __HYPERVISOR_stack_switch;
		m->args[1] = fuzz_u8(f) & 1 ? pick_va(f) : SP;
		break;
	case 7:
		m->op = fuzz_u8(f) % 80;
		m->args[0] = fuzz_u8(f) % 16;
		m->args[1] = pick_va(f);
		m->args[2] = pick_va(f);
		break;
	}
}

static u64 hypercalls_done(void)
{
	u64 n = 0;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(e->v.stats.hypercalls); i++)
		n += e->v.stats.hypercalls[i];
	return n;
}

static bool step_multi(struct fuzz *f, u8 env)
{
	struct multicall_entry m[4];
	u8 how = fuzz_u8(f);
	unsigned int i, nr = 1 + (how >> 5) % ARRAY_SIZE(m);
	u64 done;

	memset(m, 0, sizeof(m));
	for (i = 0; i < nr; i++)
		multi_entry(f, &m[i]);
	if (how == 0xff)
		nr = 4097;
	done = hypercalls_done();
	if (!call(f, env, __HYPERVISOR_multicall, lead(f, PUT(m), how), nr, 0, 0))
		return false;
	/* The multicall itself, and nothing twice. */
	fuzz_assert(hypercalls_done() - done <= nr + 1);
	batch_is_bounded(nr, 4096);
	return true;
}

static bool step_event(struct fuzz *f, u8 env)
{
	static const u8 cmd[] = {
		EVTCHNOP_bind_virq, EVTCHNOP_bind_ipi,	EVTCHNOP_alloc_unbound,
		EVTCHNOP_close,	    EVTCHNOP_send,	EVTCHNOP_unmask,
		EVTCHNOP_status,    EVTCHNOP_bind_vcpu, EVTCHNOP_bind_interdomain
	};
	u8 op = FUZZ_PICK(f, cmd), k = fuzz_u8(f);
	u32 port = k < 192 ? k % 48 : k < 240 ? 4095 - k % 2 : (u32)k << 24;
	union {
		struct evtchn_bind_virq virq;
		struct evtchn_bind_ipi ipi;
		struct evtchn_alloc_unbound unbound;
		struct evtchn_close close; /* as send, unmask */
		struct evtchn_status status;
		struct evtchn_bind_vcpu vcpu;
	} u;

	memset(&u, 0, sizeof(u));
	if (op == EVTCHNOP_bind_virq)
		u.virq.virq = k % 26;
	else if (op == EVTCHNOP_alloc_unbound)
		u.unbound.dom = k & 1 ? DOMID_SELF : 3;
	else if (op == EVTCHNOP_status)
		u.status = (struct evtchn_status){ .dom = DOMID_SELF, .port = port };
	else if (op == EVTCHNOP_bind_vcpu)
		u.vcpu = (struct evtchn_bind_vcpu){ port, k & 1 };
	else if (op != EVTCHNOP_bind_ipi)
		u.close.port = port;
	return call(f, env, __HYPERVISOR_event_channel_op, op, lead(f, PUT(u), k), 0, 0);
}

static bool step_sched(struct fuzz *f, u8 env)
{
	u8 k = fuzz_u8(f);
	struct sched_poll poll = { .nr_ports = k % 16 ? k & 3 : 128 + (k >> 7) };
	struct sched_shutdown down = { .reason = k };
	struct vcpu_set_singleshot_timer t = { .timeout_abs_ns = fuzz_u8(f), .flags = k & 1 };
	struct vcpu_register_runstate_memory_area area;
	struct vcpu_register_vcpu_info info = { .mfn = G_DATA };
	u32 ports[4] = { fuzz_u8(f), fuzz_u8(f), 4096, 1 };

	switch (k % 11) {
	case 0:
		return call(f, env, __HYPERVISOR_sched_op, SCHEDOP_block, 0, 0, 0);
	case 1:
		poll.timeout = k & 64;
		set_xen_guest_handle(poll.ports, (evtchn_port_t *)PUT(ports));
		return call(f, env, __HYPERVISOR_sched_op, SCHEDOP_poll, PUT(poll), 0, 0);
	case 2:
		return call(f, env, __HYPERVISOR_sched_op, SCHEDOP_shutdown, PUT(down), 0, 0);
	case 3:
		t.timeout_abs_ns += e->tsc;
		return call(f, env, __HYPERVISOR_vcpu_op, VCPUOP_set_singleshot_timer, 0, PUT(t),
			    0);
	case 4:
		area.addr.p = lead(f, KVA(G_DATA) + 0x900, k >> 3);
		return call(f, env, __HYPERVISOR_vcpu_op, VCPUOP_register_runstate_memory_area, 0,
			    PUT(area), 0);
	case 5:
		info.offset = fuzz_u8(f) * 16;
		if (k & 128)
			info.mfn = pick_gfn(f);
		return call(f, env, __HYPERVISOR_vcpu_op, VCPUOP_register_vcpu_info, 0, PUT(info),
			    0);
	case 6:
		return call(f, env, __HYPERVISOR_set_timer_op, e->tsc + fuzz_u8(f) * 1000, 0, 0, 0);
	case 7:
		e->tsc += 1000000;
		return call(f, env, __HYPERVISOR_sched_op, SCHEDOP_yield, 0, 0, 0);
	default:
		return call(f, env, __HYPERVISOR_vcpu_op, fuzz_u8(f) % 16, k >> 7, pick_va(f), 0);
	}
}

static bool step_trap(struct fuzz *f, u8 env)
{
	struct trap_info t[3];
	struct callback_register cb = { .type = fuzz_u8(f) % 9 };
	unsigned int i;
	u8 k = fuzz_u8(f);

	memset(t, 0, sizeof(t));
	for (i = 0; i < 2; i++) {
		t[i].vector = fuzz_u8(f) % 40;
		t[i].flags = k;
		t[i].address = k & 8 ? pick_va(f) : HANDLER + 16 * t[i].vector;
	}
	if (k & 1)
		return call(f, env, __HYPERVISOR_set_trap_table, lead(f, PUT(t), k), 0, 0, 0);
	cb.flags = k >> 6;
	cb.address = k & 8 ? pick_va(f) : HANDLER + 0x10000 + 16 * cb.type;
	return call(f, env, __HYPERVISOR_callback_op, (k >> 4) & 3, PUT(cb), 0, 0);
}

static bool step_cpu(struct fuzz *f, u8 env)
{
	u8 k = fuzz_u8(f);
	u64 gfn[14], va, nr;

	memset(gfn, 0, sizeof(gfn));
	switch (k % 6) {
	case 0:
		gfn[0] = k & 64 ? pick_gfn(f) : G_GDT;
		gfn[1] = pick_gfn(f);
		va = PUT(gfn);
		nr = k & 128 ? fuzz_u8(f) * 32 : 16;
		if (!call(f, env, __HYPERVISOR_set_gdt, va, nr, 0, 0))
			return false;
		batch_is_bounded(nr, FIRST_RESERVED_GDT_ENTRY);
		return true;
	case 1:
		va = (u64)G_GDT << 12 | (k & 64 ? 0x60 + (k >> 3) % 3 * 8 : fuzz_u8(f));
		return call(f, env, __HYPERVISOR_update_descriptor, va,
			    k & 128 ? fuzz_u64(f) : 0x00cff3000000ffff, 0, 0);
	case 2:
		return call(f, env, __HYPERVISOR_set_segment_base, fuzz_u8(f) % 5,
			    k & 128 ? pick_va(f) : fuzz_u8(f), 0, 0);
	case 3:
		return call(f, env, __HYPERVISOR_stack_switch, 0, k & 8 ? pick_va(f) : SP, 0, 0);
	case 4:
		return call(f, env, __HYPERVISOR_set_debugreg, fuzz_u8(f) % 9,
			    k & 128 ? fuzz_u64(f) : pick_va(f), 0, 0);
	default:
		return call(f, env, __HYPERVISOR_update_descriptor, pick_gfn(f) << 12 | k << 3,
			    pick_pte(f), 0, 0);
	}
}

static bool step_sys(struct fuzz *f, u8 env)
{
	static const u8 mem[] = {
		XENMEM_machphys_mapping, XENMEM_maximum_reservation,  XENMEM_current_reservation,
		XENMEM_maximum_ram_page, XENMEM_decrease_reservation, XENMEM_populate_physmap,
		XENMEM_memory_map
	};
	u8 k = fuzz_u8(f);
	struct xen_memory_reservation r = { .nr_extents = k >> 4,
					    .extent_order = k & 8,
					    .domid = DOMID_SELF };
	struct physdev_set_iobitmap map = { .nr_ports = k * 260 };
	struct physdev_set_iopl iopl = { .iopl = k >> 5 };
	struct xen_feature_info feature = { .submap_idx = k >> 6 };
	domid_t dom = DOMID_SELF;
	u64 va = k & 16 ? pick_va(f) : KVA(G_DATA) + 0x400, op;

	switch (k & 7) {
	case 0:
		op = FUZZ_PICK(f, mem);
		if (op == XENMEM_decrease_reservation || op == XENMEM_populate_physmap)
			va = PUT(r);
		else if (op == XENMEM_maximum_reservation || op == XENMEM_current_reservation)
			va = PUT(dom);
		return call(f, env, __HYPERVISOR_memory_op, op, va, 0, 0);
	case 1:
		op = fuzz_u8(f) % 12;
		if (op == XENVER_get_features)
			va = PUT(feature);
		return call(f, env, __HYPERVISOR_xen_version, op, va, 0, 0);
	case 2:
		return call(f, env, __HYPERVISOR_console_io, CONSOLEIO_write, fuzz_u8(f) * 9, va,
			    0);
	case 3:
		set_xen_guest_handle(map.bitmap, (u8 *)va);
		return call(f, env, __HYPERVISOR_physdev_op, PHYSDEVOP_set_iobitmap, PUT(map), 0,
			    0);
	case 4:
		return call(f, env, __HYPERVISOR_physdev_op, PHYSDEVOP_set_iopl, PUT(iopl), 0, 0);
	case 5:
		e->v.r.r8 = 1 << (k >> 6);
		return call(f, env, LODGE_HYPERCALL, LODGE_HC_VIRTIO_WRITE, k >> 3,
			    (u64)fuzz_u8(f) * 4 << (k & 32 ? 3 : 0), 77);
	case 6:
		return call(f, env, LODGE_HYPERCALL, fuzz_u8(f) % 5, 0, 0, 0);
	default:
		return call(f, env, __HYPERVISOR_get_debugreg, k >> 4, 0, 0, 0);
	}
}

/* Any number, with arguments that fit some. */
static bool step_any(struct fuzz *f, u8 env)
{
	u64 nr = fuzz_u8(f) % 72, bytes[2] = { fuzz_u32(f), fuzz_u8(f) };
	u64 a1 = fuzz_u8(f), a0 = fuzz_u8(f) % 32;

	a1 = a1 & 1 ? PUT(bytes) : a1 & 2 ? pick_va(f) : a1 >> 2;
	return call(f, env, nr, a0 & 16 ? pick_va(f) : a0, a1, a0 & 32 ? pick_va(f) : PUT(bytes),
		    fuzz_u8(f) & 1 ? DOMID_SELF : 16);
}

static bool step_iret(struct fuzz *f, u8 env)
{
	u8 k = fuzz_u8(f);
	u64 frame[9] = { 1,
			 2,
			 3,
			 (u64)(k & 1) << 8,
			 KVA(G_CODE),
			 k & 2 ? 0x33 : 0xe030,
			 0x202,
			 KVA(G_STACK),
			 k & 2 ? 0x2b : 0xe02b };

	if (k & 4)
		frame[4] = pick_va(f);
	if (k & 8)
		frame[6] = fuzz_u32(f);
	if (k & 16)
		frame[5] = fuzz_u8(f);
	back(true);
	e->v.r.rax = __HYPERVISOR_iret;
	e->v.r.rsp = lead(f, PUT(frame), k >> 3);
	return serve(f, LITE_VEC_SYSCALL, 0, 0, env);
}

#endif
