// SPDX-License-Identifier: GPL-2.0-only
/*
 * A lite guest's beginning, a vCPU's state, its vcpu_info, time, timers and blocking.
 */
#include "litedrv.h"

static void start(void)
{
	struct lodge_pv pv = { .shared_info = SHARED << 12,
			       .root = ROOT << 12,
			       .frames = PAGES,
			       .ports_host = HOST_MAX };
	struct shared_info *s;
	u32 i;

	setup();
	s = (void *)guest_mem[SHARED];
	for (i = 0; i < 64; i++)
		ksft_eq(s->evtchn_mask[i], ~0ul);
	ksft_eq(s->vcpu_info[0].evtchn_upcall_mask, 1);
	ksft_eq(s->vcpu_info[0].time.version, 2);
	ksft_eq(s->vcpu_info[0].time.tsc_timestamp, 1000);
	ksft_eq(s->vcpu_info[0].time.tsc_to_system_mul, 0x80000000u);
	ksft_eq(s->vcpu_info[0].time.flags, 1);
	ksft_eq(s->wc_sec, 0x34567890);
	ksft_eq(s->wc_sec_hi, 0x12);
	ksft_eq(m2p[PAGES - 1], PAGES - 1);
	ksft_check(frames[ROOT].flags & FRAME_PINNED(4));
	ksft_check(cpu.vi == &s->vcpu_info[0]);
	ksft_eq(cpu.vi_pa, frames[SHARED].pa);
	ksft_eq(lite_vm_start(&vm, &pv), -EINVAL); /* twice */

	vm.shared = NULL;
	ksft_eq(lite_vm_start(&vm, &pv), 0);
#define refused(field, value)                              \
	do {                                               \
		struct lodge_pv p_ = pv;                   \
		vm.shared = NULL;                          \
		p_.field = value;                          \
		ksft_eq(lite_vm_start(&vm, &p_), -EINVAL); \
	} while (0)
	refused(shared_info, (SHARED << 12) + 1);
	refused(shared_info, RO_GFN << 12);
	refused(shared_info, PAGES << 12);
	refused(root, SHARED << 12);
	refused(root, ~0ull << 12);
	refused(frames, 0);
	refused(frames, PAGES + 1);
	refused(ports_host, 0);
	refused(ports_host, LODGE_PORTS_MAX);
	refused(reserved[4], 1);
#undef refused
}

static void state(void)
{
	struct lodge_state s = { 0 }, t;
	__u64 *r = &s.rax;
	u32 i;

	setup();
	for (i = 0; i < 16; i++)
		r[i] = 0x100 + i;
	s.rip = BASE + 0x10;
	s.rflags = 0x202;
	s.fs_base = 1;
	s.gs_base = BASE;
	s.gs_base_other = 3;
	s.ds = LITE_USER_DS;
	s.kernel = 1;
	s.kernel_sp = BASE + 0x3000;
	s.root = ROOT << 12;
	s.user_root = 5 << 12;
	s.cr2 = 0x77;
	s.dr0 = BASE;
	s.dr6 = 0xffff0ff0;
	s.dr7 = 0x400;
	cpu.batch_done = 5;
	ksft_eq(lite_state_set(&cpu, &s), 0);
	ksft_eq(cpu.batch_done, 0);
	ksft_eq(cpu.changed, LITE_CH_ALL);
	ksft_eq(cpu.r.cs, LITE_KERN_CS);
	lite_state_get(&cpu, &t);
	ksft_memeq(&t, &s, sizeof(s));
	cpu.ac = true;
	cpu.r.rflags |= 0x40000;
	lite_state_get(&cpu, &t);
	ksft_eq(t.rflags, 0x202);
	s.kernel = 0;
	s.rflags = ~0ull;
	ksft_eq(lite_state_set(&cpu, &s), 0);
	ksft_eq(cpu.r.cs, LITE_USER_CS);
	ksft_eq(cpu.r.ss, LITE_USER_DS);
	ksft_eq(cpu.r.rflags, 0x254fd7);
#define refused(field, value)                                 \
	do {                                                  \
		struct lodge_state bad = s;                   \
		bad.field = value;                            \
		bad.rax = 99;                                 \
		ksft_eq(lite_state_set(&cpu, &bad), -EINVAL); \
		ksft_eq(cpu.r.rax, 0x100);                    \
	} while (0)
	refused(rip, LITE_HOLE_START);
	refused(rip, 1ull << 47);
	refused(fs_base, 1ull << 47);
	refused(gs_base, 1ull << 62);
	refused(gs_base_other, 1ull << 47);
	refused(ds, LITE_KERN_SS);
	refused(fs, 0x63);
	refused(gs, 0x10);
	refused(kernel, 2);
	refused(pad, 1);
	refused(kernel_sp, LITE_HOLE_END);
	refused(root, 0x2001);
	refused(root, PAGES << 12);
	refused(user_root, RO_GFN << 12);
	refused(dr3, LITE_HOLE_START);
	refused(dr6, ~0ull);
	refused(dr7, 0x20001);
	refused(reserved[15], 1);
#undef refused
	ksft_eq(cpu.dr[0], BASE);
}

