/* SPDX-License-Identifier: MIT
 * See walk.h. */
#include "sampler/walk.h"

#include <string.h>

#include "compat/py.h"
#include "sampler/adopt.h"
#include "sampler/intern.h"
#include "sampler/native.h"
#include "sampler/span.h"
#include "sampler/stack.h"

_Static_assert((int)SP_PY_NO_FRAME == (int)SP_LOSS_NO_FRAME && (int)SP_PY_BAD_BOTTOM == (int)SP_LOSS_BAD_BOTTOM &&
                   (int)SP_PY_REJECT_N == (int)SP_LOSS_WALK_N,
               "reject reasons are loss reasons");
_Static_assert((int)SP_PY_LINES_LOCATIONS_311 == (int)SP_LINES_LOCATIONS_311, "line formats agree");

SP_SIGSAFE static struct sp_sample pseudo(struct sp_region *r, enum sp_category category, enum sp_loss loss)
{
    return (struct sp_sample){.node = r->pseudo_node[category], .category = category, .loss = loss};
}

SP_SIGSAFE static struct sp_sample python(uint32_t node, enum sp_loss loss)
{
    return (struct sp_sample){.node = node, .category = SP_CATEGORY_PYTHON, .loss = loss};
}

/* No frames: the main thread has not begun, or the thread runs no Python. */
SP_SIGSAFE static struct sp_sample frameless(struct sp_region *r, const struct sp_live *l, bool has_tstate)
{
    if (l->serial == 1 && !l->saw_python)
        return pseudo(r, SP_CATEGORY_STARTUP, SP_LOSS_NONE);
    if (!has_tstate)
        return pseudo(r, SP_CATEGORY_NATIVE_THREAD, SP_LOSS_NONE);
    return pseudo(r, SP_CATEGORY_UNWALKABLE, SP_LOSS_NO_FRAME);
}

/* The interpreter ends, or has ended but for this thread's state; no Python runs, or its frames are not to be read. */
SP_SIGSAFE static struct sp_sample shutdown(struct sp_region *r)
{
    return python(r->pseudo_node[SP_PSEUDO_SHUTDOWN], SP_LOSS_NONE);
}

#define TASK_PREFIX "task "
#define TASK_NAME_BYTES 256u

/* Puts a pseudo-frame on top of *root. False: the region is full. */
SP_SIGSAFE static bool add_pseudo(struct sp_region *r, enum sp_pseudo which, uint32_t *root)
{
    uint32_t node = r->pseudo_node[which];
    *root = *root ? sp_intern_node(r, *root, sp_node_at(r, node)->frame) : node;
    return *root != 0;
}

/* Puts the spans of the calling thread on top of *root. False: the region is full. */
SP_SIGSAFE static bool add_spans(struct sp_region *r, const struct sp_live *l, uint32_t *root)
{
    bool is_another = SP_UNLIKELY(l->is_unhooked) && !sp_adopt_has_own_tls(l); /* what is there is its creator's */
    return is_another || sp_span_intern_thread(r, root);
}

/* What lies rootward of a stack's first frame: its sub-interpreter, its thread's spans, the interpreter's end, a first frame that was
 * not found, its context's spans and its task, the mark of a cut. False: the region is full. */
SP_SIGSAFE static bool intern_root(struct sp_region *r, struct sp_live *l, uintptr_t tstate, const struct sp_py_walk *w,
                                   bool finalizing, uint32_t *root)
{
    struct sp_thread *t = l->slot;
    *root = 0;
    uint32_t interpreter = sp_py_interpreter_id(tstate);
    if (SP_UNLIKELY(interpreter)) {
        *root = sp_intern_node(r, 0, sp_intern_frame(r, SP_FRAME_INTERPRETER, interpreter, 0));
        if (!*root)
            return false;
        sp_intern_total(r, t->number, *root, 0, 1);
    }
    if (!add_spans(r, l, root) || (finalizing && !add_pseudo(r, SP_PSEUDO_SHUTDOWN, root)) ||
        (w->headless && !add_pseudo(r, (enum sp_pseudo)SP_CATEGORY_UNWALKABLE, root)) || !sp_span_intern(r, tstate, root))
        return false;
    uint32_t prefix = sizeof TASK_PREFIX - 1;
    uint32_t name = r->tasks ? sp_py_task_name(tstate, t->text + prefix, TASK_NAME_BYTES) : 0;
    if (name) {
        memcpy(t->text, TASK_PREFIX, prefix);
        uint32_t text = sp_intern_string(r, t->text, prefix + name);
        uint32_t frame = text ? sp_intern_frame(r, SP_FRAME_TASK, text, 0) : 0;
        *root = frame ? sp_intern_node(r, *root, frame) : 0;
        if (!*root)
            return false;
    }
    return !w->truncated || add_pseudo(r, SP_PSEUDO_TRUNCATED, root);
}

