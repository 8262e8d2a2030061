// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hypercalls with numbers, operations, pointers and counts that make no sense, with arguments that
 * change while they are read, and batches without an end.
 */
#include <pthread.h>

#include "hostile.h"

/* At 0x7ff000, with nothing behind it. */
#define LAST_PAGE 511
#define LAST	  (BASE + 512 * PAGE)

/* Each number and operation with one kind of arguments; the VM is new only when it has died. */
static void garbage(unsigned int kind)
{
	const __u64 ptrs[] = { 0, ~0ull, sw + SW_HO, 0x700000000000, LAST - 4, BASE + ARGS + 3 };
	const __u64 counts[] = { 0, ~0ull, 1ull << 32, 4096, 1, ~0ull >> 1 };
	unsigned int nr, op, waited = 0;
	__u64 p = ptrs[kind], n = counts[kind];

	obey_start();
	for (nr = 0; nr < 66; nr++)
		for (op = 0; op <= 41; op++) {
			__u64 first = op == 41 ? p : op;
			struct order t = { .nr = nr, .arg = { first, p, n, kind ? p : 0, n } };

			/* Those whose first argument is a list, and the second its length. */
			if (nr == 1 || nr == 13 || nr == 26)
				t = (struct order){
					.nr = nr, .arg = { p, n + op, kind ? p : 0, HC_SELF, n }
				};
			fill(obey, obey_end, false);
			*(struct order *)at(ORDER) = t;
			again();
			go(nr == 29 && (op == 1 || op == 3) ? SHORT : LONG);
			/* Blocks, or polls for no port: nothing will ever wake it. */
			if (ended == -1 && nr == 29 && (op == 1 || op == 3)) {
				waited++;
				continue;
			}
			/* Goes where its frame says; the end of what it has reached is its own. */
			if (nr == 23 || (!ended && run->reason == LODGE_EXIT_SHUTDOWN)) {
				ksft_check(ended >= 0);
				obey_start();
				continue;
			}
			if (ended != 1 || end.r13 != NONE || (__s64)end.r12 < -4095) {
				tell();
				ksft_fail("hypercall %u, operation %u, pointer %llx, count %llx",
					  nr, op, p, n);
			}
		}
	ksft_check(waited >= 1 && waited <= 2);
	drop();
}

#define GARBAGE(kind, title)        \
	CASE(garbage_##kind, title) \
	{                           \
		garbage(kind);      \
	}
GARBAGE(0, "all hypercalls, zeros")
GARBAGE(1, "all hypercalls, all ones")
GARBAGE(2, "all hypercalls, pointers to the host's page, counts of 2^32")
GARBAGE(3, "all hypercalls, pointers to nothing")
GARBAGE(4, "all hypercalls, pointers that leave the last page")
GARBAGE(5, "all hypercalls, pointers that are not aligned")

CASE(pointers, "pointers into the hole, to nothing, to what is read-only")
{
	const __u64 bad[] = { hole,	      sw + SW_RW, sw + SW_HO, 0xffff800000000000,
			      0x800000000000, 0x700000,	  LAST - 8,   0x7fffffffffff,
			      ~0ull };
	unsigned int i;

	obey_start();
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ksft_eq(hc(13, bad[i], 1, 0, 0, 0), -EFAULT);
		ksft_eq(hc(1, bad[i], 1, 0, HC_SELF, 0), -EFAULT);
		ksft_eq(hc(26, bad[i], 1, 0, HC_SELF, 0), -EFAULT);
		ksft_eq(hc(26, BASE + ARGS, 0, bad[i] == LAST - 8 ? LAST - 2 : bad[i], HC_SELF, 0),
			-EFAULT);
		ksft_eq(hc(12, 12, bad[i], 0, 0, 0), -EFAULT); /* machphys_mapping */
		ksft_eq(hc(17, 2, bad[i], 0, 0, 0), -EFAULT);  /* compile_info */
		ksft_eq(hc(17, 6, bad[i] == LAST - 8 ? LAST - 3 : bad[i], 0, 0, 0), -EFAULT);
		ksft_eq(hc(24, 4, 0, bad[i], 0, 0), -EFAULT);  /* get_runstate_info */
		ksft_eq(hc(24, 10, 0, bad[i], 0, 0), -EFAULT); /* register_vcpu_info */
		ksft_eq(hc(29, 3, bad[i], 0, 0, 0), -EFAULT);
		ksft_eq(hc(32, 1, bad[i], 0, 0, 0), -EFAULT);
		ksft_eq(hc(33, 6, bad[i] == LAST - 8 ? LAST - 2 : bad[i], 0, 0, 0), -EFAULT);
		ksft_eq(hc(18, 0, 10, bad[i], 0, 0), -EFAULT);
	}
	/* Outputs to a page that the guest itself may only read. */
	((__u64 *)at(L1))[300] &= ~2ull;
	ksft_eq(hc(17, 2, BASE + 300 * PAGE, 0, 0, 0), -EFAULT);
	fill(obey, obey_end, false);
	((__u64 *)at(L1))[300] &= ~2ull;
	ksft_eq(hc(12, 12, BASE + 300 * PAGE, 0, 0, 0), -EFAULT);
	ksft_eq(hc(12, 12, BASE + 300 * PAGE - 8, 0, 0, 0), -EFAULT);
	/* And across two pages that it may write. */
	ksft_eq(hc(12, 12, BASE + 302 * PAGE - 8, 0, 0, 0), 0);
	ksft_eq(*(__u64 *)at(302 * PAGE - 8), hole);
	ksft_eq(*(__u64 *)at(302 * PAGE + 8), FRAMES - 1);
	drop();
}

