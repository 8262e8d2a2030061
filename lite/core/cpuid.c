// SPDX-License-Identifier: GPL-2.0-only
/*
 * CPUID as a guest's kernel sees it (by Xen's forced emulation; user programs get the processor's).
 *
 * Called by trap.c, by the vCPU's thread. A leaf is the processor's answer under the mask of its
 * row below, then with the row's bits set. What has no row is zero: a feature of a future processor
 * is hidden until somebody has thought about it. Hidden is what ring 1 cannot use or must not rely
 * on (paging features, MSRs, the local APIC's timer, mitigations by MSR writes, which are the
 * host's business), and what the host's processor tells of its neighbours: the guest has its own.
 */
#include "trap.h"

#define ALL	0xffffffffu
#define FEAT(n) (1u << (n))

#define LEAF_XEN     0x40000000u
#define LEAF_XSAVE   0xdu
#define XCR0_FP	     0x1ull
#define XCR0_SSE     0x2ull
#define XCR0_YMM     0x4ull
#define XCR0_ZMM     0xe0ull
#define XCR0_KNOWN   (XCR0_FP | XCR0_SSE | XCR0_YMM | XCR0_ZMM)
#define XSAVE_LEGACY 576 /* bytes of x87 and SSE state, with the header */

#define SUB_ANY ALL

struct cpuid_row {
	u32 leaf, sub;
	u32 mask[4]; /* eax ebx ecx edx */
	u32 set[4];
};

/* Leaf 1. edx: no VME, PSE, MCE, MTRR, PGE, MCA, PSE36, PSN, DS, ACPI, HTT, TM, PBE. */
#define L1_EDX                                                                                 \
	~(FEAT(1) | FEAT(3) | FEAT(7) | FEAT(12) | FEAT(13) | FEAT(14) | FEAT(17) | FEAT(18) | \
	  FEAT(21) | FEAT(22) | FEAT(28) | FEAT(29) | FEAT(31))
/*
 * ecx: no DTES64, MONITOR, DS-CPL, VMX, SMX, EIST, TM2, CNXT-ID, SDBG, xTPR, PDCM, PCID, DCA,
 * x2APIC, TSC deadline; XSAVE, OSXSAVE and AVX as XCR0 allows: cpuid_features().
 */
#define L1_ECX                                                                             \
	~(FEAT(2) | FEAT(3) | FEAT(4) | FEAT(5) | FEAT(6) | FEAT(7) | FEAT(8) | FEAT(10) | \
	  FEAT(11) | FEAT(14) | FEAT(15) | FEAT(17) | FEAT(18) | FEAT(21) | FEAT(24) | FEAT(27))
#define L1_XSAVE      (FEAT(26) | FEAT(27))
#define L1_OSXSAVE    FEAT(27)
#define L1_AVX	      (FEAT(12) | FEAT(28) | FEAT(29)) /* FMA, AVX, F16C */
#define L1_HYPERVISOR FEAT(31)
#define L1_HTT	      FEAT(28)

/* Leaf 7. ebx: FSGSBASE BMI1 AVX2 FDP BMI2 ERMS FPCSDS AVX512F DQ RDSEED ADX IFMA CLFLUSHOPT CLWB
 * AVX512PF ER CD SHA BW VL. Not SMEP, SMAP, INVPCID, TSX, MPX, RDT, PT, SGX, TSC_ADJUST. */
#define L7_EBX                                                                                   \
	(FEAT(0) | FEAT(3) | FEAT(5) | FEAT(6) | FEAT(8) | FEAT(9) | FEAT(13) | FEAT(16) |       \
	 FEAT(17) | FEAT(18) | FEAT(19) | FEAT(21) | FEAT(23) | FEAT(24) | FEAT(26) | FEAT(27) | \
	 FEAT(28) | FEAT(29) | FEAT(30) | FEAT(31))
#define L7_EBX_AVX2 FEAT(5)
#define L7_EBX_AVX512 \
	(FEAT(16) | FEAT(17) | FEAT(21) | FEAT(26) | FEAT(27) | FEAT(28) | FEAT(30) | FEAT(31))
