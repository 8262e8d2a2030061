#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Networks of guests: a tap with offloads on and off, user mode for somebody without rights,
# captures. Every transfer is checked by the sums of both ends. LODGE_TEST_FULL=1: 1 GiB each way by
# tap.

# shellcheck source=selftests/labtest.sh
. "$(dirname "$0")/../labtest.sh"
if [ -z "${LAB-}" ]; then
	lab_enter --timeout 420 --put "$O/selftests/guest/xfer:xfer"
fi
lab_enter

guest_file bin/xfer xfer
cp xfer /bin/xfer
ip=/usr/bin/ip # to busybox's shell a bare "ip" is its own
bytes=67108864
[ -z "$LODGE_TEST_FULL" ] || bytes=1073741824
limit=150
static=ip=10.9.0.2::10.9.0.1:255.255.255.0::eth0:none

# Both directions with tap $1 and the options $2.
tap_trip() {
	timeout $limit xfer listen 5001 recv >$W/host.recv &
	tt_recv=$!
	timeout $limit xfer listen 5002 send $bytes 7 >$W/host.send &
	tt_send=$!
	guest --net "tap=$1$2" -- \
		"xfer connect 10.9.0.1 5001 send $bytes 3 &&
		xfer connect 10.9.0.1 5002 recv" $static
	kill $tt_recv $tt_send 2>/dev/null
	wait $tt_recv $tt_send
}

# The sum that one end sent is the sum that the other received, and all bytes went.
same_sums() {
	[ "$st" = 0 ] || { cat "$err"; return 1; }
	st_sent=$(sed -n "s/ $bytes send$//p" "$1")
	st_got=$(sed -n "s/ $bytes recv$//p" "$2")
	[ -n "$st_sent" ] && [ "$st_sent" = "$st_got" ] || { cat "$1" "$2"; return 1; }
}

has_link() {
	$ip link show "$1" >/dev/null 2>&1
}

no_link() {
	! has_link "$1"
}

ktap_plan 25

$ip tuntap add dev tkept mode tap
$ip addr add 10.9.0.1/24 dev tkept
$ip link set tkept up
for offload in on off; do
	tap_trip tkept ",offload=$offload"
	ktap_case "tap, offload=$offload: from the guest" same_sums "$out" $W/host.recv
	ktap_case "tap, offload=$offload: to the guest" same_sums $W/host.send "$out"
done
ktap_case "a tap that stood before stays" has_link tkept
$ip tuntap del dev tkept mode tap

guest --net tap=town,addr=10.9.0.1/24 -- "ping -c 2 -W 5 10.9.0.1" $static
ktap_case "a tap made for the guest, with its address" test "$st" = 0
ktap_case "is gone with the guest" no_link town

guest_start --net tap=tkill,addr=10.9.0.1/24 -- "ping 10.9.0.1" $static
ktap_case "a guest with a tap runs" wait_for 60 has "$out" "bytes from"
kill -9 "$pid"
guest_wait
ktap_case "and the tap goes with a kill -9" wait_for 10 no_link tkill

# A capture holds what passed: a known text each way, found again by tcpdump.
echo "text-from-the-host-$$" >$W/text
nc -l -p 5003 <$W/text >$W/heard &
nc_pid=$!
guest --net "tap=tcap,addr=10.9.0.1/24,pcap=$W/all.pcap" -- \
	"echo text-from-the-guest-$$ | nc 10.9.0.1 5003; ping -c 3 -W 5 10.9.0.1" $static
kill $nc_pid 2>/dev/null
tcpdump -Z root -A -n -r $W/all.pcap >$W/all.txt 2>$W/all.err
ktap_case "tcpdump opens the capture" test $? = 0
ktap_case "what the guest said is in the capture" has $W/all.txt "text-from-the-guest-$$"
ktap_case "what the guest heard is in the capture" has $W/all.txt "text-from-the-host-$$"
ktap_case "the guest heard it" has "$out" "text-from-the-host-$$"
ktap_case "the host heard the guest" has $W/heard "text-from-the-guest-$$"
echoes=$(grep -c "ICMP echo re" $W/all.txt)
ktap_case "pings and their answers are in the capture" test "$echoes" = 6

