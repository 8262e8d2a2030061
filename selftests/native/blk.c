// SPDX-License-Identifier: GPL-2.0-only
/*
 * The block device's protocol as a driver sees it (virtio 1.2, 5.2.6), well-formed and hostile
 * requests alike. Opening images is blk_image.c's, faults below are blk_fault.c's, load
 * blk_stress.c's.
 */
#include <endian.h>
#include <errno.h>
#include <pthread.h>

#include "blkdrv.h"

#define OK     VIRTIO_BLK_S_OK
#define IOERR  VIRTIO_BLK_S_IOERR
#define UNSUPP VIRTIO_BLK_S_UNSUPP
#define IN     VIRTIO_BLK_T_IN
#define OUT    VIRTIO_BLK_T_OUT
#define NSECT  (MIB / 512) /* of most disks here */

static void features_and_config(void)
{
	struct virtio_blk_config c;
	struct disk k;

	disk_up(&k, MIB + 700, "");
	vdrv_config(&k.d, 0, &c, sizeof(c));
	/* What is left of the last sector is out of reach. */
	ksft_eq(le64toh(c.capacity), NSECT + 1);
	ksft_eq(le32toh(c.blk_size), 512);
	ksft_eq(le32toh(c.seg_max), 254);
	ksft_check(vdev_has(k.vd, VIRTIO_BLK_F_FLUSH));
	ksft_check(vdev_has(k.vd, VIRTIO_BLK_F_DISCARD));
	ksft_check(vdev_has(k.vd, VIRTIO_BLK_F_WRITE_ZEROES));
	ksft_check(!vdev_has(k.vd, VIRTIO_BLK_F_RO));
	ksft_eq(c.write_zeroes_may_unmap, 1);
	disk_down(&k);

	disk_up(&k, MIB, ",discard=off");
	vdrv_config(&k.d, 0, &c, sizeof(c));
	ksft_check(!vdev_has(k.vd, VIRTIO_BLK_F_DISCARD));
	ksft_eq(c.write_zeroes_may_unmap, 0);
	disk_down(&k);

	disk_up(&k, MIB, ",ro");
	ksft_check(vdev_has(k.vd, VIRTIO_BLK_F_RO));
	ksft_check(!vdev_has(k.vd, VIRTIO_BLK_F_DISCARD));
	ksft_check(!vdev_has(k.vd, VIRTIO_BLK_F_WRITE_ZEROES));
	disk_down(&k);
}

static void read_write_with(const char *keys)
{
	uint8_t file[8192], *p;
	struct disk k;
	uint64_t buf;
	uint32_t used;

	disk_up(&k, MIB, keys);
	buf = vdrv_alloc(&k.d, 8192, 4096);
	p = vdrv_hva(&k.d, buf, 8192);
	ksft_eq(disk_io_len(&k, IN, 3, buf, 8192, &used), OK);
	ksft_eq(used, 8193);
	disk_peek(&k, 3 * 512, file, 8192);
	ksft_memeq(p, file, 8192);

	memset(p, 0x5a, 8192);
	ksft_eq(disk_io_len(&k, OUT, NSECT - 16, buf, 8192, &used), OK);
	ksft_eq(used, 1);
	disk_peek(&k, MIB - 8192, file, 8192);
	ksft_memeq(p, file, 8192);
	disk_down(&k);
}

static void read_write(void)
{
	read_write_with(",direct=off");
	read_write_with(",direct=auto");
}

/* 2.7.4: no assumptions about framing. */
static void header_split(void)
{
	uint8_t file[1024], *status;
	struct disk k;
	uint64_t buf;

	disk_up(&k, MIB, "");
	buf = vdrv_alloc(&k.d, 1024, 512);
	status = vdrv_hva(&k.d, k.status, 1);
	disk_hdr(&k, k.hdr, IN, 9);
	*status = 0xee;
	ksft_eq(disk_chain(&k,
			   (struct vdrv_buf[]){ { k.hdr, 1 },
						{ k.hdr + 1, 7 },
						{ k.hdr + 8, 8 },
						{ buf, 1024 },
						{ k.status, 1 } },
			   3, 2, false),
		1025);
	ksft_eq(*status, OK);
	disk_peek(&k, 9 * 512, file, 1024);
	ksft_memeq(vdrv_hva(&k.d, buf, 1024), file, 1024);
	disk_down(&k);
}

