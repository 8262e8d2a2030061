// SPDX-License-Identifier: GPL-2.0-only
/*
 * Exits by vector, trap and event frames, and the state that every entry starts from.
 *
 * Called by the world switch, in a light exit or in the full tier, by the vCPU's thread. A frame
 * is written to the guest's stack before any register changes, so an exit whose frame cannot be
 * written yet (LITE_WANT, LITE_FULL) is served again from its beginning. Not here: HYPERVISOR_iret
 * (iret.c), instructions that ring 1 may not execute (emul.c), hypercalls (hypercall.c).
 */
#include "trap.h"
#include "event.h"
#include "hypercall.h"
#include "ring.h"
#include "vsched.h"

static size_t put_str(char *to, size_t at, size_t size, const char *s)
{
	while (*s && at + 1 < size)
		to[at++] = *s++;
	to[at] = '\0';
	return at;
}

static size_t put_hex(char *to, size_t at, size_t size, const char *name, u64 x)
{
	int shift = 60;

	at = put_str(to, at, size, name);
	while (shift && !(x >> shift))
		shift -= 4;
	for (; shift >= 0 && at + 1 < size; shift -= 4)
		to[at++] = "0123456789abcdef"[(x >> shift) & 15];
	to[at] = '\0';
	return at;
}

enum lite_next lite_kill(struct lite_vcpu *v, const char *why)
{
	struct lite_vm *vm = v->vm;
	size_t n, size = sizeof(vm->why);

	if (!__atomic_exchange_n(&vm->dying, true, __ATOMIC_RELAXED)) {
		/* A reason is cut so that the registers always fit behind it. */
		n = put_str(vm->why, 0, size - 80, why);
		n = put_hex(vm->why, n, size, ": vec 0x", v->r.vec);
		n = put_hex(vm->why, n, size, " rip 0x", v->r.rip);
		put_hex(vm->why, n, size, " rsp 0x", v->r.rsp);
		__atomic_store_n(&vm->dead, true, __ATOMIC_RELEASE);
	}
	memset(&v->exit, 0, sizeof(v->exit));
	v->exit.reason = LODGE_EXIT_KILLED;
	_Static_assert(sizeof(v->exit.killed.why) == sizeof(vm->why), "one copy");
	memcpy(v->exit.killed.why, vm->why, size);
	return LITE_DEAD;
}

void lite_set_mode(struct lite_vcpu *v, bool kernel)
{
	u64 base = v->gs_base;

	if (v->kernel == kernel)
		return;
	v->kernel = kernel;
	v->gs_base = v->gs_other;
	v->gs_other = base;
}

void lite_complete_io(struct lite_vcpu *v, u32 data)
{
	if (!v->io_pending)
		return;
	v->io_pending = false;
	if (v->exit.io.size == 1)
		v->r.rax = (v->r.rax & ~0xffull) | (data & 0xff);
	else if (v->exit.io.size == 2)
		v->r.rax = (v->r.rax & ~0xffffull) | (data & 0xffff);
	else
		v->r.rax = data;
}

enum lite_next trap_error(struct lite_vcpu *v, int error, const char *why)
{
	if (error == -EAGAIN)
		return LITE_WANT;
	if (error == -EBUSY && v->tier == LITE_LIGHT)
		return LITE_FULL;
	return lite_kill(v, why);
}

/*
 * Lowest address first: RCX, R11, [error code], RIP, CS with the event mask in bits 32..39, RFLAGS
 * whose IF is the inverted mask, RSP, SS. One write, so that there is nothing to take back.
 */
static enum lite_next trap_push(struct lite_vcpu *v, u64 to, bool mask, u64 rip, bool has_err,
				u64 err)
{
	struct lite_regs *r = &v->r;
	bool masked = vi_masked(v);
	u64 f[8], cs, ss, flags, sp;
	unsigned int n = 0;
	int ret;

	flags = r->rflags & ~FLAG_IF;
	if (v->kernel) {
		cs = LITE_SHOWN_CS;
		ss = LITE_SHOWN_SS;
		if (v->ac)
			flags &= ~FLAG_AC; /* ours, not the guest's */
		sp = r->rsp;
	} else {
		cs = (r->cs & 0xffff) | 3;
		ss = r->ss & 0xffff;
		sp = v->kernel_sp;
	}
	f[n++] = r->rcx;
	f[n++] = r->r11;
	if (has_err)
		f[n++] = err;
	f[n++] = rip;
	f[n++] = cs | (u64)masked << 32;
	f[n++] = flags | (masked ? 0 : FLAG_IF);
	f[n++] = r->rsp;
	f[n++] = ss;
	sp = (sp & ~15ull) - n * sizeof(f[0]);
	if (!lite_va_ok(sp, n * sizeof(f[0])))
		return lite_kill(v, "no stack for a trap frame");
	ret = mmu_write(v, sp, f, n * sizeof(f[0]));
	if (ret)
		return trap_error(v, ret, "a trap frame cannot be written to the stack");
	if (mask)
		vi_mask_set(v, true);
	lite_set_mode(v, true);
	r->rip = to;
	r->rsp = sp;
	r->cs = LITE_KERN_CS;
	r->ss = LITE_KERN_SS;
	r->rflags = FLAGS_SET;
	return LITE_RESUME;
}

