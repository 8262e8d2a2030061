// SPDX-License-Identifier: GPL-2.0-only
/*
 * A capture's file as a network: what stands in it, in every form that libpcap reads, arrives in
 * the guest's buffers byte for byte and in order, at its time or as fast as there are buffers; what
 * cannot arrive is counted, and what is no capture is refused.
 */
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include "netdrv.h"

#define ALL (~0ull)

static char dir[] = "/tmp/lodge-replay-XXXXXX";
static char file[64];
static uint8_t frame[NET_FRAME_MAX + 100], got[NET_FRAME_MAX];

static void setup(void)
{
	strcpy(dir + sizeof(dir) - 7, "XXXXXX");
	ksft_check(mkdtemp(dir));
	snprintf(file, sizeof(file), "%s/a.pcap", dir);
}

static void cleanup(void)
{
	unlink(file);
	ksft_eq(rmdir(dir), 0);
}

/* --- a file by hand */

static FILE *f;
static bool swapped, nano;

static void put32(uint32_t v)
{
	if (swapped)
		v = __builtin_bswap32(v);
	ksft_eq(fwrite(&v, 4, 1, f), 1);
}

static void begin(uint32_t link)
{
	f = fopen(file, "w");
	ksft_check(f);
	put32(nano ? 0xa1b23c4d : 0xa1b2c3d4);
	put32(swapped ? 2 << 16 | 4 : 4 << 16 | 2); /* 2.4, two halves */
	put32(0);
	put32(0);
	put32(262144);
	put32(link);
}

/* @len bytes of the pattern @seed, of which @cap are there. */
static void put(uint32_t sec, uint32_t frac, uint32_t cap, uint32_t len, unsigned int seed)
{
	put32(sec);
	put32(frac);
	put32(cap);
	put32(len);
	nic_fill(frame, len, seed);
	ksft_eq(fwrite(frame, 1, cap, f), cap);
}

static void end(void)
{
	ksft_eq(fclose(f), 0);
	swapped = false;
	nano = false;
}

/* --- the card */

static int replay_create(struct nic *k, const char *keys, struct err *err)
{
	struct net_cfg cfg = { 0 };
	static char text[256];

	memset(k, 0, sizeof(*k));
	k->wire = -1;
	vdrv_init(&k->d);
	snprintf(text, sizeof(text), "replay=%s%s", file, keys);
	ksft_eq(opt_parse_list(net_ops.opts, "--net", text, &cfg, err), 0);
	return net_ops.create(&cfg, &k->d.mem, &k->vd, err);
}

static void replay_up(struct nic *k, const char *keys, uint64_t want)
{
	struct err err = { 0 };

	if (replay_create(k, keys, &err))
		ksft_fail("%s", err.msg);
	snprintf(k->vd->label, sizeof(k->vd->label), "net0");
	ksft_eq(vmmio_create(k->vd, &k->m), 0);
	vdrv_start(&k->d, k->m, want, 0, 0);
}

static void post(struct nic *k, unsigned int n, uint32_t size)
{
	while (n--) {
		struct vdrv_buf b = { vdrv_alloc_high(&k->d, size, 16), size };

		nic_post(k, &b, 1);
	}
	vdrv_kick(&k->d.q[NIC_RX]);
}

/* The next frame is @len bytes of the pattern @seed; its buffers are given to the device again. */
static void expect(struct nic *k, uint32_t len, unsigned int seed, uint32_t size)
{
	struct vdrv_q *q = &k->d.q[NIC_RX];
	struct virtio_net_hdr_v1 hdr;
	unsigned int i, n;
	uint32_t part, done = 0;
	uint8_t *p;
	uint16_t head;

	for (i = 0, n = 1; i < n; i++, done += part) {
		struct vdrv_buf b;

		ksft_check(vdrv_wait_used(q, &head, &part, NIC_WAIT));
		b = (struct vdrv_buf){ q->desc[head].addr, size };
		p = vdrv_hva(&k->d, b.gpa, part);
		if (!i) {
			memcpy(&hdr, p, sizeof(hdr));
			n = vdev_has(k->vd, VIRTIO_NET_F_MRG_RXBUF) ? hdr.num_buffers : 1;
			p += NET_HDR_LEN;
			part -= NET_HDR_LEN;
		}
		ksft_check(done + part <= len);
		memcpy(got + done, p, part);
		nic_post(k, &b, 1);
	}
	vdrv_kick(q);
	ksft_eq(done, len);
	ksft_eq(hdr.flags, 0);
	ksft_eq(hdr.gso_type, 0);
	nic_fill(frame, len, seed);
	ksft_memeq(got, frame, len);
}

