/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shadow page tables. Called by hypercalls, traps and the world switch; all under vm->lock, which
 * these functions take themselves (trylock in a light exit: -EBUSY there means the full tier).
 *
 * Safety, whatever the guest does: a leaf maps only a resident frame of the guest's slots, never
 * writable if the slot is read-only; an upper entry points only to a shadow page of the next level;
 * root slots 256..271 are ours; no entry is global. mmu_audit() checks that.
 *
 * Coherence, for a guest that keeps to Xen's rules: tables in use (pinned, or a current root) are
 * changed by hypercalls, which change the shadow as well, or by writes through a read-only mapping,
 * which fault; then the leaf table goes out of sync, writable, until the next flush.
 *
 * Several vCPUs: what one changes, another's processor may have cached. mmu_shoot.c makes sure that
 * no page is reused while a processor can still walk it, and that a table that is compared can not
 * be written any more. All else is up to the guest, which asks for flushes: mmu_shoot().
 *
 * Results: 0; -EFAULT, -EINVAL: the guest's fault; -EAGAIN: v->want says what is missing; -EBUSY.
 */
#ifndef LITE_MMU_H
#define LITE_MMU_H

/* lite_frame.flags */
#define FRAME_PINNED(level) (1 << (level)) /* level 1..4, by MMUEXT_PIN_L*_TABLE */
#define FRAME_PINNED_ANY    0x1e
#define FRAME_UNSYNC	    0x20 /* mapped writable though it is a live leaf table */
#define FRAME_TABLE \
	0x40 /* has, or has had, shadow pages: a write fault may be the guest's
				    kernel updating its own table through a read-only mapping */

#define MMU_POOL_MAX   64
#define MMU_UNSYNC_MAX 64

struct lite_spage;

/**
 * struct lite_mmu - the shadow side of a VM
 * @spage:	the table of all shadow pages; entry 0 is not used
 * @spages_max: entries; the bound on shadow memory, set at creation
 * @pool:	zeroed pages (physical addresses) for shadow pages; the environment fills it
 * @trash:	pages that the mmu has given up and that no vCPU's TLB can reach any more; the
 *		environment frees them, or puts them back into the pool zeroed
 * @cache:	shadow pages survive a change of root
 * @none:	what a leaf entry is where the guest has nothing: present, with reserved bits, so
 *		that the switcher knows from the error code that the fault is the guest's own. A
 *		hint: a second fault at the same place is looked into. 0: the processor has no
 *		reserved bits. From the environment
 * @hyp_pa:	by role of the root, that is by view and vCPU: the PML3 page for root slot 256, from
 *		the environment (0 with 5 levels)
 * @spare:	more pages given up: a list through their first words; the mmu takes them back
 * @unsync:	tables that are mapped writable against the guest's will, or were a moment ago
 * @unsync_seq:	guest_seq of who may still have such a mapping though it is in no table
 * @limbo:	shadow pages whose table a processor may still walk: a list by lite_spage.next
 * @limbo_old:	the same, of before; free when nobody is at @limbo_seq any more
 */
struct lite_mmu {
	struct lite_spage *spage;
	u32 spages_max;
	u32 spages; /* in use */
	u32 free_head, clock_hand;
	u64 pool[MMU_POOL_MAX];
	u32 pooled;
	u64 trash[MMU_POOL_MAX * 4];
	u32 trashed;
	bool cache;
	u32 gtlb_gen; /* atomic: flushes so far, for lite_vcpu.gtlb */
	u64 none;
	u64 hyp_pa[2 * LITE_VCPUS_MAX];
	u64 spare;
	struct {
		u64 gfn;  /* the table */
		u32 link; /* shadow page << 9 | entry that maps it; 0: gone */
	} unsync[MMU_UNSYNC_MAX];
	u32 unsyncs;
	u32 unsync_seq[LITE_VCPUS_MAX];
	u32 limbo, limbo_old, limbos;
	u32 limbo_seq[LITE_VCPUS_MAX];
};

/** mmu_spage_size - bytes of one entry of lite_mmu.spage; the environment allocates the table */
size_t mmu_spage_size(void);

/** mmu_init - @spage: @max zeroed entries */
void mmu_init(struct lite_vm *vm, struct lite_spage *spage, u32 max, bool cache);

/** mmu_fini - give every shadow page to @put; no vCPU runs any more */
void mmu_fini(struct lite_vm *vm, void (*put)(void *arg, u64 pa), void *arg);

/** mmu_evict - give up to @n shadow pages up, not current roots or listed ones; returns how many */
u32 mmu_evict(struct lite_vm *vm, u32 n);

