#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# A guest boots the stock kernel, sees the machine it was promised, and ends with its command's
# status; afterwards nothing of it is left. Ends of other kinds are in end.sh.

# shellcheck source=selftests/labtest.sh
. "$(dirname "$0")/../labtest.sh"
if [ -z "${LAB-}" ]; then
	version=$(cat "$O/kernel/version") || exit 1
	lab_enter --cpus 2 --timeout 420 --env "VERSION=$version"
fi
lab_enter

guest_file t/facts - <<'END'
echo "release $(uname -r)"
echo "nproc $(nproc)"
echo "online $(cat /sys/devices/system/cpu/online)"
echo "clock $(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)"
echo "hypervisor $(dmesg | sed -n 's/.*Hypervisor detected: //p')"
echo "rng $(cat /sys/class/misc/hw_random/rng_current)"
echo "memory $(sed -n 's/^MemTotal: *\([0-9]*\).*/\1/p' /proc/meminfo)"
# Both processors get work pinned to them, and count it as theirs.
work() {
	taskset $1 sh -c 'i=0; while [ $i -lt 3000 ]; do i=$((i + 1)); done
		echo $(cut -d " " -f 39 /proc/$$/stat) >/tmp/ran.'$1
}
work 1 & work 2 & wait
echo "ran $(cat /tmp/ran.1) $(cat /tmp/ran.2)"
# Time goes on, and at the host's speed: the host compares the stamps.
echo "date $(date +%s)"
END

# A whole kernel log, to look for what a healthy machine does not say.
guest_file t/log - <<'END'
dmesg | grep -iE 'oops|BUG:|soft lockup|detected.*stall|nobody cared|spurious|unexpected irq'
echo "end of log"
END

ktap_plan 19

before=$(free_mib)
t0=$(date +%s)
guest --cpus 2 --mem 256M -- 'sh /t/facts; sh /t/log; exit 0'
t1=$(date +%s)
facts=$out
ktap_case "a guest boots and powers off with status 0" test "$st" = 0
ktap_case "the stock kernel runs" says "$facts" "release $VERSION"
ktap_case "two processors for --cpus 2" says "$facts" "nproc 2"
ktap_case "both are online" says "$facts" "online 0-1"
ktap_case "both do work" says "$facts" "ran 0 1"
ktap_case "the clock is the hypervisor's" says "$facts" "clock $(in_mode kvm-clock xen)"
ktap_case "the kernel knows its hypervisor" says "$facts" "hypervisor $(in_mode KVM "Xen PV")"
ktap_case "a hardware random generator" says "$facts" "rng virtio_rng.0"
mem=$(sed -n 's/^memory //p' "$facts")
ktap_case "--mem 256M is what the guest has" test "$((mem / 65536))" = 3
log=$(sed '1,/^date/d' "$facts")
ktap_case "nothing bad in the kernel's log" test "$log" = "end of log"
date=$(sed -n 's/^date //p' "$facts")
near() {
	[ "${1:-0}" -ge $(($2 - 1)) ] && [ "$1" -le $(($3 + 1)) ]
}
ktap_case "the guest's time of day is the host's" near "$date" "$t0" "$t1"
ktap_case "stderr is empty" test ! -s "$err"

beats() {
	awk '$NF == "rtc0" { n = $2 } END { exit !(n >= 2) }' /proc/interrupts && return
	cat /proc/interrupts
	return 1
}
# labtest.sh's labs stood still without it.
ktap_case "the lab's clock has given alarms" beats

guest --console virtio -- 'exit 7'
ktap_case "the command's status 7 is lodge's" test "$st" = 7
guest --console none -- 'exit 255'
ktap_case "the command's status 255 is lodge's" test "$st" = 255

# Two at once: each has its own everything, and its own end.
guest_start --name one -- 'sleep 2; echo I am one; exit 11'
one=$pid out1=$out
guest_start --name two -- 'echo I am two; kill -9 $$'
two=$pid out2=$out
guest_wait "$one"; st1=$st
guest_wait "$two"; st2=$st
two_guests() {
	[ "$st1" = 11 ] && tr -d '\r' <"$out1" | grep -qx 'I am one' &&
		tr -d '\r' <"$out2" | grep -qx 'I am two'
}
ktap_case "two guests at once" two_guests
ktap_case "a command killed by a signal has status 128+n" test "$st2" = 137

ktap_case "nothing is left behind" state_same
after=$(free_mib)
ktap_msg "memory before $before, after $after MiB"
ktap_case "the guests' memory is free again" test $((before - after)) -lt 64
lab_end
