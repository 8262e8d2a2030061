// SPDX-License-Identifier: GPL-2.0-only
/*
 * A capture's writer: when it waits for an older record, and when it does not; how often it wakes
 * up; what is left, and what is counted, when the disk is full or lodge ends in a hurry.
 */
#include <dirent.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include "lib/last_words.h"
#include "pcaptest.h"

static void record(struct net_pcap *pc, unsigned int pair, uint32_t len, unsigned int seed)
{
	static const struct virtio_net_hdr_v1 hdr;
	struct iovec v = { frame, len };

	make_frame(0x88b5, len, seed);
	net_pcap_record(pc, pair, &hdr, &v, 1, len);
}

/* What a thread is stopped at in the middle of a frame, until it is let go on. */
static uint8_t *stuck_page;
static sem_t stuck_there, stuck_go;
static struct sigaction stuck_old;

static void on_stuck(int sig, siginfo_t *si, void *uc)
{
	if ((uint8_t *)si->si_addr < stuck_page || (uint8_t *)si->si_addr >= stuck_page + 4096)
		abort();
	sem_post(&stuck_there);
	while (sem_wait(&stuck_go))
		;
	mprotect(stuck_page, 4096, PROT_READ);
}

static void *stuck_thread(void *arg)
{
	static const struct virtio_net_hdr_v1 hdr;
	struct iovec v = { stuck_page, 100 };

	net_pcap_record(arg, 1, &hdr, &v, 1, 100);
	return NULL;
}

/* Pair 1 is recording the frame of seed 0, and interrupted in it. */
static void stuck_begin(struct net_pcap *pc, pthread_t *thread)
{
	struct sigaction sa = { .sa_sigaction = on_stuck, .sa_flags = SA_SIGINFO };

	sigaction(SIGSEGV, NULL, &stuck_old);
	sem_init(&stuck_there, 0, 0);
	sem_init(&stuck_go, 0, 0);
	stuck_page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ksft_check(stuck_page != MAP_FAILED);
	make_frame(0x88b5, 100, 0);
	memcpy(stuck_page, frame, 100);
	mprotect(stuck_page, 4096, PROT_NONE);
	sigaction(SIGSEGV, &sa, NULL);
	ksft_eq(pthread_create(thread, NULL, stuck_thread, pc), 0);
	while (sem_wait(&stuck_there))
		;
}

static void stuck_end(pthread_t thread)
{
	sem_post(&stuck_go);
	pthread_join(thread, NULL);
	sigaction(SIGSEGV, &stuck_old, NULL);
	munmap(stuck_page, 4096);
}

static off_t file_size(void)
{
	struct stat st;

	ksft_eq(stat(file, &st), 0);
	return st.st_size;
}

static void wait_size(off_t size)
{
	unsigned int ms;

	for (ms = 0; ms < NIC_WAIT && file_size() < size; ms++)
		usleep(1000);
	ksft_check(file_size() >= size);
}

/* However long a thread is interrupted between its frame's stamp and the ring. */
static void waits_for_the_older(void)
{
	const struct net_cfg cfg = { .pcap = file, .pcap_buffer = 256 * KIB };
	struct err err = { 0 };
	struct net_pcap *pc;
	pthread_t thread;
	unsigned int i;
	pcap_t *p;

	setup();
	ksft_eq(net_pcap_open(&cfg, 2, &pc, &err), 0);
	ksft_eq(net_pcap_start(pc), 0);
	wait_size(24);
	stuck_begin(pc, &thread);
	for (i = 1; i < 50; i++) {
		record(pc, 0, 100, i);
		usleep(10000);
	}
	ksft_eq(file_size(), 24);
	stuck_end(thread);
	net_pcap_close(pc);
	p = open_file();
	for (i = 0; i < 50; i++) {
		make_frame(0x88b5, 100, i);
		expect_record(p, frame, 100);
	}
	expect_end(p);
	cleanup();
}

#define PAIRS 4

struct pair {
	pthread_t thread;
	struct net_pcap *pc;
	unsigned int index;
};

static void *pair_thread(void *arg)
{
	static const struct virtio_net_hdr_v1 hdr;
	struct pair *p = arg;
	uint8_t buf[1000] = { 0 };
	struct iovec v = { buf, sizeof(buf) };
	unsigned int i;

	/* Less than what makes a ring one that fills up. */
	for (i = 0; i < 1500; i++) {
		net_pcap_record(p->pc, p->index, &hdr, &v, 1, sizeof(buf));
		if (i % 100 == p->index)
			usleep(1000);
	}
	return NULL;
}

