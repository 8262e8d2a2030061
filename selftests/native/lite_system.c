// SPDX-License-Identifier: GPL-2.0-only
/*
 * memory_op, xen_version, the console, lodge's own hypercall, trap table, descriptors, registers.
 */
#include "litedrv.h"

static void memory(void)
{
	struct xen_machphys_mapping m;
	struct xen_memory_reservation r = { .nr_extents = 5, .domid = DOMID_SELF };
	domid_t dom = DOMID_SELF;

	setup();
	ksft_eq(hc_arg(__HYPERVISOR_memory_op, XENMEM_machphys_mapping, m), 0);
	args_get(&m, sizeof(m));
	ksft_eq(m.v_start, LITE_HOLE_START);
	ksft_eq(m.v_end, LITE_HOLE_START + PAGES * 8);
	ksft_eq(m.max_mfn, PAGES - 1);
	ksft_eq(hc_arg(__HYPERVISOR_memory_op, XENMEM_maximum_reservation, dom), PAGES);
	ksft_eq(hc_arg(__HYPERVISOR_memory_op, XENMEM_current_reservation, dom), PAGES);
	ksft_eq(hc(__HYPERVISOR_memory_op, XENMEM_maximum_ram_page, 0, 0), PAGES - 1);
	ksft_eq(hc(__HYPERVISOR_memory_op, XENMEM_exchange, BASE, 0), -ENOSYS);
	ksft_eq(hc_arg(__HYPERVISOR_memory_op, XENMEM_decrease_reservation, r), 5);
	ksft_eq(hc_arg(__HYPERVISOR_memory_op, XENMEM_populate_physmap, r), 0);
	r.nr_extents = ~0ull;
	ksft_eq(hc_arg(__HYPERVISOR_memory_op, XENMEM_decrease_reservation, r), -EINVAL);
	r.nr_extents = 1;
	r.extent_order = 64;
	ksft_eq(hc_arg(__HYPERVISOR_memory_op, XENMEM_decrease_reservation, r), -EINVAL);
	r.extent_order = 0;
	r.domid = 3;
	ksft_eq(hc_arg(__HYPERVISOR_memory_op, XENMEM_decrease_reservation, r), -EPERM);
	dom = 1;
	ksft_eq(hc_arg(__HYPERVISOR_memory_op, XENMEM_maximum_reservation, dom), -EPERM);
	ksft_eq(hc(__HYPERVISOR_memory_op, XENMEM_maximum_reservation, 0, 0), -EFAULT);
}

static void memory_map(void)
{
	struct {
		struct xen_memory_map map;
		uint64_t addr, size;
		uint32_t type, next;
	} m = { .map.nr_entries = 128, .next = 0x55555555 };

	setup();
	m.map.buffer.p = (void *)(BASE + ARGS + offsetof(typeof(m), addr));
	ksft_eq(hc_arg(__HYPERVISOR_memory_op, XENMEM_memory_map, m), 0);
	args_get(&m, sizeof(m));
	ksft_eq(m.map.nr_entries, 1);
	ksft_eq(m.addr, 0);
	ksft_eq(m.size, PAGES * 4096);
	ksft_eq(m.type, 1);
	ksft_eq(m.next, 0x55555555);
	m.map.nr_entries = 0;
	ksft_eq(hc_arg(__HYPERVISOR_memory_op, XENMEM_memory_map, m), -EINVAL);
	m.map.nr_entries = 1;
	m.map.buffer.p = (void *)LITE_HOLE_START;
	ksft_eq(hc_arg(__HYPERVISOR_memory_op, XENMEM_memory_map, m), -EFAULT);
	ksft_eq(hc(__HYPERVISOR_memory_op, XENMEM_memory_map, 0, 0), -EFAULT);
}

