// SPDX-License-Identifier: GPL-2.0-only
/*
 * Builds the switcher's areas when the module is loaded, and gives launchers' page tables their
 * slot for them. All in process context; the list of address spaces has a lock of its own.
 *
 * Three views of an area: the host's has all of it; the guest's own ring writes the RW page and
 * reads text, IDT and RO page; the HO page is the host's alone.
 */
#include <linux/cpu.h>
#include <linux/gfp.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <asm/cpufeature.h>
#include <asm/desc.h>
#include <asm/msr.h>
#include <asm/processor.h>
#include <asm/special_insns.h>
#include <asm/tlbflush.h>
#include <asm/trapnr.h>

#include "area.h"

extern const char sw_text[], sw_text_end[], sw_enter[], sw_vectors[], sw_syscall[], sw_syscall32[];

static struct world_area *areas;
static u64 *host_p4, *host_p3, *host_p2;
static u8 *text;
static bool la57;
static u64 none_entry;

struct area_mm {
	struct list_head list;
	struct mm_struct *mm;
	unsigned int users;
};
static LIST_HEAD(area_mms);
static DEFINE_MUTEX(area_mms_lock);

unsigned int world_levels(void)
{
	return la57 ? 5 : 4;
}

u64 area_hole_va(void)
{
	return la57 ? 0xff00000000000000ull : LITE_HOLE_START;
}

u64 area_va(unsigned int cpu)
{
	return area_hole_va() + ((u64)AREA_SW_P3 << PUD_SHIFT) + (u64)cpu * SW_STRIDE;
}

u64 area_ram_va(void)
{
	return area_hole_va() + ((u64)AREA_RAM_P3 << PUD_SHIFT);
}

u64 area_vi_va(void)
{
	return area_hole_va() + ((u64)AREA_VI_P3 << PUD_SHIFT);
}

u64 area_none(void)
{
	return none_entry;
}

struct world_area *area_of(unsigned int cpu)
{
	return &areas[cpu];
}

void area_write_cr4(unsigned long cr4)
{
	asm volatile("mov %0, %%cr4" : : "r"(cr4) : "memory");
}

void area_enter(struct world_area *a)
{
	((void (*)(void))(area_va(a->cpu) + (sw_enter - sw_text)))();
}

void area_forget(struct lite_vcpu *v)
{
	unsigned int cpu;

	for_each_possible_cpu(cpu)
		cmpxchg(&areas[cpu].v, v, NULL);
}

