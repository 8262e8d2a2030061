#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What people do on a Linux machine: compile, debug, compute. Prints "ok NAME" or "not ok NAME" with
# the evidence before it, in the guest; there is no plan, userland.sh counts.

T=$(mktemp -d)
cd "$T" || exit 1

# check NAME COMMAND...: the command's own exit status.
check() {
	local name=$1
	shift
	if "$@" >log 2>&1; then
		echo "ok $name"
	else
		tail -n 15 log | sed 's/^/# /'
		echo "not ok $name"
	fi
}

# in_order FILE TEXT...: lines that contain the texts, one after the other.
in_order() {
	local file=$1
	shift
	awk -v n=$# 'BEGIN { for (i = 1; i <= n; i++) { want[i] = ARGV[i + 1] } ARGC = 2; at = 1 }
		index($0, want[at]) { at++ }
		END {
			if (at <= n) { print "missing: " want[at] > "/dev/stderr"; exit 1 }
		}' "$file" "$@" || { cat "$file"; return 1; }
}

cat >prog.c <<-'END'
	#include <stdio.h>
	#include <stdlib.h>

	volatile int watched;
	static int fib(int n)
	{
		return n < 2 ? n : fib(n - 1) + fib(n - 2);
	}
	static void writer(int n)
	{
		int i;

		for (i = 1; i <= n; i++)
			watched = i * 10;
	}
	int main(int argc, char **argv)
	{
		int n = argc > 1 ? atoi(argv[1]) : 10;

		writer(3);
		printf("fib %d %d\n", n, fib(n));
		return 7;
	}
END

builds() {
	gcc "$@" -g -Wall -o prog prog.c || return 1
	./prog 15 >prog.out
	[ $? = 7 ] && grep -qx 'fib 15 610' prog.out
}
check "gcc: a program is compiled and runs" builds -O2
check "gcc: and one of 32 bits" builds -m32
check "gcc: and one with the address sanitizer" builds -fsanitize=address

make_many() {
	local i
	mkdir -p many
	for i in 1 2 3 4 5 6 7 8; do
		echo "int f$i(int x) { return x + $i; }" >many/f$i.c
	done
	{
		for i in 1 2 3 4 5 6 7 8; do echo "int f$i(int x);"; done
		echo "int main(void) { return f1(f2(f3(f4(f5(f6(f7(f8(6)))))))); }"
	} >many/main.c
	printf 'prog: $(patsubst %%.c,%%.o,$(wildcard *.c))\n\t$(CC) -o $@ $^\n' >many/Makefile
	make -s -C many -j3 || return 1
	many/prog
	[ $? = 42 ]
}
check "make: nine files, three at a time" make_many

gcc -g -O0 -o dbg prog.c || exit 1
gdb_run() {
	gdb -q -nx -batch "$@" --args ./dbg 6 >gdb.log 2>&1 </dev/null || { cat gdb.log; return 1; }
}
gdb_break() {
	gdb_run -ex 'break fib if n == 2' -ex run -ex 'print n' -ex bt -ex 'finish' -ex 'delete' \
		-ex continue &&
		in_order gdb.log 'Breakpoint 1, fib (n=2)' '$1 = 2' '#4' 'main (argc=2' \
			'Value returned is $2 = 1' 'fib 6 8' 'exited with code 07'
}
check "gdb: a breakpoint with a condition, a backtrace, finish" gdb_break
gdb_step() {
	gdb_run -ex 'break writer' -ex run -ex next -ex stepi -ex stepi -ex 'print watched' \
		-ex next -ex 'print watched' -ex 'step 3' -ex 'print watched' -ex continue &&
		in_order gdb.log 'Breakpoint 1, writer (n=3)' 'watched = i * 10' '$1 = 0' \
			'$2 = 10' 'watched = i * 10' '$3 = 20' 'exited with code 07'
}
check "gdb: single steps of instructions and lines" gdb_step
gdb_steps_all() {
	# Every instruction between two breakpoints; the program then goes on as if nothing was.
	gdb_run -ex 'break writer' -ex run -ex 'break 24' -ex 'stepi 400' -ex 'delete' \
		-ex continue && in_order gdb.log 'fib 6 8' 'exited with code 07'
}
check "gdb: 400 single steps" gdb_steps_all
gdb_watch() {
	gdb_run -ex 'break main' -ex run -ex 'watch watched' -ex continue -ex continue \
		-ex continue -ex 'info watchpoints' -ex 'delete' -ex continue &&
		in_order gdb.log 'Hardware watchpoint 2: watched' 'Old value = 0' 'New value = 10' \
			'Old value = 10' 'New value = 20' 'Old value = 20' 'New value = 30' \
			'breakpoint already hit 3 times' 'exited with code 07'
}
check "gdb: a variable watched by the processor" gdb_watch
gdb_rwatch() {
	gdb_run -ex 'break main' -ex run -ex 'awatch watched' -ex continue -ex 'delete' \
		-ex continue &&
		in_order gdb.log 'Hardware access (read/write) watchpoint 2: watched' \
			'New value = 10' 'exited with code 07'
}
check "gdb: and its reads" gdb_rwatch
gdb_hbreak() {
	gdb_run -ex 'break main' -ex run -ex 'hbreak fib' -ex continue -ex continue -ex 'delete' \
		-ex continue && in_order gdb.log 'Hardware assisted breakpoint 2' \
		'Breakpoint 2, fib (n=6)' 'Breakpoint 2, fib (n=5)' 'exited with code 07'
}
check "gdb: a breakpoint of the processor's" gdb_hbreak
gdb_signal() {
	gdb_run -ex 'handle SIGUSR1 stop' -ex 'break writer' -ex run -ex 'call (int)raise(10)' \
		-ex 'info registers rip eflags cs ss' -ex kill &&
		in_order gdb.log 'Breakpoint 1, writer' 'SIGUSR1'
}
check "gdb: a call into the program, and its signal" gdb_signal

