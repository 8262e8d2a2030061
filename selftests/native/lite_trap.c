// SPDX-License-Identifier: GPL-2.0-only
/*
 * Trap and event frames, byte by byte, iret and int n of lite mode's core (lite/core/trap.c,
 * iret.c); what cannot be delivered; and that what has to be repeated has changed nothing.
 */
#include "lite_fake.h"

/* --- frames --------------------------- */

static void frame_user(void)
{
	start(false);
	ksft_eq(serve(3, 0), LITE_RESUME);
	frame_is(KSP, 0, 0, USER_RIP, 0x33, 0x10246, USER_RSP, 0x2b);
	ksft_eq(vcpu.r.rip, HANDLER + 3 * 16);
	ksft_eq(vcpu.r.rflags, 0x202);
	ksft_eq(vcpu.gs_base, 0x66);
	ksft_eq(vcpu.gs_other, 0x65);
	ksft_eq(info.evtchn_upcall_mask, 0);
	ksft_eq(vcpu.stats.traps, 1);
}

static void frame_user_error(void)
{
	start(false);
	vcpu.r.cs = LITE_USER_CS32;
	ksft_eq(serve(12, 0x18), LITE_RESUME);
	frame_is(KSP, 1, 0x18, USER_RIP, 0x23, 0x10246, USER_RSP, 0x2b);
}

static void frame_kernel(void)
{
	start(true);
	vcpu.ac = true;
	vcpu.r.rflags |= FLAG_AC;
	info.evtchn_upcall_mask = 1;
	vcpu.trap[16].mask = true;
	ksft_eq(serve(16, 0), LITE_RESUME);
	frame_is(STACK, 0, 0, CODE, LITE_SHOWN_CS | 1ull << 32, 0x10046, STACK, LITE_SHOWN_SS);
	ksft_eq(vcpu.r.rflags, 0x202 | FLAG_AC);
	ksft_eq(vcpu.gs_base, 0x65);
}

static void frame_kernel_error(void)
{
	start(true);
	ksft_eq(serve(17, 0), LITE_RESUME);
	frame_is(STACK, 1, 0, CODE, LITE_SHOWN_CS, 0x10246, STACK, LITE_SHOWN_SS);
	ksft_eq(vcpu.r.rip, HANDLER + 17 * 16);
}

static void frame_masks(void)
{
	start(false);
	vcpu.trap[0].mask = true;
	ksft_eq(serve(0, 0), LITE_RESUME);
	ksft_eq(info.evtchn_upcall_mask, 1);
	ksft_eq(word(vcpu.r.rsp + 24), 0x33); /* the mask before */
}

static void page_fault(void)
{
	start(false);
	vcpu.cr2 = 0xdead0000;
	fault_result = MMU_FIXED;
	ksft_eq(serve(14, 4), LITE_RESUME);
	ksft_eq(vcpu.r.rip, USER_RIP);
	ksft_eq(vcpu.r.rflags, 0x10246);
	fault_result = MMU_INJECT;
	fault_err = 6;
	vcpu.r.rflags = 0x10246;
	ksft_eq(serve(14, 14), LITE_RESUME);
	frame_is(KSP, 1, 6, USER_RIP, 0x33, 0x10246, USER_RSP, 0x2b);
	ksft_eq(info.arch.cr2, 0xdead0000);
	ksft_eq(vcpu.stats.page_fault, 2);
}

/* The guest's kernel does not know of SMAP: from the first time that it meets it, AC is set. */
static void smap(void)
{
	start(true);
	vm.has_smap = true;
	fault_result = MMU_FIXED;
	vcpu.cr2 = HANDLER;
	ksft_eq(serve(14, 1), LITE_RESUME);
	ksft_check(!(vcpu.r.rflags & FLAG_AC));
	vcpu.cr2 = USER_RIP;
	ksft_eq(serve(14, 1), LITE_RESUME);
	ksft_check(vcpu.r.rflags & FLAG_AC);
	ksft_eq(serve(16, 0), LITE_RESUME);
	ksft_check(vcpu.r.rflags & FLAG_AC);
	ksft_check(!(word(vcpu.r.rsp + 32) & FLAG_AC)); /* never shown */
}

static void debug(void)
{
	start(false);
	vcpu.dr6 = 0xffff0ff0;
	ksft_eq(serve(1, 0xffff4ff1), LITE_RESUME);
	frame_is(KSP, 0, 0, USER_RIP, 0x33, 0x10246, USER_RSP, 0x2b);
	ksft_eq(vcpu.dr6, 0xffff4ff1);
}

