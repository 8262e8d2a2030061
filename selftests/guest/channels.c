// SPDX-License-Identifier: GPL-2.0-only
/*
 * For guests: how many pairs of queues a network interface uses.
 *
 *	channels INTERFACE [N]
 *
 * Sets it to N if given, as ethtool -L combined N does, and prints "ACTIVE of MAXIMUM". Exit
 * status: 0, or 1 with a message.
 */
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>

int main(int argc, char **argv)
{
	struct ethtool_channels ch = { .cmd = ETHTOOL_GCHANNELS };
	struct ifreq ifr = { .ifr_data = (void *)&ch };
	int sk, ret = 1;

	if (argc < 2 || argc > 3 || strlen(argv[1]) >= IFNAMSIZ)
		return 2;
	sk = socket(AF_INET, SOCK_DGRAM, 0);
	memcpy(ifr.ifr_name, argv[1], strlen(argv[1]) + 1);
	if (ioctl(sk, SIOCETHTOOL, &ifr))
		goto fail;
	if (argc == 3) {
		ch.cmd = ETHTOOL_SCHANNELS;
		ch.combined_count = atoi(argv[2]);
		if (ioctl(sk, SIOCETHTOOL, &ifr))
			goto fail;
		ch.cmd = ETHTOOL_GCHANNELS;
		if (ioctl(sk, SIOCETHTOOL, &ifr))
			goto fail;
	}
	printf("%u of %u\n", ch.combined_count, ch.max_combined);
	ret = 0;
fail:
	if (ret)
		perror(argv[1]);
	close(sk);
	return ret;
}
