// SPDX-License-Identifier: GPL-2.0-only
/*
 * Builds a guest from a run_cfg, connects it to the terminal, the signals and the monitor, waits
 * for its end and says how that was. All on the main thread, whose loop serves terminal, signals
 * and monitor while the guest runs; the guest's end arrives as vm.stop_fd.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cmd.h"
#include "console.h"
#include "last_words.h"
#include "log.h"
#include "loop.h"
#include "monitor.h"
#include "panic_watch.h"
#include "run.h"
#include "sandbox.h"
#include "table.h"
#include "term.h"
#include "util.h"
#include "vm.h"

#define RUN_CMDLINE_MAX 4096

#define RUN_KILL_SECONDS 5

/* Of every thread but the main one. glibc's 8 MiB attract 2 MiB pages, resident once touched. */
#define RUN_STACK_SIZE (256 * KIB)
#define RUN_FLUSH_MS   2000 /* for a terminal that is stopped or slow */

/**
 * struct run - all that lives as long as the guest
 * @asked: the power button has been pressed by a signal; the next signal kills
 * @signo: the signal that ended the guest, 0 if none
 */
struct run {
	const struct run_cfg *cfg;
	struct vm vm;
	struct loop *loop;
	struct term *term;
	struct monitor *monitor;
	struct panic_watch watch;
	int signal_fd;
	bool asked;
	int signo;
	char cmdline[RUN_CMDLINE_MAX];
};

static void run_on_end(void *arg, uint32_t events)
{
	struct run *r = arg;

	loop_quit(r->loop);
}

static void run_on_quit_key(void *arg)
{
	struct run *r = arg;

	vm_stop(&r->vm, VM_END_QUIT, "ended by Ctrl-A X");
}

static void run_print_stats(struct run *r, FILE *out)
{
	vm_print_stats(&r->vm, out);
}

static void run_on_signal(void *arg, uint32_t events)
{
	struct signalfd_siginfo si;
	struct run *r = arg;

	if (read(r->signal_fd, &si, sizeof(si)) != sizeof(si))
		return;
	switch (si.ssi_signo) {
	case SIGWINCH:
		if (r->term)
			term_winch(r->term);
		return;
	case SIGUSR1:
	case SIGUSR2:
		run_print_stats(r, stderr);
		return;
	}
	if (r->asked) {
		r->signo = si.ssi_signo;
		vm_stop(&r->vm, VM_END_QUIT, "killed by a second signal");
		return;
	}
	r->asked = true;
	log_info("power button pressed; a second signal kills the guest");
	platform_power_button(&r->vm.platform);
}

/* Before any thread is created, so that all of them inherit the blocked signals. */
static int run_setup_signals(struct run *r)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGWINCH);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	r->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (r->signal_fd < 0)
		return -errno;
	return loop_add(r->loop, r->signal_fd, EPOLLIN, run_on_signal, r, NULL);
}

static int run_add_vdev(struct run *r, const struct vdev_ops *ops, const void *cfg, struct err *err)
{
	struct vdev *vd = NULL;
	int ret;

	ret = ops->create(cfg, &r->vm.mem.gmem, &vd, err);
	if (ret)
		return err_set(err, ret, "cannot create a %s device: %s", ops->name,
			       strerror(-ret));
	return vm_add_device(&r->vm, vd, err);
}

static int run_setup_console(struct run *r, struct err *err)
{
	struct console_cfg console = { 0 };
	struct term_cfg term = {
		.loop = r->loop,
		.in_fd = STDIN_FILENO,
		.out_fd = STDOUT_FILENO,
		.quit = run_on_quit_key,
		.quit_arg = r,
		.watch = panic_watch_feed,
		.watch_arg = &r->watch,
	};
	int ret;

	panic_watch_init(&r->watch);
	if (!strcmp(r->cfg->console, "none"))
		return 0;
	ret = term_open(&term, &r->term);
	if (ret)
		return err_set(err, ret, "--console: cannot set up the terminal: %s",
			       strerror(-ret));
	if (!strcmp(r->cfg->console, "virtio")) {
		console.cd = term_chardev(r->term);
		return run_add_vdev(r, &console_ops, &console, err);
	}
	ret = r->vm.machine->add_console(&r->vm, term_chardev(r->term));
	return ret ? err_set(err, ret, "--console: cannot set it up: %s", strerror(-ret)) : 0;
}

