// SPDX-License-Identifier: GPL-2.0-only
/*
 * host/term.c: the escape keys, raw mode on a pseudo-terminal and its end on every way out, input
 * that is no terminal.
 */
#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <utmp.h>

#include "host/term.h"
#include "kselftest.h"

/* --- escape keys --- */

static struct term_escape esc;
static unsigned int events;

static void expect(const char *in, const char *out)
{
	uint8_t buf[64];
	size_t n = strlen(in);

	memcpy(buf, in, n);
	n = term_escape(&esc, buf, n, &events);
	ksft_eq(n, strlen(out));
	ksft_memeq(buf, out, n);
}

static void fresh(void)
{
	memset(&esc, 0, sizeof(esc));
	events = 0;
}

static void escape_keys(void)
{
	fresh();
	expect("plain \x1b[A text\x03\x04", "plain \x1b[A text\x03\x04");
	expect("a\x01"
	       "ab\x01"
	       "Ac\x01\x01"
	       "d",
	       "a\x01"
	       "b\x01"
	       "c\x01"
	       "d");
	expect("a\x01"
	       "zb",
	       "ab");
	ksft_eq(events, 0);
	expect("a\x01"
	       "hb",
	       "ab");
	ksft_eq(events, TERM_HELP);
	fresh();
	expect("a\x01"
	       "x never",
	       "a");
	ksft_eq(events, TERM_QUIT);
	fresh();
	expect("\x01"
	       "X",
	       "");
	ksft_eq(events, TERM_QUIT);
}

static void escape_split(void)
{
	fresh();
	expect("a\x01", "a");
	expect("", "");
	expect("a", "\x01");
	expect("x", "x");
	expect("\x01", "");
	ksft_eq(events, 0);
	expect("x", "");
	ksft_eq(events, TERM_QUIT);
}

/* --- terminals: in a child, which has a session and a pseudo-terminal of its own --- */

static atomic_int quits;

static void quit(void *arg)
{
	(void)arg;
	quits++;
}

/* Is the terminal behind @fd raw? */
static bool is_raw(int fd)
{
	struct termios t;

	return !tcgetattr(fd, &t) && !(t.c_lflag & (ICANON | ECHO | ISIG)) && !(t.c_oflag & OPOST);
}

struct child {
	pid_t pid;
	int master;
	int slave; /* held open, so that the modes can be looked at when the child is gone */
};

/* Child: its terminal is 0, 1 and 2. The parent goes on with the other side. */
static struct child spawn(void (*fn)(void))
{
	struct winsize ws = { .ws_col = 91, .ws_row = 17 };
	struct child c;

	ksft_eq(openpty(&c.master, &c.slave, NULL, NULL, &ws), 0);
	fcntl(c.master, F_SETFD, FD_CLOEXEC);
	ksft_check(!is_raw(c.slave));
	fflush(stdout);
	c.pid = fork();
	ksft_check(c.pid >= 0);
	if (!c.pid) {
		close(c.master);
		if (login_tty(c.slave))
			_exit(99);
		fn();
		_exit(98);
	}
	return c;
}

static int reap(struct child *c)
{
	int status;

	ksft_eq(waitpid(c->pid, &status, 0), c->pid);
	ksft_check(!is_raw(c->slave));
	close(c->master);
	close(c->slave);
	return status;
}

static void wait_raw(struct child *c)
{
	while (!is_raw(c->slave)) {
		ksft_eq(waitpid(c->pid, NULL, WNOHANG), 0);
		usleep(1000);
	}
}

/* Read from the master until @text has gone by. */
static void await(int fd, const char *text)
{
	char buf[512] = "";
	size_t n = 0;
	ssize_t ret;

	while (!strstr(buf, text)) {
		ksft_check(n < sizeof(buf) - 1);
		ret = read(fd, buf + n, 1);
		ksft_check(ret == 1);
		n++;
	}
}

static struct loop *loop;
static struct term *term;

static void child_open(void)
{
	struct term_cfg cfg = { .in_fd = 0, .out_fd = 1, .quit = quit };

	if (loop_create(&loop))
		_exit(97);
	cfg.loop = loop;
	if (term_open(&cfg, &term))
		_exit(96);
	if (loop_start(loop, "io"))
		_exit(95);
}

