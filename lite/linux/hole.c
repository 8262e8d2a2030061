// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a VM and its vCPUs have in the hole, besides the switcher's area of the processor that a
 * vCPU is on (world.c): the M2P, the guest's memory (ram.c), the vcpu_info, and the upper tables
 * that lead there. Process context, when a VM or vCPU is made or goes.
 */
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/vmalloc.h>
#include <asm/cpufeature.h>
#include <asm/fpu/xcr.h>
#include <asm/special_insns.h>

#include "area.h"
#include "ring.h"

int world_vm_init(struct lite_vm *vm, struct world_vm *w)
{
	w->m2p_p2 = area_table_alloc();
	if (!w->m2p_p2)
		return -ENOMEM;
	vm->dmap = PAGE_OFFSET;
	vm->hole_va = area_hole_va();
	vm->phys_bits = boot_cpu_data.x86_phys_bits;
	vm->mmu.none = area_none();
	vm->ring = world_ring();
	vm->has_smap = vm->ring == 1 && __read_cr4() & X86_CR4_SMAP;
	/* x87, SSE, AVX, AVX-512: what needs no other control bits or MSRs */
	vm->xcr0 = boot_cpu_has(X86_FEATURE_OSXSAVE) ? xgetbv(XCR_XFEATURE_ENABLED_MASK) & 0xe7 : 0;
	return 0;
}

void world_vm_fini(struct lite_vm *vm, struct world_vm *w)
{
	area_table_free(w->m2p_p2, 2);
	w->m2p_p2 = NULL;
	world_ram_fini(w);
}

int world_vm_start(struct lite_vm *vm, struct world_vm *w)
{
	u64 off, len = PAGE_ALIGN(vm->frames * sizeof(u64));
	u64 flags = AREA_RODATA | (ring_two_roots(vm) ? _PAGE_USER : 0);

	if (len > PUD_SIZE)
		return -E2BIG;
	for (off = 0; off < len; off += PAGE_SIZE) {
		u64 pfn = vmalloc_to_pfn((u8 *)vm->m2p + off);

		if (area_map_page(w->m2p_p2, off, __va(pfn << PAGE_SHIFT), flags))
			return -ENOMEM;
	}
	if (world_ram_init(w, vm->frames))
		return -ENOMEM;
	/* Where SGDT comes to us, and its result could be read. */
	if (w->ram_frames && !ring_two_roots(vm) && __read_cr4() & X86_CR4_UMIP)
		vm->ram_va = area_ram_va();
	return 0;
}

/* @flags: of what leads to the hole. All in it is a supervisor's, but for the kernel's M2P. */
static int root_init(struct world_root *r, u64 flags, unsigned int pairs)
{
	unsigned int i;

	r->p3 = area_table_alloc();
	if (!r->p3)
		return -ENOMEM;
	if (world_levels() == 4)
		return 0;
	r->p4 = area_table_alloc();
	if (!r->p4)
		return -ENOMEM;
	r->p4[0] = __pa(r->p3) | flags;
	for (i = 0; i < pairs; i++) {
		r->p5[i] = area_table_alloc();
		if (!r->p5[i])
			return -ENOMEM;
		r->p5[i][256] = __pa(r->p4) | flags;
	}
	return 0;
}

static void root_fini(struct world_root *r)
{
	unsigned int i;

	free_page((unsigned long)r->p3);
	free_page((unsigned long)r->p4);
	for (i = 0; i < LITE_BASES; i++)
		free_page((unsigned long)r->p5[i]);
}

int world_vcpu_init(struct lite_vcpu *v, struct world_vcpu *w, struct world_vm *vm)
{
	bool two = ring_two_roots(v->vm);
	u64 kernel_flags = two ? AREA_TABLE_USER : AREA_DATA_EXEC;
	unsigned int pairs = v->vm->alone ? LITE_BASES : 1;

	w->cpu = w->last_cpu = w->msr_cpu = -1;
	w->vm = vm;
	w->vi_p2 = area_table_alloc();
	w->vi_pt = area_table_alloc();
	if (!w->vi_p2 || !w->vi_pt)
		return -ENOMEM; /* world_vcpu_fini() frees what there is */
	w->vi_p2[0] = __pa(w->vi_pt) | AREA_DATA_EXEC;
	if (root_init(&w->kernel, kernel_flags, pairs) ||
	    (two && root_init(&w->user, AREA_DATA_EXEC, pairs)))
		return -ENOMEM;
	/* Not for the programs' root: with Meltdown they could read what is there. */
	w->kernel.p3[AREA_VI_P3] = __pa(w->vi_p2) | AREA_DATA_EXEC;
	w->kernel.p3[AREA_M2P_P3] = __pa(vm->m2p_p2) | kernel_flags;
	if (world_levels() == 4) {
		v->vm->mmu.hyp_pa[v->id] = __pa(w->kernel.p3);
		v->vm->mmu.hyp_pa[LITE_VCPUS_MAX + v->id] = two ? __pa(w->user.p3) : 0;
	}
	v->changed = LITE_CH_ALL;
	return 0;
}

void world_vcpu_fini(struct lite_vcpu *v, struct world_vcpu *w)
{
	area_forget(v);
	root_fini(&w->kernel);
	root_fini(&w->user);
	free_page((unsigned long)w->vi_p2);
	free_page((unsigned long)w->vi_pt);
	*w = (struct world_vcpu){ .cpu = -1, .msr_cpu = -1 };
}
