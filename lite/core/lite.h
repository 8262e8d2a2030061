/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The hypervisor's own objects, and what lite/linux (or lite/user) calls of the core.
 *
 * A vCPU's fields belong to its thread, unless they say otherwise. A VM's mmu belongs to who holds
 * vm->lock, the table of event channels to vm->event_lock, which vCPUs are up to vm->up_lock,
 * outside of vm->lock. The core runs either in a light exit (LITE_LIGHT: interrupts off, guest's
 * IDT) or in the full tier; lite_vcpu.tier says which, and what cannot be done in a light exit has
 * lite_handle() return LITE_FULL before anything has changed. A light exit never waits: neither for
 * a lock beyond a few tries nor for another vCPU.
 */
#ifndef LITE_LITE_H
#define LITE_LITE_H

#include "env.h"
#include "lite/abi/lodge.h"

#define LITE_PAGE_SIZE 4096ull
#define LITE_PAGE_MASK (~(LITE_PAGE_SIZE - 1))

/* The guest's bounds: 48-bit canonical, and outside of what Xen's ABI gives the hypervisor. */
#define LITE_HOLE_START 0xffff800000000000ull
#define LITE_HOLE_END	0xffff880000000000ull

#define LITE_FRAMES_MAX (1ull << 26) /* guest frame numbers are below it: 256 GiB */

#define LITE_VCPUS_MAX 8
#define LITE_GTLB      16
#define LITE_QUEUE     64
#define LITE_BASES     8
#define LITE_LDT_MAX   8192 /* entries */
#define LITE_LDT_PAGES 16

/* Selectors in the switcher's GDT; the first three are Linux's own. */
#define LITE_USER_CS32 0x23
#define LITE_USER_DS   0x2b
#define LITE_USER_CS   0x33
#define LITE_KERN_CS   0x51 /* ring 1 */
#define LITE_KERN_SS   0x59
/* What a guest kernel is shown in their place: RPL 0. */
#define LITE_SHOWN_CS 0xe030
#define LITE_SHOWN_SS 0xe02b

/* lite_regs.vec beyond the processor's 256 vectors. */
#define LITE_VEC_SYSCALL   0x100
#define LITE_VEC_SYSCALL32 0x101

/** struct lite_regs - as the switcher saves them; the order is the switcher's (switcher.S) */
struct lite_regs {
	u64 r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
	u64 vec, err;
	u64 rip, cs, rflags, rsp, ss;
};

/** struct lite_lock - a spin lock without fairness; no static key, no paravirt patching */
struct lite_lock {
	u32 held;
};

static inline bool lite_trylock(struct lite_lock *l)
{
	return !__atomic_exchange_n(&l->held, 1, __ATOMIC_ACQUIRE);
}

static inline void lite_lock(struct lite_lock *l)
{
	while (!lite_trylock(l))
		while (__atomic_load_n(&l->held, __ATOMIC_RELAXED))
			__builtin_ia32_pause();
}

static inline void lite_unlock(struct lite_lock *l)
{
	__atomic_store_n(&l->held, 0, __ATOMIC_RELEASE); /* pairs with lite_trylock()'s acquire */
}

enum lite_tier { LITE_LIGHT, LITE_FULLTIER };

/** enum lite_next - what lite_handle() wants done next */
enum lite_next {
	LITE_RESUME, /* enter the guest */
	LITE_FULL,   /* light only: nothing has changed; call again in the full tier */
	LITE_WANT,   /* satisfy lite_vcpu.want in the full tier, call again with the same vec; with
			LITE_WANT_NONE: a long batch lets the host have its turn */
	LITE_BLOCK,  /* sleep until an event, the timer or a signal, then lite_prepare() */
	LITE_DOWN,   /* sleep until lite_park() says that the vCPU is up, then lite_prepare() */
	LITE_EXIT,   /* to the VMM: lite_vcpu.exit is filled */
	LITE_DEAD,   /* lite_vm.why is set; exit is filled (LODGE_EXIT_KILLED) */
};

