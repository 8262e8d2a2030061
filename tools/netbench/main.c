// SPDX-License-Identifier: GPL-2.0-only
/*
 * netbench: network throughput, packet rate and latency between two machines, or a guest and its
 * host. Server and client are this one static program. Documentation/netbench.1.rst is its manual,
 * proto.h the protocol. Exit status: 0, 1 when the measurement failed, 2 for a wrong command line,
 * 130 when the user ended it.
 */
#include <signal.h>
#include <stdio.h>

#include "netbench.h"

int main(int argc, char **argv)
{
	struct nb_options opt;
	struct err err = { 0 };
	int e;

	/* A peer that has gone is an error of send(). */
	signal(SIGPIPE, SIG_IGN);
	e = nb_options_parse(argc, argv, &opt, &err);
	if (e > 0)
		return fflush(stdout) ? 1 : 0;
	if (e) {
		if (opt.json && !opt.server)
			nb_json_error(&err);
		fprintf(stderr, "netbench: %s\n", err.msg);
		return 2;
	}
	return opt.server ? nb_server(&opt) : nb_client(&opt);
}
