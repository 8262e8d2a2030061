#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# netbench's client and server over the loopback: every kind of test, what the report says, and one
# line for everything that can be wrong on the command line. The program is the one with sanitizers.
# Bad peers and bad networks are in netbench_peer.c and netbench_relay.c.

set -u

. selftests/ktap.sh

nb=${NETBENCH:-$O/asan/netbench}
page=Documentation/netbench.1.rst
tmp=$(mktemp -d) || exit 1
server=
trap 'kill $server 2>/dev/null; rm -rf "$tmp"' EXIT

# serve [OPTION]...: a server on a free port of its own, $server and $port
serve() {
	[ -z "$server" ] || kill "$server"
	: >"$tmp/server"
	"$nb" -s -p 0 "$@" >"$tmp/server" 2>&1 &
	server=$!
	n=600
	until grep -q ' port ' "$tmp/server"; do
		n=$((n - 1))
		[ $n -gt 0 ] || { cat "$tmp/server"; return 1; }
		sleep 0.1
	done
	port=$(sed -n 's/.* port //p' "$tmp/server" | head -n 1)
}

# run OPTION... HOST: the status in $st, $tmp/out and $tmp/err
run() {
	st=0
	timeout -s KILL 120 "$nb" -p "$port" "$@" >"$tmp/out" 2>"$tmp/err" || st=$?
}

# json FILTER VALUE [OPTION]... HOST: a good run, whose report is one line of JSON, and says that
json() {
	filter=$1 value=$2
	shift 2
	run --json -i 0 "$@"
	[ $st = 0 ] && [ "$(wc -l <"$tmp/out")" = 1 ] &&
		[ "$(jq -r "$filter" "$tmp/out")" = "$value" ] && return
	echo "status $st; $filter:"
	jq -r "$filter" "$tmp/out"
	cat "$tmp/out" "$tmp/err"
	return 1
}

exact_bytes() {
	sums='[.to_server, .to_client | values |
		.bytes, .bytes_sent, ([.streams[].bytes] | add)] | unique | join(" ")'
	json "$sums" 1000003 -n 1000003 127.0.0.1 &&
		json "$sums" 1000003 -n 1000003 --verify -l 777 -P 3 127.0.0.1 &&
		json "$sums" 1000003 -n 1000003 --verify -R -P 5 127.0.0.1 &&
		json "$sums" 1000003 -n 1000003 --verify --bidir -P 4 127.0.0.1 &&
		json "$sums" 3 -n 3 -P 3 127.0.0.1 &&
		json "$sums" 20971520 -n 20M -l 16M 127.0.0.1
}

streams() {
	json '.to_server.streams | length' 128 -n 1M -P 128 -l 4K 127.0.0.1 &&
		json '[.to_server.streams[].bytes] | unique | join(" ")' 8192 -n 1M -P 128 127.0.0.1
}

directions() {
	json 'has("to_server"), has("to_client") | tostring' "$(printf 'true\nfalse')" -t 50ms \
		127.0.0.1 &&
		json '.to_client.bytes > 0 and .to_client.seconds > 0' true -t 50ms -R 127.0.0.1 &&
		json '.to_client.bytes > 0 and .to_server.bytes > 0' true -t 50ms --bidir 127.0.0.1
}

# Within -t the receiver's time is at least that, and the figures belong together.
consistent() {
	json '.to_server | .seconds >= 0.2 and
		((.bytes * 8 / .seconds / .bits_per_second - 1) | fabs) < 0.001' true -t 0.2 \
		127.0.0.1
}

cpu() {
	json '[.cpu.client, .cpu.server | .user_seconds + .system_seconds > 0] | all' true \
		-n 50M 127.0.0.1
}

# Slowly enough for nothing to be lost, on any machine, is not a thing: what was sent is exact, and
# the rest belongs together.
udp() {
	json '.to_server.packets | .sent == 50 and .received + .lost == .sent' true \
		-u -n 5000 -l 100 -b 1M --verify 127.0.0.1 &&
		json '.to_server.packets.sent' 51 -u -n 5001 -l 100 -b 1M 127.0.0.1 &&
		json '[.to_server, .to_client | .packets | .received > 0 and .sent >= .received]
			| all' true -u -t 200ms --bidir -P 3 127.0.0.1 &&
		json '.to_server.packets | .received > 0' true -u -t 50ms -l 65507 127.0.0.1 &&
		json '.to_server.bytes / .to_server.packets.received' 16 -u -t 50ms -l 16 127.0.0.1
}