static void header_joined_to_data(void)
{
	uint8_t file[1024], *p, *status;
	struct disk k;
	uint64_t buf;

	disk_up(&k, MIB, "");
	buf = vdrv_alloc(&k.d, 16 + 1024, 16);
	p = vdrv_hva(&k.d, buf, 16 + 1024);
	status = vdrv_hva(&k.d, k.status, 1);
	disk_hdr(&k, buf, OUT, 5);
	memset(p + 16, 0x77, 1024);
	*status = 0xee;
	/* And the cut between the two buffers is at no sector's border. */
	disk_chain(&k,
		   (struct vdrv_buf[]){ { buf, 16 + 100 }, { buf + 116, 924 }, { k.status, 1 } }, 2,
		   1, true);
	ksft_eq(*status, OK);
	disk_peek(&k, 5 * 512, file, 1024);
	ksft_memeq(p + 16, file, 1024);
	disk_down(&k);
}

static void status_joined_to_data(void)
{
	uint8_t file[512], *p;
	struct disk k;
	uint64_t buf;

	disk_up(&k, MIB, "");
	buf = vdrv_alloc(&k.d, 514, 512);
	p = vdrv_hva(&k.d, buf, 514);
	memset(p, 0xee, 514);
	disk_hdr(&k, k.hdr, IN, 2);
	ksft_eq(disk_chain(&k,
			   (struct vdrv_buf[]){ { k.hdr, 16 }, { buf, 300 }, { buf + 300, 213 } },
			   1, 2, false),
		513);
	disk_peek(&k, 2 * 512, file, 512);
	ksft_memeq(p, file, 512);
	ksft_eq(p[512], OK);
	ksft_eq(p[513], 0xee);
	disk_down(&k);
}

static void length_not_of_sectors(void)
{
	struct disk k;
	uint64_t buf;
	uint8_t before[1024], after[1024];
	uint32_t used;

	disk_up(&k, MIB, "");
	buf = vdrv_alloc(&k.d, 1024, 512);
	disk_peek(&k, 0, before, 1024);
	ksft_eq(disk_io_len(&k, IN, 0, buf, 511, &used), IOERR);
	/* Nothing was written at the start of the buffers: 2.7.8.2. */
	ksft_eq(used, 0);
	ksft_eq(disk_io(&k, OUT, 0, buf, 513), IOERR);
	ksft_eq(disk_io(&k, OUT, 0, buf, 1), IOERR);
	disk_peek(&k, 0, after, 1024);
	ksft_memeq(before, after, 1024);
	ksft_eq(disk_io(&k, IN, 0, buf, 0), OK);
	disk_down(&k);
}

static void sector_out_of_range(void)
{
	static const uint64_t bad[] = { NSECT - 1,
					NSECT,
					NSECT + 1,
					UINT64_MAX,
					UINT64_MAX - 1,
					UINT64_MAX / 512,
					UINT64_MAX / 512 + 1,
					1ull << 55,
					(1ull << 55) - 2,
					1ull << 63 };
	struct disk k;
	uint64_t buf;
	unsigned int i;

	disk_up(&k, MIB, "");
	buf = vdrv_alloc(&k.d, 1024, 512);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		ksft_eq(disk_io(&k, IN, bad[i], buf, 1024), IOERR);
		ksft_eq(disk_io(&k, OUT, bad[i], buf, 1024), IOERR);
	}
	ksft_eq(disk_io(&k, IN, NSECT - 2, buf, 1024), OK);
	ksft_eq(lseek(k.fd, 0, SEEK_END), MIB);
	disk_down(&k);
}

static void length_out_of_range(void)
{
	struct vdrv_buf b[34] = { { 0 } };
	struct disk k;
	uint64_t buf;
	unsigned int i;
	uint8_t *status;

	/* 1 GiB of buffers, all the same 32 MiB, for a disk of 1 MiB. */
	disk_up(&k, MIB, "");
	buf = vdrv_alloc_high(&k.d, 32 * MIB, 4096);
	status = vdrv_hva(&k.d, k.status, 1);
	b[0] = (struct vdrv_buf){ k.hdr, 16 };
	for (i = 1; i < 33; i++)
		b[i] = (struct vdrv_buf){ buf, 32 * MIB };
	b[33] = (struct vdrv_buf){ k.status, 1 };
	disk_hdr(&k, k.hdr, IN, 0);
	*status = 0xee;
	disk_chain(&k, b, 1, 33, false);
	ksft_eq(*status, IOERR);
	disk_hdr(&k, k.hdr, OUT, 0);
	*status = 0xee;
	disk_chain(&k, b, 33, 1, false);
	ksft_eq(*status, IOERR);
	ksft_eq(lseek(k.fd, 0, SEEK_END), MIB);
	disk_down(&k);
}

