// SPDX-License-Identifier: GPL-2.0-only
/*
 * IPv4 fragments (RFC 791, 3.2) of a frame that is longer than the guest takes: for a network
 * inside lodge that learns of the guest's MTU only when its driver starts. Pure functions on bytes
 * that nobody else writes; any thread.
 */
#include <arpa/inet.h>
#include <net/ethernet.h>
#include <netinet/ip.h>
#include <string.h>

#include "net.h"

#define FRAG_UNIT 8u

uint32_t net_frag_next(const uint8_t *frame, uint32_t len, uint32_t mtu, uint32_t done,
		       struct net_frag *f)
{
	uint32_t ihl, total, left, part;
	struct iphdr ip;
	uint16_t off;

	if (len < ETH_HLEN + sizeof(ip) || frame[12] != ETHERTYPE_IP >> 8 ||
	    frame[13] != (ETHERTYPE_IP & 0xff))
		return 0;
	memcpy(&ip, frame + ETH_HLEN, sizeof(ip));
	ihl = ip.ihl * 4;
	total = ntohs(ip.tot_len);
	if (ip.version != IPVERSION || ihl < sizeof(ip) || total < ihl + done ||
	    len < ETH_HLEN + total || mtu < ihl + FRAG_UNIT)
		return 0;
	left = total - ihl - done;
	part = (mtu - ihl) & ~(FRAG_UNIT - 1);
	part = MIN(part, left);
	off = ntohs(ip.frag_off);
	off = (off & IP_MF) | ((off & IP_OFFMASK) + done / FRAG_UNIT);
	if (part < left)
		off |= IP_MF;
	ip.frag_off = htons(off);
	ip.tot_len = htons(ihl + part);
	ip.check = 0;
	f->len = ETH_HLEN + ihl;
	memcpy(f->head, frame, f->len);
	memcpy(f->head + ETH_HLEN, &ip, sizeof(ip));
	net_csum_complete(f->head, f->len, ETH_HLEN, offsetof(struct iphdr, check));
	f->last = part == left;
	return part;
}
