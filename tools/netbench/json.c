// SPDX-License-Identifier: GPL-2.0-only
/*
 * The report for programs: one JSON object in one line, so that it can be cut out of a console's
 * log. Documentation/netbench.1.rst describes the keys; units are in their names. Called once, by
 * client.c or main.c.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>

#include "netbench.h"

static json_t *json_test(const struct nb_options *opt, const struct nb_outcome *out)
{
	static const char *const kinds[NB_KINDS] = { "tcp", "udp", "rr" };
	const struct nb_test *t = &opt->test;

	return json_pack("{s:s, s:s, s:s, s:s, s:i, s:i, s:I, s:f, s:I, s:I, s:b}", "kind",
			 kinds[t->kind], "host", opt->host, "address", out->address, "direction",
			 t->dirs == NB_BOTH ? "both" : nb_dir_name(t->dirs), "protocol", NB_VERSION,
			 "streams", (int)t->streams, "length", (json_int_t)t->length, "seconds",
			 t->ms / 1e3, t->kind == NB_RR ? "transactions" : "bytes",
			 (json_int_t)t->bytes, "rate_bits_per_second", (json_int_t)t->rate,
			 "verify", (int)t->verify);
}

static double json_rate(double amount, double seconds)
{
	return seconds > 0 ? amount / seconds : 0;
}

static json_t *json_intervals(const struct nb_outcome *out)
{
	json_t *list = json_array();
	unsigned int i;

	for (i = 0; i < out->nr_log; i++) {
		const struct nb_interval *l = &out->log[i];

		json_array_append_new(list,
				      json_pack("{s:s, s:f, s:f, s:I, s:I, s:f}", "direction",
						nb_dir_name(l->dir), "from", l->from, "to", l->to,
						"bytes", (json_int_t)l->bytes, "packets",
						(json_int_t)l->packets, "bits_per_second",
						json_rate(l->bytes * 8.0, l->to - l->from)));
	}
	return list;
}

static json_t *json_streams(const struct nb_test *t, const struct nb_outcome *out, uint32_t dir)
{
	unsigned int to = dir == NB_TO_SERVER && !out->server_missing;
	uint32_t nr = t->streams * (t->dirs == NB_BOTH ? 2 : 1), i;
	json_t *list = json_array();

	for (i = 0; i < nr; i++) {
		const struct nb_figures *f = &out->side[to][i];

		if (nb_stream_dir(t, i) != dir)
			continue;
		json_array_append_new(list, json_pack("{s:I, s:f, s:f, s:I}", "bytes",
						      (json_int_t)f->bytes, "seconds", f->ns / 1e9,
						      "bits_per_second",
						      json_rate(f->bytes * 8.0, f->ns / 1e9),
						      "packets", (json_int_t)f->packets));
	}
	return list;
}

static json_t *json_direction(const struct nb_test *t, const struct nb_outcome *out, uint32_t dir)
{
	struct nb_total n;
	json_t *o;

	nb_total(t, out, dir, &n);
	o = json_pack("{s:I, s:f, s:f, s:s, s:I, s:o}", "bytes", (json_int_t)n.received.bytes,
		      "seconds", n.seconds, "bits_per_second", n.bps, "counted_by",
		      out->server_missing && dir == NB_TO_SERVER ? "sender" : "receiver",
		      "bytes_sent", (json_int_t)n.sent.bytes, "streams", json_streams(t, out, dir));
	if (t->kind == NB_UDP)
		json_object_set_new(o, "packets",
				    json_pack("{s:I, s:I, s:I, s:f, s:I, s:f}", "sent",
					      (json_int_t)n.sent.packets, "received",
					      (json_int_t)n.received.packets, "lost",
					      (json_int_t)n.lost, "lost_percent",
					      n.sent.packets ? 100.0 * n.lost / n.sent.packets : 0,
					      "out_of_order", (json_int_t)n.received.reordered,
					      "received_per_second",
					      json_rate(n.received.packets, n.seconds)));
	else
		json_object_set_new(o, "retransmits", json_integer(n.sent.retrans));
	return o;
}

static json_t *json_rr(const struct nb_test *t, const struct nb_outcome *out)
{
	const struct nb_hist *h = &out->hist;
	json_t *hist = json_array();
	struct nb_total n;
	unsigned int i;

	nb_total(t, out, NB_TO_SERVER, &n);
	for (i = 0; i < NB_HIST_BUCKETS; i++)
		if (h->bucket[i])
			json_array_append_new(hist, json_pack("[f, I]", nb_hist_top(i) / 1e3,
							      (json_int_t)h->bucket[i]));
	return json_pack("{s:I, s:f, s:f, s:{s:f, s:f, s:f, s:f, s:f, s:f}, s:o}", "transactions",
			 (json_int_t)n.received.packets, "seconds", n.seconds,
			 "transactions_per_second", json_rate(n.received.packets, n.seconds),
			 "latency_us", "min", h->min / 1e3, "mean",
			 h->count ? (double)h->sum / h->count / 1e3 : 0, "p50",
			 nb_hist_percentile(h, 500) / 1e3, "p99", nb_hist_percentile(h, 990) / 1e3,
			 "p99.9", nb_hist_percentile(h, 999) / 1e3, "max", h->max / 1e3,
			 "histogram_us", hist);
}

static json_t *json_cpu(const struct nb_cpu *cpu, double bytes)
{
	double s = (cpu->user_us + cpu->system_us) / 1e6;

	return json_pack("{s:f, s:f, s:f}", "user_seconds", cpu->user_us / 1e6, "system_seconds",
			 cpu->system_us / 1e6, "seconds_per_gb", bytes > 0 ? s / (bytes / 1e9) : 0);
}

static int json_print(json_t *o)
{
	int e = o && !json_dumpf(o, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9)) ? 0 : -EIO;

	json_decref(o);
	if (putchar('\n') == EOF)
		e = -EIO;
	return e;
}

int nb_json(const struct nb_options *opt, const struct nb_outcome *out)
{
	const struct nb_test *t = &opt->test;
	json_t *o = json_object(), *cpu = json_object();
	struct nb_total n;
	double bytes = 0;
	uint32_t dir;

	json_object_set_new(o, "test", json_test(opt, out));
	json_object_set_new(o, "interrupted", json_boolean(out->interrupted));
	for (dir = NB_TO_SERVER; dir <= NB_TO_CLIENT; dir++) {
		if (!(t->dirs & dir))
			continue;
		nb_total(t, out, dir, &n);
		bytes += n.received.bytes;
		if (t->kind != NB_RR)
			json_object_set_new(o, nb_dir_name(dir), json_direction(t, out, dir));
	}
	if (t->kind == NB_RR)
		json_object_set_new(o, "rr", json_rr(t, out));
	json_object_set_new(cpu, "client", json_cpu(&out->cpu[0], bytes));
	if (!out->server_missing)
		json_object_set_new(cpu, "server", json_cpu(&out->cpu[1], bytes));
	json_object_set_new(o, "cpu", cpu);
	json_object_set_new(o, "intervals", json_intervals(out));
	return json_print(o);
}

int nb_json_error(const struct err *err)
{
	return json_print(json_pack("{s:s}", "error", err->msg));
}
