/* SPDX-License-Identifier: MIT
 * See walk_python.h. */
#include "sampler/walk_python.h"

#include <string.h>

#include "compat/py.h"
#include "sampler/adopt.h"
#include "sampler/intern.h"

_Static_assert((int)SP_PY_NO_FRAME == (int)SP_LOSS_NO_FRAME && (int)SP_PY_BAD_BOTTOM == (int)SP_LOSS_BAD_BOTTOM &&
                   (int)SP_PY_REJECT_N == (int)SP_LOSS_WALK_N,
               "reject reasons are loss reasons");
_Static_assert((int)SP_PY_LINES_LOCATIONS_311 == (int)SP_LINES_LOCATIONS_311, "line formats agree");
_Static_assert(SP_PY_PAGES == SP_PAGES_KNOWN, "page caches agree");

SP_SIGSAFE static struct sp_sampled pseudo(struct sp_region *r, enum sp_category category, enum sp_loss loss)
{
    return (struct sp_sampled){r->pseudo_node[category], category, loss};
}

/* No frames: the main thread has not begun, or the thread runs no Python. */
SP_SIGSAFE static struct sp_sampled frameless(struct sp_region *r, struct sp_thread *t, bool has_tstate)
{
    if (t->serial == 1 && !t->saw_python)
        return pseudo(r, SP_CATEGORY_STARTUP, SP_LOSS_NONE);
    if (!has_tstate)
        return pseudo(r, SP_CATEGORY_NATIVE_THREAD, SP_LOSS_NONE);
    return pseudo(r, SP_CATEGORY_UNWALKABLE, SP_LOSS_NO_FRAME);
}

/* The interpreter ends, or has ended but for this thread's state; no Python runs, or its frames are not to be read. */
SP_SIGSAFE static struct sp_sampled shutdown(struct sp_region *r)
{
    return (struct sp_sampled){r->pseudo_node[SP_PSEUDO_SHUTDOWN], SP_CATEGORY_PYTHON, SP_LOSS_NONE};
}

SP_SIGSAFE static struct sp_py_frame *stack_of(const struct sp_region *r, const struct sp_thread *t, uint32_t which)
{
    return (struct sp_py_frame *)sp_at64(r, t->stacks) + (uint64_t)which * t->stack_depth;
}

/* A code object that we know has died: what is cached by address is worth nothing now. */
SP_SIGSAFE static void check_epoch(struct sp_region *r, struct sp_thread *t)
{
    uint32_t epoch = sp_load_acquire(&r->epoch); /* pairs with sp_intern_forget_code */
    if (epoch == t->epoch)
        return;
    t->epoch = epoch;
    t->previous_n = 0;
    memset(t->pages, 0, sizeof t->pages);
}

