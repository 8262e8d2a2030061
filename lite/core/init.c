// SPDX-License-Identifier: GPL-2.0-only
/*
 * A VM's and a vCPU's beginning, and its state for LODGE_STATE_GET and _SET. Called by the
 * environment from ioctls, in the full tier, while the vCPU does not run.
 */
#include "event.h"
#include "hypercall.h"
#include "vsched.h"
#include "lite/abi/pv.h"

#include <xen/xen.h>

#include <xen/vcpu.h>

#define RFLAGS_GUEST 0x254dd5ull /* what the guest may have set */
#define RFLAGS_FIXED 0x202ull
#define RFLAGS_AC    0x40000ull

void lite_vm_init(struct lite_vm *vm)
{
	lite_unlock(&vm->lock);
	lite_unlock(&vm->event_lock);
	lite_unlock(&vm->up_lock);
	vm->port_next = 1;
}

int lite_slot_check(const struct lite_vm *vm, const struct lodge_mem *m)
{
	u64 gfn = m->gpa / LITE_PAGE_SIZE, nr = m->size / LITE_PAGE_SIZE;
	u32 i;

	if (m->slot >= LODGE_SLOTS_MAX || m->flags & ~LODGE_MEM_RDONLY)
		return -EINVAL;
	if ((m->gpa | m->size | m->hva) & ~LITE_PAGE_MASK || !nr)
		return -EINVAL;
	if (gfn > LITE_FRAMES_MAX || nr > LITE_FRAMES_MAX - gfn)
		return -EINVAL;
	/* The first is RAM, and nothing else begins at 0. */
	if (!m->slot != !m->gpa || (!m->slot && m->flags))
		return -EINVAL;
	for (i = 0; i < LODGE_SLOTS_MAX; i++) {
		const struct lite_slot *s = &vm->slot[i];

		if (s->nr && (i == m->slot || (gfn < s->gfn + s->nr && s->gfn < gfn + nr)))
			return -EEXIST;
	}
	return 0;
}

void lite_slot_add(struct lite_vm *vm, const struct lodge_mem *m, struct lite_frame *frame)
{
	struct lite_slot *s = &vm->slot[m->slot];

	s->gfn = m->gpa / LITE_PAGE_SIZE;
	s->nr = m->size / LITE_PAGE_SIZE;
	s->readonly = m->flags & LODGE_MEM_RDONLY;
	s->frame = frame;
	if (vm->slots <= m->slot)
		vm->slots = m->slot + 1;
}

/* A frame that the guest's tables and pages can be in. */
static struct lite_frame *frame_ram(struct lite_vm *vm, u64 gpa)
{
	struct lite_slot *slot = NULL;
	struct lite_frame *f;

	if (gpa & ~LITE_PAGE_MASK)
		return NULL;
	f = lite_frame(vm, gpa >> 12, &slot);
	return f && slot && !slot->readonly ? f : NULL;
}

int lite_vm_start(struct lite_vm *vm, const struct lodge_pv *pv)
{
	struct lite_frame *shared = frame_ram(vm, pv->shared_info);
	struct lite_frame *root = frame_ram(vm, pv->root);
	struct shared_info *s;
	u64 bus, i;

	for (i = 0; i < sizeof(pv->reserved) / sizeof(pv->reserved[0]); i++)
		if (pv->reserved[i])
			return -EINVAL;
	if (vm->shared || !vm->m2p || !shared || !shared->pa || !root || root == shared)
		return -EINVAL;
	if (!vm->slots || !pv->frames || pv->frames > vm->slot[0].nr || vm->slot[0].gfn)
		return -EINVAL;
	if (!pv->ports_host || pv->ports_host >= LODGE_PORTS_MAX)
		return -EINVAL;

	vm->frames = pv->frames;
	for (i = 0; i < vm->frames; i++)
		vm->m2p[i] = i;
	vm->shared_gfn = pv->shared_info >> 12;
	/* The window has a bus page at its start, or the VMM has made none. */
	bus = pv->shared_info - (u64)LODGE_WIN_SHARED_INFO * LITE_PAGE_SIZE;
	if (pv->shared_info > bus && lite_frame(vm, bus >> 12, NULL))
		vm->bus_gpa = bus;
	vm->ports_host = pv->ports_host;
	root->flags |= FRAME_PINNED(4);
	s = lite_ptr(vm, shared->pa);
	memset(s, 0, LITE_PAGE_SIZE);
	__atomic_store_n(&vm->shared, s, __ATOMIC_RELEASE); /* pairs with lite_port_raise() */
	event_init(vm);
	time_publish(vm);
	for (i = 0; i < LITE_VCPUS_MAX; i++)
		if (vm->vcpu[i])
			sched_vcpu_info_init(vm->vcpu[i]);
	return 0;
}

void lite_vcpu_init(struct lite_vcpu *v, struct lite_vm *vm, u32 id)
{
	memset(v, 0, sizeof(*v));
	v->vm = vm;
	v->id = id;
	v->kernel = true;
	lite_roots_forget(v);
	v->r.cs = LITE_KERN_CS;
	v->r.ss = LITE_KERN_SS;
	v->r.rflags = RFLAGS_FIXED;
	debugreg_set(v, 6, 0);
	debugreg_set(v, 7, 0);
	/* The first one is up; the guest sets the others up. */
	v->initialised = !id;
	v->down = v->parked = id;
	v->run_state = id ? RUNSTATE_offline : RUNSTATE_running;
	v->run_since = lite_time_now(vm);
	if (vm->shared)
		sched_vcpu_info_init(v);
	v->changed = LITE_CH_ALL;
	/* Who goes through the roles of shadow pages has the lock, and one number of vCPUs. */
	lite_lock(&vm->lock);
	if (vm->vcpus <= id)
		vm->vcpus = id + 1;
	lite_unlock(&vm->lock);
	__atomic_store_n(&vm->vcpu[id], v, __ATOMIC_RELEASE); /* pairs with lite_port_raise() */
}