# Without a rate these would be many thousands.
udp_rate() {
	json '.to_server.packets.sent <= 1000 and .to_server.packets.sent > 0' true \
		-u -t 0.2 -b 200pps -P 2 127.0.0.1 &&
		json '.to_client.packets.sent <= 1000 and .to_client.packets.sent > 0' true \
			-u -t 0.2 -R -b 80K -l 100 127.0.0.1
}

rr() {
	json .rr.transactions 1001 --rr -n 1001 -P 2 --verify -l 333 127.0.0.1 &&
		json '.rr.histogram_us | map(.[1]) | add' 500 --rr -n 500 127.0.0.1 &&
		json '.rr.latency_us | .min <= .p50 and .p50 <= .p99 and .p99 <= .["p99.9"] and
			.["p99.9"] <= .max and .min > 0 and .min <= .mean and .mean <= .max' true \
			--rr -t 0.2 127.0.0.1
}

families() {
	json .test.address "127.0.0.1 port $port" -n 1000 -4 localhost &&
		json .to_server.bytes 1000 -n 1000 -B 127.0.0.3 127.0.0.1 || return
	grep -q 'netbench: 127.0.0.3 port' "$tmp/server" || { cat "$tmp/server"; return 1; }
	[ -e /proc/net/if_inet6 ] && grep -q ' lo$' /proc/net/if_inet6 || {
		echo "no IPv6 here"
		return 4
	}
	json .test.address "::1 port $port" -n 1000 ::1 &&
		json .to_client.bytes 1000 -n 1000 -R -6 -B ::1 ::1 &&
		json '.to_server.packets.received > 0' true -u -t 50ms ::1
}