enum lite_next trap_inject_at(struct lite_vcpu *v, unsigned int vec, u64 rip, bool has_err, u64 err)
{
	const struct lite_trap *t = &v->trap[vec & 0xff];
	enum lite_next next;

	if (!t->address && vec != TRAP_GP) {
		t = &v->trap[TRAP_GP];
		err = GP_IDT(vec & 0xff);
		has_err = true;
		rip = v->r.rip;
	}
	if (!t->address)
		return lite_kill(v, "a trap that the guest has no handler for");
	next = trap_push(v, t->address, t->mask, rip, has_err, err);
	if (next == LITE_RESUME)
		v->stats.traps++;
	return next;
}

enum lite_next trap_inject(struct lite_vcpu *v, unsigned int vec, bool has_err, u64 err)
{
	return trap_inject_at(v, vec, v->r.rip, has_err, err);
}

/* The processor has taken int 0x80 through a gate for all rings: RIP is behind it already. */
static enum lite_next handle_int80(struct lite_vcpu *v)
{
	const struct lite_trap *t = &v->trap[TRAP_INT80];

	if (t->address && (v->kernel || t->dpl == 3))
		return trap_inject(v, TRAP_INT80, false, 0);
	return trap_inject_at(v, TRAP_GP, v->r.rip - 2, true, GP_IDT(TRAP_INT80));
}

/* A user's system call. Who has no handler for it gets #UD, as if SCE were off. */
static enum lite_next handle_user_syscall(struct lite_vcpu *v, enum lite_callback which)
{
	const struct lite_trap *t = &v->callback[which];

	if (!t->address)
		return trap_inject_at(v, TRAP_UD, v->r.rip - 2, false, 0);
	return trap_push(v, t->address, t->mask, v->r.rip, false, 0);
}

static enum lite_next handle_hypercall(struct lite_vcpu *v)
{
	struct lite_regs *r = &v->r;
	u64 arg[5] = { r->rdi, r->rsi, r->rdx, r->r10, r->r8 };
	enum lite_next next;
	u64 ret = 0;

	if (r->rax == __HYPERVISOR_iret)
		return iret_hypercall(v);
	next = hypercall(v, r->rax, arg, &ret);
	if (next == LITE_RESUME || next == LITE_BLOCK || next == LITE_EXIT) {
		r->rax = ret;
		r->rcx = r->rip;
		r->r11 = r->rflags;
	}
	return next;
}

/*
 * Two faults that only a kernel in ring 3 meets. To protection keys its pages are a program's: what
 * a program has denied itself it has denied its kernel, so that ends here. And QEMU's emulated
 * processor takes the stack that IRETQ reads for a supervisor's access whatever the ring, so that
 * SMAP, which is the host's, stops it: it is done here instead.
 */
static enum lite_next fault_of_ring3(struct lite_vcpu *v, bool *done)
{
	if (v->r.err & PF_K) {
		if (v->tier == LITE_LIGHT)
			env_pkru_open();
		*done = true;
		return LITE_RESUME;
	}
	return (v->r.err & (PF_P | PF_U)) == PF_P ? iret_native(v, done) : LITE_RESUME;
}

static enum lite_next handle_page_fault(struct lite_vcpu *v)
{
	enum mmu_result res = MMU_FIXED;
	enum lite_next next;
	u64 err = v->r.err;
	bool done = false;
	int ret;

