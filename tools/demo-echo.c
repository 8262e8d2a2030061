// SPDX-License-Identifier: GPL-2.0-only
/*
 * The host's side of the demo's network round trip: a TCP server on a free port of the loopback,
 * which it prints, that sends back what it gets. One connection after the other; ends when it is
 * killed.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

static void echo_serve(int fd)
{
	char buf[65536];
	ssize_t n, done, m;

	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		for (done = 0; done < n; done += m) {
			m = write(fd, buf + done, n - done);
			if (m <= 0)
				return;
		}
	}
}

int main(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int s, c;

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	signal(SIGPIPE, SIG_IGN);
	s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s < 0 || bind(s, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(s, 4) < 0 ||
	    getsockname(s, (struct sockaddr *)&a, &len) < 0) {
		perror("demo-echo");
		return 1;
	}
	printf("%d\n", ntohs(a.sin_port));
	fflush(stdout);
	fclose(stdout);
	for (;;) {
		c = accept(s, NULL, NULL);
		if (c < 0)
			continue;
		echo_serve(c);
		close(c);
	}
}
