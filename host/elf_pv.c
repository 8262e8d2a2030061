// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads an ELF kernel and its Xen notes; see elf_pv.h. Every field is copied out before it is
 * looked at, since nothing in the file need be aligned. Main thread; no state.
 */
#include <elf.h>
#include <errno.h>
#include <string.h>
#include <xen/elfnote.h>

#include "elf_pv.h"
#include "util.h"

#define ELF_PV_MEM_MAX	 (1ull << 40) /* far beyond all, and sums of these do not wrap */
#define ELF_PV_PHDRS_MAX 64
#define ELF_PV_KERNEL	 (GIB / 2) /* as far as the first mapping reaches */

/* What the notes say, as they say it. */
struct elf_pv_notes {
	bool has_entry, has_base, mod_by_frame;
	uint64_t entry, virt_base, paddr_offset, hypercall_page;
	char xen_version[8];
};

static bool elf_inside(uint64_t off, uint64_t n, uint64_t len)
{
	return off <= len && n <= len - off;
}

/* Numbers are 4 or 8 bytes, as the kernel's assembler saw fit. */
static uint64_t note_number(const uint8_t *desc, uint32_t size)
{
	uint64_t val = 0;

	memcpy(&val, desc, MIN(size, sizeof(val)));
	return val;
}

static void note_text(char *to, size_t size, const uint8_t *desc, uint32_t len)
{
	size_t n = MIN(size - 1, len);

	memcpy(to, desc, n);
	to[n] = '\0';
}

static void note_take(struct elf_pv_notes *n, uint32_t type, const uint8_t *desc, uint32_t size)
{
	switch (type) {
	case XEN_ELFNOTE_ENTRY:
		n->has_entry = true;
		n->entry = note_number(desc, size);
		break;
	case XEN_ELFNOTE_HYPERCALL_PAGE:
		n->hypercall_page = note_number(desc, size);
		break;
	case XEN_ELFNOTE_VIRT_BASE:
		n->has_base = true;
		n->virt_base = note_number(desc, size);
		break;
	case XEN_ELFNOTE_PADDR_OFFSET:
		n->paddr_offset = note_number(desc, size);
		break;
	case XEN_ELFNOTE_MOD_START_PFN:
		n->mod_by_frame = note_number(desc, size);
		break;
	case XEN_ELFNOTE_XEN_VERSION:
		note_text(n->xen_version, sizeof(n->xen_version), desc, size);
		break;
	}
}

/* One PT_NOTE segment. A note that runs over its end ends the walk. */
static void notes_walk(struct elf_pv_notes *n, const uint8_t *p, uint64_t len)
{
	while (len >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr h;
		uint64_t name, desc;

		memcpy(&h, p, sizeof(h));
		name = ALIGN_UP((uint64_t)h.n_namesz, 4);
		desc = ALIGN_UP((uint64_t)h.n_descsz, 4);
		p += sizeof(h);
		len -= sizeof(h);
		if (name > len || h.n_descsz > len - name)
			return;
		if (h.n_namesz == 4 && !memcmp(p, "Xen", 4))
			note_take(n, h.n_type, p + name, h.n_descsz);
		if (desc > len - name)
			return;
		p += name + desc;
		len -= name + desc;
	}
}

static int elf_add_segment(struct elf_pv *e, const Elf64_Phdr *p, uint64_t len, uint64_t offset)
{
	struct elf_pv_segment *s = &e->segment[e->nsegments];

	if (!p->p_memsz)
		return 0;
	if (e->nsegments == ARRAY_SIZE(e->segment) || !elf_inside(p->p_offset, p->p_filesz, len) ||
	    p->p_filesz > p->p_memsz || p->p_memsz > ELF_PV_MEM_MAX || p->p_paddr < offset ||
	    p->p_paddr - offset > ELF_PV_MEM_MAX)
		return -ENOEXEC;
	*s = (struct elf_pv_segment){
		.gpa = p->p_paddr - offset,
		.file_off = p->p_offset,
		.file_len = p->p_filesz,
		.mem_len = p->p_memsz,
	};
	/* Linux has them in this order; so nothing needs sorting to see that none overlap. */
	if (s->gpa < e->end)
		return -ENOEXEC;
	e->end = s->gpa + s->mem_len;
	e->nsegments++;
	return e->end > ELF_PV_KERNEL ? -ENOEXEC : 0;
}

