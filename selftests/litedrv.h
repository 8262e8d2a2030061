/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A lite guest for tests of hypercalls, with an MMU that only notes what it was asked for. Guest
 * memory is a few pages, seen at BASE + gpa. One program includes this once; lite/core's files that
 * serve hypercalls are linked, its MMU is not.
 */
#ifndef LODGE_LITEDRV_H
#define LODGE_LITEDRV_H

#include "hypercall.h"
#include "event.h"
#include "kselftest.h"
#include "vsched.h"

#include "lite/abi/pv.h"

#include <xen/xen.h>

#include <xen/callback.h>
#include <xen/event_channel.h>
#include <xen/memory.h>
#include <xen/physdev.h>
#include <xen/sched.h>
#include <xen/vcpu.h>
#include <xen/version.h>

#define PAGES	 64
#define RO_GFN	 100 /* a read-only slot of one frame */
#define BASE	 0xffff888000000000ull
#define SHARED	 1 /* gfns */
#define ROOT	 2
#define GDT	 3
#define VI	 4
#define ARGS	 0x8000ull /* gpa that arguments are put at */
#define HOST_MAX 32

static u8 guest_mem[PAGES + 1][4096] __attribute__((aligned(4096)));
static struct lite_frame frames[PAGES], ro_frame;
static u64 m2p[PAGES];
static struct lite_vm vm;
static struct lite_vcpu cpu;
static struct lite_vcpu other __attribute__((unused)); /* vCPU 1, if the test makes it */
static struct lite_vcpu *kicked;
static u64 fake_tsc;
static unsigned int kicks, leaves, sends, last_send;
/* Guest memory answers -EAGAIN (or later_err) at its later'th access from now; 0: never. */
static unsigned int later, accesses;
static int later_err;
static struct {
	unsigned int updates, preserve, va_updates, pins, unpins, bases, user_bases, flushes, pages,
		shoots, who;
	u64 gpa, val, level, gfn;
} did;

u64 env_tsc(void)
{
	return fake_tsc;
}

void env_pkru_open(void)
{
}

void env_vcpu_kick(struct lite_vcpu *v)
{
	kicked = v;
	kicks++;
}

void env_vcpu_leave(struct lite_vcpu *v)
{
	(void)v;
	leaves++;
}

void env_port_send(struct lite_vm *v, u32 port)
{
	(void)v;
	sends++;
	last_send = port;
}

struct lite_frame *lite_frame_far(struct lite_vm *v, u64 gfn, struct lite_slot **slot)
{
	u32 i;

	for (i = 0; i < v->slots; i++)
		if (gfn - v->slot[i].gfn < v->slot[i].nr) {
			if (slot)
				*slot = &v->slot[i];
			return &v->slot[i].frame[gfn - v->slot[i].gfn];
		}
	return NULL;
}

int lite_gfn_ptr(struct lite_vcpu *v, u64 gfn, void **out)
{
	struct lite_frame *f = lite_frame(v->vm, gfn, NULL);

	if (!f)
		return -EINVAL;
	*out = lite_ptr(v->vm, f->pa);
	return 0;
}

static int access_guest(u64 va, size_t len, u8 **p)
{
	accesses++;
	if (later && !--later)
		return later_err;
	if (!lite_va_ok(va, len) || va < BASE || va - BASE + len > PAGES * 4096ull)
		return -EFAULT;
	*p = &guest_mem[0][0] + (va - BASE);
	return 0;
}

int mmu_read(struct lite_vcpu *v, void *dst, u64 va, size_t len)
{
	u8 *p;
	int err = len ? access_guest(va, len, &p) : 0;

	(void)v;
	if (!err && len)
		memcpy(dst, p, len);
	return err;
}

int mmu_write(struct lite_vcpu *v, u64 va, const void *src, size_t len)
{
	u8 *p;
	int err = access_guest(va, len, &p);

	(void)v;
	if (!err)
		memcpy(p, src, len);
	return err;
}

int mmu_update(struct lite_vcpu *v, u64 gpa, u64 val, bool preserve_ad)
{
	(void)v;
	if (gpa >= PAGES * 4096ull)
		return -EINVAL;
	did.updates++;
	did.preserve += preserve_ad;
	did.gpa = gpa;
	did.val = val;
	return 0;
}

