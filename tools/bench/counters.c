// SPDX-License-Identifier: GPL-2.0-only
/*
 * Readings of a running VMM; counters.h says which. Names:
 *
 *	wall_us, wall_ms		the clock
 *	stolen_us			of it, when the machine below ran something else
 *	cpu_user_ms, cpu_system_ms	of the VMM with its vCPUs, vhost's thread, and children that
 *					were waited for
 *	busy_ms				of the whole host: whatever was not idle
 *	exits, ...			KVM's, of this VMM's guest alone
 *	vcpu0.exits, net0.q0.kicks, ...	from the monitor: the line's name and the key
 *
 * Called by vmwatch.c only. One thread.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "counters.h"
#include "report.h"

#define KVM_STATS	"/sys/kernel/debug/kvm"
#define MONITOR_SIZE	16384
#define MONITOR_WAIT_MS 5000

/* Return: length of what was read into @text, which is ended with a NUL, or -1. */
static ssize_t read_text(int dirfd, const char *name, char *text, size_t size)
{
	ssize_t n;
	int fd;

	fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	n = read(fd, text, size - 1);
	close(fd);
	text[n < 0 ? 0 : n] = '\0';
	return n;
}

static void add(struct counters *c, const char *room, const char *name, long long value)
{
	if (c->count == COUNTERS_MAX)
		return;
	snprintf(c->name[c->count], COUNTERS_NAME, "%.12s%s%.24s", room, *room ? "." : "", name);
	c->value[c->count++] = value;
}

static long long ticks_to_ms(unsigned long long ticks)
{
	return ticks * 1000 / sysconf(_SC_CLK_TCK);
}

/* Adds user and system time of process @pid to @user and @system, in ticks. proc(5). */
static void add_times(pid_t pid, unsigned long long *user, unsigned long long *system)
{
	unsigned long long t[4];
	char path[40], text[1024], *p;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (read_text(AT_FDCWD, path, text, sizeof(text)) <= 0)
		return;
	/* The name may hold blanks: fields are counted from its closing bracket. */
	p = strrchr(text, ')');
	if (!p || sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %llu %llu",
			 &t[0], &t[1], &t[2], &t[3]) != 4)
		return;
	*user += t[0] + t[2];
	*system += t[1] + t[3];
}

/* vhost names its thread for the process that owns the device. */
static pid_t find_vhost(pid_t pid)
{
	char want[32], path[300], comm[32];
	struct dirent *e;
	pid_t found = -1;
	DIR *dir;

	dir = opendir("/proc");
	if (!dir)
		return -1;
	snprintf(want, sizeof(want), "vhost-%d\n", pid);
	while (found < 0 && (e = readdir(dir))) {
		if (*e->d_name < '1' || *e->d_name > '9')
			continue;
		snprintf(path, sizeof(path), "/proc/%s/comm", e->d_name);
		if (read_text(AT_FDCWD, path, comm, sizeof(comm)) > 0 && !strcmp(comm, want))
			found = atoi(e->d_name);
	}
	closedir(dir);
	return found;
}

static void read_cpu(struct counters *c, struct counters_source *s)
{
	unsigned long long user = 0, system = 0, t[8];
	char text[256];

	if (!s->vhost)
		s->vhost = find_vhost(s->pid);
	add_times(s->pid, &user, &system);
	if (s->vhost > 0)
		add_times(s->vhost, &user, &system);
	add(c, "", "cpu_user_ms", ticks_to_ms(user));
	add(c, "", "cpu_system_ms", ticks_to_ms(system));
	/* user nice system idle iowait irq softirq steal; the first holds the guests' time. */
	if (read_text(AT_FDCWD, "/proc/stat", text, sizeof(text)) > 0 &&
	    sscanf(text, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &t[0], &t[1], &t[2], &t[3],
		   &t[4], &t[5], &t[6], &t[7]) == 8)
		add(c, "", "busy_ms", ticks_to_ms(t[0] + t[1] + t[2] + t[5] + t[6] + t[7]));
}

