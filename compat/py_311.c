/* SPDX-License-Identifier: MIT
 * CPython 3.11: _PyInterpreterFrame on the data stack, found through the cframe; the first frame of each
 * evaluation loop has is_entry set, and the last of the chain is such a one. */
#include "compat/py_chain.h"

SP_SIGSAFE static enum sp_py_reject walk(const struct sp_py *py, uintptr_t tstate, struct sp_py_walk *w)
{
    uintptr_t frame;
    enum sp_py_reject why = sp_py_cframe_frame(py, tstate, w, &frame);
    if (why)
        return why;
    return sp_py_walk_frames(py, tstate, frame, w, (struct sp_py_family){.has_is_entry = true, .links_late = true});
}

SP_SIGSAFE_TABLE const struct sp_py_ops sp_py_ops_311 = {.name = "3.11", .walk = walk};
