// SPDX-License-Identifier: GPL-2.0-only
/*
 * The core's seam, for the kernel. env_tsc() and env_cpuid() are called in light exits
 * too, where nothing may fault, trace or meet a static key.
 */
#include <linux/ktime.h>
#include <linux/math64.h>
#include <asm/processor.h>
#include <asm/special_insns.h>
#include <asm/tsc.h>

#include "vm.h"

u64 env_tsc(void)
{
	return rdtsc_ordered();
}

void env_cpuid(u32 leaf, u32 sub, u32 out[4])
{
	out[0] = leaf;
	out[2] = sub;
	/* Not cpuid(): that is a paravirtual operation. */
	native_cpuid(&out[0], &out[1], &out[2], &out[3]);
}

void env_pkru_open(void)
{
	/* Not cpu_feature_enabled(), which is patched into the text. */
	if (boot_cpu_has(X86_FEATURE_OSPKE))
		wrpkru(0);
}

void env_vcpu_kick(struct lite_vcpu *v)
{
	struct lodge_vcpu *vc = to_lodge_vcpu(v);

	/*
	 * Orders what the caller has made pending before the look at @waiting; pairs with
	 * vcpu_wait()'s.
	 */
	smp_mb();
	if (READ_ONCE(vc->waiting))
		wake_up(&vc->wait);
	else
		world_kick(&vc->w);
}

void env_vcpu_leave(struct lite_vcpu *v)
{
	world_leave(&to_lodge_vcpu(v)->w);
}

void env_port_send(struct lite_vm *vm, u32 port)
{
	struct lodge_vm *lv = to_lodge_vm(vm);
	struct eventfd_ctx *ctx;

	if (port >= LODGE_PORTS_MAX)
		return;
	rcu_read_lock();
	ctx = rcu_dereference(lv->out[port]);
	if (ctx)
		eventfd_signal(ctx, 1);
	rcu_read_unlock();
}

/*
 * The multiplier and shift of Xen's and KVM's clock page: ns = (ticks << shift) * mul >> 32, with
 * the frequency brought into (1 GHz, 2 GHz] so that @mul has all its bits.
 */
void lodge_clock_init(struct lite_vm *vm)
{
	struct timespec64 ts;
	u64 hz = (u64)tsc_khz * 1000;
	s32 shift = 0;

	while (hz > 2000000000ull) {
		hz >>= 1;
		shift--;
	}
	while (hz <= 1000000000ull) {
		hz <<= 1;
		shift++;
	}
	vm->tsc_mul = div64_u64(1000000000ull << 32, hz);
	vm->tsc_shift = shift;
	vm->tsc0 = env_tsc();
	ktime_get_real_ts64(&ts);
	vm->wall_sec = ts.tv_sec;
	vm->wall_nsec = ts.tv_nsec;
}
