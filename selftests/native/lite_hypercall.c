// SPDX-License-Identifier: GPL-2.0-only
/*
 * The dispatcher, batches and multicalls, page table hypercalls: good and garbage arguments, and
 * what happens when guest memory is not there yet (each access in turn answers "later").
 */
#include "litedrv.h"

static void unknown(void)
{
	setup();
	ksft_eq(hc(4, 0, 0, 0), -ENOSYS);
	ksft_eq(hc(__HYPERVISOR_grant_table_op, 6, 0, 1), -ENOSYS);
	ksft_eq(hc(__HYPERVISOR_iret, 0, 0, 0), -ENOSYS);
	ksft_eq(hc(63, 0, 0, 0), -ENOSYS);
	ksft_eq(hc(64, 0, 0, 0), -ENOSYS);
	ksft_eq(hc(~0ull, 0, 0, 0), -ENOSYS);
	ksft_eq(cpu.stats.hypercalls[__HYPERVISOR_grant_table_op], 1);
}

/* Every call and operation there is with pointers that lead nowhere, or into the hypervisor. */
static void garbage(void)
{
	static const u64 bad[] = { 0,
				   1,
				   0xfff,
				   BASE - 1,
				   BASE + PAGES * 4096ull - 1,
				   LITE_HOLE_START,
				   LITE_HOLE_END - 1,
				   0x800000000000ull,
				   0xffffffffffffffffull,
				   0xfffffffffffffff8ull };
	u32 nr, op, i, tier;
	s64 ret;

	setup();
	for (nr = 0; nr < 70; nr++)
		for (op = 0; op < 64; op++)
			for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
				for (tier = 0; tier < 2; tier++) {
					cpu.tier = tier;
					cpu.poll = 0;
					ksft_check(call(nr, op, bad[i], bad[i], DOMID_SELF, bad[i],
							&ret) != LITE_DEAD);
					cpu.multi_done = cpu.batch_done = 0;
					call(nr, bad[i], op, bad[i], bad[i], op, &ret);
					cpu.multi_done = cpu.batch_done = 0;
				}
	ksft_eq(sends, 0);
}

static void mmu_update_good(void)
{
	struct mmu_update u[4] = {
		{ .ptr = 0x5008, .val = 0x1067 },
		{ .ptr = 0x5010 | MMU_PT_UPDATE_PRESERVE_AD, .val = 0x2067 },
		{ .ptr = 7 << 12 | MMU_MACHPHYS_UPDATE, .val = 9 },
		{ .ptr = PAGES << 12, .val = 1 },
	};
	u64 va, done = BASE + ARGS + sizeof(u);
	u32 n;
	s64 ret;

	setup();
	va = args_put(u, sizeof(u));
	ksft_eq(hc(__HYPERVISOR_mmu_update, va, 3, done), 0);
	memcpy(&n, &guest_mem[0][0] + ARGS + sizeof(u), 4);
	ksft_eq(n, 3);
	ksft_eq(did.updates, 2);
	ksft_eq(did.preserve, 1);
	ksft_eq(did.gpa, 0x5010);
	ksft_eq(m2p[7], 9);
	ksft_eq(hc(__HYPERVISOR_mmu_update, va, 4, done), -EINVAL);
	memcpy(&n, &guest_mem[0][0] + ARGS + sizeof(u), 4);
	ksft_eq(n, 3);
	ksft_eq(hc(__HYPERVISOR_mmu_update, va, 3, 0), 0);
	ksft_eq(hc(__HYPERVISOR_mmu_update, 0, 0, 0), 0);
	ksft_eq(hc(__HYPERVISOR_mmu_update, va, HC_BATCH_MAX + 1, 0), -EINVAL);
	ksft_eq(hc(__HYPERVISOR_mmu_update, LITE_HOLE_END - 16, 1, 0), -EFAULT);
	ksft_eq(hc(__HYPERVISOR_mmu_update, va, 3, LITE_HOLE_START), -EFAULT);
	ksft_eq(call(__HYPERVISOR_mmu_update, va, 1, 0, 0, 0, &ret), LITE_RESUME);
	ksft_eq(ret, -EPERM);
	u[0].ptr = (u64)PAGES << 12 | MMU_MACHPHYS_UPDATE;
	ksft_eq(hc(__HYPERVISOR_mmu_update, args_put(u, sizeof(u)), 1, 0), -EINVAL);
	u[0].ptr = 0x5008 | 3;
	ksft_eq(hc(__HYPERVISOR_mmu_update, args_put(u, sizeof(u)), 1, 0), -ENOSYS);
}

