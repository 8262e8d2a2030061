#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# A machine without VT: lodge says that no guest can run, also where something calls itself
# /dev/kvm, and the doctor says why and what would mend it.

# shellcheck source=selftests/labtest.sh
. "$(dirname "$0")/../labtest.sh"
lab_enter --no-vt --mem 1G --timeout 300

# run_refused PATTERN [RUN-OPTION]...
run_refused() {
	rr_pattern=$1
	shift
	refused "$rr_pattern" lodge run --kernel $kernel --initrd $initrd "$@"
}

# doctor STATUS: and its answer in $W/doctor, errors nowhere.
doctor() {
	dr_st=0
	lodge doctor >$W/doctor 2>$W/err || dr_st=$?
	[ $dr_st = "$1" ] && [ ! -s $W/err ] && return
	echo "status $dr_st"
	cat $W/doctor $W/err
	return 1
}

line() {
	grep -qE "$1" $W/doctor || { cat $W/doctor; return 1; }
}

rm -f /dev/kvm
state_save
ktap_plan 16

ktap_case "a guest is refused" run_refused "neither VMX nor SVM"
ktap_case "with --accel kvm, too" run_refused "--accel kvm: .*neither VMX nor SVM" --accel kvm
ktap_case "and then no tap is made" run_refused "neither VMX nor SVM" --net tap=t1,pcap=$W/cap
ktap_case "the doctor says no" doctor 1
ktap_case "because of the processor" line '^ *NO +processor .*neither VMX nor SVM'
ktap_case "and so no KVM mode" line '^ *NO +kvm mode +needs VT'
ktap_case "and what would help" line '^ *-> .*virtualization'
ktap_case "other things are fine" line '^ *ok +kernel +Linux'

# Anything can have the name. (Its number is the null device's.)
mknod -m 666 /dev/kvm c 1 3
ktap_case "a /dev/kvm that is none changes nothing" run_refused "neither VMX nor SVM"
ktap_case "for the doctor neither" doctor 1
ktap_case "who says that it is of no use" line '^ *NO +kvm mode +/dev/kvm is there, but'
rm /dev/kvm

# Where guests' kernels run in lite mode, and what the module takes for an answer.
ring_refused() {
	! insmod /lodge/modules/lodge.ko "ring=$1" 2>/dev/null &&
		dmesg | tail -n 2 | grep -qE "lodge: ring=$1: wants auto, 1 or 3"
}
doctor 1 >/dev/null
ktap_case "the doctor foretells the ring" line "^ *ok +ring +guests' kernels would run in ring 1: "
ktap_case "ring=2 is refused" ring_refused 2
insmod /lodge/modules/lodge.ko ring=3
doctor 0 >/dev/null
ktap_case "with ring=3 it is 3" line "^ *ok +ring +guests' kernels run in ring 3: asked for"
rmmod lodge
insmod /lodge/modules/lodge.ko ring=1
doctor 0 >/dev/null
ktap_case "and with ring=1 it is 1" line "^ *ok +ring +guests' kernels run in ring 1: asked for"
rmmod lodge
ktap_case "nothing is left behind" state_same
lab_end
