// SPDX-License-Identifier: GPL-2.0-only
/*
 * The parts of netbench that can be held against a plainer truth: percentiles against a sorted
 * array, the payload against itself in other pieces, and the counting of datagrams against a list
 * of what was sent. Nothing here goes over a network.
 */
#include <endian.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kselftest.h"
#include "tools/netbench/hist.h"
#include "tools/netbench/netbench.h"
#include "tools/netbench/pattern.h"

static uint64_t seed = 1;

static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

#define SAMPLES 10007

/* Each percentile is that of the sorted array, or above it by less than one part in 64. */
static void against_sorted(const uint64_t *values, size_t n)
{
	static const unsigned int asked[] = { 1, 10, 500, 900, 990, 999, 1000 };
	uint64_t *sorted = malloc(n * sizeof(*sorted)), want, have, sum = 0;
	struct nb_hist *h = calloc(1, sizeof(*h));
	size_t i, rank;

	memcpy(sorted, values, n * sizeof(*sorted));
	qsort(sorted, n, sizeof(*sorted), compare);
	for (i = 0; i < n; i++) {
		nb_hist_add(h, values[i]);
		sum += values[i];
	}
	ksft_eq(h->count, n);
	ksft_eq(h->sum, sum);
	ksft_eq(h->min, sorted[0]);
	ksft_eq(h->max, sorted[n - 1]);
	for (i = 0; i < ARRAY_SIZE(asked); i++) {
		rank = (n * asked[i] + 999) / 1000;
		want = sorted[rank ? rank - 1 : 0];
		have = nb_hist_percentile(h, asked[i]);
		if (have < want || have - want > want / NB_HIST_SUB)
			ksft_fail("%u per mille of %zu: %llu, sorted %llu", asked[i], n,
				  (unsigned long long)have, (unsigned long long)want);
	}
	free(sorted);
	free(h);
}

static void hist_percentiles(void)
{
	static uint64_t v[SAMPLES];
	size_t i, n;

	for (i = 0; i < SAMPLES; i++)
		v[i] = rnd() % 1000000;
	against_sorted(v, SAMPLES);
	for (i = 0; i < SAMPLES; i++)
		v[i] = rnd() >> (rnd() % 64);
	against_sorted(v, SAMPLES);
	for (i = 0; i < SAMPLES; i++)
		v[i] = i % 100 ? 50 : 123456789;
	against_sorted(v, SAMPLES);
	for (n = 1; n < 20; n++)
		against_sorted(v, n);
}

static void hist_ends(void)
{
	struct nb_hist *h = calloc(1, sizeof(*h));
	unsigned int i;

	ksft_eq(nb_hist_percentile(h, 500), 0);
	nb_hist_add(h, UINT64_MAX);
	nb_hist_add(h, 0);
	ksft_eq(nb_hist_percentile(h, 500), 0);
	ksft_check(nb_hist_percentile(h, 1000) == UINT64_MAX);
	ksft_check(nb_hist_top(NB_HIST_BUCKETS - 1) == UINT64_MAX);
	for (i = 1; i < NB_HIST_BUCKETS; i++)
		ksft_check(nb_hist_top(i) > nb_hist_top(i - 1));
	free(h);
}

static void hist_merged(void)
{
	struct nb_hist *a = calloc(1, sizeof(*a)), *b = calloc(1, sizeof(*b));
	struct nb_hist *all = calloc(1, sizeof(*all)), *none = calloc(1, sizeof(*none));
	uint64_t v;
	int i;

	for (i = 0; i < 1000; i++) {
		v = rnd() >> (rnd() % 64);
		nb_hist_add(i % 3 ? a : b, v);
		nb_hist_add(all, v);
	}
	nb_hist_merge(none, a);
	nb_hist_merge(none, b);
	ksft_memeq(none, all, sizeof(*all));
	memset(a, 0, sizeof(*a));
	nb_hist_merge(all, a);
	ksft_memeq(none, all, sizeof(*all));
	free(a);
	free(b);
	free(all);
	free(none);
}

/* Any piece of the stream is the same as cut out of a large one, and is found right. */
static void pattern_pieces(void)
{
	unsigned char whole[1024], piece[256];
	unsigned int i, offset, len;

	nb_pattern_fill(whole, sizeof(whole), 7, 0);
	for (i = 0; i < 5000; i++) {
		offset = rnd() % (sizeof(whole) - sizeof(piece));
		len = rnd() % sizeof(piece);
		nb_pattern_fill(piece, len, 7, offset);
		ksft_memeq(piece, whole + offset, len);
		ksft_eq(nb_pattern_check(piece, len, 7, offset), len);
	}
}

