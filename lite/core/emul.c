// SPDX-License-Identifier: GPL-2.0-only
/*
 * #GP: instructions that the guest's kernel executes as if it ran in ring 0, port I/O, and int n.
 *
 * Called by trap.c, in either tier, by the vCPU's thread; what may end in an exit to the VMM, in
 * sleep or in a frame goes to the full tier before anything has changed. The instruction is fetched
 * once and decoded from that copy. But for SGDT's, no memory operand is ever followed: what has one
 * (string I/O, lgdt, invlpg) is the guest's own #GP. A paravirtualized kernel needs none of them.
 */
#include "trap.h"
#include "hypercall.h"
#include "vsched.h"

#define CR0_SHOWN   0x80050033ull /* PG AM WP NE ET MP PE */
#define CR4_SHOWN   0x00010620ull /* FSGSBASE OSXMMEXCPT OSFXSR PAE */
#define CR4_OSXSAVE 0x00040000ull
#define CR4_TSD	    0x00000004ull

/* Ports that the VMM answers; all others float: nothing is there. */
#define PIO_VMM_FIRST 0x500
#define PIO_VMM_END   0x700

static bool bits64(const struct lite_vcpu *v)
{
	return v->kernel || segment_desc(v, v->r.cs) & DESC_LONG;
}

/* One instruction: .len of its bytes could be read, .at is the next to look at. */
struct insn {
	u8 b[15];
	u8 len, at;
	u8 rex;
	bool op16, rep, elsewhere; /* elsewhere: in FS, GS, or with addresses of 32 bits */
};

/* Where a program's instruction is: segments but 64-bit code have a base, and wrap at 4 GiB. */
static u64 user_linear(const struct lite_vcpu *v, u64 rip)
{
	return bits64(v) ? rip : (u32)(segment_base(v, v->r.cs) + rip);
}

static int insn_fetch(struct lite_vcpu *v, struct insn *in)
{
	u64 rip = v->kernel ? v->r.rip : user_linear(v, v->r.rip);
	size_t here = LITE_PAGE_SIZE - (rip & ~LITE_PAGE_MASK);
	int ret;

	memset(in, 0, sizeof(*in));
	in->len = sizeof(in->b);
	ret = mmu_read(v, in->b, rip, in->len);
	if (ret == -EFAULT && here < in->len) {
		in->len = here;
		ret = mmu_read(v, in->b, rip, in->len);
	}
	return ret;
}

/* The next byte; past what could be read, one that no caller accepts as an opcode. */
static u8 insn_next(struct insn *in)
{
	return in->at < in->len ? in->b[in->at++] : (in->at = sizeof(in->b) + 1, 0xd6);
}

static bool insn_cut(const struct insn *in)
{
	return in->at > in->len;
}

/* Prefixes, in any order; a REX counts only right before the opcode. Returns the opcode. */
static u8 insn_opcode(struct insn *in, bool bits64)
{
	u8 b;

	for (;;) {
		b = insn_next(in);
		switch (b) {
		case 0x66:
			in->op16 = true;
			break;
		case 0xf2:
		case 0xf3:
			in->rep = true;
			break;
		case 0x26:
		case 0x2e:
		case 0x36:
		case 0x3e:
			break;
		case 0x64:
		case 0x65:
		case 0x67:
			in->elsewhere = true;
			break;
		default:
			if (!bits64 || (b & 0xf0) != 0x40)
				return b;
			in->rex = b;
			continue;
		}
		in->rex = 0;
	}
}

static u64 *reg(struct lite_regs *r, unsigned int n)
{
	switch (n & 15) {
	case 0:
		return &r->rax;
	case 1:
		return &r->rcx;
	case 2:
		return &r->rdx;
	case 3:
		return &r->rbx;
	case 4:
		return &r->rsp;
	case 5:
		return &r->rbp;
	case 6:
		return &r->rsi;
	case 7:
		return &r->rdi;
	case 8:
		return &r->r8;
	case 9:
		return &r->r9;
	case 10:
		return &r->r10;
	case 11:
		return &r->r11;
	case 12:
		return &r->r12;
	case 13:
		return &r->r13;
	case 14:
		return &r->r14;
	default:
		return &r->r15;
	}
}

