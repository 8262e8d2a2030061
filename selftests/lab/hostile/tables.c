// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page tables that map what is not the guest's, or not in the way that it may be mapped; tables
 * that are one another's, or their own; and tables that change behind the hypervisor's back.
 */
#include "hostile.h"

#define FOREIGN (0x7ffff000ull | 0x67)
#define MARK(n) (0x6d61726b00000000ull | (n))
/* A frame with a mark at its start, and where the guest sees it. */
#define F	  300
#define VA(frame) (BASE + (frame)*PAGE)
#define L1E(va)	  (L1 + ((va) >> 12 & 511) * 8)
#define L2E(va)	  (L2 + ((va) >> 21 & 511) * 8)
#define MISS	  1 /* error codes: read, present; write; execution */
#define MISS_W	  3
#define MISS_X	  0x11

static void start(void)
{
	obey_start();
	*(__u64 *)at(F * PAGE) = MARK(F);
	*(__u64 *)at((F + 1) * PAGE) = MARK(F + 1);
}

static void set(__u64 gpa, __u64 val)
{
	*(volatile __u64 *)at(gpa) = val;
}

CASE(foreign_hc, "foreign frames by mmu_update, at each level")
{
	start();
	ksft_eq(hc_mmu_update(L1E(VA(F)), FOREIGN), -EINVAL);
	ksft_eq(hc_mmu_update(L2 + 16, FOREIGN), -EINVAL);
	ksft_eq(hc_mmu_update(L3 + 16, FOREIGN), -EINVAL);
	ksft_eq(hc_mmu_update(ROOT + 16, FOREIGN), -EINVAL);
	ksft_eq(hc_mmu_update(ROOT + 256 * 8, TABLE(L3)), 0); /* its own affair: never looked at */
	ksft_eq(hc_mmu_update(FRAMES * PAGE, TABLE(L3)), -EINVAL);
	ksft_eq(hc_mmu_update(L1E(VA(F)) + 4, F * PAGE | 0x63), -EINVAL);
	ksft_eq(hc(14, VA(F), FOREIGN, 0, 0, 0), -EINVAL);
	ksft_eq(hc(14, hole, F * PAGE | 0x67, 0, 0, 0), -EINVAL);
	ksft_eq(hc(14, sw, F * PAGE | 0x67, 0, 0, 0), -EINVAL);
	ksft_eq(hc(14, 0x800000000000, F * PAGE | 0x67, 0, 0, 0), -EINVAL);
	ksft_eq(hc(14, 5ull << 39, F * PAGE | 0x67, 0, 0, 0), -EINVAL);
	look(VA(F));
	gives(MARK(F));
	look(0xffff808000000000); /* nobody's, with 4 levels as with 5 */
	traps(14, 0);
	drop();
}

CASE(foreign_store, "foreign frames by a store, at each level")
{
	static const __u64 entry[] = { ROOT, L3, L2 + 16, L1 + F * 8 };
	static const __u64 bad[] = {
		FOREIGN,	   0xffffffffff000ull | 0x67,	 FRAMES * PAGE | 0x67,
		1ull << 51 | 0x67, F * PAGE | 1ull << 40 | 0x67, F * PAGE | 1ull << 51 | 0x67
	};
	unsigned int i, k;

	for (i = 0; i < 4; i++)
		for (k = 0; k < sizeof(bad) / sizeof(bad[0]); k++) {
			start();
			/* A second way to the same entry, so that the guest itself goes on. */
			set(entry[i] + (i < 3 ? 8 : 0), bad[k]);
			look(i == 0   ? 1ull << 39
			     : i == 1 ? 1ull << 30
			     : i == 2 ? 3ull << 21
				      : VA(F));
			traps(14, MISS);
		}
	drop();
}

/* Its own memory by another address: no more than a store to its tables. */
CASE(ram_view, "foreign frames through the hole's view of its memory")
{
	const __u64 ram = hole + ((__u64)SW_RAM_P3 << 30);

	start();
	look(ram + F * PAGE);
	traps(14, 0); /* not resident yet */
	look(VA(F));
	gives(MARK(F));
	look(ram + F * PAGE);
	unless_ring3(0);
	gives(MARK(F));
	store(ram + (F + 1) * PAGE, 0x1234);
	expect(*(volatile __u64 *)at((F + 1) * PAGE) == 0x1234);
	store(ram + L1E(VA(F)), FOREIGN);
	ksft_eq(hc(26, BASE + ARGS, 0, 0, HC_SELF, 0), 0); /* an exit, at which nothing is due */
	store(ram + L1E(VA(F + 2)), (F + 1) * PAGE | 0x67);
	ksft_eq(hc_mmu_update(L1E(VA(F + 3)), (F + 1) * PAGE | 0x67), 0);
	look(VA(F + 3));
	gives(0x1234);
	look(ram + FRAMES * PAGE); /* the first frame behind */
	traps(14, 0);
	drop();
}

