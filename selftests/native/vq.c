// SPDX-License-Identifier: GPL-2.0-only
/*
 * Split virtqueues against good, sloppy and hostile drivers, one thread. Corrupt rings are written
 * descriptor by descriptor; what others got wrong before has a case of its own.
 *
 * Long because every case is a ring spelled out, and all of them share the few helpers above them.
 */
#include "kselftest.h"
#include "vdrv.h"

#define NEXT	 VRING_DESC_F_NEXT
#define WRITE	 VRING_DESC_F_WRITE
#define INDIRECT VRING_DESC_F_INDIRECT
#define HOLE	 0xd0000000ull /* where a machine has its device registers */

static struct vdrv d;
static struct vdrv_q *const q = &d.q[0];
static struct vq vq;
static struct iovec iov[VQ_SIZE_MAX];
static struct vq_chain c;
static uint64_t page; /* 4 KiB of guest memory */
static bool have_memory;

static void start(uint16_t size, bool event_idx, bool indirect)
{
	if (have_memory) /* of the case before, which may have failed */
		vdrv_fini(&d);
	vdrv_init(&d);
	have_memory = true;
	vdrv_q_init(&d, q, size, event_idx);
	vdrv_q_attach(q, &vq, indirect);
	page = vdrv_alloc(&d, 4096, 4096);
	c = (struct vq_chain){ .iov = iov, .iov_max = VQ_SIZE_MAX };
}

static void desc(unsigned int i, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
	q->desc[i] = (struct vring_desc){ addr, len, flags, next };
}

/* Make heads available without the test driver's own bookkeeping. */
static void avail(uint16_t head)
{
	q->avail->ring[q->avail->idx % q->size] = head;
	q->avail->idx++;
}

static void expect_broken(const char *why)
{
	ksft_eq(vq_pop(&vq, &c), -EPROTO);
	ksft_check(vq.broken);
	if (!strstr(vq.broken, why))
		ksft_fail("broken for \"%s\", expected \"%s\"", vq.broken, why);
	/* And it stays so, whatever the ring looks like now. */
	ksft_eq(vq_pop(&vq, &c), -EPROTO);
}

/* One chain of a single descriptor: the address and the length are refused. */
static void refused(uint64_t addr, uint32_t len, uint16_t flags, const char *why)
{
	start(8, false, true);
	desc(0, addr, len, flags, 0);
	avail(0);
	expect_broken(why);
}

static void pop_direct(void)
{
	uint64_t high;
	int head;

	start(8, false, false);
	high = vdrv_alloc_high(&d, 8192, 4096);
	head = vdrv_add(q, (struct vdrv_buf[]){ { page, 16 }, { high, 5000 }, { page + 16, 1 } }, 1,
			2, false);
	ksft_eq(vq_pop(&vq, &c), 0);
	vdrv_publish(q);
	ksft_eq(vq_pop(&vq, &c), 1);
	ksft_eq(c.head, head);
	ksft_eq(c.nout, 1);
	ksft_eq(c.nin, 2);
	ksft_eq(c.out_len, 16);
	ksft_eq(c.in_len, 5001);
	ksft_check(iov[0].iov_base == vdrv_hva(&d, page, 16));
	ksft_check(iov[1].iov_base == vdrv_hva(&d, high, 5000));
	ksft_eq(iov[1].iov_len, 5000);
	ksft_check(iov[2].iov_base == vdrv_hva(&d, page + 16, 1));
	ksft_eq(vq_pop(&vq, &c), 0);
}

static void pop_indirect(void)
{
	int head;

	start(8, false, true);
	head = vdrv_add(q, (struct vdrv_buf[]){ { page, 16 }, { page + 64, 32 } }, 1, 1, true);
	vdrv_publish(q);
	ksft_eq(vq_pop(&vq, &c), 1);
	ksft_eq(c.head, head);
	ksft_eq(c.nout, 1);
	ksft_eq(c.nin, 1);
	ksft_eq(c.out_len, 16);
	ksft_eq(c.in_len, 32);
	/* Direct descriptors may lead to a table, whose own WRITE means nothing (2.7.5.3.2). */
	start(8, false, true);
	desc(3, page, 7, NEXT, 5);
	desc(5, page + 1024, 32, INDIRECT | WRITE, 0);
	memcpy(vdrv_hva(&d, page + 1024, 32),
	       (struct vring_desc[]){ { page + 8, 9, NEXT, 1 }, { page + 32, 11, WRITE, 0 } }, 32);
	avail(3);
	ksft_eq(vq_pop(&vq, &c), 1);
	ksft_eq(c.nout, 2);
	ksft_eq(c.nin, 1);
	ksft_eq(c.out_len, 16);
	ksft_eq(c.in_len, 11);
}

