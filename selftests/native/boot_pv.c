// SPDX-License-Identifier: GPL-2.0-only
/*
 * host/payload.c, elf_pv.c, boot_xenpv.c: kernels packed each way, ELF files and notes that lie,
 * and what a Xen PV guest finds in its memory. The kernel is a made-up one, wrapped in a bzImage's
 * header.
 */
#include <asm/bootparam.h>
#include <elf.h>
#include <errno.h>
#include <lz4.h>
#include <lzma.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xen/elfnote.h>
#include <xen/xen.h>
#include <zlib.h>
#include <zstd.h>

#include "host/boot.h"
#include "host/elf_pv.h"
#include "host/payload.h"
#include "kselftest.h"
#include "lite/abi/pv.h"

#define VIRT_BASE 0xffffffff80000000ull
#define TEXT_GPA  0x1000000ull
#define TEXT_LEN  0x3000ull
#define BSS_END	  (TEXT_GPA + 0x10000)
#define ENTRY	  (VIRT_BASE + TEXT_GPA + 0x40)
#define STUBS	  (VIRT_BASE + TEXT_GPA + 0x1000)
#define TEXT_OFF  0x1000u
#define NOTE_OFF  0x400u
#define ELF_LEN	  (TEXT_OFF + TEXT_LEN)
#define PACKED	  (64u << 10)

static uint8_t elf[ELF_LEN];
static size_t note_len;
static struct elf_pv pv;
static struct err err;

static Elf64_Ehdr *ehdr(void)
{
	return (Elf64_Ehdr *)elf;
}

static Elf64_Phdr *phdr(unsigned int i)
{
	return (Elf64_Phdr *)(elf + sizeof(Elf64_Ehdr)) + i;
}

static void add_note(uint32_t type, const void *desc, uint32_t len)
{
	Elf64_Nhdr h = { .n_namesz = 4, .n_descsz = len, .n_type = type };
	uint8_t *p = elf + NOTE_OFF + note_len;

	memcpy(p, &h, sizeof(h));
	memcpy(p + sizeof(h), "Xen", 4);
	memcpy(p + sizeof(h) + 4, desc, len);
	note_len += sizeof(h) + 4 + (len + 3) / 4 * 4;
	phdr(1)->p_filesz = note_len;
}

static void add_number(uint32_t type, uint64_t val)
{
	add_note(type, &val, sizeof(val));
}

static void make_elf_without_notes(void)
{
	size_t i;

	memset(elf, 0, sizeof(elf));
	memset(&err, 0, sizeof(err));
	note_len = 0;
	memcpy(ehdr()->e_ident, ELFMAG, SELFMAG);
	ehdr()->e_ident[EI_CLASS] = ELFCLASS64;
	ehdr()->e_ident[EI_DATA] = ELFDATA2LSB;
	ehdr()->e_machine = EM_X86_64;
	ehdr()->e_phoff = sizeof(Elf64_Ehdr);
	ehdr()->e_phentsize = sizeof(Elf64_Phdr);
	ehdr()->e_phnum = 2;
	*phdr(0) = (Elf64_Phdr){
		.p_type = PT_LOAD,
		.p_offset = TEXT_OFF,
		.p_paddr = TEXT_GPA,
		.p_filesz = TEXT_LEN,
		.p_memsz = BSS_END - TEXT_GPA,
	};
	*phdr(1) = (Elf64_Phdr){ .p_type = PT_NOTE, .p_offset = NOTE_OFF };
	for (i = 0; i < TEXT_LEN; i++)
		elf[TEXT_OFF + i] = i * 7 + i / 256;
}

static void make_elf(void)
{
	make_elf_without_notes();
	add_note(XEN_ELFNOTE_XEN_VERSION, "xen-3.0", 8);
	add_number(XEN_ELFNOTE_ENTRY, ENTRY);
	add_number(XEN_ELFNOTE_VIRT_BASE, VIRT_BASE);
	add_number(XEN_ELFNOTE_HYPERCALL_PAGE, STUBS);
	add_number(XEN_ELFNOTE_MOD_START_PFN, 1);
}