static void vcpu_info_moves(void)
{
	struct vcpu_register_vcpu_info r = { .mfn = VI, .offset = 4096 - 64 };
	struct vcpu_info *vi = (void *)(guest_mem[VI] + 4096 - 64);

	setup();
	lite_port_raise(&vm, 5);
	cpu.changed = 0;
	ksft_eq(hc(__HYPERVISOR_vcpu_op, VCPUOP_register_vcpu_info, 0, args_put(&r, sizeof(r))), 0);
	ksft_check(cpu.vi == vi);
	ksft_eq(cpu.vi_pa, frames[VI].pa + 4096 - 64);
	ksft_eq(cpu.changed, LITE_CH_VI);
	ksft_eq(vi->time.tsc_timestamp, 1000);
	ksft_eq(vi->evtchn_upcall_mask, 1);
	ksft_eq(vi->evtchn_upcall_pending, 1);
	ksft_eq(vi->evtchn_pending_sel, ~0ul);
#define refused(m, o)                                                           \
	do {                                                                    \
		struct vcpu_register_vcpu_info bad = { .mfn = m, .offset = o }; \
		ksft_eq(hc(__HYPERVISOR_vcpu_op, VCPUOP_register_vcpu_info, 0,  \
			   args_put(&bad, sizeof(bad))),                        \
			-EINVAL);                                               \
	} while (0)
	refused(VI, 4096 - 56);
	refused(VI, 4);
	refused(VI, ~0u - 7);
	refused(RO_GFN, 0);
	refused(PAGES, 0);
	refused(~0ull, 0);
#undef refused
	ksft_check(cpu.vi == vi);
	ksft_eq(hc(__HYPERVISOR_vcpu_op, VCPUOP_register_vcpu_info, 1, BASE + ARGS), -ENOENT);
}

static s64 vop(u32 op, u64 id, const void *s, size_t len)
{
	return hc(__HYPERVISOR_vcpu_op, op, id, args_put(s, len));
}