static void loops(void)
{
	start(8, false, true);
	desc(0, page, 1, NEXT, 0);
	avail(0);
	expect_broken("loop");
	start(8, false, true);
	desc(0, page, 1, NEXT, 1);
	desc(1, page, 1, NEXT, 0);
	avail(1);
	expect_broken("loop");
	start(8, false, true);
	desc(0, page, 1, NEXT | WRITE, 0);
	avail(0);
	expect_broken("loop");
	/* Without any data, and inside a table. */
	start(8, false, true);
	desc(0, 0, 0, NEXT, 0);
	avail(0);
	expect_broken("loop");
	start(8, false, true);
	desc(0, page, 64, INDIRECT, 0);
	memcpy(vdrv_hva(&d, page, 64),
	       (struct vring_desc[]){ { page, 1, NEXT, 3 }, { 0 }, { 0 }, { page, 1, NEXT, 0 } },
	       64);
	avail(0);
	expect_broken("loop");
}

static void longest_chain(void)
{
	unsigned int i;

	/* As long as the ring is fine, in the ring and in a table. */
	start(VQ_SIZE_MAX, false, true);
	for (i = 0; i < VQ_SIZE_MAX; i++)
		desc(i, page + i, 1, i + 1 < VQ_SIZE_MAX ? NEXT : 0, i + 1);
	avail(0);
	ksft_eq(vq_pop(&vq, &c), 1);
	ksft_eq(c.nout, VQ_SIZE_MAX);
	start(4, false, true);
	for (i = 0; i < 8; i++)
		*(struct vring_desc *)vdrv_hva(&d, page + 16 * i, 16) =
			(struct vring_desc){ page, 1, i < 3 ? NEXT : 0, i + 1 };
	desc(0, page, 128, INDIRECT, 0); /* spare entries in the table do no harm */
	avail(0);
	ksft_eq(vq_pop(&vq, &c), 1);
	ksft_eq(c.nout, 4);
	/* One more is not (2.7.5.3.1). */
	((struct vring_desc *)vdrv_hva(&d, page, 64))[3].flags = NEXT;
	desc(1, page, 128, INDIRECT, 0);
	avail(1);
	expect_broken("longer than the ring");
}

static void nested_indirect(void)
{
	start(8, false, true);
	desc(0, page, 16, INDIRECT, 0);
	*(struct vring_desc *)vdrv_hva(&d, page, 16) =
		(struct vring_desc){ page + 16, 16, INDIRECT, 0 };
	avail(0);
	expect_broken("nested");
	/* A table that is the ring itself: an endless walk for who compares pointers. */
	start(8, false, true);
	desc(0, q->desc_gpa, 8 * 16, INDIRECT, 0);
	avail(0);
	expect_broken("nested");
}

static void indirect_flags(void)
{
	start(8, false, true);
	desc(0, page, 16, INDIRECT | NEXT, 1);
	desc(1, page, 16, 0, 0);
	avail(0);
	expect_broken("with a next");
	start(8, false, false);
	desc(0, page, 16, INDIRECT, 0);
	avail(0);
	expect_broken("without the feature");
}

static void indirect_length(void)
{
	refused(page, 0, INDIRECT, "impossible length");
	refused(page, 8, INDIRECT, "impossible length");
	refused(page, 17, INDIRECT, "impossible length");
	refused(page, 0xffffffff, INDIRECT, "impossible length");
	refused(page, 0xfffffff0, INDIRECT, "impossible length");
	refused(VDRV_HIGH_GPA, 16 * 65537, INDIRECT, "impossible length");
	refused(HOLE, 16, INDIRECT, "table outside");
	refused(VDRV_LOW_GPA + VDRV_LOW_LEN - 16, 32, INDIRECT, "table outside");
	refused(-16ull, 16, INDIRECT, "table outside");
	refused(-16ull, 32, INDIRECT, "table outside");
}

