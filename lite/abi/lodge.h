/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * /dev/lodge, as the VMM sees it: a system descriptor, one per VM, one per vCPU, and a mapped run
 * page; the shape of /dev/kvm. Layouts are frozen within LODGE_ABI_VERSION. Reserved fields must be
 * zero and unknown flags are refused (EINVAL), so that they can get a meaning later.
 *
 * The guest speaks Xen's 64-bit PV ABI; what only lodge adds to that is in pv.h.
 */
#ifndef LODGE_ABI_LODGE_H
#define LODGE_ABI_LODGE_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define LODGE_ABI_VERSION 1
#define LODGE_DEVICE	  "/dev/lodge"

/* Limits of this version. */
#define LODGE_SLOTS_MAX 32
#define LODGE_PORTS_MAX 4096 /* event channels of a guest, 2-level ABI */

/**
 * struct lodge_info - LODGE_INFO: what this module is
 * @version:   LODGE_ABI_VERSION
 * @ring:      privilege level that guest kernels run at
 * @levels:    levels of the host's page tables, 4 or 5
 * @vcpus_max: vCPUs of one VM
 * @run_size:  bytes to map of a vCPU descriptor
 * @flags:     LODGE_INFO_*
 */
struct lodge_info {
	__u32 version;
	__u32 ring;
	__u32 levels;
	__u32 vcpus_max;
	__u32 run_size;
	__u32 flags;
	__u32 reserved[10];
};
#define LODGE_INFO_CACHE (1 << 0) /* shadow pages survive a change of the guest's root */

/** struct lodge_vm_config - LODGE_VM_CREATE; returns the VM's descriptor */
struct lodge_vm_config {
	__u32 version; /* LODGE_ABI_VERSION: refused if the module does not speak it */
	__u32 vcpus;
	__u32 flags; /* 0 */
	__u32 reserved[5];
};

/**
 * struct lodge_mem - LODGE_MEM_SET: guest frames [@gpa, @gpa + @size) are the memory at @hva
 *
 * Page aligned; slots may not overlap; a slot can be set once. Pages are pinned when first used and
 * stay so until the VM is gone, whatever happens to the mapping at @hva. Slot 0 is the RAM, at 0.
 */
struct lodge_mem {
	__u32 slot;
	__u32 flags; /* LODGE_MEM_* */
	__u64 gpa;
	__u64 size;
	__u64 hva;
};
#define LODGE_MEM_RDONLY (1 << 0) /* for the guest */

/** struct lodge_pv - LODGE_PV_SET: once, after the memory and before the first vCPU runs */
struct lodge_pv {
	__u64 shared_info; /* gpa of a page that no other use is made of */
	__u64 root;	   /* gpa of the first L4 table; it counts as pinned */
	__u64 frames;	   /* what the guest is told that it has */
	__u32 ports_host;  /* event channels 1 .. @ports_host - 1 belong to the VMM */
	__u32 reserved[5];
};

/**
 * struct lodge_port - LODGE_IRQFD, LODGE_IOEVENTFD: event channel @port and eventfd @fd
 *
 * IRQFD: a signal of @fd raises @port in the guest. IOEVENTFD: a send by the guest on @port signals
 * @fd. @port is one of the VMM's. One of each kind per port; LODGE_PORT_DEASSIGN takes it away.
 */
struct lodge_port {
	__u32 port;
	__s32 fd;
	__u32 flags;
	__u32 reserved;
};
#define LODGE_PORT_DEASSIGN (1 << 0)

/** struct lodge_state - LODGE_STATE_GET, _SET: what of a vCPU the guest's memory does not hold */
struct lodge_state {
	__u64 rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp;
	__u64 r8, r9, r10, r11, r12, r13, r14, r15;
	__u64 rip, rflags;
	__u64 fs_base, gs_base, gs_base_other; /* GS: of the current mode, and of the other */
	__u16 ds, es, fs, gs;
	__u32 kernel; /* 1 in the guest's kernel, 0 in its user mode */
	__u32 pad;
	__u64 kernel_sp;
	__u64 root, user_root; /* gpa of the L4 tables */
	__u64 cr2, dr0, dr1, dr2, dr3, dr6, dr7;
	__u64 reserved[16];
};

