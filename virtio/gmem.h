/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Guest memory as devices see it: a short table of (gpa, length, hva), fixed before the first
 * device exists, and the one translation. Whoever owns the memory (host/mem.c, or a test) fills the
 * table. Read-only after set-up, hence no locks.
 */
#ifndef LODGE_GMEM_H
#define LODGE_GMEM_H

#include <stddef.h>
#include <stdint.h>

#define GMEM_SLOTS_MAX 4

struct gmem_slot {
	uint64_t gpa;
	uint64_t len;
	uint8_t *hva;
};

struct gmem {
	unsigned int nslots;
	struct gmem_slot slot[GMEM_SLOTS_MAX];
};

/**
 * gmem_ptr - translate a guest-physical range
 * @m:	 the guest's memory
 * @gpa: first byte
 * @len: bytes, at least 1
 *
 * Return: the host address of @gpa when all of [@gpa, @gpa + @len) lies in one slot, else NULL.
 * The bytes behind it may change at any time: copy once, check, use the copy.
 */
static inline void *gmem_ptr(const struct gmem *m, uint64_t gpa, uint64_t len)
{
	unsigned int i;

	if (!len)
		return NULL;
	for (i = 0; i < m->nslots; i++) {
		const struct gmem_slot *s = &m->slot[i];

		/* Ordered so that nothing can wrap: gpa - s->gpa < s->len first. */
		if (gpa - s->gpa < s->len && len <= s->len - (gpa - s->gpa))
			return s->hva + (gpa - s->gpa);
	}
	return NULL;
}

#endif
