/* SPDX-License-Identifier: MIT
 * See native.h. */
#include "sampler/native.h"

#include <string.h>

#include "compat/buf.h"
#include "sampler/intern.h"
#include "sampler/slots.h"

#define TEXT_BYTES 4096u
#define COLLECTOR 1u /* in place of an address: the garbage collector's, whatever is shown of the interpreter */

_Static_assert(sizeof(struct sp_native) <= SP_SLOT_NATIVE_BYTES, "the slot has room");

/* Cells by address (region.h) hold code objects, which are aligned. These are not. */
SP_INLINE uint64_t code_key(uintptr_t address)
{
    return (uint64_t)address << 2 | 1;
}

SP_INLINE uint64_t module_key(uintptr_t start)
{
    return (uint64_t)start << 2 | 3;
}

struct sp_native *sp_native_walk(struct sp_region *r, struct sp_live *l, const void *context)
{
    struct sp_native *n = r->native && context ? sp_slot_native(r, l->slot) : NULL;
    if (SP_LIKELY(!n))
        return NULL;
    n->unwind.frames = n->frames;
    n->unwind.cap = SP_NATIVE_FRAMES - 1; /* and the mark of a gap */
    n->unwind.stack_top = l->stack_top;
    sp_unwind(&n->unwind, context);
    return n;
}

/* ---- which native frames are shown, and where */
struct merge {
    enum sp_native_shown shown;
    struct sp_native *native;
    const struct sp_py_walk *w;
    const struct sp_py_loop *loops;
    uint32_t n_loops, loop; /* the next one */
    uint32_t python;        /* frames of the loops so far */
    uint32_t kept;
};

#define RETURNED_BYTES 16384ul /* an evaluation loop's frame and what it calls on its way out are smaller */

/* Takes the next loops whose structures lie in [low, high). */
SP_SIGSAFE static bool meets_loop(struct merge *m, uintptr_t low, uintptr_t high)
{
    bool met = false;
    for (; m->loop < m->n_loops && m->loops[m->loop].at - low < high - low; m->loop++) {
        m->python = m->loops[m->loop].frames;
        met = true;
    }
    return met;
}

/* Where the instruction of a frame is, or the call that it waits for. */
SP_SIGSAFE static uintptr_t code_of(const struct sp_unwind *u, uint32_t i)
{
    bool is_exact = i == 0;
    for (uint32_t k = 0; k < u->n_interrupted; k++)
        is_exact |= u->interrupted[k] == i;
    return is_exact ? u->frames[i].pc : u->frames[i].pc - 1;
}

SP_SIGSAFE static void keep(struct merge *m, uintptr_t code)
{
    m->native->frames[m->kept++] = (struct sp_unwind_frame){code, m->python};
}

/* Between Python frames the interpreter's own functions only hand a call on. */
SP_SIGSAFE static bool is_shown(const struct merge *m, uintptr_t code)
{
    return m->shown == SP_NATIVE_FULL || !m->python || code - sp_py.start >= sp_py.end - sp_py.start;
}

SP_SIGSAFE static void choose(struct merge *m)
{
    struct sp_native *n = m->native;
    uintptr_t low = m->w->sp;
    meets_loop(m, low - RETURNED_BYTES, low); /* the innermost may just have returned */
    bool ends_early = n->unwind.end != SP_UNWIND_BOTTOM && n->unwind.end != SP_UNWIND_NO_MODULE;
    for (uint32_t i = 0; i < n->unwind.n; i++) {
        struct sp_unwind_frame f = n->frames[i];
        uintptr_t code = code_of(&n->unwind, i);
        bool is_loop = f.cfa > low && meets_loop(m, low, f.cfa); /* else it is on another stack than its caller */
        low = f.cfa;
        if (is_loop)
            continue;
        bool is_outside = m->n_loops && (m->loop == m->n_loops || m->python == m->w->n); /* 3.15: one is in the thread state */
        if (is_outside && (m->shown == SP_NATIVE_ON || m->python < m->w->n || m->w->truncated)) {
            ends_early = false;
            break;
        }
        if (SP_UNLIKELY(sp_py_gc_is_at(code)))
            keep(m, COLLECTOR);
        else if (is_shown(m, code))
            keep(m, code);
    }
    bool is_gap = n->unwind.end == SP_UNWIND_FULL || (m->kept && n->frames[m->kept - 1].cfa == m->python);
    if (ends_early && is_gap && m->kept < SP_NATIVE_FRAMES)
        keep(m, 0);
}

/* 3.9 tells no loops: there each Python frame has one of its own, known by its function. If they are not as many as the frames,
 * only what lies leafward of the innermost has a place. */
SP_SIGSAFE static uint32_t count_loops(const struct sp_native *n, const struct sp_py_walk *w, struct sp_py_loop *loops)
{
    uintptr_t low = w->sp;
    uint32_t found = 0;
    for (uint32_t i = 0; i < n->unwind.n && n->frames[i].cfa; low = n->frames[i++].cfa)
        if (sp_unwind_function(code_of(&n->unwind, i)) == sp_py.eval_loop && found < SP_NATIVE_LOOPS) {
            loops[found] = (struct sp_py_loop){low, found + 1};
            found++;
        }
    if (found && found != w->n) {
        loops[0].frames = w->n;
        found = 1;
    }
    return found;
}