int mmu_update_va(struct lite_vcpu *v, u64 va, u64 val)
{
	(void)v;
	did.va_updates++;
	did.gpa = va;
	did.val = val;
	return 0;
}

int mmu_pin(struct lite_vcpu *v, u64 gfn, unsigned int level)
{
	(void)v;
	did.pins++;
	did.gfn = gfn;
	did.level = level;
	return gfn < PAGES ? 0 : -EINVAL;
}

int mmu_unpin(struct lite_vcpu *v, u64 gfn)
{
	(void)v;
	did.unpins++;
	return gfn < PAGES ? 0 : -EINVAL;
}

int mmu_new_base(struct lite_vcpu *v, u64 gfn, bool user)
{
	if (user)
		did.user_bases++;
	else
		did.bases++;
	if (user)
		v->uroot = gfn;
	else
		v->kroot = gfn;
	return gfn < PAGES ? 0 : -EINVAL;
}

void mmu_roots_set(struct lite_vcpu *v, u64 kroot, u64 uroot)
{
	v->kroot = kroot;
	v->uroot = uroot;
	lite_roots_forget(v);
}

void mmu_gtlb_flush(struct lite_vm *v)
{
	(void)v;
}

int mmu_flush(struct lite_vcpu *v, u64 va, u32 who)
{
	(void)v;
	did.flushes++;
	did.pages += va != ~0ull;
	return 0;
}

int mmu_shoot(struct lite_vcpu *v, u32 who)
{
	(void)v;
	did.shoots++;
	did.who = who;
	return 0;
}

static inline void setup(void)
{
	struct lodge_pv pv = { .shared_info = SHARED << 12,
			       .root = ROOT << 12,
			       .frames = PAGES,
			       .ports_host = HOST_MAX };
	u32 i;

	memset(guest_mem, 0, sizeof(guest_mem));
	memset(&vm, 0, sizeof(vm));
	memset(&did, 0, sizeof(did));
	kicks = sends = last_send = later = accesses = 0;
	later_err = -EAGAIN;
	fake_tsc = 1000;
	vm.dmap = (u64)guest_mem - 0x1000;
	vm.hole_va = LITE_HOLE_START;
	vm.tsc0 = 1000;
	vm.tsc_mul = 0x80000000u; /* with the shift: a tick is a nanosecond */
	vm.tsc_shift = 1;
	vm.wall_sec = 0x1234567890ull;
	vm.m2p = m2p;
	for (i = 0; i < PAGES; i++)
		frames[i] = (struct lite_frame){ .pa = 0x1000 + i * 4096ull };
	ro_frame = (struct lite_frame){ .pa = 0x1000 + PAGES * 4096ull };
	vm.slot[0] = (struct lite_slot){ .nr = PAGES, .frame = frames };
	vm.slot[1] =
		(struct lite_slot){ .gfn = RO_GFN, .nr = 1, .readonly = true, .frame = &ro_frame };
	vm.slots = 2;
	lite_vm_init(&vm);
	lite_vcpu_init(&cpu, &vm, 0);
	cpu.tier = LITE_FULLTIER;
	ksft_eq(lite_vm_start(&vm, &pv), 0);
}

static inline u64 args_put(const void *p, size_t len)
{
	memcpy(&guest_mem[0][0] + ARGS, p, len);
	return BASE + ARGS;
}

static inline void args_get(void *p, size_t len)
{
	memcpy(p, &guest_mem[0][0] + ARGS, len);
}

static inline enum lite_next call(u64 nr, u64 a0, u64 a1, u64 a2, u64 a3, u64 a4, s64 *ret)
{
	u64 arg[5] = { a0, a1, a2, a3, a4 }, r = 0xdead;
	enum lite_next next = hypercall(&cpu, nr, arg, &r);

	*ret = r;
	return next;
}

/* A call that is over at once: its result. */
static inline s64 hc(u64 nr, u64 a0, u64 a1, u64 a2)
{
	s64 ret;

	ksft_eq(call(nr, a0, a1, a2, DOMID_SELF, 0, &ret), LITE_RESUME);
	ksft_eq(cpu.multi_done, 0);
	ksft_eq(cpu.batch_done, 0);
	return ret;
}

#define hc_arg(nr, op, s) hc(nr, op, args_put(&(s), sizeof(s)), 0)

#define evt(op, s) hc_arg(__HYPERVISOR_event_channel_op, op, s)

#endif
