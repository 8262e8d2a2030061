// SPDX-License-Identifier: GPL-2.0-only
/*
 * Micro-benchmarks of a kernel: what a system call, a process, a context switch and a page cost.
 * The same static program runs on a host and in its guests, so that only ratios need to be read.
 * It measures through the C library's thinnest paths, one figure a line (report.h), and touches no
 * device. tools/bench/bench runs it. One thread; its children end before the figure is printed.
 *
 * usage: micro [-l] [-t MS] [NAME...]
 *	-l: list the names; MS: time for each figure (400); NAME: only these
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "report.h"

#define ROUNDS	    9
#define PAGE	    4096
#define FAULT_PAGES 1024 /* 4 MiB: past the caches of the page allocator, small for a small guest */
#define MMAP_PAGES  64
#define COLD_PAGES  16384 /* 64 MiB */

extern char **environ;

/**
 * struct figure - one row
 * @name: of the row
 * @unit: of @scale
 * @scale: units in a nanosecond
 * @setup: NULL, or what has to be there first; negative errno
 * @run: do the work @n times; returns nanoseconds spent, or negative errno
 * @teardown: NULL, or the counterpart of @setup
 * @once: so many repetitions, a single round and no warming up; 0: as many as fill the time
 */
struct figure {
	const char *name;
	const char *unit;
	double scale;
	int (*setup)(void);
	int64_t (*run)(uint64_t n);
	void (*teardown)(void);
	uint64_t once;
};

static int64_t run_getppid(uint64_t n)
{
	uint64_t start = bench_now_ns();

	while (n--)
		syscall(SYS_getppid);
	return bench_now_ns() - start;
}

static int64_t run_fork(uint64_t n)
{
	uint64_t start = bench_now_ns();
	pid_t pid;

	while (n--) {
		pid = fork();
		if (pid < 0)
			return -errno;
		if (!pid)
			_exit(0);
		if (waitpid(pid, NULL, 0) != pid)
			return -errno;
	}
	return bench_now_ns() - start;
}

static int ping[2], pong[2];
static pid_t echo_pid;

static int setup_pipe(void)
{
	char c;

	if (pipe(ping) || pipe(pong))
		return -errno;
	echo_pid = fork();
	if (echo_pid < 0)
		return -errno;
	if (!echo_pid) {
		/* Its own copy of the write end would keep the read below from ever ending. */
		close(ping[1]);
		while (read(ping[0], &c, 1) == 1)
			if (write(pong[1], &c, 1) != 1)
				break;
		_exit(0);
	}
	close(ping[0]);
	close(pong[1]);
	return 0;
}

static int64_t run_pipe(uint64_t n)
{
	uint64_t start = bench_now_ns();
	char c = 0;

	while (n--)
		if (write(ping[1], &c, 1) != 1 || read(pong[0], &c, 1) != 1)
			return -EPIPE;
	return bench_now_ns() - start;
}

static void teardown_pipe(void)
{
	close(ping[1]);
	close(pong[0]);
	waitpid(echo_pid, NULL, 0);
}

static char *fault_area;

