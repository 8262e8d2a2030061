// SPDX-License-Identifier: GPL-2.0-only
/*
 * Boots a bzImage by the 64-bit boot protocol: protected-mode part at its preferred address,
 * entered 0x200 behind its start with paging on, boot_params in RSI, memory map from e820.
 * Decompression is the kernel's own work, so any payload it was packed with will do. Runs once, on
 * the main thread, before the guest; an untrusted kernel file is only ever copied, its header
 * checked first.
 */
#include <asm/bootparam.h>
#include <asm/e820.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "boot.h"
#include "boot_file.h"
#include "lite/abi/platform.h"
#include "util.h"

/* Below 640 KiB: ours until the kernel takes over. */
#define BOOT_GDT     0x6000ull
#define BOOT_PARAMS  0x7000ull
#define BOOT_STACK   0x8ff0ull
#define BOOT_PML4    0x9000ull /* then one PDPT and four page directories */
#define BOOT_CMDLINE 0x20000ull

#define BOOT_LOW_END  0x9fc00ull  /* top of conventional memory */
#define BOOT_HIGH_RAM 0x100000ull /* between the two: firmware's, with the ACPI tables */

#define BOOT_RESET_VECTOR 0xffff0ull /* ffff:0, where a PC's firmware starts */

#define BOOT_HDR_OFFSET	  0x1f1
#define BOOT_HDR_MAGIC	  0x53726448 /* "HdrS" */
#define BOOT_PROTOCOL_MIN 0x020c     /* first with xloadflags */
#define BOOT_ENTRY_64	  0x200

struct bzimage {
	int fd;
	const char *path;
	uint64_t size;
	uint64_t body_off, body_len; /* the protected-mode part in the file */
	struct setup_header hdr;
};

static int bzimage_open(struct bzimage *bz, const char *path, struct err *err)
{
	unsigned int setup_sects;
	uint8_t magic[4] = { 0 };
	int ret;

	bz->path = path;
	bz->fd = boot_file_open("--kernel", path, &bz->size, err);
	if (bz->fd < 0)
		return bz->fd;
	if (bz->size < BOOT_HDR_OFFSET + sizeof(bz->hdr)) {
		ret = err_set(err, -ENOEXEC,
			      "--kernel %s: too short for a bzImage; give a kernel's vmlinuz",
			      path);
		goto close;
	}
	ret = boot_file_read(bz->fd, &bz->hdr, sizeof(bz->hdr), BOOT_HDR_OFFSET);
	if (!ret)
		ret = boot_file_read(bz->fd, magic, sizeof(magic), 0);
	if (ret) {
		err_set(err, ret, "--kernel %s: %s", path, strerror(-ret));
		goto close;
	}
	ret = -ENOEXEC;
	if (!memcmp(magic, "\177ELF", 4)) {
		err_set(err, ret, "--kernel %s: is an ELF file; give the bzImage (vmlinuz) instead",
			path);
		goto close;
	}
	if (bz->hdr.header != BOOT_HDR_MAGIC) {
		err_set(err, ret, "--kernel %s: not a Linux bzImage; give a kernel's vmlinuz",
			path);
		goto close;
	}
	if (bz->hdr.version < BOOT_PROTOCOL_MIN || !(bz->hdr.xloadflags & XLF_KERNEL_64)) {
		err_set(err, ret,
			"--kernel %s: has no 64-bit entry; use an x86-64 kernel from 3.8 on", path);
		goto close;
	}
	setup_sects = bz->hdr.setup_sects ? bz->hdr.setup_sects : 4;
	bz->body_off = (setup_sects + 1) * 512ull;
	bz->body_len = bz->hdr.syssize * 16ull;
	if (setup_sects > 64 || !bz->body_len || bz->body_off + bz->body_len > bz->size) {
		err_set(err, ret,
			"--kernel %s: truncated: %" PRIu64 " bytes, its header promises %" PRIu64,
			path, bz->size, bz->body_off + bz->body_len);
		goto close;
	}
	return 0;
close:
	close(bz->fd);
	return ret;
}

int boot_bzimage_check(const char *path, struct err *err)
{
	struct bzimage bz;
	int ret = bzimage_open(&bz, path, err);

	if (!ret)
		close(bz.fd);
	return ret;
}

/* The kernel unpacks itself upwards from where it lies and wants init_size bytes for that. */
static int bzimage_load_body(const struct mem *mem, const struct bzimage *bz, struct err *err)
{
	uint64_t at = bz->hdr.pref_address;
	uint64_t need = MAX((uint64_t)bz->hdr.init_size, bz->body_len);
	void *p = at < BOOT_HIGH_RAM ? NULL : gmem_ptr(&mem->gmem, at, need);
	int ret;

	if (!p)
		return err_set(err, -ENOMEM,
			       "--mem: %" PRIu64
			       "M is too little for this kernel, which needs %" PRIu64
			       "M to unpack itself",
			       (uint64_t)(mem->size / MIB),
			       (uint64_t)(ALIGN_UP(at + need, MIB) / MIB));
	ret = boot_file_read(bz->fd, p, bz->body_len, bz->body_off);
	if (ret)
		return err_set(err, ret, "--kernel %s: %s", bz->path, strerror(-ret));
	return 0;
}

/* As high as protocol and low RAM allow, so that the kernel below has room to unpack. */
static int boot_load_initrd(const struct mem *mem, const struct bzimage *bz, const char *path,
			    struct boot_params *bp, struct err *err)
{
	uint64_t top = MIN(mem->gmem.slot[0].len, (uint64_t)bz->hdr.initrd_addr_max + 1);
	uint64_t floor = bz->hdr.pref_address + bz->hdr.init_size;
	uint64_t size, at;
	int fd, ret;

