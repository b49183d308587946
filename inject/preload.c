/* SPDX-License-Identifier: MIT
 * Where the loader enters and leaves. */
#include "compat/real.h"
#include "inject/lifecycle.h"
#include "inject/module.h"

__attribute__((constructor)) static void load(void)
{
    sp_real_find_all();
    if (sp_lifecycle_load())
        sp_module_offer();
}

__attribute__((destructor)) static void unload(void)
{
    sp_lifecycle_finish(SP_FINISH_END);
}
