#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# A Debian system as a guest of lite mode, in the lab: selftests/userland/userland.sh PART
#
#   boot     systemd comes up to its login prompt on hvc0; poweroff and the power button end it
#   tools    compilers, debuggers, interpreters, in inside/tools.sh
#   stress   stress-ng with all its checks, for 60 seconds
#   smp      the same with two virtual processors, and tools
#   kselftest  the kernel's selftests: what they say in the guest is what they say on the lab's
#            machine itself; each difference is in the file "differences" with its reason
#
# The disk is made by selftests/userland/image. LODGE_RING=3 in the environment loads the module
# with ring=3. LODGE_KSELFTEST is a pattern for the names of kernel selftests, LODGE_KEEP a folder
# on the build host for their logs, LODGE_CPUS how many processors they get (1). Both ends of the
# lab are in this file, as in lab tests.

part=${LODGE_PART-$1}
here=$(dirname "$0")
set -- lite
# shellcheck source=selftests/labtest.sh
. "$here/../labtest.sh"

disk=$O/userland/disk.img
# For the kernels below and in the guest: one on one processor has DS prefixes in place of LOCK. To
# them QEMU's emulated processor adds DS's base in 64-bit mode, too, which one of the kernel's tests
# may have set when an interrupt comes.
locks=
case $part in
boot|tools|stress) cpus=1 limit=2400 ;;
smp) cpus=2 limit=3600 ;;
kselftest) cpus=${LODGE_CPUS:-1} limit=7200 locks=noreplace-smp ;;
*) echo "usage: selftests/userland/userland.sh boot|tools|stress|smp|kselftest" >&2; exit 2 ;;
esac

if [ -z "${LAB-}" ]; then
	[ -e "$disk" ] || ktap_skip_all "no $disk: selftests/userland/image makes it"
	[ -z "${LODGE_KEEP-}" ] || set -- --get "/tmp/t/keep:$LODGE_KEEP"
	[ -n "${LODGE_KEEP-}" ] || set --
	# 4 levels of page tables: what the guest has is what it is compared with. And QEMU's
	# emulated processor takes a program's far return for an access of the kernel's, which SMAP
	# forbids.
	[ "$part" != kselftest ] || set -- --cpu -la57,-smap --append "$locks" "$@"
	lab_enter --no-vt --cpus $cpus --mem 5G --timeout $limit --drive "$disk" \
		--put "$O/userland/initrd.img" --env "LODGE_PART=$part" \
		--env "LODGE_KSELFTEST=${LODGE_KSELFTEST-}" --env "LODGE_CPUS=$cpus" "$@"
fi
lab_enter

lite_insmod || exit 1
con=$W/con out=$W/out mnt=$W/mnt escape=$(printf '\033')
mkdir -p $mnt $W/keep

