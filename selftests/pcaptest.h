/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * For tests of captures: a folder and a file of their own, frames, and reading back by libpcap what
 * was recorded. The case's own thread only.
 */
#ifndef SELFTESTS_PCAPTEST_H
#define SELFTESTS_PCAPTEST_H

#include <pcap/pcap.h>

#include "netdrv.h"

static char dir[] = "/tmp/lodge-pcap-XXXXXX";
static char file[96];
static uint8_t frame[NET_FRAME_MAX];

static inline void setup(void)
{
	strcpy(dir + sizeof(dir) - 7, "XXXXXX");
	ksft_check(mkdtemp(dir));
	snprintf(file, sizeof(file), "%s/a.pcap", dir);
}

static inline void cleanup(void)
{
	unlink(file);
	ksft_eq(rmdir(dir), 0);
}

/* A counter of a capture that has no device. */
static inline uint64_t stat_of(struct net_pcap *pc, const char *key)
{
	char *text = NULL, *p;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	uint64_t v;

	net_pcap_stats(pc, f);
	fclose(f);
	p = strstr(text, key);
	ksft_check(p && p[strlen(key)] == '=');
	v = strtoull(p + strlen(key) + 1, NULL, 10);
	free(text);
	return v;
}

/* A frame of this EtherType: distinct bytes behind a header. */
static inline void make_frame(uint16_t type, uint32_t len, unsigned int seed)
{
	nic_fill(frame, len, seed);
	frame[12] = type >> 8;
	frame[13] = type & 0xff;
}

/* The next record is this frame. */
static inline void expect_record(pcap_t *p, const uint8_t *want, uint32_t len)
{
	struct pcap_pkthdr *h;
	const u_char *data;

	ksft_eq(pcap_next_ex(p, &h, &data), 1);
	ksft_eq(h->caplen, len);
	ksft_eq(h->len, len);
	ksft_memeq(data, want, len);
}

static inline void expect_end(pcap_t *p)
{
	struct pcap_pkthdr *h;
	const u_char *data;

	ksft_eq(pcap_next_ex(p, &h, &data), PCAP_ERROR_BREAK);
	pcap_close(p);
}

static inline pcap_t *open_file(void)
{
	char msg[PCAP_ERRBUF_SIZE];
	pcap_t *p = pcap_open_offline_with_tstamp_precision(file, PCAP_TSTAMP_PRECISION_NANO, msg);

	if (!p)
		ksft_fail("%s", msg);
	ksft_eq(pcap_datalink(p), DLT_EN10MB);
	return p;
}

#endif
