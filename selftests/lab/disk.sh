#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Disks of guests: what a guest has written is on the host, what it was told to be on disk is there
# after a kill -9, one writer at a time, read-only is read-only, discarded blocks come back.
# LODGE_TEST_FULL=1: the kill is made at five different moments.

# shellcheck source=selftests/labtest.sh
. "$(dirname "$0")/../labtest.sh"
if [ -z "${LAB-}" ]; then
	lab_enter --timeout 420 --mem 2G --disk 2G \
		--put "$O/selftests/guest/xfer:xfer" --put "$O/selftests/guest/fsjobs:fsjobs"
fi
lab_enter

guest_file bin/xfer xfer
guest_file bin/fsjobs fsjobs
limit=200
# Images lie on a real file system below $W, so that O_DIRECT is what is tested.
mke2fs -q -F -t ext4 /dev/vdb
mkdir -p $W/d $W/m
mount -t ext4 /dev/vdb $W/d
img=$W/d/disk.img

new_image() {
	rm -f "$1"
	truncate -s "$2" "$1"
	mke2fs -q -F -t ext4 "$1"
}

mount_image() {
	mount -t ext4 -o loop,ro "$1" $W/m
}

# The sums that the guest printed are those of the files in the image.
same_files() {
	grep -E '^[0-9a-f]+ [0-9]+ ' "$out" | sed 's, /mnt/, ,' | sort >$W/sums.guest
	mount_image "$1" || return 1
	./xfer sum $W/m/files/* | sed "s, $W/m/, ," | sort >$W/sums.host
	umount $W/m
	[ -s $W/sums.guest ] && diff $W/sums.guest $W/sums.host >$W/sums.diff ||
		{ head -n 10 $W/sums.diff $W/sums.guest; return 1; }
}

clean_fs() {
	e2fsck -fn "$1"
}

writer='mount -t ext4 /dev/vda /mnt && mkdir /mnt/files && xfer fill /mnt/files 256 7; s=$?;
	umount /mnt; exit $s'

ktap_plan 26

new_image $img 400M
guest --disk "$img" -- "$writer"
ktap_case "a guest fills an ext4 with 256 MiB of random files" test "$st" = 0
ktap_case "every sum agrees on the host" same_files $img
ktap_case "and the file system is clean" clean_fs $img

new_image $img 400M
loop=$(losetup -f)
losetup "$loop" $img
guest --disk "$loop" -- "$writer"
losetup -d "$loop"
ktap_case "the same on a block device" test "$st" = 0
ktap_case "every sum agrees there, too" same_files $img

acks() {
	[ "$(grep -c '^ack' "$out")" -ge "$1" ]
}

# What fsync answered for is there, whenever the kill comes.
survives() {
	new_image $img 200M
	limit=30
	guest_start --console virtio --disk "$img" --net tap=tdisk -- \
		"mount -t ext4 /dev/vda /mnt && fsjobs run /mnt 16 0"
	wait_for 60 has "$out" "ack 15 " || { cat "$out" "$err"; kill -9 $pid; return 1; }
	sleep "$1"
	wait_for 60 acks 150
	kill -9 $pid
	guest_wait
	limit=200
	tr -d '\r' <"$out" | grep '^ack' >$W/acks
	e2fsck -fy $img >$W/fsck 2>&1
	[ $? -le 1 ] || { cat $W/fsck; return 1; }
	mount_image $img || return 1
	./fsjobs check $W/m 16 <$W/acks >$W/checked
	sv_status=$?
	umount $W/m
	cat $W/checked
	return $sv_status
}
moments="3"
[ -z "$LODGE_TEST_FULL" ] || moments="0.2 1 3 5 8"
for moment in $moments; do
	survives "$moment" >$W/survives 2>&1
	sv=$?
	cat $W/survives | sed 's/^/# /'
	[ $sv = 0 ] || break
done
ktap_case "16 jobs of writes with fsync lose nothing to a kill -9" test $sv = 0
ktap_case "and there was something to lose" \
	test "$(sed -n 's/ acknowledged.*//p' $W/checked)" -gt 100
ktap_case "after the repair the file system is clean" clean_fs $img
ktap_case "the killed guest's tap is gone" sh -c "! /usr/bin/ip link show tdisk 2>/dev/null"
guest --disk "$img" -- 'mount -t ext4 /dev/vda /mnt && ls /mnt/job15'
ktap_case "the image can be used again at once" test "$st" = 0

# Read-only.
sum=$(md5sum <$img)
guest --disk "$img,ro" -- 'cat /sys/block/vda/ro; dd if=/dev/zero of=/dev/vda count=1 conv=fsync'
ktap_case "a read-only disk says so" says "$out" 1
ktap_case "and cannot be written" test "$st" != 0
ktap_case "its image has not changed" test "$sum" = "$(md5sum <$img)"

# One writer, or any number of readers.
guest_start --disk "$img" -- 'echo up; sleep 100'
writer_pid=$pid
ktap_case "a guest has the image for writing" wait_for 60 has "$out" up
guest --disk "$img" -- true
ktap_case "a second writer is refused" test "$st" = 125
ktap_case "with one line" one_line "$err"
ktap_case "that says why" has "$err" "in use"
guest --disk "$img,ro" -- true
ktap_case "and so is a reader" test "$st" = 125
kill -9 $writer_pid
guest_wait $writer_pid
guest_start --disk "$img,ro" -- 'echo up; sleep 100'
reader_pid=$pid
wait_for 60 has "$out" up
guest --disk "$img,ro" -- true
ktap_case "two readers share it" test "$st" = 0
kill -9 $reader_pid
guest_wait $reader_pid

# Several disks, serial numbers, odd sizes.
truncate -s 1000000 $W/d/odd.img
truncate -s 2M $W/d/two.img
guest --disk "$W/d/odd.img,serial=first" --disk "$W/d/two.img,serial=second" -- \
	'cat /sys/block/vda/serial /sys/block/vdb/serial; echo; cat /sys/block/vd?/size'
ktap_case "disks come in the order given" says "$out" "firstsecond"
ktap_case "a size that is no multiple of a sector is rounded down" says "$out" 1953
ktap_case "and the other disk has its own" says "$out" 4096

# Discard and zeroes.
dd if=/dev/urandom of=$W/d/two.img bs=64k count=32 conv=fsync 2>/dev/null
full=$(stat -c %b $W/d/two.img)
guest --disk "$W/d/two.img" -- 'blkdiscard -l 1048576 /dev/vda'
ktap_case "a discard gives blocks back" test "$(stat -c %b $W/d/two.img)" -le $((full / 2 + 16))
guest --disk "$W/d/two.img" -- 'xfer zero /dev/vda 1048576 524288 &&
	head -c 524288 /dev/zero >/tmp/zero && tail -c 1048576 /dev/vda >/tmp/tail &&
	cmp -n 524288 /tmp/tail /tmp/zero && echo zeroed'
ktap_case "zeroes are zeroes" says "$out" zeroed
tail -c 524288 $W/d/two.img | tr -d '\000' >$W/rest
ktap_case "and stop where they should" test "$(wc -c <$W/rest)" -gt 500000

rm -f $W/d/*.img
ktap_case "no process, interface or file is left" state_same
umount $W/d
lab_end
