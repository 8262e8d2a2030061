// SPDX-License-Identifier: GPL-2.0-only
/*
 * The world switch: from a vCPU's thread into the guest and back (see switcher.S), and light exits,
 * which arrive here on the host's page tables with the guest's IDT still loaded.
 *
 * Called by vcpu.c. Between local_irq_disable() and _enable() this processor's area is this
 * thread's; there are no locks. What the guest can write (the RW page) is copied out and never
 * trusted; the core's copy, struct lite_vcpu, is what counts.
 *
 * An outer hypervisor may intercept writes of the syscall MSRs and of CR4. So the MSRs stay loaded
 * until the thread is switched out or returns to user space, and CR4.PGE, once cleared, stays so
 * until the host sets it again; area.c puts it back in the end.
 */
#include <linux/hw_breakpoint.h>
#include <linux/kernel.h>
#include <linux/sched.h>
#include <linux/smp.h>
#include <asm/debugreg.h>
#include <asm/desc.h>
#include <asm/fpu/api.h>
#include <asm/fpu/xcr.h>
#include <asm/fsgsbase.h>
#include <asm/msr.h>
#include <asm/nospec-branch.h>
#include <asm/pkru.h>
#include <asm/segment.h>
#include <asm/special_insns.h>
#include <asm/trapnr.h>

#include "area.h"
#include "ring.h"

void world_dispatch(unsigned long entry);
/* Exported for KVM; enters the host's NMI handler without its own stack. */
void asm_exc_nmi_noist(void);

static const u32 msr_index[4] = { MSR_LSTAR, MSR_CSTAR, MSR_SYSCALL_MASK, MSR_IA32_SYSENTER_CS };

/* What a light exit may change without going on to the full tier. */
#define LIGHT_CHANGES (LITE_CH_TRAPS | LITE_CH_TLS | LITE_CH_ROOT | LITE_CH_VI)

static void msrs_restore(struct world_vcpu *w)
{
	int i;

	if (w->msr_cpu < 0)
		return;
	for (i = 0; i < 4; i++)
		native_wrmsrl(msr_index[i], w->msr[i]);
	w->msr_cpu = -1;
}

static void msrs_load(struct world_vcpu *w, struct world_area *a)
{
	int i;

	if (w->msr_cpu == a->cpu)
		return;
	for (i = 0; i < 4; i++) {
		w->msr[i] = __rdmsr(msr_index[i]);
		native_wrmsrl(msr_index[i], a->msr[i]);
	}
	w->msr_cpu = a->cpu;
}

static void world_sched_in(struct preempt_notifier *n, int cpu)
{
}

static void world_sched_out(struct preempt_notifier *n, struct task_struct *next)
{
	msrs_restore(container_of(n, struct world_vcpu, notifier));
}

static struct preempt_ops world_preempt_ops = {
	.sched_in = world_sched_in,
	.sched_out = world_sched_out,
};

void world_put(struct world_vcpu *w)
{
	preempt_disable();
	msrs_restore(w);
	if (w->notified)
		preempt_notifier_unregister(&w->notifier);
	w->notified = false;
	preempt_enable();
}

/* A selector that the switcher can load without a fault; others read as null, as Linux does it. */
static u16 selector_ok(const struct lite_vcpu *v, u16 sel)
{
	return segment_safe(v, sel & ~3 ? sel | 3 : sel);
}

/* A program may load some with a lower RPL than 3; what it gets back next is RPL 3. */
static u16 selector_of(u16 sel)
{
	return sel > 3 ? sel | 3 : sel;
}

/*
 * The thread's own selectors, which the way out has left null. With the host's IDT: a descriptor
 * may have gone since FS or GS was loaded with it, as modify_ldt() looks at DS and ES only.
 */
static void own_selectors(const struct world_area *a)
{
	u16 ds = AREA16(a->ho, H_SEL), es = AREA16(a->ho, H_SEL + 2);
	u16 fs = AREA16(a->ho, H_SEL + 4), gs = AREA16(a->ho, H_SEL + 6);

	if (likely(!(ds | es | fs | gs)))
		return;
	loadsegment(ds, ds);
	loadsegment(es, es);
	loadsegment(fs, fs);
	wrfsbase(AREA64(a->ho, H_FS));
	load_gs_index(gs);
	asm volatile("swapgs; wrgsbase %0; swapgs" : : "r"(AREA64(a->ho, H_KGS)));
}

