// SPDX-License-Identifier: GPL-2.0-only
/*
 * Interrupt lines and doorbells of the KVM accelerator. The local APICs are in the kernel, the
 * IO-APIC is ours (ioapic.c): each of its entries becomes an MSI route. KVM injects an MSI straight
 * from the eventfd's wake-up, whereas a pin of its own IO-APIC takes a trip through a work queue.
 *
 * A masked line has its eventfd taken away from KVM. What is signalled meanwhile stays counted in
 * the eventfd and is delivered when the line opens and the eventfd is assigned again: no edge is
 * lost.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "accel_kvm.h"
#include "util.h"

static struct kvm_vm *to_kvm(struct accel_vm *vm)
{
	return container_of(vm, struct kvm_vm, vm);
}

static int kvm_line_assign_locked(struct kvm_vm *k, unsigned int gsi, bool on)
{
	struct kvm_line *l = &k->line[gsi];
	struct kvm_irqfd req = {
		.fd = l->fd,
		.gsi = gsi,
		.flags = on ? 0 : KVM_IRQFD_FLAG_DEASSIGN,
	};

	if (l->fd < 0 || l->assigned == on)
		return 0;
	if (ioctl(k->fd, KVM_IRQFD, &req) < 0)
		return -errno;
	l->assigned = on;
	return 0;
}

/* KVM replaces the whole table at once; lines that are masked are simply not in it. */
static int kvm_routes_set_locked(struct kvm_vm *k)
{
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry entry[LODGE_GSI_COUNT];
	} table;
	unsigned int i;

	memset(&table, 0, sizeof(table));
	for (i = 0; i < LODGE_GSI_COUNT; i++) {
		struct kvm_irq_routing_entry *e = &table.entry[table.head.nr];

		if (!k->line[i].open)
			continue;
		e->gsi = i;
		e->type = KVM_IRQ_ROUTING_MSI;
		e->u.msi.address_lo = k->line[i].addr;
		e->u.msi.address_hi = k->line[i].addr >> 32;
		e->u.msi.data = k->line[i].data;
		table.head.nr++;
	}
	return ioctl(k->fd, KVM_SET_GSI_ROUTING, &table) < 0 ? -errno : 0;
}

int kvm_irq_route(struct accel_vm *vm, unsigned int gsi, bool masked, uint64_t addr, uint32_t data)
{
	struct kvm_vm *k = to_kvm(vm);
	struct kvm_line *l;
	int ret = 0;

	assert(gsi < LODGE_GSI_COUNT);
	l = &k->line[gsi];
	pthread_mutex_lock(&k->lock);
	if (masked) {
		/* The stale route may stay: nothing is assigned to it. */
		ret = kvm_line_assign_locked(k, gsi, false);
		goto out;
	}
	if (!l->open || l->addr != addr || l->data != data) {
		l->open = true;
		l->addr = addr;
		l->data = data;
		ret = kvm_routes_set_locked(k);
		if (ret)
			goto out;
	}
	ret = kvm_line_assign_locked(k, gsi, true);
out:
	pthread_mutex_unlock(&k->lock);
	return ret;
}

int kvm_irqfd(struct accel_vm *vm, unsigned int gsi, int fd)
{
	struct kvm_vm *k = to_kvm(vm);

	if (gsi >= LODGE_GSI_COUNT || k->line[gsi].fd >= 0)
		return -EINVAL;
	/* Lines start masked; the guest's first unmask assigns it. */
	pthread_mutex_lock(&k->lock);
	k->line[gsi].fd = fd;
	pthread_mutex_unlock(&k->lock);
	return 0;
}

int kvm_ioeventfd(struct accel_vm *vm, uint64_t addr, uint32_t match, int fd)
{
	struct kvm_ioeventfd req = {
		.datamatch = match,
		.addr = addr,
		.len = 4,
		.fd = fd,
		.flags = KVM_IOEVENTFD_FLAG_DATAMATCH,
	};

	return ioctl(to_kvm(vm)->fd, KVM_IOEVENTFD, &req) < 0 ? -errno : 0;
}
