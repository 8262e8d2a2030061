#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Lite mode gives back what it took: two guests at a time whose launchers are killed at random
# moments, the module unloaded and loaded again, and NMIs, which QEMU's monitor injects from the
# outside, in the middle of world switches. lite_teardown_pti.sh is the same with two processors
# and page table isolation, and shorter; lite_teardown_smp.sh with guests that have four vCPUs.
#
# SEED=N repeats a run's moments as far as a clock can. LODGE_TEST_FULL=1 takes five times as long.

# shellcheck source=selftests/labtest.sh
. "$(dirname "$0")/../labtest.sh"

kills=${kills:-20} reloads=${reloads:-5} nmis=${nmis:-1000} time=1
if [ -n "${LODGE_TEST_FULL-}" ]; then
	kills=100 reloads=20 nmis=5000 time=5
fi
# KiB that the host's own caches may come to hold meanwhile.
slack=4096
seed=${SEED:-$$}

# The outer end: NMIs from the line that asks for them, in the log of lab_run, until the monitor is
# gone.
if [ -z "${LAB-}" ]; then
	dir=$(mktemp -d)
	trap 'kill $injector 2>/dev/null; rm -rf "$dir"' EXIT
	(
		until grep -q '^# NMIs, please' "$dir"/tmp.* 2>/dev/null; do sleep 0.1; done
		while sleep 0.02; do echo nmi; done |
			socat - "UNIX-CONNECT:$dir/mon" >/dev/null 2>&1
	) &
	injector=$!
	export TMPDIR="$dir"
	# shellcheck disable=SC2086
	lab_enter --no-vt --mem 1536M --timeout $((430 * time)) --env "SEED=$seed" ${lab_options-} \
		--qemu "-monitor unix:$dir/mon,server=on,wait=off"
fi
lab_enter

rnd() {
	rnd_state=$(((${rnd_state:-$seed} * 1103515245 + 12345) % 2147483648))
	rnd=$((rnd_state / 65536 % $1))
}

nr_bad_lines() {
	dmesg | grep -cE 'WARNING:|BUG:|Oops|general protection|stall|lockup|leak|Bad page|unsafe'
}

quiet_dmesg() {
	[ "$(nr_bad_lines)" = "$bad_before" ] || { dmesg | tail -n 40; return 1; }
}

# In KiB: what each processor keeps for itself of free pages, large ones among them.
mem_kept() {
	awk '/^ +count:/ { n += $2 } END { print 4 * n }' /proc/zoneinfo
}

