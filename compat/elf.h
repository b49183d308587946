/* SPDX-License-Identifier: MIT
 * Loaded libraries as they lie in memory. For hooks: asking the loader would take its lock, which is held while the
 * constructor of a library runs. */
#ifndef SP_COMPAT_ELF_H
#define SP_COMPAT_ELF_H

#include <elf.h>

#include "compat/base.h"

/* What glibc 2.35 and later say of an address: a part of its struct dl_find_object (dlfcn.h), and the public part of its struct
 * link_map (link.h). */
struct sp_elf_library {
    uintptr_t bias;
    const char *path; /* "": the program itself */
    const Elf64_Dyn *dynamic;
};
struct sp_elf_object {
    void *start, *end; /* all its segments lie between */
    const struct sp_elf_library *library;
    void *unwind; /* its .eh_frame_hdr; NULL: it has none */
};
/* [start] Learns where the program lies. */
void sp_elf_start(void);
/* [handler] Whether there is such a loader, and then what it says; false: no library has the address. Takes no lock. */
SP_SIGSAFE bool sp_elf_loader_tells(void);
SP_SIGSAFE bool sp_elf_loader_finds(struct sp_elf_object *o, uintptr_t address);

struct sp_elf {
    uintptr_t bias;                                       /* what was added to the addresses in the file */
    uintptr_t start, end;                                 /* all its segments lie between */
    uintptr_t symbols, strings, versions, gnu_hash, hash; /* tables; 0: it has none */
};

/* [hook] The library or program that contains `address`. False: none, or it cannot be told. It takes 0.1 us, before glibc 2.35 and on musl 30 us and more. */
bool sp_elf_at(struct sp_elf *e, uintptr_t address);
/* [any] The first library whose file name begins so. */
bool sp_elf_named(struct sp_elf *e, const char *prefix);
/* [start] The one with these program headers (link.h, dl_iterate_phdr). */
bool sp_elf_open(struct sp_elf *e, uintptr_t bias, const Elf64_Phdr *headers, size_t n);
/* [any] A function or object that it exports, in the default version. NULL: none. As long as the library stays loaded. */
void *sp_elf_find(const struct sp_elf *e, const char *symbol);
/* [any] ... and how long it is, as the library says; 0: there is none. */
uint64_t sp_elf_size(const struct sp_elf *e, const char *symbol);

#endif
