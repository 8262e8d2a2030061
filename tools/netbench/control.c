// SPDX-License-Identifier: GPL-2.0-only
/*
 * The control connection between GO and the end, on both sides: when senders stop, who is still
 * there, progress, and the server's figures. One thread per test, which sleeps in poll(): streams
 * wake it when they end. What the threads of streams do is in tcp.c, udp.c and rr.c.
 *
 * The peer is heard at least every TICK_MS; the test's time-out without a word means that it has
 * gone. A stream in which nothing moves any more is found by its own thread.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "control.h"

#define TICK_MS 1000u
#define MS	1000000ull
/* After the user's signal, for the server's figures to come. */
#define GRACE_MS 3000u
/* For the peer's own word on why a stream broke, which is better than what can be seen here. */
#define REASON_MS 500

struct control {
	struct nb_run *run;
	struct nb_outcome *out;
	struct err *err;
	const char *peer;
	int ctl, sigfd;
	uint64_t tick_ns, next_tick, heard, grace;
	bool told_sent, have_result;
	struct nb_ctl_in in;
	/* Of the line before, by direction. */
	struct {
		uint64_t ns, bytes, packets;
	} line[NB_BOTH];
};

/* Since GO. */
static void control_cpu(const struct nb_run *run, struct nb_cpu *cpu)
{
	nb_cpu_now(cpu);
	cpu->user_us -= run->cpu.user_us;
	cpu->system_us -= run->cpu.system_us;
}

static int control_send(struct control *c, enum nb_type type, const union nb_wire_body *body)
{
	int e = nb_ctl_send(c->ctl, type, body);

	if (e)
		err_set(c->err, e, "%s: control connection: %s", c->peer, strerror(-e));
	return e;
}

/* The client: a line, when the interval is over or at the very end. */
static void control_line(struct control *c, uint32_t dir, uint64_t ns, uint64_t bytes,
			 uint64_t packets, bool last)
{
	uint64_t interval = c->run->test->interval_ms * MS;
	struct nb_interval i = { .dir = dir, .to = ns / 1e9 };

	/* The peer's numbers need not make sense. */
	if (!interval || ns <= c->line[dir].ns || bytes < c->line[dir].bytes ||
	    packets < c->line[dir].packets)
		return;
	if (ns - c->line[dir].ns < (last ? interval / 20 : interval - interval / 20))
		return;
	i.from = c->line[dir].ns / 1e9;
	i.bytes = bytes - c->line[dir].bytes;
	i.packets = packets - c->line[dir].packets;
	c->line[dir].ns = ns;
	c->line[dir].bytes = bytes;
	c->line[dir].packets = packets;
	if (c->out->nr_log < NB_MAX_LOG)
		c->out->log[c->out->nr_log++] = i;
	nb_report_interval(c->run->test, &i);
}

/* Whose counters the lines of a direction are: the receiver's, but of round trips the asker's. */
static bool control_own(const struct control *c, uint32_t dir)
{
	return c->run->test->kind == NB_RR || dir == NB_TO_CLIENT;
}

static int control_tick(struct control *c, uint64_t now)
{
	const struct nb_test *t = c->run->test;
	struct pollfd p = { .fd = c->ctl, .events = POLLOUT };
	union nb_wire_body body = { 0 };
	struct nb_figures sum;

	c->next_tick = now + c->tick_ns - (now - c->run->go_ns) % c->tick_ns;
	nb_run_sum(c->run, c->run->client && t->kind == NB_RR, &sum);
	body.progress.ns = now - c->run->go_ns;
	body.progress.bytes = sum.bytes;
	body.progress.packets = sum.packets;
	if (c->run->client && t->kind == NB_RR)
		control_line(c, NB_TO_SERVER, body.progress.ns, sum.bytes, sum.packets, false);
	else if (c->run->client && (t->dirs & NB_TO_CLIENT))
		control_line(c, NB_TO_CLIENT, body.progress.ns, sum.bytes, sum.packets, false);
	/* A peer that reads none of it is not waited for. */
	if (c->have_result || !poll(&p, 1, 0))
		return 0;
	return control_send(c, NB_MSG_PROGRESS, &body);
}

/* The server: all that it has counted. */
static int control_results(struct control *c)
{
	const struct nb_run *run = c->run;
	union nb_wire_body body;
	struct nb_cpu cpu;
	unsigned int i;
	int e = 0;

	for (i = 0; i < run->nr && !e; i++) {
		const struct nb_figures *f = &run->streams[i].now;

		memset(&body, 0, sizeof(body));
		body.stream = (struct nb_wire_stream){ .stream = i,
						       .bytes = f->bytes,
						       .packets = f->packets,
						       .reordered = f->reordered,
						       .retrans = f->retrans,
						       .ns = f->ns };
		e = control_send(c, NB_MSG_STREAM, &body);
	}
	if (e)
		return e;
	control_cpu(run, &cpu);
	memset(&body, 0, sizeof(body));
	body.result.user_us = cpu.user_us;
	body.result.system_us = cpu.system_us;
	return control_send(c, NB_MSG_RESULT, &body);
}

