// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fuzzer: one virtqueue whose ring, tables and set-up all come from the input, popped, pushed and
 * reset in the order that the input wants. Guest memory is two small heap blocks, so that the
 * sanitizer sees every byte beyond them.
 *
 * Checked besides: what vq_pop() hands out lies in guest memory and adds up, and it takes and
 * refuses exactly what a second, slower walk written straight from the specification does.
 */
#include "fuzz.h"
#include "vq.h"

#define LOW_GPA	 0x10000ull
#define LOW_LEN	 4096
#define HIGH_GPA 0x100000000ull
#define HIGH_LEN 2048
#define TABLE	 (LOW_GPA + LOW_LEN - 256) /* indirect tables: 16 entries, the end of memory */

static struct gmem mem;
static struct vq vq;
static struct iovec iov[VQ_SIZE_MAX];
static uint16_t held[VQ_SIZE_MAX];
static unsigned int nheld;
static uint16_t taken; /* chains popped for good, as the avail ring counts */

static const uint64_t addrs[] = {
	LOW_GPA,
	LOW_GPA + 1,
	LOW_GPA + 64,
	LOW_GPA + 1024,
	TABLE,
	TABLE + 16,
	TABLE + 3,
	LOW_GPA + LOW_LEN - 1,
	LOW_GPA + LOW_LEN,
	LOW_GPA - 1,
	HIGH_GPA,
	HIGH_GPA + 1024,
	HIGH_GPA + HIGH_LEN - 16,
	HIGH_GPA + HIGH_LEN - 4,
	0,
	0xd0000000,
	~0ull,
	~0ull - 15,
	1ull << 63,
	0x7fffffffffffffff,
};

static const uint32_t lens[] = {
	0,   1,	   2,	 15,   16,   17,    32,	      48,	64,	    128,	144,
	256, 1024, 2048, 4096, 4097, 65536, 1u << 20, 1u << 31, 0xfffffff0, 0xffffffff,
};

static const uint16_t sizes[] = {
	8, 1, 2, 4, 16, 32, 64, 128, 0, 3, 256, 1024, 2048, 0x8000, 65535
};

static void set_up(struct fuzz *f, bool regular)
{
	vq_reset(&vq);
	nheld = 0;
	taken = 0;
	vq.size = regular ? 8 : FUZZ_PICK(f, sizes);
	vq.desc_gpa = regular ? LOW_GPA : FUZZ_PICK(f, addrs);
	vq.avail_gpa = regular ? LOW_GPA + 256 : FUZZ_PICK(f, addrs);
	vq.used_gpa = regular ? HIGH_GPA : FUZZ_PICK(f, addrs);
	vq.event_idx = fuzz_u8(f) & 1;
	vq.indirect = !(fuzz_u8(f) & 1);
	if (vq_enable(&vq))
		fuzz_assert(!regular && vq.broken && !vq.enabled);
	else
		fuzz_assert(vq.size && vq.size <= VQ_SIZE_MAX && !(vq.size & (vq.size - 1)));
}

static void desc(struct fuzz *f)
{
	uint8_t where = fuzz_u8(f);
	struct vring_desc d;
	uint64_t at = where & 64 ? TABLE : LOW_GPA;

	d.addr = FUZZ_PICK(f, addrs);
	d.len = FUZZ_PICK(f, lens);
	d.flags = fuzz_u8(f) & 7;
	d.next = fuzz_u8(f) % 18;
	memcpy(gmem_ptr(&mem, at + 16 * (where % 16), 16), &d, 16);
}

static void available(struct fuzz *f)
{
	uint16_t idx;

	if (!vq.enabled)
		return;
	idx = vq.avail->idx;
	vq.avail->ring[idx & (vq.size - 1)] = fuzz_u8(f) % 10;
	vq.avail->idx = idx + 1;
}

static bool in_memory(const struct iovec *v)
{
	unsigned int i;

	for (i = 0; i < mem.nslots; i++) {
		const uint8_t *from = mem.slot[i].hva, *p = v->iov_base;

		if (p >= from && p < from + mem.slot[i].len)
			return v->iov_len <= (size_t)(from + mem.slot[i].len - p);
	}
	return false;
}

static struct vring_desc entry(uint64_t table, unsigned int i)
{
	struct vring_desc d;

	memcpy(&d, gmem_ptr(&mem, table + 16 * i, 16), 16);
	return d;
}

