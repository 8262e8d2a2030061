// SPDX-License-Identifier: GPL-2.0-only
/*
 * A hostile VMM: ioctls of garbage, memory that is not its own or goes away while the guest runs,
 * threads that do everything at once, descriptors that outlive it. lite_abi.c has what a VMM may
 * merely get wrong.
 */
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "hostile.h"

/* Writes to 256 frames, and reads them, for ever: BASE + 400 pages is not among them. */
BODY(touch,
     "1: mov $0x400000, %esi; mov $64, %ecx\n2: lock orl $0, (%rsi); add $4096, %rsi;"
     "dec %ecx; jnz 2b; mov $0x560000, %esi; mov $100, %ecx\n3: lock incq (%rsi); add $4096, %rsi;"
     "dec %ecx; jnz 3b; mov $55, %eax; mov $3, %edi; syscall; jmp 1b")

static unsigned int seed = 1;

static unsigned int rnd(void)
{
	seed = seed * 1103515245 + 12345;
	return seed >> 8;
}

CASE(unknown_ioctls, "unknown ioctls, on every descriptor")
{
	unsigned int type, nr, i;
	int fd[3];

	obey_start();
	fd[0] = dev, fd[1] = vm, fd[2] = vcpu;
	for (i = 0; i < 3; i++)
		for (type = 0; type < 256; type += 1)
			for (nr = 0; nr < 64; nr++) {
				unsigned int cmd = _IOC(rnd() & 3, type, nr, rnd() & 0x3fff);

				/* Those that the kernel has for any file. */
				if (type == 'T' || type == 'f' || type == 'X' || !type ||
				    type == 0x66)
					continue;
				ksft_check(ioctl(fd[i], cmd, rnd()) < 0);
				ksft_eq(errno, ENOTTY);
			}
	drop();
}

CASE(garbage_ioctls, "known ioctls, of garbage")
{
	static const unsigned long cmds[] = { LODGE_MEM_SET, LODGE_PV_SET, LODGE_IRQFD,
					      LODGE_IOEVENTFD, LODGE_VCPU_CREATE };
	static const __u64 words[] = { 0,	   1,	       ~0ull,
				       PAGE,	   RAM,	       1ull << 32,
				       1ull << 38, 1ull << 63, 0xffff800000000000 };
	__u64 arg[64];
	unsigned int i, k;

	for (i = 0; i < 600; i++) {
		struct lodge_vm_config c = { .version = LODGE_ABI_VERSION, .vcpus = 1 };
		int fd = ioctl(dev, LODGE_VM_CREATE, &c);

		ksft_check(fd >= 0);
		for (k = 0; k < 64; k++)
			arg[k] = words[rnd() % 9];
		for (k = 0; k < 4; k++) {
			int ret = ioctl(fd, cmds[rnd() % 5],
					rnd() & 1 ? arg : (void *)words[rnd() % 9]);

			if (ret > 2)
				close(ret);
		}
		close(fd);
	}
	obey_start();
	for (i = 0; i < 300; i++) {
		struct lodge_state s = begin;

		for (k = 0; k < 4; k++)
			((__u64 *)&s)[rnd() % (sizeof(s) / 8 - 16)] = words[rnd() % 9];
		if (ioctl(vcpu, LODGE_STATE_SET, &s))
			ksft_eq(errno, EINVAL);
		else
			go(5);
	}
	drop();
}

CASE(huge_slots, "slots for which there is no memory")
{
	struct lodge_vm_config c = { .version = LODGE_ABI_VERSION, .vcpus = 1 };
	unsigned int i, n = 0;
	int fd, ret;

	fd = ioctl(dev, LODGE_VM_CREATE, &c);
	for (i = 1; i < LODGE_SLOTS_MAX; i++) {
		struct lodge_mem m = { i, 0, 1ull << 38, (1ull << 38) - PAGE, PAGE };

		m.gpa = PAGE;
		ret = ioctl(fd, LODGE_MEM_SET, &m);
		n += !ret;
		if (ret)
			ksft_check(errno == ENOMEM || errno == EEXIST);
	}
	ksft_check(n <= 1);
	close(fd);
}

/* --- memory -------------------------- */

/* A guest with its second half, frames 512 on, at @hva: what reading and writing there gives. */
static int other_memory(void *hva, bool write)
{
	struct lodge_vm_config c = { .version = LODGE_ABI_VERSION, .vcpus = 1 };
	struct lodge_mem m = { .size = RAM / 2 }, o = { 1, 0, RAM / 2, PAGE, (unsigned long)hva };
	struct lodge_pv pv = { SHARED, ROOT, FRAMES / 2, 512, { 0 } };
	int ret;

	obey_start();
	close(vm);
	close(vcpu);
	munmap(run, PAGE);
	m.hva = (unsigned long)ram;
	vm = ioctl(dev, LODGE_VM_CREATE, &c);
	ksft_eq(ioctl(vm, LODGE_MEM_SET, &m), 0);
	ksft_eq(ioctl(vm, LODGE_MEM_SET, &o), 0);
	ksft_eq(ioctl(vm, LODGE_PV_SET, &pv), 0);
	vcpu = ioctl(vm, LODGE_VCPU_CREATE, 0);
	run = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	((__u64 *)at(L1))[300] = RAM / 2 | 0x63;
	*(struct order *)at(ORDER) = (struct order){
		.nr = ~0ull, .kind = write ? 2 : 1, .va = BASE + 300 * PAGE, .val = 0x55
	};
	again();
	do {
		ret = ioctl(vcpu, LODGE_RUN, 0);
	} while (!ret && run->reason == LODGE_EXIT_NONE);
	return ret ? -errno : 0;
}

