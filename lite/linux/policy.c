// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whether this host will do, and in which ring guests' kernels run on it. Looked at once, when the
 * module is loaded; each refusal is one line in the log. No locks.
 */
#include <linux/cc_platform.h>
#include <linux/moduleparam.h>
#include <linux/printk.h>
#include <linux/string.h>
#include <asm/cpufeature.h>
#include <asm/processor.h>
#include <asm/special_insns.h>

#include "area.h"
#include "lite/abi/ring_policy.h"

/* CR4 bits that this kernel's headers may not know. */
#define CR4_CET	 (1ul << 23)
#define CR4_PKS	 (1ul << 24)
#define CR4_LASS (1ul << 27)
#define CR4_FRED (1ul << 32)

static bool allow_unisolated;
module_param(allow_unisolated, bool, 0444);
MODULE_PARM_DESC(allow_unisolated,
		 "ring 1 though this processor does not isolate it: trusted guests only");

static char *ring_param = "auto";
module_param_named(ring, ring_param, charp, 0444);
MODULE_PARM_DESC(ring, "of guests' kernels: 1, 3, or auto (default), by what isolates them here");

static unsigned int ring;
static u64 fast_bits;

unsigned int world_ring(void)
{
	return ring;
}

/* One line for an administrator, or NULL. */
static const char *refusal(void)
{
	unsigned long cr4 = __read_cr4();

	if (boot_cpu_has(X86_FEATURE_XENPV))
		return "this kernel is itself a paravirtual guest";
	if (!(cr4 & X86_CR4_FSGSBASE))
		return "the processor or the kernel lacks FSGSBASE";
	if (!boot_cpu_has(X86_FEATURE_NX))
		return "the processor lacks NX";
	if (cr4 & (CR4_CET | CR4_LASS | CR4_FRED | CR4_PKS))
		return "CET, LASS, FRED or PKS are on, which is not supported yet; "
		       "try ibt=off fred=off";
	if (cc_platform_has(CC_ATTR_MEM_ENCRYPT))
		return "memory encryption is on, which is not supported yet";
	return NULL;
}

/*
 * What the host's kernel does on its own entries because of what programs may have taught the
 * processor is for the switcher to do when a guest is left: it is no entry of the kernel's.
 */
static u64 speculation_needs(void)
{
	bool ibpb = false;
	u64 fast = 0;

	if (allow_unisolated)
		return 0;
#ifdef X86_FEATURE_KERNEL_IBRS
	if (boot_cpu_has(X86_FEATURE_KERNEL_IBRS))
		fast |= FAST_SPEC;
#endif
#ifdef X86_FEATURE_CLEAR_BHB_LOOP
	if (boot_cpu_has(X86_FEATURE_CLEAR_BHB_LOOP))
		fast |= FAST_BHB;
#endif
		/* The kernel has cheaper means against these, in its own text. */
#ifdef X86_FEATURE_UNRET
	ibpb |= boot_cpu_has(X86_FEATURE_UNRET);
#endif
#ifdef X86_FEATURE_ENTRY_IBPB
	ibpb |= boot_cpu_has(X86_FEATURE_ENTRY_IBPB);
#endif
#ifdef X86_FEATURE_SRSO
	ibpb |= boot_cpu_has(X86_FEATURE_SRSO);
#endif
#ifdef X86_FEATURE_SRSO_ALIAS
	ibpb |= boot_cpu_has(X86_FEATURE_SRSO_ALIAS);
#endif
	if (ibpb && boot_cpu_has(X86_FEATURE_IBPB))
		fast |= FAST_IBPB;
	return fast;
}

/* This processor leaks its buffers to less privileged code. */
static bool wants_verw(void)
{
	/* Where the host clears them on its way to programs, for whatever reason. */
#ifdef X86_FEATURE_CLEAR_CPU_BUF
	if (boot_cpu_has(X86_FEATURE_CLEAR_CPU_BUF))
		return true;
#endif
#ifdef X86_FEATURE_CLEAR_CPU_BUF_VM
	if (boot_cpu_has(X86_FEATURE_CLEAR_CPU_BUF_VM))
		return true;
#endif
	return boot_cpu_has(X86_FEATURE_MD_CLEAR) &&
	       (boot_cpu_has_bug(X86_BUG_MDS) || boot_cpu_has_bug(X86_BUG_TAA) ||
		boot_cpu_has_bug(X86_BUG_MMIO_STALE_DATA));
}

static u64 host_needs(void)
{
	u64 fast = speculation_needs();

	if (wants_verw())
		fast |= FAST_VERW;
	if (boot_cpu_has_bug(X86_BUG_SPECTRE_V2))
		fast |= FAST_RSB;
	if (boot_cpu_has(X86_FEATURE_SMAP))
		fast |= FAST_CLAC;
	if (boot_cpu_has(X86_FEATURE_OSPKE))
		fast |= FAST_PKU;
	return fast;
}

u64 policy_fast(void)
{
	return fast_bits;
}

static int ring_init(void)
{
	const struct ring_host host = {
		.meltdown = boot_cpu_has_bug(X86_BUG_CPU_MELTDOWN),
		.eibrs = boot_cpu_has(X86_FEATURE_IBRS_ENHANCED),
		.trusted = allow_unisolated,
	};
	enum ring_policy policy;
	const char *why;

	if (sysfs_streq(ring_param, "auto")) {
		policy = RING_AUTO;
	} else if (sysfs_streq(ring_param, "1")) {
		policy = RING_1;
	} else if (sysfs_streq(ring_param, "3")) {
		policy = RING_3;
	} else {
		pr_err("lodge: ring=%s: wants auto, 1 or 3\n", ring_param);
		return -EINVAL;
	}
	ring = ring_choose(policy, &host, &why);
	if (!ring) {
		pr_err("lodge: refused: ring=1: %s; take ring=3, or allow_unisolated=1 for trusted "
		       "guests\n",
		       why);
		return -ENODEV;
	}
	pr_info("lodge: guests' kernels run in ring %u: %s\n", ring, why);
	return 0;
}

int policy_init(void)
{
	const char *why = refusal();

	fast_bits = host_needs();
	if (!why)
		return ring_init();
	pr_err("lodge: refused: %s\n", why);
	return -ENODEV;
}