/* Should this chain be taken? Nothing changes in memory between this and the pop. */
static bool chain_ok(uint16_t head, unsigned int iov_max)
{
	uint64_t table = vq.desc_gpa, end = vq.desc_gpa + 16ull * vq.size, total = 0;
	unsigned int visited = 0, buffers = 0, i = head;
	bool inside = false, writable = false;

	for (;;) {
		struct vring_desc d;

		if (table + 16ull * i >= end)
			return false;
		d = entry(table, i);
		if (d.flags & VRING_DESC_F_INDIRECT) {
			if (inside || !vq.indirect || d.flags & VRING_DESC_F_NEXT)
				return false;
			if (!d.len || d.len % 16 || d.len > 16 * 65536 ||
			    !gmem_ptr(&mem, d.addr, d.len))
				return false;
			table = d.addr;
			end = table + d.len;
			inside = true;
			i = 0;
			continue;
		}
		if (++visited > vq.size || (writable && !(d.flags & VRING_DESC_F_WRITE)))
			return false;
		if (d.len && d.flags & VRING_DESC_F_WRITE)
			writable = true;
		if (d.len && (++buffers > iov_max || !gmem_ptr(&mem, d.addr, d.len)))
			return false;
		total += d.len;
		if (total > UINT32_MAX)
			return false;
		if (!(d.flags & VRING_DESC_F_NEXT))
			return true;
		i = d.next;
	}
}

/* What vq_pop() should return. The index is read again only when all that was seen is taken. */
static int expected(unsigned int iov_max)
{
	uint16_t head;
	unsigned int i;

	if (vq.broken)
		return -EPROTO;
	if (!vq.enabled)
		return 0;
	if (vq.last_avail == vq.avail_seen) {
		if (vq.avail->idx == taken)
			return 0;
		if ((uint16_t)(vq.avail->idx - taken) + nheld > vq.size)
			return -EPROTO;
	}
	head = vq.avail->ring[taken % vq.size];
	for (i = 0; i < nheld; i++)
		if (held[i] == head)
			return -EPROTO;
	return head < vq.size && chain_ok(head, iov_max) ? 1 : -EPROTO;
}

static void pop(struct fuzz *f)
{
	struct vq_chain c = { .iov = iov, .iov_max = fuzz_u8(f) & 1 ? 3 : VQ_SIZE_MAX };
	uint64_t out = 0, in = 0;
	unsigned int i;
	int ret, want = expected(c.iov_max);

	ret = vq_pop(&vq, &c);
	fuzz_assert(ret == want);
	fuzz_assert((ret == -EPROTO) == !!vq.broken);
	if (ret != 1)
		return;
	for (i = 0; i < c.nout + c.nin; i++) {
		fuzz_assert(iov[i].iov_len && in_memory(&iov[i]));
		*(i < c.nout ? &out : &in) += iov[i].iov_len;
	}
	fuzz_assert(out == c.out_len && in == c.in_len && out + in <= UINT32_MAX);
	if (fuzz_u8(f) % 8 == 1) {
		vq_unpop(&vq, &c);
		return;
	}
	held[nheld++] = c.head;
	taken++;
	fuzz_assert(nheld == vq.inflight && nheld <= vq.size);
	/* A device writes there: over the ring itself, if the driver wants that. */
	for (i = c.nout; i < c.nout + c.nin; i++)
		memset(iov[i].iov_base, fuzz_u8(f), MIN(iov[i].iov_len, 32));
}

static void push(struct fuzz *f)
{
	unsigned int i;

	if (!nheld)
		return;
	i = fuzz_u8(f) % nheld;
	vq_push(&vq, held[i], fuzz_u8(f));
	held[i] = held[--nheld];
}

static void step(struct fuzz *f)
{
	uint8_t op = fuzz_u8(f);

	switch (op % 16) {
	case 0 ... 3:
		desc(f);
		break;
	case 4:
	case 5:
		available(f);
		break;
	case 6:
	case 7:
		pop(f);
		break;
	case 8:
	case 9:
		push(f);
		break;
	case 10:
		if (vq.enabled)
			vq_flush(&vq);
		break;
	case 11:
		vq_kicks_off(&vq);
		break;
	case 12:
		vq_kicks_on(&vq);
		break;
	case 13: /* any bytes, anywhere */
		*(uint8_t *)gmem_ptr(&mem, LOW_GPA + fuzz_u32(f) % LOW_LEN, 1) = fuzz_u8(f);
		break;
	case 14:
		if (vq.enabled)
			vq.avail->idx += fuzz_u8(f);
		break;
	case 15:
		set_up(f, op & 16);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz f = { data, len };

	if (!mem.nslots) {
		mem.slot[0] = (struct gmem_slot){ LOW_GPA, LOW_LEN, malloc(LOW_LEN) };
		mem.slot[1] = (struct gmem_slot){ HIGH_GPA, HIGH_LEN, malloc(HIGH_LEN) };
		mem.nslots = 2;
	}
	memset(mem.slot[0].hva, 0, LOW_LEN);
	memset(mem.slot[1].hva, 0, HIGH_LEN);
	vq_init(&vq, &mem, VQ_SIZE_MAX);
	set_up(&f, true);
	while (f.left)
		step(&f);
	return 0;
}
