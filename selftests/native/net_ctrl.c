// SPDX-License-Identifier: GPL-2.0-only
/*
 * The network device around its frames: options and their messages, features and what they require,
 * configuration space, the control queue (virtio 1.2, 5.1.3, 5.1.4, 5.1.6.5).
 */
#include <arpa/inet.h>
#include <endian.h>
#include <time.h>

#include "netdrv.h"

#define ALL (~0ull)

/* --- options --------------------------------------------------------------------------------- */

/* Parse and create; the message, "" when it worked. */
static const char *try_net(const char *text)
{
	static struct err err;
	struct net_cfg cfg = { 0 };
	struct gmem mem = { 0 };
	char buf[256];
	struct vdev *vd;

	memset(&err, 0, sizeof(err));
	snprintf(buf, sizeof(buf), "%s", text);
	if (opt_parse_list(net_ops.opts, "--net", buf, &cfg, &err))
		return err.msg;
	if (!net_ops.create(&cfg, &mem, &vd, &err))
		net_ops.destroy(vd);
	return err.msg;
}

#define expect_line(text, part)                                                  \
	do {                                                                     \
		const char *line_ = try_net(text);                               \
		if (!strstr(line_, part) || strchr(line_, '\n'))                 \
			ksft_fail("%s: \"%s\" lacks \"%s\"", text, line_, part); \
	} while (0)

static void bad_options(void)
{
	expect_line("mac=02:00:00:00:00:01", "give one of tap=NAME, user,");
	expect_line("tap=t0,user", "give one of tap=NAME, user,");
	expect_line("user,addr=10.0.0.1/8", "addr is for tap=");
	expect_line("user,offload=on", "offload is for tap=");
	expect_line("tap=t0,hostfwd=tcp::1-:2", "hostfwd is for user");
	expect_line("user,queues=2", "queues is for tap=");
	expect_line("tap=t0,queues=0", "use 1 to 8");
	expect_line("tap=t0,queues=9", "use 1 to 8");
	expect_line("tap=t0,poll=10001", "use 0 to 10000");
	expect_line("tap=t0,offload=maybe", "'maybe' is neither on nor off");
	expect_line("user,filter=tcp", "filter needs pcap=FILE");
	expect_line("user,mtu=67", "use 68 to 65535");
	expect_line("user,mtu=65536", "use 68 to 65535");
	expect_line("user,mac=zz", "'zz' is not a MAC address");
	expect_line("user,mac=02:00:00:00:00", "is not a MAC address");
	expect_line("user,mac=02:00:00:00:00:01:02", "is not a MAC address");
	expect_line("user,mac=2:0:0:0:0:1", "is not a MAC address");
	expect_line("user,mac=01:00:5e:00:00:01", "multicast");
	expect_line("user,mac=00:00:00:00:00:00", "nobody's");
	expect_line("user,hostfwd=tcp:2222", "is not tcp:[HOSTADDR]:PORT");
	expect_line("tap=sixteen-is-enough", "at most 15 characters");
	expect_line("tap=a/b", "no name of an interface");
	expect_line("tap=tap%d", "no name of an interface");
	expect_line("tap=t0,addr=10.0.0.1", "A.B.C.D/LEN");
	expect_line("tap=t0,addr=10.0.0.1/33", "A.B.C.D/LEN");
	expect_line("tap=t0,addr=10.0.0/8", "A.B.C.D/LEN");
	expect_line("tap=t0,addr=10.0.0.1/8x", "A.B.C.D/LEN");
}

static void mac_address(void)
{
	uint8_t mac[ETH_ALEN], mac2[ETH_ALEN];
	static const uint8_t want[] = { 0x52, 0x54, 0, 0x12, 0xAB, 0xff };
	const struct net_cfg given = { .mac = "52:54:00:12:aB:FF" };
	struct err err = { 0 };
	struct nic k;

	ksft_eq(net_parse_mac("52:54:00:12:aB:FF", mac, &err), 0);
	ksft_memeq(mac, want, ETH_ALEN);
	nic_up(&k, &given, ALL, 0);
	vdrv_config(&k.d, 0, mac, ETH_ALEN);
	ksft_memeq(mac, want, ETH_ALEN);
	nic_down(&k);
	/* Otherwise local, of a single station, and another one each time. */
	nic_up(&k, NULL, ALL, 0);
	vdrv_config(&k.d, 0, mac, ETH_ALEN);
	nic_down(&k);
	nic_up(&k, NULL, ALL, 0);
	vdrv_config(&k.d, 0, mac2, ETH_ALEN);
	nic_down(&k);
	ksft_eq(mac[0] & 3, 2);
	ksft_eq(mac2[0] & 3, 2);
	ksft_check(memcmp(mac, mac2, ETH_ALEN));
}

