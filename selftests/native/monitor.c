// SPDX-License-Identifier: GPL-2.0-only
/*
 * host/monitor.c: its protocol with good and bad clients, and the socket's path.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "host/monitor.h"
#include "kselftest.h"

static char dir[64], path[96], addr[112];
static struct loop *loop;
static struct monitor *mon;
static atomic_int calls;

static int cmd_status(void *arg, FILE *out, struct err *err)
{
	(void)err;
	fprintf(out, "running %s\n", (const char *)arg);
	calls++;
	return 0;
}

static int cmd_fail(void *arg, FILE *out, struct err *err)
{
	(void)arg;
	fputs("half\n", out);
	return err_set(err, -EBUSY, "the guest is busy; try later");
}

static int cmd_mute(void *arg, FILE *out, struct err *err)
{
	(void)arg;
	(void)out;
	(void)err;
	return -EIO;
}

#define BIG_LINES 40000

static int cmd_big(void *arg, FILE *out, struct err *err)
{
	unsigned int i;

	(void)arg;
	(void)err;
	for (i = 0; i < BIG_LINES; i++)
		fprintf(out, "line %u of a long answer\n", i);
	calls++;
	return 0;
}

static const struct monitor_cmd cmds[] = {
	{ "status", "what the guest does", cmd_status },
	{ "fail", "fails", cmd_fail },
	{ "mute", "fails without a reason", cmd_mute },
	{ "big", "says much", cmd_big },
	{ NULL, NULL, NULL },
};

static void names(void)
{
	snprintf(dir, sizeof(dir), "/tmp/lodge-monitor-XXXXXX");
	ksft_check(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/sock", dir);
	snprintf(addr, sizeof(addr), "unix:%s", path);
	calls = 0;
}

static void up(void)
{
	struct err err = { 0 };

	names();
	ksft_eq(loop_create(&loop), 0);
	ksft_eq(monitor_create(loop, addr, cmds, "guest", &mon, &err), 0);
	ksft_eq(loop_start(loop, "monitor"), 0);
}

static void down(void)
{
	monitor_destroy(mon);
	loop_stop(loop);
	loop_destroy(loop);
	ksft_eq(access(path, F_OK), -1);
	ksft_eq(rmdir(dir), 0); /* nothing is left behind */
}

static int dial(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);
	ksft_eq(connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	return fd;
}

