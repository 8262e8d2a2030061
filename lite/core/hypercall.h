/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Hypercalls: the dispatcher, and what its files offer each other. All run on the vCPU's own
 * thread, in either tier.
 *
 * A handler that returns LITE_FULL or LITE_WANT is called again with the same arguments, so it does
 * nothing before it that may not be done twice: first all of the guest's memory that it needs, then
 * the effect. Batches note the entries they have done in v->batch_done.
 */
#ifndef LITE_HYPERCALL_H
#define LITE_HYPERCALL_H

#include "lite.h"

#define HC_BATCH_MAX	4096 /* entries of a multicall, mmu_update or mmuext_op; more: -EINVAL */
#define HC_BUDGET_LIGHT 128  /* entries done in one light exit, then the full tier goes on */
#define HC_BUDGET_FULL	1024 /* and in one go there, where preemption is off */

/**
 * hypercall - serve hypercall @nr of the guest's kernel with the registers' values @arg
 *
 * *@ret is RAX's new value, valid with LITE_RESUME, LITE_BLOCK and LITE_EXIT. iret is not served
 * here (-ENOSYS). A hypercall that has to go on after LITE_EXIT winds v->r.rip back to its SYSCALL
 * and changes the argument registers; *@ret is then its number.
 */
enum lite_next hypercall(struct lite_vcpu *v, u64 nr, const u64 arg[5], u64 *ret);

/** hc_done - what an error of mmu_*(), or of the guest's, makes of a hypercall */
static inline enum lite_next hc_done(s64 err, u64 *ret)
{
	if (err == -EAGAIN)
		return LITE_WANT;
	if (err == -EBUSY)
		return LITE_FULL;
	*ret = (u64)err;
	return LITE_RESUME;
}

/** hc_spend - one entry of a batch; LITE_RESUME: do it; else return that, to be called again */
enum lite_next hc_spend(struct lite_vcpu *v);

/** hc_frame - frame @gfn for writing by us: -EINVAL if absent or read-only, -EAGAIN */
int hc_frame(struct lite_vcpu *v, u64 gfn, void **out);

/* Handlers; as hypercall(). */
/* hc_mmu.c */
enum lite_next hc_mmu_update(struct lite_vcpu *v, const u64 arg[5], u64 *ret);
enum lite_next hc_update_va_mapping(struct lite_vcpu *v, const u64 arg[5], u64 *ret);
enum lite_next hc_mmuext_op(struct lite_vcpu *v, const u64 arg[5], u64 *ret);
/* hc_memory.c */
enum lite_next hc_memory_op(struct lite_vcpu *v, const u64 arg[5], u64 *ret);
/* hc_desc.c */
enum lite_next hc_set_trap_table(struct lite_vcpu *v, const u64 arg[5], u64 *ret);
enum lite_next hc_callback_op(struct lite_vcpu *v, const u64 arg[5], u64 *ret);
enum lite_next hc_set_gdt(struct lite_vcpu *v, const u64 arg[5], u64 *ret);
enum lite_next hc_update_descriptor(struct lite_vcpu *v, const u64 arg[5], u64 *ret);
/* hc_cpu.c */
enum lite_next hc_stack_switch(struct lite_vcpu *v, const u64 arg[5], u64 *ret);
enum lite_next hc_set_segment_base(struct lite_vcpu *v, const u64 arg[5], u64 *ret);
enum lite_next hc_set_debugreg(struct lite_vcpu *v, const u64 arg[5], u64 *ret);
enum lite_next hc_get_debugreg(struct lite_vcpu *v, const u64 arg[5], u64 *ret);
enum lite_next hc_fpu_taskswitch(struct lite_vcpu *v, const u64 arg[5], u64 *ret);
enum lite_next hc_physdev_op(struct lite_vcpu *v, const u64 arg[5], u64 *ret);
/* hc_sys.c */
enum lite_next hc_xen_version(struct lite_vcpu *v, const u64 arg[5], u64 *ret);
enum lite_next hc_console_io(struct lite_vcpu *v, const u64 arg[5], u64 *ret);
enum lite_next hc_vm_assist(struct lite_vcpu *v, const u64 arg[5], u64 *ret);
enum lite_next hc_lodge(struct lite_vcpu *v, const u64 arg[5], u64 *ret);
/* hc_event.c */
enum lite_next hc_event_channel_op(struct lite_vcpu *v, const u64 arg[5], u64 *ret);
/* sched.c */
enum lite_next hc_sched_op(struct lite_vcpu *v, const u64 arg[5], u64 *ret);
enum lite_next hc_set_timer_op(struct lite_vcpu *v, const u64 arg[5], u64 *ret);
/* hc_vcpu.c */
enum lite_next hc_vcpu_op(struct lite_vcpu *v, const u64 arg[5], u64 *ret);

/** vcpu_initialise - VCPUOP_initialise of @to by @v; full tier. 0 or -errno, -EAGAIN among them */
int vcpu_initialise(struct lite_vcpu *v, struct lite_vcpu *to, u64 va);

/**
 * gdt_set - @to's GDT is @entries in frames @gfn, which are the guest's
 *
 * @to is @v or parked. 0, or -EAGAIN and nothing has changed.
 */
int gdt_set(struct lite_vcpu *v, struct lite_vcpu *to, const u64 *gfn, u64 entries);

/**
 * debugreg_set, debugreg_get - DR0..DR3, DR6, DR7 as the guest's kernel sees them
 *
 * Breakpoints lie outside of the hypervisor's addresses; none on I/O; no general detect.
 * Return: 0 or -EINVAL.
 */
int debugreg_set(struct lite_vcpu *v, u64 reg, u64 val);
int debugreg_get(const struct lite_vcpu *v, u64 reg, u64 *val);

/* ldt.c */

/* Of segment descriptors. */
#define DESC_ACCESSED (1ull << 40)
#define DESC_READABLE (1ull << 41) /* of code; of data: writable */
#define DESC_CODE     (1ull << 43)
#define DESC_NORMAL   (1ull << 44) /* code or data, not a system descriptor */
#define DESC_DPL3     (3ull << 45)
#define DESC_PRESENT  (1ull << 47)
#define DESC_LONG     (1ull << 53) /* 64-bit code */
#define DESC_32BIT    (1ull << 54)
#define DESC_PAGES    (1ull << 55) /* what the limit counts */

/** ldt_set - SET_LDT: @entries at @va. Full tier. 0 or -errno, -EAGAIN among them */
int ldt_set(struct lite_vcpu *v, u64 va, u64 entries);

/** segment_desc - the descriptor that ring 3 gets for @sel, 0: none; segment_base - its base */
u64 segment_desc(const struct lite_vcpu *v, u16 sel);
u64 segment_base(const struct lite_vcpu *v, u16 sel);

/**
 * segments_check - after a change of descriptors: DS to GS that cannot be loaded become null
 *
 * GS and its base are user mode's: called for the guest's kernel.
 */
void segments_check(struct lite_vcpu *v);

/**
 * user_code_check, user_stack_check - the fault that iretq would meet in the switcher
 *
 * Return: 0; TRAP_GP, TRAP_NP or TRAP_SS, with the selector as error code; USER_BEYOND: #GP(0),
 * since @rip is outside of the segment. Whether @rip is canonical is not looked at.
 */
#define USER_BEYOND (-1)
int user_code_check(const struct lite_vcpu *v, u16 cs, u64 rip);
int user_stack_check(const struct lite_vcpu *v, u16 ss);

#endif
