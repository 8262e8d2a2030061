// SPDX-License-Identifier: GPL-2.0-only
/*
 * The module: parameters (area.c has one more), and the device that the VMM opens. VMs are made
 * here, everything else is done by the descriptors that come out of it. No locks.
 */
#include <linux/fs.h>
#include <linux/kernel.h>
#include <linux/mm_types.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/uaccess.h>

#include "vm.h"

bool lodge_shadow_cache = true;
module_param_named(shadow_cache, lodge_shadow_cache, bool, 0444);
MODULE_PARM_DESC(shadow_cache,
		 "keep shadow page tables when the guest changes its root (default Y)");

unsigned int lodge_pin_percent = 75;
module_param_named(pin_percent, lodge_pin_percent, uint, 0644);
MODULE_PARM_DESC(pin_percent, "share of the host's memory that all guests may pin (default 75)");

static long lodge_info_get(void __user *arg)
{
	struct lodge_info info = {
		.version = LODGE_ABI_VERSION,
		.ring = world_ring(),
		.levels = world_levels(),
		.vcpus_max = LITE_VCPUS_MAX,
		.run_size = PAGE_SIZE,
		.flags = lodge_shadow_cache ? LODGE_INFO_CACHE : 0,
	};

	return copy_to_user(arg, &info, sizeof(info)) ? -EFAULT : 0;
}

static long lodge_dev_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct lodge_vm_config config;

	switch (cmd) {
	case LODGE_INFO:
		return lodge_info_get((void __user *)arg);
	case LODGE_VM_CREATE:
		if (copy_from_user(&config, (void __user *)arg, sizeof(config)))
			return -EFAULT;
		return lodge_vm_create(&config);
	default:
		return -ENOTTY;
	}
}

static const struct file_operations lodge_dev_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = lodge_dev_ioctl,
	.llseek = noop_llseek,
};

static struct miscdevice lodge_dev = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "lodge",
	.fops = &lodge_dev_fops,
	.mode = 0660,
};

static int __init lodge_init(void)
{
	int err = world_init();

	if (err)
		return err;
	err = lodge_irqfd_init();
	if (err)
		goto out_world;
	err = lodge_shrinker_init();
	if (err)
		goto out_irqfd;
	err = misc_register(&lodge_dev);
	if (err)
		goto out_shrinker;
	return 0;

out_shrinker:
	lodge_shrinker_exit();
out_irqfd:
	lodge_irqfd_exit();
out_world:
	world_exit();
	return err;
}

static void __exit lodge_exit(void)
{
	misc_deregister(&lodge_dev);
	lodge_shrinker_exit();
	lodge_irqfd_exit();
	world_exit();
}

module_init(lodge_init);
module_exit(lodge_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("lodge: paravirtual guests without the processor's help");
MODULE_VERSION("0.1");