# Progress goes to stdout with the table, to stderr with JSON; the lines add up to the sum.
intervals() {
	run -t 0.5 -i 0.1 127.0.0.1
	[ $st = 0 ] && [ ! -s "$tmp/err" ] && grep -q ' s  to server ' "$tmp/out" &&
		grep -q '^to server  received ' "$tmp/out" || { cat "$tmp/out"; return 1; }
	run -t 0.5 -i 0.1 --json 127.0.0.1
	[ $st = 0 ] && grep -q ' s  to server ' "$tmp/err" &&
		[ "$(jq '(.intervals | length) >= 1 and
			([.intervals[].bytes] | add) <= .to_server.bytes' "$tmp/out")" = true ] ||
		{ cat "$tmp/out"; return 1; }
}

table() {
	run -n 1000 -P 2 127.0.0.1
	grep -q '^to server  stream 1    *500 B ' "$tmp/out" &&
		grep -q '^to server  received  *1.00 kB ' "$tmp/out" &&
		grep -q '^processor  server ' "$tmp/out" || { cat "$tmp/out"; return 1; }
	run -u -n 1600 -l 16 -b 1M 127.0.0.1
	grep -q '^to server  datagrams  *100 sent, ' "$tmp/out" || { cat "$tmp/out"; return 1; }
	run --rr -n 10 127.0.0.1
	grep -q '^transactions  10 in ' "$tmp/out" && grep -q '^round trip  *p50 ' "$tmp/out" ||
		{ cat "$tmp/out"; return 1; }
}

# interrupt OPTION...: SIGINT when it has begun. What was measured is told, with the status 130.
interrupt() {
	rm -f "$tmp/err"
	: >"$tmp/err"
	"$nb" -p "$port" --json -i 0.1 "$@" 127.0.0.1 >"$tmp/out" 2>"$tmp/err" &
	pid=$!
	n=600
	until [ "$(wc -l <"$tmp/err")" -ge 2 ] || [ $n = 0 ]; do
		n=$((n - 1))
		sleep 0.1
	done
	kill -INT $pid
	st=0
	wait $pid || st=$?
	[ $st = 130 ] && [ "$(jq '.interrupted and (.rr.transactions // .to_server.bytes //
		.to_client.bytes) > 0' "$tmp/out")" = true ] && return
	echo "status $st"
	head -c 500 "$tmp/out"
	head -n 5 "$tmp/err"
	return 1
}

interrupts() {
	# A shell without job control starts background commands with SIGINT ignored.
	interrupt -t 100 && interrupt -t 100 -R && interrupt -u -t 100 -b 1M &&
		interrupt --rr -t 100
}

# A report that goes nowhere is an error, not a signal.
full() {
	st=0
	"$nb" -p "$port" -i 0 --json -n 1000 127.0.0.1 >/dev/full 2>"$tmp/err" || st=$?
	[ $st = 1 ] && grep -q 'cannot write the report' "$tmp/err"
}

once() {
	serve -1 -B 127.0.0.1 && run -n 1000 127.0.0.1
	[ $st = 0 ] || return 1
	st=0
	wait "$server" || st=$?
	server=
	[ $st = 0 ] || return 1
	run -n 1000 127.0.0.1
	[ $st = 1 ] && grep -q 'connection refused: is `netbench -s` running' "$tmp/err"
}

# refused STATUS TEXT OPTION...: nothing on stdout, one line with TEXT on stderr
refused() {
	status=$1 text=$2
	shift 2
	st=0
	timeout -s KILL 60 "$nb" "$@" >"$tmp/out" 2>"$tmp/err" </dev/null || st=$?
	[ $st = "$status" ] && [ ! -s "$tmp/out" ] && [ "$(wc -l <"$tmp/err")" = 1 ] &&
		grep -qF -- "netbench: $text" "$tmp/err" && return
	echo "status $st, wanted $status and: $text"
	cat "$tmp/out" "$tmp/err"
	return 1
}

bad_options() {
	bad=0
	while IFS='|' read -r text args; do
		# The words are the arguments.
		# shellcheck disable=SC2086
		refused 2 "$text" $args || bad=1
	done <<-'END'
	wants one host to measure with, 0 given|
	wants one host to measure with, 2 given|a b
	-z: no such option|-z a
	--nonsense: no such option|--nonsense a
	-t: wants a value|a -t
	-P 0: wants 1 to 128 streams|-P 0 a
	-P 129: wants 1 to 128 streams|-P 129 a
	-P two: wants a number of streams|-P two a
	-P -1: wants a number of streams|-P -1 a
	-l 0: wants 1 to 16777216 bytes|-l 0 a
	-l 1073741824: wants 1 to 16777216 bytes|-l 1G a
	-l 15: wants 16 to 65507 bytes with -u|-u -l 15 a
	-l 65508: wants 16 to 65507 bytes with -u|-u -l 65508 a
	-l 12Q: wants a number of bytes|-l 12Q a
	-l K: wants a number of bytes|-l K a
	-l 0x10: wants a number of bytes|-l 0x10 a
	-l 1.2.3: wants a number of bytes|-l 1.2.3 a
	-P 100 with -l 16777216: more than 256 MiB|-P 100 -l 16M a
	-t 0: wants 1ms to 86400|-t 0 a
	-t 86401: wants 1ms to 86400|-t 86401 a
	-t 10x: wants a time|-t 10x a
	-t inf: wants a time|-t inf a
	-t 99999999999999999999999999999999: wants a time|-t 99999999999999999999999999999999 a
	-n 0: wants 1 to 1024T|-n 0 a
	-n 1025T: wants 1 to 1024T|-n 1025T a
	-n 3: less than a byte for each of 4 streams|-n 3 -P 4 a
	--time and --bytes do not go together|-t 1 -n 1 a
	--reverse and --bidir do not go together|-R --bidir a
	--rr and --udp do not go together|--rr -u a
	--rr and --reverse do not go together|-R --rr a
	--rr and --bidir do not go together|--rr --bidir a
	--ipv4 and --ipv6 do not go together|-4 -6 a
	--rate is for UDP|-b 1M a
	--rate is for UDP|-b 0 a
	-b fast: wants a rate|-u -b fast a
	-b 0pps: wants a rate|-u -b 0pps a
	-b 1Tpps: wants a rate|-u -b 1Tpps a
	-i 1 ms: wants 0, or|-i 1ms a
	--timeout 999 ms: wants 1 to 600|--timeout 999ms a
	--timeout 601000 ms: wants 1 to 600|--timeout 601 a
	--wait soon: wants a time|--wait soon a
	-p 0: wants the server's port|-p 0 a
	-p 65536: wants a port|-p 65536 a
	-p http: wants a port|-p http a
	--one is the server's: give -s|-1 a
	--time is the client's|-s -t 1
	--json is the client's|-s --json
	a: a server wants no host|-s a
	END
	return $bad
}

bad_runs() {
	refused 1 "no.such.host.invalid: unknown host" no.such.host.invalid &&
		refused 1 "1.2.3.4.5: unknown host" 1.2.3.4.5 &&
		refused 1 "127.0.0.1 port 1: connection refused" -p 1 127.0.0.1 &&
		refused 1 "127.0.0.1 port 1: connection refused" -p 1 --wait 300ms 127.0.0.1 &&
		refused 1 "-p $port: the port is in use" -s -p "$port" &&
		refused 1 "-B 192.0.2.1: this machine has no such address" -s -p 0 -B 192.0.2.1 &&
		refused 1 "-B localhost: " -s -p 0 -B localhost &&
		refused 1 "-B 192.0.2.1: " -p "$port" -B 192.0.2.1 127.0.0.1 &&
		refused 1 "-B ::1: " -p "$port" -B ::1 127.0.0.1
}

# With --json the reason is an object, and a line on stderr all the same.
json_error() {
	run --json -n 1000 -p 1 127.0.0.1
	[ $st = 1 ] && [ "$(jq -r .error "$tmp/out" | cut -d: -f2)" = " connection refused" ] &&
		[ "$(wc -l <"$tmp/err")" = 1 ] || { cat "$tmp/out" "$tmp/err"; return 1; }
	run --json -P 0 127.0.0.1
	[ $st = 2 ] && jq -e .error "$tmp/out" && [ "$(wc -l <"$tmp/err")" = 1 ]
}

# It has served everybody, and no sanitizer has said anything.
server_well() {
	kill -0 "$server" && ! grep -E 'Sanitizer|runtime error' "$tmp/server"
}

man_page() {
	"$nb" --help | sed -n 's/^  \(-., \|    \)--\([a-z0-9]*\).*/--\2/p' | sort >"$tmp/help"
	awk '/^====*$/ { inside = before == "Options" } { before = $0 }
		inside && match($0, /^\*\*--[a-z0-9]*/) { print substr($0, 3, RLENGTH - 2) }' \
		"$page" | sort >"$tmp/page"
	[ "$(wc -l <"$tmp/help")" -ge 20 ] && diff "$tmp/help" "$tmp/page"
}

# The static program for guests is the same one.
static() {
	"$nb" --help >"$tmp/out" && "$O/tools/netbench" --help >"$tmp/err" &&
		cmp "$tmp/out" "$tmp/err"
}

[ -x "$nb" ] || ktap_skip_all "$nb is not built"
command -v jq >/dev/null || ktap_skip_all "jq is not installed"
serve || ktap_skip_all "the server does not start"
ktap_plan 21
ktap_case "-n is exact, in all directions, for any streams and lengths" exact_bytes
ktap_case "as many streams as there may be" streams
ktap_case "directions" directions
ktap_case "time, bytes and rate belong together" consistent
ktap_case "processor time of both sides" cpu
ktap_case "UDP: sent, received and lost" udp
ktap_case "UDP: the rate is kept" udp_rate
ktap_case "request and response" rr
ktap_case "IPv4, IPv6 and -B" families
ktap_case "progress" intervals
ktap_case "the table" table
ktap_case "SIGINT" interrupts
ktap_case "a report that cannot be written" full
ktap_case "bad options" bad_options
ktap_case "bad hosts, ports and addresses" bad_runs
ktap_case "errors as JSON" json_error
ktap_case "the server is well" server_well
ktap_case "-1 ends after one test" once
ktap_case "the manual page has the options of --help" man_page
ktap_case "the manual page has each option once" sh -c "[ -z \"\$(uniq -d $tmp/page)\" ]"
ktap_case "the static program" static
ktap_end
