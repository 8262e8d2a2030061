# SPDX-License-Identifier: GPL-2.0-only
# A slot may lie beyond the last frame number.
/^int lite_slot_check/,/^}/s/gfn > LITE_FRAMES_MAX || nr > LITE_FRAMES_MAX - gfn/0/