static bool state_ok(struct lite_vcpu *v, const struct lodge_state *s)
{
	const u64 base[3] = { s->fs_base, s->gs_base, s->gs_base_other };
	const u16 sel[4] = { s->ds, s->es, s->fs, s->gs };
	u32 i;

	for (i = 0; i < sizeof(s->reserved) / sizeof(s->reserved[0]); i++)
		if (s->reserved[i])
			return false;
	for (i = 0; i < 3; i++)
		if (!lite_va_canonical(base[i]))
			return false;
	for (i = 0; i < 4; i++)
		if (segment_safe(v, sel[i]) != sel[i])
			return false;
	if (s->pad || s->kernel > 1 || !lite_va_ok(s->rip, 1))
		return false;
	if (s->kernel_sp && !lite_va_ok(s->kernel_sp - 128, 128))
		return false;
	return frame_ram(v->vm, s->root) && (!s->user_root || frame_ram(v->vm, s->user_root));
}

/* All six are tried on the vCPU, and put back if one is refused. */
static int debugregs_set(struct lite_vcpu *v, const struct lodge_state *s)
{
	const u64 old[4] = { v->dr[0], v->dr[1], v->dr[2], v->dr[3] };
	u64 old6 = v->dr6;

	if (debugreg_set(v, 0, s->dr0) || debugreg_set(v, 1, s->dr1) ||
	    debugreg_set(v, 2, s->dr2) || debugreg_set(v, 3, s->dr3) ||
	    debugreg_set(v, 6, s->dr6) || debugreg_set(v, 7, s->dr7)) {
		memcpy(v->dr, old, sizeof(v->dr));
		v->dr6 = old6;
		return -EINVAL;
	}
	return 0;
}

int lite_state_set(struct lite_vcpu *v, const struct lodge_state *s)
{
	struct lite_regs *r = &v->r;

	if (!state_ok(v, s))
		return -EINVAL;
	lite_lock(&v->vm->up_lock); /* not while another vCPU initialises it */
	if (debugregs_set(v, s)) {
		lite_unlock(&v->vm->up_lock);
		return -EINVAL;
	}
	r->rax = s->rax;
	r->rbx = s->rbx;
	r->rcx = s->rcx;
	r->rdx = s->rdx;
	r->rsi = s->rsi;
	r->rdi = s->rdi;
	r->rbp = s->rbp;
	r->rsp = s->rsp;
	r->r8 = s->r8;
	r->r9 = s->r9;
	r->r10 = s->r10;
	r->r11 = s->r11;
	r->r12 = s->r12;
	r->r13 = s->r13;
	r->r14 = s->r14;
	r->r15 = s->r15;
	r->rip = s->rip;
	r->rflags = (s->rflags & RFLAGS_GUEST) | RFLAGS_FIXED;
	r->cs = s->kernel ? LITE_KERN_CS : LITE_USER_CS;
	r->ss = s->kernel ? LITE_KERN_SS : LITE_USER_DS;
	v->kernel = s->kernel;
	v->fs_base = s->fs_base;
	v->gs_base = s->gs_base;
	v->gs_other = s->gs_base_other;
	v->ds = s->ds;
	v->es = s->es;
	v->fs = s->fs;
	v->gs = s->gs;
	v->kernel_sp = s->kernel_sp;
	mmu_roots_set(v, s->root >> 12, s->user_root >> 12);
	v->cr2 = s->cr2;
	v->want = LITE_WANT_NONE;
	v->multi_done = 0;
	v->batch_done = 0;
	v->io_pending = false;
	v->changed = LITE_CH_ALL;
	v->initialised = true;
	v->parked = false;
	__atomic_store_n(&v->down, false, __ATOMIC_RELEASE);
	lite_unlock(&v->vm->up_lock);
	return 0;
}

void lite_state_get(struct lite_vcpu *v, struct lodge_state *s)
{
	const struct lite_regs *r = &v->r;

	memset(s, 0, sizeof(*s));
	s->rax = r->rax;
	s->rbx = r->rbx;
	s->rcx = r->rcx;
	s->rdx = r->rdx;
	s->rsi = r->rsi;
	s->rdi = r->rdi;
	s->rbp = r->rbp;
	s->rsp = r->rsp;
	s->r8 = r->r8;
	s->r9 = r->r9;
	s->r10 = r->r10;
	s->r11 = r->r11;
	s->r12 = r->r12;
	s->r13 = r->r13;
	s->r14 = r->r14;
	s->r15 = r->r15;
	s->rip = r->rip;
	/* The kernel's AC is ours where there is SMAP. */
	s->rflags = v->kernel && v->ac ? r->rflags & ~RFLAGS_AC : r->rflags;
	s->fs_base = v->fs_base;
	s->gs_base = v->gs_base;
	s->gs_base_other = v->gs_other;
	s->ds = v->ds;
	s->es = v->es;
	s->fs = v->fs;
	s->gs = v->gs;
	s->kernel = v->kernel;
	s->kernel_sp = v->kernel_sp;
	s->root = v->kroot << 12;
	s->user_root = v->uroot << 12;
	s->cr2 = v->cr2;
	s->dr0 = v->dr[0];
	s->dr1 = v->dr[1];
	s->dr2 = v->dr[2];
	s->dr3 = v->dr[3];
	s->dr6 = v->dr6;
	s->dr7 = v->dr7;
}
