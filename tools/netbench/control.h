/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What run.c and control.c know of each other.
 */
#ifndef NETBENCH_CONTROL_H
#define NETBENCH_CONTROL_H

#include "netbench.h"

/** nb_cpu_now - processor time that this process has used so far */
void nb_cpu_now(struct nb_cpu *cpu);

/** nb_run_alive - threads that send, or that receive, which have not ended */
unsigned int nb_run_alive(const struct nb_run *run, bool sends);

#endif