static void timers(void)
{
	struct vcpu_set_singleshot_timer t = { .timeout_abs_ns = 5000 };
	struct evtchn_bind_virq vq = { .virq = VIRQ_TIMER };

	setup();
	ksft_eq(lite_time_now(&vm), 0);
	fake_tsc = 500;
	ksft_eq(lite_time_now(&vm), 0); /* never backwards */
	fake_tsc = 1000 + 0xffffffffffull;
	ksft_eq(lite_time_now(&vm), 0xffffffffffull);
	vm.tsc_shift = -1;
	ksft_eq(lite_time_now(&vm), 0x3fffffffffull);
	vm.tsc_shift = 1;
	fake_tsc = 3000;

	ksft_eq(evt(EVTCHNOP_bind_virq, vq), 0);
	cpu.changed = 0;
	ksft_eq(vop(VCPUOP_set_singleshot_timer, 0, &t, sizeof(t)), 0);
	ksft_eq(cpu.deadline, 5000);
	ksft_eq(cpu.changed, LITE_CH_TIMER);
	sched_prepare(&cpu);
	ksft_check(!event_port_pending(&vm, HOST_MAX));
	fake_tsc = 6000;
	cpu.changed = 0;
	sched_prepare(&cpu);
	ksft_check(event_port_pending(&vm, HOST_MAX));
	ksft_eq(cpu.deadline, 0);
	ksft_eq(cpu.changed, LITE_CH_TIMER);
	t.timeout_abs_ns = 10;
	t.flags = VCPU_SSHOTTMR_future;
	ksft_eq(vop(VCPUOP_set_singleshot_timer, 0, &t, sizeof(t)), -ETIME);
	ksft_eq(cpu.deadline, 0);
	t.flags = 0;
	t.timeout_abs_ns = 0;
	ksft_eq(vop(VCPUOP_set_singleshot_timer, 0, &t, sizeof(t)), 0);
	ksft_eq(cpu.deadline, 1);
	ksft_eq(vop(VCPUOP_stop_singleshot_timer, 0, &t, sizeof(t)), 0);
	ksft_eq(cpu.deadline, 0);
	ksft_eq(hc(__HYPERVISOR_set_timer_op, 7777, 0, 0), 0);
	ksft_eq(cpu.deadline, 7777);
	ksft_eq(hc(__HYPERVISOR_set_timer_op, 0, 0, 0), 0);
	ksft_eq(cpu.deadline, 0);
	ksft_eq(hc(__HYPERVISOR_vcpu_op, VCPUOP_stop_periodic_timer, 0, 0), 0);
	ksft_eq(hc(__HYPERVISOR_vcpu_op, VCPUOP_set_singleshot_timer, 0, 0), -EFAULT);
	ksft_eq(hc(__HYPERVISOR_vcpu_op, VCPUOP_set_singleshot_timer, 1, BASE), -ENOENT);
	ksft_eq(hc(__HYPERVISOR_vcpu_op, VCPUOP_is_up, 0, 0), 1);
	ksft_eq(hc(__HYPERVISOR_vcpu_op, VCPUOP_is_up, 1, 0), -ENOENT);
	ksft_eq(hc(__HYPERVISOR_vcpu_op, VCPUOP_is_up, ~0ull, 0), -ENOENT);
	ksft_eq(hc(__HYPERVISOR_vcpu_op, VCPUOP_initialise, 0, 0), -EEXIST);
	ksft_eq(hc(__HYPERVISOR_vcpu_op, VCPUOP_register_vcpu_time_memory_area, 0, BASE), -ENOSYS);
}

static void blocks(void)
{
	struct vcpu_register_runstate_memory_area area = { .addr.p = BASE + 0x6000 };
	struct vcpu_runstate_info *rs = (void *)guest_mem[6];
	struct shared_info *s = (void *)guest_mem[SHARED];
	s64 ret;

	setup();
	fake_tsc = 1100;
	ksft_eq(vop(VCPUOP_register_runstate_memory_area, 0, &area, sizeof(area)), 0);
	ksft_eq(rs->state, RUNSTATE_running);
	cpu.tier = LITE_LIGHT;
	ksft_eq(call(__HYPERVISOR_sched_op, SCHEDOP_block, 0, 0, 0, 0, &ret), LITE_FULL);
	ksft_eq(s->vcpu_info[0].evtchn_upcall_mask, 1);
	cpu.tier = LITE_FULLTIER;
	ksft_eq(call(__HYPERVISOR_sched_op, SCHEDOP_block, 0, 0, 0, 0, &ret), LITE_BLOCK);
	ksft_eq(ret, 0);
	ksft_eq(s->vcpu_info[0].evtchn_upcall_mask, 0);
	fake_tsc = 1400;
	sched_prepare(&cpu);
	ksft_eq(rs->state, RUNSTATE_running);
	ksft_eq(rs->state_entry_time, 400);
	ksft_eq(rs->time[RUNSTATE_running], 100);
	ksft_eq(rs->time[RUNSTATE_blocked], 300);

	s->evtchn_mask[0] = 0;
	lite_port_raise(&vm, 5);
	s->vcpu_info[0].evtchn_upcall_mask = 1;
	ksft_eq(hc(__HYPERVISOR_sched_op, SCHEDOP_block, 0, 0), 0); /* pending: does not block */
	ksft_eq(s->vcpu_info[0].evtchn_upcall_mask, 0);
	ksft_eq(hc(__HYPERVISOR_sched_op, SCHEDOP_yield, 0, 0), 0);
	ksft_eq(hc(__HYPERVISOR_sched_op, SCHEDOP_watchdog, 0, 0), -ENOSYS);
	ksft_eq(hc(__HYPERVISOR_sched_op, SCHEDOP_pin_override, 0, 0), -ENOSYS);
	area.addr.p = LITE_HOLE_START;
	ksft_eq(vop(VCPUOP_register_runstate_memory_area, 0, &area, sizeof(area)), -EFAULT);
	ksft_eq(cpu.runstate_va, BASE + 0x6000);
	ksft_eq(vop(VCPUOP_get_runstate_info, 0, &area, sizeof(area)), 0);
}

