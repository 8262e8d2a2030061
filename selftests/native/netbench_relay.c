// SPDX-License-Identifier: GPL-2.0-only
/*
 * netbench with a relay between client and server, which changes a byte, ends a connection, or
 * stops moving anything: what a bad network, or a bad network card, would do. Both must see it, say
 * it in one line, and the server must serve the next client.
 *
 * The relay takes connections one by one, so that number 0 is the control connection and number
 * N + 1 stream N. Each direction of each connection has a thread, which moves what comes until the
 * plan says otherwise.
 */
#include "netbenchtest.h"

enum deed { NOTHING, FLIP, CUT_ALL, END_ONE, STALL };

#define UP	 0 /* from client to server */
#define DOWN	 1
#define MAX_CONN 16

static struct plan {
	enum deed deed;
	int conn, dir;
	uint64_t at; /* byte of that direction of that connection, its first message included */
} plan;

static struct {
	int server_port, listener, nr, stop[2];
	int fds[MAX_CONN][2]; /* UP comes from [0] and goes to [1] */
	pthread_t taker, movers[MAX_CONN][2];
} relay;

struct mover {
	int conn, dir;
};

static void cut(int how, int conn)
{
	shutdown(relay.fds[conn][0], how);
	shutdown(relay.fds[conn][1], how);
}

/* Return: false when this direction is not to be moved any further. */
static bool act(const struct mover *m, char *buf, ssize_t n, uint64_t done)
{
	struct pollfd p = { .fd = relay.stop[0], .events = POLLIN };
	int i;

	if (plan.deed == NOTHING || m->conn != plan.conn || m->dir != plan.dir || plan.at < done ||
	    plan.at >= done + n)
		return true;
	switch (plan.deed) {
	case FLIP:
		buf[plan.at - done] ^= 0x10;
		return true;
	case CUT_ALL:
		for (i = 0; i < relay.nr; i++)
			cut(SHUT_RDWR, i);
		return false;
	case END_ONE:
		cut(SHUT_RDWR, m->conn);
		return false;
	default:
		/* Nothing is lost, nothing moves, until the test is over. */
		poll(&p, 1, -1);
		return false;
	}
}

static void *mover(void *arg)
{
	struct mover *m = arg;
	int from = relay.fds[m->conn][m->dir], to = relay.fds[m->conn][!m->dir];
	uint64_t done = 0;
	char buf[16384];
	ssize_t n;

	while ((n = recv(from, buf, sizeof(buf), 0)) > 0) {
		if (!act(m, buf, n, done) || send(to, buf, n, MSG_NOSIGNAL) != n)
			break;
		done += n;
	}
	shutdown(to, SHUT_WR);
	free(m);
	return NULL;
}

static void *taker(void *arg)
{
	struct mover *m;
	int fd, dir;

	(void)arg;
	while (relay.nr < MAX_CONN && (fd = accept(relay.listener, NULL, NULL)) >= 0) {
		relay.fds[relay.nr][0] = fd;
		relay.fds[relay.nr][1] = nbt_connect(relay.server_port);
		for (dir = UP; dir <= DOWN; dir++) {
			m = malloc(sizeof(*m));
			*m = (struct mover){ relay.nr, dir };
			pthread_create(&relay.movers[relay.nr][dir], NULL, mover, m);
		}
		relay.nr++;
	}
	return NULL;
}

static int relay_start(int server_port, struct plan p)
{
	int port;

	plan = p;
	memset(&relay, 0, sizeof(relay));
	relay.server_port = server_port;
	relay.listener = nbt_listen(&port);
	ksft_eq(pipe(relay.stop), 0);
	pthread_create(&relay.taker, NULL, taker, NULL);
	return port;
}

static void relay_end(void)
{
	int i, dir;

	close(relay.stop[1]);
	shutdown(relay.listener, SHUT_RDWR);
	pthread_join(relay.taker, NULL);
	/* The client has gone: that travels to the server, and back. */
	for (i = 0; i < relay.nr; i++) {
		for (dir = UP; dir <= DOWN; dir++)
			pthread_join(relay.movers[i][dir], NULL);
		close(relay.fds[i][0]);
		close(relay.fds[i][1]);
	}
	close(relay.listener);
	close(relay.stop[0]);
}

static struct nbt_proc client, server;

/* One client through the relay, and one directly, which must be served as if nothing had been. */
static void through(const char *args, struct plan p)
{
	static struct nbt_proc next;
	int port = nbt_server(&server);

	nbt_client(&client, relay_start(port, p), args);
	relay_end();
	nbt_client(&next, port, "-n 100000 --verify");
	nbt_passed(&next);
	nbt_server_end(&server);
}