static void read_only(void)
{
	uint8_t before[512], after[512];
	struct disk k;
	uint64_t buf;

	disk_up(&k, MIB, ",ro");
	buf = vdrv_alloc(&k.d, 512, 512);
	disk_peek(&k, 0, before, 512);
	ksft_eq(disk_io(&k, OUT, 0, buf, 512), IOERR);
	disk_range(vdrv_hva(&k.d, buf, 16), 0, 1, 0);
	ksft_eq(disk_io(&k, VIRTIO_BLK_T_DISCARD, 0, buf, 16), UNSUPP);
	ksft_eq(disk_io(&k, VIRTIO_BLK_T_WRITE_ZEROES, 0, buf, 16), UNSUPP);
	ksft_eq(disk_io(&k, VIRTIO_BLK_T_FLUSH, 0, 0, 0), OK);
	disk_peek(&k, 0, after, 512);
	ksft_memeq(before, after, 512);
	ksft_eq(disk_io(&k, IN, 0, buf, 512), OK);
	ksft_memeq(vdrv_hva(&k.d, buf, 512), before, 512);
	disk_down(&k);
}

static void unknown_types(void)
{
	static const uint32_t type[] = {
		VIRTIO_BLK_T_SCSI_CMD, 3, 5, 14, 0x80000000, 0x80000001, UINT32_MAX
	};
	struct disk k;
	uint64_t buf;
	unsigned int i;

	disk_up(&k, MIB, "");
	buf = vdrv_alloc(&k.d, 512, 512);
	for (i = 0; i < ARRAY_SIZE(type); i++)
		ksft_eq(disk_io(&k, type[i], 0, buf, 512), UNSUPP);
	ksft_eq(disk_io(&k, IN, 0, buf, 512), OK);
	disk_down(&k);
}

/* A chain that breaks the device: NEEDS_RESET, nothing used, and a reset mends it. */
static void breaks(struct disk *k, const struct vdrv_buf *b, unsigned int nout, unsigned int nin)
{
	uint16_t head;
	uint32_t len;

	ksft_check(vdrv_add(&k->d.q[0], b, nout, nin, false) >= 0);
	vdrv_kick(&k->d.q[0]);
	ksft_check(vdrv_wait_irq(&k->d, DISK_WAIT_MS));
	ksft_check(vdrv_broken(&k->d));
	ksft_check(!vdrv_used(&k->d.q[0], &head, &len));
	vdrv_start(&k->d, k->m, ~0ull, 0, 0);
	ksft_check(!vdrv_broken(&k->d));
	ksft_eq(disk_io(k, VIRTIO_BLK_T_FLUSH, 0, 0, 0), OK);
}

static void malformed_chains(void)
{
	struct disk k;
	uint64_t buf;

	disk_up(&k, MIB, "");
	buf = vdrv_alloc(&k.d, 512, 512);
	disk_hdr(&k, k.hdr, IN, 0);
	breaks(&k, (struct vdrv_buf[]){ { k.hdr, 16 } }, 1, 0);
	breaks(&k, (struct vdrv_buf[]){ { k.hdr, 15 }, { k.status, 1 } }, 1, 1);
	breaks(&k, (struct vdrv_buf[]){ { k.status, 1 } }, 0, 1);
	breaks(&k, (struct vdrv_buf[]){ { k.hdr, 8 }, { k.hdr, 7 }, { buf, 512 }, { k.status, 1 } },
	       2, 2);
	/* Room for a status that is no room. */
	breaks(&k, (struct vdrv_buf[]){ { k.hdr, 16 }, { k.status, 0 } }, 1, 1);
	/* Outside memory. */
	breaks(&k, (struct vdrv_buf[]){ { k.hdr, 16 }, { UINT64_MAX - 255, 512 }, { k.status, 1 } },
	       1, 2);
	disk_down(&k);
}