static int parse(void)
{
	memset(&err, 0, sizeof(err));
	return elf_pv_parse(elf, sizeof(elf), "k", &pv, &err);
}

static void elf_good(void)
{
	make_elf();
	ksft_eq(parse(), 0);
	ksft_eq(pv.nsegments, 1);
	ksft_eq(pv.end, BSS_END);
	ksft_eq(pv.entry, ENTRY);
	ksft_eq(pv.hypercall_page, STUBS - VIRT_BASE);
	ksft_check(pv.mod_by_frame);
}

static void elf_no_pv(void)
{
	make_elf_without_notes();
	ksft_eq(parse(), -ENOEXEC);
	ksft_check(strstr(err.msg, "no Xen PV entry (CONFIG_XEN_PV)"));
	/* Somebody else's notes of the same numbers do not count. */
	make_elf();
	for (size_t i = 0; i + 4 <= note_len; i += 4)
		if (!memcmp(elf + NOTE_OFF + i, "Xen", 4))
			memcpy(elf + NOTE_OFF + i, "Xem", 4);
	ksft_eq(parse(), -ENOEXEC);
}

static void expect_bad(void)
{
	ksft_eq(parse(), -ENOEXEC);
	ksft_check(strstr(err.msg, "--kernel"));
	make_elf();
}

static void elf_bad_header(void)
{
	make_elf();
	ehdr()->e_ident[EI_CLASS] = ELFCLASS32;
	expect_bad();
	ehdr()->e_machine = EM_386;
	expect_bad();
	ehdr()->e_phnum = 65535;
	expect_bad();
	ehdr()->e_phoff = UINT64_MAX - 8;
	expect_bad();
	ehdr()->e_phentsize = 1;
	expect_bad();
	ksft_eq(elf_pv_parse(elf, 10, "k", &pv, &err), -ENOEXEC);
}

static void elf_bad_segments(void)
{
	make_elf();
	phdr(0)->p_offset = ELF_LEN - 1;
	expect_bad();
	phdr(0)->p_offset = UINT64_MAX;
	expect_bad();
	phdr(0)->p_filesz = UINT64_MAX;
	expect_bad();
	phdr(0)->p_memsz = 8;
	expect_bad();
	phdr(0)->p_memsz = UINT64_MAX;
	expect_bad();
	phdr(0)->p_paddr = UINT64_MAX - 0xfff;
	expect_bad();
	phdr(0)->p_paddr = 0x20000000;
	expect_bad();
	phdr(0)->p_type = PT_NULL;
	expect_bad();
	ehdr()->e_phnum = 3;
	*phdr(2) = *phdr(0);
	expect_bad(); /* two in the same place */
}

static void elf_bad_notes(void)
{
	make_elf();
	add_number(XEN_ELFNOTE_ENTRY, VIRT_BASE);
	expect_bad();
	add_number(XEN_ELFNOTE_VIRT_BASE, 0x1000);
	expect_bad();
	add_number(XEN_ELFNOTE_HYPERCALL_PAGE, STUBS + 1);
	expect_bad();
	add_number(XEN_ELFNOTE_HYPERCALL_PAGE, VIRT_BASE + BSS_END - 0x800);
	expect_bad();
	add_number(XEN_ELFNOTE_PADDR_OFFSET, TEXT_GPA + 1);
	expect_bad();
	add_note(XEN_ELFNOTE_XEN_VERSION, "xen-2.0", 8);
	expect_bad();
	phdr(1)->p_filesz = UINT64_MAX; /* outside of the file: as if there were none */
	expect_bad();
	/* Lengths that run over the end: what came before counts. */
	((Elf64_Nhdr *)(elf + NOTE_OFF + note_len))->n_namesz = UINT32_MAX;
	phdr(1)->p_filesz = note_len + 64;
	ksft_eq(parse(), 0);
	((Elf64_Nhdr *)(elf + NOTE_OFF + note_len))->n_namesz = 4;
	((Elf64_Nhdr *)(elf + NOTE_OFF + note_len))->n_descsz = UINT32_MAX;
	ksft_eq(parse(), 0);
}