CASE(counts, "counts beyond all bounds")
{
	static const __u64 n[] = {
		4097, 1ull << 31, 1ull << 32, 1ull << 60, ~0ull, (1ull << 32) + 1
	};
	unsigned int i;

	obey_start();
	for (i = 0; i < sizeof(n) / sizeof(n[0]); i++) {
		ksft_eq(hc(13, BASE, n[i], 0, 0, 0), -EINVAL);
		ksft_eq(hc(1, BASE, n[i], 0, HC_SELF, 0), -EINVAL);
		ksft_eq(hc(26, BASE, n[i], 0, HC_SELF, 0), -EINVAL);
		ksft_eq(hc(18, 0, n[i], BASE + 500 * PAGE, 0, 0) < 0, n[i] != 4097);
	}
	/* As many as there may be, of which the first is not a request. */
	ksft_eq(hc(13, BASE + 300 * PAGE, 4096, 0, 0, 0), 0);
	ksft_eq(hc(13, LAST - PAGE, 4096, 0, 0, 0), -EFAULT);
	drop();
}

/* --- multicalls -------------------------- */

struct multi {
	__u64 op, result, arg[6];
};

/* --- page table updates, which the switcher may take several at a time --------- */

/* Entries 400 and on of the last-level table are to map what entries 300 and on do. */
static void batch_list(__u64 gpa, unsigned int n)
{
	unsigned int i;

	fill(obey, obey_end, false);
	for (i = 0; i < n; i++) {
		((__u64 *)at(gpa))[2 * i] = L1 + 8 * (400 + i);
		((__u64 *)at(gpa))[2 * i + 1] = (300 + i) * PAGE | 0x63;
		*(__u64 *)at((300 + i) * PAGE) = 0x1234 + i;
	}
}

/* The call's result, and that it has done so many. */
static void batch_done(__u64 list, unsigned int n, __s64 result, unsigned int done)
{
	__u64 *l1 = at(L1);
	unsigned int i;

	ksft_eq(hc(1, list, n, 0, HC_SELF, 5), result);
	ksft_eq(end.rdi, list);
	ksft_eq(end.r10, HC_SELF);
	ksft_eq(end.r8, 5);
	ksft_eq(l1[400 + done] & ~0x60ull, (400 + done) * PAGE | 3);
	for (i = 0; i < done; i++) {
		ksft_eq(l1[400 + i] & ~0x60ull, (300 + i) * PAGE | 3);
		look(BASE + (400 + i) * PAGE);
		ksft_eq(end.r12, 0x1234 + i);
	}
}

CASE(batch_sizes, "page table updates: 1, 3, 16, 17 and 40 in a hypercall")
{
	static const unsigned int n[] = { 1, 3, 16, 17, 40 };
	unsigned int i;

	obey_start();
	for (i = 0; i < 5; i++) {
		batch_list(ARGS, n[i]);
		batch_done(BASE + ARGS, n[i], 0, n[i]);
	}
	drop();
}

CASE(batch_bad, "page table updates, one of which is bad")
{
	static const __u64 bad[] = { 0, 1ull << 50, L1 + 8 * 402 + 3, FRAMES * PAGE };
	unsigned int i;

	for (i = 0; i < 4; i++) {
		obey_start();
		batch_list(ARGS, 5);
		if (i)
			((__u64 *)at(ARGS))[2 * 2] = bad[i];
		else
			((__u64 *)at(ARGS))[2 * 2 + 1] = FRAMES * PAGE | 0x63;
		batch_done(BASE + ARGS, 5, bad[i] & 3 ? -ENOSYS : -EINVAL, 2);
		drop();
	}
}