	if (!path)
		return 0;
	fd = boot_file_open("--initrd", path, &size, err);
	if (fd < 0)
		return fd;
	at = size < top ? ALIGN_DOWN(top - size, 4096) : 0;
	if (at < floor) {
		ret = err_set(err, -ENOMEM,
			      "--mem: %" PRIu64
			      "M is too little for this kernel and an initrd of %" PRIu64
			      "M; use more",
			      (uint64_t)(mem->size / MIB), (uint64_t)(ALIGN_UP(size, MIB) / MIB));
		goto close;
	}
	ret = boot_file_read(fd, gmem_ptr(&mem->gmem, at, size), size, 0);
	if (ret) {
		err_set(err, ret, "--initrd %s: %s", path, strerror(-ret));
		goto close;
	}
	bp->hdr.ramdisk_image = at;
	bp->hdr.ramdisk_size = size;
close:
	close(fd);
	return ret;
}

static int boot_set_cmdline(const struct mem *mem, const struct bzimage *bz, const char *cmdline,
			    struct boot_params *bp, struct err *err)
{
	size_t len = strlen(cmdline);
	char *p = gmem_ptr(&mem->gmem, BOOT_CMDLINE, len + 1);

	if (len > bz->hdr.cmdline_size || !p)
		return err_set(err, -E2BIG,
			       "--append: the kernel command line has %zu characters, this kernel "
			       "takes %u",
			       len, bz->hdr.cmdline_size);
	memcpy(p, cmdline, len + 1);
	bp->hdr.cmd_line_ptr = BOOT_CMDLINE;
	return 0;
}

static void boot_add_e820(struct boot_params *bp, uint64_t addr, uint64_t end, uint32_t type)
{
	struct boot_e820_entry *e = &bp->e820_table[bp->e820_entries++];

	e->addr = addr;
	e->size = end - addr;
	e->type = type;
}

static void boot_set_e820(const struct mem *mem, struct boot_params *bp)
{
	const struct gmem *g = &mem->gmem;

	boot_add_e820(bp, 0, BOOT_LOW_END, E820_RAM);
	boot_add_e820(bp, BOOT_LOW_END, BOOT_HIGH_RAM, E820_RESERVED);
	boot_add_e820(bp, BOOT_HIGH_RAM, g->slot[0].len, E820_RAM);
	if (g->nslots > 1)
		boot_add_e820(bp, g->slot[1].gpa, g->slot[1].gpa + g->slot[1].len, E820_RAM);
}

/* Identity map of the first 4 GiB by 2 MiB pages, and the three flat segments of the protocol. */
static void boot_set_cpu_tables(const struct mem *mem)
{
	static const uint64_t gdt[4] = { 0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff };
	uint64_t *pml4 = gmem_ptr(&mem->gmem, BOOT_PML4, 6 * 4096);
	uint64_t *pdpt = pml4 + 512, *pd = pdpt + 512;
	uint64_t i;

	memset(pml4, 0, 2 * 4096);
	pml4[0] = (BOOT_PML4 + 4096) | 3;
	for (i = 0; i < 4; i++)
		pdpt[i] = (BOOT_PML4 + (2 + i) * 4096) | 3;
	for (i = 0; i < 4 * 512; i++)
		pd[i] = i << 21 | 0x83;
	memcpy(gmem_ptr(&mem->gmem, BOOT_GDT, sizeof(gdt)), gdt, sizeof(gdt));
}

/*
 * A hardware-reduced machine without EFI makes Linux restart by a jump to the firmware, in real
 * mode. What it finds there is: mov dx, PORT; mov al, VALUE; out dx, al; hlt; jmp to the hlt.
 */
static void boot_set_reset_vector(const struct mem *mem)
{
	static const uint8_t code[] = {
		0xba,
		LODGE_PORT_RESET & 0xff,
		LODGE_PORT_RESET >> 8,
		0xb0,
		LODGE_RESET_VALUE,
		0xee,
		0xf4,
		0xeb,
		0xfd,
	};

	memcpy(gmem_ptr(&mem->gmem, BOOT_RESET_VECTOR, sizeof(code)), code, sizeof(code));
}

int boot_bzimage_load(const struct mem *mem, const struct boot_image *img,
		      struct accel_entry *entry, struct err *err)
{
	struct boot_params *bp = gmem_ptr(&mem->gmem, BOOT_PARAMS, sizeof(*bp));
	struct bzimage bz;
	int ret;

	ret = bzimage_open(&bz, img->kernel, err);
	if (ret)
		return ret;
	memset(bp, 0, sizeof(*bp));
	bp->hdr = bz.hdr;
	bp->hdr.type_of_loader = 0xff;
	bp->hdr.vid_mode = 0xffff;
	bp->acpi_rsdp_addr = img->rsdp;
	ret = bzimage_load_body(mem, &bz, err);
	if (!ret)
		ret = boot_load_initrd(mem, &bz, img->initrd, bp, err);
	if (!ret)
		ret = boot_set_cmdline(mem, &bz, img->cmdline, bp, err);
	if (ret)
		goto close;
	boot_set_e820(mem, bp);
	boot_set_cpu_tables(mem);
	boot_set_reset_vector(mem);
	*entry = (struct accel_entry){
		.rip = bz.hdr.pref_address + BOOT_ENTRY_64,
		.rsp = BOOT_STACK,
		.rsi = BOOT_PARAMS,
		.cr3 = BOOT_PML4,
		.gdt_gpa = BOOT_GDT,
		.gdt_limit = 4 * 8 - 1,
	};
close:
	close(bz.fd);
	return ret;
}