/* Echoes in capitals until Ctrl-A X. */
static void child_session(void)
{
	uint16_t cols, rows;
	char c;

	child_open();
	if (!chardev_size(term_chardev(term), &cols, &rows) || cols != 91 || rows != 17)
		_exit(94);
	/* Output is non-blocking, but not the open file that the shell shares. */
	if (fcntl(1, F_GETFL) & O_NONBLOCK)
		_exit(93);
	chardev_write(term_chardev(term), "hello\r\n", 7);
	while (!quits) {
		if (chardev_read(term_chardev(term), &c, 1)) {
			c = c == 0x01 ? '!' : c - 32;
			chardev_write(term_chardev(term), &c, 1);
		}
		usleep(100);
	}
	chardev_write(term_chardev(term), "bye", 3);
	loop_stop(loop);
	term_close(term);
	loop_destroy(loop);
	exit(7);
}

static void session(void)
{
	struct child c = spawn(child_session);
	int status;

	await(c.master, "hello\r\n");
	ksft_check(is_raw(c.slave));
	ksft_eq(write(c.master, "ab", 2), 2);
	await(c.master, "AB");
	ksft_eq(write(c.master, "\x01", 1), 1);
	usleep(10000);
	ksft_eq(write(c.master, "a", 1), 1);
	await(c.master, "!");
	ksft_eq(write(c.master, "\x01h", 2), 2);
	await(c.master, "Ctrl-A X quit");
	ksft_eq(write(c.master, "\x01x", 2), 2);
	await(c.master, "bye");
	status = reap(&c);
	ksft_check(WIFEXITED(status));
	ksft_eq(WEXITSTATUS(status), 7);
}

/* The guest reads nothing, the escape works all the same. */
static void child_deaf(void)
{
	child_open();
	while (!quits)
		usleep(1000);
	exit(7);
}

static void deaf_guest(void)
{
	struct child c = spawn(child_deaf);
	char junk[1000];
	int i, status;

	memset(junk, 'j', sizeof(junk));
	wait_raw(&c);
	for (i = 0; i < 3 * (int)CHARDEV_IN_SIZE / 1000; i++)
		ksft_eq(write(c.master, junk, sizeof(junk)), sizeof(junk));
	ksft_eq(write(c.master, "\x01x", 2), 2);
	status = reap(&c); /* exit() restored the modes: term_close() was never called */
	ksft_check(WIFEXITED(status));
	ksft_eq(WEXITSTATUS(status), 7);
}

static void child_crash(void)
{
	signal(SIGABRT, SIG_DFL);
	child_open();
	abort();
}

static void crash(void)
{
	struct child c = spawn(child_crash);
	int status = reap(&c);

	ksft_check(WIFSIGNALED(status));
	ksft_eq(WTERMSIG(status), SIGABRT);
}

static void on_term(int sig)
{
	(void)sig;
	term_restore();
	term_restore();
	_exit(5);
}

static void child_signal(void)
{
	signal(SIGTERM, on_term);
	child_open();
	for (;;)
		pause();
}

static void restore_in_handler(void)
{
	struct child c = spawn(child_signal);
	int status;

	wait_raw(&c);
	kill(c.pid, SIGTERM);
	status = reap(&c);
	ksft_check(WIFEXITED(status));
	ksft_eq(WEXITSTATUS(status), 5);
}

static atomic_int resizes;

static void resized(void *arg)
{
	(void)arg;
	resizes++;
}

static void child_resize(void)
{
	static const struct chardev_client client = { .resized = resized };
	struct winsize ws = { .ws_col = 132, .ws_row = 50 };
	uint16_t cols, rows;

	child_open();
	chardev_attach(term_chardev(term), &client, NULL);
	term_winch(term);
	if (resizes || ioctl(0, TIOCSWINSZ, &ws))
		_exit(1);
	term_winch(term);
	if (resizes != 1 || !chardev_size(term_chardev(term), &cols, &rows))
		_exit(2);
	exit(cols == 132 && rows == 50 ? 7 : 3);
}