/* KVM has a folder for each VM, PID-FD. */
static void read_kvm(struct counters *c, pid_t pid)
{
	char prefix[16], text[32];
	struct dirent *e;
	int fd = -1;
	DIR *dir;

	dir = opendir(KVM_STATS);
	if (!dir)
		return;
	snprintf(prefix, sizeof(prefix), "%d-", pid);
	while (fd < 0 && (e = readdir(dir)))
		if (!strncmp(e->d_name, prefix, strlen(prefix)))
			fd = openat(dirfd(dir), e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	closedir(dir);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return;
	while ((e = readdir(dir)))
		if (e->d_type == DT_REG && !strstr(e->d_name, "_hist") &&
		    read_text(dirfd(dir), e->d_name, text, sizeof(text)) > 0)
			add(c, "", e->d_name, atoll(text));
	closedir(dir);
}

static bool monitor_open(struct counters_source *s)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	if (s->sock >= 0)
		return true;
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", s->monitor);
	s->sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s->sock < 0)
		return false;
	if (!connect(s->sock, (struct sockaddr *)&addr, sizeof(addr)))
		return true;
	close(s->sock);
	s->sock = -1;
	return false;
}

/* "vcpu0 exits=1 lights=2", "net0: resets=1": a colon after the name means nothing. */
static void add_line(struct counters *c, char *line)
{
	char *save, *room, *word, *value;

	room = strtok_r(line, " ", &save);
	if (!room)
		return;
	room[strcspn(room, ":")] = '\0';
	while ((word = strtok_r(NULL, " ", &save))) {
		value = strchr(word, '=');
		if (!value)
			continue;
		*value++ = '\0';
		add(c, room, word, atoll(value));
	}
}

static void read_monitor(struct counters *c, struct counters_source *s)
{
	static char text[MONITOR_SIZE];
	struct pollfd pfd = { .events = POLLIN };
	char *line, *save;
	size_t fill = 0;
	ssize_t n;

	if (!s->monitor || !monitor_open(s) || write(s->sock, "stats\n", 6) != 6)
		return;
	pfd.fd = s->sock;
	do {
		if (poll(&pfd, 1, MONITOR_WAIT_MS) <= 0)
			return;
		n = read(s->sock, text + fill, sizeof(text) - 1 - fill);
		if (n <= 0)
			return;
		fill += n;
		text[fill] = '\0';
	} while (fill < 3 || strcmp(text + fill - 3, "ok\n"));
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		add_line(c, line);
}

/* A port has room for one at a time: it is opened for each question. */
static void read_steal(struct counters *c, const struct counters_source *s)
{
	char text[32];
	size_t fill = 0;
	ssize_t n = 1;
	int fd;

	if (!s->steal)
		return;
	fd = open(s->steal, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return;
	if (write(fd, "?", 1) != 1)
		n = 0;
	while (n > 0 && fill < sizeof(text) - 1 && (!fill || text[fill - 1] != '\n')) {
		n = read(fd, text + fill, sizeof(text) - 1 - fill);
		if (n > 0)
			fill += n;
	}
	close(fd);
	text[fill] = '\0';
	if (n > 0)
		add(c, "", "stolen_us", atoll(text) / 1000);
}

static void read_time(struct counters *c)
{
	uint64_t us = bench_now_ns() / 1000;

	add(c, "", "wall_us", us);
	add(c, "", "wall_ms", us / 1000);
}

/* What takes time itself lies outside of the two readings of the clock. */
void counters_read(struct counters *c, struct counters_source *s, bool after)
{
	c->count = 0;
	if (after) {
		read_time(c);
		read_steal(c, s);
	}
	read_cpu(c, s);
	read_kvm(c, s->pid);
	read_monitor(c, s);
	if (!after) {
		read_steal(c, s);
		read_time(c);
	}
}

void counters_write_growth(FILE *f, const char *section, const struct counters *before,
			   const struct counters *after)
{
	long long grown;
	int i, j;

	for (i = 0; i < after->count; i++) {
		/* The order is the same but for what has come or gone. */
		for (j = 0; j < before->count && strcmp(before->name[j], after->name[i]); j++)
			;
		if (j >= before->count)
			continue;
		grown = after->value[i] - before->value[j];
		if (grown)
			fprintf(f, "%s %s %lld\n", section, after->name[i], grown);
	}
	fflush(f);
}
