/* SPDX-License-Identifier: MIT
 * Reading the words of a stack that is walked. Of the thread's own stack all from the stack pointer up can be read; of any other (a
 * fibre's, a signal's) nobody knows where it ends: the kernel is asked for each page. */
#ifndef SP_COMPAT_UNWIND_STACK_H
#define SP_COMPAT_UNWIND_STACK_H

#include "compat/base.h"

#define SP_UNWIND_STACK_MAX (16ul << 20) /* twice the usual limit */

struct sp_unwind_stack {
    uintptr_t low, high; /* what lies between can be read; 0, 0: nothing is known */
    uintptr_t page;      /* the last that was asked for */
};

/* [handler] A stack that is used from `sp` on, in a thread whose own ends at `top`; 0: that is not known. */
SP_INLINE struct sp_unwind_stack sp_unwind_stack_of(uintptr_t sp, uintptr_t top)
{
    bool is_own = sp < top && top - sp <= SP_UNWIND_STACK_MAX;
    return is_own ? (struct sp_unwind_stack){sp, top & ~7ul, 0} : (struct sp_unwind_stack){0, 0, 0};
}

/* [handler] The word at `address`, where it is not known that it can be read. False: it cannot, or begins within another. */
SP_SIGSAFE bool sp_unwind_stack_ask(struct sp_unwind_stack *s, uintptr_t address, uintptr_t *value);

/* [handler] False: it cannot be read. */
SP_INLINE bool sp_unwind_word(struct sp_unwind_stack *s, uintptr_t address, uintptr_t *value)
{
    if (SP_UNLIKELY(address & 7 || address < s->low || address >= s->high))
        return sp_unwind_stack_ask(s, address, value);
    *value = sp_peek(address);
    return true;
}

#endif
