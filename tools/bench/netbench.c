// SPDX-License-Identifier: GPL-2.0-only
/*
 * Network benchmark, server and client in one static program, for the host and for guests. The
 * client says what to do in a first message, the server plays the other part; what counts is what
 * the receiver got, measured by the receiver's clock from its first byte to its last. The figure
 * is printed by the client, in the form of report.h.
 *
 * usage: netbench server [-p PORT] [-a ADDR]
 *	  netbench stream [-p PORT] [-r] [-t MS] [-m SIZE] [-n NAME] ADDR
 *	-r: the server sends; -m: bytes handed to each write or read (128k)
 *
 * A test is an entry of tests[]: its two parts, and nothing else, know what goes over the
 * connection after the handshake. IPv4. The server serves one client at a time, until it is killed.
 */
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "report.h"

#define MAGIC	     0x6c6e6231u /* "lnb1" */
#define DEFAULT_PORT 5301
#define MAX_MESSAGE  (4u << 20)
#define MAX_MS	     600000u
/* A peer that says nothing for so long is gone. */
#define PEER_TIMEOUT_MS 10000
#define CONNECT_TRIES	50
#define CONNECT_WAIT_US 100000

/* On the wire, big endian. */
struct hello {
	uint32_t magic;
	uint32_t test;	  /* index into tests[] */
	uint32_t reverse; /* the server sends */
	uint32_t ms;
	uint32_t message;
} __attribute__((packed));

struct outcome {
	uint64_t bytes;
	uint64_t ns;
} __attribute__((packed));

struct job {
	const char *name; /* of the figure */
	bool reverse;
	uint32_t test;
	uint32_t ms;
	uint32_t message; /* bytes */
	char *buf;	  /* @message bytes */
};

struct test {
	const char *name;
	int (*client)(int sock, const struct job *job);
	int (*server)(int sock, const struct job *job);
};

