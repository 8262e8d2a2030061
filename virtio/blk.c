// SPDX-License-Identifier: GPL-2.0-only
/*
 * The block device (virtio 1.2, 5.2): options, features, configuration space, life cycle and the
 * device's thread. Requests are parsed in blk_req.c and carried out by blk_xfer.c.
 *
 * One thread per active device. It sleeps in the backend only: pop everything, submit it with one
 * system call that also waits, push what is done, interrupt once. Writes are cached (write-back)
 * as far as the host caches at all, and VIRTIO_BLK_F_FLUSH is offered; a driver that does not take
 * it gets write-through.
 */
#include <endian.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "blk.h"
#include "log.h"
#include "table.h"
#include "util.h"

struct blk_cfg {
	const char *path;
	bool ro;
	const char *serial;
	const char *direct;
	const char *discard;
};

static const struct opt blk_opts[] = {
	{ "", "FILE", "raw image file or block device", OPT_STR, offsetof(struct blk_cfg, path), 0,
	  0 },
	{ "ro", NULL, "read-only; may be shared with other readers", OPT_FLAG,
	  offsetof(struct blk_cfg, ro), 0, 0 },
	{ "serial", "TEXT", "serial number the guest sees, up to 20 characters", OPT_STR,
	  offsetof(struct blk_cfg, serial), 0, 0 },
	{ "direct", "auto|on|off", "bypass the host's page cache (auto: where FILE allows it)",
	  OPT_STR, offsetof(struct blk_cfg, direct), 0, 0 },
	{ "discard", "on|off", "give blocks that the guest discards back to the host (on)", OPT_STR,
	  offsetof(struct blk_cfg, discard), 0, 0 },
	{ .type = OPT_END },
};

/* Return: index of @val in @words, 0 when @val is NULL, or -EINVAL with @err filled. */
static int blk_choice(const char *key, const char *val, const char *const *words,
		      const char *remedy, struct err *err)
{
	int i;

	if (!val)
		return 0;
	for (i = 0; words[i]; i++)
		if (!strcmp(val, words[i]))
			return i;
	return err_set(err, -EINVAL, "--disk %s: '%.40s' is not known; use %s", key, val, remedy);
}

static void blk_fill_config(struct blk_dev *bd, bool discard)
{
	const struct blk_image *img = &bd->img;
	struct virtio_blk_config *c = &bd->config;

	c->capacity = htole64(bd->sectors);
	/* Header and status take two of the descriptors. */
	c->seg_max = htole32(BLK_QUEUE_SIZE - 2);
	c->blk_size = htole32(img->lba_size);
	c->physical_block_exp = __builtin_ctz(img->pba_size / img->lba_size);
	c->min_io_size = htole16(MIN(img->io_min / img->lba_size, UINT16_MAX));
	c->opt_io_size = htole32(img->io_opt / img->lba_size);
	c->max_discard_sectors = htole32(BLK_DISCARD_MAX);
	c->max_discard_seg = htole32(BLK_RANGES_MAX);
	c->discard_sector_alignment = htole32(img->pba_size / BLK_SECTOR);
	c->max_write_zeroes_sectors = htole32(BLK_ZEROES_MAX);
	c->max_write_zeroes_seg = htole32(BLK_RANGES_MAX);
	c->write_zeroes_may_unmap = discard;
}

static uint64_t blk_features(bool ro, bool discard)
{
	uint64_t f = 1ull << VIRTIO_BLK_F_SEG_MAX | 1ull << VIRTIO_BLK_F_BLK_SIZE |
		     1ull << VIRTIO_BLK_F_TOPOLOGY | 1ull << VIRTIO_BLK_F_FLUSH;

	if (ro)
		return f | 1ull << VIRTIO_BLK_F_RO;
	if (discard)
		f |= 1ull << VIRTIO_BLK_F_DISCARD;
	return f | 1ull << VIRTIO_BLK_F_WRITE_ZEROES;
}

