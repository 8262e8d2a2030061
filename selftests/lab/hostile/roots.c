// SPDX-License-Identifier: GPL-2.0-only
/*
 * Changes of root that the switcher makes by itself: that it does, to the right one, and no longer
 * when a root is none; requests for it that are bad; and a guest that writes the switcher's note of
 * it. Roots 0 to 11 share all but their second entry, at WHERE, where each has a page of its own.
 */
#include "hostile.h"

#define ROOTS	 12
#define FIRST	 80 /* frame of the first, then of each one its tables and its page */
#define FRAME(i) (FIRST + 5 * (i))
#define WHERE	 (1ull << 39)
#define MARK(i)	 (0x726f6f7400000000ull | (i))
#define LAST	 (BASE + 512 * PAGE)

/*
 * The guest: for each word at PLAN (a root's frame; 0 ends it) a change to it, and what is at WHERE
 * goes in the word's place. R12: how many; R14: results, and registers that are not what they were.
 */
#define PLAN (ARGS + 0x400)
#define LIST (ARGS + 0x300)
BODY(change, "mov $0x511400, %ebp; xor %r12d, %r12d; xor %r14d, %r14d\n"
	     "1:	mov (%rbp), %rcx; test %rcx, %rcx; jz 2f; mov $0x511300, %edi\n"
	     "	movq $5, (%rdi); mov %rcx, 8(%rdi); movq $15, 24(%rdi); mov %rcx, 32(%rdi)\n"
	     "	mov $26, %eax; mov $2, %esi; xor %edx, %edx; mov $0x7ff0, %r10d\n"
	     "	mov $0x1111, %ebx; mov $0x2222, %r8d; mov $0x3333, %r9d; syscall\n"
	     "	or %rax, %r14\n"
	     "	sub $0x511300, %rdi; or %rdi, %r14; sub $2, %rsi; or %rsi, %r14; or %rdx, %r14\n"
	     "	sub $0x7ff0, %r10; or %r10, %r14; sub $0x1111, %rbx; or %rbx, %r14\n"
	     "	sub $0x2222, %r8; or %r8, %r14; sub $0x3333, %r9; or %r9, %r14\n"
	     "	movabs $0x8000000000, %rcx; mov (%rcx), %rcx; mov %rcx, (%rbp)\n"
	     "	add $8, %rbp; inc %r12; jmp 1b\n"
	     "2:")

static __u64 *table(unsigned int i, unsigned int n)
{
	return at((FRAME(i) + n) * PAGE);
}

/* All roots and their pages, of which the first is where the guest begins. */
static void roots_fill(const char *code, const char *code_end)
{
	unsigned int i;

	fill(code, code_end, false);
	for (i = 0; i < ROOTS; i++) {
		memset(table(i, 0), 0, 4 * PAGE);
		table(i, 0)[0] = TABLE(L3);
		table(i, 0)[1] = TABLE((FRAME(i) + 1) * PAGE);
		table(i, 1)[0] = TABLE((FRAME(i) + 2) * PAGE);
		table(i, 2)[0] = TABLE((FRAME(i) + 3) * PAGE);
		table(i, 3)[0] = (FRAME(i) + 4) * PAGE | 0x67;
		table(i, 4)[0] = MARK(i);
	}
}

static void pins(bool pin)
{
	unsigned int i;

	roots_fill(obey, obey_end);
	for (i = 0; i < ROOTS; i++)
		ksft_eq(hc_mmuext(pin ? 3 : 4, FRAME(i), 0), 0);
}

static void start(void)
{
	obey_start();
	pins(true);
	roots_fill(change, change_end);
}

static struct lodge_stats stats(void)
{
	struct lodge_stats s;

	ksft_eq(ioctl(vcpu, LODGE_STATS, &s), 0);
	return s;
}

/* @n changes among the first @among roots; how many of them were light or full exits. */
static unsigned int changes(unsigned int n, unsigned int among)
{
	__u64 *plan = at(PLAN);
	struct lodge_stats before, after;
	unsigned int i;

	roots_fill(change, change_end);
	for (i = 0; i < n; i++)
		plan[i] = FRAME(i % among);
	plan[n] = 0;
	again();
	before = stats();
	go(LONG);
	after = stats();
	gives(n);
	ksft_eq(end.r14, 0);
	for (i = 0; i < n; i++)
		ksft_eq(plan[i], MARK(i % among));
	ksft_eq(end.root, FRAME((n - 1) % among) * PAGE);
	ksft_eq(end.user_root, end.root);
	ksft_eq(after.base_switches - before.base_switches, n);
	return after.hypercalls[26] - before.hypercalls[26];
}

CASE(known, "from root to root, without an exit")
{
	start();
	changes(20, 5);
	/* The first is where it begins: that is a change as well. */
	ksft_eq(changes(200, 5), 0);
	ksft_eq(changes(200, 2), 0);
	ksft_check(changes(200, ROOTS) > 100);
	ksft_check(changes(200, 7) <= 7);
	drop();
}

CASE(unpinned, "from root to root, none of them pinned")
{
	start();
	changes(20, 3);
	pins(false);
	ksft_eq(changes(60, 3), 60);
	pins(true);
	changes(20, 3);
	ksft_eq(changes(60, 3), 0);
	drop();
}

