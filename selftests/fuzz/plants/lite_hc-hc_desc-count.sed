# SPDX-License-Identifier: GPL-2.0-only
# Any number of descriptors is taken for a table of 14 pages.
/^enum lite_next hc_set_gdt/,/^}/s/entries > FIRST_RESERVED_GDT_ENTRY/entries > 65535/
