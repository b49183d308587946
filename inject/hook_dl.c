/* SPDX-License-Identifier: MIT
 * Unloading: the CPython that we read stays. */
#include <dlfcn.h>

#include "inject/hooks.h"
#include "inject/python.h"

SP_REAL_SLOT(dlclose);

SP_EXPORT int dlclose(void *handle)
{
    sp_python_keep();
    return SP_REAL(dlclose)(handle);
}
