// SPDX-License-Identifier: GPL-2.0-only
/*
 * The network device's capture: what libpcap reads back from the files is what passed, both ways,
 * with and without a filter, after a reset, from several threads, and when the disk or the ring
 * fills up.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include "pcaptest.h"

#define ALL	  (~0ull)
#define FILE_MODE 0644

static uint8_t got[NET_FRAME_MAX];

static int open_capture(const char *path, const char *filter, struct net_pcap **pc, struct err *err)
{
	const struct net_cfg cfg = { .pcap = path, .filter = filter };

	return net_pcap_open(&cfg, 1, pc, err);
}

/* Let frame[] pass in one direction; back when it has. */
static void pass(struct nic *k, bool out, const struct virtio_net_hdr_v1 *hdr, uint32_t len)
{
	struct virtio_net_hdr_v1 h;
	uint16_t head;
	uint32_t n, left;
	struct vdrv_buf b;

	if (out) {
		nic_send(k, hdr, frame, len);
		ksft_eq(nic_sent(k, &h, got, sizeof(got), NIC_WAIT), len);
		ksft_memeq(got, frame, len);
		nic_wait_sent(k);
		return;
	}
	for (left = 0; left < len + NET_HDR_LEN; left += 4096) {
		b = (struct vdrv_buf){ vdrv_alloc_high(&k->d, 4096, 1), 4096 };
		nic_post(k, &b, 1);
	}
	vdrv_kick(&k->d.q[NIC_RX]);
	nic_inject(k, hdr, frame, len);
	for (left = len + NET_HDR_LEN; left; left -= n)
		ksft_check(vdrv_wait_used(&k->d.q[NIC_RX], &head, &n, NIC_WAIT));
}

static void both_directions(void)
{
	static const uint32_t len[] = { 14, 60, 61, 1514, 9000, NET_FRAME_MAX };
	const struct net_cfg cfg = { .pcap = file };
	struct pcap_pkthdr *h;
	const u_char *data;
	struct timespec before, after;
	unsigned int i, out;
	struct nic k;
	struct stat st;
	pcap_t *p;

	setup();
	clock_gettime(CLOCK_REALTIME, &before);
	nic_up(&k, &cfg, ALL, 0);
	for (i = 0; i < ARRAY_SIZE(len); i++)
		for (out = 0; out < 2; out++) {
			make_frame(0x88b5, len[i], 2 * i + out);
			pass(&k, out, NULL, len[i]);
		}
	/* One that is dropped has not passed. */
	nic_send(&k, &(struct virtio_net_hdr_v1){ .gso_type = 77 }, frame, 100);
	nic_wait_stat(&k, "tx_drops", 1);
	ksft_eq(nic_stat(&k, "pcap_captured"), 2 * ARRAY_SIZE(len));
	nic_down(&k);
	clock_gettime(CLOCK_REALTIME, &after);

	p = open_file();
	for (i = 0; i < ARRAY_SIZE(len); i++)
		for (out = 0; out < 2; out++) {
			make_frame(0x88b5, len[i], 2 * i + out);
			expect_record(p, frame, len[i]);
		}
	expect_end(p);
	p = open_file();
	while (pcap_next_ex(p, &h, &data) == 1) {
		ksft_check(h->ts.tv_sec > before.tv_sec ||
			   (h->ts.tv_sec == before.tv_sec && h->ts.tv_usec >= before.tv_nsec));
		ksft_check(h->ts.tv_sec < after.tv_sec ||
			   (h->ts.tv_sec == after.tv_sec && h->ts.tv_usec <= after.tv_nsec));
		before = (struct timespec){ h->ts.tv_sec, h->ts.tv_usec };
	}
	pcap_close(p);
	ksft_eq(stat(file, &st), 0);
	ksft_eq(st.st_mode & 0777, 0600);
	cleanup();
}

