// SPDX-License-Identifier: GPL-2.0-only
/*
 * The report for people: what is measured, a line for each interval, and the table at the end.
 * What counts is what the receiver got, in the time from GO to its end. Also the sums that json.c
 * prints. The control connection's thread only.
 */
#include <stdio.h>
#include <string.h>

#include "netbench.h"

static FILE *report_progress;

void nb_report_to(bool json)
{
	report_progress = json ? stderr : stdout;
}

const char *nb_dir_name(uint32_t dir)
{
	return dir == NB_TO_SERVER ? "to_server" : "to_client";
}

static const char *report_dir(uint32_t dir)
{
	return dir == NB_TO_SERVER ? "to server" : "to client";
}

/* 1234567 and "b/s" to "1.23 Mb/s"; powers of 1000. */
static const char *report_unit(double v, const char *unit, char *text, size_t size)
{
	static const char *const prefix[] = { "", "k", "M", "G", "T", "P" };
	unsigned int i = 0;

	while (v >= 999.5 && i + 1 < ARRAY_SIZE(prefix)) {
		v /= 1000;
		i++;
	}
	snprintf(text, size, "%.*f %s%s",
		 !i || v >= 99.95 ? 0
		 : v >= 9.995	  ? 1
				  : 2,
		 v, prefix[i], unit);
	return text;
}

void nb_total(const struct nb_test *t, const struct nb_outcome *out, uint32_t dir,
	      struct nb_total *total)
{
	/* Which side receives; with --rr the one that asks: it knows when an answer came. */
	unsigned int to = dir == NB_TO_SERVER && t->kind != NB_RR;
	uint32_t nr = t->streams * (t->dirs == NB_BOTH ? 2 : 1), i;

	memset(total, 0, sizeof(*total));
	/* After an interruption that the server did not answer there is the client's side only. */
	if (out->server_missing)
		to = 0;
	for (i = 0; i < nr; i++) {
		const struct nb_figures *r = &out->side[to][i], *s = &out->side[!to][i];

		if (nb_stream_dir(t, i) != dir)
			continue;
		total->received.bytes += r->bytes;
		total->received.packets += r->packets;
		total->received.reordered += r->reordered;
		total->received.ns = MAX(total->received.ns, r->ns);
		total->sent.bytes += s->bytes;
		total->sent.packets += s->packets;
		total->sent.retrans += s->retrans;
	}
	total->seconds = total->received.ns / 1e9;
	if (total->seconds > 0)
		total->bps = total->received.bytes * 8.0 / total->seconds;
	if (total->sent.packets > total->received.packets && !out->server_missing)
		total->lost = total->sent.packets - total->received.packets;
}

void nb_report_begin(const struct nb_options *opt, const struct nb_outcome *out)
{
	static const char *const kinds[NB_KINDS] = { "TCP", "UDP", "request/response" };
	const struct nb_test *t = &opt->test;
	char text[32];

	/* No progress is wanted, and the report says it all. */
	if (opt->json && !t->interval_ms)
		return;
	fprintf(report_progress, "netbench: %s, %s, ", out->address, kinds[t->kind]);
	if (t->kind != NB_RR)
		fprintf(report_progress, "%s, ",
			t->dirs == NB_BOTH ? "both directions" : report_dir(t->dirs));
	fprintf(report_progress, "%u stream%s%s, %u bytes a message", t->streams,
		t->streams == 1 ? "" : "s", t->dirs == NB_BOTH ? " each" : "", t->length);
	if (t->rate)
		fprintf(report_progress, ", %s", report_unit(t->rate, "b/s", text, sizeof(text)));
	if (t->ms)
		fprintf(report_progress, ", %g s", t->ms / 1e3);
	else
		fprintf(report_progress, ", %llu %s", (unsigned long long)t->bytes,
			t->kind == NB_RR ? "transactions" : "bytes");
	fprintf(report_progress, "%s\n", t->verify ? ", every byte checked" : "");
	fflush(report_progress);
}

void nb_report_interval(const struct nb_test *t, const struct nb_interval *i)
{
	char bytes[32], rate[32], packets[32];
	double s = i->to - i->from;

	fprintf(report_progress, "%7.2f - %-7.2f s  ", i->from, i->to);
	if (t->kind == NB_RR) {
		fprintf(report_progress, "%12s\n",
			report_unit(i->packets / s, "trans/s", rate, sizeof(rate)));
	} else {
		fprintf(report_progress, "%s  %10s  %10s%s%s\n", report_dir(i->dir),
			report_unit(i->bytes, "B", bytes, sizeof(bytes)),
			report_unit(i->bytes * 8.0 / s, "b/s", rate, sizeof(rate)),
			t->kind == NB_UDP ? "  " : "",
			t->kind == NB_UDP
				? report_unit(i->packets / s, "packets/s", packets, sizeof(packets))
				: "");
	}
	fflush(report_progress);
}

