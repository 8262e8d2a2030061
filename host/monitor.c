// SPDX-License-Identifier: GPL-2.0-only
/*
 * The monitor's socket and protocol; see monitor.h.
 *
 * A client's next line is not read before it has taken the answer to the last one: so a client that
 * does not read costs one answer's memory and nobody's time. Only the loop's thread touches
 * clients.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "log.h"
#include "monitor.h"
#include "util.h"

struct monitor_client {
	struct monitor *m;
	int fd; /* -1: slot is free */
	struct loop_src *src;
	char line[MONITOR_LINE_MAX + 1];
	size_t len;
	bool too_long; /* the rest of this line is skipped */
	bool eof;
	char *reply; /* NULL: none pending */
	size_t reply_len, reply_off;
	char in[1024]; /* read and not yet looked at */
	size_t in_len, in_off;
};

struct monitor {
	pthread_mutex_t lock;
	bool closing;
	struct loop *loop;
	const struct monitor_cmd *cmds;
	void *arg;
	int fd;
	int spare_fd; /* for the moment when there are no others */
	struct loop_src *src;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	dev_t dev; /* of the socket at path, to remove no other */
	ino_t ino;
	struct monitor_client client[MONITOR_CLIENTS_MAX];
};

static void client_close(struct monitor_client *c)
{
	struct monitor *m = c->m;

	loop_del(c->src);
	close(c->fd);
	free(c->reply);
	memset(c, 0, sizeof(*c));
	c->m = m;
	c->fd = -1;
}

static void monitor_help(struct monitor *m, FILE *out)
{
	const struct monitor_cmd *cmd;

	fprintf(out, "%-12s %s\n", "help", "this list");
	for (cmd = m->cmds; cmd->name; cmd++)
		fprintf(out, "%-12s %s\n", cmd->name, cmd->help);
}

/* @text: without NUL bytes */
static void monitor_execute(struct monitor *m, const char *name, bool text, FILE *out)
{
	const struct monitor_cmd *cmd;
	struct err err = { 0 };
	int ret;

	if (text && !strcmp(name, "help")) {
		monitor_help(m, out);
		fputs("ok\n", out);
		return;
	}
	for (cmd = m->cmds; cmd->name && strcmp(cmd->name, name); cmd++)
		;
	if (!text || !cmd->name) {
		fputs("error: unknown command; try 'help'\n", out);
		return;
	}
	ret = cmd->fn(m->arg, out, &err);
	if (ret)
		fprintf(out, "error: %s\n", err.msg[0] ? err.msg : strerror(-ret));
	else
		fputs("ok\n", out);
}

/* A whole line is in c->line. False: the client is gone. */
static bool client_line(struct monitor_client *c)
{
	FILE *out;

	while (c->len && (c->line[c->len - 1] == ' ' || c->line[c->len - 1] == '\r'))
		c->len--;
	c->line[c->len] = '\0';
	if (!c->len && !c->too_long)
		return true;
	out = open_memstream(&c->reply, &c->reply_len);
	if (!out) {
		client_close(c);
		return false;
	}
	if (c->too_long)
		fprintf(out, "error: the line is longer than %d bytes\n", MONITOR_LINE_MAX);
	else
		monitor_execute(c->m, c->line, strlen(c->line) == c->len, out);
	if (fclose(out)) {
		client_close(c);
		return false;
	}
	c->reply_off = 0;
	c->len = 0;
	c->too_long = false;
	return true;
}

