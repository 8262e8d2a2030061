/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The world switch as the rest of the module sees it. world.c owns everything that is per processor
 * and the pages of the hypervisor's hole; it knows nothing of files, ioctls and sleeping.
 */
#ifndef LITE_WORLD_H
#define LITE_WORLD_H

#include <linux/mm_types.h>
#include <linux/preempt.h>

#include "lite.h"

#define WORLD_RAM_P2 253 /* tables of 1 GiB each */

/**
 * struct world_vm - the VM's part of the hole
 * @m2p_p2:	tables that map the M2P
 * @ram_p2:	tables that map the guest's memory, writable, as it becomes resident: its own memory
 *		by another address, for the switcher to write the guest's page tables
 * @ram_frames: of it, from frame 0 on; 0: none of that
 */
struct world_vm {
	u64 *m2p_p2;
	u64 *ram_p2[WORLD_RAM_P2];
	u64 ram_frames;
};

/**
 * struct world_root - what a vCPU's roots of one view have of ours
 * @p3:	      the hole
 * @p5, @p4:  with 5 levels: the roots that the processor gets, what they have in the hole's slot
 */
struct world_root {
	u64 *p3, *p4, *p5[LITE_BASES];
};

/**
 * struct world_vcpu - a vCPU's own pages and its place
 * @vm:	      the VM's
 * @kernel:   of its kernel's root; with one root that is all
 * @user:     with two, of its programs': of the hole, only what the switcher needs itself
 * @vi_pt:    maps the guest's vcpu_info for the switcher
 * @cpu:      where it is in the guest, or -1. Pairs with @kick: each side writes its own, then
 *	      reads the other's
 * @last_cpu: whose switcher area has this vCPU's constants
 * @msr_cpu:  where the guest's syscall MSRs are loaded, or -1
 */
struct world_vcpu {
	const struct world_vm *vm;
	struct world_root kernel, user;
	u64 *vi_p2, *vi_pt;
	int cpu;
	u32 kick;
	int last_cpu;
	int msr_cpu;
	u64 msr[4];
	bool notified;
	struct preempt_notifier notifier;
};

/** world_init - areas of all processors; one line in the log and -errno on hosts that won't do */
int world_init(void);
void world_exit(void);

/** world_mm_enter - give the switcher its slot in @mm's page tables; -EBUSY: it is taken */
int world_mm_enter(struct mm_struct *mm);
void world_mm_leave(struct mm_struct *mm);

/** world_vm_init - what vm has of this machine: dmap, hole_va, phys_bits, xcr0, has_smap, ring */
int world_vm_init(struct lite_vm *vm, struct world_vm *w);
void world_vm_fini(struct lite_vm *vm, struct world_vm *w);

/** world_vm_start - map vm->m2p, which is vmalloc()ed and page aligned in size */
int world_vm_start(struct lite_vm *vm, struct world_vm *w);

/**
 * world_ram_map - frame @gfn of RAM is resident, at @pa; the caller keeps others of the VM out
 *
 * Without memory for a table it stays as it is: the switcher then leaves such tables to the core.
 */
void world_ram_map(struct world_vm *w, u64 gfn, u64 pa);

/** world_vcpu_init - after lite_vcpu_init(); sets vm->mmu.hyp_pa */
int world_vcpu_init(struct lite_vcpu *v, struct world_vcpu *w, struct world_vm *vm);
void world_vcpu_fini(struct lite_vcpu *v, struct world_vcpu *w);

/**
 * world_enter - run the guest until something needs the full tier
 * @next: set when 2 is returned
 *
 * Preemption and interrupts on; mmu_root() was called. Interrupts, NMIs and machine checks are the
 * host's again when it returns.
 *
 * Return: 0: call lite_handle() in the full tier. 1: nothing to handle, lite_prepare(). 2: a light
 * exit has handled it and says *@next.
 */
int world_enter(struct lite_vcpu *v, struct world_vcpu *w, enum lite_next *next);

/** world_put - before the vCPU's thread returns to user space */
void world_put(struct world_vcpu *w);

/** world_kick - make world_enter() return, now or when it is called next. Any context */
void world_kick(struct world_vcpu *w);

/** world_leave - if it is in the guest now, it leaves soon; nothing is remembered. Any context */
void world_leave(struct world_vcpu *w);

/** world_levels - of the host's page tables; world_ring - of guests' kernels */
unsigned int world_levels(void);
unsigned int world_ring(void);

#endif