# Scripts for the guest, on its disk before it starts.
disk_mount() {
	mount -t ext4 /dev/vdb $mnt
}
disk_mount || exit 1
mkdir -p $mnt/root/t
cp /lodge/selftests/userland/inside/*.sh $mnt/root/t/
umount $mnt

# wait_long SECONDS COMMAND...: as wait_for, seldom enough that the guest does not notice.
wait_long() {
	wl_end=$(($(date +%s) + $1))
	shift
	until "$@"; do
		[ "$(date +%s)" -lt $wl_end ] && kill -0 $pid 2>/dev/null || return 1
		sleep 1
	done
}

# What has come on the console since the last con_send, without its terminal's control sequences.
con_text() {
	tail -c +$((con_at + 1)) $out | tr -d '\r' | sed "s/$escape\[[?0-9;]*[a-zA-Z]//g"
}

seen() {
	con_text | grep -qE -e "$1"
}

con_send() {
	con_at=$(wc -c <$out)
	printf '%s\n' "$1" >&3
}

guest_boot() {
	rm -f $con
	mkfifo $con
	: >$out
	con_at=0
	lodge run --accel lite --kernel $kernel --initrd initrd.img --mem 3G --cpus $cpus \
		--disk /dev/vdb --stats --append "root=/dev/vda rw quiet $locks" \
		<$con >$out 2>$W/err &
	pid=$!
	exec 3>$con
}

guest_log_in() {
	wait_long 600 seen 'lodge-debian login:' || return 1
	con_send root
	wait_long 120 seen 'root@lodge-debian:~#'
}

# in_guest SECONDS COMMAND: its exit status; all that it prints is on the console.
in_guest() {
	con_send "$2; echo status: \$?"
	wait_long "$1" seen '^status: [0-9]+' || return 125
	ig_status=$(con_text | sed -n 's/^status: \([0-9]*\)$/\1/p' | tail -n 1)
	return "$ig_status"
}

# The guest is to have ended, by itself.
guest_ended() {
	exec 3>&-
	st=0
	wait_for 300 gone $pid || { kill -9 $pid; echo "killed"; }
	wait $pid || st=$?
	[ $st = 0 ] && return
	echo "status $st"
	return 1
}

trouble() {
	con_text | tail -n 30 | sed 's/^/# | /'
	sed 's/^/# | /' $W/err | tail -n 30
}

# As ktap_case, but not in a subshell, whose child the guest would not be; with the console's end if
# it fails.
console_case() {
	cc_name=$1 cc_status=0
	shift
	"$@" >$W/case 2>&1 || cc_status=$?
	sed 's/^/# /' $W/case
	if [ $cc_status = 0 ]; then
		ktap_pass "$cc_name"
	else
		ktap_msg "exit status $cc_status: $*"
		trouble
		ktap_fail "$cc_name"
	fi
}

power_button() {
	kill -TERM $pid
	guest_ended
}

poweroff_by_command() {
	con_send poweroff
	guest_ended
}

# The file system was unmounted: nothing to recover.
disk_clean() {
	e2fsck -fn /dev/vdb
}

part_boot() {
	ktap_plan 8
	guest_boot
	console_case "systemd's login prompt comes on hvc0" guest_log_in
	console_case "the system is up, and nothing has failed" \
		in_guest 300 'systemctl is-system-running --wait'
	console_case "the power button ends it with status 0" power_button
	ktap_case "and leaves a clean file system" disk_clean
	guest_boot
	console_case "it boots again" guest_log_in
	console_case "the journal has kept the first boot" \
		in_guest 300 "journalctl -b -1 -o cat | grep -m 1 'Linux version'"
	console_case "poweroff ends it with status 0" poweroff_by_command
	ktap_case "and leaves a clean file system, too" disk_clean
}

# Each line of inside/tools.sh's is a case.
tools_cases() {
	con_text | while read -r tc_line; do
		case $tc_line in
		ok\ *) ktap_pass "${tc_line#ok }" ;;
		not\ ok\ *) ktap_fail "${tc_line#not ok }" ;;
		"#"*) echo "$tc_line" ;;
		esac
	done
	tc_ok=$(con_text | grep -c '^ok ')
	tc_bad=$(con_text | grep -c '^not ok ')
	ktap_nr=$((ktap_nr + tc_ok + tc_bad))
	ktap_bad=$((ktap_bad + tc_bad))
}

part_tools() {
	guest_boot
	console_case "systemd's login prompt comes on hvc0" guest_log_in
	console_case "the tools are all tried" in_guest 1500 'bash t/tools.sh'
	tools_cases
	console_case "poweroff ends it with status 0" poweroff_by_command
}

part_stress() {
	guest_boot
	console_case "systemd's login prompt comes on hvc0" guest_log_in
	console_case "stress-ng finds nothing wrong in 60 seconds" \
		in_guest 900 'sh t/stress.sh 60'
	con_text | grep 'stress-ng: ' | sed 's/^/# /'
	console_case "the kernel has not complained" \
		in_guest 60 "! dmesg | grep -E -A20 'WARNING|BUG|Oops|Call Trace|multicall'"
	console_case "poweroff ends it with status 0" poweroff_by_command
}

# What a test says, without what differs from run to run: its verdicts, numbers taken out, and of
# userfaultfd's rounds which faults there were.
verdict='^(not )?ok |\[(OK|FAIL|SKIP|PASS|WARN|NOTE|ERROR|RUN|INFO)|^(PASS|FAIL|SKIP)|Killed|fault'
verdicts() {
	tr -d '\r\033' <"$1" | sed 's/\[[0-9;]*m//g; s/^[[:space:]]*//' |
		grep -aE "$verdict" |
		sed -E 's/, userfaults: .*//' |
		sed -E 's/(0x)+[0-9a-fA-F]+/N/g; s/\b[0-9a-f]{4,}\b/N/g; s/[0-9]+/N/g; s/ +/ /g' |
		uniq
}