static void zero_length_status_ignored(void)
{
	uint8_t *p;
	struct disk k;
	uint64_t buf;

	disk_up(&k, MIB, "");
	buf = vdrv_alloc(&k.d, 513, 512);
	p = vdrv_hva(&k.d, buf, 513);
	p[512] = 0xee;
	disk_hdr(&k, k.hdr, IN, 0);
	disk_chain(&k,
		   (struct vdrv_buf[]){ { k.hdr, 16 }, { buf, 0 }, { buf, 513 }, { k.status, 0 } },
		   1, 3, false);
	ksft_eq(p[512], OK);
	disk_down(&k);
}

static void many_segments(bool indirect, const char *keys)
{
	struct vdrv_buf b[256];
	struct disk k;
	uint64_t buf;
	uint8_t *p, *status, *file = malloc(MIB);
	unsigned int i;

	disk_up(&k, MIB, keys);
	buf = vdrv_alloc_high(&k.d, 2 * MIB, 4096);
	p = vdrv_hva(&k.d, buf, 2 * MIB);
	status = vdrv_hva(&k.d, k.status, 1);
	/* seg_max of them, 4 KiB apart, backwards. */
	b[0] = (struct vdrv_buf){ k.hdr, 16 };
	for (i = 0; i < 254; i++)
		b[1 + i] = (struct vdrv_buf){ buf + (253 - i) * 4096, 512 };
	b[255] = (struct vdrv_buf){ k.status, 1 };
	disk_hdr(&k, k.hdr, IN, 100);
	*status = 0xee;
	ksft_eq(disk_chain(&k, b, 1, 255, indirect), 254 * 512 + 1);
	ksft_eq(*status, OK);
	disk_peek(&k, 100 * 512, file, 254 * 512);
	for (i = 0; i < 254; i++)
		ksft_memeq(p + (253 - i) * 4096, file + i * 512, 512);

	for (i = 0; i < 254; i++)
		memset(p + (253 - i) * 4096, i, 512);
	disk_hdr(&k, k.hdr, OUT, 1);
	*status = 0xee;
	disk_chain(&k, b, 255, 1, indirect);
	ksft_eq(*status, OK);
	disk_peek(&k, 512, file, 254 * 512);
	for (i = 0; i < 254; i++)
		ksft_memeq(p + (253 - i) * 4096, file + i * 512, 512);
	disk_down(&k);
	free(file);
}

static void many_segments_all(void)
{
	many_segments(false, ",direct=off");
	many_segments(true, ",direct=off");
	many_segments(true, "");
}

/* Segments of one byte: three vectors' worth of them, and none may be lost. */
static void tiny_segments(void)
{
	struct vdrv_buf b[256];
	struct disk k;
	uint64_t buf;
	uint8_t file[512], *status;
	unsigned int i;

	disk_up(&k, MIB, "");
	buf = vdrv_alloc(&k.d, 1024, 512);
	status = vdrv_hva(&k.d, k.status, 1);
	b[0] = (struct vdrv_buf){ k.hdr, 16 };
	for (i = 0; i < 253; i++)
		b[1 + i] = (struct vdrv_buf){ buf + i, 1 };
	b[254] = (struct vdrv_buf){ buf + 253, 512 - 253 };
	b[255] = (struct vdrv_buf){ k.status, 1 };
	disk_hdr(&k, k.hdr, IN, 77);
	*status = 0xee;
	disk_chain(&k, b, 1, 255, true);
	ksft_eq(*status, OK);
	disk_peek(&k, 77 * 512, file, 512);
	ksft_memeq(vdrv_hva(&k.d, buf, 512), file, 512);
	disk_down(&k);
}

