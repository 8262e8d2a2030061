# SPDX-License-Identifier: GPL-2.0-only
# A frame of a read-only slot may be mapped writable.
/^u64 leaf_spte/,/^}/s/ && !slot->readonly//