static void va_mapping(void)
{
	setup();
	ksft_eq(hc(__HYPERVISOR_update_va_mapping, BASE, 0x1067, UVMF_NONE), 0);
	ksft_eq(did.flushes, 0);
	ksft_eq(hc(__HYPERVISOR_update_va_mapping, BASE, 0x1067, UVMF_INVLPG | UVMF_ALL), 0);
	ksft_eq(did.pages, 1);
	ksft_eq(hc(__HYPERVISOR_update_va_mapping, BASE, 0x1067, UVMF_TLB_FLUSH), 0);
	ksft_eq(did.flushes, 2);
	ksft_eq(did.pages, 1);
	ksft_eq(hc(__HYPERVISOR_update_va_mapping, LITE_HOLE_START, 0x1067, 0), -EINVAL);
	ksft_eq(did.va_updates, 3);
}

static s64 ext(u32 cmd, u64 a, u64 b)
{
	struct mmuext_op op = { .cmd = cmd, .arg1.mfn = a, .arg2.src_mfn = b };

	return hc(__HYPERVISOR_mmuext_op, args_put(&op, sizeof(op)), 1, 0);
}

static void mmuext(void)
{
	setup();
	ksft_eq(ext(MMUEXT_PIN_L1_TABLE, 5, 0), 0);
	ksft_eq(did.level, 1);
	ksft_eq(ext(MMUEXT_PIN_L4_TABLE, 6, 0), 0);
	ksft_eq(did.level, 4);
	ksft_eq(did.gfn, 6);
	ksft_eq(ext(MMUEXT_UNPIN_TABLE, 6, 0), 0);
	ksft_eq(ext(MMUEXT_NEW_BASEPTR, 6, 0), 0);
	ksft_eq(ext(MMUEXT_NEW_USER_BASEPTR, 7, 0), 0);
	ksft_eq(cpu.uroot, 7);
	ksft_eq(ext(MMUEXT_NEW_USER_BASEPTR, 0, 0), 0);
	ksft_eq(cpu.uroot, 0);
	ksft_eq(did.user_bases, 2);
	ksft_eq(ext(MMUEXT_TLB_FLUSH_ALL, 0, 0), 0);
	ksft_eq(did.who, ~0u);
	memset(guest_mem[9], 0x06, 8);
	ksft_eq(ext(MMUEXT_INVLPG_MULTI, BASE, BASE + 0x9000), 0);
	ksft_eq(did.who, 0x06060606);
	ksft_eq(did.shoots, 2);
	ksft_eq(ext(MMUEXT_TLB_FLUSH_MULTI, 0, 0), -EFAULT);
	ksft_eq(ext(MMUEXT_TLB_FLUSH_LOCAL, 0, 0), 0);
	ksft_eq(did.shoots, 2);
	ksft_eq(did.pages, 1);
	ksft_eq(ext(MMUEXT_INVLPG_LOCAL, LITE_HOLE_START, 0), 0);
	ksft_eq(did.pages, 1);
	ksft_eq(ext(MMUEXT_SET_LDT, BASE, 0), 0);
	ksft_eq(ext(MMUEXT_SET_LDT, BASE, 8193), -EINVAL);
	ksft_eq(ext(MMUEXT_FLUSH_CACHE, 0, 0), 0);
	ksft_eq(ext(MMUEXT_MARK_SUPER, 0, 0), -ENOSYS);
	ksft_eq(ext(14, 0, 0), -ENOSYS);
	ksft_eq(ext(~0u, 0, 0), -ENOSYS);

	memset(guest_mem[9], 7, 4096);
	ksft_eq(ext(MMUEXT_COPY_PAGE, 10, 9), 0);
	ksft_eq(guest_mem[10][4095], 7);
	ksft_eq(ext(MMUEXT_CLEAR_PAGE, 10, 0), 0);
	ksft_eq(guest_mem[10][4095], 0);
	ksft_eq(ext(MMUEXT_COPY_PAGE, 10, PAGES), -EINVAL);
	ksft_eq(ext(MMUEXT_CLEAR_PAGE, PAGES, 0), -EINVAL);
	ksft_eq(ext(MMUEXT_CLEAR_PAGE, RO_GFN, 0), -EINVAL);
	ksft_eq(ext(MMUEXT_CLEAR_PAGE, ROOT, 0), -EINVAL); /* pinned */
	frames[10].flags = FRAME_TABLE;
	ksft_eq(ext(MMUEXT_COPY_PAGE, 10, 9), -EINVAL);
}

