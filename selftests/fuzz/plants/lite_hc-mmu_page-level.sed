# SPDX-License-Identifier: GPL-2.0-only
# A shadow page is found by its table alone, whatever its level.
/^u32 spage_get/,/^}/s/u32 i = spage_find(.*/u32 i = lite_frame(vm, gfn, NULL)->shadow;/
