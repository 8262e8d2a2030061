// SPDX-License-Identifier: GPL-2.0-only
/*
 * Block benchmark: keeps a fixed number of O_DIRECT requests in flight on a file or a block device
 * for a fixed time. io_uring submits them, because it is the cheapest way to keep a queue full and
 * a stock kernel has it; the program is static, so that a guest runs the same one as its host.
 *
 * Writing rows destroy what the target holds. Every block that is written carries its own offset,
 * and a row of random reads with -c checks them: a benchmark of wrong data says nothing.
 *
 * usage: blkbench [-t MS] [-r ROUNDS] [-c] FILE OP:SIZE:DEPTH...
 *	OP: randread randwrite read write fill; SIZE: of a request, 512 to 4M; DEPTH: 1 to 128
 *	fill writes the whole target once, and is not a figure
 * One thread. tools/bench/bench runs it.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "report.h"

#define MAX_DEPTH 128
#define MAX_SIZE  (4u << 20)
#define ALIGN	  4096

enum op { OP_RANDREAD, OP_RANDWRITE, OP_READ, OP_WRITE, OP_FILL };

static const char *const op_names[] = { "randread", "randwrite", "read", "write", "fill" };

struct row {
	enum op op;
	unsigned int size; /* bytes */
	unsigned int depth;
	char name[48];
};

/* What one row needs while it runs. @offset[i] belongs to the request in buffer i. */
struct run {
	const struct row *row;
	struct io_uring ring;
	int fd;
	bool check;
	uint64_t blocks; /* whole requests that fit into the target */
	uint64_t next;	 /* sequential: block to ask for next */
	uint64_t random;
	uint64_t done;
	unsigned int in_flight;
	uint64_t offset[MAX_DEPTH];
	char *buf[MAX_DEPTH];
};

static bool is_write(enum op op)
{
	return op == OP_RANDWRITE || op == OP_WRITE || op == OP_FILL;
}

static bool is_random(enum op op)
{
	return op == OP_RANDREAD || op == OP_RANDWRITE;
}

static uint64_t next_block(struct run *r)
{
	if (!is_random(r->row->op)) {
		if (r->next == r->blocks)
			r->next = 0;
		return r->next++;
	}
	r->random ^= r->random << 13;
	r->random ^= r->random >> 7;
	r->random ^= r->random << 17;
	return r->random % r->blocks;
}

/* Each sector names its own place, whatever the size it was written with. */
static void stamp(char *buf, uint64_t offset, unsigned int size)
{
	unsigned int i;

	for (i = 0; i < size; i += 512)
		*(uint64_t *)(buf + i) = offset + i;
}

static int verify(const char *buf, uint64_t offset, unsigned int size)
{
	unsigned int i;

	for (i = 0; i < size; i += 512)
		if (*(const uint64_t *)(buf + i) != offset + i)
			return -EILSEQ;
	return 0;
}

static int submit_one(struct run *r, unsigned int i)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&r->ring);

	if (!sqe)
		return -EBUSY;
	r->offset[i] = next_block(r) * r->row->size;
	if (is_write(r->row->op)) {
		stamp(r->buf[i], r->offset[i], r->row->size);
		io_uring_prep_write(sqe, r->fd, r->buf[i], r->row->size, r->offset[i]);
	} else {
		io_uring_prep_read(sqe, r->fd, r->buf[i], r->row->size, r->offset[i]);
	}
	io_uring_sqe_set_data64(sqe, i);
	r->in_flight++;
	return 0;
}

/* Takes every completion that is there; with @again, each one's buffer asks for the next block. */
static int reap(struct run *r, bool again)
{
	struct io_uring_cqe *cqe;
	unsigned int head, n = 0, i;
	int err = 0;

	io_uring_for_each_cqe(&r->ring, head, cqe) {
		i = io_uring_cqe_get_data64(cqe);
		n++;
		r->in_flight--;
		if (err)
			continue;
		if (cqe->res != (int)r->row->size) {
			err = cqe->res < 0 ? cqe->res : -EIO;
			continue;
		}
		r->done++;
		if (r->check && !is_write(r->row->op))
			err = verify(r->buf[i], r->offset[i], r->row->size);
		if (!err && again)
			err = submit_one(r, i);
	}
	io_uring_cq_advance(&r->ring, n);
	return err;
}

/* For @ns nanoseconds, or once over the target for a fill. Return: nanoseconds spent, or -errno. */
static int64_t run_for(struct run *r, uint64_t ns)
{
	uint64_t start = bench_now_ns(), total = r->row->op == OP_FILL ? r->blocks : UINT64_MAX;
	unsigned int i;
	int err = 0, ret;

	if (r->row->op == OP_FILL)
		ns = UINT64_MAX;
	r->done = 0;
	r->next = 0;
	for (i = 0; i < r->row->depth && i < total && !err; i++)
		err = submit_one(r, i);
	while (r->in_flight) {
		ret = io_uring_submit_and_wait(&r->ring, 1);
		if (ret < 0 && ret != -EINTR)
			return ret;
		ret = reap(r,
			   !err && r->done + r->in_flight < total && bench_now_ns() - start < ns);
		err = err ? err : ret;
	}
	return err ? err : (int64_t)(bench_now_ns() - start);
}

