// SPDX-License-Identifier: GPL-2.0-only
/*
 * A VM's descriptor: its memory, its start, its end; and the shrinker, by which the host's reclaim
 * gets shadow pages back. Ioctls run under lodge_vm.lock, in threads of the creator only.
 */
#include <linux/anon_inodes.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/shrinker.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include "vm.h"

/* Shadow pages that reclaim leaves a VM: without them it would only fault. */
#define SHADOW_KEEP 128

/* For what is as large as the VMM asks: it fails, instead of having other processes killed. */
#define VM_BIG (GFP_KERNEL_ACCOUNT | __GFP_RETRY_MAYFAIL | __GFP_NOWARN)

static DEFINE_MUTEX(vms_lock);
static LIST_HEAD(vms); /* those with shadow tables */

static void shadow_put(void *arg, u64 pa)
{
	free_page((unsigned long)__va(pa));
}

static void shadow_fini(struct lodge_vm *lv)
{
	struct lite_mmu *mmu = &lv->vm.mmu;

	mmu_fini(&lv->vm, shadow_put, NULL);
	while (mmu->pooled)
		shadow_put(NULL, mmu->pool[--mmu->pooled]);
	while (mmu->trashed)
		shadow_put(NULL, mmu->trash[--mmu->trashed]);
	kvfree(lv->spage);
}

static void vm_free(struct kref *ref)
{
	struct lodge_vm *lv = container_of(ref, struct lodge_vm, ref);
	unsigned int i;

	mutex_lock(&vms_lock);
	list_del_init(&lv->link);
	mutex_unlock(&vms_lock);

	/* Nobody raises ports after this, and the last vCPU's descriptor is gone: nobody runs. */
	lodge_ports_release(lv);
	for (i = 0; i < LITE_VCPUS_MAX; i++)
		if (lv->vcpu[i])
			lodge_vcpu_free(lv->vcpu[i]);
	world_vm_fini(&lv->vm, &lv->w);
	if (lv->spage)
		shadow_fini(lv);
	vfree(lv->vm.m2p);
	lodge_unpin_all(lv);
	if (lv->hooked)
		world_mm_leave(lv->mm);
	mmdrop(lv->mm);
	mutex_destroy(&lv->lock);
	kvfree(lv);
}

void lodge_vm_get(struct lodge_vm *lv)
{
	kref_get(&lv->ref);
}

void lodge_vm_put(struct lodge_vm *lv)
{
	kref_put(&lv->ref, vm_free);
}

static int vm_mem_set(struct lodge_vm *lv, const struct lodge_mem *m)
{
	struct lite_frame *frame;
	int err;

	if (lv->started)
		return -EBUSY;
	err = lite_slot_check(&lv->vm, m);
	if (err)
		return err;
	if (!access_ok((void __user *)m->hva, m->size))
		return -EFAULT;
	frame = kvcalloc(m->size >> PAGE_SHIFT, sizeof(*frame), VM_BIG);
	if (!frame)
		return -ENOMEM;
	lv->hva[m->slot] = m->hva;
	lite_slot_add(&lv->vm, m, frame);
	return 0;
}

/* The guest's table of machine frames: it counts in its own, so each entry is its index. */
static u64 *m2p_make(u64 frames)
{
	u64 i, *m2p = __vmalloc(PAGE_ALIGN(frames * sizeof(*m2p)), VM_BIG);

	if (!m2p)
		return NULL;
	for (i = 0; i < PAGE_ALIGN(frames * sizeof(*m2p)) / sizeof(*m2p); i++)
		m2p[i] = i < frames ? i : ~0ull;
	return m2p;
}

