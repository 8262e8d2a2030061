// SPDX-License-Identifier: GPL-2.0-only
/*
 * netbench -s: one test at a time, for whoever asks, until it is killed. Each connection gets a
 * thread, which reads its first message: a control connection's thread then runs the test; a data
 * connection's hands the socket to the test that has its cookie. So nobody who connects and says
 * nothing, or nonsense, is in another one's way.
 *
 * srv.lock covers everything in srv, and the fds of the streams of srv.run until GO.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "netbench.h"

/* Connections that have not said yet what they want, or are a test's. */
#define MAX_THREADS (2 * NB_MAX_STREAMS + 64)
/* For the test before to end: its client may have had the result a moment earlier. */
#define BUSY_MS 3000
/* For a client to read what was sent to it last. */
#define LINGER_MS 2000

static struct {
	pthread_mutex_t lock;
	pthread_cond_t change;
	struct nb_run *run; /* of the test that waits for its data connections */
	unsigned int missing, threads;
	uint8_t cookie[NB_COOKIE];
	bool busy;
	const struct nb_options *opt;
} srv = { .lock = PTHREAD_MUTEX_INITIALIZER };

struct server_conn {
	int fd;
	char peer[64];
};

static void server_deadline(struct timespec *ts, uint32_t ms)
{
	clock_gettime(CLOCK_MONOTONIC, ts);
	ts->tv_sec += ms / 1000;
	ts->tv_nsec += ms % 1000 * 1000000;
	if (ts->tv_nsec >= 1000000000) {
		ts->tv_sec++;
		ts->tv_nsec -= 1000000000;
	}
}

static void server_say(const char *peer, const char *text)
{
	/* Some reasons begin with the peer's name, wherever they are told. */
	if (!strncmp(peer, text, strlen(peer)))
		fprintf(stderr, "netbench: %s\n", text);
	else
		fprintf(stderr, "netbench: %s: %s\n", peer, text);
}

static bool server_take(void)
{
	struct timespec end;
	bool mine;

	server_deadline(&end, BUSY_MS);
	pthread_mutex_lock(&srv.lock);
	while (srv.busy && !pthread_cond_timedwait(&srv.change, &srv.lock, &end))
		;
	mine = !srv.busy;
	if (mine)
		srv.busy = true;
	pthread_mutex_unlock(&srv.lock);
	return mine;
}

static void server_release(void)
{
	pthread_mutex_lock(&srv.lock);
	srv.busy = false;
	pthread_cond_broadcast(&srv.change);
	pthread_mutex_unlock(&srv.lock);
}

/* WELCOME, and then the data connections that other threads bring. */
static int server_gather(struct nb_run *run, const struct server_conn *conn,
			 const union nb_wire_body *welcome, struct err *err)
{
	union nb_wire_body body;
	struct timespec end;
	unsigned int missing;
	enum nb_type type = NB_MSG_TYPES;
	int e;

	pthread_mutex_lock(&srv.lock);
	srv.run = run;
	srv.missing = run->nr;
	memcpy(srv.cookie, welcome->welcome.cookie, NB_COOKIE);
	pthread_mutex_unlock(&srv.lock);
	e = nb_ctl_send(conn->fd, NB_MSG_WELCOME, welcome);
	if (e)
		err_set(err, e, "%s: control connection: %s", conn->peer, strerror(-e));
	else
		e = nb_ctl_recv(conn->fd, conn->peer, &type, &body, run->test->timeout_ms, err);
	if (!e && type != NB_MSG_START)
		e = err_set(err, -EPROTO, "%s: sent message %u where START belongs", conn->peer,
			    (unsigned int)type);
	server_deadline(&end, run->test->timeout_ms);
	pthread_mutex_lock(&srv.lock);
	while (!e && srv.missing)
		if (pthread_cond_timedwait(&srv.change, &srv.lock, &end))
			break;
	missing = srv.missing;
	srv.run = NULL;
	pthread_mutex_unlock(&srv.lock);
	if (!e && missing)
		e = err_set(err, -ETIMEDOUT,
			    "%u of %u data connections did not get to the server: "
			    "do all go the same way?",
			    missing, run->nr);
	return e;
}

static void server_data(struct server_conn *conn, const struct nb_wire_data *data)
{
	struct nb_run *run;
	bool taken = false;

	pthread_mutex_lock(&srv.lock);
	run = srv.run;
	if (run && !memcmp(data->cookie, srv.cookie, NB_COOKIE) && data->stream < run->nr &&
	    run->streams[data->stream].fd < 0) {
		run->streams[data->stream].fd = conn->fd;
		srv.missing--;
		taken = true;
		pthread_cond_broadcast(&srv.change);
	}
	pthread_mutex_unlock(&srv.lock);
	if (taken)
		conn->fd = -1;
	else
		server_say(conn->peer, "a data connection that belongs to no test: closed");
}

static void server_done(const struct nb_run *run, const struct server_conn *conn)
{
	static const char *const kinds[NB_KINDS] = { "TCP", "UDP", "request/response" };
	struct nb_figures in, out;

	nb_run_sum(run, false, &in);
	nb_run_sum(run, true, &out);
	printf("netbench: %s: %s, %u stream%s: %llu bytes received, %llu sent\n", conn->peer,
	       kinds[run->test->kind], run->nr, run->nr == 1 ? "" : "s",
	       (unsigned long long)in.bytes,
	       (unsigned long long)(run->test->kind == NB_RR ? in.bytes : out.bytes));
	fflush(stdout);
}