guest --net "tap=tcap,addr=10.9.0.1/24,pcap=$W/icmp.pcap,filter=icmp" -- \
	"wget -q -O - http://10.9.0.1:1/; ping -c 3 -W 5 10.9.0.1" $static
tcpdump -Z root -n -r $W/icmp.pcap >$W/icmp.txt 2>/dev/null
ktap_case "a filter leaves the rest out" \
	test "$(wc -l <$W/icmp.txt) $(grep -c ICMP $W/icmp.txt)" = "6 6"

# A disk that is full under a capture: said once, and the guest goes on.
mkdir $W/small
mount -t tmpfs -o size=256k none $W/small
timeout $limit xfer listen 5001 recv >$W/host.recv &
recv=$!
guest --net "tap=tcap,addr=10.9.0.1/24,pcap=$W/small/x.pcap" -- \
	"xfer connect 10.9.0.1 5001 send $bytes 3" $static
wait $recv
umount $W/small
ktap_case "with a full disk under the capture the guest goes on" same_sums "$out" $W/host.recv
ktap_case "and says so once" test "$(grep -c "No space left .* the guest goes on" "$err")" = 1

# User mode, without any right: lodge runs as the user, who may open /dev/kvm.
chmod 755 $W
chmod 644 $initrd
user_guest() {
	ug_opts=$1
	ug_line=$(guest_cmdline "$2")
	st=0
	su user -c "timeout -s KILL $limit lodge run --kernel $kernel --initrd $initrd $ug_opts \
		--append '$ug_line ip=dhcp'" </dev/null >$W/user.out 2>$W/user.err || st=$?
	tr -d '\r' <$W/user.out >$W/user.txt
	out=$W/user.txt
	err=$W/user.err
}
bytes=16777216
timeout $limit xfer listen 5004 recv >$W/host.recv &
recv=$!
timeout $limit xfer listen 5005 send $bytes 9 >$W/host.send &
send=$!
user_guest "--net user" "ifconfig eth0; xfer connect 10.0.2.2 5004 send $bytes 3 &&
	xfer connect 10.0.2.2 5005 recv"
kill $recv $send 2>/dev/null
wait
ktap_case "user mode: the guest has its address from DHCP" has "$out" "inet addr:10.0.2.15"
ktap_case "user mode: a server on the host gets it all" same_sums "$out" $W/host.recv
ktap_case "user mode: and sends it all" same_sums $W/host.send "$out"

timeout $limit xfer connect 127.0.0.1 5006 recv >$W/fwd.recv 2>&1 &
recv=$!
user_guest "--net user,hostfwd=tcp::5006-:7000" "xfer listen 7000 send $bytes 5"
wait $recv
ktap_case "user mode: a forwarded port reaches the guest" same_sums "$out" $W/fwd.recv

mkdir $W/user
chown user $W/user
timeout $limit xfer listen 5007 recv >$W/host.recv &
recv=$!
user_guest "--net user,pcap=$W/user/u.pcap" "xfer connect 10.0.2.2 5007 send $bytes 3"
wait $recv
pcap=$W/user/u.pcap
ktap_case "user mode: a transfer under a capture" same_sums "$out" $W/host.recv
packed=$(tcpdump -Z root -n -r $pcap tcp 2>/dev/null |
	sed -n 's/.* > 10\.0\.2\.2\..* length \([0-9]*\).*/\1/p' |
	awk '{ n += $1 } END { print n }')
ktap_case "whose frames hold every byte of it" test "${packed:-0}" -ge $bytes
ktap_case "nothing is left behind" state_same
lab_end