cat >attach.c <<-'END'
	#include <unistd.h>
	volatile long count;
	int main(void) { for (;;) { count++; usleep(1000); } }
END
gdb_attach() {
	local pid
	gcc -g -o attach attach.c || return 1
	./attach &
	pid=$!
	sleep 1
	gdb -q -nx -batch -p $pid -ex 'print count > 0' -ex 'watch count' -ex continue \
		-ex 'detach' >gdb.log 2>&1 </dev/null
	kill $pid || return 1
	wait $pid
	in_order gdb.log '= 1' 'Hardware watchpoint 1: count' 'New value' 'detached'
}
check "gdb: attached to what runs already" gdb_attach
traced() {
	strace -f -o trace.log sh -c './dbg 3 | cat' >traced.log || return 1
	grep -q 'fib 3 2' traced.log && grep -q 'execve("./dbg"' trace.log &&
		grep -q 'exited with 7' trace.log
}
check "strace: a pipe of two programs" traced

perl_work() {
	perl -MDigest::SHA=sha256_hex -MMath::BigInt -e '
		my %h; $h{$_ % 97} += $_ for 1 .. 200000;
		my $s = join ",", map { "$_=$h{$_}" } sort { $a <=> $b } keys %h;
		my $f = Math::BigInt->new(120)->bfac();
		my @t = map { ($_ * 7919) % 100003 } 1 .. 20000;
		my $sorted = join " ", sort { $a <=> $b } @t;
		my $pid = open(my $kid, "-|") // die;
		if (!$pid) { print sha256_hex($sorted); exit 3 }
		my $got = <$kid>; close $kid;
		die "status" unless $? >> 8 == 3;
		die "child" unless $got eq sha256_hex($sorted);
		die "sum" unless $h{0} == 206114427;
		$SIG{ALRM} = sub { die "alarm\n" };
		eval { alarm 1; 1 while 1; }; die "no alarm" unless $@ eq "alarm\n";
		print length("$f"), " ", sha256_hex($s . $f), "\n"' >perl.out || return 1
	cat perl.out
	grep -qx '199 [0-9a-f]\{64\}' perl.out
}
check "perl: hashes, big numbers, sorting, a child, an alarm" perl_work
python_work() {
	python3 - >python.out <<-'END' || { cat python.out; return 1; }
	import concurrent.futures, hashlib, json, math, os, random, sqlite3, threading, zlib
	from fractions import Fraction

	random.seed(1)
	data = random.randbytes(1 << 20)
	assert zlib.decompress(zlib.compress(data[:200000] * 3)) == data[:200000] * 3
	assert hashlib.sha256(b"abc").hexdigest().startswith("ba7816bf8f01cfea414140de5dae2223")
	assert sum(Fraction(1, n) for n in range(1, 11)) == Fraction(7381, 2520)
	assert math.factorial(500) // math.factorial(498) == 500 * 499
	db = sqlite3.connect("t.db")
	db.execute("create table t (a integer primary key, b text)")
	db.executemany("insert into t values (?, ?)", ((i, str(i * i)) for i in range(5000)))
	db.commit()
	assert db.execute("select count(*), sum(b) from t").fetchone() == (5000, 41654167500)
	total, lock = 0, threading.Lock()
	def add(n):
	    global total
	    for _ in range(n):
	        with lock:
	            total += 1
	ts = [threading.Thread(target=add, args=(2000,)) for _ in range(8)]
	[t.start() for t in ts]
	[t.join() for t in ts]
	assert total == 16000
	with concurrent.futures.ProcessPoolExecutor(3) as ex:
	    assert list(ex.map(math.isqrt, range(0, 400, 4))) == \
	        [math.isqrt(x) for x in range(0, 400, 4)]
	x = [math.sin(i) ** 2 + math.cos(i) ** 2 for i in range(20000)]
	assert all(abs(v - 1) < 1e-12 for v in x)
	assert json.loads(json.dumps({"a": [1.5, None, "\u00e9"]})) == {"a": [1.5, None, "\u00e9"]}
	r, w = os.pipe()
	if os.fork() == 0:
	    os.write(w, data[:65536]); os._exit(5)
	got = b""
	while len(got) < 65536:
	    got += os.read(r, 65536)
	assert os.waitstatus_to_exitcode(os.wait()[1]) == 5 and got == data[:65536]
	print("all right")
	END
	grep -qx 'all right' python.out
}
check "python3: threads, processes, sqlite, floating point, compression" python_work
check "the vDSO: time, and the number of the processor" /opt/kselftest/x86/test_vsyscall_64
units_fine() {
	systemctl --failed --no-legend --plain >failed.log || return 1
	[ ! -s failed.log ] || { cat failed.log; return 1; }
}
check "systemd: no unit has failed" units_fine
kernel_quiet() {
	! dmesg | grep -E -A 20 'WARNING|BUG|Oops|Call Trace|multicall'
}
check "the kernel has not complained" kernel_quiet
rm -rf "$T"
