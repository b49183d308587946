/* SPDX-License-Identifier: MIT
 * The functions behind ours: what the program would have called without us, and what we take from libc without binding to
 * a version of it. Each has a slot; all slots are filled in the constructor. Afterwards nothing asks the loader, whose lock
 * is held while the constructor of a library runs, which may wait for a thread that calls us. */
#ifndef SP_COMPAT_REAL_H
#define SP_COMPAT_REAL_H

#include "compat/real_slot.h"

/* The function, with its type. NULL: this system has none, or, before glibc 2.34, this program has no libpthread (librt): a hook
 * behaves then as where threads (timers) cannot be had. */
#define SP_REAL(fn) ((__typeof__(&fn))sp_real_original(&real_##fn))

/* [start] Fills every slot. Also for a hook that makes a thread before our constructor ran. */
void sp_real_find_all(void);
/* [any] For an empty slot: before our constructor ran the function is looked up; afterwards, on a glibc before 2.34, in a
 * libpthread or librt that was loaded since, by system calls alone. NULL: there is none. */
void *sp_real_find_missing(struct sp_real *slot);

/* [any] The function behind a slot, or NULL. */
static inline void *sp_real_original(struct sp_real *slot)
{
    void *f = sp_load_relaxed(&slot->original);
    return SP_LIKELY(f) ? f : sp_real_find_missing(slot);
}

/* [start] The first definition of `symbol` in the process; NULL: there is none. */
void *sp_real_find_in_process(const char *symbol);
/* [any] Keeps the library that contains `address` loaded from now on. Locks the loader. */
void sp_real_keep_library(const void *address);
/* [start] Whether the main program's table of dynamic symbols has `symbol`, defined or wanted. */
bool sp_real_program_names(const char *symbol);
/* [start] argv[0]; the program may write to it later. */
const char *sp_real_program_name(void);

#endif
