#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# What lodge is given wrongly: every refusal is one line on stderr that names the option or file,
# status 125, nothing on stdout, and nothing created or left behind.

# shellcheck source=selftests/labtest.sh
. "$(dirname "$0")/../labtest.sh"
lab_enter --mem 1G --timeout 420

k=$kernel
i=$initrd
d=$W/bad
mkdir $d
chmod 755 $W $d

# bad NAME PATTERN ARG...: "lodge run ARG..." is refused with a line that matches PATTERN.
bad() {
	bad_name=$1
	bad_pattern=$2
	shift 2
	ktap_case "$bad_name" refused "$bad_pattern" lodge run "$@"
}

run="--kernel $k --initrd $i"
truncate -s 1M $d/disk
echo "I am a text." >$d/text
: >$d/empty
mkfifo $d/fifo
mkdir $d/dir
state_save

cases=$(grep -cE '^(bad|ktap_case|lite_case) ' "$0")
ktap_plan "$cases"

# --- kernel
bad "no kernel option" "--kernel is missing" --mem 64M
bad "an empty --append is one, -h behind --name a name" "--kernel is missing" --append "" --name -h
bad "missing kernel" "--kernel $d/none: " --kernel $d/none
bad "empty kernel" "--kernel $d/empty: .*empty" --kernel $d/empty
bad "text for a kernel" "--kernel $d/text: " --kernel $d/text
bad "ELF for a kernel" "--kernel .*ELF" --kernel /bin/busybox
bad "directory for a kernel" "--kernel $d/dir: not a regular file" --kernel $d/dir
bad "FIFO for a kernel" "--kernel $d/fifo: " --kernel $d/fifo
bad "/dev/zero for a kernel" "--kernel /dev/zero: " --kernel /dev/zero
bad "initramfs for a kernel" "--kernel $i: .*not a (Linux )?bzImage" --kernel $i
head -c 400 $k >$d/k400
bad "kernel cut in its boot sector" "--kernel $d/k400: .*(short|not a bzImage)" --kernel $d/k400
head -c 600 $k >$d/k600
bad "kernel cut in its header" "--kernel $d/k600: " --kernel $d/k600
head -c 4096 $k >$d/k4096
bad "kernel cut in its set-up" "--kernel $d/k4096: truncated" --kernel $d/k4096
head -c 1000000 $k >$d/k1m
bad "kernel cut in its body" "--kernel $d/k1m: truncated" --kernel $d/k1m
# What stands behind the body (a signature) is not needed: so cut off more than that. In lite mode
# the unpacking code behind the packed kernel is not needed either.
head -c $(($(wc -c <$k) - $(in_mode 8192 1000000))) $k >$d/kend
bad "kernel cut near its end" "--kernel $d/kend: truncated" --kernel $d/kend
rm $d/k*
state_save

# --- initrd
bad "missing initrd" "--initrd $d/none: " --kernel $k --initrd $d/none
bad "empty initrd" "--initrd $d/empty: .*empty" --kernel $k --initrd $d/empty
bad "directory for an initrd" "--initrd $d/dir: not a regular file" --kernel $k --initrd $d/dir
bad "FIFO for an initrd" "--initrd $d/fifo: " --kernel $k --initrd $d/fifo
bad "/dev/zero for an initrd" "--initrd /dev/zero: " --kernel $k --initrd /dev/zero
truncate -s 200M $d/big
state_save
bad "initrd bigger than memory" "--mem: 128M is too little" --kernel $k --initrd $d/big --mem 128M
bad "kernel bigger than memory" "--mem: .* too little" $run --mem 32M
rm $d/big
state_save

