// SPDX-License-Identifier: GPL-2.0-only
/*
 * A vCPU's descriptor, and the loop of LODGE_RUN around the world switch: what an exit means is the
 * core's business, what the core lacks is fetched here, where one may sleep. All under
 * lodge_vcpu.lock, on the VMM's thread, which keeps running the guest until a signal or an exit to
 * the VMM. The guest has an FPU state of its own.
 */
#include <linux/anon_inodes.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <asm/fpu/api.h>

#include "vm.h"

/* The light exits live on the pool: below this, it is filled before the guest is entered. */
#define POOL_LOW (MMU_POOL_MAX / 2)

/* --- time --- */

static u64 vcpu_left(struct lodge_vcpu *vc, u64 at)
{
	u64 now = lite_time_now(&vc->vm->vm);

	return at > now ? at - now : 0;
}

static enum hrtimer_restart vcpu_timer_fn(struct hrtimer *timer)
{
	struct lodge_vcpu *vc = container_of(timer, struct lodge_vcpu, timer);
	u64 left = vcpu_left(vc, READ_ONCE(vc->timer_at));

	/* The guest's clock is the bare TSC, the host's is disciplined: they may differ. */
	if (left) {
		hrtimer_forward_now(timer, ns_to_ktime(left));
		return HRTIMER_RESTART;
	}
	env_vcpu_kick(&vc->v);
	return HRTIMER_NORESTART;
}

static void vcpu_timer_arm(struct lodge_vcpu *vc)
{
	struct lite_vcpu *v = &vc->v;

	if (!(v->changed & LITE_CH_TIMER))
		return;
	v->changed &= ~LITE_CH_TIMER;
	hrtimer_cancel(&vc->timer);
	WRITE_ONCE(vc->timer_at, v->deadline);
	if (v->deadline)
		hrtimer_start(&vc->timer, ns_to_ktime(vcpu_left(vc, v->deadline)),
			      HRTIMER_MODE_REL);
}

static bool vcpu_woken(struct lodge_vcpu *vc)
{
	u64 at = vc->v.deadline;

	return lite_event_pending(&vc->v) || (at && !vcpu_left(vc, at));
}

/* --- what the core lacks --- */

static void vcpu_give_back(struct lodge_vcpu *vc)
{
	u32 want = xchg(&vc->vm->evict_want, 0);

	WRITE_ONCE(vc->nudged, false);
	if (want)
		lodge_evict(vc->vm, want);
}

static int vcpu_want(struct lodge_vcpu *vc)
{
	struct lodge_vm *lv = vc->vm;
	struct lite_vcpu *v = &vc->v;
	enum lite_want want = v->want;
	int err = 0;

	v->want = LITE_WANT_NONE;
	switch (want) {
	case LITE_WANT_POOL:
		lodge_trash_free(lv);
		err = lodge_pool_fill(lv);
		break;
	case LITE_WANT_FRAME:
		mutex_lock(&lv->lock);
		err = lodge_pin(lv, v->want_gfn);
		mutex_unlock(&lv->lock);
		break;
	default:
		break;
	}
	return err;
}

static enum lite_next vcpu_core(struct lodge_vcpu *vc, enum lite_next (*fn)(struct lite_vcpu *))
{
	enum lite_next next;

	preempt_disable();
	vc->v.tier = LITE_FULLTIER;
	next = fn(&vc->v);
	preempt_enable();
	return next;
}

/* lite_handle()'s shape for the shadow root. */
static enum lite_next vcpu_root(struct lite_vcpu *v)
{
	switch (mmu_root(v)) {
	case 0:
		return LITE_RESUME;
	case -EAGAIN:
		return LITE_WANT;
	case -EBUSY:
		return LITE_FULL;
	default:
		return lite_kill(v, "the root page table is not in the guest's memory");
	}
}

/*
 * Calls @fn until it lacks nothing: *next. Returns -ENOMEM, -EFAULT or -EINTR when what it wants
 * cannot be had; it can be called again then.
 */
static int vcpu_call(struct lodge_vcpu *vc, enum lite_next (*fn)(struct lite_vcpu *),
		     enum lite_next *next)
{
	int err;