static int vm_pv_set(struct lodge_vm *lv, const struct lodge_pv *pv)
{
	struct lite_slot *slot = lv->vm.slot;
	u64 total = 0;
	u32 i, shadows;
	int err;

	if (lv->started)
		return -EBUSY;
	if (memchr_inv(pv->reserved, 0, sizeof(pv->reserved)))
		return -EINVAL;
	for (i = 0; i < LODGE_SLOTS_MAX; i++)
		total += slot[i].nr;
	if (!slot->nr || !pv->frames || pv->frames > slot->nr)
		return -EINVAL;
	if ((pv->shared_info | pv->root) & ~PAGE_MASK || pv->shared_info == pv->root)
		return -EINVAL;
	if (!pv->ports_host || pv->ports_host >= LODGE_PORTS_MAX)
		return -EINVAL;
	err = lodge_pin(lv, pv->shared_info >> PAGE_SHIFT);
	if (!err)
		err = lodge_pin(lv, pv->root >> PAGE_SHIFT);
	if (err)
		return err;

	/* A failure below leaves what it has made; another call would make it anew, hence once. */
	lv->started = true;
	shadows = clamp_t(u64, total / 16 + 1024, 1024, 1 << 20);
	lv->spage = kvcalloc(shadows, mmu_spage_size(), VM_BIG);
	lv->vm.m2p = m2p_make(pv->frames);
	if (!lv->vm.m2p || !lv->spage)
		return -ENOMEM;
	lv->vm.frames = pv->frames; /* the M2P's length */
	mmu_init(&lv->vm, lv->spage, shadows, lodge_shadow_cache);
	err = world_vm_start(&lv->vm, &lv->w);
	if (!err) {
		lodge_pin_shown(lv, pv->root >> PAGE_SHIFT);
		err = lite_vm_start(&lv->vm, pv);
	}
	if (err)
		return err;
	smp_store_release(&lv->ready, true); /* pairs with lodge_vcpu_run() */
	mutex_lock(&vms_lock);
	list_add_tail(&lv->link, &vms);
	mutex_unlock(&vms_lock);
	return 0;
}

static long vm_ioctl_locked(struct lodge_vm *lv, unsigned int cmd, unsigned long arg)
{
	void __user *p = (void __user *)arg;
	union {
		struct lodge_mem mem;
		struct lodge_pv pv;
		struct lodge_port port;
	} u;

	switch (cmd) {
	case LODGE_MEM_SET:
		return copy_from_user(&u.mem, p, sizeof(u.mem)) ? -EFAULT : vm_mem_set(lv, &u.mem);
	case LODGE_PV_SET:
		return copy_from_user(&u.pv, p, sizeof(u.pv)) ? -EFAULT : vm_pv_set(lv, &u.pv);
	case LODGE_IRQFD:
		if (copy_from_user(&u.port, p, sizeof(u.port)))
			return -EFAULT;
		return lodge_irqfd(lv, &u.port);
	case LODGE_IOEVENTFD:
		if (copy_from_user(&u.port, p, sizeof(u.port)))
			return -EFAULT;
		return lodge_ioeventfd(lv, &u.port);
	case LODGE_VCPU_CREATE:
		return arg < lv->vcpus ? lodge_vcpu_create(lv, arg) : -EINVAL;
	default:
		return -ENOTTY;
	}
}

static long vm_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct lodge_vm *lv = file->private_data;
	long ret;

	if (current->mm != lv->mm)
		return -EIO;
	mutex_lock(&lv->lock);
	ret = vm_ioctl_locked(lv, cmd, arg);
	mutex_unlock(&lv->lock);
	return ret;
}

static int vm_release(struct inode *inode, struct file *file)
{
	lodge_vm_put(file->private_data);
	return 0;
}

static const struct file_operations vm_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = vm_ioctl,
	.release = vm_release,
	.llseek = noop_llseek,
};

