// SPDX-License-Identifier: GPL-2.0-only
/*
 * Local descriptor tables: what in one would lead to ring 0, where the copy of one can be reached,
 * and programs that are sent to segments of theirs.
 */
#include "hostile.h"

#define TABLE_AT (300 * PAGE)
#define SEL	 (3 * 8 | 7)

#define CODE_UNREADABLE 0x00cff9000000ffff
#define DATA32		0x00cff3000000ffffull

BODY(load_ds, "mov $0x1f, %eax; mov %eax, %ds; mov %ds, %r12d")
BODY(far_call, "movl $0x1f, 0x511014; movl $0x500800, 0x511010; lcall *0x511010")
BODY(far_jmp, "movl $0x1f, 0x511014; movl $0x500800, 0x511010; ljmp *0x511010")
BODY(look_at_it, "mov 0x10018(%rbx), %r12")
BODY(write_it, "movq $0, 0x10018(%rbx)")
BODY(execute_it, "lea 0x10018(%rbx), %rax; jmp *%rax")

static void set(__u64 desc)
{
	obey_start();
	((__u64 *)at(TABLE_AT))[3] = desc;
	ksft_eq(hc_mmuext(13, BASE + TABLE_AT, 512), 0);
}

static void body(const char *code, const char *code_end)
{
	memcpy(at(BODY_AT), code, code_end - code);
	again();
	go(LONG);
}
#define RUN(code) body(code, code##_end)

static const struct {
	const char *name;
	__u64 desc;
	unsigned int vec; /* of a load into DS; 0: none */
} descs[] = {
	{ "data", DATA32, 0 },
	{ "data that expands down", 0x00cff7000000ffff, 0 },
	{ "code", 0x00cffb000000ffff, 0 },
	{ "code that cannot be read", CODE_UNREADABLE, 13 },
	{ "absent data", 0x00cf73000000ffff, 11 },
	{ "data of ring 0", 0x00cf93000000ffff, 13 },
	{ "data of ring 1", 0x00cfb3000000ffff, 13 },
	{ "64-bit code of ring 3", 0x00affb000000ffff, 13 },
	{ "64-bit code of ring 1", 0x00afbb000000ffff, 13 },
	{ "64-bit code of ring 0", 0x00af9b000000ffff, 13 },
	{ "conforming 64-bit code of ring 0", 0x00af9f000000ffff, 13 },
	{ "a call gate", 0x0050ec0000100800, 13 },
	{ "an interrupt gate", 0x0050ee0000100800, 13 },
	{ "a task gate", 0x0000e50000400000, 13 },
	{ "a TSS", 0x0000e90000000067, 13 },
	{ "an LDT", 0x0050e2000000ffff, 13 },
	{ "all bits", ~0ull, 13 },
};

CASE(loads, "what an LDT may not have, loaded and called")
{
	unsigned int i;

	for (i = 0; i < sizeof(descs) / sizeof(descs[0]); i++) {
		set(descs[i].desc);
		RUN(load_ds);
		if (descs[i].vec ? ended != 1 || end.r13 != descs[i].vec || end.r14 != 0x1c
				 : ended != 1 || end.r13 != NONE || end.r12 != SEL) {
			tell();
			ksft_fail("%s, loaded", descs[i].name);
		}
		if (ring == 3 && (!descs[i].vec || descs[i].desc == CODE_UNREADABLE))
			continue; /* ring 3 may call ring 3's code */
		RUN(far_call);
		if (ended != 1 || end.r13 != 13 || end.r14 != 0x1c) {
			tell();
			ksft_fail("%s, called", descs[i].name);
		}
		RUN(far_jmp);
		if (ended != 1 || end.r13 != 13 || end.r14 != 0x1c) {
			tell();
			ksft_fail("%s, jumped to", descs[i].name);
		}
	}
	drop();
}

CASE(copy, "the copy of an LDT is read only, and the guest's own")
{
	on_cpu(0);
	set(DATA32);
	RUN(look_at_it);
	unless_ring3(0);
	gives(DATA32);
	RUN(write_it);
	traps(14, 2);
	RUN(execute_it);
	traps(14, 0x10);
	RUN(look_at_it);
	gives(DATA32);
	drop();
	make(look_at_it, look_at_it_end, false);
	go(LONG);
	traps(14, 0);
	drop();
}

UBODY(user_looks, "mov 0x10018(%rbx), %rax")

CASE(user_copy, "and not for its programs")
{
	set(DATA32);
	memcpy(at(UCODE), user_looks, user_looks_end - user_looks);
	begin.rbp = BASE + CODE + 0x600;
	again();
	go(LONG);
	traps(14, 4);
	drop();
}

