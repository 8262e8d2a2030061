// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the guest would have put into IDT and GDT: trap table, callbacks, and of its GDT the three
 * entries for thread-local storage, the only ones that any processor register is ever loaded from,
 * and the next, whose limit LSL tells to programs: Linux has the processor's number there.
 * Called from the dispatcher; the world switch copies the results (LITE_CH_TRAPS, LITE_CH_TLS).
 * Rarely used calls insist on the full tier, whose time they may take.
 */
#include "hypercall.h"

#include <xen/xen.h>

#include <xen/callback.h>

#define TLS_FIRST 0x60 /* byte offset in the GDT */
#define TLS_END	  0x80
#define TLS_CPU	  3 /* of v->tls: the one whose limit tells the processor's number */

#define DESC_CPU 0x0040f50000000000ull

enum lite_next hc_set_trap_table(struct lite_vcpu *v, const u64 arg[5], u64 *ret)
{
	u64 va = arg[0];
	struct trap_info t;
	u32 i;
	int err;

	if (v->tier == LITE_LIGHT)
		return LITE_FULL;
	if (!va) {
		memset(v->trap, 0, sizeof(v->trap));
		v->changed |= LITE_CH_TRAPS;
		return hc_done(0, ret);
	}
	for (i = 0; i < 256; i++, va += sizeof(t)) {
		err = mmu_read(v, &t, va, sizeof(t));
		if (err)
			return hc_done(err, ret);
		if (!t.address)
			break;
		if (!lite_va_ok(t.address, 1))
			return hc_done(-EINVAL, ret);
		v->trap[t.vector].address = t.address;
		v->trap[t.vector].dpl = t.flags & 3;
		v->trap[t.vector].mask = t.flags & 4;
		v->changed |= LITE_CH_TRAPS;
	}
	return hc_done(0, ret);
}

static int callback_set(struct lite_vcpu *v, u32 type, u64 address, bool mask)
{
	switch (type) {
	case CALLBACKTYPE_event:
	case CALLBACKTYPE_nmi:
		mask = true;
		break;
	case CALLBACKTYPE_failsafe:
	case CALLBACKTYPE_syscall:
	case CALLBACKTYPE_syscall32:
		break;
	case CALLBACKTYPE_sysenter_deprecated:
	case CALLBACKTYPE_sysenter:
		return -ENOSYS;
	default:
		return -EINVAL;
	}
	if (!lite_va_ok(address, 1))
		return -EINVAL;
	v->callback[type].address = address;
	v->callback[type].mask = mask;
	v->changed |= LITE_CH_TRAPS;
	return 0;
}

enum lite_next hc_callback_op(struct lite_vcpu *v, const u64 arg[5], u64 *ret)
{
	struct callback_register reg;
	struct callback_unregister unreg;
	int err;

	switch (arg[0]) {
	case CALLBACKOP_register:
		err = mmu_read(v, &reg, arg[1], sizeof(reg));
		if (!err)
			err = callback_set(v, reg.type, reg.address,
					   reg.flags & CALLBACKF_mask_events);
		break;
	case CALLBACKOP_unregister:
		err = mmu_read(v, &unreg, arg[1], sizeof(unreg));
		if (!err)
			err = callback_set(v, unreg.type, 0, false);
		break;
	default:
		err = -ENOSYS;
	}
	return hc_done(err, ret);
}

/*
 * A descriptor that user code may have: anything else reads as absent. The accessed bit is preset,
 * for the processor could not set it: the switcher's GDT is read-only where the guest runs.
 */
static u64 tls_safe(u64 desc)
{
	const u64 need = DESC_NORMAL | DESC_DPL3 | DESC_PRESENT;

	/*
	 * Code that cannot be read: DS may hold a selector of it, and loading that would fault. And
	 * 64-bit code, as in an LDT.
	 */
	if ((desc & (DESC_CODE | DESC_READABLE)) == DESC_CODE ||
	    (desc & DESC_CODE && desc & DESC_LONG))
		return 0;
	return (desc & need) == need ? desc | DESC_ACCESSED : 0;
}

static void tls_set(struct lite_vcpu *v, u32 i, u64 desc)
{
	desc = tls_safe(desc);
	/* Linux makes it on its first processor only, and its programs then read nonsense. */
	if (i == TLS_CPU && !desc)
		desc = DESC_CPU | v->id;
	if (v->tls[i] == desc)
		return;
	v->tls[i] = desc;
	v->changed |= LITE_CH_TLS;
	/* A selector of a descriptor that is gone would fault where the host loads it. */
	segments_check(v);
}

int gdt_set(struct lite_vcpu *v, struct lite_vcpu *to, const u64 *gfn, u64 entries)
{
	u32 i, nr = (entries + 511) / 512;
	u64 *gdt = NULL;
	int err = nr ? lite_gfn_ptr(v, gfn[0], (void **)&gdt) : 0;

	if (err)
		return err;
	memset(to->gdt_gfn, 0, sizeof(to->gdt_gfn));
	for (i = 0; i < nr; i++)
		to->gdt_gfn[i] = gfn[i];
	for (i = 0; i < 4; i++)
		tls_set(to, i,
			entries * 8 >= TLS_FIRST + 8 * (i + 1)
				? __atomic_load_n(&gdt[TLS_FIRST / 8 + i], __ATOMIC_RELAXED)
				: 0);
	return 0;
}

enum lite_next hc_set_gdt(struct lite_vcpu *v, const u64 arg[5], u64 *ret)
{
	u64 entries = arg[1], gfn[FIRST_RESERVED_GDT_PAGE];
	u32 i, nr;
	int err;

	if (entries > FIRST_RESERVED_GDT_ENTRY)
		return hc_done(-EINVAL, ret);
	nr = (entries + 511) / 512;
	err = mmu_read(v, gfn, arg[0], nr * sizeof(gfn[0]));
	if (err)
		return hc_done(err, ret);
	for (i = 0; i < nr; i++)
		if (!lite_frame(v->vm, gfn[i], NULL))
			return hc_done(-EINVAL, ret);
	return hc_done(gdt_set(v, v, gfn, entries), ret);
}

enum lite_next hc_update_descriptor(struct lite_vcpu *v, const u64 arg[5], u64 *ret)
{
	u64 gpa = arg[0], desc = arg[1];
	u32 at = gpa & ~LITE_PAGE_MASK;
	struct lite_frame *f = lite_frame(v->vm, gpa >> 12, NULL);
	void *page;
	int err;

	/* A page table is no place for a descriptor: its shadow would not hear of it. */
	if (gpa & 7 || !f || f->flags & (FRAME_PINNED_ANY | FRAME_UNSYNC) || f->shadow)
		return hc_done(-EINVAL, ret);
	err = hc_frame(v, gpa >> 12, &page);
	if (err)
		return hc_done(err, ret);
	__atomic_store_n((u64 *)((char *)page + at), desc, __ATOMIC_RELAXED);
	if (gpa >> 12 == v->gdt_gfn[0] && at >= TLS_FIRST && at < TLS_END)
		tls_set(v, (at - TLS_FIRST) / 8, desc);
	return hc_done(0, ret);
}
