// SPDX-License-Identifier: GPL-2.0-only
/*
 * The part of lodge doctor that is about lite mode: the device, the module's file and whether this
 * kernel would take it, and what of the processor and its mitigations lite mode has to live with.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "accel.h"
#include "doctor.h"
#include "util.h"

#include "lite/abi/lodge.h"
#include "lite/abi/ring_policy.h"

/* Does the file's .modinfo say that it was built for this release? */
static bool lite_module_fits(const char *path, const char *release)
{
	char want[128];
	struct stat st;
	bool fits = false;
	void *p;
	int fd;

	snprintf(want, sizeof(want), "vermagic=%s ", release);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size) {
		p = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (p != MAP_FAILED) {
			fits = memmem(p, st.st_size, want, strlen(want));
			munmap(p, st.st_size);
		}
	}
	close(fd);
	return fits;
}

/* Where the module is: installed, or beside the program as the build leaves it. */
static bool lite_find_module(char *path, size_t size, const char *release)
{
	static const char *const installed[] = { "updates", "extra", "updates/dkms" };
	char self[PATH_MAX];
	unsigned int i;
	ssize_t n;

	for (i = 0; i < ARRAY_SIZE(installed); i++) {
		snprintf(path, size, "/lib/modules/%s/%s/lodge.ko", release, installed[i]);
		if (!access(path, F_OK))
			return true;
	}
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n < 0)
		return false;
	self[n] = '\0';
	*strrchr(self, '/') = '\0';
	if (snprintf(path, size, "%s/modules/lodge.ko", self) >= (int)size)
		return false;
	return !access(path, F_OK);
}

static void lite_module(bool loaded)
{
	char path[PATH_MAX], how[PATH_MAX + 16], enforce[8], lockdown[64];
	struct utsname u;

	uname(&u);
	if (loaded)
		return;
	if (!lite_find_module(path, sizeof(path), u.release)) {
		say(NOTE, "lodge.ko", "not found");
		mend("make modules KDIR=/lib/modules/$(uname -r)/build");
	} else if (!lite_module_fits(path, u.release)) {
		say(NOTE, "lodge.ko", "%s is not for this kernel, %s", path, u.release);
		mend("make modules KDIR=/lib/modules/$(uname -r)/build");
	} else {
		say(OK, "lodge.ko", "%s is for this kernel", path);
		snprintf(how, sizeof(how), "insmod %s", path);
		mend(how);
	}
	doctor_read("/sys/module/module/parameters/sig_enforce", enforce, sizeof(enforce));
	doctor_read("/sys/kernel/security/lockdown", lockdown, sizeof(lockdown));
	if (*enforce == 'Y' || *enforce == '1' || (*lockdown && !strstr(lockdown, "[none]"))) {
		say(NOTE, "signatures", "this kernel takes signed modules only");
		mend("sign lodge.ko with a key that the kernel knows (mokutil --import), or turn "
		     "Secure Boot off");
	}
}

/* Is a word in a line ("flags", "bugs") of the first processor? */
static bool lite_cpu_has(const char *name, const char *flag)
{
	FILE *f = fopen("/proc/cpuinfo", "re");
	char *line = NULL, *word, *save;
	bool found = false;
	size_t size = 0;

	if (!f)
		return false;
	while (getline(&line, &size, f) > 0) {
		if (strncmp(line, name, strlen(name)))
			continue;
		for (word = strtok_r(line, " \t\n", &save); word && !found;
		     word = strtok_r(NULL, " \t\n", &save))
			found = !strcmp(word, flag);
		break;
	}
	free(line);
	fclose(f);
	return found;
}

/*
 * What lodge.ko would refuse when it is loaded, as far as it can be seen from here. The module asks
 * the processor and decides; its list is refusal() in lite/linux/policy.c.
 */