/* Return: 0, -ECONNRESET when the peer went away, -ETIMEDOUT, or another -errno. */
static int recv_all(int sock, void *buf, size_t len)
{
	ssize_t n = recv(sock, buf, len, MSG_WAITALL);

	if (n < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	return (size_t)n == len ? 0 : -ECONNRESET;
}

static int send_all(int sock, const void *buf, size_t len)
{
	ssize_t n = send(sock, buf, len, MSG_NOSIGNAL);

	if (n < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	return (size_t)n == len ? 0 : -ECONNRESET;
}

/* The sender ends the stream by shutting its side down; the other stays open for the outcome. */
static int stream_send(int sock, const struct job *job)
{
	uint64_t end = bench_now_ns() + job->ms * 1000000ull;
	int err;

	do {
		err = send_all(sock, job->buf, job->message);
	} while (!err && bench_now_ns() < end);
	if (!err && shutdown(sock, SHUT_WR))
		err = -errno;
	return err;
}

static int stream_receive(int sock, const struct job *job, struct outcome *out)
{
	uint64_t start = 0;
	ssize_t n;

	memset(out, 0, sizeof(*out));
	for (;;) {
		n = recv(sock, job->buf, job->message, 0);
		if (n < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		if (!n)
			break;
		/* The first piece only starts the clock: when it was sent is not known here. */
		if (!start)
			start = bench_now_ns();
		else
			out->bytes += n;
	}
	if (!out->bytes)
		return -ENODATA;
	out->ns = bench_now_ns() - start;
	return 0;
}

static void stream_print(const struct job *job, const struct outcome *out)
{
	double mbps = out->bytes * 8e3 / out->ns;

	bench_report(job->name, &mbps, 1, "Mb/s", out->bytes / 1000000, true);
}

static int stream_client(int sock, const struct job *job)
{
	struct outcome out;
	int err;

	if (job->reverse) {
		err = stream_receive(sock, job, &out);
	} else {
		err = stream_send(sock, job);
		if (!err)
			err = recv_all(sock, &out, sizeof(out));
		out.bytes = be64toh(out.bytes);
		out.ns = be64toh(out.ns);
		if (!err && !out.ns)
			err = -EPROTO;
	}
	if (!err)
		stream_print(job, &out);
	return err;
}

static int stream_server(int sock, const struct job *job)
{
	struct outcome out;
	int err;

	if (job->reverse)
		return stream_send(sock, job);
	err = stream_receive(sock, job, &out);
	out.bytes = htobe64(out.bytes);
	out.ns = htobe64(out.ns);
	return err ? err : send_all(sock, &out, sizeof(out));
}

static const struct test tests[] = {
	{ "stream", stream_client, stream_server },
};

#define TEST_COUNT (sizeof(tests) / sizeof(tests[0]))

static void set_timeouts(int sock)
{
	struct timeval tv = { .tv_sec = PEER_TIMEOUT_MS / 1000 };

	setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
}

static int serve_one(int sock)
{
	struct hello hello;
	struct job job = { 0 };
	int err;

	set_timeouts(sock);
	err = recv_all(sock, &hello, sizeof(hello));
	if (err)
		return err;
	job.test = ntohl(hello.test);
	job.reverse = ntohl(hello.reverse);
	job.ms = ntohl(hello.ms);
	job.message = ntohl(hello.message);
	if (ntohl(hello.magic) != MAGIC || job.test >= TEST_COUNT || !job.message ||
	    job.message > MAX_MESSAGE || job.ms > MAX_MS)
		return -EPROTO;
	job.buf = calloc(1, job.message);
	if (!job.buf)
		return -ENOMEM;
	err = tests[job.test].server(sock, &job);
	free(job.buf);
	return err;
}

static int server_main(struct sockaddr_in *addr)
{
	int listener, sock, err, one = 1;
	char text[INET_ADDRSTRLEN];

	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener >= 0)
		setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (listener < 0 || bind(listener, (struct sockaddr *)addr, sizeof(*addr)) ||
	    listen(listener, 4)) {
		fprintf(stderr, "netbench: port %d: %s\n", ntohs(addr->sin_port), strerror(errno));
		return 1;
	}
	inet_ntop(AF_INET, &addr->sin_addr, text, sizeof(text));
	printf("netbench: serving on %s port %d\n", text, ntohs(addr->sin_port));
	fflush(stdout);
	for (;;) {
		sock = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (sock < 0) {
			if (errno == EINTR || errno == ECONNABORTED)
				continue;
			fprintf(stderr, "netbench: accept: %s\n", strerror(errno));
			return 1;
		}
		err = serve_one(sock);
		if (err)
			fprintf(stderr, "netbench: client: %s\n", strerror(-err));
		close(sock);
	}
}

/* A server that is only being started, or a link that has just come up, gets a little time. */
static int connect_patiently(const struct sockaddr_in *addr)
{
	int i, sock, err = -ETIMEDOUT;

	for (i = 0; i < CONNECT_TRIES; i++) {
		sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (sock < 0)
			return -errno;
		set_timeouts(sock);
		if (!connect(sock, (const struct sockaddr *)addr, sizeof(*addr)))
			return sock;
		err = errno == EINPROGRESS ? -ETIMEDOUT : -errno;
		close(sock);
		if (err != -ECONNREFUSED && err != -ENETUNREACH && err != -EHOSTUNREACH)
			break;
		usleep(CONNECT_WAIT_US);
	}
	return err;
}

static int client_main(const struct sockaddr_in *addr, struct job *job)
{
	struct hello hello = { htonl(MAGIC), htonl(job->test), htonl(job->reverse ? 1 : 0),
			       htonl(job->ms), htonl(job->message) };
	int sock, err;

	job->buf = calloc(1, job->message);
	if (!job->buf)
		return -ENOMEM;
	sock = connect_patiently(addr);
	err = sock < 0 ? sock : send_all(sock, &hello, sizeof(hello));
	if (!err)
		err = tests[job->test].client(sock, job);
	if (sock >= 0)
		close(sock);
	free(job->buf);
	return err;
}

static int usage(void)
{
	fprintf(stderr,
		"usage: netbench server [-p PORT] [-a ADDR]\n"
		"       netbench stream [-p PORT] [-r] [-t MS] [-m SIZE] [-n NAME] ADDR\n"
		"  -r: the server sends; -t: 1 to %u ms; -m: 1 to %u bytes\n",
		MAX_MS, MAX_MESSAGE);
	return 2;
}

/* Digits only, within the bounds; 0 otherwise. */
static uint32_t number(const char *text, uint32_t max)
{
	unsigned long n;
	char *end;

	errno = 0;
	n = strtoul(text, &end, 10);
	return errno || *end || *text < '0' || *text > '9' || n > max ? 0 : n;
}

int main(int argc, char **argv)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons(DEFAULT_PORT) };
	struct job job = { .name = NULL, .ms = 1000, .message = 128 << 10 };
	uint32_t port = DEFAULT_PORT;
	bool server;
	int opt, err;

	if (argc < 2)
		return usage();
	server = !strcmp(argv[1], "server");
	while (job.test < TEST_COUNT && strcmp(argv[1], tests[job.test].name))
		job.test++;
	if (!server && job.test == TEST_COUNT)
		return usage();
	optind = 2;
	while ((opt = getopt(argc, argv, server ? "p:a:" : "p:rt:m:n:")) != -1) {
		if (opt == 'p')
			port = number(optarg, 65535);
		else if (opt == 'r')
			job.reverse = true;
		else if (opt == 't')
			job.ms = number(optarg, MAX_MS);
		else if (opt == 'm')
			job.message = number(optarg, MAX_MESSAGE);
		else if (opt == 'n')
			job.name = optarg;
		else if (opt != 'a' || inet_pton(AF_INET, optarg, &addr.sin_addr) != 1)
			return usage();
	}
	if (!port || !job.ms || !job.message || argc - optind != !server)
		return usage();
	if (!server && inet_pton(AF_INET, argv[optind], &addr.sin_addr) != 1) {
		fprintf(stderr, "netbench: %s is not an IPv4 address\n", argv[optind]);
		return 2;
	}
	addr.sin_port = htons(port);
	if (server)
		return server_main(&addr);
	if (!job.name)
		job.name = job.reverse ? "tcp_from_server" : "tcp_to_server";
	err = client_main(&addr, &job);
	if (err) {
		bench_skip(job.name, "Mb/s", strerror(-err));
		fprintf(stderr, "netbench: %s port %u: %s\n", argv[optind], port, strerror(-err));
	}
	return err ? 1 : 0;
}