static enum lite_next refuse(struct lite_vcpu *v)
{
	return trap_inject(v, TRAP_GP, true, v->r.err);
}

static enum lite_next done(struct lite_vcpu *v, const struct insn *in)
{
	v->r.rip += in->at;
	v->r.rflags &= ~FLAG_RF; /* it was for this instruction */
	return LITE_RESUME;
}

/* --- port I/O ------------------------------------------------------------------------------ */

/* Xen's rules: the guest's kernel always, its user by the IOPL or a bitmap in guest memory. */
static int pio_allowed(struct lite_vcpu *v, u32 port, u32 size, bool *allowed)
{
	u8 map[2] = { 0xff, 0xff };
	u32 mask = ((1u << size) - 1) << (port & 7);
	int ret;

	*allowed = v->kernel || v->iopl == 3;
	if (*allowed || port + size > v->iobmp_ports)
		return 0;
	ret = mmu_read(v, map, v->iobmp_va + port / 8, mask > 0xff ? 2 : 1);
	if (ret == -EAGAIN || ret == -EBUSY)
		return ret;
	*allowed = !ret && !((map[0] | (u32)map[1] << 8) & mask);
	return 0;
}

/* Nothing answers. But a guest that waits for the timer chip to count must not wait for ever. */
static u32 pio_float(u32 port)
{
	return (port & ~3u) == 0x40 || port == 0x61 ? 0 : 0xffffffff;
}

static enum lite_next emul_pio(struct lite_vcpu *v, struct insn *in, u8 op)
{
	u32 size = !(op & 1) ? 1 : in->op16 ? 2 : 4;
	bool write = op & 2, allowed;
	u32 port = (u16)v->r.rdx;
	int ret;

	if (!(op & 8))
		port = insn_next(in);
	if (insn_cut(in))
		return refuse(v);
	ret = pio_allowed(v, port, size, &allowed);
	if (ret)
		return trap_error(v, ret, "an I/O bitmap that cannot be read");
	if (!allowed)
		return refuse(v);
	v->exit.io.size = size;
	if (port >= PIO_VMM_FIRST && port + size <= PIO_VMM_END) {
		memset(&v->exit, 0, sizeof(v->exit));
		v->exit.reason = LODGE_EXIT_PIO;
		v->exit.io.port = port;
		v->exit.io.size = size;
		v->exit.io.write = write;
		if (write)
			v->exit.io.data = size == 4 ? v->r.rax : v->r.rax & ((1u << size * 8) - 1);
		v->io_pending = !write;
		done(v, in);
		return LITE_EXIT;
	}
	if (!write) {
		v->io_pending = true;
		lite_complete_io(v, pio_float(port));
	}
	return done(v, in);
}

/* --- MSRs, control and debug registers ------------------------------------------------------ */

static enum lite_next emul_msr(struct lite_vcpu *v, struct insn *in, bool write)
{
	struct lite_regs *r = &v->r;
	u64 val = (u32)r->rax | r->rdx << 32;

	if (write) {
		if (msr_write(v, r->rcx, val))
			return refuse(v);
	} else {
		if (msr_read(v, r->rcx, &val))
			return refuse(v);
		r->rax = (u32)val;
		r->rdx = val >> 32;
	}
	return done(v, in);
}

static enum lite_next emul_cr_write(struct lite_vcpu *v, struct insn *in, unsigned int cr, u64 val)
{
	int ret;

	switch (cr) {
	case 0: /* its bits are the hypervisor's; the guest's kernel sets them as it boots */
		return done(v, in);
	case 4: /* and so are these, but for one */
		if (v->tsd != !!(val & CR4_TSD))
			v->changed |= LITE_CH_CR4;
		v->tsd = val & CR4_TSD;
		return done(v, in);
	case 2:
		__atomic_store_n(&v->vi->arch.cr2, val, __ATOMIC_RELAXED);
		return done(v, in);
	case 3:
		ret = mmu_new_base(v, (val & 0x000ffffffffff000ull) >> 12, false);
		if (ret == -EAGAIN || ret == -EBUSY)
			return trap_error(v, ret, "a root that cannot be read");
		return ret ? refuse(v) : done(v, in);
	default:
		return trap_inject(v, TRAP_UD, false, 0);
	}
}