static void control_stream(struct control *c, const struct nb_wire_stream *w)
{
	c->out->side[1][w->stream] = (struct nb_figures){ .bytes = w->bytes,
							  .packets = w->packets,
							  .reordered = w->reordered,
							  .retrans = w->retrans,
							  .ns = w->ns };
}

/* Never waits for the rest of a message: the user's signal, and the streams, do not either. */
static int control_message(struct control *c)
{
	const union nb_wire_body *body = &c->in.body;
	bool client = c->run->client;
	enum nb_type type;
	int e;

	e = nb_ctl_recv_part(c->ctl, c->peer, &c->in, c->err);
	if (e <= 0)
		return e;
	type = c->in.type;
	c->heard = nb_now_ns();
	if (type == NB_MSG_PROGRESS) {
		if (client && (c->run->test->dirs & NB_TO_SERVER) && !control_own(c, NB_TO_SERVER))
			control_line(c, NB_TO_SERVER, body->progress.ns, body->progress.bytes,
				     body->progress.packets, false);
		return 0;
	}
	if (type == NB_MSG_SENT) {
		store_once(&c->run->quit, true);
		return 0;
	}
	if (type == NB_MSG_STOP && !client) {
		store_once(&c->run->stop, true);
		return 0;
	}
	if (type == NB_MSG_STREAM && client && body->stream.stream < c->run->nr) {
		control_stream(c, &body->stream);
		return 0;
	}
	if (type == NB_MSG_RESULT && client) {
		c->out->cpu[1].user_us = body->result.user_us;
		c->out->cpu[1].system_us = body->result.system_us;
		c->have_result = true;
		return 0;
	}
	if (type == NB_MSG_FAILED)
		return err_set(c->err, -EREMOTEIO, "%s: %s", c->peer, body->failed.text);
	return err_set(c->err, -EPROTO,
		       "%s: sent message %u out of turn: use the same build on "
		       "both sides",
		       c->peer, (unsigned int)type);
}

static int control_signal(struct control *c)
{
	struct signalfd_siginfo info;
	sigset_t set;

	if (read(c->sigfd, &info, sizeof(info)) < 0)
		return 0;
	/* The next one is no longer held back: who presses ^C twice means it. */
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	c->sigfd = -1;
	c->out->interrupted = true;
	c->grace = nb_now_ns() + GRACE_MS * MS;
	store_once(&c->run->stop, true);
	return c->have_result ? 0 : control_send(c, NB_MSG_STOP, NULL);
}

/* A stream's thread ended early. The peer may know better why, and may be about to say so. */
static int control_broken(struct control *c, const struct nb_stream *s)
{
	struct pollfd p = { .fd = c->ctl, .events = POLLIN };
	uint64_t end = nb_now_ns() + 2 * REASON_MS * MS;
	char name[48];

	nb_stream_name(c->run->test, s->index, name, sizeof(name));
	if (s->err == -EBADMSG)
		return err_set(c->err, s->err,
			       "%s: byte %llu is not what was sent: something on "
			       "the way changes data",
			       name, (unsigned long long)s->bad);
	while (!c->have_result && nb_now_ns() < end && poll(&p, 1, REASON_MS) > 0)
		if (control_message(c))
			return c->err->code;
	if (s->err == -ETIMEDOUT)
		return err_set(c->err, s->err,
			       "%s: nothing has moved for %u s: is the peer still "
			       "there? --timeout is how long to wait",
			       name, c->run->test->timeout_ms / 1000);
	if (s->err == -EMSGSIZE)
		return err_set(c->err, s->err,
			       "%s: datagrams of %u bytes do not go this way: take "
			       "shorter ones with -l",
			       name, c->run->test->length);
	if (s->err == -EPROTO)
		return err_set(c->err, s->err, "%s: more bytes came than -n says", name);
	return err_set(c->err, s->err, "%s: broke in the middle: %s: see what the peer says", name,
		       strerror(-s->err));
}

/* Return: 1 when this side's part is over, 0 when not yet, or the first stream's error. */
static int control_streams(struct control *c)
{
	unsigned int i, senders = nb_run_alive(c->run, true);
	unsigned int receivers = nb_run_alive(c->run, false);
	uint64_t count;
	int e;

	if (read(c->run->wake, &count, sizeof(count)) < 0)
		count = 0;
	for (i = 0; i < c->run->nr; i++) {
		const struct nb_stream *s = &c->run->streams[i];

		if (load_acquire(&s->ended) && s->err && !(c->out && c->out->interrupted))
			return control_broken(c, s);
	}
	if (!senders && c->run->test->kind == NB_UDP && !c->told_sent) {
		c->told_sent = true;
		e = control_send(c, NB_MSG_SENT, NULL);
		if (e)
			return e;
	}
	return !senders && !receivers;
}