/* The whole test; @conn's thread. */
static int server_test(const struct server_conn *conn, const struct nb_test *test, struct err *err)
{
	union nb_wire_body welcome = { 0 };
	struct nb_run run = { 0 };
	int e;

	e = nb_run_init(&run, test, false);
	if (!e && getrandom(welcome.welcome.cookie, NB_COOKIE, 0) != NB_COOKIE)
		e = -EIO;
	if (e) {
		err_set(err, e, "the server cannot begin: %s", strerror(-e));
		goto out;
	}
	if (test->kind == NB_UDP)
		e = nb_udp_accept(&run, conn->fd, conn->peer, welcome.welcome.cookie, err);
	else
		e = server_gather(&run, conn, &welcome, err);
	if (e)
		goto out;
	nb_run_go(&run);
	e = nb_ctl_send(conn->fd, NB_MSG_GO, NULL);
	if (e) {
		err_set(err, e, "%s: control connection: %s", conn->peer, strerror(-e));
		goto out;
	}
	e = nb_run_start(&run, err);
	if (!e)
		e = nb_run_control(&run, conn->fd, conn->peer, -1, NULL, err);
	if (!e)
		server_done(&run, conn);
out:
	if (e)
		nb_ctl_fail(conn->fd, err);
	nb_run_end(&run);
	return e;
}

/*
 * Leave closing to the client: what it has sent and nobody has read would make an RST of ours,
 * which can overtake the last message.
 */
static void server_linger(int fd)
{
	char rest[256];
	uint64_t end = nb_now_ns() + LINGER_MS * 1000000ull;

	nb_sock_timeouts(fd, LINGER_MS, LINGER_MS);
	shutdown(fd, SHUT_WR);
	while (recv(fd, rest, sizeof(rest), 0) > 0 && nb_now_ns() < end)
		;
}

/* One that began its test; with -1 that was the last thing to do. */
static void server_control(const struct server_conn *conn, const struct nb_wire_test *wire)
{
	struct err err = { 0 };
	struct nb_test test;
	int e;

	nb_test_from_wire(wire, &test);
	e = nb_test_check(&test, &err);
	if (!e && !server_take())
		e = err_set(&err, -EBUSY,
			    "the server is busy with another one's test: try again "
			    "when that is over");
	if (e) {
		nb_ctl_fail(conn->fd, &err);
		server_say(conn->peer, err.msg);
		server_linger(conn->fd);
		return;
	}
	nb_sock_timeouts(conn->fd, test.timeout_ms, test.timeout_ms);
	e = server_test(conn, &test, &err);
	if (e)
		server_say(conn->peer, err.msg);
	if (!srv.opt->once)
		server_release();
	server_linger(conn->fd);
	if (srv.opt->once)
		exit(e ? 1 : 0);
}

static void *server_thread(void *arg)
{
	struct server_conn *conn = arg;
	union nb_wire_body body;
	struct err err = { 0 };
	enum nb_type type;
	int one = 1;

	nb_sock_timeouts(conn->fd, NB_HANDSHAKE_MS, NB_HANDSHAKE_MS);
	if (nb_ctl_recv(conn->fd, conn->peer, &type, &body, NB_HANDSHAKE_MS, &err)) {
		/* Its version, above all: the other side can say it better than we. */
		fprintf(stderr, "netbench: %s\n", err.msg);
		if (err.code == -EPROTONOSUPPORT) {
			nb_ctl_fail(conn->fd, &err);
			server_linger(conn->fd);
		}
	} else if (type == NB_MSG_DATA) {
		server_data(conn, &body.data);
	} else if (type == NB_MSG_TEST) {
		setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		server_control(conn, &body.test);
	} else {
		server_say(conn->peer, "does not begin with a test: closed");
	}
	if (conn->fd >= 0)
		close(conn->fd);
	free(conn);
	pthread_mutex_lock(&srv.lock);
	srv.threads--;
	pthread_mutex_unlock(&srv.lock);
	return NULL;
}

static void server_accepted(int fd, const struct sockaddr *addr, socklen_t len)
{
	struct server_conn *conn = calloc(1, sizeof(*conn));
	pthread_t thread;
	bool room;

	pthread_mutex_lock(&srv.lock);
	room = srv.threads < MAX_THREADS;
	srv.threads += room;
	pthread_mutex_unlock(&srv.lock);
	if (conn && room) {
		conn->fd = fd;
		nb_sock_text(addr, len, conn->peer, sizeof(conn->peer));
		if (!pthread_create(&thread, NULL, server_thread, conn)) {
			pthread_detach(thread);
			return;
		}
	}
	fprintf(stderr, "netbench: too many connections at once: one was closed\n");
	close(fd);
	free(conn);
	pthread_mutex_lock(&srv.lock);
	srv.threads -= room;
	pthread_mutex_unlock(&srv.lock);
}

int nb_server(const struct nb_options *opt)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);
	struct err err = { 0 };
	pthread_condattr_t attr;
	char text[64];
	int fd, listener;

	srv.opt = opt;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&srv.change, &attr);
	listener = nb_sock_listen(opt, &err);
	if (listener < 0) {
		fprintf(stderr, "netbench: %s\n", err.msg);
		return 1;
	}
	getsockname(listener, (struct sockaddr *)&addr, &len);
	nb_sock_text((struct sockaddr *)&addr, len, text, sizeof(text));
	printf("netbench: serving on %s\n", text);
	fflush(stdout);
	for (;;) {
		len = sizeof(addr);
		fd = accept4(listener, (struct sockaddr *)&addr, &len, SOCK_CLOEXEC);
		if (fd >= 0) {
			server_accepted(fd, (struct sockaddr *)&addr, len);
		} else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) {
			/* Until a connection has ended. */
			fprintf(stderr, "netbench: cannot accept: %s\n", strerror(errno));
			usleep(100000);
		}
	}
}
