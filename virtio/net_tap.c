// SPDX-License-Identifier: GPL-2.0-only
/*
 * Network backend: a tap interface of the host. Frames go to and come from the kernel with their
 * virtio header (IFF_VNET_HDR), so that checksums and segmentation are left to whoever can do them,
 * and straight between the guest's memory and the kernel.
 *
 * An interface that exists (made persistent by its owner) is used as it is and stays; one that does
 * not exist is made, brought up, and goes with the descriptor, however this process ends.
 *
 * With several queues each has a descriptor, and one that is detached neither gets frames nor takes
 * any; which of the others a frame comes in by is the kernel's choice: that by which the guest last
 * sent to the same peer. Offloads are the interface's, and set by the first.
 *
 * Threads: as net_backend.h says.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <linux/if_tun.h>

#include "log.h"
#include "net_backend.h"
#include "util.h"

#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

struct net_tap {
	struct net_backend be;
	bool down_told;
	char name[IFNAMSIZ];
};

static int tap_attach(struct net_backend *be, bool on)
{
	struct ifreq ifr = { .ifr_flags = on ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE };

	return ioctl(be->fd, TUNSETQUEUE, &ifr) < 0 ? -errno : 0;
}

static int tap_set_offloads(struct net_backend *be, uint64_t f)
{
	unsigned int tun = 0;

	if (f & NET_BIT(VIRTIO_NET_F_GUEST_CSUM))
		tun |= TUN_F_CSUM;
	if (f & NET_BIT(VIRTIO_NET_F_GUEST_TSO4))
		tun |= TUN_F_TSO4;
	if (f & NET_BIT(VIRTIO_NET_F_GUEST_TSO6))
		tun |= TUN_F_TSO6;
	if (f & NET_BIT(VIRTIO_NET_F_GUEST_ECN))
		tun |= TUN_F_TSO_ECN;
	/* The kernel takes the two only together; received headers do not tell them apart. */
	if (f & NET_BIT(VIRTIO_NET_F_GUEST_USO4) && f & NET_BIT(VIRTIO_NET_F_GUEST_USO6))
		tun |= TUN_F_USO4 | TUN_F_USO6;
	return ioctl(be->fd, TUNSETOFFLOAD, tun) < 0 ? -errno : 0;
}

static void tap_close(struct net_backend *be)
{
	struct net_tap *t = container_of(be, struct net_tap, be);
	int hdr_len = sizeof(struct virtio_net_hdr); /* the kernel's own default */

	/* One that stays is left as it was found. */
	tap_set_offloads(be, 0);
	if (ioctl(be->fd, TUNSETVNETHDRSZ, &hdr_len))
		log_debug("%s: header length: %s", t->name, strerror(errno));
	close(be->fd);
	free(t);
}

/* Another one than the first: nothing of the interface's own is its to undo. */
static void tap_close_more(struct net_backend *be)
{
	close(be->fd);
	free(container_of(be, struct net_tap, be));
}

static int tap_send(struct net_backend *be, const struct iovec *iov, unsigned int n, size_t len)
{
	struct net_tap *t = container_of(be, struct net_tap, be);

	ssize_t ret;

	do {
		ret = writev(be->fd, iov, n);
	} while (ret < 0 && errno == EINTR);
	if (ret >= 0)
		return 0;
	if (errno == EIO && !t->down_told) {
		t->down_told = true;
		log_warn("%s is down, frames are lost; bring it up with: ip link set %s up",
			 t->name, t->name);
	}
	return -errno;
}

static ssize_t tap_recv(struct net_backend *be, const struct iovec *iov, unsigned int n)
{
	ssize_t ret;

	do {
		ret = readv(be->fd, iov, n);
	} while (ret < 0 && errno == EINTR);
	return ret < 0 ? -errno : ret;
}

static const struct net_backend_ops tap_ops = {
	.name = "tap",
	.close = tap_close,
	.set_offloads = tap_set_offloads,
	.send = tap_send,
	.recv = tap_recv,
};

static const struct net_backend_ops tap_more_ops = {
	.name = "tap",
	.close = tap_close_more,
	.attach = tap_attach,
	.send = tap_send,
	.recv = tap_recv,
};

/* What the kernel's tap can do: asked, as it depends on the kernel's age. */
static uint64_t tap_probe_offloads(int fd)
{
	uint64_t f = 0;

	if (!ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN))
		f = (NET_HOST_OFFLOADS | NET_GUEST_OFFLOADS) &
		    ~(NET_BIT(VIRTIO_NET_F_HOST_USO) | NET_BIT(VIRTIO_NET_F_GUEST_USO4) |
		      NET_BIT(VIRTIO_NET_F_GUEST_USO6));
	if (f && !ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_USO4 | TUN_F_USO6))
		f = NET_HOST_OFFLOADS | NET_GUEST_OFFLOADS;
	return f;
}

