# SPDX-License-Identifier: GPL-2.0-only
#
# For tests whose guests run in the lab's emulated PC (selftests/*/*.sh). One script is both ends,
# and serves both modes, "SCRIPT kvm" (default) and "SCRIPT lite"; "SCRIPT ring3" is lite mode with
# the guest's kernel in ring 3:
#
#	. "$(dirname "$0")/../labtest.sh"
#	lab_enter --timeout 300
#	ktap_plan 1
#	guest -- 'exit 7'
#	ktap_case "the command's status" test "$st" = 7
#	lab_end
#
# On the build host lab_enter starts the lab with the same script in it and never comes back; in the
# lab it does nothing, and the KTAP printed there passes through. One boot of the lab serves many
# cases. The rest of this file is for the inner end: guests in the foreground and background, and
# waiting with a bound.
#
# $accel is the mode: kvm is a PC with SVM, lite one without VT and with lodge's module. The cases
# are the same but for what only one of them has, which kvm_case, lite_case and in_mode say.
#
# Guests boot $initrd: the stock initramfs plus the files that guest_file put into it.

# shellcheck source=selftests/ktap.sh
# shellcheck disable=SC2034
if [ -n "${LAB-}" ]; then
	. /lodge/selftests/ktap.sh
else
	. "$(dirname "$0")/../ktap.sh"
fi

accel=${1:-kvm}
if [ "$accel" = ring3 ]; then
	accel=lite LODGE_RING=3
fi
lab_dir=$(basename "$(cd "$(dirname "$0")" && pwd)")
kernel=/lodge/vmlinuz
initrd=/tmp/t/initrd
W=/tmp/t
nr_guests=0
# For the scripts to read, and the last two to set.
st= out= err= pid= limit=120 in=

# One run of the lab with this script in it. A lab that did not finish gets a second chance, and the
# log says so (why one stood still: Documentation/lab.rst): so --timeout is less than half of the
# 900 s that a script has in `make check`. What it has to say otherwise, oopses of its kernel
# included, counts the first time.
lab_run() {
	lr_log=$(mktemp)
	for lr_try in first second; do
		lr_status=0
		tools/lab/lab --env "LODGE_TEST_FULL=${LODGE_TEST_FULL-}" \
			--env "LODGE_RING=${LODGE_RING-}" "$@" -- \
			sh "/lodge/selftests/$lab_dir/$(basename "$0")" "$accel" >"$lr_log" 2>&1 ||
			lr_status=$?
		if [ $lr_try = second ] || ! grep -q '^lab: not finished after' "$lr_log"; then
			break
		fi
		echo "# the lab did not finish; its end was:"
		tail -n 8 "$lr_log" | sed 's/^/# /'
	done
	cat "$lr_log"
	rm -f "$lr_log"
	return $lr_status
}

# lab_enter [LAB-OPTION]...: without --svm or --no-vt among them the PC is the mode's, ready to run
# guests.
lab_enter() {
	if [ -z "${LAB-}" ]; then
		case " $* " in
		*" --svm "*|*" --no-vt "*) ;;
		*) set -- "$(in_mode --svm --no-vt)" "$@" --env LODGE_TEST_READY=1 ;;
		esac
		lab_run "$@"
		exit
	fi
	mkdir -p $W
	if [ "$accel" = lite ] && [ -n "${LODGE_TEST_READY-}" ]; then
		lite_load
	fi
	cp /lodge/initramfs.cpio $initrd
	state_save
}

lab_end() {
	ktap_end
}

# in_mode KVM LITE: the one that is this mode's.
in_mode() {
	[ "$accel" = kvm ] && printf '%s\n' "$1" || printf '%s\n' "$2"
}

# As ktap_case, skipped in the other mode, where REASON says what is missing:
# kvm_case REASON NAME COMMAND [ARG]...
kvm_case() {
	mode_case kvm "$@"
}

# lite_case REASON NAME COMMAND [ARG]...
lite_case() {
	mode_case lite "$@"
}

mode_case() {
	mc_mode=$1 mc_reason=$2
	shift 2
	if [ "$accel" = "$mc_mode" ]; then
		ktap_case "$@"
	else
		ktap_skip "$1" "$mc_reason"
	fi
}

# With LODGE_RING set outside, guests' kernels are in that ring.
lite_insmod() {
	insmod /lodge/modules/lodge.ko ${LODGE_RING:+ring=$LODGE_RING}
}

# The group is the one that may open /dev/kvm, so that one user of the lab has both.
lite_load() {
	lite_insmod || exit 1
	wait_for 10 test -c /dev/lodge
	chgrp kvm /dev/lodge
	chmod 660 /dev/lodge
}