static void hostfwd(void)
{
	static const char *const bad[] = {
		"",
		"tcp",
		"tcp:",
		"tcp::22",
		"tcp::22-",
		"tcp::22-22",
		"tcp:22-:22",
		"sctp::1-:2",
		"tcp::0-:22",
		"tcp::65536-:22",
		"tcp::22-:0",
		"tcp::22-:99999",
		"tcp::-1-:22",
		"tcp::+1-:22",
		"tcp:: 1-:22",
		"tcp:localhost:1-:2",
		"tcp:1.2.3:1-:2",
		"tcp:1.2.3.4.5:1-:2",
		"tcp::1-1.2.3.256:2",
		"tcp::1-:2x",
		"tcp::1-:2,",
		"-:1-:2",
		"tcp:999.999.999.999999:1-:2",
	};
	struct err err;
	struct net_fwd f;
	unsigned int i;

	memset(&err, 0, sizeof(err));
	ksft_eq(net_user_parse_fwd("tcp::2222-:22", &f, &err), 0);
	ksft_check(!f.udp);
	ksft_eq(f.host_addr, htonl(0x7f000001)); /* not the whole world unless told so */
	ksft_eq(f.guest_addr, htonl(0x0a00020f));
	ksft_eq(f.host_port, htons(2222));
	ksft_eq(f.guest_port, htons(22));
	ksft_eq(net_user_parse_fwd("udp:0.0.0.0:65535-10.0.2.77:1", &f, &err), 0);
	ksft_check(f.udp);
	ksft_eq(f.host_addr, 0);
	ksft_eq(f.guest_addr, htonl(0x0a00024d));
	ksft_eq(f.host_port, htons(65535));
	ksft_eq(f.guest_port, htons(1));
	ksft_eq(net_user_parse_fwd("::1-:2", &f, &err), 0); /* as elsewhere, TCP if not said */
	ksft_check(!f.udp);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		memset(&err, 0, sizeof(err));
		if (net_user_parse_fwd(bad[i], &f, &err) != -EINVAL ||
		    !strstr(err.msg, "tcp::2222-:22"))
			ksft_fail("'%s' was taken", bad[i]);
	}
}

/* --- features -------------------------------------------------------------------------------- */

static void feature_dependencies(void)
{
#define B(f) NET_BIT(VIRTIO_NET_F_##f)
	static const struct {
		uint64_t f;
		bool ok;
	} t[] = {
		{ 0, true },
		{ B(CSUM), true },
		{ B(HOST_TSO4), false },
		{ B(HOST_TSO6), false },
		{ B(HOST_TSO4) | B(CSUM), true },
		{ B(HOST_TSO4) | B(GUEST_CSUM), false },
		{ B(HOST_ECN) | B(CSUM), false },
		{ B(HOST_ECN) | B(CSUM) | B(HOST_TSO6), true },
		{ B(HOST_USO), false },
		{ B(HOST_USO) | B(CSUM), true },
		{ B(GUEST_TSO4), false },
		{ B(GUEST_TSO4) | B(GUEST_CSUM), true },
		{ B(GUEST_TSO6) | B(CSUM), false },
		{ B(GUEST_ECN) | B(GUEST_CSUM), false },
		{ B(GUEST_ECN) | B(GUEST_CSUM) | B(GUEST_TSO4), true },
		{ B(GUEST_USO4), false },
		{ B(GUEST_USO4) | B(GUEST_USO6) | B(GUEST_CSUM), true },
		{ B(CTRL_RX), false },
		{ B(CTRL_RX) | B(CTRL_VQ), true },
		{ B(CTRL_MAC_ADDR), false },
		{ B(CTRL_GUEST_OFFLOADS), false },
		{ B(CTRL_GUEST_OFFLOADS) | B(CTRL_VQ), true },
	};
	unsigned int i;
	struct nic k;

	nic_create(&k, NULL, nic_offloads);
	vdrv_start(&k.d, k.m, ALL, 0, 0);
	for (i = 0; i < ARRAY_SIZE(t); i++)
		if (vdrv_features(&k.d, t[i].f) != t[i].ok)
			ksft_fail("row %u: not %d", i, t[i].ok);
	nic_down(&k);
}