CASE(queue_forged, "forges requests that the switcher has taken")
{
	unsigned int i;

	start();
	set(L1E(VA(F)), FOREIGN);
	for (i = 0; i < SW_QUEUE; i++)
		store(sw + SW_RW + D_QUEUE + i * 8,
		      i & 1 ? L1E(VA(F)) : 0x123456789abcdef8ull * i + i);
	store(sw + SW_RW + D_QUEUED, ~0ull);
	look(VA(F + 1));
	gives(MARK(F + 1));
	look(VA(F));
	traps(14, MISS);
	drop();
}

/* The guest may know where the host's tables lie: their address is in a page that it can read. */
CASE(host_root, "the host's page tables, by their address")
{
	__u64 root;

	start();
	look(sw + SW_RO + R_HCR3);
	unless_ring3(0);
	expect(ended == 1 && end.r13 == NONE);
	root = end.r12 & 0xffffffffff000ull;
	ksft_check(root >= FRAMES * PAGE);
	ksft_eq(hc_mmu_update(L1E(VA(F)), root | 0x67), -EINVAL);
	ksft_eq(hc_mmuext(5, root >> 12, 0), -EINVAL);
	ksft_eq(hc_mmuext(15, root >> 12, 0), -EINVAL);
	set(L1E(VA(F)), root | 0x67);
	look(VA(F));
	traps(14, MISS);
	drop();
}

CASE(large, "large pages at each level")
{
	start();
	set(ROOT + 8, 0xe7);
	set(L3 + 8, 0xe7);
	set(L2 + 24, 0xe7);
	look(1ull << 39);
	traps(14, MISS);
	look(1ull << 30);
	traps(14, MISS);
	look(3ull << 21);
	traps(14, MISS);
	ksft_eq(hc_mmu_update(ROOT + 16, 0xe7), -EINVAL);
	ksft_eq(hc_mmu_update(L3 + 16, 0xe7), -EINVAL);
	ksft_eq(hc_mmu_update(L2 + 32, 0xe7), -EINVAL);
	drop();
}

CASE(odd_bits, "cache, PAT, global and ignored bits change nothing")
{
	static const __u64 bits[] = { 8, 0x10, 0x18, 0x80, 0x100, 0xe00, 0xf98, 0x7full << 52 };
	unsigned int i;

	for (i = 0; i < sizeof(bits) / sizeof(bits[0]); i++) {
		start();
		set(L1E(VA(F)), F * PAGE | 0x63 | bits[i]);
		look(VA(F));
		gives(MARK(F));
		ksft_eq(hc_mmu_update(L1E(VA(F + 1)), (F + 1) * PAGE | 0x63 | bits[i]), 0);
		look(VA(F + 1));
		gives(MARK(F + 1));
	}
	drop();
}

CASE(rights, "rights, at each level")
{
	unsigned int i;

	for (i = 0; i < 4; i++) {
		/* Address with index 1, 1, 0, F: its own entries but for the last table. */
		__u64 va = 1ull << 39 | 1ull << 30 | F * PAGE;

		start();
		set(ROOT + 8, TABLE(L3) & (i == 0 ? ~2ull : ~0ull));
		set(L3 + 8, TABLE(L2) & (i == 1 ? ~2ull : ~0ull));
		set(L2, TABLE(L1) & (i == 2 ? ~2ull : ~0ull));
		set(L1 + F * 8, i == 3 ? F * PAGE | 0x61 : F * PAGE | 0x63);
		store(va, 1);
		traps(14, MISS_W);
		look(va);
		gives(MARK(F));
		start();
		set(ROOT + 8, TABLE(L3) | (i == 0 ? 1ull << 63 : 0));
		set(L3 + 8, TABLE(L2) | (i == 1 ? 1ull << 63 : 0));
		set(L2, TABLE(L1) | (i == 2 ? 1ull << 63 : 0));
		set(L1 + F * 8, F * PAGE | 0x63 | (i == 3 ? 1ull << 63 : 0));
		jump(va);
		traps(14, MISS_X);
		if (ring == 3)
			continue;
		/* User mode's frame is not ring 1's to execute; to ring 3 all are alike. */
		start();
		set(ROOT + 8, TABLE(L3));
		set(L3 + 8, TABLE(L2));
		set(L2, TABLE(L1));
		set(L1 + F * 8, F * PAGE | 0x67);
		jump(va);
		traps(14, MISS_X);
	}
	drop();
}

USER(u_kernel, "user mode reads a page of the kernel's", "mov 0x510000, %rax")
{
	traps(14, 5);
}

USER(u_kernel_w, "user mode writes to a page of the kernel's", "movq $0, 0x510000")
{
	traps(14, 7);
}

