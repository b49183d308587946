/* SPDX-License-Identifier: MIT
 * Reading the words of a stack that is walked. Where it ends nobody knows: it may be a fibre's or a signal's, whose neighbour is a
 * guard page, and a thread may have protected a page of its own. So the kernel is asked for each page; frames lie in few. */
#ifndef SP_COMPAT_UNWIND_STACK_H
#define SP_COMPAT_UNWIND_STACK_H

#include "compat/base.h"

#define SP_UNWIND_STACK_MAX (16ul << 20) /* twice the usual limit */

#define SP_UNWIND_ABOVE 4096 /* of a thread's frames lie above the one of ours that its `top` is from */

struct sp_unwind_stack {
    uintptr_t high; /* no frame ends behind it; 0: not known */
    uintptr_t page; /* the last that was asked for, and can be read */
};

/* [handler] A stack that is used from `sp` on, in a thread whose own ends at `top`; 0: that is not known. */
SP_INLINE struct sp_unwind_stack sp_unwind_stack_of(uintptr_t sp, uintptr_t top)
{
    bool is_own = sp < top && top - sp <= SP_UNWIND_STACK_MAX;
    return (struct sp_unwind_stack){is_own ? (top & ~7ul) + SP_UNWIND_ABOVE : 0, UINTPTR_MAX};
}

/* [handler] The word at `address`, which is not on the last page. False: it cannot be read, or begins within another. */
SP_SIGSAFE bool sp_unwind_stack_ask(struct sp_unwind_stack *s, uintptr_t address, uintptr_t *value);

/* [handler] False: it cannot be read. */
SP_INLINE bool sp_unwind_word(struct sp_unwind_stack *s, uintptr_t address, uintptr_t *value)
{
    if (SP_UNLIKELY(address & 7 || address >> 12 != s->page))
        return sp_unwind_stack_ask(s, address, value);
    *value = sp_peek(address);
    return true;
}

#endif