CASE(not_memory, "slots over what is not the VMM's memory to write")
{
	static const int prot[] = { PROT_NONE, PROT_READ, PROT_READ | PROT_EXEC };
	FILE *maps;
	char line[300];
	unsigned long from;
	unsigned int i, k;
	void *p;
	int fd;

	for (k = 0; k < 2; k++) {
		for (i = 0; i < 3; i++) {
			p = mmap(NULL, PAGE, prot[i], MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			ksft_eq(other_memory(p, k), -EFAULT);
			munmap(p, PAGE);
		}
		ksft_eq(other_memory((void *)PAGE, k), -EFAULT); /* nothing there */
		fd = open("/proc/self/exe", O_RDONLY);
		p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
		ksft_eq(other_memory(p, k), -EFAULT);
		munmap(p, PAGE);
		close(fd);
		/* Of a device: what reset finds in a PC's BIOS, or the local APIC. */
		fd = open("/dev/mem", O_RDWR);
		for (i = 0; fd >= 0 && i < 2; i++) {
			p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
				 i ? 0xfee00000 : 0xa0000);
			if (p == MAP_FAILED)
				continue;
			ksft_eq(other_memory(p, k), -EFAULT);
			munmap(p, PAGE);
		}
		if (fd >= 0)
			close(fd);
		maps = fopen("/proc/self/maps", "r");
		while (fgets(line, sizeof(line), maps))
			if ((strstr(line, "[vdso]") || strstr(line, "[vvar]") ||
			     strstr(line, "[vsyscall]")) &&
			    sscanf(line, "%lx", &from) == 1 && (long)from > 0 &&
			    strstr(line, "[vvar]"))
				ksft_eq(other_memory((void *)from, k), -EFAULT);
		fclose(maps);
	}
	drop();
}

CASE(run_page, "a slot over the vCPU's own run page")
{
	struct lodge_vm_config c = { .version = LODGE_ABI_VERSION, .vcpus = 1 };
	int fd = ioctl(dev, LODGE_VM_CREATE, &c), other = ioctl(fd, LODGE_VCPU_CREATE, 0), ret;
	void *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, other, 0);

	ksft_check(p != MAP_FAILED);
	ret = other_memory(p, true);
	ksft_check(!ret || ret == -EFAULT);
	/* Its owner goes first. */
	munmap(p, PAGE);
	close(other);
	close(fd);
	if (!ret) {
		look(BASE + 300 * PAGE);
		expect(ended == 1);
	}
	drop();
}

CASE(twice, "the same memory as two slots")
{
	ksft_eq(other_memory(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
				  -1, 0),
			     true),
		0);
	ksft_eq(other_memory(ram, true), 0);
	drop();
}

/* --- at once -------------------------- */

static bool stop;

static bool going(void)
{
	return !__atomic_load_n(&stop, __ATOMIC_ACQUIRE);
}

static void *runner(void *arg)
{
	int fd = *(int *)arg;

	/* Its memory goes: EFAULT, or whatever it makes of zeros. */
	while (going())
		ioctl(fd, LODGE_RUN, 0);
	return NULL;
}

static void *setter(void *arg)
{
	struct lodge_state s;
	struct lodge_stats st;

	(void)arg;
	while (going()) {
		ioctl(vcpu, LODGE_STATS, &st);
		if (!ioctl(vcpu, LODGE_STATE_GET, &s))
			ioctl(vcpu, LODGE_STATE_SET, &begin);
		usleep(100);
	}
	return NULL;
}

static void *scribbler(void *arg)
{
	volatile __u64 *p = (void *)run;
	unsigned int i = 0;

	(void)arg;
	while (going()) {
		p[i++ & 127] = 0xffffffffffffffff;
		if (!(i & 0xffff))
			usleep(100);
	}
	return NULL;
}

static void *opener(void *arg)
{
	(void)arg;
	while (going()) {
		struct lodge_vm_config c = { .version = LODGE_ABI_VERSION, .vcpus = 1 };
		int fd = ioctl(dev, LODGE_VM_CREATE, &c), d = dup(vcpu), e = dup(vm);

		ioctl(fd, LODGE_VCPU_CREATE, 0);
		close(d);
		close(e);
		close(fd);
	}
	return NULL;
}

/* A signal, now and then, so that LODGE_RUN returns and others have their turn. */
static void nap(unsigned int ms)
{
	struct itimerval t = { { 0, 10000 }, { 0, 10000 } }, off = { 0 };

	setitimer(ITIMER_REAL, &t, NULL);
	while (ms--)
		usleep(1000);
	setitimer(ITIMER_REAL, &off, NULL);
}

