// SPDX-License-Identifier: GPL-2.0-only
/*
 * The network device in user mode: a guest's ARP, DHCP, UDP and TCP by hand, through the rings,
 * against libslirp and sockets of the host.
 */
#include <arpa/inet.h>
#include <netinet/in.h>

#include "netdrv.h"

#define ALL	(~0ull)
#define HOST	0x0a000202u /* 10.0.2.2 */
#define GUEST	0x0a00020fu
#define IP_OFF	14
#define UDP_OFF (IP_OFF + 20)
#define UDP_LEN (UDP_OFF + 8)

static const uint8_t guest_mac[] = { 2, 0, 0, 0, 0, 2 },
		     all_mac[] = { 255, 255, 255, 255, 255, 255 };
static uint8_t host_mac[ETH_ALEN];
static uint8_t frame[NET_FRAME_MAX], got[NET_FRAME_MAX];
static uint8_t flags; /* of got[]'s header */

static void put16(uint8_t *p, uint16_t v)
{
	p[0] = v >> 8;
	p[1] = v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v);
}

static uint16_t get16(const uint8_t *p)
{
	return p[0] << 8 | p[1];
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static int user_create(struct nic *k, const char *keys, struct err *err)
{
	struct net_cfg cfg = { 0 };
	static char text[160];

	memset(k, 0, sizeof(*k));
	k->wire = -1;
	vdrv_init(&k->d);
	snprintf(text, sizeof(text), "user%s", keys);
	ksft_eq(opt_parse_list(net_ops.opts, "--net", text, &cfg, err), 0);
	return net_ops.create(&cfg, &k->d.mem, &k->vd, err);
}

static void user_start(struct nic *k, uint64_t want)
{
	unsigned int i;

	vdrv_start(&k->d, k->m, want, 0, 0);
	for (i = 0; i < 200; i++) {
		struct vdrv_buf b = { vdrv_alloc_high(&k->d, 2000, 16), 2000 };

		nic_post(k, &b, 1);
	}
	vdrv_kick(&k->d.q[NIC_RX]);
}

static void user_up_with(struct nic *k, const char *keys, uint64_t want)
{
	struct err err = { 0 };

	if (user_create(k, keys, &err))
		ksft_fail("%s", err.msg);
	snprintf(k->vd->label, sizeof(k->vd->label), "net0");
	ksft_eq(vmmio_create(k->vd, &k->m), 0);
	user_start(k, want);
}

static void user_up(struct nic *k, const char *keys)
{
	user_up_with(k, keys, ALL);
}

/* The next frame for the guest, to got[]; its length. */
static uint32_t next_frame(struct nic *k)
{
	struct vdrv_q *q = &k->d.q[NIC_RX];
	uint32_t len, done = 0;
	unsigned int i, n = 1;
	uint16_t head;

	for (i = 0; i < n; i++, done += len) {
		const struct virtio_net_hdr_v1 *h;

		ksft_check(vdrv_wait_used(q, &head, &len, NIC_WAIT));
		ksft_check(done + len <= sizeof(got));
		h = vdrv_hva(&k->d, q->desc[head].addr, len);
		memcpy(got + done, h, len);
		if (!i) {
			n = h->num_buffers;
			flags = h->flags;
			ksft_eq(h->gso_type, 0);
		}
	}
	memmove(got, got + NET_HDR_LEN, done - NET_HDR_LEN);
	return done - NET_HDR_LEN;
}

static void ether(const uint8_t *to, uint16_t type)
{
	memcpy(frame, to, ETH_ALEN);
	memcpy(frame + ETH_ALEN, guest_mac, ETH_ALEN);
	put16(frame + 12, type);
}

static void arp(unsigned int op, const uint8_t *to, uint32_t target)
{
	static const uint8_t fixed[] = { 0, 1, 8, 0, 6, 4 };

	memset(frame, 0, 60);
	ether(to, 0x0806);
	memcpy(frame + 14, fixed, sizeof(fixed));
	put16(frame + 20, op);
	memcpy(frame + 22, guest_mac, ETH_ALEN);
	put32(frame + 28, GUEST);
	memcpy(frame + 32, to, ETH_ALEN);
	put32(frame + 38, target);
}

/* Answers ARP requests for the guest on the way to a frame of this IP protocol. */
static uint32_t next_ip(struct nic *k, uint8_t protocol)
{
	uint32_t len;

	for (;;) {
		len = next_frame(k);
		if (get16(got + 12) == 0x0800 && got[IP_OFF + 9] == protocol)
			return len;
		if (get16(got + 12) == 0x0806 && get16(got + 20) == 1 && get32(got + 38) == GUEST) {
			arp(2, got + ETH_ALEN, get32(got + 28));
			nic_send(k, NULL, frame, 60);
			nic_wait_sent(k);
		}
	}
}

/* Ask for 10.0.2.2's address, which also tells libslirp ours. */
static void who_is_host(struct nic *k)
{
	arp(1, all_mac, HOST);
	nic_send(k, NULL, frame, 60);
	nic_wait_sent(k);
	do
		ksft_check(next_frame(k) >= 42);
	while (get16(got + 12) != 0x0806 || get16(got + 20) != 2);
	ksft_eq(get32(got + 28), HOST);
	ksft_eq(get32(got + 38), GUEST);
	memcpy(host_mac, got + 22, ETH_ALEN);
	ksft_memeq(got, guest_mac, ETH_ALEN);
}

static void ip(const uint8_t *to, uint8_t protocol, uint32_t src, uint32_t dst, uint32_t len)
{
	uint8_t *p = frame + IP_OFF;
	uint32_t sum = 0, i;

	ether(to, 0x0800);
	memset(p, 0, 20);
	p[0] = 0x45;
	put16(p + 2, 20 + len);
	p[8] = 64;
	p[9] = protocol;
	put32(p + 12, src);
	put32(p + 16, dst);
	for (i = 0; i < 20; i += 2)
		sum += get16(p + i);
	sum = (sum & 0xffff) + (sum >> 16);
	put16(p + 10, ~((sum & 0xffff) + (sum >> 16)));
}

/* @n bytes at frame + UDP_LEN are the payload; without a checksum, which UDP allows. */
static void send_udp(struct nic *k, const uint8_t *to, uint32_t src, uint16_t sport, uint32_t dst,
		     uint16_t dport, uint32_t n)
{
	ip(to, IPPROTO_UDP, src, dst, 8 + n);
	put16(frame + UDP_OFF, sport);
	put16(frame + UDP_OFF + 2, dport);
	put16(frame + UDP_OFF + 4, 8 + n);
	put16(frame + UDP_OFF + 6, 0);
	nic_send(k, NULL, frame, UDP_LEN + n);
	nic_wait_sent(k);
}

/* A socket at 127.0.0.1, any port. */
static int host_socket(int type, uint16_t *port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	struct timeval t = { .tv_sec = NIC_WAIT / 1000 };
	socklen_t len = sizeof(sin);
	int sk = socket(AF_INET, type, 0);

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ksft_eq(bind(sk, (struct sockaddr *)&sin, sizeof(sin)), 0);
	ksft_eq(getsockname(sk, (struct sockaddr *)&sin, &len), 0);
	setsockopt(sk, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	*port = ntohs(sin.sin_port);
	return sk;
}

static void arp_of_the_host(void)
{
	struct nic k;

	user_up(&k, "");
	who_is_host(&k);
	nic_down(&k);
}

static void dhcp(void)
{
	static const uint8_t discover[] = { 99, 130, 83, 99, 53, 1, 1, 255 };
	uint8_t *p = frame + UDP_LEN, *opt, *end;
	bool router = false, dns = false;
	struct nic k;

	user_up(&k, "");
	memset(p, 0, 300);
	p[0] = 1;
	p[1] = 1;
	p[2] = 6;
	put32(p + 4, 0x12345678);
	memcpy(p + 28, guest_mac, ETH_ALEN);
	memcpy(p + 236, discover, sizeof(discover));
	send_udp(&k, all_mac, 0, 68, 0xffffffff, 67, 300);
	end = got + next_ip(&k, IPPROTO_UDP);
	p = got + UDP_LEN;
	ksft_eq(get16(got + UDP_OFF + 2), 68);
	ksft_eq(p[0], 2);
	ksft_eq(get32(p + 4), 0x12345678);
	ksft_eq(get32(p + 16), GUEST);
	ksft_eq(p[242], 2); /* an offer */
	for (opt = p + 240; opt + 6 <= end && *opt != 255; opt += 2 + opt[1]) {
		router |= *opt == 3 && get32(opt + 2) == HOST;
		dns |= *opt == 6 && get32(opt + 2) == HOST + 1;
	}
	ksft_check(router && dns);
	nic_down(&k);
}

static void udp_to_the_host(void)
{
	struct sockaddr_in from;
	socklen_t flen = sizeof(from);
	uint16_t port;
	unsigned int i;
	struct nic k;
	int sk;

	sk = host_socket(SOCK_DGRAM, &port);
	user_up(&k, "");
	who_is_host(&k);
	for (i = 0; i < 3; i++) {
		nic_fill(frame + UDP_LEN, 1400, i);
		send_udp(&k, host_mac, GUEST, 1234, HOST, port, 1400);
		ksft_eq(recvfrom(sk, got, sizeof(got), 0, (struct sockaddr *)&from, &flen), 1400);
		ksft_memeq(got, frame + UDP_LEN, 1400);
		nic_fill(frame, 1400, 100 + i);
		ksft_eq(sendto(sk, frame, 1400, 0, (struct sockaddr *)&from, flen), 1400);
		ksft_eq(next_ip(&k, IPPROTO_UDP), UDP_LEN + 1400);
		ksft_eq(get32(got + IP_OFF + 12), HOST);
		ksft_eq(get16(got + UDP_OFF), port);
		ksft_eq(get16(got + UDP_OFF + 2), 1234);
		nic_fill(frame, 1400, 100 + i);
		ksft_memeq(got + UDP_LEN, frame, 1400);
		/* A guest that boots again finds the same network. */
		if (!i) {
			nic_down(&k);
			user_up(&k, "");
			who_is_host(&k);
		}
	}
	close(sk);
	nic_down(&k);
}

/* A guest's socket at port 1234, which the host's @sk is told of. */
static void greet(struct nic *k, int sk, uint16_t port, struct sockaddr_in *from)
{
	socklen_t len = sizeof(*from);

	who_is_host(k);
	memcpy(frame + UDP_LEN, "hello", 5);
	send_udp(k, host_mac, GUEST, 1234, HOST, port, 5);
	ksft_eq(recvfrom(sk, got, sizeof(got), 0, (struct sockaddr *)from, &len), 5);
}

/* Packets are as long as they can be where the driver knows of it. */
static void large_packets(void)
{
	static uint8_t data[60000];
	struct virtio_net_config c;
	struct sockaddr_in from;
	uint16_t port;
	struct nic k;
	int sk;

	sk = host_socket(SOCK_DGRAM, &port);
	user_up(&k, "");
	vdrv_config(&k.d, 0, &c, 12);
	ksft_eq(c.mtu, 65520);
	greet(&k, sk, port, &from);
	nic_fill(data, sizeof(data), 1);
	ksft_eq(sendto(sk, data, sizeof(data), 0, (struct sockaddr *)&from, sizeof(from)),
		sizeof(data));
	ksft_eq(next_ip(&k, IPPROTO_UDP), UDP_LEN + sizeof(data));
	ksft_memeq(got + UDP_LEN, data, sizeof(data));
	ksft_eq(flags, VIRTIO_NET_HDR_F_DATA_VALID);
	memcpy(frame + UDP_LEN, data, sizeof(data));
	send_udp(&k, host_mac, GUEST, 1234, HOST, port, sizeof(data));
	ksft_eq(recv(sk, got, sizeof(got), 0), sizeof(data));
	ksft_memeq(got, data, sizeof(data));
	close(sk);
	nic_down(&k);
}

/* Fragments of one datagram of @n bytes, none longer than @mtu, to frame[]. */
static void expect_fragments(struct nic *k, const uint8_t *data, uint32_t n, uint32_t mtu)
{
	uint32_t at = 0, len, total;
	uint16_t off, id = 0;

	do {
		len = next_ip(k, IPPROTO_UDP);
		total = get16(got + IP_OFF + 2);
		ksft_check(total <= mtu && len == IP_OFF + total);
		ksft_eq(net_sum16(0, got + IP_OFF, 20), 0xffff);
		off = get16(got + IP_OFF + 6);
		ksft_eq((off & 0x1fff) * 8, at);
		if (at)
			ksft_eq(get16(got + IP_OFF + 4), id);
		id = get16(got + IP_OFF + 4);
		/* Nobody has seen the whole datagram's checksum. */
		ksft_eq(flags, 0);
		memcpy(frame + at, got + IP_OFF + 20, total - 20);
		at += total - 20;
		ksft_eq(!(off & 0x2000), at == 8 + n);
	} while (at < 8 + n);
	ksft_memeq(frame + 8, data, n);
}

static void driver_without_mtu(void)
{
	static uint8_t data[60000];
	struct sockaddr_in from;
	uint16_t port;
	struct nic k;
	int sk;

	sk = host_socket(SOCK_DGRAM, &port);
	user_up_with(&k, "", ~NET_BIT(VIRTIO_NET_F_MTU));
	greet(&k, sk, port, &from);
	nic_fill(data, sizeof(data), 1);
	ksft_eq(sendto(sk, data, sizeof(data), 0, (struct sockaddr *)&from, sizeof(from)),
		sizeof(data));
	expect_fragments(&k, data, sizeof(data), 1500);
	/* What fits is not touched. */
	ksft_eq(sendto(sk, data, 1472, 0, (struct sockaddr *)&from, sizeof(from)), 1472);
	ksft_eq(next_ip(&k, IPPROTO_UDP), UDP_LEN + 1472);
	ksft_eq(flags, VIRTIO_NET_HDR_F_DATA_VALID);
	ksft_eq(sendto(sk, data, 1473, 0, (struct sockaddr *)&from, sizeof(from)), 1473);
	expect_fragments(&k, data, 1473, 1500);
	/* In the middle of them another driver comes, which knows of it. */
	sendto(sk, data, sizeof(data), 0, (struct sockaddr *)&from, sizeof(from));
	next_ip(&k, IPPROTO_UDP);
	user_start(&k, ALL);
	greet(&k, sk, port, &from);
	ksft_eq(sendto(sk, data, 20000, 0, (struct sockaddr *)&from, sizeof(from)), 20000);
	do
		next_ip(&k, IPPROTO_UDP);
	while (get16(got + UDP_OFF + 4) != 8 + 20000);
	ksft_memeq(got + UDP_LEN, data, 20000);
	close(sk);
	nic_down(&k);
}

/* A checksum that the driver left open: libslirp takes no packet with a wrong one. */
static void checksum_offload(void)
{
	struct virtio_net_hdr_v1 hdr = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
					 .csum_start = UDP_OFF,
					 .csum_offset = 6 };
	uint16_t port;
	uint32_t n, sum;
	struct nic k;
	int sk;

	sk = host_socket(SOCK_DGRAM, &port);
	user_up(&k, "");
	who_is_host(&k);
	for (n = 1; n < 40; n += 13) {
		nic_fill(frame + UDP_LEN, n, n);
		ip(host_mac, IPPROTO_UDP, GUEST, HOST, 8 + n);
		put16(frame + UDP_OFF, 1234);
		put16(frame + UDP_OFF + 2, port);
		put16(frame + UDP_OFF + 4, 8 + n);
		sum = net_sum16(IPPROTO_UDP + 8 + n, frame + IP_OFF + 12, 8);
		put16(frame + UDP_OFF + 6, sum);
		nic_send(&k, &hdr, frame, UDP_LEN + n);
		nic_wait_sent(&k);
		ksft_eq(recv(sk, got, sizeof(got), 0), n);
		ksft_memeq(got, frame + UDP_LEN, n);
	}
	close(sk);
	nic_down(&k);
}

/* Large segments are libslirp's whole packets, whatever length their header was given. */
static void segment_offload(void)
{
	const struct virtio_net_hdr_v1 hdr = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
					       .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
					       .gso_size = 1448,
					       .csum_start = UDP_OFF,
					       .csum_offset = 16 };
	static const uint32_t lens[] = { 54, 55, 3001, 65549 };
	unsigned int i, tcp;

	for (i = 0; i < ARRAY_SIZE(lens); i++) {
		nic_fill(frame, lens[i], i);
		ip(host_mac, IPPROTO_TCP, GUEST, HOST, 77);
		frame[UDP_OFF + 12] = 5 << 4;
		tcp = lens[i] - UDP_OFF;
		/* The pseudo header's, of another length. */
		put16(frame + UDP_OFF + 16, net_sum16(IPPROTO_TCP + 77, frame + IP_OFF + 12, 8));
		net_csum_finish(frame, lens[i], &hdr);
		ksft_eq(get16(frame + IP_OFF + 2), lens[i] - IP_OFF);
		ksft_eq(net_sum16(0, frame + IP_OFF, 20), 0xffff);
		ksft_eq(net_sum16(net_sum16(IPPROTO_TCP + tcp, frame + IP_OFF + 12, 8),
				  frame + UDP_OFF, tcp),
			0xffff);
	}
}