static void filtered(void)
{
	const struct net_cfg cfg = { .pcap = file, .filter = "ether proto 0x88b5 and greater 100" };
	unsigned int i;
	struct nic k;
	pcap_t *p;

	setup();
	nic_up(&k, &cfg, ALL, 0);
	for (i = 0; i < 8; i++) {
		make_frame(i & 2 ? 0x88b5 : 0x88b6, i & 4 ? 200 : 60, i);
		pass(&k, i & 1, NULL, i & 4 ? 200 : 60);
	}
	ksft_eq(nic_stat(&k, "pcap_captured"), 2);
	ksft_eq(nic_stat(&k, "pcap_filtered"), 6);
	nic_down(&k);
	p = open_file();
	for (i = 6; i < 8; i++) {
		make_frame(0x88b5, 200, i);
		expect_record(p, frame, 200);
	}
	expect_end(p);
	cleanup();
}

static void open_checksum(void)
{
	const struct virtio_net_hdr_v1 hdr = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
					       .csum_start = 34,
					       .csum_offset = 16 };
	const struct net_cfg cfg = { .pcap = file };
	struct pcap_pkthdr *h;
	const u_char *data;
	uint32_t len, out;
	struct nic k;
	pcap_t *p;

	setup();
	nic_up(&k, &cfg, ALL, 0);
	for (len = 60; len < 64; len++)
		for (out = 0; out < 2; out++) {
			make_frame(0x0800, len, len);
			frame[50] = 0x12; /* the pseudo header's sum, as the guest leaves it */
			frame[51] = 0x34;
			pass(&k, out, &hdr, len);
		}
	nic_down(&k);
	p = open_file();
	for (len = 60; len < 64; len++)
		for (out = 0; out < 2; out++) {
			make_frame(0x0800, len, len);
			ksft_eq(pcap_next_ex(p, &h, &data), 1);
			ksft_eq(h->caplen, len);
			ksft_memeq(data, frame, 50);
			ksft_memeq(data + 52, frame + 52, len - 52);
			/* Whoever adds it all up, with the pseudo header, gets all ones. */
			ksft_eq(net_sum16(0x1234, data + 34, len - 34), 0xffff);
		}
	expect_end(p);
	cleanup();
}

static void large_segment(void)
{
	const struct virtio_net_hdr_v1 hdr = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
					       .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
					       .gso_size = 1448,
					       .hdr_len = 54,
					       .csum_start = 34,
					       .csum_offset = 16 };
	const struct net_cfg cfg = { .pcap = file };
	struct pcap_pkthdr *h;
	const u_char *data;
	struct nic k;
	pcap_t *p;

	setup();
	nic_up(&k, &cfg, ALL, 0);
	make_frame(0x0800, 65549, 1);
	pass(&k, true, &hdr, 65549);
	pass(&k, false, &hdr, 65549);
	nic_down(&k);
	p = open_file();
	while (pcap_next_ex(p, &h, &data) == 1) {
		ksft_eq(h->caplen, 65549);
		ksft_memeq(data, frame, 50);
		ksft_memeq(data + 52, frame + 52, 65549 - 52);
	}
	pcap_close(p);
	cleanup();
}

static void written_while_running(void)
{
	const struct net_cfg cfg = { .pcap = file };
	unsigned int ms;
	struct stat st;
	struct nic k;

	setup();
	nic_up(&k, &cfg, ALL, 0);
	make_frame(0x88b5, 100, 0);
	pass(&k, true, NULL, 100);
	/* Nothing more happens, yet the record gets to the file. */
	for (ms = 0; ms < NIC_WAIT; ms++) {
		ksft_eq(stat(file, &st), 0);
		if (st.st_size == 24 + 16 + 100)
			break;
		usleep(1000);
	}
	ksft_eq(st.st_size, 24 + 16 + 100);
	nic_down(&k);
	cleanup();
}

