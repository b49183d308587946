/* SPDX-License-Identifier: MIT
 * See symbols.h. The format: System V gABI. */
#include "compat/symbols.h"

#include <elf.h>
#include <string.h>

#include "compat/buf.h"
#include "compat/os.h"

#define MOST_SECTIONS 4096
#define MOST_SYMBOLS (4u << 20) /* of one table: some 100 ms */
#define MOST_NOTES 65536        /* bytes */
#define MOST_OFFERS (16u << 20) /* of a symbol to a function: symbols that overlap are many times as many */
#define NAME_BYTES 1024
#define MOST_PLACES 16u /* of one name among others */

struct file {
    int fd;
    uint64_t base; /* where in it the module's file is: else 0 */
    uint64_t size;
    uint64_t low; /* the address in the file of what is the module's beginning in memory */
    uint8_t *scratch;
    size_t n_scratch;
    uint64_t n_offers;
};

struct table {
    uint64_t at, bytes;           /* symbols */
    uint64_t names, n_name_bytes; /* their strings */
};

/* All of it, or false. */
static bool read_at(const struct file *f, uint64_t at, void *p, size_t n)
{
    size_t have = 0;
    if (at > f->size || n > f->size - at)
        return false;
    while (have < n) {
        long r = sp_os_read_at(f->fd, (uint8_t *)p + have, n - have, f->base + at + have);
        if (r <= 0)
            return false;
        have += (size_t)r;
    }
    return true;
}

/* ---- its headers */
static bool read_header(struct file *f, Elf64_Ehdr *h)
{
    return read_at(f, 0, h, sizeof *h) && memcmp(h->e_ident, ELFMAG, SELFMAG) == 0 && h->e_ident[EI_CLASS] == ELFCLASS64 &&
           h->e_ident[EI_DATA] == ELFDATA2LSB && h->e_phentsize == sizeof(Elf64_Phdr) && h->e_shentsize == sizeof(Elf64_Shdr);
}

static bool read_segments(struct file *f, const Elf64_Ehdr *h)
{
    Elf64_Phdr p;
    f->low = UINT64_MAX;
    for (uint32_t i = 0; i < h->e_phnum; i++) {
        if (!read_at(f, h->e_phoff + i * sizeof p, &p, sizeof p))
            return false;
        if (p.p_type == PT_LOAD && p.p_vaddr < f->low)
            f->low = p.p_vaddr & ~4095ull; /* what lies there is mapped in whole pages */
    }
    return f->low != UINT64_MAX;
}

static uint32_t count_sections(const struct file *f, const Elf64_Ehdr *h)
{
    Elf64_Shdr first; /* has the number where the header has no room for it */
    uint64_t n = h->e_shnum;
    if (n == 0 && h->e_shoff && read_at(f, h->e_shoff, &first, sizeof first))
        n = first.sh_size;
    return n < MOST_SECTIONS ? (uint32_t)n : MOST_SECTIONS;
}

static bool read_section(const struct file *f, const Elf64_Ehdr *h, uint32_t i, Elf64_Shdr *s)
{
    return h->e_shoff <= f->size && read_at(f, h->e_shoff + (uint64_t)i * sizeof *s, s, sizeof *s);
}

/* The first section of a type, with the strings that it links to. */
static bool find_table(const struct file *f, const Elf64_Ehdr *h, uint32_t type, struct table *t)
{
    Elf64_Shdr s, strings;
    uint32_t n = count_sections(f, h);
    for (uint32_t i = 0; i < n; i++) {
        if (!read_section(f, h, i, &s))
            return false;
        if (s.sh_type != type)
            continue;
        if (s.sh_entsize != sizeof(Elf64_Sym) || s.sh_link >= n || !read_section(f, h, s.sh_link, &strings) ||
            strings.sh_type != SHT_STRTAB)
            return false;
        *t = (struct table){s.sh_offset, s.sh_size, strings.sh_offset, strings.sh_size};
        return true;
    }
    return false;
}

