/* SPDX-License-Identifier: MIT
 * Names of functions, from the symbol tables of files. When a profile is written, never in the signal handler. Files are read, not
 * mapped: one that is cut short meanwhile is no SIGBUS. Nothing is allocated; whatever a file says, the work has an end. */
#ifndef SP_COMPAT_SYMBOLS_H
#define SP_COMPAT_SYMBOLS_H

#include "compat/build_id.h"

struct sp_symbol {
    uint64_t start; /* set by the caller: where the function begins, in bytes from the module's beginning in memory */

    /* the search's own, and what it found */
    uint64_t value; /* of the best so far */
    uint32_t name;  /* where its name is in the string table */
    uint8_t rank;   /* 0: none yet */
    uint8_t table;  /* which it is in; see sp_symbols_name() */
};

struct sp_symbols {
    const char *path;        /* of the module */
    const uint8_t *build_id; /* of what is in memory (or its looks); a file with another is not asked. NULL: any is */
    uint32_t n_build_id;
    const char *debug_root;   /* where debug files are, by build-id: "/usr/lib/debug" */
    struct sp_symbol *wanted; /* in ascending order of start */
    uint32_t n;
    uint8_t *scratch; /* at least 4096 bytes; the more, the fewer system calls */
    size_t n_scratch;
};

/* [any] Finds the names of `wanted` in the module's .symtab, else its .dynsym, else the .symtab of its debug file, and calls
 * named(arg, i, name) for each that has one, in no order; the name is NUL-terminated, cut at 1,023 bytes. Returns how many have.
 * Changes `wanted`. 50 ms for 200,000 symbols at most. */
uint32_t sp_symbols_name(struct sp_symbols *s, void (*named)(void *arg, uint32_t i, const char *name), void *arg);

struct sp_symbol_found {
    uint64_t start, end; /* in bytes from the module's beginning in memory */
};

/* [any] The other way: up to `cap` functions of the module's .symtab, else of its debug file's, that are called `name`, or that and
 * behind it a dot (parts that a compiler made of it). Of s, path, build_id, debug_root and the scratch are used. */
uint32_t sp_symbols_find(const struct sp_symbols *s, const char *name, struct sp_symbol_found *found, uint32_t cap);

#endif
