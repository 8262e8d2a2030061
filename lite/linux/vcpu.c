// SPDX-License-Identifier: GPL-2.0-only
/*
 * A vCPU's descriptor: its state, its counters, the run page; run.c is what LODGE_RUN does. Ioctls
 * run under lodge_vcpu.lock, in threads of the VM's creator only. A vCPU is freed with its VM.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <asm/fpu/api.h>

#include "vm.h"

static long vcpu_state_set(struct lodge_vcpu *vc, const void __user *p)
{
	struct lodge_state *s = memdup_user(p, sizeof(*s));
	long ret;

	if (IS_ERR(s))
		return PTR_ERR(s);
	ret = -EINVAL;
	if (!s->pad && s->kernel <= 1 && !memchr_inv(s->reserved, 0, sizeof(s->reserved))) {
		preempt_disable(); /* it takes locks that others spin for */
		ret = lite_state_set(&vc->v, s);
		preempt_enable();
	}
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
	/* Counters, each good by itself: not worth stopping the guest that holds the lock. */
	if (cmd == LODGE_STATS) {
		WRITE_ONCE(vc->v.stats.shadows, READ_ONCE(vc->vm->vm.mmu.spages));
		return copy_to_user(p, &vc->v.stats, sizeof(vc->v.stats)) ? -EFAULT : 0;
	}
	if (mutex_lock_killable(&vc->lock))
		return -EINTR;
	switch (cmd) {
	case LODGE_RUN:
		ret = arg ? -EINVAL : lodge_vcpu_run(vc);
		break;
	case LODGE_STATE_GET:
		ret = vcpu_state_get(vc, p);
		break;
	case LODGE_STATE_SET:
		ret = vcpu_state_set(vc, p);
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
	struct file *file;
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
	vc->timer.function = lodge_vcpu_timer_fn;
	ret = -ENOMEM;
	vc->run = (struct lodge_run *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!vc->run)
		goto err_free;
	if (!fpu_alloc_guest_fpstate(&vc->fpu))
		goto err_run;
	preempt_disable();
	lite_vcpu_init(&vc->v, &lv->vm, id);
	preempt_enable();
	ret = world_vcpu_init(&vc->v, &vc->w, &lv->w);
	if (ret)
		goto err_world;

	ret = get_unused_fd_flags(O_CLOEXEC);
	if (ret < 0)
		goto err_world;
	lodge_vm_get(lv);
	file = anon_inode_getfile("lodge-vcpu", &vcpu_fops, vc, O_RDWR);
	if (IS_ERR(file)) {
		lodge_vm_put(lv); /* not the last one: the caller has it open */
		put_unused_fd(ret);
		ret = PTR_ERR(file);
		goto err_world;
	}
	/* Before anybody can run it; pairs with shrink_vm()'s. */
	smp_store_release(&lv->vcpu[id], vc);
	fd_install(ret, file);
	return ret;

err_world:
	world_vcpu_fini(&vc->v, &vc->w);
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
	u32 i;

	hrtimer_cancel(&vc->timer);
	world_vcpu_fini(&vc->v, &vc->w);
	for (i = 0; i < vc->v.ldt_pages; i++)
		free_page((unsigned long)vc->v.ldt[i]);
	fpu_free_guest_fpstate(&vc->fpu);
	free_page((unsigned long)vc->run);
	mutex_destroy(&vc->lock);
	kvfree(vc);
}
