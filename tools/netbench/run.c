// SPDX-License-Identifier: GPL-2.0-only
/*
 * The streams of one side, client's or server's: their threads, which begin at GO. Called by
 * client.c and server.c; control.c watches the threads meanwhile. A stream's fields belong to its
 * thread until it has set @ended; the counters in @now may be read before.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "control.h"
#include "pattern.h"

int nb_run_init(struct nb_run *run, const struct nb_test *test, bool client)
{
	unsigned int i;

	run->test = test;
	run->client = client;
	run->nr = test->streams * (test->dirs == NB_BOTH ? 2 : 1);
	run->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (run->wake < 0)
		return -errno;
	run->streams = aligned_alloc(CACHE_LINE, run->nr * sizeof(*run->streams));
	if (!run->streams)
		return -ENOMEM;
	memset(run->streams, 0, run->nr * sizeof(*run->streams));
	for (i = 0; i < run->nr; i++) {
		run->streams[i].run = run;
		run->streams[i].index = i;
		run->streams[i].fd = -1;
		run->streams[i].sends = (nb_stream_dir(test, i) == NB_TO_SERVER) == client;
	}
	for (i = 0; i < run->nr && test->kind == NB_RR && client; i++) {
		run->streams[i].hist = calloc(1, sizeof(*run->streams[i].hist));
		if (!run->streams[i].hist)
			return -ENOMEM;
	}
	return 0;
}

uint32_t nb_stream_dir(const struct nb_test *test, uint32_t index)
{
	if (test->dirs != NB_BOTH)
		return test->dirs;
	return index < test->streams ? NB_TO_SERVER : NB_TO_CLIENT;
}

void nb_stream_name(const struct nb_test *test, uint32_t index, char *text, size_t size)
{
	snprintf(text, size, "stream %u %s", index % test->streams,
		 nb_stream_dir(test, index) == NB_TO_SERVER ? "to the server" : "to the client");
}

static int run_work(struct nb_stream *s, char *buf)
{
	switch (s->run->test->kind) {
	case NB_TCP:
		return s->sends ? nb_tcp_send(s, buf) : nb_tcp_receive(s, buf);
	case NB_UDP:
		return s->sends ? nb_udp_send(s, buf) : nb_udp_receive(s, buf);
	default:
		return s->sends ? nb_rr_ask(s, buf) : nb_rr_answer(s, buf);
	}
}

static void *run_thread(void *arg)
{
	struct nb_stream *s = arg;
	const struct nb_test *t = s->run->test;
	size_t space = t->kind == NB_UDP ? nb_udp_space(t) : t->length;
	uint64_t one = 1;
	char *buf;

	nb_sock_timeouts(s->fd, t->timeout_ms, t->timeout_ms);
	/* Page-aligned, and written to: what is measured is the network, not page faults. */
	buf = aligned_alloc(4096, ALIGN_UP(space, 4096));
	if (buf) {
		nb_pattern_fill(buf, space, s->index, 0);
		s->err = run_work(s, buf);
	} else {
		s->err = -ENOMEM;
	}
	free(buf);
	/* A UDP receiver knows better: when the last datagram came. */
	if (!s->now.ns)
		s->now.ns = nb_now_ns() - s->run->go_ns;
	/* Pairs with the load in nb_run_alive(). */
	store_release(&s->ended, true);
	if (write(s->run->wake, &one, sizeof(one)) < 0)
		return NULL; /* full: then it has been written to already */
	return NULL;
}

unsigned int nb_run_alive(const struct nb_run *run, bool sends)
{
	unsigned int i, alive = 0;

	for (i = 0; i < run->nr; i++)
		if (run->streams[i].sends == sends)
			/* Pairs with the store in run_thread(). */
			alive += !load_acquire(&run->streams[i].ended);
	return alive;
}

void nb_cpu_now(struct nb_cpu *cpu)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	cpu->user_us = u.ru_utime.tv_sec * 1000000ull + u.ru_utime.tv_usec;
	cpu->system_us = u.ru_stime.tv_sec * 1000000ull + u.ru_stime.tv_usec;
}

void nb_run_go(struct nb_run *run)
{
	nb_cpu_now(&run->cpu);
	run->go_ns = nb_now_ns();
}

int nb_run_start(struct nb_run *run, struct err *err)
{
	unsigned int i;
	int e;

	for (i = 0; i < run->nr; i++) {
		e = pthread_create(&run->streams[i].thread, NULL, run_thread, &run->streams[i]);
		if (e)
			return err_set(err, -e,
				       "cannot start a thread for stream %u: %s: raise "
				       "`ulimit -u`, or take less streams with -P",
				       i, strerror(e));
		run->streams[i].started = true;
	}
	return 0;
}

void nb_run_sum(const struct nb_run *run, bool sends, struct nb_figures *sum)
{
	unsigned int i;

	memset(sum, 0, sizeof(*sum));
	for (i = 0; i < run->nr; i++) {
		if (run->streams[i].sends != sends)
			continue;
		sum->bytes += load_once(&run->streams[i].now.bytes);
		sum->packets += load_once(&run->streams[i].now.packets);
	}
}

void nb_run_end(struct nb_run *run)
{
	unsigned int i;

	store_once(&run->stop, true);
	store_once(&run->quit, true);
	/* All of them first: a thread that waits for data waits no longer. */
	for (i = 0; run->streams && i < run->nr; i++)
		if (run->streams[i].started && !load_acquire(&run->streams[i].ended))
			shutdown(run->streams[i].fd, SHUT_RDWR);
	for (i = 0; run->streams && i < run->nr; i++) {
		if (run->streams[i].started)
			pthread_join(run->streams[i].thread, NULL);
		if (run->streams[i].fd >= 0)
			close(run->streams[i].fd);
		free(run->streams[i].hist);
	}
	free(run->streams);
	run->streams = NULL;
	if (run->wake > 0)
		close(run->wake);
	run->wake = 0;
}
