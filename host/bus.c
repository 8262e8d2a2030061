// SPDX-License-Identifier: GPL-2.0-only
/*
 * Address to handler; see bus.h. A sorted array and a binary search: a handful of entries, looked
 * up on every exit.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "bus.h"
#include "log.h"

/* Index of the first device that ends after @addr. */
static unsigned int bus_lower_bound(const struct bus *b, uint64_t addr)
{
	unsigned int lo = 0, hi = b->n;

	while (lo < hi) {
		unsigned int mid = (lo + hi) / 2;

		if (b->dev[mid]->base + b->dev[mid]->len <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

int bus_add(struct bus *b, struct bus_dev *d)
{
	unsigned int i = bus_lower_bound(b, d->base);

	assert(d->len);
	if (i < b->n && b->dev[i]->base < d->base + d->len)
		return -EEXIST;
	if (b->n == BUS_DEVS_MAX)
		return -ENOSPC;
	memmove(&b->dev[i + 1], &b->dev[i], (b->n - i) * sizeof(b->dev[0]));
	b->dev[i] = d;
	b->n++;
	return 0;
}

static struct bus_dev *bus_find(const struct bus *b, uint64_t addr, unsigned int len)
{
	unsigned int i = bus_lower_bound(b, addr);
	struct bus_dev *d;

	if (i == b->n)
		return NULL;
	d = b->dev[i];
	/* An access that starts inside and ends outside belongs to nobody. */
	return addr >= d->base && len <= d->len - (addr - d->base) ? d : NULL;
}

bool bus_read(const struct bus *b, uint64_t addr, void *data, unsigned int len)
{
	struct bus_dev *d = bus_find(b, addr, len);

	if (!d || !d->read) {
		memset(data, 0xff, len);
		return d;
	}
	d->read(d, addr - d->base, data, len);
	return true;
}

bool bus_write(const struct bus *b, uint64_t addr, const void *data, unsigned int len)
{
	struct bus_dev *d = bus_find(b, addr, len);

	if (!d)
		return false;
	if (d->write)
		d->write(d, addr - d->base, data, len);
	return true;
}

void bus_exit(const struct bus *bus, const struct vmexit *e)
{
	uint8_t *p = e->io.data;
	uint32_t i;

	/* String instructions come as several items of one port. */
	for (i = 0; i < e->io.count; i++, p += e->io.size) {
		bool known = e->io.write ? bus_write(bus, e->io.addr, p, e->io.size)
					 : bus_read(bus, e->io.addr, p, e->io.size);

		if (!known)
			log_debug("%s: nobody at %#" PRIx64 " (%s of %u)", bus->name, e->io.addr,
				  e->io.write ? "write" : "read", e->io.size);
	}
}
