/* SPDX-License-Identifier: MIT
 * CPython 3.13: the first frame is thread-state->current_frame itself. */
#include "compat/py_chain.h"

SP_SIGSAFE static enum sp_py_reject walk(const struct sp_py *py, uintptr_t tstate, struct sp_py_walk *w)
{
    uintptr_t frame = sp_peek(tstate + py->layout->ts_frame);
    if (!frame)
        return SP_PY_NO_FRAME;
    return sp_py_walk_frames(py, tstate, frame, w, (struct sp_py_family){.has_init_cleanup = true});
}

SP_SIGSAFE_TABLE const struct sp_py_ops sp_py_ops_313 = {.name = "3.13", .walk = walk};
