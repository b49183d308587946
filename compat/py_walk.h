/* SPDX-License-Identifier: MIT
 * Checks that the walkers share. Always inlined: each walker is one straight loop.
 *
 * Why every check is there: 3.11 and 3.12 publish thread-state->cframe before it is filled, and gcc moves
 * `frame->previous = ...` behind the store that makes the frame current. For 1 to 22 instructions the chain
 * is NULL, stale or garbage (1 in some 30,000 samples). tests/fault/step.py holds that no such instant
 * faults and that none yields an impossible stack. */
#ifndef SP_COMPAT_PY_WALK_H
#define SP_COMPAT_PY_WALK_H

#include "compat/cpu.h"
#include "compat/os.h"
#include "compat/py.h"

#define SP_PY_PAGE_SHIFT 12
#define SP_PY_STACK_MAX (16ul << 20) /* twice the usual limit */

/* A user address that a pointer to an object can have. */
SP_INLINE bool sp_py_plausible(uintptr_t a)
{
    uintptr_t place = sp_cpu_untagged(a);
    return (a & 7) == 0 && place >= 4096 && place < ((uintptr_t)1 << SP_CPU_USER_BITS) - 4096;
}

/* Whether the page of `a` can be read; at most one system call per page and sample. */
SP_INLINE bool sp_py_probe_page(struct sp_py_walk *w, uintptr_t a)
{
    uintptr_t page = a >> SP_PY_PAGE_SHIFT;
    for (uint32_t i = 0; i < w->n_probed && i < SP_PY_PROBED; i++)
        if (w->probed[i] == page)
            return true;
    if (!sp_os_readable(a))
        return false;
    w->probed[w->n_probed++ % SP_PY_PROBED] = page;
    if (w->n_probed >= 2 * SP_PY_PROBED)
        w->n_probed = SP_PY_PROBED;
    return true;
}

/* Whether [a, a + bytes) can be read, which touches two pages at most. */
SP_INLINE bool sp_py_can_read(struct sp_py_walk *w, uintptr_t a, uintptr_t bytes)
{
    uintptr_t last = a + bytes - 1;
    return sp_py_probe_page(w, a) &&
           (a >> SP_PY_PAGE_SHIFT == last >> SP_PY_PAGE_SHIFT || sp_py_probe_page(w, last & ~(uintptr_t)7));
}

/* Whether the interrupted code runs on the thread's own C stack. A stack pointer far from that is a fibre's, or on an
 * alternate signal stack: what lies between is no stack. */
SP_INLINE bool sp_py_runs_on_own_stack(const struct sp_py_walk *w)
{
    return w->sp < w->stack_top && w->stack_top - w->sp <= SP_PY_STACK_MAX;
}

/* Whether [a, a + bytes) lies on the interrupted thread's live C stack. */
SP_INLINE bool sp_py_on_stack(const struct sp_py_walk *w, uintptr_t a, uintptr_t bytes)
{
    return sp_py_runs_on_own_stack(w) && a >= w->sp && a < w->stack_top && bytes <= w->stack_top - a;
}

/* Whether `a`, some place on a C stack, lies below the stack pointer on the thread's own: greenlet has moved what was
 * there, or it is stale. Of other stacks (a fibre's, a signal's) nobody knows where they end. */
SP_INLINE bool sp_py_is_dead_stack(const struct sp_py_walk *w, uintptr_t a)
{
    bool own = sp_py_runs_on_own_stack(w) && w->stack_top - a <= SP_PY_STACK_MAX;
    return a < w->sp && (own || w->stack_top == 0);
}

/* Whether `code` is a code object. Its page is probed unless a live code object is known to be on it. sp_py_push()
 * makes it known: of a frame that is not in the walked stack nobody will hear when its code dies. */
SP_INLINE bool sp_py_is_code(const struct sp_py *py, struct sp_py_walk *w, uintptr_t code)
{
    if (!sp_py_plausible(code))
        return false;
    uintptr_t page = code >> SP_PY_PAGE_SHIFT;
    /* Reads reach from ob_type to the start of the instructions: less than 256 bytes. */
    if (SP_UNLIKELY(w->pages[page % SP_PY_PAGES] != page) || SP_UNLIKELY((code & 4095) > 4096 - 256)) {
        if (!sp_py_can_read(w, code, 256))
            return false;
    }
    return sp_peek(code + py->layout->ob_type) == py->code_type;
}

/* Whether `object` is a frame of a compiler's own (Nuitka's): its type is none of CPython's, but derived from that. */
SP_INLINE bool sp_py_is_foreign_frame(const struct sp_py *py, struct sp_py_walk *w, uintptr_t object)
{
    const struct sp_py_layout *l = py->layout;
    const uintptr_t base = l->tp_dealloc + 208u; /* tp_base; held by tests/layout */
    if (!sp_py_plausible(object) || !sp_py_can_read(w, object, l->ob_type + 8u))
        return false;
    uintptr_t type = sp_peek(object + l->ob_type);
    return type != py->frame_type && sp_py_plausible(type) && sp_py_can_read(w, type, base + 8) &&
           sp_peek(type + base) == py->frame_type;
}

/* The loop of the frames walked since the last one, whose structure is at `at`. */
SP_INLINE void sp_py_note_loop(struct sp_py_walk *w, uintptr_t at)
{
    if (SP_UNLIKELY(w->loops) && w->n_loops < w->most_loops)
        w->loops[w->n_loops++] = (struct sp_py_loop){at, w->n};
}

/* 3.10, 3.11: the loops' cframes are a list, innermost first; `previous` says where in one the next is. */
SP_INLINE uintptr_t sp_py_note_cframe(struct sp_py_walk *w, uintptr_t cframe, uint32_t previous)
{
    sp_py_note_loop(w, cframe);
    return w->loops && sp_py_on_stack(w, cframe, previous + 8u) ? sp_peek(cframe + previous) : 0;
}

/* Appends a frame. False: no room, the stack is truncated here. */
SP_INLINE bool sp_py_push(struct sp_py_walk *w, uintptr_t code, int64_t offset)
{
    if (SP_UNLIKELY(w->n == w->cap)) {
        w->truncated = true;
        return false;
    }
    w->frames[w->n].code = code;
    w->frames[w->n].offset = (int32_t)offset;
    w->n++;
    uintptr_t page = code >> SP_PY_PAGE_SHIFT;
    w->pages[page % SP_PY_PAGES] = page;
    return true;
}

#endif
