/* SPDX-License-Identifier: MIT
 * See elf.h. The formats: System V gABI, and the GNU hash table as binutils writes it. */
#include "compat/elf.h"

#include <elf.h>
#include <string.h>
#include <sys/auxv.h>

#include "compat/os.h"
#include "compat/real_slot.h"

#define VERSION_HIDDEN 0x8000 /* of an entry in DT_VERSYM: not the default version */

#define PAGE 4096

/* glibc 2.35's struct dl_find_object (dlfcn.h), with the room that it keeps for what later ones add. That function takes no
 * lock. */
struct found_object {
    unsigned long long flags;
    struct sp_elf_object object;
    uint64_t more[8];
};
extern int _dl_find_object(void *address, struct found_object *result);
SP_REAL_SLOT(_dl_find_object);

bool sp_elf_loader_tells(void)
{
    return SP_REAL_IF_FOUND(_dl_find_object) != NULL;
}

/* Threads: written at the start. */
static char *program_start, *program_end;

void sp_elf_start(void)
{
    const Elf64_Phdr *headers = (const Elf64_Phdr *)getauxval(AT_PHDR), *end = headers + getauxval(AT_PHNUM);
    uintptr_t low = UINTPTR_MAX, high = 0, bias = 0;
    for (const Elf64_Phdr *p = headers; headers && p < end; p++) {
        if (p->p_type == PT_PHDR)
            bias = (uintptr_t)headers - p->p_vaddr;
        if (p->p_type == PT_LOAD && p->p_vaddr < low)
            low = p->p_vaddr;
        if (p->p_type == PT_LOAD && p->p_vaddr + p->p_memsz > high)
            high = p->p_vaddr + p->p_memsz;
    }
    if (high > low) {
        program_start = (char *)((bias + low) & ~4095ul);
        program_end = (char *)(bias + high);
    }
}

/* A program whose parts do not adjoin is told by the part that the address is in (glibc, elf/dl-find_object.c): on aarch64, where they
 * begin at multiples of 64 KB, that is nearly each. */
bool sp_elf_loader_finds(struct sp_elf_object *o, uintptr_t address)
{
    struct found_object found;
    if (SP_REAL_IF_FOUND(_dl_find_object)((void *)address, &found) != 0)
        return false;
    *o = found.object;
    if ((char *)o->start >= program_start && (char *)o->end <= program_end) {
        o->start = program_start;
        o->end = program_end;
    }
    return true;
}

/* ---- finding it */
struct search {
    uintptr_t address;
    const char *prefix;
    struct sp_os_mapping first; /* of a file: where its beginning is mapped */
    uintptr_t header;           /* of the last file with code so far */
};

/* Only files with code are looked into: the bytes of any other may be gone, and reading them kill (SIGBUS). */
static bool note(struct search *s, const struct sp_os_mapping *m)
{
    if (m->inode && m->offset == 0 && m->readable)
        s->first = *m;
    if (!m->inode || !m->executable || m->inode != s->first.inode || m->device != s->first.device)
        return false;
    s->header = s->first.start;
    return true;
}

static bool reaches(void *arg, const struct sp_os_mapping *m)
{
    struct search *s = arg;
    if (m->start > s->address)
        return true;
    note(s, m);
    return false;
}

static bool is_named(void *arg, const struct sp_os_mapping *m)
{
    struct search *s = arg;
    return note(s, m) && strncmp(m->name, s->prefix, strlen(s->prefix)) == 0;
}

/* The loader of glibc writes addresses into the dynamic section where the file has offsets, musl's does not. */
static uintptr_t relocated(const struct sp_elf *e, uintptr_t a)
{
    if (a < e->start || a >= e->end)
        a += e->bias;
    return a >= e->start && a < e->end ? a : 0;
}

static bool read_dynamic(struct sp_elf *e, const Elf64_Dyn *d)
{
    for (size_t i = 0; d[i].d_tag != DT_NULL; i++) {
        uintptr_t a = relocated(e, d[i].d_un.d_ptr);
        if (d[i].d_tag == DT_SYMTAB)
            e->symbols = a;
        else if (d[i].d_tag == DT_STRTAB)
            e->strings = a;
        else if (d[i].d_tag == DT_VERSYM)
            e->versions = a;
        else if (d[i].d_tag == DT_GNU_HASH)
            e->gnu_hash = a;
        else if (d[i].d_tag == DT_HASH)
            e->hash = a;
    }
    return e->symbols && e->strings && (e->gnu_hash || e->hash);
}

bool sp_elf_open(struct sp_elf *e, uintptr_t bias, const Elf64_Phdr *headers, size_t n)
{
    const Elf64_Phdr *dynamic = NULL;
    uintptr_t low = UINTPTR_MAX, high = 0;
    for (const Elf64_Phdr *p = headers; p < headers + n; p++) {
        if (p->p_type == PT_DYNAMIC)
            dynamic = p;
        if (p->p_type != PT_LOAD)
            continue;
        if (p->p_vaddr < low)
            low = p->p_vaddr;
        if (p->p_vaddr + p->p_memsz > high)
            high = p->p_vaddr + p->p_memsz;
    }
    if (high <= low || !dynamic)
        return false;
    *e = (struct sp_elf){.bias = bias, .start = bias + low, .end = bias + high};
    uintptr_t at = relocated(e, bias + dynamic->p_vaddr);
    return at && read_dynamic(e, (const Elf64_Dyn *)at);
}

