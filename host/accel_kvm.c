// SPDX-License-Identifier: GPL-2.0-only
/*
 * The KVM accelerator: hardware virtualization through /dev/kvm. Local APICs and the clock are
 * KVM's (kvmclock, PV EOI and the rest stay on), the IO-APIC is ours (split irqchip), there is no
 * PIC and no PIT. Called through accel_ops; accel_kvm_irq.c and accel_kvm_cpuid.c are the other
 * parts.
 */
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "accel_kvm.h"
#include "util.h"

/* Three pages that VMX wants for real mode, above all that we give to the guest. */
#define KVM_IDENTITY_MAP 0xfffbc000ull
#define KVM_TSS_ADDR	 0xfffbd000ull

#define MSR_MISC_ENABLE 0x1a0
#define MSR_MTRR_DEF	0x2ff

#define APIC_IDS_MAX 254 /* 8-bit ids, 0xff is broadcast */

/* A stock kernel needs real VT; a /dev/kvm that stands on something else cannot run it. */
static bool kvm_cpu_has_vt(void)
{
	unsigned int a, b, c, d;

	if (__get_cpuid(1, &a, &b, &c, &d) && c & 1u << 5)
		return true;
	return __get_cpuid(0x80000001, &a, &b, &c, &d) && c & 1u << 2;
}

static const struct {
	int cap;
	const char *name;
} kvm_needs[] = {
	{ KVM_CAP_USER_MEMORY, "user memory" },
	{ KVM_CAP_EXT_CPUID, "extended CPUID" },
	{ KVM_CAP_IRQFD, "irqfd" },
	{ KVM_CAP_IOEVENTFD, "ioeventfd" },
	{ KVM_CAP_SPLIT_IRQCHIP, "split irqchip" },
	{ KVM_CAP_IMMEDIATE_EXIT, "immediate exit" },
	{ KVM_CAP_SET_TSS_ADDR, "TSS address" },
	{ KVM_CAP_ADJUST_CLOCK, "kvmclock" },
};

/* Open and check /dev/kvm; the descriptor, or -errno with a line that says what to do. */
static int kvm_open(struct err *err)
{
	unsigned int i;
	int fd, ret;

	if (!kvm_cpu_has_vt())
		return err_set(
			err, -ENODEV,
			"this processor shows neither VMX nor SVM, which KVM mode needs; "
			"use a machine with VT, or enable nested virtualization on its host");
	fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		if (errno == EACCES || errno == EPERM)
			return err_set(err, -errno,
				       "/dev/kvm: permission denied; join its group "
				       "(usermod -aG kvm USER, then log in again)");
		return err_set(err, -errno,
			       "/dev/kvm: %s; load its module (modprobe kvm_amd or kvm_intel) and "
			       "see that the firmware has VT enabled",
			       strerror(errno));
	}
	ret = ioctl(fd, KVM_GET_API_VERSION, 0);
	if (ret != KVM_API_VERSION) {
		ret = err_set(err, -ENODEV, "/dev/kvm: API version %d, not %d", ret,
			      KVM_API_VERSION);
		goto close;
	}
	for (i = 0; i < ARRAY_SIZE(kvm_needs); i++) {
		if (ioctl(fd, KVM_CHECK_EXTENSION, kvm_needs[i].cap) > 0)
			continue;
		ret = err_set(err, -ENODEV, "/dev/kvm: lacks %s; use Linux 4.12 or later",
			      kvm_needs[i].name);
		goto close;
	}
	return fd;
close:
	close(fd);
	return ret;
}

