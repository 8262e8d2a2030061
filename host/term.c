// SPDX-License-Identifier: GPL-2.0-only
/*
 * The user's terminal; see term.h. It does not know what is at the other end of the chardev.
 *
 * The modes to go back to are in static variables, as a signal handler finds nothing else. They are
 * written before term_saved_fd says that they are valid.
 *
 * O_NONBLOCK belongs to the open file that lodge shares with the user's shell. So output is opened
 * anew through /proc where that works; else the flag is set on the shared one and taken back at the
 * end.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "log.h"
#include "term.h"
#include "util.h"

#define CTRL_A	    0x01
#define FLUSH_MS    2000
#define ESCAPE_HELP "\r\nCtrl-A X quit, Ctrl-A A send Ctrl-A, Ctrl-A H these keys\r\n"

struct term {
	struct term_cfg cfg;
	struct chardev *cd;
	struct term_escape escape;
	int size_fd; /* asked for the window size, -1: no terminal */
	int out_fd;  /* ours when own_out, else cfg.out_fd */
	bool own_out;
	bool borrowed; /* O_NONBLOCK is set on an open file that is not ours */
};

static struct termios term_saved;
static int term_saved_fd = -1; /* raw mode is on here */
static int term_flags_fd = -1; /* O_NONBLOCK was set here */

void term_restore(void)
{
	int fd = __atomic_exchange_n(&term_saved_fd, -1, __ATOMIC_ACQ_REL);
	int saved_errno = errno, flags;

	/* Not TCSADRAIN: a stopped terminal would keep us here for ever. */
	if (fd >= 0)
		tcsetattr(fd, TCSANOW, &term_saved);
	fd = __atomic_exchange_n(&term_flags_fd, -1, __ATOMIC_ACQ_REL);
	if (fd >= 0) {
		flags = fcntl(fd, F_GETFL);
		if (flags >= 0)
			fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
	}
	errno = saved_errno;
}

static void term_crash(int sig)
{
	/* SA_RESETHAND: the second time it is deadly again. */
	term_restore();
	raise(sig);
}

static void term_guard(void)
{
	static const int deadly[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGQUIT };
	static bool done;
	struct sigaction sa = { .sa_handler = term_crash, .sa_flags = SA_RESETHAND }, old;
	unsigned int i;

	if (done)
		return;
	done = true;
	atexit(term_restore);
	for (i = 0; i < ARRAY_SIZE(deadly); i++)
		if (!sigaction(deadly[i], NULL, &old) && old.sa_handler == SIG_DFL)
			sigaction(deadly[i], &sa, NULL);
}

static int term_raw(int fd)
{
	struct termios raw;

	if (tcgetattr(fd, &term_saved))
		return -errno;
	term_guard();
	raw = term_saved;
	cfmakeraw(&raw);
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	/* Pairs with the exchange in term_restore(): from here on term_saved is to be used. */
	store_release(&term_saved_fd, fd);
	if (tcsetattr(fd, TCSANOW, &raw)) {
		store_release(&term_saved_fd, -1);
		return -errno;
	}
	return 0;
}

size_t term_escape(struct term_escape *e, uint8_t *buf, size_t len, unsigned int *events)
{
	size_t i, n = 0;

	for (i = 0; i < len; i++) {
		if (!e->armed) {
			e->armed = buf[i] == CTRL_A;
			if (!e->armed)
				buf[n++] = buf[i];
			continue;
		}
		e->armed = false;
		switch (buf[i]) {
		case 'x':
		case 'X':
			*events |= TERM_QUIT;
			return n;
		case 'h':
		case 'H':
		case '?':
			*events |= TERM_HELP;
			break;
		case 'a':
		case 'A':
		case CTRL_A:
			buf[n++] = CTRL_A;
			break;
		default:
			break;
		}
	}
	return n;
}

static size_t term_filter(void *arg, uint8_t *buf, size_t len)
{
	struct term *t = arg;
	unsigned int events = 0;

	len = term_escape(&t->escape, buf, len, &events);
	if (events & TERM_HELP)
		chardev_write(t->cd, ESCAPE_HELP, sizeof(ESCAPE_HELP) - 1);
	if (events & TERM_QUIT && t->cfg.quit)
		t->cfg.quit(t->cfg.quit_arg);
	return len;
}

static void term_watch(void *arg, const void *buf, size_t len)
{
	struct term *t = arg;

	t->cfg.watch(t->cfg.watch_arg, buf, len);
}

void term_winch(struct term *t)
{
	struct winsize ws;

	if (t->size_fd >= 0 && !ioctl(t->size_fd, TIOCGWINSZ, &ws))
		chardev_resize(t->cd, ws.ws_col, ws.ws_row);
}

/* An fd for output that never blocks; see the head of this file. */
static int term_open_out(struct term *t)
{
	char path[32];
	struct stat st;
	int fd = t->cfg.out_fd, flags;

	t->out_fd = fd;
	if (fd < 0)
		return 0;
	if (fstat(fd, &st))
		return -errno;
	/* Regular files do not block and would lose their offset; sockets cannot be opened anew. */
	if (S_ISREG(st.st_mode))
		return 0;
	if (S_ISCHR(st.st_mode) || S_ISFIFO(st.st_mode)) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		t->out_fd = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		if (t->out_fd >= 0) {
			t->own_out = true;
			return 0;
		}
		t->out_fd = fd;
	}
	flags = fcntl(fd, F_GETFL);
	if (flags < 0)
		return -errno;
	if (flags & O_NONBLOCK)
		return 0;
	if (fcntl(fd, F_SETFL, flags | O_NONBLOCK))
		return -errno;
	term_guard();
	t->borrowed = true;
	store_release(&term_flags_fd, fd);
	return 0;
}

int term_open(const struct term_cfg *cfg, struct term **out)
{
	struct chardev_cfg ccfg = { .loop = cfg->loop, .in_fd = cfg->in_fd };
	struct term *t;
	int ret;

	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	t->cfg = *cfg;
	signal(SIGPIPE, SIG_IGN);

	ret = term_open_out(t);
	if (ret)
		goto fail;
	ccfg.out_fd = t->out_fd;
	ccfg.arg = t;
	if (cfg->watch)
		ccfg.watch = term_watch;
	t->size_fd = isatty(t->out_fd) ? t->out_fd : isatty(cfg->in_fd) ? cfg->in_fd : -1;
	if (isatty(cfg->in_fd)) {
		pid_t front = tcgetpgrp(cfg->in_fd);

		/* -1: not our controlling terminal, and hence nobody's job control to disturb. */
		if (front == -1 || front == getpgrp()) {
			ccfg.filter = term_filter;
			ccfg.in_lossy = true;
			ret = term_raw(cfg->in_fd);
			if (ret)
				goto fail;
			log_set_raw(true);
		} else {
			/* A background process that read or changed it would be stopped. */
			ccfg.in_fd = -1;
		}
	}
	ret = chardev_create(&ccfg, &t->cd);
	if (ret)
		goto fail;
	term_winch(t);
	*out = t;
	return 0;
fail:
	term_close(t);
	return ret;
}

struct chardev *term_chardev(struct term *t)
{
	return t->cd;
}

void term_close(struct term *t)
{
	if (!t)
		return;
	/* Restored already, a borrowed file may block for ever. */
	if (t->cd && (!t->borrowed || load_once(&term_flags_fd) >= 0))
		chardev_flush(t->cd, FLUSH_MS);
	chardev_destroy(t->cd);
	term_restore();
	log_set_raw(false);
	if (t->own_out)
		close(t->out_fd);
	free(t);
}