static void version(void)
{
	struct xen_feature_info f = { .submap_idx = 0 };
	char s[1024];

	setup();
	ksft_eq(hc(__HYPERVISOR_xen_version, XENVER_version, 0, 0), 0x40011);
	ksft_eq(hc(__HYPERVISOR_xen_version, XENVER_pagesize, 0, 0), 4096);
	ksft_eq(hc_arg(__HYPERVISOR_xen_version, XENVER_extraversion, s), 0);
	args_get(s, sizeof(s));
	ksft_streq(s, "-lodge");
	ksft_eq(hc_arg(__HYPERVISOR_xen_version, XENVER_capabilities, s), 0);
	args_get(s, sizeof(s));
	ksft_streq(s, "xen-3.0-x86_64");
	ksft_eq(hc_arg(__HYPERVISOR_xen_version, XENVER_commandline, s), 0);
	args_get(s, sizeof(s));
	ksft_streq(s, "");
	ksft_eq(hc_arg(__HYPERVISOR_xen_version, XENVER_compile_info, s), 0);
	ksft_eq(hc_arg(__HYPERVISOR_xen_version, XENVER_changeset, s), 0);
	ksft_eq(hc_arg(__HYPERVISOR_xen_version, XENVER_platform_parameters, s), 0);
	ksft_eq(hc_arg(__HYPERVISOR_xen_version, XENVER_guest_handle, s), 0);
	ksft_eq(hc_arg(__HYPERVISOR_xen_version, XENVER_get_features, f), 0);
	args_get(&f, sizeof(f));
	ksft_eq(f.submap, 0xb0);
	f.submap_idx = 1;
	ksft_eq(hc_arg(__HYPERVISOR_xen_version, XENVER_get_features, f), -EINVAL);
	ksft_eq(hc(__HYPERVISOR_xen_version, XENVER_build_id, 0, 0), -ENOSYS);
	ksft_eq(hc(__HYPERVISOR_xen_version, XENVER_extraversion, LITE_HOLE_START, 0), -EFAULT);
}

/* A text longer than an exit can carry comes in pieces, the guest repeating its SYSCALL. */
static void console(void)
{
	char text[1234], got[2000];
	size_t n = 0;
	u32 i;
	s64 ret;

	setup();
	for (i = 0; i < sizeof(text); i++)
		text[i] = 'a' + i % 26;
	cpu.r.rip = BASE + 2;
	cpu.r.rsi = sizeof(text);
	cpu.r.rdx = args_put(text, sizeof(text));
	cpu.tier = LITE_LIGHT;
	ksft_eq(call(__HYPERVISOR_console_io, CONSOLEIO_write, cpu.r.rsi, cpu.r.rdx, 0, 0, &ret),
		LITE_FULL);
	cpu.tier = LITE_FULLTIER;
	later = 1;
	ksft_eq(call(__HYPERVISOR_console_io, CONSOLEIO_write, cpu.r.rsi, cpu.r.rdx, 0, 0, &ret),
		LITE_WANT);
	for (i = 0; i < 4; i++) {
		ksft_eq(call(__HYPERVISOR_console_io, CONSOLEIO_write, cpu.r.rsi, cpu.r.rdx, 0, 0,
			     &ret),
			LITE_EXIT);
		ksft_eq(cpu.exit.reason, LODGE_EXIT_CONSOLE);
		ksft_check(cpu.exit.console.len <= 500 && n + 500 <= sizeof(got));
		memcpy(got + n, cpu.exit.console.text, cpu.exit.console.len);
		n += cpu.exit.console.len;
		if (cpu.r.rip == BASE + 2)
			break;
		ksft_eq(cpu.r.rip, BASE);
		ksft_eq(ret, __HYPERVISOR_console_io);
		cpu.r.rip += 2;
	}
	ksft_eq(i, 2);
	ksft_eq(ret, 0);
	ksft_eq(n, sizeof(text));
	ksft_memeq(got, text, sizeof(text));
	ksft_eq(hc(__HYPERVISOR_console_io, CONSOLEIO_write, 0, 0), 0);
	ksft_eq(hc(__HYPERVISOR_console_io, CONSOLEIO_read, 10, BASE), 0);
	ksft_eq(hc(__HYPERVISOR_console_io, CONSOLEIO_write, ~0ull, BASE), -EFAULT);
	ksft_eq(hc(__HYPERVISOR_console_io, CONSOLEIO_write, 1, LITE_HOLE_START), -EFAULT);
	ksft_eq(hc(__HYPERVISOR_console_io, 2, 1, BASE), -ENOSYS);
}

