// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guests that attack their hypervisor: each case is a small ring-1 kernel with page tables of its
 * own, loaded by /dev/lodge directly. It has to end: with a trap of its own, with a result that it
 * was given, or killed with a reason. What a case reaches is said by the guest in registers: R13
 * the vector that it met (NONE if none), R14 the error code, R12 a result. lite_hostile.sh runs
 * this in the lab, beside a stock guest, and looks at the host's log afterwards.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kselftest.h"
#include "lite/abi/lodge.h"
#include "lite/abi/platform.h"
#include "lite/linux/switcher.h"

#define PAGE 4096ull
#define RAM  (1024 * PAGE)
/* The guest sees frames 0 to 511 from BASE on. */
#define BASE   0x400000ull
#define SHARED (64 * PAGE)
#define ROOT   (65 * PAGE)
#define L3     (66 * PAGE)
#define L2     (67 * PAGE)
#define L1     (68 * PAGE)
#define CODE   (256 * PAGE)
#define DATA   (272 * PAGE)
#define USTACK (273 * PAGE)
#define UCODE  (274 * PAGE)
#define STACK  (288 * PAGE) /* its end */
#define TRAPS  DATA	    /* trap table */
#define ARGS   (DATA + 0xc00)

#define NONE 0x100

enum want {
	ANY = -1,
	ERROR = -3, /* no trap, and R12 is a negative errno */
};

static int dev, vm, vcpu;
static char *ram;
static struct lodge_run *run;
static struct lodge_state end;
static __u64 hole, sw;
static unsigned long nr_killed;

/*
 * Code common to all cases, at CODE: set up traps, then go where RBP says. RBX is the switcher's
 * area and R15 the hole; a case keeps them. report: tell the VMM.
 */
asm(".pushsection .rodata\n"
    "common:\n"
    "	xor %eax, %eax; mov $0x510000, %edi; syscall\n"
    "	mov $4, %eax; mov $0x500800, %edi; mov $0x500800, %esi; mov $0x500800, %edx; syscall\n"
    "	mov $3, %eax; xor %edi, %edi; mov $0x520000, %esi; syscall\n"
    "	mov $0x100, %r13d; xor %r12d, %r12d; xor %r14d, %r14d\n"
    "	jmp *%rbp\n"
    "	.org common + 0x400\n"
    "	.set i, 0\n"
    "	.rept 32\n"
    "	.balign 16\n"
    "	mov $i, %r13d\n"
    "	.if i == 8 || (i >= 10 && i <= 14) || i == 17\n"
    "	mov 16(%rsp), %r14\n"
    "	.endif\n"
    "	jmp 1f\n"
    "	.set i, i + 1\n"
    "	.endr\n"
    "	.org common + 0x800\n"
    "	mov %rax, %r14; mov $0x101, %r13d\n"
    "1:\n"
    "	mov $0x604, %edx; mov %r13d, %eax\n"
    "2:	out %eax, (%dx)\n"
    "	jmp 2b\n"
    "common_end:\n"
    ".popsection\n");
extern const char common[], common_end[];

