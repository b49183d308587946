/* SPDX-License-Identifier: MIT
 * A place for a function behind ours. See real.h, which fills it. */
#ifndef SP_COMPAT_REAL_SLOT_H
#define SP_COMPAT_REAL_SLOT_H

#include "compat/base.h"

struct sp_real {
    void *original;
    const char *name;
};

/* Declares the slot of a function that is declared. The list of slots is the section sp_reals. */
#define SP_REAL_SLOT(fn)                           \
    static struct sp_real real_##fn = {NULL, #fn}; \
    static struct sp_real *const listed_##fn __attribute__((section("sp_reals"), used)) = &real_##fn

/* Only if its slot is filled: where something else does as well. */
#define SP_REAL_IF_FOUND(fn) ((__typeof__(&fn))sp_load_relaxed(&real_##fn.original))

#endif