static void lodge(void)
{
	static const struct {
		u64 device, offset, size;
	} bad[] = {
		{ LODGE_BUS_DEVICES, 0, 4 },
		{ 0, 4096, 4 },
		{ 0, 4094, 4 },
		{ 0, 0, 3 },
		{ 0, 0, 0 },
		{ 0, 0, 16 },
		{ ~0ull, 0, 4 },
		{ 0, ~0ull - 3, 4 },
		{ 0, 0, 1ull << 32 },
	};
	u32 i;
	s64 ret;

	setup();
	ksft_eq(hc(LODGE_HYPERCALL, LODGE_HC_VERSION, 0, 0), LODGE_PV_VERSION);
	ksft_eq(hc(LODGE_HYPERCALL, LODGE_HC_BUS, 0, 0), -ENODEV);
	vm.bus_gpa = 0x40000000;
	ksft_eq(hc(LODGE_HYPERCALL, LODGE_HC_BUS, 0, 0), 0x40000000);
	ksft_eq(hc(LODGE_HYPERCALL, LODGE_HC_NOP, 0, 0), 0);
	ksft_eq(hc(LODGE_HYPERCALL, 4, 0, 0), -ENOSYS);
	cpu.tier = LITE_LIGHT;
	ksft_eq(call(LODGE_HYPERCALL, LODGE_HC_VIRTIO_WRITE, 3, 0x70, 0xf, 4, &ret), LITE_FULL);
	cpu.tier = LITE_FULLTIER;
	ksft_eq(call(LODGE_HYPERCALL, LODGE_HC_VIRTIO_WRITE, 3, 0x70, 0xf, 4, &ret), LITE_EXIT);
	ksft_eq(ret, 0);
	ksft_eq(cpu.exit.reason, LODGE_EXIT_VIRTIO);
	ksft_eq(cpu.exit.virtio.device, 3);
	ksft_eq(cpu.exit.virtio.offset, 0x70);
	ksft_eq(cpu.exit.virtio.value, 0xf);
	ksft_eq(cpu.exit.virtio.size, 4);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ksft_eq(call(LODGE_HYPERCALL, LODGE_HC_VIRTIO_WRITE, bad[i].device, bad[i].offset,
			     0, bad[i].size, &ret),
			LITE_RESUME);
		ksft_eq(ret, -EINVAL);
	}
}

static void traps(void)
{
	struct trap_info t[3] = { { .vector = 3, .flags = 3, .address = BASE },
				  { .vector = 14, .flags = 4, .address = BASE + 16 },
				  { 0 } };
	struct trap_info many[300];
	struct callback_register cb = { .type = CALLBACKTYPE_syscall,
					.address = BASE,
					.flags = CALLBACKF_mask_events };
	struct callback_unregister un = { .type = CALLBACKTYPE_syscall };
	u32 i;
	s64 ret;

	setup();
	cpu.changed = 0;
	cpu.tier = LITE_LIGHT;
	ksft_eq(call(__HYPERVISOR_set_trap_table, args_put(t, sizeof(t)), 0, 0, 0, 0, &ret),
		LITE_FULL);
	cpu.tier = LITE_FULLTIER;
	ksft_eq(hc(__HYPERVISOR_set_trap_table, args_put(t, sizeof(t)), 0, 0), 0);
	ksft_eq(cpu.trap[3].address, BASE);
	ksft_eq(cpu.trap[3].dpl, 3);
	ksft_eq(cpu.trap[3].mask, 0);
	ksft_eq(cpu.trap[14].mask, 1);
	ksft_eq(cpu.changed, LITE_CH_TRAPS);
	t[0].address = LITE_HOLE_START + 8;
	ksft_eq(hc(__HYPERVISOR_set_trap_table, args_put(t, sizeof(t)), 0, 0), -EINVAL);
	t[0].address = 0x800000000000ull;
	ksft_eq(hc(__HYPERVISOR_set_trap_table, args_put(t, sizeof(t)), 0, 0), -EINVAL);
	ksft_eq(cpu.trap[3].address, BASE);
	for (i = 0; i < 300; i++)
		many[i] = (struct trap_info){ .vector = i, .address = BASE + i };
	ksft_eq(hc(__HYPERVISOR_set_trap_table, args_put(many, sizeof(many)), 0, 0), 0);
	ksft_eq(cpu.trap[0].address, BASE); /* the 257th was not looked at */
	ksft_eq(cpu.trap[255].address, BASE + 255);
	ksft_eq(hc(__HYPERVISOR_set_trap_table, 0, 0, 0), 0);
	ksft_eq(cpu.trap[255].address, 0);

	ksft_eq(hc_arg(__HYPERVISOR_callback_op, CALLBACKOP_register, cb), 0);
	ksft_eq(cpu.callback[LITE_CB_SYSCALL].address, BASE);
	ksft_eq(cpu.callback[LITE_CB_SYSCALL].mask, 1);
	ksft_eq(hc_arg(__HYPERVISOR_callback_op, CALLBACKOP_unregister, un), 0);
	ksft_eq(cpu.callback[LITE_CB_SYSCALL].address, 0);
	cb.type = CALLBACKTYPE_event;
	cb.flags = 0;
	ksft_eq(hc_arg(__HYPERVISOR_callback_op, CALLBACKOP_register, cb), 0);
	ksft_eq(cpu.callback[LITE_CB_EVENT].mask, 1);
	cb.type = CALLBACKTYPE_sysenter;
	ksft_eq(hc_arg(__HYPERVISOR_callback_op, CALLBACKOP_register, cb), -ENOSYS);
	cb.type = 6;
	ksft_eq(hc_arg(__HYPERVISOR_callback_op, CALLBACKOP_register, cb), -EINVAL);
	cb.type = 0xffff;
	ksft_eq(hc_arg(__HYPERVISOR_callback_op, CALLBACKOP_register, cb), -EINVAL);
	cb.type = CALLBACKTYPE_event;
	cb.address = LITE_HOLE_START;
	ksft_eq(hc_arg(__HYPERVISOR_callback_op, CALLBACKOP_register, cb), -EINVAL);
	ksft_eq(hc_arg(__HYPERVISOR_callback_op, 2, cb), -ENOSYS);
}

