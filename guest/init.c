// SPDX-License-Identifier: GPL-2.0-only
/*
 * The init of our initramfs, used in lodge's guests and in the lab's machine. One static program,
 * because forks and execs are what makes a boot slow in emulation.
 *
 * It mounts the kernel's file systems, loads the modules of /etc/lodge/modules, sets up the
 * network, and then runs one thing: the command of lodge.run=, or the init of the root disk, or a
 * shell on the console. When that ends, or the power button is pressed, it stops the rest and
 * powers off. It does not supervise services. Documentation/guest.rst describes the parameters.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "init.h"

#define DRAIN_SECONDS 10

#define MODULE_LIST "/etc/lodge/modules"

/* Lite mode's own; elsewhere only the try would taint the kernel and leave two lines in its log. */
#define LITE_MODULE "virtio_lodge"
#define XEN_SIGN    "/sys/hypervisor/type"

/* 128 + SIGTERM: what a shell reports for a command that the power button ended. */
#define STATUS_POWER_BUTTON 143

static int kmsg_fd = -1;

/* Opened as early as can be: a press before that is lost. */
static int button_fds[4], button_count;

void init_note(const char *fmt, ...)
{
	char text[256];
	va_list ap;
	int n, len;

	if (kmsg_fd < 0)
		kmsg_fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	/* <6>: informational, so that a quiet boot stays quiet. */
	len = snprintf(text, sizeof(text), "<6>init: ");
	va_start(ap, fmt);
	n = vsnprintf(text + len, sizeof(text) - len, fmt, ap);
	va_end(ap);
	if (n < 0 || kmsg_fd < 0)
		return;
	(void)!write(kmsg_fd, text, strlen(text));
}

/* A child starts from default signals: init itself blocks those that it reads from a signalfd. */
static void child_signals(void)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

int init_spawn_wait(const char *const argv[])
{
	int status, fd;
	pid_t pid;

	pid = fork();
	if (pid < 0)
		return -errno;
	if (!pid) {
		child_signals();
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
		if (fd >= 0) {
			dup2(fd, STDIN_FILENO);
			dup2(fd, STDOUT_FILENO);
			dup2(fd, STDERR_FILENO);
		}
		execv(argv[0], (char *const *)argv);
		_exit(127);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return status;
}

/* "…/virtio-rng.ko" -> "virtio_rng" */
static void module_name(const char *path, char *name, size_t size)
{
	const char *base = strrchr(path, '/');
	size_t i;

	base = base ? base + 1 : path;
	for (i = 0; i < size - 1 && base[i] && base[i] != '.'; i++)
		name[i] = base[i] == '-' ? '_' : base[i];
	name[i] = '\0';
}

/* The list was put in dependency order when the initramfs was built. */
static void load_modules(void)
{
	char path[256], name[64], params[512];
	FILE *f;
	int fd;

	f = fopen(MODULE_LIST, "re");
	if (!f)
		return;
	while (fgets(path, sizeof(path), f)) {
		path[strcspn(path, "\n")] = '\0';
		if (!*path)
			continue;
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0) {
			init_note("module %s: %s", path, strerror(errno));
			continue;
		}
		module_name(path, name, sizeof(name));
		if (!strcmp(name, LITE_MODULE) && access(XEN_SIGN, F_OK)) {
			close(fd);
			continue;
		}
		cmdline_module_params(name, params, sizeof(params));
		/* ENODEV: the module is for another kind of machine. */
		if (syscall(SYS_finit_module, fd, params, 0) && errno != EEXIST && errno != ENODEV)
			init_note("module %s: %s", name, strerror(errno));
		close(fd);
	}
	fclose(f);
}

/* lodge.modules=NAME,NAME: for devices that only some machines have. */
static void load_named_modules(void)
{
	const char *argv[20] = { "/bin/modprobe", "-a" };
	const char *names = cmdline_get("lodge.modules");
	char copy[256], *pos = copy, *name;
	int n = 2;

	if (!names)
		return;
	snprintf(copy, sizeof(copy), "%s", names);
	while (n < 19 && (name = strsep(&pos, ",")))
		if (*name)
			argv[n++] = name;
	if (n > 2 && init_spawn_wait(argv))
		fprintf(stderr, "init: lodge.modules=%s: modprobe failed\n", names);
}

/*
 * With a console whose driver is a module the kernel starts init without descriptors 0 to 2;
 * whatever is opened next must not get these numbers and be closed again by open_console().
 */