static int kvm_probe(struct err *err)
{
	int fd = kvm_open(err);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

static void kvm_vm_destroy(struct accel_vm *vm)
{
	struct kvm_vm *k = container_of(vm, struct kvm_vm, vm);

	if (k->fd >= 0)
		close(k->fd);
	if (k->sys_fd >= 0)
		close(k->sys_fd);
	pthread_mutex_destroy(&k->lock);
	free(k->cpuid);
	free(k);
}

static int kvm_vm_setup(struct kvm_vm *k, struct err *err)
{
	struct kvm_enable_cap split = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { LODGE_GSI_COUNT } };
	uint64_t identity = KVM_IDENTITY_MAP;
	int max, ret;

	max = ioctl(k->sys_fd, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);
	k->vm.vcpus_max = MIN(max > 0 ? max : 1, APIC_IDS_MAX);
	if (k->ncpus > k->vm.vcpus_max)
		return err_set(err, -ERANGE, "--cpus: %u is more than KVM can do here; use 1 to %u",
			       k->ncpus, k->vm.vcpus_max);
	k->run_size = ioctl(k->sys_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	k->fd = ioctl(k->sys_fd, KVM_CREATE_VM, 0);
	if (k->run_size < 0 || k->fd < 0)
		return err_set(err, -errno,
			       "/dev/kvm: cannot create a virtual machine: %s; is another "
			       "hypervisor using VT?",
			       strerror(errno));
	if (ioctl(k->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity) < 0 ||
	    ioctl(k->fd, KVM_SET_TSS_ADDR, KVM_TSS_ADDR) < 0 ||
	    ioctl(k->fd, KVM_ENABLE_CAP, &split) < 0)
		return err_set(err, -errno, "/dev/kvm: cannot set up the virtual machine: %s",
			       strerror(errno));
	ret = kvm_cpuid_template(k);
	if (ret)
		return err_set(err, ret, "/dev/kvm: cannot set up CPUID: %s", strerror(-ret));
	return 0;
}

static int kvm_vm_create(struct accel_vm **out, unsigned int ncpus, struct err *err)
{
	struct kvm_vm *k = calloc(1, sizeof(*k));
	unsigned int i;
	int ret;

	if (!k)
		return err_set(err, -ENOMEM, "out of memory");
	k->vm.ops = &accel_kvm;
	k->vm.caps = accel_kvm.caps;
	k->ncpus = ncpus;
	k->fd = -1;
	for (i = 0; i < ARRAY_SIZE(k->line); i++)
		k->line[i].fd = -1;
	pthread_mutex_init(&k->lock, NULL);
	ret = k->sys_fd = kvm_open(err);
	if (ret >= 0)
		ret = kvm_vm_setup(k, err);
	if (ret < 0) {
		kvm_vm_destroy(&k->vm);
		return ret;
	}
	if (ioctl(k->fd, KVM_CHECK_EXTENSION, KVM_CAP_READONLY_MEM) > 0)
		k->vm.caps |= ACCEL_CAP_ROMEM;
	*out = &k->vm;
	return 0;
}

static int kvm_mem_set(struct accel_vm *vm, unsigned int slot, uint64_t gpa, uint64_t len,
		       void *hva, bool readonly)
{
	struct kvm_vm *k = container_of(vm, struct kvm_vm, vm);
	struct kvm_userspace_memory_region r = {
		.slot = slot,
		.flags = readonly ? KVM_MEM_READONLY : 0,
		.guest_phys_addr = gpa,
		.memory_size = len,
		.userspace_addr = (uintptr_t)hva,
	};

	return ioctl(k->fd, KVM_SET_USER_MEMORY_REGION, &r) < 0 ? -errno : 0;
}

static void kvm_vcpu_destroy(struct accel_vcpu *vcpu)
{
	struct kvm_vcpu *v = container_of(vcpu, struct kvm_vcpu, vcpu);
	struct kvm_vm *k = container_of(vcpu->vm, struct kvm_vm, vm);

	if (v->run)
		munmap(v->run, k->run_size);
	if (v->fd >= 0)
		close(v->fd);
	free(v);
}

/* What firmware would have left: fast strings on, all memory write-back. */
static int kvm_vcpu_set_msrs(struct kvm_vcpu *v)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry[2];
	} m = {
		.head.nmsrs = 2,
		.entry = {
			{ .index = MSR_MISC_ENABLE, .data = 1 },
			{ .index = MSR_MTRR_DEF, .data = 1 << 11 | 6 },
		},
	};

	return ioctl(v->fd, KVM_SET_MSRS, &m) < 0 ? -errno : 0;
}

