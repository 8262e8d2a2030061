// SPDX-License-Identifier: GPL-2.0-only
/*
 * The network device on an interface of the host by libpcap: h0, one end of a veth pair in a
 * network namespace of its own; at the other end, p0, are packet sockets and the kernel's stack
 * with its open checksums and joined segments. Skipped without the right to make a namespace, or
 * without veth.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "netdrv.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

#define ALL	 (~0ull)
#define TYPE	 0x88b5 /* for experiments */
#define PEER_IP	 "10.78.0.1"
#define GUEST_IP "10.78.0.2"
#define UDP_HDRS (14 + 20 + 8)
#define TCP_HDRS (14 + 20 + 20)

static const uint8_t guest_mac[] = { 2, 0, 0, 0, 0, 2 };
/* The IP header behind 14 bytes of Ethernet is to be aligned. */
static uint8_t space[NET_FRAME_MAX + 2] __attribute__((aligned(4)));
static uint8_t *const frame = space + 2;
static uint8_t got[NET_FRAME_MAX];

static int sh(const char *cmd)
{
	char line[200];

	snprintf(line, sizeof(line), "(%s) >/dev/null 2>&1", cmd);
	return system(line);
}

/* The namespace is made once and outlives the case. */
static void setup(void)
{
	static const char *missing = "?";

	if (missing && *missing == '?') {
		missing = NULL;
		if (unshare(CLONE_NEWNET) && unshare(CLONE_NEWUSER | CLONE_NEWNET))
			missing = "no right to make a network namespace";
		else if (sh("ip link add h0 type veth peer name p0 && ip link delete h0"))
			missing = "no ip, or no veth interfaces";
		/* The kernel is not to say anything unasked. */
		sh("echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6");
	}
	if (missing)
		ksft_skip("%s", missing);
	sh("ip link delete h0"); /* of a case that failed */
	ksft_eq(sh("ip link add h0 type veth peer name p0 && ip link set h0 up && ip link set p0 "
		   "up && ip addr add " PEER_IP "/24 dev p0 && ip neigh add " GUEST_IP
		   " lladdr 02:00:00:00:00:02 dev p0"),
		0);
}

static void cleanup(void)
{
	ksft_eq(sh("ip link delete h0"), 0);
}

static int iface_create(struct nic *k, const char *keys, struct err *err)
{
	struct net_cfg cfg = { 0 };
	static char text[160];

	memset(k, 0, sizeof(*k));
	k->wire = -1;
	vdrv_init(&k->d);
	snprintf(text, sizeof(text), "mac=02:00:00:00:00:02,iface=%s", keys);
	ksft_eq(opt_parse_list(net_ops.opts, "--net", text, &cfg, err), 0);
	return net_ops.create(&cfg, &k->d.mem, &k->vd, err);
}

static void iface_up(struct nic *k, uint64_t want, const char *keys)
{
	struct err err = { 0 };
	unsigned int i;

	if (iface_create(k, keys, &err))
		ksft_fail("%s", err.msg);
	snprintf(k->vd->label, sizeof(k->vd->label), "net0");
	ksft_eq(vmmio_create(k->vd, &k->m), 0);
	vdrv_start(&k->d, k->m, want, 0, 0);
	for (i = 0; i < 200; i++) {
		struct vdrv_buf b = { vdrv_alloc_high(&k->d, 1526, 16), 1526 };

		nic_post(k, &b, 1);
	}
	vdrv_kick(&k->d.q[NIC_RX]);
}

/* The next received frame to got[]; its length. */
static uint32_t next_frame(struct nic *k, struct virtio_net_hdr_v1 *hdr)
{
	struct vdrv_q *q = &k->d.q[NIC_RX];
	uint32_t len, done;
	unsigned int i, n;
	uint16_t head;

	for (i = 0, n = 1, done = 0; i < n; i++, done += len) {
		ksft_check(vdrv_wait_used(q, &head, &len, NIC_WAIT));
		ksft_check(done + len <= sizeof(got));
		memcpy(got + done, vdrv_hva(&k->d, q->desc[head].addr, len), len);
		if (!i) {
			memcpy(hdr, got, sizeof(*hdr));
			n = hdr->num_buffers;
		}
	}
	memmove(got, got + NET_HDR_LEN, done - NET_HDR_LEN);
	return done - NET_HDR_LEN;
}