static void pattern_wrong(void)
{
	unsigned char buf[200];
	unsigned int i, bad;

	for (i = 0; i < 5000; i++) {
		nb_pattern_fill(buf, sizeof(buf), 3, i);
		bad = rnd() % sizeof(buf);
		buf[bad] ^= 1 << rnd() % 8;
		ksft_eq(nb_pattern_check(buf, sizeof(buf), 3, i), bad);
	}
	/* Another place, or another stream, is seen within a few bytes. */
	nb_pattern_fill(buf, sizeof(buf), 3, 4096);
	ksft_check(nb_pattern_check(buf, sizeof(buf), 4, 4096) < 16);
	ksft_check(nb_pattern_check(buf, sizeof(buf), 3, 4096 + 8) < 16);
	ksft_check(nb_pattern_check(buf, sizeof(buf), 3, 0) < 16);
}

#define LEN 100

struct udp_case {
	struct nb_test test;
	struct nb_run run;
	struct nb_stream stream;
	int peer;
};

static void udp_setup(struct udp_case *u, bool verify)
{
	int fds[2];

	memset(u, 0, sizeof(*u));
	ksft_eq(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds), 0);
	u->test = (struct nb_test){ .kind = NB_UDP,
				    .dirs = NB_TO_SERVER,
				    .streams = 6,
				    .length = LEN,
				    .ms = 1000,
				    .timeout_ms = 2000,
				    .verify = verify };
	u->run.test = &u->test;
	u->run.go_ns = nb_now_ns();
	/* It ends when what is there has been read. */
	u->run.quit = true;
	u->stream.run = &u->run;
	u->stream.index = 5;
	u->stream.fd = fds[0];
	u->peer = fds[1];
}

static void udp_put(struct udp_case *u, uint64_t seq, uint32_t stream, unsigned int len, int flip)
{
	struct nb_wire_datagram head = { .seq = htobe64(seq),
					 .magic = htobe32(NB_MAGIC),
					 .stream = htobe32(stream) };
	char buf[2 * LEN] = { 0 };

	memcpy(buf, &head, sizeof(head));
	nb_pattern_fill(buf + sizeof(head), LEN - sizeof(head), stream, seq * LEN + sizeof(head));
	if (flip)
		buf[flip] ^= 4;
	ksft_eq(send(u->peer, buf, len, 0), len);
}

static int udp_run(struct udp_case *u)
{
	char *buf = malloc(nb_udp_space(&u->test));
	int e = nb_udp_receive(&u->stream, buf);

	free(buf);
	close(u->stream.fd);
	close(u->peer);
	return e;
}

/* Of 0 to 9, 2 and 7 are lost, 4 comes after 5, and 3 twice. */
static void udp_counts(void)
{
	static const int order[] = { 0, 1, 3, 5, 4, 6, 3, 8, 9 };
	struct udp_case u;
	unsigned int i;

	udp_setup(&u, true);
	for (i = 0; i < ARRAY_SIZE(order); i++)
		udp_put(&u, order[i], 5, LEN, 0);
	ksft_eq(udp_run(&u), 0);
	ksft_eq(u.stream.now.packets, 9);
	ksft_eq(u.stream.now.bytes, 9 * LEN);
	ksft_eq(u.stream.now.reordered, 2);
}

/* Other streams' and other programs' datagrams are nobody's bytes. */
static void udp_foreign(void)
{
	struct udp_case u;

	udp_setup(&u, true);
	udp_put(&u, 0, 5, LEN, 0);
	udp_put(&u, 1, 4, LEN, 0);
	udp_put(&u, 1, 5, LEN - 1, 0);
	udp_put(&u, 1, 5, LEN + 1, 0);
	udp_put(&u, 1, 5, 2, 0);
	udp_put(&u, 1, 5, LEN, offsetof(struct nb_wire_datagram, magic));
	udp_put(&u, 1, 5, LEN, 0);
	ksft_eq(udp_run(&u), 0);
	ksft_eq(u.stream.now.packets, 2);
	ksft_eq(u.stream.now.reordered, 0);
}

static void udp_corrupt(void)
{
	struct udp_case u;

	udp_setup(&u, true);
	udp_put(&u, 0, 5, LEN, 0);
	udp_put(&u, 1, 5, LEN, 77);
	ksft_eq(udp_run(&u), -EBADMSG);
	ksft_eq(u.stream.bad, LEN + 77);
	/* Who does not look does not see. */
	udp_setup(&u, false);
	udp_put(&u, 1, 5, LEN, 77);
	ksft_eq(udp_run(&u), 0);
	ksft_eq(u.stream.now.packets, 1);
}

int main(int argc, char **argv)
{
	ksft_case("percentiles are those of the sorted samples", hist_percentiles);
	ksft_case("an empty histogram, the smallest and the largest sample", hist_ends);
	ksft_case("histograms add up", hist_merged);
	ksft_case("the payload is the same in any pieces", pattern_pieces);
	ksft_case("a wrong bit in the payload is found where it is", pattern_wrong);
	ksft_case("datagrams: received, lost, out of order, double", udp_counts);
	ksft_case("datagrams that do not belong to the stream", udp_foreign);
	ksft_case("datagrams with wrong payload", udp_corrupt);
	return ksft_run(argc, argv);
}
