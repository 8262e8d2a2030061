// SPDX-License-Identifier: GPL-2.0-only
/*
 * Several vCPUs, and what their processors have cached of the shadow. guest_seq is odd while a vCPU
 * is in the guest. To be rid of what it has cached it is enough that it has left since, as every
 * entry loads CR3. So nobody answers to a shoot-down: it is over when guest_seq has moved.
 *
 * Why this cannot deadlock: only a vCPU in the guest is waited for, and there interrupts are on; it
 * leaves by one, and moves guest_seq before it takes any lock. Who waits is in the full tier, has
 * left the guest, and so is waited for by nobody. Light exits wait for nobody; they have left, too.
 *
 * Under vm->lock but for mmu_shoot().
 */
#include "mmu_int.h"

static u32 vcpu_seq(const struct lite_vm *vm, u32 i)
{
	const struct lite_vcpu *v = lite_vcpu_of(vm, i);

	return v ? __atomic_load_n(&v->guest_seq, __ATOMIC_ACQUIRE) : 0;
}

/*
 * Tables before guest_seq, here; guest_seq before tables, where a vCPU enters the guest
 * (lite_guest_cross()): who does not see it in the guest is seen by it.
 */
static void tables_before_seq(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

bool shoot_others(const struct lite_vm *vm, const struct lite_vcpu *v)
{
	u32 i;

	if (vm->vcpus < 2)
		return false;
	tables_before_seq();
	for (i = 0; i < vm->vcpus; i++)
		if (vcpu_seq(vm, i) & 1 && !(v && v->id == i))
			return true;
	return false;
}

int mmu_shoot(struct lite_vcpu *v, u32 who)
{
	struct lite_vm *vm = v->vm;
	u32 seq[LITE_VCPUS_MAX], i;

	who &= ~(1u << v->id);
	if (vm->vcpus < 2 || !who)
		return 0;
	tables_before_seq();
	for (i = 0; i < LITE_VCPUS_MAX; i++) {
		seq[i] = vcpu_seq(vm, i);
		if (!(seq[i] & 1))
			who &= ~(1u << i);
	}
	who &= (1u << LITE_VCPUS_MAX) - 1;
	if (!who)
		return 0;
	if (v->tier == LITE_LIGHT)
		return -EBUSY;
	v->stats.shoots++;
	for (i = 0; i < LITE_VCPUS_MAX; i++)
		if (who >> i & 1)
			env_vcpu_leave(lite_vcpu_of(vm, i));
	for (i = 0; i < LITE_VCPUS_MAX; i++)
		while (who >> i & 1 && vcpu_seq(vm, i) == seq[i])
			__builtin_ia32_pause();
	return 0;
}

/* ---- pages ---- */

static void limbo_free(struct lite_vm *vm, u32 *list)
{
	struct lite_mmu *m = &vm->mmu;

	while (*list) {
		u32 i = *list;
		struct lite_spage *sp = &m->spage[i];

		*list = sp->next;
		page_put(vm, sp->pa);
		*sp = (struct lite_spage){ .next = m->free_head };
		m->free_head = i;
		m->limbos--;
	}
}

void limbo_put(struct lite_vm *vm, u32 index)
{
	struct lite_mmu *m = &vm->mmu;
	struct lite_spage *sp = &m->spage[index];

	*sp = (struct lite_spage){ .pa = sp->pa, .next = m->limbo };
	m->limbo = index;
	m->limbos++;
	if (!shoot_others(vm, NULL)) {
		limbo_free(vm, &m->limbo);
		limbo_free(vm, &m->limbo_old);
	}
}

void limbo_drain(struct lite_vm *vm)
{
	/* Who is in the guest again came there after these had left all tables. */
	limbo_free(vm, &vm->mmu.limbo_old);
	limbo_free(vm, &vm->mmu.limbo);
}

void limbo_settle(struct lite_vm *vm)
{
	struct lite_mmu *m = &vm->mmu;
	u32 i;

	while (m->limbos) {
		for (i = 0; m->limbo_old && i < LITE_VCPUS_MAX; i++)
			if (m->limbo_seq[i] & 1 && vcpu_seq(vm, i) == m->limbo_seq[i])
				return;
		limbo_free(vm, &m->limbo_old);
		m->limbo_old = m->limbo;
		m->limbo = 0;
		tables_before_seq();
		for (i = 0; i < LITE_VCPUS_MAX; i++)
			m->limbo_seq[i] = vcpu_seq(vm, i);
	}
}

/* ---- tables out of sync ---- */

void unsync_stale(struct lite_vm *vm)
{
	u32 i;

	if (vm->vcpus < 2)
		return;
	tables_before_seq();
	for (i = 0; i < LITE_VCPUS_MAX; i++)
		vm->mmu.unsync_seq[i] = vcpu_seq(vm, i);
}

u32 unsync_who(struct lite_vm *vm, bool live)
{
	u32 i, who = 0;

	for (i = 0; i < LITE_VCPUS_MAX; i++)
		if (live || (vm->mmu.unsync_seq[i] & 1 && vcpu_seq(vm, i) == vm->mmu.unsync_seq[i]))
			who |= 1u << i;
	return who;
}
