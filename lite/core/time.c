// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guest time: ns since vm->tsc0, by the same scaling that the guest applies to the same counter, so
 * that its clock and our timers agree to the nanosecond. Any context.
 */
#include "lite.h"
#include "vsched.h"

#include <xen/xen.h>

u64 lite_time_now(const struct lite_vm *vm)
{
	u64 tsc = env_tsc(), delta = tsc > vm->tsc0 ? tsc - vm->tsc0 : 0;

	if (vm->tsc_shift < 0)
		delta >>= -vm->tsc_shift;
	else
		delta <<= vm->tsc_shift;
	return (u64)((unsigned __int128)delta * vm->tsc_mul >> 32);
}

/* An odd version tells the guest that what follows is being changed. */
static void clock_publish(const struct lite_vm *vm, struct vcpu_time_info *t)
{
	__atomic_store_n(&t->version, 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	t->tsc_timestamp = vm->tsc0;
	t->system_time = 0;
	t->tsc_to_system_mul = vm->tsc_mul;
	t->tsc_shift = vm->tsc_shift;
	t->flags = XEN_PVCLOCK_TSC_STABLE_BIT;
	__atomic_store_n(&t->version, 2, __ATOMIC_RELEASE);
}

void time_publish(struct lite_vm *vm)
{
	struct shared_info *s = vm->shared;
	u32 i;

	for (i = 0; i < XEN_LEGACY_MAX_VCPUS; i++)
		clock_publish(vm, &s->vcpu_info[i].time);
	__atomic_store_n(&s->wc_version, 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	s->wc_sec = vm->wall_sec;
	s->wc_sec_hi = vm->wall_sec >> 32;
	s->wc_nsec = vm->wall_nsec;
	__atomic_store_n(&s->wc_version, 2, __ATOMIC_RELEASE);
}