static void syscalls(void)
{
	start(false);
	vcpu.callback[LITE_CB_SYSCALL].mask = true;
	ksft_eq(serve(LITE_VEC_SYSCALL, 0), LITE_RESUME);
	frame_is(KSP, 0, 0, USER_RIP, 0x33, 0x10246, USER_RSP, 0x2b);
	ksft_eq(vcpu.r.rip, HANDLER + 0x10000 + LITE_CB_SYSCALL * 16);
	ksft_eq(info.evtchn_upcall_mask, 1);

	start(false);
	vcpu.r.cs = LITE_USER_CS32;
	ksft_eq(serve(LITE_VEC_SYSCALL32, 0), LITE_RESUME);
	ksft_eq(vcpu.r.rip, HANDLER + 0x10000 + LITE_CB_SYSCALL32 * 16);

	/* Without a handler a user's program hurts itself only. */
	start(false);
	vcpu.callback[LITE_CB_SYSCALL].address = 0;
	ksft_eq(serve(LITE_VEC_SYSCALL, 0), LITE_RESUME);
	frame_is(KSP, 0, 0, USER_RIP - 2, 0x33, 0x10246, USER_RSP, 0x2b);
	ksft_eq(vcpu.r.rip, HANDLER + 6 * 16);
}

static void hypercalls(void)
{
	start(true);
	vcpu.r.rax = 17;
	vcpu.r.r10 = 0xabc;
	hc_ret = 42;
	ksft_eq(serve(LITE_VEC_SYSCALL, 0), LITE_RESUME);
	ksft_eq(hc_nr, 17);
	ksft_eq(hc_arg[3], 0xabc);
	ksft_eq(vcpu.r.rax, 42);
	ksft_eq(vcpu.r.rcx, CODE);
	ksft_eq(vcpu.r.rip, CODE);
	ksft_eq(vcpu.r.cs, LITE_KERN_CS);
	hc_next = LITE_BLOCK;
	hc_ret = 0;
	ksft_eq(serve(LITE_VEC_SYSCALL, 0), LITE_BLOCK);
	ksft_eq(vcpu.r.rax, 0);
}

static void events(void)
{
	start(false);
	info.evtchn_upcall_pending = 1;
	info.evtchn_upcall_mask = 1;
	ksft_eq(lite_prepare(&vcpu), LITE_RESUME);
	ksft_eq(vcpu.r.rip, USER_RIP);
	info.evtchn_upcall_mask = 0;
	vcpu.r.rflags = 0x10246;
	ksft_eq(lite_prepare(&vcpu), LITE_RESUME);
	frame_is(KSP, 0, 0, USER_RIP, 0x33, 0x10246, USER_RSP, 0x2b);
	ksft_eq(vcpu.r.rip, HANDLER + 0x10000);
	ksft_eq(info.evtchn_upcall_mask, 1);
	ksft_eq(vcpu.stats.events, 1);
	/* And with it masked, no second one. */
	ksft_eq(lite_prepare(&vcpu), LITE_RESUME);
	ksft_eq(vcpu.stats.events, 1);
}

static void resume_state(void)
{
	start(false);
	vcpu.r.cs = 0;
	vcpu.r.ss = 0;
	vcpu.r.rflags = ~0ull;
	ksft_eq(lite_prepare(&vcpu), LITE_RESUME);
	ksft_eq(vcpu.r.cs, LITE_USER_CS);
	ksft_eq(vcpu.r.ss, LITE_USER_DS);
	ksft_eq(vcpu.r.rflags, 0x254fd7);
	start(true);
	vcpu.ac = true;
	vcpu.r.cs = LITE_USER_CS32;
	ksft_eq(lite_prepare(&vcpu), LITE_RESUME);
	ksft_eq(vcpu.r.cs, LITE_KERN_CS);
	ksft_eq(vcpu.r.ss, LITE_KERN_SS);
	ksft_check(vcpu.r.rflags & FLAG_AC);
}

/* --- what goes wrong --------------------------- */