static void indirect_misaligned(void)
{
	start(8, false, true);
	memcpy(vdrv_hva(&d, page + 3, 16), &(struct vring_desc){ page + 64, 5, WRITE, 0 }, 16);
	desc(0, page + 3, 16, INDIRECT, 0);
	avail(0);
	ksft_eq(vq_pop(&vq, &c), 1);
	ksft_eq(c.in_len, 5);
}

static void total_over_4g(void)
{
	const uint32_t len = VDRV_HIGH_LEN;
	const unsigned int n = (1ull << 32) / VDRV_HIGH_LEN;
	unsigned int i;

	start(256, false, false);
	for (i = 0; i < n; i++)
		desc(i, VDRV_HIGH_GPA, len - (i == n - 1), i + 1 < n ? NEXT | WRITE : WRITE, i + 1);
	avail(0);
	ksft_eq(vq_pop(&vq, &c), 1);
	ksft_eq(c.in_len, UINT32_MAX);
	vq_push(&vq, c.head, 0);
	desc(n - 1, VDRV_HIGH_GPA, len, WRITE, 0);
	avail(0);
	expect_broken("4 GiB");
	/* Readable and writable together, too. */
	start(256, false, false);
	for (i = 0; i < n; i++)
		desc(i, VDRV_HIGH_GPA, len, (i + 1 < n ? NEXT : 0) | (i < n / 2 ? 0 : WRITE),
		     i + 1);
	avail(0);
	expect_broken("4 GiB");
}

static void zero_length(void)
{
	start(8, false, false);
	desc(0, page, 0, NEXT, 1);
	desc(1, page, 4, NEXT, 2);
	desc(2, HOLE, 0, NEXT | WRITE, 3);
	desc(3, page, 4, WRITE, 0);
	avail(0);
	ksft_eq(vq_pop(&vq, &c), 1);
	ksft_eq(c.nout, 1);
	ksft_eq(c.nin, 1);
	ksft_eq(c.out_len, 4);
	ksft_eq(c.in_len, 4);
	desc(4, page, 0, 0, 0);
	avail(4);
	ksft_eq(vq_pop(&vq, &c), 1);
	ksft_eq(c.nout + c.nin, 0);
	ksft_eq(c.out_len + c.in_len, 0);
}

static void head_past_ring(void)
{
	start(8, false, false);
	avail(8);
	expect_broken("past the end of the ring");
	start(8, false, false);
	avail(65535);
	expect_broken("past the end of the ring");
}

static void next_past_table(void)
{
	start(8, false, true);
	desc(0, page, 1, NEXT, 8);
	avail(0);
	expect_broken("past the end of its table");
	/* In a table its own length counts, not the ring's. */
	start(8, false, true);
	desc(0, page, 32, INDIRECT, 0);
	*(struct vring_desc *)vdrv_hva(&d, page, 16) = (struct vring_desc){ page, 1, NEXT, 2 };
	avail(0);
	expect_broken("past the end of its table");
}

static void too_many_available(void)
{
	start(8, false, false);
	q->avail->idx = 9;
	expect_broken("more chains available");
	start(8, false, false);
	q->avail->idx = 65535;
	expect_broken("more chains available");
	/* What is in flight takes its place in the ring. */
	start(8, false, false);
	desc(0, page, 1, 0, 0);
	avail(0);
	ksft_eq(vq_pop(&vq, &c), 1);
	q->avail->idx = 9;
	expect_broken("more chains available");
	/* Going backwards is the same as too far ahead. */
	start(8, false, false);
	desc(0, page, 1, 0, 0);
	avail(0);
	ksft_eq(vq_pop(&vq, &c), 1);
	vq_push(&vq, c.head, 0);
	q->avail->idx = 0;
	expect_broken("more chains available");
}

