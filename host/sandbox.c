// SPDX-License-Identifier: GPL-2.0-only
/*
 * A filter on system calls, by libseccomp. By the time it is set, files, sockets and devices named
 * on the command line are open, so what remains is I/O on descriptors, memory, threads, time, and
 * what the guest's own devices need. A device that a guest has taken over can then not run
 * programs, signal or trace other processes, type into the user's terminal, make namespaces, or
 * open files for writing - unless the guest has a disk: what is submitted to an io_uring is checked
 * against the user's rights only.
 *
 * Denied calls fail with EPERM rather than kill: a C library that tries something newer first and
 * has a second way must not cost the user a running guest.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/prctl.h>
#include <seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "sandbox.h"
#include "util.h"

static const int sandbox_calls[] = {
	/* I/O on what is open, and the descriptors that a restarted device makes anew. */
	SCMP_SYS(read),
	SCMP_SYS(write),
	SCMP_SYS(readv),
	SCMP_SYS(writev),
	SCMP_SYS(pread64),
	SCMP_SYS(pwrite64),
	SCMP_SYS(preadv),
	SCMP_SYS(pwritev),
	SCMP_SYS(preadv2),
	SCMP_SYS(pwritev2),
	SCMP_SYS(lseek),
	SCMP_SYS(close),
	SCMP_SYS(fcntl),
	SCMP_SYS(dup),
	SCMP_SYS(fsync),
	SCMP_SYS(fdatasync),
	SCMP_SYS(fallocate),
	SCMP_SYS(ftruncate),
	SCMP_SYS(fstat),
	SCMP_SYS(newfstatat),
	SCMP_SYS(statx),
	SCMP_SYS(eventfd2),
	SCMP_SYS(timerfd_create),
	SCMP_SYS(timerfd_settime),
	SCMP_SYS(pipe2),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(select),
	SCMP_SYS(pselect6),
	SCMP_SYS(epoll_create1),
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_pwait2),
	/* Connections that there are; making one is for guests with a network. */
	SCMP_SYS(accept),
	SCMP_SYS(accept4),
	SCMP_SYS(getsockname),
	SCMP_SYS(getpeername),
	SCMP_SYS(setsockopt),
	SCMP_SYS(getsockopt),
	SCMP_SYS(sendto),
	SCMP_SYS(recvfrom),
	SCMP_SYS(sendmsg),
	SCMP_SYS(recvmsg),
	SCMP_SYS(shutdown),
	/* Memory and threads: devices start theirs when the guest's driver is ready. */
	SCMP_SYS(mmap),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(mprotect),
	SCMP_SYS(madvise),
	SCMP_SYS(brk),
	SCMP_SYS(futex),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
	SCMP_SYS(set_robust_list),
	SCMP_SYS(rseq),
	SCMP_SYS(membarrier),
	SCMP_SYS(sched_yield),
	SCMP_SYS(sched_setscheduler),
	SCMP_SYS(sched_getaffinity),
	SCMP_SYS(gettid),
	SCMP_SYS(getpid),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(alarm),
	/* Signals and time. */
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(rt_sigpending),
	SCMP_SYS(rt_sigtimedwait),
	SCMP_SYS(sigaltstack),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_getres),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(nanosleep),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(time),
	/* Who am I, and numbers that cannot be guessed. */
	SCMP_SYS(getuid),
	SCMP_SYS(geteuid),
	SCMP_SYS(getgid),
	SCMP_SYS(getegid),
	SCMP_SYS(uname),
	SCMP_SYS(getrandom),
	SCMP_SYS(sysinfo),
	SCMP_SYS(getrusage),
};

static const int sandbox_disk_calls[] = {
	SCMP_SYS(io_uring_setup),
	SCMP_SYS(io_uring_enter),
	SCMP_SYS(io_uring_register),
};

static const int sandbox_net_calls[] = {
	SCMP_SYS(connect),
	SCMP_SYS(bind),
	SCMP_SYS(listen),
};

/*
 * Requests to the terminal, to sockets, to a tap, and libpcap's to tell an interface that is down
 * from one that is gone; KVM's are known by their type, 0xae, and so are lodge's, 'L'.
 */
static const unsigned int sandbox_ioctls[] = {
	TCGETS,	  TCSETS,  TCSETSW,	  TCSETSF,	   TIOCGWINSZ,	TIOCGPGRP,
	FIONREAD, FIONBIO, TUNSETOFFLOAD, TUNSETVNETHDRSZ, TUNSETQUEUE, SIOCGIFFLAGS,
};

