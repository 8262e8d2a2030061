/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shared by the accel_kvm*.c files and by nobody else: they are the only users of <linux/kvm.h>.
 */
#ifndef LODGE_ACCEL_KVM_H
#define LODGE_ACCEL_KVM_H

#include <linux/kvm.h>
#include <pthread.h>

#include "accel.h"
#include "lite/abi/platform.h"

/**
 * struct kvm_line - one interrupt line between an eventfd and the guest's local APICs
 * @fd:	      the eventfd, -1 when nobody drives the line
 * @assigned: KVM listens to @fd right now
 * @open:     the guest has unmasked the line
 */
struct kvm_line {
	int fd;
	bool assigned;
	bool open;
	uint64_t addr;
	uint32_t data;
};

struct kvm_vm {
	struct accel_vm vm;
	int sys_fd, fd;
	int run_size;
	unsigned int ncpus;
	struct kvm_cpuid2 *cpuid; /* template; the APIC ids are filled in per vCPU */
	pthread_mutex_t lock;	  /* line[] */
	struct kvm_line line[LODGE_GSI_COUNT];
};

/**
 * struct kvm_vcpu - written by its own thread only, @run->immediate_exit excepted
 */
struct kvm_vcpu {
	struct accel_vcpu vcpu;
	int fd;
	struct kvm_run *run;
	uint64_t stat_pio, stat_mmio, stat_other;
};

/* accel_kvm_cpuid.c */
int kvm_cpuid_template(struct kvm_vm *k);
int kvm_cpuid_apply(struct kvm_vm *k, struct kvm_vcpu *v);

/* accel_kvm_irq.c */
int kvm_irqfd(struct accel_vm *vm, unsigned int gsi, int fd);
int kvm_irq_route(struct accel_vm *vm, unsigned int gsi, bool masked, uint64_t addr, uint32_t data);
int kvm_ioeventfd(struct accel_vm *vm, uint64_t addr, uint32_t match, int fd);

#endif
