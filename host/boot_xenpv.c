// SPDX-License-Identifier: GPL-2.0-only
/*
 * Boots a bzImage's kernel by Xen's 64-bit PV protocol (<xen/xen.h>, "start-of-day memory layout"):
 * the payload unpacked, then from low to high, all in one mapping at the kernel's VIRT_BASE, the
 * initrd (unless the kernel takes it by frame: then it lies behind all), the table of frames, the
 * start_info page, the console's ring, page tables, a stack, and 512 KiB or more to spare, up to
 * a multiple of 4 MiB. Guest frame and machine frame are the same number.
 *
 * Runs once, on the main thread, before the guest.
 */
#include <asm/bootparam.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xen/xen.h>

#include "boot.h"
#include "boot_file.h"
#include "elf_pv.h"
#include "lite/abi/pv.h"
#include "payload.h"
#include "util.h"

#define PAGE 4096ull

#define PV_SPARE    (512 * KIB)
#define PV_ALIGN    (4 * MIB)
#define PV_MAP_MAX  (GIB / 2) /* what Linux makes of the first mapping has room for no more */
#define PV_L1_REACH (2 * MIB)

/* Page table bits. A page table itself may be mapped, but not for writing. */
#define PTE_TABLE 0x067 /* present, writable, user, accessed, dirty */
#define PTE_RW	  0x063
#define PTE_RO	  0x061

#define BZ_HDR_OFFSET 0x1f1
#define BZ_HDR_MAGIC  0x53726448 /* "HdrS" */
#define BZ_PAYLOAD    0x0208	 /* first protocol with payload_offset */

#define HYPERCALL_STUBS 64
#define HYPERCALL_STUB	32 /* bytes each */
#define HYPERCALL_IRET	23

/* A kernel, unpacked and understood. */
struct pv_kernel {
	const char *path;
	uint8_t *elf;
	size_t elf_len;
	struct elf_pv pv;
};

/* Everything in guest memory, by gpa. */
struct pv_layout {
	uint64_t initrd, initrd_len;
	uint64_t p2m, start_info, console, tables, stack;
	uint64_t mapped; /* end of the mapping */
	uint64_t l1s;	 /* how many tables of the last level */
};

static int pv_read_payload(int fd, uint64_t size, const char *path, uint8_t **out,
			   uint64_t *out_len, struct err *err)
{
	struct setup_header hdr;
	uint64_t off;
	int ret;

	ret = size < BZ_HDR_OFFSET + sizeof(hdr)
		      ? -ENOEXEC
		      : boot_file_read(fd, &hdr, sizeof(hdr), BZ_HDR_OFFSET);
	if (ret || hdr.header != BZ_HDR_MAGIC || hdr.version < BZ_PAYLOAD || !hdr.payload_length)
		return err_set(err, ret ? ret : -ENOEXEC,
			       "--kernel %s: not a bzImage with a payload; give a kernel's vmlinuz",
			       path);
	off = ((hdr.setup_sects ? hdr.setup_sects : 4) + 1) * 512ull + hdr.payload_offset;
	if (off > size || hdr.payload_length > size - off)
		return err_set(err, -ENOEXEC,
			       "--kernel %s: truncated: its payload ends at %" PRIu64
			       ", the file at %" PRIu64,
			       path, off + hdr.payload_length, size);
	*out_len = hdr.payload_length;
	*out = malloc(*out_len);
	if (!*out)
		return err_set(err, -ENOMEM, "out of memory");
	ret = boot_file_read(fd, *out, *out_len, off);
	return ret ? err_set(err, ret, "--kernel %s: %s", path, strerror(-ret)) : 0;
}

static void pv_kernel_free(struct pv_kernel *k)
{
	payload_free(k->elf, k->elf_len);
	k->elf = NULL;
}

static int pv_kernel_open(struct pv_kernel *k, const char *path, struct err *err)
{
	uint64_t size, packed_len = 0;
	uint8_t *packed = NULL;
	int fd, ret;

	*k = (struct pv_kernel){ .path = path };
	fd = boot_file_open("--kernel", path, &size, err);
	if (fd < 0)
		return fd;
	ret = pv_read_payload(fd, size, path, &packed, &packed_len, err);
	if (!ret)
		ret = payload_unpack(packed, packed_len, path, &k->elf, &k->elf_len, err);
	if (!ret)
		ret = elf_pv_parse(k->elf, k->elf_len, path, &k->pv, err);
	free(packed);
	close(fd);
	if (ret)
		pv_kernel_free(k);
	return ret;
}

