/* SPDX-License-Identifier: MIT
 * CPython 3.11 on: the chain of _PyInterpreterFrame. Most of them lie on the data stack, chunks that grow one after the other, the
 * newest frame behind its caller; a generator's lies in the generator, a C stack's first in 3.12 on the C stack (a shim). The chain
 * is followed from the newest to the oldest, each step asks whether the frame can be where it is. Always inlined: a
 * walker is one straight loop. */
#ifndef SP_COMPAT_PY_CHAIN_H
#define SP_COMPAT_PY_CHAIN_H

#include "compat/py_walk.h"

#define SP_PY_MAX_CHUNKS 64
#define SP_PY_CHUNK_SIZE 8 /* struct _PyStackChunk {previous, size, top, data} in 3.11 to 3.15 */
#define SP_PY_CHUNK_DATA 24

#define SP_PY_OWNER_THREAD 0
#define SP_PY_OWNER_GENERATOR 1
#define SP_PY_OWNER_SHIM 3 /* and above: frames of the interpreter itself */

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

struct sp_py_chain {
    const struct sp_py *py;
    const struct sp_py_layout *l;
    struct sp_py_walk *w;
    struct sp_py_family family;
    struct sp_py_chunks *chunks; /* apart, so that the rest can lie in registers */
    /* the frame that is looked at */
    uintptr_t frame, previous;
    uint8_t owner;
    int chunk; /* that it lies in; -1: in none */
    /* the frame before it, which it called; of those on the data stack: how many, and where the last was */
    uintptr_t last, last_in_chunk;
    int last_chunk;
    uint32_t n_in_chunks;
    bool fresh;       /* the newest frame has not executed an instruction */
    bool in_loop;     /* links_late: still among the frames of the innermost evaluation loop, */
    uintptr_t outer;  /* which began while this frame was current */
    bool at_bottom;   /* a stack may end here */
    uintptr_t cframe; /* 3.11: of the evaluation loop whose frames these are */
};

/* Reads the chunks, and where the innermost evaluation loop must lead. */
SP_INLINE enum sp_py_reject sp_py_chain_begin(struct sp_py_chain *c, uintptr_t tstate)
{
    sp_py_chunks_read(c->py, tstate, c->chunks);
    c->last_chunk = -1;
    c->cframe = c->family.has_is_entry ? sp_peek(tstate + c->l->ts_frame) : 0;
    /* else no evaluation loop runs, but compiled code */
    c->in_loop = c->family.links_late && sp_peek(tstate + c->l->ts_frame) != tstate + c->l->ts_root_cframe;
    return c->in_loop && !sp_py_outer_frame(c->l, tstate, c->w, &c->outer) ? SP_PY_BAD_FRAME : SP_PY_OK;
}

/* Whether the frame can be read, and may lie where it does: a thread's own on its data stack, behind those that it called; a
 * generator's, or a shim, elsewhere. */
SP_INLINE enum sp_py_reject sp_py_chain_locate(struct sp_py_chain *c)
{
    uintptr_t bytes = c->l->fr_bytes;
    if (!sp_py_plausible(c->frame))
        return SP_PY_BAD_ADDRESS;
    c->chunk = sp_py_chunk_of(c->chunks, c->frame, bytes, c->last_chunk);
    if (c->chunk < 0 && !sp_py_on_stack(c->w, c->frame, bytes) && !sp_py_can_read(c->w, c->frame, bytes))
        return SP_PY_UNREADABLE;
    c->owner = sp_peek_u8(c->frame + c->l->fr_owner);
    c->previous = sp_peek(c->frame + c->l->fr_previous);
    bool is_shim = c->owner >= SP_PY_OWNER_SHIM, is_threads = c->owner == SP_PY_OWNER_THREAD;
    if (c->chunk < 0) /* beyond the chunks that were read all frames are elsewhere */
        return is_threads ? (c->chunks->n < SP_PY_MAX_CHUNKS ? SP_PY_BAD_FRAME : SP_PY_OK)
                          : (is_shim || c->owner == SP_PY_OWNER_GENERATOR ? SP_PY_OK : SP_PY_BAD_FRAME);
    bool is_older = c->chunk > c->last_chunk || (c->chunk == c->last_chunk && c->frame < c->last_in_chunk);
    return (is_threads || is_shim) && is_older ? SP_PY_OK : SP_PY_BAD_FRAME;
}

/* Whether the innermost loop, if this frame is its first, links to what was current when it began. */
SP_INLINE bool sp_py_chain_leave_loop(struct sp_py_chain *c)
{
    bool right = !c->in_loop || c->previous == c->outer;
    c->in_loop = false;
    c->at_bottom = true;
    return right;
}

/* 3.12 on: a frame of the interpreter's own heads each C stack's frames. 3.11 has none. */
SP_INLINE enum sp_py_reject sp_py_chain_shim(struct sp_py_chain *c)
{
    if (c->family.has_is_entry || c->owner > 8)
        return SP_PY_BAD_FRAME;
    sp_py_note_loop(c->w, c->frame);
    return sp_py_chain_leave_loop(c) ? SP_PY_OK : SP_PY_BAD_FRAME;
}

