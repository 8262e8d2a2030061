/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What netbench's files share: the test, the streams, and what came out.
 *
 * Threads: each stream has a thread of its own, which blocks in one send() or recv() per message.
 * An epoll loop would make one thread share its time among the streams, with a system call more
 * for each wake-up, and could not use a second processor; streams are few, and nothing is shared
 * between them. The thread that holds the control connection does everything else.
 */
#ifndef NETBENCH_H
#define NETBENCH_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "hist.h"
#include "lib/err.h"
#include "lib/util.h"
#include "proto.h"

enum nb_kind { NB_TCP, NB_UDP, NB_RR, NB_KINDS };

#define NB_TO_SERVER 1u
#define NB_TO_CLIENT 2u
#define NB_BOTH	     (NB_TO_SERVER | NB_TO_CLIENT)

/* For a first message, which has no time-out of the test yet. */
#define NB_HANDSHAKE_MS 10000
/* Bounds of --timeout. */
#define NB_MIN_TIMEOUT_MS 1000u
#define NB_MAX_TIMEOUT_MS 600000u

/* What is measured: the fields of struct nb_wire_test. */
struct nb_test {
	enum nb_kind kind;
	uint32_t dirs, streams, length, interval_ms, timeout_ms, ms;
	uint64_t bytes, rate;
	bool verify;
};

/* The command line. */
struct nb_options {
	bool server, once, json, v4, v6;
	const char *host, *bind;
	uint32_t port, wait_ms;
	struct nb_test test;
};

/* What one side has counted of one stream; fields as in struct nb_wire_stream. */
struct nb_figures {
	uint64_t bytes, packets, reordered, retrans, ns;
};

struct nb_cpu {
	uint64_t user_us, system_us;
};

struct nb_run;

/**
 * struct nb_stream - one end of a stream, and its thread
 * @fd:	    connected; closed by nb_run_end()
 * @index:  number in the test, see proto.h
 * @sends:  this side sends; rr: this side asks
 * @now:    counters, stored by the thread as it goes, read by the control thread
 * @err:    0 or why the thread ended early; for the control thread once @ended is set
 * @ended:  the thread's last store, released; acquired by nb_run_alive()
 * @bad:    with -EBADMSG: offset of the first byte that was not what it should be
 * @hist:   rr: round trips in ns, of the side that asks
 */
struct nb_stream {
	struct nb_figures now;
	struct nb_run *run;
	struct nb_hist *hist;
	pthread_t thread;
	uint64_t bad;
	uint32_t index;
	int fd, err;
	bool sends, started, ended;
} __attribute__((aligned(CACHE_LINE)));

/**
 * struct nb_run - all streams of this side
 * @streams: test->streams * directions of them, by their index
 * @wake:    an eventfd, written to by threads that end
 * @stop:    senders shall end; stored by the control thread only, as the next
 * @quit:    receivers of UDP shall end when it has become quiet
 * @go_ns:   when the test began
 */
struct nb_run {
	const struct nb_test *test;
	struct nb_stream *streams;
	unsigned int nr;
	int wake;
	bool stop, quit, client;
	uint64_t go_ns;
	struct nb_cpu cpu; /* of the process: since GO once nb_run_end() was called */
};

/**
 * struct nb_outcome - everything that a report says; filled by the client
 * @side:	    [0] what the client counted, [1] what the server did
 * @interrupted: by the user; @server_missing: and the server's figures did not come
 * @log, @nr_log:  progress lines; the first NB_MAX_LOG
 */
#define NB_MAX_LOG 4096
struct nb_interval {
	uint32_t dir;
	double from, to; /* seconds since GO */
	uint64_t bytes, packets;
};

struct nb_outcome {
	struct nb_figures side[2][2 * NB_MAX_STREAMS];
	struct nb_cpu cpu[2];
	struct nb_hist hist;
	bool interrupted, server_missing;
	char address[64];
	struct nb_interval *log;
	unsigned int nr_log;
};

/* The two sums of a direction, and its name; report.c. */
struct nb_total {
	struct nb_figures sent, received;
	double seconds, bps;
	uint64_t lost;
};

/* --- sock.c: sockets, each with its one clear line when it does not work ------------------- */

/** nb_now_ns - nanoseconds on a clock that never steps */
uint64_t nb_now_ns(void);

/** nb_sock_text - "10.0.2.15 port 5301", "::1 port 5301" */
void nb_sock_text(const struct sockaddr *addr, socklen_t len, char *text, size_t size);

/** nb_sock_listen - the server's TCP socket; -errno with @err set */
int nb_sock_listen(const struct nb_options *opt, struct err *err);

/**
 * nb_sock_connect - find the server and connect to it
 * @addr: receives the address that answered
 *
 * Return: the control connection, or -errno with @err set. Takes at most the test's time-out for
 * each of the host's addresses, and tries again for opt->wait_ms.
 */
int nb_sock_connect(const struct nb_options *opt, struct sockaddr_storage *addr, socklen_t *len,
		    struct err *err);

/**
 * nb_sock_like - one more socket to where @ctl goes to, or (UDP, server) where it comes from
 * @type:   SOCK_STREAM: connected; SOCK_DGRAM: connected for the client, bound for the server
 */
int nb_sock_like(int ctl, int type, bool client, uint32_t timeout_ms, struct err *err);

/** nb_sock_timeouts - blocking calls end with EAGAIN after so long without progress */
void nb_sock_timeouts(int fd, uint32_t recv_ms, uint32_t send_ms);

/** nb_sock_retrans - TCP segments that had to be sent again */
uint64_t nb_sock_retrans(int fd);

/* --- ctl.c: messages of the control connection --------------------------------------------- */