static int packet_socket(const char *name, uint16_t type)
{
	struct sockaddr_ll ll = { .sll_family = AF_PACKET, .sll_protocol = htons(type) };
	struct timeval t = { .tv_sec = NIC_WAIT / 1000 };
	int sk = socket(AF_PACKET, SOCK_RAW, htons(type));

	ll.sll_ifindex = if_nametoindex(name);
	ksft_check(sk >= 0 && ll.sll_ifindex);
	ksft_eq(bind(sk, (struct sockaddr *)&ll, sizeof(ll)), 0);
	setsockopt(sk, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	return sk;
}

/* A socket at 10.78.0.1:7 that talks to the guest. */
static int udp_socket(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(7) };
	struct timeval t = { .tv_sec = NIC_WAIT / 1000 };
	int sk = socket(AF_INET, SOCK_DGRAM, 0), len = 1 << 20;

	inet_pton(AF_INET, PEER_IP, &sin.sin_addr);
	ksft_eq(bind(sk, (struct sockaddr *)&sin, sizeof(sin)), 0);
	setsockopt(sk, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	setsockopt(sk, SOL_SOCKET, SO_SNDBUF, &len, sizeof(len));
	inet_pton(AF_INET, GUEST_IP, &sin.sin_addr);
	ksft_eq(connect(sk, (struct sockaddr *)&sin, sizeof(sin)), 0);
	return sk;
}

static void make_frame(uint32_t len, unsigned int seed)
{
	nic_fill(frame, len, seed);
	memset(frame, 0xff, ETH_ALEN);
	memcpy(frame + ETH_ALEN, guest_mac, ETH_ALEN);
	frame[12] = TYPE >> 8;
	frame[13] = TYPE & 0xff;
}

/* The pseudo header of @n bytes of @proto between these IP addresses. */
static uint16_t pseudo(const uint8_t *ip, uint8_t proto, uint32_t n)
{
	return net_sum16(proto + n, ip + 12, 8);
}

/* frame[]: an IP header from the guest's address to 10.78.0.1, or back, for @n bytes behind it */
static struct iphdr *make_ip(uint8_t proto, uint32_t n, bool to_guest)
{
	struct iphdr *ip = (void *)(frame + 14);
	struct ifreq ifr = { .ifr_name = "p0" };
	int sk = socket(AF_INET, SOCK_DGRAM, 0);

	ksft_eq(ioctl(sk, SIOCGIFHWADDR, &ifr), 0);
	close(sk);
	memset(frame, 0, TCP_HDRS);
	memcpy(frame + (to_guest ? ETH_ALEN : 0), ifr.ifr_hwaddr.sa_data, ETH_ALEN);
	memcpy(frame + (to_guest ? 0 : ETH_ALEN), guest_mac, ETH_ALEN);
	frame[12] = 8;
	ip->version = 4;
	ip->ihl = 5;
	ip->ttl = 64;
	ip->protocol = proto;
	ip->tot_len = htons(20 + n);
	inet_pton(AF_INET, GUEST_IP, to_guest ? &ip->daddr : &ip->saddr);
	inet_pton(AF_INET, PEER_IP, to_guest ? &ip->saddr : &ip->daddr);
	ip->check = htons(~net_sum16(0, ip, 20));
	return ip;
}

static void frames_both_ways(void)
{
	static const uint32_t len[] = { 60, 61, 1514, 100, 999 };
	struct virtio_net_hdr_v1 hdr;
	int sk, own;
	unsigned int i;
	struct nic k;

	setup();
	sk = packet_socket("p0", TYPE);
	own = packet_socket("h0", TYPE);
	iface_up(&k, ALL, "h0");
	for (i = 0; i < ARRAY_SIZE(len); i++) {
		make_frame(len[i], i);
		nic_send(&k, NULL, frame, len[i]);
		ksft_eq(recv(sk, got, sizeof(got), 0), len[i]);
		ksft_memeq(got, frame, len[i]);
		/* What the host sends by the same interface is not for the guest. */
		make_frame(200, 50);
		ksft_eq(send(own, frame, 200, 0), 200);
		ksft_eq(recv(sk, got, sizeof(got), 0), 200);
		/* Whoever it is for: the guest sees all that the interface does. */
		make_frame(len[i], i + 100);
		memset(frame, 0x22, ETH_ALEN);
		ksft_eq(send(sk, frame, len[i], 0), len[i]);
		ksft_eq(next_frame(&k, &hdr), len[i]);
		ksft_memeq(got, frame, len[i]);
		ksft_eq(hdr.flags, 0);
		ksft_eq(hdr.gso_type, 0);
	}
	ksft_eq(nic_stat(&k, "tx_packets"), ARRAY_SIZE(len));
	ksft_eq(nic_stat(&k, "rx_packets"), ARRAY_SIZE(len));
	ksft_eq(nic_stat(&k, "iface_missed"), 0);
	close(sk);
	close(own);
	nic_down(&k);
	cleanup();
}

/* Longer than the interface takes: lost, and counted. */
static void too_long(void)
{
	struct nic k;
	int sk;

	setup();
	sk = packet_socket("p0", TYPE);
	iface_up(&k, ALL, "h0");
	make_frame(1600, 1);
	nic_send(&k, NULL, frame, 1600);
	nic_wait_sent(&k);
	make_frame(1514, 2);
	nic_send(&k, NULL, frame, 1514);
	ksft_eq(recv(sk, got, sizeof(got), 0), 1514);
	ksft_eq(nic_stat(&k, "tx_drops"), 1);
	close(sk);
	nic_down(&k);
	cleanup();
}

/* A checksum that the guest has made, as it has no offload to leave that to. */
static void datagram_to_peer(void)
{
	struct iphdr *ip;
	struct udphdr *udp = (void *)(frame + 34);
	struct nic k;
	int sk;

	setup();
	iface_up(&k, ALL, "h0");
	ksft_check(!(k.vd->features & NET_HOST_OFFLOADS));
	sk = udp_socket();
	ip = make_ip(IPPROTO_UDP, 1008, false);
	udp->source = htons(7);
	udp->dest = htons(7);
	udp->len = htons(1008);
	nic_fill(frame + UDP_HDRS, 1000, 1);
	udp->check = htons(~net_sum16(pseudo((uint8_t *)ip, IPPROTO_UDP, 1008), udp, 1008));
	nic_send(&k, NULL, frame, UDP_HDRS + 1000);
	ksft_eq(recv(sk, got, sizeof(got), 0), 1000);
	ksft_memeq(got, frame + UDP_HDRS, 1000);
	close(sk);
	nic_down(&k);
	cleanup();
}

/* The kernel leaves the checksum open on a veth; the guest is told, or it is completed. */
static void open_checksum(void)
{
	struct virtio_net_hdr_v1 hdr;
	unsigned int i;
	struct nic k;
	int sk;

	setup();
	for (i = 0; i < 3; i++) {
		iface_up(&k, i == 1 ? ~NET_GUEST_OFFLOADS : ALL, i == 2 ? "h0,offload=off" : "h0");
		sk = udp_socket();
		nic_fill(frame, 901, i);
		ksft_eq(send(sk, frame, 901, 0), 901);
		ksft_eq(next_frame(&k, &hdr), UDP_HDRS + 901);
		ksft_memeq(got + UDP_HDRS, frame, 901);
		if (!i) {
			ksft_eq(hdr.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
			ksft_eq(hdr.csum_start, 34);
			ksft_eq(hdr.csum_offset, 6);
		} else {
			ksft_eq(hdr.flags, 0);
			ksft_eq(hdr.csum_start, 0);
			ksft_eq(net_sum16(pseudo(got + 14, IPPROTO_UDP, 909), got + 34, 909),
				0xffff);
		}
		ksft_eq(nic_stat(&k, "iface_open_csum"), 1);
		close(sk);
		nic_down(&k);
	}
	cleanup();
}

/* A packet socket that sends a TCP segment too large for the wire, for the kernel to cut up. */
static void send_segments(const void *data, uint32_t len)
{
	struct virtio_net_hdr vh = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
				     .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
				     .gso_size = 1448,
				     .hdr_len = TCP_HDRS,
				     .csum_start = 34,
				     .csum_offset = 16 };
	struct iovec v[] = { { &vh, sizeof(vh) }, { (void *)data, len } };
	int sk = packet_socket("p0", ETHERTYPE_IP), one = 1;

	ksft_eq(setsockopt(sk, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)), 0);
	ksft_eq(writev(sk, v, 2), sizeof(vh) + len);
	close(sk);
}

