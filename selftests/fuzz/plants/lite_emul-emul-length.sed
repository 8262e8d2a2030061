# SPDX-License-Identifier: GPL-2.0-only
# An instruction with an immediate is left one byte too early.
/^static enum lite_next done/,/^}/s/in->at/(in->b[0] == 0xe6 ? 1 : in->at)/
