# SPDX-License-Identifier: GPL-2.0-only
# A shadow page goes, and its parents still point to it.
/^void spage_release/,/^}/s/mmu_store(&spage_table(vm, p)\[id & 511\], 0);//