u64 *area_table_alloc(void)
{
	return (u64 *)get_zeroed_page(GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
}

/* The next table below entry @i of @t, made if need be. Whose it is, the last level says. */
static u64 *table_next(u64 *t, unsigned int i)
{
	u64 *next;

	if (t[i] & _PAGE_PRESENT)
		return __va(t[i] & PTE_PFN_MASK);
	next = area_table_alloc();
	if (next)
		t[i] = __pa(next) | AREA_TABLE_USER;
	return next;
}

void area_table_free(u64 *t, unsigned int level)
{
	unsigned int i;

	if (!t)
		return;
	for (i = 0; level > 1 && i < PTRS_PER_PTE; i++)
		if (t[i] & _PAGE_PRESENT)
			area_table_free(__va(t[i] & PTE_PFN_MASK), level - 1);
	free_page((unsigned long)t);
}

int area_map_page(u64 *p2, u64 va, void *page, u64 flags)
{
	u64 *pt = table_next(p2, pmd_index(va));

	if (!pt)
		return -ENOMEM;
	pt[pte_index(va)] = __pa(page) | flags;
	return 0;
}

/* The entry of an area's page; its tables are there, as all of an area lies in one of 2 MiB. */
static u64 *area_pte(u64 *p2, u64 va)
{
	u64 *pt = __va(p2[pmd_index(va)] & PTE_PFN_MASK);

	return &pt[pte_index(va)];
}

void area_put_ldt(struct world_area *a, struct lite_vcpu *v)
{
	u64 base = area_va(a->cpu) + SW_LDT, *gdt = (u64 *)(a->ro + R_GDT + R_GDT_LDT);
	u32 pages = DIV_ROUND_UP(v->ldt_nr * 8, PAGE_SIZE), i;

	BUILD_BUG_ON(SW_LDT + LITE_LDT_PAGES * PAGE_SIZE > SW_STRIDE || PMD_SIZE % SW_STRIDE);
	for (i = 0; i < max(pages, a->ldt_pages); i++) {
		u64 va = base + i * PAGE_SIZE;
		u64 pte = i < pages ? __pa(v->ldt[i]) | AREA_RODATA : 0;

		/* The guest's tables are loaded with a flush; by the host's, selectors are. */
		WRITE_ONCE(*area_pte(host_p2, va), pte);
		WRITE_ONCE(*area_pte(a->guest_p2, va), pte);
		asm volatile("invlpg (%0)" : : "r"(va) : "memory");
	}
	a->ldt_pages = pages;
	AREA16(a->ho, H_GLDT) = v->ldt_nr ? R_GDT_LDT : 0;
	if (!v->ldt_nr)
		return;
	gdt[0] = (v->ldt_nr * 8 - 1) | (base & 0xffffff) << 16 | 0x82ull << 40 |
		 (base >> 24 & 0xff) << 56;
	gdt[1] = base >> 32;
}

static void fill_gdt(struct world_area *a)
{
	u64 *gdt = (u64 *)(a->ro + R_GDT), tss = area_va(a->cpu) + SW_RO + R_TSS;

	/* Linux's own selectors mean the same here; all accessed bits are set. */
	gdt[2] = 0x00af9b000000ffffull;
	gdt[3] = 0x00cf93000000ffffull;
	gdt[4] = 0x00cffb000000ffffull;
	gdt[5] = 0x00cff3000000ffffull;
	gdt[6] = 0x00affb000000ffffull;
	gdt[8] = 0x67 | (tss & 0xffffff) << 16 | 0x89ull << 40 | (tss >> 24 & 0xff) << 56;
	gdt[9] = tss >> 32;
	gdt[10] = 0x00afbb000000ffffull; /* ring 1: code, data */
	gdt[11] = 0x00cfb3000000ffffull;
	BUILD_BUG_ON(__KERNEL_CS != 0x10 || __KERNEL_DS != 0x18 || GDT_ENTRY_TSS != 8);
	BUILD_BUG_ON(__USER32_CS != LITE_USER_CS32 || __USER_DS != LITE_USER_DS ||
		     __USER_CS != LITE_USER_CS);
	BUILD_BUG_ON(SW_SHOWN_CS != LITE_SHOWN_CS || SW_SHOWN_SS != LITE_SHOWN_SS);
}

static void fill_idt(struct world_area *a)
{
	static const u8 ist[] = {
		[X86_TRAP_DF] = 1,
		[X86_TRAP_NMI] = 2,
		[X86_TRAP_DB] = 3,
		[X86_TRAP_MC] = 4,
	};
	gate_desc *gate = (gate_desc *)a->idt;
	unsigned int i;

	for (i = 0; i < 256; i++) {
		u64 h = area_va(a->cpu) + (sw_vectors - sw_text) + 16 * i;

		gate[i] = (gate_desc){
			.offset_low = (u16)h,
			.segment = __KERNEL_CS,
			.bits = { .ist = i < ARRAY_SIZE(ist) ? ist[i] : 0,
				  .type = GATE_INTERRUPT,
				  .dpl = i == 3 || i == 4 || i == 0x80 ? 3 : 0,
				  .p = 1 },
			.offset_middle = (u16)(h >> 16),
			.offset_high = (u32)(h >> 32),
		};
	}
}

static void fill_tss(struct world_area *a)
{
	u8 *tss = a->ro + R_TSS;
	u64 rw = area_va(a->cpu) + SW_RW;
	unsigned int i;

	*(u64 *)(tss + 4) = rw + D_REGS_END;
	for (i = 0; i < 4; i++)
		*(u64 *)(tss + 36 + 8 * i) = rw + D_IST + (i + 1) * D_IST_SIZE;
	*(u16 *)(tss + 102) = 0x68; /* no I/O bitmap */
}

static void fill_dtr(u8 *at, u16 limit, u64 base)
{
	struct desc_ptr d = { .size = limit, .address = base };

	memcpy(at, &d, sizeof(d));
}

static void fill_host(struct world_area *a)
{
	u64 va = area_va(a->cpu);
	struct desc_struct *gdt = get_cpu_gdt_rw(a->cpu);

	fill_dtr(a->ho + H_SGDT, R_GDT_LIMIT, va + SW_RO + R_GDT);
	fill_dtr(a->ho + H_SIDT, 0xfff, va + SW_IDT);
	fill_dtr(a->ho + H_GDTRW, GDT_SIZE - 1, (u64)gdt);
	AREA64(a->ho, H_TSSB) = (u64)&gdt[GDT_ENTRY_TSS] + 5;
	AREA64(a->ho, H_LIGHT) = (u64)world_light;
	AREA64(a->ho, H_LARG) = (u64)a;
	AREA64(a->ho, H_VERW) = __KERNEL_DS;
	a->msr[0] = va + (sw_syscall - sw_text);
	a->msr[1] = va + (sw_syscall32 - sw_text);
	/* As Linux masks them; AC too, so that the switcher's own accesses mind SMAP. */
	a->msr[2] = X86_EFLAGS_CF | X86_EFLAGS_PF | X86_EFLAGS_AF | X86_EFLAGS_ZF | X86_EFLAGS_SF |
		    X86_EFLAGS_TF | X86_EFLAGS_IF | X86_EFLAGS_DF | X86_EFLAGS_OF |
		    X86_EFLAGS_IOPL | X86_EFLAGS_NT | X86_EFLAGS_RF | X86_EFLAGS_AC | X86_EFLAGS_ID;
	a->msr[3] = 0; /* SYSENTER faults */
}

static int map_area(struct world_area *a)
{
	static const struct {
		u32 off;
		u64 host, guest;
	} part[] = {
		{ SW_RW, AREA_DATA, AREA_DATA },
		{ SW_IDT, AREA_DATA, AREA_RODATA },
		{ SW_RO, AREA_DATA, AREA_RODATA },
		{ SW_HO, AREA_DATA, 0 },
	};
	u64 va = area_va(a->cpu);
	unsigned int i;
	int ret = 0;

	for (i = 0; i < SW_TEXT_PAGES; i++) {
		ret |= area_map_page(host_p2, va + i * PAGE_SIZE, text + i * PAGE_SIZE, AREA_TEXT);
		ret |= area_map_page(a->guest_p2, va + i * PAGE_SIZE, text + i * PAGE_SIZE,
				     AREA_TEXT);
	}
	for (i = 0; i < ARRAY_SIZE(part); i++) {
		u8 *page = a->rw + (part[i].off - SW_RW);

		ret |= area_map_page(host_p2, va + part[i].off, page, part[i].host);
		if (part[i].guest)
			ret |= area_map_page(a->guest_p2, va + part[i].off, page, part[i].guest);
	}
	return ret ? -ENOMEM : 0;
}

static int area_init(struct world_area *a, unsigned int cpu)
{
	a->cpu = cpu;
	a->rw = (u8 *)__get_free_pages(GFP_KERNEL | __GFP_ZERO, 2);
	a->guest_p2 = area_table_alloc();
	if (!a->rw || !a->guest_p2)
		return -ENOMEM;
	a->idt = a->rw + PAGE_SIZE;
	a->ro = a->rw + 2 * PAGE_SIZE;
	a->ho = a->rw + 3 * PAGE_SIZE;
	fill_gdt(a);
	fill_idt(a);
	fill_tss(a);
	fill_host(a);
	return map_area(a);
}

static void pge_restore(void *unused)
{
	unsigned long cr4 = __read_cr4();

	/* Changing PGE flushes all translations, of the areas as well. */
	area_write_cr4(cr4 & ~X86_CR4_PGE);
	if (boot_cpu_has(X86_FEATURE_PGE))
		area_write_cr4(cr4 | X86_CR4_PGE);
}

static void free_all(void)
{
	unsigned int cpu;

	for_each_possible_cpu(cpu) {
		if (!areas)
			break;
		free_pages((unsigned long)areas[cpu].rw, 2);
		area_table_free(areas[cpu].guest_p2, 2);
	}
	kvfree(areas);
	areas = NULL;
	free_pages((unsigned long)text, 2);
	area_table_free(host_p2, 2);
	free_page((unsigned long)host_p3);
	free_page((unsigned long)host_p4);
}

int world_init(void)
{
	unsigned int cpu;
	int ret = policy_init();

	if (ret)
		return ret;
	ret = -ENOMEM;
	la57 = __read_cr4() & X86_CR4_LA57;
	BUG_ON(sw_text_end - sw_text > SW_TEXT_PAGES * PAGE_SIZE);
	areas = kvcalloc(nr_cpu_ids, sizeof(*areas), GFP_KERNEL);
	text = (u8 *)__get_free_pages(GFP_KERNEL | __GFP_ZERO, 2);
	host_p2 = area_table_alloc();
	host_p3 = area_table_alloc();
	host_p4 = area_table_alloc();
	if (!areas || !text || !host_p2 || !host_p3 || !host_p4)
		goto err;
	memcpy(text, sw_text, sw_text_end - sw_text);
	host_p4[0] = __pa(host_p3) | AREA_DATA_EXEC;
	host_p3[AREA_SW_P3] = __pa(host_p2) | AREA_DATA_EXEC;
	for_each_possible_cpu(cpu) {
		ret = cpu < PTRS_PER_PMD * (PMD_SIZE / SW_STRIDE) ? area_init(&areas[cpu], cpu)
								  : -E2BIG;
		if (ret)
			goto err;
	}
	none_entry = none_probe();
	preempt_notifier_inc();
	return 0;
err:
	free_all();
	return ret;
}

void world_exit(void)
{
	preempt_notifier_dec();
	on_each_cpu(pge_restore, NULL, 1);
	free_all();
}

static pgd_t *mm_slot(struct mm_struct *mm)
{
	return mm->pgd + (la57 ? 256 : pgd_index(LITE_HOLE_START));
}

int world_mm_enter(struct mm_struct *mm)
{
	pgd_t *slot = mm_slot(mm);
	struct area_mm *m;
	int ret = 0;

	mutex_lock(&area_mms_lock);
	list_for_each_entry(m, &area_mms, list)
		if (m->mm == mm) {
			m->users++;
			goto out;
		}
	m = kzalloc(sizeof(*m), GFP_KERNEL);
	ret = -ENOMEM;
	if (!m)
		goto out;
	ret = -EBUSY;
	if (pgd_val(*slot)) {
		kfree(m);
		goto out;
	}
	m->mm = mm;
	m->users = 1;
	list_add(&m->list, &area_mms);
	WRITE_ONCE(slot->pgd, __pa(la57 ? host_p4 : host_p3) | AREA_DATA_EXEC);
	ret = 0;
out:
	mutex_unlock(&area_mms_lock);
	return ret;
}

void world_mm_leave(struct mm_struct *mm)
{
	struct area_mm *m, *next;

	mutex_lock(&area_mms_lock);
	list_for_each_entry_safe(m, next, &area_mms, list) {
		if (m->mm != mm || --m->users)
			continue;
		WRITE_ONCE(mm_slot(mm)->pgd, 0);
		list_del(&m->list);
		kfree(m);
	}
	mutex_unlock(&area_mms_lock);
}
