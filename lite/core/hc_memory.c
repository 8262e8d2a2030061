// SPDX-License-Identifier: GPL-2.0-only
/*
 * memory_op. A guest's memory is its slots, once and for all: frames that it gives back are not
 * taken (it only may not expect to get others for them). Its map is one piece of RAM, [0, frames);
 * without it Linux would make one up that is 8 MiB longer. Called from the dispatcher, in either
 * tier.
 */
#include "hypercall.h"

#include <xen/xen.h>

#include <xen/memory.h>

static int machphys_mapping(struct lite_vcpu *v, u64 va)
{
	struct xen_machphys_mapping m = {
		.v_start = v->vm->hole_va,
		.v_end = v->vm->hole_va + v->vm->frames * sizeof(u64),
		.max_mfn = v->vm->frames - 1,
	};

	return mmu_write(v, va, &m, sizeof(m));
}

/* An entry of the BIOS's e820 map, which is what the guest's buffer is an array of. */
struct map_entry {
	u64 addr, size;
	u32 type;
} __attribute__((packed));

#define MAP_RAM 1

static int memory_map(struct lite_vcpu *v, u64 va)
{
	struct map_entry ram = { .size = v->vm->frames * LITE_PAGE_SIZE, .type = MAP_RAM };
	struct xen_memory_map map;
	int err = mmu_read(v, &map, va, sizeof(map));

	if (err)
		return err;
	if (!map.nr_entries)
		return -EINVAL;
	map.nr_entries = 1;
	err = mmu_write(v, (u64)map.buffer.p, &ram, sizeof(ram));
	return err ? err : mmu_write(v, va, &map, sizeof(map));
}

/* Return: extents given or taken, which the guest compares with what it has asked for. */
static s64 reservation(struct lite_vcpu *v, u64 va, bool decrease)
{
	struct xen_memory_reservation r;
	int err = mmu_read(v, &r, va, sizeof(r));

	if (err)
		return err;
	if (r.domid != DOMID_SELF)
		return -EPERM;
	if (r.extent_order > 9 || r.nr_extents > v->vm->frames >> r.extent_order)
		return -EINVAL;
	return decrease ? (s64)r.nr_extents : 0;
}

static s64 domain_frames(struct lite_vcpu *v, u64 va)
{
	domid_t dom;
	int err = mmu_read(v, &dom, va, sizeof(dom));

	if (err)
		return err;
	return dom == DOMID_SELF ? (s64)v->vm->frames : -EPERM;
}

enum lite_next hc_memory_op(struct lite_vcpu *v, const u64 arg[5], u64 *ret)
{
	switch (arg[0]) {
	case XENMEM_machphys_mapping:
		return hc_done(machphys_mapping(v, arg[1]), ret);
	case XENMEM_memory_map:
		return hc_done(memory_map(v, arg[1]), ret);
	case XENMEM_maximum_reservation:
	case XENMEM_current_reservation:
		return hc_done(domain_frames(v, arg[1]), ret);
	case XENMEM_maximum_ram_page:
		return hc_done((s64)v->vm->frames - 1, ret);
	case XENMEM_decrease_reservation:
		return hc_done(reservation(v, arg[1], true), ret);
	case XENMEM_populate_physmap:
		return hc_done(reservation(v, arg[1], false), ret);
	}
	return hc_done(-ENOSYS, ret);
}
