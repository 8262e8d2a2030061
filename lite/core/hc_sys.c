// SPDX-License-Identifier: GPL-2.0-only
/*
 * xen_version, console_io, vm_assist, and lodge's own hypercall (lite/abi/pv.h). Called from the
 * dispatcher; what ends at the VMM needs the full tier.
 */
#include "hypercall.h"

#include "lite/abi/pv.h"

#include <xen/xen.h>

#include <xen/version.h>

#define XEN_MAJOR 4u
#define XEN_MINOR 17u
#define FEATURES                                                                       \
	(1u << XENFEAT_pae_pgdir_above_4gb | 1u << XENFEAT_mmu_pt_update_preserve_ad | \
	 1u << XENFEAT_gnttab_map_avail_bits)

static const xen_extraversion_t hc_extraversion = "-lodge";
static const xen_changeset_info_t hc_changeset = "unavailable";
static const xen_capabilities_info_t hc_capabilities = "xen-3.0-x86_64";
static const xen_domain_handle_t hc_handle;
static const xen_commandline_t hc_commandline;
static const struct xen_compile_info hc_compile = {
	.compiler = "gcc",
	.compile_by = "lodge",
};
static const struct xen_platform_parameters hc_platform = { .virt_start = LITE_HOLE_START };

static int features(struct lite_vcpu *v, u64 va)
{
	struct xen_feature_info f;
	int err = mmu_read(v, &f, va, sizeof(f));

	if (err)
		return err;
	if (f.submap_idx >= XENFEAT_NR_SUBMAPS)
		return -EINVAL;
	f.submap = FEATURES;
	return mmu_write(v, va, &f, sizeof(f));
}

enum lite_next hc_xen_version(struct lite_vcpu *v, const u64 arg[5], u64 *ret)
{
	u64 va = arg[1];

	switch (arg[0]) {
	case XENVER_version:
		return hc_done(XEN_MAJOR << 16 | XEN_MINOR, ret);
	case XENVER_extraversion:
		return hc_done(mmu_write(v, va, hc_extraversion, sizeof(hc_extraversion)), ret);
	case XENVER_compile_info:
		return hc_done(mmu_write(v, va, &hc_compile, sizeof(hc_compile)), ret);
	case XENVER_capabilities:
		return hc_done(mmu_write(v, va, hc_capabilities, sizeof(hc_capabilities)), ret);
	case XENVER_changeset:
		return hc_done(mmu_write(v, va, hc_changeset, sizeof(hc_changeset)), ret);
	case XENVER_platform_parameters:
		return hc_done(mmu_write(v, va, &hc_platform, sizeof(hc_platform)), ret);
	case XENVER_get_features:
		return hc_done(features(v, va), ret);
	case XENVER_pagesize:
		return hc_done(va ? -EINVAL : (s64)LITE_PAGE_SIZE, ret);
	case XENVER_guest_handle:
		return hc_done(mmu_write(v, va, hc_handle, sizeof(hc_handle)), ret);
	case XENVER_commandline:
		return hc_done(mmu_write(v, va, hc_commandline, sizeof(hc_commandline)), ret);
	}
	return hc_done(-ENOSYS, ret);
}

/*
 * Text goes to the VMM a piece at a time. For the rest the guest repeats the call: its SYSCALL, two
 * bytes long, with what is left as arguments. So nothing is remembered here, and whatever the guest
 * makes of its registers in between is another call of its own.
 */
enum lite_next hc_console_io(struct lite_vcpu *v, const u64 arg[5], u64 *ret)
{
	u64 len = arg[1], va = arg[2];
	u32 n;
	int err;

	if (arg[0] == CONSOLEIO_read)
		return hc_done(0, ret);
	if (arg[0] != CONSOLEIO_write)
		return hc_done(-ENOSYS, ret);
	if (!len)
		return hc_done(0, ret);
	if (v->tier == LITE_LIGHT)
		return LITE_FULL;
	if (!lite_va_ok(va, len))
		return hc_done(-EFAULT, ret);
	n = len < sizeof(v->exit.console.text) ? len : sizeof(v->exit.console.text);
	err = mmu_read(v, v->exit.console.text, va, n);
	if (err)
		return hc_done(err, ret);
	v->exit.console.len = n;
	v->exit.reason = LODGE_EXIT_CONSOLE;
	*ret = 0;
	if (n < len) {
		v->r.rip -= 2;
		v->r.rsi = len - n;
		v->r.rdx = va + n;
		*ret = __HYPERVISOR_console_io;
	}
	return LITE_EXIT;
}

enum lite_next hc_vm_assist(struct lite_vcpu *v, const u64 arg[5], u64 *ret)
{
	(void)v;
	(void)arg;
	/* Each of them only asks for what is so anyway, or does not concern a 64-bit guest. */
	return hc_done(0, ret);
}

static enum lite_next virtio_write(struct lite_vcpu *v, const u64 arg[5], u64 *ret)
{
	u64 device = arg[1], offset = arg[2], size = arg[4];

	if (size != 1 && size != 2 && size != 4 && size != 8)
		return hc_done(-EINVAL, ret);
	if (device >= LODGE_BUS_DEVICES || offset >= LITE_PAGE_SIZE || offset & (size - 1))
		return hc_done(-EINVAL, ret);
	if (v->tier == LITE_LIGHT)
		return LITE_FULL;
	v->exit.virtio.device = device;
	v->exit.virtio.offset = offset;
	v->exit.virtio.value = arg[3];
	v->exit.virtio.size = size;
	v->exit.virtio.pad = 0;
	v->exit.reason = LODGE_EXIT_VIRTIO;
	*ret = 0;
	return LITE_EXIT;
}

enum lite_next hc_lodge(struct lite_vcpu *v, const u64 arg[5], u64 *ret)
{
	switch (arg[0]) {
	case LODGE_HC_VERSION:
		return hc_done(LODGE_PV_VERSION, ret);
	case LODGE_HC_BUS:
		return hc_done(v->vm->bus_gpa ? (s64)v->vm->bus_gpa : -ENODEV, ret);
	case LODGE_HC_VIRTIO_WRITE:
		return virtio_write(v, arg, ret);
	case LODGE_HC_NOP:
		return hc_done(0, ret);
	}
	return hc_done(-ENOSYS, ret);
}
