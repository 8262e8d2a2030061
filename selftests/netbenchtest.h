/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * For tests of netbench that are peers of it: starting the program, the one with sanitizers, and
 * reading what it says. stdout and stderr are one text. Nothing outlives the test. The case's own
 * thread only.
 */
#ifndef SELFTESTS_NETBENCHTEST_H
#define SELFTESTS_NETBENCHTEST_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kselftest.h"
#include "lib/util.h"

#define NBT_SECONDS 60
#define NBT_ARGS    24

struct nbt_proc {
	pid_t pid;
	int out, status;
	size_t len;
	char text[1 << 16];
};

static inline const char *nbt_program(void)
{
	static char path[512];
	const char *o = getenv("O");

	snprintf(path, sizeof(path), "%s/asan/netbench", o ? o : "build");
	return path;
}

/* nbt_start - run netbench with the words of @args, which are separated by one blank each */
static inline void nbt_start(struct nbt_proc *p, const char *args)
{
	char words[512], *rest, *argv[NBT_ARGS] = { "netbench" };
	int fds[2], n = 1;

	memset(p, 0, sizeof(*p));
	snprintf(words, sizeof(words), "%s", args);
	for (argv[n] = strtok_r(words, " ", &rest); argv[n]; argv[n] = strtok_r(NULL, " ", &rest))
		ksft_check(++n < NBT_ARGS);
	ksft_eq(pipe(fds), 0);
	p->pid = fork();
	ksft_check(p->pid >= 0);
	if (!p->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(fds[1], 1);
		dup2(fds[1], 2);
		close(fds[0]);
		close(fds[1]);
		execv(nbt_program(), argv);
		_exit(127);
	}
	close(fds[1]);
	p->out = fds[0];
}

/* More of the output; false at its end, or when nothing comes any more. */
static inline bool nbt_read(struct nbt_proc *p)
{
	struct pollfd fd = { .fd = p->out, .events = POLLIN };
	ssize_t n;

	if (poll(&fd, 1, NBT_SECONDS * 1000) <= 0)
		return false;
	n = read(p->out, p->text + p->len, sizeof(p->text) - 1 - p->len);
	if (n <= 0)
		return false;
	p->len += n;
	p->text[p->len] = '\0';
	return true;
}

/* nbt_end - to the end of the output and of the process; -1 for a process that had to be killed */
static inline int nbt_end(struct nbt_proc *p)
{
	struct pollfd fd = { .fd = p->out, .events = POLLIN };
	int status;

	while (nbt_read(p))
		;
	/* Open still: it hangs. */
	if (!poll(&fd, 1, 0))
		kill(p->pid, SIGKILL);
	close(p->out);
	ksft_eq(waitpid(p->pid, &status, 0), p->pid);
	p->status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	return p->status;
}

/* nbt_client - run a client with @args to port @port of this machine, to its end */
static inline int nbt_client(struct nbt_proc *p, int port, const char *args)
{
	char line[512];

	snprintf(line, sizeof(line), "-i 0 -p %d %s 127.0.0.1", port, args);
	nbt_start(p, line);
	return nbt_end(p);
}

/* nbt_server - start one; returns its port */
static inline int nbt_server(struct nbt_proc *p)
{
	const char *at;
	int port = 0;

	nbt_start(p, "-s -p 0 -B 127.0.0.1");
	while (!strchr(p->text, '\n'))
		if (!nbt_read(p))
			break;
	at = strstr(p->text, " port ");
	if (!at || sscanf(at, " port %d", &port) != 1)
		ksft_fail("the server did not start: %s", p->text);
	return port;
}

/* nbt_server_end - it must still be there, and has not been found wrong by a sanitizer */
static inline void nbt_server_end(struct nbt_proc *p)
{
	ksft_eq(waitpid(p->pid, NULL, WNOHANG), 0);
	kill(p->pid, SIGTERM);
	nbt_end(p);
	if (strstr(p->text, "Sanitizer") || strstr(p->text, "runtime error"))
		ksft_fail("%s", p->text);
}

/* A client that failed, in one line with @text. */
#define nbt_refused(p, want)                                                                      \
	do {                                                                                      \
		const char *line_ = strstr((p)->text, "netbench: ");                              \
		while (line_ && !strstr(line_, (want)))                                           \
			line_ = NULL;                                                             \
		if ((p)->status != 1 || !line_)                                                   \
			ksft_fail("status %d, wanted 1 and: %s\n# have: %s", (p)->status, (want), \
				  (p)->text);                                                     \
	} while (0)

#define nbt_passed(p)                                                                 \
	do {                                                                          \
		if ((p)->status)                                                      \
			ksft_fail("status %d, wanted 0: %s", (p)->status, (p)->text); \
	} while (0)

/* nbt_listen - a TCP socket on a free port of the loopback */
static inline int nbt_listen(int *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ksft_check(fd >= 0 && !bind(fd, (struct sockaddr *)&a, len) && !listen(fd, 64));
	getsockname(fd, (struct sockaddr *)&a, &len);
	*port = ntohs(a.sin_port);
	return fd;
}

/* nbt_connect - to a port of the loopback; -1 if nobody listens */
static inline int nbt_connect(int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons(port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval tv = { .tv_sec = NBT_SECONDS };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a))) {
		close(fd);
		fd = -1;
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	return fd;
}

#endif
