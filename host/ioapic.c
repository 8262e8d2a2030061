// SPDX-License-Identifier: GPL-2.0-only
/*
 * IO-APIC, version 0x20, as in Intel's 82093AA data sheet: index and data window, one 64-bit entry
 * a line. All our lines are edges, so there is no remote IRR and no end-of-interrupt handling; an
 * entry that asks for level triggering is delivered as an edge. Called on vCPU threads while the
 * guest sets up its interrupts; delivery itself never comes here.
 */
#include <string.h>

#include "ioapic.h"
#include "log.h"
#include "util.h"

#define IOAPIC_REG_SELECT 0x00
#define IOAPIC_REG_DATA	  0x10

#define IOAPIC_ID    0x00
#define IOAPIC_VER   0x01
#define IOAPIC_ARB   0x02
#define IOAPIC_REDIR 0x10

#define REDIR_MASKED	(1ull << 16)
#define REDIR_READ_ONLY (1ull << 12 | 1ull << 14) /* delivery status, remote IRR */

/* An entry as a message: SDM volume 3, "message address and data register format". */
static void ioapic_route(struct ioapic *io, unsigned int line)
{
	uint64_t e = io->redir[line];
	uint64_t dest_mode = e >> 11 & 1, dest = e >> 56;
	uint64_t addr = LODGE_LAPIC_BASE | dest << 12 | dest_mode << 2;
	uint32_t data = e & 0x7ff; /* vector and delivery mode */
	int ret;

	ret = io->vm->ops->irq_route(io->vm, line, e & REDIR_MASKED, addr, data);
	if (ret)
		log_err("interrupt line %u: cannot route it: %s", line, strerror(-ret));
}

static uint32_t ioapic_get(struct ioapic *io, uint32_t reg)
{
	switch (reg) {
	case IOAPIC_ID:
	case IOAPIC_ARB:
		return io->id;
	case IOAPIC_VER:
		return (LODGE_GSI_COUNT - 1) << 16 | 0x20;
	}
	if (reg >= IOAPIC_REDIR && reg < IOAPIC_REDIR + 2 * LODGE_GSI_COUNT) {
		uint64_t e = io->redir[(reg - IOAPIC_REDIR) / 2];

		return reg & 1 ? e >> 32 : e;
	}
	return 0;
}

static void ioapic_set(struct ioapic *io, uint32_t reg, uint32_t val)
{
	unsigned int line = (reg - IOAPIC_REDIR) / 2;
	uint64_t *e;

	if (reg == IOAPIC_ID)
		io->id = val & 0x0f000000;
	if (reg < IOAPIC_REDIR || line >= LODGE_GSI_COUNT)
		return;
	e = &io->redir[line];
	if (reg & 1)
		*e = (uint64_t)val << 32 | (uint32_t)*e;
	else
		*e = (*e & ~0xffffffffull) | (val & ~REDIR_READ_ONLY);
	ioapic_route(io, line);
}

static void ioapic_read(struct bus_dev *d, uint64_t off, void *data, unsigned int len)
{
	struct ioapic *io = container_of(d, struct ioapic, bus);
	uint32_t val = 0;

	pthread_mutex_lock(&io->lock);
	if (off == IOAPIC_REG_SELECT)
		val = io->select;
	else if (off == IOAPIC_REG_DATA)
		val = ioapic_get(io, io->select);
	pthread_mutex_unlock(&io->lock);
	memset(data, 0, len);
	memcpy(data, &val, MIN(len, sizeof(val)));
}

static void ioapic_write(struct bus_dev *d, uint64_t off, const void *data, unsigned int len)
{
	struct ioapic *io = container_of(d, struct ioapic, bus);
	uint32_t val = 0;

	memcpy(&val, data, MIN(len, sizeof(val)));
	pthread_mutex_lock(&io->lock);
	if (off == IOAPIC_REG_SELECT)
		io->select = val & 0xff;
	else if (off == IOAPIC_REG_DATA)
		ioapic_set(io, io->select, val);
	pthread_mutex_unlock(&io->lock);
}

int ioapic_init(struct ioapic *io, struct accel_vm *vm, struct bus *mmio)
{
	unsigned int i;

	io->vm = vm;
	io->bus = (struct bus_dev){
		.name = "ioapic",
		.base = LODGE_IOAPIC_BASE,
		.len = 0x1000,
		.read = ioapic_read,
		.write = ioapic_write,
	};
	pthread_mutex_init(&io->lock, NULL);
	for (i = 0; i < ARRAY_SIZE(io->redir); i++)
		io->redir[i] = REDIR_MASKED;
	return bus_add(mmio, &io->bus);
}

void ioapic_fini(struct ioapic *io)
{
	pthread_mutex_destroy(&io->lock);
}