static int run_mon_status(void *arg, FILE *out, struct err *err)
{
	struct run *r = arg;

	fprintf(out, "%s: %s, %u cpus, %llu MiB, accelerator %s\n", r->cfg->name,
		vm_stopping(&r->vm) ? "stopping" : "running", r->vm.ncpus,
		(unsigned long long)(r->vm.mem.size / MIB), r->vm.avm->ops->name);
	return 0;
}

static int run_mon_stats(void *arg, FILE *out, struct err *err)
{
	run_print_stats(arg, out);
	return 0;
}

static int run_mon_powerdown(void *arg, FILE *out, struct err *err)
{
	struct run *r = arg;

	platform_power_button(&r->vm.platform);
	return 0;
}

static int run_mon_quit(void *arg, FILE *out, struct err *err)
{
	struct run *r = arg;

	vm_stop(&r->vm, VM_END_QUIT, "ended from the monitor");
	return 0;
}

static const struct monitor_cmd run_mon_cmds[] = {
	{ "status", "is the guest running, and on what", run_mon_status },
	{ "stats", "counters of vCPUs and devices", run_mon_stats },
	{ "powerdown", "press the power button", run_mon_powerdown },
	{ "quit", "end the guest at once", run_mon_quit },
	{ NULL, NULL, NULL },
};

/* The user's text comes last, so that it can override ours. */
static int run_setup_cmdline(struct run *r, const struct machine *machine, struct err *err)
{
	const char *kind = r->cfg->console;
	int n;

	n = snprintf(r->cmdline, sizeof(r->cmdline), "%s%spanic=-1%s%s", machine->cmdline,
		     !strcmp(kind, "serial")   ? machine->console_arg
		     : !strcmp(kind, "virtio") ? "console=hvc0 "
					       : "",
		     *r->cfg->append ? " " : "", r->cfg->append);
	if (n >= (int)sizeof(r->cmdline))
		return err_set(err, -E2BIG, "--append: longer than any kernel takes; use less");
	return 0;
}

static enum mem_backing run_backing(const char *name)
{
	return !strcmp(name, "memfd") ? MEM_MEMFD : !strcmp(name, "anon") ? MEM_ANON : MEM_AUTO;
}

static int run_enter_sandbox(const struct run_cfg *cfg, struct err *err)
{
	struct sandbox_cfg sandbox = { .monitor = cfg->monitor };
	unsigned int i;

	for (i = 0; i < cfg->ndev; i++) {
		sandbox.disk |= cfg->dev[i].ops == &blk_ops;
		sandbox.net |= cfg->dev[i].ops == &net_ops;
	}
	return sandbox_enter(&sandbox, err);
}

static int run_setup(struct run *r, const struct accel_ops *accel, struct err *err)
{
	const struct run_cfg *cfg = r->cfg;
	struct boot_image img = { .kernel = cfg->kernel,
				  .initrd = cfg->initrd,
				  .cmdline = r->cmdline };
	unsigned int i;
	int ret;

	ret = run_setup_cmdline(r, machine_of(accel), err);
	if (ret)
		return ret;
	ret = loop_create(&r->loop);
	if (!ret)
		ret = run_setup_signals(r);
	if (ret)
		return err_set(err, ret, "cannot set up signals: %s", strerror(-ret));
	ret = vm_create(&r->vm, accel, cfg->name, cfg->cpus, cfg->mem, run_backing(cfg->backing),
			err);
	for (i = 0; i < cfg->ndev && !ret; i++)
		ret = run_add_vdev(r, cfg->dev[i].ops, cfg->dev[i].cfg, err);
	if (!ret)
		ret = run_add_vdev(r, &rng_ops, NULL, err);
	if (!ret && cfg->monitor)
		ret = monitor_create(r->loop, cfg->monitor, run_mon_cmds, r, &r->monitor, err);
	if (!ret)
		ret = run_setup_console(r, err);
	if (ret)
		return ret;
	ret = loop_add(r->loop, r->vm.stop_fd, EPOLLIN, run_on_end, r, NULL);
	if (ret)
		return err_set(err, ret, "cannot watch the guest: %s", strerror(-ret));
	ret = vm_load(&r->vm, &img, err);
	if (!ret && !strcmp(cfg->sandbox, "on"))
		ret = run_enter_sandbox(cfg, err);
	return ret ? ret : vm_start(&r->vm, err);
}

