/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The interface between the VMM and whatever runs guest code. A const table of operations per
 * accelerator; no kvm_run or run page is seen outside of accel_*.c. What an accelerator may lack is
 * a capability bit, checked once at start-up, never a surprise at run time.
 *
 * Threads: vm operations at set-up from the main thread; vcpu operations from that vCPU's own
 * thread except vcpu_kick, which is async-signal-safe and callable from anywhere.
 */
#ifndef LODGE_ACCEL_H
#define LODGE_ACCEL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "err.h"

enum accel_cap {
	ACCEL_CAP_ROMEM = 1 << 0,     /* mem_set() can map memory that the guest may only read */
	ACCEL_CAP_IOEVENTFD = 1 << 1, /* guest writes turn into eventfd signals without an exit */
	ACCEL_CAP_X86_PC = 1 << 2, /* real-mode-free PC: bzImage 64-bit protocol, ACPI, IO-APIC */
	ACCEL_CAP_XEN_PV = 1 << 3, /* Xen PV guest: its loader, event channels, lite/abi/pv.h */
};

enum vmexit_kind {
	VMEXIT_NONE,	 /* nothing to do; run again (signal, internal work done) */
	VMEXIT_PIO,	 /* port access, see io */
	VMEXIT_MMIO,	 /* memory access outside RAM, see io; with X86_PC only */
	VMEXIT_VIRTIO,	 /* write of a device's register, see virtio; with XEN_PV only */
	VMEXIT_CONSOLE,	 /* the guest's kernel has something to say, see console; likewise */
	VMEXIT_POWEROFF, /* the guest asked for it by a call; this and the next two: likewise */
	VMEXIT_RESET,
	VMEXIT_PANIC,
	VMEXIT_HALT,	 /* this vCPU stopped for good */
	VMEXIT_SHUTDOWN, /* triple fault, or the guest broke a rule and was stopped */
	VMEXIT_FAIL,	 /* the accelerator cannot go on; why[] says so */
};

/**
 * struct vmexit - why vcpu_run() came back, tagged
 * @io:	 for PIO and MMIO: the VMM reads or fills @data for each of @count items of @size bytes,
 *	 before the next vcpu_run()
 * @virtio: @device is its index on the bus, @offset in its register page; all are the guest's
 * @console: @len bytes at @text, valid until the next vcpu_run()
 * @why: for FAIL and SHUTDOWN: one line
 */
struct vmexit {
	enum vmexit_kind kind;
	struct {
		uint64_t addr;
		void *data;
		uint32_t count;
		uint8_t size;
		bool write;
	} io;
	struct {
		uint64_t value;
		uint32_t device, offset, size;
	} virtio;
	struct {
		const char *text;
		uint32_t len;
	} console;
	char why[128];
};

/**
 * struct accel_vm - common head of an accelerator's VM; embedded
 */
struct accel_vm {
	const struct accel_ops *ops;
	unsigned int caps; /* enum accel_cap */
	unsigned int vcpus_max;
};

struct accel_vcpu {
	struct accel_vm *vm;
	unsigned int id;
};

/**
 * struct accel_entry - state in which the boot processor starts (64-bit mode, flat, paging on)
 *
 * Page tables, GDT and so on are in guest memory already; the loader put them there. A Xen PV guest
 * has no GDT at first, and @cr3 is its first root.
 */
struct accel_entry {
	uint64_t rip, rsp, rsi;
	uint64_t cr3;
	uint64_t gdt_gpa;
	uint16_t gdt_limit;
};

/**
 * struct accel_pv - what a Xen PV guest has besides memory and a processor
 * @shared_info: gpa of that page
 * @root:	 gpa of the first L4 table
 * @frames:	 of RAM
 * @ports:	 event channels below this are the VMM's
 */
struct accel_pv {
	uint64_t shared_info, root, frames;
	uint32_t ports;
};

/**
 * struct accel_ops - an accelerator
 * @name:	 as in --accel NAME
 * @caps:	 what every VM of it can do, so that the machine can be chosen before there is one
 * @probe:	 can it run a stock kernel here? 0, or -errno with a line that says what is missing
 *		 and how to mend it. Opens nothing that stays.
 * @vm_create:	 new VM; *@out embeds the accelerator's own state
 * @mem_set:	 map [@gpa, @gpa + @len) to @hva as slot @slot; page aligned
 * @vcpu_create: new vCPU @id; vCPU 0 is the boot processor
 * @vcpu_entry:	 set vCPU 0's start state
 * @vcpu_run:	 run until there is something for the VMM to do
 * @vcpu_kick:	 make the next vcpu_run() return VMEXIT_NONE at once; one that runs already returns
 *		 when its thread gets a signal, which the caller sends after this
 * @irqfd:	 an eventfd raises interrupt line @gsi (edge), with XEN_PV event channel @gsi, from
 *		 now on; signals that come while it is masked or not routed yet count once it is
 * @irq_route:	 the interrupt controller's entry for @gsi changed: deliver as this message, or hold
 *		 back while @masked. With ACCEL_CAP_X86_PC only; any vCPU thread.
 * @ioeventfd:	 a guest write of the 32-bit value @match at guest-physical @addr signals @fd
 * @port_fd:	 a guest's send on event channel @port signals @fd; with XEN_PV only
 * @pv_set:	 once, after all memory and before vcpu_entry(); with XEN_PV only
 * @vcpu_stats:	 counters of a vCPU's exits, "key=value" words; any thread
 */
struct accel_ops {
	const char *name;
	unsigned int caps;
	int (*probe)(struct err *err);
	int (*vm_create)(struct accel_vm **out, unsigned int ncpus, struct err *err);
	void (*vm_destroy)(struct accel_vm *vm);
	int (*mem_set)(struct accel_vm *vm, unsigned int slot, uint64_t gpa, uint64_t len,
		       void *hva, bool readonly);
	int (*vcpu_create)(struct accel_vm *vm, unsigned int id, struct accel_vcpu **out,
			   struct err *err);
	void (*vcpu_destroy)(struct accel_vcpu *vcpu);
	int (*vcpu_entry)(struct accel_vcpu *vcpu, const struct accel_entry *entry);
	int (*vcpu_run)(struct accel_vcpu *vcpu, struct vmexit *exit);
	void (*vcpu_kick)(struct accel_vcpu *vcpu);
	int (*irqfd)(struct accel_vm *vm, unsigned int gsi, int fd);
	int (*irq_route)(struct accel_vm *vm, unsigned int gsi, bool masked, uint64_t addr,
			 uint32_t data);
	int (*ioeventfd)(struct accel_vm *vm, uint64_t addr, uint32_t match, int fd);
	int (*port_fd)(struct accel_vm *vm, unsigned int port, int fd);
	int (*pv_set)(struct accel_vm *vm, const struct accel_pv *pv);
	void (*vcpu_stats)(struct accel_vcpu *vcpu, FILE *out);
};

extern const struct accel_ops accel_kvm, accel_lite;

/** accel_find - the accelerator for --accel NAME, "auto" takes the first whose probe says yes */
int accel_find(const char *name, const struct accel_ops **out, struct err *err);

/** accel_names - "auto|kvm|lite": for help and messages */
const char *accel_names(void);

#endif