static int run_open(struct run *r, const struct row *row, const char *path)
{
	uint64_t size = 0;
	struct stat st;
	int err;

	memset(r, 0, sizeof(*r));
	r->row = row;
	r->random = 0x9e3779b97f4a7c15ull;
	r->fd = open(path, (is_write(row->op) ? O_RDWR : O_RDONLY) | O_DIRECT | O_CLOEXEC);
	if (r->fd < 0)
		return -errno;
	if (fstat(r->fd, &st) || (S_ISBLK(st.st_mode) && ioctl(r->fd, BLKGETSIZE64, &size)))
		err = -errno;
	else
		err = 0;
	r->blocks = (S_ISBLK(st.st_mode) ? size : (uint64_t)st.st_size) / row->size;
	if (!err && !r->blocks)
		err = -ENOSPC;
	if (!err)
		err = io_uring_queue_init(row->depth, &r->ring, 0);
	if (err)
		close(r->fd);
	return err;
}

static void run_close(struct run *r)
{
	io_uring_queue_exit(&r->ring);
	close(r->fd);
}

static int run_row(const struct row *row, const char *path, uint64_t ns, int count, bool check)
{
	bool bytes = row->size >= 65536;
	const char *unit = bytes ? "MB/s" : "IOPS";
	double rounds[BENCH_MAX_ROUNDS];
	char *area = NULL;
	uint64_t ops = 0;
	struct run r;
	int64_t spent;
	unsigned int i;
	int err, n;

	err = run_open(&r, row, path);
	if (err)
		goto out;
	err = -posix_memalign((void **)&area, ALIGN, (size_t)row->size * row->depth);
	if (err)
		goto out_close;
	memset(area, 0, (size_t)row->size * row->depth);
	for (i = 0; i < row->depth; i++)
		r.buf[i] = area + (size_t)i * row->size;
	r.check = check;
	/* The first round warms up. */
	for (n = row->op == OP_FILL ? 0 : -1; n < count; n++) {
		spent = run_for(&r, n < 0 ? ns / 4 : ns);
		if (spent < 0) {
			err = spent;
			break;
		}
		if (row->op == OP_FILL)
			break;
		ops += r.done;
		if (n >= 0)
			rounds[n] = r.done * (bytes ? row->size * 1e-6 : 1.0) * 1e9 / spent;
	}
out_close:
	/* First the ring: until it is gone, requests that were not waited for may use the area. */
	run_close(&r);
	free(area);
out:
	if (err)
		bench_skip(row->name, unit, strerror(-err));
	else if (row->op != OP_FILL)
		bench_report(row->name, rounds, count, unit, ops, true);
	return err;
}

/* "randread:4k:32" */
static int parse_row(const char *text, struct row *row)
{
	char op[16], size[16], *end;
	unsigned long bytes;
	size_t i;

	if (sscanf(text, "%15[a-z]:%15[0-9kM]:%u", op, size, &row->depth) != 3)
		return -EINVAL;
	for (i = 0; i < sizeof(op_names) / sizeof(op_names[0]); i++)
		if (!strcmp(op, op_names[i]))
			break;
	if (i == sizeof(op_names) / sizeof(op_names[0]))
		return -EINVAL;
	row->op = i;
	bytes = strtoul(size, &end, 10);
	if (*end == 'k')
		bytes <<= 10;
	else if (*end == 'M')
		bytes <<= 20;
	row->size = bytes;
	if (bytes < 512 || bytes > MAX_SIZE || bytes % 512 || !row->depth || row->depth > MAX_DEPTH)
		return -EINVAL;
	snprintf(row->name, sizeof(row->name), "%s_%s_qd%u", op, size, row->depth);
	return 0;
}

static int usage(void)
{
	fprintf(stderr,
		"usage: blkbench [-t MS] [-r ROUNDS] [-c] FILE OP:SIZE:DEPTH...\n"
		"  OP: randread randwrite read write fill, SIZE: 512 to 4M, DEPTH: 1 to %d\n",
		MAX_DEPTH);
	return 2;
}

int main(int argc, char **argv)
{
	int opt, i, count = 3, err = 0;
	struct row row;
	bool check = false;
	long ms = 300;

	while ((opt = getopt(argc, argv, "t:r:c")) != -1) {
		if (opt == 't')
			ms = atol(optarg);
		else if (opt == 'r')
			count = atoi(optarg);
		else if (opt == 'c')
			check = true;
		else
			return usage();
	}
	if (argc - optind < 2 || ms < 1 || ms > 60000 || count < 1 || count > BENCH_MAX_ROUNDS)
		return usage();
	for (i = optind + 1; i < argc; i++)
		if (parse_row(argv[i], &row)) {
			fprintf(stderr, "blkbench: %s is not OP:SIZE:DEPTH\n", argv[i]);
			return usage();
		}
	for (i = optind + 1; i < argc; i++) {
		parse_row(argv[i], &row);
		if (run_row(&row, argv[optind], (uint64_t)ms * 1000000, count, check))
			err = 1;
	}
	return err;
}
