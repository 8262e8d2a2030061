// SPDX-License-Identifier: GPL-2.0-only
/*
 * Work for guests with several processors, that can tell when they do not agree:
 *
 *	smp stale SECONDS	one thread changes mappings, others use them: after munmap,
 *				mprotect, a new mapping or a move nobody may see what was there
 *				before
 *	smp fork SECONDS	processes on all processors fork children, which write to pages that
 *				they share with them
 *	smp pong ROUNDS		a byte goes through two pipes between threads on two processors
 *	smp timers ROUNDS	sleeps that end on time, on a processor that changes in between
 *	smp work THREADS	threads that compute, a fixed amount in all; prints the milliseconds
 *
 * Exit status 0 when all was right, 1 with a line that says what was not.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE	4096ul
#define PLACE	((volatile uint64_t *)0x600000000000ul)
#define THREADS 8

static bool stop;
static __thread sigjmp_buf fault;
static __thread volatile bool guarded;

#define load(x)	    __atomic_load_n(&(x), __ATOMIC_SEQ_CST)
#define store(x, y) __atomic_store_n(&(x), y, __ATOMIC_SEQ_CST)

static void fail(const char *what)
{
	printf("smp: %s\n", what);
	fflush(stdout);
	_exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static long processors(void)
{
	return sysconf(_SC_NPROCESSORS_ONLN);
}

static void pin(long cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu % processors(), &set);
	/* It may have gone meanwhile. */
	if (sched_setaffinity(0, sizeof(set), &set) && errno != EINVAL)
		fail("a processor that is there cannot be used");
}

static void on_fault(int sig)
{
	if (!guarded)
		fail(sig == SIGBUS ? "SIGBUS where there was memory"
				   : "SIGSEGV where there was memory");
	guarded = false;
	siglongjmp(fault, 1);
}

static void *map(volatile void *at, size_t len, int fd, off_t off)
{
	int flags = (fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED) | (at ? MAP_FIXED : 0);
	void *p = mmap((void *)at, len, PROT_READ | PROT_WRITE, flags, fd, off);

	if (p == MAP_FAILED)
		fail("mmap failed");
	return p;
}

/* The page that is written is this one of @fd, or, -1, a new one. */
static void place(int fd, off_t off)
{
	void *p = map(PLACE, PAGE, fd, off);

	if (p != PLACE)
		fail("the place is taken");
}

static void spin(unsigned int n)
{
	while (n--)
		__builtin_ia32_pause();
}

/* --- stale translations ---------------------------------------------------------------------- */

/* What the mapping at PLACE has for sure: the users read it before they look at the memory. */
static uint64_t generation;
static bool counting;

/* Writes all the time, where it may; whoever forbids it looks whether it goes on. */
static void *writer(void *arg)
{
	volatile uint64_t *word = PLACE + (long)arg * 8;

	pin(1 + (long)arg);
	while (!load(stop)) {
		if (sigsetjmp(fault, 1)) {
			spin(100);
			continue;
		}
		guarded = true;
		while (load(counting) && !load(stop))
			++*word;
		guarded = false;
		sched_yield();
	}
	return NULL;
}

/* Finds what was mapped last, or something newer. */
static void *reader(void *arg)
{
	uint64_t want, have;

	pin(1 + (long)arg);
	while (!load(stop)) {
		want = load(generation);
		have = *PLACE;
		if (have < want)
			fail("a mapping that had been replaced was still seen");
	}
	return NULL;
}

static void start(pthread_t *t, void *(*fn)(void *), long n)
{
	long i;

	store(stop, false);
	for (i = 0; i < n; i++)
		if (pthread_create(&t[i], NULL, fn, (void *)i))
			fail("no thread");
}

static void join(pthread_t *t, long n)
{
	store(stop, true);
	while (n)
		pthread_join(t[--n], NULL);
}