static enum lite_next emul_cr_read(struct lite_vcpu *v, struct insn *in, unsigned int cr, u64 *to)
{
	switch (cr) {
	case 0:
		*to = CR0_SHOWN;
		break;
	case 2:
		*to = __atomic_load_n(&v->vi->arch.cr2, __ATOMIC_RELAXED);
		break;
	case 3:
		*to = v->kroot << 12;
		break;
	case 4:
		*to = CR4_SHOWN | (v->tsd ? CR4_TSD : 0) | (cpuid_xcr0(v->vm) ? CR4_OSXSAVE : 0);
		break;
	default:
		return trap_inject(v, TRAP_UD, false, 0);
	}
	return done(v, in);
}

/* mov to or from CRn (0x20, 0x22), DRn (0x21, 0x23) */
static enum lite_next emul_mov(struct lite_vcpu *v, struct insn *in, u8 op)
{
	u8 modrm = insn_next(in);
	unsigned int n = (modrm >> 3 & 7) | (in->rex & 4 ? 8 : 0);
	u64 *gpr = reg(&v->r, (modrm & 7) | (in->rex & 1 ? 8 : 0));
	u64 val;

	if (insn_cut(in))
		return refuse(v);
	if (op == 0x20)
		return emul_cr_read(v, in, n, gpr);
	if (op == 0x22)
		return emul_cr_write(v, in, n, *gpr);
	if (n > 7)
		return trap_inject(v, TRAP_UD, false, 0);
	if (op == 0x23)
		return debugreg_set(v, n, *gpr) ? refuse(v) : done(v, in);
	if (debugreg_get(v, n, &val))
		return refuse(v);
	*gpr = val;
	return done(v, in);
}

/* Of @modrm, which says that there is one; the instruction ends with it. */
static u64 memory_operand(struct lite_vcpu *v, struct insn *in, u8 modrm)
{
	unsigned int mod = modrm >> 6, base = modrm & 7, i, n;
	u32 disp = 0;
	u64 va = 0;
	u8 sib;

	if (base == 4) {
		sib = insn_next(in);
		base = sib & 7;
		n = (sib >> 3 & 7) | (in->rex & 2 ? 8 : 0);
		if (n != 4)
			va = *reg(&v->r, n) << (sib >> 6);
		if (mod || base != 5)
			va += *reg(&v->r, base | (in->rex & 1 ? 8 : 0));
	} else if (mod || base != 5) {
		va = *reg(&v->r, base | (in->rex & 1 ? 8 : 0));
	} else {
		va = v->r.rip + in->at + 4;
	}
	n = mod == 1 ? 1 : mod == 2 || base == 5 ? 4 : 0;
	for (i = 0; i < n; i++)
		disp |= (u32)insn_next(in) << (8 * i);
	if (n == 1)
		disp = (disp ^ 0x80) - 0x80;
	return va + (u64)(s64)(s32)disp;
}

/*
 * SGDT, which traps when the host uses UMIP: the guest's own table, as the hole has it. Linux looks
 * there for the segments of 32-bit programs.
 */
static enum lite_next emul_sgdt(struct lite_vcpu *v, struct insn *in, u8 modrm)
{
	u64 va = memory_operand(v, in, modrm), base = v->vm->ram_va + (v->gdt_gfn[0] << 12);
	u16 dtr[5] = { LITE_PAGE_SIZE - 1, base, base >> 16, base >> 32, base >> 48 };
	int ret;

	if (insn_cut(in) || in->elsewhere || !v->vm->ram_va || !v->gdt_gfn[0] ||
	    v->gdt_gfn[0] >= v->vm->frames)
		return refuse(v);
	ret = mmu_write(v, va, dtr, sizeof(dtr));
	if (ret == -EAGAIN || ret == -EBUSY)
		return trap_error(v, ret, "a table register that cannot be stored");
	return ret ? refuse(v) : done(v, in);
}

/* 0f 01 */
static enum lite_next emul_group7(struct lite_vcpu *v, struct insn *in)
{
	u8 modrm = insn_next(in);
	struct lite_regs *r = &v->r;
	u64 base = v->gs_base;