/* How long poll() may sleep: to the next thing that has a time. */
static int control_sleep(const struct control *c, uint64_t now)
{
	const struct nb_test *t = c->run->test;
	uint64_t until = MIN(c->next_tick, c->heard + t->timeout_ms * MS);

	if (c->have_result)
		until = c->next_tick;
	if (t->ms && !c->run->stop)
		until = MIN(until, c->run->go_ns + t->ms * MS);
	if (c->grace)
		until = MIN(until, c->grace);
	return until <= now ? 0 : (until - now) / MS + 1;
}

/* What has a time and no other cause. Return: 1 when the client's patience is at its end. */
static int control_times(struct control *c, uint64_t now)
{
	const struct nb_test *t = c->run->test;
	uint64_t longest = ((t->ms ? t->ms : NB_MAX_MS) + 2ull * t->timeout_ms) * MS;

	if (t->ms && now >= c->run->go_ns + t->ms * MS)
		store_once(&c->run->stop, true);
	if (c->grace && now >= c->grace)
		return 1;
	if ((now >= c->heard + t->timeout_ms * MS && !c->have_result) ||
	    now >= c->run->go_ns + longest)
		return err_set(c->err, -ETIMEDOUT,
			       "%s: has said nothing for %u s, or does not "
			       "come to an end: is it still there? --timeout is how long to wait",
			       c->peer, t->timeout_ms / 1000);
	return now >= c->next_tick ? control_tick(c, now) : 0;
}

/* Until this side's streams have ended and, on the client, the server's figures are there. */
static int control_loop(struct control *c)
{
	struct pollfd p[3] = { { .fd = c->ctl, .events = POLLIN },
			       { .fd = c->run->wake, .events = POLLIN },
			       { .fd = c->sigfd, .events = POLLIN } };
	bool over = false;
	int e;

	while (!over || (c->run->client && !c->have_result)) {
		p[2].fd = c->sigfd;
		/* After the server's figures there is nothing to say: it may close. */
		if (c->have_result)
			p[0].fd = -1;
		if (poll(p, 3, control_sleep(c, nb_now_ns())) < 0 && errno != EINTR)
			return err_set(c->err, -errno, "poll: %s", strerror(errno));
		if (p[2].fd >= 0 && p[2].revents) {
			e = control_signal(c);
			if (e)
				return e;
		}
		/* First what streams say of themselves: it is the cause of the rest. */
		e = control_streams(c);
		if (e < 0)
			return e;
		over = e;
		if (p[0].revents && !c->have_result) {
			e = control_message(c);
			if (e)
				return e;
		}
		e = control_times(c, nb_now_ns());
		if (e < 0)
			return e;
		if (e) {
			c->out->server_missing = true;
			return 0;
		}
	}
	return 0;
}

/* The client: its own figures, and the last line of each direction. */
static void control_collect(struct control *c)
{
	struct nb_run *run = c->run;
	struct nb_outcome *out = c->out;
	uint32_t dir;
	unsigned int i;

	control_cpu(run, &out->cpu[0]);
	for (i = 0; i < run->nr; i++) {
		out->side[0][i] = run->streams[i].now;
		if (run->streams[i].hist && load_acquire(&run->streams[i].ended))
			nb_hist_merge(&out->hist, run->streams[i].hist);
	}
	for (dir = NB_TO_SERVER; dir <= NB_TO_CLIENT; dir++) {
		const struct nb_figures *f = out->side[!control_own(c, dir)];
		uint64_t ns = 0, bytes = 0, packets = 0;

		for (i = 0; i < run->nr; i++) {
			if (nb_stream_dir(run->test, i) != dir)
				continue;
			ns = MAX(ns, f[i].ns);
			bytes += f[i].bytes;
			packets += f[i].packets;
		}
		control_line(c, dir, ns, bytes, packets, true);
	}
}

int nb_run_control(struct nb_run *run, int ctl, const char *peer, int sigfd, struct nb_outcome *out,
		   struct err *err)
{
	uint32_t interval = run->test->interval_ms ? run->test->interval_ms : TICK_MS;
	struct control c = { .run = run,
			     .out = out,
			     .err = err,
			     .peer = peer,
			     .ctl = ctl,
			     .sigfd = sigfd,
			     .heard = run->go_ns };
	int e;

	/* An interval is a whole number of ticks. */
	c.tick_ns = interval * MS / ((interval + TICK_MS - 1) / TICK_MS);
	c.next_tick = run->go_ns + c.tick_ns;
	e = control_loop(&c);
	if (!run->client)
		return e ? e : control_results(&c);
	/* An end that the user asked for has figures in any case. */
	if (e && out->interrupted) {
		out->server_missing = !c.have_result;
		memset(err, 0, sizeof(*err));
		e = 0;
	}
	if (!e)
		control_collect(&c);
	return e;
}
