/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Layout of one processor's switcher area; shared by switcher.S and world.c.
 *
 * Every processor has its own area at SW_VA + cpu * SW_STRIDE, in the launcher's page tables (host
 * view: all of it, of all processors) and in the guest's (guest view: this processor's only, with
 * the rights in brackets, supervisor). The text addresses the rest relative to itself.
 */
#ifndef LITE_SWITCHER_H
#define LITE_SWITCHER_H

#define SW_TEXT_PAGES 3
#define SW_RW	      0x4000 /* (rw) registers, entry stacks; not trusted after the guest ran */
#define SW_IDT	      0x5000 /* (r) */
#define SW_RO	      0x6000 /* (r) GDT, TSS, constants of the switcher tier */
#define SW_HO	      0x7000 /* (absent) host state */
#define SW_PAGES      8
#define SW_LDT	      0x10000 /* (r) 16 pages, as many as the vCPU's table has */
#define SW_STRIDE     0x20000
#define SW_RAM_P3     258 /* GiB into the hole: the guest's own memory */

/* RW page. The registers are a struct lite_regs; the processor pushes onto its end. */
#define D_REGS	    0x000
#define D_VEC	    0x078
#define D_ERR	    0x080
#define D_RIP	    0x088
#define D_CS	    0x090
#define D_FLAGS	    0x098
#define D_RSP	    0x0a0
#define D_SS	    0x0a8
#define D_REGS_END  0x0b0
#define D_MODE	    0x0c0 /* 1: in the guest's kernel; ring 1 that forges it hurts itself */
#define D_FAULT	    0x0c8 /* the switcher itself faulted: the guest is killed */
#define D_CR2	    0x0d0
#define D_KSP	    0x0d8 /* stack of the guest's kernel, checked at each use */
#define D_T0	    0x0e0
#define D_T1	    0x0e8
#define D_T2	    0x0f0
#define D_T3	    0x0f8
#define D_N_SYSCALL 0x100 /* counters */
#define D_N_IRET    0x108
#define D_N_TRAP    0x110
#define D_N_HC	    0x118
#define D_LAST_PF   0x120 /* address of the page fault that the switcher reflected last */
#define D_PF	    0x128 /* and of the one in hand */
#define D_QUEUED    0x130 /* entries of D_QUEUE */
#define D_BASE	    0x138 /* offset of the present one in R_BASE */
#define D_N_BASE    0x140 /* counts, too */
#define D_FAR	    0x3c0 /* far-return frame: RIP CS RSP SS */
#define D_STACK	    0x3c0 /* end of the ring-0 stack of the switcher tier */
#define D_IST	    0x600 /* 4 stacks of 0x200 */
#define D_IST_SIZE  0x200
#define D_QUEUE	    0xe00 /* SW_QUEUE places of entries that the shadow has yet to follow */

/* RO page */
#define R_GDT	    0x000
#define R_GDT_LIMIT 0x08f
#define R_GDT_LDT   0x080
#define R_TSS	    0x100
#define R_HCR3	    0x180
#define R_FAST	    0x188 /* FAST_* */
#define R_VI	    0x190 /* where the guest view has the vcpu_info */
#define R_SYSCALL   0x198 /* the guest's entry for system calls */
#define R_AC	    0x1a0 /* EFLAGS.AC if ring 1 runs with it */
#define R_RAM	    0x1a8 /* where the hole has the guest's memory */
#define R_FRAMES    0x1b0 /* of it */
#define R_KCS	    0x1c0 /* selectors of the guest's kernel */
#define R_KSS	    0x1c8
#define R_TRAP	    0x200 /* 32 handlers; 0: leave */
#define R_BASE	    0x300 /* SW_BASES pairs of roots, 256 bytes; the first: of the last entry */

/* One of them: the guest's own (frames), what CR3 gets; of programs: 0 if there is none. */
#define B_KROOT 0
#define B_KCR3	8
#define B_UCR3	16
#define B_UROOT 24
#define B_SIZE	32

#define FAST_OFF   1 /* all is the core's business */
#define FAST_LIGHT 2
#define FAST_SMAP  4
#define FAST_VERW  8
#define FAST_RSB   16
#define FAST_CLAC  32 /* the processor has SMAP: AC is not for the host's C code */

#define FAST_QUEUE  64
#define FAST_OTHERS 128	 /* the guest has several vCPUs */
#define FAST_TWO    256	 /* two roots, the guest's kernel in ring 3: D_MODE alone says who runs */
#define FAST_SPEC   1024 /* on each way out: write SPEC_CTRL, */
#define FAST_IBPB   2048 /* forget what branches were taught, */
#define FAST_BHB    4096 /* or their history */
#define FAST_BASE   8192 /* D_BASE may change */
#define FAST_PKU    16384
#define FAST_STAC   512 /* and SMAP is on: the guest's kernel has its stack in a program's pages */

/* HO page */
#define H_RSP	0x000
#define H_GCR3	0x008
#define H_GDT	0x010 /* host's GDTR, as the guest leaves; 10 bytes each */
#define H_GDTRW 0x020 /* its writable alias */
#define H_IDT	0x030
#define H_SGDT	0x040 /* the switcher's */
#define H_SIDT	0x050
#define H_SEL	0x060 /* ds es fs gs: host's */
#define H_GSEL	0x068 /* guest's */
#define H_FS	0x070
#define H_GS	0x078
#define H_KGS	0x080
#define H_GFS	0x088
#define H_GGS	0x090
#define H_GKGS	0x098
#define H_TSSB	0x0a0 /* address of the busy byte in the host's GDT alias */
#define H_LIGHT 0x0a8 /* function, and its argument */
#define H_LARG	0x0b0
#define H_NMI	0x0b8 /* NMIs, machine checks that came while the switcher ran */
#define H_MCE	0x0c0
#define H_VERW	0x0c8 /* a selector for VERW, which clears the processor's buffers */
#define H_DR7	0x0d0 /* the guest's, if breakpoints of its are armed, else 0 */
#define H_LDT	0x0d8 /* host's */
#define H_SPEC	0x0e8 /* the host's SPEC_CTRL */
#define H_GLDT	0x0e0 /* guest's: R_GDT_LDT, or 0 */

#define SW_QUEUE      64
#define SW_BASES      8
#define SW_BATCH      16 /* page table requests that one hypercall may have */
#define SW_DOMID_SELF 0x7ff0
#define SW_LIGHT_VECS (1 << 6 | 1 << 13 | 1 << 14) /* traps that a light exit may serve */

/* In ring 1; a kernel in ring 3 has the selectors of programs. */
#define SW_KERN_CS 0x51
#define SW_KERN_SS 0x59
#define SW_USER_CS 0x33
#define SW_USER_SS 0x2b
/* What a frame on the guest's stack shows as its kernel's own. */
#define SW_SHOWN_CS 0xe030
#define SW_SHOWN_SS 0xe02b
#define SW_FLAGS    0x254dd5 /* EFLAGS that a guest may have */

#endif