/* ecx: VBMI VBMI2 GFNI VAES VPCLMUL VNNI BITALG VPOPCNTDQ CLDEMOTE MOVDIRI MOVDIR64B. UMIP if the
 * host has it on, so that the guest's kernel serves programs that meet it. Not PKU, WAITPKG, CET,
 * LA57, RDPID (TSC_AUX is the host's), bus locks, ENQCMD. */
#define L7_ECX_AVX    (FEAT(9) | FEAT(10))
#define L7_ECX_AVX512 (FEAT(1) | FEAT(6) | FEAT(11) | FEAT(12) | FEAT(14))
#define L7_ECX_UMIP   FEAT(2)
#define L7_ECX_OTHER  (FEAT(8) | FEAT(25) | FEAT(27) | FEAT(28))
#define L7_ECX	      (L7_ECX_AVX | L7_ECX_AVX512 | L7_ECX_UMIP | L7_ECX_OTHER)
/* edx: 4VNNIW 4FMAPS FSRM VP2INTERSECT MD_CLEAR SERIALIZE FP16. Not AMX, IBT, IBRS and the like. */
#define L7_EDX_AVX512 (FEAT(2) | FEAT(3) | FEAT(8) | FEAT(23))
#define L7_EDX	      (L7_EDX_AVX512 | FEAT(4) | FEAT(10) | FEAT(14))

/* 0x80000001. edx: as leaf 1's, and no 1 GB pages, no RDTSCP (TSC_AUX again). */
#define E1_EDX                                                                                 \
	~(FEAT(1) | FEAT(3) | FEAT(7) | FEAT(12) | FEAT(13) | FEAT(14) | FEAT(17) | FEAT(26) | \
	  FEAT(27))
/* ecx: LAHF ABM SSE4A MISALIGNSSE PREFETCHW; XOP FMA4 with AVX; TBM. */
#define E1_ECX	      (FEAT(0) | FEAT(5) | FEAT(6) | FEAT(7) | FEAT(8) | FEAT(21) | E1_ECX_AVX)
#define E1_ECX_AVX    (FEAT(11) | FEAT(16))
#define E1_CMP_LEGACY FEAT(1)

static const struct cpuid_row row[] = {
	{ 0x0, SUB_ANY, { ALL, ALL, ALL, ALL }, { 0 } },
	{ 0x1, SUB_ANY, { ALL, 0xffff, L1_ECX, L1_EDX }, { 0, FEAT(16), L1_HYPERVISOR, 0 } },
	{ 0x2, SUB_ANY, { ALL, ALL, ALL, ALL }, { 0 } },
	{ 0x4, SUB_ANY, { 0x00003fff, ALL, ALL, ALL }, { 0 } }, /* cpuid_topology() */
	{ 0x6, SUB_ANY, { 0 }, { FEAT(2), 0, 0, 0 } },		/* a timer that never stops */
	{ 0x7, 0, { 1, L7_EBX, L7_ECX, L7_EDX }, { 0 } },
	{ 0x7, 1, { FEAT(4) | FEAT(5) | FEAT(23), 0, 0, 0 }, { 0 } }, /* AVX_VNNI BF16 AVX_IFMA */
	{ 0xb, SUB_ANY, { 0 }, { 0 } },				      /* cpuid_topology() */
	{ LEAF_XSAVE, SUB_ANY, { ALL, ALL, ALL, ALL }, { 0 } },	      /* cpuid_xsave() */
	{ 0x15, SUB_ANY, { ALL, ALL, ALL, 0 }, { 0 } },
	{ 0x16, SUB_ANY, { ALL, ALL, ALL, 0 }, { 0 } },
	{ 0x80000000, SUB_ANY, { ALL, ALL, ALL, ALL }, { 0 } },
	{ 0x80000001, SUB_ANY, { ALL, ALL, E1_ECX, E1_EDX }, { 0 } },
	{ 0x80000002, SUB_ANY, { ALL, ALL, ALL, ALL }, { 0 } },
	{ 0x80000003, SUB_ANY, { ALL, ALL, ALL, ALL }, { 0 } },
	{ 0x80000004, SUB_ANY, { ALL, ALL, ALL, ALL }, { 0 } },
	{ 0x80000005, SUB_ANY, { ALL, ALL, ALL, ALL }, { 0 } },
	{ 0x80000006, SUB_ANY, { ALL, ALL, ALL, ALL }, { 0 } },
	{ 0x80000007, SUB_ANY, { 0 }, { 0, 0, 0, FEAT(8) } }, /* invariant TSC */
	/* 48-bit addresses; ebx: CLZERO, x87 error pointers; one processor */
	{ 0x80000008, SUB_ANY, { 0x000000ff, FEAT(0) | FEAT(2), 0, 0 }, { 48 << 8, 0, 0, 0 } },
	{ 0x8000001d, SUB_ANY, { 0x00003fff, ALL, ALL, ALL }, { 0 } },
	{ 0x80000021, SUB_ANY, { FEAT(2) | FEAT(6), 0, 0, 0 }, { 0 } }, /* LFENCE, null selectors */
};