/* ---- a thread that is given another name */
SP_SIGSAFE static bool string_ends(const struct sp_region *r, uint32_t ref, const char *end, uint32_t n)
{
    const struct sp_string *s = sp_string_at(r, ref);
    return s->bytes >= n && memcmp(s->data + s->bytes - n, end, n) == 0;
}

SP_SIGSAFE static bool is_bootstrap(const struct sp_region *r, uint32_t node)
{
    const struct sp_frame *f = sp_frame_at(r, sp_node_at(r, node)->frame);
    if (f->kind != SP_FRAME_PYTHON)
        return false;
    const struct sp_code *c = sp_code_at(r, f->what);
    uint32_t bytes = sp_string_at(r, c->name)->bytes; /* with the class's name from 3.11 on */
    return (bytes == 10 || bytes == 17) && string_ends(r, c->name, "_bootstrap", 10) &&
           string_ends(r, c->file, "threading.py", 12);
}

/* Without a GIL it may have been given up, and its memory be another name's, in the midst of the reading: to be read twice. */
SP_SIGSAFE static bool is_still(uintptr_t now, uintptr_t name, char *text, uint32_t n)
{
    char *again = text + SP_THREAD_NAME_BYTES;
    return !sp_py.layout->free_threaded ||
           (now == name && sp_py_text(name, again, SP_THREAD_NAME_BYTES - 1) == n && memcmp(again, text, n) == 0);
}

SP_SIGSAFE static void follow_name(struct sp_region *r, struct sp_live *l, uintptr_t tstate, const struct sp_py_walk *w,
                                   uint32_t root)
{
    struct sp_thread *t = l->slot;
    if (!l->name_place || w->truncated)
        return;
    if (root != t->name_node && !is_bootstrap(r, root))
        return;
    t->name_node = root;
    uintptr_t name = sp_py_thread_name_at(tstate, w->root, l->name_place);
    if (!name)
        return;
    /* Its address says nothing: of two names in turn each has the address that the last but one had. */
    uint32_t n = sp_py_text(name, t->text, SP_THREAD_NAME_BYTES - 1);
    if (sp_py.layout->free_threaded)
        __atomic_thread_fence(__ATOMIC_ACQUIRE); /* else the second reading, in is_still(), might be done with the first */
    if ((memcmp(t->name, t->text, n) == 0 && !t->name[n]) || !sp_py_holds_gil(tstate) ||
        !is_still(sp_py_thread_name_at(tstate, w->root, l->name_place), name, t->text, n))
        return;
    memcpy(l->name, t->text, n);
    l->name[n] = '\0';
    memcpy(t->name, l->name, n + 1);
}

/* A root frame that stays is not the end's: that begins with a call of its own. Its place alone does not tell: from 3.11 on
 * the first frame is always at the same. */
SP_SIGSAFE static bool is_ending(struct sp_live *l, const struct sp_py_walk *w, bool has_frames)
{
    uint32_t root = l->root_seen;
    if (has_frames)
        root = (uint32_t)((w->root ^ w->frames[w->n - 1].code * 0x9e3779b97f4a7c15u) >> 3);
    bool is_other = root != l->root_seen;
    l->root_seen = root;
    return sp_py_is_ending(l->stack_top, w->sp, is_other);
}

