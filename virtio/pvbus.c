// SPDX-License-Identifier: GPL-2.0-only
/*
 * The paravirtual bus's side of a virtio device: mmio.c's registers with interrupts by event
 * channel. InterruptStatus and InterruptACK mean nothing here and stay 0.
 *
 * Created and destroyed by the VMM's thread; pvbus_write() comes from vCPU threads, irq from the
 * devices'. No locks but those of mmio.c.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lite/abi/pv.h"
#include "mmio.h"
#include "pvbus.h"
#include "util.h"

#define FDS_MAX LODGE_PORT_DEV_MAX

/* @fd: 0 is the configuration's, 1 + q queue q's; like the ports of a device. */
struct pvbus {
	struct vmmio m;
	unsigned int nfds;
	int fd[FDS_MAX];
};

/* Transport call, any thread. */
static void pvbus_irq(struct vdev *vd, int queue)
{
	struct pvbus *b = container_of(vd->tp, struct pvbus, m.tp);

	if (queue == VDEV_IRQ_CONFIG)
		vmmio_publish_status(&b->m); /* it may tell of NEEDS_RESET */
	eventfd_write(b->fd[1 + queue], 1);
}
_Static_assert(VDEV_IRQ_CONFIG == -1, "the index in pvbus.fd");

int pvbus_create(struct vdev *vd, struct pvbus **out)
{
	struct pvbus *b;
	int ret;

	if (vd->nvq >= FDS_MAX)
		return -E2BIG;
	b = calloc(1, sizeof(*b));
	if (!b)
		return -ENOMEM;
	for (; b->nfds < 1 + vd->nvq; b->nfds++) {
		b->fd[b->nfds] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (b->fd[b->nfds] < 0) {
			ret = -errno;
			goto fail;
		}
	}
	ret = vmmio_init(&b->m, vd);
	if (ret)
		goto fail;
	b->m.tp.irq = pvbus_irq;
	b->m.tp.irq_per_queue = true;
	*out = b;
	return 0;
fail:
	while (b->nfds--)
		close(b->fd[b->nfds]);
	free(b);
	return ret;
}

void pvbus_destroy(struct pvbus *b)
{
	if (!b)
		return;
	vmmio_fini(&b->m);
	while (b->nfds--)
		close(b->fd[b->nfds]);
	free(b);
}

uint8_t *pvbus_page(struct pvbus *b)
{
	return b->m.page;
}

void pvbus_write(struct pvbus *b, uint32_t off, uint64_t val, uint32_t size)
{
	if (size == 1 || size == 2 || size == 4 || size == 8)
		vmmio_write(&b->m, off, &val, size); /* little endian, like the registers */
}

int pvbus_config_fd(struct pvbus *b)
{
	return b->fd[0];
}

int pvbus_queue_fd(struct pvbus *b, unsigned int q)
{
	assert(q < b->m.vd->nvq);
	return b->fd[1 + q];
}