int boot_xenpv_check(const char *path, struct err *err)
{
	struct pv_kernel k;
	int ret = pv_kernel_open(&k, path, err);

	if (!ret)
		pv_kernel_free(&k);
	return ret;
}

/* Where everything goes. The tables have to map themselves, so their number is found by trying. */
static int pv_lay_out(struct pv_layout *l, const struct mem *mem, const struct elf_pv *pv,
		      struct err *err)
{
	uint64_t at = ALIGN_UP(pv->end, PAGE), need;

	if (l->initrd_len && !pv->mod_by_frame) {
		l->initrd = at;
		at += ALIGN_UP(l->initrd_len, PAGE);
	}
	l->p2m = at;
	at += ALIGN_UP(mem->size / PAGE * sizeof(uint64_t), PAGE);
	l->start_info = at;
	l->console = at + PAGE;
	l->tables = at + 2 * PAGE;
	for (l->l1s = 1;; l->l1s++) {
		l->stack = l->tables + (3 + l->l1s) * PAGE;
		l->mapped = ALIGN_UP(l->stack + PAGE + PV_SPARE, PV_ALIGN);
		if (l->l1s * PV_L1_REACH >= l->mapped || l->mapped > PV_MAP_MAX)
			break;
	}
	if (l->mapped > PV_MAP_MAX)
		return err_set(err, -E2BIG,
			       "--mem: kernel, initrd and tables for %" PRIu64 "M take %" PRIu64
			       "M, of which lite mode can map %" PRIu64 "M; use less",
			       (uint64_t)(mem->size / MIB), (uint64_t)(l->mapped / MIB),
			       (uint64_t)(PV_MAP_MAX / MIB));
	need = l->mapped;
	if (l->initrd_len && pv->mod_by_frame) {
		l->initrd = l->mapped;
		need += ALIGN_UP(l->initrd_len, PAGE);
	}
	if (need > mem->size)
		return err_set(err, -ENOMEM,
			       "--mem: %" PRIu64 "M is too little for this kernel%s, which need%s "
			       "%" PRIu64 "M to start; use more",
			       (uint64_t)(mem->size / MIB), l->initrd_len ? " and initrd" : "",
			       l->initrd_len ? "" : "s", (uint64_t)(ALIGN_UP(need, MIB) / MIB));
	return 0;
}

/* Map gpa 0 to l->mapped at @virt_base, 4 KiB pages, the tables themselves read-only. */
static void pv_set_tables(const struct pv_layout *l, uint8_t *ram, uint64_t virt_base)
{
	uint64_t *l4 = (uint64_t *)(ram + l->tables), *l3 = l4 + 512, *l2 = l3 + 512,
		 *l1 = l2 + 512;
	uint64_t end = l->tables + (3 + l->l1s) * PAGE, gpa;
	uint64_t i;

	memset(l4, 0, (3 + l->l1s) * PAGE);
	l4[virt_base >> 39 & 511] = (l->tables + PAGE) | PTE_TABLE;
	l3[virt_base >> 30 & 511] = (l->tables + 2 * PAGE) | PTE_TABLE;
	for (i = 0; i < l->l1s; i++)
		l2[i] = (l->tables + (3 + i) * PAGE) | PTE_TABLE;
	for (gpa = 0; gpa < l->mapped; gpa += PAGE)
		l1[gpa / PAGE] = gpa | (gpa >= l->tables && gpa < end ? PTE_RO : PTE_RW);
}

/*
 * Kernels before 6.13 call through these: mov eax, N; syscall; ret, with what syscall destroys
 * saved around it. Where iret comes back to is for it to say.
 */
