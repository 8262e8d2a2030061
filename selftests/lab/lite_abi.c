// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/lodge, misused: what a VMM may get wrong is refused with an errno, descriptors may be closed
 * in any order, and guests that make no sense end with LODGE_EXIT_KILLED. Runs in the lab, as root,
 * with the module loaded (lite_abi.sh).
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest.h"
#include "lite/abi/lodge.h"
#include "lite/abi/platform.h"

#define PAGE	4096ull
#define RAM	(1024 * PAGE)
#define SHARED	(64 * PAGE)
#define ROOT	(65 * PAGE)
#define CODE_VA 0x400000ull

/* Calls that have to work, and those that have to fail with one errno. */
#define ok(call)                                                    \
	({                                                          \
		int ret_ = (call);                                  \
		if (ret_ < 0)                                       \
			ksft_msg("%s: %s", #call, strerror(errno)); \
		ksft_check(ret_ >= 0);                              \
		ret_;                                               \
	})
#define refused(call, err)                                                                    \
	do {                                                                                  \
		int ret_ = (call), errno_ = errno;                                            \
		if (ret_ >= 0 || errno_ != (err))                                             \
			ksft_msg("%s: %d %s", #call, ret_, ret_ < 0 ? strerror(errno_) : ""); \
		ksft_check(ret_ < 0 && errno_ == (err));                                      \
	} while (0)

static int dev, vm, vcpu;
static char *ram;
static struct lodge_run *run;

static int vm_create(__u32 version, __u32 vcpus, __u32 flags, __u32 reserved)
{
	struct lodge_vm_config c = { .version = version, .vcpus = vcpus, .flags = flags };

	c.reserved[4] = reserved;
	return ioctl(dev, LODGE_VM_CREATE, &c);
}

static int mem_set(__u32 slot, __u32 flags, __u64 gpa, __u64 size, void *hva)
{
	struct lodge_mem m = { slot, flags, gpa, size, (unsigned long)hva };

	return ioctl(vm, LODGE_MEM_SET, &m);
}

static int pv_set(__u64 shared, __u64 root, __u64 frames, __u32 ports)
{
	struct lodge_pv pv = { shared, root, frames, ports, { 0 } };

	return ioctl(vm, LODGE_PV_SET, &pv);
}

static int port(unsigned long cmd, __u32 nr, int fd, __u32 flags)
{
	struct lodge_port p = { nr, fd, flags, 0 };

	return ioctl(vm, cmd, &p);
}

static void setup(void)
{
	vm = ok(vm_create(LODGE_ABI_VERSION, 1, 0, 0));
	ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ksft_check(ram != MAP_FAILED);
}

static void setup_vcpu(void)
{
	setup();
	ok(mem_set(0, 0, 0, RAM, ram));
	vcpu = ok(ioctl(vm, LODGE_VCPU_CREATE, 0));
	ok(pv_set(SHARED, ROOT, RAM / PAGE, 512));
	run = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	ksft_check(run != MAP_FAILED);
}

static void teardown_vcpu(void)
{
	munmap(run, PAGE);
	close(vcpu);
	close(vm);
	munmap(ram, RAM);
}

/* Tables that map one page at CODE_VA, present and executable for the guest's kernel. */
static void make_guest(const void *code, size_t len)
{
	__u64 *l4 = (void *)(ram + ROOT), *l3 = l4 + 512, *l2 = l3 + 512, *l1 = l2 + 512;
	struct lodge_state s = {
		.rip = CODE_VA,
		.rsp = CODE_VA + PAGE,
		.rflags = 2,
		.kernel = 1,
		.root = ROOT,
	};

	l4[0] = (ROOT + PAGE) | 0x67;
	l3[0] = (ROOT + 2 * PAGE) | 0x67;
	l2[CODE_VA >> 21] = (ROOT + 3 * PAGE) | 0x67;
	l1[0] = (ROOT + 4 * PAGE) | 0x63;
	memcpy(ram + ROOT + 4 * PAGE, code, len);
	ok(ioctl(vcpu, LODGE_STATE_SET, &s));
}

static void info(void)
{
	struct lodge_info i;

	ok(ioctl(dev, LODGE_INFO, &i));
	ksft_eq(i.version, LODGE_ABI_VERSION);
	ksft_check(i.levels == 4 || i.levels == 5);
	ksft_check(i.vcpus_max >= 1);
	ksft_eq(i.run_size, PAGE);
	refused(ioctl(dev, LODGE_INFO, 8), EFAULT);
	refused(ioctl(dev, LODGE_RUN, 0), ENOTTY);
}

static void create(void)
{
	refused(vm_create(LODGE_ABI_VERSION + 1, 1, 0, 0), EINVAL);
	refused(vm_create(0, 1, 0, 0), EINVAL);
	refused(vm_create(LODGE_ABI_VERSION, 0, 0, 0), EINVAL);
	refused(vm_create(LODGE_ABI_VERSION, 4096, 0, 0), EINVAL);
	refused(vm_create(LODGE_ABI_VERSION, 1, 1, 0), EINVAL);
	refused(vm_create(LODGE_ABI_VERSION, 1, 0, 1), EINVAL);
	refused(ioctl(dev, LODGE_VM_CREATE, 8), EFAULT);
	close(ok(vm_create(LODGE_ABI_VERSION, 1, 0, 0)));
}

static void memory(void)
{
	setup();
	refused(mem_set(LODGE_SLOTS_MAX, 0, PAGE, PAGE, ram), EINVAL);
	refused(mem_set(0, 4, 0, RAM, ram), EINVAL);
	refused(mem_set(0, LODGE_MEM_RDONLY, 0, RAM, ram), EINVAL);
	refused(mem_set(0, 0, 0, 0, ram), EINVAL);
	refused(mem_set(0, 0, 0, PAGE + 1, ram), EINVAL);
	refused(mem_set(0, 0, 0, PAGE, ram + 8), EINVAL);
	refused(mem_set(0, 0, PAGE, PAGE, ram), EINVAL);
	refused(mem_set(1, 0, 0, PAGE, ram), EINVAL);
	refused(mem_set(1, 0, 8, PAGE, ram), EINVAL);
	refused(mem_set(1, 0, -PAGE, PAGE, ram), EINVAL);
	refused(mem_set(1, 0, PAGE, -PAGE, ram), EINVAL);
	refused(mem_set(1, 0, -PAGE, 2 * PAGE, ram), EINVAL);
	refused(mem_set(0, 0, 0, RAM, (void *)0xffff888000000000ul), EFAULT);
	ok(mem_set(0, 0, 0, RAM, ram));
	refused(mem_set(0, 0, 0, RAM, ram), EEXIST);
	refused(mem_set(1, 0, RAM - PAGE, 2 * PAGE, ram), EEXIST);
	refused(mem_set(1, 0, PAGE, PAGE, ram), EEXIST);
	ok(mem_set(5, LODGE_MEM_RDONLY, RAM, PAGE, ram));
	refused(mem_set(1, 0, RAM, PAGE, ram), EEXIST);
	close(vm);
	munmap(ram, RAM);
}

static void start(void)
{
	setup();
	refused(pv_set(SHARED, ROOT, RAM / PAGE, 512), EINVAL);
	ok(mem_set(0, 0, 0, RAM, ram));
	refused(pv_set(SHARED + 8, ROOT, RAM / PAGE, 512), EINVAL);
	refused(pv_set(SHARED, SHARED, RAM / PAGE, 512), EINVAL);
	refused(pv_set(SHARED, ROOT, RAM / PAGE + 1, 512), EINVAL);
	refused(pv_set(SHARED, ROOT, 0, 512), EINVAL);
	refused(pv_set(SHARED, ROOT, RAM / PAGE, 0), EINVAL);
	refused(pv_set(SHARED, ROOT, RAM / PAGE, LODGE_PORTS_MAX + 1), EINVAL);
	refused(pv_set(RAM, ROOT, RAM / PAGE, 512), EFAULT);
	refused(pv_set(SHARED, RAM, RAM / PAGE, 512), EFAULT);
	ok(pv_set(SHARED, ROOT, RAM / PAGE, 512));
	refused(pv_set(SHARED, ROOT, RAM / PAGE, 512), EBUSY);
	refused(mem_set(1, 0, RAM, PAGE, ram), EBUSY);
	close(vm);
	munmap(ram, RAM);
}

/* Guest memory that is none of the VMM's own. */
static void no_memory(void)
{
	setup();
	munmap(ram, RAM);
	ok(mem_set(0, 0, 0, RAM, ram));
	refused(pv_set(SHARED, ROOT, RAM / PAGE, 512), EFAULT);
	close(vm);
}

static void vcpus(void)
{
	struct lodge_state s;
	struct lodge_stats st;

	setup();
	ok(mem_set(0, 0, 0, RAM, ram));
	refused(ioctl(vm, LODGE_VCPU_CREATE, 1), EINVAL);
	refused(ioctl(vm, LODGE_VCPU_CREATE, -1), EINVAL);
	vcpu = ok(ioctl(vm, LODGE_VCPU_CREATE, 0));
	refused(ioctl(vm, LODGE_VCPU_CREATE, 0), EEXIST);
	refused(ioctl(vcpu, LODGE_RUN, 0), EINVAL);
	ok(pv_set(SHARED, ROOT, RAM / PAGE, 512));
	refused(ioctl(vcpu, LODGE_RUN, 1), EINVAL);
	refused(ioctl(vcpu, LODGE_VCPU_CREATE, 0), ENOTTY);
	refused(ioctl(vcpu, LODGE_STATE_GET, 8), EFAULT);
	ok(ioctl(vcpu, LODGE_STATE_GET, &s));
	s.root = ROOT;
	s.rip = CODE_VA;
	ok(ioctl(vcpu, LODGE_STATE_SET, &s));
	s.reserved[3] = 1;
	refused(ioctl(vcpu, LODGE_STATE_SET, &s), EINVAL);
	s.reserved[3] = 0;
	s.kernel = 2;
	refused(ioctl(vcpu, LODGE_STATE_SET, &s), EINVAL);
	s.kernel = 1;
	s.rip = 0xffff800000000000ull;
	refused(ioctl(vcpu, LODGE_STATE_SET, &s), EINVAL);
	s.rip = CODE_VA;
	s.gs_base = 1ull << 63;
	refused(ioctl(vcpu, LODGE_STATE_SET, &s), EINVAL);
	s.gs_base = 0;
	s.root = RAM;
	refused(ioctl(vcpu, LODGE_STATE_SET, &s), EINVAL);
	ok(ioctl(vcpu, LODGE_STATS, &st));
	ksft_eq(st.exits, 0);
	close(vm);
	close(vcpu);
	munmap(ram, RAM);
}

static int map_errno(int fd, size_t len, int flags, off_t at)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, flags, fd, at);

	if (p == MAP_FAILED)
		return errno;
	munmap(p, len);
	return 0;
}