static int kvm_vcpu_create(struct accel_vm *vm, unsigned int id, struct accel_vcpu **out,
			   struct err *err)
{
	struct kvm_vm *k = container_of(vm, struct kvm_vm, vm);
	struct kvm_vcpu *v = calloc(1, sizeof(*v));
	void *run;
	int ret;

	if (!v)
		return err_set(err, -ENOMEM, "out of memory");
	v->vcpu.vm = vm;
	v->vcpu.id = id;
	v->fd = ioctl(k->fd, KVM_CREATE_VCPU, id);
	if (v->fd < 0) {
		ret = err_set(err, -errno, "--cpus: cannot create vCPU %u: %s", id,
			      strerror(errno));
		goto destroy;
	}
	run = mmap(NULL, k->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
	if (run == MAP_FAILED) {
		ret = err_set(err, -errno, "vCPU %u: cannot map its run page: %s", id,
			      strerror(errno));
		goto destroy;
	}
	v->run = run;
	ret = kvm_cpuid_apply(k, v);
	if (!ret)
		ret = kvm_vcpu_set_msrs(v);
	if (ret) {
		err_set(err, ret, "vCPU %u: cannot set CPUID and MSRs: %s", id, strerror(-ret));
		goto destroy;
	}
	*out = &v->vcpu;
	return 0;
destroy:
	kvm_vcpu_destroy(&v->vcpu);
	return ret;
}

static int kvm_vcpu_entry(struct accel_vcpu *vcpu, const struct accel_entry *entry)
{
	struct kvm_vcpu *v = container_of(vcpu, struct kvm_vcpu, vcpu);
	struct kvm_segment code = {
		.limit = 0xffffffff,
		.selector = 0x10,
		.type = 0xb,
		.present = 1,
		.s = 1,
		.l = 1,
		.g = 1,
	};
	struct kvm_segment data = {
		.limit = 0xffffffff,
		.selector = 0x18,
		.type = 0x3,
		.present = 1,
		.s = 1,
		.db = 1,
		.g = 1,
	};
	struct kvm_regs regs = {
		.rip = entry->rip,
		.rsp = entry->rsp,
		.rsi = entry->rsi,
		.rflags = 2,
	};
	struct kvm_sregs s;

	if (ioctl(v->fd, KVM_GET_SREGS, &s) < 0)
		return -errno;
	s.cs = code;
	s.ds = s.es = s.fs = s.gs = s.ss = data;
	s.gdt.base = entry->gdt_gpa;
	s.gdt.limit = entry->gdt_limit;
	s.idt.limit = 0;
	s.cr0 = 0x80000011; /* PG, ET, PE */
	s.cr3 = entry->cr3;
	s.cr4 = 0x20;	/* PAE */
	s.efer = 0x500; /* LMA, LME */
	if (ioctl(v->fd, KVM_SET_SREGS, &s) < 0 || ioctl(v->fd, KVM_SET_REGS, &regs) < 0)
		return -errno;
	return 0;
}

static void kvm_fail(struct kvm_vcpu *v, struct vmexit *e)
{
	struct kvm_regs r = { 0 };

	ioctl(v->fd, KVM_GET_REGS, &r);
	e->kind = VMEXIT_FAIL;
	if (v->run->exit_reason == KVM_EXIT_FAIL_ENTRY)
		snprintf(e->why, sizeof(e->why),
			 "KVM could not enter the guest, hardware reason %#llx",
			 v->run->fail_entry.hardware_entry_failure_reason);
	else if (v->run->exit_reason == KVM_EXIT_INTERNAL_ERROR)
		snprintf(e->why, sizeof(e->why), "KVM internal error %u at rip %#llx",
			 v->run->internal.suberror, r.rip);
	else
		snprintf(e->why, sizeof(e->why),
			 "KVM exit reason %u that we do not know, rip %#llx", v->run->exit_reason,
			 r.rip);
}

/* SVM leaves the registers undefined after a shutdown, so this is a hint and no more. */
static void kvm_shutdown(struct kvm_vcpu *v, struct vmexit *e)
{
	struct kvm_regs r = { 0 };
	struct kvm_sregs s = { 0 };

	ioctl(v->fd, KVM_GET_REGS, &r);
	ioctl(v->fd, KVM_GET_SREGS, &s);
	e->kind = VMEXIT_SHUTDOWN;
	snprintf(e->why, sizeof(e->why), "triple fault on vCPU %u, rip %#llx cr2 %#llx cr3 %#llx",
		 v->vcpu.id, r.rip, s.cr2, s.cr3);
}

static int kvm_vcpu_run(struct accel_vcpu *vcpu, struct vmexit *e)
{
	struct kvm_vcpu *v = container_of(vcpu, struct kvm_vcpu, vcpu);
	struct kvm_run *run = v->run;

	e->kind = VMEXIT_NONE;
	if (ioctl(v->fd, KVM_RUN, 0) < 0) {
		if (errno != EINTR && errno != EAGAIN) {
			e->kind = VMEXIT_FAIL;
			snprintf(e->why, sizeof(e->why), "KVM_RUN: %s", strerror(errno));
			return -errno;
		}
		/*
		 * Pairs with the order in vm_halt(): stop, then kick. Who looks for the stop after
		 * this sees it, or else the kick's store comes after ours and stays.
		 */
		store_once(&run->immediate_exit, 0);
		full_barrier();
		v->stat_other++;
		return 0;
	}
	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		v->stat_pio++;
		e->kind = VMEXIT_PIO;
		e->io.addr = run->io.port;
		e->io.size = run->io.size;
		e->io.count = run->io.count;
		e->io.write = run->io.direction == KVM_EXIT_IO_OUT;
		e->io.data = (uint8_t *)run + run->io.data_offset;
		return 0;
	case KVM_EXIT_MMIO:
		v->stat_mmio++;
		e->kind = VMEXIT_MMIO;
		e->io.addr = run->mmio.phys_addr;
		e->io.size = run->mmio.len;
		e->io.count = 1;
		e->io.write = run->mmio.is_write;
		e->io.data = run->mmio.data;
		return 0;
	case KVM_EXIT_IRQ_WINDOW_OPEN:
	case KVM_EXIT_INTR:
	case KVM_EXIT_IOAPIC_EOI: /* all our lines are edges: nothing to do at end of interrupt */
		v->stat_other++;
		return 0;
	case KVM_EXIT_HLT:
		e->kind = VMEXIT_HALT;
		return 0;
	case KVM_EXIT_SHUTDOWN:
		kvm_shutdown(v, e);
		return 0;
	default:
		kvm_fail(v, e);
		return -EIO;
	}
}

