// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guest memory; see mem.h. Created before any thread, constant until all threads are gone.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/prctl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
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

/* Is the word in brackets in a policy file, as in "always [madvise] never", one of these? */
static bool mem_policy_is(const char *path, const char *const *words)
{
	char line[128] = "", *word;
	FILE *f = fopen(path, "re");

	if (!f)
		return false;
	if (!fgets(line, sizeof(line), f))
		line[0] = '\0';
	fclose(f);
	word = strchr(line, '[');
	if (!word)
		return false;
	word++;
	word[strcspn(word, "]")] = '\0';
	for (; *words; words++)
		if (!strcmp(word, *words))
			return true;
	return false;
}

#define MEM_THP "/sys/kernel/mm/transparent_hugepage/"

static bool mem_wants_anon(enum mem_backing backing)
{
	static const char *const anon[] = { "always", "madvise", NULL };
	static const char *const shmem[] = { "always", "within_size", "advise", "force", NULL };

	if (backing != MEM_AUTO)
		return backing == MEM_ANON;
	return mem_policy_is(MEM_THP "enabled", anon) &&
	       !mem_policy_is(MEM_THP "shmem_enabled", shmem);
}

static int mem_open_memfd(struct mem *m, struct err *err)
{
	int ret;

	m->fd = memfd_create("guest-ram", MFD_CLOEXEC);
	if (m->fd < 0)
		return err_set(err, -errno, "--mem: cannot create guest memory: %s",
			       strerror(errno));
	if (ftruncate(m->fd, m->size) < 0) {
		ret = err_set(err, -errno, "--mem: cannot size guest memory to %" PRIu64 "M: %s",
			      (uint64_t)(m->size / MIB), strerror(errno));
		close(m->fd);
		m->fd = -1;
		return ret;
	}
	return 0;
}

int mem_create(struct mem *m, uint64_t size, uint64_t low_max, enum mem_backing backing,
	       struct err *err)
{
	uint64_t low = MIN(size, low_max);
	int flags = MAP_NORESERVE | MAP_FIXED;
	uint8_t *map, *base;
	int ret;

	*m = (struct mem){ .size = size, .fd = -1 };
	if (mem_wants_anon(backing)) {
		flags |= MAP_PRIVATE | MAP_ANONYMOUS;
	} else {
		flags |= MAP_SHARED;
		ret = mem_open_memfd(m, err);
		if (ret)
			return ret;
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
	if (mmap(base, size, PROT_READ | PROT_WRITE, flags, m->fd, 0) == MAP_FAILED) {
		munmap(base, size);
		goto map_failed;
	}
	/* Wishes: large pages where the policy allows, a name in smaps, no RAM in core files. */
	madvise(base, size, MADV_HUGEPAGE);
	madvise(base, size, MADV_DONTDUMP);
	prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, base, size, "guest-ram");

	m->base = base;
	mem_add_slot(m, 0, low, 0);
	if (size > low)
		mem_add_slot(m, LODGE_RAM_HIGH, size - low, low);
	return 0;

map_failed:
	ret = err_set(err, -errno, "--mem: cannot map %" PRIu64 "M: %s; use less",
		      (uint64_t)(size / MIB), strerror(errno));
	if (m->fd >= 0)
		close(m->fd);
	return ret;
}

void mem_destroy(struct mem *m)
{
	if (!m->base)
		return;
	munmap(m->base, m->size);
	if (m->fd >= 0)
		close(m->fd);
	memset(m, 0, sizeof(*m));
}
