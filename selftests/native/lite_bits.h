/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Page table entries and the error codes of page faults, by short names for tests that are full of
 * them; and what eu_access() returns for a fault.
 */
#ifndef LODGE_LITE_BITS_H
#define LODGE_LITE_BITS_H

#define P   0x1ull
#define W   0x2ull
#define U   0x4ull
#define A   0x20ull
#define D   0x40ull
#define PSE 0x80ull
#define NX  (1ull << 63)

#define E_P   1
#define E_W   2
#define E_U   4
#define E_I   16
#define FAULT (1 << 16)

#define PTE(gfn, bits) ((u64)(gfn) << 12 | (bits))

#endif
