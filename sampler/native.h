/* SPDX-License-Identifier: MIT
 * Native frames of a sample. The C stack is walked by the unwind tables, and merged with the Python frames by address: the
 * native frame that holds an evaluation loop's structure is that loop, and stands for the loop's Python frames. */
#ifndef SP_SAMPLER_NATIVE_H
#define SP_SAMPLER_NATIVE_H

#include "compat/modules.h"
#include "compat/py.h"
#include "compat/unwind.h"
#include "sampler/live.h"
#include "sampler/store.h"

#define SP_NATIVE_FRAMES 512
#define SP_NATIVE_LOOPS 256

/* One sample's walk, in the room behind the thread's stacks (slots.h). */
struct sp_native {
    struct sp_unwind unwind;
    struct sp_py_loop loops[SP_NATIVE_LOOPS];        /* of the Python walk */
    struct sp_unwind_frame frames[SP_NATIVE_FRAMES]; /* leaf first; after the merge those that are shown, `cfa` the number of
                                                        Python frames nearer the leaf */
};

/* [handler] Walks the C stack of the thread, interrupted in `context` (a ucontext_t). NULL: native frames are not wanted, or
 * there is no context to begin at. */
SP_SIGSAFE struct sp_native *sp_native_walk(struct sp_region *r, struct sp_live *l, const void *context);

/* [handler] Puts the native frames that are shown among the Python frames of w, which is asked for its loops; none of either
 * may be there. Where the outermost Python frame is afterwards: its index. */
SP_SIGSAFE uint32_t sp_native_merge(enum sp_native_shown shown, struct sp_native *n, struct sp_py_walk *w);

/* [handler] Whether a merged frame is a native one. */
SP_INLINE bool sp_native_is(const struct sp_py_frame *f)
{
    return f->code & 1;
}

/* [handler] What a merged native frame is: a function, which begins `place` bytes behind the beginning of its library *m (or, where no
 * table has it, its instruction); or one of two that have a name alone. */
enum sp_native_found { SP_NATIVE_FUNCTION, SP_NATIVE_COLLECTOR, SP_NATIVE_UNKNOWN };
SP_SIGSAFE enum sp_native_found sp_native_find(const struct sp_py_frame *f, struct sp_module *m, uint64_t *place);

/* [handler] The id of a native frame's frame in the region, 0: that is full. A leaf is at an instruction of its own each time and is
 * not kept by address. `text` is scratch of 4,096 bytes. */
SP_SIGSAFE uint32_t sp_native_intern(struct sp_region *r, const struct sp_py_frame *f, bool is_leaf, char *text);

#endif