static void mappings(void)
{
	setup_vcpu();
	ksft_eq(map_errno(vcpu, 2 * PAGE, MAP_SHARED, 0), EINVAL);
	ksft_eq(map_errno(vcpu, PAGE, MAP_SHARED, PAGE), EINVAL);
	ksft_eq(map_errno(vcpu, PAGE, MAP_PRIVATE, 0), EINVAL);
	ksft_eq(map_errno(vm, PAGE, MAP_SHARED, 0), ENODEV);
	ksft_eq(map_errno(dev, PAGE, MAP_SHARED, 0), ENODEV);
	/* It outlives its descriptor. */
	close(vcpu);
	close(vm);
	run->reason = 77;
	ksft_eq(run->reason, 77);
	munmap(run, PAGE);
	munmap(ram, RAM);
}

static void ports(void)
{
	struct lodge_port p = { .port = 1, .reserved = 1 };
	int fd = eventfd(0, EFD_NONBLOCK), other = eventfd(0, 0), null = open("/dev/null", O_RDWR);
	int i;

	setup_vcpu();
	refused(ioctl(vm, LODGE_IRQFD, &p), EINVAL);
	for (i = 0; i < 2; i++) {
		unsigned long cmd = i ? LODGE_IOEVENTFD : LODGE_IRQFD;

		refused(port(cmd, 1, fd, 2), EINVAL);
		refused(port(cmd, 0, fd, 0), EINVAL);
		refused(port(cmd, 512, fd, 0), EINVAL);
		refused(port(cmd, -1, fd, 0), EINVAL);
		refused(port(cmd, 1, -1, 0), EBADF);
		refused(port(cmd, 1, null, 0), EINVAL);
		refused(port(cmd, 1, fd, LODGE_PORT_DEASSIGN), ENOENT);
		ok(port(cmd, 1, fd, 0));
		refused(port(cmd, 1, other, 0), EEXIST);
		refused(port(cmd, 1, other, LODGE_PORT_DEASSIGN), ENOENT);
		ok(port(cmd, 1, fd, LODGE_PORT_DEASSIGN));
		ok(port(cmd, 1, fd, 0));
	}
	close(null);
	close(other);
	close(fd);
	teardown_vcpu();
}