static void resubmitted(void)
{
	start(8, false, false);
	desc(2, page, 1, 0, 0);
	avail(2);
	avail(2);
	ksft_eq(vq_pop(&vq, &c), 1);
	expect_broken("before it was used");
	/* After it was used it is a new chain. */
	start(8, false, false);
	desc(2, page, 1, 0, 0);
	avail(2);
	avail(2);
	ksft_eq(vq_pop(&vq, &c), 1);
	vq_push(&vq, 2, 0);
	ksft_eq(vq_pop(&vq, &c), 1);
}

static void readable_after_writable(void)
{
	start(8, false, false);
	desc(0, page, 1, NEXT | WRITE, 1);
	desc(1, page, 1, 0, 0);
	avail(0);
	expect_broken("readable descriptor after");
	start(8, false, true);
	desc(0, page, 1, NEXT | WRITE, 1);
	desc(1, page + 64, 16, INDIRECT | WRITE, 0);
	*(struct vring_desc *)vdrv_hva(&d, page + 64, 16) = (struct vring_desc){ page, 1, 0, 0 };
	avail(0);
	expect_broken("readable descriptor after");
}

static void buffer_outside(void)
{
	const uint64_t low_end = VDRV_LOW_GPA + VDRV_LOW_LEN;

	refused(HOLE, 4096, 0, "buffer outside");
	refused(HOLE, 4096, WRITE, "buffer outside");
	refused(0, 1, 0, "buffer outside");
	refused(VDRV_LOW_GPA - 1, 2, 0, "buffer outside");
	refused(low_end, 1, 0, "buffer outside");
	refused(low_end - 1, 2, WRITE, "buffer outside");
	refused(VDRV_HIGH_GPA + VDRV_HIGH_LEN - 4096, 4097, WRITE, "buffer outside");
	refused(VDRV_LOW_GPA, 0xffffffff, 0, "buffer outside");
	refused(-1ull, 2, 0, "buffer outside");
	refused(-4096ull, 0xffffffff, WRITE, "buffer outside");
	/* A host address is not a guest address. */
	start(8, false, false);
	refused((uintptr_t)vdrv_hva(&d, VDRV_LOW_GPA, 1), 1, 0, "buffer outside");
	/* The last byte is inside. */
	start(8, false, false);
	desc(0, low_end - 1, 1, 0, 0);
	avail(0);
	ksft_eq(vq_pop(&vq, &c), 1);
}

static void iov_capacity(void)
{
	start(8, false, false);
	c.iov_max = 2;
	desc(0, page, 1, NEXT, 1);
	desc(1, page, 1, NEXT | WRITE, 2);
	desc(2, page, 0, WRITE, 0);
	avail(0);
	ksft_eq(vq_pop(&vq, &c), 1);
	vq_push(&vq, 0, 0);
	desc(2, page, 1, WRITE, 0);
	avail(0);
	expect_broken("more buffers than");
}

static void first_reason(void)
{
	start(8, false, false);
	vq_break(&vq, "header too short");
	vq_break(&vq, "something else");
	expect_broken("header too short");
	ksft_check(vq_kicks_on(&vq)); /* do not wait on it */
}

/* --- double fetch -------------------------------------------------------------------------------
 * Another thread keeps flipping a descriptor between a harmless value and a dangerous one. Whatever
 * is popped must be all harmless; a second read of any field would mix the two sooner or later.
 */
static bool flip_stop;

static void *flipper(void *arg)
{
	volatile struct vring_desc *v = arg;

	while (!__atomic_load_n(&flip_stop, __ATOMIC_RELAXED)) {
		v->addr = HOLE;
		v->len = 0x7fffffff;
		v->flags = WRITE;
		v->addr = page;
		v->len = 64;
		v->flags = 0;
	}
	return NULL;
}

