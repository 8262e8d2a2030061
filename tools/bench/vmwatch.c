// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs a VMM under a stop-watch: starts it, puts a time to each line that its guest's console
 * prints, and takes readings of the VMM from the host when the guest asks for them. Knows nothing
 * of any particular VMM. tools/bench/inlab runs it; in the guest, tools/bench/guest prints the
 * lines that it understands:
 *
 *	@@ mark NAME	print "NAME SECONDS s", counted from the start of the VMM
 *	@@ begin NAME	read the counters and the VMM's processor time (counters.h); with -i print
 *			"begun NAME" after that ...
 *	@@ end NAME	... and write how much they have grown to the counters file
 *	@@ rss NAME	print the VMM's resident memory without the guest's: NAME, with the files
 *			that it maps; NAME_private, what no other process shares; NAME_guest
 *	@= TEXT		print TEXT: a figure that the guest measured
 *
 * usage: vmwatch -T SECONDS -m MIB -l LOG -c COUNTERS [-i] [-s SOCKET] [-S PORT] --
 *	COMMAND...
 *	MIB: memory of the guest; LOG: every line, with its time; -i: the command reads our standard
 *	input, else it is empty; SOCKET: the VMM's monitor, PORT: of tools/bench/steal, both asked
 *	for counters
 *
 * Exit status: the command's; 124 when the time was up. One thread; the command does not outlive
 * it.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "counters.h"
#include "report.h"

#define LINE_SIZE 4096
#define GRACE_MS  3000

struct watch {
	struct counters_source source; /* .pid: the VMM */
	bool has_input;
	uint64_t start; /* ns */
	unsigned long guest_kib;
	FILE *log, *counters;
	char section[40];
	struct counters before, after;
	char line[LINE_SIZE];
	size_t fill;
};

/*
 * The guest's memory is the one mapping, or the neighbouring ones of one file, that are as large as
 * it; a VMM that maps it in several pieces needs them to carry the same name.
 */
static void report_rss(struct watch *w, const char *name)
{
	unsigned long kib, lo, hi, rss = 0, own = 0, guest_rss = 0;
	char path[40], line[512], map[256] = "";
	bool guest = false, found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/smaps", w->source.pid);
	f = fopen(path, "re");
	if (!f) {
		bench_skip(name, "MiB", strerror(errno));
		return;
	}
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &lo, &hi) == 2) {
			map[0] = '\0';
			sscanf(line, "%*s %*s %*s %*s %*s %255[^\n]", map);
			guest = strstr(map, "memfd:guest-ram") || (hi - lo) >> 10 == w->guest_kib;
			found |= guest;
		} else if (sscanf(line, "Rss: %lu", &kib) == 1) {
			*(guest ? &guest_rss : &rss) += kib;
		} else if (!guest && (sscanf(line, "Private_Dirty: %lu", &kib) == 1 ||
				      sscanf(line, "Private_Clean: %lu", &kib) == 1)) {
			own += kib;
		}
	}
	fclose(f);
	if (!found) {
		bench_skip(name, "MiB", "no mapping looks like the guest's memory");
		return;
	}
	printf("%s %.2f MiB 0%%\n%s_private %.2f MiB 0%%\n%s_guest %.2f MiB 0%%\n", name,
	       rss / 1024.0, name, own / 1024.0, name, guest_rss / 1024.0);
	fflush(stdout);
}

static double seconds(const struct watch *w)
{
	return (bench_now_ns() - w->start) * 1e-9;
}

static void handle_line(struct watch *w, const char *line)
{
	double now = seconds(w);
	char name[40];

	fprintf(w->log, "%9.3f %s\n", now, line);
	if (sscanf(line, "@@ mark %39s", name) == 1) {
		printf("%s %.3f s 0%%\n", name, now);
	} else if (sscanf(line, "@@ begin %39s", name) == 1) {
		snprintf(w->section, sizeof(w->section), "%s", name);
		counters_read(&w->before, &w->source, false);
		if (w->has_input)
			printf("begun %s\n", name);
	} else if (sscanf(line, "@@ end %39s", name) == 1) {
		if (!strcmp(name, w->section)) {
			counters_read(&w->after, &w->source, true);
			counters_write_growth(w->counters, name, &w->before, &w->after);
		}
	} else if (sscanf(line, "@@ rss %39s", name) == 1) {
		report_rss(w, name);
	} else if (!strncmp(line, "@= ", 3)) {
		printf("%s\n", line + 3);
	}
	fflush(stdout);
	fflush(w->log);
}