static bool tap_name_ok(const char *name)
{
	const char *c;

	if (!*name || strlen(name) >= IFNAMSIZ || !strcmp(name, ".") || !strcmp(name, ".."))
		return false;
	for (c = name; *c; c++)
		if (isspace((unsigned char)*c) || strchr("/:%", *c))
			return false;
	return true;
}

/* "A.B.C.D/LEN" into two addresses, network byte order. */
static int tap_parse_addr(const char *text, struct in_addr *addr, struct in_addr *mask,
			  struct err *err)
{
	char ip[INET_ADDRSTRLEN], *end = NULL;
	const char *slash = strchr(text, '/');
	unsigned long len = 0;

	if (slash && isdigit((unsigned char)slash[1]) && (size_t)(slash - text) < sizeof(ip)) {
		memcpy(ip, text, slash - text);
		ip[slash - text] = '\0';
		len = strtoul(slash + 1, &end, 10);
	}
	if (!end || *end || len < 1 || len > 32 || inet_pton(AF_INET, ip, addr) != 1)
		return err_set(err, -EINVAL,
			       "--net addr: '%.40s' is not an IPv4 address and prefix length; "
			       "use A.B.C.D/LEN, such as 192.168.7.1/24",
			       text);
	mask->s_addr = htonl(~0ull << (32 - len));
	return 0;
}

static int tap_if_ioctl(int sk, unsigned long req, struct ifreq *ifr, const char *what,
			struct err *err)
{
	int ret;

	if (!ioctl(sk, req, ifr))
		return 0;
	ret = -errno;
	return err_set(err, ret, "--net tap=%s: cannot %s: %s%s", ifr->ifr_name, what,
		       strerror(-ret), ret == -EPERM ? "; that needs CAP_NET_ADMIN" : "");
}

static int tap_if_addr(int sk, unsigned long req, const char *name, struct in_addr addr,
		       const char *what, struct err *err)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr = addr };
	struct ifreq ifr = { 0 };

	memcpy(ifr.ifr_name, name, strlen(name) + 1);
	memcpy(&ifr.ifr_addr, &sin, sizeof(sin));
	return tap_if_ioctl(sk, req, &ifr, what, err);
}

/* The host's side: address and MTU if asked for, and up. */
static int tap_configure(const char *name, const struct in_addr *addr, const struct in_addr *mask,
			 unsigned int mtu, struct err *err)
{
	struct ifreq ifr = { 0 };
	int sk, ret;

	sk = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (sk < 0)
		return err_set(err, -errno, "--net tap=%s: socket: %s", name, strerror(errno));
	memcpy(ifr.ifr_name, name, strlen(name) + 1);
	if (mtu) {
		ifr.ifr_mtu = mtu;
		ret = tap_if_ioctl(sk, SIOCSIFMTU, &ifr, "set its MTU", err);
		if (ret)
			goto out;
	}
	if (addr) {
		ret = tap_if_addr(sk, SIOCSIFADDR, name, *addr, "set its address", err);
		if (ret)
			goto out;
		ret = tap_if_addr(sk, SIOCSIFNETMASK, name, *mask, "set its netmask", err);
		if (ret)
			goto out;
	}
	ret = tap_if_ioctl(sk, SIOCGIFFLAGS, &ifr, "read its flags", err);
	if (ret || ifr.ifr_flags & IFF_UP)
		goto out;
	ifr.ifr_flags |= IFF_UP;
	ret = tap_if_ioctl(sk, SIOCSIFFLAGS, &ifr, "bring it up", err);
out:
	close(sk);
	return ret;
}

/* The rights are missing, or the interface is not what it has to be. */
static int tap_bad_if(const char *name, unsigned int queues, int ret, struct err *err)
{
	switch (ret) {
	case -EPERM:
		return err_set(
			err, ret,
			"--net tap=%s: no right to use it; that needs CAP_NET_ADMIN, or a "
			"tap of your own, made by root with: ip tuntap add mode tap %suser %u "
			"name %s",
			name, queues > 1 ? "multi_queue " : "", getuid(), name);
	case -EBUSY:
		return err_set(err, ret, "--net tap=%s: in use by another program", name);
	case -EINVAL:
		return err_set(err, ret,
			       "--net tap=%s: that interface is not a tap, or was made with other "
			       "flags; make one with: ip tuntap add mode tap name NAME",
			       name);
	}
	return err_set(err, ret, "--net tap=%s: %s", name, strerror(-ret));
}