enum lite_want {
	LITE_WANT_NONE,
	LITE_WANT_POOL,	 /* fill vm->pool */
	LITE_WANT_FRAME, /* make guest frame want_gfn resident: set its lite_frame.pa */
	LITE_WANT_LDT,	 /* the first want_gfn pages of lite_vcpu.ldt, zeroed */
};

/**
 * struct lite_frame - one guest frame
 * @pa:	    host physical address; 0 while not resident. Set once, by the environment
 * @shadow: first shadow page of this gfn: an index into the mmu's table, 0 for none
 * @flags:  FRAME_*, mmu.h
 */
struct lite_frame {
	u64 pa;
	u32 shadow;
	u16 flags;
	u16 pad;
};

/** struct lite_slot - frames [gfn, gfn + nr); set before the first vCPU runs, then constant */
struct lite_slot {
	u64 gfn, nr;
	bool readonly;
	struct lite_frame *frame; /* nr of them */
};

#include "mmu.h"

/**
 * struct lite_base - roots that the switcher may change to by itself: mmu_base.c
 * @kroot, @uroot:      gfns
 * @root_pa, @uroot_pa: their shadows; of @uroot with two roots only
 */
struct lite_base {
	u64 kroot, uroot;
	u64 root_pa, uroot_pa;
};

/** struct lite_trap - an entry of the guest's trap table, checked when it was set */
struct lite_trap {
	u64 address; /* 0: none */
	u8 dpl;	     /* lowest ring that may use it by int n */
	bool mask;   /* events are masked on entry */
};

enum lite_callback { /* Xen's CALLBACKTYPE_* */
		     LITE_CB_EVENT = 0,
		     LITE_CB_FAILSAFE = 1,
		     LITE_CB_SYSCALL = 2,
		     LITE_CB_NMI = 4,
		     LITE_CB_SYSENTER = 5,
		     LITE_CB_SYSCALL32 = 7,
		     LITE_CB_MAX = 8,
};

/* lite_vcpu.changed: what the world switch has to carry into its own pages before the next entry */
#define LITE_CH_TRAPS (1 << 0) /* traps[], callback[] */
#define LITE_CH_TLS   (1 << 1) /* tls[] */
#define LITE_CH_ROOT  (1 << 2) /* root_pa, uroot_pa, kroot, uroot, base[] */
#define LITE_CH_VI    (1 << 3) /* vi, vi_pa */
#define LITE_CH_TIMER (1 << 4) /* deadline */
#define LITE_CH_DEBUG (1 << 5) /* dr[], dr7 */
#define LITE_CH_LDT   (1 << 6) /* ldt[], ldt_nr */
#define LITE_CH_CR4   (1 << 7) /* tsd */
#define LITE_CH_ALL   0xff

/**
 * struct lite_vcpu - a virtual processor
 * @guest_seq: odd while it is in the guest, or about to be: then its processor may hold
 *	       translations of before. Its thread writes it (lite_guest_cross()), all read it
 * @down, @parked, @initialised: under vm->up_lock; @down is also read without. Who finds a vCPU
 *	       parked may change what otherwise belongs to its thread
 * @kicks:     vCPUs that have to be told of something, a bit each: done in the full tier
 */
struct lite_vcpu {
	struct lite_vm *vm;
	u32 id;
	u32 guest_seq;
	bool initialised, down, parked;
	u32 kicks;
	enum lite_tier tier;
	struct lite_regs r;
	u64 cr2;     /* the processor's, of the exit that is being handled */
	bool kernel; /* in the guest's kernel; swapping it swaps the GS bases (lite_set_mode()) */
	u64 fs_base, gs_base, gs_other;
	u16 ds, es, fs, gs;
	u64 kernel_sp; /* from stack_switch; outside of the hole, canonical */
	bool ac;       /* ring 1 runs with EFLAGS.AC set, which lifts SMAP */
	u32 changed;   /* LITE_CH_* */

