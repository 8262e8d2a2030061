#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Captures, replays, and guests on an interface of the host: a capture of a transfer agrees with the
# counters of device and guest, in one file or several; a full disk ends it alone; what was recorded
# arrives in another guest byte for byte; a guest on one end of a veth pair talks to the other.

# shellcheck source=selftests/labtest.sh
. "$(dirname "$0")/../labtest.sh"
if [ -z "${LAB-}" ]; then
	lab_enter --timeout 420 --mem 3G --put "$O/selftests/guest/xfer:xfer" \
		--put "$O/selftests/guest/pkt:pkt"
fi
lab_enter

guest_file bin/xfer xfer
guest_file bin/pkt pkt
cp xfer pkt /bin/
ip=/usr/bin/ip
bytes=8388608
limit=200
static="ip=10.9.0.2::10.9.0.1:255.255.255.0::eth0:none ipv6.disable=1"
mac=52:54:00:00:00:02
# Nobody is to say anything on his own.
echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6
echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6
state_save

$ip tuntap add dev t0 mode tap
$ip addr add 10.9.0.1/24 dev t0
$ip link set t0 up
$ip neigh add 10.9.0.2 lladdr $mac nud permanent dev t0

# A transfer both ways on the tap with the options $1; the guest prints its own counters at the end.
trip() {
	timeout $limit xfer listen 5001 recv >$W/host.recv &
	tr_recv=$!
	timeout $limit xfer listen 5002 send "$bytes" 7 >$W/host.send &
	tr_send=$!
	guest --stats --net "tap=t0,mac=$mac$1" -- \
		"xfer connect 10.9.0.1 5001 send $bytes 3 &&
		xfer connect 10.9.0.1 5002 recv && sleep 2 &&
		cd /sys/class/net/eth0/statistics && echo counters: \$(cat rx_packets tx_packets \
		rx_bytes tx_bytes)" "$static"
	kill $tr_recv $tr_send 2>/dev/null
	wait $tr_recv $tr_send
}

# A counter of the device in --stats.
stat() {
	grep -m 1 '^net0.*rx_packets=' "$err" | tr ' ' '\n' | sed -n "s/^$1=//p"
}

same_sums() {
	[ "$st" = 0 ] || { cat "$err"; return 1; }
	st_sent=$(sed -n "s/ $bytes send$//p" "$1")
	st_got=$(sed -n "s/ $bytes recv$//p" "$2")
	[ -n "$st_sent" ] && [ "$st_sent" = "$st_got" ] || { cat "$1" "$2"; return 1; }
}

# Device, guest, capture and file have the same number of frames and bytes: $1 is the file.
agree() {
	ag_guest=$(sed -n 's/^counters: //p' "$out")
	ag_dev="$(stat rx_packets) $(stat tx_packets) $(stat rx_bytes) $(stat tx_bytes)"
	ag_frames=$(($(stat rx_packets) + $(stat tx_packets)))
	ag_bytes=$(($(stat rx_bytes) + $(stat tx_bytes)))
	ag_file=$(pkt sum "$1" | cut -d' ' -f2-)
	ag_cap=$(($(stat pcap_captured) + $(stat pcap_filtered) + $(stat pcap_dropped) +
		$(stat pcap_lost)))
	echo "guest $ag_guest, device $ag_dev, capture $ag_cap, file $ag_file"
	grep "^guest: --net pcap=" "$err"
	[ "$ag_guest" = "$ag_dev" ] && [ $ag_cap = $ag_frames ] || return 1
	[ "$(stat pcap_frames)" = $ag_frames ] || return 1
	[ "${ag_file#* }" = "$(stat pcap_captured)" ] || return 1
	# With every frame in it, whole, the file has every byte, too.
	[ "$(stat pcap_captured)" != $ag_frames ] || [ "$(stat pcap_cut)" != 0 ] ||
		[ "${ag_file% *}" = $ag_bytes ]
}

files_bounded() {
	# shellcheck disable=SC2012 # names of our own
	[ "$(cd $W && ls r.pcap*)" = "$(printf 'r.pcap0\nr.pcap1\nr.pcap2')" ] || {
		ls -l $W/r.pcap*
		return 1
	}
	fb_long=0
	for fb_file in $W/r.pcap?; do
		fb_size=$(wc -c <"$fb_file")
		[ "$fb_size" -le 524288 ] || { ls -l $W/r.pcap*; return 1; }
		# All but the one that was being written are full, up to one large frame.
		fb_long=$((fb_long + (fb_size > 450000)))
		tcpdump -Z root -n -r "$fb_file" >$W/txt 2>$W/txt.err || {
			cat $W/txt.err
			return 1
		}
	done
	[ $fb_long -ge 2 ] || { ls -l $W/r.pcap*; return 1; }
}

# tcpdump reads it to the end, and finds what was counted.
full_is_whole() {
	tcpdump -Z root -n -r $W/full.pcap >$W/txt 2>$W/txt.err || { cat $W/txt.err; return 1; }
	fw_all=$(($(stat pcap_captured) + $(stat pcap_dropped) + $(stat pcap_lost)))
	echo "$(wc -l <$W/txt) frames of $(stat pcap_captured) captured, $(stat pcap_lost) lost"
	[ "$(wc -l <$W/txt)" = "$(stat pcap_captured)" ] && [ "$(stat pcap_lost)" -gt 0 ] &&
		[ $fw_all = $(($(stat rx_packets) + $(stat tx_packets))) ]
}