/*
 * Who kills a guest does not wait for its disks: what a guest has queued, or a slow disk, can keep
 * a device busy for minutes.
 */
static void run_on_alarm(int sig)
{
	term_restore();
	last_words_say();
	_exit(128 + SIGINT);
}

static void run_limit_teardown(void)
{
	struct sigaction sa = { .sa_handler = run_on_alarm };

	sigaction(SIGALRM, &sa, NULL);
	alarm(RUN_KILL_SECONDS);
}

static void run_teardown(struct run *r)
{
	/* Zero when set-up ended before vm_create(). */
	bool made = r->vm.ncpus;

	monitor_destroy(r->monitor);
	if (made)
		vm_destroy(&r->vm);
	term_close(r->term);
	if (r->loop)
		loop_destroy(r->loop);
	if (r->signal_fd > 0)
		close(r->signal_fd);
}

static void run_panicked(struct run *r, struct run_result *res)
{
	char why[PANIC_REASON_MAX + 1] = "";

	panic_watch_reason(&r->watch, why, sizeof(why));
	res->status = CMD_EXIT_PANIC;
	snprintf(res->line, sizeof(res->line), "the guest's kernel panicked%s%s", *why ? ": " : "",
		 why);
}

/* Called with the guest halted: end, end_why and exit_status are final. */
static void run_judge(struct run *r, struct run_result *res)
{
	struct vm *vm = &r->vm;
	char why[PANIC_REASON_MAX + 1];

	res->status = MAX(vm->platform.exit_status, 0);
	switch (vm->end) {
	case VM_END_NONE:
	case VM_END_POWEROFF:
		break;
	case VM_END_RESET:
		/* With panic=-1 a panic ends in a reset; the console tells the two apart. */
		if (vm->platform.exit_status < 0 && panic_watch_reason(&r->watch, why, sizeof(why)))
			run_panicked(r, res);
		else
			log_info("the guest asked for a reset, which ends it");
		break;
	case VM_END_PANIC:
		run_panicked(r, res);
		break;
	case VM_END_CRASH:
	case VM_END_FAIL:
		res->status = CMD_EXIT_CRASH;
		snprintf(res->line, sizeof(res->line), "the guest crashed: %s", vm->end_why);
		break;
	case VM_END_QUIT:
		res->status = 128 + (r->signo ? r->signo : SIGINT);
		snprintf(res->line, sizeof(res->line), "the guest was %s", vm->end_why);
		break;
	}
}

static void run_set_stack_size(void)
{
	pthread_attr_t attr;

	if (pthread_attr_init(&attr))
		return;
	if (!pthread_attr_setstacksize(&attr, RUN_STACK_SIZE))
		pthread_setattr_default_np(&attr);
	pthread_attr_destroy(&attr);
}

int run_guest(const struct run_cfg *cfg, struct run_result *res, struct err *err)
{
	const struct accel_ops *accel;
	struct run *r;
	int ret;

	/* Whatever can be refused without creating anything comes first. */
	ret = boot_bzimage_check(cfg->kernel, err);
	if (!ret)
		ret = accel_find(cfg->accel, &accel, err);
	if (!ret && machine_of(accel)->check != boot_bzimage_check)
		ret = machine_of(accel)->check(cfg->kernel, err);
	if (ret)
		return ret;
	r = calloc(1, sizeof(*r));
	if (!r)
		return err_set(err, -ENOMEM, "out of memory");
	r->cfg = cfg;
	log_set_name(cfg->name);
	run_set_stack_size();
	ret = run_setup(r, accel, err);
	if (!ret) {
		ret = loop_run(r->loop);
		if (ret)
			err_set(err, ret, "main loop: %s", strerror(-ret));
		if (r->vm.end == VM_END_QUIT)
			run_limit_teardown();
		vm_halt(&r->vm);
		/* The last lines say why; and the user has his terminal back for ours. */
		if (r->term)
			chardev_flush(term_chardev(r->term), RUN_FLUSH_MS);
		term_restore();
		run_judge(r, res);
	}
	if (!ret && cfg->stats)
		run_print_stats(r, stderr);
	run_teardown(r);
	free(r);
	return ret;
}
