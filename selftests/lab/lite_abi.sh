#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The module's interface: lite_abi.c misuses it, then everything it held can be unloaded.

# shellcheck source=selftests/labtest.sh
. "$(dirname "$0")/../labtest.sh"
lab_enter --no-vt --mem 1G --timeout 300

lite_insmod || exit 1
/lodge/selftests/lab/lite_abi
status=$?
# The last VM may still be on its way out.
for _ in 1 2 3 4 5; do
	rmmod lodge && exit $status
	sleep 1
done
echo "# lodge.ko cannot be unloaded: something still holds it"
exit 1
