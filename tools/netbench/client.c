// SPDX-License-Identifier: GPL-2.0-only
/*
 * netbench's client: one test with a server, and the report of it. Called by main.c; the one thread
 * of the control connection, until run.c makes those of the streams.
 *
 * SIGINT and SIGTERM before GO end the program as they always do; after it, the first one ends the
 * test early, with a report.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "netbench.h"

/* The next message is @want, or the test is over. */
static int client_expect(int ctl, const char *peer, enum nb_type want, union nb_wire_body *body,
			 uint32_t ms, struct err *err)
{
	enum nb_type type;
	int e;

	e = nb_ctl_recv(ctl, peer, &type, body, ms, err);
	if (e || type == want)
		return e;
	if (type == NB_MSG_FAILED)
		return err_set(err, -EREMOTEIO, "%s: %s", peer, body->failed.text);
	return err_set(err, -EPROTO,
		       "%s: sent message %u where %u belongs: use the same build on "
		       "both sides",
		       peer, (unsigned int)type, (unsigned int)want);
}

static int client_send(int ctl, const char *peer, enum nb_type type, union nb_wire_body *body,
		       struct err *err)
{
	int e = nb_ctl_send(ctl, type, body);

	return e ? err_set(err, e, "%s: control connection: %s", peer, strerror(-e)) : 0;
}

static int client_connect_streams(struct nb_run *run, int ctl, const char *peer,
				  const uint8_t *cookie, struct err *err)
{
	union nb_wire_body body = { 0 };
	unsigned int i;
	int e = 0;

	if (run->test->kind == NB_UDP)
		return nb_udp_open(run, ctl, cookie, err);
	memcpy(body.data.cookie, cookie, NB_COOKIE);
	for (i = 0; i < run->nr && !e; i++) {
		run->streams[i].fd =
			nb_sock_like(ctl, SOCK_STREAM, true, run->test->timeout_ms, err);
		if (run->streams[i].fd < 0)
			return run->streams[i].fd;
		body.data.stream = i;
		e = client_send(run->streams[i].fd, peer, NB_MSG_DATA, &body, err);
	}
	return e;
}

/* Blocks the signals in this thread and those to come; a signalfd has them instead. */
static int client_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* What TCP has taken from the sender must have come out at the receiver, to the byte. */
static int client_check(const struct nb_test *t, const struct nb_outcome *out, struct err *err)
{
	uint32_t nr = t->streams * (t->dirs == NB_BOTH ? 2 : 1), i;
	uint64_t sent, got;
	char name[48];

	if (t->kind == NB_UDP || out->interrupted)
		return 0;
	for (i = 0; i < nr; i++) {
		unsigned int sender = nb_stream_dir(t, i) == NB_TO_CLIENT;

		sent = out->side[sender][i].bytes;
		got = out->side[!sender][i].bytes;
		if (sent == got)
			continue;
		nb_stream_name(t, i, name, sizeof(name));
		return err_set(err, -EIO,
			       "%s: %llu bytes were sent and %llu received: something "
			       "on the way ends connections",
			       name, (unsigned long long)sent, (unsigned long long)got);
	}
	return 0;
}

static int client_run(const struct nb_options *opt, int ctl, const char *peer,
		      struct nb_outcome *out, struct err *err)
{
	const struct nb_test *t = &opt->test;
	union nb_wire_body body = { 0 };
	struct nb_run run = { 0 };
	int sigfd = -1, e;

	e = nb_run_init(&run, t, true);
	if (e) {
		err_set(err, e, "cannot begin: %s: take less streams with -P", strerror(-e));
		goto out;
	}
	nb_test_to_wire(t, &body.test);
	e = client_send(ctl, peer, NB_MSG_TEST, &body, err);
	if (!e)
		e = client_expect(ctl, peer, NB_MSG_WELCOME, &body, t->timeout_ms, err);
	if (!e)
		e = client_connect_streams(&run, ctl, peer, body.welcome.cookie, err);
	if (!e)
		e = client_send(ctl, peer, NB_MSG_START, NULL, err);
	/* The server waits for the data connections, and then says how many are missing. */
	if (!e)
		e = client_expect(ctl, peer, NB_MSG_GO, &body, t->timeout_ms + NB_HANDSHAKE_MS,
				  err);
	if (e)
		goto out;
	nb_report_begin(opt, out);
	sigfd = client_signals();
	nb_run_go(&run);
	e = nb_run_start(&run, err);
	if (!e)
		e = nb_run_control(&run, ctl, peer, sigfd, out, err);
	if (!e)
		e = client_check(t, out, err);
out:
	/* The server's log shall say it, too, unless it was the server that said it. */
	if (e && e != -EREMOTEIO)
		nb_ctl_fail(ctl, err);
	nb_run_end(&run);
	if (sigfd >= 0)
		close(sigfd);
	return e;
}

int nb_client(const struct nb_options *opt)
{
	struct nb_outcome *out = calloc(1, sizeof(*out));
	struct sockaddr_storage addr;
	struct err err = { 0 };
	socklen_t len = 0;
	int ctl = -1, e = -ENOMEM;

	nb_report_to(opt->json);
	if (!out) {
		fprintf(stderr, "netbench: no memory\n");
		return 1;
	}
	out->log = calloc(NB_MAX_LOG, sizeof(*out->log));
	if (!out->log) {
		err_set(&err, e, "no memory");
		goto out;
	}
	e = ctl = nb_sock_connect(opt, &addr, &len, &err);
	if (ctl < 0)
		goto out;
	nb_sock_timeouts(ctl, opt->test.timeout_ms, opt->test.timeout_ms);
	nb_sock_text((struct sockaddr *)&addr, len, out->address, sizeof(out->address));
	e = client_run(opt, ctl, out->address, out, &err);
	close(ctl);
	if (e)
		goto out;
	if (opt->json)
		e = nb_json(opt, out);
	else
		nb_report(opt, out);
	if (e || fflush(stdout) || ferror(stdout))
		e = err_set(&err, -EIO, "cannot write the report: see where stdout goes");
out:
	if (e < 0) {
		if (opt->json)
			nb_json_error(&err);
		fprintf(stderr, "netbench: %s\n", err.msg);
	}
	e = e < 0 ? 1 : out->interrupted ? 128 + SIGINT : 0;
	free(out->log);
	free(out);
	return e;
}