/* ---- whether it is the one that is in memory */
/* As modules_identity.c has it of the library in memory. */
static bool has_looks(const struct file *f, const Elf64_Ehdr *h, const struct sp_symbols *want)
{
    size_t bytes = h->e_phnum * sizeof(Elf64_Phdr);
    if (bytes > f->n_scratch || !read_at(f, h->e_phoff, f->scratch, bytes))
        return false;
    uint64_t looks = sp_looks_mix(sp_looks_mix(0, h, sizeof *h), f->scratch, bytes);
    for (uint32_t i = 0; i < h->e_phnum; i++) {
        Elf64_Phdr p;
        memcpy(&p, f->scratch + i * sizeof p, sizeof p);
        if (p.p_type != PT_GNU_EH_FRAME)
            continue;
        uint64_t end = sp_min_u64(p.p_filesz, SP_LOOKS_END);
        if (!read_at(f, p.p_offset, f->scratch, end))
            return false;
        looks = sp_looks_mix(looks, f->scratch, end);
        if (!read_at(f, p.p_offset + p.p_filesz - end, f->scratch, end))
            return false;
        looks = sp_looks_mix(looks, f->scratch, end);
        return memcmp(want->build_id + 1, &looks, sizeof looks) == 0;
    }
    return false;
}

static bool has_id(const struct file *f, const Elf64_Ehdr *h, const struct sp_symbols *want)
{
    Elf64_Phdr p;
    uint8_t id[SP_BUILD_ID_MAX];
    if (want->n_build_id == SP_LOOKS_BYTES && want->build_id[0] == SP_LOOKS_MARK)
        return has_looks(f, h, want);
    for (uint32_t i = 0; i < h->e_phnum; i++) {
        if (!read_at(f, h->e_phoff + i * sizeof p, &p, sizeof p))
            return false;
        uint64_t n = sp_min_u64(p.p_filesz, sp_min_u64(f->n_scratch, MOST_NOTES));
        if (p.p_type == PT_NOTE && read_at(f, p.p_offset, f->scratch, n) &&
            sp_build_id_in(f->scratch, n, id) == want->n_build_id && memcmp(id, want->build_id, want->n_build_id) == 0)
            return true;
    }
    return false;
}

static int open_regular(const char *path, uint64_t *size)
{
    struct sp_os_stat st;
    int fd = -1;
    if (sp_os_stat(path, true, &st) == 0 && st.kind == SP_OS_REGULAR)
        fd = sp_os_open_read(path);
    *size = fd >= 0 && sp_os_stat_fd(fd, &st) == 0 && st.kind == SP_OS_REGULAR ? st.size : 0;
    return fd;
}

/* The vDSO, by the names that the loader and the kernel have for it: its file is in memory alone, this process's like any other's
 * under the same kernel. A program may unmap it, so it is not looked at but read. */
static bool is_vdso(const char *path)
{
    return strcmp(path, "linux-vdso.so.1") == 0 || strcmp(path, "[vdso]") == 0;
}

static bool takes_vdso(void *arg, const struct sp_os_mapping *m)
{
    struct file *f = arg;
    if (!is_vdso(m->name))
        return false;
    f->base = m->start;
    f->size = m->end - m->start;
    return true;
}

/* False: there is no such file, or it is not the module's. */
static bool open_file(struct file *f, const char *path, const struct sp_symbols *want, Elf64_Ehdr *h)
{
    *f = (struct file){.fd = -1, .scratch = want->scratch, .n_scratch = want->n_scratch};
    if (!is_vdso(path))
        f->fd = open_regular(path, &f->size);
    else if (sp_os_each_mapping_by((char *)f->scratch, f->n_scratch, takes_vdso, f))
        f->fd = sp_os_open_read("/proc/self/mem");
    if (f->fd < 0)
        return false;
    if (read_header(f, h) && read_segments(f, h) && (!want->build_id || has_id(f, h, want)))
        return true;
    sp_os_close(f->fd);
    return false;
}

/* ---- symbols */
static uint8_t rank_of(const Elf64_Sym *y, bool is_exact)
{
    uint32_t binding = ELF64_ST_BIND(y->st_info);
    return (uint8_t)((is_exact ? 4 : 0) + (binding == STB_GLOBAL ? 3 : binding == STB_WEAK ? 2 : 1));
}