CASE(batch_edge, "page table updates whose list leads to where nothing is")
{
	obey_start();
	batch_list(LAST_PAGE * PAGE + PAGE - 2 * 16, 2);
	batch_done(LAST - 2 * 16, 3, -EFAULT, 2);
	batch_list(LAST_PAGE * PAGE + PAGE - 8, 0);
	batch_done(LAST - 8, 1, -EFAULT, 0);
	batch_list(ARGS, 0);
	batch_done(0x7ffffffffff8, 2, -EFAULT, 0);
	batch_done(0x7ffffffffff8, 16, -EFAULT, 0);
	batch_done(hole - 16, 2, -EFAULT, 0);
	batch_done(sw - 16, 2, -EFAULT, 0);
	drop();
}

CASE(multi_in_multi, "iret, block, console and multicall inside a multicall")
{
	struct multi *m;
	unsigned int i;

	obey_start();
	m = at(300 * PAGE);
	for (i = 0; i < 64; i++)
		m[i] = (struct multi){ .op = i, .arg = { BASE + 300 * PAGE, 64 } };
	m[0].op = 1ull << 32; /* no number is cut to 32 bits */
	m[14].arg[0] = BASE + 310 * PAGE;
	m[29].arg[0] = 1;
	m[26].arg[1] = 5;
	ksft_eq(hc(13, BASE + 300 * PAGE, 64, 0, 0, 0), 0);
	ksft_eq((__s64)m[0].result, -ENOSYS);
	ksft_eq((__s64)m[13].result, -ENOSYS);
	ksft_eq((__s64)m[23].result, -ENOSYS);
	ksft_eq((__s64)m[18].result, -EINVAL);
	ksft_eq((__s64)m[29].result, -EINVAL);
	ksft_eq((__s64)m[55].result, -EINVAL);
	drop();
}

CASE(multi_self, "a multicall that rewrites itself")
{
	struct multi *m;
	unsigned int i;

	obey_start();
	m = at(300 * PAGE);
	/* Each writes the platform's parameters over the next entries, and the tables' entries. */
	for (i = 0; i < 64; i++)
		m[i] = (struct multi){ 17, 0, { i & 1 ? 2 : 5, BASE + 300 * PAGE + i * 64 + 60 } };
	obey_order((struct order){ .nr = 13, .arg = { BASE + 300 * PAGE, 64 } });
	expect(ended == 1 && end.r13 == NONE);
	/* One that takes away the mapping of its own list, and of the guest's code. */
	for (i = 0; i < 512; i++)
		m[i] = (struct multi){ 14, 0, { BASE + i * PAGE, 0, 2 } };
	obey_order((struct order){ .nr = 13, .arg = { BASE + 300 * PAGE, 512 } });
	dies(LOST_STACK);
	drop();
}

/* --- arguments that change -------------------------- */

static struct {
	pthread_t thread;
	volatile __u64 *at;
	__u64 val[4];
	bool stop;
	unsigned long turns;
} flip;

static void *flipper(void *arg)
{
	unsigned int i = 0;

	(void)arg;
	while (!__atomic_load_n(&flip.stop, __ATOMIC_RELAXED)) {
		*flip.at = flip.val[i++ & 3];
		flip.turns++;
	}
	return NULL;
}

static void flip_start(__u64 gpa, __u64 a, __u64 b, __u64 c, __u64 d)
{
	flip.at = at(gpa);
	flip.val[0] = a, flip.val[1] = b, flip.val[2] = c, flip.val[3] = d;
	flip.stop = false;
	ksft_eq(pthread_create(&flip.thread, NULL, flipper, NULL), 0);
}

static void flip_stop(void)
{
	__atomic_store_n(&flip.stop, true, __ATOMIC_RELAXED);
	pthread_join(flip.thread, NULL);
}

#define MARK 0x6d61726b6d61726bull

/* The hypercall of ORDER, then what an address holds; over and over. R12: reads that got it. */
BODY(flipped, "mov $4000, %ebp; xor %r15d, %r15d; mov $0x511c00, %ebx\n"
	      "1: mov (%rbx), %rax; mov 8(%rbx), %rdi; mov 16(%rbx), %rsi; mov 24(%rbx), %rdx;"
	      "mov 32(%rbx), %r10; mov 40(%rbx), %r8; syscall\n"
	      "mov $0x515000, %edi; lea 2f(%rip), %rax; mov %rax, 0xf00(%rdi)\n"
	      "mov 56(%rbx), %rsi; mov (%rsi), %rax; cmp 64(%rbx), %rax; jne 3f; inc %r15\n"
	      "2: movq $0, 0x515f00; mov $0x100, %r13d; dec %ebp; jnz 1b; mov %r15, %r12; jmp 4f\n"
	      "3: movq $0, 0x515f00; mov %rax, %r14; mov $0x177, %r13d\n4:")

