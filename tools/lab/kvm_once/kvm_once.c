// SPDX-License-Identifier: GPL-2.0-only
/*
 * kvm_once.ko: lets KVM live in a lab whose time is counted in instructions (tools/bench/io -c)
 *
 * QEMU's emulated VMRUN delivers the event that KVM injects and forgets to forget it: the number
 * stays behind as "exception to deliver" until the next #VMEXIT. When the emulator leaves its loop
 * before that, which with -icount it does at every timer, the event is delivered once more, inside
 * its own handler. This module makes a #VMEXIT follow at once: behind each injection, with
 * interrupts still disabled, the processor sends itself one, and the guest is left before its first
 * instruction. That is one more exit for each interrupt of any VMM's guest.
 *
 * It probes two of kvm_amd's functions by name and does nothing else; for the lab only. Loaded when
 * kvm_amd is, and unloaded before it. No locks: each processor looks at its own variables, with
 * preemption disabled as in any probe.
 */
#include <linux/irq_work.h>
#include <linux/kprobes.h>
#include <linux/module.h>

static DEFINE_PER_CPU(bool, injected);
static DEFINE_PER_CPU(struct irq_work, knock);

static void knock_done(struct irq_work *work)
{
}

/* KVM may be moved to another processor before it enters the guest: then an exit is spent there. */
static int on_inject(struct kprobe *probe, struct pt_regs *regs)
{
	this_cpu_write(injected, true);
	return 0;
}

static int on_run(struct kprobe *probe, struct pt_regs *regs)
{
	if (this_cpu_read(injected)) {
		this_cpu_write(injected, false);
		irq_work_queue(this_cpu_ptr(&knock));
	}
	return 0;
}

static struct kprobe inject_probe = {
	.symbol_name = "svm_inject_irq",
	.pre_handler = on_inject,
};

static struct kprobe run_probe = {
	.symbol_name = "svm_vcpu_run",
	.pre_handler = on_run,
};

static struct kprobe *probes[] = { &inject_probe, &run_probe };

static int __init kvm_once_init(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
		init_irq_work(per_cpu_ptr(&knock, cpu), knock_done);
	return register_kprobes(probes, ARRAY_SIZE(probes));
}

static void __exit kvm_once_exit(void)
{
	int cpu;

	unregister_kprobes(probes, ARRAY_SIZE(probes));
	for_each_possible_cpu(cpu)
		irq_work_sync(per_cpu_ptr(&knock, cpu));
}

module_init(kvm_once_init);
module_exit(kvm_once_exit);
MODULE_DESCRIPTION("An exit behind each interrupt that KVM injects, for an emulator that wants it");
MODULE_LICENSE("GPL");