static void goes_on_after_a_reset(void)
{
	const struct net_cfg cfg = { .pcap = file };
	unsigned int i;
	struct nic k;
	pcap_t *p;

	setup();
	nic_create(&k, &cfg, nic_offloads);
	for (i = 0; i < 3; i++) {
		vdrv_start(&k.d, k.m, ALL, 0, 0);
		make_frame(0x88b5, 100, i);
		pass(&k, i & 1, NULL, 100);
	}
	nic_down(&k);
	p = open_file();
	for (i = 0; i < 3; i++) {
		make_frame(0x88b5, 100, i);
		expect_record(p, frame, 100);
	}
	expect_end(p);
	cleanup();
}

static void disk_full(void)
{
	const struct net_cfg cfg = { .pcap = file };
	struct rlimit old, lim;
	struct pcap_pkthdr *h;
	const u_char *data;
	unsigned int i, n = 0;
	struct stat st;
	struct nic k;
	pcap_t *p;

	setup();
	ksft_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
	lim = old;
	lim.rlim_cur = 700000; /* in the middle of the third buffer */
	signal(SIGXFSZ, SIG_IGN);
	nic_up(&k, &cfg, ALL, 0);
	ksft_eq(setrlimit(RLIMIT_FSIZE, &lim), 0);
	for (i = 0; i < 1000; i++) {
		make_frame(0x88b5, 1500, i);
		pass(&k, i & 1, NULL, 1500);
	}
	nic_stat(&k, "pcap_captured"); /* the writer tries */
	ksft_eq(setrlimit(RLIMIT_FSIZE, &old), 0);
	ksft_eq(nic_stat(&k, "tx_packets") + nic_stat(&k, "rx_packets"), 1000);
	n = nic_stat(&k, "pcap_captured");
	if (n <= 100 || n >= 500)
		ksft_fail("%u records", n);
	ksft_eq(nic_stat(&k, "pcap_lost"), 1000 - n);
	nic_down(&k);
	ksft_eq(stat(file, &st), 0);
	ksft_eq(st.st_size, 24 + n * (16 + 1500));
	p = open_file();
	for (i = 0; pcap_next_ex(p, &h, &data) == 1; i++) {
		make_frame(0x88b5, 1500, i);
		ksft_memeq(data, frame, 1500);
	}
	ksft_eq(i, n);
	pcap_close(p);
	cleanup();
}

/* A snap length cuts a record, which tells how long the frame was; the filter saw all of it. */
static void snap(void)
{
	const struct net_cfg cfg = { .pcap = file,
				     .pcap_snap = 100,
				     .filter = "ether[200] = 0x55" };
	struct pcap_pkthdr *h;
	const u_char *data;
	struct nic k;
	pcap_t *p;

	setup();
	nic_up(&k, &cfg, ALL, 0);
	make_frame(0x88b5, 1000, 1);
	frame[200] = 0x54;
	pass(&k, true, NULL, 1000);
	frame[200] = 0x55;
	pass(&k, true, NULL, 1000);
	pass(&k, false, NULL, 201);
	ksft_eq(nic_stat(&k, "pcap_frames"), 3);
	ksft_eq(nic_stat(&k, "pcap_captured"), 2);
	ksft_eq(nic_stat(&k, "pcap_cut"), 2);
	ksft_eq(nic_stat(&k, "pcap_filtered"), 1);
	nic_down(&k);
	p = open_file();
	ksft_eq(pcap_snapshot(p), 100);
	ksft_eq(pcap_next_ex(p, &h, &data), 1);
	ksft_eq(h->caplen, 100);
	ksft_eq(h->len, 1000);
	ksft_memeq(data, frame, 100);
	ksft_eq(pcap_next_ex(p, &h, &data), 1);
	ksft_eq(h->caplen, 100);
	ksft_eq(h->len, 201);
	expect_end(p);
	cleanup();
}