same_test() {
	sm_host=$(sed -n "s/^$1 //p" $W/keep/host/status)
	sm_guest=$(sed -n "s/^$1 //p" $W/keep/guest/status)
	verdicts "$W/keep/host/$1.log" >$W/v.host 2>/dev/null
	verdicts "$W/keep/guest/$1.log" >$W/v.guest 2>/dev/null
	if [ -s "$W/keep/guest/$1.dmesg" ] && [ ! -s "$W/keep/host/$1.dmesg" ]; then
		echo "the guest's kernel says:"
		cat "$W/keep/guest/$1.dmesg"
		sm_guest=$sm_guest,kernel
	fi
	if [ "$sm_host" = "$sm_guest" ] && cmp -s $W/v.host $W/v.guest; then
		echo "status $sm_host on both"
		return 0
	fi
	echo "status ${sm_host:-none} on the machine, ${sm_guest:-none} in the guest"
	diff $W/v.host $W/v.guest | head -n 30
	return 1
}

known() {
	grep -v '^#' /lodge/selftests/userland/differences | while read -r kn_test kn_why; do
		case $kn_why in
		ring3:*) [ "${LODGE_RING-}" = 3 ] || continue ;;
		esac
		# shellcheck disable=SC2254 # it is a pattern
		case $1 in
		$kn_test) echo "$kn_why"; break ;;
		esac
	done
}

kselftest_case() {
	kc_text=$(same_test "$1") && kc_same=1 || kc_same=
	kc_why=$(known "$1")
	ktap_msg "$kc_text"
	if [ -n "$kc_same" ]; then
		ktap_pass "$1"
		[ -z "$kc_why" ] || ktap_msg "it is in the list of differences: $kc_why"
	elif [ -n "$kc_why" ]; then
		ktap_skip "$1" "$kc_why"
	else
		ktap_fail "$1"
	fi
}

# The machine itself first, from the same disk.
kselftest_host() {
	disk_mount || return
	for d in proc sys dev; do
		mount --bind /$d $mnt/$d
	done
	mount -t tmpfs tmpfs $mnt/tmp
	mkdir -p $mnt/dev/shm
	mount -t tmpfs tmpfs $mnt/dev/shm
	# Its root for good: there are no user namespaces in a chroot.
	unshare -m sh -c "cd $mnt && mount --move . / &&
		exec chroot . /bin/bash /root/t/kselftests.sh /root/out '$pattern'"
	cp -a $mnt/root/out $W/keep/host
	rm -rf $mnt/root/out
	for d in dev/shm tmp dev sys proc .; do
		umount $mnt/$d || { echo "# cannot unmount $d"; umount -l $mnt/$d; }
	done
}

part_kselftest() {
	pattern=${LODGE_KSELFTEST:-.}
	kselftest_host
	ktap_case "the machine itself has run them" test -s $W/keep/host/status
	guest_boot
	console_case "systemd's login prompt comes on hvc0" guest_log_in
	console_case "the guest runs them" \
		in_guest 5400 "bash t/kselftests.sh /root/out '$pattern'"
	console_case "poweroff ends it with status 0" poweroff_by_command
	disk_mount
	cp -a $mnt/root/out $W/keep/guest
	umount $mnt
	while read -r pk_name _; do
		kselftest_case "$pk_name"
	done <$W/keep/host/status
}

[ "$part" = boot ] || echo "TAP version 13"
case $part in
smp)
	part_stress
	part_tools
	;;
*)	part_$part ;;
esac
[ "$ktap_planned" != 0 ] || { ktap_planned=$ktap_nr; echo "1..$ktap_nr"; }
lab_end
