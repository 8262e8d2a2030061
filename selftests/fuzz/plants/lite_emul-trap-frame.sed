# SPDX-License-Identifier: GPL-2.0-only
# A frame is written, and RSP stays.
/^static enum lite_next trap_push/,/^}/s/^\tr->rsp = sp;//
