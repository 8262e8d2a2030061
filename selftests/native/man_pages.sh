#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The manual pages and the program agree: every option, key and command that --help shows is
# documented, and nothing else is; exit statuses too. Reads the pages' sources, so it needs no
# docutils. --help comes from the tables that the parser uses.

set -u

. selftests/ktap.sh

page=Documentation/lodge-run.1.rst
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT

# "--cpus" for an option, "--disk ro" for a key of a device.
run_help() {
	"$O/lodge" run --help | awk '
		/^  --/ { opt = $1; print opt; next }
		/^      [a-z-]+(=[^ ]+)?  +[^ ]/ { sub(/=.*/, "", $1); print opt, $1 }'
}

# Terms of the section on options: **--cpus** *N*, **ro**, **serial=**\ *TEXT*
run_page() {
	awk '
		/^====*$/ { inside = before == "Options" }
		{ before = $0 }
		!inside || !/^\*\*/ { next }
		{ split($0, word, /\*\*/); term = word[2]; sub(/=$/, "", term) }
		term ~ /^--/ { opt = term; if (opt != "--help") print opt; next }
		{ print opt, term }' "$page"
}

# nothing_in FILE TEXT: fails and shows FILE when it is not empty
nothing_in() {
	[ -s "$1" ] || return 0
	echo "$2"
	cat "$1"
	return 1
}

run_help | sort >"$tmp/help"
run_page | sort >"$tmp/page"
comm -23 "$tmp/help" "$tmp/page" >"$tmp/only_help"
comm -13 "$tmp/help" "$tmp/page" >"$tmp/only_page"

enough_options() {
	wc -l <"$tmp/help"
	[ "$(wc -l <"$tmp/help")" -ge 20 ]
}

no_option_twice() {
	sort "$tmp/page" | uniq -d >"$tmp/twice"
	nothing_in "$tmp/twice" "documented twice:"
}

commands() {
	"$O/lodge" --help | sed -n 's/^  \([a-z]*\)  .*/\1/p' | sort >"$tmp/help_cmds"
	awk '/^====*$/ { inside = before == "Commands" } { before = $0 }
		inside && /^[a-z]+$/' Documentation/lodge.1.rst | sort >"$tmp/page_cmds"
	[ -s "$tmp/help_cmds" ] && diff "$tmp/help_cmds" "$tmp/page_cmds"
}

exit_statuses() {
	sed -n 's/^#define CMD_EXIT_[A-Z]* *\([0-9]*\).*/\1/p' host/cmd.h >"$tmp/statuses"
	[ -s "$tmp/statuses" ] || return 1
	while read -r n; do
		grep -qx "$n" "$page" || echo "$n"
	done <"$tmp/statuses" >"$tmp/undocumented"
	nothing_in "$tmp/undocumented" "exit statuses of host/cmd.h that $page does not have:"
}

[ -x "$O/lodge" ] || ktap_skip_all "$O/lodge is not built"
ktap_plan 6
ktap_case "--help lists options" enough_options
ktap_case "every option has its place in the page" nothing_in "$tmp/only_help" "missing:"
ktap_case "the page has no other options" nothing_in "$tmp/only_page" "not in --help:"
ktap_case "no option stands there twice" no_option_twice
ktap_case "lodge(1) has the commands" commands
ktap_case "lodge-run(1) has the exit statuses" exit_statuses
ktap_end