# In KiB; with those pages: some ten MiB, which come and go. They must not have gone to the others
# between one look and the next, or they count twice.
mem_free() {
	sync
	echo 3 >/proc/sys/vm/drop_caches
	mf_tries=0
	while :; do
		mf_kept=$(mem_kept)
		mf_free=$(sed -n 's/^MemFree: *\([0-9]*\).*/\1/p' /proc/meminfo)
		mf_moved=$((mf_kept - $(mem_kept)))
		[ ${mf_moved#-} -gt 512 ] && [ $((mf_tries += 1)) -lt 50 ] || break
		sleep 0.1
	done
	echo $((mf_free + mf_kept))
}

mem_near() {
	mn_now=$(mem_free)
	[ "$mn_now" -ge $((mem_before - slack)) ]
}

# Freeing may wait for a grace period.
mem_back() {
	wait_for 20 mem_near || { echo "$mem_before KiB free before, $mn_now now"; return 1; }
}

# On each of its processors.
work='for i in $(seq $(nproc)); do (while :; do cat /proc/self/maps >/dev/null; done) & done; wait'

start() {
	guest_start --accel lite --cpus "${vcpus:-1}" --mem 128M -- "$1"
}

kill_at_random() {
	a= b=
	for _ in $(seq "$kills"); do
		[ -n "$a" ] || { start "$work"; a=$pid; }
		[ -n "$b" ] || { start "$work"; b=$pid; }
		rnd 30
		sleep $((rnd / 10)).$((rnd % 10))
		rnd 2
		if [ "$rnd" = 0 ]; then
			gone "$a" && { echo "ended by itself"; cat $W/err.*; return 1; }
			kill -9 "$a"; wait "$a"; a=
		else
			gone "$b" && { echo "ended by itself"; cat $W/err.*; return 1; }
			kill -9 "$b"; wait "$b"; b=
		fi
	done 2>/dev/null
	# shellcheck disable=SC2086
	kill -9 $a $b
	wait
}

healthy() {
	guest --accel lite --mem 128M -- 'echo fine'
	[ "$st" = 0 ] && has "$out" fine && return
	echo "status $st"
	cat "$err"
	return 1
}

unload() {
	rmmod lodge 2>/dev/null
}

used() {
	[ "$(cat /sys/module/lodge/refcnt)" -gt 0 ]
}

busy() {
	start "$work"
	wait_for 60 used || { echo "no guest"; return 1; }
	for _ in 1 2 3; do
		sleep 1
		unload && { echo "unloaded under a guest"; return 1; }
	done
	kill -9 "$pid"
	wait "$pid"
	wait_for 20 unload
}

reload() {
	for _ in $(seq "$reloads"); do
		lite_insmod || return 1
		start "$work"
		sleep 1
		kill -9 "$pid"
		wait "$pid"
		wait_for 20 unload || return 1
	done
	lite_insmod
}

nr_nmis() {
	sed -n 's/^ *NMI:\([ 0-9]*\).*/\1/p' /proc/interrupts |
		awk '{ for (i = 1; i <= NF; i++) n += $i } END { print n + 0 }'
}

nmis_came() {
	[ "$(nr_nmis)" -ge $((nmis_before + nmis)) ]
}

nmi_storm() {
	mkfifo $W/stop1 $W/stop2
	exec 5<>$W/stop1 6<>$W/stop2
	in=$W/stop1
	start "(while :; do cat /proc/self/maps >/dev/null; done) & read x; echo got \$x; exit 7"
	a=$pid out_a=$out
	in=$W/stop2
	start "(while :; do cat /proc/self/maps >/dev/null; done) & read x; echo got \$x; exit 7"
	b=$pid out_b=$out in=
	if ! wait_for $((150 * time)) nmis_came; then
		echo "$nmis_before NMIs before, $(nr_nmis) now"
		return 1
	fi
	echo stop >&5
	echo stop >&6
	guest_wait "$a"
	[ "$st" = 7 ] || { echo "status $st"; cat "$out_a"; return 1; }
	guest_wait "$b"
	[ "$st" = 7 ] || { echo "status $st"; cat "$out_b"; return 1; }
}

stats() {
	printf 'stats\n' | socat -t 10 - "UNIX-CONNECT:$W/p.sock"
}

evicted() {
	stats | grep -qE 'shadow_evicted=[1-9]'
}

# Next to nothing is free, files are read for which there is no room, and reclaim asks all who have
# something, the module among them.
pressure() {
	mkfifo $W/stop3
	mkdir -p $W/fill
	exec 7<>$W/stop3
	in=$W/stop3
	guest_start --accel lite --cpus "${vcpus:-1}" --mem 128M --monitor unix:$W/p.sock -- \
		"for i in \$(seq 80); do sleep 1000 & done; echo up
		(while :; do cat /proc/self/maps >/dev/null; done) & read x; exit 7"
	in=
	wait_for 60 has "$out" up
	mount -t tmpfs -o size=100% none $W/fill
	dd if=/dev/zero of=$W/fill/all bs=1M \
		count=$(($(sed -n 's/^MemFree: *\([0-9]*\).*/\1/p' /proc/meminfo) / 1024 - 64)) 2>&1
	for _ in $(seq $((5 * time))); do
		find /usr -type f -size +64k -exec cat {} + >/dev/null 2>&1
		echo 2 >/proc/sys/vm/drop_caches
	done
	pr_st=0
	wait_for 30 evicted || { pr_st=1; stats; }
	umount $W/fill
	echo stop >&7
	guest_wait
	[ "$st" = 7 ] || { echo "status $st"; cat "$out" "$err"; return 1; }
	return $pr_st
}

ktap_plan 16
ktap_msg "seed $seed"
lite_insmod
bad_before=$(nr_bad_lines)
ktap_case "a guest runs" healthy
mem_before=$(mem_free)

ktap_case "launchers are killed" kill_at_random
ktap_case "that leaves no warning" quiet_dmesg
ktap_case "and no memory" mem_back
ktap_case "a guest runs after that" healthy

ktap_case "the module cannot go while a guest runs, and can then" busy
ktap_case "it comes and goes" reload
ktap_case "that leaves no warning" quiet_dmesg
ktap_case "and no memory" mem_back

ktap_case "a guest lives with reclaim, and gives shadow pages back" pressure
ktap_case "that leaves no warning" quiet_dmesg
ktap_case "and no memory" mem_back

nmis_before=$(nr_nmis)
ktap_msg "NMIs, please"
ktap_case "guests live through NMIs" nmi_storm
ktap_case "that leaves no warning" quiet_dmesg
ktap_case "and no memory" mem_back
ktap_case "a guest runs after that" healthy
lab_end