#define CONTEXT 0x20000ull /* gpa */

static struct vcpu_guest_context *context(void)
{
	struct vcpu_guest_context *c = (void *)(&guest_mem[0][0] + CONTEXT);
	u64 *gdt = (u64 *)guest_mem[GDT];

	memset(c, 0, sizeof(*c));
	c->flags = VGCF_in_kernel | VGCF_syscall_disables_events;
	c->user_regs.rip = BASE + 0x100;
	c->user_regs.rsp = BASE + 0x2000;
	c->user_regs.rdi = 77;
	c->user_regs.rflags = ~0ull;
	c->user_regs.ds = LITE_USER_DS;
	c->user_regs.es = 0x63;
	c->user_regs.gs = LITE_KERN_SS; /* not for it: becomes 0 */
	c->trap_ctxt[3] = (struct trap_info){ .vector = 3, .flags = 3 | 4, .address = BASE + 3 };
	c->gdt_frames[0] = GDT;
	c->gdt_ents = 16;
	gdt[12] = 0x00cff3000000ffffull;
	c->kernel_sp = BASE + 0x3000;
	c->ctrlreg[3] = ROOT << 12;
	c->debugreg[0] = BASE;
	c->event_callback_eip = BASE + 0x10;
	c->syscall_callback_eip = BASE + 0x20;
	c->fs_base = 1;
	c->gs_base_kernel = BASE;
	c->gs_base_user = 3;
	return c;
}

static s64 on_other(u64 op, u64 va)
{
	return hc(__HYPERVISOR_vcpu_op, op, 1, va);
}

static void setup_two(void)
{
	setup();
	lite_vcpu_init(&other, &vm, 1);
	other.tier = LITE_FULLTIER;
}

