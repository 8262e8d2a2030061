#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Lite guests with several processors: that mappings change for all of them at once, that interrupts
# between them and timers arrive, that processors come and go; on a host with as many processors,
# with less, and moved about on it meanwhile.

# shellcheck source=selftests/labtest.sh
. "$(dirname "$0")/../labtest.sh"
if [ -z "${LAB-}" ]; then
	lab_enter --no-vt --cpus 2 --timeout 430 --put "$O/selftests/guest/smp:smp"
fi
lab_enter
accel=lite limit=250
lite_load
guest_file bin/smp smp

guest_file t/facts - <<'EOF'
echo "nproc $(nproc)"
# Every paravirtual guest of Xen says that its firmware knew no APIC ids: it has no firmware.
dmesg | grep -iE 'apic|topology|smpboot' | grep -iE 'bug|mismatch|warn|fail|error' |
	grep -v 'APIC id mismatch. Firmware: ffff'
dmesg | grep -iE 'oops|BUG:|soft lockup|detected.*stall|WARNING:|Unexpected|scheduling while'
# On each processor somebody has to be told by another.
for i in 0 1 2 3; do taskset $((1 << i)) true 2>/dev/null; done
awk '/RES:|CAL:/ { for (i = 2; i <= 1 + n; i++) sum[i] += $i }
	/CPU0/ { n = NF }
	END { for (i = 2; i <= 1 + n; i++) if (sum[i]) told++; print "told " told }' \
	/proc/interrupts
EOF

# Processor 1 goes and comes back, with work on it and timers set.
guest_file t/plug - <<'END'
cpu=/sys/devices/system/cpu/cpu1/online
smp fork 5 & worker=$!
for i in 1 2 3 4; do
	echo 0 >$cpu || exit 2
	[ "$(nproc)" = $(($1 - 1)) ] || exit 3
	echo 1 >$cpu || exit 4
	[ "$(nproc)" = "$1" ] || exit 5
done
kill $worker; wait $worker
smp timers 30 || exit 6
dmesg | grep -iE 'oops|BUG:|soft lockup|detected.*stall|WARNING:' && exit 7
exit 0
END

guest_file t/steal - <<'END'
stolen() { awk '/^cpu / { print $9 }' /proc/stat; }
before=$(stolen)
smp work 4 >/dev/null || exit 1
after=$(stolen)
echo "steal $before $after"
[ "$after" -gt "$before" ] && [ "$after" -lt 100000 ]
END

guest_file t/busy - <<'END'
for i in 0 1 2 3; do
	taskset $((1 << i)) sh -c 'while :; do :; done' &
done
sleep 1
[ "$1" = crash ] && echo c >/proc/sysrq-trigger
exit 9
END

nr_bad_lines() {
	dmesg | grep -cE 'WARNING:|BUG:|Oops|general protection|stall|lockup|leak|Bad page|unsafe'
}

quiet_dmesg() {
	[ "$(nr_bad_lines)" = "$bad_before" ] || { dmesg | tail -n 40; return 1; }
}

# fine CPUS COMMAND: a guest with CPUS processors, that the command's status is 0 in.
fine() {
	guest --cpus "$1" --mem 192M -- "$2"
	[ "$st" = 0 ] && return
	echo "status $st"
	tail -n 20 "$out" "$err"
	return 1
}

facts() {
	fine "$1" 'sh /t/facts' || return
	says "$out" "nproc $1" && says "$out" "told $1" && [ "$(wc -l <"$out")" = 2 ] && return
	cat "$out"
	return 1
}

# All threads of the launcher, from processor to processor.
move_about() {
	guest_start --cpus 3 --mem 192M -- 'smp stale 8 && smp pong 200 && smp timers 50'
	mask=1
	while ! gone "$pid"; do
		for t in /proc/"$pid"/task/*; do
			taskset -p $mask "${t##*/}" >/dev/null 2>&1
			mask=$((mask == 1 ? 2 : 1))
		done
		mask=$((mask == 1 ? 2 : 1))
		sleep 0.01
	done
	guest_wait "$pid"
	[ "$st" = 0 ] && return
	echo "status $st"
	tail -n 20 "$out" "$err"
	return 1
}

# A guest whose processors are all busy ends as one, whoever of them it was.
ends() {
	guest --cpus 4 --mem 192M -- 'sh /t/busy'
	[ "$st" = 9 ] || { echo "status $st"; cat "$err"; return 1; }
	guest --cpus 4 --mem 192M -- 'sh /t/busy crash'
	[ "$st" = 121 ] || { echo "status $st"; cat "$err"; return 1; }
}

host_cpu1() {
	echo "$1" >/sys/devices/system/cpu/cpu1/online
}

ktap_plan 18
bad_before=$(nr_bad_lines)
ktap_case "two processors, and no complaints" facts 2
ktap_case "four" facts 4
ktap_case "nobody sees a mapping that is gone: two processors" fine 2 'smp stale 8'
ktap_case "four" fine 4 'smp stale 8'
ktap_case "forks on two processors" fine 2 'smp fork 4'
ktap_case "on four" fine 4 'smp fork 4'
ktap_case "bytes go back and forth" fine 2 'smp pong 500'
ktap_case "timers, wherever their processes go" fine 4 'smp timers 100'
ktap_case "a processor goes and comes back: of two" fine 2 'sh /t/plug 2'
ktap_case "of four" fine 4 'sh /t/plug 4'
ktap_case "waiting for a processor is stolen time" fine 4 'sh /t/steal'
ktap_case "it ends while all processors are busy" ends
ktap_case "moved from processor to processor" move_about
host_cpu1 0
ktap_case "on one processor of the host: mappings" fine 2 'smp stale 8'
ktap_case "forks" fine 4 'smp fork 4'
ktap_case "bytes and timers" fine 4 'smp pong 200 && smp timers 30'
host_cpu1 1
ktap_case "no complaints in the host's log" quiet_dmesg
ktap_case "the module can go" rmmod lodge
lab_end
