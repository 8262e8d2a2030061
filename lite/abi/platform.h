/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * What a lodge machine looks like from inside, where no other standard says it: the few I/O ports
 * and addresses that the guest's firmware tables, its init and the VMM have to agree on. Both modes
 * honour them. Layouts are frozen: add, never change.
 */
#ifndef LODGE_ABI_PLATFORM_H
#define LODGE_ABI_PLATFORM_H

/*
 * ACPI hardware-reduced sleep registers, one byte each (ACPI 6.4, 4.8.3.7). A write of
 * (SLP_TYP << 2) | SLP_EN to the control register ends the guest when SLP_TYP is 5.
 */
#define LODGE_PORT_SLEEP_CTL 0x600
#define LODGE_PORT_SLEEP_STS 0x601

/* FADT reset register: writing LODGE_RESET_VALUE resets, that is ends, the guest. */
#define LODGE_PORT_RESET  0x602
#define LODGE_RESET_VALUE 0x01

/*
 * Generic event device: read gives the pending events and clears them (bit 0: power button). Raised
 * together with the interrupt LODGE_GSI_EVENT.
 */
#define LODGE_PORT_EVENT  0x603
#define LODGE_EVENT_POWER 0x01

/*
 * One byte, write only: the exit status that `lodge run` ends with when the guest then powers off.
 * Last write wins; never written means 0. The guest's init hands its command's status out here.
 */
#define LODGE_PORT_EXIT_STATUS 0x604

/* pvpanic, as the stock driver knows it (ACPI QEMU0001): one byte of event bits. */
#define LODGE_PORT_PVPANIC 0x505

/* The console UART (16550A), where a PC has COM1. */
#define LODGE_PORT_UART 0x3f8
#define LODGE_UART_LEN	8

/*
 * Global system interrupts; virtio devices take theirs from BASE on. A guest's kernel visits every
 * line of the controller several times while it boots, each visit an exit: no more than needed.
 */
#define LODGE_GSI_UART	      4
#define LODGE_GSI_EVENT	      5
#define LODGE_GSI_VIRTIO_BASE 8
#define LODGE_GSI_COUNT	      32

/*
 * Guest-physical layout. RAM runs from 0 to LODGE_RAM_LOW_MAX, then on from 4 GiB; the hole between
 * holds the devices. One virtio-mmio device has one 4 KiB register page.
 */
#define LODGE_RAM_LOW_MAX  0xc0000000ull
#define LODGE_RAM_HIGH	   0x100000000ull
#define LODGE_MMIO_BASE	   0xd0000000ull
#define LODGE_MMIO_STRIDE  0x1000ull
#define LODGE_MMIO_DEVICES 24
#define LODGE_IOAPIC_BASE  0xfec00000ull
#define LODGE_LAPIC_BASE   0xfee00000ull

_Static_assert(LODGE_GSI_VIRTIO_BASE + LODGE_MMIO_DEVICES <= LODGE_GSI_COUNT, "a line each");

#endif