static void reserve_stdio(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

/*
 * /dev/console itself never becomes a controlling terminal, so job control needs the terminal that
 * stands behind it: the last one of the kernel's list.
 */
static void open_console(void)
{
	char active[128] = "", path[140] = "/dev/console", *last;
	ssize_t n = 0;
	int fd;

	fd = open("/sys/class/tty/console/active", O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, active, sizeof(active) - 1);
		close(fd);
	}
	if (n > 0) {
		active[n] = '\0';
		active[strcspn(active, "\n")] = '\0';
		last = strrchr(active, ' ');
		snprintf(path, sizeof(path), "/dev/%s", last ? last + 1 : active);
	}
	fd = open(path, O_RDWR | O_NOCTTY);
	if (fd < 0)
		fd = open("/dev/console", O_RDWR | O_NOCTTY);
	if (fd < 0)
		return;
	dup2(fd, STDIN_FILENO);
	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

static void on_alarm(int sig)
{
	(void)sig;
}

/*
 * The leader of the terminal's session. When a leader ends, the kernel hangs up the terminal and
 * throws away what has not been sent yet, which with two processors may be all that the command
 * said. So it is not the command, ends only after it, and waits for the output, though not for
 * ever.
 */
static void lead_session(pid_t pid)
{
	struct sigaction alarmed = { .sa_handler = on_alarm };
	sigset_t alarm_only;
	pid_t group;
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			_exit(126);
	/* As the kernel does when a leader ends: nothing more is to come from a job left behind. */
	group = tcgetpgrp(STDIN_FILENO);
	if (group > 1)
		kill(-group, SIGHUP);
	sigaction(SIGALRM, &alarmed, NULL);
	sigemptyset(&alarm_only);
	sigaddset(&alarm_only, SIGALRM);
	sigprocmask(SIG_UNBLOCK, &alarm_only, NULL);
	alarm(DRAIN_SECONDS);
	tcdrain(STDOUT_FILENO);
	_exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}

/* The one thing that this boot is for. @root: NULL, or where the root disk is mounted. */
static pid_t start_main(const char *command, const char *root)
{
	pid_t pid = fork();
	sigset_t all;

	if (pid)
		return pid;
	setsid();
	ioctl(STDIN_FILENO, TIOCSCTTY, 1);
	/* What is sent to the command's group, or to all, is not for the leader. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	pid = fork();
	if (pid < 0)
		_exit(126);
	if (pid)
		lead_session(pid);
	child_signals();
	if (root && (chroot(root) || chdir("/")))
		_exit(126);
	(void)!chdir(root ? "/" : getenv("HOME"));
	if (command)
		execl("/bin/sh", "sh", "-c", command, NULL);
	else
		execl("/bin/sh", "-sh", NULL);
	fprintf(stderr, "init: /bin/sh: %s\n", strerror(errno));
	_exit(127);
}

/* Gives PID 1 to the root disk's own init; comes back only when there is none. */
static void exec_root_init(void)
{
	const char *wanted = cmdline_get("init");
	const char *const tries[] = { wanted, "/sbin/init", "/etc/init", "/bin/init" };
	struct stat st;
	char path[256];
	size_t i;

	for (i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
		if (!tries[i])
			continue;
		snprintf(path, sizeof(path), "/root%s", tries[i]);
		/* lstat: in a root of its own an absolute link leads elsewhere than here. */
		if (lstat(path, &st))
			continue;
		if (mount_switch_root("/root"))
			return;
		child_signals();
		execl(tries[i], tries[i], NULL);
		fprintf(stderr, "init: %s: %s\n", tries[i], strerror(errno));
		power_end(127, RB_POWER_OFF);
	}
	fprintf(stderr, "init: the root disk has no init; a shell in it instead\n");
}

/*
 * Waits for the main process, the power button, or a signal from poweroff and reboot. Reaps orphans
 * on the way. Return: exit status; *how says how to end.
 */
static int main_loop(pid_t main_pid, const sigset_t *signals, int *how)
{
	struct signalfd_siginfo si;
	struct pollfd pfd[5];
	int i, status;
	pid_t pid;

	pfd[0].fd = signalfd(-1, signals, SFD_CLOEXEC | SFD_NONBLOCK);
	pfd[0].events = POLLIN;
	for (i = 0; i < button_count; i++) {
		pfd[i + 1].fd = button_fds[i];
		pfd[i + 1].events = POLLIN;
	}
	for (;;) {
		while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0) {
			if (pid != main_pid)
				continue;
			/* The leader of the session, for whom SIGSTOP to all processes was not. */
			if (WIFSTOPPED(status)) {
				kill(main_pid, SIGCONT);
				continue;
			}
			return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
		}
		if (poll(pfd, button_count + 1, -1) < 0)
			continue;
		while (read(pfd[0].fd, &si, sizeof(si)) == sizeof(si)) {
			/* The signals of busybox's halt, poweroff and reboot. */
			if (si.ssi_signo == SIGTERM)
				*how = RB_AUTOBOOT;
			if (si.ssi_signo != SIGCHLD)
				return 0;
		}
		for (i = 0; i < button_count; i++)
			if ((pfd[i + 1].revents & POLLIN) && power_button_pressed(button_fds[i]))
				return STATUS_POWER_BUTTON;
	}
}

/* The signals that main_loop() reads from a descriptor. */
static void block_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGCHLD);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGUSR1);
	sigaddset(set, SIGUSR2);
	sigprocmask(SIG_SETMASK, set, NULL);
}

int main(void)
{
	const char *command, *root = NULL;
	int status, how = RB_POWER_OFF;
	sigset_t signals;
	pid_t pid;

	if (getpid() != 1) {
		fprintf(stderr, "init: only for a machine of its own (not process 1)\n");
		return 1;
	}
	umask(022);
	setenv("PATH", "/usr/local/bin:/usr/bin:/usr/sbin:/bin:/sbin", 1);
	setenv("HOME", "/root", 1);
	reboot(RB_DISABLE_CAD);
	block_signals(&signals);
	mount_early();
	reserve_stdio();
	cmdline_load();
	load_modules();
	button_count = power_open_buttons(button_fds, 4);
	open_console();
	load_named_modules();
	(void)!sethostname("lodge", 5);
	net_setup();

	command = cmdline_get("lodge.run");
	switch (mount_root()) {
	case 0:
		if (!command)
			exec_root_init();
		mount_take_kernel_fs("/root", MS_BIND | MS_REC);
		root = "/root";
		break;
	case -ENOENT:
		mount_private_root();
		break;
	default:
		power_end(126, RB_POWER_OFF);
	}
	pid = start_main(command, root);
	status = pid < 0 ? 126 : main_loop(pid, &signals, &how);
	power_stop_processes(!command);
	power_end(status, how);
}
