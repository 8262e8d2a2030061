# SPDX-License-Identifier: GPL-2.0-only
# The companion page of a shadow page is not given back.
/^void spage_release/,/^}/s/if (sp->links)/if (0)/
