// SPDX-License-Identifier: GPL-2.0-only
/*
 * The lite accelerator: paravirtualized guests through /dev/lodge, on machines without VT. Called
 * through accel_ops; nobody else knows lite/abi/lodge.h. What the module says about a guest ends up
 * in messages, so it is copied and bounded here.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xen/xen.h>
#include <xen/sched.h>

#include "accel.h"
#include "lite/abi/lodge.h"
#include "util.h"

struct lite_vm {
	struct accel_vm vm;
	int sys_fd, fd;
	uint32_t run_size;
};

struct lite_vcpu {
	struct accel_vcpu vcpu;
	int fd;
	struct lodge_run *run;
};

/* Open and check /dev/lodge; the descriptor, or -errno with a line that says what to do. */
static int lite_open(struct lodge_info *info, struct err *err)
{
	int fd, ret;

	fd = open(LODGE_DEVICE, O_RDWR | O_CLOEXEC);
	if (fd < 0 && (errno == ENOENT || errno == ENODEV || errno == ENXIO))
		return err_set(err, -errno,
			       "no " LODGE_DEVICE ": load lodge.ko (make modules; insmod "
			       "build/modules/lodge.ko)");
	if (fd < 0 && (errno == EACCES || errno == EPERM))
		return err_set(err, -errno,
			       LODGE_DEVICE ": permission denied; join its group (usermod -aG "
					    "lodge USER, then log in again)");
	if (fd < 0)
		return err_set(err, -errno, LODGE_DEVICE ": %s", strerror(errno));
	memset(info, 0, sizeof(*info));
	if (ioctl(fd, LODGE_INFO, info) < 0) {
		ret = err_set(err, -errno, LODGE_DEVICE ": is not lodge's module: %s",
			      strerror(errno));
		goto close;
	}
	if (info->version != LODGE_ABI_VERSION || info->run_size < sizeof(struct lodge_run)) {
		ret = err_set(err, -ENODEV,
			      LODGE_DEVICE ": the module speaks version %u, this lodge %u; load "
					   "the module of the same build",
			      info->version, LODGE_ABI_VERSION);
		goto close;
	}
	return fd;
close:
	close(fd);
	return ret;
}

