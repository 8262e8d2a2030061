/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Run part of a case in a child process in which some system calls fail: what a locked-down host
 * looks like, and what a failing disk looks like to plain system calls. Included by native tests.
 */
#ifndef LODGE_SELFTESTS_DENY_CALLS_H
#define LODGE_SELFTESTS_DENY_CALLS_H

#include <stddef.h>
#include <unistd.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "kselftest.h"

#define DENY_MAX 8

struct deny {
	unsigned int nr; /* __NR_* */
	int error;	 /* positive errno */
};

/* 0, or -1 where this kernel has no seccomp filters. */
static inline int deny_install(const struct deny *deny, unsigned int n)
{
	struct sock_filter f[2 + 2 * DENY_MAX], *p = f;
	struct sock_fprog prog = { .filter = f };
	unsigned int i;

	*p++ = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
					    offsetof(struct seccomp_data, nr));
	for (i = 0; i < n; i++) {
		*p++ = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, deny[i].nr, 0, 1);
		*p++ = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K,
						    SECCOMP_RET_ERRNO | deny[i].error);
	}
	*p++ = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	prog.len = p - f;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -1;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog, 0, 0);
}

/*
 * Run @fn in a child with these calls denied; the case fails when an assertion fails there, and is
 * skipped without seccomp.
 */
static inline void in_child(const struct deny *deny, unsigned int n, void (*fn)(void))
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	ksft_check(pid >= 0);
	if (!pid) {
		/* ksft_fail() and ksft_skip() come back here. */
		if (!setjmp(ksft.out)) {
			if (n > DENY_MAX || deny_install(deny, n))
				_exit(KSFT_SKIP);
			fn();
		}
		fflush(stdout);
		_exit(ksft_failed() ? KSFT_FAIL : ksft.skip[0] ? KSFT_SKIP : KSFT_PASS);
	}
	ksft_eq(waitpid(pid, &status, 0), pid);
	ksft_check(WIFEXITED(status));
	if (WEXITSTATUS(status) == KSFT_SKIP)
		ksft_skip("no seccomp filters on this kernel");
	ksft_eq(WEXITSTATUS(status), KSFT_PASS);
}

#endif