	u64 kroot, uroot;	 /* gfns of the guest's L4 tables; uroot 0: none */
	u64 root_pa, uroot_pa;	 /* the shadow roots to load; of uroot with two roots only */
	u64 root_gfn, uroot_gfn; /* whose shadows those are; ~0: to be looked up */
	struct lite_base base[LITE_BASES]; /* under vm->lock; [0] is not used */
	u32 base_now;			   /* which of them are the roots; 0: none */
	u32 base_next;

	struct lite_trap trap[256];
	struct lite_trap callback[LITE_CB_MAX];
	u64 gdt_gfn[16]; /* the guest's GDT: looked at for TLS only */
	u64 tls[4];	 /* checked descriptors 0x60, 0x68, 0x70, and 0x78, whose limit tells the
			    number of the processor to programs */
	u64 *ldt[LITE_LDT_PAGES]; /* a checked copy; pages are the environment's: ldt.c */
	u32 ldt_pages, ldt_nr;	  /* how many there are; entries in use */
	u64 dr[4], dr6, dr7;
	bool tsd; /* CR4.TSD: the guest's programs may not read the TSC */
	u8 iopl;
	u64 iobmp_va;
	u32 iobmp_ports;

	/*
	 * Translations for copies from and to the guest's kernel, as in a processor's own buffer:
	 * dropped whenever the guest flushes. Only this vCPU's thread uses it. mmu_walk.c
	 */
	struct lite_gtlb {
		u64 key; /* page address | 1; 0: none */
		u8 *page;
		bool write;
	} gtlb[LITE_GTLB];
	u32 gtlb_gen;

	u64 queue[LITE_QUEUE]; /* page table requests that the switcher has taken: mmu_queue.c */
	u32 queued, queue_done;

	struct vcpu_info *vi; /* in guest memory; hostile */
	u64 vi_pa;
	u64 deadline;	 /* ns of guest time; 0: none */
	u64 runstate_va; /* where the guest wants its run states told; 0: nowhere. sched.c */
	u64 run_since, run_time[4];
	u32 run_state;	   /* RUNSTATE_* since run_since */
	u64 stolen;	   /* ns that its thread has waited for a processor, not told yet */
	u32 poll;	   /* atomic; enum sched_poll_state, vsched.h */
	u32 poll_port;	   /* 0: any */
	u64 poll_until;	   /* ns of guest time; 0: no limit */
	bool nmi_pending;  /* atomic: VCPUOP_send_nmi */
	bool nmi_masked;   /* until the next iret; the switcher leaves that to the core */
	u16 virq_port[24]; /* by VIRQ_*; 0: not bound. Written under vm->event_lock */

	enum lite_want want;
	u64 want_gfn;
	u32 multi_done, batch_done; /* of the hypercall that is being repeated after LITE_WANT */
	u64 multi_result;	    /* of a multicall's entry, until it could be written */
	u32 budget;		    /* entries of batches that this call may still do */
	bool io_pending;	    /* a PIO read waits for lite_complete_io() */

	struct lodge_run exit;
	struct lodge_stats stats;
};

/** struct lite_port - an event channel; written under vm->event_lock, read without */
struct lite_port {
	u8 type; /* event.h */
	u8 vcpu;
	u16 virq;
};

/**
 * struct lite_vm - a guest
 * @dmap:	virtual address of physical 0 in the direct map: a page is read at dmap + pa
 * @hole_va:	where the hypervisor's part of guest address space begins; the M2P is there
 * @ram_va:	where the guest can read its own memory in the hole, from frame 0 on, if the host
 *		keeps it from SGDT (UMIP); else 0
 * @m2p:	the table that the guest reads; @frames entries
 * @frames:	what the guest is told it has
 * @alone:	it has one vCPU, and no other to come
 * @why:	first reason for its death
 */