/* Send as much as goes. False: the client is gone. */
static bool client_send(struct monitor_client *c)
{
	ssize_t n;

	while (c->reply_off < c->reply_len) {
		n = send(c->fd, c->reply + c->reply_off, c->reply_len - c->reply_off,
			 MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return true;
		if (n < 0) {
			client_close(c);
			return false;
		}
		c->reply_off += n;
	}
	free(c->reply);
	c->reply = NULL;
	c->reply_len = c->reply_off = 0;
	return true;
}

/* Work on what has been read, up to an answer that the client does not take. False: it is gone. */
static bool client_work(struct monitor_client *c)
{
	char ch;

	while (!c->reply && c->in_off < c->in_len) {
		ch = c->in[c->in_off++];
		if (ch != '\n') {
			if (c->len < MONITOR_LINE_MAX)
				c->line[c->len++] = ch;
			else
				c->too_long = true;
			continue;
		}
		if (!client_line(c) || !client_send(c))
			return false;
	}
	return true;
}

static void client_event_locked(struct monitor_client *c, uint32_t events)
{
	ssize_t n;

	if (c->reply && !client_send(c))
		return;
	if (!c->reply && events & (EPOLLIN | EPOLLHUP | EPOLLERR) && c->in_off == c->in_len) {
		n = recv(c->fd, c->in, sizeof(c->in), MSG_DONTWAIT);
		if (n < 0 && errno != EAGAIN && errno != EINTR) {
			client_close(c);
			return;
		}
		c->eof = !n;
		c->in_off = 0;
		c->in_len = MAX(n, 0);
	}
	if (!client_work(c))
		return;
	/* A client may close its writing side and still wait for the answers. */
	if (c->eof && !c->reply) {
		client_close(c);
		return;
	}
	loop_mod(c->src, c->reply ? EPOLLOUT : EPOLLIN);
}

static void client_event(void *arg, uint32_t events)
{
	struct monitor_client *c = arg;
	struct monitor *m = c->m;

	pthread_mutex_lock(&m->lock);
	if (!m->closing)
		client_event_locked(c, events);
	pthread_mutex_unlock(&m->lock);
}

static void monitor_accept_locked(struct monitor *m)
{
	static const char full[] = "error: too many clients\n";
	struct monitor_client *c;
	unsigned int i;
	int fd;

	fd = accept4(m->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0 && (errno == EMFILE || errno == ENFILE) && m->spare_fd >= 0) {
		/* Left in the queue it would wake us for ever: give up the spare one to hang up. */
		close(m->spare_fd);
		fd = accept4(m->fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			close(fd);
		m->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
		log_warn("monitor: no file descriptors left; raise 'ulimit -n'");
		return;
	}
	if (fd < 0)
		return; /* it has given up already */
	for (i = 0; i < MONITOR_CLIENTS_MAX && m->client[i].fd >= 0; i++)
		;
	if (i == MONITOR_CLIENTS_MAX) {
		/* If that does not go through, the hang-up alone must tell. */
		send(fd, full, sizeof(full) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
		close(fd);
		return;
	}
	c = &m->client[i];
	c->fd = fd;
	if (loop_add(m->loop, fd, EPOLLIN, client_event, c, &c->src)) {
		close(fd);
		c->fd = -1;
	}
}

static void monitor_accept(void *arg, uint32_t events)
{
	struct monitor *m = arg;

	(void)events;
	pthread_mutex_lock(&m->lock);
	if (!m->closing)
		monitor_accept_locked(m);
	pthread_mutex_unlock(&m->lock);
}

/* Somebody has the name already: find out who. 0: it was a stale socket and is gone. */
static int monitor_evict(const struct sockaddr_un *sun, struct err *err)
{
	struct stat st;
	int fd, ret;

	if (lstat(sun->sun_path, &st))
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return err_set(err, -EEXIST,
			       "--monitor: %s exists and is not a socket; remove it or choose "
			       "another path",
			       sun->sun_path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	ret = connect(fd, (const struct sockaddr *)sun, sizeof(*sun)) ? -errno : 0;
	close(fd);
	/* EAGAIN: its backlog is full, so it is very much alive. */
	if (!ret || ret == -EAGAIN)
		return err_set(err, -EADDRINUSE,
			       "--monitor: %s is in use by another process; choose another path",
			       sun->sun_path);
	if (ret != -ECONNREFUSED)
		return ret;
	return unlink(sun->sun_path) && errno != ENOENT ? -errno : 0;
}

static int monitor_listen(struct monitor *m, struct err *err)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct stat st;
	int ret;

	memcpy(sun.sun_path, m->path, sizeof(sun.sun_path));
	m->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (m->fd < 0)
		return -errno;
	/* On Linux the socket's mode becomes the file's: nobody else may command this guest. */
	if (fchmod(m->fd, 0600))
		return -errno;
	ret = bind(m->fd, (struct sockaddr *)&sun, sizeof(sun)) ? -errno : 0;
	if (ret == -EADDRINUSE) {
		ret = monitor_evict(&sun, err);
		if (!ret && bind(m->fd, (struct sockaddr *)&sun, sizeof(sun)))
			ret = -errno;
	}
	if (ret)
		return ret;
	if (!lstat(m->path, &st)) {
		m->dev = st.st_dev;
		m->ino = st.st_ino;
	}
	return listen(m->fd, MONITOR_CLIENTS_MAX) ? -errno : 0;
}

int monitor_create(struct loop *loop, const char *addr, const struct monitor_cmd *cmds, void *arg,
		   struct monitor **out, struct err *err)
{
	const char *path = addr + 5;
	struct monitor *m;
	unsigned int i;
	int ret;

	if (strncmp(addr, "unix:", 5) || !*path)
		return err_set(err, -EINVAL, "--monitor: '%.80s' is no address; use unix:PATH",
			       addr);
	if (strlen(path) >= sizeof(m->path))
		return err_set(err, -ENAMETOOLONG,
			       "--monitor: the path is longer than %zu bytes; use a shorter one, "
			       "such as unix:/tmp/lodge.sock",
			       sizeof(m->path) - 1);
	m = calloc(1, sizeof(*m));
	if (!m)
		return err_set(err, -ENOMEM, "--monitor: out of memory");
	pthread_mutex_init(&m->lock, NULL);
	m->loop = loop;
	m->cmds = cmds;
	m->arg = arg;
	memcpy(m->path, path, strlen(path) + 1);
	for (i = 0; i < MONITOR_CLIENTS_MAX; i++) {
		m->client[i].m = m;
		m->client[i].fd = -1;
	}

	m->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	ret = monitor_listen(m, err);
	if (!ret)
		ret = loop_add(loop, m->fd, EPOLLIN, monitor_accept, m, &m->src);
	if (ret) {
		err_set(err, ret, "--monitor: cannot listen on %s: %s", path, strerror(-ret));
		monitor_destroy(m);
		return ret;
	}
	*out = m;
	return 0;
}

void monitor_destroy(struct monitor *m)
{
	struct stat st;
	unsigned int i;

	if (!m)
		return;
	pthread_mutex_lock(&m->lock);
	m->closing = true;
	pthread_mutex_unlock(&m->lock);
	loop_del(m->src);
	for (i = 0; i < MONITOR_CLIENTS_MAX; i++) {
		if (m->client[i].fd < 0)
			continue;
		loop_del(m->client[i].src);
		m->client[i].src = NULL;
		if (!m->client[i].reply || client_send(&m->client[i]))
			client_close(&m->client[i]);
	}
	/* Not if somebody has put another one in its place meanwhile. */
	if (m->ino && !lstat(m->path, &st) && st.st_dev == m->dev && st.st_ino == m->ino)
		unlink(m->path);
	if (m->fd >= 0)
		close(m->fd);
	if (m->spare_fd >= 0)
		close(m->spare_fd);
	pthread_mutex_destroy(&m->lock);
	free(m);
}