static void initialises(void)
{
	struct vcpu_guest_context *c;
	u64 va = BASE + CONTEXT;
	u32 n, i;
	s64 ret;

	setup_two();
	c = context();
	ksft_eq(on_other(VCPUOP_is_up, 0), 0);
	ksft_eq(on_other(VCPUOP_up, 0), -EINVAL); /* as what? */
	ksft_eq(hc(__HYPERVISOR_vcpu_op, VCPUOP_initialise, 2, va), -ENOENT);
	ksft_eq(on_other(VCPUOP_initialise, LITE_HOLE_START), -EFAULT);
	ksft_eq(on_other(VCPUOP_initialise, BASE + PAGES * 4096 - 8), -EFAULT);
	cpu.tier = LITE_LIGHT;
	ksft_eq(call(__HYPERVISOR_vcpu_op, VCPUOP_initialise, 1, va, 0, 0, &ret), LITE_FULL);
	cpu.tier = LITE_FULLTIER;
#define refused(field, value)                                      \
	do {                                                       \
		context()->field = value;                          \
		ksft_eq(on_other(VCPUOP_initialise, va), -EINVAL); \
		ksft_check(!other.initialised && other.down);      \
		context();                                         \
	} while (0)
	refused(user_regs.rip, LITE_HOLE_START);
	refused(user_regs.rip, 1ull << 47);
	refused(trap_ctxt[255].address, LITE_HOLE_START);
	refused(ldt_ents, 1);
	refused(gdt_ents, FIRST_RESERVED_GDT_ENTRY + 1);
	refused(gdt_ents, ~0ull);
	refused(gdt_frames[0], PAGES);
	refused(kernel_sp, LITE_HOLE_END);
	refused(ctrlreg[3], 0);
	refused(ctrlreg[3], 5 << 12); /* not pinned */
	refused(ctrlreg[3], (ROOT << 12) + 8);
	refused(ctrlreg[3], ~0ull);
	refused(ctrlreg[1], 5 << 12);
	refused(debugreg[3], LITE_HOLE_START);
	refused(debugreg[7], 0x20001);
	refused(event_callback_eip, LITE_HOLE_START);
	refused(failsafe_callback_eip, 1ull << 47);
	refused(syscall_callback_eip, LITE_HOLE_END - 1);
	refused(fs_base, 1ull << 47);
	refused(gs_base_kernel, 1ull << 47);
	refused(gs_base_user, 1ull << 62);
#undef refused

	/* Wherever it is interrupted, it is begun anew. */
	accesses = 0;
	ksft_eq(on_other(VCPUOP_initialise, va), 0);
	n = accesses;
	ksft_check(n > 256);
	for (i = 1; i <= n; i++) {
		setup_two();
		c = context();
		later = i;
		ksft_eq(call(__HYPERVISOR_vcpu_op, VCPUOP_initialise, 1, va, 0, 0, &ret),
			LITE_WANT);
		ksft_check(!other.initialised);
		ksft_check(!vm.up_lock.held && !vm.lock.held);
	}
	ksft_eq(on_other(VCPUOP_initialise, va), 0);
	ksft_check(other.kernel);
	ksft_eq(other.r.rip, c->user_regs.rip);
	ksft_eq(other.r.rsp, c->user_regs.rsp);
	ksft_eq(other.r.rdi, 77);
	ksft_eq(other.r.rflags, 0x254fd7);
	ksft_eq(other.r.cs, LITE_KERN_CS);
	ksft_eq(other.ds, LITE_USER_DS);
	ksft_eq(other.es, 0x63);
	ksft_eq(other.gs, 0);
	ksft_eq(other.trap[3].address, BASE + 3);
	ksft_eq(other.trap[3].dpl, 3);
	ksft_check(other.trap[3].mask);
	ksft_eq(other.callback[LITE_CB_EVENT].address, BASE + 0x10);
	ksft_check(other.callback[LITE_CB_EVENT].mask);
	ksft_check(other.callback[LITE_CB_SYSCALL].mask);
	ksft_eq(other.kernel_sp, BASE + 0x3000);
	ksft_eq(other.kroot, ROOT);
	ksft_eq(other.uroot, 0);
	ksft_eq(other.fs_base, 1);
	ksft_eq(other.gs_base, BASE);
	ksft_eq(other.gs_other, 3);
	ksft_eq(other.dr[0], BASE);
	ksft_eq(other.changed, LITE_CH_ALL);
	ksft_eq(on_other(VCPUOP_initialise, va), -EEXIST);
	ksft_eq(on_other(VCPUOP_is_up, 0), 0); /* not yet */
}

