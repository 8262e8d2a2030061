#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Hostile lite guests and launchers (hostile/*.c), under NMIs that QEMU's monitor injects, beside a
# stock guest that must not notice. The host's log stays without a warning.
#
# lite_hostile_*.sh are the same on other machines, where only $programs run unless LODGE_TEST_FULL
# is set: all but those that do not depend on the machine.

# shellcheck source=selftests/labtest.sh
. "$(dirname "$0")/../labtest.sh"

all="hole tables roots entries insns selectors ldt hypercalls vcpus limits launcher"
[ -z "${LODGE_TEST_FULL-}" ] || programs=$all

# The outer end: NMIs from the line that asks for them, in the log of lab_run, until the monitor is
# gone.
if [ -z "${LAB-}" ]; then
	dir=$(mktemp -d)
	trap 'kill $injector 2>/dev/null; rm -rf "$dir"' EXIT
	(
		until grep -q '^# NMIs, please' "$dir"/tmp.* 2>/dev/null; do sleep 0.1; done
		while sleep 0.03; do echo nmi; done |
			socat - "UNIX-CONNECT:$dir/mon" >/dev/null 2>&1
	) &
	injector=$!
	export TMPDIR="$dir"
	# shellcheck disable=SC2086
	lab_enter --no-vt --mem 1G --timeout 420 ${lab_options-} \
		--qemu "-monitor unix:$dir/mon,server=on,wait=off"
fi
lab_enter

quiet() {
	! dmesg | grep -E 'WARNING:|BUG:|Oops|general protection|Bad page|lockup'
}

modprobe msr
lite_insmod || exit 1

at=/lodge/selftests/lab/hostile
n=2
for p in ${programs:-$all}; do
	n=$((n + $($at/$p -l | wc -l)))
done
ktap_plan "$n"

mkfifo $W/stop
exec 5<>$W/stop
in=$W/stop
guest_start --accel lite --mem 128M -- \
	"(while cat /proc/self/maps >/dev/null; do sleep 0.1; done) & read x; echo got \$x; exit 7"
in=

ktap_msg "NMIs, please"
for p in ${programs:-$all}; do
	$at/$p >$W/hostile
	ran=$?
	while read -r line; do
		case $line in
		"ok "*|"not ok "*)
			name=${line#*ok } name="$p: ${name#* }"
			case $line in
			*" # SKIP "*) ktap_skip "${name% # SKIP *}" "${line#* # SKIP }" ;;
			ok*) ktap_pass "$name" ;;
			*) ktap_fail "$name" ;;
			esac ;;
		"#"*) printf '%s\n' "$line" ;;
		esac
	done <$W/hostile
	[ $ran -le 1 ] || ktap_msg "$p ended with status $ran"
done

# Not in a case, which is a subshell and could not wait for it.
echo stop >&5
guest_wait "$pid"
[ "$st" = 7 ] || cat "$out" "$err"
ktap_case "the guest beside them finishes its work" test "$st" = 7
ktap_case "the host's log has no warning" quiet
lab_end