/* Notes the symbol with the functions that begin in it. The one that begins where the function does is its name: of those the
 * global; else the nearest before. */
static void offer(struct file *f, struct sp_symbols *s, const Elf64_Sym *y, uint8_t table)
{
    uint32_t type = ELF64_ST_TYPE(y->st_info), low = 0, high = s->n;
    if ((type != STT_FUNC && type != STT_GNU_IFUNC) || y->st_shndx == SHN_UNDEF || y->st_value < f->low)
        return;
    uint64_t start = y->st_value - f->low, bytes = y->st_size ? y->st_size : 1;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (s->wanted[middle].start < start)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < s->n && s->wanted[low].start - start < bytes && f->n_offers < MOST_OFFERS; low++, f->n_offers++) {
        struct sp_symbol *w = &s->wanted[low];
        uint8_t rank = rank_of(y, w->start == start);
        bool is_better = w->rank == 0 || (rank ^ w->rank) & 4 ? rank > w->rank
                         : start != w->value                  ? start > w->value
                                                              : rank > w->rank;
        if ((w->table == 0 || w->table == table) && is_better)
            w->value = start, w->name = y->st_name, w->rank = rank, w->table = table;
    }
}

static void offer_all(struct file *f, struct sp_symbols *s, const struct table *t, uint8_t number)
{
    uint64_t n = sp_min_u64(t->bytes / sizeof(Elf64_Sym), MOST_SYMBOLS), most = f->n_scratch / sizeof(Elf64_Sym), part;
    for (uint64_t i = 0; i < n; i += part) {
        part = sp_min_u64(n - i, most);
        if (!read_at(f, t->at + i * sizeof(Elf64_Sym), f->scratch, part * sizeof(Elf64_Sym)))
            return;
        for (uint64_t k = 0; k < part; k++) {
            Elf64_Sym y;
            memcpy(&y, f->scratch + k * sizeof y, sizeof y);
            offer(f, s, &y, number);
        }
    }
}

/* What is at a string's place, as far as the table and NAME_BYTES go. */
static bool read_name(const struct file *f, const struct table *t, uint32_t at, char name[NAME_BYTES])
{
    if (at >= t->n_name_bytes || t->names > f->size || at > f->size - t->names)
        return false;
    uint64_t n = sp_min_u64(sp_min_u64(t->n_name_bytes - at, f->size - t->names - at), NAME_BYTES - 1);
    name[n] = '\0';
    return read_at(f, t->names + at, name, n) && name[0];
}

struct naming {
    void (*named)(void *arg, uint32_t i, const char *name);
    void *arg;
    uint32_t n;
    uint8_t table; /* number of the one that is asked */
};

static void name_by_table(struct naming *to, struct file *f, const Elf64_Ehdr *h, struct sp_symbols *s, uint32_t type)
{
    struct table t;
    char name[NAME_BYTES];
    to->table++;
    if (to->n == s->n || !find_table(f, h, type, &t))
        return;
    offer_all(f, s, &t, to->table);
    for (uint32_t i = 0; i < s->n; i++) {
        struct sp_symbol *w = &s->wanted[i];
        if (w->table != to->table)
            continue;
        if (read_name(f, &t, w->name, name)) {
            to->named(to->arg, i, name);
            to->n++;
        } else {
            w->table = w->rank = 0; /* another table may do better */
        }
    }
}

/* ROOT/.build-id/ab/cdef....debug */
static bool debug_path(const struct sp_symbols *s, char *path, size_t cap)
{
    static const char digits[] = "0123456789abcdef";
    struct sp_buf b = sp_buf_at(path, cap);
    if (!s->build_id || s->n_build_id < 2 || s->n_build_id > SP_BUILD_ID_MAX || !s->debug_root)
        return false;
    sp_buf_str(&b, s->debug_root);
    sp_buf_str(&b, "/.build-id/");
    for (uint32_t i = 0; i < s->n_build_id; i++) {
        sp_buf_char(&b, digits[s->build_id[i] >> 4]);
        sp_buf_char(&b, digits[s->build_id[i] & 15]);
        if (i == 0)
            sp_buf_char(&b, '/');
    }
    sp_buf_str(&b, ".debug");
    return !b.cut;
}