/* The guest runs in one thread, @other does what it does, then all come to an end. */
static void at_once(void *(*other)(void *), void (*meanwhile)(void))
{
	pthread_t a, b, c;

	make(touch, touch_end, false);
	stop = false;
	ksft_eq(pthread_create(&a, NULL, runner, &vcpu), 0);
	ksft_eq(pthread_create(&c, NULL, runner, &vcpu), 0);
	if (other)
		ksft_eq(pthread_create(&b, NULL, other, NULL), 0);
	nap(100);
	if (meanwhile)
		meanwhile();
	nap(200);
	__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
	pthread_kill(a, SIGALRM);
	pthread_kill(c, SIGALRM);
	nap(50);
	while (pthread_tryjoin_np(a, NULL))
		pthread_kill(a, SIGALRM), usleep(1000);
	while (pthread_tryjoin_np(c, NULL))
		pthread_kill(c, SIGALRM), usleep(1000);
	if (other)
		pthread_join(b, NULL);
	/* Whatever has become of it, descriptors work. */
	ksft_eq(ioctl(vcpu, LODGE_STATE_GET, &end), 0);
	drop();
}

CASE(threads_state, "two threads run a vCPU, a third sets its state")
{
	at_once(setter, NULL);
}

CASE(threads_run, "the run page is scribbled over meanwhile")
{
	at_once(scribbler, NULL);
}

CASE(threads_open, "VMs come and go, descriptors are duplicated meanwhile")
{
	at_once(opener, NULL);
}

static void do_unmap(void)
{
	munmap(ram, RAM);
	ram = mmap(ram, RAM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		   0);
}

static void do_protect(void)
{
	mprotect(ram, RAM, PROT_NONE);
	usleep(10000);
	mprotect(ram, RAM, PROT_READ);
	usleep(10000);
	mprotect(ram, RAM, PROT_READ | PROT_WRITE);
}

static void do_advise(void)
{
	madvise(ram, RAM, MADV_DONTNEED);
	madvise(ram, RAM, MADV_FREE);
	madvise(ram, RAM, 21 /* MADV_PAGEOUT */);
	madvise(ram, RAM, MADV_MERGEABLE);
	madvise(ram, RAM, MADV_HUGEPAGE);
}

static void do_fork(void)
{
	int i, status;

	for (i = 0; i < 10; i++) {
		pid_t pid = fork();

		if (!pid) {
			memset(ram, i, RAM);
			_exit(0);
		}
		waitpid(pid, &status, 0);
	}
}

CASE(unmapped, "its memory is unmapped while it runs")
{
	at_once(NULL, do_unmap);
}

CASE(protected, "its memory is protected while it runs")
{
	at_once(NULL, do_protect);
}

CASE(advised, "its memory is given back while it runs")
{
	at_once(NULL, do_advise);
}

CASE(forked, "the VMM forks while it runs, and the children write to their memory")
{
	at_once(NULL, do_fork);
}

/* --- the end -------------------------- */

CASE(outlived, "descriptors that outlive the VMM's memory")
{
	int pipefd[2], status;
	char c;
	pid_t pid;

	ksft_eq(pipe(pipefd), 0);
	pid = fork();
	if (!pid) {
		pid_t holder;

		make(touch, touch_end, false);
		go(20);
		holder = fork();
		if (!holder) {
			/* The VMM is gone, then what it had is. */
			while (getppid() != 1)
				usleep(1000);
			status = ioctl(vcpu, LODGE_RUN, 0) < 0 && errno == EIO;
			close(vm);
			close(vcpu);
			munmap(run, PAGE);
			ksft_check(write(pipefd[1], status ? "y" : "n", 1) == 1);
			_exit(0);
		}
		_exit(0);
	}
	waitpid(pid, &status, 0);
	ksft_eq(read(pipefd[0], &c, 1), 1);
	ksft_eq(c, 'y');
	close(pipefd[0]);
	close(pipefd[1]);
}

CASE(faulting, "killed while a frame waits for userfaultfd")
{
	int status, uffd = syscall(SYS_userfaultfd, O_CLOEXEC), i;
	pid_t pid;

	if (uffd < 0)
		ksft_skip("no userfaultfd()");
	close(uffd);
	pid = fork();
	if (!pid) {
		struct uffdio_api api = { .api = UFFD_API };
		struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };

		make(touch, touch_end, false);
		uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
		madvise(at(0x160 * PAGE), 64 * PAGE, MADV_DONTNEED);
		reg.range.start = (unsigned long)at(0x160 * PAGE);
		reg.range.len = 64 * PAGE;
		if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api) || ioctl(uffd, UFFDIO_REGISTER, &reg))
			_exit(1);
		for (;;)
			ioctl(vcpu, LODGE_RUN, 0);
	}
	usleep(300000);
	ksft_eq(waitpid(pid, &status, WNOHANG), 0);
	kill(pid, SIGKILL);
	for (i = 0; i < 60000 && !waitpid(pid, &status, WNOHANG); i++)
		usleep(1000);
	ksft_check(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

int main(int argc, char **argv)
{
	return hostile_run(argc, argv);
}
