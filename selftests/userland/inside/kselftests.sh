#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The kernel's own selftests, one after the other: kselftests.sh OUT [PATTERN]
#
# For each test OUT/NAME.log is what it has printed and OUT/status gets a line "NAME STATUS". NAME
# is the test's path with its arguments, "/" for "." and " " for "_". Only those that match the
# extended regular expression PATTERN are run. Runs in the guest, and from the same disk on
# the machine that the guest's results are compared with.

out=$1
pattern=${2:-.}
top=/opt/kselftest
limit=${KSELFTEST_LIMIT:-900}

# What the collections' own drivers would run, test by test: those stop at the first that is missing
# or want huge pages for all.
tests() {
	grep -v -e '^vm:' -e '^futex:' -e step_after_suspend -e benchmark -e 'rseq:.*param' \
		$top/kselftest-list.txt | tr : /
	echo rseq/param_test -T s -t 4 -r 500
	echo rseq/param_test -T i -t 4 -r 500 -y -m 10
	sed -n 's,^\./\(futex_.*\) \$COLOR,futex/functional/\1,p' $top/futex/functional/run.sh |
		sed 's/ *$//'
	cat <<-'END'
	vm/hugepage-mmap
	vm/hugepage-shm
	vm/hugepage-vmemmap
	vm/map_hugetlb
	vm/map_fixed_noreplace
	vm/gup_test -u
	vm/gup_test -a
	vm/gup_test -ct -F 0x1 0 19 0x1000
	vm/userfaultfd anon 20 16
	vm/userfaultfd shmem 20 16
	vm/compaction_test
	vm/on-fault-limit
	vm/map_populate
	vm/mlock-random-test
	vm/mlock2-tests
	vm/mrelease_test
	vm/mremap_test
	vm/mremap_dontunmap
	vm/thuge-gen
	vm/virtual_address_range
	vm/va_128TBswitch.sh
	vm/madv_populate
	vm/memfd_secret
	vm/migration
	vm/khugepaged
	vm/split_huge_page_test
	vm/ksm_tests -M -p 10
	vm/ksm_tests -U
	vm/ksm_tests -Z -p 10 -z 0
	vm/ksm_tests -Z -p 10 -z 1
	vm/protection_keys_32
	vm/protection_keys_64
	vm/soft-dirty
	END
}

one() {
	local path=$1 name status=0 user=
	name=$(printf '%s' "$path" | tr '/ ' '._')
	# shellcheck disable=SC2086 # the arguments
	set -- ${path#"${path%/*}"/}
	[ "$1" != on-fault-limit ] || user="sudo -u nobody"
	if [ ! -x "$top/${path%/*}/$1" ]; then
		status=missing
	else
		cd "$top/${path%/*}" || return
		prog=./$1
		shift
		# shellcheck disable=SC2086
		timeout -k 5 "$limit" $user $prog "$@" >"$out/$name.log" 2>&1 </dev/null ||
			status=$?
	fi
	echo "$name $status" >>"$out/status"
	# The log in the kernel's ring buffer is part of what a test does.
	dmesg -c 2>/dev/null |
		grep -E 'WARNING|BUG|Oops|multicall|general protection.*\[#' >"$out/$name.dmesg" ||
		rm -f "$out/$name.dmesg"
}

mkdir -p "$out"
: >"$out/status"
dmesg -c >/dev/null 2>&1
modprobe -q test_user_copy 2>/dev/null
tests | grep -E -e "$pattern" >"$out/list"
while read -r t; do
	one "$t"
done <"$out/list"
sync