static void pv_set_stubs(uint8_t *page)
{
	static const uint8_t call[] = { 0x51, 0x41, 0x53, 0xb8, 0,    0,    0,
					0,    0x0f, 0x05, 0x41, 0x5b, 0x59, 0xc3 };
	static const uint8_t iret[] = { 0x51, 0x41, 0x53, 0x50, 0xb8, HYPERCALL_IRET,
					0,    0,    0,	  0x0f, 0x05 };
	unsigned int i;

	memset(page, 0xcc, PAGE);
	for (i = 0; i < HYPERCALL_STUBS; i++) {
		memcpy(page + i * HYPERCALL_STUB, call, sizeof(call));
		page[i * HYPERCALL_STUB + 4] = i;
	}
	memcpy(page + HYPERCALL_IRET * HYPERCALL_STUB, iret, sizeof(iret));
}

static int pv_set_start_info(const struct pv_layout *l, const struct mem *mem,
			     const struct pv_kernel *k, const struct boot_image *img,
			     struct err *err)
{
	struct start_info *si = (struct start_info *)(mem->base + l->start_info);
	uint64_t base = k->pv.virt_base;
	size_t len = strlen(img->cmdline);

	if (len >= sizeof(si->cmd_line))
		return err_set(err, -E2BIG,
			       "--append: the kernel command line has %zu characters, in lite mode "
			       "it has room for %zu",
			       len, sizeof(si->cmd_line) - 1);
	memset(si, 0, PAGE);
	strcpy(si->magic, "xen-3.0-x86_64");
	si->nr_pages = mem->size / PAGE;
	si->shared_info = img->pv.shared_info;
	si->pt_base = base + l->tables;
	si->nr_pt_frames = 3 + l->l1s;
	si->mfn_list = base + l->p2m;
	if (img->pv.console) {
		si->console.domU.mfn = l->console / PAGE;
		si->console.domU.evtchn = LODGE_PORT_CONSOLE;
	}
	if (l->initrd_len) {
		si->mod_start = k->pv.mod_by_frame ? l->initrd / PAGE : base + l->initrd;
		si->mod_len = l->initrd_len;
		si->flags = k->pv.mod_by_frame ? SIF_MOD_START_PFN : 0;
	}
	memcpy(si->cmd_line, img->cmdline, len + 1);
	return 0;
}

static int pv_load(const struct mem *mem, struct boot_image *img, const struct pv_kernel *k,
		   int initrd, struct pv_layout *l, struct err *err)
{
	uint64_t *p2m, i;
	int ret;

	ret = pv_lay_out(l, mem, &k->pv, err);
	if (!ret)
		ret = pv_set_start_info(l, mem, k, img, err);
	if (ret)
		return ret;
	if (l->initrd_len) {
		ret = boot_file_read(initrd, mem->base + l->initrd, l->initrd_len, 0);
		if (ret)
			return err_set(err, ret, "--initrd %s: %s", img->initrd, strerror(-ret));
	}
	elf_pv_load(&k->pv, k->elf, mem->base);
	if (k->pv.hypercall_page)
		pv_set_stubs(mem->base + k->pv.hypercall_page);
	p2m = (uint64_t *)(mem->base + l->p2m);
	for (i = 0; i < mem->size / PAGE; i++)
		p2m[i] = i;
	pv_set_tables(l, mem->base, k->pv.virt_base);
	return 0;
}

int boot_xenpv_load(const struct mem *mem, struct boot_image *img, struct accel_entry *entry,
		    struct err *err)
{
	struct pv_layout l = { 0 };
	struct pv_kernel k;
	int ret, fd = -1;

	ret = pv_kernel_open(&k, img->kernel, err);
	if (ret)
		return ret;
	if (img->initrd) {
		ret = fd = boot_file_open("--initrd", img->initrd, &l.initrd_len, err);
		if (fd < 0)
			goto free_kernel;
	}
	ret = pv_load(mem, img, &k, fd, &l, err);
	if (ret)
		goto close_initrd;
	img->pv.console_gpa = l.console;
	*entry = (struct accel_entry){
		.rip = k.pv.entry,
		.rsp = k.pv.virt_base + l.stack + PAGE,
		.rsi = k.pv.virt_base + l.start_info,
		.cr3 = l.tables,
	};
close_initrd:
	if (fd >= 0)
		close(fd);
free_kernel:
	pv_kernel_free(&k);
	return ret;
}
