/* SPDX-License-Identifier: MIT
 * Checks that the walkers share. Always inlined: each walker is one straight loop.
 *
 * Why every check is there: 3.11 and 3.12 publish thread-state->cframe before it is filled, and gcc moves
 * `frame->previous = ...` behind the store that makes the frame current. For 1 to 22 instructions the chain
 * is NULL, stale or garbage (1 in some 30,000 samples). tests/fault/singlestep holds that no such instant
 * faults and that none yields an impossible stack. */
#ifndef SP_COMPAT_PY_WALK_H
#define SP_COMPAT_PY_WALK_H

#include "compat/cpu.h"
#include "compat/os.h"
#include "compat/py.h"

#define SP_PY_MAX_CHUNKS 64
#define SP_PY_CHUNK_SIZE 8 /* struct _PyStackChunk {previous, size, top, data} in 3.11 to 3.15 */
#define SP_PY_CHUNK_DATA 24
#define SP_PY_PAGE_SHIFT 12
#define SP_PY_STACK_MAX (16ul << 20) /* twice the usual limit */

#define SP_PY_OWNER_THREAD 0
#define SP_PY_OWNER_GENERATOR 1
#define SP_PY_OWNER_SHIM 3 /* and above: frames of the interpreter itself */

/* A user address that a pointer to an object can have. */
SP_INLINE bool sp_py_plausible(uintptr_t a)
{
    return (a & 7) == 0 && a >= 4096 && a < ((uintptr_t)1 << SP_CPU_USER_BITS) - 4096;
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

struct sp_py_chunks {
    uint32_t n;
    struct {
        uintptr_t from, to;
    } at[SP_PY_MAX_CHUNKS];
};

/* The thread's data stack: newest chunk first. Deeper stacks than 64 chunks (16 KB and growing each) have
 * their older frames checked like generators'. */
SP_INLINE void sp_py_chunks_read(const struct sp_py *py, uintptr_t tstate, struct sp_py_chunks *c)
{
    uintptr_t chunk = sp_peek(tstate + py->layout->ts_chunk);
    c->n = 0;
    while (sp_py_plausible(chunk) && c->n < SP_PY_MAX_CHUNKS) {
        c->at[c->n].from = chunk + SP_PY_CHUNK_DATA;
        c->at[c->n].to = chunk + sp_peek(chunk + SP_PY_CHUNK_SIZE);
        c->n++;
        chunk = sp_peek(chunk);
    }
}

/* The chunk that [frame, frame + bytes) lies in, -1: in none. `hint`: the one to look into first, or -1. */
SP_INLINE int sp_py_chunk_of(const struct sp_py_chunks *c, uintptr_t frame, uintptr_t bytes, int hint)
{
    if (hint >= 0 && frame >= c->at[hint].from && frame + bytes <= c->at[hint].to)
        return hint;
    for (uint32_t i = 0; i < c->n; i++)
        if (frame >= c->at[i].from && frame + bytes <= c->at[i].to)
            return (int)i;
    return -1;
}

/* Where the bytecode starts that a frame runs: in a free-threaded build from 3.14 on a thread may run its own copy of
 * it. Source: Include/internal/pycore_code.h, struct _PyCodeArray {Py_ssize_t size; char *entries[]}; entry 0 is
 * co_code itself. 0: no such copy. */
SP_INLINE uintptr_t sp_py_bytecode(const struct sp_py_layout *l, struct sp_py_walk *w, uintptr_t frame, uintptr_t code)
{
    uint32_t copy = l->co_tlbc ? sp_peek_u32(frame + l->fr_tlbc) : 0;
    if (!copy)
        return code + l->co_code;
    uintptr_t copies = sp_peek(code + l->co_tlbc);
    if (!sp_py_plausible(copies) || !sp_py_can_read(w, copies, 8) || copy >= sp_peek(copies) ||
        !sp_py_can_read(w, copies + 8 + 8ul * copy, 8))
        return 0;
    return sp_peek(copies + 8 + 8ul * copy);
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

/* What differs between the walkers of 3.11 and later. */
struct sp_py_family {
    bool has_is_entry;     /* 3.11: a C stack's first frame says so; later a shim precedes NULL */
    bool tagged;           /* 3.14 on: references in frames carry flags in their low 3 bits (_PyStackRef) */
    bool has_init_cleanup; /* 3.13 on: C() leaves a helper frame that is nobody's function */
    /* 3.11, 3.12: gcc makes a frame current before it stores the frame's link. For some instructions the link is
     * what an earlier frame left at this place, and that chain may look as good as any. What gives it away: a frame
     * that has not begun does not lie behind its caller, or the chain misses the base of the data stack. */
    bool links_late;
};

/* Where the data stack goes on behind a frame that runs `code`. */
SP_INLINE uintptr_t sp_py_frame_end(const struct sp_py_layout *l, uintptr_t frame, uintptr_t code)
{
    if (l->co_frame_words)
        return frame + 8ul * sp_peek_u32(code + l->co_frame_words);
    return frame + l->fr_locals + 8ul * (sp_peek_u32(code + l->co_locals) + sp_peek_u32(code + l->co_stack));
}

/* Whether the newest frame of the data stack, at `top` in `top_chunk`, lies where a callee of `frame` must: right
 * behind it, or at the start of a new chunk. */
SP_INLINE bool sp_py_is_adjacent(const struct sp_py *py, const struct sp_py_chunks *c, uintptr_t top, int top_chunk,
                                 uintptr_t frame, int chunk, uintptr_t code)
{
    if (chunk == top_chunk)
        return sp_py_frame_end(py->layout, frame, code) == top;
    return top - c->at[top_chunk].from <= 8;
}

/* Whether `frame` is the oldest of the data stack. Its first chunk leaves a word free. */
SP_INLINE bool sp_py_is_base(const struct sp_py_chunks *c, uintptr_t frame, int chunk)
{
    return c->n == SP_PY_MAX_CHUNKS || (chunk == (int)c->n - 1 && frame - c->at[chunk].from <= 8);
}

/* 3.11, 3.12: the frame that was current when the innermost evaluation loop began, from the cframe below its own:
 * {current_frame, previous} lie side by side. The loop's first frame, or its shim, links to that and nothing else; a
 * chain that skips a running generator does not. False: there is no such cframe. */
SP_INLINE bool sp_py_outer_frame(const struct sp_py_layout *l, uintptr_t tstate, struct sp_py_walk *w, uintptr_t *frame)
{
    uintptr_t below = sp_peek(sp_peek(tstate + l->ts_frame) + l->cframe_frame + 8u);
    if (below != tstate + l->ts_root_cframe && !sp_py_on_stack(w, below, 24) &&
        !(sp_py_plausible(below) && sp_py_can_read(w, below, 24)))
        return false;
    *frame = sp_peek(below + l->cframe_frame);
    return true;
}

/* 3.11 on: the chain of _PyInterpreterFrame that starts at `frame`. */
SP_INLINE enum sp_py_reject sp_py_walk_frames(const struct sp_py *py, uintptr_t tstate, uintptr_t frame, struct sp_py_walk *w,
                                              const struct sp_py_family family)
{
    const struct sp_py_layout *l = py->layout;
    struct sp_py_chunks chunks;
    sp_py_chunks_read(py, tstate, &chunks);

    int hint = -1, last_chunk = -1;
    uintptr_t last_in_chunk = 0;
    uint32_t n_in_chunks = 0;
    bool fresh = false; /* the newest frame has not executed an instruction */
    bool at_bottom = false;
    bool in_loop = family.links_late; /* still among the frames of the innermost evaluation loop */
    uintptr_t outer = 0, last = 0;
    if (in_loop && sp_peek(tstate + l->ts_frame) == tstate + l->ts_root_cframe)
        in_loop = false; /* no evaluation loop: compiled code runs */
    if (in_loop && !sp_py_outer_frame(l, tstate, w, &outer))
        return SP_PY_BAD_FRAME;
    uint32_t steps = 2 * w->cap + 64; /* shims and helpers are not pushed: bounded on their own */

    while (frame) {
        if (steps-- == 0)
            return SP_PY_BAD_FRAME;
        if (!sp_py_plausible(frame))
            return SP_PY_BAD_ADDRESS;
        int chunk = sp_py_chunk_of(&chunks, frame, l->fr_bytes, hint);
        if (chunk < 0 && !sp_py_on_stack(w, frame, l->fr_bytes) && !sp_py_can_read(w, frame, l->fr_bytes))
            return SP_PY_UNREADABLE;

        uint8_t owner = sp_peek_u8(frame + l->fr_owner);
        if (chunk >= 0) {
            hint = chunk;
            if (owner != SP_PY_OWNER_THREAD && owner < SP_PY_OWNER_SHIM)
                return SP_PY_BAD_FRAME;
            if (chunk == last_chunk && frame >= last_in_chunk)
                return SP_PY_BAD_FRAME;
            if (chunk < last_chunk)
                return SP_PY_BAD_FRAME;
        } else if (owner == SP_PY_OWNER_THREAD ? chunks.n < SP_PY_MAX_CHUNKS
                                               : owner != SP_PY_OWNER_GENERATOR && owner < SP_PY_OWNER_SHIM) {
            return SP_PY_BAD_FRAME;
        }

        uintptr_t previous = sp_peek(frame + l->fr_previous);
        if (owner >= SP_PY_OWNER_SHIM) {
            if (family.has_is_entry || owner > 8)
                return SP_PY_BAD_FRAME;
            if (in_loop && previous != outer)
                return SP_PY_BAD_FRAME;
            in_loop = false;
            at_bottom = true;
        } else {
            uintptr_t code = sp_peek(frame + l->fr_code) & (family.tagged ? ~(uintptr_t)7 : ~(uintptr_t)0);
            if (!sp_py_is_code(py, w, code))
                return SP_PY_BAD_CODE;
            int64_t offset = (int64_t)(sp_peek(frame + l->fr_instr) - sp_py_bytecode(l, w, frame, code));
            if (offset < -2 || (offset & 1) || (offset >= 0 && (uint64_t)offset / 2 >= sp_peek(code + l->ob_size)))
                return SP_PY_BAD_CODE;
            if (chunk >= 0) {
                if (n_in_chunks == 0)
                    fresh = offset < 0 && w->n == 0;
                else if (n_in_chunks == 1 && fresh && family.links_late &&
                         !sp_py_is_adjacent(py, &chunks, last_in_chunk, last_chunk, frame, chunk, code))
                    return SP_PY_BAD_FRAME;
                n_in_chunks++;
                last_chunk = chunk;
                last_in_chunk = frame;
            }
            at_bottom = family.has_is_entry && sp_peek_u8(frame + l->fr_is_entry) == 1;
            if (at_bottom && in_loop && previous != outer)
                return SP_PY_BAD_FRAME;
            in_loop = in_loop && !at_bottom;
            /* CO_NO_MONITORING_EVENTS marks _Py_InitCleanup (Objects/codeobject.c, 3.13) */
            w->root = frame;
            bool helper = family.has_init_cleanup && (sp_peek_u32(code + l->co_flags) & 0x2000000);
            if (!helper && !sp_py_push(w, code, offset))
                return SP_PY_OK;
        }
        last = frame;
        frame = previous;
    }
    if (w->n == 0)
        return SP_PY_NO_FRAME;
    if (family.links_late) {
        uintptr_t in_use = sp_peek(tstate + l->ts_chunk + 8); /* datastack_top follows datastack_chunk */
        bool whole = n_in_chunks ? sp_py_is_base(&chunks, last_in_chunk, last_chunk)
                                 : chunks.n == 0 || in_use - chunks.at[chunks.n - 1].from <= 8;
        if (!whole)
            return SP_PY_BAD_BOTTOM;
    }
    /* frame_obj stands before the instruction, in 3.11 before the link */
    w->headless =
        !at_bottom && sp_py_is_foreign_frame(py, w, sp_peek(last + (l->fr_is_entry ? l->fr_previous : l->fr_instr) - 8));
    return at_bottom || w->headless ? SP_PY_OK : SP_PY_BAD_BOTTOM;
}

/* 3.11, 3.12: the first frame hangs on thread-state->cframe, a structure on the C stack of the innermost
 * evaluation loop, or in the thread state itself. */
SP_INLINE enum sp_py_reject sp_py_cframe_frame(const struct sp_py *py, uintptr_t tstate, struct sp_py_walk *w, uintptr_t *frame)
{
    const struct sp_py_layout *l = py->layout;
    uintptr_t cframe = sp_peek(tstate + l->ts_frame);
    if (cframe & 7)
        return SP_PY_BAD_ADDRESS;
    if (cframe != tstate + l->ts_root_cframe) {
        if (sp_py_is_dead_stack(w, cframe))
            return SP_PY_BAD_ADDRESS;
        if (!sp_py_on_stack(w, cframe, 24) && !(sp_py_plausible(cframe) && sp_py_can_read(w, cframe, 24)))
            return SP_PY_UNREADABLE;
    }
    *frame = sp_peek(cframe + l->cframe_frame);
    return *frame ? SP_PY_OK : SP_PY_NO_FRAME;
}

#endif