	if (!insn_cut(in) && modrm < 0xc0 && !(modrm >> 3 & 7))
		return emul_sgdt(v, in, modrm);
	if (insn_cut(in) || modrm < 0xc0)
		return refuse(v);
	switch (modrm) {
	case 0xd1: /* xsetbv: the processor's XCR0 stays what it is */
		if ((u32)r->rcx || ((u32)r->rax | r->rdx << 32) != cpuid_xcr0(v->vm))
			return refuse(v);
		return done(v, in);
	case 0xf8: /* swapgs */
		v->gs_base = v->gs_other;
		v->gs_other = base;
		return done(v, in);
	}
	switch (modrm >> 3 & 7) {
	case 4: /* smsw, which traps when the host uses UMIP */
		*reg(r, (modrm & 7) | (in->rex & 1 ? 8 : 0)) = CR0_SHOWN;
		return done(v, in);
	case 6: /* lmsw */
		return done(v, in);
	}
	return refuse(v);
}

static enum lite_next emul_rdtsc(struct lite_vcpu *v, const struct insn *in)
{
	u64 tsc = env_tsc();

	v->r.rax = (u32)tsc;
	v->r.rdx = tsc >> 32;
	return done(v, in);
}

static enum lite_next emul_0f(struct lite_vcpu *v, struct insn *in)
{
	u8 op = insn_next(in);

	switch (op) {
	case 0x01:
		return emul_group7(v, in);
	case 0x06: /* clts */
	case 0x08: /* invd */
	case 0x09: /* wbinvd */
		return done(v, in);
	case 0x20:
	case 0x21:
	case 0x22:
	case 0x23:
		return emul_mov(v, in, op);
	case 0x30:
		return emul_msr(v, in, true);
	case 0x31: /* rdtsc, while CR4.TSD is set */
		return emul_rdtsc(v, in);
	case 0x32:
		return emul_msr(v, in, false);
	default:
		return refuse(v);
	}
}

/* --- the rest ------------------------------------------------------------------------------- */

/* The guest's kernel may use any entry of its trap table, its user those for ring 3. */
static enum lite_next emul_int(struct lite_vcpu *v, struct insn *in)
{
	u8 n = insn_next(in);
	const struct lite_trap *t = &v->trap[n];
	u64 rf = v->r.rflags & FLAG_RF;
	enum lite_next next;

	if (insn_cut(in))
		return refuse(v);
	if (t->address && (v->kernel || t->dpl == 3)) {
		/* The instruction is done, so its frame has no RF. */
		v->r.rflags &= ~FLAG_RF;
		next = trap_inject_at(v, n, v->r.rip + in->at, false, 0);
		if (next == LITE_WANT || next == LITE_FULL)
			v->r.rflags |= rf;
		return next;
	}
	return trap_inject(v, TRAP_GP, true, GP_IDT(n));
}

static enum lite_next emul_hlt(struct lite_vcpu *v, struct insn *in)
{
	done(v, in);
	return sched_halt(v);
}

static enum lite_next emul_kernel(struct lite_vcpu *v, struct insn *in, u8 op)
{
	switch (op) {
	case 0x0f:
		return emul_0f(v, in);
	case 0xf4:
		return emul_hlt(v, in);
	case 0xfa: /* cli, sti: events are the only interrupts */
	case 0xfb:
		vi_mask_set(v, op == 0xfa);
		return done(v, in);
	default:
		return refuse(v);
	}
}

enum lite_next emul_gp(struct lite_vcpu *v)
{
	struct insn in;
	int ret;
	u8 op;

	ret = insn_fetch(v, &in);
	if (ret == -EAGAIN || ret == -EBUSY)
		return trap_error(v, ret, "an instruction that cannot be read");
	if (ret)
		return refuse(v);
	op = insn_opcode(&in, bits64(v));
	if (!bits64(v) && !(segment_desc(v, v->r.cs) & DESC_32BIT))
		in.op16 = !in.op16;
	if (insn_cut(&in))
		return refuse(v);
	if (v->tier == LITE_LIGHT && op != 0x0f && op != 0xfa && op != 0xfb)
		return LITE_FULL;
	switch (op) {
	case 0xcd:
		return emul_int(v, &in);
	case 0xe4:
	case 0xe5:
	case 0xe6:
	case 0xe7:
	case 0xec:
	case 0xed:
	case 0xee:
	case 0xef:
		return emul_pio(v, &in, op);
	default:
		return v->kernel ? emul_kernel(v, &in, op) : refuse(v);
	}
}