CASE(tables, "LDTs that are none")
{
	set(DATA32);
	ksft_eq(hc_mmuext(13, BASE, 8193), -EINVAL);
	ksft_eq(hc_mmuext(13, BASE, ~0u), -EINVAL);
	ksft_eq(hc_mmuext(13, hole, 1), -EINVAL);
	ksft_eq(hc_mmuext(13, ~0ull, 1), -EINVAL);
	ksft_eq(hc_mmuext(13, 0x1000, 1), -EFAULT);
	RUN(load_ds);
	traps(13, 0x1c);
	obey_start();
	ksft_eq(hc_mmuext(13, BASE + CODE, 8192), 0); /* of anything */
	drop();
}

/* A descriptor goes while a selector of it is loaded; so does the whole table. */
CASE(gone, "an LDT that goes while it is in use")
{
	unsigned int i;

	for (i = 0; i < sizeof(descs) / sizeof(descs[0]); i++) {
		set(DATA32);
		begin.ds = begin.es = begin.fs = begin.gs = SEL;
		((__u64 *)at(TABLE_AT))[3] = descs[i].desc;
		ksft_eq(hc_mmuext(13, BASE + TABLE_AT, i % 5), 0);
		begin.ds = begin.es = begin.fs = begin.gs = 0;
		ksft_eq(hc(55, 3, 0, 0, 0, 0), 0);
	}
	drop();
}

/* To user mode at 4 of a segment there; its program meets a breakpoint. */
BODY(to_user, "push 0x511008; push $0x800; push $0x202; push 0x511000; push $4;"
	      "push $0; push $0; push $0; push $0; mov $23, %eax; syscall; ud2")

static void sent_to(__u64 code, __u64 stack, __u16 cs, __u16 ss)
{
	set(DATA32);
	((__u64 *)at(TABLE_AT))[1] = code;
	((__u64 *)at(TABLE_AT))[2] = stack;
	ksft_eq(hc_mmuext(13, BASE + TABLE_AT, 4), 0);
	*(__u64 *)at(ARGS) = cs;
	*(__u64 *)at(ARGS + 8) = ss;
	memset(at(UCODE), 0xcc, 64);
	RUN(to_user);
}

#define CODE_OF_USER (0x0040fb0000000fffull | 0x513000ull << 16) /* 4 KiB at UCODE */
#define CS_USER	     (1 * 8 | 7)
#define SS_USER	     (2 * 8 | 7)

CASE(programs, "programs in segments of an LDT")
{
	sent_to(CODE_OF_USER, DATA32, CS_USER, SS_USER);
	traps(3, 0);
	ksft_eq(end.r9, 5);
	ksft_eq(end.r11 & 0xffff, CS_USER);
	sent_to(CODE_OF_USER, DATA32, CS_USER, 0x2b);
	traps(3, 0);
	/* 16-bit code and stack; a limit that ends before 4; then what cannot be. */
	sent_to(CODE_OF_USER & ~(1ull << 54), DATA32 & ~(1ull << 54), CS_USER, SS_USER);
	traps(3, 0);
	ksft_eq(end.r9, 5);
	sent_to((CODE_OF_USER & ~0xfffull) | 3, DATA32, CS_USER, SS_USER);
	traps(13, 0);
	ksft_eq(end.r9, 4);
	ksft_eq(end.r11 & 0xffff, CS_USER);
	sent_to(CODE_OF_USER & ~(1ull << 47), DATA32, CS_USER, SS_USER);
	traps(11, CS_USER & ~3);
	sent_to(CODE_OF_USER, DATA32 & ~(1ull << 47), CS_USER, SS_USER);
	traps(12, SS_USER & ~3);
	sent_to(CODE_OF_USER, DATA32 & ~(1ull << 41), CS_USER, SS_USER);
	traps(13, SS_USER & ~3);
	sent_to(CODE_OF_USER, CODE_OF_USER, CS_USER, SS_USER);
	traps(13, SS_USER & ~3);
	sent_to(CODE_OF_USER | 1ull << 53, DATA32, CS_USER, SS_USER);
	traps(13, CS_USER & ~3);
	sent_to(DATA32, DATA32, CS_USER, SS_USER);
	traps(13, CS_USER & ~3);
	sent_to(CODE_OF_USER, DATA32, 31 * 8 | 7, SS_USER);
	traps(13, 31 * 8 | 4);
	sent_to(CODE_OF_USER, DATA32, 0x83, SS_USER);
	traps(13, 0x80);
	drop();
}

int main(int argc, char **argv)
{
	return hostile_run(argc, argv);
}
