// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fuzzer: exits of a lite guest that are no hypercalls: instructions that its kernel may not
 * execute, port I/O, CPUID, traps of either ring. Bytes, registers, I/O permissions, and what is
 * mapped around instruction and stack come from the input.
 *
 * Checked besides lite_oracle.h's: RIP moves by the instruction's length as a decoder of its own
 * here says, or a trap's frame is on the stack, word by word as Xen's ABI has it; no register
 * changes but those that the instruction may write; no memory but that frame and vcpu_info.
 */
#include "lite_guest.h"

#include <stddef.h>

#define CASES 40u
#define UCODE ((u64)G_USER << 12)

static u8 before[RAM][4096];
static struct lite_regs was;
static bool was_kernel, was_ac, was_masked;
static u64 was_root;

/* An instruction, decoded once more: its length, 0 if it is none of those that are emulated. */
struct insn {
	unsigned int len;
	u8 op, op2, modrm, rex;
	bool op16;
};

static bool is_prefix(u8 b)
{
	static const u8 prefix[] = { 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf2, 0xf3 };

	return memchr(prefix, b, sizeof(prefix));
}

static void decode(struct insn *in, const u8 *b, unsigned int n, bool bits64)
{
	unsigned int i = 0, len;

	memset(in, 0, sizeof(*in));
	for (; i < n && (is_prefix(b[i]) || (bits64 && b[i] >> 4 == 4)); i++) {
		in->rex = b[i] >> 4 == 4 ? b[i] : 0;
		in->op16 |= b[i] == 0x66;
	}
	if (i == n)
		return;
	in->op = b[i];
	len = i + 1;
	if (in->op == 0xcd || (in->op & 0xfc) == 0xe4) {
		len++;
	} else if (in->op == 0x0f && len < n) {
		in->op2 = b[len++];
		if (in->op2 == 0x01 || (in->op2 & 0xfc) == 0x20) {
			in->modrm = len < n ? b[len] : 0;
			len++;
		}
	} else if (in->op == 0x0f) {
		return;
	}
	if (len <= n)
		in->len = len;
}

/* By number, as in a ModRM byte. */
static u64 *gpr(struct lite_regs *r, unsigned int n)
{
	static const size_t at[16] = {
		offsetof(struct lite_regs, rax), offsetof(struct lite_regs, rcx),
		offsetof(struct lite_regs, rdx), offsetof(struct lite_regs, rbx),
		offsetof(struct lite_regs, rsp), offsetof(struct lite_regs, rbp),
		offsetof(struct lite_regs, rsi), offsetof(struct lite_regs, rdi),
		offsetof(struct lite_regs, r8),	 offsetof(struct lite_regs, r9),
		offsetof(struct lite_regs, r10), offsetof(struct lite_regs, r11),
		offsetof(struct lite_regs, r12), offsetof(struct lite_regs, r13),
		offsetof(struct lite_regs, r14), offsetof(struct lite_regs, r15),
	};

	return (u64 *)((char *)r + at[n]);
}

/* Registers that @in may write, a bit each. */
static unsigned int writes(const struct insn *in)
{
	unsigned int rm = (in->modrm & 7) | (in->rex & 1 ? 8 : 0);

	if ((in->op & 0xf6) == 0xe4) /* in */
		return 1 << 0;
	if (in->op != 0x0f)
		return 0;
	if (in->op2 == 0x31 || in->op2 == 0x32) /* rdtsc, rdmsr */
		return 1 << 0 | 1 << 2;
	if (in->op2 == 0x20 || in->op2 == 0x21)
		return 1 << rm;
	if (in->op2 == 0x01 && in->modrm >= 0xe0 && in->modrm < 0xe8) /* smsw */
		return 1 << rm;
	return 0;
}

static void registers_are(unsigned int except)
{
	unsigned int i;

	for (i = 0; i < 16; i++)
		if (!(except >> i & 1))
			fuzz_assert(*gpr(&e->v.r, i) == *gpr(&was, i));
}

static bool among(const u64 at[8], u64 gpa)
{
	unsigned int i;

	for (i = 0; i < 8; i++)
		if (at[i] == gpa)
			return true;
	return false;
}