static void no_handler(void)
{
	start(false);
	vcpu.trap[16].address = 0;
	ksft_eq(serve(16, 0), LITE_RESUME);
	gp_is(USER_RIP, 16 * 8 + 2);
	start(false);
	vcpu.trap[16].address = 0;
	vcpu.trap[13].address = 0;
	ksft_eq(serve(16, 0), LITE_DEAD);
	ksft_eq(vcpu.exit.reason, LODGE_EXIT_KILLED);
	ksft_check(strstr(vm.why, "vec 0x10 rip 0x401000 rsp 0x7ffc00001238"));
	ksft_streq(vcpu.exit.killed.why, vm.why);
	/* The first reason stays. */
	ksft_eq(lite_kill(&vcpu, "another"), LITE_DEAD);
	ksft_check(!strstr(vm.why, "another"));
	ksft_eq(lite_handle(&vcpu), LITE_DEAD);
	ksft_eq(lite_prepare(&vcpu), LITE_DEAD);
}

static void long_reason(void)
{
	char why[600];

	start(false);
	memset(why, 'x', sizeof(why) - 1);
	why[sizeof(why) - 1] = '\0';
	vcpu.r.vec = vcpu.r.rip = vcpu.r.rsp = ~0ull;
	ksft_eq(lite_kill(&vcpu, why), LITE_DEAD);
	ksft_check(strstr(vm.why, "rsp 0xffffffffffffffff"));
}

static void bad_stack(void)
{
	start(false);
	vcpu.kernel_sp = LITE_HOLE_START + 0x1000;
	ksft_eq(serve(3, 0), LITE_DEAD);
	start(true);
	vcpu.r.rsp = 0x8000000000000000ull;
	ksft_eq(serve(3, 0), LITE_DEAD);
	start(false);
	vcpu.kernel_sp = 8;
	ksft_eq(serve(3, 0), LITE_DEAD);
	start(false);
	write_error = -EFAULT;
	ksft_eq(serve(3, 0), LITE_DEAD);
	ksft_check(!vcpu.kernel);
}

static void bad_vectors(void)
{
	static const u64 vecs[] = { 2, 8, 15, 18, 20, 21, 29, 31, 0x81, 0xff, 0x102, ~0ull };
	size_t i;

	for (i = 0; i < sizeof(vecs) / sizeof(vecs[0]); i++) {
		start(false);
		ksft_eq(serve(vecs[i], 0), LITE_DEAD);
	}
}

/* Whatever has to be repeated has changed nothing, and then goes on as if it had not been. */
static void repetition(void)
{
	static const u64 vecs[] = {
		0, 1, 3, 6, 12, 13, 14, 0x80, LITE_VEC_SYSCALL, LITE_VEC_SYSCALL32
	};
	struct lite_vcpu before, want;
	unsigned int kernel, light;
	size_t i;

	for (i = 0; i < sizeof(vecs) / sizeof(vecs[0]); i++) {
		for (kernel = 0; kernel < 2; kernel++) {
			for (light = 0; light < 2; light++) {
				if (kernel && vecs[i] >= LITE_VEC_SYSCALL)
					continue;
				start(kernel);
				code("\xcd\x20", 2);
				vcpu.trap[0x80].dpl = 3;
				vcpu.r.rip = kernel ? CODE : USER_RIP;
				fault_result = MMU_INJECT;
				vcpu.r.vec = vecs[i];
				vcpu.r.err = 8;
				before = vcpu;
				ksft_eq(lite_handle(&vcpu), LITE_RESUME);
				want = vcpu;

				vcpu = before;
				info.evtchn_upcall_mask = 0;
				vcpu.tier = light ? LITE_LIGHT : LITE_FULLTIER;
				write_error = light ? -EBUSY : -EAGAIN;
				ksft_eq(lite_handle(&vcpu), light ? LITE_FULL : LITE_WANT);
				vcpu.tier = LITE_FULLTIER;
				ksft_memeq(&vcpu, &before, sizeof(vcpu));
				ksft_eq(info.evtchn_upcall_mask, 0);
				write_error = 0;
				ksft_eq(lite_handle(&vcpu), LITE_RESUME);
				ksft_memeq(&vcpu, &want, sizeof(vcpu));
			}
		}
	}
}

/* An event that cannot be delivered yet does not repeat the hypercall before it. */
static void repeated_event(void)
{
	start(true);
	vcpu.r.rax = 17;
	hc_ret = 99;
	info.evtchn_upcall_pending = 1;
	write_error = -EAGAIN;
	ksft_eq(serve(LITE_VEC_SYSCALL, 0), LITE_WANT);
	ksft_eq(vcpu.r.rax, 99);
	hc_nr = 0;
	write_error = 0;
	ksft_eq(lite_handle(&vcpu), LITE_RESUME);
	ksft_eq(hc_nr, 0);
	ksft_eq(vcpu.r.rip, HANDLER + 0x10000);
	ksft_eq(vcpu.stats.hypercall, 1);

	start(true);
	vcpu.tier = LITE_LIGHT;
	info.evtchn_upcall_pending = 1;
	write_error = -EBUSY;
	ksft_eq(serve(LITE_VEC_SYSCALL, 0), LITE_WANT);
	ksft_eq(vcpu.want, LITE_WANT_NONE);
}

