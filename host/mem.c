// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guest memory; see mem.h. Created before any thread, constant until all threads are gone.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lite/abi/platform.h"
#include "mem.h"
#include "util.h"

uint64_t mem_host_size(void)
{
	return (uint64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
}

static void mem_add_slot(struct mem *m, uint64_t gpa, uint64_t len, uint64_t off)
{
	struct gmem_slot *s = &m->gmem.slot[m->gmem.nslots++];

	s->gpa = gpa;
	s->len = len;
	s->hva = m->base + off;
}

int mem_create(struct mem *m, uint64_t size, struct err *err)
{
	uint64_t low = MIN(size, LODGE_RAM_LOW_MAX);
	uint8_t *map, *base;
	int ret;

	memset(m, 0, sizeof(*m));
	m->fd = memfd_create("guest-ram", MFD_CLOEXEC);
	if (m->fd < 0)
		return err_set(err, -errno, "--mem: cannot create guest memory: %s",
			       strerror(errno));
	if (ftruncate(m->fd, size) < 0) {
		ret = err_set(err, -errno, "--mem: cannot size guest memory to %" PRIu64 " MiB: %s",
			      (uint64_t)(size / MIB), strerror(errno));
		goto close;
	}

	/*
	 * Reserve with room to align the start to 2 MiB: a large page needs host and guest
	 * addresses to agree in their low 21 bits.
	 */
	map = mmap(NULL, size + 2 * MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
		   0);
	if (map == MAP_FAILED)
		goto map_failed;
	base = (uint8_t *)ALIGN_UP((uintptr_t)map, 2 * MIB);
	if (base > map)
		munmap(map, base - map);
	munmap(base + size, map + 2 * MIB - base);
	if (mmap(base, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | MAP_FIXED, m->fd,
		 0) == MAP_FAILED) {
		munmap(base, size);
		goto map_failed;
	}
	/* Both are wishes: large pages where the host allows them, no guest RAM in cores. */
	madvise(base, size, MADV_HUGEPAGE);
	madvise(base, size, MADV_DONTDUMP);

	m->base = base;
	m->size = size;
	mem_add_slot(m, 0, low, 0);
	if (size > low)
		mem_add_slot(m, LODGE_RAM_HIGH, size - low, low);
	return 0;

map_failed:
	ret = err_set(err, -errno, "--mem: cannot map %" PRIu64 " MiB: %s; use less",
		      (uint64_t)(size / MIB), strerror(errno));
close:
	close(m->fd);
	memset(m, 0, sizeof(*m));
	return ret;
}

void mem_destroy(struct mem *m)
{
	if (!m->base)
		return;
	munmap(m->base, m->size);
	close(m->fd);
	memset(m, 0, sizeof(*m));
}
