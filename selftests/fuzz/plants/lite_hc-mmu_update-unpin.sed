# SPDX-License-Identifier: GPL-2.0-only
# An unpinned table keeps its shadow.
/^int mmu_unpin/,/^}/s/^\tspage_drop_gfn(.*//
