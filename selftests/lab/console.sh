#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The console: input and output of both kinds, through pipes and through a terminal with its keys.

# shellcheck source=selftests/labtest.sh
. "$(dirname "$0")/../labtest.sh"
lab_enter --timeout 420

# make_lines N: $W/lines, its size in $bytes and its sum in $sum_in
make_lines() {
	i=0
	while [ $i -lt "$1" ]; do
		echo "line $i of what the guest is given to read, and to count"
		i=$((i + 1))
	done >$W/lines
	bytes=$(wc -c <$W/lines)
	sum_in=$(md5sum <$W/lines | cut -d' ' -f1)
}
seq 1 6000 >$W/seq
sum_out=$(md5sum <$W/seq | cut -d' ' -f1)

# On a terminal: a line, Ctrl-C, Ctrl-A twice, and then whoever is first to end it.
guest_file t/tty - <<'END'
trap 'echo interrupted' INT
echo "ready 1"
read line
echo "got $line"
stty raw -echo
c=$(head -c 1 | od -An -tx1)
stty sane
echo "byte$c"
echo "ready 2"
i=0
until stty size | grep -q . || [ $i = 100 ]; do sleep 0.1; i=$((i + 1)); done
echo "size $(stty size)"
while :; do sleep 1; done
END
state_save

output() {
	[ "$(sed '1,/^sum /d' "$1" | head -n 6000 | md5sum | cut -d' ' -f1)" = "$sum_out" ] ||
		{ echo "damaged: $(wc -l <"$1") lines"; return 1; }
}

# on_tty KIND: a guest on a terminal of its own; keys go to fd 3, what it shows to $W/screen.
on_tty() {
	cat >$W/tty.sh <<END
stty rows 24 cols 80
tty >$W/tty.name
before=\$(stty -g)
lodge run --kernel $kernel --initrd $initrd --console $1 --append '$(guest_cmdline "sh /t/tty")' \
	2>$W/tty.err
echo "status \$?"
[ "\$before" = "\$(stty -g)" ] && echo "terminal intact"
END
	rm -f $W/keys $W/screen
	mkfifo $W/keys
	socat -t 5 - "EXEC:sh $W/tty.sh,pty,ctty,setsid" <$W/keys >$W/screen 2>&1 &
	pid=$!
	exec 3>$W/keys
	wait_for "$limit" has $W/screen "ready 1"
	printf '\003hello\r' >&3
	wait_for "$limit" has $W/screen "got hello"
	printf '\001a' >&3
	wait_for "$limit" has $W/screen "ready 2"
	# The driver takes no size at the start, but every change of it.
	[ "$sizes" = no ] || stty -F "$(cat $W/tty.name)" rows 33 cols 99
	wait_for "$limit" has $W/screen "size"
	printf '\001h' >&3
	wait_for "$limit" has $W/screen "Ctrl-A X quit"
	printf '\001x' >&3
	exec 3>&-
	guest_wait
	tr -d '\r' <$W/screen >$W/screen.txt
}

ktap_plan 27