/**
 * nb_ctl_recv - one message
 * @type: receives its type
 * @body: receives it, in host byte order, checked as far as one message can be by itself
 * @ms:   for the whole message
 *
 * Return: 0; -ECONNRESET when the peer closed the connection, -ETIMEDOUT, -EPROTO (not this
 * protocol), -EPROTONOSUPPORT (another version), or what recv() says; @err has the line, in which
 * @peer names the other side.
 */
int nb_ctl_recv(int fd, const char *peer, enum nb_type *type, union nb_wire_body *body, uint32_t ms,
		struct err *err);

/**
 * struct nb_ctl_in - a message that is on its way; zero before the first
 * @type: of the whole message, and @body as in nb_ctl_recv()
 */
struct nb_ctl_in {
	struct nb_wire_head head;
	size_t nhead, nbody;
	enum nb_type type;
	union nb_wire_body body;
};

/**
 * nb_ctl_recv_part - what there is of a message, without waiting
 *
 * Return: 1 when it is whole, 0 when not yet, or an error as nb_ctl_recv().
 */
int nb_ctl_recv_part(int fd, const char *peer, struct nb_ctl_in *in, struct err *err);

/** nb_ctl_send - one message, @body in host byte order; NULL if the type has none */
int nb_ctl_send(int fd, enum nb_type type, const union nb_wire_body *body);

/** nb_ctl_fail - tell the peer why the test ends; as well as it goes */
void nb_ctl_fail(int fd, const struct err *why);

/** nb_test_check - are the values within their bounds and do they go together? */
int nb_test_check(const struct nb_test *test, struct err *err);

void nb_test_to_wire(const struct nb_test *test, struct nb_wire_test *wire);
void nb_test_from_wire(const struct nb_wire_test *wire, struct nb_test *test);

/* --- run.c: the streams of one side, from GO to the end ------------------------------------ */

/** nb_run_init - room for all streams; @run is zero before. -ENOMEM, -EMFILE */
int nb_run_init(struct nb_run *run, const struct nb_test *test, bool client);

/**
 * nb_run_go - the test's time begins. The server calls it before it sends GO: the bytes to it are
 * then never divided by less than the time that they were sent in.
 */
void nb_run_go(struct nb_run *run);

/** nb_run_start - after nb_run_go(): one thread for each stream; every fd must be there */
int nb_run_start(struct nb_run *run, struct err *err);

/**
 * nb_run_control - serve the control connection until the test has ended
 * @ctl:    control connection
 * @sigfd:  a signalfd whose first signal means STOP, or -1
 * @out:    the client's; NULL for the server
 *
 * Return: 0, or why it failed, with @err set. On return of 0 all threads have ended, and the client
 * has the server's figures, unless it was interrupted and the server did not say any more.
 */
int nb_run_control(struct nb_run *run, int ctl, const char *peer, int sigfd, struct nb_outcome *out,
		   struct err *err);

/** nb_run_end - make threads end if they have not, wait for them, free everything. Idempotent. */
void nb_run_end(struct nb_run *run);

/** nb_run_sum - of the streams that this side receives (or sends, answers...) */
void nb_run_sum(const struct nb_run *run, bool sends, struct nb_figures *sum);

/** nb_stream_dir - NB_TO_SERVER or NB_TO_CLIENT */
uint32_t nb_stream_dir(const struct nb_test *test, uint32_t index);

/** nb_stream_name - "stream 3 to the server" */
void nb_stream_name(const struct nb_test *test, uint32_t index, char *text, size_t size);

/* --- tcp.c, udp.c, rr.c: what threads do; 0 or -errno --------------------------------------- */

int nb_tcp_send(struct nb_stream *s, char *buf);
int nb_tcp_receive(struct nb_stream *s, char *buf);
int nb_udp_send(struct nb_stream *s, char *buf);
int nb_udp_receive(struct nb_stream *s, char *buf);
int nb_rr_ask(struct nb_stream *s, char *buf);
int nb_rr_answer(struct nb_stream *s, char *buf);

/** nb_udp_space - bytes of @buf that the two of UDP need */
size_t nb_udp_space(const struct nb_test *test);

/** nb_udp_open - client: make all streams known to the server */
int nb_udp_open(struct nb_run *run, int ctl, const uint8_t *cookie, struct err *err);

/** nb_udp_accept - server: the other side of it; returns when START has come */
int nb_udp_accept(struct nb_run *run, int ctl, const char *peer, const uint8_t *cookie,
		  struct err *err);

/* --- both ends ------------------------------------------------------------------------------ */

/** nb_server - serve until killed, or, with -1, one test. Return: the exit status */
int nb_server(const struct nb_options *opt);

/** nb_client - one test, and its report. Return: the exit status */
int nb_client(const struct nb_options *opt);

/** nb_options_parse - Return: 0, 1 when --help or --version was served, -EINVAL with @err set */
int nb_options_parse(int argc, char **argv, struct nb_options *opt, struct err *err);

/* --- report.c, json.c ------------------------------------------------------------------------ */

void nb_total(const struct nb_test *test, const struct nb_outcome *out, uint32_t dir,
	      struct nb_total *total);
const char *nb_dir_name(uint32_t dir);

/** nb_report_begin, nb_report_interval, nb_report - for people, the last one on stdout */
void nb_report_begin(const struct nb_options *opt, const struct nb_outcome *out);
void nb_report_interval(const struct nb_test *test, const struct nb_interval *i);
void nb_report(const struct nb_options *opt, const struct nb_outcome *out);

/** nb_json - one object, in one line, on stdout. Return: 0 or -errno */
int nb_json(const struct nb_options *opt, const struct nb_outcome *out);
int nb_json_error(const struct err *err);

/** nb_report_to - where progress goes: stdout, or stderr with --json */
void nb_report_to(bool json);

#endif
