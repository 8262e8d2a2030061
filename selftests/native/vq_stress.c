// SPDX-License-Identifier: GPL-2.0-only
/*
 * A driver thread and a device thread on one ring, with kicks and interrupts by eventfd and both
 * sides suppressing what they can: every chain must come back once, with its contents, and nobody
 * may sleep while there is work. A lost wake-up shows as a wait that runs into its (long) time-out.
 */
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "kselftest.h"
#include "vdrv.h"

#define CHAINS	1000000u
#define WAIT_MS 20000

struct stress {
	struct vdrv d;
	struct vdrv_q *q;
	struct vq vq;
	int irq_fd;
	unsigned int chains;
	bool indirect;
	uint64_t data;		     /* one slot of 64 bytes per descriptor */
	unsigned long long waits[2]; /* driver, device */
};

static uint32_t next_random(uint32_t *s)
{
	*s = *s * 1664525 + 1013904223;
	return *s >> 8;
}

static bool wait_fd(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	eventfd_t n;

	if (poll(&p, 1, WAIT_MS) != 1)
		return false;
	eventfd_read(fd, &n);
	return true;
}

/* Copies the first readable word to the first writable one, in changing order of completion. */
static void *device(void *arg)
{
	struct stress *s = arg;
	struct iovec iov[16];
	struct vq_chain c = { .iov = iov, .iov_max = 16 };
	struct vq_chain held;
	uint32_t seed = 7;
	unsigned int done = 0, batch = 0;
	bool have_held = false;
	int ret;

	while (done < s->chains) {
		vq_kicks_off(&s->vq);
		while ((ret = vq_pop(&s->vq, &c)) == 1) {
			*(uint32_t *)iov[c.nout].iov_base = ~*(uint32_t *)iov[0].iov_base;
			/* Give one back now and then, and take it again. */
			if (next_random(&seed) % 64 == 0) {
				vq_unpop(&s->vq, &c);
				continue;
			}
			if (!have_held && next_random(&seed) % 4 == 0) {
				held = c;
				have_held = true;
				continue;
			}
			vq_push(&s->vq, c.head, c.in_len);
			done++;
			if (++batch >= next_random(&seed) % 16) {
				batch = 0;
				if (vq_flush(&s->vq))
					eventfd_write(s->irq_fd, 1);
			}
		}
		ksft_eq(ret, 0);
		if (have_held) {
			vq_push(&s->vq, held.head, held.in_len);
			have_held = false;
			done++;
		}
		if (vq_flush(&s->vq))
			eventfd_write(s->irq_fd, 1);
		if (done == s->chains || vq_kicks_on(&s->vq))
			continue;
		s->waits[1]++;
		if (!wait_fd(s->q->kick_fd))
			ksft_fail("the device slept through its work, %u of %u done", done,
				  s->chains);
	}
	return NULL;
}

static void driver(struct stress *s)
{
	struct vdrv_buf b[8];
	uint32_t seed = 3, len, want[256] = { 0 };
	unsigned int added = 0, got = 0, i, n, nout;
	uint16_t head;
	int h;

	while (got < s->chains && !ksft_failed()) {
		bool more = true;

		while (added < s->chains && next_random(&seed) % 32) {
			/* By its first free descriptor, so that data is never shared. */
			uint64_t at = s->data + 512ull * s->q->free_head;

			n = 2 + next_random(&seed) % 6;
			nout = 1 + next_random(&seed) % (n - 1);
			for (i = 0; i < n; i++)
				b[i] = (struct vdrv_buf){ at + 64 * i,
							  4 + next_random(&seed) % 61 };
			*(uint32_t *)vdrv_hva(&s->d, at, 4) = added;
			*(uint32_t *)vdrv_hva(&s->d, b[nout].gpa, 4) = 0;
			h = vdrv_add(s->q, b, nout, n - nout,
				     s->indirect && next_random(&seed) % 2);
			if (h < 0)
				break;
			for (len = 0, i = nout; i < n; i++)
				len += b[i].len;
			want[h] = len << 8 | nout;
			added++;
			if (next_random(&seed) % 4 == 0)
				vdrv_kick(s->q);
		}
		vdrv_kick(s->q);
		vdrv_irq_off(s->q);
		while (more) {
			while (vdrv_used(s->q, &head, &len)) {
				uint64_t at = s->data + 512ull * head;
				uint32_t *in;

				in = vdrv_hva(&s->d, at + 64 * (want[head] & 0xff), 4);
				ksft_eq(len, want[head] >> 8);
				ksft_eq(*in, ~*(uint32_t *)vdrv_hva(&s->d, at, 4));
				got++;
			}
			more = vdrv_irq_on(s->q);
		}
		/* Sleep only when there is nothing to add, or no room for it. */
		if (got == s->chains || (added < s->chains && s->q->nfree >= 8))
			continue;
		s->waits[0]++;
		if (!wait_fd(s->irq_fd))
			ksft_fail("no interrupt for the driver, %u of %u back", got, s->chains);
	}
	ksft_eq(added, s->chains);
	ksft_eq(s->q->nfree, s->q->size);
}

static void run(uint16_t size, bool event_idx, bool indirect, unsigned int chains)
{
	static struct stress s;
	pthread_t t;

	memset(&s, 0, sizeof(s));
	vdrv_init(&s.d);
	s.q = &s.d.q[0];
	s.chains = chains;
	s.indirect = indirect;
	vdrv_q_init(&s.d, s.q, size, event_idx);
	vdrv_q_attach(s.q, &s.vq, indirect);
	s.data = vdrv_alloc(&s.d, 512ull * size, 64);
	s.q->kick_fd = eventfd(0, EFD_NONBLOCK);
	s.irq_fd = eventfd(0, EFD_NONBLOCK);
	ksft_check(s.q->kick_fd >= 0 && s.irq_fd >= 0);
	ksft_check(!pthread_create(&t, NULL, device, &s));
	driver(&s);
	pthread_join(t, NULL);
	ksft_msg("%u chains, %llu kicks, waits: driver %llu, device %llu", chains,
		 (unsigned long long)s.q->kicks, s.waits[0], s.waits[1]);
	ksft_eq(s.vq.inflight, 0);
	ksft_eq(s.vq.stat_chains, chains);
	close(s.q->kick_fd);
	close(s.irq_fd);
	vdrv_fini(&s.d);
}

static void event_indirect(void)
{
	run(256, true, true, CHAINS);
}

static void event_direct(void)
{
	run(64, true, false, CHAINS / 4);
}

/* Every second chain fills the ring: both sides sleep all the time. */
static void event_tiny(void)
{
	run(8, true, false, CHAINS / 10);
}

static void flags(void)
{
	run(256, false, true, CHAINS / 4);
}

static void flags_tiny(void)
{
	run(8, false, false, CHAINS / 10);
}

int main(int argc, char **argv)
{
	ksft_case("a million chains, event index, indirect", event_indirect);
	ksft_case("event index, direct", event_direct);
	ksft_case("event index, a ring of 8", event_tiny);
	ksft_case("flags, indirect", flags);
	ksft_case("flags, a ring of 8", flags_tiny);
	return ksft_run(argc, argv);
}