static bool pending(unsigned int nr)
{
	/* struct shared_info: 32 vcpu_infos of 64 bytes, then the pending bits. */
	return *(volatile __u64 *)(ram + SHARED + 2048 + nr / 64 * 8) >> nr % 64 & 1;
}

static void irqfd_raises(void)
{
	__u64 one = 1;
	int early = eventfd(1, EFD_NONBLOCK), fd = eventfd(0, EFD_NONBLOCK);

	setup_vcpu();
	ok(port(LODGE_IRQFD, 70, early, 0));
	ksft_check(pending(70)); /* what was signalled before is not lost */
	ok(port(LODGE_IRQFD, 71, fd, 0));
	ksft_check(!pending(71));
	ksft_eq(write(fd, &one, 8), 8);
	ksft_check(pending(71));
	ksft_eq(read(fd, &one, 8), -1); /* taken by the module */
	ok(port(LODGE_IRQFD, 71, fd, LODGE_PORT_DEASSIGN));
	ok(port(LODGE_IRQFD, 72, fd, 0));
	close(fd);
	close(early);
	teardown_vcpu();
}

/* Closing the eventfd, the VM and signalling, all at once. */
static void *signaller(void *arg)
{
	int fd = *(int *)arg, i;
	__u64 one = 1;

	for (i = 0; i < 200; i++)
		if (write(fd, &one, 8) != 8)
			break;
	return NULL;
}

