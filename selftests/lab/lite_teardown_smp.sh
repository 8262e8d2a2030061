#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# lite_teardown.sh on two processors, with guests that have four.

vcpus=4 reloads=2 nmis=300 lab_options="--cpus 2"
# shellcheck source=selftests/lab/lite_teardown.sh
. "$(dirname "$0")/lite_teardown.sh"
