/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Guests that attack their hypervisor, without a VMM around them: each is a small kernel, in the
 * ring that the module was loaded for and with page tables of its own, that /dev/lodge runs
 * directly. A case is the guest's instructions and what has to come of them:
 *
 *	GUEST(wr_idt, "writes the IDT", "movq $0, 0x5000(%rbx)")
 *	{
 *		traps(14, 3);
 *	}
 *
 * The guest starts with the switcher's area in RBX, the hypervisor's hole in R15 and DATA in RDI.
 * It ends by falling off its end, or by a trap, and says how in its registers: R13 the vector that
 * it has met (NONE if none), R14 the error code, R9 and R11 RIP and CS of the trap, and R12 what
 * the case makes of it. A user mode program (USER()) ends with a system call, its result in RAX.
 *
 * A program of these runs in the lab, as root, with the module loaded; lite_hostile.sh does that.
 */
#ifndef HOSTILE_H
#define HOSTILE_H

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#include "kselftest.h"
#include "lite/abi/lodge.h"
#include "lite/abi/platform.h"
#include "lite/linux/switcher.h"

#define PAGE   4096ull
#define FRAMES 1024ull
#define RAM    (FRAMES * PAGE)
/* The guest sees frames 0 to 511 from BASE on. Those below are for its tables and for cases. */
#define BASE	0x400000ull
#define SHARED	(64 * PAGE)
#define ROOT	(65 * PAGE)
#define L3	(66 * PAGE)
#define L2	(67 * PAGE)
#define L1	(68 * PAGE)
#define CODE	(256 * PAGE) /* at 0x500000: the code of all cases; + PAGE: a stub a vector */
#define BODY_AT (258 * PAGE) /* at 0x502000: the case's, up to 4 pages */
#define TRAPS	(272 * PAGE) /* at 0x510000: trap table */
#define ARGS	(273 * PAGE) /* at 0x511000: for the case */
#define CBS	(ARGS + 0xe00)
#define USTACK	(274 * PAGE) /* at 0x512000; user mode has this and the next 4 pages */
#define UCODE	(275 * PAGE) /* at 0x513000 */
#define DATA	(277 * PAGE) /* at 0x515000; DATA_RESUME: where to go on after a trap, or 0 */
#define STACK	(288 * PAGE) /* at 0x520000, its end */
#define RESUME	0xf00

#define NONE	  0x100 /* in R13: no trap */
#define SYSCALL	  0x101
#define SYSCALL32 0x102
#define EVENT	  0x103

/* ms: for what has to end, on a busy machine, too; and for what is expected not to. */
#define LONG  60000
#define SHORT 500

#define TABLE(gpa) ((gpa) | 0x67)

/*
 * common: register the traps and callbacks, then go where RBP says; report at 0x500800. A trap with
 * a word at RESUME goes on there, in the mode that it came from, its stack unwound.
 */
asm(".pushsection .rodata\n"
    "common:\n"
    "	xor %eax, %eax; mov $0x510000, %edi; syscall\n"
    "	.irp at, 0x511e00, 0x511e10, 0x511e20, 0x511e30\n"
    "	mov $30, %eax; xor %edi, %edi; mov $\\at, %esi; syscall\n"
    "	.endr\n"
    "	mov $3, %eax; xor %edi, %edi; mov $0x520000, %esi; syscall\n"
    "	mov $0x515000, %edi\n"
    "	mov $0x100, %r13d; xor %r12d, %r12d; xor %r14d, %r14d\n"
    "	jmp *%rbp\n"
    "	.org common + 0x600\n" /* to user mode */
    "	push $0x2b; push $0x512ff0; push $0x202; push $0x33; push $0x513000\n"
    "	push $0; push $0; push $0; push $0; mov $23, %eax; syscall; ud2\n"
    "	.org common + 0x700\n" /* callbacks: syscall, syscall32, event */
    "	mov $0x101, %r13d; jmp 1f\n"
    "	.org common + 0x710\n"
    "	mov $0x102, %r13d; jmp 1f\n"
    "	.org common + 0x720\n"
    "	mov $0x103, %r13d\n"
    "1:	mov %rax, %r14; mov %rax, %r12; lea 16(%rsp), %r10; mov (%r10), %r9; mov 8(%r10), %r11\n"
    "	jmp common + 0x800\n"
    "	.org common + 0x800\n" /* report */
    "	mov $0x604, %edx; mov %r13d, %eax\n"
    "2:	out %eax, (%dx)\n"
    "	jmp 2b\n"
    "	.org common + 0x900\n" /* traps */
    "has_error:\n"
    "	mov 16(%rsp), %r14; lea 24(%rsp), %r10; jmp 3f\n"
    "no_error:\n"
    "	xor %r14d, %r14d; lea 16(%rsp), %r10\n"
    "3:	mov (%r10), %r9; mov 8(%r10), %r11\n"
    "	mov 0x515f00, %r8; test %r8, %r8; jz common + 0x800\n"
    "	movq $0, 0x515f00; mov $0x520000, %esp\n"
    "	test $3, %r11b; jnz 4f; jmp *%r8\n"
    "4:	push $0x2b; push $0x512ff0; push $0x202; push $0x33; push %r8\n"
    "	push $0; push %rcx; push %r11; push %rax; mov $23, %eax; syscall; ud2\n"
    "	.org common + 0x1000\n"
    "	.set i, 0\n"
    "	.rept 256\n"
    "	.balign 16\n"
    "	mov $i, %r13d\n"
    "	.if i == 8 || (i >= 10 && i <= 14) || i == 17\n"
    "	jmp has_error\n"
    "	.else\n"
    "	jmp no_error\n"
    "	.endif\n"
    "	.set i, i + 1\n"
    "	.endr\n"
    "common_end:\n"
    ".popsection\n");