static void double_fetch(void)
{
	unsigned int i, good = 0, bad = 0;
	pthread_t t;

	start(8, false, false);
	desc(0, page, 64, 0, 0);
	flip_stop = false;
	ksft_check(!pthread_create(&t, NULL, flipper, &q->desc[0]));
	for (i = 0; i < 300000; i++) {
		vdrv_q_attach(q, &vq, false);
		q->avail->idx = 0;
		avail(0);
		if (vq_pop(&vq, &c) != 1) {
			bad++;
			continue;
		}
		good++;
		if (c.nout + c.nin != 1 || iov[0].iov_base != vdrv_hva(&d, page, 64) ||
		    iov[0].iov_len != 64 || c.out_len + c.in_len != 64)
			break;
	}
	__atomic_store_n(&flip_stop, true, __ATOMIC_RELAXED);
	pthread_join(t, NULL);
	ksft_eq(i, 300000);
	ksft_msg("%u popped, %u refused", good, bad);
	ksft_check(good);
	/* After the pop the ring may say what it likes. */
	start(8, false, false);
	desc(0, page, 64, 0, 0);
	avail(0);
	ksft_eq(vq_pop(&vq, &c), 1);
	desc(0, HOLE, 1 << 30, WRITE, 0);
	ksft_eq(iov[0].iov_len, 64);
	ksft_eq(c.nout, 1);
	vq_push(&vq, c.head, 0);
	ksft_eq(q->used->ring[0].id, 0);
}

/* --- set-up --- */

static void setup_refused(const char *why)
{
	ksft_eq(vq_enable(&vq), -EINVAL);
	ksft_check(!vq.enabled);
	ksft_check(strstr(vq.broken, why));
	ksft_eq(vq_pop(&vq, &c), -EPROTO);
}

static void setup_begin(uint16_t size)
{
	start(8, false, false);
	vq_init(&vq, &d.mem, 256);
	vq.size = size;
	vq.desc_gpa = q->desc_gpa;
	vq.avail_gpa = q->avail_gpa;
	vq.used_gpa = q->used_gpa;
}

static void setup_size(void)
{
	static const uint16_t bad[] = { 0, 3, 7, 255, 512, 1024, 32768, 65535 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		setup_begin(bad[i]);
		setup_refused("queue size");
	}
	for (i = 1; i <= 256; i *= 2) {
		setup_begin(i);
		ksft_eq(vq_enable(&vq), 0);
	}
}

static void setup_alignment(void)
{
	setup_begin(8);
	vq.desc_gpa += 8;
	setup_refused("misaligned");
	setup_begin(8);
	vq.avail_gpa += 1;
	setup_refused("misaligned");
	setup_begin(8);
	vq.used_gpa += 2;
	setup_refused("misaligned");
}

static void setup_outside(void)
{
	const uint64_t end = VDRV_LOW_GPA + VDRV_LOW_LEN;
	static const uint64_t bad[] = { 0, HOLE, -16ull, -256ull };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		setup_begin(8);
		vq.desc_gpa = bad[i];
		setup_refused("outside");
		setup_begin(8);
		vq.avail_gpa = bad[i];
		setup_refused("outside");
		setup_begin(8);
		vq.used_gpa = bad[i];
		setup_refused("outside");
	}
	/* The last part that does not fit, then the first that does, with the event fields. */
	setup_begin(8);
	vq.desc_gpa = end - 8 * 16 + 16;
	setup_refused("outside");
	setup_begin(8);
	vq.avail_gpa = end - 20;
	setup_refused("outside");
	setup_begin(8);
	vq.used_gpa = end - 68;
	setup_refused("outside");
	setup_begin(8);
	vq.desc_gpa = end - 8 * 16;
	ksft_eq(vq_enable(&vq), 0);
	setup_begin(8);
	vq.avail_gpa = end - 22;
	ksft_eq(vq_enable(&vq), 0);
	setup_begin(8);
	vq.used_gpa = end - 72; /* 70 bytes, aligned */
	ksft_eq(vq_enable(&vq), 0);
}

static void disabled(void)
{
	start(8, false, false);
	vq_reset(&vq);
	ksft_eq(vq_pop(&vq, &c), 0);
	vq_kicks_off(&vq);
	ksft_check(!vq_kicks_on(&vq));
	ksft_check(!vq_flush(&vq));
}

/* --- completion and notification --- */

static uint16_t add_one(void)
{
	int head = vdrv_add(q, &(struct vdrv_buf){ page, 8 }, 0, 1, false);

	ksft_check(head >= 0);
	return head;
}