static bool open_at(struct sp_elf *e, uintptr_t header)
{
    const Elf64_Ehdr *h = (const Elf64_Ehdr *)header;
    if (memcmp(h->e_ident, ELFMAG, SELFMAG) != 0 || h->e_ident[EI_CLASS] != ELFCLASS64 ||
        h->e_phentsize != sizeof(Elf64_Phdr) || h->e_phoff + h->e_phnum * sizeof(Elf64_Phdr) > PAGE)
        return false;
    const Elf64_Phdr *p = (const Elf64_Phdr *)(header + h->e_phoff);
    uintptr_t low = UINTPTR_MAX;
    for (size_t i = 0; i < h->e_phnum; i++)
        if (p[i].p_type == PT_LOAD && p[i].p_vaddr < low)
            low = p[i].p_vaddr;
    return low != UINTPTR_MAX && sp_elf_open(e, header - low, p, h->e_phnum);
}

bool sp_elf_at(struct sp_elf *e, uintptr_t address)
{
    struct sp_elf_object o;
    struct search s = {.address = address};
    if (sp_elf_loader_tells() && sp_elf_loader_finds(&o, address)) {
        *e = (struct sp_elf){.bias = o.library->bias, .start = (uintptr_t)o.start, .end = (uintptr_t)o.end};
        return read_dynamic(e, o.library->dynamic);
    }
    sp_os_each_mapping(reaches, &s);
    return s.header && open_at(e, s.header) && address >= e->start && address < e->end;
}

bool sp_elf_named(struct sp_elf *e, const char *prefix)
{
    struct search s = {.prefix = prefix};
    return sp_os_each_mapping(is_named, &s) && open_at(e, s.header);
}

/* ---- its symbols */
static const Elf64_Sym *matching(const struct sp_elf *e, uint32_t index, const char *symbol)
{
    const Elf64_Sym *s = (const Elf64_Sym *)e->symbols + index;
    unsigned type = ELF64_ST_TYPE(s->st_info);
    if (s->st_shndx == SHN_UNDEF || !s->st_value || (type != STT_NOTYPE && type != STT_OBJECT && type != STT_FUNC))
        return NULL;
    if (e->versions && ((const uint16_t *)e->versions)[index] & VERSION_HIDDEN)
        return NULL;
    return strcmp((const char *)e->strings + s->st_name, symbol) == 0 ? s : NULL;
}

static const Elf64_Sym *find_by_gnu_hash(const struct sp_elf *e, const char *symbol)
{
    const uint32_t *table = (const uint32_t *)e->gnu_hash;
    uint32_t n_buckets = table[0], first = table[1], n_bloom = table[2], shift = table[3], h = 5381;
    const uint64_t *bloom = (const uint64_t *)(table + 4);
    const uint32_t *buckets = (const uint32_t *)(bloom + n_bloom), *chain = buckets + n_buckets;
    for (const char *c = symbol; *c; c++)
        h = h * 33 + (uint8_t)*c;
    if (!n_buckets || !n_bloom)
        return NULL;
    uint64_t bits = 1ull << (h % 64) | 1ull << ((h >> shift) % 64);
    if ((bloom[h / 64 % n_bloom] & bits) != bits)
        return NULL;
    uint32_t i = buckets[h % n_buckets];
    if (i < first)
        return NULL;
    for (;; i++) {
        uint32_t have = chain[i - first]; /* its lowest bit ends the chain */
        const Elf64_Sym *s = (have | 1) == (h | 1) ? matching(e, i, symbol) : NULL;
        if (s || have & 1)
            return s;
    }
}

static const Elf64_Sym *find_by_hash(const struct sp_elf *e, const char *symbol)
{
    const uint32_t *table = (const uint32_t *)e->hash;
    uint32_t n_buckets = table[0], h = 0;
    for (const char *c = symbol; *c; c++) {
        h = (h << 4) + (uint8_t)*c;
        h ^= (h & 0xf0000000) >> 24;
        h &= 0x0fffffff;
    }
    for (uint32_t i = n_buckets ? table[2 + h % n_buckets] : 0; i != STN_UNDEF; i = table[2 + n_buckets + i]) {
        const Elf64_Sym *s = matching(e, i, symbol);
        if (s)
            return s;
    }
    return NULL;
}

static const Elf64_Sym *find(const struct sp_elf *e, const char *symbol)
{
    return e->gnu_hash ? find_by_gnu_hash(e, symbol) : find_by_hash(e, symbol);
}

uint64_t sp_elf_size(const struct sp_elf *e, const char *symbol)
{
    const Elf64_Sym *s = find(e, symbol);
    return s ? s->st_size : 0;
}

void *sp_elf_find(const struct sp_elf *e, const char *symbol)
{
    const Elf64_Sym *s = find(e, symbol);
    return s ? (void *)(e->bias + s->st_value) : NULL;
}
