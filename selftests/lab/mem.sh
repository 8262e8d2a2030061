#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Memory on both sides of the hole below 4 GiB: the guest has all of it, it works, and what was
# touched comes back to the host. In lite mode there is no hole, and memory in one piece.

# shellcheck source=selftests/labtest.sh
. "$(dirname "$0")/../labtest.sh"
if [ -z "${LAB-}" ]; then
	lab_enter --mem 8G --timeout 420 --put "$O/selftests/guest/xfer:xfer"
fi
lab_enter

# What the kernel was told; and, with a number of MiB, whether so much memory keeps what is put
# there, and how much of it came from above 4 GiB, which is all that zone Normal has.
guest_file t/mem - <<'END'
# The e820 map's memory in MiB: the sum, and what of it is above 4 GiB.
total=0 high=0
for d in /sys/firmware/memmap/*; do
	read -r type <$d/type
	[ "$type" = "System RAM" ] || continue
	start=$(($(cat $d/start))) end=$(($(cat $d/end)))
	total=$((total + (end - start + 1) / 1024))
	[ $start -ge 4294967296 ] || start=4294967296
	[ $end -lt $start ] || high=$((high + (end - start + 1) / 1048576))
done
echo "total $((total / 1024))"
echo "high $high"
free_high() {
	echo $(($(sed -n '/zone *Normal/,/min/s/.*pages free *//p' /proc/zoneinfo) / 256))
}
if [ -n "$1" ]; then
	mkdir /tmp/m && mount -t tmpfs m /tmp/m && mkdir /tmp/m/d
	before=$(free_high)
	xfer fill /tmp/m/d $1 5 >/tmp/wrote
	xfer sum /tmp/m/d/* >/tmp/read
	echo "used $((before - $(free_high)))"
	cmp /tmp/wrote /tmp/read && echo "kept $(wc -l </tmp/read)"
fi
END

# all_of N M: N MiB are all of M but for the holes of the first one.
all_of() {
	[ "${1:-0}" = "$2" ] || [ "${1:-0}" = $(($2 - 1)) ] || { echo "$1 of $2 MiB"; return 1; }
}

field() {
	sed -n "s/^$1 //p" "$out"
}

only_low() {
	all_of "$(field total)" 3072 && [ "$(field high)" = 0 ]
}

no_hole="lite mode has no hole below 4 GiB"
ktap_plan 11

guest_file bin/xfer xfer
before=$(free_mib)
# 428 MiB of it are above the hole, if there is one.
guest --mem 3500M -- 'sh /t/mem 300'
ktap_case "3500M: the guest runs" test "$st" = 0
ktap_case "3500M: and has all of it" all_of "$(field total)" 3500
kvm_case "$no_hole" "3500M: what the hole displaced is above 4 GiB" test "$(field high)" = 428
kept=$(field kept)
ktap_case "3500M: files keep their contents" test "${kept:-0}" -gt 20
used=$(field used)
kvm_case "$no_hole" "3500M: and lie above 4 GiB" test "${used:-0}" -gt 200

# Up to the hole, and nothing above.
guest --mem 3G -- 'sh /t/mem'
ktap_case "3G: the guest has all of it, below the hole" only_low

guest --mem 5G -- "sh /t/mem $(in_mode '' 100)"
ktap_case "5G: the guest has all of it" all_of "$(field total)" 5120
high=$(in_mode 2048 1024)
ktap_case "5G: $((high / 1024)) GiB of it above 4 GiB" test "$(field high)" = $high
kept=$(field kept)
used=$(field used)
above() {
	[ "${kept:-0}" -gt 6 ] && [ "${used:-0}" -gt 66 ]
}
lite_case "3500M have shown it" "5G: files above 4 GiB keep their contents" above

after=$(free_mib)
ktap_msg "memory before $before, after $after MiB"
ktap_case "the guests' memory is free again" test $((before - after)) -lt 100
ktap_case "nothing is left behind" state_same
lab_end
