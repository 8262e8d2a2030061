/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A 16550A UART on the port bus, between a guest's 8250 driver and a struct chardev. It has no bit
 * rate: a byte is sent as soon as the chardev takes it.
 *
 * Threads: the bus handlers on any vCPU thread, the chardev's callbacks on its loop's.
 */
#ifndef LODGE_SERIAL_H
#define LODGE_SERIAL_H

#include <stdio.h>

#include "bus.h"
#include "chardev.h"

struct serial;

/**
 * serial_create - a UART at LODGE_PORT_UART
 * @cd:	    where output goes and input comes from; the serial becomes its client
 * @irq_fd: eventfd, written once per (edge) interrupt; stays the caller's
 *
 * Return: 0 or -ENOMEM.
 */
int serial_create(struct chardev *cd, int irq_fd, struct serial **out);

/** serial_bus_dev - what to give to bus_add() */
struct bus_dev *serial_bus_dev(struct serial *s);

/** serial_stats - "key=value" words, no newline; any thread */
void serial_stats(struct serial *s, FILE *out);

/** serial_destroy - vCPUs have stopped; NULL is allowed */
void serial_destroy(struct serial *s);

#endif