static void irqfd_races(void)
{
	pthread_t t;
	int i, fd, mine;

	for (i = 0; i < 100; i++) {
		setup_vcpu();
		fd = eventfd(0, EFD_NONBLOCK);
		mine = dup(fd);
		ok(port(LODGE_IRQFD, 9, fd, 0));
		pthread_create(&t, NULL, signaller, &mine);
		if (i & 1)
			close(fd);
		if (i & 2)
			port(LODGE_IRQFD, 9, mine, LODGE_PORT_DEASSIGN);
		teardown_vcpu();
		if (!(i & 1))
			close(fd);
		pthread_join(t, NULL);
		close(mine);
	}
}

static void close_orders(void)
{
	int order, fd;

	for (order = 0; order < 6; order++) {
		setup_vcpu();
		fd = eventfd(0, 0);
		ok(port(LODGE_IRQFD, 1, fd, 0));
		ok(port(LODGE_IOEVENTFD, 1, fd, 0));
		if (order == 0 || order == 1)
			close(fd);
		if (order % 2)
			munmap(ram, RAM);
		close(order < 4 ? vm : vcpu);
		close(order < 4 ? vcpu : vm);
		if (order > 1)
			close(fd);
		munmap(run, PAGE);
		if (!(order % 2))
			munmap(ram, RAM);
	}
}

/* Descriptors that another process has: of no use to it. */
static void other_process(void)
{
	int status;
	pid_t pid;

	setup_vcpu();
	pid = fork();
	if (!pid) {
		if (ioctl(vcpu, LODGE_RUN, 0) >= 0 || errno != EIO)
			_exit(1);
		if (pv_set(SHARED, ROOT, RAM / PAGE, 512) >= 0 || errno != EIO)
			_exit(2);
		_exit(0);
	}
	ksft_eq(waitpid(pid, &status, 0), pid);
	ksft_eq(status, 0);
	teardown_vcpu();
}