static void used_order(void)
{
	uint16_t h[4], head;
	uint32_t len;
	unsigned int i;

	start(4, false, false);
	for (i = 0; i < 4; i++)
		h[i] = add_one();
	vdrv_publish(q);
	for (i = 0; i < 4; i++)
		ksft_eq(vq_pop(&vq, &c), 1);
	vq_push(&vq, h[2], 22);
	vq_push(&vq, h[0], 0);
	ksft_check(!vdrv_used(q, &head, &len)); /* not before the flush */
	ksft_check(vq_flush(&vq));
	ksft_check(!vq_flush(&vq)); /* nothing new */
	ksft_check(vdrv_used(q, &head, &len));
	ksft_eq(head, h[2]);
	ksft_eq(len, 22);
	ksft_check(vdrv_used(q, &head, &len));
	ksft_eq(head, h[0]);
	ksft_eq(len, 0);
	ksft_check(!vdrv_used(q, &head, &len));
	vq_push(&vq, h[3], 3);
	vq_push(&vq, h[1], 1);
	ksft_check(vq_flush(&vq));
	ksft_check(vdrv_used(q, &head, &len));
	ksft_eq(head, h[3]);
	ksft_check(vdrv_used(q, &head, &len));
	ksft_eq(head, h[1]);
	ksft_eq(vq.inflight, 0);
	ksft_eq(vq.stat_chains, 4);
}

/* Is event one of old, old + 1, .. new - 1? By counting, not by the formula. */
static bool crossed(uint16_t event, uint16_t old, uint16_t new)
{
	while (old != new)
		if (event == old++)
			return true;
	return false;
}

static void one_batch(unsigned int n, uint16_t event)
{
	uint16_t old = vq.used_flushed;
	unsigned int i;

	for (i = 0; i < n; i++)
		add_one();
	vdrv_publish(q);
	for (i = 0; i < n; i++) {
		ksft_eq(vq_pop(&vq, &c), 1);
		vq_push(&vq, c.head, 0);
	}
	while (vdrv_used(q, NULL, NULL))
		;
	q->avail->ring[q->size] = event;
	ksft_eq(vq_flush(&vq), crossed(event, old, old + n));
	ksft_eq((uint16_t)(old + n), q->used->idx);
	while (vdrv_used(q, NULL, NULL))
		;
}

static void event_idx_irq(void)
{
	unsigned int i, k, n;

	/* The ring as it begins, and then every index that it can have, past the wrap. */
	start(8, true, false);
	for (i = 0; i < 2 * 65536 + 100; i += n) {
		static const int near[] = { -9, -2, -1, 0, 1, 2, 7, 8, 0x7fff, 0x8000 };

		n = 1 + i % 3;
		k = (i / 3) % ARRAY_SIZE(near);
		one_batch(n, vq.used_idx + near[k]);
	}
	/* And every event at a few indices, the wrap among them. */
	for (k = 0; k < 3; k++) {
		start(8, true, false);
		vq.used_idx = vq.used_flushed = (uint16_t[]){ 0, 65534, 65535 }[k];
		q->used->idx = q->last_used = vq.used_idx;
		for (i = 0; i < 65536; i++) {
			one_batch(1 + i % 8, i * 7919);
			if (i % 4096 == 0) {
				vq.used_idx = vq.used_flushed = (uint16_t)(65533 + i % 5);
				q->used->idx = q->last_used = vq.used_idx;
			}
		}
	}
}

static void irq_flag(void)
{
	start(8, false, false);
	add_one();
	add_one();
	vdrv_publish(q);
	ksft_eq(vq_pop(&vq, &c), 1);
	vq_push(&vq, c.head, 0);
	vdrv_irq_off(q);
	ksft_check(!vq_flush(&vq));
	/* A driver that turns them on again finds what came meanwhile. */
	ksft_check(vdrv_irq_on(q));
	ksft_check(vdrv_used(q, NULL, NULL));
	ksft_check(!vdrv_irq_on(q));
	ksft_eq(vq_pop(&vq, &c), 1);
	vq_push(&vq, c.head, 0);
	ksft_check(vq_flush(&vq));
	/* With the event index the flag means nothing (2.7.7.1). */
	start(8, true, false);
	q->avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	add_one();
	vdrv_publish(q);
	ksft_eq(vq_pop(&vq, &c), 1);
	vq_push(&vq, c.head, 0);
	ksft_check(vq_flush(&vq));
}

