/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What carries a guest's Ethernet frames outside: one struct net_backend per queue pair, behind a
 * const table. A backend knows frames, their virtio header and file descriptors; it knows nothing
 * of queues and never touches guest memory except through the iovecs it is handed.
 *
 * Threads: open and close from the main thread; everything else from the queue pair's thread, which
 * is gone before close.
 */
#ifndef LODGE_NET_BACKEND_H
#define LODGE_NET_BACKEND_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/uio.h>
#include <linux/virtio_net.h>

#include "err.h"
#include "opt.h"

/* UDP segmentation came with Linux 6.2; its numbers are missing from older kept headers. */
#ifndef VIRTIO_NET_F_HOST_USO
#define VIRTIO_NET_F_GUEST_USO4 54
#define VIRTIO_NET_F_GUEST_USO6 55
#define VIRTIO_NET_F_HOST_USO	56
#endif
#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

#define NET_HDR_LEN sizeof(struct virtio_net_hdr_v1)

/* The longest frame there can be: an IP datagram of 64 KiB, Ethernet header, VLAN tag. */
#define NET_FRAME_MAX (65535u + 14 + 4)
#define NET_FRAME_MIN 14u

#define NET_BIT(f) (1ull << (f))

/* Offloads of the sending guest, as feature bits. */
#define NET_HOST_OFFLOADS                                                   \
	(NET_BIT(VIRTIO_NET_F_CSUM) | NET_BIT(VIRTIO_NET_F_HOST_TSO4) |     \
	 NET_BIT(VIRTIO_NET_F_HOST_TSO6) | NET_BIT(VIRTIO_NET_F_HOST_ECN) | \
	 NET_BIT(VIRTIO_NET_F_HOST_USO))

/* What the receiving guest may be handed, as feature bits; changed at run time by the driver. */
#define NET_GUEST_OFFLOADS                                                     \
	(NET_BIT(VIRTIO_NET_F_GUEST_CSUM) | NET_BIT(VIRTIO_NET_F_GUEST_TSO4) | \
	 NET_BIT(VIRTIO_NET_F_GUEST_TSO6) | NET_BIT(VIRTIO_NET_F_GUEST_ECN) |  \
	 NET_BIT(VIRTIO_NET_F_GUEST_USO4) | NET_BIT(VIRTIO_NET_F_GUEST_USO6))

struct net_backend;

/**
 * struct net_backend_ops - a kind of backend
 * @name:	  "tap", "user"
 * @close:	  undo open and free
 * @set_offloads: from now on hand over only frames that need no more than these
 *		  VIRTIO_NET_F_GUEST_* bits; 0 or -errno. NULL: the backend never uses an offload.
 *		  Of an interface with several queues, the first one's is called, for all.
 * @set_mtu:	  the largest IP packet that the guest expects, before each driver's first frame;
 *		  it may be told of a larger one next time. NULL: frames are what they are.
 * @attach:	  let frames come in by this queue of the interface, or no longer; then what it
 *		  still has is dropped. 0 or -errno. Never called for the first queue, which is
 *		  attached from the beginning as the others are not. NULL: there is only one.
 * @send:	  one frame; iov[0] is exactly the header, checked and in memory that the guest
 *		  cannot reach. @len counts the frame without it. Takes the whole frame, or returns
 *		  -EAGAIN (try again once poll says so) or another -errno (the frame is lost).
 * @recv:	  one frame, iov[0] is exactly the header. Never blocks. Returns bytes including the
 *		  header, cut to the iovecs' room; -EAGAIN when nothing is there; -EINTR when a
 *		  frame was passed over that is not for the guest, and there may be more; another
 *		  -errno when the backend has failed for good.
 * @stats:	  print counters, each " name=number"; any thread. NULL: there are none.
 * @wait:	  sleep until @epfd is readable, the backend has work, or @timeout ms have passed
 *		  (-1: for ever), and do that work. NULL: @fd says all there is to know.
 */
struct net_backend_ops {
	const char *name;
	void (*close)(struct net_backend *be);
	int (*set_offloads)(struct net_backend *be, uint64_t features);
	void (*set_mtu)(struct net_backend *be, unsigned int mtu);
	int (*attach)(struct net_backend *be, bool on);
	int (*send)(struct net_backend *be, const struct iovec *iov, unsigned int n, size_t len);
	ssize_t (*recv)(struct net_backend *be, const struct iovec *iov, unsigned int n);
	void (*stats)(struct net_backend *be, FILE *out);
	void (*wait)(struct net_backend *be, int epfd, int timeout);
};

/**
 * struct net_backend - common head, embedded
 * @offloads: the NET_HOST_OFFLOADS and NET_GUEST_OFFLOADS it can do
 * @fd:	      non-blocking, readable: recv() has something; writable: send() can take something. -1
 *	      when there is no such thing; then @wait is set.
 * @next:     the next queue of the same interface: a backend of its own, for the next pair; or NULL
 * @patient:  its frames wait for the guest's driver; else those from before it are dropped
 * @refused:  frames from recv() that the device could not hand on; the pair's thread counts them
 */
struct net_backend {
	const struct net_backend_ops *ops;
	uint64_t offloads;
	int fd;
	struct net_backend *next;
	bool patient;
	uint64_t refused;
};

/**
 * net_tap_open - attach to a tap interface, creating it if there is none of that name
 * @name:    interface
 * @addr:    "A.B.C.D/LEN" for the host's side, which is brought up too; or NULL
 * @mtu:     of the host's side, 0: leave it; one that exists keeps its own unless @addr is set
 * @offload: use checksum and segmentation offloads
 * @queues:  how many, each a descriptor of its own; @out is the first of a list of them
 *
 * An interface that did not exist is brought up, and goes away with close.
 */
int net_tap_open(const char *name, const char *addr, unsigned int mtu, bool offload,
		 unsigned int queues, struct net_backend **out, struct err *err);

/* The largest that libslirp has room for, with headers. */
#define NET_USER_MTU 65520

/**
 * net_user_open - a small IP network in this process (libslirp), which needs no privilege
 * @hostfwd: forwarded ports, each PROTO:[HOSTADDR]:PORT-[GUESTADDR]:PORT
 * @mtu:     largest IP packet; guests that do not hear of it get fragments of 1500 bytes
 *
 * 10.0.2.0/24; 10.0.2.2 is the host, 10.0.2.3 its name servers, 10.0.2.15 the guest (by DHCP).
 */
int net_user_open(const struct opt_multi *hostfwd, unsigned int mtu, struct net_backend **out,
		  struct err *err);

/**
 * net_iface_open - share an interface of the host, by libpcap
 * @offload: tell the guest of open checksums and joined segments, if it agrees to that
 */
int net_iface_open(const char *name, bool offload, struct net_backend **out, struct err *err);

/**
 * net_replay_open - frames from a capture's file; what the guest sends goes nowhere
 * @speed: "original", "max", "Nx", or NULL for the first
 */
int net_replay_open(const char *file, const char *speed, struct net_backend **out, struct err *err);

/**
 * struct net_fwd - a forwarded port, network byte order
 */
struct net_fwd {
	bool udp;
	uint32_t host_addr, guest_addr;
	uint16_t host_port, guest_port;
};

/** net_user_parse_fwd - read "tcp:[HOSTADDR]:PORT-[GUESTADDR]:PORT"; 0 or -EINVAL with @err */
int net_user_parse_fwd(const char *text, struct net_fwd *fwd, struct err *err);

#endif
