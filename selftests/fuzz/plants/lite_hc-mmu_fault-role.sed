# SPDX-License-Identifier: GPL-2.0-only
# The programs' root leads to the tables of the kernel's view.
/^static u32 build_path/,/^}/s/level - 1, role)/level - 1, 0)/
