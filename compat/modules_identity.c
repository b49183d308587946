/* SPDX-License-Identifier: MIT
 * See modules.h: which file a library is, from its header in memory and from the loader. */
#include <elf.h>
#include <string.h>

#include "compat/elf.h"
#include "compat/modules.h"
#include "compat/os.h"
#include "compat/pages.h"

/* Threads: program at the start; the chunk is whose who made is_read 1. */
static char program[4096];

void sp_modules_start(void)
{
    if (sp_os_read_link("/proc/self/exe", program, sizeof program) != 0)
        program[0] = '\0';
}

struct named {
    const struct sp_module *module;
    char *path;
    size_t cap, n;
};

SP_SIGSAFE static size_t copy(char *path, size_t cap, const char *from)
{
    size_t n = 0;
    for (; n < cap && from[n]; n++)
        path[n] = from[n];
    return n;
}

SP_SIGSAFE static bool takes_name(void *arg, const struct sp_os_mapping *m)
{
    struct named *s = arg;
    if (m->start != s->module->start)
        return false;
    s->n = copy(s->path, s->cap, m->name);
    return true;
}

static char chunk[1024];
static uint32_t is_read; /* somebody uses it: another one gets no name */

size_t sp_module_path(const struct sp_module *m, char *path, size_t cap)
{
    struct sp_elf_object o;
    if (sp_elf_loader_tells() && sp_elf_loader_finds(&o, m->start)) {
        if (o.library && o.library->path && o.library->path[0])
            return copy(path, cap, o.library->path);
        return copy(path, cap, program);
    }
    struct named s = {m, path, cap, 0};
    uint32_t no = 0;
    if (!sp_cas(&is_read, &no, 1))
        return 0;
    sp_os_each_mapping_by(chunk, sizeof chunk, takes_name, &s);
    sp_store_release(&is_read, 0);
    return s.n;
}

#define NOTES_BYTES_MAX 4096u

SP_SIGSAFE static uint32_t looks_of(const struct sp_module *m, const Elf64_Ehdr *h, const Elf64_Phdr *p, uint64_t low,
                                    uint8_t id[SP_BUILD_ID_MAX])
{
    uint32_t i = 0;
    while (i < h->e_phnum && p[i].p_type != PT_GNU_EH_FRAME)
        i++;
    if (i == h->e_phnum)
        return 0;
    uint64_t at = p[i].p_vaddr - low, bytes = p[i].p_filesz, end = sp_min_u64(bytes, SP_LOOKS_END);
    if (!bytes || bytes > m->end - m->start || at > m->end - m->start - bytes || !sp_pages_known(m->start + at, end) ||
        !sp_pages_known(m->start + at + bytes - end, end))
        return 0;
    const uint8_t *table = (const uint8_t *)m->start + at;
    uint64_t looks = sp_looks_mix(sp_looks_mix(0, h, sizeof *h), p, h->e_phnum * sizeof *p);
    looks = sp_looks_mix(sp_looks_mix(looks, table, end), table + bytes - end, end);
    id[0] = SP_LOOKS_MARK;
    memcpy(id + 1, &looks, sizeof looks);
    return SP_LOOKS_BYTES;
}

uint32_t sp_module_build_id(const struct sp_module *m, uint8_t id[SP_BUILD_ID_MAX])
{
    Elf64_Ehdr h;
    if (m->end - m->start < 4096 || !sp_pages_known(m->start, sizeof h))
        return 0;
    memcpy(&h, (const void *)m->start, sizeof h);
    if (memcmp(h.e_ident, ELFMAG, SELFMAG) != 0 || h.e_phentsize != sizeof(Elf64_Phdr) || h.e_phoff > 4096 || (h.e_phoff & 7) ||
        !h.e_phnum || !sp_pages_known(m->start + h.e_phoff, (uintptr_t)h.e_phnum * sizeof(Elf64_Phdr)))
        return 0;
    const Elf64_Phdr *p = (const Elf64_Phdr *)(m->start + h.e_phoff);
    uint64_t low = UINT64_MAX;
    for (uint32_t i = 0; i < h.e_phnum; i++)
        if (p[i].p_type == PT_LOAD)
            low = sp_min_u64(low, p[i].p_vaddr & ~4095ull);
    for (uint32_t i = 0; i < h.e_phnum; i++) {
        uint64_t at = p[i].p_vaddr - low, bytes = p[i].p_memsz;
        if (p[i].p_type != PT_NOTE || !bytes || bytes > NOTES_BYTES_MAX || at > m->end - m->start - bytes || (at & 3) ||
            !sp_pages_known(m->start + at, bytes))
            continue;
        uint32_t n = sp_build_id_in((const uint8_t *)m->start + at, bytes, id);
        if (n)
            return n;
    }
    return looks_of(m, &h, p, low, id);
}