/* Page table requests that the switcher has taken come before what the exit is about. */
static void queued(void)
{
	start(false);
	fault_result = MMU_INJECT;
	faults = 0;
	vcpu.queued = 3;
	vcpu.cr2 = 0x1000;
	/* "Nothing there" may have been true before them only. */
	ksft_eq(serve(14, 0xd), LITE_RESUME);
	ksft_eq(vcpu.queued, 0);
	ksft_eq(faults, 0);
	ksft_eq(vcpu.stats.traps, 0);
	ksft_eq(serve(14, 0xd), LITE_RESUME);
	ksft_eq(faults, 1);
	ksft_eq(vcpu.stats.traps, 1);
	/* Another fault is looked into at once. */
	start(false);
	vcpu.queued = 1;
	ksft_eq(serve(14, 7), LITE_RESUME);
	ksft_eq(faults, 2);
	/* A lock that is taken: nothing has changed. */
	start(true);
	vcpu.queued = 1;
	vcpu.tier = LITE_LIGHT;
	queue_result = -EBUSY;
	hc_nr = 0;
	vcpu.r.rax = 17;
	ksft_eq(serve(LITE_VEC_SYSCALL, 0), LITE_FULL);
	ksft_eq(hc_nr, 0);
	ksft_eq(vcpu.queued, 1);
	queue_result = 0;
	vcpu.tier = LITE_FULLTIER;
	ksft_eq(lite_prepare(&vcpu), LITE_RESUME);
	ksft_eq(vcpu.queued, 0);
}

/* --- iret --------------------------- */

static u64 iret_ss;

static enum lite_next iret(u64 flags, u64 rip, u64 cs, u64 rflags, u64 rsp)
{
	u64 f[9] = { 0xaa, 0xbb, 0xcc, flags, rip, cs, rflags, rsp, iret_ss };

	memcpy(mem + 0x800, f, sizeof(f));
	vcpu.r.rsp = MEM + 0x800;
	vcpu.r.rax = 23;
	hc_nr = ~0ull;
	return serve(LITE_VEC_SYSCALL, 0);
}

static void iret_user(void)
{
	start(true);
	info.evtchn_upcall_mask = 1;
	ksft_eq(iret(0, USER_RIP, 0xe033, 0xffffffffull, USER_RSP), LITE_RESUME);
	ksft_check(!vcpu.kernel);
	ksft_eq(vcpu.r.rip, USER_RIP);
	ksft_eq(vcpu.r.rsp, USER_RSP);
	ksft_eq(vcpu.r.cs, LITE_USER_CS);
	ksft_eq(vcpu.r.ss, LITE_USER_DS);
	ksft_eq(vcpu.r.rflags, 0x254fd7);
	ksft_eq(vcpu.r.rax, 0xaa);
	ksft_eq(vcpu.r.r11, 0xbb);
	ksft_eq(vcpu.r.rcx, 0xcc);
	ksft_eq(info.evtchn_upcall_mask, 0);
	ksft_eq(vcpu.gs_base, 0x66);
	ksft_eq(vcpu.stats.hypercalls[23], 1);
	ksft_eq(hc_nr, ~0ull);
}

static void iret_user32(void)
{
	start(true);
	ksft_eq(iret(0, 0x5500401000ull, 0x23, 0, USER_RSP), LITE_RESUME);
	ksft_eq(vcpu.r.cs, LITE_USER_CS32);
	ksft_eq(vcpu.r.rip, 0x401000); /* beyond the limit iretq would fault, in the switcher */
	ksft_eq(info.evtchn_upcall_mask, 1);
}

static void iret_kernel(void)
{
	start(true);
	ksft_eq(iret(VGCF_in_syscall, HANDLER, LITE_SHOWN_CS, 0x46, STACK), LITE_RESUME);
	ksft_check(vcpu.kernel);
	ksft_eq(vcpu.r.cs, LITE_KERN_CS);
	ksft_eq(vcpu.r.rcx, HANDLER);
	ksft_eq(vcpu.r.r11, 0x246);
	ksft_eq(info.evtchn_upcall_mask, 1);
	ksft_eq(vcpu.gs_base, 0x65);
}

