# SPDX-License-Identifier: GPL-2.0-only
# A program gets to its kernel's pages.
/^u64 leaf_spte/,/^}/s/(e & (PTE_U | PTE_NX))/(PTE_U | (e \& PTE_NX))/