static void lite_refusals(void)
{
	static const struct {
		const char *line, *flag;
		bool wanted;
		const char *what, *how;
	} list[] = {
		{ "flags", "fsgsbase", true, "the processor or the kernel lacks FSGSBASE",
		  "remove nofsgsbase from the kernel's command line, if it is there" },
		{ "flags", "nx", true, "the processor lacks NX",
		  "turn on \"execute disable\" in the firmware's setup" },
		{ "flags", "ibt", false, "CET may be on", "ibt=off on the kernel's command line" },
		{ "flags", "user_shstk", false, "CET is on",
		  "nousershstk on the kernel's command line" },
		{ "flags", "fred", false, "FRED may be on",
		  "fred=off on the kernel's command line" },
		{ "flags", "lass", false, "LASS may be on",
		  "clearcpuid=lass on the kernel's command line" },
	};
	char type[16], guest[16];
	unsigned int i;

	doctor_read("/sys/hypervisor/type", type, sizeof(type));
	doctor_read("/sys/hypervisor/guest_type", guest, sizeof(guest));
	if (!strcmp(type, "xen") && !strcmp(guest, "PV")) {
		say(NOTE, "refused", "this kernel is itself a paravirtual guest");
		mend("use a machine whose kernel runs in ring 0");
	}
	for (i = 0; i < ARRAY_SIZE(list); i++) {
		if (lite_cpu_has(list[i].line, list[i].flag) == list[i].wanted)
			continue;
		say(NOTE, "refused", "%s", list[i].what);
		mend(list[i].how);
	}
}

/* Of the module that is loaded, or 0. */
static unsigned int lite_ring_now(void)
{
	struct lodge_info info = { 0 };
	int fd = open(LODGE_DEVICE, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return 0;
	if (ioctl(fd, LODGE_INFO, &info) < 0)
		info.ring = 0;
	close(fd);
	return info.ring;
}

/* In which ring guests' kernels run, or would; and why, by what the module goes by. */
static void lite_ring(void)
{
	struct ring_host host = {
		.meltdown = lite_cpu_has("bugs", "cpu_meltdown"),
		.eibrs = lite_cpu_has("flags", "ibrs_enhanced"),
	};
	unsigned int now = lite_ring_now(), ring;
	enum ring_policy policy = RING_AUTO;
	char param[8], trusted[8];
	const char *why;

	if (doctor_read("/sys/module/lodge/parameters/ring", param, sizeof(param)))
		policy = *param == '1' ? RING_1 : *param == '3' ? RING_3 : RING_AUTO;
	doctor_read("/sys/module/lodge/parameters/allow_unisolated", trusted, sizeof(trusted));
	host.trusted = *trusted == 'Y';
	ring = ring_choose(policy, &host, &why);
	/* Whoever reads the processor otherwise than we do: the module's word counts. */
	if (now && now != ring)
		why = "says the module; its line in the kernel's log has the reason";
	say(OK, "ring", "guests' kernels %s in ring %u: %s", now ? "run" : "would run",
	    now ? now : ring, why);
}

/* Lite guests share the kernel's address space, so what it does against leaks counts twice. */
static void lite_mitigations(void)
{
	static const char *const names[] = { "meltdown", "spectre_v2", "l1tf", "mds" };
	char path[96], line[160];
	bool any = false;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "/sys/devices/system/cpu/vulnerabilities/%s",
			 names[i]);
		if (!doctor_read(path, line, sizeof(line)) || strncmp(line, "Vulnerable", 10))
			continue;
		say(NOTE, "mitigation", "%s: %s", names[i], line);
		any = true;
	}
	if (any)
		mend("run only guests that you trust in lite mode; mitigations=auto on the host");
}

bool doctor_lite(void)
{
	struct err err = { 0 };
	int ret = accel_lite.probe(&err);
	bool loaded = ret != -ENOENT && ret != -ENODEV && ret != -ENXIO;

	say(ret ? BAD : OK, "lite mode", "%s", ret ? err.msg : "/dev/lodge works");
	lite_module(loaded);
	if (!loaded)
		lite_refusals();
	lite_ring();
	say(OK, "paging", "%d levels", lite_cpu_has("flags", "la57") ? 5 : 4);
	lite_mitigations();
	return !ret;
}