static void features_follow_the_backend(void)
{
	const struct net_cfg cfg = { .mtu = 1234 };
	struct virtio_net_config c;
	struct nic k;

	nic_create(&k, NULL, 0);
	vdrv_start(&k.d, k.m, ALL, 0, 0);
	ksft_check(!(k.vd->features & (NET_HOST_OFFLOADS | NET_GUEST_OFFLOADS)));
	ksft_check(!vdev_has(k.vd, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS));
	ksft_check(!vdev_has(k.vd, VIRTIO_NET_F_MTU));
	ksft_check(vdev_has(k.vd, VIRTIO_NET_F_MRG_RXBUF));
	nic_down(&k);
	nic_up(&k, &cfg, ALL, 0);
	vdrv_config(&k.d, 0, &c, 12);
	ksft_check(vdev_has(k.vd, VIRTIO_NET_F_MTU));
	ksft_eq(le16toh(c.mtu), 1234);
	ksft_eq(le16toh(c.status), VIRTIO_NET_S_LINK_UP);
	ksft_eq(k.vd->features & (NET_HOST_OFFLOADS | NET_GUEST_OFFLOADS), nic_offloads);
	nic_down(&k);
}

/* --- control queue --------------------------------------------------------------------------- */

/* A command of @len bytes in pieces of @piece bytes; its answer. */
static int ctrl_in_pieces(struct nic *k, const void *cmd, uint32_t len, uint32_t piece)
{
	uint64_t gpa = len ? vdrv_alloc(&k->d, len, 1) : 0, ack = vdrv_alloc(&k->d, 1, 1);
	struct vdrv_buf b[64];
	unsigned int n = 0;
	uint32_t off, used;
	uint16_t head;

	if (len)
		memcpy(vdrv_hva(&k->d, gpa, len), cmd, len);
	for (off = 0; off < len; off += piece)
		b[n++] = (struct vdrv_buf){ gpa + off, MIN(piece, len - off) };
	b[n] = (struct vdrv_buf){ ack, 1 };
	*(uint8_t *)vdrv_hva(&k->d, ack, 1) = 0xee;
	ksft_check(vdrv_add(&k->d.q[NIC_CTRL], b, n, 1, n > 3) >= 0);
	vdrv_kick(&k->d.q[NIC_CTRL]);
	ksft_check(vdrv_wait_used(&k->d.q[NIC_CTRL], &head, &used, NIC_WAIT));
	ksft_eq(used, 1);
	return *(uint8_t *)vdrv_hva(&k->d, ack, 1);
}

static int ctrl(struct nic *k, uint8_t class, uint8_t cmd, const void *data, uint32_t len)
{
	uint8_t buf[8192] = { class, cmd };

	if (len)
		memcpy(buf + 2, data, len);
	return ctrl_in_pieces(k, buf, 2 + len, 4096);
}

static void ctrl_rx_modes(void)
{
	static const uint8_t on = 1, two[2];
	struct nic k;

	nic_up(&k, NULL, ALL, 0);
	ksft_eq(ctrl(&k, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, &on, 1), VIRTIO_NET_OK);
	ksft_eq(ctrl(&k, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_ALLMULTI, &on, 1), VIRTIO_NET_OK);
	ksft_eq(ctrl(&k, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_ALLUNI, &on, 1), VIRTIO_NET_ERR);
	ksft_eq(ctrl(&k, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, NULL, 0), VIRTIO_NET_ERR);
	ksft_eq(ctrl(&k, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, two, 2), VIRTIO_NET_ERR);
	ksft_eq(nic_stat(&k, "ctrl"), 5);
	nic_down(&k);
}