# --- memory and processors
bad "--mem 0" "--mem: 0 " $run --mem 0
bad "--mem 1K" "--mem: 1K " $run --mem 1K
bad "--mem 10T" "--mem: 10T " $run --mem 10T
bad "--mem abc" "--mem: 'abc'" $run --mem abc
bad "--mem -1" "--mem: '-1'" $run --mem -1
bad "--mem 512X" "--mem: '512X'" $run --mem 512X
bad "--mem 512MB" "--mem: '512MB'" $run --mem 512MB
bad "--mem with a number beyond 64 bits" "--mem: " $run --mem 99999999999999999999
bad "--mem with a size beyond 64 bits" "--mem: " $run --mem 18014398509481985K
bad "--mem empty" "--mem: .*empty" $run --mem ""
bad "--mem not whole MiB" "--mem: " $run --mem 262145K
bad "--cpus 0" "--cpus: 0 " $run --cpus 0
bad "--cpus 1000" "--cpus: 1000 " $run --cpus 1000
bad "--cpus abc" "--cpus: 'abc'" $run --cpus abc
bad "--cpus -1" "--cpus: '-1'" $run --cpus -1
bad "--cpus 2x" "--cpus: '2x'" $run --cpus 2x

# --- the command line
bad "unknown option" "unknown option --frobnicate" $run --frobnicate
bad "unknown option with a value" "unknown option --frobnicate" $run --frobnicate=7
bad "option without its value" "--mem needs a value" $run --mem
bad "device option without its value" "--disk needs a value" $run --disk
bad "flag with a strange value" "--stats: 'perhaps'" $run --stats=perhaps
bad "stray argument" "'stray' is not an option" $run stray
bad "single dash" "'-kernel' is not an option" -kernel $k
bad "lone --" "'--' is not an option" $run --
ktap_case "unknown command" refused "unknown command 'frobnicate'" lodge frobnicate
ktap_case "doctor takes no options" refused "doctor takes no options" lodge doctor all
bad "unknown console" "--console: unknown kind 'xyz'" $run --console xyz
bad "unknown accelerator" "--accel: unknown accelerator 'xyz'" $run --accel xyz
# In a function, so that a failure does not print it.
append() {
	# shellcheck disable=SC2086
	refused "$2" lodge run $run --append "$(head -c "$1" /dev/zero | tr '\0' x)"
}
ktap_case "--append longer than this kernel takes" \
	append 2500 "--append: .*(2048|takes 2047|room for 1023)"
ktap_case "--append longer than any kernel takes" append 9000 "--append: longer than any"

# --- disks
bad "missing disk" "--disk $d/none: no such file" $run --disk $d/none
bad "directory for a disk" "--disk $d/dir: is a directory" $run --disk $d/dir
bad "empty disk" "--disk $d/empty: is empty" $run --disk $d/empty
bad "FIFO for a disk" "--disk $d/fifo: is a FIFO" $run --disk $d/fifo
bad "character device for a disk" "--disk /dev/null: is a character device" $run --disk /dev/null
bad "disk without a name" "--disk" $run --disk ,ro
bad "unknown key of a disk" "--disk: unknown key 'colour'" $run --disk $d/disk,colour=red
bad "bad value of a disk's key" "--disk.*direct" $run --disk $d/disk,direct=perhaps
bad "disk's serial too long" "--disk.*serial" $run --disk $d/disk,serial=123456789012345678901
bad "direct=on where there is none" "--disk $d/disk: direct=on" $run --disk $d/disk,direct=on
chmod 444 $d/disk
bad "read-only disk without ro" "--disk $d/disk: not writable" $run --disk $d/disk
chmod 644 $d/disk
printf 'QFI\373' | dd of=$d/disk conv=notrunc 2>/dev/null
bad "qcow2 for a raw disk" "--disk $d/disk: is a qcow2 image.*qemu-img" $run --disk $d/disk
printf 'abcd' | dd of=$d/disk conv=notrunc 2>/dev/null
bad "the same disk twice" "--disk $d/disk: in use" $run --disk $d/disk --disk $d/disk
ln -s $d/disk $d/link
state_save
bad "the same disk by another name" "--disk $d/link: in use" $run --disk $d/disk --disk $d/link
rm $d/link
state_save
many=$(n=0; while [ $n -lt 100 ]; do printf ' --disk %s,ro' $d/disk; n=$((n + 1)); done)
bad "a hundred disks" "more than" $run $many