#define TLS_DATA 0x00cff2000000ffffull /* 4 GiB, data, DPL 3, base 0, not accessed */

static void descriptors(void)
{
	u64 gfn[2] = { GDT, 5 }, *gdt = (void *)guest_mem[GDT];
	s64 at = (GDT << 12) + 0x60;

	setup();
	gdt[12] = TLS_DATA;
	gdt[13] = 0x0000890000000067ull; /* a TSS */
	gdt[14] = TLS_DATA & ~(3ull << 45);
	gdt[15] = 0x0040f50000001002ull; /* LSL of it: processor 2 of node 1 */
	ksft_eq(hc(__HYPERVISOR_set_gdt, args_put(gfn, sizeof(gfn)), 1024, 0), 0);
	ksft_eq(cpu.gdt_gfn[1], 5);
	ksft_eq(cpu.tls[0], TLS_DATA | 1ull << 40);
	ksft_eq(cpu.tls[1], 0);
	ksft_eq(cpu.tls[2], 0);
	ksft_eq(cpu.tls[3], 0x0040f50000001002ull);
	ksft_eq(segment_safe(&cpu, 0x63), 0x63);
	ksft_eq(segment_safe(&cpu, 0x6b), 0);
	ksft_eq(segment_safe(&cpu, 0x67), 0); /* an LDT's */
	ksft_eq(segment_safe(&cpu, LITE_USER_DS), LITE_USER_DS);
	ksft_eq(segment_safe(&cpu, LITE_USER_CS), LITE_USER_CS);
	ksft_eq(segment_safe(&cpu, LITE_KERN_SS), 0);
	ksft_eq(segment_safe(&cpu, 0x10), 0);

	cpu.changed = 0;
	cpu.fs = 0x63;
	ksft_eq(hc(__HYPERVISOR_update_descriptor, at + 8, TLS_DATA | 0x12ull << 56, 0), 0);
	ksft_eq(cpu.changed, LITE_CH_TLS);
	ksft_eq(gdt[13], TLS_DATA | 0x12ull << 56);
	ksft_eq(hc(__HYPERVISOR_set_segment_base, SEGBASE_GS_USER_SEL, 0x6b, 0), 0);
	ksft_eq(cpu.gs, 0x6b);
	ksft_eq(cpu.gs_other, 0x12000000);
	ksft_eq(hc(__HYPERVISOR_update_descriptor, at, TLS_DATA & ~(1ull << 44), 0), 0);
	ksft_eq(cpu.tls[0], 0);
	ksft_eq(cpu.fs, 0);
	ksft_eq(hc(__HYPERVISOR_update_descriptor, at, TLS_DATA & ~(1ull << 47), 0), 0);
	ksft_eq(cpu.tls[0], 0);
	ksft_eq(hc(__HYPERVISOR_update_descriptor, at - 8, TLS_DATA, 0), 0);
	ksft_eq(cpu.tls[0], 0);
	/* Code that cannot be read, where a selector of it may be in DS; and code that can. */
	ksft_eq(hc(__HYPERVISOR_update_descriptor, at, (TLS_DATA | 8ull << 40) & ~(2ull << 40), 0),
		0);
	ksft_eq(cpu.tls[0], 0);
	ksft_eq(hc(__HYPERVISOR_update_descriptor, at, TLS_DATA | 0xaull << 40, 0), 0);
	ksft_check(cpu.tls[0]);
	ksft_eq(hc(__HYPERVISOR_update_descriptor, at + 1, TLS_DATA, 0), -EINVAL);
	ksft_eq(hc(__HYPERVISOR_update_descriptor, RO_GFN << 12, TLS_DATA, 0), -EINVAL);
	ksft_eq(hc(__HYPERVISOR_update_descriptor, ~7ull, TLS_DATA, 0), -EINVAL);

	ksft_eq(hc(__HYPERVISOR_set_gdt, args_put(gfn, sizeof(gfn)), 13, 0), 0);
	ksft_check(cpu.tls[0]);
	ksft_eq(cpu.tls[1], 0);
	/* The guest has none: ours. */
	ksft_eq(cpu.tls[3], 0x0040f50000000000ull);
	cpu.id = 5;
	ksft_eq(hc(__HYPERVISOR_update_descriptor, at + 0x18, TLS_DATA, 0), 0);
	ksft_eq(cpu.tls[3], TLS_DATA | 1ull << 40);
	ksft_eq(hc(__HYPERVISOR_update_descriptor, at + 0x18, 0, 0), 0);
	ksft_eq(cpu.tls[3], 0x0040f50000000005ull);
	cpu.id = 0;
	gfn[1] = ~0ull;
	ksft_eq(hc(__HYPERVISOR_set_gdt, args_put(gfn, sizeof(gfn)), 513, 0), -EINVAL);
	ksft_eq(hc(__HYPERVISOR_set_gdt, BASE + ARGS, FIRST_RESERVED_GDT_ENTRY + 1, 0), -EINVAL);
	ksft_eq(hc(__HYPERVISOR_set_gdt, BASE + ARGS, ~0ull, 0), -EINVAL);
	ksft_eq(hc(__HYPERVISOR_set_gdt, 0, 0, 0), 0);
	/* A page table is no place for one. */
	lite_frame(&vm, 6, NULL)->flags = FRAME_PINNED(1);
	ksft_eq(hc(__HYPERVISOR_update_descriptor, 6 << 12, TLS_DATA, 0), -EINVAL);
	lite_frame(&vm, 6, NULL)->flags = FRAME_TABLE;
	ksft_eq(hc(__HYPERVISOR_update_descriptor, 6 << 12, TLS_DATA, 0), 0);
	lite_frame(&vm, 6, NULL)->shadow = 1;
	ksft_eq(hc(__HYPERVISOR_update_descriptor, 6 << 12, TLS_DATA, 0), -EINVAL);
	lite_frame(&vm, 6, NULL)->shadow = 0;
	lite_frame(&vm, 6, NULL)->flags = 0;
}