USER(u_kernel_x, "user mode executes a page of the kernel's", "mov $0x500000, %eax; jmp *%rax")
{
	traps(14, 0x15);
}

USER(u_table, "user mode writes to a page table", "movq $0, 0x444000")
{
	traps(14, 7);
}

/* Present or not: that an absent entry has changed the hypervisor need not know. */
#define misses() expect(ended == 1 && end.r13 == 14 && end.r14 <= MISS)

CASE(recursive, "a root that maps itself, at all levels")
{
	__u64 va = 5ull << 39 | 5ull << 30 | 5ull << 21 | 5ull << 12;
	unsigned int tries = 0;

	start();
	set(ROOT + 5 * 8, TABLE(ROOT));
	look(va + 5 * 8);
	gives(TABLE(ROOT));
	/* By way of that, an entry for a foreign frame, and one for its own root as a leaf. */
	store(va + 6 * 8, FOREIGN);
	gives(0);
	look(6ull << 39);
	misses();
	look(5ull << 39 | 5ull << 30 | 5ull << 21 | 6ull << 12);
	misses();
	look(5ull << 39 | 5ull << 30 | 6ull << 21);
	misses();
	/* The hypervisor's slots, as a leaf table: what the guest has put there, no more. */
	store(va + 256 * 8, F * PAGE | 0x67);
	/* A second fault there in a row is looked into; between two looks others have theirs. */
	do {
		look(5ull << 39 | 5ull << 30 | 5ull << 21 | 256ull << 12);
		if (end.r13 != NONE)
			misses();
	} while (end.r13 != NONE && tries++ < 20);
	gives(MARK(F));
	look(hole);
	gives(0); /* the first entry of the M2P still */
	drop();
}

CASE(two_levels, "one table at two levels")
{
	__u64 *t;

	start();
	/* L1 in the place of a second-level table: frame 300 is a table then. */
	set(L3 + 2 * 8, TABLE(L1));
	t = at(F * PAGE);
	t[0] = (F + 1) * PAGE | 0x67;
	t[1] = FOREIGN;
	t[2] = TABLE(L1);
	look(2ull << 30 | (__u64)F << 21);
	gives(MARK(F + 1));
	look(2ull << 30 | (__u64)F << 21 | 1 << 12);
	traps(14, MISS);
	look((2ull << 30 | (__u64)F << 21 | 2 << 12) + F * 8);
	expect(ended == 1 && end.r13 == NONE);
	ksft_eq(end.r12 & ~0x7full, F * PAGE);
	/* Written as data while it is a table. */
	store(VA(F), FOREIGN);
	gives(0);
	ksft_eq(hc_mmuext(6, 0, 0), 0);
	look(2ull << 30 | (__u64)F << 21);
	expect(ended == 1 && (end.r13 == 14 || end.r12 == MARK(F + 1)));
	drop();
}

CASE(aliases, "a pinned table, changed through a writable mapping")
{
	unsigned int level;

	for (level = 1; level <= 4; level++) {
		start();
		ksft_eq(hc_mmuext(level - 1, L1 / PAGE, 0), 0);
		look(VA(F));
		gives(MARK(F));
		store(BASE + L1E(VA(F)), FOREIGN);
		gives(0);
		ksft_eq(hc_mmuext(6, 0, 0), 0);
		look(VA(F));
		/* Disagreement is allowed, another's frame is not. */
		expect(ended == 1 && (end.r13 == 14 ? end.r14 == MISS : end.r12 == MARK(F)));
		ksft_eq(hc_mmuext(4, L1 / PAGE, 0), 0);
		look(VA(F));
		traps(14, MISS);
	}
	drop();
}

CASE(ptwr, "a table changed through a read-only mapping")
{
	start();
	ksft_eq(hc_mmuext(0, L1 / PAGE, 0), 0);
	ksft_eq(hc_mmu_update(L1E(VA(L1 / PAGE)), L1 | 0x61), 0);
	look(VA(F));
	gives(MARK(F));
	store(BASE + L1E(VA(F)), FOREIGN);
	gives(0);
	ksft_eq(hc_mmuext(6, 0, 0), 0);
	look(VA(F));
	traps(14, MISS);
	/* Not a frame that never was a table. */
	ksft_eq(hc_mmu_update(L1E(VA(F + 1)), (F + 1) * PAGE | 0x61), 0);
	store(VA(F + 1), 0);
	traps(14, MISS_W);
	drop();
}

