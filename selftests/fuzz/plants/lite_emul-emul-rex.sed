# SPDX-License-Identifier: GPL-2.0-only
# REX.B is not looked at when a control register is read.
/^static enum lite_next emul_mov/,/^}/s/in->rex & 1 ? 8 : 0/0/
