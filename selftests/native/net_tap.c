// SPDX-License-Identifier: GPL-2.0-only
/*
 * The network device on a real tap, in a network namespace of its own: frames, checksums and
 * segments both ways against the kernel's stack, and what may go wrong with the interface. Skipped
 * without the right to make a namespace, or without /dev/net/tun.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <net/ethernet.h>
#include <netinet/ip.h>
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
#define UDP_HDRS (14 + 20 + 8)
#define HOST_IP	 "10.77.0.1"
#define GUEST_IP "10.77.0.2"

static const uint8_t guest_mac[] = { 2, 0, 0, 0, 0, 2 };
/* The IP header behind 14 bytes of Ethernet is to be aligned. */
static uint8_t space[NET_FRAME_MAX + 2] __attribute__((aligned(4)));
static uint8_t *const frame = space + 2;
static uint8_t got[NET_FRAME_MAX];

/* Once per program: the namespace outlives the case. */
static void need_tap(void)
{
	static const char *missing = "";
	int fd;

	if (!missing[0] && unshare(CLONE_NEWNET) && unshare(CLONE_NEWUSER | CLONE_NEWNET))
		missing = "no right to make a network namespace";
	fd = open("/dev/net/tun", O_RDWR);
	if (fd < 0)
		missing = "cannot open /dev/net/tun";
	else
		close(fd);
	if (missing[0])
		ksft_skip("%s", missing);
}

/* A card on the tap t0, 10.77.0.1/24. */
static void tap_up(struct nic *k, uint64_t want, const char *keys)
{
	struct net_cfg cfg = { 0 };
	struct err err = { 0 };
	static char text[128];

	memset(k, 0, sizeof(*k));
	k->wire = -1;
	vdrv_init(&k->d);
	snprintf(text, sizeof(text), "tap=t0,addr=" HOST_IP "/24,mac=02:00:00:00:00:02%s", keys);
	ksft_eq(opt_parse_list(net_ops.opts, "--net", text, &cfg, &err), 0);
	if (net_ops.create(&cfg, &k->d.mem, &k->vd, &err))
		ksft_fail("%s", err.msg);
	snprintf(k->vd->label, sizeof(k->vd->label), "net0");
	ksft_eq(vmmio_create(k->vd, &k->m), 0);
	vdrv_start(&k->d, k->m, want, 0, 0);
}

static void post_buffers(struct nic *k, unsigned int n, uint32_t size)
{
	while (n--) {
		struct vdrv_buf b = { vdrv_alloc_high(&k->d, size, 16), size };

		nic_post(k, &b, 1);
	}
	vdrv_kick(&k->d.q[NIC_RX]);
}

/* The next received frame of this EtherType to got[]; its length. The kernel sends others, too. */
static uint32_t next_frame(struct nic *k, uint16_t type, struct virtio_net_hdr_v1 *hdr)
{
	struct vdrv_q *q = &k->d.q[NIC_RX];
	uint32_t len, done;
	unsigned int i, n;
	uint64_t gpa;
	uint16_t head;

	do {
		for (i = 0, n = 1, done = 0; i < n; i++, done += len) {
			ksft_check(vdrv_wait_used(q, &head, &len, NIC_WAIT));
			gpa = q->desc[head].addr;
			ksft_check(done + len <= sizeof(got));
			memcpy(got + done, vdrv_hva(&k->d, gpa, len), len);
			if (!i) {
				memcpy(hdr, got, sizeof(*hdr));
				n = hdr->num_buffers;
			}
		}
		memmove(got, got + NET_HDR_LEN, done - NET_HDR_LEN);
	} while (got[12] != type >> 8 || got[13] != (type & 0xff));
	return done - NET_HDR_LEN;
}

