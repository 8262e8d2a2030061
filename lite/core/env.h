/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The core's only seam to the outside. lite/linux implements it for the kernel, lite/user for unit
 * tests and fuzzers. The core calls nothing else but memcpy and its kin: it never sleeps, never
 * allocates, never prints. What it lacks (a page for shadow tables, a guest frame that is not
 * resident) it asks for by lite_vcpu.want and is called again.
 *
 * With env_*() marked "full", the core makes sure that it runs in the full tier: host IDT, host
 * interrupts on. The others are called in a light exit too, where the guest's IDT is loaded: no
 * page fault, no static key, no tracing there.
 */
#ifndef LITE_ENV_H
#define LITE_ENV_H

#ifdef __KERNEL__
#include <linux/errno.h>
#include <linux/stddef.h>
#include <linux/string.h>
#include <linux/types.h>
#else
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int32_t s32;
typedef int64_t s64;
#endif

struct lite_vm;
struct lite_vcpu;

/** env_tsc - the time stamp counter, ordered after what was read before */
u64 env_tsc(void);

/** env_cpuid - the processor's own answer, @out: eax ebx ecx edx */
void env_cpuid(u32 leaf, u32 sub, u32 out[4]);

/**
 * env_pkru_open - light only: if there is a PKRU, it denies nothing any more
 *
 * In the full tier PKRU is the host's, and so it is when the guest is entered from there.
 */
void env_pkru_open(void);

/** env_vcpu_kick - @v has something to look at: wake it, or make it leave the guest. Not light */
void env_vcpu_kick(struct lite_vcpu *v);

/** env_vcpu_leave - full: if @v is in the guest, it leaves soon. Does not wait for it */
void env_vcpu_leave(struct lite_vcpu *v);

/** env_port_send - full: the guest has sent on a port of the VMM's: signal its eventfd */
void env_port_send(struct lite_vm *vm, u32 port);

#endif