/* linux/sched.h: CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET. */
#define CLONE_NEW_ANY 0x7e020000u

/* Names one thread, or the memory that a thread's stack is. */
static const int sandbox_prctls[] = { PR_SET_NAME, PR_SET_VMA };

/* The argument is an int: what is above it in the register does not count. */
#define SANDBOX_INT 0xffffffffu

static int sandbox_allow(scmp_filter_ctx ctx, const int *calls, unsigned int n)
{
	unsigned int i;
	int ret = 0;

	for (i = 0; i < n && !ret; i++)
		ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, calls[i], 0);
	return ret;
}

/* Allow @call when its argument number @nr, as far as @mask goes, is @val. */
static int sandbox_allow_arg(scmp_filter_ctx ctx, int call, unsigned int nr, uint32_t mask,
			     uint32_t val)
{
	struct scmp_arg_cmp arg = {
		.arg = nr,
		.op = SCMP_CMP_MASKED_EQ,
		.datum_a = mask,
		.datum_b = val,
	};

	return seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, call, 1, &arg);
}

/* Calls that are allowed for some arguments only. */
static int sandbox_allow_some(scmp_filter_ctx ctx)
{
	unsigned int i;
	int ret;

	ret = sandbox_allow_arg(ctx, SCMP_SYS(clone), 0, CLONE_NEW_ANY, 0);
	/* Its flags are out of a filter's sight; without it the C library takes clone. */
	if (!ret)
		ret = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	if (!ret)
		ret = sandbox_allow_arg(ctx, SCMP_SYS(tgkill), 0, SANDBOX_INT, getpid());
	if (!ret)
		ret = sandbox_allow_arg(ctx, SCMP_SYS(ioctl), 1, 0xff00, 0xae00);
	if (!ret)
		ret = sandbox_allow_arg(ctx, SCMP_SYS(ioctl), 1, 0xff00, 'L' << 8);
	for (i = 0; i < ARRAY_SIZE(sandbox_ioctls) && !ret; i++)
		ret = sandbox_allow_arg(ctx, SCMP_SYS(ioctl), 1, SANDBOX_INT, sandbox_ioctls[i]);
	for (i = 0; i < ARRAY_SIZE(sandbox_prctls) && !ret; i++)
		ret = sandbox_allow_arg(ctx, SCMP_SYS(prctl), 0, SANDBOX_INT, sandbox_prctls[i]);
	if (!ret)
		ret = sandbox_allow_arg(ctx, SCMP_SYS(openat), 2, O_ACCMODE | O_CREAT | O_TRUNC,
					O_RDONLY);
	return ret;
}

static int sandbox_allow_devices(scmp_filter_ctx ctx, const struct sandbox_cfg *cfg)
{
	int ret = 0;

	if (cfg->disk)
		ret = sandbox_allow(ctx, sandbox_disk_calls, ARRAY_SIZE(sandbox_disk_calls));
	if (!ret && cfg->net)
		ret = sandbox_allow(ctx, sandbox_net_calls, ARRAY_SIZE(sandbox_net_calls));
	if (!ret && cfg->net)
		ret = sandbox_allow_arg(ctx, SCMP_SYS(socket), 0, SANDBOX_INT, AF_INET);
	if (!ret && cfg->net)
		ret = sandbox_allow_arg(ctx, SCMP_SYS(socket), 0, SANDBOX_INT, AF_INET6);
	/* The monitor's socket, or a capture that was never begun. */
	if (!ret && (cfg->net || cfg->monitor))
		ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(unlink), 0);
	return ret;
}

int sandbox_enter(const struct sandbox_cfg *cfg, struct err *err)
{
	scmp_filter_ctx ctx;
	int ret;

	ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	if (!ctx)
		return err_set(err, -ENOMEM, "--sandbox: out of memory");
	/* No new privileges is libseccomp's default and what lets a plain user set a filter. */
	ret = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
	/* A tree, not a list: the kernel's cache of allowed calls then costs less to fill, too. */
	if (!ret)
		ret = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (!ret)
		ret = sandbox_allow(ctx, sandbox_calls, ARRAY_SIZE(sandbox_calls));
	if (!ret)
		ret = sandbox_allow_some(ctx);
	if (!ret)
		ret = sandbox_allow_devices(ctx, cfg);
	if (!ret)
		ret = seccomp_load(ctx);
	seccomp_release(ctx);
	if (ret)
		return err_set(err, ret,
			       "--sandbox: cannot set the filter of system calls: %s; give "
			       "--sandbox off to run without it",
			       strerror(-ret));
	return 0;
}