/*
 * Memory is as it was, but for [@from, @to) on the stack, vcpu_info, and accessed and dirty bits of
 * the tables, which lie in the frames before TABLES.
 */
static void memory_is(u64 from, u64 to)
{
	u64 vi = (u64)G_SHARED << 12, at[8] = { 0 };
	struct mmu_walk w;
	unsigned int i, j;

	for (i = 0; from + 8 * i < to; i++) {
		fuzz_assert(!mmu_walk(&e->v, e->v.kroot, from + 8 * i, 1, &w));
		at[i] = (w.e[1] & FN) | ((from + 8 * i) & 4095);
	}

	for (i = 0; i < RAM; i++) {
		const u64 *now, *old = (const u64 *)before[i];

		if (!lite_frame(&e->vm, i, NULL)->pa)
			continue;
		now = guest_mem(i);
		if (!memcmp(old, now, 4096))
			continue;
		for (j = 0; j < 512; j++) {
			u64 gpa = (u64)i << 12 | j << 3;

			if (old[j] == now[j] || among(at, gpa) || (gpa >= vi && gpa < vi + 64) ||
			    (gpa >= vi + 2048 && gpa < vi + 2560))
				continue;
			fuzz_assert(i < TABLES &&
				    (old[j] ^ now[j]) == ((A | D) & ~old[j] & now[j]));
		}
	}
}

/* A frame there would be events, pending and masked, too. */
static bool have_over_vi(u64 va, u64 len)
{
	struct mmu_walk w;
	u64 pa;

	for (len += va; va < len; va += 8) {
		const struct lite_frame *f;

		if (!lite_va_ok(va, 8) || mmu_walk(&e->v, e->v.kroot, va, 1, &w))
			continue;
		f = lite_frame(&e->vm, (w.e[1] & FN) >> 12, NULL);
		pa = f ? f->pa | (va & 4088) : 0;
		if (pa - (e->v.vi_pa & ~7ull) < 64)
			return true;
	}
	return false;
}

/* The frame of a trap that was taken in the state @was, @rip being where it goes back to. */
static void frame_is(bool has_err, u64 rip)
{
	u64 want[8], have[8], top = (was_kernel ? was.rsp : e->v.kernel_sp) & ~15ull;
	u64 flags = was.rflags & ~FLAG_IF;
	unsigned int n = 0, i, err = 0;

	want[n++] = was.rcx;
	want[n++] = was.r11;
	if (has_err)
		want[err = n++] = 0;
	want[n++] = rip;
	want[n++] = (was_kernel ? LITE_SHOWN_CS : (was.cs & 0xffff) | 3) | (u64)was_masked << 32;
	want[n++] = (was_kernel && was_ac ? flags & ~FLAG_AC : flags) | (was_masked ? 0 : FLAG_IF);
	want[n++] = was.rsp;
	want[n++] = was_kernel ? LITE_SHOWN_SS : was.ss & 0xffff;
	fuzz_assert(e->v.r.rsp == top - 8 * n && e->v.kernel);
	fuzz_assert(!mmu_read(&e->v, have, e->v.r.rsp, 8 * n));
	for (i = 0; i < n; i++)
		fuzz_assert(have[i] == want[i] || (has_err && i == err));
	memory_is(top - 8 * n, top);
}

/* Which trap it was, by where the guest goes on. */
static unsigned int vector(void)
{
	u64 at = e->v.r.rip - HANDLER;

	fuzz_assert(!(at & 15) && at / 16 < 256);
	return at / 16;
}

static bool has_error(unsigned int vec)
{
	return vec == 8 || (vec >= 10 && vec <= 14) || vec == 17;
}

