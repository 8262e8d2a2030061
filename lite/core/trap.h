/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Traps of the guest, and what its kernel does that ring 1 may not: the entry points between the
 * files trap.c, iret.c, emul.c, msr.c and cpuid.c.
 *
 * All of them belong to the vCPU's thread. A function that returns LITE_WANT or LITE_FULL has
 * changed nothing: the exit is served again from its beginning.
 */
#ifndef LITE_TRAP_H
#define LITE_TRAP_H

#include "lite.h"

#include <xen/xen.h>

/*
 * lite_regs.vec of an exit that has been served, except for what lite_prepare() still has to do.
 * The world switch never makes it.
 */
#define LITE_VEC_SERVED 0x1ff

#define TRAP_DB	   1
#define TRAP_UD	   6
#define TRAP_DF	   8
#define TRAP_TS	   10
#define TRAP_NP	   11
#define TRAP_SS	   12
#define TRAP_GP	   13
#define TRAP_PF	   14
#define TRAP_AC	   17
#define TRAP_INT80 0x80

/* Error codes of #PF: an entry was there; a program's access; a protection key */
#define PF_P 0x01ull
#define PF_U 0x04ull
#define PF_K 0x20ull

#define FLAG_RF 0x10000ull
#define FLAG_IF 0x200ull
#define FLAG_AC 0x40000ull
/* RFLAGS that a guest may have: CF PF AF ZF SF TF DF OF NT RF AC ID; and what is always there. */
#define FLAGS_GUEST 0x254dd5ull
#define FLAGS_SET   0x202ull

/* The error code of a fault that `int @n` met in the IDT. */
#define GP_IDT(n) ((u64)(n)*8 + 2)

/**
 * trap_inject - hand trap @vec to the guest's kernel, as Xen's 64-bit PV ABI frames it
 *
 * Without a handler the guest gets #GP for @vec instead; without a handler for that it dies.
 */
enum lite_next trap_inject(struct lite_vcpu *v, unsigned int vec, bool has_err, u64 err);

/** trap_inject_at - the same, with @rip as the interrupted instruction (int n: the next one) */
enum lite_next trap_inject_at(struct lite_vcpu *v, unsigned int vec, u64 rip, bool has_err,
			      u64 err);

/** trap_error - what an error of mmu_*() means to an exit: LITE_WANT, LITE_FULL; else it kills */
enum lite_next trap_error(struct lite_vcpu *v, int error, const char *why);

/** iret_hypercall - HYPERVISOR_iret: the frame at the guest's RSP. Not from inside a multicall */
enum lite_next iret_hypercall(struct lite_vcpu *v);

/** iret_native - the guest's kernel, in ring 3, executes IRETQ to itself; false: it does not */
enum lite_next iret_native(struct lite_vcpu *v, bool *done);

/** emul_gp - #GP: a privileged instruction, port I/O, int n; or the guest's own fault. Full tier */
enum lite_next emul_gp(struct lite_vcpu *v);

/** msr_read, msr_write - the guest's view of an MSR; -EINVAL is its #GP */
int msr_read(struct lite_vcpu *v, u32 msr, u64 *val);
int msr_write(struct lite_vcpu *v, u32 msr, u64 val);

/** cpuid_guest - what CPUID tells the guest's kernel; @out: eax ebx ecx edx */
void cpuid_guest(const struct lite_vcpu *v, u32 leaf, u32 sub, u32 out[4]);

/** cpuid_xcr0 - state components that the guest is told of */
u64 cpuid_xcr0(const struct lite_vm *vm);

/* vcpu_info lies in guest memory: every access is one load or store, and nothing is believed. */
static inline bool vi_masked(const struct lite_vcpu *v)
{
	return __atomic_load_n(&v->vi->evtchn_upcall_mask, __ATOMIC_RELAXED);
}

static inline bool vi_pending(const struct lite_vcpu *v)
{
	return __atomic_load_n(&v->vi->evtchn_upcall_pending, __ATOMIC_ACQUIRE);
}

static inline void vi_mask_set(struct lite_vcpu *v, bool mask)
{
	__atomic_store_n(&v->vi->evtchn_upcall_mask, mask, __ATOMIC_RELAXED);
}

#endif