static void put_traps(struct world_area *a, const struct lite_vcpu *v)
{
	static const u8 reflected[] = { X86_TRAP_DE, X86_TRAP_BP, X86_TRAP_OF, X86_TRAP_UD,
					X86_TRAP_PF };
	const struct lite_trap *sys = &v->callback[LITE_CB_SYSCALL];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(reflected); i++) {
		const struct lite_trap *t = &v->trap[reflected[i]];

		AREA64(a->ro, R_TRAP + 8 * reflected[i]) =
			t->mask && lite_va_ok(t->address, 1) ? t->address : 0;
	}
	AREA64(a->ro, R_SYSCALL) = sys->address;
	if (sys->address && sys->mask && lite_va_ok(sys->address, 1) && v->vi_pa && !v->nmi_masked)
		AREA64(a->ro, R_FAST) &= ~(u64)FAST_OFF;
	else
		AREA64(a->ro, R_FAST) |= FAST_OFF;
}

/* The processor's root for the shadow at @pa, of the pair @i. */
static u64 root_cr3(struct world_root *r, unsigned int i, u64 pa)
{
	u64 *p5 = r->p5[i] ?: r->p5[0]; /* a guest that lists none has one */

	if (!pa || !p5)
		return pa;
	/* Both halves of the guest's 48-bit space; this table is nobody else's. */
	p5[0] = p5[511] = pa | AREA_TABLE_USER;
	return __pa(p5);
}

/* Where there is no pair, the one of this entry is once more: any of them will do. */
static void put_roots(struct world_area *a, const struct lite_vcpu *v, struct world_vcpu *w)
{
	const struct lite_base now = { v->kroot, v->uroot, v->root_pa, v->uroot_pa };
	unsigned int i;

	/* The lowest byte of an address in R_BASE says which. */
	BUILD_BUG_ON(SW_BASES != LITE_BASES || SW_BASES * B_SIZE != 256 || R_BASE & 255);
	for (i = 0; i < SW_BASES; i++) {
		const struct lite_base *b = i && v->base[i].root_pa ? &v->base[i] : &now;
		u8 *to = a->ro + R_BASE + i * B_SIZE;

		AREA64(to, B_KROOT) = b->kroot;
		AREA64(to, B_UROOT) = b->uroot;
		AREA64(to, B_KCR3) = root_cr3(&w->kernel, i, b->root_pa);
		AREA64(to, B_UCR3) = root_cr3(&w->user, i, b->uroot_pa);
	}
}

static void put_base_ok(struct world_area *a, const struct lite_vcpu *v)
{
	if (mmu_base_ok(v))
		AREA64(a->ro, R_FAST) |= FAST_BASE;
	else
		AREA64(a->ro, R_FAST) &= ~(u64)FAST_BASE;
}

/* Carry changed constants into this processor's area. */
static void put_changes(struct world_area *a, struct lite_vcpu *v, struct world_vcpu *w)
{
	u32 ch = v->changed;

	if (ch & LITE_CH_VI && v->vi_pa) {
		w->vi_pt[0] = (v->vi_pa & PAGE_MASK) | AREA_DATA;
		AREA64(a->ro, R_VI) = area_vi_va() + (v->vi_pa & ~PAGE_MASK);
	}
	if (ch & (LITE_CH_TRAPS | LITE_CH_VI))
		put_traps(a, v);
	if (ch & LITE_CH_TLS)
		memcpy(a->ro + R_GDT + 0x60, v->tls, sizeof(v->tls));
	if (ch & LITE_CH_LDT)
		area_put_ldt(a, v);
	if (ch & LITE_CH_ROOT)
		put_roots(a, v, w);
	v->changed &= ~LIGHT_CHANGES;
}

static void put_regs(struct world_area *a, struct lite_vcpu *v)
{
	struct lite_regs *r = (struct lite_regs *)(a->rw + D_REGS);

	*r = v->r;
	r->rflags = (r->rflags & SW_FLAGS) | X86_EFLAGS_IF | X86_EFLAGS_FIXED;
	if (v->kernel) {
		r->cs = AREA64(a->ro, R_KCS);
		r->ss = AREA64(a->ro, R_KSS);
		if (v->ac)
			r->rflags |= X86_EFLAGS_AC;
	} /* else as lite_prepare() has checked them */
	AREA64(a->rw, D_BASE) = 0;
	AREA64(a->ho, H_GCR3) =
		AREA64(a->ro, R_BASE + (v->kernel || !ring_two_roots(v->vm) ? B_KCR3 : B_UCR3));
	AREA64(a->rw, D_MODE) = v->kernel;
	AREA64(a->rw, D_KSP) = v->kernel_sp;
	AREA64(a->ho, H_GFS) = v->fs_base;
	AREA64(a->ho, H_GGS) = v->gs_base;
	AREA64(a->ho, H_GKGS) = v->gs_other;
}

