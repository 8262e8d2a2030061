#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# What tools/bench/io-table makes of slices: netbench's lines, whatever they hold, and the ratios of
# one system to another. The input is made here; nothing is measured.

set -u

. selftests/ktap.sh

tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
mkdir "$tmp/raw" "$tmp/out"

# stream_line MBITS STREAMS: what `netbench --json` prints of a TCP stream to the server
stream_line() {
	printf '{"test":{"kind":"tcp","host":"h"},"to_server":{"bytes":5,"seconds":0.2,'
	printf '"bits_per_second":%s000000,"bytes_sent":5,"streams":[' "$1"
	for n in $(seq "$2"); do
		[ "$n" = 1 ] || printf ,
		printf '{"bytes":1,"seconds":0.2,"bits_per_second":7.5e9,"packets":0}'
	done
	printf '],"retransmits":0},"intervals":[]}\n'
}

# ROUND SYSTEM MBITS STREAMS
slice() {
	echo "$1 $2 tcp_to_host $(stream_line "$3" "$4")"
	echo "$1 $2 tcp_to_host packets 10"
}

{
	slice 0 kvm 9000 1
	slice 1 kvm 400 1
	slice 2 kvm 800 1
	slice 1 kvm-mq 600 4
	slice 2 kvm-mq 600 4
	slice 1 qemu 200 1
	slice 2 qemu 200 1
} >"$tmp/raw/figures"
printf 'clock %s\nload idle\n' instructions >"$tmp/raw/about"

# value SYSTEM FIELD: of the JSON that was written
value() {
	sed -n "s/.*\"system\": \"$1\".*\"$2\": \([0-9.]*\)[,}].*/\1/p" "$tmp/out/result-io.json"
}

ktap_plan 5
table() {
	perl tools/bench/io-table "$tmp/raw" "$tmp/out" >"$tmp/text"
}
ktap_case "slices become tables" table
better_half() { # one of two, and not what only warmed up
	[ "$(value kvm value)" = 800 ] && [ "$(value kvm slices)" = 2 ]
}
ktap_case "a figure is the mean of the better half of its slices" better_half
several() {
	[ "$(value kvm-mq value)" = 600 ]
}
ktap_case "several streams are one figure" several
ratio() {
	[ "$(value kvm to_qemu)" = 4 ] && [ "$(value kvm-mq to_qemu)" = 3 ] &&
		grep -q "over QEMU's virtio-net, to host  *want  *1.3x  *4.00x .* pass" "$tmp/text"
}
ktap_case "a ratio is that of two figures, and bars go by it" ratio
failed() {
	echo "3 qemu tcp_to_host failed 1 out of luck" >>"$tmp/raw/figures"
	! table && grep -q "failed: qemu, tcp_to_host: 1 out of luck" "$tmp/text"
}
ktap_case "a program that failed is named, and the status says so" failed
ktap_end