static void get_id(void)
{
	static const char serial[20] = "S/N 0123456789abcdef";
	static const uint32_t lens[] = { 20, 8, 1, 0, 64 };
	struct disk k;
	uint64_t buf;
	uint32_t used;
	unsigned int i;
	uint8_t *p;

	disk_up(&k, MIB, ",serial=S/N 0123456789abcdef");
	buf = vdrv_alloc(&k.d, 64, 16);
	p = vdrv_hva(&k.d, buf, 64);
	for (i = 0; i < ARRAY_SIZE(lens); i++) {
		uint32_t n = MIN(lens[i], 20u), j;

		memset(p, 0xcc, 64);
		ksft_eq(disk_io_len(&k, VIRTIO_BLK_T_GET_ID, 0, buf, lens[i], &used), OK);
		ksft_memeq(p, serial, n);
		for (j = n; j < 64; j++)
			ksft_eq(p[j], 0xcc);
		ksft_eq(used, lens[i] <= 20 ? n + 1 : n);
	}
	disk_down(&k);

	disk_up(&k, MIB, ",serial=x");
	buf = vdrv_alloc(&k.d, 20, 16);
	memset(vdrv_hva(&k.d, buf, 20), 0xcc, 20);
	ksft_eq(disk_io(&k, VIRTIO_BLK_T_GET_ID, 0, buf, 20), OK);
	ksft_memeq(vdrv_hva(&k.d, buf, 20), "x\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
	disk_down(&k);
}

static void check_zero(struct disk *k, uint64_t sector, unsigned int n)
{
	static const uint8_t zero[512];
	uint8_t file[512];

	for (; n--; sector++) {
		disk_peek(k, sector * 512, file, 512);
		ksft_memeq(file, zero, 512);
	}
}

/* Zero 3 ranges in one request and look that exactly these are zero. */
static void zeroes_in(const char *dir, uint32_t flags, bool no_punch, bool no_zero)
{
	uint8_t before[512], after[512];
	struct disk k;
	uint64_t buf;
	uint8_t *p;

	disk_open_in(&k, dir, MIB, "");
	k.bd->img.no_punch = no_punch;
	k.bd->img.no_zero = no_zero;
	disk_start(&k, ~0ull);
	buf = vdrv_alloc(&k.d, 48, 16);
	p = vdrv_hva(&k.d, buf, 48);
	disk_range(p, 1, 5, flags);
	disk_range(p + 16, 100, 0, flags);
	/* More than one bounce buffer, off the file system's blocks at both ends. */
	disk_range(p + 32, 513, 1001, flags);
	ksft_eq(disk_io(&k, VIRTIO_BLK_T_WRITE_ZEROES, 0, buf, 48), OK);
	check_zero(&k, 1, 5);
	check_zero(&k, 513, 1001);
	disk_peek(&k, 100 * 512, before, 512);
	ksft_check(before[1] != 0);
	disk_peek(&k, 6 * 512, before, 512);
	ksft_check(before[0] == 6 * 7);
	disk_peek(&k, 512 * 512, before, 512);
	disk_peek(&k, 1514 * 512, after, 512);
	ksft_check(before[1] == 1 && after[1] == (uint8_t)(1514 * 7 + 1 + 1514 % 8 * 512));
	ksft_eq(lseek(k.fd, 0, SEEK_END), MIB);
	disk_down(&k);
}

static void write_zeroes(void)
{
	zeroes_in(NULL, 0, false, false);
	zeroes_in(NULL, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP, false, false);
}

static void write_zeroes_by_writing(void)
{
	zeroes_in(NULL, 0, true, true);
	zeroes_in(NULL, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP, true, true);
	zeroes_in(NULL, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP, true, false);
	/* tmpfs punches holes and has no zeroing: found out on the way. */
	zeroes_in("/dev/shm", 0, false, false);
}

static void discard(void)
{
	struct disk k;
	uint64_t buf;
	uint8_t *p;

	disk_up(&k, MIB, "");
	buf = vdrv_alloc(&k.d, 32, 16);
	p = vdrv_hva(&k.d, buf, 32);
	disk_range(p, 8, 64, 0);
	disk_range(p + 16, 1024, 1024, 0);
	ksft_eq(disk_io(&k, VIRTIO_BLK_T_DISCARD, 0, buf, 32), OK);
	/* Not promised to guests, but it is what a hole reads as; where punching works at all. */
	if (!k.bd->img.no_punch) {
		check_zero(&k, 8, 64);
		check_zero(&k, 1024, 1024);
	}
	disk_down(&k);

	/* Where it does not work it is ignored. */
	disk_open(&k, MIB, "");
	k.bd->img.no_punch = true;
	disk_start(&k, ~0ull);
	buf = vdrv_alloc(&k.d, 16, 16);
	disk_range(vdrv_hva(&k.d, buf, 16), 8, 1, 0);
	ksft_eq(disk_io(&k, VIRTIO_BLK_T_DISCARD, 0, buf, 16), OK);
	disk_down(&k);
}

static uint8_t one_range(struct disk *k, uint64_t buf, uint32_t type, uint64_t sector, uint32_t n,
			 uint32_t flags)
{
	disk_range(vdrv_hva(&k->d, buf, 16), sector, n, flags);
	return disk_io(k, type, 0, buf, 16);
}

static void bad_ranges(void)
{
	static const uint32_t type[] = { VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES };
	uint8_t before[4096], after[4096];
	struct disk k;
	uint64_t buf;
	unsigned int i, j;

	disk_up(&k, MIB, "");
	buf = vdrv_alloc(&k.d, 17 * 16, 16);
	disk_peek(&k, MIB - 4096, before, 4096);
	for (i = 0; i < ARRAY_SIZE(type); i++) {
		ksft_eq(one_range(&k, buf, type[i], NSECT, 1, 0), IOERR);
		ksft_eq(one_range(&k, buf, type[i], NSECT - 1, 2, 0), IOERR);
		ksft_eq(one_range(&k, buf, type[i], UINT64_MAX, 2, 0), IOERR);
		ksft_eq(one_range(&k, buf, type[i], 1ull << 55, 1, 0), IOERR);
		ksft_eq(one_range(&k, buf, type[i], 0, UINT32_MAX, 0), IOERR);
		ksft_eq(one_range(&k, buf, type[i], 0, 1, 2), UNSUPP);
		ksft_eq(one_range(&k, buf, type[i], 0, 1, 1u << 31), UNSUPP);
		/* No whole range, none at all, one too many. */
		ksft_eq(disk_io(&k, type[i], 0, buf, 15), IOERR);
		ksft_eq(disk_io(&k, type[i], 0, buf, 17), IOERR);
		ksft_eq(disk_io(&k, type[i], 0, buf, 0), IOERR);
		for (j = 0; j < 17; j++)
			disk_range(vdrv_hva(&k.d, buf + j * 16, 16), 0, 1, 0);
		ksft_eq(disk_io(&k, type[i], 0, buf, 17 * 16), IOERR);
		/* All are checked before the first is done. */
		disk_range(vdrv_hva(&k.d, buf, 16), NSECT - 8, 8, 0);
		disk_range(vdrv_hva(&k.d, buf + 16, 16), NSECT, 8, 0);
		ksft_eq(disk_io(&k, type[i], 0, buf, 32), IOERR);
	}
	/* A discard with the unmap flag, which only zeroing has. */
	ksft_eq(one_range(&k, buf, type[0], 0, 1, 1), UNSUPP);
	disk_peek(&k, MIB - 4096, after, 4096);
	ksft_memeq(before, after, 4096);
	disk_down(&k);

	disk_open(&k, MIB, "");
	disk_start(&k, ~(1ull << VIRTIO_BLK_F_DISCARD | 1ull << VIRTIO_BLK_F_WRITE_ZEROES));
	buf = vdrv_alloc(&k.d, 16, 16);
	ksft_eq(one_range(&k, buf, type[0], 0, 1, 0), UNSUPP);
	ksft_eq(one_range(&k, buf, type[1], 0, 1, 0), UNSUPP);
	disk_down(&k);
}

struct flipper {
	uint8_t *at;
	bool stop;
};

static void *flip(void *arg)
{
	struct flipper *f = arg;
	static const uint64_t sector[] = { 0, UINT64_MAX, NSECT - 2, NSECT - 1, 1ull << 55 };
	unsigned int i = 0;

	while (!load_once(&f->stop))
		store_once((uint64_t *)(f->at + 8), htole64(sector[i++ % ARRAY_SIZE(sector)]));
	return NULL;
}

/* The driver rewrites the header while the device reads it: any outcome but a stray write. */
static void header_changes_meanwhile(void)
{
	struct flipper f = { 0 };
	pthread_t thread;
	struct disk k;
	uint64_t buf;
	unsigned int i, seen[2] = { 0 };

	disk_up(&k, MIB, ",direct=off");
	buf = vdrv_alloc(&k.d, 1024, 512);
	f.at = vdrv_hva(&k.d, k.hdr, 16);
	pthread_create(&thread, NULL, flip, &f);
	for (i = 0; i < 5000; i++) {
		uint8_t s = disk_io(&k, OUT, 0, buf, 1024);

		ksft_check(s == OK || s == IOERR);
		seen[s == OK]++;
	}
	store_once(&f.stop, true);
	pthread_join(thread, NULL);
	ksft_eq(lseek(k.fd, 0, SEEK_END), MIB);
	ksft_msg("%u served, %u refused", seen[1], seen[0]);
	disk_down(&k);
}

/* One at a time, many times: a lost kick or interrupt hangs. */
static void no_kick_is_lost(void)
{
	static const uint64_t without[] = { 0, 1ull << VIRTIO_RING_F_EVENT_IDX };
	struct disk k;
	uint64_t buf;
	unsigned int i, j;

	for (j = 0; j < ARRAY_SIZE(without); j++) {
		disk_open(&k, MIB, ",direct=off");
		disk_start(&k, ~without[j]);
		buf = vdrv_alloc(&k.d, 512, 512);
		for (i = 0; i < 10000; i++)
			ksft_eq(disk_io(&k, IN, i % NSECT, buf, 512), OK);
		disk_down(&k);
	}
}

static void small_ring(void)
{
	struct vdrv_buf b[4];
	struct disk k;
	uint64_t buf;
	uint8_t *status;

	disk_open(&k, MIB, "");
	vdrv_start(&k.d, k.m, ~0ull, 0, 4);
	buf = vdrv_alloc(&k.d, 1024, 512);
	status = vdrv_hva(&k.d, k.status, 1);
	b[0] = (struct vdrv_buf){ k.hdr, 16 };
	b[1] = (struct vdrv_buf){ buf, 512 };
	b[2] = (struct vdrv_buf){ buf + 512, 512 };
	b[3] = (struct vdrv_buf){ k.status, 1 };
	disk_hdr(&k, k.hdr, IN, 0);
	*status = 0xee;
	ksft_eq(disk_chain(&k, b, 1, 3, false), 1025);
	ksft_eq(*status, OK);
	disk_down(&k);
}

static void statistics(void)
{
	char *text = NULL;
	size_t len;
	struct disk k;
	uint64_t buf;
	FILE *f;

	disk_up(&k, MIB, "");
	buf = vdrv_alloc(&k.d, 4096, 4096);
	ksft_eq(disk_io(&k, IN, 0, buf, 4096), OK);
	ksft_eq(disk_io(&k, IN, 0, buf, 512), OK);
	ksft_eq(disk_io(&k, OUT, 0, buf, 1024), OK);
	ksft_eq(disk_io(&k, OUT, NSECT, buf, 1024), IOERR);
	ksft_eq(disk_io(&k, VIRTIO_BLK_T_FLUSH, 0, 0, 0), OK);
	vdev_reset(k.vd);
	f = open_memstream(&text, &len);
	vdev_print_stats(k.vd, f);
	fclose(f);
	ksft_check(strstr(text, " reads=2 writes=1 flushes=1 discards=0 read_bytes=4608 "
				"write_bytes=1024 errors=1\n"));
	ksft_check(strstr(text, " q0.chains=5 "));
	free(text);
	disk_down(&k);
}

int main(int argc, char **argv)
{
	ksft_case("features and configuration", features_and_config);
	ksft_case("read and write", read_write);
	ksft_case("header split over descriptors", header_split);
	ksft_case("header joined to data", header_joined_to_data);
	ksft_case("status joined to data", status_joined_to_data);
	ksft_case("data that is no whole number of sectors", length_not_of_sectors);
	ksft_case("sector out of range, with overflow", sector_out_of_range);
	ksft_case("length out of range", length_out_of_range);
	ksft_case("read-only disk", read_only);
	ksft_case("unknown request types", unknown_types);
	ksft_case("malformed chains break the device", malformed_chains);
	ksft_case("zero-length buffers carry no status", zero_length_status_ignored);
	ksft_case("as many segments as there may be", many_segments_all);
	ksft_case("segments of one byte", tiny_segments);
	ksft_case("serial number into buffers of any length", get_id);
	ksft_case("write zeroes", write_zeroes);
	ksft_case("write zeroes where fallocate cannot", write_zeroes_by_writing);
	ksft_case("discard", discard);
	ksft_case("bad ranges to discard and zero", bad_ranges);
	ksft_case("header changes while it is read", header_changes_meanwhile);
	ksft_case("no kick is lost", no_kick_is_lost);
	ksft_case("ring of four", small_ring);
	ksft_case("statistics", statistics);
	return ksft_run(argc, argv);
}