/* 0 or -errno; the header's length is the interface's, and set again by each queue. */
static int tap_set_if(int fd, const char *name, bool multi)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int hdr_len = NET_HDR_LEN;

	if (multi)
		ifr.ifr_flags |= IFF_MULTI_QUEUE;
	memcpy(ifr.ifr_name, name, strlen(name) + 1);
	if (ioctl(fd, TUNSETIFF, &ifr) < 0 || ioctl(fd, TUNSETVNETHDRSZ, &hdr_len) < 0)
		return -errno;
	return 0;
}

/*
 * A descriptor for one more queue. One that exists has one queue or may have many, by how it was
 * made, and has to be asked for in the same way: many will do for one.
 */
static int tap_open_queue(const char *name, unsigned int queues, struct err *err)
{
	bool multi = queues > 1;
	int fd, ret;

	fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0) {
		ret = -errno;
		return err_set(err, ret, "--net tap=%s: /dev/net/tun: %s%s", name, strerror(errno),
			       ret == -ENOENT || ret == -ENODEV ? "; load it with: modprobe tun"
			       : ret == -EACCES			? "; ask for the right to open it"
								: "");
	}
	ret = tap_set_if(fd, name, multi);
	if (ret == -EINVAL) {
		ret = tap_set_if(fd, name, !multi);
		if (!ret && multi)
			ret = err_set(
				err, -EINVAL,
				"--net tap=%s: it has one queue, not %u; make it with: ip "
				"tuntap add mode tap multi_queue name %s, or leave out queues",
				name, queues, name);
		else if (ret)
			ret = -EINVAL;
	}
	if (!ret)
		return fd;
	tap_bad_if(name, queues, ret, err); /* unless something was said already */
	close(fd);
	return ret;
}

static int tap_new(const char *name, unsigned int queues, const struct net_backend_ops *ops,
		   struct net_tap **out, struct err *err)
{
	struct net_tap *t = calloc(1, sizeof(*t));
	int fd;

	if (!t)
		return err_set(err, -ENOMEM, "--net tap=%s: out of memory", name);
	fd = tap_open_queue(name, queues, err);
	if (fd < 0) {
		free(t);
		return fd;
	}
	memcpy(t->name, name, strlen(name) + 1);
	t->be.ops = ops;
	t->be.fd = fd;
	*out = t;
	return 0;
}

/* The other queues, detached until the guest wants them. */
static int tap_open_more(struct net_tap *t, unsigned int queues, struct err *err)
{
	struct net_backend **last = &t->be.next;
	struct net_tap *more;
	unsigned int i;
	int ret;

	for (i = 1; i < queues; i++) {
		ret = tap_new(t->name, queues, &tap_more_ops, &more, err);
		if (ret)
			return ret;
		*last = &more->be;
		last = &more->be.next;
		ret = tap_attach(&more->be, false);
		if (ret)
			return err_set(err, ret, "--net tap=%s: detaching a queue: %s", t->name,
				       strerror(-ret));
	}
	return 0;
}

static void tap_close_all(struct net_tap *t)
{
	struct net_backend *be, *next;

	for (be = t->be.next; be; be = next) {
		next = be->next;
		tap_close_more(be);
	}
	close(t->be.fd);
	free(t);
}

int net_tap_open(const char *name, const char *addr, unsigned int mtu, bool offload,
		 unsigned int queues, struct net_backend **out, struct err *err)
{
	struct in_addr ip, mask;
	struct net_tap *t;
	bool made;
	int ret;

	if (!tap_name_ok(name))
		return err_set(err, -EINVAL,
			       "--net tap: '%.40s' is no name of an interface; use at most %d "
			       "characters without / : %% or blanks",
			       name, IFNAMSIZ - 1);
	if (addr) {
		ret = tap_parse_addr(addr, &ip, &mask, err);
		if (ret)
			return ret;
	}
	made = !if_nametoindex(name);
	ret = tap_new(name, queues, &tap_ops, &t, err);
	if (ret)
		return ret;
	ret = tap_open_more(t, queues, err);
	if (ret)
		goto close;
	if (made || addr) {
		ret = tap_configure(name, addr ? &ip : NULL, &mask, mtu, err);
		if (ret)
			goto close;
	}
	if (offload)
		t->be.offloads = tap_probe_offloads(t->be.fd);
	ret = tap_set_offloads(&t->be, 0);
	if (ret) {
		err_set(err, ret, "--net tap=%s: offloads: %s", name, strerror(-ret));
		goto close;
	}
	*out = &t->be;
	return 0;
close:
	tap_close_all(t);
	return ret;
}