	for (;;) {
		*next = vcpu_core(vc, fn);
		if (*next == LITE_WANT) {
			err = vcpu_want(vc);
			if (err)
				return err;
		} else if (*next != LITE_FULL) {
			return 0;
		}
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
}

/* --- the loop --- */

/* Sleeps until the guest has something to do: 0, or -EINTR. */
static int vcpu_wait(struct lodge_vcpu *vc)
{
	int err;

	do {
		vcpu_give_back(vc);
		vcpu_timer_arm(vc);
		WRITE_ONCE(vc->waiting, true);
		/* wait_event's barrier orders it before the conditions; pairs with env_vcpu_kick(). */
		err = wait_event_interruptible(vc->wait, vcpu_woken(vc) || READ_ONCE(vc->nudged));
		WRITE_ONCE(vc->waiting, false);
	} while (!err && READ_ONCE(vc->nudged) && !vcpu_woken(vc));
	if (err)
		return -EINTR;
	vc->halted = false;
	return 0;
}

/* From here to the next exit that is not the host's own: *next, or -errno. */
static int vcpu_enter(struct lodge_vcpu *vc, enum lite_next *next)
{
	struct lite_vcpu *v = &vc->v;
	int err;

	vcpu_give_back(vc);
	if (READ_ONCE(vc->vm->vm.mmu.trashed))
		lodge_trash_free(vc->vm);
	if (READ_ONCE(vc->vm->vm.mmu.pooled) < POOL_LOW) {
		err = lodge_pool_fill(vc->vm);
		if (err)
			return err;
	}
	err = vcpu_call(vc, lite_prepare, next);
	if (err || *next != LITE_RESUME)
		return err;
	err = vcpu_call(vc, vcpu_root, next);
	if (err || *next != LITE_RESUME)
		return err;
	vcpu_timer_arm(vc);

	switch (world_enter(v, &vc->w, next)) {
	case 0:
		vc->unserved = true;
		break;
	case 1:
		*next = LITE_RESUME;
		break;
	default:
		/* A light exit got this far; what it could not do is done by lite_handle(). */
		vc->unserved = *next == LITE_WANT || *next == LITE_FULL;
		break;
	}
	return 0;
}

static int vcpu_loop(struct lodge_vcpu *vc)
{
	enum lite_next next;
	int err;

	for (;;) {
		if (signal_pending(current))
			return -EINTR;
		/* Work that is done on the way to user mode only; then the VMM runs us again. */
		if (test_thread_flag(TIF_NOTIFY_RESUME))
			return 0;
		cond_resched();

		if (vc->halted) {
			err = vcpu_wait(vc);
			if (err)
				return err;
		}
		next = LITE_RESUME;
		if (!vc->unserved) {
			err = vcpu_enter(vc, &next);
			if (err)
				return err;
		}
		if (vc->unserved) {
			err = vcpu_call(vc, lite_handle, &next);
			if (err)
				return err;
			vc->unserved = false;
		}
		if (next == LITE_BLOCK)
			vc->halted = true;
		if (next == LITE_EXIT || next == LITE_DEAD)
			return 1;
	}
}

static void vcpu_killed(struct lodge_vcpu *vc)
{
	struct lodge_run *run = vc->run;

	memset(run, 0, sizeof(*run));
	run->reason = LODGE_EXIT_KILLED;
	BUILD_BUG_ON(sizeof(run->killed.why) != sizeof(vc->vm->vm.why));
	memcpy(run->killed.why, vc->vm->vm.why, sizeof(run->killed.why));
	run->killed.why[sizeof(run->killed.why) - 1] = '\0';
}

static long vcpu_run(struct lodge_vcpu *vc)
{
	struct lite_vcpu *v = &vc->v;
	int ret;

	/* Started by another thread: its stores precede the flag's. */
	if (!smp_load_acquire(&vc->vm->started) || !vc->vm->vm.frames)
		return -EINVAL;
	if (vc->vm->vm.dead) {
		vcpu_killed(vc);
		return 0;
	}
	if (v->io_pending) {
		lite_complete_io(v, READ_ONCE(vc->run->io.data));
		v->io_pending = false;
	}
	vc->run->reason = LODGE_EXIT_NONE;

	fpu_swap_kvm_fpstate(&vc->fpu, true);
	ret = vcpu_loop(vc);
	world_put(&vc->w);
	fpu_swap_kvm_fpstate(&vc->fpu, false);
	if (ret <= 0)
		return ret;
	if (vc->vm->vm.dead)
		vcpu_killed(vc);
	else
		memcpy(vc->run, &v->exit, sizeof(v->exit));
	return 0;
}

/* --- the descriptor --- */

static long vcpu_state_set(struct lodge_vcpu *vc, const void __user *p)
{
	struct lodge_state *s = memdup_user(p, sizeof(*s));
	long ret;

	if (IS_ERR(s))
		return PTR_ERR(s);
	ret = -EINVAL;
	if (!s->pad && s->kernel <= 1 && !memchr_inv(s->reserved, 0, sizeof(s->reserved)))
		ret = lite_state_set(&vc->v, s);
	if (!ret) {
		vc->unserved = false;
		vc->halted = false;
		vc->v.io_pending = false;
	}
	kfree(s);
	return ret;
}

static long vcpu_state_get(struct lodge_vcpu *vc, void __user *p)
{
	struct lodge_state *s = kzalloc(sizeof(*s), GFP_KERNEL);
	long ret;

	if (!s)
		return -ENOMEM;
	lite_state_get(&vc->v, s);
	ret = copy_to_user(p, s, sizeof(*s)) ? -EFAULT : 0;
	kfree(s);
	return ret;
}

static long vcpu_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct lodge_vcpu *vc = file->private_data;
	void __user *p = (void __user *)arg;
	long ret;