SP_SIGSAFE static uint32_t intern_one(struct sp_region *r, struct sp_thread *t, const struct sp_py_frame *f, uint32_t parent)
{
    uint32_t code = sp_intern_code(r, f->code, t->text);
    uint32_t frame = code ? sp_intern_frame(r, SP_FRAME_PYTHON, code, f->offset) : 0;
    return frame ? sp_intern_node(r, parent, frame) : 0;
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

/* What lies below a stack's first frame: its sub-interpreter, the interpreter's end, a first frame that was not found, its
 * task, the mark of a cut. False: the region is full. */
SP_SIGSAFE static bool intern_root(struct sp_region *r, struct sp_thread *t, uintptr_t tstate, const struct sp_py_walk *w,
                                   bool finalizing, uint32_t *root)
{
    *root = 0;
    uint32_t interpreter = sp_py_interpreter_id(tstate);
    if (SP_UNLIKELY(interpreter)) {
        *root = sp_intern_node(r, 0, sp_intern_frame(r, SP_FRAME_INTERPRETER, interpreter, 0));
        if (!*root)
            return false;
        sp_intern_total(r, t->number, *root, 0, 1);
    }
    if ((finalizing && !add_pseudo(r, SP_PSEUDO_SHUTDOWN, root)) ||
        (w->headless && !add_pseudo(r, (enum sp_pseudo)SP_CATEGORY_UNWALKABLE, root)))
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

/* Gives every frame of the new stack its node, root first; 0: the region is full. */
SP_SIGSAFE static uint32_t intern_stack(struct sp_region *r, struct sp_thread *t, struct sp_py_walk *w, uint32_t root)
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
        parent = intern_one(r, t, &w->frames[i], parent);
        if (!parent)
            return 0;
        w->frames[i].node = parent;
    }
    t->current ^= 1;
    t->previous_n = w->n;
    t->previous_root = root;
    return parent;
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

SP_SIGSAFE static void follow_name(struct sp_region *r, struct sp_thread *t, uintptr_t tstate, const struct sp_py_walk *w)
{
    if (!t->name_place || w->truncated)
        return;
    uint32_t root = w->frames[w->n - 1].node;
    if (root != t->name_node && !is_bootstrap(r, root))
        return;
    t->name_node = root;
    uintptr_t name = sp_py_thread_name_at(tstate, w->root, t->name_place);
    if (!name)
        return;
    /* Its address says nothing: of two names in turn each has the address that the last but one had. */
    uint32_t n = sp_py_text(name, t->text, SP_THREAD_NAME_BYTES - 1);
    if ((memcmp(t->name, t->text, n) == 0 && !t->name[n]) || !sp_py_holds_gil(tstate))
        return;
    memcpy(t->name, t->text, n);
    t->name[n] = '\0';
}

struct sp_sampled sp_walk_python(struct sp_region *r, struct sp_thread *t, uintptr_t sp)
{
    if (!sp_py.layout)
        return (struct sp_sampled){r->pseudo_node[SP_PSEUDO_UNKNOWN_PYTHON], SP_CATEGORY_PYTHON, SP_LOSS_NONE};
    if (SP_UNLIKELY(t->is_unhooked) && (sp_py_needs_touch() || !sp_adopt_has_own_tls(r, t)))
        return pseudo(r, SP_CATEGORY_NATIVE_THREAD, SP_LOSS_NONE);
    uintptr_t tstate;
    enum sp_py_reject why = sp_py_own_tstate(&tstate);
    bool finalizing = why == SP_PY_FINALIZING && (t->saw_python || t->serial == 1);
    if (finalizing && !tstate)
        return shutdown(r);
    if (why && why != SP_PY_FINALIZING)
        return pseudo(r, SP_CATEGORY_UNWALKABLE, (enum sp_loss)why);
    if (!tstate)
        return frameless(r, t, false);

    check_epoch(r, t);
    struct sp_py_walk w = {
        .frames = stack_of(r, t, t->current ^ 1),
        .cap = t->stack_depth,
        .sp = sp,
        .stack_top = t->stack_top,
        .pages = t->pages,
    };
    why = sp_py.ops->walk(&sp_py, tstate, &w);
    if (why == SP_PY_NO_FRAME)
        return finalizing ? shutdown(r) : frameless(r, t, true);
    if (why) {
        memset(t->pages, 0, sizeof t->pages); /* may name pages that only the rejected stack vouched for */
        return pseudo(r, SP_CATEGORY_UNWALKABLE, (enum sp_loss)why);
    }
    t->saw_python = 1;
    uint32_t root;
    uint32_t node = intern_root(r, t, tstate, &w, finalizing, &root) ? intern_stack(r, t, &w, root) : 0;
    if (!node) {
        t->previous_n = 0;
        memset(t->pages, 0, sizeof t->pages);
        return (struct sp_sampled){r->pseudo_node[SP_PSEUDO_OVERFLOW], SP_CATEGORY_PYTHON, SP_LOSS_OVERFLOW};
    }
    follow_name(r, t, tstate, &w);
    if (w.headless)
        return (struct sp_sampled){node, SP_CATEGORY_UNWALKABLE, SP_LOSS_BAD_BOTTOM};
    return (struct sp_sampled){node, SP_CATEGORY_PYTHON, w.truncated ? SP_LOSS_TRUNCATED : SP_LOSS_NONE};
}
