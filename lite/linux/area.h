/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The switcher areas: memory, views and the hypervisor's slot of page tables. Between area.c, which
 * builds them, and world.c, which uses one at a time, with interrupts off.
 */
#ifndef LITE_AREA_H
#define LITE_AREA_H

#include <linux/percpu.h>
#include <asm/io.h>

#include "switcher.h"
#include "world.h"

/* Entries of the hypervisor's own tables: supervisor, never global. */
#define AREA_DATA	(_PAGE_PRESENT | _PAGE_RW | _PAGE_ACCESSED | _PAGE_DIRTY | _PAGE_NX)
#define AREA_RODATA	(_PAGE_PRESENT | _PAGE_ACCESSED | _PAGE_NX)
#define AREA_TEXT	(_PAGE_PRESENT | _PAGE_ACCESSED)
#define AREA_DATA_EXEC	(_PAGE_PRESENT | _PAGE_RW | _PAGE_ACCESSED | _PAGE_DIRTY) /* a table */
#define AREA_TABLE_USER (AREA_DATA_EXEC | _PAGE_USER)

/* Places in the hole, by entry of its third-level table: M2P, switchers, the vCPU's vcpu_info. */
#define AREA_M2P_P3 0
#define AREA_SW_P3  256
#define AREA_VI_P3  257
#define AREA_RAM_P3 SW_RAM_P3

#define AREA64(page, off) (*(u64 *)((u8 *)(page) + (off)))
#define AREA16(page, off) (*(u16 *)((u8 *)(page) + (off)))

/**
 * struct world_area - one processor's
 * @rw, @ro, @ho: the pages of switcher.h, in the kernel's mapping; @idt likewise
 * @guest_p2:	  the guest view of this area
 * @msr:	  LSTAR, CSTAR, SFMASK, SYSENTER_CS for the guest
 * @ldt_pages:	  how many of the guest's LDT are mapped
 * @v, @w:	  whose constants are in the area
 * @light, @next: a light exit ended in the full tier, and what it wants
 */
struct world_area {
	u8 *rw, *idt, *ro, *ho;
	u64 *guest_p2;
	u64 msr[4];
	int cpu;
	u32 ldt_pages;
	struct lite_vcpu *v;
	struct world_vcpu *w;
	bool light;
	enum lite_next next;
};

struct world_area *area_of(unsigned int cpu);

/** area_va - of processor @cpu's area; area_vi_va - of the vcpu_info page, the same everywhere */
u64 area_va(unsigned int cpu);
u64 area_vi_va(void);
u64 area_hole_va(void);

/** area_none - lite_mmu.none of this machine */
u64 area_none(void);

/** policy_init - is this host one that will do, and for which ring? 0, or -errno and a line */
int policy_init(void);

/** policy_fast - FAST_*: what this host has, and needs before and after a guest, whichever it is */
u64 policy_fast(void);
u64 area_ram_va(void);

/** area_table_alloc, area_table_free - tables of the hole; those below are freed, too */
u64 *area_table_alloc(void);
void area_table_free(u64 *t, unsigned int level);

/** area_map_page - @page at @va below the 1 GiB table @p2; or -ENOMEM */
int area_map_page(u64 *p2, u64 va, void *page, u64 flags);

/** world_ram_init, world_ram_fini - the tables of @frames frames of RAM (ram.c) */
int world_ram_init(struct world_vm *w, u64 frames);
void world_ram_fini(struct world_vm *w);

/** world_ram_link - the VM's memory into this vCPU's part of the hole */
void world_ram_link(struct world_vcpu *w);

/** area_write_cr4 - past the kernel's own copy of CR4, which keeps what the host wants */
void area_write_cr4(unsigned long cr4);

/** area_enter - run sw_enter of this area; interrupts are off */
void area_enter(struct world_area *a);

/** area_put_ldt - @v's LDT, or none, is that of this area; on this processor, interrupts off */
void area_put_ldt(struct world_area *a, struct lite_vcpu *v);

/** area_forget - no area has @v's constants any more */
void area_forget(struct lite_vcpu *v);

/** none_probe - lite_mmu.none for this machine, or 0 if no entry will do (none.c) */
u64 none_probe(void);

/** world_light - called by the switcher */
int world_light(struct world_area *a);

#endif
