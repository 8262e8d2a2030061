# SPDX-License-Identifier: GPL-2.0-only
# An entry of a multicall is executed again when its result has to wait.
/^static enum lite_next hc_multicall/,/^}/{
	s/if (!(v->multi_done & 1))/v->multi_done \&= ~1u;\n\t\tif (1)/
}
