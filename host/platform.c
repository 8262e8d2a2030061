// SPDX-License-Identifier: GPL-2.0-only
/*
 * The machine's own ports; see platform.h. Handlers run on vCPU threads, the power button on the
 * main thread; the two shared fields are atomic, so there is no lock.
 */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lite/abi/platform.h"
#include "log.h"
#include "platform.h"
#include "util.h"
#include "vm.h"

#define ACPI_PORTS (LODGE_PORT_EXIT_STATUS + 1 - LODGE_PORT_SLEEP_CTL)

#define SLEEP_EN	 (1 << 5)
#define SLEEP_TYPE(v)	 ((v) >> 2 & 7)
#define SLEEP_TYPE_S5	 5
#define PANIC_EVENT	 (1 << 0)
#define PANIC_EVENT_LOAD (1 << 1) /* crash kernel was loaded: the guest goes on into it */

static void acpi_port_read(struct bus_dev *d, uint64_t off, void *data, unsigned int len)
{
	struct platform *p = container_of(d, struct platform, acpi);
	uint8_t val = 0;

	if (LODGE_PORT_SLEEP_CTL + off == LODGE_PORT_EVENT)
		val = __atomic_exchange_n(&p->events, 0, __ATOMIC_SEQ_CST);
	memset(data, 0, len);
	memcpy(data, &val, 1);
}

static void acpi_port_write(struct bus_dev *d, uint64_t off, const void *data, unsigned int len)
{
	struct platform *p = container_of(d, struct platform, acpi);
	uint8_t val = *(const uint8_t *)data;

	switch (LODGE_PORT_SLEEP_CTL + off) {
	case LODGE_PORT_SLEEP_CTL:
		if (val & SLEEP_EN && SLEEP_TYPE(val) == SLEEP_TYPE_S5)
			vm_stop(p->vm, VM_END_POWEROFF, NULL);
		break;
	case LODGE_PORT_RESET:
		if (val == LODGE_RESET_VALUE)
			vm_stop(p->vm, VM_END_RESET, NULL);
		break;
	case LODGE_PORT_EXIT_STATUS:
		store_once(&p->exit_status, val);
		break;
	}
}

static void panic_port_read(struct bus_dev *d, uint64_t off, void *data, unsigned int len)
{
	memset(data, 0, len);
	*(uint8_t *)data = PANIC_EVENT | PANIC_EVENT_LOAD;
}

static void panic_port_write(struct bus_dev *d, uint64_t off, const void *data, unsigned int len)
{
	struct platform *p = container_of(d, struct platform, panic);

	/* The stock driver writes this after the panic's own lines have gone to the console. */
	if (*(const uint8_t *)data & PANIC_EVENT)
		vm_stop(p->vm, VM_END_PANIC, NULL);
}

void platform_power_button(struct platform *p)
{
	const uint64_t one = 1;

	__atomic_fetch_or(&p->events, LODGE_EVENT_POWER, __ATOMIC_SEQ_CST);
	if (write(p->event_fd, &one, sizeof(one)) < 0)
		log_warn("power button: %s", strerror(errno));
}

int platform_init(struct platform *p, struct vm *vm, struct bus *pio)
{
	int ret;

	p->vm = vm;
	p->exit_status = -1;
	p->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (p->event_fd < 0)
		return -errno;
	p->acpi = (struct bus_dev){
		.name = "acpi",
		.base = LODGE_PORT_SLEEP_CTL,
		.len = ACPI_PORTS,
		.read = acpi_port_read,
		.write = acpi_port_write,
	};
	p->panic = (struct bus_dev){
		.name = "pvpanic",
		.base = LODGE_PORT_PVPANIC,
		.len = 1,
		.read = panic_port_read,
		.write = panic_port_write,
	};
	ret = bus_add(pio, &p->acpi);
	return ret ? ret : bus_add(pio, &p->panic);
}

void platform_fini(struct platform *p)
{
	if (p->event_fd > 0)
		close(p->event_fd);
}
