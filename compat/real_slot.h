/* SPDX-License-Identifier: MIT
 * A place for a function behind ours. See real.h, which fills it. */
#ifndef SP_COMPAT_REAL_SLOT_H
#define SP_COMPAT_REAL_SLOT_H

#include "compat/base.h"

struct sp_real {
    void *original;
    const char *name;
    bool is_foreign; /* of a library that is not the system's: its name may be all that it has in common */
};

/* Declares the slot of a function that is declared. The list of slots is the section sp_reals. */
#define SP_REAL_SLOT(fn)                             \
    static struct sp_real real_##fn = {.name = #fn}; \
    static struct sp_real *const listed_##fn __attribute__((section("sp_reals"), used)) = &real_##fn

/* First in a hook whose name is a plain word: a library of the program's may have a function of that name, with other arguments. Where
 * the call cannot be libc's (is_other), or costs little unseen, it gets there by a jump, with registers and stack untouched. */
#define SP_REAL_UNLESS_OURS(fn, is_other, ...)                         \
    do {                                                               \
        if (SP_UNLIKELY(real_##fn.is_foreign) && (is_other))           \
            return ((__typeof__(&fn))real_##fn.original)(__VA_ARGS__); \
    } while (0)

/* Only if its slot is filled: where something else does as well. */
#define SP_REAL_IF_FOUND(fn) ((__typeof__(&fn))sp_load_relaxed(&real_##fn.original))

#endif
