/* SPDX-License-Identifier: MIT
 * CPython 3.12: as 3.11, but each evaluation loop begins with a shim frame on the C stack. */
#include "compat/py_chain.h"

SP_SIGSAFE static enum sp_py_reject walk(const struct sp_py *py, uintptr_t tstate, struct sp_py_walk *w)
{
    uintptr_t frame;
    enum sp_py_reject why = sp_py_cframe_frame(py, tstate, w, &frame);
    if (why)
        return why;
    return sp_py_walk_frames(py, tstate, frame, w, (struct sp_py_family){.links_late = true});
}

SP_SIGSAFE_TABLE const struct sp_py_ops sp_py_ops_312 = {.name = "3.12", .walk = walk};
