// SPDX-License-Identifier: GPL-2.0-only
/*
 * More of everything than there is: shadow pages, while the host takes them back, too; event
 * channels and timers; and work without an end, whose launcher is killed.
 */
#include <sys/wait.h>
#include <time.h>

#include "hostile.h"

/* --- shadow pages -------------------------- */

#define NR   700 /* tables: frames 300 to 999, each the same second-level and leaf table */
#define MARK 0x6d61726bull

/*
 * All of 36 tables of the third level lead to all tables, so that more shadow pages are asked for
 * than there may be. RDX is the walk's stride; R12 counts what was read wrong.
 */
BODY(sweep,
     "mov $0x8000000000, %rsi; mov 0x511000, %rbp; xor %r12d, %r12d; movabs $0x6d61726b, %rbx\n"
     "1: mov (%rsi), %rax; cmp %rbx, %rax; je 2f; inc %r12\n"
     "2: add 0x511008, %rsi; dec %rbp; jnz 1b")

static void sweep_make(void)
{
	__u64 *l4, *t, i, k;

	make(sweep, sweep_end, false);
	l4 = at(ROOT);
	*(__u64 *)at(299 * PAGE) = MARK;
	/* Each entry of a table leads to the same page: as a leaf to the mark. */
	for (i = 0; i < NR; i++) {
		t = at((300 + i) * PAGE);
		for (k = 0; k < 512; k++)
			t[k] = 299 * PAGE | 0x67;
	}
	/* Two third-level tables, of which the entries are second-level tables of their own. */
	for (i = 0; i < 2; i++) {
		t = at((100 + i) * PAGE);
		l4[1 + i] = TABLE((100 + i) * PAGE);
		for (k = 0; k < 16; k++) {
			__u64 *l2 = at((110 + i * 16 + k) * PAGE), n;

			t[k] = TABLE((110 + i * 16 + k) * PAGE);
			for (n = 0; n < 512; n++)
				l2[n] = TABLE((300 + (n + k * 7) % NR) * PAGE);
		}
	}
	((__u64 *)at(ARGS))[0] = 16 * 512;
	((__u64 *)at(ARGS))[1] = 2 << 20;
}

/* Pins frames 300 to 999 as roots, whose shadows are kept then. */
BODY(pins, "mov $300, %ebp; xor %r12d, %r12d; mov $0x511100, %edi; mov $0x7ff0, %r10d\n"
	   "xor %edx, %edx; movl $3, (%rdi)\n"
	   "1: mov %rbp, 8(%rdi); mov $1, %esi; mov $26, %eax; syscall; or %rax, %r12\n"
	   "inc %ebp; cmp $1000, %ebp; jne 1b")

CASE(shadows, "more page tables than shadow pages")
{
	struct lodge_stats st;
	unsigned int i;

	sweep_make();
	memcpy(at(BODY_AT), pins, pins_end - pins);
	go(LONG);
	gives(0);
	memcpy(at(BODY_AT), sweep, sweep_end - sweep);
	/* Tables that are each used as a third-level table as well: at other levels anew. */
	for (i = 0; i < NR; i++)
		((__u64 *)at(ROOT))[3 + i % 250] = TABLE((300 + i) * PAGE);
	for (i = 0; i < 4; i++) {
		again();
		go(LONG);
		gives(0);
	}
	/* The same, and every root is new. */
	for (i = 0; i < NR; i++) {
		memcpy(at((300 + i) * PAGE), at(ROOT), PAGE);
		begin.root = begin.user_root = (300 + i) * PAGE;
		((__u64 *)at(ARGS))[0] = 1;
		again();
		go(LONG);
		expect(ended == 1);
	}
	ksft_eq(ioctl(vcpu, LODGE_STATS, &st), 0);
	ksft_msg("%llu shadow pages, %llu made, %llu evicted", st.shadows, st.shadow_new,
		 st.shadow_evicted);
	ksft_check(st.shadows <= FRAMES / 16 + 1024);
	ksft_check(st.shadow_evicted > 0);
	drop();
}

static void shrink(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);

	ksft_check(fd >= 0);
	ksft_eq(write(fd, "2", 1), 1);
	close(fd);
}

CASE(shrinker, "the host takes shadow pages back while the guest runs")
{
	struct lodge_stats st;
	int status, i;
	pid_t pid;

	sweep_make();
	pid = fork();
	if (!pid) {
		for (;;)
			shrink();
	}
	for (i = 0; i < 20; i++) {
		again();
		go(LONG);
		if (ended != 1 || end.r13 != NONE || end.r12)
			break;
	}
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	gives(0);
	ksft_eq(ioctl(vcpu, LODGE_STATS, &st), 0);
	ksft_msg("%llu evicted", st.shadow_evicted);
	drop();
}

/* --- no end -------------------------- */

/* Batches as long as they may be, over and over. The hypercall is in ORDER. */
BODY(forever, "1: mov $0x511c00, %ebx; mov (%rbx), %rax; mov 8(%rbx), %rdi; mov 16(%rbx), %rsi;"
	      "mov 24(%rbx), %rdx; mov 32(%rbx), %r10; mov 40(%rbx), %r8; syscall; jmp 1b")

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

struct multi {
	__u64 op, result, arg[6];
};

