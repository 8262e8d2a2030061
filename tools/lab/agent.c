// SPDX-License-Identifier: GPL-2.0-only
/*
 * The lab's end of tools/lab/lab: what the init of the lab's machine runs. It mounts the tool disk,
 * loads the modules that every lab has, runs the command, and sends what comes out through named
 * virtio-serial ports: "out", "err", then "get" (a tar stream) and "ctl" (the verdict, lines of
 * text). With a terminal asked for, the command sits on /dev/hvc0 instead of "out" and "err".
 *
 * The command gets pipes and not the ports themselves: a port can be opened once only, so that
 * "echo >/dev/stderr" in a script would fail.
 *
 * It is told what to do by files in /lab/.run: argv and get (NUL-terminated strings) and config
 * (NAME=VALUE lines). Messages of its own go to the machine's console, which lab shows on failure.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/rtc.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define RUN_DIR	 "/lab/.run/"
#define MAX_ARGS 4096
#define KVM_GID	 104 /* guest/mkinitramfs writes /etc/group */

static int heartbeat = -1; /* /dev/rtc0, open as long as the machine runs */
static char argv_buf[1 << 17], get_buf[1 << 16];
static char *argv_list[MAX_ARGS + 1], *get_list[MAX_ARGS + 1];

/* Reads NUL-terminated strings; the list ends with NULL. Return: how many. */
static int read_strings(const char *name, char *buf, size_t size, char **list, int max)
{
	int fd, n = 0;
	ssize_t len;
	char *p;

	fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	len = read(fd, buf, size - 1);
	close(fd);
	if (len <= 0)
		return 0;
	buf[len] = '\0';
	for (p = buf; p < buf + len && n < max; p += strlen(p) + 1)
		list[n++] = p;
	list[n] = NULL;
	return n;
}

/* Sets what config says in our environment, where getenv() finds it. */
static void read_config(void)
{
	char line[512];
	FILE *f;

	f = fopen(RUN_DIR "config", "re");
	if (!f)
		return;
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (strchr(line, '='))
			putenv(strdup(line));
	}
	fclose(f);
}

static bool config_is_set(const char *name)
{
	const char *v = getenv(name);

	return v && *v && strcmp(v, "0");
}

static bool sysfs_is(const char *dir, const char *entry, const char *attr, const char *value)
{
	char path[512], text[64] = "";
	int fd;

	snprintf(path, sizeof(path), "%s/%s/%s", dir, entry, attr);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	(void)!read(fd, text, sizeof(text) - 1);
	close(fd);
	text[strcspn(text, "\n")] = '\0';
	return !strcmp(text, value);
}

/* Opens the device whose sysfs attribute has a value; waits a little for it. Return: fd or -1. */
static int open_device(const char *class, const char *attr, const char *value, int flags, char *dev)
{
	struct dirent *e;
	int fd = -1, tries;
	DIR *dir;

	for (tries = 0; tries < 2000 && fd < 0; tries++) {
		dir = opendir(class);
		while (dir && fd < 0 && (e = readdir(dir))) {
			if (e->d_name[0] == '.' || !sysfs_is(class, e->d_name, attr, value))
				continue;
			snprintf(dev, 64, "/dev/%.32s", e->d_name);
			fd = open(dev, flags | O_CLOEXEC);
		}
		if (dir)
			closedir(dir);
		if (fd < 0)
			usleep(5000);
	}
	return fd;
}

static int open_port(const char *name, int flags)
{
	char dev[64];
	int fd = open_device("/sys/class/virtio-ports", "name", name, flags, dev);

	if (fd < 0)
		fprintf(stderr, "lab: no port %s\n", name);
	return fd;
}

