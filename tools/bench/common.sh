# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# What the parts of make bench that run outside of the lab share; each sources it first. Sets top,
# the source tree, and build, both absolute.

top=$(cd "$(dirname "$0")/../.." && pwd)
build=${O:-$top/build}
case $build in /*) ;; *) build=$top/$build ;; esac

# QEMU's option for a lab whose time is the number of instructions: 2 ns for each, which is what the
# emulator takes when it is left alone, and does not keep books.
# shellcheck disable=SC2034
by_instructions="-icount shift=1"

bad() {
	echo "bench: $*" >&2
	exit 2
}

# The values of -r, -t and -c.
check_rounds() {
	case $1 in ''|*[!0-9]*|0*|???*) bad "-r $1: wants 1 to 99" ;; esac
}

check_ms() {
	case $1 in ''|*[!0-9]*|0*|?|??????*) bad "-t $1: wants 10 to 99999" ;; esac
}

check_clock() {
	case $1 in real|instructions) ;; *) bad "-c $1: wants instructions or real" ;; esac
}

load() { # of the machine below the lab: over the last minute, in processors
	cut -d' ' -f1 /proc/loadavg
}

# tell_load BEFORE AFTER: to the facts that the table is printed from
tell_load() {
	echo "load $1 before, $2 after, on $(nproc) processors"
}

# tell_busy BEFORE AFTER: a line if figures in real time are to be taken with care
tell_busy() {
	if echo "$1 $2 $(nproc)" | awk '{ exit !($1 + 1 > $3 || $2 > $3 + 0.5) }'; then
		echo "It was busy with other things: go by the spreads, or run it again when it" \
			"is not."
	fi
}
