// SPDX-License-Identifier: GPL-2.0-only
/*
 * The local descriptor table, and whatever else a program may have in its segment registers.
 *
 * Called from the dispatcher (MMUEXT_SET_LDT, full tier), and by trap.c and iret.c in either tier,
 * by the vCPU's thread. The processor never looks at the guest's own table: SET_LDT takes a copy,
 * in pages that the environment gives to the vCPU and maps read-only in the guest's view, and in it
 * only what ring 3 may have, code and data of ring 3; all else reads as absent. Linux makes a new
 * table for each change, so a copy is as good as the table.
 *
 * Nothing here is about ring 1: its segments are the switcher's own.
 */
#include "hypercall.h"
#include "trap.h"

#include <xen/xen.h>

#define TLS_FIRST 0x60 /* byte offset in the GDT */

#define DESC_CODE32 0x00cffb000000ffffull
#define DESC_DATA   0x00cff3000000ffffull
#define DESC_CODE64 0x00affb000000ffffull

#define LDT_PAGE_ENTRIES (LITE_PAGE_SIZE / 8)

/*
 * Absent ones of ring 3 are kept: their use is another fault. The accessed bit is preset, as the
 * processor cannot set it. There is no 64-bit code but Linux's own, which has no limit to mind.
 */
static u64 ldt_safe(u64 desc)
{
	const u64 need = DESC_NORMAL | DESC_DPL3;

	if ((desc & need) != need || (desc & DESC_CODE && desc & DESC_LONG))
		return 0;
	return desc | DESC_ACCESSED;
}

static u64 ldt_entry(const struct lite_vcpu *v, u32 i)
{
	return i < v->ldt_nr ? v->ldt[i / LDT_PAGE_ENTRIES][i % LDT_PAGE_ENTRIES] : 0;
}

u64 segment_desc(const struct lite_vcpu *v, u16 sel)
{
	u16 at = sel & ~7;

	if (sel & 4)
		return ldt_entry(v, sel >> 3);
	switch (at) {
	case LITE_USER_CS32 & ~7:
		return DESC_CODE32;
	case LITE_USER_DS & ~7:
		return DESC_DATA;
	case LITE_USER_CS & ~7:
		return DESC_CODE64;
	}
	return at >= TLS_FIRST && at < TLS_FIRST + sizeof(v->tls) ? v->tls[(at - TLS_FIRST) / 8]
								  : 0;
}

u16 segment_safe(const struct lite_vcpu *v, u16 sel)
{
	u64 desc = segment_desc(v, sel);

	/* What can be loaded into DS: data, and code that can be read. Null has four numbers. */
	if (sel <= 3)
		return sel;
	if ((sel & 3) != 3 || !(desc & DESC_PRESENT) ||
	    (desc & (DESC_CODE | DESC_READABLE)) == DESC_CODE)
		return 0;
	return sel;
}

void segments_check(struct lite_vcpu *v)
{
	u16 fs = segment_safe(v, v->fs), gs = segment_safe(v, v->gs);

	v->ds = segment_safe(v, v->ds);
	v->es = segment_safe(v, v->es);
	/* The base goes with the descriptor, as it would had the kernel loaded them again. */
	if (fs != v->fs)
		v->fs_base = 0;
	if (gs != v->gs)
		*(v->kernel ? &v->gs_other : &v->gs_base) = 0;
	v->fs = fs;
	v->gs = gs;
}

u64 segment_base(const struct lite_vcpu *v, u16 sel)
{
	u64 desc = segment_desc(v, sel);

	return (desc >> 16 & 0xffffff) | (desc >> 56 & 0xff) << 24;
}

static u64 desc_limit(u64 desc)
{
	u64 limit = (desc & 0xffff) | (desc >> 32 & 0xf0000);

	return desc & DESC_PAGES ? limit << 12 | 0xfff : limit;
}

int user_code_check(const struct lite_vcpu *v, u16 cs, u64 rip)
{
	u64 desc = segment_desc(v, cs);

	if ((cs & 3) != 3 || !(desc & DESC_CODE))
		return TRAP_GP;
	if (!(desc & DESC_PRESENT))
		return TRAP_NP;
	/* 64-bit code has its own rules: lite_prepare() */
	return desc & DESC_LONG || rip <= desc_limit(desc) ? 0 : USER_BEYOND;
}

int user_stack_check(const struct lite_vcpu *v, u16 ss)
{
	u64 desc = segment_desc(v, ss);

	if ((ss & 3) != 3 ||
	    (desc & (DESC_NORMAL | DESC_CODE | DESC_READABLE)) != (DESC_NORMAL | DESC_READABLE))
		return TRAP_GP;
	return desc & DESC_PRESENT ? 0 : TRAP_SS;
}

int ldt_set(struct lite_vcpu *v, u64 va, u64 entries)
{
	u32 pages = (entries + LDT_PAGE_ENTRIES - 1) / LDT_PAGE_ENTRIES, i, j, n;
	int err = 0;

	if (entries > LITE_LDT_MAX || !lite_va_ok(va, entries * 8))
		return -EINVAL;
	if (pages > v->ldt_pages) {
		v->want = LITE_WANT_LDT;
		v->want_gfn = pages;
		return -EAGAIN;
	}
	/*
	 * Should the guest's table not be resident, this is called again before the guest runs;
	 * what has been copied by then is as safe as it ever is.
	 */
	for (i = 0; i < entries; i += n) {
		u64 *page = v->ldt[i / LDT_PAGE_ENTRIES];

		n = entries - i < LDT_PAGE_ENTRIES ? entries - i : LDT_PAGE_ENTRIES;
		err = mmu_read(v, page, va + i * 8, n * 8);
		for (j = 0; j < n; j++)
			page[j] = err ? 0 : ldt_safe(page[j]);
		if (err == -EAGAIN || err == -EBUSY)
			return err;
		if (err)
			break;
	}
	/* The old one is gone in any case. */
	v->ldt_nr = err ? 0 : entries;
	v->changed |= LITE_CH_LDT;
	segments_check(v);
	return err;
}