/* A port that was free a moment ago. */
static uint16_t free_port(int type)
{
	uint16_t port;

	close(host_socket(type, &port));
	return port;
}

static void forwarded_ports(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	uint16_t udp = free_port(SOCK_DGRAM), tcp = free_port(SOCK_STREAM), mine;
	char keys[128];
	struct nic k;
	int sk;

	snprintf(keys, sizeof(keys), ",hostfwd=udp::%u-:53,hostfwd=tcp:127.0.0.1:%u-10.0.2.15:22",
		 udp, tcp);
	user_up(&k, keys);
	who_is_host(&k);
	sk = host_socket(SOCK_DGRAM, &mine);
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	sin.sin_port = htons(udp);
	ksft_eq(sendto(sk, "hello", 5, 0, (struct sockaddr *)&sin, sizeof(sin)), 5);
	next_ip(&k, IPPROTO_UDP);
	ksft_eq(get32(got + IP_OFF + 16), GUEST);
	ksft_eq(get16(got + UDP_OFF + 2), 53);
	ksft_memeq(got + UDP_LEN, "hello", 5);
	close(sk);

	/* The host's connect() comes out as a SYN to the guest's port. */
	sk = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	sin.sin_port = htons(tcp);
	if (connect(sk, (struct sockaddr *)&sin, sizeof(sin)))
		ksft_eq(errno, EINPROGRESS);
	next_ip(&k, IPPROTO_TCP);
	ksft_eq(get32(got + IP_OFF + 16), GUEST);
	ksft_eq(get16(got + UDP_OFF + 2), 22);
	ksft_eq(got[UDP_OFF + 13] & 0x12, 0x02);
	close(sk);
	nic_down(&k);
}

