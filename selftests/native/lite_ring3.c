// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shadow page tables of a lite guest whose kernel is in ring 3: two views of one and the same
 * guest table. And who is in which ring, by the host's processor. lite_mmu_random has the rest.
 */
#include "kselftest.h"
#include "lite/abi/ring_policy.h"
#include "lite/user/env_user.h"
#include "lite_bits.h"
#include "liteaudit.h"
#include "mmu_int.h"

#define ALL (PTE_P | PTE_W | PTE_U)

/* Of the kernel's root and of the programs' root: entry 2 is shared, entry 300 the kernel's. */
enum { KROOT = 1, UROOT, L3, L2, L1, K3, K2, K1, DATA = 16, FRAMES = 64 };
#define VA  0x10000000000ull
#define KVA 0xffff960000000000ull

static struct eu *e;

static void audit(void)
{
	eu_audit(e, true);
}

static void start(void)
{
	unsigned int i;

	if (e)
		eu_free(e);
	e = eu_new(&(struct eu_config){ .frames = FRAMES, .cache = true, .ring = 3 });
	eu_pte(e, KROOT, 2, PTE(L3, ALL));
	eu_pte(e, UROOT, 2, PTE(L3, ALL));
	eu_pte(e, KROOT, 300, PTE(K3, PTE_P | PTE_W));
	eu_pte(e, L3, 0, PTE(L2, ALL));
	eu_pte(e, L2, 0, PTE(L1, ALL));
	eu_pte(e, K3, 0, PTE(K2, PTE_P | PTE_W));
	eu_pte(e, K2, 0, PTE(K1, PTE_P | PTE_W));
	for (i = 0; i < 8; i++) {
		eu_pte(e, L1, i, PTE(DATA + i, i & 1 ? PTE_P | PTE_W : ALL));
		eu_pte(e, K1, i, PTE(DATA + 8 + i, PTE_P | PTE_W));
	}
	ksft_eq(mmu_new_base(&e->v, KROOT, false), 0);
	ksft_eq(mmu_new_base(&e->v, UROOT, true), 0);
	ksft_eq(mmu_pin(&e->v, KROOT, 4), 0);
	ksft_eq(mmu_pin(&e->v, UROOT, 4), 0);
	eu_fill(e, 32);
}

static u64 seen_by(bool kernel, u64 va)
{
	e->v.kernel = kernel;
	return eu_spte(e, va);
}

static void views(void)
{
	start();
	/* Its own pages, and a program's, as ring 3 sees them. */
	ksft_eq(eu_access(e, KVA, E_W, true), 0);
	ksft_check(eu_spte(e, KVA) & PTE_U);
	ksft_eq(eu_access(e, VA, 0, true), 0);
	ksft_eq(eu_access(e, VA, E_I, true), 0);
	/* What is the kernel's alone in a program's half, too. */
	ksft_eq(eu_access(e, VA + 0x1000, E_W, true), 0);
	ksft_check(eu_spte(e, VA + 0x1000) & PTE_U);
	audit();
	/* Programs: what the guest's tables give them, by their own root. */
	ksft_eq(eu_access(e, KVA, 0, false), FAULT | E_U);
	ksft_eq(eu_access(e, VA, E_W, false), 0);
	ksft_eq(eu_access(e, VA + 0x1000, 0, false), FAULT | E_P | E_U);
	ksft_check(!(seen_by(false, VA + 0x1000) & PTE_U));
	ksft_check(e->v.root_pa != e->v.uroot_pa);
	ksft_eq(eu_level(e, KVA, 4), 0);
	audit();
}

static void updates_reach_both(void)
{
	start();
	ksft_eq(eu_access(e, VA, E_W, true), 0);
	ksft_eq(eu_access(e, VA, E_W, false), 0);
	ksft_eq(mmu_update(&e->v, PTE(L1, 0), PTE(DATA + 5, PTE_P | PTE_A), false), 0);
	ksft_eq(seen_by(true, VA) >> 12, lite_frame(&e->vm, DATA + 5, NULL)->pa >> 12);
	ksft_check(seen_by(true, VA) & PTE_U);
	ksft_check(!(seen_by(true, VA) & PTE_W));
	ksft_check(!(seen_by(false, VA) & PTE_U));
	ksft_eq(eu_access(e, VA, 0, true), 0);
	ksft_eq(eu_access(e, VA, 0, false), FAULT | E_P | E_U);
	ksft_eq(mmu_update(&e->v, PTE(L2, 0), 0, false), 0);
	ksft_eq(seen_by(true, VA), 0);
	ksft_eq(seen_by(false, VA), 0);
	audit();
	/* Unpinned, nothing of either view is left but the roots in use. */
	ksft_eq(mmu_unpin(&e->v, UROOT), 0);
	ksft_eq(mmu_unpin(&e->v, KROOT), 0);
	ksft_eq(e->vm.mmu.spages, 2);
	audit();
}