static void report_streams(const struct nb_test *t, const struct nb_outcome *out, uint32_t dir)
{
	unsigned int to = dir == NB_TO_SERVER && !out->server_missing;
	uint32_t nr = t->streams * (t->dirs == NB_BOTH ? 2 : 1), i;
	char bytes[32], rate[32];

	for (i = 0; i < nr && t->streams > 1; i++) {
		const struct nb_figures *f = &out->side[to][i];

		if (nb_stream_dir(t, i) == dir)
			printf("%s  stream %-3u  %10s in %.2f s  %10s\n", report_dir(dir),
			       i % t->streams, report_unit(f->bytes, "B", bytes, sizeof(bytes)),
			       f->ns / 1e9,
			       report_unit(f->ns ? f->bytes * 8e9 / f->ns : 0, "b/s", rate,
					   sizeof(rate)));
	}
}

static void report_direction(const struct nb_test *t, const struct nb_outcome *out, uint32_t dir)
{
	char bytes[32], rate[32];
	struct nb_total total;

	nb_total(t, out, dir, &total);
	report_streams(t, out, dir);
	printf("%s  %s  %10s in %.2f s  %10s", report_dir(dir),
	       out->server_missing && dir == NB_TO_SERVER ? "sent      " : "received  ",
	       report_unit(total.received.bytes, "B", bytes, sizeof(bytes)), total.seconds,
	       report_unit(total.bps, "b/s", rate, sizeof(rate)));
	if (t->kind == NB_TCP && !out->server_missing)
		printf("  %llu retransmits", (unsigned long long)total.sent.retrans);
	printf("\n");
	if (t->kind != NB_UDP || out->server_missing)
		return;
	printf("%s  datagrams   %llu sent, %llu received (%s), %llu lost (%.2f %%), %llu out of "
	       "order\n",
	       report_dir(dir), (unsigned long long)total.sent.packets,
	       (unsigned long long)total.received.packets,
	       report_unit(total.seconds > 0 ? total.received.packets / total.seconds : 0,
			   "packets/s", rate, sizeof(rate)),
	       (unsigned long long)total.lost,
	       total.sent.packets ? 100.0 * total.lost / total.sent.packets : 0,
	       (unsigned long long)total.received.reordered);
}

static void report_rr(const struct nb_test *t, const struct nb_outcome *out)
{
	const struct nb_hist *h = &out->hist;
	struct nb_total total;

	nb_total(t, out, NB_TO_SERVER, &total);
	printf("transactions  %llu in %.2f s  %.0f a second\n",
	       (unsigned long long)total.received.packets, total.seconds,
	       total.seconds > 0 ? total.received.packets / total.seconds : 0);
	if (h->count)
		printf("round trip    p50 %.1f us  p99 %.1f us  p99.9 %.1f us  max %.1f us  min "
		       "%.1f us  mean %.1f us\n",
		       nb_hist_percentile(h, 500) / 1e3, nb_hist_percentile(h, 990) / 1e3,
		       nb_hist_percentile(h, 999) / 1e3, h->max / 1e3, h->min / 1e3,
		       (double)h->sum / h->count / 1e3);
}

static void report_cpu(const struct nb_outcome *out, double bytes)
{
	static const char *const names[2] = { "client", "server" };
	double s;
	int i;

	for (i = 0; i < (out->server_missing ? 1 : 2); i++) {
		s = (out->cpu[i].user_us + out->cpu[i].system_us) / 1e6;
		printf("processor  %s  %.2f s (%.2f user, %.2f system)", names[i], s,
		       out->cpu[i].user_us / 1e6, out->cpu[i].system_us / 1e6);
		if (bytes >= 1e6)
			printf("  %.3f s/GB", s / (bytes / 1e9));
		printf("\n");
	}
}

void nb_report(const struct nb_options *opt, const struct nb_outcome *out)
{
	const struct nb_test *t = &opt->test;
	struct nb_total total;
	double bytes = 0;
	uint32_t dir;

	printf("---\n");
	if (out->interrupted)
		printf("interrupted%s\n", out->server_missing ? "; the server's figures did not "
								"come: this is the client's side"
							      : "; up to then:");
	for (dir = NB_TO_SERVER; dir <= NB_TO_CLIENT; dir++) {
		if (!(t->dirs & dir))
			continue;
		nb_total(t, out, dir, &total);
		bytes += total.received.bytes;
		if (t->kind != NB_RR)
			report_direction(t, out, dir);
	}
	if (t->kind == NB_RR)
		report_rr(t, out);
	report_cpu(out, t->kind == NB_RR ? 0 : bytes);
}
