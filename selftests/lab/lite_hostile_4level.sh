#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# lite_hostile.sh with page tables of 4 levels.

# shellcheck disable=SC2034
lab_options="--cpu -la57" programs="hole tables roots entries selectors ldt"
# shellcheck source=selftests/lab/lite_hostile.sh
. "$(dirname "$0")/lite_hostile.sh"
