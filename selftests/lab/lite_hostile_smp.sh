#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# lite_hostile.sh on two processors.

# shellcheck disable=SC2034
lab_options="--cpus 2" programs="hole selectors ldt hypercalls vcpus launcher"
# shellcheck source=selftests/lab/lite_hostile.sh
. "$(dirname "$0")/lite_hostile.sh"