static void wait_end(struct nic *k)
{
	nic_wait_stat(k, "replay_ended", 1);
}

/* --- cases */

/* Many more frames than buffers, and from before there are any. */
static void every_frame_arrives(void)
{
	unsigned int i;
	struct nic k;

	setup();
	begin(1);
	for (i = 0; i < 3000; i++)
		put(i, 0, 14 + i * 31 % 9000, 14 + i * 31 % 9000, i);
	end();
	replay_up(&k, ",replay-speed=max", ALL);
	usleep(20000);
	ksft_eq(nic_stat(&k, "replay_delivered"), 0);
	post(&k, 16, 1000);
	for (i = 0; i < 3000; i++)
		expect(&k, 14 + i * 31 % 9000, i, 1000);
	wait_end(&k);
	ksft_eq(nic_stat(&k, "replay_delivered"), 3000);
	ksft_eq(nic_stat(&k, "replay_refused"), 0);
	ksft_eq(nic_stat(&k, "rx_packets"), 3000);
	nic_down(&k);
	cleanup();
}

static void byte_orders_and_stamps(void)
{
	struct timespec t0, t1;
	unsigned int form;
	struct nic k;

	for (form = 0; form < 4; form++) {
		setup();
		swapped = form & 1;
		nano = form & 2;
		begin(1);
		/* 60 ms, which must not be read as 60 us. */
		put(1000, 990 * (nano ? 1000000 : 1000), 100, 100, 1);
		put(1001, 50 * (nano ? 1000000 : 1000), 200, 200, 2);
		end();
		replay_up(&k, "", ALL);
		clock_gettime(CLOCK_MONOTONIC, &t0);
		post(&k, 16, 2000);
		expect(&k, 100, 1, 2000);
		expect(&k, 200, 2, 2000);
		clock_gettime(CLOCK_MONOTONIC, &t1);
		ksft_check((t1.tv_sec - t0.tv_sec) * 1000000000ll + t1.tv_nsec - t0.tv_nsec >=
			   60000000);
		wait_end(&k);
		nic_down(&k);
		cleanup();
	}
}

/* A day at original speed does not pass here; at a factor it does, and so does time backwards. */
static void speeds(void)
{
	struct nic k;

	setup();
	begin(1);
	put(2000, 0, 100, 100, 1);
	put(1000, 0, 100, 100, 2);
	put(2000, 0, 100, 100, 3);
	put(88400, 0, 100, 100, 4);
	end();
	replay_up(&k, "", ALL);
	post(&k, 16, 2000);
	expect(&k, 100, 1, 2000);
	expect(&k, 100, 2, 2000);
	expect(&k, 100, 3, 2000);
	ksft_eq(nic_stat(&k, "replay_ended"), 0);
	nic_down(&k);
	replay_up(&k, ",replay-speed=1000000x", ALL);
	post(&k, 16, 2000);
	expect(&k, 100, 1, 2000);
	expect(&k, 100, 2, 2000);
	expect(&k, 100, 3, 2000);
	expect(&k, 100, 4, 2000);
	wait_end(&k);
	nic_down(&k);
	cleanup();
}

static void pcapng(void)
{
	unsigned int i;
	struct nic k;

	setup();
	f = fopen(file, "w");
	put32(0x0a0d0d0a); /* section */
	put32(28);
	put32(0x1a2b3c4d);
	put32(1);
	put32(~0u);
	put32(~0u);
	put32(28);
	put32(1); /* interface: Ethernet, no limit */
	put32(20);
	put32(1);
	put32(0);
	put32(20);
	for (i = 0; i < 5; i++) {
		put32(6); /* packet */
		put32(32 + 100);
		put32(0);
		put32(0);
		put32(i);
		put32(100);
		put32(100);
		nic_fill(frame, 100, i);
		ksft_eq(fwrite(frame, 100, 1, f), 1);
		put32(32 + 100);
	}
	end();
	replay_up(&k, "", ALL);
	post(&k, 16, 2000);
	for (i = 0; i < 5; i++)
		expect(&k, 100, i, 2000);
	wait_end(&k);
	nic_down(&k);
	cleanup();
}