	if (v->kernel && ring_two_roots(v->vm)) {
		next = fault_of_ring3(v, &done);
		if (done || next != LITE_RESUME)
			return next;
	}
	/*
	 * The kernel meets SMAP, which it does not know of: from now on it runs with EFLAGS.AC set.
	 * Not from the start, since Linux checks once that it is clear.
	 */
	if (v->kernel && v->vm->has_smap && (err & 9) == 1 && v->cr2 < 0x800000000000ull)
		v->ac = true;
	ret = mmu_fault(v, v->cr2, &err, &res);
	if (ret)
		return trap_error(v, ret, "a page fault that cannot be served");
	if (res == MMU_FIXED)
		return LITE_RESUME;
	/* Before the frame: if that has to be repeated, so is this. */
	__atomic_store_n(&v->vi->arch.cr2, v->cr2, __ATOMIC_RELAXED);
	return trap_inject(v, TRAP_PF, true, err);
}

static enum lite_next handle_invalid_opcode(struct lite_vcpu *v)
{
	static const u8 forced_cpuid[] = { 0x0f, 0x0b, 'x', 'e', 'n', 0x0f, 0xa2 };
	struct lite_regs *r = &v->r;
	u8 b[sizeof(forced_cpuid)];
	u32 out[4];
	int ret;

	if (v->kernel) {
		ret = mmu_read(v, b, r->rip, sizeof(b));
		if (ret == -EAGAIN || ret == -EBUSY)
			return trap_error(v, ret, "an instruction that cannot be read");
		if (!ret && !memcmp(b, forced_cpuid, sizeof(b))) {
			cpuid_guest(v, r->rax, r->rcx, out);
			r->rax = out[0];
			r->rbx = out[1];
			r->rcx = out[2];
			r->rdx = out[3];
			r->rip += sizeof(b);
			r->rflags &= ~FLAG_RF;
			return LITE_RESUME;
		}
	}
	return trap_inject(v, TRAP_UD, false, 0);
}

static enum lite_next handle_debug(struct lite_vcpu *v)
{
	enum lite_next next = trap_inject(v, TRAP_DB, false, 0);

	/* The world switch has put the processor's DR6 in place of the error code. */
	if (next == LITE_RESUME)
		v->dr6 |= v->r.err & 0xe00f;
	return next;
}

static enum lite_next handle_vector(struct lite_vcpu *v)
{
	switch (v->r.vec) {
	case LITE_VEC_SERVED:
		return LITE_RESUME;
	case LITE_VEC_SYSCALL:
		return v->kernel ? handle_hypercall(v) : handle_user_syscall(v, LITE_CB_SYSCALL);
	case LITE_VEC_SYSCALL32:
		return v->kernel ? lite_kill(v, "a 32-bit system call of the guest's kernel")
				 : handle_user_syscall(v, LITE_CB_SYSCALL32);
	case TRAP_PF:
		return handle_page_fault(v);
	case TRAP_GP:
		return emul_gp(v);
	case TRAP_UD:
		return handle_invalid_opcode(v);
	case TRAP_DB:
		return handle_debug(v);
	case 0:
	case 3:
	case 4:
	case 5:
	case 7:
	case 9:
	case 16:
	case 19:
		return trap_inject(v, v->r.vec, false, 0);
	case TRAP_TS:
	case TRAP_NP:
	case TRAP_SS:
	case TRAP_AC:
		return trap_inject(v, v->r.vec, true, v->r.err);
	case TRAP_INT80:
		return handle_int80(v);
	case TRAP_DF:
		return lite_kill(v, "a double fault");
	default:
		return lite_kill(v, "an exit that no guest may cause");
	}
}

static void count(struct lodge_stats *s, u64 vec, bool full)
{
	if (vec == LITE_VEC_SYSCALL)
		full ? s->hypercall++ : s->light_hypercall++;
	else if (vec == TRAP_PF)
		full ? s->page_fault++ : s->light_page_fault++;
	else if (vec == LITE_VEC_SERVED)
		;
	else if (!full)
		s->light_other++;
	else if (vec == TRAP_GP)
		s->general_protection++;
	else
		s->other++;
}

static bool vm_dead(const struct lite_vm *vm)
{
	return __atomic_load_n(&vm->dead, __ATOMIC_ACQUIRE); /* pairs with lite_kill()'s release */
}

/*
 * To be called again, but the exit must not be served twice. Nor is it true any more that nothing
 * has changed, which LITE_FULL says.
 */
static enum lite_next served(struct lite_vcpu *v)
{
	v->r.vec = LITE_VEC_SERVED;
	return LITE_WANT;
}

/* Page table requests that the switcher has taken: before anything else. */
static enum lite_next queue_run(struct lite_vcpu *v)
{
	int err = mmu_queue_run(v);

	return err ? trap_error(v, err, "page table requests that cannot be served") : LITE_RESUME;
}

enum lite_next lite_handle(struct lite_vcpu *v)
{
	enum lite_next next;
	bool behind = false;

