/* SPDX-License-Identifier: MIT
 * Ways out that run no destructor. Not syscall(SYS_exit_group): a hook on syscall() would stand in the way of all that
 * programs do by it (futexes, clones that return on the caller's stack), for an end that no known one takes. */
#include <stdlib.h>
#include <unistd.h>

#include "inject/hooks.h"
#include "inject/lifecycle.h"

SP_REAL_SLOT(_exit);
SP_REAL_SLOT(_Exit);
SP_REAL_SLOT(quick_exit);

SP_EXPORT void _exit(int status)
{
    sp_lifecycle_finish_before_exit();
    SP_REAL(_exit)(status);
    __builtin_unreachable();
}

SP_EXPORT void _Exit(int status)
{
    sp_lifecycle_finish_before_exit();
    SP_REAL(_Exit)(status);
    __builtin_unreachable();
}

SP_EXPORT void quick_exit(int status)
{
    sp_lifecycle_finish(SP_FINISH_END);
    SP_REAL(quick_exit)(status);
    __builtin_unreachable();
}