static int packet_socket(void)
{
	struct sockaddr_ll ll = { .sll_family = AF_PACKET, .sll_protocol = htons(TYPE) };
	struct timeval t = { .tv_sec = NIC_WAIT / 1000 };
	int sk = socket(AF_PACKET, SOCK_RAW, htons(TYPE));

	ll.sll_ifindex = if_nametoindex("t0");
	ksft_check(sk >= 0 && ll.sll_ifindex);
	ksft_eq(bind(sk, (struct sockaddr *)&ll, sizeof(ll)), 0);
	setsockopt(sk, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	return sk;
}

/* A socket at 10.77.0.1:7; the guest's address is known to the kernel. */
static int udp_socket(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(7) };
	struct timeval t = { .tv_sec = NIC_WAIT / 1000 };
	struct arpreq arp = { .arp_flags = ATF_COM | ATF_PERM, .arp_dev = "t0" };
	int sk = socket(AF_INET, SOCK_DGRAM, 0), len = 1 << 20;

	inet_pton(AF_INET, HOST_IP, &sin.sin_addr);
	ksft_eq(bind(sk, (struct sockaddr *)&sin, sizeof(sin)), 0);
	setsockopt(sk, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	setsockopt(sk, SOL_SOCKET, SO_SNDBUF, &len, sizeof(len));
	arp.arp_ha.sa_family = ARPHRD_ETHER;
	memcpy(arp.arp_ha.sa_data, guest_mac, ETH_ALEN);
	inet_pton(AF_INET, GUEST_IP, &sin.sin_addr);
	memcpy(&arp.arp_pa, &sin, sizeof(sin));
	ksft_eq(ioctl(sk, SIOCSARP, &arp), 0);
	/* Where sends go. */
	ksft_eq(connect(sk, (struct sockaddr *)&sin, sizeof(sin)), 0);
	return sk;
}

/* The pseudo header of @n bytes of UDP between these IP addresses. */
static uint16_t pseudo(const uint8_t *ip, uint32_t n)
{
	return net_sum16(IPPROTO_UDP + n, ip + 12, 8);
}

/* frame[]: UDP from the guest to 10.77.0.1:7, @n bytes of payload; the checksum is left open. */
static uint32_t make_udp(uint32_t n, unsigned int seed)
{
	struct iphdr *ip = (void *)(frame + 14);
	struct udphdr *udp = (void *)(frame + 34);
	struct ifreq ifr = { .ifr_name = "t0" };
	int sk = socket(AF_INET, SOCK_DGRAM, 0);

	ksft_eq(ioctl(sk, SIOCGIFHWADDR, &ifr), 0);
	close(sk);
	memset(frame, 0, UDP_HDRS);
	memcpy(frame, ifr.ifr_hwaddr.sa_data, ETH_ALEN);
	memcpy(frame + ETH_ALEN, guest_mac, ETH_ALEN);
	frame[12] = 8;
	ip->version = 4;
	ip->ihl = 5;
	ip->ttl = 64;
	ip->protocol = IPPROTO_UDP;
	ip->tot_len = htons(28 + n);
	inet_pton(AF_INET, GUEST_IP, &ip->saddr);
	inet_pton(AF_INET, HOST_IP, &ip->daddr);
	ip->check = htons(~net_sum16(0, ip, 20));
	udp->source = htons(7);
	udp->dest = htons(7);
	udp->len = htons(8 + n);
	udp->check = htons(pseudo((uint8_t *)ip, 8 + n));
	nic_fill(frame + UDP_HDRS, n, seed);
	return UDP_HDRS + n;
}

static void frames_both_ways(void)
{
	static const uint32_t len[] = { 60, 61, 1514, 100, 999 };
	struct virtio_net_hdr_v1 hdr;
	unsigned int i;
	struct nic k;
	int sk;

	need_tap();
	tap_up(&k, ALL, "");
	sk = packet_socket();
	post_buffers(&k, 64, 700);
	for (i = 0; i < ARRAY_SIZE(len); i++) {
		nic_fill(frame, len[i], i);
		memset(frame, 0xff, ETH_ALEN);
		memcpy(frame + ETH_ALEN, guest_mac, ETH_ALEN);
		frame[12] = TYPE >> 8;
		frame[13] = TYPE & 0xff;
		nic_send(&k, NULL, frame, len[i]);
		ksft_eq(recv(sk, got, sizeof(got), 0), len[i]);
		ksft_memeq(got, frame, len[i]);
		frame[14] ^= 1;
		ksft_eq(send(sk, frame, len[i], 0), len[i]);
		ksft_eq(next_frame(&k, TYPE, &hdr), len[i]);
		ksft_memeq(got, frame, len[i]);
		ksft_eq(hdr.num_buffers, (len[i] + NET_HDR_LEN + 699) / 700);
	}
	ksft_eq(nic_stat(&k, "tx_packets"), ARRAY_SIZE(len));
	close(sk);
	nic_down(&k);
	ksft_eq(if_nametoindex("t0"), 0);
}

static void checksum_to_host(void)
{
	const struct virtio_net_hdr_v1 part = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
						.csum_start = 34,
						.csum_offset = 6 };
	struct nic k;
	uint32_t len;
	int sk;

	need_tap();
	tap_up(&k, ALL, "");
	sk = udp_socket();
	len = make_udp(1000, 1);
	nic_send(&k, NULL, frame, len); /* a checksum that is just wrong is dropped by the kernel */
	nic_send(&k, &part, frame, len);
	ksft_eq(recv(sk, got, sizeof(got), 0), 1000);
	ksft_memeq(got, frame + UDP_HDRS, 1000);
	ksft_eq(recv(sk, got, sizeof(got), MSG_DONTWAIT), -1);
	close(sk);
	nic_down(&k);
}