	if (vm_dead(v->vm))
		return lite_kill(v, "");
	v->want = LITE_WANT_NONE;
	if (v->queued) {
		next = queue_run(v);
		if (next != LITE_RESUME)
			return next;
		behind = v->r.vec == TRAP_PF && v->r.err & 8;
	}
	/* A fault at an entry that said "nothing", which may have been out of date: look again. */
	next = behind ? LITE_RESUME : handle_vector(v);
	if (next == LITE_WANT || next == LITE_FULL)
		return next;
	count(&v->stats, v->r.vec, v->tier == LITE_FULLTIER);
	if (next == LITE_RESUME) {
		next = lite_prepare(v);
		if (next == LITE_WANT || next == LITE_FULL)
			return served(v);
	}
	/* Others are woken, or made to leave the guest, where one may do that. */
	if (v->kicks && v->tier == LITE_LIGHT && next != LITE_DEAD)
		return served(v);
	if (v->kicks && v->tier == LITE_FULLTIER)
		event_kick(v);
	return next;
}

/* Like an event, but masked by the last one of its kind instead, until the guest's next iret. */
static enum lite_next deliver_nmi(struct lite_vcpu *v)
{
	const struct lite_trap *nmi = &v->callback[LITE_CB_NMI];
	enum lite_next next = LITE_RESUME;

	if (nmi->address)
		next = trap_push(v, nmi->address, true, v->r.rip, false, 0);
	if (next != LITE_RESUME)
		return next;
	__atomic_store_n(&v->nmi_pending, false, __ATOMIC_RELAXED);
	v->nmi_masked = nmi->address;
	v->changed |= LITE_CH_TRAPS;
	return LITE_RESUME;
}

/* Xen has its own selectors of flat segments, Linux's in their low bytes; 0 is flat, too. */
static u16 user_selector(u64 sel, u16 flat)
{
	if ((sel & 0xff04) == 0xe000)
		sel &= 0xff;
	return sel & 0xfffc ? (sel & 0xffff) | 3 : flat;
}

/*
 * Where iretq would fault, at ring 0: the guest gets that fault as one of the target, in the mode
 * that it is in.
 */
static enum lite_next check_target(struct lite_vcpu *v)
{
	struct lite_regs *r = &v->r;
	u64 err = 0;
	int vec;

	if (!v->kernel) {
		r->cs = user_selector(r->cs, LITE_USER_CS);
		r->ss = user_selector(r->ss, LITE_USER_DS);
		if ((segment_desc(v, r->cs) & (DESC_CODE | DESC_LONG)) == DESC_CODE)
			r->rip = (u32)r->rip;
		vec = user_code_check(v, r->cs, r->rip);
		if (vec > 0) {
			err = r->cs & ~3;
		} else if (!vec) {
			vec = user_stack_check(v, r->ss);
			err = r->ss & ~3;
		}
		if (vec)
			return trap_inject(v, vec > 0 ? vec : TRAP_GP, true, vec > 0 ? err : 0);
	}
	if (!lite_va_canonical(r->rip))
		return trap_inject(v, TRAP_GP, true, 0);
	return LITE_RESUME;
}

enum lite_next lite_prepare(struct lite_vcpu *v)
{
	struct lite_regs *r = &v->r;
	const struct lite_trap *event = &v->callback[LITE_CB_EVENT];
	enum lite_next next;

	if (vm_dead(v->vm))
		return lite_kill(v, "");
	v->want = LITE_WANT_NONE;
	next = v->queued ? queue_run(v) : LITE_RESUME;
	if (next != LITE_RESUME)
		return next;
	if (__atomic_load_n(&v->down, __ATOMIC_ACQUIRE))
		return LITE_DOWN;
	sched_prepare(v);
	if (__atomic_load_n(&v->nmi_pending, __ATOMIC_RELAXED) && !v->nmi_masked) {
		next = deliver_nmi(v);
		if (next != LITE_RESUME)
			return next;
	}
	if (event->address && vi_pending(v) && !vi_masked(v)) {
		next = trap_push(v, event->address, true, r->rip, false, 0);
		if (next != LITE_RESUME)
			return next;
		v->stats.events++;
	}
	next = check_target(v);
	if (next != LITE_RESUME)
		return next;
	r->rflags = (r->rflags & FLAGS_GUEST) | FLAGS_SET;
	if (v->kernel) {
		r->cs = LITE_KERN_CS;
		r->ss = LITE_KERN_SS;
		if (v->ac)
			r->rflags |= FLAG_AC;
	}
	return LITE_RESUME;
}