/* Pairs that record as fast as they can, a writer that looks all the time: never out of order. */
static void in_order(void)
{
	const struct net_cfg cfg = { .pcap = file };
	struct timespec last = { 0 };
	struct err err = { 0 };
	struct pair p[PAIRS];
	struct pcap_pkthdr *h;
	const u_char *data;
	unsigned int i, n = 0;
	pcap_t *f;

	setup();
	ksft_eq(net_pcap_open(&cfg, PAIRS, &p[0].pc, &err), 0);
	ksft_eq(net_pcap_start(p[0].pc), 0);
	for (i = 0; i < PAIRS; i++) {
		p[i].pc = p[0].pc;
		p[i].index = i;
		ksft_eq(pthread_create(&p[i].thread, NULL, pair_thread, &p[i]), 0);
	}
	while (stat_of(p[0].pc, "pcap_captured") < PAIRS * 1500)
		ksft_eq(stat_of(p[0].pc, "pcap_dropped"), 0);
	for (i = 0; i < PAIRS; i++)
		pthread_join(p[i].thread, NULL);
	net_pcap_close(p[0].pc);
	f = open_file();
	for (; pcap_next_ex(f, &h, &data) == 1; n++) {
		ksft_check(h->ts.tv_sec > last.tv_sec ||
			   (h->ts.tv_sec == last.tv_sec && h->ts.tv_usec >= last.tv_nsec));
		last = (struct timespec){ h->ts.tv_sec, h->ts.tv_usec };
	}
	ksft_eq(n, PAIRS * 1500);
	pcap_close(f);
	cleanup();
}

/* ... but not when that would cost frames. */
static void waits_for_no_drops(void)
{
	const struct net_cfg cfg = { .pcap = file, .pcap_buffer = 256 * KIB };
	struct err err = { 0 };
	struct net_pcap *pc;
	pthread_t thread;
	unsigned int i;

	setup();
	ksft_eq(net_pcap_open(&cfg, 2, &pc, &err), 0);
	ksft_eq(net_pcap_start(pc), 0);
	stuck_begin(pc, &thread);
	for (i = 1; i <= 200; i++) {
		record(pc, 0, 6000, i);
		/* A quarter of the ring may wait, and 20 of these are nearly half of it. */
		if (i % 20 == 0)
			wait_size(24 + i * 6016 - 65536);
	}
	ksft_eq(stat_of(pc, "pcap_dropped"), 0);
	ksft_eq(stat_of(pc, "pcap_captured"), 200);
	stuck_end(thread);
	ksft_eq(stat_of(pc, "pcap_captured"), 201);
	net_pcap_close(pc);
	cleanup();
}

/* How often the thread of this name went to sleep. */
static uint64_t sleeps_of(const char *name)
{
	char path[300], line[64];
	uint64_t n = 0, v;
	struct dirent *d;
	bool it;
	FILE *f;
	DIR *dp;

	dp = opendir("/proc/self/task");
	ksft_check(dp != NULL);
	while ((d = readdir(dp))) {
		snprintf(path, sizeof(path), "/proc/self/task/%s/status", d->d_name);
		f = fopen(path, "r");
		for (it = false; f && fgets(line, sizeof(line), f);) {
			if (!strncmp(line, "Name:", 5))
				it = !strncmp(line + 6, name, strlen(name));
			if (it && sscanf(line, "voluntary_ctxt_switches: %" SCNu64, &v) == 1)
				n += v;
		}
		if (f)
			fclose(f);
	}
	closedir(dp);
	return n;
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ull + t.tv_nsec / 1000000;
}

/* The writer wakes up for a quarter of a ring, or five times a second; not for each frame. */
static void few_wakeups(void)
{
	const struct net_cfg cfg = { .pcap = file, .pcap_buffer = 256 * KIB };
	struct err err = { 0 };
	struct net_pcap *pc;
	uint64_t n, ms;
	unsigned int i;

	setup();
	ksft_eq(net_pcap_open(&cfg, 1, &pc, &err), 0);
	ksft_eq(net_pcap_start(pc), 0);
	record(pc, 0, 1000, 0);
	ksft_eq(stat_of(pc, "pcap_captured"), 1);
	while (!sleeps_of("pcap"))
		usleep(1000);
	n = sleeps_of("pcap");
	ms = now_ms();
	for (i = 1; i < 1000; i++) {
		record(pc, 0, 1000, i);
		usleep(200);
	}
	ms = now_ms() - ms;
	n = sleeps_of("pcap") - n;
	/* 1 MB is 16 quarters. Each round has two sleeps, and the file may have one. */
	if (n > 3 * (16 + ms / 200) + 30)
		ksft_fail("%" PRIu64 " sleeps in %" PRIu64 " ms", n, ms);
	ksft_eq(stat_of(pc, "pcap_dropped"), 0);
	net_pcap_close(pc);
	cleanup();
}

static void limit_files(rlim_t len)
{
	struct rlimit lim;

	signal(SIGXFSZ, SIG_IGN);
	ksft_eq(getrlimit(RLIMIT_FSIZE, &lim), 0);
	lim.rlim_cur = len;
	ksft_eq(setrlimit(RLIMIT_FSIZE, &lim), 0);
}

