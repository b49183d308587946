/* SPDX-License-Identifier: MIT
 * See elf_file.h. Whatever a file says: reads are bounded by its size, loops by constants. */
#include "inject/command/elf_file.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST_SECTIONS 65536u
#define NOTES_BYTES 65536u

bool sp_elf_file_read(const struct sp_elf_file *f, uint64_t at, void *p, size_t n)
{
    size_t have = 0;
    if (at > f->size || n > f->size - at)
        return false;
    while (have < n) {
        ssize_t r = pread(f->fd, (char *)p + have, n - have, (off_t)(at + have));
        if (r <= 0)
            return false;
        have += (size_t)r;
    }
    return true;
}

static bool read_section(const struct sp_elf_file *f, uint32_t i, Elf64_Shdr *s)
{
    return f->header.e_shoff <= f->size && sp_elf_file_read(f, f->header.e_shoff + (uint64_t)i * sizeof *s, s, sizeof *s);
}

/* The first section header has the numbers that the file's has no room for (gABI). */
static uint32_t count_sections(const struct sp_elf_file *f, uint32_t *names)
{
    Elf64_Shdr first;
    uint64_t n = f->header.e_shnum;
    *names = f->header.e_shstrndx;
    if (!f->header.e_shoff || !read_section(f, 0, &first))
        return 0;
    if (n == 0)
        n = first.sh_size;
    if (*names == SHN_XINDEX)
        *names = first.sh_link;
    return n < MOST_SECTIONS ? (uint32_t)n : MOST_SECTIONS;
}

bool sp_elf_file_section(const struct sp_elf_file *f, const char *name, uint64_t *at, uint64_t *bytes)
{
    Elf64_Shdr names, s;
    char have[32];
    uint32_t number, n = count_sections(f, &number);
    size_t want = strlen(name) + 1;
    if (number >= n || want > sizeof have || !read_section(f, number, &names) || names.sh_offset > f->size)
        return false;
    for (uint32_t i = 1; i < n && read_section(f, i, &s); i++) {
        if (s.sh_name >= names.sh_size || !sp_elf_file_read(f, names.sh_offset + s.sh_name, have, want) ||
            memcmp(have, name, want) != 0)
            continue;
        *at = s.sh_offset;
        *bytes = s.sh_size;
        return s.sh_type != SHT_NOBITS && s.sh_offset <= f->size && s.sh_size <= f->size - s.sh_offset;
    }
    return false;
}

static void read_notes(struct sp_elf_file *f, uint64_t at, uint64_t bytes)
{
    static uint8_t notes[NOTES_BYTES];
    bytes = sp_min_u64(bytes, sizeof notes);
    if (sp_elf_file_read(f, at, notes, bytes))
        f->n_build_id = sp_build_id_in(notes, bytes, f->build_id);
}

static bool read_segments(struct sp_elf_file *f)
{
    Elf64_Phdr p;
    f->low = UINT64_MAX;
    for (uint32_t i = 0; i < f->header.e_phnum; i++) {
        if (f->header.e_phoff > f->size || !sp_elf_file_read(f, f->header.e_phoff + i * sizeof p, &p, sizeof p))
            return false;
        if (p.p_type == PT_LOAD)
            f->low = sp_min_u64(f->low, p.p_vaddr & ~4095ull);
        if (p.p_type == PT_NOTE && !f->n_build_id)
            read_notes(f, p.p_offset, p.p_filesz);
    }
    return f->low != UINT64_MAX;
}

bool sp_elf_file_open(struct sp_elf_file *f, const char *path)
{
    struct stat st;
    *f = (struct sp_elf_file){.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)};
    if (f->fd < 0)
        return false;
    if (fstat(f->fd, &st) == 0 && S_ISREG(st.st_mode)) {
        f->size = (uint64_t)st.st_size;
        f->device = st.st_dev;
        f->inode = st.st_ino;
        Elf64_Ehdr *h = &f->header;
        if (sp_elf_file_read(f, 0, h, sizeof *h) && memcmp(h->e_ident, ELFMAG, SELFMAG) == 0 &&
            h->e_ident[EI_CLASS] == ELFCLASS64 && h->e_ident[EI_DATA] == ELFDATA2LSB && h->e_phentsize == sizeof(Elf64_Phdr) &&
            h->e_shentsize == sizeof(Elf64_Shdr) && read_segments(f))
            return true;
    }
    close(f->fd);
    return false;
}

void sp_elf_file_close(struct sp_elf_file *f)
{
    close(f->fd);
    f->fd = -1;
}