struct lite_vm {
	struct lite_lock lock; /* mmu */
	struct lite_lock event_lock, up_lock;
	u64 dmap;
	u64 hole_va, ram_va;
	u64 phys_bits; /* of the processor */
	struct lite_slot slot[LODGE_SLOTS_MAX];
	u32 slots;
	struct lite_mmu mmu;
	struct lite_vcpu *vcpu[LITE_VCPUS_MAX];
	u32 vcpus;
	u64 frames;
	u64 *m2p;
	u64 shared_gfn;
	struct shared_info *shared; /* in guest memory; hostile */
	u64 bus_gpa;		    /* for LODGE_HC_BUS; 0: none */
	u32 ports_host;
	u32 port_next;
	u32 polling; /* vCPUs in SCHEDOP_poll, a bit each; atomic */
	struct lite_port port[LODGE_PORTS_MAX];
	u64 tsc0;
	u32 tsc_mul;
	s32 tsc_shift;
	u64 wall_sec; /* at tsc0 */
	u32 wall_nsec;
	u64 xcr0;      /* state components that the guest may use */
	bool has_smap; /* CR4.SMAP is on, and the guest's kernel is in ring 1 */
	u8 ring;       /* of the guest's kernel: 1 or 3 (ring.h) */
	bool alone;
	bool dying; /* somebody writes why; atomic */
	bool dead;
	char why[256];
};

/* trap.c */

/**
 * lite_handle - serve the exit that v->r.vec (and cr2, err) tell of
 *
 * v->tier is set by the caller. In the full tier the caller has disabled preemption. Not for
 * interrupts, NMIs and machine checks, which are the host's.
 */
enum lite_next lite_handle(struct lite_vcpu *v);

/**
 * lite_prepare - before any entry that does not follow a LITE_RESUME: timer, pending events
 *
 * Return: LITE_RESUME, LITE_WANT, LITE_DEAD (or LITE_FULL in a light exit).
 */
enum lite_next lite_prepare(struct lite_vcpu *v);

/**
 * lite_park - a vCPU's thread has seen LITE_DOWN: is it still so?
 *
 * While this says true, and the thread sleeps, other vCPUs may set this one up. Full tier.
 */
bool lite_park(struct lite_vcpu *v);

/** lite_deadline - when a blocked vCPU has to look again, ns of guest time; 0: never */
u64 lite_deadline(const struct lite_vcpu *v);

/**
 * lite_guest_cross - @v is about to enter the guest, or has just left it: its own thread
 *
 * On the way in, the change of page tables that follows orders this before all that the processor
 * does with them (pairs with mmu_shoot()); on the way out, it is on the host's again.
 */
static inline void lite_guest_cross(struct lite_vcpu *v)
{
	__atomic_store_n(&v->guest_seq, v->guest_seq + 1, __ATOMIC_RELEASE);
}

/** lite_roots_forget - before the next entry mmu_root() looks */
static inline void lite_roots_forget(struct lite_vcpu *v)
{
	v->root_gfn = ~0ull;
	v->uroot_gfn = ~0ull;
	v->base_now = 0;
}

/** lite_in_guest - @v is in the guest, or about to be; its own thread, or after a barrier */
static inline bool lite_in_guest(const struct lite_vcpu *v)
{
	return __atomic_load_n(&v->guest_seq, __ATOMIC_ACQUIRE) & 1;
}

/** lite_index - @i, or 0 if that is not below @n: also where the processor only guesses it is */
static inline u64 lite_index(u64 i, u64 n)
{
	u64 mask;

	/* No branch, so nothing to guess: borrow is set if i < n. */
	asm volatile("cmp %2, %1; sbb %0, %0" : "=r"(mask) : "r"(i), "r"(n) : "cc");
	return i & mask;
}

/** lite_vcpu_of - vCPU @id, or NULL. Any context */
static inline struct lite_vcpu *lite_vcpu_of(const struct lite_vm *vm, u64 id)
{
	/* Pairs with lite_vcpu_init(). */
	return id < LITE_VCPUS_MAX ? __atomic_load_n(&vm->vcpu[lite_index(id, LITE_VCPUS_MAX)],
						     __ATOMIC_ACQUIRE)
				   : NULL;
}