/**
 * mmu_root - make v->root_pa the shadow of v->kroot, and with two roots v->uroot_pa that of
 * v->uroot, creating them if need be; sets LITE_CH_ROOT when they changed
 *
 * Called before every entry; cheap when nothing changed. -EINVAL: the guest has no such table, or
 * is in user mode without one.
 */
int mmu_root(struct lite_vcpu *v);

/**
 * mmu_base_ok - the switcher may change to other roots of v->base[] until the next exit: tables
 * that are out of sync have to be compared when the guest loads a root, and there are none
 */
bool mmu_base_ok(const struct lite_vcpu *v);

/** mmu_base_taken - it has changed to v->base[@i], or says so. First of all at an exit; no lock */
void mmu_base_taken(struct lite_vcpu *v, u64 i);

/** enum mmu_result - of mmu_fault() when it returns 0 */
enum mmu_result {
	MMU_FIXED,  /* run on */
	MMU_INJECT, /* a fault of the guest's own: *err is the error code to hand it */
};

/** mmu_fault - @err is the processor's error code; on MMU_INJECT replaced by the guest's */
int mmu_fault(struct lite_vcpu *v, u64 va, u64 *err, enum mmu_result *res);

/**
 * mmu_update - MMU_NORMAL_PT_UPDATE, MMU_PT_UPDATE_PRESERVE_AD on the table entry at @gpa
 *
 * -EINVAL: no such frame or read-only, or the new entry is present and of a frame that is not the
 * guest's, with reserved bits, or a large page.
 */
int mmu_update(struct lite_vcpu *v, u64 gpa, u64 val, bool preserve_ad);

/** mmu_update_va - update_va_mapping: the leaf entry for @va; does not flush */
int mmu_update_va(struct lite_vcpu *v, u64 va, u64 val);

/** mmu_pin, mmu_unpin - a table of @level is or is no longer kept consistent by the guest */
int mmu_pin(struct lite_vcpu *v, u64 gfn, unsigned int level);
int mmu_unpin(struct lite_vcpu *v, u64 gfn);

/** mmu_new_base - the guest's kernel (or, @user, user) root is now @gfn; 0: no user root */
int mmu_new_base(struct lite_vcpu *v, u64 gfn, bool user);

/** mmu_roots_set - both at once, from outside: the vCPU does not run. Full tier, takes vm->lock */
void mmu_roots_set(struct lite_vcpu *v, u64 kroot, u64 uroot);

/**
 * mmu_flush - the guest asked for a flush: tables that it has written to are compared
 *
 * @va: one page, of whatever is @v's address space, and that of the vCPUs in @who, a bit each; or
 * ~0 for all. Makes nobody forget what a processor has cached: mmu_shoot().
 */
int mmu_flush(struct lite_vcpu *v, u64 va, u32 who);

/** mmu_queue_run - the shadow follows lite_vcpu.queue. After -EBUSY, -EAGAIN it goes on there */
int mmu_queue_run(struct lite_vcpu *v);

/** mmu_gtlb_flush - from now on no vCPU copies by translations of before: lite_vcpu.gtlb */
void mmu_gtlb_flush(struct lite_vm *vm);

/**
 * mmu_shoot - the vCPUs in @who, a bit each, forget what their processors have cached
 *
 * That is, those that are in the guest leave it, since entering it flushes. When this returns 0,
 * none of them uses a translation of before the call. Takes no lock, and may be called with
 * vm->lock held: a vCPU in the guest leaves it without any.
 */
int mmu_shoot(struct lite_vcpu *v, u32 who);

/**
 * mmu_read, mmu_write - copy from or to guest virtual memory as the guest's kernel would access it,
 * by its own tables from v->kroot. Sets accessed and dirty bits in them. @va..@va+@len must be
 * outside of the hole (-EFAULT). Any length; writes to read-only frames or mappings: -EFAULT.
 */
int mmu_read(struct lite_vcpu *v, void *dst, u64 va, size_t len);
int mmu_write(struct lite_vcpu *v, u64 va, const void *src, size_t len);

/**
 * mmu_audit - every shadow entry is explained by a frame of a slot, every upper entry by a live
 * shadow page of the next level and its parent link. With @check_guest, of a guest that keeps to
 * the rules: for tables in sync also by the guest's entry, and no shadow page has outlived its use.
 *
 * Return: 0, or the number of violations; @why gets a line about the first (may be NULL).
 */
u32 mmu_audit(struct lite_vm *vm, bool check_guest, char *why, size_t len);

#endif