static void checksum_to_guest(void)
{
	struct virtio_net_hdr_v1 hdr;
	unsigned int i;
	struct nic k;
	int sk;

	need_tap();
	for (i = 0; i < 2; i++) {
		tap_up(&k, i ? ALL : ~NET_GUEST_OFFLOADS, "");
		post_buffers(&k, 64, 4096);
		sk = udp_socket();
		nic_fill(frame, 900, i);
		ksft_eq(send(sk, frame, 900, 0), 900);
		ksft_eq(next_frame(&k, ETH_P_IP, &hdr), UDP_HDRS + 900);
		ksft_memeq(got + UDP_HDRS, frame, 900);
		if (i) {
			ksft_eq(hdr.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
			ksft_eq(hdr.csum_start, 34);
			ksft_eq(hdr.csum_offset, 6);
		} else {
			ksft_eq(hdr.flags, 0);
			ksft_eq(net_sum16(pseudo(got + 14, 908), got + 34, 908), 0xffff);
		}
		close(sk);
		nic_down(&k);
	}
}

/* 20 datagrams in one send: one large frame for a guest that can cut it up, else twenty. */
static void segments_to_guest(void)
{
	struct virtio_net_hdr_v1 hdr;
	int sk, seg = 1000, i, j;
	bool uso;
	struct nic k;

	need_tap();
	for (i = 0; i < 2; i++) {
		tap_up(&k, i ? ALL : ~NET_GUEST_OFFLOADS, "");
		post_buffers(&k, 128, 1500);
		uso = vdev_has(k.vd, VIRTIO_NET_F_GUEST_USO4);
		sk = udp_socket();
		ksft_eq(setsockopt(sk, IPPROTO_UDP, UDP_SEGMENT, &seg, sizeof(seg)), 0);
		nic_fill(frame, 20000, i);
		ksft_eq(send(sk, frame, 20000, 0), 20000);
		if (uso) {
			ksft_eq(next_frame(&k, ETH_P_IP, &hdr), UDP_HDRS + 20000);
			ksft_memeq(got + UDP_HDRS, frame, 20000);
			ksft_eq(hdr.gso_type, VIRTIO_NET_HDR_GSO_UDP_L4);
			ksft_eq(hdr.gso_size, 1000);
			ksft_eq(hdr.num_buffers, 14);
		}
		for (j = 0; !uso && j < 20; j++) {
			ksft_eq(next_frame(&k, ETH_P_IP, &hdr), UDP_HDRS + 1000);
			ksft_memeq(got + UDP_HDRS, frame + j * 1000, 1000);
			ksft_eq(hdr.gso_type, VIRTIO_NET_HDR_GSO_NONE);
		}
		close(sk);
		nic_down(&k);
	}
}

static void segments_to_host(void)
{
	const struct virtio_net_hdr_v1 uso = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
					       .gso_type = VIRTIO_NET_HDR_GSO_UDP_L4,
					       .gso_size = 1000,
					       .hdr_len = UDP_HDRS,
					       .csum_start = 34,
					       .csum_offset = 6 };
	uint32_t len, i;
	struct nic k;
	int sk;

	need_tap();
	tap_up(&k, ALL, "");
	if (!vdev_has(k.vd, VIRTIO_NET_F_HOST_USO)) {
		nic_down(&k);
		ksft_skip("this kernel's tap has no UDP segmentation");
	}
	sk = udp_socket();
	len = make_udp(20000, 3);
	nic_send(&k, &uso, frame, len);
	for (i = 0; i < 20; i++) {
		ksft_eq(recv(sk, got, sizeof(got), 0), 1000);
		ksft_memeq(got, frame + UDP_HDRS + i * 1000, 1000);
	}
	close(sk);
	nic_down(&k);
}

static void offloads_off(void)
{
	struct nic k;

	need_tap();
	tap_up(&k, ALL, ",offload=off");
	ksft_check(!(k.vd->features & (NET_HOST_OFFLOADS | NET_GUEST_OFFLOADS)));
	nic_down(&k);
	tap_up(&k, ALL, ",offload=on,mtu=1400");
	ksft_check(vdev_has(k.vd, VIRTIO_NET_F_HOST_TSO4));
	ksft_check(vdev_has(k.vd, VIRTIO_NET_F_GUEST_TSO6));
	nic_down(&k);
}