/* What a trap has pushed, iret takes back. */
static void iret_round_trip(void)
{
	struct lite_vcpu before;
	u64 sp;

	start(false);
	vcpu.r.rflags = 0x246;
	before = vcpu;
	ksft_eq(serve(3, 0), LITE_RESUME);
	sp = vcpu.r.rsp;
	/* The guest moves the frame: rax r11 rcx flags, then rip .. ss as they are. */
	ksft_eq(iret(0, word(sp + 16), word(sp + 24), word(sp + 32), word(sp + 40)), LITE_RESUME);
	vcpu.r.rax = before.r.rax;
	vcpu.r.r11 = before.r.r11;
	vcpu.r.rcx = before.r.rcx;
	vcpu.r.vec = before.r.vec;
	ksft_memeq(&vcpu.r, &before.r, sizeof(vcpu.r));
	ksft_eq(vcpu.gs_base, before.gs_base);
}

static void iret_not_canonical(void)
{
	start(true);
	ksft_eq(iret(0, 0x800000000000ull, 0x33, 0x202, USER_RSP), LITE_RESUME);
	ksft_check(vcpu.kernel);
	gp_is(0x800000000000ull, 0);
	ksft_eq(word(vcpu.r.rsp + 32), 0x33);
	ksft_eq(vcpu.r.rsp, KSP - 64);
	start(true);
	ksft_eq(iret(0, 0x1234000000000000ull, LITE_SHOWN_CS, 0x202, STACK), LITE_RESUME);
	gp_is(0x1234000000000000ull, 0);
	ksft_eq(word(vcpu.r.rsp + 32), LITE_SHOWN_CS);
}

static void iret_hole(void)
{
	start(true);
	/* Nothing is mapped there for any ring that a guest has: a page fault, like any other. */
	ksft_eq(iret(0, LITE_HOLE_START, LITE_SHOWN_CS, 0x202, STACK), LITE_RESUME);
	ksft_eq(vcpu.r.rip, LITE_HOLE_START);
	ksft_eq(vcpu.r.cs, LITE_KERN_CS);
}

static void iret_bad_stack(void)
{
	struct lite_vcpu before;

	start(true);
	vcpu.r.rax = 23;
	vcpu.r.rsp = 0x10;
	ksft_eq(serve(LITE_VEC_SYSCALL, 0), LITE_DEAD);
	start(true);
	vcpu.r.rax = 23;
	vcpu.r.vec = LITE_VEC_SYSCALL;
	before = vcpu;
	read_error = -EAGAIN;
	ksft_eq(lite_handle(&vcpu), LITE_WANT);
	ksft_memeq(&vcpu, &before, sizeof(vcpu));
}

/* --- int n --------------------------- */

static void int_n(void)
{
	start(false);
	vcpu.trap[0x20].dpl = 3;
	code("\xcd\x20", 2);
	ksft_eq(serve(13, 0x20 * 16 + 2), LITE_RESUME); /* an emulator's error code */
	frame_is(KSP, 0, 0, CODE + 2, 0x33, 0x246, USER_RSP, 0x2b);
	ksft_eq(vcpu.r.rip, HANDLER + 0x20 * 16);
	start(false);
	code("\xcd\x20", 2);
	ksft_eq(serve(13, 0x20 * 16 + 2), LITE_RESUME);
	gp_is(CODE, 0x20 * 8 + 2);
}

static void int_80(void)
{
	start(false);
	vcpu.trap[0x80].dpl = 3;
	ksft_eq(serve(0x80, 0), LITE_RESUME);
	frame_is(KSP, 0, 0, USER_RIP, 0x33, 0x10246, USER_RSP, 0x2b);
	ksft_eq(vcpu.r.rip, HANDLER + 0x80 * 16);
	start(false);
	ksft_eq(serve(0x80, 0), LITE_RESUME);
	gp_is(USER_RIP - 2, 0x80 * 8 + 2);
	start(false);
	vcpu.trap[0x80] = (struct lite_trap){ 0, 3, false };
	ksft_eq(serve(0x80, 0), LITE_RESUME);
	gp_is(USER_RIP - 2, 0x80 * 8 + 2);
}