static void registers(struct fuzz *f)
{
	static const u64 odd[] = { 0,
				   1,
				   0x10,
				   0x60,
				   0x80,
				   0xc0000100,
				   0xc0000101,
				   0xc0000102,
				   0xc0000080,
				   0x277,
				   0x40,
				   0x500,
				   0x6ff,
				   0x5fe,
				   0x3f8,
				   7,
				   0x40000000,
				   0xd,
				   0x80000008,
				   2,
				   0x40000001,
				   0x40000002,
				   (u64)G_L4B << 12,
				   (u64)G_L4 << 12,
				   EU_ROM_GFN << 12,
				   0xffff880000000000ull,
				   0x8000000000000000ull,
				   LITE_HOLE_START,
				   ~0ull };
	u8 which = fuzz_u8(f);
	unsigned int i;

	for (i = 0; i < 16; i++)
		*gpr(&e->v.r, i) = 0x1111111111111111ull * i;
	*gpr(&e->v.r, 0) = FUZZ_PICK(f, odd);
	*gpr(&e->v.r, 1) = FUZZ_PICK(f, odd);
	*gpr(&e->v.r, 2) = which & 1 ? FUZZ_PICK(f, odd) : 0;
	if (which & 2)
		*gpr(&e->v.r, which >> 4) = FUZZ_PICK(f, odd);
	e->v.r.rflags = (which & 4 ? fuzz_u32(f) & FLAGS_GUEST : 0) | FLAGS_SET;
}

/* Where traps go and what ports a program may use. */
static void permissions(struct fuzz *f)
{
	u8 k = fuzz_u8(f);

	e->v.iopl = k & 3;
	e->v.iobmp_va = k & 4 ? KVA(G_DATA) : pick_va(f);
	if (!lite_va_ok(e->v.iobmp_va, 8192))
		e->v.iobmp_va = 0;
	e->v.iobmp_ports = k & 8 ? 65536 : fuzz_u8(f) * 8;
	if (k & 16)
		e->v.trap[fuzz_u8(f)].address = 0;
	if (k & 32)
		e->v.kernel_sp = k & 64 ? SP : KVA(G_STACK) + fuzz_u8(f);
	vi_mask_set(&e->v, k & 128);
	memset((u8 *)guest_mem(G_DATA), fuzz_u8(f), 128);
}

/* The page of tables' entry for what lies around the instruction or the stack, changed and back. */
static void mapping(struct fuzz *f)
{
	static const u8 which[] = { G_CODE, G_CODE + 1, G_STACK, G_STACK + 1, G_DATA, G_USER };
	u64 gfn = FUZZ_PICK(f, which), pte = gfn << 12 | P | A;
	u8 k = fuzz_u8(f);

	if (k & 1)
		pte |= W | D;
	if (k & 2)
		pte &= ~P;
	if (k & 4)
		pte |= U;
	if (k & 8) /* another page, perhaps one that is not resident yet */
		pte += (u64)(k >> 4) << 12;
	while (mmu_update(&e->v, (u64)G_L1 << 12 | gfn << 3, pte, false) == -EAGAIN)
		eu_want(e);
	mmu_flush(&e->v, ~0ull, 0);
}

static bool readable(u64 at, unsigned int n)
{
	u8 b[15];
	int ret;

	do
		ret = mmu_read(&e->v, b, at, n);
	while (ret == -EAGAIN && eu_want(e));
	return !ret;
}

/* What was there to be decoded, as far as it could be read by the root that there was. */
static void fetch(struct insn *in)
{
	u64 at = was.rip, here = 4096 - (at & 4095), root = e->v.kroot;
	unsigned int n = 15;
	u8 b[15];

	mmu_gtlb_flush(&e->vm);
	e->v.kroot = was_root;
	if (!readable(at, n))
		n = readable(at, MIN(n, here)) ? MIN(n, here) : 0;
	if (n)
		fuzz_assert(!mmu_read(&e->v, b, at, n));
	e->v.kroot = root;
	mmu_gtlb_flush(&e->vm);
	decode(in, b, n, was_kernel || was.cs != LITE_USER_CS32);
}

