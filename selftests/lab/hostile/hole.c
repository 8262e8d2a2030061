// SPDX-License-Identifier: GPL-2.0-only
/*
 * The hypervisor's hole as a guest finds it: every page of what is used, samples of the rest, read,
 * written and executed, by its kernel and by its user mode; and what other guests and the host have
 * left there.
 */
#include "hostile.h"

#define M2P_PAGES (FRAMES * 8 / PAGE)
#define VI	  (hole + (257ull << 30))

/* struct probe at RDI: kind (0 read, 1 write, 2 execute), first, stride, count; then results */
struct probe {
	__u64 kind, first, stride, count, hits, pad[3];
	__u64 hit[64];
};

#define PROBE                                                               \
	"	mov 8(%rdi), %rsi; mov 24(%rdi), %rbx; xor %r12d, %r12d\n"        \
	"1:	lea 5f(%rip), %rax; mov %rax, 0xf00(%rdi); mov $0x100, %r13d\n" \
	"	mov (%rdi), %eax; cmp $1, %eax; je 2f; ja 3f\n"                   \
	"	mov (%rsi), %al; jmp 5f\n"                                        \
	"2:	lock orb $0, (%rsi); jmp 5f\n"                                  \
	"3:	call *%rsi\n"                                                   \
	"5:	movq $0, 0xf00(%rdi)\n"                                         \
	"	cmpl $2, (%rdi); je 6f\n"                                         \
	"	cmp $0x100, %r13d; je 7f; jmp 8f\n"                               \
	"6:	cmp $14, %r13d; jne 7f; test $0x10, %r14d; jz 7f\n"             \
	"	cmp %r9, %rsi; je 8f\n"                                           \
	"7:	cmp $64, %r12d; jae 9f; mov %rsi, 0x40(%rdi, %r12, 8)\n"        \
	"9:	inc %r12\n"                                                     \
	"8:	add 16(%rdi), %rsi; dec %rbx; jnz 1b; mov %r12, 32(%rdi); mov %r12, %rax\n"

BODY(kprobe, PROBE)
UBODY(uprobe, "mov $0x515000, %edi\n" PROBE)

/* How many of @count addresses can be accessed; which, is in the guest's struct probe. */
static __u64 probe(__u64 kind, __u64 first, __u64 stride, __u64 count)
{
	struct probe *p = at(DATA);

	*p = (struct probe){ .kind = kind, .first = first, .stride = stride, .count = count };
	again();
	go(LONG);
	expect(ended == 1);
	expect(end.r13 == SYSCALL || end.r13 == NONE || end.r13 == 14 || end.r13 == 13 ||
	       end.r13 == 12);
	return p->hits;
}

#define empty(kind, first, stride, count)                                                          \
	do {                                                                                       \
		__u64 n_ = probe(kind, first, stride, count);                                      \
		if (n_)                                                                            \
			ksft_fail("%llu can be accessed (%d), the first at %llx", n_, (int)(kind), \
				  ((struct probe *)at(DATA))->hit[0]);                             \
	} while (0)

/* @count pages from @first on, of which those in @mask, a bit each from the first, can be used. */
static void pages(__u64 kind, __u64 first, __u64 count, __u64 mask)
{
	struct probe *p = at(DATA);
	__u64 got = 0, i;

	probe(kind, first, PAGE, count);
	ksft_check(p->hits <= 64);
	for (i = 0; i < p->hits; i++) {
		__u64 nr = (p->hit[i] - first) / PAGE;

		if (nr >= 64)
			ksft_fail("page %llx can be accessed (%llu)", p->hit[i], kind);
		got |= 1ull << nr;
	}
	if (got != mask)
		ksft_fail("of %llx, access %llu: pages %llx, should be %llx", first, kind, got,
			  mask);
}