/* No room for a file's header: the ones before stay, and there is none that is no capture. */
static void disk_full_at_a_rotation(void)
{
	char base[64];
	const struct net_cfg cfg = { .pcap = base, .pcap_size = 128 * KIB, .pcap_files = 3 };
	unsigned int i, first, n;
	struct err err = { 0 };
	struct net_pcap *pc;
	pcap_t *p;

	/* In the first turn the second file is new; in the second one the first is an old one. */
	for (first = 2; first <= 6; first += 4) {
		setup();
		snprintf(base, sizeof(base), "%s/a.pcap", dir);
		ksft_eq(net_pcap_open(&cfg, 1, &pc, &err), 0);
		ksft_eq(net_pcap_start(pc), 0);
		for (i = 0; i < first; i++)
			record(pc, 0, 60000, i);
		ksft_eq(stat_of(pc, "pcap_captured"), first);
		limit_files(10);
		record(pc, 0, 60000, first);
		record(pc, 0, 60000, first + 1);
		ksft_eq(stat_of(pc, "pcap_lost"), 2);
		limit_files(RLIM_INFINITY);
		ksft_eq(stat_of(pc, "pcap_captured"), first);
		ksft_eq(stat_of(pc, "pcap_files"), first / 2);
		record(pc, 0, 60000, 0);
		ksft_eq(stat_of(pc, "pcap_lost"), 3);
		ksft_eq(stat_of(pc, "pcap_frames"), first + 3);
		net_pcap_close(pc);
		for (i = 0, n = 0; i < 3; i++) {
			snprintf(file, sizeof(file), "%s%u", base, i);
			if (access(file, F_OK))
				continue;
			p = open_file();
			make_frame(0x88b5, 60000, 2 * i);
			expect_record(p, frame, 60000);
			make_frame(0x88b5, 60000, 2 * i + 1);
			expect_record(p, frame, 60000);
			expect_end(p);
			n |= 1 << i;
			unlink(file);
		}
		ksft_eq(n, first == 2 ? 1 : 6);
		ksft_eq(rmdir(dir), 0);
	}
}

/* Records that were buffered when the disk was full are neither captured nor cut. */
static void disk_full_of_cut_records(void)
{
	const struct net_cfg cfg = { .pcap = file, .pcap_snap = 100 };
	struct err err = { 0 };
	struct net_pcap *pc;
	unsigned int i;

	setup();
	ksft_eq(net_pcap_open(&cfg, 1, &pc, &err), 0);
	ksft_eq(net_pcap_start(pc), 0);
	for (i = 0; i < 10; i++)
		record(pc, 0, 1000, i);
	ksft_eq(stat_of(pc, "pcap_cut"), 10);
	limit_files(24 + 15 * 116 + 5);
	for (i = 0; i < 10; i++)
		record(pc, 0, 1000, i);
	ksft_eq(stat_of(pc, "pcap_lost") + stat_of(pc, "pcap_captured"), 20);
	limit_files(RLIM_INFINITY);
	ksft_check(stat_of(pc, "pcap_captured") < 20);
	ksft_eq(stat_of(pc, "pcap_cut"), stat_of(pc, "pcap_captured"));
	ksft_eq(file_size(), 24 + stat_of(pc, "pcap_captured") * 116);
	net_pcap_close(pc);
	cleanup();
}

/* When lodge ends in a hurry, what was recorded is in the file, and the counters are told. */
static void last_words(void)
{
	const struct net_cfg cfg = { .pcap = file };
	struct err err = { 0 };
	struct net_pcap *pc;
	char said[1024], want[256];
	unsigned int i;
	int fd, old;
	ssize_t n;
	pcap_t *p;

	setup();
	ksft_eq(net_pcap_open(&cfg, 2, &pc, &err), 0);
	last_words_say(); /* of a capture that has not begun: nothing */
	ksft_eq(net_pcap_start(pc), 0);
	for (i = 0; i < 30; i++)
		record(pc, i & 1, 100, i);
	fd = memfd_create("stderr", 0);
	old = dup(STDERR_FILENO);
	dup2(fd, STDERR_FILENO);
	last_words_say();
	/* One too late. */
	record(pc, 0, 100, 30);
	last_words_say();
	dup2(old, STDERR_FILENO);
	close(old);
	n = pread(fd, said, sizeof(said) - 1, 0);
	ksft_check(n > 0);
	said[n] = '\0';
	close(fd);
	snprintf(want, sizeof(want),
		 "%s: 30 frames: 30 captured (0 cut), 0 filtered, 0 dropped, "
		 "0 lost\n",
		 file);
	ksft_check(strstr(said, want) != NULL);
	ksft_check(strstr(said, "31 frames: 30 captured") != NULL);
	ksft_check(strstr(said, " 0 lost, 1 not written, as lodge did not wait for the disk\n"));
	p = open_file();
	for (i = 0; i < 30; i++) {
		make_frame(0x88b5, 100, i);
		expect_record(p, frame, 100);
	}
	expect_end(p);
	net_pcap_close(pc);
	last_words_say(); /* nobody is left */
	cleanup();
}

int main(int argc, char **argv)
{
	ksft_case("an older record of another pair is waited for", waits_for_the_older);
	ksft_case("several pairs at once, in order", in_order);
	ksft_case("but costs no frames", waits_for_no_drops);
	ksft_case("few wake-ups", few_wakeups);
	ksft_case("disk full at a rotation", disk_full_at_a_rotation);
	ksft_case("disk full of cut records", disk_full_of_cut_records);
	ksft_case("last words", last_words);
	return ksft_run(argc, argv);
}