/* A long batch goes on in the full tier, and lets the host have a turn there. */
static void batch_turns(void)
{
	struct mmu_update u[1200];
	unsigned int i;
	u64 va;
	s64 ret;

	setup();
	for (i = 0; i < 1200; i++)
		u[i] = (struct mmu_update){ .ptr = 0x5000 + i % 512 * 8, .val = i };
	va = args_put(u, sizeof(u));
	cpu.tier = LITE_LIGHT;
	ksft_eq(call(__HYPERVISOR_mmu_update, va, 1200, 0, DOMID_SELF, 0, &ret), LITE_FULL);
	ksft_eq(did.updates, HC_BUDGET_LIGHT);
	cpu.tier = LITE_FULLTIER;
	cpu.want = LITE_WANT_FRAME;
	ksft_eq(call(__HYPERVISOR_mmu_update, va, 1200, 0, DOMID_SELF, 0, &ret), LITE_WANT);
	ksft_eq(cpu.want, LITE_WANT_NONE);
	ksft_eq(did.updates, HC_BUDGET_LIGHT + HC_BUDGET_FULL);
	ksft_eq(call(__HYPERVISOR_mmu_update, va, 1200, 0, DOMID_SELF, 0, &ret), LITE_RESUME);
	ksft_eq(ret, 0);
	ksft_eq(did.updates, 1200);
	ksft_eq(did.val, 1199);
	ksft_eq(cpu.batch_done, 0);
	ksft_eq(cpu.stats.hypercalls[__HYPERVISOR_mmu_update], 1);
}

#define MULTI 5

static u64 multi_put(void)
{
	struct mmu_update u[2] = { { .ptr = 0x5008, .val = 1 }, { .ptr = 0x5010, .val = 2 } };
	struct evtchn_send send = { .port = 5 };
	struct evtchn_bind_virq bind = { .virq = VIRQ_DEBUG };
	struct multicall_entry e[MULTI] = {
		{ .op = __HYPERVISOR_mmu_update,
		  .args = { BASE + 0x9000, 2, BASE + 0x9100, DOMID_SELF } },
		{ .op = __HYPERVISOR_stack_switch, .args = { 0, BASE + 0x7000 } },
		{ .op = __HYPERVISOR_event_channel_op, .args = { EVTCHNOP_send, BASE + 0x9200 } },
		{ .op = __HYPERVISOR_event_channel_op,
		  .args = { EVTCHNOP_bind_virq, BASE + 0x9300 } },
		{ .op = __HYPERVISOR_iret },
	};

	memcpy(guest_mem[9], u, sizeof(u));
	memcpy(guest_mem[9] + 0x200, &send, sizeof(send));
	memcpy(guest_mem[9] + 0x300, &bind, sizeof(bind));
	return args_put(e, sizeof(e));
}