/* In place: both lists are leaf first, so from the root end every frame moves to where nothing is needed any more. */
SP_SIGSAFE static void insert(const struct sp_native *n, uint32_t kept, struct sp_py_walk *w)
{
    uint32_t from = w->n, to = w->n + kept;
    w->n = to;
    while (kept) {
        const struct sp_unwind_frame *f = &n->frames[kept - 1];
        if (from > f->cfa) {
            w->frames[--to] = w->frames[--from];
        } else {
            w->frames[--to] = (struct sp_py_frame){.code = code_key(f->pc)};
            kept--;
        }
    }
}

uint32_t sp_native_merge(enum sp_native_shown shown, struct sp_native *n, struct sp_py_walk *w)
{
    struct merge m = {.shown = shown, .native = n, .w = w, .loops = n->loops, .n_loops = w->n_loops};
    uint32_t n_python = w->n, before = 0;
    if (n_python && !m.n_loops && sp_py.eval_loop)
        m.n_loops = count_loops(n, w, n->loops);
    if (!w->cap) /* the spool was cut off at this very moment */
        return 0;
    if (n_python && !m.n_loops)
        return n_python - 1; /* where native frames belong is not known */
    choose(&m);
    if (m.kept + n_python > w->cap) { /* what is cut is cut at the root */
        uint32_t most = w->cap - (n_python > 0);
        m.kept = m.kept < most ? m.kept : most;
        n_python = w->n = n_python < w->cap - m.kept ? n_python : w->cap - m.kept;
        w->truncated = true;
        while (m.kept && n->frames[m.kept - 1].cfa > n_python)
            m.kept--;
    }
    while (before < m.kept && n->frames[before].cfa < n_python)
        before++;
    insert(n, m.kept, w);
    return n_python ? n_python - 1 + before : 0;
}

/* ---- frames in the region */
/* The library's text: its build id, a colon, its path. */
SP_SIGSAFE static uint32_t intern_module(struct sp_region *r, const struct sp_module *m, char *text)
{
    struct sp_cell *cell = sp_intern_cell(r, module_key(m->start));
    uint64_t known = cell ? sp_load_acquire(&cell->code) : 0;
    if (known)
        return (uint32_t)known;
    uint8_t id[SP_BUILD_ID_MAX];
    struct sp_buf b = sp_buf_at(text, TEXT_BYTES);
    for (uint32_t i = 0, n = sp_module_build_id(m, id); i < n; i++) {
        sp_buf_char(&b, "0123456789abcdef"[id[i] >> 4]);
        sp_buf_char(&b, "0123456789abcdef"[id[i] & 15]);
    }
    sp_buf_char(&b, ':');
    b.len += sp_module_path(m, text + b.len, TEXT_BYTES - b.len);
    uint32_t ref = sp_intern_string(r, text, (uint32_t)b.len);
    if (ref && cell)
        sp_store_release(&cell->code, ref);
    return ref;
}

enum sp_native_found sp_native_find(const struct sp_py_frame *f, struct sp_module *m, uint64_t *place)
{
    uintptr_t address = (uintptr_t)(f->code >> 2), start;
    if (address == COLLECTOR)
        return SP_NATIVE_COLLECTOR;
    if (!address || !sp_module_at(m, address))
        return SP_NATIVE_UNKNOWN;
    start = sp_unwind_function(address);
    *place = (start < m->start || start > address ? address : start) - m->start;
    return SP_NATIVE_FUNCTION;
}

SP_SIGSAFE static uint32_t intern(struct sp_region *r, const struct sp_py_frame *f, char *text)
{
    struct sp_module m;
    uint64_t place;
    uint32_t module;
    switch (sp_native_find(f, &m, &place)) {
    case SP_NATIVE_COLLECTOR: return sp_node_at(r, r->pseudo_node[SP_PSEUDO_GC])->frame;
    case SP_NATIVE_UNKNOWN: return sp_node_at(r, r->pseudo_node[SP_PSEUDO_NATIVE_UNKNOWN])->frame;
    case SP_NATIVE_FUNCTION: break;
    }
    module = intern_module(r, &m, text);
    return module ? sp_intern_native_frame(r, module, place) : 0;
}

uint32_t sp_native_intern(struct sp_region *r, const struct sp_py_frame *f, bool is_leaf, char *text)
{
    if (is_leaf)
        return intern(r, f, text);
    struct sp_cell *cell = sp_intern_cell(r, f->code);
    uint64_t known = cell ? sp_load_acquire(&cell->code) : 0;
    if (known)
        return (uint32_t)known;
    uint32_t frame = intern(r, f, text);
    if (frame && cell)
        sp_store_release(&cell->code, frame);
    return frame;
}