/** lite_complete_io - the VMM's answer to a PIO read */
void lite_complete_io(struct lite_vcpu *v, u32 data);

/** lite_kill - the guest broke a rule; the first reason is kept. Returns LITE_DEAD */
enum lite_next lite_kill(struct lite_vcpu *v, const char *why);

/** segment_safe - @sel if DS, ES, FS and GS can be loaded with it for the guest, else 0 */
u16 segment_safe(const struct lite_vcpu *v, u16 sel);

/** lite_set_mode - to the guest's kernel or user mode */
void lite_set_mode(struct lite_vcpu *v, bool kernel);

/* 48-bit canonical and not the hypervisor's: [va, va + len) */
static inline bool lite_va_ok(u64 va, u64 len)
{
	u64 last = va + len - 1;

	if (!len || last < va)
		return !len;
	if (last < 0x800000000000ull)
		return true;
	return va >= LITE_HOLE_END || (va >= 0xffff800000000000ull && last < LITE_HOLE_START);
}

static inline bool lite_va_canonical(u64 va)
{
	return (u64)((s64)(va << 16) >> 16) == va;
}

static inline void *lite_ptr(const struct lite_vm *vm, u64 pa)
{
	return (void *)(vm->dmap + pa);
}

/** lite_frame_far - lite_frame() in all slots */
struct lite_frame *lite_frame_far(struct lite_vm *vm, u64 gfn, struct lite_slot **slot);

/** lite_frame - the frame of @gfn, or NULL; @slot may be NULL */
static inline struct lite_frame *lite_frame(struct lite_vm *vm, u64 gfn, struct lite_slot **slot)
{
	/* RAM comes first, and nearly all that is asked for is there. */
	struct lite_slot *s = &vm->slot[0];

	if (gfn - s->gfn >= s->nr)
		return lite_frame_far(vm, gfn, slot);
	if (slot)
		*slot = s;
	return &s->frame[lite_index(gfn - s->gfn, s->nr)];
}

/** lite_gfn_ptr - @gfn's memory; NULL: -EINVAL no such frame, -EAGAIN not resident (v->want set) */
int lite_gfn_ptr(struct lite_vcpu *v, u64 gfn, void **out);

/* init.c */
/** lite_vm_init - @vm zeroed, with dmap, hole_va, phys_bits, xcr0 and the clock fields set */
void lite_vm_init(struct lite_vm *vm);
/**
 * lite_slot_check - LODGE_MEM_SET: may @m become a slot? Looks at all but the mapping at @hva
 *
 * Return: 0; -EINVAL; -EEXIST: the slot is set already, or @m overlaps another.
 */
int lite_slot_check(const struct lite_vm *vm, const struct lodge_mem *m);
/** lite_slot_add - what lite_slot_check() let through; @frame: zeroed, one for each frame */
void lite_slot_add(struct lite_vm *vm, const struct lodge_mem *m, struct lite_frame *frame);
/** lite_vm_start - slots are complete: shared_info resident, m2p filled. 0 or -errno */
int lite_vm_start(struct lite_vm *vm, const struct lodge_pv *pv);
/** lite_vcpu_init - number @id; others of the VM may run. Preemption off: it takes vm->lock */
void lite_vcpu_init(struct lite_vcpu *v, struct lite_vm *vm, u32 id);
int lite_state_set(struct lite_vcpu *v, const struct lodge_state *s);
void lite_state_get(struct lite_vcpu *v, struct lodge_state *s);

/* event.c, time.c */
/** lite_port_raise - from outside (irqfd): any context, any CPU. Out of range is ignored */
void lite_port_raise(struct lite_vm *vm, u32 port);
/** lite_time_now - ns of guest time */
u64 lite_time_now(const struct lite_vm *vm);
/** lite_event_pending - an upcall is pending (masked or not): a blocked vCPU wakes up */
bool lite_event_pending(const struct lite_vcpu *v);

#endif