static void flip_hc(struct order t, __u64 gpa, __u64 a, __u64 b, __u64 c, __u64 d)
{
	make(flipped, flipped_end, false);
	*(__u64 *)at(300 * PAGE) = *(__u64 *)at(301 * PAGE) = MARK;
	*(__u64 *)at(299 * PAGE) = 300 * PAGE | 0x63;
	*(struct order *)at(ORDER) = t;
	((__u64 *)at(ARGS))[0] = L1 + 301 * 8;
	((__u64 *)at(ARGS))[1] = 300 * PAGE | 0x63;
	flip_start(gpa, a, b, c, d);
	go(LONG);
	flip_stop();
	ksft_msg("%llu reads, %lu turns", end.r12, flip.turns);
	expect(ended == 1 && end.r13 == NONE && end.r12 <= 4000);
}

#define FLIP_VA (BASE + 301 * PAGE)

CASE(flip_update, "mmu_update, its entry changing between good and foreign")
{
	flip_hc((struct order){ 1, { BASE + ARGS, 1, 0, HC_SELF }, 1, FLIP_VA, MARK, 0 }, ARGS + 8,
		300 * PAGE | 0x63, 0x7ffff063, ~0ull, 0);
	drop();
}

CASE(flip_ptr, "mmu_update, its address changing between good and foreign")
{
	flip_hc((struct order){ 1, { BASE + ARGS, 1, 0, HC_SELF }, 1, BASE + 300 * PAGE, MARK, 0 },
		ARGS, L1 + 301 * 8, FRAMES * PAGE, ~7ull, L1 + 301 * 8);
	drop();
}

CASE(flip_multi, "a multicall, its numbers changing")
{
	flip_hc((struct order){ 13, { BASE + ARGS, 1, 0, 0 }, 1, BASE + 300 * PAGE, MARK, 0 }, ARGS,
		17, 13, 23, ~0ull);
	drop();
}

CASE(flip_table, "a page table, its entry changing while it is walked")
{
	flip_hc((struct order){ 26, { BASE + ARGS, 0, 0, HC_SELF }, 1, FLIP_VA, MARK, 0 },
		L1 + 301 * 8, 300 * PAGE | 0x63, 0x7ffff063, 0, 300 * PAGE | 0x1000000000067);
	drop();
}

CASE(flip_upper, "the table above, its entry changing while it is walked")
{
	flip_hc((struct order){ 55, { 3 }, 1, 3ull << 21, MARK, 0 }, L2 + 24, TABLE(299 * PAGE),
		FRAMES * PAGE | 0x67, 0xe7, ~0ull);
	drop();
}

CASE(flip_gdt, "a descriptor table, its frame changing")
{
	flip_hc((struct order){ 2, { BASE + ARGS, 512 }, 1, BASE + 300 * PAGE, MARK, 0 }, ARGS, 300,
		FRAMES, ~0ull, 1ull << 40);
	drop();
}

CASE(flip_vi, "a vcpu_info, its frame changing")
{
	flip_hc((struct order){ 24, { 10, 0, BASE + ARGS }, 1, BASE + 300 * PAGE, MARK, 0 }, ARGS,
		299, FRAMES, ~0ull, 1ull << 40);
	drop();
}

/* The frame of iret: RIP and flags change while the switcher and the core read it. */
BODY(flip_irets, "mov $4000, %ebp; lea 1f(%rip), %r15; mov %r15, 0x511120; xor %r12d, %r12d\n"
		 "2: lea 1f(%rip), %rax; mov %rax, 0x515f00; mov $0x511100, %esp; mov $23, %eax;"
		 "syscall\n1: mov $0x54000, %esp; inc %r12; dec %ebp; jnz 2b")

CASE(flip_iret, "iret, its frame changing between good, the hole and nothing")
{
	static const __u64 word[] = { 0x20, 0x28, 0x30, 0x38, 0x18 };
	unsigned int i;

	for (i = 0; i < 5; i++) {
		__u64 *f;

		make(flip_irets, flip_irets_end, false);
		f = at(ARGS + 0x100);
		memset(f, 0, 80);
		f[4] = 0; /* RIP, which the guest sets to where it goes on */
		f[5] = 0xe030;
		f[6] = 2;
		f[7] = BASE + STACK;
		/* The place of the code that goes on, as the guest would have it. */
		flip_start(ARGS + 0x100 + word[i],
			   i == 0   ? 0x800000000000
			   : i == 1 ? 0x10
				    : ~0ull,
			   i == 1 ? 0xe030 : sw, i == 3 ? BASE + STACK : 2, i == 1 ? 0xe030 : 0);
		go(LONG);
		flip_stop();
		/* Back in the loop, in the handler of a fault, or dead for its stack. */
		expect(ended >= 0);
	}
	drop();
}

int main(int argc, char **argv)
{
	return hostile_run(argc, argv);
}
