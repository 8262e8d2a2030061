// SPDX-License-Identifier: GPL-2.0-only
/*
 * The end of a guest: the power button, stopping what still runs, the exit status for the VMM, and
 * the power-off. Called by init.c only.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/input.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "init.h"
#include "lite/abi/platform.h"

/* Of virtio_lodge.ko, which is loaded in lite mode only: the port behind a file. */
#define LITE_EXIT_STATUS "/sys/module/virtio_lodge/parameters/exit_status"

/* Between TERM and KILL, in milliseconds: a machine below may stand still for some of them. */
#define STOP_GRACE_MS 10000

int power_open_buttons(int *fds, int max)
{
	unsigned long keys[(KEY_MAX + 1) / (8 * sizeof(long)) + 1];
	const int bits = 8 * sizeof(long);
	int i, fd, n = 0;
	char path[32];

	for (i = 0; i < 8 && n < max; i++) {
		snprintf(path, sizeof(path), "/dev/input/event%d", i);
		fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0)
			continue;
		memset(keys, 0, sizeof(keys));
		ioctl(fd, EVIOCGBIT(EV_KEY, sizeof(keys)), keys);
		if (keys[KEY_POWER / bits] & (1ul << (KEY_POWER % bits)))
			fds[n++] = fd;
		else
			close(fd);
	}
	return n;
}

bool power_button_pressed(int fd)
{
	struct input_event ev;
	bool pressed = false;

	while (read(fd, &ev, sizeof(ev)) == sizeof(ev))
		if (ev.type == EV_KEY && ev.code == KEY_POWER && ev.value == 1)
			pressed = true;
	return pressed;
}

static long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Reaps until no child is left (true) or @ms milliseconds have passed. */
static bool reap_for(int ms)
{
	long end = now_ms() + ms;
	pid_t pid;

	for (;;) {
		pid = waitpid(-1, NULL, WNOHANG);
		if (pid < 0 && errno == ECHILD)
			return true;
		if (pid > 0)
			continue;
		if (now_ms() >= end)
			return false;
		usleep(5000);
	}
}

void power_stop_processes(bool shell)
{
	/* As init we are the parent of every orphan, so ECHILD is "no process left". */
	if (kill(-1, SIGTERM) && errno == ESRCH)
		return;
	/* Interactive shells ignore TERM, and stopped jobs sleep through it. */
	if (shell)
		kill(-1, SIGHUP);
	kill(-1, SIGCONT);
	if (reap_for(STOP_GRACE_MS))
		return;
	kill(-1, SIGKILL);
	reap_for(STOP_GRACE_MS);
}

/*
 * Port writes are for our own VMM only: on any other machine the port may belong to something else.
 * The sign is our OEM id in the ACPI tables, or "lodge.exit" on the command line where there is no
 * ACPI.
 */
static bool is_lodge_guest(void)
{
	char header[16];
	bool ours = false;
	int fd;

	if (cmdline_get("lodge.exit"))
		return true;
	fd = open("/sys/firmware/acpi/tables/FACP", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	/* ACPI 6.4, 5.2.6: the OEM id is at offset 10, 6 bytes. */
	if (read(fd, header, sizeof(header)) == sizeof(header))
		ours = !memcmp(header + 10, "LODGE ", 6);
	close(fd);
	return ours;
}

/* In lite mode user space has no I/O ports; there the module writes. */
static void tell_status(int status)
{
	int fd = open(LITE_EXIT_STATUS, O_WRONLY | O_CLOEXEC);

	if (fd >= 0) {
		dprintf(fd, "%u", status & 0xff);
		close(fd);
	} else if (is_lodge_guest() && !ioperm(LODGE_PORT_EXIT_STATUS, 1, 1)) {
		outb(status, LODGE_PORT_EXIT_STATUS);
	}
}

void power_end(int status, int how)
{
	tcdrain(STDOUT_FILENO);
	sync();
	tell_status(status); /* /sys and /proc are still there */
	mount_all_off();
	reboot(how);
	for (;;)
		pause();
}