SP_SIGSAFE static struct sp_sample walk_python(struct sp_region *r, struct sp_live *l, uintptr_t sp, struct sp_native *native)
{
    struct sp_thread *t = l->slot;
    if (!sp_py.layout)
        return python(r->pseudo_node[SP_PSEUDO_UNKNOWN_PYTHON], SP_LOSS_NONE);
    if (SP_UNLIKELY(l->is_unhooked) && (sp_py_needs_touch() || !sp_adopt_has_own_tls(l)))
        return pseudo(r, SP_CATEGORY_NATIVE_THREAD, SP_LOSS_NONE);
    uintptr_t tstate;
    enum sp_py_reject why = sp_py_own_tstate(&tstate);
    bool finalizing = why == SP_PY_FINALIZING && (l->saw_python || l->serial == 1);
    if (finalizing && !tstate)
        return shutdown(r);
    if (why && why != SP_PY_FINALIZING)
        return pseudo(r, SP_CATEGORY_UNWALKABLE, (enum sp_loss)why);
    if (!tstate)
        return frameless(r, l, false);

    struct sp_py_walk w = {
        .frames = sp_stack_begin(r, t),
        .cap = t->stack_depth,
        .sp = sp,
        .stack_top = l->stack_top,
        .pages = t->pages,
        .loops = native ? native->loops : NULL,
        .most_loops = SP_NATIVE_LOOPS,
    };
    why = sp_py.ops->walk(&sp_py, tstate, &w);
    if (!why && !w.n) /* there is room for none: the spool was cut off at this very moment */
        return python(r->pseudo_node[SP_PSEUDO_OVERFLOW], SP_LOSS_OVERFLOW);
    finalizing = finalizing || is_ending(l, &w, why == SP_PY_OK);
    if (why == SP_PY_NO_FRAME)
        return finalizing ? shutdown(r) : frameless(r, l, true);
    if (why) {
        sp_stack_distrust_pages(t); /* they may be what only the rejected stack vouched for */
        return pseudo(r, SP_CATEGORY_UNWALKABLE, (enum sp_loss)why);
    }
    l->saw_python = 1;
    uint32_t root, outermost = native ? sp_native_merge((enum sp_native_shown)r->native, native, &w) : w.n - 1;
    uint32_t node = intern_root(r, l, tstate, &w, finalizing, &root) ? sp_stack_intern(r, t, &w, root) : 0;
    if (!node) {
        sp_stack_forget(t);
        return python(r->pseudo_node[SP_PSEUDO_OVERFLOW], SP_LOSS_OVERFLOW);
    }
    follow_name(r, l, tstate, &w, w.frames[outermost].node);
    if (w.headless)
        return (struct sp_sample){.node = node, .category = SP_CATEGORY_UNWALKABLE, .loss = SP_LOSS_BAD_BOTTOM};
    return python(node, w.truncated ? SP_LOSS_TRUNCATED : SP_LOSS_NONE);
}

SP_SIGSAFE static bool is_bare(const struct sp_region *r, const struct sp_sample *s)
{
    const struct sp_node *n = sp_node_at(r, s->node);
    return !n->parent && sp_frame_at(r, n->frame)->kind == SP_FRAME_PSEUDO && s->loss != SP_LOSS_OVERFLOW;
}

/* A sample without Python frames: what says why there are none, in the thread's spans, and leafward of it its native frames, which
 * say it themselves in a thread without Python. */
SP_SIGSAFE static bool complete(struct sp_region *r, struct sp_live *l, struct sp_native *native, struct sp_sample *s)
{
    struct sp_py_walk w = {.frames = NULL};
    uint32_t spans = 0, node = s->node;
    if (!add_spans(r, l, &spans))
        return false;
    if (SP_UNLIKELY(spans))
        node = sp_intern_node(r, spans, sp_node_at(r, s->node)->frame);
    if (SP_UNLIKELY(native)) {
        w = (struct sp_py_walk){.frames = sp_stack_begin(r, l->slot), .cap = l->slot->stack_depth};
        sp_native_merge((enum sp_native_shown)r->native, native, &w);
    }
    if (w.n && node) {
        uint32_t root = s->category == SP_CATEGORY_NATIVE_THREAD ? spans : node;
        uint32_t leaf = sp_stack_intern(r, l->slot, &w, root);
        if (!leaf)
            sp_stack_forget(l->slot);
        node = leaf ? leaf : node;
    }
    if (node)
        s->node = node;
    return node;
}

struct sp_sample sp_walk_stack(struct sp_region *r, struct sp_live *l, uintptr_t sp, const void *context)
{
    struct sp_native *native = sp_native_walk(r, l, context);
    struct sp_sample s = walk_python(r, l, sp, native);
    if (is_bare(r, &s) && !complete(r, l, native, &s))
        return python(r->pseudo_node[SP_PSEUDO_OVERFLOW], SP_LOSS_OVERFLOW);
    return s;
}
