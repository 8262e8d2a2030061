/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The few ports of lite/abi/platform.h: sleep and reset registers, the power button's event
 * register, the exit status port and pvpanic.
 */
#ifndef LODGE_PLATFORM_H
#define LODGE_PLATFORM_H

#include "bus.h"

struct vm;

/**
 * struct platform - ports and the state behind them
 * @events:	 LODGE_EVENT_* not yet read by the guest; atomic
 * @exit_status: last byte the guest wrote, or -1; atomic
 * @event_fd:	 eventfd of the line LODGE_GSI_EVENT
 */
struct platform {
	struct vm *vm;
	struct bus_dev acpi, panic;
	uint8_t events;
	int exit_status;
	int event_fd;
};

/** platform_init - create the event line and register the ports; 0 or -errno */
int platform_init(struct platform *p, struct vm *vm, struct bus *pio);
void platform_fini(struct platform *p);

/** platform_power_button - press it; any thread */
void platform_power_button(struct platform *p);

#endif
