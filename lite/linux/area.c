// SPDX-License-Identifier: GPL-2.0-only
/*
 * Builds the switcher's areas when the module is loaded, refuses hosts on which it would not be
 * right, and gives launchers' page tables their slot for them. All in process context; the list of
 * address spaces has a lock of its own.
 *
 * Three views of an area: the host's has all of it; the guest's own ring writes the RW page and
 * reads text, IDT and RO page; the HO page is the host's alone.
 */
#include <linux/cc_platform.h>
#include <linux/cpu.h>
#include <linux/gfp.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/vmalloc.h>
#include <asm/cpufeature.h>
#include <asm/desc.h>
#include <asm/fpu/xcr.h>
#include <asm/msr.h>
#include <asm/processor.h>
#include <asm/special_insns.h>
#include <asm/tlbflush.h>
#include <asm/trapnr.h>

#include "area.h"

extern const char sw_text[], sw_text_end[], sw_enter[], sw_vectors[], sw_syscall[], sw_syscall32[];

/* CR4 bits that this kernel's headers may not know. */
#define CR4_CET	 (1ul << 23)
#define CR4_PKS	 (1ul << 24)
#define CR4_LASS (1ul << 27)
#define CR4_FRED (1ul << 32)

static bool allow_unisolated;
module_param(allow_unisolated, bool, 0444);
MODULE_PARM_DESC(allow_unisolated,
		 "run guests though this processor does not isolate ring 1: trusted guests only");

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

struct world_area *area_of(unsigned int cpu)
{
	return &areas[cpu];
}

bool area_wants_verw(void)
{
	return boot_cpu_has(X86_FEATURE_MD_CLEAR) &&
	       (boot_cpu_has_bug(X86_BUG_MDS) || boot_cpu_has_bug(X86_BUG_TAA) ||
		boot_cpu_has_bug(X86_BUG_MMIO_STALE_DATA));
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

/* The next table below entry @i of @t, made if need be. */
static u64 *table_next(u64 *t, unsigned int i)
{
	u64 *next;

	if (t[i] & _PAGE_PRESENT)
		return __va(t[i] & PTE_PFN_MASK);
	next = area_table_alloc();
	if (next)
		t[i] = __pa(next) | AREA_DATA_EXEC;
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
	gdt[15] = 0x0040f50000000000ull; /* LSL of it: CPU 0, node 0 */
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
	if (allow_unisolated)
		return NULL;
	if (boot_cpu_has_bug(X86_BUG_CPU_MELTDOWN))
		return "the processor has Meltdown: a guest's users could read its kernel; "
		       "allow_unisolated=1 for trusted guests";
	if (boot_cpu_has(X86_FEATURE_IBRS_ENHANCED))
		return "enhanced IBRS does not keep ring 1 from steering the host's branches; "
		       "allow_unisolated=1 for trusted guests";
	return NULL;
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
	const char *why = refusal();
	unsigned int cpu;
	int ret = -ENOMEM;

	if (why) {
		pr_err("lodge: refused: %s\n", why);
		return -ENODEV;
	}
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

int world_vm_init(struct lite_vm *vm, struct world_vm *w)
{
	w->m2p_p2 = area_table_alloc();
	if (!w->m2p_p2)
		return -ENOMEM;
	vm->dmap = PAGE_OFFSET;
	vm->hole_va = area_hole_va();
	vm->phys_bits = boot_cpu_data.x86_phys_bits;
	vm->mmu.none = none_entry;
	vm->has_smap = __read_cr4() & X86_CR4_SMAP;
	/* x87, SSE, AVX, AVX-512: what needs no other control bits or MSRs */
	vm->xcr0 = boot_cpu_has(X86_FEATURE_OSXSAVE) ? xgetbv(XCR_XFEATURE_ENABLED_MASK) & 0xe7 : 0;
	return 0;
}

void world_vm_fini(struct lite_vm *vm, struct world_vm *w)
{
	area_table_free(w->m2p_p2, 2);
	w->m2p_p2 = NULL;
	world_ram_fini(w);
}

int world_vm_start(struct lite_vm *vm, struct world_vm *w)
{
	u64 off, len = PAGE_ALIGN(vm->frames * sizeof(u64));

	if (len > PUD_SIZE)
		return -E2BIG;
	for (off = 0; off < len; off += PAGE_SIZE) {
		u64 pfn = vmalloc_to_pfn((u8 *)vm->m2p + off);

		if (area_map_page(w->m2p_p2, off, __va(pfn << PAGE_SHIFT), AREA_RODATA))
			return -ENOMEM;
	}
	return world_ram_init(w, vm->frames);
}

int world_vcpu_init(struct lite_vcpu *v, struct world_vcpu *w, struct world_vm *vm)
{
	w->cpu = w->last_cpu = w->msr_cpu = -1;
	w->vm = vm;
	w->p3 = area_table_alloc();
	w->vi_p2 = area_table_alloc();
	w->vi_pt = area_table_alloc();
	if (la57) {
		w->p4 = area_table_alloc();
		w->p5 = area_table_alloc();
	}
	if (!w->p3 || !w->vi_p2 || !w->vi_pt || (la57 && (!w->p4 || !w->p5)))
		return -ENOMEM; /* world_vcpu_fini() frees what there is */
	w->p3[AREA_M2P_P3] = __pa(vm->m2p_p2) | AREA_DATA_EXEC;
	w->p3[AREA_VI_P3] = __pa(w->vi_p2) | AREA_DATA_EXEC;
	w->vi_p2[0] = __pa(w->vi_pt) | AREA_DATA_EXEC;
	if (la57) {
		w->p4[0] = __pa(w->p3) | AREA_DATA_EXEC;
		w->p5[256] = __pa(w->p4) | AREA_DATA_EXEC;
	}
	v->vm->mmu.hyp_pa[v->id] = la57 ? 0 : __pa(w->p3);
	v->changed = LITE_CH_ALL;
	return 0;
}

void world_vcpu_fini(struct lite_vcpu *v, struct world_vcpu *w)
{
	area_forget(v);
	free_page((unsigned long)w->p3);
	free_page((unsigned long)w->vi_p2);
	free_page((unsigned long)w->vi_pt);
	free_page((unsigned long)w->p4);
	free_page((unsigned long)w->p5);
	*w = (struct world_vcpu){ .cpu = -1, .msr_cpu = -1 };
}