extern const char common[], common_end[];

#define BODY(id, text)                                                                        \
	asm(".pushsection .rodata\n" #id ":\n" text "\n	mov $0x500800, %eax; jmp *%rax\n" #id \
	    "_end:\n.popsection\n");                                                          \
	extern const char id[], id##_end[];

#define UBODY(id, text)                                                                         \
	asm(".pushsection .rodata\n" #id ":\n" text "\n	syscall\n" #id "_end:\n.popsection\n"); \
	extern const char id[], id##_end[];

#define CASE(id, title)                                       \
	static void t_##id(void);                             \
	static __attribute__((constructor)) void r_##id(void) \
	{                                                     \
		ksft_case(title, t_##id);                     \
	}                                                     \
	static void t_##id(void)

/* A case: after its instructions have run, the block that follows looks at the end. */
#define CASE_OF(id, title, user, ms)      \
	static void check_##id(void);     \
	CASE(id, title)                   \
	{                                 \
		make(id, id##_end, user); \
		go(ms);                   \
		check_##id();             \
		drop();                   \
	}                                 \
	static void check_##id(void)
#define GUEST(id, title, text) BODY(id, text) CASE_OF(id, title, false, LONG)
#define USER(id, title, text)  UBODY(id, text) CASE_OF(id, title, true, LONG)
/* One that does not end by itself. */
#define GUEST_STAYS(id, title, text) BODY(id, text) CASE_OF(id, title, false, SHORT)

/* The frame of the iret hypercall, RIP in RAX. */
#define IRET(cs, flags)                                                         \
	"push $0x2b; push $0x512ff0; push $" flags "; push $" cs "; push %rax;" \
	"push $0; push $0; push $0; push $0; mov $23, %eax; syscall;"

static int dev, vm = -1, vcpu = -1;
static char *ram;
static struct lodge_run *run;
static struct lodge_state begin, end; /* of the last go() */
static int ended;		      /* go()'s value */
static __u64 hole, sw;
static unsigned int levels, ring;
static unsigned int vcpus = 1; /* of the next make(); the others are the case's to create */

static inline void *at(__u64 gpa)
{
	return ram + gpa;
}

static inline void drop(void)
{
	if (vcpu < 0)
		return;
	munmap(run, PAGE);
	close(vcpu);
	close(vm);
	munmap(ram, RAM);
	vm = vcpu = -1;
}

/* Guest memory as each guest finds it. */
static inline void fill(const char *code, const char *code_end, bool user)
{
	__u64 *l4 = at(ROOT), *l3 = at(L3), *l2 = at(L2), *l1 = at(L1), *t = at(TRAPS), i;
	/* types of callbacks, and what they mask: all but the event's are told */
	static const __u64 cb[4][2] = {
		{ 2 | 1 << 16, 0x700 }, { 7 | 1 << 16, 0x710 }, { 0, 0x720 }, { 1, 0x720 }
	};

	memset(l4, 0, PAGE);
	memset(l3, 0, PAGE);
	memset(l2, 0, PAGE);
	l4[0] = TABLE(L3);
	l3[0] = TABLE(L2);
	l2[BASE >> 21] = TABLE(L1);
	for (i = 0; i < 512; i++)
		l1[i] = i * PAGE | 0x63;
	for (i = 0; i < 5; i++)
		l1[USTACK / PAGE + i] |= 4;
	memcpy(at(CODE), common, common_end - common);
	memcpy(at(user ? UCODE : BODY_AT), code, code_end - code);
	for (i = 0; i < 256; i++) {
		t[2 * i] = i | 7 << 8 | 0xe030ull << 16;
		t[2 * i + 1] = BASE + CODE + PAGE + i * 16;
	}
	for (i = 0; i < 4; i++) {
		t = at(CBS + 16 * i);
		t[0] = cb[i][0];
		t[1] = BASE + CODE + cb[i][1];
	}
	*(__u64 *)at(DATA + RESUME) = 0;
	begin = (struct lodge_state){
		.rip = BASE + CODE,
		.rsp = BASE + STACK,
		.rbp = user ? BASE + CODE + 0x600 : BASE + BODY_AT,
		.rbx = sw,
		.r15 = hole,
		.rflags = 2,
		.kernel = 1,
		.root = ROOT,
		.user_root = ROOT,
	};
}

static inline void make(const char *code, const char *code_end, bool user)
{
	struct lodge_vm_config c = { .version = LODGE_ABI_VERSION, .vcpus = vcpus };
	struct lodge_mem m = { .size = RAM };
	struct lodge_pv pv = { SHARED, ROOT, FRAMES, 512, { 0 } };

	drop();
	ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ksft_check(ram != MAP_FAILED);
	m.hva = (unsigned long)ram;
	fill(code, code_end, user);
	vm = ioctl(dev, LODGE_VM_CREATE, &c);
	ksft_check(vm >= 0);
	ksft_eq(ioctl(vm, LODGE_MEM_SET, &m), 0);
	ksft_eq(ioctl(vm, LODGE_PV_SET, &pv), 0);
	vcpu = ioctl(vm, LODGE_VCPU_CREATE, 0);
	ksft_check(vcpu >= 0);
	run = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	ksft_check(run != MAP_FAILED);
	ksft_eq(ioctl(vcpu, LODGE_STATE_SET, &begin), 0);
}

/* Once more from the beginning, in the same VM, with memory as it is now. */
static inline void again(void)
{
	ksft_eq(ioctl(vcpu, LODGE_STATE_SET, &begin), 0);
}

static inline void on_alarm(int sig)
{
	(void)sig;
}

/* Runs to the report (1), to its death or a shutdown (0), or for too long (-1). */
static inline int go(unsigned int ms)
{
	struct itimerval t = { { 0, 300000 }, { ms / 1000, ms % 1000 * 1000 } }, off = { 0 };
	int ret;

	/* Repeated, for the one that comes between two calls. */
	setitimer(ITIMER_REAL, &t, NULL);
	do {
		ret = ioctl(vcpu, LODGE_RUN, 0);
	} while (!ret && (run->reason == LODGE_EXIT_NONE || run->reason == LODGE_EXIT_CONSOLE ||
			  run->reason == LODGE_EXIT_VIRTIO));
	setitimer(ITIMER_REAL, &off, NULL);
	if (ret < 0)
		ksft_eq(errno, EINTR);
	ksft_eq(ioctl(vcpu, LODGE_STATE_GET, &end), 0);
	ended = ret < 0 ? -1
			: run->reason == LODGE_EXIT_PIO && run->io.port == LODGE_PORT_EXIT_STATUS;
	return ended;
}

/* What happened, for whoever reads the log. */
static inline void tell(void)
{
	if (ended == 1)
		ksft_msg("vector %llx error %llx at %llx cs %llx, result %llx", end.r13, end.r14,
			 end.r9, end.r11, end.r12);
	else if (!ended && run->reason == LODGE_EXIT_KILLED)
		ksft_msg("killed: %s", run->killed.why);
	else if (!ended)
		ksft_msg("exit %u", run->reason);
	else
		ksft_msg("runs until a signal comes, rip %llx", end.rip);
}

#define expect(cond)                                      \
	do {                                              \
		if (!(cond)) {                            \
			tell();                           \
			ksft_fail("expected: %s", #cond); \
		}                                         \
	} while (0)

/* The guest has met trap @vec with error code @err (0 where there is none). */
#define traps(vec, err) expect(ended == 1 && end.r13 == (vec) && end.r14 == (__u64)(err))
/* No trap, and a result. */
#define gives(val) expect(ended == 1 && end.r13 == NONE && end.r12 == (__u64)(val))
/* A program in user mode has come to its end, with a result. */
#define user_gives(val) expect(ended == 1 && end.r13 == SYSCALL && end.r14 == (__u64)(val))
/* Killed, the reason beginning with that. */
#define dies(text)                                           \
	expect(!ended && run->reason == LODGE_EXIT_KILLED && \
	       !strncmp(run->killed.why, text, strlen(text)))
/* In ring 3 the switcher is out of the kernel's reach: a page fault, and that is all. */
#define unless_ring3(err)                 \
	do {                              \
		if (ring == 3) {          \
			traps(14, (err)); \
			return;           \
		}                         \
	} while (0)
/* Still running, or asleep. */
#define waits() expect(ended == -1)

/* What CS holds in the guest's kernel. */
#define KERN_CS (ring == 3 ? SW_USER_CS : SW_KERN_CS)

#define SWITCHER_FAULT "the switcher met a fault that the guest has caused"
#define NO_STACK       "no stack for a trap frame"
#define LOST_STACK     "a trap frame cannot be written to the stack"

/*
 * A guest to be told what to do, again and again: a hypercall (its number ~0: none), then an access
 * of memory. The hypercall's result, or what was read, is in R12.
 */
struct order {
	__u64 nr, arg[5];
	__u64 kind; /* 0 none, 1 read, 2 write, 3 call */
	__u64 va, val, got;
};
#define ORDER (ARGS + 0xc00)
BODY(obey, "mov $0x511c00, %ebx; mov (%rbx), %rax; inc %rax; jz 1f; dec %rax;"
	   "mov 8(%rbx), %rdi; mov 16(%rbx), %rsi; mov 24(%rbx), %rdx; mov 32(%rbx), %r10;"
	   "mov 40(%rbx), %r8; syscall; mov %rax, %r12; mov %rax, 72(%rbx)\n"
	   "1: mov 48(%rbx), %eax; mov 56(%rbx), %rsi; mov 64(%rbx), %rdx;"
	   "cmp $1, %eax; je 2f; cmp $2, %eax; je 3f; cmp $3, %eax; jne 4f;"
	   "call *%rsi; jmp 4f\n2: mov (%rsi), %r12; jmp 4f\n3: mov %rdx, (%rsi)\n4:")

static inline void obey_start(void)
{
	make(obey, obey_end, false);
}

static inline void obey_order(struct order t)
{
	*(struct order *)at(ORDER) = t;
	again();
	go(LONG);
}

/* A hypercall that comes back: its result. */
static inline __s64 hc(__u64 nr, __u64 a, __u64 b, __u64 c, __u64 d, __u64 e)
{
	obey_order((struct order){ .nr = nr, .arg = { a, b, c, d, e } });
	expect(ended == 1 && end.r13 == NONE);
	return end.r12;
}

static inline void look(__u64 va)
{
	obey_order((struct order){ .nr = ~0ull, .kind = 1, .va = va });
}

static inline void store(__u64 va, __u64 val)
{
	obey_order((struct order){ .nr = ~0ull, .kind = 2, .va = va, .val = val });
}

static inline void jump(__u64 va)
{
	obey_order((struct order){ .nr = ~0ull, .kind = 3, .va = va });
}

#define HC_SELF 0x7ff0
/* One request each; mmu_update of the entry at @gpa, mmuext_op. */
static inline __s64 hc_mmu_update(__u64 gpa, __u64 val)
{
	__u64 *req = at(ARGS);

	req[0] = gpa;
	req[1] = val;
	return hc(1, BASE + ARGS, 1, 0, HC_SELF, 0);
}

static inline __s64 hc_mmuext(__u64 cmd, __u64 arg1, __u64 arg2)
{
	__u64 *req = at(ARGS);

	req[0] = cmd;
	req[1] = arg1;
	req[2] = arg2;
	return hc(26, BASE + ARGS, 1, 0, HC_SELF, 0);
}

/* Whose switcher area the guest has: RBX's is the first one's. */
static inline void on_cpu(unsigned int nr)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(nr, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		perror("sched_setaffinity");
}

static inline int hostile_run(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_alarm };
	struct lodge_info info;

	sigaction(SIGALRM, &sa, NULL);
	dev = open(LODGE_DEVICE, O_RDWR | O_CLOEXEC);
	if (dev < 0 || ioctl(dev, LODGE_INFO, &info) < 0) {
		perror(LODGE_DEVICE);
		return KSFT_FAIL;
	}
	levels = info.levels;
	ring = info.ring;
	hole = levels == 5 ? 0xff00000000000000ull : 0xffff800000000000ull;
	sw = hole + (256ull << 30);
	return ksft_run(argc, argv);
}

#endif
