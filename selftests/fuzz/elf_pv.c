// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fuzzer: host/elf_pv.c, which reads a kernel's ELF headers and Xen notes. The input is the file.
 * What is accepted is loaded, into a mapping that ends where a kernel must end at the latest.
 */
#include <sys/mman.h>

#include "elf_pv.h"
#include "fuzz.h"

#define RAM_LEN (512u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static uint8_t *ram;
	struct err err = { 0 };
	struct elf_pv e;

	if (!ram)
		ram = mmap(NULL, RAM_LEN, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	fuzz_assert(ram != MAP_FAILED);
	if (elf_pv_parse(data, len, "kernel", &e, &err)) {
		fuzz_assert(err.code && *err.msg);
		return 0;
	}
	fuzz_assert(e.end <= RAM_LEN && e.nsegments);
	fuzz_assert(e.entry - e.virt_base < e.end);
	fuzz_assert(e.hypercall_page + 4096 <= e.end);
	elf_pv_load(&e, data, ram);
	madvise(ram, ALIGN_UP(e.end, 4096), MADV_DONTNEED);
	return 0;
}
