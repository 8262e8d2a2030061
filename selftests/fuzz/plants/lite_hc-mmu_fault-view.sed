# SPDX-License-Identifier: GPL-2.0-only
# Programs get what a kernel in ring 3 gets: every page of the guest is theirs.
/^u64 leaf_spte/,/^}/s/view_flags(vm, role)/view_flags(vm, 0)/
/^static u32 build_path/,/^}/s/upper_flags(vm, role,/upper_flags(vm, 0,/