int lodge_vm_create(const struct lodge_vm_config *config)
{
	struct lodge_vm *lv;
	int ret;

	if (config->version != LODGE_ABI_VERSION || config->flags ||
	    memchr_inv(config->reserved, 0, sizeof(config->reserved)))
		return -EINVAL;
	if (!config->vcpus || config->vcpus > LITE_VCPUS_MAX)
		return -EINVAL;
	lv = kvzalloc(sizeof(*lv), GFP_KERNEL_ACCOUNT);
	if (!lv)
		return -ENOMEM;
	kref_init(&lv->ref);
	mutex_init(&lv->lock);
	INIT_LIST_HEAD(&lv->link);
	INIT_LIST_HEAD(&lv->irqfds);
	spin_lock_init(&lv->irqfd_lock);
	lv->vcpus = config->vcpus;
	lv->vm.alone = config->vcpus == 1;
	lv->mm = current->mm;
	mmgrab(lv->mm);

	ret = world_vm_init(&lv->vm, &lv->w);
	if (ret)
		goto err_mm;
	lodge_clock_init(&lv->vm);
	lite_vm_init(&lv->vm);
	ret = world_mm_enter(lv->mm);
	if (ret)
		goto err_put;
	lv->hooked = true;
	ret = anon_inode_getfd("lodge-vm", &vm_fops, lv, O_RDWR | O_CLOEXEC);
	if (ret < 0)
		goto err_put;
	return ret;

err_put:
	lodge_vm_put(lv);
	return ret;
err_mm:
	mmdrop(lv->mm);
	kvfree(lv);
	return ret;
}

/* --- reclaim --- */

static unsigned long shrinker_count(struct shrinker *shrinker, struct shrink_control *sc)
{
	unsigned long n = 0;
	struct lodge_vm *lv;

	if (!mutex_trylock(&vms_lock))
		return 0;
	list_for_each_entry(lv, &vms, link) {
		u32 spages = READ_ONCE(lv->vm.mmu.spages);

		if (spages > SHADOW_KEEP)
			n += spages - SHADOW_KEEP;
	}
	mutex_unlock(&vms_lock);
	return n ?: SHRINK_EMPTY;
}

/* Returns how many it has freed now; a running VM gives them back later, by itself. */
static u32 shrink_vm(struct lodge_vm *lv, u32 nr)
{
	struct lodge_vcpu *locked[LITE_VCPUS_MAX], *vc;
	u32 i, n = 0, freed = 0;

	/* This may be the allocation of one of its own vCPUs, then trylock refuses as well. */
	for (i = 0; i < LITE_VCPUS_MAX; i++) {
		vc = smp_load_acquire(&lv->vcpu[i]); /* pairs with lodge_vcpu_create()'s */
		if (!vc)
			continue;
		if (!mutex_trylock(&vc->lock))
			break;
		locked[n++] = vc;
	}
	if (i == LITE_VCPUS_MAX) {
		freed = lodge_evict(lv, nr);
		if (n)
			locked[0]->v.stats.shadow_evicted += freed;
	} else {
		WRITE_ONCE(lv->evict_want, nr);
		WRITE_ONCE(vc->nudged, true);
		env_vcpu_kick(&vc->v);
	}
	while (n)
		mutex_unlock(&locked[--n]->lock);
	return freed;
}

static unsigned long shrinker_scan(struct shrinker *shrinker, struct shrink_control *sc)
{
	unsigned long freed = 0;
	struct lodge_vm *lv;

	if (!mutex_trylock(&vms_lock))
		return SHRINK_STOP;
	list_for_each_entry(lv, &vms, link) {
		u32 spages = READ_ONCE(lv->vm.mmu.spages);

		if (spages > SHADOW_KEEP && freed < sc->nr_to_scan)
			freed += shrink_vm(lv, min_t(unsigned long, spages - SHADOW_KEEP,
						     sc->nr_to_scan - freed));
	}
	/* Not the same one first each time. */
	if (!list_empty(&vms))
		list_rotate_left(&vms);
	mutex_unlock(&vms_lock);
	return freed ?: SHRINK_STOP;
}

static struct shrinker shrinker = {
	.count_objects = shrinker_count,
	.scan_objects = shrinker_scan,
	.seeks = DEFAULT_SEEKS * 2, /* dearer to make again than a cached page */
};

int lodge_shrinker_init(void)
{
	return register_shrinker(&shrinker, "lodge-shadow");
}

void lodge_shrinker_exit(void)
{
	unregister_shrinker(&shrinker);
}