/* A set: names, sizes, order, and what was left of an earlier one. */
static void rotation(void)
{
	char base[64], name[sizeof(base) + 16];
	const struct net_cfg cfg = { .pcap = base, .pcap_size = 128 * KIB, .pcap_files = 11 };
	static const struct virtio_net_hdr_v1 hdr;
	struct iovec v = { frame, 60000 };
	unsigned int i, from[11], seen = 0;
	struct err err = { 0 };
	struct net_pcap *pc;
	struct stat st;
	pcap_t *p;

	setup();
	snprintf(base, sizeof(base), "%s/a.pcap", dir);
	snprintf(name, sizeof(name), "%s10", base);
	close(open(name, O_CREAT | O_WRONLY, FILE_MODE));
	ksft_eq(truncate(name, 5000), 0);

	/* Two frames fit a file, 13 are seven of them: four of the eleven are never begun. */
	ksft_eq(net_pcap_open(&cfg, 1, &pc, &err), 0);
	ksft_eq(net_pcap_start(pc), 0);
	for (i = 0; i < 13; i++) {
		make_frame(0x88b5, 60000, i);
		net_pcap_record(pc, 0, &hdr, &v, 1, 60000);
	}
	ksft_eq(stat_of(pc, "pcap_captured"), 13);
	ksft_eq(stat_of(pc, "pcap_files"), 7);
	net_pcap_close(pc);
	ksft_eq(access(base, F_OK), -1);
	for (i = 0; i < 11; i++) {
		snprintf(file, sizeof(file), "%s%02u", base, i);
		ksft_eq(stat(file, &st), i < 7 ? 0 : -1);
		if (i >= 7)
			continue;
		ksft_check(st.st_size <= 128 << 10);
		p = open_file();
		make_frame(0x88b5, 60000, 2 * i);
		expect_record(p, frame, 60000);
		make_frame(0x88b5, 60000, 2 * i + 1);
		if (i < 6)
			expect_record(p, frame, 60000);
		expect_end(p);
	}

	/* Round and round: the last 11 files hold the last frames. */
	ksft_eq(net_pcap_open(&cfg, 1, &pc, &err), 0);
	ksft_eq(net_pcap_start(pc), 0);
	for (i = 0; i < 100; i++) {
		make_frame(0x88b5, 60000, i);
		net_pcap_record(pc, 0, &hdr, &v, 1, 60000);
	}
	ksft_eq(stat_of(pc, "pcap_captured"), 100);
	ksft_eq(stat_of(pc, "pcap_files"), 50);
	net_pcap_close(pc);
	/* The 50th is number 5 of the fifth round. */
	for (i = 0; i < 11; i++)
		from[i] = 2 * (i <= 5 ? 44 + i : 33 + i);
	for (i = 0; i < 11; i++) {
		snprintf(file, sizeof(file), "%s%02u", base, i);
		p = open_file();
		make_frame(0x88b5, 60000, from[i]);
		expect_record(p, frame, 60000);
		make_frame(0x88b5, 60000, from[i] + 1);
		expect_record(p, frame, 60000);
		expect_end(p);
		seen++;
		unlink(file);
	}
	ksft_eq(seen, 11);
	ksft_eq(rmdir(dir), 0);
}

/* Nobody takes from the ring, so it fills: frames beyond are counted, those in it are whole. */
static void queue_full(void)
{
	const struct net_cfg cfg = { .pcap = file, .pcap_buffer = 256 * KIB };
	static const struct virtio_net_hdr_v1 hdr;
	struct iovec v = { frame, 0 };
	struct err err = { 0 };
	struct net_pcap *pc;
	unsigned int i, n = 0;
	uint64_t dropped;
	uint32_t len[500];
	pcap_t *p;

	setup();
	ksft_eq(net_pcap_open(&cfg, 1, &pc, &err), 0);
	for (i = 0; i < 500; i++) {
		dropped = stat_of(pc, "pcap_dropped");
		make_frame(0x88b5, 1000 + i, i);
		v.iov_len = 1000 + i;
		net_pcap_record(pc, 0, &hdr, &v, 1, 1000 + i);
		if (stat_of(pc, "pcap_dropped") == dropped)
			len[n++] = 1000 + i;
	}
	dropped = stat_of(pc, "pcap_dropped");
	ksft_check(n > 200 && n < 250);
	ksft_eq(stat_of(pc, "pcap_frames"), 500);
	ksft_eq(dropped, 500 - n);
	ksft_eq(net_pcap_start(pc), 0);
	ksft_eq(stat_of(pc, "pcap_captured"), n);
	/* There is room again, across the ring's end. */
	for (i = 0; i < 100; i++) {
		make_frame(0x88b5, 1400, i);
		v.iov_len = 1400;
		net_pcap_record(pc, 0, &hdr, &v, 1, 1400);
	}
	ksft_eq(stat_of(pc, "pcap_dropped"), dropped);
	ksft_eq(stat_of(pc, "pcap_captured"), n + 100);
	net_pcap_close(pc);
	p = open_file();
	for (i = 0; i < n; i++) {
		make_frame(0x88b5, len[i], len[i] - 1000);
		expect_record(p, frame, len[i]);
	}
	for (i = 0; i < 100; i++) {
		make_frame(0x88b5, 1400, i);
		expect_record(p, frame, 1400);
	}
	expect_end(p);
	cleanup();
}