static void up_and_down(void)
{
	struct vcpu_register_vcpu_info r = { .mfn = VI, .offset = 128 };
	struct vcpu_register_runstate_memory_area area = { .addr.p = BASE + 0x6000 };
	struct vcpu_runstate_info *rs = (void *)guest_mem[6];
	struct vcpu_set_singleshot_timer t = { .timeout_abs_ns = 5000 };

	setup_two();
	context();
	ksft_check(lite_park(&other));
	ksft_eq(on_other(VCPUOP_initialise, BASE + CONTEXT), 0);
	ksft_eq(on_other(VCPUOP_register_vcpu_info, args_put(&r, sizeof(r))), 0);
	ksft_check(other.vi == (void *)(guest_mem[VI] + 128));
	ksft_eq(on_other(VCPUOP_register_runstate_memory_area, args_put(&area, sizeof(area))), 0);
	ksft_eq(rs->state, RUNSTATE_offline);
	ksft_eq(on_other(VCPUOP_set_singleshot_timer, args_put(&t, sizeof(t))), -EINVAL);
	ksft_eq(on_other(VCPUOP_stop_singleshot_timer, 0), -EINVAL);
	ksft_eq(hc(__HYPERVISOR_vcpu_op, VCPUOP_down, 0, 0), -EINVAL); /* the last one */

	cpu.kicks = 0;
	fake_tsc = 1500;
	ksft_eq(on_other(VCPUOP_up, 0), 0);
	ksft_eq(cpu.kicks, 2);
	ksft_eq(on_other(VCPUOP_is_up, 0), 1);
	ksft_check(!lite_park(&other));
	ksft_eq(on_other(VCPUOP_up, 0), 0);
	sched_prepare(&other);
	ksft_eq(rs->state, RUNSTATE_running);
	ksft_eq(rs->time[RUNSTATE_offline], 500);
	ksft_eq(rs->state_entry_time, 500);
	/* Not of one that is up. */
	ksft_eq(on_other(VCPUOP_register_vcpu_info, args_put(&r, sizeof(r))), -EINVAL);

	cpu.kicks = 0;
	ksft_eq(on_other(VCPUOP_down, 0), 0);
	ksft_eq(cpu.kicks, 2);
	ksft_eq(on_other(VCPUOP_is_up, 0), 0);
	/* Nor before its thread has noticed. */
	ksft_eq(on_other(VCPUOP_register_vcpu_info, args_put(&r, sizeof(r))), -EINVAL);
	ksft_eq(on_other(VCPUOP_initialise, BASE + CONTEXT), -EEXIST);
	other.ac = true;
	other.r.rflags |= 0x40000;
	ksft_check(lite_park(&other));
	ksft_check(!other.ac); /* Linux looks whether AC is clear */
	ksft_eq(other.r.rflags & 0x40000, 0);
	ksft_eq(on_other(VCPUOP_register_vcpu_info, args_put(&r, sizeof(r))), 0);
	ksft_eq(hc(__HYPERVISOR_vcpu_op, VCPUOP_down, 0, 0), -EINVAL);
	ksft_eq(on_other(VCPUOP_up, 0), 0);
	ksft_eq(hc(__HYPERVISOR_vcpu_op, VCPUOP_down, 0, 0), 0);
	ksft_check(cpu.down);
}

static void steals(void)
{
	struct vcpu_register_runstate_memory_area area = { .addr.p = BASE + 0x6000 };
	struct vcpu_runstate_info *rs = (void *)guest_mem[6];
	s64 ret;

	setup();
	ksft_eq(vop(VCPUOP_register_runstate_memory_area, 0, &area, sizeof(area)), 0);
	fake_tsc = 1100;
	cpu.stolen = 30;
	sched_prepare(&cpu);
	ksft_eq(rs->time[RUNSTATE_running], 70);
	ksft_eq(rs->time[RUNSTATE_runnable], 30);
	ksft_eq(rs->state_entry_time, 100);
	/* Of a sleep, only what it was too long. */
	ksft_eq(call(__HYPERVISOR_sched_op, SCHEDOP_block, 0, 0, 0, 0, &ret), LITE_BLOCK);
	fake_tsc = 1300;
	cpu.stolen = 1000;
	sched_prepare(&cpu);
	ksft_eq(rs->time[RUNSTATE_blocked], 0);
	ksft_eq(rs->time[RUNSTATE_runnable], 230);
	ksft_eq(rs->time[RUNSTATE_running], 70);
	ksft_eq(cpu.stats.steal, 230);
	/* Nowhere to write it. */
	cpu.runstate_va = LITE_HOLE_START;
	cpu.stolen = 1;
	sched_prepare(&cpu);
	ksft_eq(cpu.want, LITE_WANT_NONE);
}

