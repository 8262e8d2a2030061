// SPDX-License-Identifier: GPL-2.0-only
/*
 * Firmware tables: RSDP, XSDT, FADT, MADT, DSDT, for a hardware-reduced machine (ACPI 6.4, 4.1): no
 * PIC, no PIT, no CMOS clock, no keyboard controller, power button by a generic event device.
 * Written once before the guest runs.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "acpi.h"
#include "aml.h"

#define ACPI_BASE 0xe0000u
#define ACPI_SIZE 0x1f000u /* the page below 1 MiB holds the reset vector */

#define FADT_LEN	    276
#define FADT_POWER_BUTTON   (1u << 4) /* a control method device, not a fixed one */
#define FADT_SLEEP_BUTTON   (1u << 5)
#define FADT_RESET_REG	    (1u << 10)
#define FADT_HW_REDUCED	    (1u << 20)
#define BOOT_NO_VGA	    (1u << 2)
#define BOOT_NO_MSI	    (1u << 3)
#define BOOT_NO_CMOS_RTC    (1u << 5)
#define MADT_LAPIC_ENABLED  1
#define MADT_ALL_PROCESSORS 0xff

struct acpi_gas {
	uint8_t space, bits, offset, access;
	uint64_t addr;
} __attribute__((packed));

struct acpi_header {
	char sig[4];
	uint32_t len;
	uint8_t revision, checksum;
	char oem_id[6], oem_table[8];
	uint32_t oem_revision;
	char creator[4];
	uint32_t creator_revision;
} __attribute__((packed));

struct acpi_rsdp {
	char sig[8];
	uint8_t checksum;
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt;
	uint32_t len;
	uint64_t xsdt;
	uint8_t checksum_ext, reserved[3];
} __attribute__((packed));

/* The tables lie one behind the other from ACPI_BASE on. */
struct acpi_area {
	uint8_t *base;
	size_t len;
};

static uint8_t acpi_sum(const void *p, size_t n)
{
	const uint8_t *b = p;
	uint8_t s = 0;

	while (n--)
		s += *b++;
	return -s;
}

static void acpi_begin(struct acpi_header *h, const char *sig, uint8_t revision)
{
	memset(h, 0, sizeof(*h));
	memcpy(h->sig, sig, 4);
	h->revision = revision;
	memcpy(h->oem_id, "LODGE ", 6);
	memcpy(h->oem_table, "LODGEVM ", 8);
	h->oem_revision = 1;
	memcpy(h->creator, "LDGE", 4);
	h->creator_revision = 1;
}

/* Finish a table that is already in place; returns its guest-physical address. */
static uint64_t acpi_commit(struct acpi_area *area, size_t len)
{
	struct acpi_header *h = (struct acpi_header *)(area->base + area->len);
	uint64_t gpa = ACPI_BASE + area->len;

	h->len = len;
	h->checksum = acpi_sum(h, len);
	area->len += (len + 15) & ~15ull;
	return gpa;
}

static void acpi_put_gas(uint8_t *p, uint16_t port)
{
	struct acpi_gas g = { .space = 1, .bits = 8, .access = 1, .addr = port };

	memcpy(p, &g, sizeof(g));
}

static uint64_t acpi_fadt(struct acpi_area *area, uint64_t dsdt)
{
	uint8_t *t = area->base + area->len;
	uint32_t flags = FADT_POWER_BUTTON | FADT_SLEEP_BUTTON | FADT_RESET_REG | FADT_HW_REDUCED;
	uint16_t arch = BOOT_NO_VGA | BOOT_NO_MSI | BOOT_NO_CMOS_RTC;

	acpi_begin((struct acpi_header *)t, "FACP", 6);
	memcpy(t + 109, &arch, 2);
	memcpy(t + 112, &flags, 4);
	acpi_put_gas(t + 116, LODGE_PORT_RESET);
	t[128] = LODGE_RESET_VALUE;
	t[131] = 4; /* minor revision: 6.4 */
	memcpy(t + 140, &dsdt, 8);
	acpi_put_gas(t + 244, LODGE_PORT_SLEEP_CTL);
	acpi_put_gas(t + 256, LODGE_PORT_SLEEP_STS);
	return acpi_commit(area, FADT_LEN);
}

static uint64_t acpi_madt(struct acpi_area *area, unsigned int ncpus)
{
	uint8_t *t = area->base + area->len;
	size_t n = sizeof(struct acpi_header);
	uint32_t lapic = LODGE_LAPIC_BASE, ioapic = LODGE_IOAPIC_BASE;
	unsigned int i;

	acpi_begin((struct acpi_header *)t, "APIC", 5);
	memcpy(t + n, &lapic, 4);
	n += 8; /* flags: 0, no 8259 */
	for (i = 0; i < ncpus; i++) {
		const uint8_t e[8] = { 0, 8, i, i, MADT_LAPIC_ENABLED };

		memcpy(t + n, e, sizeof(e));
		n += sizeof(e);
	}
	t[n] = 1;
	t[n + 1] = 12;
	memcpy(t + n + 4, &ioapic, 4); /* id 0, interrupts from GSI 0 on */
	n += 12;
	memcpy(t + n, (const uint8_t[]){ 4, 6, MADT_ALL_PROCESSORS, 0, 0, 1 }, 6); /* NMI: LINT1 */
	n += 6;
	return acpi_commit(area, n);
}