/* What stands in several rings comes out by its stamps. */
static void merged_by_time(void)
{
	const struct net_cfg cfg = { .pcap = file, .pcap_buffer = 256 * KIB };
	static const struct virtio_net_hdr_v1 hdr;
	static const uint8_t pair[] = { 2, 0, 1, 1, 2, 0, 0, 0, 2, 1, 2, 2 };
	struct iovec v = { frame, 100 };
	struct err err = { 0 };
	struct net_pcap *pc;
	unsigned int i;
	pcap_t *p;

	setup();
	ksft_eq(net_pcap_open(&cfg, 3, &pc, &err), 0);
	for (i = 0; i < 600; i++) {
		make_frame(0x88b5, 100, i);
		net_pcap_record(pc, pair[i % ARRAY_SIZE(pair)], &hdr, &v, 1, 100);
		/* Stamps that are the same say nothing about the order. */
		usleep(1);
	}
	ksft_eq(net_pcap_start(pc), 0);
	ksft_eq(stat_of(pc, "pcap_captured"), 600);
	net_pcap_close(pc);
	p = open_file();
	for (i = 0; i < 600; i++) {
		make_frame(0x88b5, 100, i);
		expect_record(p, frame, 100);
	}
	expect_end(p);
	cleanup();
}

#define WRITERS	      4
#define WRITER_FRAMES 20000

struct writer {
	pthread_t thread;
	struct net_pcap *pc;
	unsigned int pair;
};

static void *writer(void *arg)
{
	static const struct virtio_net_hdr_v1 hdr;
	struct writer *w = arg;
	uint8_t buf[1500];
	struct iovec v = { buf, 0 };
	uint32_t i;

	for (i = 0; i < WRITER_FRAMES; i++) {
		v.iov_len = 60 + (i * 7 + w->pair) % 1400;
		nic_fill(buf, v.iov_len, i);
		buf[0] = w->pair;
		memcpy(buf + 1, &i, 4);
		net_pcap_record(w->pc, w->pair, &hdr, &v, 1, v.iov_len);
	}
	return NULL;
}

