// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guests with two vCPUs, of which one attacks by way of the other: contexts of garbage for it, and
 * tables that one changes while the other uses them. The second vCPU's thread is here, too.
 */
#include <pthread.h>

#include "hostile.h"

#define MARK	   0x6d61726b6d61726bull
#define CONTEXT	   (300 * PAGE) /* struct vcpu_guest_context, of two pages */
#define WORD(byte) ((byte) / 8)
#define FLAGS	   WORD(512)
#define REGS	   WORD(520)
#define RIP	   (REGS + 16)
#define RSP	   (REGS + 19)
#define TRAP_CTXT  WORD(720)
#define KERNEL_SP  WORD(4976)
#define CR3	   (WORD(4984) + 3)
#define CALLBACKS  WORD(5112)
#define WORDS	   WORD(5168)

static int second = -1;
static pthread_t thread;
static bool stop;
static unsigned int seed;

static unsigned int rnd(unsigned int n)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 16) % n;
}

static void *runner(void *arg)
{
	(void)arg;
	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE))
		ioctl(second, LODGE_RUN, 0);
	return NULL;
}

static void make_two(const char *code, const char *code_end)
{
	vcpus = 2;
	make(code, code_end, false);
	vcpus = 1;
	second = ioctl(vm, LODGE_VCPU_CREATE, 1);
	ksft_check(second >= 0);
	stop = false;
	ksft_eq(pthread_create(&thread, NULL, runner, NULL), 0);
}

static void drop_two(void)
{
	__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
	while (pthread_tryjoin_np(thread, NULL)) {
		pthread_kill(thread, SIGALRM);
		usleep(1000);
	}
	close(second);
	drop();
}

/* The code that the second vCPU runs is at VA 0x506000: hypercalls and faults, for ever. */
BODY(other, "1: mov $55, %eax; mov $3, %edi; syscall; mov $0x700000, %esi; lock incq 0x515800;"
	    "mov $1, %eax; mov $0x511800, %edi; mov $2, %esi; xor %edx, %edx; mov $0x7ff0, %r10d;"
	    "syscall; mov $26, %eax; mov $0x511880, %edi; mov $2, %esi; mov $0x7ff0, %r10d;"
	    "syscall; jmp 1b")

static void good_context(void)
{
	__u64 *c = at(CONTEXT), *req = at(ARGS + 0x800);

	memset(c, 0, 2 * PAGE);
	memcpy(at(0x106 * PAGE), other, other_end - other);
	c[FLAGS] = 4;
	c[RIP] = BASE + 0x106 * PAGE;
	c[RSP] = c[KERNEL_SP] = BASE + 310 * PAGE;
	c[REGS + 18] = 0x202;
	c[CR3] = ROOT;
	/* Its requests: an entry of the first one's, to and fro; flushes. */
	req[0] = L1 + 301 * 8;
	req[1] = 299 * PAGE | 0x63;
	req[2] = L1 + 301 * 8;
	req[3] = 298 * PAGE | 0x63;
	req[16] = 6;
	req[19] = 8;
}

/* VCPUOP_initialise, once the other's thread is where it can be. */
static __s64 initialise(void)
{
	__s64 ret;
	int i;

	for (i = 0; i < 3000; i++) {
		ret = hc(24, 0, 1, BASE + CONTEXT, 0, 0);
		if (ret != -EINVAL)
			return ret;
		usleep(1000);
	}
	return ret;
}

CASE(contexts, "contexts of garbage for another vCPU")
{
	static const __u64 words[] = { ~0ull,
				       1ull << 63,
				       0x800000000000,
				       0xffff800000000000,
				       0xff00004000004800,
				       0xffff804000004800,
				       FRAMES * PAGE,
				       0x7ffff000,
				       0x10,
				       0x5fffff };
	unsigned int i, k, done = 0;
	__u64 *c;

	seed = 11;
	for (i = 0; i < 25; i++) {
		make_two(obey, obey_end);
		good_context();
		ksft_eq(hc(24, 3, 1, 0, 0, 0), 0);	 /* is_up: no */
		ksft_eq(hc(24, 1, 1, 0, 0, 0), -EINVAL); /* up */
		ksft_eq(hc(24, 0, 1, sw, 0, 0), -EFAULT);
		ksft_eq(hc(24, 0, 2, BASE + CONTEXT, 0, 0), -ENOENT);
		for (k = 0; k < 8; k++) {
			__s64 ret;

			good_context();
			c = at(CONTEXT);
			c[rnd(2) ? REGS + rnd(25) : WORD(4816) + rnd(44)] = words[rnd(10)];
			c[rnd(2) ? TRAP_CTXT + rnd(512) : CALLBACKS + rnd(7)] = words[rnd(10)];
			ret = hc(24, 0, 1, BASE + CONTEXT, 0, 0);
			ksft_check(!ret || ret == -EINVAL || ret == -EEXIST);
			done += !ret;
			if (ret)
				continue;
			ksft_check(!hc(24, 1, 1, 0, 0, 0));
			usleep(2000);
			/* It may have killed the VM, by a trap without a handler. */
			obey_order((struct order){ .nr = 24, .arg = { 2, 1 } });
			expect(ended >= 0);
			break;
		}
		drop_two();
	}
	ksft_msg("%u were taken", done);
}

BODY(reader,
     "mov $4000, %ebp; xor %r12d, %r12d; mov $0x52d000, %esi; movabs $0x6d61726b6d61726b, %rbx\n"
     "1: cmp (%rsi), %rbx; jne 2f; dec %ebp; jz 3f; mov $55, %eax; mov $3, %edi; syscall;"
     "jmp 1b\n2: mov $1, %r12d\n3:")

CASE(other_tables, "a table that another vCPU changes")
{
	make_two(obey, obey_end);
	good_context();
	*(__u64 *)at(298 * PAGE) = *(__u64 *)at(299 * PAGE) = *(__u64 *)at(301 * PAGE) = MARK;
	ksft_eq(initialise(), 0);
	ksft_eq(hc(24, 1, 1, 0, 0, 0), 0);
	memcpy(at(BODY_AT), reader, reader_end - reader);
	again();
	go(LONG);
	gives(0);
	ksft_msg("%llu turns", *(__u64 *)at(DATA + 0x800));
	drop_two();
}

int main(int argc, char **argv)
{
	return hostile_run(argc, argv);
}
