#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# lite_hostile.sh with guests' kernels in ring 3.

export LODGE_RING=3
# shellcheck source=selftests/lab/lite_hostile.sh
. "$(dirname "$0")/lite_hostile.sh"