/* A page goes from one root to the other behind a pin and an unpin. */
CASE(reused, "a root that has become another's page, and a root again")
{
	__u64 *plan;

	start();
	changes(20, 3);
	roots_fill(obey, obey_end);
	ksft_eq(hc_mmuext(4, FRAME(1), 0), 0);
	roots_fill(change, change_end);
	table(1, 0)[1] = TABLE((FRAME(2) + 1) * PAGE);
	plan = at(PLAN);
	plan[0] = FRAME(0);
	plan[1] = FRAME(1);
	plan[2] = FRAME(0);
	plan[3] = FRAME(1);
	plan[4] = 0;
	again();
	go(LONG);
	gives(4);
	ksft_eq(plan[0], MARK(0));
	ksft_eq(plan[1], MARK(2));
	ksft_eq(plan[3], MARK(2));
	drop();
}

static __s64 pair(__u64 list, __u64 cmd, __u64 kroot, __u64 cmd2, __u64 uroot)
{
	const __u64 op[6] = { cmd, kroot, 0, cmd2, uroot, 0 };

	roots_fill(obey, obey_end);
	if (list >= BASE && list < LAST)
		memcpy(at(list - BASE), op, LAST - list < 48 ? LAST - list : 48);
	return hc(26, list, 2, 0, HC_SELF, 0);
}

CASE(bad_pairs, "pairs of roots that are none")
{
	static const __u64 bad[] = { FRAMES, ~0ull, ~0ull >> 12, 1ull << 52 | FRAME(1),
				     1ull << 63 };
	const __u64 list = BASE + LIST;
	unsigned int i;

	start();
	changes(20, 3);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ksft_eq(pair(list, 5, bad[i], 15, FRAME(1)), -EINVAL);
		ksft_eq(pair(list, 5, FRAME(1), 15, bad[i]), -EINVAL);
	}
	ksft_eq(pair(list, 15, FRAME(1), 5, FRAME(2)), 0);
	ksft_eq(end.root, FRAME(2) * PAGE);
	ksft_eq(end.user_root, FRAME(1) * PAGE);
	ksft_eq(pair(list, 5, FRAME(1), 15, FRAME(2)), 0);
	ksft_eq(end.root, FRAME(1) * PAGE);
	ksft_eq(end.user_root, FRAME(2) * PAGE);
	ksft_eq(pair(list, 5, FRAME(1), 5, FRAME(2)), 0);
	ksft_eq(end.root, FRAME(2) * PAGE);
	ksft_eq(pair(list, 5, FRAME(1), 100, FRAME(2)), -ENOSYS);
	ksft_eq(pair(list, 1ull << 32 | 5, FRAME(1), 15, FRAME(1)), 0);
	ksft_eq(pair(list + 3, 5, FRAME(1), 15, FRAME(1)), 0);
	/* Lists that lead to where nothing is. */
	ksft_eq(pair(LAST - 24, 5, FRAME(1), 15, FRAME(1)), -EFAULT);
	ksft_eq(pair(LAST - 47, 5, FRAME(1), 15, FRAME(1)), -EFAULT);
	ksft_eq(pair(LAST - 48, 5, FRAME(1), 15, FRAME(1)), 0);
	ksft_eq(pair(0x7ffffffffff8, 0, 0, 0, 0), -EFAULT);
	ksft_eq(pair(0x7fffffffffd0, 0, 0, 0, 0), -EFAULT);
	ksft_eq(pair(hole, 0, 0, 0, 0), -EFAULT);
	ksft_eq(pair(hole - 47, 0, 0, 0, 0), -EFAULT);
	ksft_eq(pair(sw + SW_RW, 0, 0, 0, 0), -EFAULT);
	ksft_eq(pair(sw - 24, 0, 0, 0, 0), -EFAULT);
	ksft_eq(pair(~0ull - 40, 0, 0, 0, 0), -EFAULT);
	ksft_check(changes(60, 3) <= 3);
	drop();
}

/* Writes each word at PLAN in turn to the switcher's note, with an exit after each. */
BODY(forge, "mov $0x511400, %ebp; xor %r12d, %r12d\n"
	    "1:	mov (%rbp), %rcx; cmp $-1, %rcx; je 2f; mov %rcx, 0x4138(%rbx)\n"
	    "	mov $63, %eax; syscall; mov 0x515000, %rcx; inc %r12; add $8, %rbp; jmp 1b\n"
	    "2:")

CASE(forged, "forges the change that the switcher has made")
{
	static const __u64 notes[] = { 0,   32, 64, 96,		128,	    160,   192,	 224,
				       256, 31, 33, 1ull << 32, 1ull << 63, ~1ull, -1ull };
	unsigned int i, n = sizeof(notes) / sizeof(notes[0]);

	_Static_assert(D_BASE == 0x138 && SW_RW == 0x4000, "as forge has it");
	start();
	changes(20, 3);
	for (i = 0; i < 3; i++) {
		roots_fill(forge, forge_end);
		memcpy(at(PLAN), notes, sizeof(notes));
		begin.root = begin.user_root = FRAME(i) * PAGE;
		again();
		go(LONG);
		unless_ring3(2);
		gives(n - 1);
		/* One of those that it has had. */
		expect(end.root == ROOT ||
		       (end.root >= FRAME(0) * PAGE && end.root <= FRAME(2) * PAGE));
	}
	ksft_check(changes(60, 3) <= 3);
	/* Where it would be used next: an address by the guest's own root. */
	roots_fill(obey, obey_end);
	store(sw + SW_RW + D_BASE, ~0ull << 5);
	ksft_eq(hc(14, BASE + 300 * PAGE, 301 * PAGE | 0x63, 0, 0, 0), 0);
	drop();
}

int main(int argc, char **argv)
{
	on_cpu(0);
	return hostile_run(argc, argv);
}
