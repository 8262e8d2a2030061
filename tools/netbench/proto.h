/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * netbench's protocol, version 1: what goes over the wire. Everything is in network byte order, big
 * endian; every structure has its size asserted and no padding. Only ctl.c and udp.c convert.
 *
 * All TCP connections go to the server's one port, and begin with a message: a head, and a body of
 * exactly the size that belongs to its type. The client's first connection is the control
 * connection:
 *
 *	client			server
 *	TEST		->			what shall be measured
 *			<-	WELCOME		the cookie, or FAILED
 *	(data connections, each with one DATA message; UDP: datagrams of struct nb_wire_hello)
 *	START		->
 *			<-	GO		all connections are there; both sides begin
 *	PROGRESS	<->	PROGRESS	at least once a second: silence means a dead peer
 *	SENT		<->	SENT		UDP: that side's senders are done
 *	STOP		->			the user does not want to wait for the end
 *			<-	STREAM...	what the server counted, one for each stream
 *			<-	RESULT		that was all
 *
 * FAILED may come from either side, at any time after TEST, and ends the test.
 *
 * Streams are numbered from 0: first those to the server, then those to the client. A TCP stream
 * of bytes ends with the sender's FIN. Anything that is not as described here ends the connection.
 */
#ifndef NETBENCH_PROTO_H
#define NETBENCH_PROTO_H

#include <stdint.h>

#define NB_MAGIC       0x4c4e4231u /* "LNB1" */
#define NB_VERSION     1
#define NB_PORT	       5301
#define NB_COOKIE      16
#define NB_MAX_STREAMS 128		   /* of one direction */
#define NB_MAX_LENGTH  (16u << 20)	   /* bytes of a message */
#define NB_MAX_UDP     65507u		   /* bytes of a datagram */
#define NB_MAX_BUFFERS (256u << 20)	   /* bytes: length * streams of all directions */
#define NB_MAX_MS      86400000u	   /* of a test */
#define NB_MAX_BYTES   (1ull << 50)	   /* of a direction */
#define NB_MAX_FIGURE  (1ull << 55)	   /* what is counted of a stream: bytes, ns, ... */
#define NB_MAX_RATE    1000000000000000ull /* bits per second */

enum nb_type {
	NB_MSG_TEST = 1,
	NB_MSG_DATA,
	NB_MSG_WELCOME,
	NB_MSG_START,
	NB_MSG_GO,
	NB_MSG_PROGRESS,
	NB_MSG_SENT,
	NB_MSG_STOP,
	NB_MSG_STREAM,
	NB_MSG_RESULT,
	NB_MSG_FAILED,
	NB_MSG_TYPES,
};

struct nb_wire_head {
	uint32_t magic;
	uint16_t version;
	uint16_t type;
	uint32_t size; /* of the body */
	uint32_t zero;
};

struct nb_wire_test {
	uint32_t kind;	  /* enum nb_kind */
	uint32_t dirs;	  /* NB_TO_SERVER, NB_TO_CLIENT, or both */
	uint32_t streams; /* of each direction */
	uint32_t length;  /* bytes of a message, or of a datagram with its header */
	uint32_t flags;	  /* NB_FLAG_* */
	uint32_t interval_ms;
	uint32_t timeout_ms;
	uint32_t ms;	/* 0: ends after @bytes */
	uint64_t bytes; /* of each direction; 0: ends after @ms */
	uint64_t rate;	/* bits per second and direction, 0: no limit */
};

#define NB_FLAG_VERIFY 1u

struct nb_wire_data {
	uint8_t cookie[NB_COOKIE];
	uint32_t stream;
	uint32_t zero;
};

struct nb_wire_welcome {
	uint8_t cookie[NB_COOKIE];
};

/* Of the sender's own receivers, since GO. */
struct nb_wire_progress {
	uint64_t ns;
	uint64_t bytes;
	uint64_t packets;
};

struct nb_wire_stream {
	uint32_t stream;
	uint32_t zero;
	uint64_t bytes;	  /* received, or sent */
	uint64_t packets; /* UDP: datagrams, rr: transactions */
	uint64_t reordered;
	uint64_t retrans; /* TCP segments, of a sender */
	uint64_t ns;	  /* from GO to the end */
};

struct nb_wire_result {
	uint64_t user_us; /* processor time of the server's process, from GO to the end */
	uint64_t system_us;
};

struct nb_wire_failed {
	uint32_t code;	/* errno, for nobody but a log */
	char text[252]; /* printable ASCII, ends with a zero */
};

union nb_wire_body {
	struct nb_wire_test test;
	struct nb_wire_data data;
	struct nb_wire_welcome welcome;
	struct nb_wire_progress progress;
	struct nb_wire_stream stream;
	struct nb_wire_result result;
	struct nb_wire_failed failed;
};

/*
 * The first datagrams of a UDP stream, to the port of the control connection, until the answer is
 * there: the same with the other type.
 */
struct nb_wire_hello {
	uint32_t magic;
	uint16_t version;
	uint16_t type; /* NB_MSG_DATA, answer: NB_MSG_WELCOME */
	uint8_t cookie[NB_COOKIE];
	uint32_t stream;
	uint32_t zero;
};

/* Begins each datagram of a UDP stream. */
struct nb_wire_datagram {
	uint64_t seq; /* from 0 */
	uint32_t magic;
	uint32_t stream;
};

#define NB_MIN_UDP ((uint32_t)sizeof(struct nb_wire_datagram))

_Static_assert(sizeof(struct nb_wire_head) == 16, "layout");
_Static_assert(sizeof(struct nb_wire_test) == 48, "layout");
_Static_assert(sizeof(struct nb_wire_data) == 24, "layout");
_Static_assert(sizeof(struct nb_wire_welcome) == 16, "layout");
_Static_assert(sizeof(struct nb_wire_progress) == 24, "layout");
_Static_assert(sizeof(struct nb_wire_stream) == 48, "layout");
_Static_assert(sizeof(struct nb_wire_result) == 16, "layout");
_Static_assert(sizeof(struct nb_wire_failed) == 256, "layout");
_Static_assert(sizeof(struct nb_wire_hello) == 32, "layout");
_Static_assert(sizeof(struct nb_wire_datagram) == 16, "layout");

#endif
