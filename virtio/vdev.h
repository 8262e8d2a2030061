/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A virtio device without its transport: status, features, queues, configuration space, life cycle
 * (virtio 1.2, chapters 2 and 3). Devices implement struct vdev_ops and embed struct vdev;
 * transports (mmio.c) drive it by the vdev_* calls; neither knows the other.
 *
 * Threads: the vdev_* set-up calls come from vCPU threads and serialise on vdev.lock. A running
 * device's queues belong to its own threads, which start in ops->activate and are gone when
 * ops->quiesce returns.
 */
#ifndef LODGE_VDEV_H
#define LODGE_VDEV_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <linux/virtio_config.h>

#include "err.h"
#include "gmem.h"
#include "opt.h"
#include "vq.h"

struct vdev;

/**
 * struct vdev_ops - what a device is; one static const instance per device type
 * @name:	  "blk", "net", ...; used in messages and thread names
 * @option:	  command line option that makes one ("--disk"), NULL when it is made otherwise
 * @option_arg:	  its argument in --help
 * @help:	  one line of --help
 * @id:		  VIRTIO_ID_*
 * @opts:	  keys of the option; feeds the parser and --help
 * @cfg_size:	  size of the struct that @opts fills, zeroed before parsing
 * @create:	  allocate and open everything that can fail, guest not running yet
 * @destroy:	  free everything; called quiesced, or never activated
 * @activate:	  driver set DRIVER_OK: start threads. Negotiated features and enabled queues are
 *		  final. An error makes the device NEEDS_RESET.
 * @quiesce:	  stop threads; no access to guest memory after return. In-flight requests are
 *		  finished or abandoned (host side complete). May be called only after activate.
 * @features_ok:  do these bits, a subset of the offered ones, go together (the "requires" lists of
 *		  5.x.3.1)? NULL: any do
 * @config_write: driver writes to configuration space; NULL: writes are ignored. @off + @len is
 *		  inside vdev.config. Called with vdev.lock held.
 * @config_early: configuration space takes writes before FEATURES_OK (5.3.4)
 * @stats:	  append "key=value" words for the monitor and --stats; NULL: only the queues' own
 */
struct vdev_ops {
	const char *name;
	const char *option;
	const char *option_arg;
	const char *help;
	uint16_t id;
	const struct opt *opts;
	size_t cfg_size;
	int (*create)(const void *cfg, const struct gmem *mem, struct vdev **out, struct err *err);
	void (*destroy)(struct vdev *vd);
	int (*activate)(struct vdev *vd);
	void (*quiesce)(struct vdev *vd);
	bool (*features_ok)(uint64_t features);
	void (*config_write)(struct vdev *vd, uint32_t off, const void *buf, uint32_t len);
	bool config_early;
	void (*stats)(struct vdev *vd, FILE *out);
};

/**
 * struct vdev_transport - what a device may ask of the thing that connects it to the guest
 * @irq:	    used buffers in a queue, or VDEV_IRQ_CONFIG: a configuration change; any thread
 * @config_changed: republish vdev.config to the guest, bump the generation; any thread
 * @irq_per_queue:  an interrupt reaches the driver of its own queue only; else one serves for all
 */
struct vdev_transport {
	void (*irq)(struct vdev *vd, int queue);
	void (*config_changed)(struct vdev *vd);
	bool irq_per_queue;
};
#define VDEV_IRQ_CONFIG (-1)

struct vdev {
	const struct vdev_ops *ops;
	const struct vdev_transport *tp; /* set by the transport before the guest runs */
	const struct gmem *mem;
	char label[16];	     /* "blk0": for messages; set by the VM */
	uint64_t features;   /* offered; constant after create */
	uint64_t negotiated; /* accepted by the driver; final once FEATURES_OK stands */
	struct vq *vq;	     /* nvq queues */
	unsigned int nvq;
	const void *config; /* device configuration space, little endian, read by transports */
	uint32_t config_len;
	pthread_mutex_t lock; /* status, negotiated, queue set-up */
	uint8_t status;	      /* VIRTIO_CONFIG_S_*; atomic, NEEDS_RESET comes from device threads */
	bool active;	      /* between ops->activate and ops->quiesce */
	uint64_t stat_resets;
	unsigned int stat_broken; /* times that NEEDS_RESET was set; atomic */
};

