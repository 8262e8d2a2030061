# SPDX-License-Identifier: GPL-2.0-only
# A slot may begin inside of another.
/^int lite_slot_check/,/^}/s/s->gfn < gfn + nr/gfn < s->gfn/