static int lite_probe(struct err *err)
{
	struct lodge_info info;
	int fd = lite_open(&info, err);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

static void lite_vm_destroy(struct accel_vm *vm)
{
	struct lite_vm *l = container_of(vm, struct lite_vm, vm);

	if (l->fd >= 0)
		close(l->fd);
	if (l->sys_fd >= 0)
		close(l->sys_fd);
	free(l);
}

static int lite_vm_create(struct accel_vm **out, unsigned int ncpus, struct err *err)
{
	struct lodge_vm_config config = { .version = LODGE_ABI_VERSION, .vcpus = ncpus };
	struct lite_vm *l = calloc(1, sizeof(*l));
	struct lodge_info info;
	int ret;

	if (!l)
		return err_set(err, -ENOMEM, "out of memory");
	l->vm.ops = &accel_lite;
	l->vm.caps = accel_lite.caps;
	l->fd = -1;
	ret = l->sys_fd = lite_open(&info, err);
	if (ret < 0)
		goto destroy;
	l->vm.vcpus_max = info.vcpus_max;
	l->run_size = info.run_size;
	if (ncpus > info.vcpus_max) {
		ret = err_set(err, -ERANGE,
			      "--cpus: lite mode has %u for a guest; use %s%u, or KVM mode",
			      info.vcpus_max, info.vcpus_max > 1 ? "1 to " : "", info.vcpus_max);
		goto destroy;
	}
	l->fd = ioctl(l->sys_fd, LODGE_VM_CREATE, &config);
	if (l->fd < 0) {
		ret = err_set(err, -errno,
			      LODGE_DEVICE ": cannot create a guest: %s; the kernel's log may say "
					   "more",
			      strerror(errno));
		goto destroy;
	}
	*out = &l->vm;
	return 0;
destroy:
	lite_vm_destroy(&l->vm);
	return ret;
}

static int lite_mem_set(struct accel_vm *vm, unsigned int slot, uint64_t gpa, uint64_t len,
			void *hva, bool readonly)
{
	struct lite_vm *l = container_of(vm, struct lite_vm, vm);
	struct lodge_mem m = {
		.slot = slot,
		.flags = readonly ? LODGE_MEM_RDONLY : 0,
		.gpa = gpa,
		.size = len,
		.hva = (uintptr_t)hva,
	};

	return ioctl(l->fd, LODGE_MEM_SET, &m) < 0 ? -errno : 0;
}

static void lite_vcpu_destroy(struct accel_vcpu *vcpu)
{
	struct lite_vcpu *v = container_of(vcpu, struct lite_vcpu, vcpu);
	struct lite_vm *l = container_of(vcpu->vm, struct lite_vm, vm);

	if (v->run)
		munmap(v->run, l->run_size);
	if (v->fd >= 0)
		close(v->fd);
	free(v);
}

static int lite_vcpu_create(struct accel_vm *vm, unsigned int id, struct accel_vcpu **out,
			    struct err *err)
{
	struct lite_vm *l = container_of(vm, struct lite_vm, vm);
	struct lite_vcpu *v = calloc(1, sizeof(*v));
	void *run;
	int ret;

	if (!v)
		return err_set(err, -ENOMEM, "out of memory");
	v->vcpu.vm = vm;
	v->vcpu.id = id;
	v->fd = ioctl(l->fd, LODGE_VCPU_CREATE, (unsigned long)id);
	if (v->fd < 0) {
		ret = err_set(err, -errno, "--cpus: cannot create vCPU %u: %s", id,
			      strerror(errno));
		goto destroy;
	}
	run = mmap(NULL, l->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
	if (run == MAP_FAILED) {
		ret = err_set(err, -errno, "vCPU %u: cannot map its run page: %s", id,
			      strerror(errno));
		goto destroy;
	}
	v->run = run;
	*out = &v->vcpu;
	return 0;
destroy:
	lite_vcpu_destroy(&v->vcpu);
	return ret;
}

static int lite_vcpu_entry(struct accel_vcpu *vcpu, const struct accel_entry *entry)
{
	struct lite_vcpu *v = container_of(vcpu, struct lite_vcpu, vcpu);
	struct lodge_state s = {
		.rip = entry->rip,
		.rsp = entry->rsp,
		.rsi = entry->rsi,
		.kernel_sp = entry->rsp,
		.root = entry->cr3,
		.kernel = 1,
	};

	return ioctl(v->fd, LODGE_STATE_SET, &s) < 0 ? -errno : 0;
}

static void lite_shutdown(uint32_t reason, struct vmexit *e)
{
	switch (reason) {
	case SHUTDOWN_poweroff:
		e->kind = VMEXIT_POWEROFF;
		return;
	case SHUTDOWN_reboot:
		e->kind = VMEXIT_RESET;
		return;
	case SHUTDOWN_crash:
		e->kind = VMEXIT_PANIC;
		return;
	}
	e->kind = VMEXIT_SHUTDOWN;
	snprintf(e->why, sizeof(e->why), "shut down for a reason that lodge has no use for: %u",
		 reason);
}

/* @text is of @len bytes, ended by a zero or not. */
static void lite_why(struct vmexit *e, const char *text, size_t len)
{
	size_t i;

	snprintf(e->why, sizeof(e->why), "%.*s", (int)strnlen(text, len), text);
	for (i = 0; e->why[i]; i++)
		if (e->why[i] < ' ' || e->why[i] > '~')
			e->why[i] = '?';
}

static int lite_vcpu_run(struct accel_vcpu *vcpu, struct vmexit *e)
{
	struct lite_vcpu *v = container_of(vcpu, struct lite_vcpu, vcpu);
	struct lodge_run *run = v->run;
	int ret;

	e->kind = VMEXIT_NONE;
	if (ioctl(v->fd, LODGE_RUN, 0) < 0) {
		if (errno == EINTR || errno == EAGAIN)
			return 0;
		ret = -errno;
		e->kind = VMEXIT_FAIL;
		snprintf(e->why, sizeof(e->why), "LODGE_RUN: %s", strerror(-ret));
		return ret;
	}
	switch (run->reason) {
	case LODGE_EXIT_NONE:
		return 0;
	case LODGE_EXIT_PIO:
		e->kind = VMEXIT_PIO;
		e->io.addr = run->io.port;
		e->io.size = run->io.size;
		e->io.count = 1;
		e->io.write = run->io.write;
		e->io.data = &run->io.data;
		return 0;
	case LODGE_EXIT_VIRTIO:
		e->kind = VMEXIT_VIRTIO;
		e->virtio.device = run->virtio.device;
		e->virtio.offset = run->virtio.offset;
		e->virtio.value = run->virtio.value;
		e->virtio.size = run->virtio.size;
		return 0;
	case LODGE_EXIT_CONSOLE:
		e->kind = VMEXIT_CONSOLE;
		e->console.text = run->console.text;
		e->console.len = MIN(run->console.len, sizeof(run->console.text));
		return 0;
	case LODGE_EXIT_SHUTDOWN:
		lite_shutdown(run->shutdown.reason, e);
		return 0;
	case LODGE_EXIT_KILLED:
		e->kind = VMEXIT_SHUTDOWN;
		lite_why(e, run->killed.why, sizeof(run->killed.why));
		return 0;
	default:
		e->kind = VMEXIT_FAIL;
		snprintf(e->why, sizeof(e->why), "LODGE_RUN: reason %u that we do not know",
			 run->reason);
		return -EIO;
	}
}

/* Nothing to set: the caller signals until the thread has seen it (vcpu_join()). */
static void lite_vcpu_kick(struct accel_vcpu *vcpu)
{
}

static int lite_port(struct accel_vm *vm, unsigned long request, unsigned int port, int fd)
{
	struct lite_vm *l = container_of(vm, struct lite_vm, vm);
	struct lodge_port p = { .port = port, .fd = fd };

	return ioctl(l->fd, request, &p) < 0 ? -errno : 0;
}

static int lite_irqfd(struct accel_vm *vm, unsigned int port, int fd)
{
	return lite_port(vm, LODGE_IRQFD, port, fd);
}

static int lite_port_fd(struct accel_vm *vm, unsigned int port, int fd)
{
	return lite_port(vm, LODGE_IOEVENTFD, port, fd);
}

static int lite_pv_set(struct accel_vm *vm, const struct accel_pv *pv)
{
	struct lite_vm *l = container_of(vm, struct lite_vm, vm);
	struct lodge_pv p = {
		.shared_info = pv->shared_info,
		.root = pv->root,
		.frames = pv->frames,
		.ports_host = pv->ports,
	};

	return ioctl(l->fd, LODGE_PV_SET, &p) < 0 ? -errno : 0;
}

static const struct {
	const char *name;
	size_t offset;
} lite_counters[] = {
	{ "exits", offsetof(struct lodge_stats, exits) },
	{ "lights", offsetof(struct lodge_stats, lights) },
	{ "sw_syscall", offsetof(struct lodge_stats, sw_syscall) },
	{ "sw_iret", offsetof(struct lodge_stats, sw_iret) },
	{ "sw_trap", offsetof(struct lodge_stats, sw_trap) },
	{ "sw_hypercall", offsetof(struct lodge_stats, sw_hypercall) },
	{ "sw_updates", offsetof(struct lodge_stats, sw_updates) },
	{ "irq", offsetof(struct lodge_stats, irq) },
	{ "nmi", offsetof(struct lodge_stats, nmi) },
	{ "pf", offsetof(struct lodge_stats, page_fault) },
	{ "gp", offsetof(struct lodge_stats, general_protection) },
	{ "hypercall", offsetof(struct lodge_stats, hypercall) },
	{ "other", offsetof(struct lodge_stats, other) },
	{ "light_pf", offsetof(struct lodge_stats, light_page_fault) },
	{ "light_hypercall", offsetof(struct lodge_stats, light_hypercall) },
	{ "light_other", offsetof(struct lodge_stats, light_other) },
	{ "halts", offsetof(struct lodge_stats, halts) },
	{ "events", offsetof(struct lodge_stats, events) },
	{ "traps", offsetof(struct lodge_stats, traps) },
	{ "fills", offsetof(struct lodge_stats, fills) },
	{ "shadows", offsetof(struct lodge_stats, shadows) },
	{ "shadow_new", offsetof(struct lodge_stats, shadow_new) },
	{ "shadow_evicted", offsetof(struct lodge_stats, shadow_evicted) },
	{ "syncs", offsetof(struct lodge_stats, syncs) },
	{ "base_switches", offsetof(struct lodge_stats, base_switches) },
	{ "shoots", offsetof(struct lodge_stats, shoots) },
	{ "steal", offsetof(struct lodge_stats, steal) },
};

static void lite_vcpu_stats(struct accel_vcpu *vcpu, FILE *out)
{
	struct lite_vcpu *v = container_of(vcpu, struct lite_vcpu, vcpu);
	struct lodge_stats s;
	unsigned int i;

	if (ioctl(v->fd, LODGE_STATS, &s) < 0) {
		fprintf(out, "stats=%s", strerror(errno));
		return;
	}
	for (i = 0; i < ARRAY_SIZE(lite_counters); i++)
		fprintf(out, "%s%s=%" PRIu64, i ? " " : "", lite_counters[i].name,
			*(const uint64_t *)((const char *)&s + lite_counters[i].offset));
	for (i = 0; i < ARRAY_SIZE(s.hypercalls); i++)
		if (s.hypercalls[i])
			fprintf(out, " hc%u=%" PRIu64, i, (uint64_t)s.hypercalls[i]);
}

const struct accel_ops accel_lite = {
	.name = "lite",
	.caps = ACCEL_CAP_ROMEM | ACCEL_CAP_IOEVENTFD | ACCEL_CAP_XEN_PV,
	.probe = lite_probe,
	.vm_create = lite_vm_create,
	.vm_destroy = lite_vm_destroy,
	.mem_set = lite_mem_set,
	.vcpu_create = lite_vcpu_create,
	.vcpu_destroy = lite_vcpu_destroy,
	.vcpu_entry = lite_vcpu_entry,
	.vcpu_run = lite_vcpu_run,
	.vcpu_kick = lite_vcpu_kick,
	.irqfd = lite_irqfd,
	.port_fd = lite_port_fd,
	.pv_set = lite_pv_set,
	.vcpu_stats = lite_vcpu_stats,
};