/* For ring 1: text, RW, IDT and RO page of the processor it runs on; of the others nothing. */
static void switcher(bool user)
{
	__u64 cpu, area;
	long on, n = sysconf(_SC_NPROCESSORS_ONLN);

	for (on = 0; on < n; on++) {
		on_cpu(on);
		for (cpu = 0; cpu < 16; cpu++) {
			bool mine = cpu == (__u64)on && !user && ring == 1;

			area = sw + cpu * SW_STRIDE;
			pages(0, area, 32, mine ? 0x77 : 0);
			pages(1, area, 32, mine ? 0x10 : 0);
			/* The text is executed in cases of its own. */
			empty(2, area + (mine ? 3 * PAGE : 0), PAGE, mine ? 29 : 32);
		}
	}
	on_cpu(0);
	empty(0, sw + 16 * SW_STRIDE, PAGE, 2048);
}

static void rest(bool user)
{
	__u64 k;

	for (k = 0; k < 3; k++) {
		pages(k, hole, 64, k || user ? 0 : (1ull << M2P_PAGES) - 1);
		pages(k, VI, 64, k == 2 || user || ring == 3 ? 0 : 1);
		/* By 2 MiB in the three parts that are used, by 1 GiB, by 512 GiB, to the end. */
		empty(k, hole + (2ull << 20), 2ull << 20, 511);
		empty(k, sw + (2ull << 20), 2ull << 20, 511);
		empty(k, VI + (2ull << 20), 2ull << 20, 511);
		empty(k, hole + (1ull << 30), 1ull << 30, 255);
		empty(k, VI + (1ull << 30), 1ull << 30, 254);
		empty(k, hole + (512ull << 30), 512ull << 30, levels == 5 ? 511 : 15);
	}
	/* With 4 levels every GiB; with 5, the same addresses are nobody's. */
	empty(0, 0xffff800000000000ull + (512ull << 30), 1ull << 30, 15 * 512);
	/* The rest of what 57 bits can address, and what no processor can. */
	empty(0, 1ull << 48, 1ull << 48, 255);
	empty(0, 0xff01000000000000ull, 1ull << 48, 254);
	empty(1, 0x0100000000000000ull, 1ull << 52, 256);
}

CASE(kernel_sw, "the switcher's areas, from the guest's kernel")
{
	make(kprobe, kprobe_end, false);
	switcher(false);
	drop();
}

CASE(user_sw, "the switcher's areas, from user mode")
{
	make(uprobe, uprobe_end, true);
	switcher(true);
	drop();
}

CASE(kernel_rest, "the rest of the hole, from the guest's kernel")
{
	make(kprobe, kprobe_end, false);
	rest(false);
	drop();
}

CASE(user_rest, "the rest of the hole, from user mode")
{
	make(uprobe, uprobe_end, true);
	rest(true);
	drop();
}

GUEST(ex_text, "executes the switcher", "call *%rbx")
{
	unless_ring3(0x10);
	traps(14, 2);
}

GUEST(ex_way_out, "executes the switcher's way out",
      "lea 0x200(%rbx), %rax; mov %rax, %rcx\n"
      "1: movb $0x0f, %al; cmpw $0x22, (%rcx); inc %rcx; lea 0x3000(%rbx), %rdx; cmp %rdx, %rcx\n"
      "jae 2f; cmpl $0xfcd8220f, -1(%rcx); jne 1b; lea -1(%rcx), %rax; jmp *%rax\n2: ud2")
{
	unless_ring3(0);
	/* mov %rax, %cr3, in ring 1: emulated, and refused as no root of the guest's. */
	expect(ended == 1 ? end.r13 == 13 : !ended && run->reason == LODGE_EXIT_KILLED);
}

GUEST(mode_forged, "forges its mode: a hypercall is a system call",
      "movb $0, 0x40c0(%rbx);"
      "mov $63, %eax; syscall; mov %rax, %r12")
{
	unless_ring3(2);
	traps(SYSCALL, 63);
}

GUEST(fault_forged, "forges the switcher's fault",
      "movq $1, 0x40c8(%rbx); mov $55, %eax;"
      "mov $3, %edi; syscall")
{
	unless_ring3(2);
	dies(SWITCHER_FAULT);
}