/* What a light exit may not do itself: the exit counts as served, and the rest comes later. */
static void kicks_later(void)
{
	start(true);
	vcpu.kicks = 2;
	vcpu.tier = LITE_LIGHT;
	ksft_eq(serve(LITE_VEC_SYSCALL, 0), LITE_WANT);
	ksft_eq(vcpu.want, LITE_WANT_NONE);
	ksft_eq(vcpu.r.vec, LITE_VEC_SERVED);
	ksft_eq(kicked, 0);
	hc_nr = 0;
	vcpu.tier = LITE_FULLTIER;
	ksft_eq(lite_handle(&vcpu), LITE_RESUME);
	ksft_eq(hc_nr, 0);
	ksft_eq(kicked, 1);
	hc_next = LITE_BLOCK;
	vcpu.kicks = 2;
	ksft_eq(serve(LITE_VEC_SYSCALL, 0), LITE_BLOCK);
	ksft_eq(kicked, 2);
}

static void down(void)
{
	start(true);
	vcpu.down = true;
	ksft_eq(lite_prepare(&vcpu), LITE_DOWN);
	vcpu.r.rax = 0;
	ksft_eq(serve(LITE_VEC_SYSCALL, 0), LITE_DOWN); /* after the call */
	ksft_eq(vcpu.r.rcx, vcpu.r.rip);
	vcpu.down = false;
	ksft_eq(lite_prepare(&vcpu), LITE_RESUME);
}

/* One at a time, whether events are masked or not, until iret. */
static void nmis(void)
{
	struct iret_context f = { .cs = LITE_SHOWN_CS, .rip = CODE, .rsp = STACK };

	start(true);
	info.evtchn_upcall_mask = 1;
	vcpu.nmi_pending = true;
	ksft_eq(lite_prepare(&vcpu), LITE_RESUME);
	ksft_eq(vcpu.r.rip, HANDLER + 0x10000 + LITE_CB_NMI * 16);
	ksft_check(!vcpu.nmi_pending && vcpu.nmi_masked);
	ksft_check(vcpu.changed & LITE_CH_TRAPS);
	vcpu.nmi_pending = true;
	vcpu.r.rip = CODE;
	ksft_eq(lite_prepare(&vcpu), LITE_RESUME);
	ksft_eq(vcpu.r.rip, CODE);
	vcpu.r.rsp = KSP;
	memcpy(mem + (KSP - MEM), &f, sizeof(f));
	vcpu.r.rax = 23;
	ksft_eq(serve(LITE_VEC_SYSCALL, 0), LITE_RESUME);
	ksft_eq(vcpu.r.rip, HANDLER + 0x10000 + LITE_CB_NMI * 16);

	/* Who has no handler has no NMIs. */
	start(true);
	vcpu.callback[LITE_CB_NMI].address = 0;
	vcpu.nmi_pending = true;
	ksft_eq(lite_prepare(&vcpu), LITE_RESUME);
	ksft_eq(vcpu.r.rip, CODE);
	ksft_check(!vcpu.nmi_pending && !vcpu.nmi_masked);
}

int main(int argc, char **argv)
{
	ksft_case("frame from user mode", frame_user);
	ksft_case("frame from user mode with an error code", frame_user_error);
	ksft_case("frame from the kernel", frame_kernel);
	ksft_case("frame from the kernel with an error code", frame_kernel_error);
	ksft_case("a handler that masks events", frame_masks);
	ksft_case("page fault", page_fault);
	ksft_case("SMAP", smap);
	ksft_case("debug trap", debug);
	ksft_case("user's system calls", syscalls);
	ksft_case("hypercalls", hypercalls);
	ksft_case("event upcall", events);
	ksft_case("state to resume with", resume_state);
	ksft_case("no handler", no_handler);
	ksft_case("a long reason", long_reason);
	ksft_case("no stack", bad_stack);
	ksft_case("vectors that no guest may cause", bad_vectors);
	ksft_case("repetition", repetition);
	ksft_case("repeated event", repeated_event);
	ksft_case("page table requests come first", queued);
	ksft_case("iret to user mode", iret_user);
	ksft_case("iret to 32-bit user mode", iret_user32);
	ksft_case("iret to the kernel", iret_kernel);
	ksft_case("iret after a trap", iret_round_trip);
	ksft_case("iret to an address that is not canonical", iret_not_canonical);
	ksft_case("iret into the hole", iret_hole);
	ksft_case("iret from a bad stack", iret_bad_stack);
	ksft_case("int n", int_n);
	ksft_case("int 0x80", int_80);
	ksft_case("other vCPUs are kicked in the full tier", kicks_later);
	ksft_case("a vCPU that is down", down);
	ksft_case("NMIs", nmis);
	return ksft_run(argc, argv);
}