/* One case's instructions, then the report. */
#define BODY(name, text)                                                         \
	asm(".pushsection .rodata\n" #name ":\n" text                            \
	    "\n	mov $0x500809, %eax; jmp *%rax\n" #name "_end:\n.popsection\n"); \
	extern const char name[], name##_end[];

/* The frame of the iret hypercall. */
#define IRET(rip, cs, flags)                                                             \
	"push $0x2b; push $0x511ff0; push $" flags "; push $" cs "; mov $" rip ", %rax;" \
	"push %rax; push $0; push $0; push $0; push $0; mov $23, %eax; syscall"

BODY(rd_text, "mov (%rbx), %r12")
BODY(wr_text, "movq $0, (%rbx)")
BODY(ex_ho, "lea 0x7000(%rbx), %rax; call *%rax")
BODY(wr_idt, "movq $0, 0x5000(%rbx)")
BODY(wr_ro, "movq $0, 0x6000(%rbx)")
BODY(wr_tss, "movq $0, 0x6104(%rbx)")
BODY(rd_ho, "mov 0x7000(%rbx), %r12")
BODY(wr_ho, "movq $0, 0x7000(%rbx)")
BODY(rd_other, "mov 0x24000(%rbx), %r12")
BODY(wr_m2p, "movq $0, (%r15)")
BODY(ex_rw, "lea 0x4000(%rbx), %rax; call *%rax")
BODY(ex_text, "call *%rbx")
BODY(ones_hc, "lea 0x4000(%rbx), %rdi; mov $4096, %ecx; mov $0xff, %al; rep stosb;"
	      "mov $63, %eax; syscall; mov %rax, %r12")
BODY(ones_ud, "lea 0x4000(%rbx), %rdi; mov $4096, %ecx; mov $0xff, %al; rep stosb; ud2")
BODY(rsp_rw, "lea 0x4800(%rbx), %rsp; ud2")
BODY(rsp_bad, "mov $0x800000000000, %rsp; ud2")
BODY(mode_forged, "movb $0, 0x40c0(%rbx); mov $63, %eax; syscall; mov %rax, %r12")
BODY(foreign, "movq $0x44500, 0x510c00; movabs $0x7ffff003, %rax;"
	      "mov %rax, 0x510c08; mov $1, %eax; mov $0x510c00, %edi; mov $1, %esi; xor %edx, %edx;"
	      "mov $0x7ff0, %r10d; syscall; mov %rax, %r12")
BODY(direct, "movabs $0x7ffff003, %rax; mov %rax, 0x444ff8; movabs 0x5ff000, %rax")
BODY(read_5, "movabs $0x28140a05000, %rax; mov 0x28(%rax), %r12")
BODY(read_large, "mov 0x600000, %r12")
BODY(iret_hole, IRET("0xff00004000000000", "0x33", "0x202"))
BODY(iret_hole4, IRET("0xffff804000000000", "0x33", "0x202"))
BODY(iret_noncanon, IRET("0x800000000000", "0x33", "0x202"))
BODY(iret_ring0, IRET("0x500809", "0x10", "0x3202"))
BODY(iret_user, IRET("0x512000", "0x33", "0x3202"))
BODY(sp_hole,
     "mov $3, %eax; lea 0x4800(%rbx), %rsi; syscall; mov %rax, %r12;" IRET("0x512000", "0x33",
									   "0x202"))
BODY(sp_noncanon,
     "mov $3, %eax; movabs $0x800000000000, %rsi; syscall; mov %rax, %r12;" IRET("0x512000", "0x33",
										 "0x202"))
BODY(cb_hole, "mov $4, %eax; mov %rbx, %rdi; mov %rbx, %rsi; mov %rbx, %rdx; syscall;"
	      "mov %rax, %r12")
BODY(tt_hole, "movq $6, 0x510c00; mov %rbx, 0x510c08; movq $0, 0x510c10; movq $0, 0x510c18;"
	      "xor %eax, %eax; mov $0x510c00, %edi; syscall; mov %rax, %r12")
BODY(lgdt_, "lgdt 0x510c00")
BODY(ltr_, "mov $0x40, %eax; ltr %ax")
BODY(wrmsr_, "mov $0xc0000082, %ecx; xor %eax, %eax; xor %edx, %edx; wrmsr")
BODY(cr3_, "xor %eax, %eax; mov %rax, %cr3")
BODY(cr4_, "xor %eax, %eax; mov %rax, %cr4")
BODY(lret0, "push $0x10; mov $0x500809, %eax; push %rax; lretq")
BODY(iopl, "pushq $0x3002; popfq; pushfq; pop %r12; and $0x3000, %r12")
BODY(sysret_, "sysretq")
BODY(swapgs_, "swapgs")
BODY(hlt_, "hlt")
BODY(int_n, "int $0x20")
/* Number and arguments from memory. */
BODY(any_hc, "mov 0x510c00, %rax; mov 0x510c08, %rdi; mov 0x510c10, %rsi; mov 0x510c18, %rdx;"
	     "mov 0x510c20, %r10; mov 0x510c28, %r8; syscall; mov %rax, %r12")

static const struct {
	const char *name, *code, *end;
	int want;
} cases[] = {
#define C(what, body, want)                  \
	{                                    \
		what, body, body##_end, want \
	}
	C("reads the switcher", rd_text, ANY),
	C("writes the switcher", wr_text, 14),
	C("runs the switcher", ex_text, ANY),
	C("runs the host's page", ex_ho, 14),
	C("runs the writable page", ex_rw, 14),
	C("writes the IDT", wr_idt, 14),
	C("writes the constants", wr_ro, 14),
	C("writes the TSS", wr_tss, 14),
	C("reads the host's page", rd_ho, 14),
	C("writes the host's page", wr_ho, 14),
	C("reads another processor's page", rd_other, 14),
	C("writes the M2P", wr_m2p, 14),
	C("fills the writable page, then a hypercall", ones_hc, ANY),
	C("fills the writable page, then a trap", ones_ud, ANY),
	C("traps with its stack in the hole", rsp_rw, ANY),
	C("traps with a stack nowhere", rsp_bad, ANY),
	C("forges its mode", mode_forged, ANY),
	C("maps a foreign frame by hypercall", foreign, ERROR),
	C("maps a foreign frame by a store", direct, 14),
	C("reads through a table that is used at all levels", read_5, ANY),
	C("uses a large page", read_large, ANY),
	C("irets into the hole", iret_hole, ANY),
	C("irets into the hole of 4 levels", iret_hole4, ANY),
	C("irets to no canonical address", iret_noncanon, ANY),
	C("irets to ring 0 with IOPL 3", iret_ring0, ANY),
	C("irets to user mode with IOPL 3", iret_user, ANY),
	C("has its kernel stack in the hole", sp_hole, ANY),
	C("has its kernel stack nowhere", sp_noncanon, ANY),
	C("has its callbacks in the hole", cb_hole, ANY),
	C("has a trap handler in the hole", tt_hole, ANY),
	C("loads a GDT", lgdt_, ANY),
	C("loads a TR", ltr_, ANY),
	C("writes LSTAR", wrmsr_, ANY),
	C("writes CR3", cr3_, ANY),
	C("writes CR4", cr4_, ANY),
	C("returns far to ring 0", lret0, 13),
	C("sets IOPL", iopl, NONE),
	C("sysret", sysret_, ANY),
	C("swapgs", swapgs_, ANY),
	C("hlt", hlt_, ANY),
};

static void on_alarm(int sig)
{
	(void)sig;
}

static void make(const char *code, const char *code_end)
{
	struct lodge_vm_config c = { .version = LODGE_ABI_VERSION, .vcpus = 1 };
	struct lodge_mem m = { .size = RAM };
	struct lodge_pv pv = { SHARED, ROOT, RAM / PAGE, 512, { 0 } };
	struct lodge_state s = {
		.rip = BASE + CODE,
		.rsp = BASE + STACK,
		.rbp = BASE + CODE + PAGE,
		.rbx = sw,
		.r15 = hole,
		.rflags = 2,
		.kernel = 1,
		.root = ROOT,
		.user_root = ROOT,
	};
	__u64 *l4, *l3, *l2, *l1, i;

	ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ksft_check(ram != MAP_FAILED);
	m.hva = (unsigned long)ram;
	l4 = (void *)(ram + ROOT), l3 = (void *)(ram + L3);
	l2 = (void *)(ram + L2), l1 = (void *)(ram + L1);
	l4[0] = L3 | 0x67;
	l4[5] = ROOT | 0x67;
	l3[0] = L2 | 0x67;
	l3[1] = 0xe7;
	l2[BASE >> 21] = L1 | 0x67;
	l2[3] = 0xe7;
	for (i = 0; i < 512; i++)
		l1[i] = i * PAGE | 0x63;
	l1[UCODE / PAGE] |= 4;
	l1[USTACK / PAGE] |= 4;
	memcpy(ram + CODE, common, common_end - common);
	memcpy(ram + CODE + PAGE, code, code_end - code);
	memcpy(ram + UCODE, "\x0f\x05\xeb\xfc", 4); /* syscall; jmp */
	for (i = 0; i < 32; i++) {
		__u64 *t = (void *)(ram + TRAPS + i * 16);

		t[0] = i | 0xe030ull << 16;
		t[1] = BASE + CODE + 0x400 + i * 16;
	}
	vm = ioctl(dev, LODGE_VM_CREATE, &c);
	ksft_check(vm >= 0);
	ksft_eq(ioctl(vm, LODGE_MEM_SET, &m), 0);
	ksft_eq(ioctl(vm, LODGE_PV_SET, &pv), 0);
	vcpu = ioctl(vm, LODGE_VCPU_CREATE, 0);
	ksft_check(vcpu >= 0);
	run = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	ksft_check(run != MAP_FAILED);
	ksft_eq(ioctl(vcpu, LODGE_STATE_SET, &s), 0);
}

static void drop(void)
{
	munmap(run, PAGE);
	close(vcpu);
	close(vm);
	munmap(ram, RAM);
}

/* Runs to the report (1), to another end (0), or for too long (-1). */
static int go(unsigned int ms)
{
	int ret;

	ualarm(ms * 1000, 0);
	do {
		ret = ioctl(vcpu, LODGE_RUN, 0);
	} while (!ret && (run->reason == LODGE_EXIT_NONE || run->reason == LODGE_EXIT_CONSOLE));
	ualarm(0, 0);
	if (ret < 0)
		return -1;
	if (run->reason == LODGE_EXIT_KILLED) {
		nr_killed++;
		ksft_check(run->killed.why[0]);
	}
	ksft_eq(ioctl(vcpu, LODGE_STATE_GET, &end), 0);
	return run->reason == LODGE_EXIT_PIO && run->io.port == LODGE_PORT_EXIT_STATUS;
}

static unsigned int nr_case;

static void one(void)
{
	unsigned int i = nr_case++;
	int want = cases[i].want, ret;

	make(cases[i].code, cases[i].end);
	ret = go(900);
	if (ret == 1)
		ksft_msg("vector %llx error %llx result %llx", end.r13, end.r14, end.r12);
	else if (!ret)
		ksft_msg("exit %u%s%s", run->reason, run->reason == LODGE_EXIT_KILLED ? ": " : "",
			 run->reason == LODGE_EXIT_KILLED ? run->killed.why : "");
	else
		ksft_msg("stays until a signal comes");
	if (want == ERROR) {
		ksft_eq(ret, 1);
		ksft_eq(end.r13, NONE);
		ksft_check((__s64)end.r12 < 0);
	} else if (want == NONE) {
		ksft_eq(ret, 1);
		ksft_eq(end.r13, NONE);
		ksft_eq(end.r12, 0);
	} else if (want != ANY) {
		ksft_eq(ret, 1);
		ksft_eq(end.r13, want);
	}
	drop();
}

static void all_int(void)
{
	int i, ret;

	for (i = 0; i < 256; i++) {
		make(int_n, int_n_end);
		ram[CODE + PAGE + 1] = i;
		ret = go(900);
		if (ret < 0)
			ksft_fail("int %d does not end", i);
		drop();
	}
}

/* Every number, with small operations, and pointers and counts that make no sense. */
static void all_hypercalls(void)
{
	static const __u64 counts[] = { 1, 1ull << 32, ~0ull };
	unsigned int nr, op, k, waits = 0;
	__u64 *a;

	for (nr = 0; nr < 66; nr++)
		for (op = 0; op < 12; op++)
			for (k = 0; k < 3; k++) {
				make(any_hc, any_hc_end);
				a = (void *)(ram + ARGS);
				a[0] = nr;
				a[1] = op < 10 ? op : op == 10 ? sw + 0x6000 : BASE + DATA;
				a[2] = k ? counts[k] : sw + 0x4000;
				a[3] = a[4] = a[5] = k == 2 ? ~0ull : sw + 0x7000;
				waits += go(200) < 0;
				drop();
			}
	ksft_msg("%u waited for ever", waits);
	ksft_check(waits < 20);
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_alarm };
	struct lodge_info info;
	unsigned int i;

	sigaction(SIGALRM, &sa, NULL);
	dev = open(LODGE_DEVICE, O_RDWR | O_CLOEXEC);
	if (dev < 0 || ioctl(dev, LODGE_INFO, &info) < 0) {
		perror(LODGE_DEVICE);
		return KSFT_FAIL;
	}
	hole = info.levels == 5 ? 0xff00000000000000ull : 0xffff800000000000ull;
	sw = hole + (256ull << 30);
	/* In the order of the table: one() counts. */
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ksft_case(cases[i].name, one);
	ksft_case("int n, for all n", all_int);
	ksft_case("hypercalls that make no sense", all_hypercalls);
	(void)argv;
	return ksft_run(argc > 1 ? 1 : argc, argv);
}
