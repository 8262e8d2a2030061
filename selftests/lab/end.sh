#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The ways in which a guest ends, and what lodge says of each: power button, signals, panics,
# reboots, crashes, the monitor. boot.sh has the plain ends.

# shellcheck source=selftests/labtest.sh
. "$(dirname "$0")/../labtest.sh"
lab_enter --timeout 300

# A command that notices when it is asked to stop, and says so.
guest_file t/polite - <<'END'
trap 'echo stopping; exit 9' TERM
echo up
while :; do sleep 0.2; done
END
# The same, once each of $1 processors has made a driver write to its device's registers.
guest_file t/touch - <<'END'
cd /sys/bus/virtio/drivers/virtio_rng || exit
dev=$(echo virtio*)
i=0
while [ $i -lt "$1" ]; do
	taskset $((1 << i)) sh -c "echo $dev >unbind && echo $dev >bind" || exit
	i=$((i + 1))
done
exec sh /t/polite
END
mon=$W/monitor.sock
state_save

up() {
	wait_for "$limit" has "$out" up
}

# ended STATUS [LINE-PATTERN]: how the last guest did; without a pattern, stderr is empty.
ended() {
	if [ "$st" != "$1" ]; then
		echo "status $st"
	elif [ -z "${2-}" ] && [ ! -s "$err" ]; then
		return 0
	elif [ -n "${2-}" ] && [ "$(wc -l <"$err")" = 1 ] && grep -qE "^lodge: .*$2" "$err"; then
		return 0
	fi
	cat "$err"
	return 1
}

monitor() {
	printf '%s\n' "$@" | socat -t 10 - "UNIX-CONNECT:$mon"
}

ktap_plan "$(grep -cE '^(ktap|kvm)_case ' "$0")"

# --- signals and the power button
guest_start -- 'sh /t/polite'
up
kill -TERM "$pid"
guest_wait
ktap_case "SIGTERM presses the power button: status 143" ended 143
ktap_case "and the guest's processes are asked to stop" has "$out" stopping

guest_start --console virtio -- 'sh /t/polite'
up
kill -INT "$pid"
guest_wait
ktap_case "so does SIGINT" ended 143

guest -- 'kill -STOP -1; exit 5'
ktap_case "a command that stops all other processes ends with its status" ended 5

guest_start --net tap=t1 --monitor unix:$mon -- 'sh /t/polite'
up
# Of two that wait, the lower number is taken first: so this order is sure.
kill -HUP "$pid"
kill -INT "$pid"
guest_wait
ktap_case "a second signal kills: 128 and its number" ended 130 "killed by a second signal"
ktap_case "which leaves nothing behind" state_same

guest_start --net tap=t1 --monitor unix:$mon -- 'sh /t/polite'
up
kill -KILL "$pid"
guest_wait
ktap_case "kill -9 kills" ended 137
rm_stale() {
	[ -S $mon ] && mv $mon $mon.old && state | grep -v "$mon.old" >$W/state.now &&
		diff $W/state $W/state.now && mv $mon.old $mon
}
ktap_case "and leaves nothing but the monitor's socket, which only its owner can remove" rm_stale

# --- the monitor, at the path where the dead one's still is
cpus=$(in_mode 2 1)
guest_start --name mona --cpus "$cpus" --net tap=t1 --monitor unix:$mon -- "sh /t/touch $cpus"
up
mode=$(stat -c %a $mon)
monitor status >$W/mon.status
monitor stats >$W/mon.stats
monitor help >$W/mon.help
monitor frobnicate >$W/mon.unknown
monitor status help status >$W/mon.three
monitor powerdown >$W/mon.powerdown
guest_wait
running="mona: running, $cpus cpus, 512 MiB, accelerator $accel"
ktap_case "a dead guest's socket is taken over" ended 143
ktap_case "only the owner may use it" test "$mode" = 600
ktap_case "status tells of the guest" says $W/mon.status "$running"
ktap_case "stats counts vCPUs' exits" \
	grep -qE "^vcpu$((cpus - 1)) .*$(in_mode mmio hypercall)=[1-9]" $W/mon.stats
ktap_case "and frames" grep -qE '^net0: .*tx_packets=' $W/mon.stats
ktap_case "help lists quit" grep -qE '^ *quit' $W/mon.help
ktap_case "an unknown command is an error" grep -q '^error: unknown command' $W/mon.unknown
ktap_case "several commands in a row are answered" test "$(grep -cx ok $W/mon.three)" = 3
ktap_case "powerdown is answered" says $W/mon.powerdown ok
ktap_case "and lets the guest stop in order" has "$out" stopping
ktap_case "the socket is removed" state_same

guest_start --monitor unix:$mon -- 'sh /t/polite'
up
monitor quit >$W/mon.quit
guest_wait
ktap_case "quit ends the guest at once" ended 130 "ended from the monitor"

# --- the guest's own ways to end
guest -- 'poweroff -f'
ktap_case "poweroff -f in the guest: status 0" ended 0
guest -- 'reboot; sleep 100'
ktap_case "a reboot ends the guest" ended 0
guest -- 'reboot -f'
ktap_case "a forced one, too" ended 0
[ "$accel" = lite ] || guest -- 'reboot -f' reboot=triple
kvm_case "a paravirtual kernel asks for its reboot" \
	"a triple fault is a crash: one line, status 122" ended 122 "crashed: "

# --- panics: with each console
crash='echo c >/proc/sysrq-trigger'
# At loglevel 0 the kernel does not even say that it panics.
guest -- "$crash" loglevel=1
ktap_case "a panic: one line, status 121" ended 121 "panicked: sysrq triggered crash"
guest --console virtio -- "$crash" loglevel=4
ktap_case "a panic with a virtio console" ended 121 "panicked: sysrq triggered crash"
guest -- "$crash"
ktap_case "a panic that says nothing" ended 121 "panicked"
guest --console none --cpus "$cpus" -- "$crash"
ktap_case "a panic without a console" ended 121 "panicked"

raw() { # KERNEL-PARAMETERS [INITRD]
	st=0
	err=$W/err
	timeout -s KILL "$limit" lodge run --kernel $kernel ${2:+--initrd "$2"} \
		--append "quiet $1" </dev/null >$W/out 2>$W/err || st=$?
}
raw ""
ktap_case "a kernel without a root" ended 121 "panicked: VFS: Unable to mount root fs"
head -c 300000 $initrd >$W/cut
raw "" $W/cut
ktap_case "an initrd cut short" ended 121 "panicked: "
echo "I am a text." >$W/text
raw "" $W/text
ktap_case "a text for an initrd" ended 121 "panicked: "
raw "rdinit=/bin/false" $initrd
ktap_case "an init that ends" ended 121 "panicked: Attempted to kill init"

# What looks like a panic must not be believed when the guest did not panic.
guest -- 'echo Kernel panic - not syncing: not at all; exit 5'
ktap_case "a guest that only talks of a panic" ended 5
ktap_case "nothing is left behind" state_same
lab_end
