#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# A card with several pairs of queues on a tap: streams both ways with all pairs, with the number of
# pairs changing under them, without offloads and under a capture; every transfer is checked by the
# sums of both ends. What taps it takes; what it counts, while the guest runs, too.

# shellcheck source=selftests/labtest.sh
. "$(dirname "$0")/../labtest.sh"
if [ -z "${LAB-}" ]; then
	# QEMU's SVM has lost a guest of two vCPUs on two processors (a triple fault, once in some
	# dozen runs), with these queues and without: in KVM mode both share one.
	lab_enter --cpus "$(in_mode 1 2)" --timeout 420 \
		--put "$O/selftests/guest/xfer:xfer" \
		--put "$O/selftests/guest/channels:channels"
fi
lab_enter

guest_file bin/xfer xfer
guest_file bin/channels channels
cp xfer /bin/xfer
ip=/usr/bin/ip # to busybox's shell a bare "ip" is its own
bytes=16777216
limit=200
static=ip=10.9.0.2::10.9.0.1:255.255.255.0::eth0:none

# Two streams each way at once by the tap tmq with the options $1; the guest runs $2 meanwhile.
mq_trip() {
	mt_all=
	for mt_n in 1 2; do
		timeout $limit xfer listen 501$mt_n recv >$W/host.recv$mt_n &
		mt_all="$mt_all $!"
		timeout $limit xfer listen 502$mt_n send $bytes 7 >$W/host.send$mt_n &
		mt_all="$mt_all $!"
	done
	mt_connect="xfer connect 10.9.0.1"
	guest --cpus 2 --stats --net "tap=tmq$1" -- \
		"channels eth0; channels eth0 4 || exit 9;
		taskset 1 $mt_connect 5011 send $bytes 3 & p1=\$!;
		taskset 2 $mt_connect 5012 send $bytes 3 & p2=\$!;
		taskset 1 $mt_connect 5021 recv & p3=\$!;
		taskset 2 $mt_connect 5022 recv & p4=\$!;
		$2; wait \$p1 && wait \$p2 && wait \$p3 && wait \$p4" $static
	# The host's ends are done when the guest's are; what failed is not waited for.
	sleep 1
	# shellcheck disable=SC2086
	kill $mt_all 2>/dev/null
	# shellcheck disable=SC2086
	wait $mt_all
}

# All four transfers are whole.
all_sums() {
	[ "$st" = 0 ] || { cat "$out" "$err"; return 1; }
	for as_n in 1 2; do
		as_sum=$(sed -n "s/ $bytes recv$//p" $W/host.recv$as_n)
		[ -n "$as_sum" ] && [ "$(grep -c "^$as_sum $bytes send$" "$out")" = 2 ] ||
			{ cat "$out" $W/host.recv$as_n; return 1; }
		as_sum=$(sed -n "s/ $bytes send$//p" $W/host.send$as_n)
		[ -n "$as_sum" ] && [ "$(grep -c "^$as_sum $bytes recv$" "$out")" = 2 ] ||
			{ cat "$out" $W/host.send$as_n; return 1; }
	done
}

# The sum of what a counter is for each pair is the counter.
adds_up() {
	tr ' ' '\n' <"$err" | awk -F= -v key="$1" '
		$1 == key { all = $2 }
		$1 ~ "^p[0-9]\\." key "$" { sum += $2 }
		END { if (!all || all != sum) { print key, all, sum; exit 1 } }'
}

ktap_plan 15

$ip tuntap add dev tmq mode tap multi_queue
$ip addr add 10.9.0.1/24 dev tmq
$ip link set tmq up

mq_trip ,queues=4 true
ktap_case "the guest uses as many pairs as it has processors" has "$out" "2 of 4"
ktap_case "and then as many as it is told" has "$out" "4 of 4"
ktap_case "four streams at once" all_sums
# Of four pairs each processor has two; which of them a stream gets is up to its hash.
other_pairs() {
	grep -qE ' p[13]\.tx_packets=' "$err" || { cat "$err"; return 1; }
}
ktap_case "both processors' pairs carry frames" other_pairs
ktap_case "packets of the pairs add up" adds_up rx_packets
ktap_case "bytes of the pairs add up" adds_up tx_bytes

# shellcheck disable=SC2016
mq_trip ,queues=4,offload=off \
	'for n in 1 2 4 3 1 4 2 1 3; do usleep 200000; channels eth0 $n; done'
ktap_case "pairs switched under streams" all_sums
ktap_case "each time" has "$out" "3 of 4"

mq_trip ",queues=4,poll=50,pcap=$W/mq.pcap" true
ktap_case "streams under a capture, with polling" all_sums
tcpdump -Z root -n -r $W/mq.pcap tcp >$W/mq.txt 2>$W/mq.err
ktap_case "tcpdump opens the capture" test $? = 0
ktap_case "both streams' frames are in it" \
	test "$(sed -n 's/.* > 10\.9\.0\.1\.\(501[12]\): .*/\1/p' $W/mq.txt | sort -u | wc -l)" = 2

guest --net tap=tmq -- "ping -c 2 -W 5 10.9.0.1" $static
ktap_case "one queue of a tap that could have many" test "$st" = 0
$ip tuntap del dev tmq mode tap multi_queue

$ip tuntap add dev tone mode tap
guest --net tap=tone,queues=2 -- true
ktap_case "a tap of one queue is refused, with the remedy" \
	has "$err" "ip tuntap add mode tap multi_queue name tone"
$ip tuntap del dev tone mode tap

guest_start --net tap=tusr,addr=10.9.0.1/24,queues=2 -- "ping 10.9.0.1" $static
wait_for 60 has "$out" "bytes from"
kill -USR1 "$pid"
ktap_case "SIGUSR1 prints the counters of a running guest" wait_for 20 has "$err" "rx_packets="
kill -9 "$pid"
guest_wait
ktap_case "nothing is left behind" wait_for 10 state_same
lab_end
