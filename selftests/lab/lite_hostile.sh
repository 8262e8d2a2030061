#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Hostile lite guests (lite_hostile.c), beside a stock one that has to finish its work; the host's
# log stays without a warning.

# shellcheck source=selftests/labtest.sh
. "$(dirname "$0")/../labtest.sh"
lab_enter --no-vt --mem 1G --timeout 300

insmod /lodge/modules/lodge.ko || exit 1
work='i=0; while [ $i -lt 400 ]; do i=$((i + 1)); cat /proc/self/maps >/dev/null; done; '
work=$work'echo done; exit 7'
guest_start --accel lite --mem 128M -- "$work"

/lodge/selftests/lab/lite_hostile >$W/hostile
status=$?
# Its cases, and two more.
n=$(sed -n 's/^1\.\.//p' $W/hostile)
sed "s/^1\.\..*/1..$((${n:-0} + 2))/" $W/hostile
ktap_nr=${n:-0} ktap_planned=$((${n:-0} + 2)) ktap_bad=$status

quiet() {
	! dmesg | grep -E 'WARNING:|BUG:|Oops|general protection|Bad page|lockup'
}

# Not in a case, which is a subshell and could not wait for it.
guest_wait "$pid"
[ "$st" = 7 ] || cat "$err"
ktap_case "the guest beside them finishes its work" test "$st" = 7
ktap_case "the host's log has no warning" quiet
lab_end
