/* SPDX-License-Identifier: MIT
 * Unloading: the CPython that we read stays, and what is known by native addresses is forgotten. */
#include <dlfcn.h>

#include "compat/unwind.h"
#include "inject/forget.h"
#include "inject/hooks.h"
#include "inject/lifecycle.h"
#include "inject/python.h"

SP_REAL_SLOT(dlclose);

SP_EXPORT int dlclose(void *handle)
{
    sp_python_keep();
    if (!sp_lifecycle_has_native())
        return SP_REAL(dlclose)(handle);
    sp_unwind_closing();
    int rc = SP_REAL(dlclose)(handle);
    sp_forget_native();
    sp_unwind_closed();
    return rc;
}
