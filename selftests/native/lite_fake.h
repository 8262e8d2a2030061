/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What lies below lite mode's traps, faked, for lite_trap.c, lite_emul.c and lite_ldt.c: guest
 * memory is one array at MEM, whose accesses can be made to fail in each way that the real ones
 * may; hypercalls, the shadow MMU and the processor's CPUID answer what a case has told them to.
 * Each of the programs includes it once.
 */
#ifndef LODGE_LITE_FAKE_H
#define LODGE_LITE_FAKE_H

#include "kselftest.h"

#include "trap.h"
#include "event.h"
#include "hypercall.h"
#include "vsched.h"

#define MEM	 0xffff888000000000ull
#define MEM_SIZE 0x4000
#define CODE	 (MEM + 0x1000)
#define STACK	 (MEM + 0x3008) /* not aligned, so that aligning shows */
#define KSP	 (MEM + 0x2000)
#define HANDLER	 0xffffffff81000000ull
#define USER_RIP 0x401000ull
#define USER_RSP 0x7ffc00001238ull

static struct lite_vm vm;
static struct lite_vcpu vcpu;
static struct vcpu_info info;
static u8 mem[MEM_SIZE];
static int read_error, write_error, fault_error;
static enum mmu_result fault_result;
static int queue_result;    /* of mmu_queue_run() */
static unsigned int faults; /* that mmu_fault() was asked about */
static u64 fault_err;
static enum lite_next hc_next;
static u64 hc_nr, hc_arg[5], hc_ret, new_base;
static unsigned int kicked;
static u32 cpu_flip; /* the processor's CPUID answers: all ones, or none */

/* --- fakes --------------------------- */

static inline int mem_check(u64 va, size_t len, int error)
{
	if (error)
		return error;
	va -= MEM;
	return va > MEM_SIZE || len > MEM_SIZE - va ? -EFAULT : 0;
}

/* What is read may also lie in the lowest 4 GiB, where 32-bit code does. */
int mmu_read(struct lite_vcpu *v, void *dst, u64 va, size_t len)
{
	int err;

	if (va >= CODE - MEM && va < MEM_SIZE)
		va += MEM;
	err = mem_check(va, len, read_error);

	if (!err)
		memcpy(dst, mem + (va - MEM), len);
	return err;
}

int mmu_write(struct lite_vcpu *v, u64 va, const void *src, size_t len)
{
	int err = mem_check(va, len, write_error);

	if (!err)
		memcpy(mem + (va - MEM), src, len);
	return err;
}

int mmu_fault(struct lite_vcpu *v, u64 va, u64 *err, enum mmu_result *res)
{
	*err = fault_err;
	faults++;
	*res = fault_result;
	return fault_error;
}

int mmu_queue_run(struct lite_vcpu *v)
{
	if (!queue_result)
		v->queued = 0;
	return queue_result;
}

int mmu_new_base(struct lite_vcpu *v, u64 gfn, bool user)
{
	new_base = gfn;
	return gfn == 0x666 ? -EINVAL : 0;
}

enum lite_next hypercall(struct lite_vcpu *v, u64 nr, const u64 arg[5], u64 *ret)
{
	hc_nr = nr;
	memcpy(hc_arg, arg, sizeof(hc_arg));
	*ret = hc_ret;
	return hc_next;
}

int debugreg_set(struct lite_vcpu *v, u64 reg, u64 val)
{
	if (reg > 3)
		return -EINVAL;
	v->dr[reg] = val;
	return 0;
}

int debugreg_get(const struct lite_vcpu *v, u64 reg, u64 *val)
{
	*val = reg == 6 ? v->dr6 : v->dr[reg & 3];
	return reg == 5 ? -EINVAL : 0;
}

void sched_prepare(struct lite_vcpu *v)
{
}

enum lite_next sched_halt(struct lite_vcpu *v)
{
	vi_mask_set(v, false);
	return vi_pending(v) ? LITE_RESUME : LITE_BLOCK;
}

void event_kick(struct lite_vcpu *v)
{
	v->kicks = 0;
	kicked++;
}

void env_pkru_open(void)
{
}

u64 env_tsc(void)
{
	return 0x123456789abcull;
}

