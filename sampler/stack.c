/* SPDX-License-Identifier: MIT
 * See stack.h. */
#include "sampler/stack.h"

#include <string.h>

#include "sampler/intern.h"
#include "sampler/native.h"

_Static_assert(SP_PY_PAGES == SP_PAGES_KNOWN, "page caches agree");

SP_SIGSAFE static struct sp_py_frame *stack_of(const struct sp_region *r, const struct sp_thread *t, uint32_t which)
{
    return (struct sp_py_frame *)sp_at64(r, t->stacks) + (uint64_t)which * t->stack_depth;
}

void sp_stack_distrust_pages(struct sp_thread *t)
{
    memset(t->pages, 0, sizeof t->pages);
}

void sp_stack_forget(struct sp_thread *t)
{
    t->previous_n = 0;
    sp_stack_distrust_pages(t);
}

struct sp_py_frame *sp_stack_begin(struct sp_region *r, struct sp_thread *t)
{
    uint32_t epoch = sp_load_acquire(&r->epoch); /* pairs with sp_intern_forget_code */
    if (epoch != t->epoch) {
        t->epoch = epoch;
        sp_stack_forget(t);
    }
    return stack_of(r, t, t->current ^ 1);
}

SP_SIGSAFE static uint32_t python_frame(struct sp_region *r, struct sp_thread *t, const struct sp_py_frame *f)
{
    uint32_t code = sp_intern_code(r, f->code, t->text);
    return code ? sp_intern_frame(r, SP_FRAME_PYTHON, code, f->offset) : 0;
}

/* Root first: a node needs its parent's. */
uint32_t sp_stack_intern(struct sp_region *r, struct sp_thread *t, struct sp_py_walk *w, uint32_t root)
{
    const struct sp_py_frame *old = stack_of(r, t, t->current);
    uint32_t old_n = root == t->previous_root ? t->previous_n : 0;
    uint32_t parent = root, i = w->n, j = old_n;
    while (i && j && w->frames[i - 1].code == old[j - 1].code && w->frames[i - 1].offset == old[j - 1].offset) {
        i--, j--;
        w->frames[i].node = parent = old[j].node;
    }
    while (i) {
        i--;
        const struct sp_py_frame *f = &w->frames[i];
        uint32_t frame = sp_native_is(f) ? sp_native_intern(r, f, i == 0, t->text) : python_frame(r, t, f);
        parent = frame ? sp_intern_node(r, parent, frame) : 0;
        if (!parent)
            return 0;
        w->frames[i].node = parent;
    }
    t->current ^= 1;
    t->previous_n = w->n;
    t->previous_root = root;
    return parent;
}