/* Whether ring 1 runs with EFLAGS.AC, for what the switcher sends there. */
static void put_ac(struct world_area *a, const struct lite_vcpu *v)
{
	AREA64(a->ro, R_AC) = v->ac ? X86_EFLAGS_AC : 0;
	if (v->ac)
		AREA64(a->ro, R_FAST) |= FAST_SMAP;
}

/* Requests that the switcher has taken. Like all of the RW page: copied, and not believed. */
static void get_queue(struct world_area *a, struct lite_vcpu *v)
{
	u64 n = AREA64(a->rw, D_QUEUED), i;

	BUILD_BUG_ON(SW_QUEUE != LITE_QUEUE || D_QUEUE + SW_QUEUE * 8 > PAGE_SIZE);
	if (!n)
		return;
	n = min_t(u64, n, SW_QUEUE);
	for (i = 0; i < n; i++)
		v->queue[i] = AREA64(a->rw, D_QUEUE + i * 8);
	v->queued = n;
	v->queue_done = 0;
	AREA64(a->rw, D_QUEUED) = 0;
}

static void get_regs(struct world_area *a, struct lite_vcpu *v)
{
	v->r = *(struct lite_regs *)(a->rw + D_REGS);
	v->cr2 = AREA64(a->rw, D_CR2);
	/* A trap's frame tells rings apart; after a system call only the switcher's note does. */
	if (v->r.vec < LITE_VEC_SYSCALL && !ring_two_roots(v->vm))
		v->kernel = (v->r.cs & 3) != 3;
	else
		v->kernel = AREA64(a->rw, D_MODE) & 1;
	v->kernel_sp = AREA64(a->rw, D_KSP);
	if (!lite_va_ok(v->kernel_sp - 128, 128))
		v->kernel_sp = 0;
	v->fs_base = AREA64(a->ho, H_GFS);
	v->gs_base = AREA64(a->ho, H_GGS);
	v->gs_other = AREA64(a->ho, H_GKGS);
	mmu_base_taken(v, AREA64(a->rw, D_BASE) / B_SIZE);
	get_queue(a, v);
}

/*
 * A light exit. Not to be met here: page faults, static keys, tracing, printing, sleeping.
 * Returns 1 to go back into the guest.
 */
int world_light(struct world_area *a)
{
	struct lite_vcpu *v = a->v;
	u16 ds, es, fs, gs;

	lite_guest_cross(v);
	get_regs(a, v);
	asm volatile("mov %%ds, %0" : "=r"(ds));
	asm volatile("mov %%es, %0" : "=r"(es));
	asm volatile("mov %%fs, %0" : "=r"(fs));
	asm volatile("mov %%gs, %0" : "=r"(gs));
	fs = selector_of(fs);
	gs = selector_of(gs);
	v->ds = selector_of(ds);
	v->es = selector_of(es);
	v->fs = fs;
	v->gs = gs;
	v->tier = LITE_LIGHT;
	v->stats.lights++;
	a->next = lite_handle(v);
	if (a->next == LITE_RESUME && !mmu_root(v)) {
		if (!(v->changed & ~LIGHT_CHANGES) && v->fs == fs && v->gs == gs &&
		    lite_va_canonical(v->r.rip)) {
			put_changes(a, v, a->w);
			put_regs(a, v);
			put_ac(a, v);
			put_base_ok(a, v);
			lite_guest_cross(v);
			return 1;
		}
	}
	a->light = true;
	AREA64(a->ho, H_GFS) = v->fs_base;
	AREA64(a->ho, H_GGS) = v->gs_base;
	AREA64(a->ho, H_GKGS) = v->gs_other;
	return 0;
}

/* The host's gate for @vec, out of the IDT that the way out has put back. */
static void dispatch(const struct world_area *a, unsigned int vec)
{
	const struct desc_ptr *idt = (const struct desc_ptr *)(a->ho + H_IDT);

	world_dispatch(gate_offset((gate_desc *)idt->address + vec));
}

/* The switcher arms them, with the guest's IDT loaded: they may lie on code and data of ours. */
static void put_debug(struct world_area *a, const struct lite_vcpu *v)
{
	if (hw_breakpoint_active())
		set_debugreg(0, 7);
	AREA64(a->ho, H_DR7) = 0;
	if (!(v->dr7 & 0xff))
		return;
	set_debugreg(v->dr[0], 0);
	set_debugreg(v->dr[1], 1);
	set_debugreg(v->dr[2], 2);
	set_debugreg(v->dr[3], 3);
	AREA64(a->ho, H_DR7) = v->dr7;
}