/* What is no frame, and what this guest cannot take, is counted; the others are not disturbed. */
static void what_does_not_fit(void)
{
	struct nic k;
	unsigned int i;

	setup();
	begin(1);
	put(0, 0, 100, 100, 1);
	for (i = 0; i < 3000; i++)
		put(0, 0, 100, 1000, 2); /* cut in the file */
	put(0, 0, 13, 13, 3);		 /* no Ethernet header */
	put(0, 0, 0, 0, 4);
	put(0, 0, NET_FRAME_MAX + 1, NET_FRAME_MAX + 1, 5);
	put(0, 0, NET_FRAME_MAX, NET_FRAME_MAX, 6);
	put(0, 0, 100, 100, 7);
	end();
	replay_up(&k, "", ALL);
	post(&k, 64, 2000);
	expect(&k, 100, 1, 2000);
	expect(&k, NET_FRAME_MAX, 6, 2000);
	expect(&k, 100, 7, 2000);
	wait_end(&k);
	ksft_eq(nic_stat(&k, "replay_delivered"), 3);
	ksft_eq(nic_stat(&k, "replay_refused"), 3);
	ksft_eq(nic_stat(&k, "rx_drops"), 3);
	ksft_eq(nic_stat(&k, "replay_cut"), 3000);
	nic_down(&k);

	/* One buffer for each frame, of the usual size. */
	replay_up(&k, "", ALL & ~NET_BIT(VIRTIO_NET_F_MRG_RXBUF));
	post(&k, 64, 1526);
	expect(&k, 100, 1, 1526);
	expect(&k, 100, 7, 1526);
	wait_end(&k);
	ksft_eq(nic_stat(&k, "replay_delivered"), 2);
	ksft_eq(nic_stat(&k, "replay_refused"), 4);
	nic_down(&k);

	/* A guest that has agreed to an MTU. */
	replay_up(&k, ",mtu=1500", ALL);
	post(&k, 64, 2000);
	expect(&k, 100, 1, 2000);
	expect(&k, 100, 7, 2000);
	wait_end(&k);
	ksft_eq(nic_stat(&k, "replay_refused"), 4);
	nic_down(&k);
	cleanup();
}

/* A file that ends, or goes wrong, in the middle: all before that arrives. */
static void damaged(void)
{
	unsigned int cut;
	struct stat st;
	struct nic k;

	for (cut = 1; cut < 116; cut += 4) {
		setup();
		begin(1);
		put(0, 0, 100, 100, 1);
		put(0, 0, 100, 100, 2);
		end();
		ksft_eq(stat(file, &st), 0);
		ksft_eq(truncate(file, st.st_size - cut), 0);
		replay_up(&k, "", ALL);
		post(&k, 16, 2000);
		expect(&k, 100, 1, 2000);
		wait_end(&k);
		ksft_eq(nic_stat(&k, "replay_delivered"), 1);
		nic_down(&k);
		cleanup();
	}
	setup();
	begin(1);
	put(0, 0, 100, 100, 1);
	put32(0);
	put32(0);
	put32(0x7fffffff); /* a length that is none */
	put32(0x7fffffff);
	put(0, 0, 100, 100, 1);
	end();
	replay_up(&k, "", ALL);
	post(&k, 16, 2000);
	expect(&k, 100, 1, 2000);
	wait_end(&k);
	nic_down(&k);
	cleanup();
}

/* What the guest sends is taken and counted, and recorded with what it gets. */
static void sent_and_recorded(void)
{
	char keys[100];
	struct nic k;

	setup();
	begin(1);
	put(0, 0, 100, 100, 1);
	end();
	snprintf(keys, sizeof(keys), ",pcap=%s/b.pcap", dir);
	replay_up(&k, keys, ALL);
	nic_fill(frame, 300, 7);
	nic_send(&k, NULL, frame, 300);
	nic_wait_sent(&k);
	post(&k, 16, 2000);
	expect(&k, 100, 1, 2000);
	ksft_eq(nic_stat(&k, "tx_packets"), 1);
	ksft_eq(nic_stat(&k, "replay_ignored"), 1);
	ksft_eq(nic_stat(&k, "pcap_captured"), 2);
	nic_down(&k);

	/* And what was recorded can be replayed. */
	unlink(file);
	snprintf(file, sizeof(file), "%s/b.pcap", dir);
	replay_up(&k, ",replay-speed=max", ALL);
	post(&k, 16, 2000);
	expect(&k, 300, 7, 2000);
	expect(&k, 100, 1, 2000);
	wait_end(&k);
	nic_down(&k);
	cleanup();
}

