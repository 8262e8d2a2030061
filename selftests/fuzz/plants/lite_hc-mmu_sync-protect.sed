# SPDX-License-Identifier: GPL-2.0-only
# A table is compared, but its writable mapping stays.
/^int mmu_sync/,/^}/s/leaf_read_only(vm, m->unsync\[i\]\.link);/;/