static void kicks(bool event_idx)
{
	unsigned int i;

	start(8, event_idx, false);
	/* Nobody has said anything yet: the first chain must be kicked. */
	add_one();
	ksft_check(vdrv_publish(q));
	for (i = 0; i < 65536 + 100; i++) {
		vq_kicks_off(&vq);
		ksft_eq(vq_pop(&vq, &c), 1);
		vq_push(&vq, c.head, 0);
		vq_flush(&vq);
		ksft_check(vdrv_used(q, NULL, NULL));
		/* One that comes while we are polling is not kicked, but found. */
		if (i % 3 == 0) {
			add_one();
			ksft_check(!vdrv_publish(q));
			ksft_check(vq_kicks_on(&vq));
			continue;
		}
		ksft_eq(vq_pop(&vq, &c), 0);
		ksft_check(!vq_kicks_on(&vq));
		add_one();
		ksft_check(vdrv_publish(q));
	}
}

static void kicks_flag(void)
{
	kicks(false);
}

static void kicks_event(void)
{
	kicks(true);
}

/* The chain comes between the last look and asking for kicks: no kick, so it must be reported. */
static void kick_race(void)
{
	int event_idx;

	for (event_idx = 0; event_idx < 2; event_idx++) {
		start(8, event_idx, false);
		add_one();
		vdrv_publish(q);
		vq_kicks_off(&vq);
		ksft_eq(vq_pop(&vq, &c), 1);
		ksft_eq(vq_pop(&vq, &c), 0);
		add_one();
		ksft_check(!vdrv_publish(q));
		ksft_check(vq_kicks_on(&vq));
		ksft_eq(vq_pop(&vq, &c), 1);
		ksft_check(!vq_kicks_on(&vq));
	}
}

static void unpop(void)
{
	uint16_t h[3];
	unsigned int i;
	int event_idx;

	for (event_idx = 0; event_idx < 2; event_idx++) {
		struct vq_chain taken[3];

		start(8, event_idx, false);
		for (i = 0; i < 3; i++)
			h[i] = add_one();
		vdrv_publish(q);
		for (i = 0; i < 3; i++) {
			taken[i] = c;
			ksft_eq(vq_pop(&vq, &taken[i]), 1);
		}
		ksft_eq(vq_pop(&vq, &c), 0);
		while (i--)
			vq_unpop(&vq, &taken[i]);
		ksft_eq(vq.inflight, 0);
		ksft_eq(vq.stat_chains, 0);
		/* What was given back is nothing new; what is added is, and gets its kick. */
		ksft_check(!vq_kicks_on(&vq));
		add_one();
		ksft_check(vdrv_publish(q));
		ksft_check(vq_kicks_on(&vq));
		for (i = 0; i < 3; i++) {
			ksft_eq(vq_pop(&vq, &c), 1);
			ksft_eq(c.head, h[i]);
		}
		ksft_eq(vq_pop(&vq, &c), 1);
		ksft_eq(vq_pop(&vq, &c), 0);
		/* Read anew: the driver may have changed the entry meanwhile; checked again. */
		vq_unpop(&vq, &c);
		q->avail->ring[3] = 77;
		expect_broken("past the end of the ring");
	}
}

static void all_sizes(void)
{
	unsigned int size, i, round;
	uint16_t head;

	for (size = 1; size <= VQ_SIZE_MAX; size *= 2) {
		start(size, true, false);
		for (round = 0; round < 5; round++) {
			for (i = 0; i < size; i++)
				add_one();
			ksft_eq(vdrv_add(q, &(struct vdrv_buf){ page, 1 }, 1, 0, false), -1);
			vdrv_publish(q);
			for (i = 0; i < size; i++)
				ksft_eq(vq_pop(&vq, &c), 1);
			ksft_eq(vq_pop(&vq, &c), 0);
			ksft_eq(vq.inflight, size);
			for (i = 0; i < size; i++)
				vq_push(&vq, (i * 5 + 3) % size, 0);
			vq_flush(&vq);
			for (i = 0; i < size; i++)
				ksft_check(vdrv_used(q, &head, NULL));
			ksft_check(!vdrv_used(q, &head, NULL));
		}
	}
}

