// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page table hypercalls: mmu_update, update_va_mapping, mmuext_op. They read the guest's requests
 * and hand them to the shadow MMU one by one; what an entry may map is the MMU's to decide. Called
 * from the dispatcher, in either tier; the MMU takes vm->lock itself.
 *
 * Machine frames are guest frames here, so nothing is translated. Frames of other domains do not
 * exist: only DOMID_SELF is accepted.
 */
#include "hypercall.h"

#include <xen/xen.h>

/* An entry of a list that the guest hands over. */
union request {
	struct mmu_update update;
	struct mmuext_op op;
};

/* The machine-to-physical table is the guest's to fill; it is the only one who reads it. */
static int machphys_update(struct lite_vm *vm, u64 mfn, u64 pfn)
{
	if (mfn >= vm->frames)
		return -EINVAL;
	__atomic_store_n(&vm->m2p[mfn], pfn, __ATOMIC_RELAXED);
	return 0;
}

/* A bitmap of vCPUs in guest memory, read as Xen does, by the word. */
static int flush_who(struct lite_vcpu *v, u64 va, u32 *who)
{
	u64 mask;
	int err = mmu_read(v, &mask, va, sizeof(mask));

	*who = mask;
	return err;
}

/* This vCPU forgets by having left the guest. What one more call repeats is harmless. */
static int flush(struct lite_vcpu *v, u64 va, u32 who)
{
	int err = mmu_flush(v, va, who);

	return err || !who ? err : mmu_shoot(v, who);
}

static int mmu_update_one(struct lite_vcpu *v, const union request *req)
{
	const struct mmu_update *u = &req->update;
	u64 gpa = u->ptr & ~3ull;

	switch (u->ptr & 3) {
	case MMU_NORMAL_PT_UPDATE:
		return mmu_update(v, gpa, u->val, false);
	case MMU_PT_UPDATE_PRESERVE_AD:
		return mmu_update(v, gpa, u->val, true);
	case MMU_MACHPHYS_UPDATE:
		return machphys_update(v->vm, u->ptr >> 12, u->val);
	}
	return -ENOSYS;
}

/*
 * The end of a batch: how many entries were done goes to @va, unless it is 0. Comes back here if
 * that has to wait, with v->batch_done as it is: the entry that failed fails once more, and those
 * before it are not repeated.
 */
static enum lite_next batch_end(struct lite_vcpu *v, u64 va, int err, u64 *ret)
{
	u32 done = v->batch_done;
	int werr;

	if (err == -EAGAIN || err == -EBUSY)
		return hc_done(err, ret);
	if (va) {
		werr = mmu_write(v, va, &done, sizeof(done));
		if (werr)
			return hc_done(werr, ret);
	}
	return hc_done(err, ret);
}

/* The list at arg[0] of arg[1] entries of @size, for arg[3]; how many were done goes to arg[2]. */
static __always_inline enum lite_next batch(struct lite_vcpu *v, const u64 arg[5], size_t size,
					    int (*one)(struct lite_vcpu *v,
						       const union request *req),
					    u64 *ret)
{
	u64 list = arg[0], nr = arg[1];
	union request req;
	enum lite_next next;
	int err = 0;

	if (nr > HC_BATCH_MAX)
		return hc_done(-EINVAL, ret);
	if (arg[3] != DOMID_SELF)
		return hc_done(-EPERM, ret);
	if (!lite_va_ok(list, nr * size))
		return hc_done(-EFAULT, ret);
	while (v->batch_done < nr) {
		next = hc_spend(v);
		if (next != LITE_RESUME)
			return next;
		err = mmu_read(v, &req, list + v->batch_done * size, size);
		if (!err)
			err = one(v, &req);
		if (err)
			break;
		v->batch_done++;
	}
	return batch_end(v, arg[2], err, ret);
}

enum lite_next hc_mmu_update(struct lite_vcpu *v, const u64 arg[5], u64 *ret)
{
	return batch(v, arg, sizeof(struct mmu_update), mmu_update_one, ret);
}

enum lite_next hc_update_va_mapping(struct lite_vcpu *v, const u64 arg[5], u64 *ret)
{
	u64 va = arg[0], flags = arg[2], map = flags & ~UVMF_FLUSHTYPE_MASK;
	u32 who = 0;
	int err = 0;