# guest_file DEST SOURCE: a file (- is standard input) for the guests that start from now on.
guest_file() {
	rm -rf $W/extra
	mkdir -p "$W/extra/$(dirname "$1")"
	if [ "$2" = - ]; then
		cat >"$W/extra/$1"
	else
		cp "$2" "$W/extra/$1"
	fi
	chmod 755 "$W/extra/$1"
	(cd $W/extra && find . -mindepth 1 | cpio -o -H newc 2>/dev/null) >>$initrd
}

# The command line of a guest that runs the shell command $1, silent but for what that prints.
guest_cmdline() {
	printf 'quiet loglevel=0 lodge.run="%s"' "$1"
}

# guest [RUN-OPTION]... -- COMMAND [KERNEL-PARAMETER]...
# Runs a guest to its end: $st is the exit status, $out and $err the files with its output.
# $in is its standard input, if not empty; $limit the seconds it may take.
guest() {
	nr_guests=$((nr_guests + 1))
	out=$W/out.$nr_guests
	err=$W/err.$nr_guests
	guest_args "$@" || return
	st=0
	eval "timeout -s KILL \$limit lodge run --kernel $kernel --initrd $initrd $args" \
		<"${in:-/dev/null}" >"$out" 2>"$err" || st=$?
	tr -d '\r' <"$out" >"$out.txt"
	out=$out.txt
}

# The same, but it goes on running: $pid is lodge's, guest_wait waits for its end.
guest_start() {
	nr_guests=$((nr_guests + 1))
	out=$W/out.$nr_guests
	err=$W/err.$nr_guests
	guest_args "$@" || return
	eval "exec lodge run --kernel $kernel --initrd $initrd $args" \
		<"${in:-/dev/null}" >"$out" 2>"$err" &
	pid=$!
}

# guest_wait [PID]: sets $st; a guest that does not end in time is killed and has status 137.
guest_wait() {
	gw_pid=${1:-$pid}
	wait_for "$limit" gone "$gw_pid" || {
		echo "# no end within $limit s: killed"
		kill -9 "$gw_pid"
	}
	st=0
	wait "$gw_pid" || st=$?
}

# Quote every word once, so that they survive one eval.
guest_args() {
	args="--accel $accel"
	while [ $# -gt 0 ] && [ "$1" != -- ]; do
		args="$args $(quote "$1")"
		shift
	done
	[ $# -ge 2 ] || { echo "guest: no command given" >&2; return 2; }
	ga_line=$(guest_cmdline "$2")
	shift 2
	args="$args --append $(quote "$ga_line $*")"
}

quote() {
	printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"
}

# True when process $1 has ended; an unreaped child has, too.
gone() {
	case $(sed -n 's/^State:[[:space:]]*//p' "/proc/$1/status" 2>/dev/null) in
	''|Z*) return 0 ;;
	esac
	return 1
}

# wait_for SECONDS COMMAND...: until COMMAND succeeds.
wait_for() {
	wf_left=$(($1 * 10))
	shift
	until "$@"; do
		wf_left=$((wf_left - 1))
		[ $wf_left -gt 0 ] || return 1
		sleep 0.1
	done
}

# has FILE TEXT: a line that contains TEXT.
has() {
	grep -qF -- "$2" "$1" 2>/dev/null
}

# says FILE LINE: a line that is LINE.
says() {
	grep -qxF -- "$2" "$1" 2>/dev/null || { head -n 40 "$1"; return 1; }
}

one_line() {
	[ "$(wc -l <"$1")" = 1 ] || { cat "$1"; return 1; }
}

# refused PATTERN COMMAND...: lodge ends with 125 and one line that matches PATTERN, prints nothing
# else and leaves nothing behind.
refused() {
	re_pattern=$1
	shift
	re_st=0
	timeout -s KILL 60 "$@" >$W/out 2>$W/err </dev/null || re_st=$?
	if [ $re_st = 125 ] && [ ! -s $W/out ] && [ "$(wc -l <$W/err)" = 1 ] &&
		grep -qE "^lodge: .*$re_pattern" $W/err
	then
		state_same
		return
	fi
	echo "status $re_st, wanted a line with: $re_pattern"
	head -n 20 $W/err
	return 1
}

# All that a guest could leave behind: processes, interfaces, locks, sockets, files. $W is the
# test's own.
state() {
	# shellcheck disable=SC2010 # what is looked for is a link's target
	ls -l /proc/[0-9]*/exe 2>/dev/null | grep '[-]> .*/lodge$'
	ip -o link | sed 's/^[0-9]*: //; s/ .*//'
	grep -c . /proc/locks
	sed 's/.* //' /proc/net/unix | grep / | sort
	find /tmp /run /dev/shm /lab -path $W -prune -o -print | sort
}

state_save() {
	state >$W/state
}

# True when all is as state_save found it.
state_same() {
	state >$W/state.now
	diff $W/state $W/state.now
}

free_mib() {
	echo $(($(sed -n 's/^MemAvailable: *\([0-9]*\).*/\1/p' /proc/meminfo) / 1024))
}