/*
 * One package of vm->vcpus cores with a thread each; a vCPU's APIC id is its number. A guest with
 * one vCPU is told nothing of cores.
 */
static unsigned int core_bits(const struct lite_vm *vm)
{
	unsigned int bits = 0;

	while (1u << bits < vm->vcpus)
		bits++;
	return bits;
}

static void cpuid_topology(const struct lite_vcpu *v, u32 leaf, u32 sub, u32 out[4])
{
	unsigned int bits = core_bits(v->vm), cores = v->vm->vcpus;

	if (cores < 2)
		return;
	switch (leaf) {
	case 0x1:
		out[1] = (out[1] & 0xffff) | cores << 16 | v->id << 24;
		out[3] |= L1_HTT;
		break;
	case 0x4:
		/* The first two levels are a core's own, the others the package's. */
		out[0] |= ((1u << bits) - 1) << 26;
		if ((out[0] >> 5 & 7) > 2)
			out[0] |= ((1u << bits) - 1) << 14;
		break;
	case 0xb:
		out[0] = sub == 1 ? bits : 0;
		out[1] = sub == 0 ? 1 : sub == 1 ? cores : 0;
		out[2] = (sub & 0xff) | (sub == 0 ? 1 : sub == 1 ? 2 : 0) << 8;
		out[3] = v->id;
		break;
	case 0x80000001:
		out[2] |= E1_CMP_LEGACY;
		break;
	case 0x80000008:
		out[2] = bits << 12 | (cores - 1);
		break;
	case 0x8000001d:
		if ((out[0] >> 5 & 7) > 2)
			out[0] |= (cores - 1) << 14;
		break;
	}
}

static const struct cpuid_row *cpuid_row(u32 leaf, u32 sub)
{
	size_t i;

	for (i = 0; i < sizeof(row) / sizeof(row[0]); i++)
		if (row[i].leaf == leaf && (row[i].sub == SUB_ANY || row[i].sub == sub))
			return &row[i];
	return NULL;
}

u64 cpuid_xcr0(const struct lite_vm *vm)
{
	u64 x = vm->xcr0 & XCR0_KNOWN;

	if ((x & (XCR0_FP | XCR0_SSE)) != (XCR0_FP | XCR0_SSE))
		return 0;
	if (!(x & XCR0_YMM) || (x & XCR0_ZMM) != XCR0_ZMM)
		x &= ~XCR0_ZMM;
	return x;
}