static int blk_create(const void *cfg, const struct gmem *mem, struct vdev **out, struct err *err)
{
	static const char *const direct_words[] = { "auto", "on", "off", NULL };
	static const char *const discard_words[] = { "on", "off", NULL };
	const struct blk_cfg *c = cfg;
	struct blk_dev *bd;
	int direct, nodiscard, ret;

	if (!c->path)
		return err_set(err, -EINVAL, "--disk: no file given; use --disk FILE[,ro]");
	direct = blk_choice("direct", c->direct, direct_words, "auto, on or off", err);
	if (direct < 0)
		return direct;
	nodiscard = blk_choice("discard", c->discard, discard_words, "on or off", err);
	if (nodiscard < 0)
		return nodiscard;
	if (c->serial && strlen(c->serial) > sizeof(bd->serial))
		return err_set(err, -EINVAL, "--disk serial: '%.40s' is longer than %zu characters",
			       c->serial, sizeof(bd->serial));

	bd = calloc(1, sizeof(*bd));
	if (!bd)
		return err_set(err, -ENOMEM, "--disk %s: out of memory", c->path);
	ret = blk_image_open(&bd->img, c->path, c->ro, direct, err);
	if (ret)
		goto err_free;
	bd->sectors = bd->img.size / BLK_SECTOR;
	if (c->serial)
		memcpy(bd->serial, c->serial, strlen(c->serial));
	blk_fill_config(bd, !nodiscard);
	bd->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (bd->stop_fd < 0) {
		ret = err_set(err, -errno, "--disk %s: eventfd: %s", c->path, strerror(errno));
		goto err_image;
	}
	ret = vdev_init(&bd->vd, &blk_ops, mem, blk_features(c->ro, !nodiscard), 1, BLK_QUEUE_SIZE);
	if (ret) {
		err_set(err, ret, "--disk %s: %s", c->path, strerror(-ret));
		goto err_stop;
	}
	bd->vd.config = &bd->config;
	bd->vd.config_len = sizeof(bd->config);
	*out = &bd->vd;
	return 0;

err_stop:
	close(bd->stop_fd);
err_image:
	blk_image_close(&bd->img);
err_free:
	free(bd);
	return ret;
}

static void blk_destroy(struct vdev *vd)
{
	struct blk_dev *bd = container_of(vd, struct blk_dev, vd);

	vdev_fini(vd);
	close(bd->stop_fd);
	blk_image_close(&bd->img);
	free(bd);
}

/* What a page cache takes it takes at once; memory has nothing slow. */
static unsigned int blk_at_once(const struct blk_image *img)
{
	if (img->in_memory)
		return ~0u;
	return img->direct ? 0 : 1u << BLK_IO_WRITE;
}

static int blk_backend_create(struct blk_dev *bd)
{
	const struct blk_backend_cfg cfg = {
		.fd = bd->img.fd,
		.kick_fd = bd->vd.vq->kick_fd,
		.stop_fd = bd->stop_fd,
		.depth = bd->vd.vq->size,
		.at_once = blk_at_once(&bd->img),
		.done = blk_xfer_done,
	};
	int ret;

	ret = blk_uring_ops.create(&cfg, &bd->be);
	if (!ret)
		return 0;
	log_info("%s: no io_uring (%s)%s; using %s, one request at a time", bd->vd.label,
		 strerror(-ret),
		 ret == -EPERM	  ? ": see the sysctl kernel.io_uring_disabled"
		 : ret == -ENOSYS ? ": it needs Linux 5.13"
				  : "",
		 blk_sync_ops.name);
	return blk_sync_ops.create(&cfg, &bd->be);
}

static void blk_flush_pushed(struct blk_dev *bd)
{
	if (!bd->pushed)
		return;
	bd->pushed = false;
	vdev_flush(&bd->vd, bd->vd.vq);
}

static void blk_loop(struct blk_dev *bd)
{
	const unsigned int nreq = bd->vd.vq->size;
	bool more = false;

	for (;;) {
		/* Pairs with blk_quiesce(): what is in flight is finished, nothing new is taken. */
		bool stop = load_acquire(&bd->stop);

		if (!stop)
			more = blk_req_take(bd);
		else if (bd->nfree == nreq)
			break;
		/* Some were answered while they were parsed. */
		blk_flush_pushed(bd);
		if (bd->be->ops->wait(bd->be, stop || !more) & BLK_EV_KICK)
			bd->vd.vq->stat_kicks++;
		blk_flush_pushed(bd);
	}
}

static void *blk_thread(void *arg)
{
	struct blk_dev *bd = arg;

	pthread_setname_np(pthread_self(), bd->vd.label);
	/* Here and not in activate: SINGLE_ISSUER binds the ring to the thread that makes it. */
	bd->start_error = blk_backend_create(bd);
	sem_post(&bd->started);
	if (bd->start_error)
		return NULL;
	blk_loop(bd);
	bd->be->ops->destroy(bd->be);
	return NULL;
}