static void registers(void)
{
	struct physdev_set_iopl iopl = { .iopl = 3 };
	struct physdev_set_iobitmap map = { .nr_ports = 65536 };

	setup();
	ksft_eq(hc(__HYPERVISOR_stack_switch, 0, BASE + 0x1000, 0), 0);
	ksft_eq(cpu.kernel_sp, BASE + 0x1000);
	ksft_eq(hc(__HYPERVISOR_stack_switch, 0, LITE_HOLE_END + 64, 0), -EINVAL);
	ksft_eq(hc(__HYPERVISOR_stack_switch, 0, LITE_HOLE_START + 1, 0), -EINVAL);
	ksft_eq(hc(__HYPERVISOR_stack_switch, 0, 0x800000000001ull, 0), -EINVAL);
	ksft_eq(hc(__HYPERVISOR_stack_switch, 0, 64, 0), -EINVAL);
	ksft_eq(hc(__HYPERVISOR_stack_switch, 0, 0, 0), 0); /* the top of the address space */
	ksft_eq(hc(__HYPERVISOR_set_segment_base, SEGBASE_FS, 0x1234, 0), 0);
	ksft_eq(hc(__HYPERVISOR_set_segment_base, SEGBASE_GS_USER, 0x2345, 0), 0);
	ksft_eq(hc(__HYPERVISOR_set_segment_base, SEGBASE_GS_KERNEL, BASE, 0), 0);
	ksft_eq(cpu.fs_base, 0x1234);
	ksft_eq(cpu.gs_other, 0x2345);
	ksft_eq(cpu.gs_base, BASE);
	ksft_eq(hc(__HYPERVISOR_set_segment_base, SEGBASE_FS, 1ull << 47, 0), -EINVAL);
	ksft_eq(hc(__HYPERVISOR_set_segment_base, SEGBASE_GS_KERNEL, 1ull << 63, 0), -EINVAL);
	ksft_eq(hc(__HYPERVISOR_set_segment_base, 4, 0, 0), -EINVAL);
	cpu.gs = LITE_USER_DS;
	ksft_eq(hc(__HYPERVISOR_set_segment_base, SEGBASE_GS_USER_SEL, LITE_KERN_CS, 0), 0);
	ksft_eq(cpu.gs, 0);
	ksft_eq(cpu.gs_other, 0);
	ksft_eq(hc(__HYPERVISOR_set_segment_base, SEGBASE_GS_USER_SEL, LITE_USER_DS, 0), 0);
	ksft_eq(cpu.gs, LITE_USER_DS);
	ksft_eq(cpu.gs_other, 0);

	cpu.changed = 0;
	ksft_eq(hc(__HYPERVISOR_set_debugreg, 1, BASE, 0), 0);
	ksft_eq(hc(__HYPERVISOR_get_debugreg, 1, 0, 0), BASE);
	ksft_eq(cpu.changed, LITE_CH_DEBUG);
	ksft_eq(hc(__HYPERVISOR_set_debugreg, 0, LITE_HOLE_START, 0), -EINVAL);
	ksft_eq(hc(__HYPERVISOR_set_debugreg, 3, 1ull << 50, 0), -EINVAL);
	ksft_eq(hc(__HYPERVISOR_set_debugreg, 4, 0, 0), -EINVAL);
	ksft_eq(hc(__HYPERVISOR_set_debugreg, 8, 0, 0), -EINVAL);
	ksft_eq(hc(__HYPERVISOR_set_debugreg, 7, 0xd0002 | 1 << 13 | 1 << 11, 0), 0);
	ksft_eq(hc(__HYPERVISOR_get_debugreg, 7, 0, 0), 0xd0402);
	ksft_eq(hc(__HYPERVISOR_set_debugreg, 7, 0x20001, 0), -EINVAL); /* I/O */
	ksft_eq(hc(__HYPERVISOR_set_debugreg, 7, 0x20000080ull, 0), -EINVAL);
	ksft_eq(hc(__HYPERVISOR_set_debugreg, 7, 1ull << 32, 0), -EINVAL);
	ksft_eq(hc(__HYPERVISOR_set_debugreg, 6, 0x4001, 0), 0);
	ksft_eq(hc(__HYPERVISOR_get_debugreg, 6, 0, 0), 0xffff4ff1);
	ksft_eq(hc(__HYPERVISOR_get_debugreg, 5, 0, 0), -EINVAL);

	ksft_eq(hc_arg(__HYPERVISOR_physdev_op, PHYSDEVOP_set_iopl, iopl), 0);
	ksft_eq(cpu.iopl, 3);
	iopl.iopl = 4;
	ksft_eq(hc_arg(__HYPERVISOR_physdev_op, PHYSDEVOP_set_iopl, iopl), -EINVAL);
	map.bitmap.p = (void *)(BASE + 0x100);
	ksft_eq(hc_arg(__HYPERVISOR_physdev_op, PHYSDEVOP_set_iobitmap, map), 0);
	ksft_eq(cpu.iobmp_va, BASE + 0x100);
	ksft_eq(cpu.iobmp_ports, 65536);
	map.nr_ports++;
	ksft_eq(hc_arg(__HYPERVISOR_physdev_op, PHYSDEVOP_set_iobitmap, map), -EINVAL);
	map.nr_ports = 8;
	map.bitmap.p = (void *)LITE_HOLE_START;
	ksft_eq(hc_arg(__HYPERVISOR_physdev_op, PHYSDEVOP_set_iobitmap, map), -EINVAL);
	ksft_eq(hc(__HYPERVISOR_physdev_op, PHYSDEVOP_apic_read, BASE, 0), -ENOSYS);
	ksft_eq(hc(__HYPERVISOR_fpu_taskswitch, 1, 0, 0), 0);
	ksft_eq(hc(__HYPERVISOR_vm_assist, VMASST_CMD_enable, 4, 0), 0);
}

int main(int argc, char **argv)
{
	ksft_case("memory_op", memory);
	ksft_case("the memory map is one piece of RAM", memory_map);
	ksft_case("xen_version", version);
	ksft_case("console text comes in pieces", console);
	ksft_case("lodge's own hypercall", lodge);
	ksft_case("trap table and callbacks", traps);
	ksft_case("descriptors", descriptors);
	ksft_case("stack, bases, debug registers, ports of the processor", registers);
	return ksft_run(argc, argv);
}