/* Until there is something to be told: it also comes back when the thread has to give way. */
static void run_on(void)
{
	do
		ok(ioctl(vcpu, LODGE_RUN, 0));
	while (run->reason == LODGE_EXIT_NONE);
	if (run->reason == LODGE_EXIT_KILLED)
		ksft_msg("killed: %s", run->killed.why);
}

static void killed(void)
{
	static const unsigned char ud2[] = { 0x0f, 0x0b };

	setup_vcpu();
	make_guest(ud2, sizeof(ud2));
	run_on();
	ksft_eq(run->reason, LODGE_EXIT_KILLED);
	ksft_check(run->killed.why[0] && memchr(run->killed.why, 0, sizeof(run->killed.why)));
	memset(run, 0, sizeof(*run));
	run_on();
	ksft_eq(run->reason, LODGE_EXIT_KILLED);
	teardown_vcpu();
}

static void no_tables(void)
{
	struct lodge_state s = { .rip = CODE_VA, .rflags = 2, .kernel = 1, .root = ROOT };

	setup_vcpu();
	ok(ioctl(vcpu, LODGE_STATE_SET, &s));
	run_on();
	ksft_eq(run->reason, LODGE_EXIT_KILLED);
	teardown_vcpu();
}

static void on_alarm(int sig)
{
}

/* A guest that does nothing, for ever: a signal gets the thread back. */
static void spins(void)
{
	/* 1: inc %rbx; jmp 1b */
	static const unsigned char loop[] = { 0x48, 0xff, 0xc3, 0xeb, 0xfb };
	struct sigaction sa = { .sa_handler = on_alarm };
	struct lodge_state s;
	__u64 rbx = 0;
	int i, ret;

	setup_vcpu();
	make_guest(loop, sizeof(loop));
	sigaction(SIGALRM, &sa, NULL);
	for (i = 0; i < 3; i++) {
		ualarm(50000, 0);
		do {
			ret = ioctl(vcpu, LODGE_RUN, 0);
		} while (!ret && run->reason == LODGE_EXIT_NONE);
		ksft_check(ret < 0 && errno == EINTR);
		ksft_eq(run->reason, LODGE_EXIT_NONE);
		ok(ioctl(vcpu, LODGE_STATE_GET, &s));
		ksft_check(s.rbx > rbx);
		ksft_check(s.rip == CODE_VA || s.rip == CODE_VA + 3);
		rbx = s.rbx;
	}
	teardown_vcpu();
}

/* PIO both ways, by the run page. */
static void pio(void)
{
	/* mov $0x604, %edx; in (%dx), %al; out %al, (%dx) */
	static const unsigned char code[] = { 0xba, 0x04, 0x06, 0, 0, 0xec, 0xee };

	setup_vcpu();
	make_guest(code, sizeof(code));
	run_on();
	ksft_eq(run->reason, LODGE_EXIT_PIO);
	ksft_eq(run->io.port, LODGE_PORT_EXIT_STATUS);
	ksft_eq(run->io.size, 1);
	ksft_eq(run->io.write, 0);
	run->io.data = 0x5a;
	run_on();
	ksft_eq(run->reason, LODGE_EXIT_PIO);
	ksft_eq(run->io.write, 1);
	ksft_eq(run->io.data & 0xff, 0x5a);
	teardown_vcpu();
}

int main(int argc, char **argv)
{
	dev = open(LODGE_DEVICE, O_RDWR | O_CLOEXEC);
	ksft_case("what the module is", info);
	ksft_case("a VM's configuration", create);
	ksft_case("memory slots", memory);
	ksft_case("the start", start);
	ksft_case("memory that is not there", no_memory);
	ksft_case("vCPUs and their state", vcpus);
	ksft_case("mapping the run page", mappings);
	ksft_case("eventfds of ports", ports);
	ksft_case("an irqfd raises its port", irqfd_raises);
	ksft_case("irqfds go away in the middle of it", irqfd_races);
	ksft_case("closing in any order", close_orders);
	ksft_case("another process", other_process);
	ksft_case("a guest without page tables", no_tables);
	ksft_case("a guest that traps without a handler", killed);
	ksft_case("a signal interrupts a guest", spins);
	ksft_case("ports", pio);
	return ksft_run(argc, argv);
}