static void port_in_use(void)
{
	struct err err = { 0 };
	char keys[64];
	uint16_t port;
	struct nic k;
	int sk;

	sk = host_socket(SOCK_STREAM, &port);
	ksft_eq(listen(sk, 1), 0);
	snprintf(keys, sizeof(keys), ",hostfwd=tcp::%u-:22", port);
	ksft_eq(user_create(&k, keys, &err), -EADDRINUSE);
	ksft_check(strstr(err.msg, "cannot listen on port") && strstr(err.msg, "choose another"));
	vdrv_fini(&k.d);
	close(sk);
}

/* What comes while the guest has no buffers is kept, up to megabytes, and then dropped. */
static void guest_too_slow(void)
{
	static uint8_t data[1400];
	struct sockaddr_in from;
	uint32_t i, last = 0;
	unsigned int n;
	uint16_t port;
	struct nic k;
	int sk;

	sk = host_socket(SOCK_DGRAM, &port);
	user_up(&k, "");
	greet(&k, sk, port, &from);
	for (i = 1; !nic_stat(&k, "user_missed"); i++) {
		put32(data, i);
		ksft_eq(sendto(sk, data, sizeof(data), 0, (struct sockaddr *)&from, sizeof(from)),
			sizeof(data));
		usleep(20);
		ksft_check(i < 100000);
	}
	/* Those before arrive, in order; the host's kernel may have dropped some, too. */
	for (n = 0; n < 500; n++) {
		struct vdrv_buf b = { vdrv_alloc_high(&k.d, 2000, 16), 2000 };

		ksft_eq(next_ip(&k, IPPROTO_UDP), UDP_LEN + sizeof(data));
		ksft_check(get32(got + UDP_LEN) > last);
		last = get32(got + UDP_LEN);
		nic_post(&k, &b, 1);
		vdrv_kick(&k.d.q[NIC_RX]);
	}
	ksft_eq(nic_stat(&k, "rx_drops"), 0);
	close(sk);
	nic_down(&k);
}

