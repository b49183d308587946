/* SPDX-License-Identifier: MIT
 * Where the loader enters and leaves. */
#include "inject/hooks.h"
#include "inject/lifecycle.h"

__attribute__((constructor)) static void load(void)
{
    sp_hook_signal_resolve();
    sp_hook_mask_resolve();
    sp_hook_process_resolve();
    sp_hook_exit_resolve();
    sp_lifecycle_load();
}

__attribute__((destructor)) static void unload(void)
{
    sp_lifecycle_finish(SP_FINISH_END);
}
