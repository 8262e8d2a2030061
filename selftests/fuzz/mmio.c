// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fuzzer: the registers of a virtio-mmio device, written in any order, width and value, and the
 * ring that they may set up. The device is a plain one whose "thread" runs when the input says so.
 *
 * Checked besides: a read shows what the page shows; the status register agrees with the device;
 * nothing is activated twice, or without its features and a ring in guest memory.
 */
#include <sys/eventfd.h>
#include <linux/virtio_mmio.h>

#include "fuzz.h"
#include "log.h"
#include "mmio.h"

#define LOW_GPA	 0x10000ull
#define HIGH_GPA 0x100000000ull
#define SLOT_LEN 4096
#define OFFERED	 (1ull << 5)

static struct gmem mem;
static struct vdev vd;
static struct vmmio *m;
static uint8_t config[20];
static bool active;

static int toy_activate(struct vdev *v)
{
	unsigned int i, enabled = 0;

	fuzz_assert(!active);
	fuzz_assert(!(v->negotiated & ~v->features) && vdev_has(v, VIRTIO_F_VERSION_1));
	for (i = 0; i < v->nvq; i++)
		enabled += v->vq[i].enabled;
	fuzz_assert(enabled);
	active = true;
	return 0;
}

static void toy_quiesce(struct vdev *v)
{
	fuzz_assert(active);
	active = false;
}

static void toy_config_write(struct vdev *v, uint32_t off, const void *buf, uint32_t len)
{
	fuzz_assert(off < sizeof(config) && len <= sizeof(config) - off);
	memcpy(config + off, buf, len);
}

static const struct vdev_ops toy_ops = {
	.name = "toy",
	.id = 42,
	.activate = toy_activate,
	.quiesce = toy_quiesce,
	.config_write = toy_config_write,
};

static void run_device(struct fuzz *f)
{
	static struct iovec iov[VQ_SIZE_MAX];
	struct vq_chain c = { .iov = iov, .iov_max = VQ_SIZE_MAX };
	struct vq *vq = &vd.vq[fuzz_u8(f) % vd.nvq];
	unsigned int n = 0;
	int ret;

	if (!active || vdev_is_broken(&vd))
		return;
	vq_kicks_off(vq);
	while ((ret = vq_pop(vq, &c)) == 1 && n++ < 64) {
		if (c.nin)
			*(uint8_t *)iov[c.nout].iov_base = fuzz_u8(f);
		vq_push(vq, c.head, c.nin != 0);
		vdev_flush(&vd, vq);
	}
	if (ret < 0)
		vdev_broken(&vd, vq->broken);
	else
		vq_kicks_on(vq);
}

static uint32_t reg(uint32_t off)
{
	uint32_t val, seen;

	vmmio_read(m, off, &val, 4);
	memcpy(&seen, m->page + off, 4);
	fuzz_assert(val == seen);
	return val;
}

static void write_reg(uint32_t off, uint32_t val)
{
	vmmio_write(m, off, &val, 4);
}