static void say(int fd, const char *text)
{
	ksft_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Read exactly this. */
static void hear(int fd, const char *want)
{
	size_t n = 0, len = strlen(want);
	char buf[512];
	ssize_t ret;

	while (n < len) {
		ret = read(fd, buf + n, len - n);
		ksft_check(ret > 0);
		n += ret;
	}
	ksft_memeq(buf, want, len);
}

static void commands(void)
{
	int fd;

	up();
	fd = dial();
	say(fd, "status\n");
	hear(fd, "running guest\nok\n");
	say(fd, "fail\n");
	hear(fd, "half\nerror: the guest is busy; try later\n");
	say(fd, "mute\n");
	hear(fd, "error: Input/output error\n");
	say(fd, "help\n");
	hear(fd, "help         this list\nstatus       what the guest does\n");
	hear(fd, "fail         fails\nmute         fails without a reason\n");
	hear(fd, "big          says much\nok\n");
	close(fd);
	down();
}

static void lines(void)
{
	char text[3 * MONITOR_LINE_MAX];
	int fd, i;

	up();
	fd = dial();
	/* A line in pieces, several lines at once, CR LF, spaces at the end, empty lines. */
	for (i = 0; i < 6; i++) {
		ksft_eq(write(fd, &"status"[i], 1), 1);
		usleep(1000);
	}
	say(fd, "\nstatus\nstatus\r\n\n\r\n  \nstatus  \n");
	for (i = 0; i < 4; i++)
		hear(fd, "running guest\nok\n");
	/* Bad ones; the connection goes on after each. */
	say(fd, "Status\nstatusx\nstat\nstatus now\n");
	for (i = 0; i < 4; i++)
		hear(fd, "error: unknown command; try 'help'\n");
	ksft_eq(write(fd, "status\0\n", 8), 8);
	hear(fd, "error: unknown command; try 'help'\n");
	ksft_eq(write(fd, "\0\xff\x80\n", 4), 4);
	hear(fd, "error: unknown command; try 'help'\n");
	/* As long as it may be, then longer. */
	memset(text, 'a', sizeof(text));
	ksft_eq(write(fd, text, MONITOR_LINE_MAX), MONITOR_LINE_MAX);
	say(fd, "\n");
	hear(fd, "error: unknown command; try 'help'\n");
	ksft_eq(write(fd, text, MONITOR_LINE_MAX + 1), MONITOR_LINE_MAX + 1);
	say(fd, "\n");
	hear(fd, "error: the line is longer than 256 bytes\n");
	ksft_eq(write(fd, text, sizeof(text)), sizeof(text));
	say(fd, "\nstatus\n");
	hear(fd, "error: the line is longer than 256 bytes\nrunning guest\nok\n");
	close(fd);
	down();
}

static void half_closed(void)
{
	char c;
	int fd;

	up();
	/* As `echo status | nc` does it. */
	fd = dial();
	say(fd, "status\nstatus\nno newline");
	shutdown(fd, SHUT_WR);
	hear(fd, "running guest\nok\nrunning guest\nok\n");
	ksft_eq(read(fd, &c, 1), 0);
	close(fd);
	down();
}

static void many_clients(void)
{
	int fd[MONITOR_CLIENTS_MAX], extra, i;
	char c;

	up();
	for (i = 0; i < MONITOR_CLIENTS_MAX; i++) {
		fd[i] = dial();
		say(fd[i], "status\n");
		hear(fd[i], "running guest\nok\n");
	}
	extra = dial();
	hear(extra, "error: too many clients\n");
	ksft_eq(read(extra, &c, 1), 0);
	close(extra);
	for (i = 0; i < MONITOR_CLIENTS_MAX; i++) {
		say(fd[i], "status\n");
		hear(fd[i], "running guest\nok\n");
	}
	/* A place that somebody leaves is free again. */
	close(fd[3]);
	for (;;) {
		fd[3] = dial();
		say(fd[3], "status\n");
		ksft_eq(read(fd[3], &c, 1), 1);
		if (c == 'r')
			break;
		close(fd[3]);
		usleep(1000);
	}
	for (i = 0; i < MONITOR_CLIENTS_MAX; i++)
		close(fd[i]);
	down();
}

/* A client that asks and does not read holds up nobody, and gets all when it reads at last. */
static void slow_reader(void)
{
	char want[64];
	unsigned int i;
	int slow, fast;

	up();
	slow = dial();
	say(slow, "big\nbig\nstatus\n");
	while (!calls)
		usleep(100);
	fast = dial();
	say(fast, "status\n");
	hear(fast, "running guest\nok\n");
	usleep(10000);
	ksft_eq(calls, 2); /* the second "big" waits until the first has been read */
	for (i = 0; i < 2 * BIG_LINES; i++) {
		snprintf(want, sizeof(want), "line %u of a long answer\n%s", i % BIG_LINES,
			 i % BIG_LINES == BIG_LINES - 1 ? "ok\n" : "");
		hear(slow, want);
	}
	hear(slow, "running guest\nok\n");
	/* And one that never does is no obstacle to the end. */
	say(slow, "big\n");
	while (calls < 5)
		usleep(100);
	down();
	close(slow);
	close(fast);
}

static void gone_client(void)
{
	int fd, i;

	up();
	for (i = 0; i < 20; i++) {
		fd = dial();
		say(fd, "big\nbig\nbig\n");
		close(fd);
	}
	for (;;) {
		fd = dial();
		if (send(fd, "status\n", 7, MSG_NOSIGNAL) == 7) {
			char c = 0;

			if (read(fd, &c, 1) == 1 && c == 'r')
				break;
		}
		close(fd);
		usleep(1000);
	}
	close(fd);
	down();
}

static void refuse(const char *a, int code, const char *words)
{
	struct err err = { 0 };
	struct monitor *m = NULL;

	ksft_eq(monitor_create(loop, a, cmds, NULL, &m, &err), code);
	ksft_eq(err.code, code);
	ksft_msg("%s", err.msg);
	ksft_check(!strncmp(err.msg, "--monitor: ", 11));
	ksft_check(strstr(err.msg, words));
	ksft_check(!m);
}

static void bad_addresses(void)
{
	char text[300];

	names();
	ksft_eq(loop_create(&loop), 0);
	refuse("", -EINVAL, "unix:PATH");
	refuse("unix:", -EINVAL, "unix:PATH");
	refuse("tcp:1234", -EINVAL, "unix:PATH");
	refuse("/tmp/x", -EINVAL, "unix:PATH");
	memset(text, 'p', sizeof(text));
	memcpy(text, "unix:/tmp/", 10);
	text[sizeof(text) - 1] = '\0';
	refuse(text, -ENAMETOOLONG, "shorter");
	snprintf(text, sizeof(text), "unix:%s/no/such/dir", dir);
	refuse(text, -ENOENT, "No such file");
	loop_destroy(loop);
	ksft_eq(rmdir(dir), 0);
}

static void longest_path(void)
{
	struct err err = { 0 };
	char text[128];
	size_t n;

	names();
	n = snprintf(text, sizeof(text), "unix:%s/", dir);
	memset(text + n, 'p', sizeof(text) - n);
	text[5 + 107] = '\0'; /* sun_path less its NUL */
	ksft_eq(loop_create(&loop), 0);
	ksft_eq(monitor_create(loop, text, cmds, NULL, &mon, &err), 0);
	monitor_destroy(mon);
	text[5 + 107] = 'p';
	text[5 + 108] = '\0';
	refuse(text, -ENAMETOOLONG, "107");
	loop_destroy(loop);
	ksft_eq(rmdir(dir), 0);
}

static void in_use(void)
{
	int fd;

	up();
	refuse(addr, -EADDRINUSE, "in use");
	/* The one that lives is none the worse. */
	fd = dial();
	say(fd, "status\n");
	hear(fd, "running guest\nok\n");
	close(fd);
	down();
}

static void stale(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct err err = { 0 };
	struct stat st;
	int fd;

	names();
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ksft_eq(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	close(fd); /* what a killed process leaves */
	ksft_eq(loop_create(&loop), 0);
	ksft_eq(monitor_create(loop, addr, cmds, "guest", &mon, &err), 0);
	ksft_eq(stat(path, &st), 0);
	ksft_eq(st.st_mode & 0777, 0600 & ~0022);
	ksft_eq(loop_start(loop, "monitor"), 0);
	fd = dial();
	say(fd, "status\n");
	hear(fd, "running guest\nok\n");
	close(fd);
	down();
}

static void not_a_socket(void)
{
	int fd;

	names();
	ksft_eq(loop_create(&loop), 0);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	close(fd);
	refuse(addr, -EEXIST, "remove it");
	ksft_eq(unlink(path), 0); /* it was still there */
	ksft_eq(mkdir(path, 0700), 0);
	refuse(addr, -EEXIST, "remove it");
	ksft_eq(rmdir(path), 0);
	ksft_eq(symlink("/dev/null", path), 0);
	refuse(addr, -EEXIST, "remove it");
	ksft_eq(unlink(path), 0);
	loop_destroy(loop);
	ksft_eq(rmdir(dir), 0);
}

/* Somebody has put his own socket there meanwhile: it is not ours to remove. */
static void replaced(void)
{
	struct err err = { 0 };
	struct monitor *other;

	names();
	ksft_eq(loop_create(&loop), 0);
	ksft_eq(monitor_create(loop, addr, cmds, NULL, &mon, &err), 0);
	ksft_eq(unlink(path), 0);
	ksft_eq(monitor_create(loop, addr, cmds, NULL, &other, &err), 0);
	monitor_destroy(mon);
	ksft_eq(access(path, F_OK), 0);
	monitor_destroy(other);
	ksft_eq(access(path, F_OK), -1);
	loop_destroy(loop);
	ksft_eq(rmdir(dir), 0);
}

int main(int argc, char **argv)
{
	ksft_case("commands and their errors", commands);
	ksft_case("lines in pieces, at once, bad and too long", lines);
	ksft_case("a client that only stops talking", half_closed);
	ksft_case("more clients than there are places", many_clients);
	ksft_case("a client that does not read", slow_reader);
	ksft_case("clients that vanish", gone_client);
	ksft_case("addresses that are none", bad_addresses);
	ksft_case("the longest path, and one more", longest_path);
	ksft_case("a path that is in use", in_use);
	ksft_case("a stale socket is replaced", stale);
	ksft_case("a path that is no socket", not_a_socket);
	ksft_case("somebody else's socket is left", replaced);
	return ksft_run(argc, argv);
}