/* Takes note of a frame on the data stack. False: the newest frame has not begun, and does not lie behind this one: its link was
 * not stored yet. */
SP_INLINE bool sp_py_chain_note(struct sp_py_chain *c, uintptr_t code, int64_t offset)
{
    if (c->chunk < 0)
        return true;
    if (c->n_in_chunks == 0)
        c->fresh = offset < 0 && c->w->n == 0;
    else if (c->n_in_chunks == 1 && c->fresh && c->family.links_late &&
             !sp_py_is_adjacent(c->py, c->chunks, c->last_in_chunk, c->last_chunk, c->frame, c->chunk, code))
        return false;
    c->n_in_chunks++;
    c->last_chunk = c->chunk;
    c->last_in_chunk = c->frame;
    return true;
}

/* The frame of a function: appends it, or sets w->truncated. */
SP_INLINE enum sp_py_reject sp_py_chain_function(struct sp_py_chain *c)
{
    const struct sp_py_layout *l = c->l;
    uintptr_t code = sp_peek(c->frame + l->fr_code) & (c->family.tagged ? ~(uintptr_t)7 : ~(uintptr_t)0);
    if (!sp_py_is_code(c->py, c->w, code))
        return SP_PY_BAD_CODE;
    int64_t offset = (int64_t)(sp_peek(c->frame + l->fr_instr) - sp_py_bytecode(l, c->w, c->frame, code));
    if (offset < -2 || (offset & 1) || (offset >= 0 && (uint64_t)offset / 2 >= sp_peek(code + l->ob_size)))
        return SP_PY_BAD_CODE;
    if (!sp_py_chain_note(c, code, offset))
        return SP_PY_BAD_FRAME;
    c->at_bottom = false;
    if (c->family.has_is_entry && sp_peek_u8(c->frame + l->fr_is_entry) == 1 && !sp_py_chain_leave_loop(c))
        return SP_PY_BAD_FRAME;
    c->w->root = c->frame;
    /* CO_NO_MONITORING_EVENTS marks _Py_InitCleanup (Objects/codeobject.c, 3.13) */
    if (!c->family.has_init_cleanup || !(sp_peek_u32(code + l->co_flags) & 0x2000000))
        sp_py_push(c->w, code, offset);
    if (c->family.has_is_entry && c->at_bottom)
        c->cframe = sp_py_note_cframe(c->w, c->cframe, c->l->cframe_frame + 8u);
    return SP_PY_OK;
}

/* Whether the data stack was followed to its base; if no frame lay on it, whether it is empty. */
SP_INLINE bool sp_py_chain_is_whole(const struct sp_py_chain *c, uintptr_t tstate)
{
    uintptr_t in_use = sp_peek(tstate + c->l->ts_chunk + 8); /* datastack_top follows datastack_chunk */
    if (c->n_in_chunks)
        return sp_py_is_base(c->chunks, c->last_in_chunk, c->last_chunk);
    return c->chunks->n == 0 || in_use - c->chunks->at[c->chunks->n - 1].from <= 8;
}

/* There is no older frame. */
SP_INLINE enum sp_py_reject sp_py_chain_end(struct sp_py_chain *c, uintptr_t tstate)
{
    if (c->w->n == 0)
        return SP_PY_NO_FRAME;
    if (c->family.links_late && !sp_py_chain_is_whole(c, tstate))
        return SP_PY_BAD_BOTTOM;
    /* frame_obj stands before the instruction, in 3.11 before the link */
    uintptr_t object = c->last + (c->l->fr_is_entry ? c->l->fr_previous : c->l->fr_instr) - 8;
    c->w->headless = !c->at_bottom && sp_py_is_foreign_frame(c->py, c->w, sp_peek(object));
    return c->at_bottom || c->w->headless ? SP_PY_OK : SP_PY_BAD_BOTTOM;
}

/* The chain that starts at `frame`. */
SP_INLINE enum sp_py_reject sp_py_walk_frames(const struct sp_py *py, uintptr_t tstate, uintptr_t frame, struct sp_py_walk *w,
                                              const struct sp_py_family family)
{
    struct sp_py_chunks chunks;
    struct sp_py_chain c = {.py = py, .l = py->layout, .w = w, .family = family, .chunks = &chunks};
    enum sp_py_reject why = sp_py_chain_begin(&c, tstate);
    uint32_t steps = 2 * w->cap + 64; /* shims and helpers are not pushed: bounded on their own */
    for (c.frame = frame; c.frame && !why; c.frame = c.previous) {
        if (steps-- == 0)
            return SP_PY_BAD_FRAME;
        why = sp_py_chain_locate(&c);
        if (!why)
            why = c.owner >= SP_PY_OWNER_SHIM ? sp_py_chain_shim(&c) : sp_py_chain_function(&c);
        if (w->truncated)
            return SP_PY_OK;
        c.last = c.frame;
    }
    return why ? why : sp_py_chain_end(&c, tstate);
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
