// SPDX-License-Identifier: GPL-2.0-only
/*
 * lodge doctor: one line a subject, what is there, and below it the command that would mend what is
 * not. It opens and closes, and changes nothing. Exit status 0 when a guest can run here. What lite
 * mode wants to know of the host's kernel is in doctor_lite.c.
 */
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <liburing.h>
#include <linux/capability.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "accel.h"
#include "cmd.h"
#include "doctor.h"
#include "mem.h"
#include "util.h"

void say(enum verdict v, const char *subject, const char *fmt, ...)
{
	static const char *const mark[] = { "ok", "--", "NO" };
	va_list ap;

	printf("  %-2s  %-11s ", mark[v], subject);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

void mend(const char *how)
{
	printf("                  -> %s\n", how);
}

bool doctor_read(const char *path, char *line, size_t size)
{
	FILE *f = fopen(path, "re");
	bool ok;

	line[0] = '\0';
	if (!f)
		return false;
	ok = fgets(line, size, f);
	fclose(f);
	line[strcspn(line, "\n")] = '\0';
	return ok;
}

static bool doctor_cpu(void)
{
	unsigned int r[12] = { 0 }, a, b, c = 0, d;
	const char *name = (const char *)r;
	bool vmx, svm, virt;

	__get_cpuid(0x80000002, &r[0], &r[1], &r[2], &r[3]);
	__get_cpuid(0x80000003, &r[4], &r[5], &r[6], &r[7]);
	__get_cpuid(0x80000004, &r[8], &r[9], &r[10], &r[11]);
	__get_cpuid(1, &a, &b, &c, &d);
	vmx = c & 1u << 5;
	virt = c & 1u << 31;
	svm = __get_cpuid(0x80000001, &a, &b, &c, &d) && c & 1u << 2;

	say(vmx || svm ? OK : BAD, "processor", "%.48s: %s%s", name,
	    vmx	  ? "VMX"
	    : svm ? "SVM"
		  : "no VT (neither VMX nor SVM)",
	    virt ? ", itself a virtual machine" : "");
	if (!vmx && !svm)
		mend(virt ? "enable nested virtualization on the machine that runs this one"
			  : "enable virtualization in the firmware set-up, if it has the switch");
	return vmx || svm;
}

static bool doctor_kvm(bool vt)
{
	struct err err = { 0 };
	bool node = !access("/dev/kvm", F_OK);
	int ret;

	if (!vt) {
		say(BAD, "kvm mode",
		    node ? "/dev/kvm is there, but not on VT: a stock kernel cannot run on it"
			 : "needs VT");
		return false;
	}
	ret = accel_kvm.probe(&err);
	say(ret ? BAD : OK, "kvm mode", "%s", ret ? err.msg : "/dev/kvm works");
	return !ret;
}

static void doctor_io_uring(void)
{
	struct io_uring ring;
	int ret = io_uring_queue_init(2, &ring, 0);

	if (!ret) {
		io_uring_queue_exit(&ring);
		say(OK, "io_uring", "usable: disks get asynchronous I/O");
		return;
	}
	say(NOTE, "io_uring", "%s: disks fall back to synchronous I/O", strerror(-ret));
	mend("sysctl -w kernel.io_uring_disabled=0, or allow it in the container's seccomp "
	     "profile");
}

/* Rights count, not the user: root in a container often has few. */
static bool doctor_net_admin(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	unsigned long long caps = 0;
	char line[128];

	if (!f)
		return false;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "CapEff: %llx", &caps) == 1)
			break;
	fclose(f);
	return caps >> CAP_NET_ADMIN & 1;
}

static void doctor_tun(void)
{
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	bool admin = doctor_net_admin();

	if (fd < 0) {
		say(NOTE, "tap", "/dev/net/tun: %s; --net user works all the same",
		    strerror(errno));
		mend(errno == ENOENT ? "modprobe tun" : "chmod 666 /dev/net/tun");
		return;
	}
	close(fd);
	if (admin) {
		say(OK, "tap", "/dev/net/tun can be opened, --net tap=NAME makes the interface");
		return;
	}
	say(NOTE, "tap", "/dev/net/tun can be opened; making an interface takes CAP_NET_ADMIN");
	mend("ip tuntap add mode tap vnet_hdr user $USER name NAME   (once, as root)");
}

static void doctor_host(void)
{
	char lockdown[64];
	struct utsname u;

	uname(&u);
	doctor_read("/sys/kernel/security/lockdown", lockdown, sizeof(lockdown));
	say(OK, "kernel", "Linux %s%s%s", u.release, *lockdown ? ", lockdown: " : "", lockdown);
	say(OK, "memory", "%" PRIu64 " MiB of RAM, the most that --mem can ask for",
	    (uint64_t)(mem_host_size() / MIB));
}

int cmd_doctor(int argc, char **argv)
{
	bool vt, kvm, lite;

	if (argc > 1) {
		bool help = !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h");

		fputs(help ? "usage: lodge doctor\n\nSays what this host can do, what is missing, "
			     "and "
			     "the command that would mend it.\nExit status 0 when a guest can run, "
			     "1 when not.\n"
			   : "lodge: doctor takes no options\n",
		      help ? stdout : stderr);
		return help ? 0 : CMD_EXIT_FAIL;
	}
	doctor_host();
	vt = doctor_cpu();
	kvm = doctor_kvm(vt);
	lite = doctor_lite();
	doctor_io_uring();
	doctor_tun();
	puts(kvm && lite ? "\nGuests run here, in KVM mode and in lite mode."
	     : kvm	 ? "\nGuests run here, in KVM mode."
	     : lite	 ? "\nGuests run here, in lite mode."
			 : "\nNo guest can run here yet; see the lines marked NO.");
	return kvm || lite ? 0 : 1;
}