/* Return: false at the end of the output. */
static bool read_output(struct watch *w, int fd)
{
	char buf[4096];
	ssize_t n, i;

	n = read(fd, buf, sizeof(buf));
	if (n <= 0)
		return n < 0 && errno == EINTR;
	for (i = 0; i < n; i++) {
		if (buf[i] == '\r')
			continue;
		if (buf[i] != '\n' && w->fill < sizeof(w->line) - 1) {
			w->line[w->fill++] = buf[i];
			continue;
		}
		w->line[w->fill] = '\0';
		w->fill = 0;
		handle_line(w, w->line);
	}
	return true;
}

static int start_command(struct watch *w, char **argv)
{
	int out[2], null;

	if (pipe(out))
		return -errno;
	w->start = bench_now_ns();
	w->source.pid = fork();
	if (w->source.pid < 0)
		return -errno;
	if (!w->source.pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		null = w->has_input ? -1 : open("/dev/null", O_RDONLY);
		if (null >= 0)
			dup2(null, STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		dup2(out[1], STDERR_FILENO);
		close(out[0]);
		close(out[1]);
		execvp(argv[0], argv);
		fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
		_exit(127);
	}
	close(out[1]);
	return out[0];
}

/* Return: wait status, or -1 when it had to be killed. */
static int wait_command(pid_t pid, int ms)
{
	int status;

	for (; ms > 0; ms -= 20) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return status;
		usleep(20000);
	}
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return -1;
}

static int watch_command(struct watch *w, char **argv, unsigned int timeout_s)
{
	uint64_t deadline;
	struct pollfd pfd;
	bool late = false;
	int status;

	pfd.fd = start_command(w, argv);
	if (pfd.fd < 0) {
		fprintf(stderr, "vmwatch: %s: %s\n", argv[0], strerror(-pfd.fd));
		return 126;
	}
	pfd.events = POLLIN;
	deadline = w->start + timeout_s * 1000000000ull;
	while (!late) {
		if (poll(&pfd, 1, 200) > 0 && !read_output(w, pfd.fd))
			break;
		late = bench_now_ns() > deadline;
	}
	if (late) {
		fprintf(stderr, "vmwatch: %s: no end after %u s\n", argv[0], timeout_s);
		kill(w->source.pid, SIGTERM);
	}
	status = wait_command(w->source.pid, GRACE_MS);
	if (w->fill) {
		w->line[w->fill] = '\0';
		handle_line(w, w->line);
	}
	fprintf(w->log, "%9.3f (status %d)\n", seconds(w), status);
	if (late || status < 0)
		return 124;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int main(int argc, char **argv)
{
	const char *log = NULL, *counters = NULL;
	static struct watch w = { .source.sock = -1 };
	unsigned int timeout = 0;
	int opt, status;

	while ((opt = getopt(argc, argv, "+T:m:l:c:is:S:")) != -1) {
		if (opt == 'T')
			timeout = atoi(optarg);
		else if (opt == 'm')
			w.guest_kib = strtoul(optarg, NULL, 10) << 10;
		else if (opt == 'l')
			log = optarg;
		else if (opt == 'c')
			counters = optarg;
		else if (opt == 'i')
			w.has_input = true;
		else if (opt == 's')
			w.source.monitor = optarg;
		else if (opt == 'S')
			w.source.steal = optarg;
		else
			timeout = 0;
	}
	if (!timeout || !w.guest_kib || !log || !counters || optind == argc) {
		fprintf(stderr, "usage: vmwatch -T SECONDS -m MIB -l LOG -c COUNTERS [-i] "
				"[-s SOCKET] [-S PORT] -- COMMAND...\n");
		return 2;
	}
	w.log = fopen(log, "we");
	w.counters = fopen(counters, "we");
	if (!w.log || !w.counters) {
		fprintf(stderr, "vmwatch: %s or %s: %s\n", log, counters, strerror(errno));
		return 126;
	}
	status = watch_command(&w, argv + optind, timeout);
	fclose(w.log);
	fclose(w.counters);
	return status;
}