static void multi_check(void)
{
	struct multicall_entry e[MULTI];
	struct evtchn_bind_virq bind;

	args_get(e, sizeof(e));
	ksft_eq(e[0].result, 0);
	ksft_eq(e[1].result, 0);
	ksft_eq(e[2].result, 0);
	ksft_eq(e[3].result, 0);
	ksft_eq(e[4].result, -ENOSYS);
	ksft_eq(guest_mem[9][0x100], 2);
	ksft_eq(did.updates, 2);
	ksft_eq(sends, 1);
	ksft_eq(last_send, 5);
	ksft_eq(cpu.kernel_sp, BASE + 0x7000);
	memcpy(&bind, guest_mem[9] + 0x300, sizeof(bind));
	ksft_eq(bind.port, HOST_MAX);
	ksft_eq(cpu.virq_port[VIRQ_DEBUG], HOST_MAX);
	ksft_eq(vm.port[HOST_MAX].type, PORT_VIRQ);
	ksft_eq(vm.port[HOST_MAX + 1].type, PORT_FREE);
	ksft_eq(cpu.stats.hypercalls[__HYPERVISOR_multicall], 1);
	ksft_eq(cpu.stats.hypercalls[__HYPERVISOR_mmu_update], 1);
}

/* Wherever guest memory says "later" once, in either tier: each entry takes effect exactly once. */
static void multicall_later(void)
{
	unsigned int n, total, k;
	enum lite_next next;
	s64 ret;

	setup();
	ksft_eq(hc(__HYPERVISOR_multicall, multi_put(), MULTI, 0), 0);
	multi_check();
	total = accesses;
	ksft_check(total > 10);
	for (k = 0; k < 3; k++)
		for (n = 1; n <= total; n++) {
			u64 va;

			setup();
			va = multi_put();
			later = n;
			later_err = k == 2 ? -EBUSY : -EAGAIN;
			if (k)
				cpu.tier = LITE_LIGHT;
			next = call(__HYPERVISOR_multicall, va, MULTI, 0, 0, 0, &ret);
			while (next != LITE_RESUME) {
				ksft_check(next == LITE_WANT || next == LITE_FULL);
				cpu.tier = LITE_FULLTIER;
				next = call(__HYPERVISOR_multicall, va, MULTI, 0, 0, 0, &ret);
			}
			ksft_eq(ret, 0);
			multi_check();
		}
}

static void multicall_bad(void)
{
	struct multicall_entry e[4] = {
		{ .op = __HYPERVISOR_multicall, .args = { BASE + ARGS, 1 } },
		{ .op = __HYPERVISOR_sched_op, .args = { SCHEDOP_block } },
		{ .op = ~0ul },
		{ .op = LODGE_HYPERCALL, .args = { LODGE_HC_VIRTIO_WRITE, 0, 0, 0, 4 } },
	};
	u64 va;

	setup();
	va = args_put(e, sizeof(e));
	ksft_eq(hc(__HYPERVISOR_multicall, va, 4, 0), 0);
	args_get(e, sizeof(e));
	ksft_eq(e[0].result, -ENOSYS);
	ksft_eq(e[1].result, -EINVAL);
	ksft_eq(e[2].result, -ENOSYS);
	ksft_eq(e[3].result, -EINVAL);
	ksft_eq(hc(__HYPERVISOR_multicall, va, HC_BATCH_MAX + 1, 0), -EINVAL);
	ksft_eq(hc(__HYPERVISOR_multicall, LITE_HOLE_START, 1, 0), -EFAULT);
	ksft_eq(hc(__HYPERVISOR_multicall, BASE + PAGES * 4096ull - 64, 2, 0), -EFAULT);
	ksft_eq(hc(__HYPERVISOR_multicall, 0, 0, 0), 0);
}

int main(int argc, char **argv)
{
	ksft_case("unknown hypercalls are -ENOSYS", unknown);
	ksft_case("garbage pointers do no harm", garbage);
	ksft_case("mmu_update", mmu_update_good);
	ksft_case("update_va_mapping", va_mapping);
	ksft_case("mmuext_op", mmuext);
	ksft_case("a long batch takes turns", batch_turns);
	ksft_case("a multicall's entries happen once, whatever has to wait", multicall_later);
	ksft_case("multicall refuses what it must", multicall_bad);
	return ksft_run(argc, argv);
}