/* Each byte of head and notes, damaged: whatever comes of it is no access outside of the file. */
static void elf_damaged(void)
{
	unsigned int i, bit;

	for (i = 0; i < NOTE_OFF + 256; i++) {
		for (bit = 0; bit < 8; bit++) {
			make_elf();
			elf[i] ^= 1 << bit;
			if (!parse())
				ksft_check(pv.end <= 1u << 29 && pv.nsegments);
		}
	}
}

static size_t put_size(uint8_t *to, size_t n)
{
	uint32_t size = sizeof(elf);

	memcpy(to + n, &size, sizeof(size));
	return n + sizeof(size);
}

static size_t pack_gzip(uint8_t *to)
{
	z_stream s = {
		.next_in = elf,
		.avail_in = sizeof(elf),
		.next_out = to,
		.avail_out = PACKED,
	};

	ksft_eq(deflateInit2(&s, 9, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
	ksft_eq(deflate(&s, Z_FINISH), Z_STREAM_END);
	deflateEnd(&s);
	return s.total_out;
}

static size_t pack_xz(uint8_t *to)
{
	size_t n = 0;

	ksft_eq(lzma_easy_buffer_encode(6, LZMA_CHECK_CRC32, NULL, elf, sizeof(elf), to, &n,
					PACKED),
		LZMA_OK);
	return put_size(to, n);
}

static size_t pack_lzma(uint8_t *to)
{
	lzma_stream s = LZMA_STREAM_INIT;
	lzma_options_lzma opt;

	lzma_lzma_preset(&opt, 6);
	ksft_eq(lzma_alone_encoder(&s, &opt), LZMA_OK);
	s.next_in = elf;
	s.avail_in = sizeof(elf);
	s.next_out = to;
	s.avail_out = PACKED;
	ksft_eq(lzma_code(&s, LZMA_FINISH), LZMA_STREAM_END);
	lzma_end(&s);
	return put_size(to, s.total_out);
}

static size_t pack_zstd(uint8_t *to)
{
	size_t n = ZSTD_compress(to, PACKED, elf, sizeof(elf), 3);

	ksft_check(!ZSTD_isError(n));
	return put_size(to, n);
}

static size_t pack_lz4(uint8_t *to)
{
	static const uint8_t magic[4] = { 0x02, 0x21, 0x4c, 0x18 };
	size_t at = 0, n = 4;
	uint32_t size;

	memcpy(to, magic, 4);
	/* In two blocks, as a kernel of more than 8 MiB has them. */
	for (at = 0; at < sizeof(elf); at += sizeof(elf) / 2) {
		size = LZ4_compress_default((char *)elf + at, (char *)to + n + 4, sizeof(elf) / 2,
					    PACKED - n - 4);
		ksft_check(size);
		memcpy(to + n, &size, 4);
		n += 4 + size;
	}
	return put_size(to, n);
}

static size_t pack_plain(uint8_t *to)
{
	memcpy(to, elf, sizeof(elf));
	return sizeof(elf);
}

static uint8_t packed[PACKED];

/* Packed, it unpacks to what it was; cut or damaged anywhere, that is said. */
static void check_pack(size_t (*pack)(uint8_t *to))
{
	size_t len, cut, out_len;
	uint8_t *out;

	make_elf();
	len = pack(packed);
	ksft_eq(payload_unpack(packed, len, "k", &out, &out_len, &err), 0);
	ksft_eq(out_len, sizeof(elf));
	ksft_check(!memcmp(out, elf, sizeof(elf)));
	payload_free(out, out_len);
	if (pack == pack_plain)
		return;
	for (cut = 1; cut < len; cut += 1 + cut / 8) {
		memset(&err, 0, sizeof(err));
		if (!payload_unpack(packed, len - cut, "k", &out, &out_len, &err)) {
			payload_free(out, out_len);
			ksft_fail("cut by %zu it still unpacks", cut);
		}
		ksft_check(strstr(err.msg, "--kernel k: "));
	}
	/* A size that is not that of what comes out. */
	packed[len - 4] ^= 1;
	ksft_eq(payload_unpack(packed, len, "k", &out, &out_len, &err), -ENOEXEC);
	packed[len - 1] = 0xff;
	ksft_eq(payload_unpack(packed, len, "k", &out, &out_len, &err), -ENOEXEC);
}

static void unpack_gzip(void)
{
	check_pack(pack_gzip);
}

static void unpack_xz(void)
{
	check_pack(pack_xz);
}

static void unpack_lzma(void)
{
	check_pack(pack_lzma);
}

static void unpack_zstd(void)
{
	check_pack(pack_zstd);
}

static void unpack_lz4(void)
{
	check_pack(pack_lz4);
}

static void unpack_plain(void)
{
	check_pack(pack_plain);
}

static void unpack_unknown(void)
{
	size_t out_len;
	uint8_t *out;

	memset(&err, 0, sizeof(err));
	memcpy(packed, "BZh9 and so on", 15);
	ksft_eq(payload_unpack(packed, 100, "k", &out, &out_len, &err), -ENOEXEC);
	ksft_check(strstr(err.msg, "packed with bzip2"));
	memset(packed, 0x11, 100);
	memset(&err, 0, sizeof(err));
	ksft_eq(payload_unpack(packed, 100, "k", &out, &out_len, &err), -ENOEXEC);
	ksft_check(strstr(err.msg, "something unknown"));
}

static char kernel_path[64], initrd_path[64];

/* A bzImage of one setup sector, with the kernel packed by gzip. */
static void make_files(size_t initrd_len)
{
	uint8_t head[1024] = { 0 };
	struct setup_header *hdr = (struct setup_header *)(head + 0x1f1);
	size_t len = pack_gzip(packed);
	FILE *f;

	snprintf(kernel_path, sizeof(kernel_path), "/tmp/boot_pv.%d.kernel", getpid());
	snprintf(initrd_path, sizeof(initrd_path), "/tmp/boot_pv.%d.initrd", getpid());
	hdr->setup_sects = 1;
	hdr->header = 0x53726448;
	hdr->version = 0x20f;
	hdr->payload_length = len;
	f = fopen(kernel_path, "w");
	ksft_check(f);
	fwrite(head, 1, sizeof(head), f);
	fwrite(packed, 1, len, f);
	fclose(f);
	f = fopen(initrd_path, "w");
	ksft_check(f);
	while (initrd_len--)
		fputc(initrd_len % 251, f);
	fclose(f);
}

static void remove_files(void)
{
	unlink(kernel_path);
	unlink(initrd_path);
}

static struct mem ram;
static struct accel_entry entry;

static int load(uint64_t size, const char *cmdline, struct boot_image *img)
{
	int ret;

	memset(&err, 0, sizeof(err));
	ram = (struct mem){ .size = size, .fd = -1 };
	ram.base = mmap(NULL, size, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	ksft_check(ram.base != MAP_FAILED);
	*img = (struct boot_image){
		.kernel = kernel_path,
		.initrd = initrd_path,
		.cmdline = cmdline,
		.pv = { .shared_info = 0x40018000, .console = true },
	};
	ret = boot_xenpv_load(&ram, img, &entry, &err);
	if (ret)
		munmap(ram.base, ram.size);
	return ret;
}

/* As the processor does it, by the guest's first tables: the gpa, and whether it may be written. */
static uint64_t translate(uint64_t va, bool *writable)
{
	uint64_t table = entry.cr3, pte = 0;
	int level;

	*writable = true;
	for (level = 3; level >= 0; level--) {
		ksft_check(table < ram.size);
		pte = ((uint64_t *)(ram.base + table))[va >> (12 + 9 * level) & 511];
		ksft_check(pte & 1);
		*writable &= pte >> 1 & 1;
		table = pte & 0xffffffffff000ull;
	}
	return table | (va & 4095);
}

static void *at(uint64_t va)
{
	bool writable;

	return ram.base + translate(va, &writable);
}

static void check_memory(const struct boot_image *img, size_t initrd_len)
{
	struct start_info *si = at(entry.rsi);
	uint64_t i, *p2m;
	bool writable;

	ksft_streq(si->magic, "xen-3.0-x86_64");
	ksft_eq(si->nr_pages, ram.size / 4096);
	ksft_eq(si->shared_info, 0x40018000);
	ksft_eq(si->store_evtchn, 0);
	ksft_eq(si->console.domU.evtchn, LODGE_PORT_CONSOLE);
	ksft_eq(si->console.domU.mfn << 12, img->pv.console_gpa);
	ksft_streq((char *)si->cmd_line, "a=b c");
	ksft_eq(si->flags, SIF_MOD_START_PFN);
	ksft_eq(si->mod_len, initrd_len);
	ksft_eq(ram.base[(si->mod_start << 12) + initrd_len - 1], 0);
	ksft_eq(ram.base[si->mod_start << 12], (initrd_len - 1) % 251);
	p2m = at(si->mfn_list);
	for (i = 0; i < si->nr_pages; i += 511)
		ksft_eq(p2m[i], i);
	/* The kernel, but for the stubs, which are code now. */
	ksft_check(!memcmp(at(VIRT_BASE + TEXT_GPA), elf + TEXT_OFF, 0x1000));
	ksft_check(!memcmp(at(VIRT_BASE + TEXT_GPA + 0x2000), elf + TEXT_OFF + 0x2000, 0x1000));
	ksft_eq(*(uint8_t *)at(STUBS + 5 * 32 + 4), 5);
	/* Tables read-only, everything else not; room behind the stack. */
	ksft_eq(translate(si->pt_base, &writable), entry.cr3);
	for (i = 0; i < si->nr_pt_frames; i++) {
		translate(si->pt_base + i * 4096, &writable);
		ksft_check(!writable);
	}
	translate(entry.rsp - 8, &writable);
	ksft_check(writable);
	translate(entry.rsp + (512 << 10) - 1, &writable);
	ksft_check(writable);
	translate(si->mfn_list, &writable);
	ksft_check(writable);
	ksft_eq(entry.rip, ENTRY);
}

static void memory(void)
{
	static const uint64_t sizes[] = { 64ull << 20, 512ull << 20, 3ull << 30, 8ull << 30 };
	struct boot_image img;
	unsigned int i;

	make_elf();
	make_files(70000);
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		ksft_eq(load(sizes[i], "a=b c", &img), 0);
		check_memory(&img, 70000);
		munmap(ram.base, ram.size);
	}
	remove_files();
}

static void memory_refused(void)
{
	struct boot_image img;
	char text[1025];

	make_elf();
	make_files(5 << 20);
	ksft_eq(load(16 << 20, "", &img), -ENOMEM);
	ksft_check(strstr(err.msg, "--mem"));
	memset(text, 'x', 1024);
	text[1024] = '\0';
	ksft_eq(load(64 << 20, text, &img), -E2BIG);
	ksft_check(strstr(err.msg, "--append"));
	text[1023] = '\0';
	ksft_eq(load(64 << 20, text, &img), 0);
	munmap(ram.base, ram.size);
	ksft_eq(truncate(kernel_path, 1024 + 100), 0);
	ksft_eq(load(64 << 20, "", &img), -ENOEXEC);
	ksft_check(strstr(err.msg, "truncated"));
	remove_files();
}

int main(int argc, char **argv)
{
	ksft_case("a kernel with Xen notes", elf_good);
	ksft_case("a kernel without", elf_no_pv);
	ksft_case("ELF headers that lie", elf_bad_header);
	ksft_case("segments that lie", elf_bad_segments);
	ksft_case("notes that lie", elf_bad_notes);
	ksft_case("any bit of them damaged", elf_damaged);
	ksft_case("packed by gzip", unpack_gzip);
	ksft_case("packed by XZ", unpack_xz);
	ksft_case("packed by LZMA", unpack_lzma);
	ksft_case("packed by Zstandard", unpack_zstd);
	ksft_case("packed by LZ4", unpack_lz4);
	ksft_case("not packed", unpack_plain);
	ksft_case("packed by something else", unpack_unknown);
	ksft_case("what the guest finds in memory", memory);
	ksft_case("what does not fit", memory_refused);
	return ksft_run(argc, argv);
}
