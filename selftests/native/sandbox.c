// SPDX-License-Identifier: GPL-2.0-only
/*
 * The filter on system calls: what a running guest's process may no longer do, and what it still
 * must be able to. Each case is a child, as the filter stays.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/sandbox.h"
#include "kselftest.h"

static char victim[] = "/tmp/sandbox.XXXXXX";

/* The errno of @fn in a child behind the filter; 0 when it succeeded, -1 when the filter failed. */
static int behind_filter(const struct sandbox_cfg *cfg, int (*fn)(void))
{
	struct err err = { 0 };
	int status;
	pid_t pid = fork();

	if (!pid) {
		if (sandbox_enter(cfg, &err))
			_exit(255);
		_exit(fn() < 0 ? errno : 0);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) && WEXITSTATUS(status) != 255 ? WEXITSTATUS(status) : -1;
}

static const struct sandbox_cfg bare = { 0 };
static const struct sandbox_cfg all = { .disk = true, .net = true, .monitor = true };

static int open_write(void)
{
	return open(victim, O_WRONLY);
}

static int open_create(void)
{
	return open("/tmp/sandbox.created", O_RDONLY | O_CREAT, 0600);
}

static int open_truncate(void)
{
	return open(victim, O_RDONLY | O_TRUNC);
}

static int open_read(void)
{
	return open(victim, O_RDONLY);
}

static void no_file_is_opened_for_writing(void)
{
	ksft_eq(behind_filter(&all, open_write), EPERM);
	ksft_eq(behind_filter(&all, open_create), EPERM);
	ksft_eq(behind_filter(&all, open_truncate), EPERM);
	ksft_eq(behind_filter(&all, open_read), 0);
}

static int run_program(void)
{
	return execl("/bin/true", "true", NULL);
}

static void no_program_is_started(void)
{
	ksft_eq(behind_filter(&all, run_program), EPERM);
}

static int signal_parent(void)
{
	return kill(getppid(), 0);
}

static int signal_thread_of_parent(void)
{
	return syscall(SYS_tgkill, getppid(), getppid(), 0);
}

static int signal_self(void)
{
	return syscall(SYS_tgkill, getpid(), gettid(), 0);
}

static void nobody_else_is_signalled(void)
{
	ksft_eq(behind_filter(&all, signal_parent), EPERM);
	ksft_eq(behind_filter(&all, signal_thread_of_parent), EPERM);
	ksft_eq(behind_filter(&all, signal_self), 0);
}

static int type_into_terminal(void)
{
	return ioctl(STDIN_FILENO, TIOCSTI, "x");
}

static void nothing_is_typed_into_the_terminal(void)
{
	ksft_eq(behind_filter(&all, type_into_terminal), EPERM);
}

static int new_namespace(void)
{
	return syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL);
}

static void no_namespace_is_made(void)
{
	ksft_eq(behind_filter(&all, new_namespace), EPERM);
}

static int unix_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM, 0);
}

static int inet_socket(void)
{
	return socket(AF_INET, SOCK_STREAM, 0);
}

static int new_ring(void)
{
	/* What the kernel says to a bad pointer, when it is asked at all. */
	return syscall(SYS_io_uring_setup, 1, NULL);
}

static void devices_decide_what_stays_possible(void)
{
	ksft_eq(behind_filter(&all, unix_socket), EPERM);
	ksft_eq(behind_filter(&all, inet_socket), 0);
	ksft_eq(behind_filter(&bare, inet_socket), EPERM);
	ksft_eq(behind_filter(&bare, new_ring), EPERM);
	ksft_check(behind_filter(&all, new_ring) != EPERM);
}

static void *thread(void *arg)
{
	return arg;
}

static int start_thread(void)
{
	pthread_t t;
	void *got;

	errno = pthread_create(&t, NULL, thread, victim);
	if (errno)
		return -1;
	return !pthread_join(t, &got) && got == victim ? 0 : -1;
}

static void threads_still_start(void)
{
	ksft_eq(behind_filter(&bare, start_thread), 0);
}

int main(int argc, char **argv)
{
	int fd = mkstemp(victim), ret;

	if (fd < 0)
		return KSFT_FAIL;
	close(fd);
	ksft_case("no file is opened for writing", no_file_is_opened_for_writing);
	ksft_case("no program is started", no_program_is_started);
	ksft_case("nobody else is signalled", nobody_else_is_signalled);
	ksft_case("nothing is typed into the terminal", nothing_is_typed_into_the_terminal);
	ksft_case("no namespace is made", no_namespace_is_made);
	ksft_case("devices decide what stays possible", devices_decide_what_stays_possible);
	ksft_case("threads still start", threads_still_start);
	ret = ksft_run(argc, argv);
	unlink(victim);
	return ret;
}