/**
 * vdev_init - fill in the common part; called by ops->create of every device
 * @vd:	      embedded struct, zeroed
 * @features: device-specific bits; VERSION_1, EVENT_IDX and INDIRECT_DESC are added here
 * @nvq:      number of queues; each gets an eventfd in vq.kick_fd
 * @size_max: ring size offered on each
 *
 * Return: 0, -ENOMEM, or -errno of eventfd(2).
 */
int vdev_init(struct vdev *vd, const struct vdev_ops *ops, const struct gmem *mem,
	      uint64_t features, unsigned int nvq, uint16_t size_max);

/** vdev_fini - undo vdev_init(); called by ops->destroy */
void vdev_fini(struct vdev *vd);

/** vdev_has - has this feature bit (VIRTIO_*_F_*) been negotiated? */
static inline bool vdev_has(const struct vdev *vd, unsigned int bit)
{
	return vd->negotiated >> bit & 1;
}

/**
 * vdev_set_features - the driver's half of the negotiation, 32 bits at a time (2.2, 3.1.1)
 * @sel: 0 or 1; anything else is ignored
 *
 * Ignored once FEATURES_OK stands. Unoffered bits are remembered and make FEATURES_OK fail.
 */
void vdev_set_features(struct vdev *vd, uint32_t sel, uint32_t val);

/**
 * vdev_set_status - the driver writes device status (2.1, 3.1.1)
 *
 * 0 resets (quiesces). Bits may be added, never taken away. FEATURES_OK is refused for unoffered
 * bits, a missing VERSION_1 or a missing dependency; DRIVER_OK activates. The caller reads the
 * outcome from vd->status.
 */
void vdev_set_status(struct vdev *vd, uint8_t val);

/**
 * vdev_queue_setup - may the driver set this queue's size and addresses now?
 *
 * Return: the queue between FEATURES_OK and DRIVER_OK and while it is not enabled, else NULL. The
 * transport fills in size and the gpa fields; it serialises its own register writes.
 */
struct vq *vdev_queue_setup(struct vdev *vd, unsigned int index);

/**
 * vdev_queue_enable - the driver sets QueueReady; only between FEATURES_OK and DRIVER_OK
 *
 * Return: 0, -EBUSY at the wrong time or for a queue that is not there or enabled already, -EINVAL
 * (and the device broken) for a ring that vq_enable() refuses.
 */
int vdev_queue_enable(struct vdev *vd, unsigned int index);

/**
 * vdev_queue_disable - the driver clears QueueReady; only between FEATURES_OK and DRIVER_OK
 *
 * Of a running device only all queues can be stopped, by a reset.
 */
void vdev_queue_disable(struct vdev *vd, unsigned int index);

/**
 * vdev_config_write - the driver writes to configuration space
 *
 * Ignored before FEATURES_OK (unless config_early), outside of the space, and by devices without
 * config_write.
 */
void vdev_config_write(struct vdev *vd, uint32_t off, const void *buf, uint32_t len);

/** vdev_reset - what a status write of 0 does; also the host's way to stop a device */
void vdev_reset(struct vdev *vd);

/**
 * vdev_broken - the guest broke the rules: NEEDS_RESET, a configuration interrupt, one log line
 *
 * Any thread, no locks taken. Only the first call after a reset has an effect. The device's thread
 * must stop working on its queues afterwards and wait for quiesce.
 */
void vdev_broken(struct vdev *vd, const char *why);

/** vdev_is_broken - has NEEDS_RESET been set since the last reset? */
bool vdev_is_broken(const struct vdev *vd);

/** vdev_flush - vq_flush() and, if the driver wants it, the interrupt */
void vdev_flush(struct vdev *vd, struct vq *vq);

/**
 * vdev_print_stats - one line: label, the chains, kicks and interrupts of each queue that has been
 * used, then ops->stats
 */
void vdev_print_stats(struct vdev *vd, FILE *out);

#endif
