/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What stands behind the descriptors: a VM and its vCPUs, around the core's objects and the world
 * switch's. Locks, outermost first:
 *
 *   lodge_vcpu.lock   a vCPU's own fields; held for all of LODGE_RUN
 *   lodge_vm.lock     slots, pinning, creation of vCPUs
 *   mm's mmap_lock    inside of pinning only
 *
 * lite_vm.lock spins and is taken inside the core; here by lodge_mmu_lock(). A VM lives as long as
 * any of its descriptors; irqfds do not hold it.
 */
#ifndef LODGE_VM_H
#define LODGE_VM_H

#include <linux/eventfd.h>
#include <linux/hrtimer.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mm_types.h>
#include <linux/mutex.h>
#include <linux/preempt.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <asm/fpu/types.h>

#include "lite.h"
#include "world.h"

struct lodge_vm {
	struct lite_vm vm;
	struct world_vm w;
	struct kref ref;
	struct list_head link; /* of all VMs */
	struct mutex lock;
	struct mm_struct *mm; /* of the creator; only its threads may use the descriptors */
	bool hooked;	      /* world_mm_enter() was done */
	bool started;	      /* LODGE_PV_SET was done, or has failed */
	bool ready;	      /* it was done */
	u32 vcpus;	      /* as configured */
	struct lodge_vcpu *vcpu[LITE_VCPUS_MAX];
	unsigned long hva[LODGE_SLOTS_MAX];
	struct lite_spage *spage;
	u64 pinned;	/* pages; under lock */
	u32 evict_want; /* shadow pages that the host's reclaim asks for; atomic accesses */

	spinlock_t irqfd_lock; /* irqfds */
	struct list_head irqfds;
	struct eventfd_ctx __rcu *out[LODGE_PORTS_MAX]; /* ioeventfds; written under lock */
};

struct lodge_vcpu {
	struct lite_vcpu v;
	struct world_vcpu w;
	struct lodge_vm *vm;
	struct mutex lock;
	struct lodge_run *run; /* a page, mapped by the VMM */
	struct fpu_guest fpu;
	struct hrtimer timer;
	u64 run_delay; /* ns that the thread had waited for a processor, when last looked at */
	u64 timer_at;  /* lite_vcpu.deadline, for the timer's callback */
	wait_queue_head_t wait;
	bool waiting;  /* somebody sleeps on @wait */
	bool nudged;   /* the sleeper has to look at evict_want */
	bool unserved; /* the exit in v.r.vec is still to be handled */
	bool halted;   /* by LITE_BLOCK, and not woken since */
};

static inline struct lodge_vm *to_lodge_vm(struct lite_vm *vm)
{
	return container_of(vm, struct lodge_vm, vm);
}

static inline struct lodge_vcpu *to_lodge_vcpu(struct lite_vcpu *v)
{
	return container_of(v, struct lodge_vcpu, v);
}

/* Preemption off: others spin while it is held. */
static inline void lodge_mmu_lock(struct lodge_vm *lv)
{
	preempt_disable();
	lite_lock(&lv->vm.lock);
}

static inline void lodge_mmu_unlock(struct lodge_vm *lv)
{
	lite_unlock(&lv->vm.lock);
	preempt_enable();
}

/* main.c: module parameters */
extern bool lodge_shadow_cache;
extern unsigned int lodge_pin_percent;

/* vm.c */
/** lodge_vm_create - new VM of the caller's mm; its descriptor or -errno */
int lodge_vm_create(const struct lodge_vm_config *config);
void lodge_vm_get(struct lodge_vm *lv);
void lodge_vm_put(struct lodge_vm *lv);
int lodge_shrinker_init(void);
void lodge_shrinker_exit(void);

/* vcpu.c */
/** lodge_vcpu_create - vCPU @id; its descriptor or -errno. lodge_vm.lock is held */
int lodge_vcpu_create(struct lodge_vm *lv, u32 id);
/** lodge_vcpu_free - with its VM; its descriptor is closed */
void lodge_vcpu_free(struct lodge_vcpu *vc);

/* run.c */
/** lodge_vcpu_run - LODGE_RUN. lodge_vcpu.lock is held. 0: the run page tells why, or -errno */
long lodge_vcpu_run(struct lodge_vcpu *vc);
/** lodge_vcpu_timer_fn - of lodge_vcpu.timer: the guest's deadline has come */
enum hrtimer_restart lodge_vcpu_timer_fn(struct hrtimer *timer);

/* pin.c */
/** lodge_pin - make frame @gfn resident. 0, -EFAULT, -ENOMEM or -EINTR. lodge_vm.lock is held */
int lodge_pin(struct lodge_vm *lv, u64 gfn);

/** lodge_pin_shown - what was pinned around RAM frame @gfn before there was a place to show it */
void lodge_pin_shown(struct lodge_vm *lv, u64 gfn);
/** lodge_unpin_all - the guest will not touch its memory any more */
void lodge_unpin_all(struct lodge_vm *lv);
/** lodge_pool_fill - the shadow pool gets full. 0 or -ENOMEM if it stays empty. May sleep */
int lodge_pool_fill(struct lodge_vm *lv);
/** lodge_trash_free - give back the pages that the shadow MMU has given up. Any task context */
void lodge_trash_free(struct lodge_vm *lv);
/** lodge_evict - take @nr shadow pages away; the caller is no vCPU in the guest. How many it got */
u32 lodge_evict(struct lodge_vm *lv, u32 nr);

/* irqfd.c */
int lodge_irqfd(struct lodge_vm *lv, const struct lodge_port *p);
int lodge_ioeventfd(struct lodge_vm *lv, const struct lodge_port *p);
/** lodge_ports_release - no eventfd of the VM's is left afterwards. lodge_vm has no other user */
void lodge_ports_release(struct lodge_vm *lv);
int lodge_irqfd_init(void);
void lodge_irqfd_exit(void);

/* env.c */
/** lodge_clock_init - the guest's clock starts now */
void lodge_clock_init(struct lite_vm *vm);

#endif