	if (!lite_va_ok(va, 1))
		return hc_done(-EINVAL, ret);
	if (map == UVMF_ALL)
		who = ~0u;
	else if (flags & UVMF_FLUSHTYPE_MASK && map != UVMF_LOCAL)
		err = flush_who(v, map, &who);
	if (!err)
		err = mmu_update_va(v, va, arg[1]);
	if (err)
		return hc_done(err, ret);
	/* Repeating the above is harmless should the flush have to wait: it is the same value. */
	switch (flags & UVMF_FLUSHTYPE_MASK) {
	case UVMF_TLB_FLUSH:
		err = flush(v, ~0ull, who);
		break;
	case UVMF_INVLPG:
		err = flush(v, va, who);
		break;
	}
	return hc_done(err, ret);
}

/* A page to be cleared or copied to: the guest's, writable, and no page table. */
static int page_target(struct lite_vcpu *v, u64 gfn, void **out)
{
	struct lite_frame *f = lite_frame(v->vm, gfn, NULL);

	if (!f || f->flags & (FRAME_PINNED_ANY | FRAME_UNSYNC | FRAME_TABLE))
		return -EINVAL;
	return hc_frame(v, gfn, out);
}

static int page_clear(struct lite_vcpu *v, u64 gfn)
{
	void *p;
	int err = page_target(v, gfn, &p);

	if (!err)
		memset(p, 0, LITE_PAGE_SIZE);
	return err;
}

static int page_copy(struct lite_vcpu *v, u64 to, u64 from)
{
	void *dst, *src;
	int err;

	err = page_target(v, to, &dst);
	if (!err)
		err = lite_gfn_ptr(v, from, &src);
	if (!err && dst != src)
		memcpy(dst, src, LITE_PAGE_SIZE);
	return err;
}

static int mmuext_one(struct lite_vcpu *v, const union request *req)
{
	const struct mmuext_op *op = &req->op;
	u64 va = op->arg1.linear_addr, gfn = op->arg1.mfn;
	u32 who = 0;
	int err;

	switch (op->cmd) {
	case MMUEXT_PIN_L1_TABLE:
	case MMUEXT_PIN_L2_TABLE:
	case MMUEXT_PIN_L3_TABLE:
	case MMUEXT_PIN_L4_TABLE:
		return mmu_pin(v, gfn, op->cmd - MMUEXT_PIN_L1_TABLE + 1);
	case MMUEXT_UNPIN_TABLE:
		return mmu_unpin(v, gfn);
	case MMUEXT_NEW_BASEPTR:
		return mmu_new_base(v, gfn, false);
	case MMUEXT_NEW_USER_BASEPTR:
		return mmu_new_base(v, gfn, true); /* 0: of a kernel thread */
	case MMUEXT_TLB_FLUSH_LOCAL:
		return mmu_flush(v, ~0ull, 0);
	case MMUEXT_TLB_FLUSH_ALL:
		return flush(v, ~0ull, ~0u);
	case MMUEXT_TLB_FLUSH_MULTI:
		err = flush_who(v, (u64)op->arg2.vcpumask.p, &who);
		return err ? err : flush(v, ~0ull, who);
	case MMUEXT_INVLPG_LOCAL:
		return lite_va_ok(va, 1) ? mmu_flush(v, va, 0) : 0;
	case MMUEXT_INVLPG_ALL:
		return lite_va_ok(va, 1) ? flush(v, va, ~0u) : 0;
	case MMUEXT_INVLPG_MULTI:
		err = flush_who(v, (u64)op->arg2.vcpumask.p, &who);
		return err || !lite_va_ok(va, 1) ? err : flush(v, va, who);
	case MMUEXT_SET_LDT:
		return v->tier == LITE_LIGHT ? -EBUSY : ldt_set(v, va, op->arg2.nr_ents);
	case MMUEXT_FLUSH_CACHE: /* no device reads guest memory past the caches */
		return 0;
	case MMUEXT_CLEAR_PAGE:
		return page_clear(v, gfn);
	case MMUEXT_COPY_PAGE:
		return page_copy(v, gfn, op->arg2.src_mfn);
	}
	return -ENOSYS;
}

enum lite_next hc_mmuext_op(struct lite_vcpu *v, const u64 arg[5], u64 *ret)
{
	return batch(v, arg, sizeof(struct mmuext_op), mmuext_one, ret);
}
