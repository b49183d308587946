/* SPDX-License-Identifier: MIT
 * A CPython whose layout is not known: there is never a frame to show. */
#include "compat/py.h"

SP_SIGSAFE static enum sp_py_reject walk(const struct sp_py *py, uintptr_t tstate, struct sp_py_walk *w)
{
    (void)py, (void)tstate, (void)w;
    return SP_PY_NO_FRAME;
}

SP_SIGSAFE_TABLE const struct sp_py_ops sp_py_ops_unknown = {.name = "unknown", .walk = walk};