/* It begins once, and goes on where it was. */
static void goes_on_after_a_reset(void)
{
	unsigned int i, j;
	struct nic k;

	setup();
	begin(1);
	for (i = 0; i < 40; i++)
		put(0, 0, 100, 100, i);
	end();
	replay_up(&k, "", ALL);
	for (i = 0; i < 4; i++) {
		struct vdrv_q *q = &k.d.q[NIC_RX];
		uint16_t head;
		uint32_t len;

		if (i) {
			vdrv_reset(&k.d);
			vdrv_start(&k.d, k.m, ALL, 0, 0);
			q = &k.d.q[NIC_RX];
		}
		post(&k, 10, 2000);
		for (j = 0; j < 10; j++) {
			ksft_check(vdrv_wait_used(q, &head, &len, NIC_WAIT));
			ksft_eq(len, NET_HDR_LEN + 100);
			nic_fill(frame, 100, 10 * i + j);
			ksft_memeq((uint8_t *)vdrv_hva(&k.d, q->desc[head].addr, len) + NET_HDR_LEN,
				   frame, 100);
		}
	}
	/* Only who asks for one more frame sees the end. */
	post(&k, 1, 2000);
	wait_end(&k);
	nic_down(&k);
	cleanup();
}

static void refused(const char *keys, int ret, const char *want)
{
	struct err err = { 0 };
	struct nic k;

	ksft_eq(replay_create(&k, keys, &err), ret);
	if (!strstr(err.msg, want) || strchr(err.msg, '\n'))
		ksft_fail("'%s' does not say: %s", err.msg, want);
	vdrv_fini(&k.d);
}

static void bad_files(void)
{
	struct err err = { 0 };
	struct nic k;
	int fd;

	setup();
	refused("", -ENOENT, "a.pcap: cannot read it: ");
	close(open(file, O_CREAT | O_WRONLY, 0600));
	refused("", -EINVAL, "a.pcap: no capture: ");
	f = fopen(file, "w");
	fputs("I am a text, and longer than the header of a file that is a capture.\n", f);
	end();
	refused("", -EINVAL, "a.pcap: no capture: ");
	begin(1);
	end();
	ksft_eq(truncate(file, 23), 0);
	refused("", -EINVAL, "a.pcap: no capture: ");
	begin(113);
	end();
	refused("", -EINVAL, "link type 113 (LINUX_SLL)");
	begin(1);
	end();
	refused(",replay-speed=fast", -EINVAL, "--net replay-speed: 'fast'");
	refused(",replay-speed=0x", -EINVAL, "--net replay-speed: '0x'");
	refused(",replay-speed=2", -EINVAL, "--net replay-speed: '2'");
	refused(",replay-speed=-1x", -EINVAL, "--net replay-speed: '-1x'");
	refused(",replay-speed=nanx", -EINVAL, "--net replay-speed: 'nanx'");
	refused(",addr=10.0.0.1/8", -EINVAL, "addr");
	refused(",user", -EINVAL, "give one of");
	/* Not on itself, nor what is being recorded. */
	ksft_check(strlen(file) + 7 < 256);
	fd = open(file, O_RDONLY);
	ksft_eq(flock(fd, LOCK_EX | LOCK_NB), 0);
	refused("", -EBUSY, "being recorded");
	close(fd);
	/* Empty, and fine. */
	ksft_eq(replay_create(&k, "", &err), 0);
	net_ops.destroy(k.vd);
	vdrv_fini(&k.d);
	unlink(file);
	ksft_eq(mkfifo(file, 0600), 0);
	refused("", -EINVAL, "not a regular file");
	cleanup();
}

static void onto_itself(void)
{
	char keys[100];

	setup();
	begin(1);
	put(0, 0, 100, 100, 1);
	end();
	snprintf(keys, sizeof(keys), ",pcap=%s", file);
	refused(keys, -EBUSY, "or replayed");
	cleanup();
}

int main(int argc, char **argv)
{
	ksft_case("every_frame_arrives", every_frame_arrives);
	ksft_case("byte_orders_and_stamps", byte_orders_and_stamps);
	ksft_case("speeds", speeds);
	ksft_case("pcapng", pcapng);
	ksft_case("what_does_not_fit", what_does_not_fit);
	ksft_case("damaged", damaged);
	ksft_case("sent_and_recorded", sent_and_recorded);
	ksft_case("goes_on_after_a_reset", goes_on_after_a_reset);
	ksft_case("bad_files", bad_files);
	ksft_case("onto_itself", onto_itself);
	return ksft_run(argc, argv);
}