static int spawn_wait(char *const argv[], int out)
{
	int status = -1;
	pid_t pid;

	pid = fork();
	if (!pid) {
		if (out >= 0)
			dup2(out, STDOUT_FILENO);
		execv(argv[0], argv);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return status;
}

/* The tool disk as /usr; its modules as /lib/modules; device nodes as udev would have them. */
static void prepare_machine(void)
{
	char *modprobe[] = { "/bin/modprobe", "-a", "tun", "loop", NULL, NULL };
	char dev[64];
	int fd;

	fd = open_device("/sys/block", "serial", "lab-usr", O_RDONLY, dev);
	if (fd < 0 || mount(dev, "/usr", "ext4", MS_RDONLY, "noload"))
		fprintf(stderr, "lab: the tool disk: %s\n", strerror(errno));
	if (fd >= 0)
		close(fd);
	if (mount("/usr/lib/modules", "/lib/modules", NULL, MS_BIND, NULL))
		fprintf(stderr, "lab: /lib/modules: %s\n", strerror(errno));
	/* busybox's shell takes its own applets before what the PATH has. */
	if (!access("/usr/bin/dash", X_OK) && !unlink("/bin/sh"))
		(void)!symlink("/usr/bin/dash", "/bin/sh");
	if (config_is_set("LAB_SVM"))
		modprobe[4] = "kvm-amd";
	if (spawn_wait(modprobe, -1))
		fprintf(stderr, "lab: modprobe failed\n");
	if (!chown("/dev/kvm", 0, KVM_GID))
		chmod("/dev/kvm", 0660);
	chmod("/dev/net/tun", 0666);
	chmod("/lab", 01777);
	(void)!chdir("/lab");
}

/*
 * An interrupt each second, by the clock's alarm. Where the machine has guests of its own, QEMU's
 * emulated SVM changes the word of pending interrupts without a lock (VMRUN, #VMEXIT) while its
 * other thread sets the bit for the local APIC's timer: that gets lost, though the APIC has it, and
 * the processor halts for good, all its timers behind that one. Any other interrupt has QEMU look
 * again. The alarms end with the descriptor.
 */
static void start_heartbeat(void)
{
	heartbeat = open("/dev/rtc0", O_RDONLY | O_CLOEXEC);
	if (heartbeat < 0 || ioctl(heartbeat, RTC_UIE_ON, 0))
		fprintf(stderr, "lab: no alarms of /dev/rtc0: %s\n", strerror(errno));
}

static void set_tty(int fd)
{
	const char *rows = getenv("LAB_ROWS"), *cols = getenv("LAB_COLS");
	struct winsize ws = { 0 };

	if (rows && cols) {
		ws.ws_row = atoi(rows);
		ws.ws_col = atoi(cols);
		ioctl(fd, TIOCSWINSZ, &ws);
	}
}

static void exec_command(int in, int out, int err, bool tty)
{
	char *shell[] = { access("/usr/bin/bash", X_OK) ? "/bin/ash" : "/usr/bin/bash", NULL };
	char **argv = argv_list[0] ? argv_list : shell;
	int saved = dup(STDERR_FILENO);

	fcntl(saved, F_SETFD, FD_CLOEXEC);
	setsid();
	dup2(in, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	dup2(err, STDERR_FILENO);
	if (tty)
		ioctl(STDIN_FILENO, TIOCSCTTY, 1);
	signal(SIGPIPE, SIG_DFL);
	execvp(argv[0], argv);
	dprintf(STDERR_FILENO, "lab: %s: %s\n", argv[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

/* Moves what is there from @from to @to. Return: false at the end of @from. */
static bool pump(int from, int to)
{
	static char buf[1 << 16];
	ssize_t n, done, w;

	n = read(from, buf, sizeof(buf));
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (!n)
		return false;
	for (done = 0; done < n; done += w) {
		w = write(to, buf + done, n - done);
		if (w < 0 && errno != EINTR)
			return false;
		if (w < 0)
			w = 0;
	}
	return true;
}

static int wait_status(pid_t pid)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return 126;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Pumps output until the command itself has ended; daemons that it leaves behind do not hold us. */
static int run_on_ports(void)
{
	int out_port = open_port("out", O_RDWR), err_port = open_port("err", O_RDWR);
	int in_port = config_is_set("LAB_STDIN") ? open_port("in", O_RDWR | O_NONBLOCK) : -1;
	int in[2] = { -1, -1 }, out[2], err[2], status;
	bool feed = in_port >= 0;
	struct pollfd pfd[4];
	pid_t pid;

	if (pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC) || pipe2(in, O_CLOEXEC))
		return 126;
	pid = fork();
	if (!pid)
		exec_command(feed ? in[0] : open("/dev/null", O_RDONLY), out[1], err[1], false);
	close(in[0]);
	close(out[1]);
	close(err[1]);
	fcntl(out[0], F_SETFL, O_NONBLOCK);
	fcntl(err[0], F_SETFL, O_NONBLOCK);
	pfd[0] = (struct pollfd){ .fd = out[0], .events = POLLIN };
	pfd[1] = (struct pollfd){ .fd = err[0], .events = POLLIN };
	pfd[2] = (struct pollfd){ .fd = syscall(SYS_pidfd_open, pid, 0), .events = POLLIN };
	pfd[3] = (struct pollfd){ .fd = in_port, .events = POLLIN };
	if (!feed)
		close(in[1]);
	do {
		if (poll(pfd, 4, -1) < 0)
			continue;
		if (pfd[0].revents && !pump(out[0], out_port))
			pfd[0].fd = -1;
		if (pfd[1].revents && !pump(err[0], err_port))
			pfd[1].fd = -1;
		if (pfd[3].revents && !pump(in_port, in[1])) {
			pfd[3].fd = -1;
			close(in[1]);
		}
	} while (!pfd[2].revents);
	status = wait_status(pid);
	/* What was written before the end is in the pipes by now. */
	while (poll(pfd, 2, 0) > 0) {
		if (pfd[0].revents && !pump(out[0], out_port))
			pfd[0].fd = -1;
		if (pfd[1].revents && !pump(err[0], err_port))
			pfd[1].fd = -1;
	}
	return status;
}

static int run_on_tty(void)
{
	int tty = -1, tries;
	pid_t pid;

	for (tries = 0; tries < 2000 && tty < 0; tries++) {
		tty = open("/dev/hvc0", O_RDWR | O_NOCTTY | O_CLOEXEC);
		if (tty < 0)
			usleep(5000);
	}
	if (tty < 0)
		return 126;
	set_tty(tty);
	pid = fork();
	if (!pid)
		exec_command(tty, tty, tty, true);
	return wait_status(pid);
}

static void send_files(int ctl, int count)
{
	char *tar[MAX_ARGS + 8] = { "/bin/tar", "-c", "-f", "-", "-C", "/" };
	int n = 6, i, port;
	char full[4096];
	struct stat st;

	for (i = 0; i < count; i++) {
		snprintf(full, sizeof(full), "%s%s", get_list[i][0] == '/' ? "" : "/lab/",
			 get_list[i]);
		if (lstat(full, &st)) {
			dprintf(ctl, "missing %s\n", get_list[i]);
			continue;
		}
		tar[n++] = strdup(full + 1);
	}
	tar[n] = NULL;
	port = open_port("get", O_RDWR);
	if (n > 6 && port >= 0 && spawn_wait(tar, port))
		dprintf(ctl, "tar failed\n");
}

static unsigned long read_tainted(void)
{
	char text[32] = "";
	int fd = open("/proc/sys/kernel/tainted", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return 0;
	(void)!read(fd, text, sizeof(text) - 1);
	close(fd);
	return strtoul(text, NULL, 10);
}

int main(void)
{
	int ctl, status, gets;

	signal(SIGPIPE, SIG_IGN);
	read_strings(RUN_DIR "argv", argv_buf, sizeof(argv_buf), argv_list, MAX_ARGS);
	gets = read_strings(RUN_DIR "get", get_buf, sizeof(get_buf), get_list, MAX_ARGS);
	read_config();
	ctl = open_port("ctl", O_RDWR);
	prepare_machine();
	start_heartbeat();
	dprintf(ctl, "start\n");
	status = config_is_set("LAB_TTY") ? run_on_tty() : run_on_ports();
	if (gets)
		send_files(ctl, gets);
	dprintf(ctl, "tainted %lu\nexit %d\n", read_tainted(), status);
	return 0;
}
