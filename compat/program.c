/* SPDX-License-Identifier: MIT
 * The main program's own dynamic symbols, as the loader mapped them. See real.h. */
#include <elf.h>
#include <link.h>
#include <string.h>
#include <sys/auxv.h>

#include "compat/real.h"

struct tables {
    uintptr_t bias;
    const ElfW(Sym) * symbols;
    const char *strings;
    uint64_t strings_bytes;
    const uint32_t *hash, *gnu_hash;
};

/* glibc adds the bias to addresses in the dynamic section when it maps the program, musl does not. */
static const void *at(const struct tables *t, ElfW(Addr) address)
{
    return (const void *)(uintptr_t)(address < t->bias ? address + t->bias : address);
}

static bool find_tables(struct tables *t)
{
    const ElfW(Phdr) *headers = (const ElfW(Phdr) *)getauxval(AT_PHDR), *dynamic = NULL;
    unsigned long n = getauxval(AT_PHNUM);
    *t = (struct tables){0};
    for (unsigned long i = 0; headers && i < n; i++) {
        if (headers[i].p_type == PT_PHDR)
            t->bias = (uintptr_t)headers - headers[i].p_vaddr;
        if (headers[i].p_type == PT_DYNAMIC)
            dynamic = &headers[i];
    }
    if (!dynamic)
        return false;
    for (const ElfW(Dyn) *d = (const ElfW(Dyn) *)(t->bias + dynamic->p_vaddr); d->d_tag != DT_NULL; d++) {
        if (d->d_tag == DT_SYMTAB)
            t->symbols = at(t, d->d_un.d_ptr);
        else if (d->d_tag == DT_STRTAB)
            t->strings = at(t, d->d_un.d_ptr);
        else if (d->d_tag == DT_STRSZ)
            t->strings_bytes = d->d_un.d_val;
        else if (d->d_tag == DT_HASH)
            t->hash = at(t, d->d_un.d_ptr);
        else if (d->d_tag == DT_GNU_HASH)
            t->gnu_hash = at(t, d->d_un.d_ptr);
    }
    return t->symbols && t->strings && (t->hash || t->gnu_hash);
}

/* The table's length stands nowhere. DT_HASH has a link for each symbol; DT_GNU_HASH leaves those out that are only
 * wanted, which come first, and marks the last of a chain by the low bit. */
static uint32_t count(const struct tables *t)
{
    if (t->hash)
        return t->hash[1];
    const uint32_t *g = t->gnu_hash;
    uint32_t n_buckets = g[0], first = g[1], bloom_words = g[2], last = first;
    const uint32_t *buckets = g + 4 + bloom_words * (sizeof(ElfW(Addr)) / 4), *chains = buckets + n_buckets;
    for (uint32_t i = 0; i < n_buckets; i++)
        last = buckets[i] > last ? buckets[i] : last;
    if (last < first || (last == first && buckets[0] == 0)) /* none defined: GNU ld then gives 1 as the first */
        return t->strings > (const char *)t->symbols
                   ? (uint32_t)((size_t)(t->strings - (const char *)t->symbols) / sizeof *t->symbols)
                   : first;
    while (!(chains[last - first] & 1))
        last++;
    return last + 1;
}

bool sp_real_program_names(const char *symbol)
{
    struct tables t;
    if (!find_tables(&t))
        return false;
    uint32_t n = count(&t);
    for (uint32_t i = 1; i < n; i++)
        if (t.symbols[i].st_name < t.strings_bytes && strcmp(t.strings + t.symbols[i].st_name, symbol) == 0)
            return true;
    return false;
}