static void negotiate(struct fuzz *f)
{
	static const uint32_t ring_features[] = {
		0, 1u << 28, 1u << 29, 3u << 28, 1u << 4, 1u << 5
	};

	write_reg(VIRTIO_MMIO_STATUS, 0);
	write_reg(VIRTIO_MMIO_STATUS, 3);
	write_reg(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	write_reg(VIRTIO_MMIO_DRIVER_FEATURES, 1);
	write_reg(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	write_reg(VIRTIO_MMIO_DRIVER_FEATURES, FUZZ_PICK(f, ring_features));
	write_reg(VIRTIO_MMIO_STATUS, 11);
}

static void add_queue(struct fuzz *f)
{
	write_reg(VIRTIO_MMIO_QUEUE_SEL, fuzz_u8(f) % 3);
	write_reg(VIRTIO_MMIO_QUEUE_NUM, 8);
	write_reg(VIRTIO_MMIO_QUEUE_DESC_LOW, LOW_GPA);
	write_reg(VIRTIO_MMIO_QUEUE_AVAIL_LOW, LOW_GPA + 256);
	write_reg(VIRTIO_MMIO_QUEUE_USED_LOW, (uint32_t)HIGH_GPA);
	write_reg(VIRTIO_MMIO_QUEUE_USED_HIGH, HIGH_GPA >> 32);
	write_reg(VIRTIO_MMIO_QUEUE_READY, 1);
}

static void step(struct fuzz *f)
{
	static const uint32_t vals[] = {
		0,	 1,	  2,	      3,	  4,	      8,	  11,
		15,	 64,	  128,	      143,	  256,	      0x10000,	  0x10100,
		0x10ff0, 0x10008, 0x7fffffff, 0x80000000, 0xfffffff8, 0xffffffff,
	};
	static const unsigned int widths[] = { 1, 2, 4, 8 };
	uint8_t op = fuzz_u8(f);
	uint64_t off, val;

	switch (op % 12) {
	case 0 ... 3: /* a register */
		off = fuzz_u8(f) % 64 * 4;
		val = op & 16 ? fuzz_u32(f) : FUZZ_PICK(f, vals);
		write_reg(off, val);
		break;
	case 4: /* any access */
		off = op & 16 ? fuzz_u64(f) : fuzz_u32(f) % (VMMIO_PAGE_SIZE + 16);
		val = fuzz_u64(f);
		vmmio_write(m, off, &val, FUZZ_PICK(f, widths));
		vmmio_read(m, off, &val, FUZZ_PICK(f, widths));
		break;
	case 5:
		negotiate(f);
		break;
	case 6:
		add_queue(f);
		break;
	case 7:
		write_reg(VIRTIO_MMIO_STATUS, 15);
		break;
	case 8: /* a descriptor */
	{
		struct vring_desc *d = (struct vring_desc *)mem.slot[0].hva + fuzz_u8(f) % 8;

		d->addr = LOW_GPA + (int8_t)fuzz_u8(f) * 128;
		d->len = fuzz_u8(f) * 16;
		d->flags = fuzz_u8(f) & 7;
		d->next = fuzz_u8(f) % 9;
		break;
	}
	case 9: /* an available entry */
	{
		struct vring_avail *a = (struct vring_avail *)(mem.slot[0].hva + 256);

		a->ring[a->idx % 8] = fuzz_u8(f) % 9;
		a->idx += op & 16 ? fuzz_u8(f) : 1;
		break;
	}
	case 10:
		run_device(f);
		break;
	case 11:
		config[fuzz_u8(f) % sizeof(config)] = fuzz_u8(f);
		vd.tp->config_changed(&vd);
		fuzz_assert(!memcmp(config, m->page + VIRTIO_MMIO_CONFIG, sizeof(config)));
		break;
	}
	fuzz_assert(reg(VIRTIO_MMIO_MAGIC_VALUE) == 0x74726976);
	fuzz_assert(reg(VIRTIO_MMIO_STATUS) == vd.status);
	fuzz_assert(active == vd.active);
	fuzz_assert(!active || (vd.status & 15) == 15);
	off = fuzz_u8(f) % 64 * 4;
	reg(off);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz f = { data, len };
	eventfd_t n;

	if (!m) {
		log_set_level(LOG_ERR);
		mem.slot[0] = (struct gmem_slot){ LOW_GPA, SLOT_LEN, malloc(SLOT_LEN) };
		mem.slot[1] = (struct gmem_slot){ HIGH_GPA, SLOT_LEN, malloc(SLOT_LEN) };
		mem.nslots = 2;
		fuzz_assert(!vdev_init(&vd, &toy_ops, &mem, OFFERED, 3, 256));
		vd.config = config;
		vd.config_len = sizeof(config);
		fuzz_assert(!vmmio_create(&vd, &m));
	}
	memset(mem.slot[0].hva, 0, SLOT_LEN);
	memset(mem.slot[1].hva, 0, SLOT_LEN);
	memset(config, 0, sizeof(config));
	vd.tp->config_changed(&vd);
	while (f.left)
		step(&f);
	write_reg(VIRTIO_MMIO_STATUS, 0);
	fuzz_assert(!active && !reg(VIRTIO_MMIO_STATUS) && !reg(VIRTIO_MMIO_INTERRUPT_STATUS));
	eventfd_read(m->irq_fd, &n);
	return 0;
}