uint32_t sp_symbols_name(struct sp_symbols *s, void (*named)(void *arg, uint32_t i, const char *name), void *arg)
{
    struct naming to = {.named = named, .arg = arg};
    struct file f;
    Elf64_Ehdr h;
    char path[4096];
    for (uint32_t i = 0; i < s->n; i++)
        s->wanted[i].rank = s->wanted[i].table = 0;
    if (s->n_scratch < 4096)
        return 0;
    if (open_file(&f, s->path, s, &h)) {
        name_by_table(&to, &f, &h, s, SHT_SYMTAB);
        name_by_table(&to, &f, &h, s, SHT_DYNSYM);
        sp_os_close(f.fd);
    }
    if (to.n < s->n && debug_path(s, path, sizeof path) && open_file(&f, path, s, &h)) {
        name_by_table(&to, &f, &h, s, SHT_SYMTAB);
        sp_os_close(f.fd);
    }
    return to.n;
}

/* ---- by name */
/* In steps of whole scratch areas that overlap, so that no name is cut. */
static uint32_t places_of(const struct file *f, const struct table *t, const char *name, uint32_t *places, uint32_t cap)
{
    size_t bytes = strlen(name);
    uint32_t n = 0;
    for (uint64_t at = 0; at < t->n_name_bytes && n < cap;) {
        size_t part = sp_min_u64(t->n_name_bytes - at, f->n_scratch);
        if (part <= bytes || !read_at(f, t->names + at, f->scratch, part))
            break;
        for (size_t i = 0; i + bytes < part && n < cap; i++)
            if (f->scratch[i] == (uint8_t)name[0] && memcmp(f->scratch + i, name, bytes) == 0 &&
                (f->scratch[i + bytes] == '\0' || f->scratch[i + bytes] == '.'))
                places[n++] = (uint32_t)(at + i);
        at += part - bytes;
    }
    return n;
}

static uint32_t find_in(struct file *f, const Elf64_Ehdr *h, const char *name, struct sp_symbol_found *found, uint32_t cap)
{
    struct table t;
    uint32_t places[MOST_PLACES], n_found = 0;
    uint32_t n_places = find_table(f, h, SHT_SYMTAB, &t) ? places_of(f, &t, name, places, MOST_PLACES) : 0;
    uint64_t n = n_places ? sp_min_u64(t.bytes / sizeof(Elf64_Sym), MOST_SYMBOLS) : 0, most = f->n_scratch / sizeof(Elf64_Sym);
    for (uint64_t i = 0, part; i < n; i += part) {
        part = sp_min_u64(n - i, most);
        if (!read_at(f, t.at + i * sizeof(Elf64_Sym), f->scratch, part * sizeof(Elf64_Sym)))
            break;
        for (uint64_t k = 0; k < part * n_places; k++) {
            Elf64_Sym y;
            memcpy(&y, f->scratch + k / n_places * sizeof y, sizeof y);
            if (y.st_name == places[k % n_places] && ELF64_ST_TYPE(y.st_info) == STT_FUNC && y.st_value >= f->low &&
                n_found < cap)
                found[n_found++] = (struct sp_symbol_found){y.st_value - f->low, y.st_value - f->low + y.st_size};
        }
    }
    return n_found;
}

uint32_t sp_symbols_find(const struct sp_symbols *s, const char *name, struct sp_symbol_found *found, uint32_t cap)
{
    struct file f;
    Elf64_Ehdr h;
    char path[4096];
    uint32_t n = 0;
    if (s->n_scratch < 4096)
        return 0;
    for (int i = 0; i < 2 && n == 0; i++) {
        if ((i && !debug_path(s, path, sizeof path)) || !open_file(&f, i ? path : s->path, s, &h))
            continue;
        n = find_in(&f, &h, name, found, cap);
        sp_os_close(f.fd);
    }
    return n;
}