/* The first message of a data connection. */
#define DATA_MESSAGE 40

static void clean(void)
{
	through("-n 1000000 --verify --bidir -P 2", (struct plan){ .deed = NOTHING });
	nbt_passed(&client);
	through("--rr -n 50 --verify -l 5000", (struct plan){ .deed = NOTHING });
	nbt_passed(&client);
}

static void flip_up(void)
{
	struct plan p = { FLIP, 2, UP, DATA_MESSAGE + 123457 };

	through("-n 1000000 --verify -P 2", p);
	nbt_refused(&client, "stream 1 to the server: byte 123457 is not what was sent");
}

static void flip_down(void)
{
	through("-R -n 50M --verify", (struct plan){ FLIP, 1, DOWN, 999999 });
	nbt_refused(&client, "stream 0 to the client: byte 999999 is not what was sent");
	/* The server's log has it, too. */
	if (!strstr(server.text, "byte 999999 is not what was sent"))
		ksft_fail("%s", server.text);
}

static void flip_unseen(void)
{
	through("-n 1000000", (struct plan){ FLIP, 1, UP, DATA_MESSAGE + 5 });
	nbt_passed(&client);
}

static void flip_rr(void)
{
	through("--rr -n 50 --verify -l 100", (struct plan){ FLIP, 1, UP, DATA_MESSAGE + 1234 });
	nbt_refused(&client, "stream 0 to the server: byte 1234 is not what was sent");
	through("--rr -n 50 --verify -l 100", (struct plan){ FLIP, 1, DOWN, 321 });
	nbt_refused(&client, "stream 0 to the server: byte 321 is not what was sent");
}

static void cut_all(void)
{
	struct plan p = { CUT_ALL, 1, UP, DATA_MESSAGE + 500000 };

	through("-t 50", p);
	nbt_refused(&client, "127.0.0.1 port");
	p.dir = DOWN;
	through("-t 50 -R -P 3", p);
	nbt_refused(&client, "127.0.0.1 port");
	through("-t 50 --rr", (struct plan){ CUT_ALL, 1, DOWN, 200 });
	nbt_refused(&client, "127.0.0.1 port");
}

/* The server's own words come by the control connection, which is whole. */
static void end_one(void)
{
	through("-t 50", (struct plan){ END_ONE, 1, UP, DATA_MESSAGE + 500000 });
	nbt_refused(&client, "stream 0 to the server");
	through("-n 1000000 -R", (struct plan){ END_ONE, 1, DOWN, 500000 });
	nbt_refused(&client, "stream 0 to the client");
	through("-t 50 --rr", (struct plan){ END_ONE, 1, DOWN, 100 });
	nbt_refused(&client, "stream 0 to the server");
}

static void stall(void)
{
	through("-t 50 --timeout 1", (struct plan){ STALL, 1, UP, DATA_MESSAGE + 500000 });
	nbt_refused(&client, "for 1 s");
	through("-t 50 --timeout 1 -R", (struct plan){ STALL, 1, DOWN, 500000 });
	nbt_refused(&client, "for 1 s");
	through("-t 50 --timeout 1 --rr", (struct plan){ STALL, 1, UP, DATA_MESSAGE + 100 });
	nbt_refused(&client, "for 1 s");
	/* The control connection, while data goes on. */
	through("-t 50 --timeout 1", (struct plan){ STALL, 0, DOWN, 50 });
	nbt_refused(&client, "--timeout is how long to wait");
}

/* A control connection that stops in the middle of its first messages. */
static void stall_early(void)
{
	through("-t 50 --timeout 1", (struct plan){ STALL, 0, UP, 20 });
	nbt_refused(&client, "says nothing any more");
	through("-t 50 --timeout 1", (struct plan){ STALL, 0, DOWN, 0 });
	nbt_refused(&client, "says nothing any more");
	through("-t 50 --timeout 1", (struct plan){ STALL, 1, UP, 0 });
	nbt_refused(&client, "1 of 1 data connections did not get to the server");
}

int main(int argc, char **argv)
{
	ksft_case("a relay that only relays", clean);
	ksft_case("a changed byte on the way to the server", flip_up);
	ksft_case("a changed byte on the way to the client", flip_down);
	ksft_case("a changed byte that nobody asked for", flip_unseen);
	ksft_case("a changed byte in a request, and in a response", flip_rr);
	ksft_case("all connections break", cut_all);
	ksft_case("one stream's connection breaks", end_one);
	ksft_case("nothing moves any more", stall);
	ksft_case("nothing moves from the beginning", stall_early);
	return ksft_run(argc, argv);
}