static void frames_from_before_the_driver(void)
{
	struct virtio_net_hdr_v1 hdr;
	struct nic k;
	int sk;

	need_tap();
	tap_up(&k, ALL, "");
	sk = packet_socket();
	vdrv_reset(&k.d);
	memset(frame, 0, 100);
	memset(frame, 0xff, ETH_ALEN);
	frame[12] = TYPE >> 8;
	frame[13] = TYPE & 0xff;
	ksft_eq(send(sk, frame, 100, 0), 100);
	vdrv_start(&k.d, k.m, ALL, 0, 0);
	post_buffers(&k, 16, 2000);
	frame[20] = 1;
	ksft_eq(send(sk, frame, 100, 0), 100);
	ksft_eq(next_frame(&k, TYPE, &hdr), 100);
	ksft_eq(got[20], 1);
	close(sk);
	nic_down(&k);
}

/* A persistent tap stays, one made for the guest goes; neither can be had twice. */
static void whose_tap(void)
{
	struct ifreq ifr = { .ifr_name = "t1", .ifr_flags = IFF_TAP | IFF_NO_PI };
	struct net_backend *be, *be2;
	struct err err = { 0 };
	int fd;

	need_tap();
	ksft_eq(net_tap_open("t0", NULL, 0, true, 1, &be, &err), 0);
	ksft_check(if_nametoindex("t0"));
	ksft_eq(net_tap_open("t0", NULL, 0, true, 1, &be2, &err), -EBUSY);
	ksft_check(strstr(err.msg, "in use"));
	be->ops->close(be);
	ksft_eq(if_nametoindex("t0"), 0);

	fd = open("/dev/net/tun", O_RDWR);
	ksft_eq(ioctl(fd, TUNSETIFF, &ifr), 0);
	ksft_eq(ioctl(fd, TUNSETPERSIST, 1), 0);
	close(fd);
	memset(&err, 0, sizeof(err));
	ksft_eq(net_tap_open("t1", NULL, 0, true, 1, &be, &err), 0);
	be->ops->close(be);
	ksft_check(if_nametoindex("t1"));
	fd = open("/dev/net/tun", O_RDWR);
	ksft_eq(ioctl(fd, TUNSETIFF, &ifr), 0);
	ksft_eq(ioctl(fd, TUNSETPERSIST, 0), 0);
	close(fd);

	ksft_check(net_tap_open("lo", NULL, 0, true, 1, &be, &err) < 0);
	ksft_check(strstr(err.msg, "is not a tap"));
}

static void without_the_right(void)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { 0 };
	struct net_backend *be;
	struct err err = { 0 };
	int status;
	pid_t pid;

	need_tap();
	fflush(stdout);
	pid = fork();
	if (!pid) {
		/* Still the owner of /dev/net/tun, but no more than that. */
		if (syscall(SYS_capset, &h, none))
			_exit(2);
		if (net_tap_open("t0", NULL, 0, true, 1, &be, &err) != -EPERM)
			_exit(3);
		_exit(!strstr(err.msg, "CAP_NET_ADMIN") || !strstr(err.msg, "ip tuntap add"));
	}
	ksft_eq(waitpid(pid, &status, 0), pid);
	ksft_eq(status, 0);
	ksft_eq(if_nametoindex("t0"), 0);
}

static void interface_is_deleted(void)
{
	struct virtio_net_config c;
	unsigned int ms;
	struct nic k;

	need_tap();
	tap_up(&k, ALL, "");
	post_buffers(&k, 16, 2000);
	if (system("ip link delete t0 2>/dev/null")) {
		nic_down(&k);
		ksft_skip("no ip to delete it with");
	}
	for (ms = 0; ms < NIC_WAIT; ms++) {
		vdrv_config(&k.d, 0, &c, 12);
		if (!c.status)
			break;
		usleep(1000);
	}
	ksft_eq(c.status, 0);
	/* The guest goes on without a network. */
	nic_send(&k, NULL, frame, 100);
	nic_wait_sent(&k);
	ksft_check(!vdrv_broken(&k.d));
	nic_down(&k);
}

int main(int argc, char **argv)
{
	ksft_case("frames_both_ways", frames_both_ways);
	ksft_case("checksum_to_host", checksum_to_host);
	ksft_case("checksum_to_guest", checksum_to_guest);
	ksft_case("segments_to_guest", segments_to_guest);
	ksft_case("segments_to_host", segments_to_host);
	ksft_case("offloads_off", offloads_off);
	ksft_case("frames_from_before_the_driver", frames_from_before_the_driver);
	ksft_case("whose_tap", whose_tap);
	ksft_case("without_the_right", without_the_right);
	ksft_case("interface_is_deleted", interface_is_deleted);
	return ksft_run(argc, argv);
}