static void resize(void)
{
	struct child c = spawn(child_resize);
	int status = reap(&c);

	ksft_check(WIFEXITED(status));
	ksft_eq(WEXITSTATUS(status), 7);
}

/* In the background: the terminal's modes are the foreground's business. */
static void child_background(void)
{
	pid_t pid;
	int status;

	signal(SIGTTOU, SIG_DFL);
	signal(SIGTTIN, SIG_DFL);
	pid = fork();
	if (!pid) {
		setpgid(0, 0);
		child_open();
		if (is_raw(0))
			_exit(1);
		usleep(20000);
		exit(7);
	}
	if (waitpid(pid, &status, WUNTRACED) != pid || !WIFEXITED(status))
		_exit(2);
	_exit(WEXITSTATUS(status));
}

static void background(void)
{
	struct child c = spawn(child_background);
	int status;

	ksft_eq(write(c.master, "x\n", 2), 2);
	status = reap(&c);
	ksft_check(WIFEXITED(status));
	ksft_eq(WEXITSTATUS(status), 7);
}

/* --- no terminal --- */

static void pipes(void)
{
	struct term_cfg cfg = { .quit = quit };
	int in[2], out[2];
	uint16_t cols, rows;
	char buf[16];
	size_t n = 0;

	ksft_eq(pipe(in), 0);
	ksft_eq(pipe(out), 0);
	ksft_eq(loop_create(&cfg.loop), 0);
	cfg.in_fd = in[0];
	cfg.out_fd = out[1];
	ksft_eq(term_open(&cfg, &term), 0);
	ksft_eq(loop_start(cfg.loop, "io"), 0);
	ksft_check(!chardev_size(term_chardev(term), &cols, &rows));
	ksft_check(!(fcntl(out[1], F_GETFL) & O_NONBLOCK));
	/* Escape keys are for terminals; the end of input ends nothing else. */
	ksft_eq(write(in[1], "a\x01xb", 4), 4);
	close(in[1]);
	while (n < 4)
		n += chardev_read(term_chardev(term), buf + n, sizeof(buf) - n);
	ksft_memeq(buf, "a\x01xb", 4);
	usleep(10000);
	ksft_eq(quits, 0);
	ksft_eq(chardev_write(term_chardev(term), "out", 3), 3);
	loop_stop(cfg.loop);
	term_close(term);
	ksft_eq(read(out[0], buf, sizeof(buf)), 3);
	ksft_memeq(buf, "out", 3);
	loop_destroy(cfg.loop);
	close(in[0]);
	close(out[0]);
	close(out[1]);
}

static void dev_null(void)
{
	struct term_cfg cfg = { 0 };

	ksft_eq(loop_create(&cfg.loop), 0);
	cfg.in_fd = open("/dev/null", O_RDONLY);
	cfg.out_fd = open("/dev/null", O_WRONLY);
	ksft_eq(term_open(&cfg, &term), 0);
	ksft_eq(loop_start(cfg.loop, "io"), 0);
	ksft_eq(chardev_write(term_chardev(term), "x", 1), 1);
	ksft_check(chardev_flush(term_chardev(term), 1000));
	loop_stop(cfg.loop);
	term_close(term);
	loop_destroy(cfg.loop);
	close(cfg.in_fd);
	close(cfg.out_fd);
}

int main(int argc, char **argv)
{
	ksft_case("escape keys", escape_keys);
	ksft_case("escape keys across reads", escape_split);
	ksft_case("terminal: a session, left by Ctrl-A X", session);
	ksft_case("terminal: Ctrl-A X while the guest reads nothing", deaf_guest);
	ksft_case("terminal: restored by a crash", crash);
	ksft_case("terminal: restored in a signal handler", restore_in_handler);
	ksft_case("terminal: a new size", resize);
	ksft_case("terminal: left alone in the background", background);
	ksft_case("pipes: raw bytes, the end is only the end", pipes);
	ksft_case("/dev/null on both sides", dev_null);
	return ksft_run(argc, argv);
}
