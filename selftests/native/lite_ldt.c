// SPDX-License-Identifier: GPL-2.0-only
/*
 * Local descriptor tables of lite mode's core (lite/core/ldt.c): what is taken over of a guest's,
 * which selectors its programs may have then, and the faults that they get for the others.
 */
#include "lite_fake.h"

#define TABLE (MEM + 0x2000)

/* 4 GiB, ring 3, accessed; less one of these makes the others. */
#define DATA   0x00cff3000000ffffull
#define CODE32 0x00cffb000000ffffull
#define SMALL  0x0040fb0000000fffull /* 4 KiB of code at 0 */
#define CODE16 0x0000fb0010000fffull /* 4 KiB at 0x1000 */

static u64 pages[2][512];

#define LDT(i) ((i)*8 | 7)

/* A guest with these entries, in whatever state start() left it. */
static int load(const u64 *desc, unsigned int n)
{
	memcpy(mem + (TABLE - MEM), desc, n * 8);
	vcpu.ldt[0] = pages[0];
	vcpu.ldt[1] = pages[1];
	vcpu.ldt_pages = 2;
	return ldt_set(&vcpu, TABLE, n);
}
#define LOAD(...) load((u64[]){ __VA_ARGS__ }, sizeof((u64[]){ __VA_ARGS__ }) / 8)

static void what_is_kept(void)
{
	static const struct {
		u64 desc, kept;
	} t[] = {
		{ DATA, DATA },
		{ DATA & ~DESC_ACCESSED, DATA },
		{ DATA & ~DESC_PRESENT, DATA & ~DESC_PRESENT },
		{ CODE32, CODE32 },
		{ CODE32 & ~DESC_READABLE, CODE32 & ~DESC_READABLE },
		{ CODE32 | 4ull << 40, CODE32 | 4ull << 40 }, /* conforming */
		{ CODE16, CODE16 },
		{ DATA & ~DESC_DPL3, 0 },
		{ CODE32 & ~(1ull << 45), 0 }, /* ring 2 */
		{ CODE32 & ~(1ull << 46), 0 }, /* ring 1 */
		{ 0x00affb000000ffffull, 0 },  /* 64-bit */
		{ 0x00effb000000ffffull, 0 },
		{ 0x0050ec0000100800ull, 0 }, /* gates: call, interrupt, task */
		{ 0x0050ee0000100800ull, 0 },
		{ 0x0000e50000400000ull, 0 },
		{ 0x0000e90000000067ull, 0 }, /* TSS, LDT */
		{ 0x0050e2000000ffffull, 0 },
		{ 0, 0 },
		{ ~0ull, 0 },
	};
	unsigned int i;
	u64 d[32];

	start(true);
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		d[i] = t[i].desc;
	ksft_eq(load(d, i), 0);
	ksft_eq(vcpu.ldt_nr, i);
	ksft_check(vcpu.changed & LITE_CH_LDT);
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		ksft_eq(segment_desc(&vcpu, LDT(i)), t[i].kept);
	ksft_eq(segment_desc(&vcpu, LDT(i)), 0);
	ksft_eq(segment_desc(&vcpu, 0xffff), 0);
}

static void sizes(void)
{
	start(true);
	ksft_eq(ldt_set(&vcpu, TABLE, 0), 0);
	ksft_eq(ldt_set(&vcpu, TABLE, LITE_LDT_MAX + 1), -EINVAL);
	ksft_eq(ldt_set(&vcpu, TABLE, ~0ull), -EINVAL);
	ksft_eq(ldt_set(&vcpu, LITE_HOLE_START - 8, 2), -EINVAL);
	ksft_eq(ldt_set(&vcpu, TABLE, 513), -EAGAIN);
	ksft_eq(vcpu.want, LITE_WANT_LDT);
	ksft_eq(vcpu.want_gfn, 2);
	ksft_eq(vcpu.ldt_nr, 0);
	vcpu.ldt[0] = pages[0];
	vcpu.ldt[1] = pages[1];
	vcpu.ldt_pages = 2;
	memset(mem, 0, MEM_SIZE);
	*(u64 *)(mem + 0x2000 + 512 * 8) = DATA;
	ksft_eq(ldt_set(&vcpu, TABLE, 513), 0);
	ksft_eq(segment_desc(&vcpu, LDT(512)), DATA);
	ksft_eq(ldt_set(&vcpu, TABLE, 512), 0);
	ksft_eq(segment_desc(&vcpu, LDT(512)), 0);
}

