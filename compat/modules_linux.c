/* SPDX-License-Identifier: MIT
 * See modules.h. Where glibc's lock-free look-up is missing: a list of what /proc/self/maps says, sorted by address as that is,
 * filled by one thread at a time and read under a sequence number. */
#include "compat/modules.h"

#include <elf.h>
#include <string.h>

#include "compat/elf.h"
#include "compat/os.h"
#include "compat/pages.h"

#define MAX_MODULES 2048
#define AGE_NS SP_NS_PER_S

/* Threads: who made the sequence odd fills the list; by_mappings and the time any. */
static struct sp_module list[MAX_MODULES];
static uint32_t n_list, sequence; /* odd while the list is filled */
static uint64_t read_at_ns;
static bool by_mappings;

struct scan {
    uint32_t n;
    struct sp_os_mapping first; /* of a file or of the vDSO: where its beginning is mapped */
    bool listed;                /* that one is */
};

static char chunk[2048]; /* of whoever made the sequence odd */

/* ---- one module, by its header in memory: its pages may be gone from the file (SIGBUS), so they are asked for */
SP_SIGSAFE static bool is_header(uintptr_t header, Elf64_Ehdr *h)
{
    if (!sp_pages_known(header, sizeof *h))
        return false;
    memcpy(h, (const void *)header, sizeof *h);
    return memcmp(h->e_ident, ELFMAG, SELFMAG) == 0 && h->e_ident[EI_CLASS] == ELFCLASS64 &&
           h->e_phentsize == sizeof(Elf64_Phdr) && h->e_phnum && h->e_phoff < 4096 && !(h->e_phoff & 7) &&
           sp_pages_known(header + h->e_phoff, (uintptr_t)h->e_phnum * sizeof(Elf64_Phdr));
}

/* Whatever a hostile file says: the module ends where it does not wrap, and its table lies inside. */
SP_SIGSAFE static bool read_module(struct sp_module *m, uintptr_t header)
{
    Elf64_Ehdr h;
    if (!is_header(header, &h))
        return false;
    const Elf64_Phdr *p = (const Elf64_Phdr *)(header + h.e_phoff);
    uintptr_t low = UINTPTR_MAX, high = 0, table = 0;
    for (uint32_t i = 0; i < h.e_phnum; i++) {
        uint64_t from = p[i].p_vaddr, bytes = p[i].p_memsz;
        if (p[i].p_type == PT_GNU_EH_FRAME)
            table = from;
        if (p[i].p_type != PT_LOAD || from + bytes < from)
            continue;
        low = (uintptr_t)sp_min_u64(low, from & ~4095ull);
        high = (uintptr_t)sp_max_u64(high, from + bytes);
    }
    if (high <= low || header + (high - low) < header)
        return false;
    *m = (struct sp_module){header, header + (high - low), 0};
    if (table > low && table < high)
        m->unwind = header + (table - low);
    return true;
}

SP_SIGSAFE static bool note_mapping(void *arg, const struct sp_os_mapping *m)
{
    struct scan *s = arg;
    bool is_vdso = memcmp(m->name, "[vdso]", 7) == 0;
    if ((m->inode || is_vdso) && m->offset == 0 && m->readable && !(s->listed && m->inode == s->first.inode)) {
        s->first = *m;
        s->listed = false;
    }
    if (!m->executable || s->listed || m->inode != s->first.inode || m->device != s->first.device || (!m->inode && !is_vdso))
        return false;
    s->listed = s->n < MAX_MODULES && read_module(&list[s->n], s->first.start);
    s->n += s->listed;
    return false;
}

/* False: it is fresh, another thread fills it, or the caller is a process beside, which may end in the middle of it. */
SP_SIGSAFE static bool fill(void)
{
    uint64_t now = sp_os_mono_ns(), last = sp_load_relaxed(&read_at_ns);
    uint32_t was = sp_load_relaxed(&sequence);
    if ((last && now - last < AGE_NS) || was & 1 || sp_os_is_beside() ||
        !sp_cas(&sequence, &was, was + 1)) /* pairs with list_find() */
        return false;
    /* Who reads something of the new list must see the odd number when it looks again: the exchange alone keeps no later store
     * behind its own (aarch64). */
    __atomic_thread_fence(__ATOMIC_RELEASE);
    struct scan s = {0};
    sp_pages_forget(); /* what was unmapped unseen */
    sp_os_each_mapping_by(chunk, sizeof chunk, note_mapping, &s);
    n_list = s.n;
    sp_store_relaxed(&read_at_ns, now);
    sp_store_release(&sequence, was + 2);
    return true;
}

SP_SIGSAFE static bool list_find(struct sp_module *m, uintptr_t address)
{
    uint32_t before = sp_load_acquire(&sequence); /* pairs with fill() */
    uint32_t low = 0, high = sp_load_relaxed(&n_list);
    if (before & 1)
        return false;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (sp_load_relaxed(&list[middle].start) <= address)
            low = middle + 1;
        else
            high = middle;
    }
    if (!low)
        return false;
    *m = list[low - 1];
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return sp_load_relaxed(&sequence) == before && address < m->end;
}

bool sp_module_at(struct sp_module *m, uintptr_t address)
{
    struct sp_elf_object o;
    if (!sp_load_relaxed(&by_mappings) && sp_elf_loader_tells()) {
        if (!sp_elf_loader_finds(&o, address))
            return false;
        *m = (struct sp_module){(uintptr_t)o.start, (uintptr_t)o.end, (uintptr_t)o.unwind};
        if (m->unwind < m->start || m->unwind >= m->end)
            m->unwind = 0;
        return m->start < m->end;
    }
    return list_find(m, address) || (fill() && list_find(m, address));
}

void sp_modules_forget(void)
{
    sp_store_relaxed(&read_at_ns, 0);
}

void sp_modules_use_mappings(void)
{
    sp_store_relaxed(&by_mappings, true);
    sp_modules_forget();
}