void env_cpuid(u32 leaf, u32 sub, u32 out[4])
{
	static const u32 area[10][2] = {
		[2] = { 256, 576 },   [5] = { 64, 1088 }, [6] = { 512, 1152 },
		[7] = { 1024, 1664 }, [9] = { 8, 2688 },
	};

	memset(out, 0xff, 16);
	if (leaf == 0 || leaf == 0x80000000)
		out[0] = leaf | 0x28;
	if (leaf == 0xd && sub > 1) {
		memset(out, 0, 16);
		if (sub < 10)
			memcpy(out, area[sub], 8);
	} else if (leaf && leaf != 0x80000000) {
		out[0] ^= cpu_flip;
		out[1] ^= cpu_flip;
		out[2] ^= cpu_flip;
		out[3] ^= cpu_flip;
	}
}

/* --- the vCPU that each case starts from --------------------------- */

static inline void start(bool kernel)
{
	struct lite_regs *r = &vcpu.r;
	unsigned int i;

	memset(&vm, 0, sizeof(vm));
	memset(&vcpu, 0, sizeof(vcpu));
	memset(&info, 0, sizeof(info));
	memset(mem, 0x5a, sizeof(mem));
	read_error = write_error = fault_error = 0;
	fault_err = 0;
	hc_next = LITE_RESUME;
	kicked = 0;
	hc_ret = 0;
	cpu_flip = 0;
	vm.xcr0 = 7;
	vcpu.vm = &vm;
	vcpu.vi = &info;
	vcpu.tier = LITE_FULLTIER;
	vcpu.kernel = kernel;
	vcpu.kernel_sp = KSP;
	vcpu.fs_base = 0xf5;
	vcpu.gs_base = 0x65;
	vcpu.gs_other = 0x66;
	for (i = 0; i < 256; i++)
		vcpu.trap[i].address = HANDLER + i * 16;
	for (i = 0; i < LITE_CB_MAX; i++)
		vcpu.callback[i].address = HANDLER + 0x10000 + i * 16;
	for (i = 0; i < 15; i++)
		(&r->r15)[i] = 0x1000 + i;
	r->rcx = 0xc0c0;
	r->r11 = 0x1111;
	r->rip = kernel ? CODE : USER_RIP;
	r->rsp = kernel ? STACK : USER_RSP;
	r->cs = kernel ? LITE_KERN_CS : LITE_USER_CS;
	r->ss = kernel ? LITE_KERN_SS : LITE_USER_DS;
	r->rflags = 0x10246;
}

static inline enum lite_next serve(u64 vec, u64 err)
{
	vcpu.r.vec = vec;
	vcpu.r.err = err;
	return lite_handle(&vcpu);
}

/* @n bytes of code where the guest is. */
static inline void code(const void *b, size_t n)
{
	vcpu.r.rip = CODE;
	memcpy(mem + (CODE - MEM), b, n);
}

static inline enum lite_next emulate(const void *b, size_t n)
{
	code(b, n);
	return serve(13, 0);
}
#define EMULATE(...) emulate((u8[]){ __VA_ARGS__ }, sizeof((u8[]){ __VA_ARGS__ }))

static inline u64 word(u64 va)
{
	u64 x;

	memcpy(&x, mem + (va - MEM), sizeof(x));
	return x;
}

/* The frame that is on the guest's stack now. @nerr: 1 when there is an error code. */
static inline void frame_is(u64 top, unsigned int nerr, u64 err, u64 rip, u64 cs, u64 flags,
			    u64 rsp, u64 ss)
{
	u64 want[8], sp = vcpu.r.rsp;
	unsigned int n = 0;

	want[n++] = 0xc0c0;
	want[n++] = 0x1111;
	if (nerr)
		want[n++] = err;
	want[n++] = rip;
	want[n++] = cs;
	want[n++] = flags;
	want[n++] = rsp;
	want[n++] = ss;
	ksft_eq(sp, (top & ~15ull) - n * 8);
	ksft_memeq(mem + (sp - MEM), want, n * 8);
	ksft_eq(mem[sp - 1 - MEM], 0x5a);
	ksft_check(vcpu.kernel);
	ksft_eq(vcpu.r.cs, LITE_KERN_CS);
	ksft_eq(vcpu.r.ss, LITE_KERN_SS);
}

/* The guest's kernel has got #GP for the instruction where it was. */
static inline void gp_is(u64 rip, u64 err)
{
	ksft_eq(vcpu.r.rip, HANDLER + 13 * 16);
	ksft_eq(word(vcpu.r.rsp + 16), err);
	ksft_eq(word(vcpu.r.rsp + 24), rip);
}

static inline void refused(enum lite_next next)
{
	ksft_eq(next, LITE_RESUME);
	gp_is(CODE, 0);
}

#endif
