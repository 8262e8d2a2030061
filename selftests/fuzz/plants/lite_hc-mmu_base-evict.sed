# SPDX-License-Identifier: GPL-2.0-only
# The shadow of a listed root may be given up.
/^bool base_keeps/,/^}/s/return true;/break;/
