/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The handful of macros that every room uses. No state, no functions with side effects.
 */
#ifndef LODGE_UTIL_H
#define LODGE_UTIL_H

#include <stddef.h>
#include <stdint.h>

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#define ARRAY_SIZE(a)			(sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)			((a) < (b) ? (a) : (b))
#define MAX(a, b)			((a) > (b) ? (a) : (b))
#define ALIGN_UP(x, a)			(((x) + ((a)-1)) & ~((typeof(x))(a)-1))
#define ALIGN_DOWN(x, a)		((x) & ~((typeof(x))(a)-1))

#define KIB (1ull << 10)
#define MIB (1ull << 20)
#define GIB (1ull << 30)

/* Structures that two threads write to are split on these. */
#define CACHE_LINE 64

/*
 * Memory shared with the guest or with another thread. Acquire and release name their pair where
 * they are used; the once forms only promise a single, untorn access.
 */
#define load_once(p)	    __atomic_load_n((p), __ATOMIC_RELAXED)
#define store_once(p, v)    __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define load_acquire(p)	    __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define full_barrier()	    __atomic_thread_fence(__ATOMIC_SEQ_CST)

#endif