# --- networks
bad "tap name too long" "--net tap: 'abcdefghijklmnop'" $run --net tap=abcdefghijklmnop
bad "tap name with a slash" "--net tap: 'a/b'" $run --net tap=a/b
bad "tap without a name" "--net" $run --net tap=
bad "an interface that is no tap" "--net tap=lo: .*not a tap" $run --net tap=lo
bad "network of no kind" "--net" $run --net mtu=1500
bad "network of two kinds" "--net" $run --net tap=t1,user
bad "unknown kind of network" "--net: unknown key 'carrier'" $run --net carrier=pigeon
bad "MAC address that is none" "--net mac: 'hello'" $run --net user,mac=hello
bad "MAC address too long" "--net mac: " $run --net user,mac=52:54:00:12:34:56:78
bad "multicast MAC address" "--net mac: .*multicast" $run --net user,mac=01:00:5e:00:00:01
bad "host's address without a length" "--net addr: '10.1.2.3'" $run --net tap=t1,addr=10.1.2.3
bad "host's address that is none" "--net addr: '10.1.2.300/24'" $run --net tap=t1,addr=10.1.2.300/24
bad "MTU too small" "--net mtu" $run --net user,mtu=10
bad "MTU too large" "--net mtu" $run --net user,mtu=70000
bad "hostfwd that is none" "--net hostfwd: 'x'" $run --net user,hostfwd=x
bad "hostfwd with a port too high" "--net hostfwd: " $run --net user,hostfwd=tcp::70000-:22
bad "hostfwd on a tap" "hostfwd" $run --net tap=t1,hostfwd=tcp::2222-:22
nc -l -p 2222 </dev/null >/dev/null 2>&1 &
nc_pid=$!
wait_for 10 sh -c 'ss -ltn | grep -q :2222'
state_save
bad "hostfwd on a port in use" "--net hostfwd=.*port 2222" $run --net user,hostfwd=tcp::2222-:22
kill $nc_pid
bad "capture in a folder that is none" "--net pcap=$d/no/x: " $run --net user,pcap=$d/no/x
bad "capture on a folder" "--net pcap=$d/dir: " $run --net user,pcap=$d/dir
bad "capture on a FIFO" "--net pcap=$d/fifo: " $run --net user,pcap=$d/fifo
bad "capture with a bad filter" "--net filter" $run --net "user,pcap=$d/cap,filter=frob nicate"
bad "size of a capture without a number" "pcap-size needs pcap-files" \
	$run --net user,pcap=$d/cap,pcap-size=1M
bad "number of captures without a size" "pcap-files needs pcap-size" \
	$run --net user,pcap=$d/cap,pcap-files=2
bad "captures of no size" "--net pcap-size" $run --net user,pcap=$d/cap,pcap-size=1K,pcap-files=2
bad "captures without end" "--net pcap-files" \
	$run --net user,pcap=$d/cap,pcap-size=1M,pcap-files=1000
bad "snap length of nothing" "--net pcap-snap" $run --net user,pcap=$d/cap,pcap-snap=0
bad "snap length without a capture" "pcap-snap needs pcap=" $run --net user,pcap-snap=100
bad "replay of nothing" "--net replay=$d/none: cannot read it" $run --net replay=$d/none
bad "replay of a text" "--net replay=$d/text: no capture" $run --net replay=$d/text
bad "replay of a folder" "--net replay=$d/dir: " $run --net replay=$d/dir
bad "replay of a FIFO" "--net replay=$d/fifo: not a regular file" $run --net replay=$d/fifo
bad "replay at no speed" "--net replay-speed: 'fast'" $run --net replay=$d/text,replay-speed=fast
bad "speed without a replay" "replay-speed is for replay=" $run --net user,replay-speed=max
bad "an interface that is none" "--net iface: there is no interface 'eth99'" $run --net iface=eth99
bad "many queues to a replay" "queues is for tap=" $run --net replay=$d/text,queues=2
bad "filter without a capture" "filter" $run --net user,filter=tcp
cards=$(n=0; while [ $n -lt 13 ]; do printf ' --net tap=m%s,queues=8' $n; n=$((n + 1)); done)
lite_case "a device's queues have interrupts of their own there" \
	"more queues than a guest has room for" \
	refused "net12: no room .*use fewer, or --net queues=7" lodge run $run $cards

