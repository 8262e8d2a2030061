// SPDX-License-Identifier: GPL-2.0-only
/*
 * Compares frames, in the guest and on its host:
 *
 *	pkt recv IFACE FRAMES	takes that many frames from an interface, which it brings up first
 *	pkt sum FILE...		reads those of captures (libpcap's format, this machine's order)
 *
 * Both print "SUM BYTES FRAMES"; the same frames in the same order have the same sum. Joining of
 * received segments is turned off, as it would come before the packet socket. Exit status 0, or 1
 * with a line on stderr, such as when nothing comes for a minute or the socket has lost some.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "pattern.h"

#define SOCKET_BUFFER (256 << 20)

static uint8_t buf[256 << 10];

static void die(const char *what)
{
	fprintf(stderr, "pkt: %s: %s\n", what, strerror(errno));
	exit(1);
}

/*
 * For all interfaces: a socket bound to one that is down sees nothing until some time after frames
 * have begun to arrive.
 */
static int open_socket(const char *name)
{
	struct ethtool_value gro = { .cmd = ETHTOOL_SGRO };
	struct timeval minute = { .tv_sec = 60 };
	struct ifreq ifr = { 0 };
	int sk, len = SOCKET_BUFFER;

	sk = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
	if (sk < 0 || setsockopt(sk, SOL_SOCKET, SO_RCVBUFFORCE, &len, sizeof(len)) ||
	    setsockopt(sk, SOL_SOCKET, SO_RCVTIMEO, &minute, sizeof(minute)))
		die("socket");
	strncpy(ifr.ifr_name, name, IFNAMSIZ - 1);
	ifr.ifr_data = (char *)&gro;
	if (ioctl(sk, SIOCETHTOOL, &ifr))
		die("gro off");
	if (ioctl(sk, SIOCGIFFLAGS, &ifr))
		die("flags");
	ifr.ifr_flags |= IFF_UP;
	if (ioctl(sk, SIOCSIFFLAGS, &ifr))
		die("up");
	return sk;
}

static int take(const char *name, uint64_t want)
{
	struct tpacket_stats st = { 0 };
	socklen_t st_len = sizeof(st), from_len;
	uint64_t sum = 1, bytes = 0, n = 0;
	struct sockaddr_ll from;
	int ifindex = if_nametoindex(name), sk = open_socket(name);
	ssize_t len;

	while (n < want) {
		from_len = sizeof(from);
		len = recvfrom(sk, buf, sizeof(buf), 0, (struct sockaddr *)&from, &from_len);
		if (len < 0) {
			getsockopt(sk, SOL_PACKET, PACKET_STATISTICS, &st, &st_len);
			fprintf(stderr,
				"pkt: after %" PRIu64 " frames, %" PRIu64 " bytes (%u lost): ", n,
				bytes, st.tp_drops);
			die("recv");
		}
		if (from.sll_pkttype == PACKET_OUTGOING || from.sll_ifindex != ifindex)
			continue;
		sum = pattern_sum(sum, buf, len);
		bytes += len;
		n++;
	}
	if (getsockopt(sk, SOL_PACKET, PACKET_STATISTICS, &st, &st_len) || st.tp_drops) {
		fprintf(stderr, "pkt: %u frames lost here\n", st.tp_drops);
		return 1;
	}
	printf("%016" PRIx64 " %" PRIu64 " %" PRIu64 "\n", sum, bytes, n);
	return 0;
}

static int sums(char **files)
{
	uint64_t sum = 1, bytes = 0, n = 0;
	uint32_t head[6], rec[4];
	FILE *f;

	for (; *files; files++) {
		f = fopen(*files, "r");
		if (!f || fread(head, sizeof(head), 1, f) != 1 ||
		    (head[0] != 0xa1b2c3d4 && head[0] != 0xa1b23c4d))
			die(*files);
		while (fread(rec, 1, sizeof(rec), f) == sizeof(rec)) {
			if (rec[2] > sizeof(buf) || fread(buf, 1, rec[2], f) != rec[2])
				die(*files);
			sum = pattern_sum(sum, buf, rec[2]);
			bytes += rec[2];
			n++;
		}
		fclose(f);
	}
	printf("%016" PRIx64 " %" PRIu64 " %" PRIu64 "\n", sum, bytes, n);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "recv"))
		return take(argv[2], strtoull(argv[3], NULL, 0));
	if (argc >= 3 && !strcmp(argv[1], "sum"))
		return sums(argv + 2);
	fputs("usage: pkt recv IFACE FRAMES | sum FILE...\n", stderr);
	return 2;
}