/* A program's table that cannot be read any more is none; a later attempt may find it. */
static void not_there(void)
{
	start(true);
	ksft_eq(LOAD(DATA, DATA), 0);
	vcpu.ds = LDT(1);
	read_error = -EAGAIN;
	ksft_eq(ldt_set(&vcpu, TABLE, 1), -EAGAIN);
	ksft_eq(vcpu.ldt_nr, 2);
	read_error = 0;
	ksft_eq(ldt_set(&vcpu, MEM - 0x1000, 1), -EFAULT);
	ksft_eq(vcpu.ldt_nr, 0);
	ksft_eq(vcpu.ds, 0);
}

static void data_selectors(void)
{
	start(false);
	ksft_eq(LOAD(DATA, DATA & ~DESC_PRESENT, CODE32, CODE32 & ~DESC_READABLE, 0,
		     DATA & ~DESC_READABLE),
		0);
	ksft_eq(segment_safe(&vcpu, LDT(0)), LDT(0));
	ksft_eq(segment_safe(&vcpu, LDT(1)), 0);
	ksft_eq(segment_safe(&vcpu, LDT(2)), LDT(2));
	ksft_eq(segment_safe(&vcpu, LDT(3)), 0);
	ksft_eq(segment_safe(&vcpu, LDT(4)), 0);
	ksft_eq(segment_safe(&vcpu, LDT(5)), LDT(5));
	ksft_eq(segment_safe(&vcpu, LDT(6)), 0);
	vcpu.ds = vcpu.gs = LDT(0);
	vcpu.es = LITE_USER_DS;
	vcpu.fs = LDT(2);
	vcpu.kernel = true; /* user mode's GS base is the other one */
	ksft_eq(LOAD(0, 0, DATA), 0);
	ksft_eq(vcpu.gs_base, 0x65);
	ksft_eq(vcpu.gs_other, 0);
	ksft_eq(vcpu.fs_base, 0xf5);
	ksft_eq(vcpu.ds, 0);
	ksft_eq(vcpu.gs, 0);
	ksft_eq(vcpu.es, LITE_USER_DS);
	ksft_eq(vcpu.fs, LDT(2));
	ksft_eq(segment_base(&vcpu, LDT(2)), 0);
	ksft_eq(LOAD(DATA | 0x12ull << 56 | 0x345678ull << 16), 0);
	ksft_eq(segment_base(&vcpu, LDT(0)), 0x12345678);
	ksft_eq(vcpu.fs, 0);
	ksft_eq(vcpu.fs_base, 0);
	ksft_eq(segment_safe(&vcpu, 2), 2);
}

/* Where the guest's kernel sends a program: as it is, or a fault of the program. */
static void target(u64 cs, u64 ss, u64 rip)
{
	start(false);
	ksft_eq(LOAD(CODE32, SMALL, CODE32 & ~DESC_PRESENT, DATA, DATA & ~DESC_PRESENT,
		     DATA & ~DESC_READABLE, CODE32 & ~DESC_READABLE),
		0);
	vcpu.r.cs = cs;
	vcpu.r.ss = ss;
	vcpu.r.rip = rip;
	ksft_eq(lite_prepare(&vcpu), LITE_RESUME);
}

static void goes(u64 cs, u64 ss, u64 rip)
{
	target(cs, ss, rip);
	ksft_check(!vcpu.kernel);
	ksft_eq(vcpu.r.cs, cs);
	ksft_eq(vcpu.r.ss, ss);
	ksft_eq(vcpu.r.rip, (u32)rip);
}