/* Small pages on purpose: the figure is the cost of a fault, not of clearing 2 MiB. */
static int setup_fault(void)
{
	fault_area = mmap(NULL, FAULT_PAGES * PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (fault_area == MAP_FAILED)
		return -errno;
	/* EINVAL where the kernel has no huge pages at all: as good. */
	madvise(fault_area, FAULT_PAGES * PAGE, MADV_NOHUGEPAGE);
	return 0;
}

static int64_t run_fault(uint64_t n)
{
	volatile char *p = fault_area;
	uint64_t i, start, spent = 0;

	while (n) {
		if (madvise(fault_area, FAULT_PAGES * PAGE, MADV_DONTNEED))
			return -errno;
		start = bench_now_ns();
		for (i = 0; i < FAULT_PAGES && n; i++, n--)
			p[i * PAGE] = 1;
		spent += bench_now_ns() - start;
	}
	return spent;
}

static void teardown_fault(void)
{
	munmap(fault_area, FAULT_PAGES * PAGE);
}

/*
 * Pages that this machine has not handed out since it booted, if it has that many left: in a guest
 * they are new to its host too, which then has to find memory for them. Hence no second round.
 */
static int64_t run_cold(uint64_t n)
{
	uint64_t start, i;
	char *area;

	area = mmap(NULL, n * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (area == MAP_FAILED)
		return -errno;
	madvise(area, n * PAGE, MADV_NOHUGEPAGE);
	start = bench_now_ns();
	for (i = 0; i < n; i++)
		((volatile char *)area)[i * PAGE] = 1;
	start = bench_now_ns() - start;
	munmap(area, n * PAGE);
	return start;
}

static int64_t run_mmap(uint64_t n)
{
	uint64_t start = bench_now_ns();
	char *area;
	int i;

	while (n--) {
		area = mmap(NULL, MMAP_PAGES * PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (area == MAP_FAILED)
			return -errno;
		for (i = 0; i < MMAP_PAGES; i++)
			((volatile char *)area)[i * PAGE] = 1;
		munmap(area, MMAP_PAGES * PAGE);
	}
	return bench_now_ns() - start;
}

/* A dependent chain: no memory, no kernel; what is left is the vCPU and what interrupts it. */
static int64_t run_alu(uint64_t n)
{
	uint64_t start = bench_now_ns(), x = 88172645463325252ull;
	int i;

	while (n--)
		for (i = 0; i < 100000; i++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
		}
	__asm__ volatile("" : : "r"(x));
	return bench_now_ns() - start;
}

/* busybox, because it is the same file, static, in every machine that is compared. */
#define SHELL "/bin/busybox"

static int setup_sh(void)
{
	return access(SHELL, X_OK) ? -errno : 0;
}

static int64_t run_sh(uint64_t n)
{
	char *const argv[] = { "sh", "-c", "exit 0", NULL };
	uint64_t start = bench_now_ns();
	int err, status;
	pid_t pid;

	while (n--) {
		err = posix_spawn(&pid, SHELL, NULL, NULL, argv, environ);
		if (err)
			return -err;
		if (waitpid(pid, &status, 0) != pid || status)
			return -ECHILD;
	}
	return bench_now_ns() - start;
}

static int zero_fd = -1, null_fd = -1;

static int setup_copy(void)
{
	zero_fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	return zero_fd < 0 || null_fd < 0 ? -errno : 0;
}

static int64_t run_copy(uint64_t n)
{
	uint64_t start = bench_now_ns();
	char buf[PAGE];

	while (n--)
		if (read(zero_fd, buf, sizeof(buf)) != sizeof(buf) ||
		    write(null_fd, buf, sizeof(buf)) != sizeof(buf))
			return -EIO;
	return bench_now_ns() - start;
}

static void teardown_copy(void)
{
	close(zero_fd);
	close(null_fd);
}

static const struct figure figures[] = {
	{ .name = "cold_fault", .unit = "us", .scale = 1e-3, .run = run_cold, .once = COLD_PAGES },
	{ .name = "getppid", .unit = "ns", .scale = 1, .run = run_getppid },
	{ .name = "fork_exit_wait", .unit = "us", .scale = 1e-3, .run = run_fork },
	{ "pipe_round_trip", "us", 1e-3, setup_pipe, run_pipe, teardown_pipe, 0 },
	{ "page_fault", "us", 1e-3, setup_fault, run_fault, teardown_fault, 0 },
	{ .name = "mmap_touch64_munmap", .unit = "us", .scale = 1e-3, .run = run_mmap },
	{ "sh_fork_exec", "us", 1e-3, setup_sh, run_sh, NULL, 0 },
	{ "dd_4k", "us", 1e-3, setup_copy, run_copy, teardown_copy, 0 },
	{ .name = "alu_loop", .unit = "us", .scale = 1e-3, .run = run_alu },
};

/*
 * The first, short runs both warm up and find how many repetitions fill a round; the better one of
 * two each time, since one that was interrupted would make all rounds too short to mean anything.
 */
static int64_t measure(const struct figure *f, uint64_t budget_ns, double *rounds, int *count,
		       uint64_t *ops)
{
	uint64_t round_ns = budget_ns / (ROUNDS + 1), n = 1, end;
	int64_t ns, again;

	if (f->once) {
		ns = f->run(f->once);
		rounds[0] = (double)ns * f->scale / f->once;
		*count = 1;
		*ops = f->once;
		return ns < 0 ? ns : 0;
	}
	for (*ops = 0;;) {
		ns = f->run(n);
		again = f->run(n);
		if (ns < 0 || again < 0)
			return ns < 0 ? ns : again;
		*ops += 2 * n;
		ns = again < ns ? again : ns;
		if ((uint64_t)ns >= round_ns / 8)
			break;
		n *= 4;
	}
	n = (double)n * round_ns / ns;
	n = n ? n : 1;
	end = bench_now_ns() + 3 * budget_ns;
	for (*count = 0; *count < ROUNDS && (*count < 3 || bench_now_ns() < end); (*count)++) {
		ns = f->run(n);
		if (ns < 0)
			return ns;
		rounds[*count] = (double)ns * f->scale / n;
		*ops += n;
	}
	return 0;
}

static void run_figure(const struct figure *f, uint64_t budget_ns)
{
	double rounds[ROUNDS];
	int64_t err = f->setup ? f->setup() : 0;
	uint64_t ops;
	int count;

	if (!err) {
		err = measure(f, budget_ns, rounds, &count, &ops);
		if (f->teardown)
			f->teardown();
	}
	if (err)
		bench_skip(f->name, f->unit, strerror(-err));
	else
		bench_report(f->name, rounds, count, f->unit, ops, false);
}

static bool wanted(const char *name, char **names)
{
	if (!*names)
		return true;
	for (; *names; names++)
		if (!strcmp(*names, name))
			return true;
	return false;
}

int main(int argc, char **argv)
{
	bool list = false;
	long ms = 400;
	char *end = "";
	size_t i;
	int opt;

	while ((opt = getopt(argc, argv, "lt:")) != -1) {
		if (opt == 't')
			ms = strtol(optarg, &end, 10);
		else if (opt == 'l')
			list = true;
		if (opt == '?' || *end || ms < 10 || ms > 60000) {
			fprintf(stderr,
				"usage: micro [-l] [-t MS] [NAME...]   (MS: 10 to 60000)\n");
			return 2;
		}
	}
	for (i = 0; list && i < sizeof(figures) / sizeof(figures[0]); i++)
		puts(figures[i].name);
	if (list)
		return 0;
	for (i = 0; i < sizeof(figures) / sizeof(figures[0]); i++)
		if (wanted(figures[i].name, argv + optind))
			run_figure(&figures[i], (uint64_t)ms * 1000000);
	return 0;
}