CASE(pins, "pins, roots and copies that make no sense")
{
	unsigned int cmd;

	start();
	for (cmd = 0; cmd < 4; cmd++) {
		ksft_eq(hc_mmuext(cmd, FRAMES, 0), -EINVAL);
		ksft_eq(hc_mmuext(cmd, ~0ull, 0), -EINVAL);
		ksft_eq(hc_mmuext(cmd, ROOT / PAGE, 0), 0); /* at all levels: see two_levels */
	}
	ksft_eq(hc_mmuext(4, ~0ull, 0), -EINVAL);
	ksft_eq(hc_mmuext(5, FRAMES, 0), -EINVAL);
	ksft_eq(hc_mmuext(15, FRAMES, 0), -EINVAL);
	ksft_eq(hc_mmuext(16, ROOT / PAGE, 0), -EINVAL); /* CLEAR_PAGE */
	ksft_eq(hc_mmuext(16, FRAMES, 0), -EINVAL);
	ksft_eq(hc_mmuext(17, F, FRAMES), -EINVAL); /* COPY_PAGE */
	ksft_eq(hc_mmuext(17, ROOT / PAGE, F), -EINVAL);
	ksft_eq(hc_mmuext(17, F, F + 1), 0);
	look(VA(F));
	gives(MARK(F + 1));
	ksft_eq(hc_mmuext(13, 0x1000, 1), -EFAULT); /* SET_LDT */
	ksft_eq(hc_mmuext(13, 0, 0), 0);
	drop();
}

CASE(no_root, "a root without anything in it")
{
	start();
	obey_order((struct order){ .nr = 26, .arg = { BASE + ARGS, 1, 0, HC_SELF } });
	((__u64 *)at(ARGS))[0] = 5;
	((__u64 *)at(ARGS))[1] = F;
	again();
	go(LONG);
	dies(LOST_STACK);
	drop();
}

/* --- random tables -------------------------- */

#define TABLES 24 /* frames that are all tables: 320 to 343 */
#define FIRST  320
static unsigned int seed;

static unsigned int rnd(unsigned int n)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 16) % n;
}

/* Half of them lead to each other, and serve at any level, others to marked frames. */
static void scramble(unsigned int n)
{
	while (n--) {
		unsigned int r = rnd(16);
		__u64 e = rnd(2) ? FIRST + rnd(TABLES) : 400 + rnd(64);

		e = r == 0 ? FOREIGN : r == 1 ? rnd(1 << 30) * 4096ull | 0x67 : e * PAGE | 0x67;
		e ^= rnd(8) ? 0 : 1ull << rnd(8);
		((__u64 *)at((FIRST + rnd(TABLES)) * PAGE))[rnd(6)] = e;
	}
}

BODY(wander,
     "mov $0x515000, %edi; mov (%rdi), %rsi; mov 8(%rdi), %rbx; mov 16(%rdi), %rbp\n"
     "1: lea 2f(%rip), %rax; mov %rax, 0xf00(%rdi); mov (%rsi), %rax; mov (%rax), %rdx;"
     "mov %rdx, 8(%rsi)\n2: movq $0, 0xf00(%rdi); add $16, %rsi; dec %rbx; jnz 1b;"
     "cmp $0, %rbp; je 3f; mov $26, %eax; mov $0x511000, %edi; mov $1, %esi; xor %edx, %edx;"
     "mov $0x7ff0, %r10d; syscall\n3:")

CASE(random_tables, "random tables, changed while they are used")
{
	struct {
		__u64 va, val;
	} *look = at(360 * PAGE);
	unsigned int round, i, k, hits = 0;

	seed = 7;
	make(wander, wander_end, false);
	for (i = 0; i < 64; i++)
		for (k = 0; k < 512; k++)
			((__u64 *)at((400 + i) * PAGE))[k] = MARK(i << 16 | k);
	for (i = 1; i < 6; i++)
		((__u64 *)at(ROOT))[i] = TABLE((FIRST + i) * PAGE);
	for (round = 0; round < 120; round++) {
		__u64 *p = at(DATA), *req = at(ARGS);

		scramble(round ? 30 : 2000);
		for (i = 0; i < 400; i++) {
			look[i].va = (1ull + rnd(5)) << 39;
			for (k = 12; k < 39; k += 9)
				look[i].va |= (__u64)rnd(6) << k;
			look[i].va += rnd(6) * 8;
			look[i].val = 0;
		}
		p[0] = VA(360);
		p[1] = 400;
		p[2] = 1;
		/* Now and then a flush, a pin at a wrong level, an unpin. */
		req[0] = rnd(2) ? 6 : rnd(5);
		req[1] = FIRST + rnd(TABLES);
		again();
		go(LONG);
		expect(ended == 1);
		for (i = 0; i < 400; i++) {
			__u64 v = look[i].val, w = look[i].va & 0xfff;

			if (!v || (v >> 32) == MARK(0) >> 32)
				hits += !!v;
			else {
				/* A word of a table's, as it is or was. */
				ksft_check(w < 6 * 8);
				ksft_check(!(v >> 52));
			}
		}
	}
	ksft_check(hits > 100);
	drop();
}

int main(int argc, char **argv)
{
	on_cpu(0);
	return hostile_run(argc, argv);
}