/* Is [va, va + len) of the first mapping inside of one segment? */
static bool elf_has(const struct elf_pv *e, uint64_t va, uint64_t len)
{
	uint64_t gpa = va - e->virt_base;
	unsigned int i;

	for (i = 0; i < e->nsegments; i++)
		if (gpa >= e->segment[i].gpa &&
		    elf_inside(gpa - e->segment[i].gpa, len, e->segment[i].mem_len))
			return true;
	return false;
}

/* The program headers: @type's to the notes, or to the segments. */
static int elf_walk(struct elf_pv *e, struct elf_pv_notes *n, const uint8_t *elf, size_t len,
		    const Elf64_Ehdr *h, uint32_t type)
{
	unsigned int i;
	Elf64_Phdr p;
	int ret;

	for (i = 0; i < h->e_phnum; i++) {
		memcpy(&p, elf + h->e_phoff + i * sizeof(p), sizeof(p));
		if (p.p_type != type)
			continue;
		if (type == PT_NOTE) {
			if (elf_inside(p.p_offset, p.p_filesz, len))
				notes_walk(n, elf + p.p_offset, p.p_filesz);
			continue;
		}
		ret = elf_add_segment(e, &p, len, n->paddr_offset);
		if (ret)
			return ret;
	}
	return 0;
}

static bool elf_header_ok(const Elf64_Ehdr *h, size_t len)
{
	return !memcmp(h->e_ident, ELFMAG, SELFMAG) && h->e_ident[EI_CLASS] == ELFCLASS64 &&
	       h->e_ident[EI_DATA] == ELFDATA2LSB && h->e_machine == EM_X86_64 &&
	       h->e_phentsize == sizeof(Elf64_Phdr) && h->e_phnum <= ELF_PV_PHDRS_MAX &&
	       elf_inside(h->e_phoff, h->e_phnum * sizeof(Elf64_Phdr), len);
}

int elf_pv_parse(const uint8_t *elf, size_t len, const char *path, struct elf_pv *e,
		 struct err *err)
{
	struct elf_pv_notes n = { 0 };
	Elf64_Ehdr h;

	memset(e, 0, sizeof(*e));
	if (len < sizeof(h))
		return err_set(err, -ENOEXEC, "--kernel %s: damaged: no ELF file inside", path);
	memcpy(&h, elf, sizeof(h));
	if (!elf_header_ok(&h, len))
		return err_set(err, -ENOEXEC,
			       "--kernel %s: damaged: what it unpacks to is no x86-64 ELF file",
			       path);
	elf_walk(e, &n, elf, len, &h, PT_NOTE);
	if (!n.has_entry || !n.has_base)
		return err_set(
			err, -ENOEXEC,
			"--kernel: %s has no Xen PV entry (CONFIG_XEN_PV), and lite mode needs "
			"one; use a distribution's kernel, or KVM mode",
			path);
	/* The whole first mapping lies under one L3 entry, in the upper half. */
	if (strcmp(n.xen_version, "xen-3.0") || n.virt_base % GIB || n.virt_base >> 47 != 0x1ffff)
		return err_set(err, -ENOEXEC,
			       "--kernel %s: asks for another kind of Xen PV guest (version '%s', "
			       "base %#llx) than lite mode's",
			       path, n.xen_version, (unsigned long long)n.virt_base);
	e->virt_base = n.virt_base;
	e->entry = n.entry;
	e->mod_by_frame = n.mod_by_frame;
	if (elf_walk(e, &n, elf, len, &h, PT_LOAD) || !e->nsegments)
		return err_set(err, -ENOEXEC,
			       "--kernel %s: damaged: its ELF segments make no sense", path);
	if (!elf_has(e, n.entry, 1))
		return err_set(err, -ENOEXEC,
			       "--kernel %s: damaged: its Xen entry lies outside of it", path);
	if (n.hypercall_page) {
		if (n.hypercall_page % 4096 || !elf_has(e, n.hypercall_page, 4096))
			return err_set(err, -ENOEXEC,
				       "--kernel %s: damaged: its Xen note HYPERCALL_PAGE "
				       "points outside of it",
				       path);
		e->hypercall_page = n.hypercall_page - n.virt_base;
	}
	return 0;
}

void elf_pv_load(const struct elf_pv *e, const uint8_t *elf, uint8_t *ram)
{
	unsigned int i;

	for (i = 0; i < e->nsegments; i++)
		memcpy(ram + e->segment[i].gpa, elf + e->segment[i].file_off,
		       e->segment[i].file_len);
}