static void code(struct fuzz *f, u64 at)
{
	/* The last byte of each gets bits from the input: an operand, or another opcode nearby. */
	static const u8 likely[][3] = {
		{ 0xf4 },
		{ 0xfa },
		{ 0xfb },
		{ 0xcd, 3 },
		{ 0xcd, 0x80 },
		{ 0xe4, 0x61 },
		{ 0xe5, 0x40 },
		{ 0xe6, 0x80 },
		{ 0xe7, 0x20 },
		{ 0xec },
		{ 0xed },
		{ 0xee },
		{ 0xef },
		{ 0x0f, 0x06 },
		{ 0x0f, 0x08 },
		{ 0x0f, 0x09 },
		{ 0x0f, 0x30 },
		{ 0x0f, 0x32 },
		{ 0x0f, 0x32 },
		{ 0x6c },
		{ 0x0f, 0x01, 0xd1 },
		{ 0x0f, 0x01, 0xf8 },
		{ 0x0f, 0x01, 0xe0 },
		{ 0x0f, 0x01, 0xf0 },
		{ 0x0f, 0x20, 0xc0 },
		{ 0x0f, 0x20, 0xd8 },
		{ 0x0f, 0x21, 0xc0 },
		{ 0x0f, 0x22, 0xd8 },
		{ 0x0f, 0x22, 0xc0 },
		{ 0x0f, 0x23, 0xf8 },
		{ 0x0f, 0x23, 0xc1 },
		{ 0x0f, 0x01, 0x18 },
	};
	static const u8 prefix[] = { 0x66, 0x48, 0x41, 0x4f, 0x67, 0xf3, 0x26, 0x65, 0xf2, 0x2e };
	static const u8 cpuid[] = { 0x0f, 0x0b, 'x', 'e', 'n', 0x0f, 0xa2 };
	u8 k = fuzz_u8(f), b[15];
	const u8 *t = FUZZ_PICK(f, likely);
	unsigned int i, n = 15;

	memset(b, 0x90, sizeof(b));
	if (e->v.r.vec == TRAP_UD) {
		memcpy(b, cpuid, k & 3 ? sizeof(cpuid) : k >> 5);
	} else if (k < 224) {
		for (i = 0; i < k >> 6; i++)
			b[i] = FUZZ_PICK(f, prefix);
		for (n = 0; n < 3 && (t[n] || !n); n++)
			b[i + n] = t[n];
		if (k & 1)
			b[i + n - 1] ^= fuzz_u8(f);
		n = 15;
	} else {
		for (i = 0; i < 15; i++)
			b[i] = k & 1 && i < 13 ? FUZZ_PICK(f, prefix) : fuzz_u8(f);
	}
	for (i = 0; i < sizeof(b); i++)
		((u8 *)guest_mem((at + i - KVA(0)) >> 12))[(at + i) & 4095] = b[i];
	e->v.r.rip = at;
}

static void emulated(const struct insn *in, enum lite_next next, u64 traps)
{
	if (e->v.stats.traps != traps) {
		unsigned int vec = vector();

		registers_are(1 << 4);
		/* int n goes on behind itself; what is refused goes on at the instruction. */
		if (in->op == 0xcd && vec != TRAP_GP && vec != TRAP_UD) {
			was.rflags &= ~FLAG_RF; /* it is done */
			frame_is(false, was.rip + in->len);
		} else if (in->op != 0xcd) {
			frame_is(vec == TRAP_GP, was.rip);
		}
		return;
	}
	fuzz_assert(!(e->v.r.rflags & FLAG_RF));
	fuzz_assert(in->len && e->v.r.rip == was.rip + in->len);
	registers_are(next == LITE_EXIT ? 0 : writes(in));
	memory_is(0, 0);
	fuzz_assert(was_kernel || (in->op & 0xf4) == 0xe4);
	/* Reads of all others leave what they do not write. */
	if (in->op == 0xe4 || in->op == 0xec)
		fuzz_assert((e->v.r.rax ^ was.rax) < 0x100);
	else if ((in->op == 0xe5 || in->op == 0xed) && in->op16)
		fuzz_assert((e->v.r.rax ^ was.rax) < 0x10000);
}

static void invalid_opcode(u64 traps)
{
	static const u8 cpuid[] = { 0x0f, 0x0b, 'x', 'e', 'n', 0x0f, 0xa2 };
	u8 b[7];

	if (e->v.stats.traps != traps) {
		registers_are(1 << 4);
		frame_is(vector() == TRAP_GP, was.rip);
		return;
	}
	fuzz_assert(!mmu_read(&e->v, b, was.rip, 7) && !memcmp(b, cpuid, 7) && was_kernel);
	fuzz_assert(e->v.r.rip == was.rip + 7);
	registers_are(0xf);
	fuzz_assert(!((e->v.r.rax | e->v.r.rbx | e->v.r.rcx | e->v.r.rdx) >> 32));
	memory_is(0, 0);
}