static void check_quiet(void)
{
	uint64_t before[THREADS], i;

	for (i = 0; i < THREADS; i++)
		before[i] = PLACE[i * 8];
	spin(300);
	for (i = 0; i < THREADS; i++)
		if (PLACE[i * 8] != before[i])
			fail("a page was written after mprotect had forbidden it");
}

/* Pages that the one at PLACE may have become, as soon as it was given back. */
static void check_reuse(void)
{
	uint64_t *p = map(NULL, 16 * PAGE, -1, 0), i;

	for (i = 0; i < 16 * 512; i += 8)
		p[i] = ~i;
	spin(300);
	for (i = 0; i < 16 * 512; i += 8)
		if (p[i] != ~i)
			fail("a page was written by its former owner");
	munmap(p, 16 * PAGE);
}

static void stale_protect(double end, long n)
{
	pthread_t t[THREADS];

	place(-1, 0);
	store(counting, true);
	start(t, writer, n);
	while (now() < end) {
		spin(200);
		mprotect((void *)PLACE, PAGE, PROT_READ);
		check_quiet();
		mprotect((void *)PLACE, PAGE, PROT_READ | PROT_WRITE);
	}
	join(t, n);
}

static void stale_unmap(double end, long n)
{
	pthread_t t[THREADS];

	place(-1, 0);
	start(t, writer, n);
	while (now() < end) {
		spin(200);
		munmap((void *)PLACE, PAGE);
		check_reuse();
		place(-1, 0);
	}
	join(t, n);
}

/* Another page of a file in one step; the tables around it as well, every now and then. */
static void stale_replace(double end, long n)
{
	int fd = memfd_create("smp", 0);
	volatile uint64_t *file;
	pthread_t t[THREADS];
	uint64_t g = 0;

	if (fd < 0 || ftruncate(fd, 64 * PAGE))
		fail("no file");
	file = map(NULL, 64 * PAGE, fd, 0);
	place(fd, 0);
	store(generation, 0);
	start(t, reader, n);
	while (now() < end) {
		g++;
		file[g % 64 * 512] = g;
		if (g % 4) {
			place(fd, g % 64 * PAGE);
		} else {
			void *p = map(NULL, PAGE, fd, g % 64 * PAGE);

			if (mremap(p, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, PLACE) != PLACE)
				fail("mremap failed");
		}
		store(generation, g);
		spin(g % 300);
	}
	join(t, n);
	munmap((void *)file, 64 * PAGE);
	close(fd);
}

/* A region that has tables of its own comes and goes, while others use the one beside it. */
static void stale_tables(double end, long n)
{
	volatile uint64_t *far = PLACE + (1ul << 30) / 8;
	pthread_t t[THREADS];
	unsigned int i;
	void *all;

	place(-1, 0);
	start(t, writer, n);
	while (now() < end) {
		all = map(far, 64 * PAGE, -1, 0);
		for (i = 0; i < 64; i++)
			far[i * 512] = i;
		mprotect(all, 32 * PAGE, PROT_READ);
		for (i = 0; i < 64; i++)
			if (far[i * 512] != i)
				fail("a page of one's own has changed");
		munmap((void *)far, 64 * PAGE);
		check_reuse();
	}
	join(t, n);
}

static int stale(double seconds)
{
	long n = processors() - 1;
	double t = now();

	if (n < 1)
		n = 1;
	if (n > THREADS)
		n = THREADS;
	pin(0);
	stale_protect(t + seconds / 4, n);
	stale_unmap(t + seconds / 2, n);
	stale_tables(t + seconds * 3 / 4, n);
	store(counting, false);
	stale_replace(t + seconds, n);
	return 0;
}

/* --- forks ----------------------------------------------------------------------------------- */

#define SHARED 64