static void ctrl_mac(void)
{
	static const uint8_t mac[] = { 2, 1, 2, 3, 4, 5 }, group[] = { 3, 1, 2, 3, 4, 5 };
	uint8_t cmd[2 + ETH_ALEN] = { VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET };
	uint8_t now[ETH_ALEN], first[ETH_ALEN];
	struct nic k;
	unsigned int i;

	nic_up(&k, NULL, ALL, 0);
	vdrv_config(&k.d, 0, first, ETH_ALEN);
	ksft_eq(ctrl(&k, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, mac, 5),
		VIRTIO_NET_ERR);
	ksft_eq(ctrl(&k, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, group, 6),
		VIRTIO_NET_ERR);
	vdrv_config(&k.d, 0, now, ETH_ALEN);
	ksft_memeq(now, first, ETH_ALEN);
	for (i = 1; i <= sizeof(cmd); i++) {
		memcpy(cmd + 2, mac, ETH_ALEN);
		cmd[7] = i;
		ksft_eq(ctrl_in_pieces(&k, cmd, sizeof(cmd), i), VIRTIO_NET_OK);
		vdrv_config(&k.d, 0, now, ETH_ALEN);
		ksft_memeq(now, cmd + 2, ETH_ALEN);
	}
	/* A reset brings the card's own address back. */
	vdrv_start(&k.d, k.m, ALL, 0, 0);
	vdrv_config(&k.d, 0, now, ETH_ALEN);
	ksft_memeq(now, first, ETH_ALEN);
	nic_down(&k);
}

static void ctrl_mac_table(void)
{
	uint32_t words[64] = { 0 };
	uint8_t *p = (uint8_t *)words;
	static uint8_t big[NET_CTRL_DATA_MAX + 1];
	struct nic k;

	nic_up(&k, NULL, ALL, 0);
#define SET(len) ctrl(&k, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, p, len)
	ksft_eq(SET(8), VIRTIO_NET_OK); /* two empty tables */
	ksft_eq(SET(7), VIRTIO_NET_ERR);
	ksft_eq(SET(4), VIRTIO_NET_ERR);
	ksft_eq(SET(0), VIRTIO_NET_ERR);
	ksft_eq(SET(9), VIRTIO_NET_ERR);
	words[0] = 2;
	ksft_eq(SET(4 + 12 + 4), VIRTIO_NET_OK);
	ksft_eq(SET(4 + 12 + 3), VIRTIO_NET_ERR);
	ksft_eq(SET(4 + 11), VIRTIO_NET_ERR);
	words[0] = 0xffffffff;
	ksft_eq(SET(100), VIRTIO_NET_ERR);
	words[0] = 0x2aaaaaab; /* times six is 2 in 32 bits */
	ksft_eq(SET(100), VIRTIO_NET_ERR);
	words[0] = 0;
	words[1] = 0xffffffff;
	ksft_eq(SET(100), VIRTIO_NET_ERR);
	ksft_eq(ctrl(&k, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, big, sizeof(big)),
		VIRTIO_NET_ERR);
	ksft_check(!vdrv_broken(&k.d));
	nic_down(&k);
}

static void ctrl_guest_offloads(void)
{
	const uint64_t have = NET_GUEST_OFFLOADS & ~NET_BIT(VIRTIO_NET_F_GUEST_TSO6);
	uint64_t f;
	struct nic k;

	nic_up(&k, NULL, ~NET_BIT(VIRTIO_NET_F_GUEST_TSO6), 0);
	ksft_eq(k.offloads, have);
#define OFF(len) \
	ctrl(&k, VIRTIO_NET_CTRL_GUEST_OFFLOADS, VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET, &f, len)
	f = NET_BIT(VIRTIO_NET_F_GUEST_CSUM);
	ksft_eq(OFF(8), VIRTIO_NET_OK);
	ksft_eq(k.offloads, f);
	f = 0;
	ksft_eq(OFF(8), VIRTIO_NET_OK);
	ksft_eq(k.offloads, 0);
	f = have;
	ksft_eq(OFF(8), VIRTIO_NET_OK);
	ksft_eq(k.offloads, have);
	/* Refused, and without an effect: */
	f = NET_GUEST_OFFLOADS; /* one bit was not negotiated */
	ksft_eq(OFF(8), VIRTIO_NET_ERR);
	f = NET_BIT(VIRTIO_NET_F_GUEST_TSO4); /* needs checksums */
	ksft_eq(OFF(8), VIRTIO_NET_ERR);
	f = NET_BIT(VIRTIO_NET_F_CSUM); /* not the guest's side */
	ksft_eq(OFF(8), VIRTIO_NET_ERR);
	f = NET_BIT(VIRTIO_NET_F_GUEST_CSUM) | 1ull << 63;
	ksft_eq(OFF(8), VIRTIO_NET_ERR);
	f = 0;
	ksft_eq(OFF(7), VIRTIO_NET_ERR);
	ksft_eq(OFF(0), VIRTIO_NET_ERR);
	ksft_eq(k.offloads, have);
	k.set_error = -EINVAL; /* the backend's refusal reaches the driver */
	ksft_eq(OFF(8), VIRTIO_NET_ERR);
	k.set_error = 0;
	nic_down(&k);

	/* Not negotiated, not obeyed. */
	nic_up(&k, NULL, ~NET_BIT(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS), 0);
	ksft_eq(OFF(8), VIRTIO_NET_ERR);
	ksft_eq(k.offloads, NET_GUEST_OFFLOADS);
	nic_down(&k);
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ull + t.tv_nsec / 1000000;
}