static void reset_and_start_again(void)
{
	unsigned int i, j;
	struct nic k;

	user_up(&k, "");
	for (i = 0; i < 5; i++) {
		who_is_host(&k);
		/* Answers that nobody will fetch. */
		arp(1, all_mac, HOST);
		for (j = 0; j < 50; j++)
			nic_send(&k, NULL, frame, 60);
		user_start(&k, ALL);
	}
	ksft_check(!vdrv_broken(&k.d));
	nic_down(&k);
}

/*
 * Whatever the guest sends, libslirp gets bytes that stay as they are, and no more than there are.
 */
static void garbage(void)
{
	unsigned int i, seed = 1;
	uint32_t len, j;
	struct nic k;

	user_up(&k, "");
	who_is_host(&k);
	for (i = 0; i < 500; i++) {
		len = NET_FRAME_MIN + (seed >> 8) % (i % 50 ? 200 : 9000);
		for (j = 0; j < len; j++)
			frame[j] = (seed = seed * 1103515245 + 12345) >> 16;
		ether(i & 1 ? host_mac : all_mac, i % 5 ? 0x0800 : 0x0806);
		if (i % 5 && i & 2)
			ip(host_mac, frame[20] & 1 ? IPPROTO_TCP : IPPROTO_UDP, GUEST, HOST,
			   len > 34 ? len - 34 : 0);
		if (len >= UDP_LEN)
			put16(frame + UDP_OFF + 2, 9); /* of all the host's ports, discard */
		nic_send(&k, NULL, frame, len);
		nic_wait_sent(&k);
	}
	nic_down(&k);
}

int main(int argc, char **argv)
{
	ksft_case("arp_of_the_host", arp_of_the_host);
	ksft_case("dhcp", dhcp);
	ksft_case("udp_to_the_host", udp_to_the_host);
	ksft_case("large packets for a driver that knows of them", large_packets);
	ksft_case("fragments for one that does not", driver_without_mtu);
	ksft_case("checksums that the driver leaves open", checksum_offload);
	ksft_case("segments that the driver leaves whole", segment_offload);
	ksft_case("forwarded_ports", forwarded_ports);
	ksft_case("port_in_use", port_in_use);
	ksft_case("a guest that is too slow", guest_too_slow);
	ksft_case("reset_and_start_again", reset_and_start_again);
	ksft_case("garbage", garbage);
	return ksft_run(argc, argv);
}
