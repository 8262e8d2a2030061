// SPDX-License-Identifier: GPL-2.0-only
/*
 * The power button: an input device with one key, as ACPI's has it, so that whoever handles that
 * one (init, logind) handles this one. The VMM's presses come as events on LODGE_PORT_POWER.
 */
#include <linux/input.h>
#include <linux/interrupt.h>
#include <xen/events.h>

#include "lodge.h"

static struct input_dev *button;
static int button_irq;

static irqreturn_t power_pressed(int irq, void *data)
{
	struct input_dev *input = data;

	input_report_key(input, KEY_POWER, 1);
	input_sync(input);
	input_report_key(input, KEY_POWER, 0);
	input_sync(input);
	return IRQ_HANDLED;
}

int lodge_power_init(void)
{
	int err;

	button = input_allocate_device();
	if (!button)
		return -ENOMEM;
	button->name = "Power Button";
	button->phys = "lodge/button/input0";
	button->id.bustype = BUS_HOST;
	input_set_capability(button, EV_KEY, KEY_POWER);
	err = input_register_device(button);
	if (err) {
		input_free_device(button);
		return err;
	}
	button_irq = bind_evtchn_to_irqhandler(LODGE_PORT_POWER, power_pressed, 0, "lodge-power",
					       button);
	if (button_irq < 0) {
		input_unregister_device(button);
		return button_irq;
	}
	return 0;
}

void lodge_power_exit(void)
{
	unbind_from_irqhandler(button_irq, button);
	input_unregister_device(button);
}