enum lodge_exit_reason {
	LODGE_EXIT_NONE,     /* a signal, or nothing; run again */
	LODGE_EXIT_PIO,	     /* io */
	LODGE_EXIT_VIRTIO,   /* virtio: LODGE_HC_VIRTIO_WRITE */
	LODGE_EXIT_CONSOLE,  /* console: text of HYPERVISOR_console_io */
	LODGE_EXIT_SHUTDOWN, /* shutdown.reason: SHUTDOWN_* of Xen's sched.h */
	LODGE_EXIT_KILLED,   /* killed.why: the guest broke a rule; it never runs again */
};

/**
 * struct lodge_run - the run page: why LODGE_RUN came back
 *
 * The module writes it before LODGE_RUN returns, and reads of it only @io.data after a PIO read.
 */
struct lodge_run {
	__u32 reason; /* enum lodge_exit_reason */
	__u32 pad;
	union {
		struct {
			__u16 port;
			__u8 size; /* 1, 2 or 4 */
			__u8 write;
			__u32 data;
		} io;
		struct {
			__u32 device; /* index on the bus */
			__u32 offset; /* in its register page */
			__u64 value;
			__u32 size; /* 1, 2, 4 or 8 */
			__u32 pad;
		} virtio;
		struct {
			__u32 len;
			char text[500];
		} console;
		struct {
			__u32 reason;
		} shutdown;
		struct {
			char why[256];
		} killed;
		__u8 bytes[1016];
	};
};
_Static_assert(sizeof(struct lodge_run) == 1024, "frozen");

/**
 * struct lodge_stats - LODGE_STATS of a vCPU: counters since it was created
 *
 * Exits by reason; those handled in the switcher or by a light exit are not in @exits.
 */
struct lodge_stats {
	__u64 exits;					  /* full exits */
	__u64 lights;					  /* light exits */
	__u64 sw_syscall, sw_iret, sw_trap, sw_hypercall; /* answered in the switcher */
	__u64 irq, nmi, page_fault, general_protection, hypercall, other; /* of the full exits */
	__u64 light_page_fault, light_hypercall;
	__u64 halts;   /* times the vCPU slept */
	__u64 events;  /* upcalls delivered */
	__u64 traps;   /* traps handed to the guest's kernel by the core */
	__u64 fills;   /* shadow entries made */
	__u64 shadows; /* shadow pages now */
	__u64 shadow_new, shadow_evicted;
	__u64 syncs;	      /* leaf tables compared with the guest's */
	__u64 base_switches;  /* changes of the kernel's root, in all tiers */
	__u64 hypercalls[64]; /* by number, all tiers but the switcher */
	__u64 shoots;	      /* times others had to leave the guest for it: TLB shoot-downs */
	__u64 steal;	      /* ns that the thread has waited for a processor */
	__u64 light_other; /* #GP and #UD, most of them instructions that ring 1 may not execute */
	__u64 sw_updates;  /* changes of page tables that the switcher has taken */
	__u64 reserved[20];
};

#define LODGE_INFO	_IOR('L', 0, struct lodge_info)
#define LODGE_VM_CREATE _IOW('L', 1, struct lodge_vm_config)
/* of a VM's descriptor */
#define LODGE_MEM_SET	  _IOW('L', 16, struct lodge_mem)
#define LODGE_PV_SET	  _IOW('L', 17, struct lodge_pv)
#define LODGE_IRQFD	  _IOW('L', 18, struct lodge_port)
#define LODGE_IOEVENTFD	  _IOW('L', 19, struct lodge_port)
#define LODGE_VCPU_CREATE _IO('L', 20) /* the argument is its number; returns its descriptor */
/* of a vCPU's descriptor */
#define LODGE_RUN	_IO('L', 32)
#define LODGE_STATE_GET _IOR('L', 33, struct lodge_state)
#define LODGE_STATE_SET _IOW('L', 34, struct lodge_state)
#define LODGE_STATS	_IOR('L', 35, struct lodge_stats)

#endif