static void fork_one(uint64_t *p, uint64_t tag)
{
	uint64_t i;
	int status;
	pid_t pid = fork();

	if (pid < 0)
		fail("fork failed");
	if (!pid) {
		for (i = 0; i < SHARED; i++) {
			if (p[i * 512] != tag + i)
				_exit(2);
			p[i * 512] = ~tag;
		}
		for (i = 0; i < SHARED; i++)
			if (p[i * 512] != ~tag)
				_exit(3);
		_exit(0);
	}
	/* Copies on both sides at the same time. */
	for (i = 0; i < SHARED; i += 2)
		p[i * 512] = tag + i + 1000;
	if (waitpid(pid, &status, 0) != pid || status)
		fail("a child did not find its parent's memory as it was");
	for (i = 0; i < SHARED; i++)
		if (p[i * 512] != tag + i + (i % 2 ? 0 : 1000))
			fail("a parent's memory has changed");
}

static void *fork_thread(void *arg)
{
	uint64_t *p = map(NULL, SHARED * PAGE, -1, 0), tag = (long)arg << 32, i;

	pin((long)arg);
	while (!load(stop)) {
		tag += 100000;
		for (i = 0; i < SHARED; i++)
			p[i * 512] = tag + i;
		fork_one(p, tag);
	}
	return NULL;
}

/* One process with two threads that fork, and one such process a processor. */
static int forks(double seconds)
{
	long i, n = processors();
	double end = now() + seconds;
	int status, bad = 0;
	pthread_t t[2];

	for (i = 0; i < n; i++) {
		if (fork())
			continue;
		start(t, fork_thread, 2);
		while (now() < end)
			usleep(10000);
		join(t, 2);
		exit(0);
	}
	for (i = 0; i < n; i++)
		bad |= wait(&status) < 0 || status;
	return bad;
}

/* --- the rest -------------------------------------------------------------------------------- */

static int pipes[2][2];

static void *ponger(void *arg)
{
	char c;

	pin((long)arg + 1);
	while (read(pipes[0][0], &c, 1) == 1)
		if (write(pipes[1][1], &c, 1) != 1)
			fail("a pipe broke");
	close(pipes[1][1]);
	return NULL;
}

static int pong(long rounds)
{
	pthread_t t;
	char c = 0, d;
	long i;

	pin(0);
	if (pipe(pipes[0]) || pipe(pipes[1]))
		fail("no pipe");
	start(&t, ponger, 1);
	for (i = 0; i < rounds; i++, c++)
		if (write(pipes[0][1], &c, 1) != 1 || read(pipes[1][0], &d, 1) != 1 || c != d)
			fail("a byte did not come back");
	close(pipes[0][1]);
	if (read(pipes[1][0], &d, 1) != 0)
		fail("more came back than went");
	pthread_join(t, NULL);
	return 0;
}

static int timers(long rounds)
{
	double before, slept;
	long i;

	for (i = 0; i < rounds; i++) {
		pin(i);
		before = now();
		usleep(2000);
		pin(i + 1);
		slept = now() - before;
		if (slept < 0.002)
			fail("time is not the same on all processors");
		if (slept > 20)
			fail("a timer was lost");
	}
	return 0;
}

static uint64_t work_each;

static void *worker(void *arg)
{
	uint64_t x = (long)arg + 1, i;

	for (i = 0; i < work_each; i++)
		x = x * 6364136223846793005ull + 1442695040888963407ull;
	return (void *)(x | 1);
}

static int work(long threads)
{
	double before = now();
	pthread_t t[THREADS];

	if (threads < 1 || threads > THREADS)
		return 1;
	work_each = 400000000 / threads;
	start(t, worker, threads);
	join(t, threads);
	printf("%.0f\n", (now() - before) * 1000);
	return 0;
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_fault };
	long n;

	if (argc != 3)
		fail("usage: smp stale|fork|pong|timers|work N");
	n = atol(argv[2]);
	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
	if (!strcmp(argv[1], "stale"))
		return stale(n);
	if (!strcmp(argv[1], "fork"))
		return forks(n);
	if (!strcmp(argv[1], "pong"))
		return pong(n);
	if (!strcmp(argv[1], "timers"))
		return timers(n);
	if (!strcmp(argv[1], "work"))
		return work(n);
	fail("what?");
}