static int slot_check(u32 slot, u32 flags, u64 gpa, u64 size)
{
	struct lodge_mem m = { .slot = slot, .flags = flags, .gpa = gpa, .size = size };

	return lite_slot_check(&vm, &m);
}

static void slots(void)
{
	struct lodge_mem m = {
		.slot = 5, .flags = LODGE_MEM_RDONLY, .gpa = 3ull << 30, .size = 0x4000
	};
	const u64 end = LITE_FRAMES_MAX * LITE_PAGE_SIZE;
	static struct lite_frame frame[4];
	struct lite_slot *s;

	memset(&vm, 0, sizeof(vm));
	ksft_eq(slot_check(0, 0, 0, end), 0);
	ksft_eq(slot_check(0, 0, 0, end + LITE_PAGE_SIZE), -EINVAL);
	ksft_eq(slot_check(1, 0, end, LITE_PAGE_SIZE), -EINVAL);
	ksft_eq(slot_check(1, 0, end - LITE_PAGE_SIZE, LITE_PAGE_SIZE), 0);
	ksft_eq(slot_check(1, 0, 0x1000, -0x1000ull), -EINVAL);
	ksft_eq(slot_check(1, 0, -0x1000ull, 0x2000), -EINVAL);
	ksft_eq(slot_check(1, 0, 0x1000, 0), -EINVAL);
	ksft_eq(slot_check(1, 0, 0x1000, 0x800), -EINVAL);
	ksft_eq(slot_check(1, 0, 0x1800, 0x1000), -EINVAL);
	ksft_eq(slot_check(1, 0, 0, 0x1000), -EINVAL);
	ksft_eq(slot_check(0, 0, 0x1000, 0x1000), -EINVAL);
	ksft_eq(slot_check(0, LODGE_MEM_RDONLY, 0, 0x1000), -EINVAL);
	ksft_eq(slot_check(1, 2, 0x1000, 0x1000), -EINVAL);
	ksft_eq(slot_check(LODGE_SLOTS_MAX, 0, 0x1000, 0x1000), -EINVAL);

	ksft_eq(lite_slot_check(&vm, &m), 0);
	lite_slot_add(&vm, &m, frame);
	ksft_eq(vm.slots, 6);
	ksft_check(lite_frame(&vm, (m.gpa >> 12) + 3, &s) == &frame[3] && s->readonly);
	ksft_check(!lite_frame(&vm, (m.gpa >> 12) + 4, &s));
	ksft_check(!lite_frame(&vm, (m.gpa >> 12) - 1, &s));
	ksft_eq(slot_check(5, 0, 0x1000, 0x1000), -EEXIST);
	ksft_eq(slot_check(6, 0, m.gpa + 0x3000, 0x1000), -EEXIST);
	ksft_eq(slot_check(6, 0, m.gpa - 0x1000, 0x2000), -EEXIST);
	ksft_eq(slot_check(6, 0, m.gpa - 0x1000, 0x8000), -EEXIST);
	ksft_eq(slot_check(0, 0, 0, m.gpa), 0);
	ksft_eq(slot_check(6, 0, m.gpa + 0x4000, 0x1000), 0);
	memset(&vm, 0, sizeof(vm));
}

int main(int argc, char **argv)
{
	ksft_case("start fills the shared page, and refuses what cannot be", start);
	ksft_case("a vCPU's state comes back as it was set", state);
	ksft_case("vcpu_info moves", vcpu_info_moves);
	ksft_case("time and timers", timers);
	ksft_case("blocking and run states", blocks);
	ksft_case("a vCPU is initialised once, from what is right", initialises);
	ksft_case("vCPUs go up and down", up_and_down);
	ksft_case("stolen time", steals);
	ksft_case("memory slots lie below the end, apart from each other", slots);
	return ksft_run(argc, argv);
}