static void faults_with(u64 cs, u64 ss, u64 rip, unsigned int vec, u64 err)
{
	target(cs, ss, rip);
	ksft_check(vcpu.kernel);
	ksft_eq(vcpu.r.rip, HANDLER + vec * 16);
	frame_is(KSP, 1, err, rip, cs, 0x10246, USER_RSP, ss);
	ksft_eq(vcpu.r.cs, LITE_KERN_CS);
	ksft_eq(vcpu.r.ss, LITE_KERN_SS);
}

static void code_and_stack(void)
{
	goes(LDT(0), LITE_USER_DS, 0xfffffffe);
	goes(LDT(0), LITE_USER_DS, 0x7700001234);
	goes(LDT(0), LDT(3), 0x1234);
	goes(LITE_USER_CS, LDT(3), 0x1234);
	goes(LITE_USER_CS32, LDT(3), 0x1234);
	goes(LDT(1), LDT(3), 0xfff);
	goes(LDT(6), LITE_USER_DS, 0x1234);
	faults_with(LDT(1), LITE_USER_DS, 0x1000, 13, 0);
	faults_with(LDT(2), LITE_USER_DS, 0x1000, 11, LDT(2) & ~3);
	faults_with(LDT(3), LITE_USER_DS, 0x1000, 13, LDT(3) & ~3); /* data */
	faults_with(LDT(7), LITE_USER_DS, 0x1000, 13, LDT(7) & ~3); /* nothing */
	faults_with(0x13, LITE_USER_DS, 0x1000, 13, 0x10);
	faults_with(LITE_USER_DS, LITE_USER_DS, 0x1000, 13, LITE_USER_DS & ~3);
	faults_with(LITE_USER_CS, LDT(0), 0x1000, 13, LDT(0) & ~3); /* code */
	faults_with(LITE_USER_CS, LDT(4), 0x1000, 12, LDT(4) & ~3);
	faults_with(LITE_USER_CS, LDT(5), 0x1000, 13, LDT(5) & ~3);
	faults_with(LITE_USER_CS, LDT(7), 0x1000, 13, LDT(7) & ~3);
	faults_with(LDT(1), LDT(5), 0x1000, 13, 0); /* code is looked at first */
}

static void instructions(void)
{
	/* int 0x21 at 0x10 of a segment of 16 bits at 0x1000 */
	start(false);
	ksft_eq(LOAD(CODE16), 0);
	vcpu.trap[0x21].dpl = 3;
	vcpu.r.cs = LDT(0);
	code("\xcd\x20", 2);
	memcpy(mem + (CODE - MEM) + 0x10, "\xcd\x21", 2);
	vcpu.r.rip = 0x10;
	ksft_eq(serve(13, 0x21 * 8 + 2), LITE_RESUME);
	ksft_eq(vcpu.r.rip, HANDLER + 0x21 * 16);
	frame_is(KSP, 0, 0, 0x12, LDT(0), 0x246, USER_RSP, LITE_USER_DS);
	/* in (%dx), %ax there, where without a prefix it is 2 bytes */
	start(false);
	ksft_eq(LOAD(CODE16), 0);
	vcpu.iopl = 3;
	vcpu.r.cs = LDT(0);
	vcpu.r.rax = 0x1122334455667788ull;
	vcpu.r.rdx = 0x80;
	code("\xed", 1);
	vcpu.r.rip = 0;
	ksft_eq(serve(13, 0), LITE_RESUME);
	ksft_eq(vcpu.r.rip, 1);
	ksft_eq(vcpu.r.rax, 0x112233445566ffffull);
}

int main(int argc, char **argv)
{
	ksft_case("what is taken over of a table", what_is_kept);
	ksft_case("tables of all sizes", sizes);
	ksft_case("tables that are not there", not_there);
	ksft_case("selectors of data", data_selectors);
	ksft_case("selectors of code and stack", code_and_stack);
	ksft_case("instructions in segments of 16 bits", instructions);
	return ksft_run(argc, argv);
}