/* Each change takes a lock of the host's: 32 at once, and then one in 5 ms. */
static void offloads_changed_no_faster(void)
{
	const uint64_t all = NET_GUEST_OFFLOADS;
	uint64_t start = now_ms(), f;
	unsigned int i;
	struct nic k;

	nic_up(&k, NULL, ALL, 0);
	for (i = 0; i < 100; i++) {
		f = i & 1 ? all : 0;
		ksft_eq(OFF(8), VIRTIO_NET_OK);
		ksft_eq(k.offloads, f);
	}
	ksft_check(now_ms() - start >= (100 - 32 - 3) * 5);
	/* To what they are already is no change: the backend, which would refuse, is not asked. */
	k.set_error = -EINVAL;
	for (i = 0; i < 1000; i++)
		ksft_eq(OFF(8), VIRTIO_NET_OK);
	nic_down(&k);
}

static void ctrl_malformed(void)
{
	static const uint8_t one;
	struct vdrv_buf b;
	unsigned int i;
	struct nic k;

	nic_up(&k, NULL, ALL, 0);
	ksft_eq(ctrl_in_pieces(&k, NULL, 0, 1), VIRTIO_NET_ERR);
	ksft_eq(ctrl_in_pieces(&k, &one, 1, 1), VIRTIO_NET_ERR);
	for (i = 2; i < 256; i += 3)
		if (i != VIRTIO_NET_CTRL_GUEST_OFFLOADS)
			ksft_eq(ctrl(&k, i, 0, NULL, 0), VIRTIO_NET_ERR);
	ksft_eq(ctrl(&k, VIRTIO_NET_CTRL_RX, 255, &one, 1), VIRTIO_NET_ERR);
	ksft_eq(ctrl(&k, VIRTIO_NET_CTRL_MAC, 255, &one, 1), VIRTIO_NET_ERR);
	ksft_eq(ctrl(&k, VIRTIO_NET_CTRL_MQ, 0, &one, 1), VIRTIO_NET_ERR);
	ksft_check(!vdrv_broken(&k.d));
	/* Only where there is no room for the answer is there no other way. */
	b = (struct vdrv_buf){ vdrv_alloc(&k.d, 3, 1), 3 };
	ksft_check(vdrv_add(&k.d.q[NIC_CTRL], &b, 1, 0, false) >= 0);
	vdrv_kick(&k.d.q[NIC_CTRL]);
	nic_wait_broken(&k);
	nic_down(&k);
}

int main(int argc, char **argv)
{
	ksft_case("bad_options", bad_options);
	ksft_case("mac_address", mac_address);
	ksft_case("hostfwd", hostfwd);
	ksft_case("feature_dependencies", feature_dependencies);
	ksft_case("features_follow_the_backend", features_follow_the_backend);
	ksft_case("ctrl_rx_modes", ctrl_rx_modes);
	ksft_case("ctrl_mac", ctrl_mac);
	ksft_case("ctrl_mac_table", ctrl_mac_table);
	ksft_case("ctrl_guest_offloads", ctrl_guest_offloads);
	ksft_case("offloads are changed so often and no faster", offloads_changed_no_faster);
	ksft_case("ctrl_malformed", ctrl_malformed);
	return ksft_run(argc, argv);
}
