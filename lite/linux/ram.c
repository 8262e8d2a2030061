// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's memory in the hole: where the switcher writes entries of the guest's page tables,
 * which the guest itself maps read-only. Ring 1 can write there, too: it is the guest's own memory,
 * and no invariant of the shadow's rests on what the guest's tables hold. Only RAM, that is slot 0,
 * and only what is resident; tables are shared by the VM's vCPUs.
 *
 * Called in process context, mapping under lodge_vm.lock; entries only come, until the VM is gone.
 */
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/pgtable.h>

#include "area.h"

#define FRAMES_PER_P2 (PUD_SIZE >> PAGE_SHIFT)

int world_ram_init(struct world_vm *w, u64 frames)
{
	u64 i, n = DIV_ROUND_UP(frames, FRAMES_PER_P2);

	BUILD_BUG_ON(AREA_RAM_P3 + WORLD_RAM_P2 > PTRS_PER_PUD);
	if (n > WORLD_RAM_P2)
		return 0; /* the core does it all, then */
	for (i = 0; i < n; i++) {
		w->ram_p2[i] = area_table_alloc();
		if (!w->ram_p2[i])
			return -ENOMEM;
	}
	w->ram_frames = frames;
	return 0;
}

void world_ram_fini(struct world_vm *w)
{
	unsigned int i;

	for (i = 0; i < WORLD_RAM_P2; i++) {
		area_table_free(w->ram_p2[i], 2);
		w->ram_p2[i] = NULL;
	}
	w->ram_frames = 0;
}

void world_ram_map(struct world_vm *w, u64 gfn, u64 pa)
{
	if (gfn < w->ram_frames)
		area_map_page(w->ram_p2[gfn / FRAMES_PER_P2], gfn << PAGE_SHIFT, __va(pa),
			      AREA_DATA);
}

void world_ram_link(struct world_vcpu *w)
{
	unsigned int i;

	for (i = 0; i < WORLD_RAM_P2 && w->vm->ram_p2[i]; i++)
		w->kernel.p3[AREA_RAM_P3 + i] = __pa(w->vm->ram_p2[i]) | AREA_DATA_EXEC;
}
