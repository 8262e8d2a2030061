// SPDX-License-Identifier: GPL-2.0-only
/*
 * Checksums that an offload has left open (RFC 1071), in software: completed in records of what
 * passed, and found again and completed where frames come without a virtio header that would tell.
 * Pure functions on bytes that nobody else writes; any thread.
 */
#include <arpa/inet.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <string.h>

#include "net.h"

#define VLAN_TAGS_MAX 2

static uint16_t get16(const uint8_t *p)
{
	return p[0] << 8 | p[1];
}

/* In the host's order of bytes, which the sum does not mind; not complemented. */
static uint16_t csum_add(uint64_t sum, const uint8_t *p, uint32_t len)
{
	uint32_t v;

	for (; len >= 4; p += 4, len -= 4) {
		memcpy(&v, p, 4);
		sum += v;
	}
	v = 0;
	memcpy(&v, p, len);
	sum += v;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

uint16_t net_csum_value(const uint8_t *frame, uint32_t len, uint32_t start)
{
	uint16_t w = ~csum_add(0, frame + start, len - start);

	return w ? w : 0xffff; /* in UDP zero means none */
}

void net_csum_complete(uint8_t *frame, uint32_t len, uint32_t start, uint32_t offset)
{
	uint16_t w;

	if (start + offset + 2 > len)
		return;
	w = net_csum_value(frame, len, start);
	memcpy(frame + start + offset, &w, 2);
}

void net_csum_finish(uint8_t *frame, uint32_t len, const struct virtio_net_hdr_v1 *hdr)
{
	uint32_t start = hdr->csum_start, ihl;
	struct net_l4 l4;

	/* A segmented packet's own length is for whoever segments it: nobody here. */
	if (hdr->gso_type && len >= 14 + 20 && get16(frame + 12) == ETHERTYPE_IP) {
		ihl = (frame[14] & 0xf) * 4;
		frame[16] = (len - 14) >> 8;
		frame[17] = len - 14;
		frame[24] = 0;
		frame[25] = 0;
		net_csum_complete(frame, MIN(len, 14 + ihl), 14, 10);
	}
	if (!(hdr->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM))
		return;
	/* Neither is the length in its pseudo header. */
	if (net_l4_find(frame, len, &l4) && l4.start == start && l4.offset == hdr->csum_offset) {
		memcpy(frame + start + l4.offset, &l4.pseudo, 2);
		len = l4.end;
	}
	net_csum_complete(frame, len, start, hdr->csum_offset);
}

static bool l4_find_ip4(const uint8_t *frame, uint32_t len, uint32_t off, struct net_l4 *l4)
{
	uint32_t ihl = (frame[off] & 0xf) * 4, total = get16(frame + off + 2);

	if (frame[off] >> 4 != 4 || ihl < 20 || total < ihl || off + total > len)
		return false;
	if (get16(frame + off + 6) & 0x3fff) /* a fragment */
		return false;
	l4->proto = frame[off + 9];
	l4->start = off + ihl;
	l4->end = off + total;
	l4->pseudo = csum_add(htons(l4->proto) + htons(total - ihl), frame + off + 12, 8);
	return true;
}

static bool l4_find_ip6(const uint8_t *frame, uint32_t len, uint32_t off, struct net_l4 *l4)
{
	uint32_t payload = get16(frame + off + 4);

	if (len < off + 40 || frame[off] >> 4 != 6 || off + 40 + payload > len)
		return false;
	l4->v6 = true;
	l4->proto = frame[off + 6];
	l4->start = off + 40;
	l4->end = l4->start + payload;
	l4->pseudo = csum_add(htons(l4->proto) + htons(payload), frame + off + 8, 32);
	return true;
}

bool net_l4_find(const uint8_t *frame, uint32_t len, struct net_l4 *l4)
{
	unsigned int tags = 0;
	uint32_t off = 12;
	uint16_t type;
	bool ok;

	memset(l4, 0, sizeof(*l4));
	if (len < off + 2 + 20)
		return false;
	while (type = get16(frame + off), type == ETHERTYPE_VLAN || type == 0x88a8) {
		off += 4;
		if (++tags > VLAN_TAGS_MAX || len < off + 2 + 20)
			return false;
	}
	off += 2;
	l4->ip = off;
	if (type == ETHERTYPE_IP)
		ok = l4_find_ip4(frame, len, off, l4);
	else
		ok = type == ETHERTYPE_IPV6 && l4_find_ip6(frame, len, off, l4);
	if (!ok)
		return false;
	if (l4->proto == IPPROTO_TCP && l4->end - l4->start >= 20) {
		l4->offset = 16;
		l4->hdr_len = (frame[l4->start + 12] >> 4) * 4;
		return l4->hdr_len >= 20 && l4->start + l4->hdr_len <= l4->end;
	}
	l4->offset = 6;
	l4->hdr_len = 8;
	return l4->proto == IPPROTO_UDP && l4->end - l4->start >= 8;
}

bool net_csum_open(const uint8_t *frame, const struct net_l4 *l4)
{
	uint16_t w;

	memcpy(&w, frame + l4->start + l4->offset, 2);
	return w && w == l4->pseudo;
}
