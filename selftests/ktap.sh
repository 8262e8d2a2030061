# SPDX-License-Identifier: GPL-2.0-only
#
# For tests that are shell scripts (lab tests above all): KTAP on stdout, exit status 0, 1 or 4.
# Use:
#
#	. selftests/ktap.sh
#	ktap_plan 2
#	ktap_case "two processors" test "$n" = 2
#	ktap_skip "discard" "the file system cannot"
#	ktap_end
#
# ktap_case runs a command: 0 is a pass, 4 a skip, anything else a failure; what it prints becomes
# diagnostics. Scripts run from the top directory; $O is the build directory.

O=${O:-build}
ktap_nr=0
ktap_planned=0
ktap_bad=0
ktap_skipped=0

ktap_plan() {
	ktap_planned=$1
	printf 'TAP version 13\n1..%d\n' "$1"
}

# The whole program cannot run here.
ktap_skip_all() {
	printf 'TAP version 13\n1..0 # SKIP %s\n' "$*"
	exit 4
}

ktap_msg() {
	printf '%s\n' "$*" | sed 's/^/# /'
}

ktap_pass() {
	ktap_nr=$((ktap_nr + 1))
	printf 'ok %d %s\n' "$ktap_nr" "$1"
}

ktap_fail() {
	ktap_nr=$((ktap_nr + 1))
	ktap_bad=$((ktap_bad + 1))
	printf 'not ok %d %s\n' "$ktap_nr" "$1"
}

# ktap_skip NAME REASON
ktap_skip() {
	ktap_nr=$((ktap_nr + 1))
	ktap_skipped=$((ktap_skipped + 1))
	printf 'ok %d %s # SKIP %s\n' "$ktap_nr" "$1" "$2"
}

# ktap_case NAME COMMAND [ARG]...
ktap_case() {
	ktap_name=$1
	shift
	ktap_status=0
	ktap_text=$("$@" 2>&1) || ktap_status=$?
	[ -z "$ktap_text" ] || ktap_msg "$ktap_text"
	case $ktap_status in
	0) ktap_pass "$ktap_name" ;;
	4) ktap_skip "$ktap_name" "$(printf '%s\n' "$ktap_text" | tail -n 1)" ;;
	*)
		ktap_msg "exit status $ktap_status: $*"
		ktap_fail "$ktap_name"
		;;
	esac
}

ktap_end() {
	[ "$ktap_bad" = 0 ] && [ "$ktap_nr" = "$ktap_planned" ] || exit 1
	[ "$ktap_nr" -gt 0 ] && [ "$ktap_skipped" = "$ktap_nr" ] && exit 4
	exit 0
}