/* Signals are for the VMM's main thread. */
static int blk_thread_start(struct blk_dev *bd)
{
	sigset_t all, old;
	int ret;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	ret = -pthread_create(&bd->thread, NULL, blk_thread, bd);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return ret;
}

static void blk_free_requests(struct blk_dev *bd)
{
	free(bd->free_req);
	free(bd->iov);
	free(bd->req);
	bd->free_req = NULL;
	bd->iov = NULL;
	bd->req = NULL;
}

static int blk_alloc_requests(struct blk_dev *bd)
{
	const unsigned int n = bd->vd.vq->size;
	unsigned int i;

	bd->req = calloc(n, sizeof(*bd->req));
	bd->iov = calloc((size_t)n * n, sizeof(*bd->iov));
	bd->free_req = calloc(n, sizeof(*bd->free_req));
	if (!bd->req || !bd->iov || !bd->free_req) {
		blk_free_requests(bd);
		return -ENOMEM;
	}
	for (i = 0; i < n; i++) {
		bd->req[i].bd = bd;
		bd->req[i].chain.iov = &bd->iov[(size_t)i * n];
		bd->req[i].chain.iov_max = n;
		bd->free_req[i] = n - 1 - i;
	}
	bd->nfree = n;
	return 0;
}

static int blk_activate(struct vdev *vd)
{
	struct blk_dev *bd = container_of(vd, struct blk_dev, vd);
	int ret;

	bd->write_through = !vdev_has(vd, VIRTIO_BLK_F_FLUSH);
	bd->pushed = false;
	bd->stop = false;
	ret = blk_alloc_requests(bd);
	if (ret)
		return ret;
	ret = blk_xfer_init(bd);
	if (ret)
		goto err_requests;
	sem_init(&bd->started, 0, 0);
	ret = blk_thread_start(bd);
	if (ret)
		goto err_xfer;
	while (sem_wait(&bd->started))
		;
	ret = bd->start_error;
	if (ret) {
		pthread_join(bd->thread, NULL);
		goto err_xfer;
	}
	return 0;

err_xfer:
	sem_destroy(&bd->started);
	blk_xfer_fini(bd);
err_requests:
	blk_free_requests(bd);
	return ret;
}

static void blk_quiesce(struct vdev *vd)
{
	struct blk_dev *bd = container_of(vd, struct blk_dev, vd);
	uint64_t count = 1;

	/* Pairs with blk_loop(). The eventfd only wakes it. */
	store_release(&bd->stop, true);
	if (write(bd->stop_fd, &count, sizeof(count)) < 0)
		log_err("%s: eventfd: %s", vd->label, strerror(errno));
	pthread_join(bd->thread, NULL);
	if (read(bd->stop_fd, &count, sizeof(count)) < 0)
		log_err("%s: eventfd: %s", vd->label, strerror(errno));
	sem_destroy(&bd->started);
	blk_xfer_fini(bd);
	blk_free_requests(bd);
}

static void blk_stats(struct vdev *vd, FILE *out)
{
	struct blk_dev *bd = container_of(vd, struct blk_dev, vd);

	fprintf(out,
		"reads=%llu writes=%llu flushes=%llu discards=%llu read_bytes=%llu "
		"write_bytes=%llu errors=%llu",
		(unsigned long long)load_once(&bd->stat_reads),
		(unsigned long long)load_once(&bd->stat_writes),
		(unsigned long long)load_once(&bd->stat_flushes),
		(unsigned long long)load_once(&bd->stat_discards),
		(unsigned long long)load_once(&bd->stat_read_bytes),
		(unsigned long long)load_once(&bd->stat_write_bytes),
		(unsigned long long)load_once(&bd->stat_errors));
}

const struct vdev_ops blk_ops = {
	.name = "blk",
	.option = "--disk",
	.option_arg = "FILE[,ro][,...]",
	.help = "a disk; may be given several times",
	.id = VIRTIO_ID_BLOCK,
	.opts = blk_opts,
	.cfg_size = sizeof(struct blk_cfg),
	.create = blk_create,
	.destroy = blk_destroy,
	.activate = blk_activate,
	.quiesce = blk_quiesce,
	.stats = blk_stats,
};