static void kvm_vcpu_kick(struct accel_vcpu *vcpu)
{
	struct kvm_vcpu *v = container_of(vcpu, struct kvm_vcpu, vcpu);

	store_once(&v->run->immediate_exit, 1);
}

static void kvm_vcpu_stats(struct accel_vcpu *vcpu, FILE *out)
{
	struct kvm_vcpu *v = container_of(vcpu, struct kvm_vcpu, vcpu);

	fprintf(out, "pio=%" PRIu64 " mmio=%" PRIu64 " other=%" PRIu64, load_once(&v->stat_pio),
		load_once(&v->stat_mmio), load_once(&v->stat_other));
}

const struct accel_ops accel_kvm = {
	.name = "kvm",
	.caps = ACCEL_CAP_IOEVENTFD | ACCEL_CAP_X86_PC,
	.probe = kvm_probe,
	.vm_create = kvm_vm_create,
	.vm_destroy = kvm_vm_destroy,
	.mem_set = kvm_mem_set,
	.vcpu_create = kvm_vcpu_create,
	.vcpu_destroy = kvm_vcpu_destroy,
	.vcpu_entry = kvm_vcpu_entry,
	.vcpu_run = kvm_vcpu_run,
	.vcpu_kick = kvm_vcpu_kick,
	.vcpu_stats = kvm_vcpu_stats,
	.irqfd = kvm_irqfd,
	.irq_route = kvm_irq_route,
	.ioeventfd = kvm_ioeventfd,
};
