/* SPDX-License-Identifier: MIT
 * CPython 3.14 and 3.15: as 3.13, but the code object in a frame is a tagged reference. In 3.15 every chain ends at a
 * frame inside the thread state, with the owner of a shim. */
#include "compat/py_chain.h"

SP_SIGSAFE static enum sp_py_reject walk(const struct sp_py *py, uintptr_t tstate, struct sp_py_walk *w)
{
    uintptr_t frame = sp_peek(tstate + py->layout->ts_frame);
    if (!frame)
        return SP_PY_NO_FRAME;
    return sp_py_walk_frames(py, tstate, frame, w, (struct sp_py_family){.has_init_cleanup = true, .tagged = true});
}

SP_SIGSAFE_TABLE const struct sp_py_ops sp_py_ops_314 = {.name = "3.14", .walk = walk};