static void joined_segments(void)
{
	struct virtio_net_hdr_v1 hdr;
	struct tcphdr *tcp = (void *)(frame + 34);
	const uint32_t n = 20000;
	struct iphdr *ip;
	unsigned int i;
	struct nic k;

	setup();
	for (i = 0; i < 2; i++) {
		iface_up(&k, i ? ~NET_GUEST_OFFLOADS : ALL, "h0");
		ip = make_ip(IPPROTO_TCP, 20 + n, true);
		tcp->source = htons(7);
		tcp->dest = htons(7);
		tcp->doff = 5;
		tcp->ack = 1;
		nic_fill(frame + TCP_HDRS, n, i);
		tcp->check = htons(pseudo((uint8_t *)ip, IPPROTO_TCP, 20 + n));
		send_segments(frame, TCP_HDRS + n);
		ksft_eq(next_frame(&k, &hdr), TCP_HDRS + n);
		ksft_memeq(got + TCP_HDRS, frame + TCP_HDRS, n);
		if (!i) {
			ksft_memeq(got, frame, TCP_HDRS);
			ksft_eq(hdr.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
			ksft_eq(hdr.csum_start, 34);
			ksft_eq(hdr.csum_offset, 16);
			ksft_eq(hdr.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
			ksft_eq(hdr.gso_size, 1460);
		} else {
			ksft_eq(hdr.flags, 0);
			ksft_eq(hdr.gso_type, 0);
			ksft_eq(net_sum16(pseudo(got + 14, IPPROTO_TCP, 20 + n), got + 34, 20 + n),
				0xffff);
		}
		ksft_eq(nic_stat(&k, "iface_joined"), 1);
		nic_down(&k);
	}
	cleanup();
}

/* Datagrams that were sent as one: nobody can tell how long each was. What comes next is fine. */
static void joined_datagrams(void)
{
	struct virtio_net_hdr_v1 hdr;
	int sk, seg = 1000;
	struct nic k;

	setup();
	iface_up(&k, ALL, "h0");
	sk = udp_socket();
	ksft_eq(setsockopt(sk, IPPROTO_UDP, UDP_SEGMENT, &seg, sizeof(seg)), 0);
	nic_fill(frame, 20000, 1);
	ksft_eq(send(sk, frame, 20000, 0), 20000);
	nic_wait_stat(&k, "iface_unfit", 1);
	ksft_eq(send(sk, frame, 100, 0), 100);
	ksft_eq(next_frame(&k, &hdr), UDP_HDRS + 100);
	ksft_eq(nic_stat(&k, "iface_unfit"), 1);
	ksft_eq(nic_stat(&k, "rx_packets"), 1);
	close(sk);
	nic_down(&k);
	cleanup();
}

struct flood {
	pthread_t thread;
	int sk;
	bool stop;
	unsigned int sent;
};

static void *flood_thread(void *arg)
{
	static uint8_t data[20000];
	struct flood *f = arg;

	while (!load_acquire(&f->stop))
		f->sent += send(f->sk, data, sizeof(data), 0) == sizeof(data);
	return NULL;
}

/* Frames that nobody gets, as many as the host can make: the guest sends, and is reset. */
static void flood_of_joined_datagrams(void)
{
	struct flood f = { 0 };
	int sk, seg = 1000;
	unsigned int i, ms;
	struct vdrv_buf b;
	uint64_t unfit;
	struct nic k;

	setup();
	iface_up(&k, ALL, "h0");
	f.sk = udp_socket();
	ksft_eq(setsockopt(f.sk, IPPROTO_UDP, UDP_SEGMENT, &seg, sizeof(seg)), 0);
	sk = packet_socket("p0", TYPE);
	ksft_eq(pthread_create(&f.thread, NULL, flood_thread, &f), 0);
	for (i = 0; i < 10; i++) {
		for (unfit = nic_stat(&k, "iface_unfit"), ms = 0;
		     ms < NIC_WAIT && nic_stat(&k, "iface_unfit") < unfit + 100; ms++)
			usleep(1000);
		ksft_check(nic_stat(&k, "iface_unfit") >= unfit + 100);
		make_frame(300, i);
		nic_send(&k, NULL, frame, 300);
		ksft_eq(recv(sk, got, sizeof(got), 0), 300);
		ksft_memeq(got, frame, 300);
		vdrv_start(&k.d, k.m, ALL, 0, 0);
		b = (struct vdrv_buf){ vdrv_alloc_high(&k.d, 1526, 16), 1526 };
		nic_post(&k, &b, 1);
		vdrv_kick(&k.d.q[NIC_RX]);
	}
	store_release(&f.stop, true);
	pthread_join(f.thread, NULL);
	ksft_check(f.sent);
	close(sk);
	close(f.sk);
	nic_down(&k);
	cleanup();
}

static void interface_goes_down(void)
{
	struct virtio_net_hdr_v1 hdr;
	struct nic k;
	int sk;

	setup();
	iface_up(&k, ALL, "h0");
	ksft_eq(sh("ip link set h0 down"), 0);
	make_frame(100, 1);
	nic_send(&k, NULL, frame, 100);
	nic_wait_sent(&k);
	ksft_eq(nic_stat(&k, "tx_drops"), 1);
	ksft_eq(sh("ip link set h0 up"), 0);
	sk = packet_socket("p0", TYPE);
	nic_send(&k, NULL, frame, 100);
	ksft_eq(recv(sk, got, sizeof(got), 0), 100);
	ksft_eq(send(sk, frame, 100, 0), 100);
	ksft_eq(next_frame(&k, &hdr), 100);
	ksft_memeq(got, frame, 100);
	close(sk);
	nic_down(&k);
	cleanup();
}

static void interface_is_deleted(void)
{
	struct virtio_net_config c;
	unsigned int ms;
	struct nic k;

	setup();
	iface_up(&k, ALL, "h0");
	ksft_eq(sh("ip link delete h0"), 0);
	for (ms = 0; ms < NIC_WAIT; ms++) {
		vdrv_config(&k.d, 0, &c, 12);
		if (!c.status)
			break;
		usleep(1000);
	}
	ksft_eq(c.status, 0);
	/* The guest goes on without a network. */
	make_frame(100, 1);
	nic_send(&k, NULL, frame, 100);
	nic_wait_sent(&k);
	ksft_check(!vdrv_broken(&k.d));
	nic_down(&k);
}

static void refused(const char *keys, int ret, const char *want)
{
	struct err err = { 0 };
	struct nic k;

	ksft_eq(iface_create(&k, keys, &err), ret);
	if (!strstr(err.msg, want) || strchr(err.msg, '\n'))
		ksft_fail("'%s' does not say: %s", err.msg, want);
	vdrv_fini(&k.d);
}

static void bad_names(void)
{
	setup();
	refused("nobody0", -ENODEV, "no interface 'nobody0'; list them with: ip link");
	refused("any", -ENODEV, "no interface 'any'");
	refused("a-name-that-is-far-too-long", -ENODEV, "no interface");
	refused("h0,addr=10.0.0.1/8", -EINVAL, "addr is for tap=");
	refused("h0,user", -EINVAL, "give one of");
	if (!sh("ip tuntap add dev tun7 mode tun && ip link set tun7 up")) {
		refused("tun7", -EINVAL, "not an Ethernet interface");
		ksft_eq(sh("ip link delete tun7"), 0);
	}
	cleanup();
}

static void without_the_right(void)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { 0 };
	struct net_backend *be;
	struct err err = { 0 };
	int status;
	pid_t pid;

	setup();
	fflush(stdout);
	pid = fork();
	if (!pid) {
		if (syscall(SYS_capset, &h, none))
			_exit(2);
		if (net_iface_open("h0", true, &be, &err) != -EPERM)
			_exit(3);
		_exit(!strstr(err.msg, "CAP_NET_RAW"));
	}
	ksft_eq(waitpid(pid, &status, 0), pid);
	ksft_eq(status, 0);
	cleanup();
}

int main(int argc, char **argv)
{
	ksft_case("frames_both_ways", frames_both_ways);
	ksft_case("too_long", too_long);
	ksft_case("datagram_to_peer", datagram_to_peer);
	ksft_case("open_checksum", open_checksum);
	ksft_case("joined_segments", joined_segments);
	ksft_case("joined_datagrams", joined_datagrams);
	ksft_case("flood_of_joined_datagrams", flood_of_joined_datagrams);
	ksft_case("interface_goes_down", interface_goes_down);
	ksft_case("interface_is_deleted", interface_is_deleted);
	ksft_case("bad_names", bad_names);
	ksft_case("without_the_right", without_the_right);
	return ksft_run(argc, argv);
}