/* A child that is in there for good; it ends when it is killed, and soon. */
static void killed(struct order t)
{
	struct multi *m;
	int status, i;
	double from;
	pid_t pid;

	pid = fork();
	if (!pid) {
		make(forever, forever_end, false);
		*(struct order *)at(ORDER) = t;
		/* 4096 multicall entries, each of 4096 entries of nothing. */
		m = at(300 * PAGE);
		for (i = 0; i < 4096; i++)
			m[i] = (struct multi){ .op = 26,
					       .arg = { BASE + 400 * PAGE, 4096, 0, HC_SELF } };
		for (i = 0; i < 4096; i++)
			((__u64 *)at(400 * PAGE))[3 * i] = 6;
		for (;;)
			ioctl(vcpu, LODGE_RUN, 0);
	}
	usleep(700000);
	ksft_eq(waitpid(pid, &status, WNOHANG), 0);
	from = now();
	kill(pid, SIGKILL);
	while (!waitpid(pid, &status, WNOHANG) && now() - from < 60)
		usleep(1000);
	ksft_check(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

CASE(endless_multi, "the launcher is killed in multicalls of batches")
{
	killed((struct order){ .nr = 13, .arg = { BASE + 300 * PAGE, 4096 } });
}

CASE(endless_batch, "the launcher is killed in batches")
{
	killed((struct order){ .nr = 26, .arg = { BASE + 400 * PAGE, 4096, 0, HC_SELF } });
}

CASE(endless_light, "the launcher is killed among light exits")
{
	killed((struct order){ .nr = 55, .arg = { 3 } });
}

CASE(endless_fast, "the launcher is killed among the switcher's hypercalls")
{
	killed((struct order){ .nr = 3, .arg = { 0, 0x520000 } });
}

CASE(endless_block, "the launcher is killed while its guest sleeps")
{
	killed((struct order){ .nr = 29, .arg = { 1 } });
}

CASE(endless_poll, "the launcher is killed while its guest polls")
{
	killed((struct order){ .nr = 29, .arg = { 3, BASE + 350 * PAGE } });
}

/* --- event channels, timers -------------------------- */

static __s64 evtchn(unsigned int op, __u64 a, __u64 b)
{
	((__u64 *)at(ARGS))[0] = a;
	((__u64 *)at(ARGS))[1] = b;
	return hc(32, op, BASE + ARGS, 0, 0, 0);
}

CASE(channels, "event channels at and past their limits")
{
	unsigned int i, n = 0;

	obey_start();
	while (n < 5000 && !evtchn(7, 0, 0)) /* bind_ipi */
		n++;
	ksft_eq(n, LODGE_PORTS_MAX - 512);
	ksft_eq(evtchn(7, 0, 0), -ENOSPC);
	ksft_eq(evtchn(6, 0x7ff0, 0), -ENOSPC); /* alloc_unbound */
	ksft_eq(evtchn(1, 0, 0), -ENOSPC);	/* bind_virq */
	for (i = 0; i < 3; i++) {
		static const __u32 bad[] = { LODGE_PORTS_MAX, 1u << 31, ~0u };

		ksft_eq(evtchn(4, bad[i], 0), -EINVAL);			      /* send */
		ksft_eq(evtchn(3, bad[i], 0), -EINVAL);			      /* close */
		ksft_eq(evtchn(9, bad[i], 0), -EINVAL);			      /* unmask */
		ksft_eq(evtchn(5, 0x7ff0 | (__u64)bad[i] << 32, 0), -EINVAL); /* status */
		ksft_eq(evtchn(8, bad[i], 0), -EINVAL);			      /* bind_vcpu */
		ksft_eq(evtchn(1, bad[i], 0), -EINVAL);
		ksft_eq(evtchn(7, bad[i], 0), -ENOENT);
	}
	for (i = 512; i < LODGE_PORTS_MAX; i += 97)
		ksft_eq(evtchn(4, i, 0), 0);
	ksft_eq(evtchn(3, 777, 0), 0);
	ksft_eq(evtchn(3, 777, 0), -EINVAL);
	ksft_eq(evtchn(4, 777, 0), -EINVAL);
	ksft_eq(evtchn(1, 0, 0), 0);
	ksft_eq(((__u32 *)at(ARGS))[2], 777);
	ksft_eq(evtchn(1, 0, 0), -EEXIST);
	/* The VMM's: closed, and still there. */
	for (i = 1; i < 512; i += 13)
		ksft_eq(evtchn(3, i, 0), 0);
	ksft_eq(evtchn(4, 5, 0), 0);
	drop();
}

CASE(timers, "timers in the past, at once, and never")
{
	static const __u64 when[] = { 1, ~0ull, 1ull << 63, (1ull << 63) - 1, 1000, 0 };
	unsigned int i, k;

	obey_start();
	ksft_eq(evtchn(1, 0, 0), 0);
	for (k = 0; k < 20; k++)
		for (i = 0; i < sizeof(when) / sizeof(when[0]); i++) {
			ksft_eq(hc(15, when[i], 0, 0, 0, 0), 0);
			((__u64 *)at(ARGS))[0] = when[i];
			((__u64 *)at(ARGS))[1] = k & 1;
			ksft_check(hc(24, 8, 0, BASE + ARGS, 0, 0) <= 0);
		}
	/* Never: the guest sleeps for good, and can be interrupted. */
	ksft_eq(hc(15, ~0ull, 0, 0, 0, 0), 0);
	*(struct order *)at(ORDER) = (struct order){ .nr = 29, .arg = { 1 } };
	*(__u16 *)at(SHARED) = 0;
	again();
	go(SHORT);
	waits();
	drop();
}

CASE(grants, "grant tables, which there are none of")
{
	unsigned int op;

	obey_start();
	for (op = 0; op < 16; op++) {
		ksft_eq(hc(20, op, BASE + ARGS, 1, 0, 0), -ENOSYS);
		ksft_eq(hc(20, op, BASE + ARGS, ~0ull, 0, 0), -ENOSYS);
		ksft_eq(hc(20, op, sw, 1ull << 32, 0, 0), -ENOSYS);
	}
	drop();
}

int main(int argc, char **argv)
{
	return hostile_run(argc, argv);
}