/* Many writers at once, with rings too small for them: what is there is whole and in order. */
static void several_writers(void)
{
	const struct net_cfg cfg = { .pcap = file, .pcap_buffer = 256 * KIB };
	uint32_t next[WRITERS] = { 0 }, nr, len;
	struct writer w[WRITERS];
	struct err err = { 0 };
	struct pcap_pkthdr *h;
	const u_char *data;
	uint64_t n = 0, captured;
	unsigned int i;
	pcap_t *p;

	setup();
	memset(w, 0, sizeof(w));
	ksft_eq(net_pcap_open(&cfg, WRITERS, &w[0].pc, &err), 0);
	ksft_eq(net_pcap_start(w[0].pc), 0);
	for (i = 0; i < WRITERS; i++) {
		w[i].pc = w[0].pc;
		w[i].pair = i;
		ksft_eq(pthread_create(&w[i].thread, NULL, writer, &w[i]), 0);
	}
	for (i = 0; i < WRITERS; i++)
		pthread_join(w[i].thread, NULL);
	captured = stat_of(w[0].pc, "pcap_captured");
	ksft_eq(stat_of(w[0].pc, "pcap_frames"), WRITERS * WRITER_FRAMES);
	ksft_eq(captured + stat_of(w[0].pc, "pcap_dropped"), WRITERS * WRITER_FRAMES);
	ksft_check(captured > 0);
	net_pcap_close(w[0].pc);
	p = open_file();
	for (; pcap_next_ex(p, &h, &data) == 1; n++) {
		i = data[0];
		ksft_check(i < WRITERS);
		memcpy(&nr, data + 1, 4);
		ksft_check(nr >= next[i] && nr < WRITER_FRAMES);
		next[i] = nr + 1;
		len = 60 + (nr * 7 + i) % 1400;
		ksft_eq(h->caplen, len);
		nic_fill(got, len, nr);
		ksft_memeq(data + 5, got + 5, len - 5);
	}
	ksft_eq(n, captured);
	pcap_close(p);
	cleanup();
}

static void bad_files(void)
{
	struct net_pcap *pc, *pc2;
	struct err err = { 0 };
	struct stat st;
	int fd;

	setup();
	ksft_eq(open_capture(file, "tcp port http or", &pc, &err), -EINVAL);
	ksft_check(strstr(err.msg, "--net filter: 'tcp port http or': ") && strlen(err.msg) > 40);
	ksft_check(!strchr(err.msg, '\n'));
	ksft_eq(access(file, F_OK), -1);
	memset(&err, 0, sizeof(err));
	ksft_eq(open_capture("/nowhere/a.pcap", NULL, &pc, &err), -ENOENT);
	ksft_check(strstr(err.msg, "--net pcap=/nowhere/a.pcap: cannot write it"));
	memset(&err, 0, sizeof(err));
	ksft_check(open_capture(dir, NULL, &pc, &err) < 0);
	memset(&err, 0, sizeof(err));
	ksft_eq(mkfifo(file, FILE_MODE), 0);
	ksft_check(open_capture(file, NULL, &pc, &err) < 0);
	ksft_check(strstr(err.msg, file));
	unlink(file);

	/* One writer at a time. */
	memset(&err, 0, sizeof(err));
	ksft_eq(open_capture(file, NULL, &pc, &err), 0);
	ksft_eq(open_capture(file, NULL, &pc2, &err), -EBUSY);
	/* A capture that never began leaves nothing behind... */
	net_pcap_close(pc);
	ksft_eq(access(file, F_OK), -1);
	/* ... and an older file as it was. */
	fd = open(file, O_CREAT | O_WRONLY, FILE_MODE);
	ksft_eq(write(fd, "old", 3), 3);
	close(fd);
	memset(&err, 0, sizeof(err));
	ksft_eq(open_capture(file, NULL, &pc, &err), 0);
	net_pcap_close(pc);
	ksft_eq(stat(file, &st), 0);
	ksft_eq(st.st_size, 3);
	/* A capture that began begins the file anew. */
	ksft_eq(open_capture(file, NULL, &pc, &err), 0);
	ksft_eq(net_pcap_start(pc), 0);
	net_pcap_close(pc);
	expect_end(open_file());
	cleanup();
}

int main(int argc, char **argv)
{
	ksft_case("both_directions", both_directions);
	ksft_case("filtered", filtered);
	ksft_case("open_checksum_is_completed", open_checksum);
	ksft_case("large_segment", large_segment);
	ksft_case("written_while_running", written_while_running);
	ksft_case("goes_on_after_a_reset", goes_on_after_a_reset);
	ksft_case("disk_full", disk_full);
	ksft_case("snap", snap);
	ksft_case("rotation", rotation);
	ksft_case("queue_full", queue_full);
	ksft_case("merged_by_time", merged_by_time);
	ksft_case("several_writers", several_writers);
	ksft_case("bad_files", bad_files);
	return ksft_run(argc, argv);
}