# --- monitor
bad "monitor without unix:" "--monitor: '/tmp/x' is no address" $run --monitor /tmp/x
bad "monitor without a path" "--monitor: 'unix:' is no address" $run --monitor unix:
bad "monitor in a folder that is none" "--monitor: .*$d/no/x" $run --monitor unix:$d/no/x
bad "monitor in place of a file" "--monitor: $d/text exists" $run --monitor unix:$d/text
bad "monitor's path too long" "--monitor: the path is longer" $run \
	--monitor "unix:/tmp/$(head -c 120 /dev/zero | tr '\0' x)"

# --- an error behind things that were made already: they go again
bad "tap, capture and monitor, then no initrd" "--initrd $d/none: " --kernel $k --initrd $d/none \
	--net tap=t7,addr=10.9.9.1/24,pcap=$d/cap --monitor unix:$d/mon --disk $d/disk
bad "tap and capture, then a bad disk" "--disk $d/none: " $run \
	--net tap=t7,pcap=$d/cap --disk $d/none

# --- rights
cat >$d/as <<'END'
#!/bin/sh
exec su "$1" -s /bin/sh -c "$2"
END
chmod 755 $d/as
state_save
chmod 666 $d/disk
device=$(in_mode /dev/kvm /dev/lodge)
ktap_case "no right on the device" refused "$device: permission denied.*(kvm|lodge)" \
	$d/as nobody "lodge run $run"
ktap_case "no right to make a tap" refused "--net tap=t1: .*CAP_NET_ADMIN" \
	$d/as user "lodge run $run --net tap=t1"
ip tuntap add mode tap user root name t2
state_save
ktap_case "no right to somebody else's tap" refused "--net tap=t2: .*CAP_NET_ADMIN" \
	$d/as user "lodge run $run --net tap=t2"
ktap_case "no right to an interface" refused "--net iface=t2: .*CAP_NET_RAW" \
	$d/as user "lodge run $run --net iface=t2"
ip link del t2
state_save
ktap_case "no right to a port below 1024" refused "--net hostfwd=.*port 80.*1023" \
	$d/as user "lodge run $run --net user,hostfwd=tcp::80-:80"
chmod 600 $d/disk
ktap_case "no right to a disk" refused "--disk $d/disk: .*ermission" \
	$d/as user "lodge run $run --disk $d/disk"
chmod 644 $d/disk
ktap_case "no right to write a disk" refused "--disk $d/disk: not writable" \
	$d/as user "lodge run $run --disk $d/disk"

# --- the terminal is as it was, also when the error comes after its raw mode
cat >$d/tty <<END
before=\$(stty -g)
lodge run --kernel $k --initrd $d/none 2>$d/err
echo "status \$?"
[ "\$before" = "\$(stty -g)" ] && echo "terminal intact"
END
terminal_intact() {
	socat -t 5 - "EXEC:sh $d/tty,pty,ctty,setsid" </dev/null >$d/out 2>&1
	tr -d '\r' <$d/out >$d/out.txt
	says $d/out.txt "status 125" && says $d/out.txt "terminal intact" && one_line $d/err
}
ktap_case "the terminal is as it was" terminal_intact

# --- no module
rmmod "$(in_mode kvm_amd lodge)"
bad "the device without a driver" "$device: " $run
bad "--accel without its device" "--accel $accel: (no )?$device: " $run --accel $accel
doctor() {
	dr_st=0
	lodge doctor >$W/out 2>$W/err || dr_st=$?
	[ $dr_st = "$1" ] && grep -qE "$2" $W/out && [ ! -s $W/err ] && return
	echo "status $dr_st"
	cat $W/out $W/err
	return 1
}
mode=$(in_mode "kvm mode +/dev/kvm.*modprobe" "lite mode +no /dev/lodge.*load lodge.ko")
ktap_case "doctor without the module: no, and how to mend it" doctor 1 "NO +$mode"
[ $accel = kvm ] && modprobe kvm_amd || lite_load
ktap_case "doctor with it: yes" doctor 0 "ok +$accel mode"
lab_end