static void acpi_dsdt_events(struct aml *a)
{
	size_t dev, crs, m, iff;

	dev = aml_device(a, "PWRB");
	aml_def_eisaid(a, "_HID", "PNP0C0C");
	aml_end(a, dev);

	dev = aml_device(a, "GED");
	aml_def_name(a, "_HID");
	aml_string(a, "ACPI0013");
	aml_def_name(a, "_UID");
	aml_int(a, 0);
	crs = aml_crs(a);
	aml_crs_irq_edge(a, LODGE_GSI_EVENT);
	aml_crs_end(a, crs);
	aml_io_region(a, "EREG", LODGE_PORT_EVENT, 1);
	m = aml_field(a, "EREG");
	aml_field_byte(a, "EVTS");
	aml_end(a, m);
	/* Method (_EVT, 1) { Local0 = EVTS; If (Local0 & POWER) { Notify (PWRB, 0x80) } } */
	m = aml_method(a, "_EVT", 1, true);
	aml_byte(a, 0x70);
	aml_name(a, "EVTS");
	aml_byte(a, 0x60);
	iff = aml_if(a);
	aml_byte(a, 0x7b);
	aml_byte(a, 0x60);
	aml_int(a, LODGE_EVENT_POWER);
	aml_byte(a, 0x00);
	aml_byte(a, 0x86);
	aml_name(a, "\\_SB.PWRB");
	aml_int(a, 0x80);
	aml_end(a, iff);
	aml_end(a, m);
	aml_end(a, dev);
}

static void acpi_dsdt_virtio(struct aml *a, unsigned int i)
{
	char name[5];
	size_t dev, crs;

	snprintf(name, sizeof(name), "VR%02X", i & 0xff);
	dev = aml_device(a, name);
	aml_def_name(a, "_HID");
	aml_string(a, "LNRO0005");
	aml_def_name(a, "_UID");
	aml_int(a, i);
	aml_def_name(a, "_CCA");
	aml_int(a, 1);
	crs = aml_crs(a);
	aml_crs_mem32(a, LODGE_MMIO_BASE + i * LODGE_MMIO_STRIDE, LODGE_MMIO_STRIDE);
	aml_crs_irq_edge(a, LODGE_GSI_VIRTIO_BASE + i);
	aml_crs_end(a, crs);
	aml_end(a, dev);
}

static uint64_t acpi_dsdt(struct acpi_area *area, const struct acpi_config *cfg, bool *overflow)
{
	struct aml a = { .buf = area->base + area->len, .max = ACPI_SIZE - area->len };
	size_t sb, dev, crs, pkg;
	unsigned int i;

	acpi_begin((struct acpi_header *)a.buf, "DSDT", 6);
	a.len = sizeof(struct acpi_header);

	aml_def_name(&a, "\\_S5");
	pkg = aml_package(&a, 1);
	aml_int(&a, 5);
	aml_end(&a, pkg);

	sb = aml_scope(&a, "\\_SB");
	acpi_dsdt_events(&a);
	if (cfg->uart) {
		dev = aml_device(&a, "COM1");
		aml_def_eisaid(&a, "_HID", "PNP0501");
		aml_def_name(&a, "_UID");
		aml_int(&a, 0);
		crs = aml_crs(&a);
		aml_crs_io(&a, LODGE_PORT_UART, LODGE_UART_LEN);
		aml_crs_irq_edge(&a, LODGE_GSI_UART);
		aml_crs_end(&a, crs);
		aml_end(&a, dev);
	}
	dev = aml_device(&a, "PEVT");
	aml_def_name(&a, "_HID");
	aml_string(&a, "QEMU0001"); /* the id that the stock pvpanic driver binds to */
	crs = aml_crs(&a);
	aml_crs_io(&a, LODGE_PORT_PVPANIC, 1);
	aml_crs_end(&a, crs);
	aml_end(&a, dev);
	for (i = 0; i < cfg->nvirtio; i++)
		acpi_dsdt_virtio(&a, i);
	aml_end(&a, sb);

	*overflow = a.overflow;
	return a.overflow ? 0 : acpi_commit(area, a.len);
}

int acpi_build(const struct gmem *mem, const struct acpi_config *cfg, uint64_t *rsdp)
{
	struct acpi_area area = { .base = gmem_ptr(mem, ACPI_BASE, ACPI_SIZE) };
	uint64_t entry[2], dsdt, xsdt;
	struct acpi_header *h;
	struct acpi_rsdp *r;
	bool overflow;

	if (!area.base)
		return -EFAULT;
	memset(area.base, 0, ACPI_SIZE);
	r = (struct acpi_rsdp *)area.base;
	area.len = 64;
	dsdt = acpi_dsdt(&area, cfg, &overflow);
	/* What follows needs 36 + 276 + 52 + 18 + 8 bytes a processor at the most. */
	if (overflow || area.len + 512 + 8 * cfg->ncpus > ACPI_SIZE)
		return -E2BIG;
	entry[0] = acpi_fadt(&area, dsdt);
	entry[1] = acpi_madt(&area, cfg->ncpus);
	h = (struct acpi_header *)(area.base + area.len);
	acpi_begin(h, "XSDT", 1);
	memcpy(h + 1, entry, sizeof(entry));
	xsdt = acpi_commit(&area, sizeof(*h) + sizeof(entry));

	memcpy(r->sig, "RSD PTR ", 8);
	memcpy(r->oem_id, "LODGE ", 6);
	r->revision = 2;
	r->len = sizeof(*r);
	r->xsdt = xsdt;
	r->checksum = acpi_sum(r, 20);
	r->checksum_ext = acpi_sum(r, sizeof(*r));
	*rsdp = ACPI_BASE;
	return 0;
}
