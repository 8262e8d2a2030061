// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writes that were acknowledged must be found again:
 *
 *	fsjobs run DIR JOBS WRITES	in the guest: JOBS processes, each with a file of its own in
 *					DIR, make WRITES random 4 KiB writes (0: for ever), an fsync
 *					after each, and then say so: "ack JOB SLOT SEQ"
 *	fsjobs check DIR JOBS <ACKS     afterwards, elsewhere: every slot must hold the last write
 *	that
 *					was acknowledged for it, or a later one
 *
 * A record names its job, slot and number, and carries a sum, so that no other data pass for it.
 * check prints "N acknowledged, N lost" and exits with 1 when something is lost.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pattern.h"

#define JOBS_MAX 64
#define SLOTS	 256

struct record {
	uint64_t job, slot, seq;
	uint8_t data[4096 - 4 * 8];
	uint64_t sum;
};

static void die(const char *what)
{
	fprintf(stderr, "fsjobs: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t record_sum(const struct record *r)
{
	return pattern_sum(1, r, offsetof(struct record, sum));
}

static int job_open(const char *dir, unsigned int job, int flags)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/job%u", dir, job);
	fd = open(path, flags, 0644);
	if (fd < 0)
		die(path);
	return fd;
}

static void job_run(const char *dir, unsigned int job, uint64_t writes)
{
	uint64_t state = job * 2 + 1, seq;
	struct record r = { .job = job };
	char line[64];
	int fd, n;

	fd = job_open(dir, job, O_RDWR | O_CREAT);
	if (ftruncate(fd, SLOTS * sizeof(r)))
		die("ftruncate");
	for (seq = 1; !writes || seq <= writes; seq++) {
		r.slot = pattern_next(&state) % SLOTS;
		r.seq = seq;
		pattern_fill(&state, r.data, sizeof(r.data));
		r.sum = record_sum(&r);
		if (pwrite(fd, &r, sizeof(r), r.slot * sizeof(r)) != sizeof(r))
			die("write");
		if (fsync(fd))
			die("fsync");
		/* One write: lines of several jobs do not mix. */
		n = snprintf(line, sizeof(line), "ack %u %" PRIu64 " %" PRIu64 "\n", job, r.slot,
			     seq);
		if (write(STDOUT_FILENO, line, n) != n)
			die("ack");
	}
	exit(0);
}

static int run(const char *dir, unsigned int jobs, uint64_t writes)
{
	int status, bad = 0;
	unsigned int i;

	for (i = 0; i < jobs; i++)
		if (!fork())
			job_run(dir, i, writes);
	while (wait(&status) > 0)
		bad |= status;
	return bad ? 1 : 0;
}

static int check(const char *dir, unsigned int jobs)
{
	static uint64_t acked[JOBS_MAX][SLOTS];
	unsigned int job, slot, nacks = 0, lost = 0;
	struct record r;
	uint64_t seq;
	char line[256];
	int fd;

	while (fgets(line, sizeof(line), stdin)) {
		/* The last line may have been cut off: it counts only with its end. */
		if (!strchr(line, '\n') ||
		    sscanf(line, "ack %u %u %" SCNu64, &job, &slot, &seq) != 3)
			continue;
		if (job >= jobs || slot >= SLOTS) {
			fprintf(stderr, "fsjobs: strange line: %s", line);
			return 1;
		}
		if (seq > acked[job][slot])
			acked[job][slot] = seq;
		nacks++;
	}
	for (job = 0; job < jobs; job++) {
		fd = job_open(dir, job, O_RDONLY);
		for (slot = 0; slot < SLOTS; slot++) {
			if (!acked[job][slot])
				continue;
			if (pread(fd, &r, sizeof(r), slot * sizeof(r)) == sizeof(r) &&
			    r.job == job && r.slot == slot && r.seq >= acked[job][slot] &&
			    r.sum == record_sum(&r))
				continue;
			printf("lost: job %u slot %u: write %" PRIu64 ", found %" PRIu64 "\n", job,
			       slot, acked[job][slot], r.seq);
			lost++;
		}
		close(fd);
	}
	printf("%u acknowledged, %u lost\n", nacks, lost);
	return lost ? 1 : 0;
}

int main(int argc, char **argv)
{
	unsigned int jobs = argc > 3 ? atoi(argv[3]) : 0;

	if (jobs && jobs <= JOBS_MAX && argc == 5 && !strcmp(argv[1], "run"))
		return run(argv[2], jobs, strtoull(argv[4], NULL, 0));
	if (jobs && jobs <= JOBS_MAX && argc == 4 && !strcmp(argv[1], "check"))
		return check(argv[2], jobs);
	fputs("usage: fsjobs run DIR JOBS WRITES | fsjobs check DIR JOBS\n", stderr);
	return 2;
}
