/* SPDX-License-Identifier: MIT
 * The functions behind ours: what the program would have called without us, and what we take from libc without binding to
 * a version of it. Each has a slot; all slots are filled in the constructor. Afterwards nothing asks the loader, whose lock
 * is held while the constructor of a library runs, which may wait for a thread that calls us. */
#ifndef SP_COMPAT_REAL_H
#define SP_COMPAT_REAL_H

#include "compat/base.h"

struct sp_real {
    void *original;
    const char *name;
};

/* Declares the slot of a function that is declared. The list of slots is the section sp_reals. */
#define SP_REAL_SLOT(fn)                         \
    static struct sp_real real_##fn = {NULL, #fn}; \
    static struct sp_real *const listed_##fn __attribute__((section("sp_reals"), used)) = &real_##fn

/* The function, with its type. NULL: this system has none. */
#define SP_REAL(fn) ((__typeof__(&fn))sp_real_original(&real_##fn))

extern bool sp_real_all_found;

/* [start] Fills every slot. Also for a hook that makes a thread before our constructor ran. */
void sp_real_find_all(void);
/* [any] Fills one slot, before our constructor ran. */
void *sp_real_find_early(struct sp_real *slot);

static inline void *sp_real_original(struct sp_real *slot)
{
    if (SP_UNLIKELY(!sp_load_acquire(&sp_real_all_found))) /* sp_real_find_all() */
        return sp_real_find_early(slot);
    return slot->original;
}

/* [any] `symbol` in the library that `handle` names: dlopen's, or sp_real_global_handle() for the process. */
void *sp_real_find_in(void *handle, const char *symbol);
void *sp_real_global_handle(void);
/* [any] Whether both addresses lie in the same loaded library. */
bool sp_real_same_library(const void *a, const void *b);
/* [any] A handle for the loaded library that contains `address`; NULL: none. path gets its file name. */
void *sp_real_library_at(const void *address, const char **path);
/* [any] Gives a handle of sp_real_library_at() back: it keeps the library loaded. */
void sp_real_release(void *library);
/* [start] Whether the main program's table of dynamic symbols has `symbol`, defined or wanted. */
bool sp_real_program_names(const char *symbol);
/* [start] argv[0]; the program may write to it later. */
const char *sp_real_program_name(void);

#endif
