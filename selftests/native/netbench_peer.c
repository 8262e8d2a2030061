// SPDX-License-Identifier: GPL-2.0-only
/*
 * netbench with a peer that is not one: a server of something else, of another version, or of ill
 * will; and clients that say nothing, half a message, or ask for the impossible. The client ends
 * with one line, the server goes on.
 */
#include <endian.h>

#include "netbenchtest.h"
#include "tools/netbench/proto.h"

struct msg {
	struct nb_wire_head head;
	union nb_wire_body body;
};

static struct nbt_proc client, server;

static struct msg message(enum nb_type type, uint32_t size)
{
	return (struct msg){ .head = { .magic = htobe32(NB_MAGIC),
				       .version = htobe16(NB_VERSION),
				       .type = htobe16(type),
				       .size = htobe32(size) } };
}

/* --- a server that is not one ---------------------------------------------------------------- */

/* The client connects, sends its TEST, and gets @n bytes; then EOF, or nothing if @hold. */
static void fake_server(const void *answer, size_t n, bool hold)
{
	struct timeval tv = { .tv_sec = NBT_SECONDS };
	struct msg test;
	char args[64];
	int port, listener = nbt_listen(&port), fd;

	snprintf(args, sizeof(args), "-p %d --timeout 1 -t 1 127.0.0.1", port);
	nbt_start(&client, args);
	setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	fd = accept(listener, NULL, NULL);
	ksft_check(fd >= 0);
	recv(fd, &test, sizeof(test.head) + sizeof(test.body.test), MSG_WAITALL);
	ksft_eq(be32toh(test.head.magic), NB_MAGIC);
	if (n)
		ksft_eq(send(fd, answer, n, MSG_NOSIGNAL), n);
	if (!hold)
		shutdown(fd, SHUT_WR);
	nbt_end(&client);
	close(fd);
	close(listener);
}

static void other_protocol(void)
{
	static const char http[] = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";

	fake_server(http, sizeof(http) - 1, true);
	nbt_refused(&client,
		    "does not speak netbench's protocol: is another program on that port?");
}

static void other_version(void)
{
	struct msg m = message(NB_MSG_WELCOME, sizeof(m.body.welcome));

	m.head.version = htobe16(NB_VERSION + 1);
	fake_server(&m, sizeof(m.head) + sizeof(m.body.welcome), true);
	nbt_refused(&client, "speaks version 2 of the protocol, this netbench version 1");
}

static void short_answers(void)
{
	struct msg m = message(NB_MSG_WELCOME, sizeof(m.body.welcome));
	size_t n, all = sizeof(m.head) + sizeof(m.body.welcome);

	for (n = 0; n < all; n += 5) {
		fake_server(&m, n, false);
		nbt_refused(&client, "closed the connection before the test was over");
	}
	fake_server(&m, 0, true);
	nbt_refused(&client, "says nothing any more");
	fake_server(&m, all - 1, true);
	nbt_refused(&client, "says nothing any more");
}

static void hostile_answers(void)
{
	struct msg m = message(NB_MSG_WELCOME, UINT32_MAX);

	fake_server(&m, sizeof(m.head), true);
	nbt_refused(&client, "a message of type 3 with 4294967295 bytes");
	m = message(NB_MSG_WELCOME, 0);
	fake_server(&m, sizeof(m.head), true);
	nbt_refused(&client, "a message of type 3 with 0 bytes");
	m = message(999, 16);
	fake_server(&m, sizeof(m.head), true);
	nbt_refused(&client, "a message of type 999");
	m = message(NB_MSG_GO, 0);
	fake_server(&m, sizeof(m.head), true);
	nbt_refused(&client, "sent message 5 where 3 belongs");
}