/* Leaf 0xd as if XCR0 could hold no more than the guest is told of; no XSAVES, no XSAVEC. */
static void cpuid_xsave(u64 xcr0, u32 sub, u32 out[4])
{
	u32 size = XSAVE_LEGACY, i, part[4];

	if (!xcr0 || (sub > 1 && (sub >= 63 || !(xcr0 & ~3ull & (1ull << sub))))) {
		memset(out, 0, 4 * sizeof(out[0]));
		return;
	}
	if (sub > 1)
		return;
	for (i = 2; !sub && i < 63; i++) {
		if (!(xcr0 & (1ull << i)))
			continue;
		env_cpuid(LEAF_XSAVE, i, part);
		if (part[0] + part[1] > size)
			size = part[0] + part[1];
	}
	out[0] = sub ? out[0] & (FEAT(0) | FEAT(2)) : (u32)xcr0; /* XSAVEOPT, XGETBV of 1 */
	out[1] = sub ? 0 : size;
	out[2] = sub ? 0 : size;
	out[3] = 0;
}

/* Features that need state which the guest may not have in XCR0. */
static void cpuid_features(const struct lite_vm *vm, u32 leaf, u32 sub, u32 out[4])
{
	u64 xcr0 = cpuid_xcr0(vm);
	bool avx = xcr0 & XCR0_YMM, avx512 = xcr0 & XCR0_ZMM;

	if (leaf == 1) {
		if (!xcr0)
			out[2] &= ~L1_XSAVE;
		else if (out[2] & FEAT(26))
			out[2] |= L1_OSXSAVE;
		if (!avx)
			out[2] &= ~L1_AVX;
	} else if (leaf == 7 && !sub) {
		out[1] &= avx ? ALL : ~L7_EBX_AVX2;
		out[1] &= avx512 ? ALL : ~L7_EBX_AVX512;
		out[2] &= vm->ram_va ? ALL : ~L7_ECX_UMIP;
		out[2] &= avx ? ALL : ~L7_ECX_AVX;
		out[2] &= avx512 ? ALL : ~L7_ECX_AVX512;
		out[3] &= avx512 ? ALL : ~L7_EDX_AVX512;
	} else if (leaf == 7) {
		out[0] &= avx ? ALL : 0;
		out[0] &= avx512 ? ALL : ~FEAT(5);
	} else if (leaf == 0x80000001) {
		out[2] &= avx ? ALL : ~E1_ECX_AVX;
	}
}

static void cpuid_xen(u32 leaf, u32 out[4])
{
	memset(out, 0, 4 * sizeof(out[0]));
	switch (leaf - LEAF_XEN) {
	case 0:
		out[0] = LEAF_XEN + 2;
		out[1] = 0x566e6558; /* XenVMMXenVMM */
		out[2] = 0x65584d4d;
		out[3] = 0x4d4d566e;
		break;
	case 1:
		out[0] = 4 << 16 | 17;
		break;
	case 2:
		out[0] = 1; /* hypercall pages, and the MSR to place one */
		out[1] = LEAF_XEN;
		out[2] = FEAT(0); /* MMU_PT_UPDATE_PRESERVE_AD */
		break;
	}
}

void cpuid_guest(const struct lite_vcpu *v, u32 leaf, u32 sub, u32 out[4])
{
	const struct cpuid_row *c = cpuid_row(leaf, sub);
	u64 xcr0 = cpuid_xcr0(v->vm);
	u32 top[4];
	int i;

	if (leaf >= LEAF_XEN && leaf < LEAF_XEN + 0x100) {
		cpuid_xen(leaf, out);
		return;
	}
	memset(out, 0, 4 * sizeof(out[0]));
	if (!c)
		return;
	/* Intel's processors answer a leaf beyond the last as if it were the last. */
	env_cpuid(leaf & 0x80000000, 0, top);
	if (leaf > top[0])
		return;
	env_cpuid(leaf, sub, out);
	for (i = 0; i < 4; i++)
		out[i] = (out[i] & c->mask[i]) | c->set[i];
	if (leaf == 0 && out[0] > 0x16)
		out[0] = 0x16;
	else if (leaf == 0x80000000 && out[0] > 0x80000021)
		out[0] = 0x80000021;
	else if (leaf == LEAF_XSAVE)
		cpuid_xsave(xcr0, sub, out);
	else
		cpuid_features(v->vm, leaf, sub, out);
	cpuid_topology(v, leaf, sub, out);
}