static void reset_in_flight(void)
{
	unsigned int i;

	start(8, true, true);
	vq.kick_fd = 77;
	vq.stat_kicks = 5;
	for (i = 0; i < 5; i++)
		add_one();
	vdrv_publish(q);
	for (i = 0; i < 3; i++)
		ksft_eq(vq_pop(&vq, &c), 1);
	vq_push(&vq, c.head, 0); /* pushed, never flushed */
	vq_break(&vq, "something");
	vq_reset(&vq);
	ksft_eq(vq.kick_fd, 77);
	ksft_eq(vq.stat_kicks, 5);
	ksft_eq(vq.stat_chains, 3);
	ksft_check(!vq.broken && !vq.enabled && !vq.event_idx && !vq.indirect);
	ksft_eq(vq.size + vq.inflight + vq.last_avail + vq.used_idx + vq.used_flushed, 0);
	ksft_check(!vq.desc && !vq.avail && !vq.used && !vq.desc_gpa);
	/* The same heads again, in a new ring. */
	vdrv_q_init(&d, q, 8, false);
	vq.size = 8;
	vq.desc_gpa = q->desc_gpa;
	vq.avail_gpa = q->avail_gpa;
	vq.used_gpa = q->used_gpa;
	ksft_eq(vq_enable(&vq), 0);
	for (i = 0; i < 8; i++)
		add_one();
	vdrv_publish(q);
	for (i = 0; i < 8; i++) {
		ksft_eq(vq_pop(&vq, &c), 1);
		vq_push(&vq, c.head, i);
	}
	ksft_check(vq_flush(&vq));
	for (i = 0; i < 8; i++)
		ksft_check(vdrv_used(q, NULL, NULL));
}

int main(int argc, char **argv)
{
	int ret;

	ksft_case("a direct chain", pop_direct);
	ksft_case("an indirect chain, and one behind direct descriptors", pop_indirect);
	ksft_case("descriptor loops", loops);
	ksft_case("a chain as long as the ring, and one longer", longest_chain);
	ksft_case("nested indirect tables", nested_indirect);
	ksft_case("indirect with next, indirect without the feature", indirect_flags);
	ksft_case("indirect tables of wrong length or outside memory", indirect_length);
	ksft_case("a misaligned indirect table", indirect_misaligned);
	ksft_case("chain length over 2^32", total_over_4g);
	ksft_case("zero-length descriptors", zero_length);
	ksft_case("available entry past the ring", head_past_ring);
	ksft_case("next past its table", next_past_table);
	ksft_case("more available than the ring holds", too_many_available);
	ksft_case("a chain made available twice", resubmitted);
	ksft_case("readable after writable", readable_after_writable);
	ksft_case("buffers outside memory", buffer_outside);
	ksft_case("more buffers than the device takes", iov_capacity);
	ksft_case("the first reason is kept", first_reason);
	ksft_case("descriptor double fetch", double_fetch);
	ksft_case("set-up: queue size", setup_size);
	ksft_case("set-up: alignment", setup_alignment);
	ksft_case("set-up: ring outside memory", setup_outside);
	ksft_case("a queue left disabled", disabled);
	ksft_case("used entries in the order of completion", used_order);
	ksft_case("interrupts by event index, all indices", event_idx_irq);
	ksft_case("interrupts by flag", irq_flag);
	ksft_case("kicks by flag", kicks_flag);
	ksft_case("kicks by event index, all indices", kicks_event);
	ksft_case("a chain added while kicks are being turned on", kick_race);
	ksft_case("chains given back", unpop);
	ksft_case("full rings of all sizes", all_sizes);
	ksft_case("reset with chains in flight", reset_in_flight);
	ret = ksft_run(argc, argv);
	if (have_memory)
		vdrv_fini(&d);
	return ret;
}
