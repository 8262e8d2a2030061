// SPDX-License-Identifier: GPL-2.0-only
/*
 * The MSRs of a guest's kernel: the segment bases, which are real; some that it looks at or writes
 * as it boots, which are constants; and no others.
 *
 * Called by emul.c, in the full tier, by the vCPU's thread. Nothing of the host's MSRs is read or
 * written here. Linux survives the #GP of an MSR that is not there.
 */
#include "trap.h"

#define MSR_TSC	      0x00000010
#define MSR_APIC_BASE 0x0000001b
#define MSR_FS_BASE   0xc0000100
#define MSR_GS_BASE   0xc0000101
#define MSR_KERNEL_GS 0xc0000102

#define APIC_ENABLED 0xfee00800
#define APIC_BOOT    0x100 /* the boot processor */

/* Reads as .val. A write is taken and forgotten with .drop, else it is #GP. */
struct msr_const {
	u32 msr;
	bool drop;
	u64 val;
};

static const struct msr_const constant[] = {
	{ 0x00000017, false, 0 },   /* PLATFORM_ID */
	{ MSR_APIC_BASE, true, 0 }, /* msr_read() */
	{ 0x0000003a, false, 1 },   /* FEAT_CTL: locked, nothing on */
	{ 0x00000079, true, 0 },    /* microcode update */
	{ 0x0000008b, true, 0 },    /* microcode level */
	{ 0x000000ce, false, 0 },   /* PLATFORM_INFO */
	{ 0x00000140, false, 0 },   /* MISC_FEATURES_ENABLES */
	{ 0x00000174, true, 0 },    /* SYSENTER_CS, _ESP, _EIP */
	{ 0x00000175, true, 0 },
	{ 0x00000176, true, 0 },
	{ 0x000001a0, true, 0x1801 }, /* MISC_ENABLE: fast strings; no BTS, no PEBS */
	{ 0x000001d9, true, 0 },      /* DEBUGCTL */
	{ 0x00000277, true, 0x0007040600070406ull }, /* PAT: as after reset */
	{ 0xc0000080, true, 0xd01 },		     /* EFER: SCE LME LMA NX */
	{ 0xc0000081, true, 0 }, /* STAR, LSTAR, CSTAR, SFMASK: callbacks instead */
	{ 0xc0000082, true, 0 },
	{ 0xc0000083, true, 0 },
	{ 0xc0000084, true, 0 },
	{ 0xc0000103, true, 0 },	  /* TSC_AUX */
	{ 0xc0010015, true, 0x01000000 }, /* HWCR of AMD: the TSC runs at the rated frequency */
};

static const struct msr_const *msr_const(u32 msr)
{
	size_t i;

	for (i = 0; i < sizeof(constant) / sizeof(constant[0]); i++)
		if (constant[i].msr == msr)
			return &constant[i];
	return NULL;
}

/* The base that @msr stands for; GS and KERNEL_GS as in the current mode. */
static u64 *msr_base(struct lite_vcpu *v, u32 msr)
{
	switch (msr) {
	case MSR_FS_BASE:
		return &v->fs_base;
	case MSR_GS_BASE:
		return &v->gs_base;
	case MSR_KERNEL_GS:
		return &v->gs_other;
	default:
		return NULL;
	}
}

int msr_read(struct lite_vcpu *v, u32 msr, u64 *val)
{
	const struct msr_const *c = msr_const(msr);
	const u64 *base = msr_base(v, msr);

	if (base)
		*val = *base;
	else if (msr == MSR_APIC_BASE)
		*val = APIC_ENABLED | (v->id ? 0 : APIC_BOOT);
	else if (msr == MSR_TSC)
		*val = env_tsc();
	else if (c)
		*val = c->val;
	else
		return -EINVAL;
	return 0;
}

int msr_write(struct lite_vcpu *v, u32 msr, u64 val)
{
	const struct msr_const *c = msr_const(msr);
	u64 *base = msr_base(v, msr);

	if (base && lite_va_canonical(val))
		*base = val;
	else if (base || !c || !c->drop)
		return -EINVAL;
	return 0;
}