static void get_debug(struct lite_vcpu *v)
{
	unsigned long dr6;

	/* The core gets DR6 where other traps have their error code. */
	if (v->r.vec == X86_TRAP_DB) {
		get_debugreg(dr6, 6);
		v->r.err = dr6;
	}
	/* Also what a breakpoint that the switcher has ignored left there. */
	if (v->r.vec == X86_TRAP_DB || v->dr7 & 0xff)
		set_debugreg(DR6_RESERVED, 6);
	if (hw_breakpoint_active())
		hw_breakpoint_restore();
}

/* Everything of this vCPU that the switcher needs in this processor's area. */
static void fill_area(struct world_area *a, struct lite_vcpu *v, struct world_vcpu *w)
{
	u64 fast = AREA64(a->ro, R_FAST) & FAST_OFF;

	if (a->v != v || w->last_cpu != a->cpu) {
		v->changed |= LITE_CH_ALL & ~LITE_CH_TIMER;
		/* Registers of another guest's are not for this one. */
		if (a->v != v)
			memset(a->rw, 0, PAGE_SIZE);
		a->v = v;
		a->w = w;
		w->last_cpu = a->cpu;
		w->kernel.p3[AREA_SW_P3] = __pa(a->guest_p2) | AREA_DATA_EXEC;
		if (w->user.p3)
			w->user.p3[AREA_SW_P3] = __pa(a->guest_p2) | AREA_DATA_EXEC;
		world_ram_link(w);
		AREA64(a->ro, R_KCS) = ring_two_roots(v->vm) ? SW_USER_CS : SW_KERN_CS;
		AREA64(a->ro, R_KSS) = ring_two_roots(v->vm) ? SW_USER_SS : SW_KERN_SS;
		AREA64(a->ro, R_RAM) = area_ram_va();
		AREA64(a->ro, R_FRAMES) = w->vm->ram_frames;
	}
	if (w->vm->ram_frames)
		fast |= FAST_QUEUE;
	if (v->vm->vcpus > 1)
		fast |= FAST_OTHERS;
	if (ring_two_roots(v->vm)) {
		fast |= FAST_TWO;
		if (boot_cpu_has(X86_FEATURE_SMAP))
			fast |= FAST_STAC;
	}
	/* With watchpoints of the guest's armed, no C code of ours runs before they are off. */
	if (!(v->dr7 & 0xff))
		fast |= FAST_LIGHT;
	fast |= policy_fast();
	if (fast & FAST_SPEC)
		AREA64(a->ho, H_SPEC) = this_cpu_read(x86_spec_ctrl_current);
	AREA64(a->ro, R_FAST) = fast;
	put_ac(a, v);
	put_base_ok(a, v);
	put_changes(a, v, w);
	v->changed &= ~(LITE_CH_DEBUG | LITE_CH_LDT | LITE_CH_CR4);
	put_regs(a, v);
	AREA16(a->ho, H_GSEL) = v->ds = selector_ok(v, v->ds);
	AREA16(a->ho, H_GSEL + 2) = v->es = selector_ok(v, v->es);
	AREA16(a->ho, H_GSEL + 4) = v->fs = selector_ok(v, v->fs);
	AREA16(a->ho, H_GSEL + 6) = v->gs = selector_ok(v, v->gs);
	AREA64(a->rw, D_FAULT) = 0;
	memset(a->rw + D_N_SYSCALL, 0, 32);
	AREA64(a->rw, D_N_BASE) = 0;
	a->light = false;
	a->next = LITE_RESUME;
}

static void read_area(struct world_area *a, struct lite_vcpu *v)
{
	struct lodge_stats *s = &v->stats;

	if (!a->light) {
		get_regs(a, v);
		v->ds = selector_of(AREA16(a->ho, H_GSEL));
		v->es = selector_of(AREA16(a->ho, H_GSEL + 2));
		v->fs = selector_of(AREA16(a->ho, H_GSEL + 4));
		v->gs = selector_of(AREA16(a->ho, H_GSEL + 6));
	}
	s->exits++;
	s->sw_syscall += AREA64(a->rw, D_N_SYSCALL);
	s->sw_iret += AREA64(a->rw, D_N_IRET);
	s->sw_trap += AREA64(a->rw, D_N_TRAP);
	s->sw_hypercall += AREA64(a->rw, D_N_HC);
	s->base_switches += AREA64(a->rw, D_N_BASE);
}

