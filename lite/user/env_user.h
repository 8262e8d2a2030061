/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The core's environment in user space, for tests and fuzzers: an arena is the machine's memory, a
 * physical address an offset into it. One VM with one vCPU; nothing runs, a processor's accesses
 * are made up by eu_access().
 *
 * Guest frames come first in the arena, then shadow pages. Physical address 0 is nobody's.
 */
#ifndef LITE_ENV_USER_H
#define LITE_ENV_USER_H

#include "lite.h"

#define EU_SPAGES 96

/** struct eu_config - @frames of slot 0, at gfn 0; @rom of slot 1, read-only, at gfn 0x1000 */
struct eu_config {
	u64 frames, rom;
	u32 spages; /* 0: EU_SPAGES */
	bool cache;
	u8 ring;     /* of the guest's kernel; 0: 1 */
	bool absent; /* frames are not resident before they are asked for */
};

#define EU_ROM_GFN 0x1000ull

struct eu {
	struct lite_vm vm;
	struct lite_vcpu v;
	u8 *arena;
	u64 arena_pages, next_page; /* pages from next_page on were never used */
	u64 free_page;		    /* list of pages that came back, through their first words */
	u64 pages_out;		    /* given to the pool and not back */
	u64 absent_next;	    /* arena page of the next frame that becomes resident */
	u32 kicks, leaves, sends, pkru_opened;
	u32 last_port;
	u64 tsc;
	void (*leave)(struct lite_vcpu *v); /* a vCPU of the test's own has to leave the guest */
};

/** eu_new - a VM as the environment makes it; aborts without memory. One at a time */
struct eu *eu_new(const struct eu_config *c);

/** eu_free - with a check that every page has come back */
void eu_free(struct eu *e);

/** eu_fill - @n pages into the pool */
void eu_fill(struct eu *e, u32 n);

/** eu_want - what v->want asks for; false: nothing was wanted */
bool eu_want(struct eu *e);

/** eu_trash - free what the mmu has thrown away */
void eu_trash(struct eu *e);

/** eu_page - the memory of @gfn, which becomes resident */
void *eu_page(struct eu *e, u64 gfn);

/** eu_pte - entry @i of the table @gfn, written behind the hypervisor's back */
void eu_pte(struct eu *e, u64 gfn, unsigned int i, u64 val);

/** eu_spte - what the shadow has for @va: its leaf entry, or 0 */
u64 eu_spte(struct eu *e, u64 va);

/** eu_level - the shadow entry of @va at @level, 0 if there is no table for it */
u64 eu_level(struct eu *e, u64 va, unsigned int level);

/** eu_hw - whether a processor would let the access through by the shadow; @err as in a fault */
bool eu_hw(struct eu *e, u64 va, u64 err, bool kernel);

/**
 * eu_access - access @va as the processor, with faults served, wants granted
 *
 * Return: 0, or the injected error code | 1 << 16, or a negative errno of mmu_fault().
 */
long eu_access(struct eu *e, u64 va, u64 err, bool kernel);

#endif