static void other(u64 vec, u64 traps)
{
	fuzz_assert(e->v.stats.traps != traps || vec == TRAP_PF || vec == LITE_VEC_SYSCALL ||
		    vec == LITE_VEC_SYSCALL32);
	registers_are(1 << 4);
	if (vec == TRAP_INT80 || vec == LITE_VEC_SYSCALL || vec == LITE_VEC_SYSCALL32)
		return;
	if (e->v.stats.traps != traps)
		frame_is(has_error(vector()), was.rip);
	else
		memory_is(0, 0);
}

static bool one(struct fuzz *f)
{
	static const u16 vecs[] = { 13,
				    13,
				    13,
				    13,
				    13,
				    6,
				    6,
				    14,
				    0,
				    1,
				    3,
				    4,
				    5,
				    7,
				    9,
				    10,
				    11,
				    12,
				    16,
				    17,
				    19,
				    0x80,
				    LITE_VEC_SYSCALL,
				    LITE_VEC_SYSCALL32 };
	u8 k = fuzz_u8(f), env = fuzz_u8(f) & ~(ENV_EVENT | ENV_WRITE);
	u64 vec = FUZZ_PICK(f, vecs), traps = e->v.stats.traps, at = KVA(G_CODE);
	bool kernel = !(k & 1) && vec < LITE_VEC_SYSCALL;
	enum lite_next next;
	struct insn in;
	unsigned int i;

	if (e->v.kroot != G_L4)
		mmu_new_base(&e->v, G_L4, false);
	mapping(f);
	permissions(f);
	back(kernel);
	if (!kernel && (k & 2))
		e->v.r.cs = LITE_USER_CS32;
	e->v.r.vec = vec;
	registers(f);
	e->v.r.rsp = k & 4 ? pick_va(f) : SP - (k >> 3);
	code(f, at + (k & 0x80 ? 4096 - (k >> 3 & 15) : k));
	if (!kernel && e->v.r.cs == LITE_USER_CS32 && vec != TRAP_GP)
		e->v.r.rip = UCODE;
	e->v.r.err = k & 0x40 ? fuzz_u8(f) : 0;
	e->v.cr2 = pick_va(f);

	for (i = 0; i < RAM; i++)
		if (lite_frame(&e->vm, i, NULL)->pa)
			memcpy(before[i], guest_mem(i), 4096);
		else
			memset(before[i], 0, 4096);
	was = e->v.r;
	was_kernel = kernel;
	was_root = e->v.kroot;
	if (have_over_vi(((kernel ? was.rsp : e->v.kernel_sp) & ~15ull) - 128, 128))
		return false;
	was_masked = vi_masked(&e->v);
	was_ac = e->v.ac || (kernel && e->vm.has_smap && vec == TRAP_PF && (was.err & 9) == 1 &&
			     e->v.cr2 < 0x800000000000ull);
	next = attempts(f, lite_handle, env);
	if (next == LITE_DEAD)
		return false;
	if (next == LITE_RESUME && !was_kernel && was.cs == LITE_USER_CS32)
		was.rip = e->v.kernel ? was.rip : (u32)was.rip;
	/* A target that is not canonical would be a second trap. */
	fetch(&in);
	if (vec == TRAP_GP)
		emulated(&in, next, traps);
	else if (vec == TRAP_UD)
		invalid_opcode(traps);
	else
		other(vec, traps);
	if (next == LITE_EXIT) {
		exit_check();
		lite_complete_io(&e->v, 0x12345678);
		registers_are(writes(&in));
	}
	if (attempts(f, lite_prepare, env) == LITE_DEAD || attempts(f, root, 0) == LITE_DEAD)
		return false;
	oracle_entry(e, false);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fuzz f = { data, len };
	unsigned int i;

	guest_new(&f);
	obedient = false;
	for (i = 0; f.left && i < CASES && one(&f); i++)
		;
	oracle_shadow(e, false);
	guest_free();
	return 0;
}