/* With interrupts still off: what belongs to the host goes to its handlers. True: all is done. */
static bool give_back(struct world_area *a, struct lite_vcpu *v)
{
	u64 vec = a->light ? 0 : v->r.vec, nmi, mce;

	nmi = AREA64(a->ho, H_NMI) + (vec == X86_TRAP_NMI && !a->light);
	mce = AREA64(a->ho, H_MCE) + (vec == X86_TRAP_MC && !a->light);
	AREA64(a->ho, H_NMI) = AREA64(a->ho, H_MCE) = 0;
	if (mce)
		dispatch(a, X86_TRAP_MC);
	if (nmi) {
		v->stats.nmi += nmi;
		/* Several that came close together are one, as in the processor. */
		world_dispatch((unsigned long)asm_exc_nmi_noist);
	}
	if (a->light)
		return false;
	if (vec >= 32 && vec < 256 && vec != 0x80) {
		v->stats.irq++;
		dispatch(a, vec);
		return true;
	}
	return vec == X86_TRAP_NMI || vec == X86_TRAP_MC;
}

static bool may_enter(struct world_vcpu *w, int cpu)
{
	WRITE_ONCE(w->cpu, cpu);
	smp_mb(); /* pairs with world_kick() */
	if (likely(!READ_ONCE(w->kick) && !need_resched() && !signal_pending(current)))
		return true;
	WRITE_ONCE(w->cpu, -1);
	WRITE_ONCE(w->kick, 0);
	return false;
}

/* No global translation of the host's may be left for ring 1; nor may user code read counters. */
static unsigned long cr4_for_guest(const struct lite_vcpu *v)
{
	unsigned long cr4 = __read_cr4(), want = cr4 & ~(X86_CR4_PGE | X86_CR4_PCE);

	if (v->tsd)
		want |= X86_CR4_TSD;
	if (unlikely(want != cr4))
		area_write_cr4(want);
	return cr4;
}

static void cr4_for_host(unsigned long cr4)
{
	const unsigned long mask = X86_CR4_PCE | X86_CR4_TSD;
	unsigned long now = __read_cr4();

	if (unlikely((now ^ cr4) & mask))
		area_write_cr4((now & ~mask) | (cr4 & mask));
}

int world_enter(struct lite_vcpu *v, struct world_vcpu *w, enum lite_next *next)
{
	struct world_area *a;
	unsigned long cr4;
	u32 pkru = 0;
	bool done;

	local_irq_disable();
	a = area_of(smp_processor_id());
	if (!may_enter(w, a->cpu)) {
		local_irq_enable();
		return 1;
	}
	if (!w->notified) {
		preempt_notifier_init(&w->notifier, &world_preempt_ops);
		preempt_notifier_register(&w->notifier);
		w->notified = true;
	}
	msrs_load(w, a);
	if (test_thread_flag(TIF_NEED_FPU_LOAD))
		switch_fpu_return();
	if (cpu_feature_enabled(X86_FEATURE_OSPKE))
		pkru = rdpkru();
	cr4 = cr4_for_guest(v);
	fill_area(a, v, w);
	put_debug(a, v);
	lite_guest_cross(v);
	area_enter(a);
	own_selectors(a);
	/* A light exit that ended here has left the guest before. */
	if (lite_in_guest(v))
		lite_guest_cross(v);
	cr4_for_host(cr4);
	if (cpu_feature_enabled(X86_FEATURE_OSPKE))
		wrpkru(pkru);
	WRITE_ONCE(w->cpu, -1);
	read_area(a, v);
	get_debug(v);
	done = give_back(a, v);
	*next = a->next;
	if (unlikely(AREA64(a->rw, D_FAULT))) {
		local_irq_enable();
		*next = lite_kill(v, "the switcher met a fault that the guest has caused");
		return 2;
	}
	if (a->light) {
		local_irq_enable();
		if (*next == LITE_FULL)
			return 0;
		return *next == LITE_RESUME ? 1 : 2;
	}
	local_irq_enable();
	return done;
}

/* Where @w is in the guest, that processor gets an interrupt that means nothing else. */
void world_leave(struct world_vcpu *w)
{
	int cpu;

	preempt_disable(); /* as long, no processor goes offline */
	cpu = READ_ONCE(w->cpu);
	/* On its own processor we are an interrupt: the guest has left already. */
	if (cpu >= 0 && cpu != smp_processor_id())
		smp_send_reschedule(cpu);
	preempt_enable();
}

void world_kick(struct world_vcpu *w)
{

	WRITE_ONCE(w->kick, 1);
	smp_mb(); /* pairs with may_enter() */
	world_leave(w);
}