	if (current->mm != vc->vm->mm)
		return -EIO;
	if (mutex_lock_killable(&vc->lock))
		return -EINTR;
	switch (cmd) {
	case LODGE_RUN:
		ret = arg ? -EINVAL : vcpu_run(vc);
		break;
	case LODGE_STATE_GET:
		ret = vcpu_state_get(vc, p);
		break;
	case LODGE_STATE_SET:
		ret = vcpu_state_set(vc, p);
		break;
	case LODGE_STATS:
		ret = copy_to_user(p, &vc->v.stats, sizeof(vc->v.stats)) ? -EFAULT : 0;
		break;
	default:
		ret = -ENOTTY;
	}
	mutex_unlock(&vc->lock);
	return ret;
}

static vm_fault_t vcpu_fault(struct vm_fault *vmf)
{
	struct lodge_vcpu *vc = vmf->vma->vm_file->private_data;

	if (vmf->pgoff)
		return VM_FAULT_SIGBUS;
	vmf->page = virt_to_page(vc->run);
	get_page(vmf->page);
	return 0;
}

static const struct vm_operations_struct vcpu_vm_ops = {
	.fault = vcpu_fault,
};

static int vcpu_mmap(struct file *file, struct vm_area_struct *vma)
{
	if (vma->vm_pgoff || vma->vm_end - vma->vm_start != PAGE_SIZE)
		return -EINVAL;
	if (!(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	vma->vm_ops = &vcpu_vm_ops;
	return 0;
}

static int vcpu_release(struct inode *inode, struct file *file)
{
	struct lodge_vcpu *vc = file->private_data;

	/* The vCPU itself stays until the VM's end: its number is used up. */
	hrtimer_cancel(&vc->timer);
	lodge_vm_put(vc->vm);
	return 0;
}

static const struct file_operations vcpu_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = vcpu_ioctl,
	.mmap = vcpu_mmap,
	.release = vcpu_release,
	.llseek = noop_llseek,
};

int lodge_vcpu_create(struct lodge_vm *lv, u32 id)
{
	struct lodge_vcpu *vc;
	int ret;

	if (lv->vcpu[id])
		return -EEXIST;
	vc = kvzalloc(sizeof(*vc), GFP_KERNEL_ACCOUNT);
	if (!vc)
		return -ENOMEM;
	vc->vm = lv;
	mutex_init(&vc->lock);
	init_waitqueue_head(&vc->wait);
	hrtimer_init(&vc->timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
	vc->timer.function = vcpu_timer_fn;
	ret = -ENOMEM;
	vc->run = (struct lodge_run *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!vc->run)
		goto err_free;
	if (!fpu_alloc_guest_fpstate(&vc->fpu))
		goto err_run;
	lite_vcpu_init(&vc->v, &lv->vm, id);
	ret = world_vcpu_init(&vc->v, &vc->w, &lv->w);
	if (ret)
		goto err_fpu;

	lodge_vm_get(lv);
	ret = anon_inode_getfd("lodge-vcpu", &vcpu_fops, vc, O_RDWR | O_CLOEXEC);
	if (ret < 0) {
		lodge_vm_put(lv); /* not the last one: the caller has it open */
		goto err_world;
	}
	smp_store_release(&lv->vcpu[id], vc); /* pairs with shrink_vm()'s */
	return ret;

err_world:
	world_vcpu_fini(&vc->v, &vc->w);
err_fpu:
	/* Ports are raised with interrupts off, and look there. */
	WRITE_ONCE(lv->vm.vcpu[id], NULL);
	synchronize_rcu();
	fpu_free_guest_fpstate(&vc->fpu);
err_run:
	free_page((unsigned long)vc->run);
err_free:
	kvfree(vc);
	return ret;
}

void lodge_vcpu_free(struct lodge_vcpu *vc)
{
	hrtimer_cancel(&vc->timer);
	world_vcpu_fini(&vc->v, &vc->w);
	fpu_free_guest_fpstate(&vc->fpu);
	free_page((unsigned long)vc->run);
	mutex_destroy(&vc->lock);
	kvfree(vc);
}