# Replay $1 with the options $2 to a guest: what it got is what stands in the file, and one line
# says so.
replayed() {
	rp_want=$(pkt sum "$1")
	guest --stats --net "replay=$1$2" -- "pkt recv eth0 ${rp_want##* }" ipv6.disable=1
	says "$out" "$rp_want" || { cat "$err"; return 1; }
	grep "^guest: --net replay=" "$err"
	[ "$st" = 0 ] && [ "$(stat replay_delivered)" = "${rp_want##* }" ] &&
		[ "$(grep -c "replay=$1: the end: ${rp_want##* } frames delivered, 0 " \
			"$err")" = 1 ]
}

ktap_plan 27

for offload in on off; do
	[ $offload = on ] || bytes=2097152
	trip ",offload=$offload,pcap=$W/$offload.pcap"
	ktap_case "offload=$offload: a transfer from the guest under a capture" \
		same_sums "$out" $W/host.recv
	ktap_case "offload=$offload: and to the guest" same_sums $W/host.send "$out"
	ktap_case "offload=$offload: guest, device, capture and file agree" agree $W/$offload.pcap
	tcpdump -Z root -n -r $W/$offload.pcap >$W/txt 2>$W/txt.err
	ktap_case "offload=$offload: tcpdump reads it" test $? = 0
done

trip ",pcap=$W/f.pcap,filter=port 5001,pcap-snap=64"
ktap_case "a filter and a snap length: every frame is counted" agree $W/f.pcap
tcpdump -Z root -n -r $W/f.pcap >$W/txt 2>/dev/null
ktap_case "only what matches is in the file" \
	test "$(grep -c '\.5001' $W/txt)" = "$(wc -l <$W/txt)" -a -s $W/txt
longest=$(tcpdump -Z root -n -e -r $W/f.pcap 2>/dev/null | wc -l)
ktap_case "cut to their start" test "$(wc -c <$W/f.pcap)" -le $((24 + longest * 80))

trip ",pcap=$W/r.pcap,pcap-size=512K,pcap-files=3"
ktap_case "three files in turn" files_bounded
ktap_case "of many more" test "$(stat pcap_files)" -gt 3

# A small file system under a capture.
truncate -s 3M $W/disk.img
mke2fs -q -F $W/disk.img
mkdir $W/mnt
mount -o loop $W/disk.img $W/mnt
trip ",pcap=$W/mnt/full.pcap"
ktap_case "a full disk: the guest goes on" same_sums "$out" $W/host.recv
ktap_case "one line says what to do" test \
	"$(grep -c 'full.pcap: No space left.*the guest goes on; make room, or bound' "$err")" = 1
cp $W/mnt/full.pcap $W/full.pcap
umount $W/mnt
ktap_case "the file is whole, and what is missing counted" full_is_whole

# One that takes nothing any more, and a user who does not wait for it.
mount -o loop $W/disk.img $W/mnt
guest_start --net "tap=t0,mac=$mac,pcap=$W/mnt/slow.pcap" -- "ping 10.9.0.1" "$static"
wait_for 60 has "$out" "bytes from"
fsfreeze --freeze $W/mnt
sleep 2
kill -HUP "$pid"
kill -INT "$pid"
ktap_case "a disk that hangs: what is missing is told" wait_for 30 grep -qE \
	'slow.pcap: .* 0 lost, [1-9][0-9]* not written, as lodge did not wait' "$err"
fsfreeze --unfreeze $W/mnt
guest_wait
ktap_case "and the guest is killed" test "$st" = 130
umount $W/mnt
rm -f $W/disk.img
$ip tuntap del dev t0 mode tap

# What was recorded arrives elsewhere.
ktap_case "a replay, as fast as the guest takes it" replayed $W/off.pcap ,replay-speed=max
ktap_case "a replay at the speed of the original" replayed $W/off.pcap ""
ktap_case "a replay of large frames" replayed $W/on.pcap ,replay-speed=max
guest --stats --net "replay=$W/off.pcap,mtu=1000" -- "ifconfig eth0 up; sleep 5" ipv6.disable=1
ktap_case "frames longer than the guest takes are counted" \
	test "$(stat replay_refused)" -gt 0 -a "$(stat replay_refused)" = "$(stat rx_drops)"

# The other end of a veth pair, in a namespace of its own.
$ip netns add peer
$ip link add h0 type veth peer name p0 netns peer
$ip link set h0 up
$ip -n peer addr add 10.9.0.1/24 dev p0
$ip -n peer link set p0 up
timeout $limit $ip netns exec peer xfer listen 5001 recv >$W/host.recv &
recv=$!
timeout $limit $ip netns exec peer xfer listen 5002 send $bytes 7 >$W/host.send &
send=$!
guest --stats --net "iface=h0,pcap=$W/i.pcap" -- "ping -c 3 -W 5 10.9.0.1 &&
	xfer connect 10.9.0.1 5001 send $bytes 3 && xfer connect 10.9.0.1 5002 recv && sleep 2 &&
	cd /sys/class/net/eth0/statistics && echo counters: \$(cat rx_packets tx_packets \
	rx_bytes tx_bytes)" "$static"
kill $recv $send 2>/dev/null
wait $recv $send
ktap_case "iface: the guest pings the other end" has "$out" "3 packets received"
ktap_case "iface: TCP to it" same_sums "$out" $W/host.recv
ktap_case "iface: TCP from it" same_sums $W/host.send "$out"
ktap_case "iface: guest, device, capture and file agree" agree $W/i.pcap
$ip link delete h0
$ip netns del peer
umount /run/netns
rmdir /run/netns
ktap_case "nothing is left behind" state_same
lab_end
