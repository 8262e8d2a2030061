// SPDX-License-Identifier: GPL-2.0-only
/*
 * The page table entry that stands for nothing: see lite_mmu.none. Called once, when the module is
 * loaded, in process context; no locks.
 */
#include <linux/mm.h>
#include <linux/preempt.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>
#include <asm/pgtable_types.h>
#include <asm/processor.h>

#include "area.h"

/* Present, and all address bits: reserved ones among them, and nothing there that could leak. */
#define NONE_ENTRY 0x000ffffffffff001ull

#define NONE_BITS_MAX 51

/*
 * An outer hypervisor may tell of fewer address bits than the processor has. Then no bit is
 * reserved, and the access goes to an address where nothing is, without a fault. So it is tried,
 * on a page of our own.
 */
u64 none_probe(void)
{
	u64 *p = vmalloc(PAGE_SIZE), old, x, none = 0;
	unsigned int level;
	pte_t *pte;

	if (!p || (cpuid_eax(0x80000008) & 0xff) > NONE_BITS_MAX)
		goto out;
	*p = 0; /* the mapping is there now */
	pte = lookup_address((unsigned long)p, &level);
	if (!pte || level != PG_LEVEL_4K)
		goto out;
	preempt_disable();
	old = pte->pte;
	WRITE_ONCE(pte->pte, NONE_ENTRY);
	asm volatile("invlpg (%0)" ::"r"(p) : "memory");
	if (copy_from_kernel_nofault(&x, p, sizeof(x)))
		none = NONE_ENTRY;
	WRITE_ONCE(pte->pte, old);
	asm volatile("invlpg (%0)" ::"r"(p) : "memory");
	preempt_enable();
out:
	vfree(p);
	return none;
}