/* A text without an end, with what would move a terminal's cursor. */
static void hostile_text(void)
{
	struct msg m = message(NB_MSG_FAILED, sizeof(m.body.failed));
	const char *p;

	memset(m.body.failed.text, 'x', sizeof(m.body.failed.text));
	memcpy(m.body.failed.text, "\033[2J\n\xff%s%n", 10);
	fake_server(&m, sizeof(m.head) + sizeof(m.body.failed), true);
	nbt_refused(&client, "?[2J??%s%nxxx");
	for (p = client.text; *p; p++)
		if ((*p < ' ' && *p != '\n') || *p > '~')
			ksft_fail("byte %d in the output", *p);
}

/* --- a server up to GO ------------------------------------------------------------------------ */

struct fake {
	int listener, ctl, data;
};

static void send_all(int fd, const struct msg *m, size_t n)
{
	ksft_eq(send(fd, m, n, MSG_NOSIGNAL), n);
}

/* A client with one stream and these options, whose test has begun. */
static void fake_begin(struct fake *f, const char *options)
{
	struct msg m = message(NB_MSG_WELCOME, sizeof(m.body.welcome)), got;
	struct timeval tv = { .tv_sec = NBT_SECONDS };
	char args[128];
	int port;

	f->listener = nbt_listen(&port);
	setsockopt(f->listener, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	snprintf(args, sizeof(args), "-p %d %s 127.0.0.1", port, options);
	nbt_start(&client, args);
	f->ctl = accept(f->listener, NULL, NULL);
	ksft_check(f->ctl >= 0);
	recv(f->ctl, &got, sizeof(got.head) + sizeof(got.body.test), MSG_WAITALL);
	send_all(f->ctl, &m, sizeof(m.head) + sizeof(m.body.welcome));
	f->data = accept(f->listener, NULL, NULL);
	ksft_check(f->data >= 0);
	recv(f->data, &got, sizeof(got.head) + sizeof(got.body.data), MSG_WAITALL);
	recv(f->ctl, &got, sizeof(got.head), MSG_WAITALL);
	ksft_eq(be16toh(got.head.type), NB_MSG_START);
	m = message(NB_MSG_GO, 0);
	send_all(f->ctl, &m, sizeof(m.head));
}

static void fake_end(struct fake *f)
{
	nbt_end(&client);
	close(f->data);
	close(f->ctl);
	close(f->listener);
}

/* The rest of a message is not waited for when the user says so. */
static void signal_during_a_message(void)
{
	static const char *const options[] = { "-t 600 --timeout 600", "-R -t 600 --timeout 600" };
	struct msg m = message(NB_MSG_PROGRESS, sizeof(m.body.progress)), got;
	struct fake f;
	size_t n;

	for (n = 0; n < ARRAY_SIZE(options); n++) {
		fake_begin(&f, options[n]);
		/* Since then it has its own idea of signals. */
		recv(f.ctl, &got, sizeof(got.head) + sizeof(got.body.progress), MSG_WAITALL);
		send_all(f.ctl, &m, n ? sizeof(m.head) + 7 : 5);
		/* It is to have begun with that. */
		usleep(200000);
		kill(client.pid, SIGINT);
		fake_end(&f);
		if (client.status != 130 || !strstr(client.text, "interrupted"))
			ksft_fail("status %d: %s", client.status, client.text);
	}
}

/* Bytes come all the time, but no message becomes whole in time. */
static void trickled_message(void)
{
	struct msg m = message(NB_MSG_PROGRESS, sizeof(m.body.progress));
	const size_t len = sizeof(m.head) + sizeof(m.body.progress);
	const uint8_t *p = (const uint8_t *)&m;
	struct fake f;
	size_t n;

	fake_begin(&f, "-R -n 1000 -i 0 --timeout 1");
	for (n = 0; n < len && send(f.ctl, p + n, 1, MSG_NOSIGNAL) == 1; n++)
		usleep(100000);
	ksft_check(n < len);
	fake_end(&f);
	ksft_eq(client.status, 1);
	ksft_check(strstr(client.text, "--timeout is how long to wait"));
}

static void hostile_figures(void)
{
	struct msg m = message(NB_MSG_STREAM, sizeof(m.body.stream));
	struct fake f;

	fake_begin(&f, "-R -n 1000 --json");
	m.body.stream.bytes = UINT64_MAX;
	send_all(f.ctl, &m, sizeof(m.head) + sizeof(m.body.stream));
	fake_end(&f);
	nbt_refused(&client, "sent figures that no test comes to");
	fake_begin(&f, "-R -n 1000");
	m = message(NB_MSG_RESULT, sizeof(m.body.result));
	m.body.result.system_us = htobe64(NB_MAX_FIGURE);
	send_all(f.ctl, &m, sizeof(m.head) + sizeof(m.body.result));
	fake_end(&f);
	nbt_refused(&client, "sent figures that no test comes to");
}

/* --- clients that are not --------------------------------------------------------------------- */

static struct msg test_message(void)
{
	struct msg m = message(NB_MSG_TEST, sizeof(m.body.test));

	m.body.test = (struct nb_wire_test){ .dirs = htobe32(1),
					     .streams = htobe32(1),
					     .length = htobe32(1000),
					     .timeout_ms = htobe32(1000),
					     .ms = htobe32(1000) };
	return m;
}

/* One message from a client, and what the server answers: the type, or 0 when it only closes. */
static unsigned int ask(int port, const struct msg *m, size_t n, struct msg *answer)
{
	int fd = nbt_connect(port);
	ssize_t got;

	ksft_check(fd >= 0);
	if (n)
		ksft_eq(send(fd, m, n, MSG_NOSIGNAL), n);
	shutdown(fd, SHUT_WR);
	memset(answer, 0, sizeof(*answer));
	got = recv(fd, answer, sizeof(*answer), MSG_WAITALL);
	close(fd);
	return got < (ssize_t)sizeof(answer->head) ? 0 : be16toh(answer->head.type);
}

/* Others are served, at once and afterwards. */
static void still_serves(int port)
{
	nbt_client(&client, port, "-n 100000 --verify");
	nbt_passed(&client);
}

static void short_handshakes(void)
{
	struct msg m = test_message(), answer;
	int port = nbt_server(&server), idle[8], half;
	unsigned int n;

	for (n = 0; n < ARRAY_SIZE(idle); n++)
		idle[n] = nbt_connect(port);
	half = nbt_connect(port);
	ksft_eq(send(half, &m, 10, MSG_NOSIGNAL), 10);
	still_serves(port);
	for (n = 0; n < sizeof(m.head) + sizeof(m.body.test); n += 7)
		ksft_eq(ask(port, &m, n, &answer), 0);
	still_serves(port);
	for (n = 0; n < ARRAY_SIZE(idle); n++)
		close(idle[n]);
	close(half);
	nbt_server_end(&server);
}

static void bad_first_messages(void)
{
	struct msg m = test_message(), answer;
	int port = nbt_server(&server);

	m.head.magic = 0;
	ksft_eq(ask(port, &m, sizeof(m), &answer), 0);
	m = test_message();
	m.head.version = htobe16(77);
	ksft_eq(ask(port, &m, sizeof(m.head), &answer), NB_MSG_FAILED);
	ksft_check(strstr(answer.body.failed.text, "speaks version 77 of the protocol"));
	m = test_message();
	m.head.size = UINT32_MAX;
	ksft_eq(ask(port, &m, sizeof(m), &answer), 0);
	m = message(NB_MSG_RESULT, sizeof(m.body.result));
	ksft_eq(ask(port, &m, sizeof(m.head) + sizeof(m.body.result), &answer), 0);
	/* A data connection of no test. */
	m = message(NB_MSG_DATA, sizeof(m.body.data));
	ksft_eq(ask(port, &m, sizeof(m.head) + sizeof(m.body.data), &answer), 0);
	still_serves(port);
	nbt_server_end(&server);
}

#define TOO(field, value, want)                                                           \
	do {                                                                              \
		struct msg m_ = test_message(), answer_;                                  \
		m_.body.test.field = (value);                                             \
		ksft_eq(ask(port, &m_, sizeof(m_.head) + sizeof(m_.body.test), &answer_), \
			NB_MSG_FAILED);                                                   \
		if (!strstr(answer_.body.failed.text, (want)))                            \
			ksft_fail("%s: %s", #field, answer_.body.failed.text);            \
	} while (0)

static void hostile_tests(void)
{
	int port = nbt_server(&server);

	TOO(kind, htobe32(3), "there is no such test");
	TOO(kind, UINT32_MAX, "there is no such test");
	TOO(dirs, 0, "there is no such test");
	TOO(dirs, htobe32(4), "there is no such test");
	TOO(streams, 0, "-P 0: wants 1 to 128");
	TOO(streams, UINT32_MAX, "-P 4294967295: wants 1 to 128");
	TOO(length, 0, "-l 0: wants 1 to");
	TOO(length, UINT32_MAX, "-l 4294967295: wants 1 to");
	TOO(ms, 0, "wants either");
	TOO(ms, UINT32_MAX, "wants either");
	TOO(bytes, htobe64(5), "wants either");
	TOO(rate, htobe64(5), "-b 5: wants -u");
	TOO(timeout_ms, 0, "--timeout 0 ms");
	TOO(timeout_ms, UINT32_MAX, "--timeout 4294967295 ms");
	TOO(interval_ms, htobe32(1), "-i 1 ms");
	still_serves(port);
	nbt_server_end(&server);
}

/* WELCOME, and then the wrong thing: the next client finds the server free. */
static int begin_test(int port, unsigned int kind, struct msg *welcome)
{
	struct msg m = test_message();
	int fd = nbt_connect(port);

	m.body.test.kind = htobe32(kind);
	ksft_eq(send(fd, &m, sizeof(m.head) + sizeof(m.body.test), MSG_NOSIGNAL),
		sizeof(m.head) + sizeof(m.body.test));
	ksft_eq(recv(fd, welcome, sizeof(m.head) + sizeof(m.body.welcome), MSG_WAITALL),
		sizeof(m.head) + sizeof(m.body.welcome));
	ksft_eq(be16toh(welcome->head.type), NB_MSG_WELCOME);
	return fd;
}

static void send_data(int port, const struct msg *welcome, uint32_t stream, int *fd)
{
	struct msg m = message(NB_MSG_DATA, sizeof(m.body.data));

	memcpy(m.body.data.cookie, welcome->body.welcome.cookie, NB_COOKIE);
	m.body.data.stream = htobe32(stream);
	*fd = nbt_connect(port);
	ksft_eq(send(*fd, &m, sizeof(m.head) + sizeof(m.body.data), MSG_NOSIGNAL),
		sizeof(m.head) + sizeof(m.body.data));
}

static bool closed(int fd)
{
	char c;

	return recv(fd, &c, 1, 0) <= 0;
}

static void bad_data_connections(void)
{
	int port = nbt_server(&server), ctl, fd, i;
	struct msg welcome, wrong;

	ctl = begin_test(port, 0, &welcome);
	/* Not this test's cookie; streams that it does not have. */
	wrong = welcome;
	wrong.body.welcome.cookie[NB_COOKIE - 1] ^= 1;
	send_data(port, &wrong, 0, &fd);
	ksft_check(closed(fd));
	close(fd);
	for (i = 0; i < 3; i++) {
		send_data(port, &welcome, i ? UINT32_MAX >> (i - 1) : 1, &fd);
		ksft_check(closed(fd));
		close(fd);
	}
	close(ctl);
	still_serves(port);
	nbt_server_end(&server);
}

/* The server ends the test, and says why. */
static void test_refused(int ctl, const char *want)
{
	struct msg answer;
	size_t len = sizeof(answer.head) + sizeof(answer.body.failed);

	ksft_eq(recv(ctl, &answer, len, MSG_WAITALL), len);
	ksft_eq(be16toh(answer.head.type), NB_MSG_FAILED);
	if (!strstr(answer.body.failed.text, want))
		ksft_fail("wanted %s, have %s", want, answer.body.failed.text);
}

static void lost_interest(void)
{
	struct msg welcome, m = message(NB_MSG_START, 0);
	int port = nbt_server(&server), ctl;

	ctl = begin_test(port, 0, &welcome);
	close(ctl);
	still_serves(port);
	/* START without its data connections. */
	ctl = begin_test(port, 0, &welcome);
	ksft_eq(send(ctl, &m, sizeof(m.head), MSG_NOSIGNAL), sizeof(m.head));
	test_refused(ctl, "1 of 1 data connections did not get");
	close(ctl);
	/* UDP without a datagram. */
	ctl = begin_test(port, 1, &welcome);
	test_refused(ctl, "did not start its UDP streams in time");
	close(ctl);
	/* And START before there is a stream. */
	ctl = begin_test(port, 1, &welcome);
	ksft_eq(send(ctl, &m, sizeof(m.head), MSG_NOSIGNAL), sizeof(m.head));
	test_refused(ctl, "where START belongs");
	close(ctl);
	still_serves(port);
	nbt_server_end(&server);
}

/* A client that has begun, and its server, whom another one then wants. */
static void busy(void)
{
	int port = nbt_server(&server), ctl, data;
	struct msg welcome, m = message(NB_MSG_START, 0), go;
	struct msg hostile = message(NB_MSG_STREAM, sizeof(m.body.stream));
	struct msg test = test_message();

	test.body.test.timeout_ms = htobe32(60000);
	ctl = nbt_connect(port);
	ksft_check(send(ctl, &test, sizeof(test.head) + sizeof(test.body.test), MSG_NOSIGNAL) > 0);
	ksft_check(recv(ctl, &welcome, sizeof(m.head) + sizeof(m.body.welcome), MSG_WAITALL) > 0);
	nbt_client(&client, port, "-n 1000");
	nbt_refused(&client, "the server is busy with another one's test");
	/* A message that a client has no business to send ends the test, and nothing else. */
	send_data(port, &welcome, 0, &data);
	ksft_eq(send(ctl, &m, sizeof(m.head), MSG_NOSIGNAL), sizeof(m.head));
	ksft_eq(recv(ctl, &go, sizeof(go.head), MSG_WAITALL), sizeof(go.head));
	ksft_eq(be16toh(go.head.type), NB_MSG_GO);
	hostile.body.stream.stream = htobe32(9999);
	ksft_check(send(ctl, &hostile, sizeof(hostile.head) + sizeof(hostile.body.stream),
			MSG_NOSIGNAL) > 0);
	ksft_check(closed(data));
	close(data);
	close(ctl);
	still_serves(port);
	nbt_server_end(&server);
}

int main(int argc, char **argv)
{
	ksft_case("client: a server of something else", other_protocol);
	ksft_case("client: a server of another version", other_version);
	ksft_case("client: answers that end early, or stay out", short_answers);
	ksft_case("client: answers with hostile types and sizes", hostile_answers);
	ksft_case("client: an answer with a hostile text", hostile_text);
	ksft_case("client: ^C in the middle of a message", signal_during_a_message);
	ksft_case("client: a message that trickles", trickled_message);
	ksft_case("client: figures that cannot be", hostile_figures);
	ksft_case("server: silent and short handshakes are in nobody's way", short_handshakes);
	ksft_case("server: wrong first messages", bad_first_messages);
	ksft_case("server: tests out of bounds", hostile_tests);
	ksft_case("server: data connections of no test", bad_data_connections);
	ksft_case("server: clients that leave before GO", lost_interest);
	ksft_case("server: busy, and a message out of turn", busy);
	return ksft_run(argc, argv);
}