limit=60
for kind in serial virtio; do
	sizes=yes lines=40
	# Neither a UART nor Xen's ring knows of sizes.
	[ $kind = virtio ] || sizes=no
	# Within the 4 KiB that a terminal holds for hvc0: the hvc driver of Linux 6.1 stalls when
	# its terminal throttles it, under any hypervisor.
	[ "$kind $accel" != "serial kvm" ] || lines=300
	make_lines $lines
	guest_file t/inout - <<-END
	stty raw -echo
	echo ready
	echo "sum \$(head -c $bytes | md5sum)"
	seq 1 6000
	END
	# In through a pipe, out through one whose reader now and then sleeps.
	rm -f $W/pipe $W/seen
	mkfifo $W/pipe
	in=$W/pipe
	guest_args --console $kind -- 'sh /t/inout'
	{
		eval "lodge run --kernel $kernel --initrd $initrd $args" <$W/pipe 2>$W/err |
			tee $W/seen | { dd bs=1 count=3000; sleep 3; cat; } 2>/dev/null |
			tr -d '\r' >$W/slow
	} &
	pid=$!
	exec 3>$W/pipe
	wait_for "$limit" has $W/seen ready
	cat $W/lines >&3
	guest_wait
	exec 3>&-
	ktap_case "$kind: all that goes in through a pipe arrives" has $W/slow "sum $sum_in"
	ktap_case "$kind: all that comes out arrives at a slow reader" output $W/slow
	in=

	on_tty $kind
	ktap_case "$kind: a typed line" has $W/screen "got hello"
	ktap_case "$kind: Ctrl-C reaches the guest" has $W/screen interrupted
	ktap_case "$kind: Ctrl-A A is a Ctrl-A" has $W/screen "byte 01"
	ktap_case "$kind: Ctrl-A H shows the keys" has $W/screen "Ctrl-A X quit"
	ktap_case "$kind: Ctrl-A X ends the guest" says $W/screen.txt "status 130"
	ktap_case "$kind: and is told in one line" one_line $W/tty.err
	ktap_case "$kind: the terminal is as it was" says $W/screen.txt "terminal intact"
	[ $sizes = no ] || ktap_case "$kind: the window's size" has $W/screen "size 33 99"
done

# A reader that goes away is no reason to die.
guest_args -- 'seq 1 3000; exit 6'
{
	st=0
	eval "lodge run --kernel $kernel --initrd $initrd $args" </dev/null 2>$W/err || st=$?
	echo "$st" >$W/st
} | head -n 1 >/dev/null
ktap_case "a closed pipe does not end the guest" test "$(cat $W/st)" = 6

guest --console none -- 'echo unheard; exit 8'
none() {
	[ "$st" = 8 ] && [ ! -s "$out" ] && [ ! -s "$err" ]
}
ktap_case "none: the guest runs, and nothing is printed" none
# Standard descriptors that are closed must not become something else's.
closed() {
	st=0
	eval "timeout -s KILL $limit lodge run --kernel $kernel --initrd $initrd \
		--append '$(guest_cmdline "echo up; exit 3")' $1" || st=$?
}
closed "<&- >$W/closed 2>&1"
ktap_case "with stdin closed the guest runs" test "$st" = 3
# Before it knows of loglevel=0, a kernel on Xen says two things.
chatter='^mapping kernel into physical memory$|^about to get started\.\.\.$'
ktap_case "and its output is all there is" \
	test "$(tr -d '\r' <$W/closed | grep -vE "$(in_mode '^$' "$chatter")")" = up
closed "<&- >&- 2>&-"
ktap_case "with all three closed, too" test "$st" = 3

# With two processors the driver's interrupt may be on the other one, which is not at work just now.
last_words() {
	for i in 1 2 3 4; do
		guest --cpus 2 --mem 192M -- 'seq -w 1 700'
		says "$out" 700 && [ "$(wc -l <"$out")" = 700 ] && continue
		echo "try $i: status $st, $(wc -l <"$out") lines"
		return 1
	done
}
ktap_case "the last line before the guest ends arrives" last_words

# A terminal that is not the controlling one is a terminal all the same.
guest_file t/line - <<'END'
echo "ready 1"
read line
echo "got $line"
END
rm -f $W/keys
mkfifo $W/keys
cat >$W/tty.sh <<END
lodge run --kernel $kernel --initrd $initrd --append '$(guest_cmdline "sh /t/line")' 2>$W/tty.err
echo "status \$?"
END
socat -t 5 - "EXEC:sh $W/tty.sh,pty" <$W/keys >$W/screen 2>&1 &
pid=$!
exec 3>$W/keys
wait_for "$limit" has $W/screen "ready 1"
printf 'hello\r' >&3
wait_for "$limit" has $W/screen "status"
exec 3>&-
guest_wait
ktap_case "a terminal that is not the controlling one gives input" has $W/screen "got hello"
ktap_case "nothing is left behind" state_same
lab_end
