/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The driver side, for tests: guest memory, rings as a driver sees them, and the walk of a device
 * through its registers to DRIVER_OK. Written against the specification, not against virtio/, and
 * sharing no code with it.
 *
 * Guest memory has two slots whose guest and host addresses differ in every bit that matters, with
 * inaccessible pages around each on the host, so that a mix-up or an overrun faults. The ring
 * fields are public: a test that wants a corrupt ring writes to them.
 *
 * vdrv.c knows memory and rings; vdrv_mmio.c adds devices. What a correct device never does (a
 * chain used twice) ends the program. Threads: one thread uses a queue at a time, as with a real
 * driver.
 */
#ifndef LODGE_VDRV_H
#define LODGE_VDRV_H

#include <stdbool.h>
#include <stdint.h>
#include <linux/virtio_ring.h>

#include "gmem.h"
#include "mmio.h"
#include "vq.h"

#define VDRV_LOW_GPA   0x10000ull
#define VDRV_LOW_LEN   (2ull << 20)
#define VDRV_HIGH_GPA  0x100000000ull
#define VDRV_HIGH_LEN  (64ull << 20)
#define VDRV_QUEUES    17
#define VDRV_CHAIN_MAX 1024 /* descriptors in one chain */

struct vdrv_buf {
	uint64_t gpa;
	uint32_t len;
};

/**
 * struct vdrv_q - one queue as the driver sees it
 * @desc, @avail, @used: the ring, host addresses
 * @desc_gpa, @avail_gpa, @used_gpa: the same, guest-physical
 * @avail_idx: chains added; the device sees them after vdrv_publish()
 * @last_used: used entries taken
 * @nfree:     descriptors not in use
 */
struct vdrv_q {
	struct vdrv *d;
	unsigned int index;
	uint16_t size;
	bool event_idx;
	bool irq_off;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint64_t desc_gpa, avail_gpa, used_gpa;
	uint16_t avail_idx, avail_published, last_used;
	uint16_t nfree, free_head;
	uint16_t *next_free; /* per descriptor; the ring's own next field is the device's to read */
	uint16_t *chain_len; /* per head: descriptors to free, 0 when not in use */
	uint64_t *table_gpa; /* per head: indirect table, kept for the next time */
	uint16_t *table_max; /* per head: entries in it */
	int kick_fd;	     /* where vdrv_kick() writes; -1: by the register */
	uint64_t kicks;
};

struct vdrv {
	struct gmem mem;
	uint64_t low_next, high_next;	  /* bump allocators */
	struct vmmio *m;		  /* NULL without a device */
	void (*notify)(struct vdrv_q *q); /* set together with m */
	uint64_t features;		  /* negotiated */
	struct vdrv_q q[VDRV_QUEUES];
};

/* vdrv_init - guest memory, no queues, no device; give it back with vdrv_fini() */
void vdrv_init(struct vdrv *d);
void vdrv_fini(struct vdrv *d);

/* vdrv_alloc - zeroed guest memory below 4 GiB / above; never freed before vdrv_fini() */
uint64_t vdrv_alloc(struct vdrv *d, uint64_t len, uint64_t align);
uint64_t vdrv_alloc_high(struct vdrv *d, uint64_t len, uint64_t align);

/* vdrv_hva - the test's own view of guest memory; asserts that the range is inside */
void *vdrv_hva(struct vdrv *d, uint64_t gpa, uint64_t len);

/* vdrv_q_init - build an empty ring in guest memory */
void vdrv_q_init(struct vdrv *d, struct vdrv_q *q, uint16_t size, bool event_idx);

/* vdrv_q_fini - free the driver's own state of a queue (vdrv_fini() does so for d->q) */
void vdrv_q_fini(struct vdrv_q *q);

/* vdrv_q_attach - enable a bare struct vq on this ring: for tests without a device */
void vdrv_q_attach(struct vdrv_q *q, struct vq *vq, bool indirect);

/**
 * vdrv_add - make a chain of @nout readable and @nin writable buffers; not yet visible
 * @indirect: put it into a table of its own
 *
 * Return: its head, or -1 when too few descriptors are free.
 */
int vdrv_add(struct vdrv_q *q, const struct vdrv_buf *buf, unsigned int nout, unsigned int nin,
	     bool indirect);

/* vdrv_publish - show what was added to the device; true when it wants a kick for it */
bool vdrv_publish(struct vdrv_q *q);

/* vdrv_kick - vdrv_publish(), and the kick if it is wanted */
void vdrv_kick(struct vdrv_q *q);

/* vdrv_used - take one used chain, free its descriptors; false when there is none */
bool vdrv_used(struct vdrv_q *q, uint16_t *head, uint32_t *len);

/*
 * vdrv_irq_off - ask for no interrupts; vdrv_irq_on - ask again, true when something came meanwhile
 */
void vdrv_irq_off(struct vdrv_q *q);
bool vdrv_irq_on(struct vdrv_q *q);

/* --- devices: vdrv_mmio.c --------------------------------------------------------------------- */

/* vdrv_read32, vdrv_write32 - registers (VIRTIO_MMIO_*), as a vCPU would */
uint32_t vdrv_read32(struct vdrv *d, uint32_t reg);
void vdrv_write32(struct vdrv *d, uint32_t reg, uint32_t val);

/* vdrv_config - read configuration space */
void vdrv_config(struct vdrv *d, uint32_t off, void *buf, uint32_t len);

/* vdrv_features - reset, ACKNOWLEDGE, DRIVER, features; true when FEATURES_OK stands */
bool vdrv_features(struct vdrv *d, uint64_t wanted);

/* vdrv_setup_queue - build queue @index (@size entries, 0: the device's maximum) and enable it */
void vdrv_setup_queue(struct vdrv *d, unsigned int index, uint16_t size);

/**
 * vdrv_start - everything from reset to DRIVER_OK, as Linux does it
 * @wanted: feature bits accepted if offered; VERSION_1 is added
 * @nq:	    queues to set up, 0: as many as there are
 * @size:   ring size, 0: the device's maximum
 */
void vdrv_start(struct vdrv *d, struct vmmio *m, uint64_t wanted, unsigned int nq, uint16_t size);

/* vdrv_wait_irq - wait for the interrupt and acknowledge it; InterruptStatus, 0 after @ms */
uint32_t vdrv_wait_irq(struct vdrv *d, int ms);

/**
 * vdrv_wait_used - vdrv_used(), waiting for the interrupt if there is none yet
 *
 * Return: false after @ms without one.
 */
bool vdrv_wait_used(struct vdrv_q *q, uint16_t *head, uint32_t *len, int ms);

/* vdrv_broken - does status show NEEDS_RESET? */
bool vdrv_broken(struct vdrv *d);

/* vdrv_reset - write 0 to status and forget the queues; memory stays allocated */
void vdrv_reset(struct vdrv *d);

#endif
