// SPDX-License-Identifier: GPL-2.0-only
/*
 * The network as the kernel's own ip= parameter describes it (Documentation/admin-guide/nfs of the
 * kernel has the syntax); stock kernels of distributions leave it to the initramfs. Several ip= may
 * be given. IPv4 only. DHCP is busybox's udhcpc. Called by init.c only.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <net/if.h>
#include <net/route.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "init.h"

enum ip_field {
	IP_CLIENT,
	IP_SERVER,
	IP_GW,
	IP_MASK,
	IP_HOST,
	IP_DEV,
	IP_AUTO,
	IP_DNS0,
	IP_DNS1,
	IP_FIELDS
};

static int if_up(int sock, const char *dev)
{
	struct ifreq ifr = { 0 };

	snprintf(ifr.ifr_name, IFNAMSIZ, "%s", dev);
	if (ioctl(sock, SIOCGIFFLAGS, &ifr))
		return -errno;
	ifr.ifr_flags |= IFF_UP;
	return ioctl(sock, SIOCSIFFLAGS, &ifr) ? -errno : 0;
}

static int if_set_addr(int sock, const char *dev, unsigned long req, const char *addr)
{
	struct ifreq ifr = { 0 };
	struct sockaddr_in *sin = (struct sockaddr_in *)&ifr.ifr_addr;

	snprintf(ifr.ifr_name, IFNAMSIZ, "%s", dev);
	sin->sin_family = AF_INET;
	if (inet_pton(AF_INET, addr, &sin->sin_addr) != 1)
		return -EINVAL;
	return ioctl(sock, req, &ifr) ? -errno : 0;
}

static int route_add_default(int sock, const char *dev, const char *gw)
{
	struct rtentry rt = { .rt_flags = RTF_UP | RTF_GATEWAY, .rt_dev = (char *)dev };
	struct sockaddr_in *dst = (struct sockaddr_in *)&rt.rt_dst;
	struct sockaddr_in *mask = (struct sockaddr_in *)&rt.rt_genmask;
	struct sockaddr_in *via = (struct sockaddr_in *)&rt.rt_gateway;

	dst->sin_family = mask->sin_family = via->sin_family = AF_INET;
	if (inet_pton(AF_INET, gw, &via->sin_addr) != 1)
		return -EINVAL;
	return ioctl(sock, SIOCADDRT, &rt) ? -errno : 0;
}

/* The first interface by name that is not the loopback. */
static bool first_device(char *dev)
{
	struct dirent *e;
	bool found = false;
	DIR *dir;

	dir = opendir("/sys/class/net");
	if (!dir)
		return false;
	while ((e = readdir(dir))) {
		if (e->d_name[0] == '.' || !strcmp(e->d_name, "lo"))
			continue;
		if (strlen(e->d_name) >= IFNAMSIZ || (found && strcmp(e->d_name, dev) > 0))
			continue;
		strcpy(dev, e->d_name);
		found = true;
	}
	closedir(dir);
	return found;
}

/* @dev names the interface, or takes the first one's name when it is empty. */
static bool wait_for_device(char *dev)
{
	char path[64];
	int ms;

	for (ms = 0; ms <= INIT_DEVICE_WAIT_MS; ms += 10) {
		if (!*dev) {
			if (first_device(dev))
				return true;
		} else {
			snprintf(path, sizeof(path), "/sys/class/net/%s", dev);
			if (!access(path, F_OK))
				return true;
		}
		usleep(10000);
	}
	return false;
}

static void write_resolv(const char *dns0, const char *dns1)
{
	FILE *f;

	if (!*dns0 && !*dns1)
		return;
	f = fopen("/etc/resolv.conf", "we");
	if (!f)
		return;
	if (*dns0)
		fprintf(f, "nameserver %s\n", dns0);
	if (*dns1)
		fprintf(f, "nameserver %s\n", dns1);
	fclose(f);
}

static int run_dhcp(const char *dev)
{
	const char *const argv[] = {
		"/bin/udhcpc", "-i", dev, "-f", "-q", "-n", "-t",
		"8",	       "-T", "1", "-A", "1",  "-s", "/etc/lodge/udhcpc.script",
		NULL
	};

	return init_spawn_wait(argv);
}

static bool is_dhcp(const char *how)
{
	return !strcmp(how, "dhcp") || !strcmp(how, "on") || !strcmp(how, "any") ||
	       !strcmp(how, "both");
}

static void apply_ip(int sock, const char *spec)
{
	char copy[256], dev[IFNAMSIZ] = "", *pos = copy, *field[IP_FIELDS];
	int i, err;

	snprintf(copy, sizeof(copy), "%s", spec);
	for (i = 0; i < IP_FIELDS; i++) {
		field[i] = pos ? strsep(&pos, ":") : (char *)"";
	}
	/* The short form is the method alone: ip=dhcp. */
	if (is_dhcp(field[IP_CLIENT])) {
		field[IP_AUTO] = field[IP_CLIENT];
		field[IP_CLIENT] = (char *)"";
	}
	if (!strcmp(field[IP_CLIENT], "off") || !strcmp(field[IP_CLIENT], "none"))
		return;
	snprintf(dev, sizeof(dev), "%s", field[IP_DEV]);
	if (!wait_for_device(dev)) {
		fprintf(stderr, "init: ip=%s: no network device %s\n", spec, dev);
		return;
	}
	if (*field[IP_HOST] && sethostname(field[IP_HOST], strlen(field[IP_HOST])))
		init_note("hostname: %s", strerror(errno));
	err = if_up(sock, dev);
	if (!err && !*field[IP_CLIENT]) {
		if (run_dhcp(dev))
			fprintf(stderr, "init: ip=%s: no DHCP lease on %s\n", spec, dev);
		return;
	}
	if (!err)
		err = if_set_addr(sock, dev, SIOCSIFADDR, field[IP_CLIENT]);
	if (!err && *field[IP_MASK])
		err = if_set_addr(sock, dev, SIOCSIFNETMASK, field[IP_MASK]);
	if (!err && *field[IP_GW])
		err = route_add_default(sock, dev, field[IP_GW]);
	if (err)
		fprintf(stderr, "init: ip=%s: %s: %s\n", spec, dev, strerror(-err));
	write_resolv(field[IP_DNS0], field[IP_DNS1]);
}

void net_setup(void)
{
	const char *iter = NULL, *spec;
	int sock;

	sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (sock < 0) {
		init_note("no IPv4: %s", strerror(errno));
		return;
	}
	if_up(sock, "lo");
	while ((spec = cmdline_next("ip", &iter)))
		apply_ip(sock, spec);
	close(sock);
}
