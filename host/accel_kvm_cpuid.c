// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the guest's CPUID says in KVM mode: all that KVM supports, its paravirtual leaves included,
 * with the identity and topology of our vCPUs (one package, one thread a core) put in place of the
 * host's. Leaves that describe the host's own topology or power management are left out.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "accel_kvm.h"

#define CPUID_ENTRIES 128

#define CPUID_1_ECX_TSC_DEADLINE (1u << 24)
#define CPUID_1_ECX_HYPERVISOR	 (1u << 31)
#define CPUID_1_EDX_HTT		 (1u << 28)

static bool cpuid_leaf_hidden(uint32_t function)
{
	switch (function) {
	case 0xa:	 /* performance counters: no guest PMU */
	case 0xb:	 /* topology: our own below */
	case 0x1f:	 /* the same, version 2 */
	case 0x8000001d: /* cache topology of the host */
	case 0x8000001e: /* node topology of the host */
		return true;
	}
	return false;
}

static struct kvm_cpuid_entry2 *cpuid_add(struct kvm_cpuid2 *c, uint32_t function, uint32_t index)
{
	struct kvm_cpuid_entry2 *e;

	if (c->nent == CPUID_ENTRIES)
		return NULL;
	e = &c->entries[c->nent++];
	memset(e, 0, sizeof(*e));
	e->function = function;
	e->index = index;
	e->flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
	return e;
}

/* Bits of the APIC id that number the cores. */
static unsigned int cpuid_core_bits(unsigned int ncpus)
{
	unsigned int bits = 0;

	while (1u << bits < ncpus)
		bits++;
	return bits;
}

/* Leaf 0xb (extended topology): a thread level of one and a core level of all. */
static int cpuid_add_topology(struct kvm_cpuid2 *c, unsigned int ncpus)
{
	struct kvm_cpuid_entry2 *smt = cpuid_add(c, 0xb, 0);
	struct kvm_cpuid_entry2 *core = cpuid_add(c, 0xb, 1);
	struct kvm_cpuid_entry2 *end = cpuid_add(c, 0xb, 2);

	if (!smt || !core || !end)
		return -E2BIG;
	smt->ebx = 1;
	smt->ecx = 1 << 8;
	core->eax = cpuid_core_bits(ncpus);
	core->ebx = ncpus;
	core->ecx = 2 << 8 | 1;
	end->ecx = 2;
	return 0;
}

static void cpuid_fix(struct kvm_vm *k, struct kvm_cpuid_entry2 *e, bool deadline)
{
	switch (e->function) {
	case 0:
		/* Leaf 0xb must be reachable where the host stops below it. */
		if (e->eax < 0xb)
			e->eax = 0xb;
		break;
	case 1:
		e->ecx |= CPUID_1_ECX_HYPERVISOR;
		if (deadline)
			e->ecx |= CPUID_1_ECX_TSC_DEADLINE;
		e->ebx &= 0x0000ffff;
		e->ebx |= k->ncpus << 16;
		if (k->ncpus > 1)
			e->edx |= CPUID_1_EDX_HTT;
		else
			e->edx &= ~CPUID_1_EDX_HTT;
		break;
	case 4:
		/* Cores per package, and no cache shared between them: bits 31:26 and 25:14. */
		e->eax &= 0x00003fff;
		if (e->eax & 0x1f)
			e->eax |= ((1u << cpuid_core_bits(k->ncpus)) - 1) << 26;
		break;
	case 6:
		/* No thermal or frequency control; ARAT says the APIC timer never stops. */
		e->eax = 1 << 2;
		e->ebx = e->ecx = e->edx = 0;
		break;
	case 0x80000008:
		e->ecx = cpuid_core_bits(k->ncpus) << 12 | (k->ncpus - 1);
		break;
	}
}

int kvm_cpuid_template(struct kvm_vm *k)
{
	bool deadline = ioctl(k->sys_fd, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0;
	struct kvm_cpuid2 *c;
	unsigned int i, n;
	int ret;

	c = calloc(1, sizeof(*c) + CPUID_ENTRIES * sizeof(c->entries[0]));
	if (!c)
		return -ENOMEM;
	c->nent = CPUID_ENTRIES;
	if (ioctl(k->sys_fd, KVM_GET_SUPPORTED_CPUID, c) < 0) {
		ret = -errno;
		goto free;
	}
	for (i = n = 0; i < c->nent; i++) {
		if (cpuid_leaf_hidden(c->entries[i].function))
			continue;
		c->entries[n] = c->entries[i];
		cpuid_fix(k, &c->entries[n++], deadline);
	}
	c->nent = n;
	ret = cpuid_add_topology(c, k->ncpus);
	if (ret)
		goto free;
	k->cpuid = c;
	return 0;
free:
	free(c);
	return ret;
}

int kvm_cpuid_apply(struct kvm_vm *k, struct kvm_vcpu *v)
{
	size_t len = sizeof(*k->cpuid) + CPUID_ENTRIES * sizeof(k->cpuid->entries[0]);
	struct kvm_cpuid2 *c = malloc(len);
	unsigned int i;
	int ret = 0;

	if (!c)
		return -ENOMEM;
	memcpy(c, k->cpuid, len);
	for (i = 0; i < c->nent; i++) {
		if (c->entries[i].function == 1)
			c->entries[i].ebx |= v->vcpu.id << 24;
		if (c->entries[i].function == 0xb)
			c->entries[i].edx = v->vcpu.id;
	}
	if (ioctl(v->fd, KVM_SET_CPUID2, c) < 0)
		ret = -errno;
	free(c);
	return ret;
}