static void roots(void)
{
	u64 pa;

	start();
	ksft_eq(mmu_root(&e->v), 0);
	pa = e->v.uroot_pa;
	ksft_check(pa);
	/* A kernel thread has no programs; the root is found again after it. */
	ksft_eq(mmu_new_base(&e->v, 0, true), 0);
	ksft_eq(mmu_root(&e->v), 0);
	ksft_eq(e->v.uroot_pa, 0);
	e->v.kernel = false;
	ksft_eq(mmu_root(&e->v), -EINVAL);
	ksft_eq(mmu_new_base(&e->v, UROOT, true), 0);
	ksft_eq(mmu_root(&e->v), 0);
	ksft_eq(e->v.uroot_pa, pa);
	ksft_eq(mmu_new_base(&e->v, FRAMES, true), -EINVAL);
	/* One table as both: it has a shadow for each. */
	ksft_eq(mmu_new_base(&e->v, KROOT, true), 0);
	ksft_eq(eu_access(e, KVA, 0, true), 0);
	ksft_eq(eu_access(e, KVA, 0, false), FAULT | E_P | E_U);
	audit();
}

/* The hypervisor's slot: open to ring 3 on the kernel's root, where the M2P is, and only there. */
static void hole(void)
{
	u64 page = (e->arena_pages - 1) * LITE_PAGE_SIZE;

	start();
	e->vm.mmu.hyp_pa[0] = page;
	e->vm.mmu.hyp_pa[LITE_VCPUS_MAX] = page;
	ksft_eq(mmu_root(&e->v), 0);
	e->v.kernel = true;
	ksft_eq(eu_level(e, LITE_HOLE_START, 4), page | 0x67);
	e->v.kernel = false;
	ksft_eq(eu_level(e, LITE_HOLE_START, 4), page | 0x63);
	audit();
}

static void out_of_sync(void)
{
	start();
	/* The kernel maps its leaf table read-only and writes to it all the same. */
	eu_pte(e, K1, 20, PTE(K1, PTE_P | PTE_A));
	ksft_eq(eu_access(e, KVA, 0, true), 0); /* it is a table */
	ksft_eq(eu_access(e, KVA + 20 * 0x1000, E_W, true), 0);
	ksft_check(lite_frame(&e->vm, K1, NULL)->flags & FRAME_UNSYNC);
	ksft_check(seen_by(true, KVA + 20 * 0x1000) & PTE_W);
	eu_pte(e, K1, 0, 0);
	ksft_eq(mmu_flush(&e->v, ~0ull, 0), 0);
	ksft_check(!(seen_by(true, KVA + 20 * 0x1000) & PTE_W));
	ksft_eq(eu_access(e, KVA, 0, true), FAULT);
	audit();
}

static void choice(void)
{
	struct ring_host h = { 0 };
	const char *why;

	ksft_eq(ring_choose(RING_AUTO, &h, &why), 1);
	ksft_eq(ring_choose(RING_3, &h, &why), 3);
	h.meltdown = true;
	ksft_eq(ring_choose(RING_AUTO, &h, &why), 3);
	ksft_check(strstr(why, "Meltdown"));
	ksft_eq(ring_choose(RING_1, &h, &why), 0);
	h = (struct ring_host){ .eibrs = true };
	ksft_eq(ring_choose(RING_AUTO, &h, &why), 3);
	ksft_check(strstr(why, "IBRS"));
	ksft_eq(ring_choose(RING_1, &h, &why), 0);
	h.trusted = true;
	ksft_eq(ring_choose(RING_AUTO, &h, &why), 1);
	ksft_eq(ring_choose(RING_1, &h, &why), 1);
	ksft_eq(ring_choose(RING_3, &h, &why), 3);
	ksft_check(strstr(why, "asked"));
}

int main(int argc, char **argv)
{
	int ret;

	ksft_case("the kernel sees all, programs what is theirs", views);
	ksft_case("updates reach both views", updates_reach_both);
	ksft_case("a root of programs may be missing, and comes back", roots);
	ksft_case("the hole of each view", hole);
	ksft_case("a table that the kernel writes by a read-only mapping", out_of_sync);
	ksft_case("the ring is chosen by the processor, or by who asks for it", choice);
	ret = ksft_run(argc, argv);
	if (e)
		eu_free(e);
	return ret;
}