GUEST(ones_hc, "fills the writable page, then a hypercall",
      "lea 0x4000(%rbx), %rdi;"
      "mov $4096, %ecx; mov $0xff, %al; rep stosb; mov $63, %eax; syscall; mov %rax, %r12")
{
	unless_ring3(2);
	dies(SWITCHER_FAULT);
}

GUEST(ones_ud, "fills the writable page, then a trap",
      "lea 0x4000(%rbx), %rdi;"
      "mov $4096, %ecx; mov $0xff, %al; rep stosb; ud2")
{
	unless_ring3(2);
	dies(SWITCHER_FAULT);
}

/* All but the byte that says that the switcher has faulted. */
GUEST(junk_sc, "fills it but for that, then a system call",
      "lea 0x4000(%rbx), %rdi;"
      "mov $4096, %ecx; mov $0xff, %al; rep stosb; movq $0, 0x40c8(%rbx);"
      "mov $63, %eax; syscall; mov %rax, %r12")
{
	unless_ring3(2);
	gives(-ENOSYS);
}

/* A guest's registers, wherever they have been, are not for the next guest on this processor. */
#define SECRET "0x5ec2e75ec2e75ec2"
BODY(secrets, ".irp r, rax, rcx, rdx, rbx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15\n"
	      "movabs $" SECRET ", %\\r\n.endr\n"
	      "mov $3, %eax; syscall; mov $63, %eax; syscall; movabs $" SECRET ", %rsi\n"
	      "movabs $" SECRET ", %rax; mov (%rax), %al")
UBODY(secrets_user,
      ".irp r, rax, rcx, rdx, rbx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15\n"
      "movabs $" SECRET ", %\\r\n.endr\nsyscall\nud2\n")
BODY(dump, "lea 0x4000(%rbx), %rsi; mov $512, %ecx; rep movsq")

CASE(leftovers, "what another guest has left in the writable page")
{
	__u64 *p;
	int i, k;

	make(dump, dump_end, false);
	go(LONG);
	unless_ring3(0);
	for (k = 0; k < 2; k++) {
		make(k ? secrets_user : secrets, k ? secrets_user_end : secrets_end, k);
		*(__u64 *)at(DATA + RESUME) = 0;
		go(LONG);
		make(dump, dump_end, false);
		go(LONG);
		gives(0);
		p = at(DATA);
		for (i = 0; i < 512; i++)
			if (p[i] == 0x5ec2e75ec2e75ec2)
				ksft_fail("at offset %x of the page", i * 8);
	}
	drop();
}

/* Hypercalls and page faults in light exits, interrupts in full ones, all with NMIs. */
BODY(residue, "mov $300, %r12d; mov %rdi, %rbp\n"
	      "1: mov $55, %eax; mov $3, %edi; syscall\n"
	      "mov $1000, %ecx\n2: pause; dec %ecx; jnz 2b\n"
	      "lea 0x4000(%rbx), %rsi; mov %rbp, %rdi; mov $512, %ecx\n"
	      "3: lodsq; or %rax, (%rdi); add $8, %rdi; dec %ecx; jnz 3b\n"
	      "dec %r12d; jnz 1b")

CASE(host_residue, "what the host has left in the writable page")
{
	__u64 *p;
	int i, n;

	make(residue, residue_end, false);
	p = at(DATA);
	for (n = 0; n < 20; n++) {
		memset(p, 0, PAGE);
		again();
		go(LONG);
		unless_ring3(0);
		gives(0);
		/*
		 * The four stacks of NMIs and the like. One that met the guest, or the switcher at
		 * the guest's request, leaves its frame and up to four words, all of them the
		 * guest's. Below is nothing.
		 */
		for (i = D_IST / 8; i < (D_IST + 4 * D_IST_SIZE) / 8; i++)
			if (p[i] && (i * 8 & (D_IST_SIZE - 1)) < D_IST_SIZE - 72)
				ksft_fail("at offset %x of the page: %llx", i * 8, p[i]);
	}
	drop();
}

int main(int argc, char **argv)
{
	on_cpu(0);
	return hostile_run(argc, argv);
}
