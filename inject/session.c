/* SPDX-License-Identifier: MIT
 * See session.h. */
#include "inject/session.h"

#include "compat/os.h"

struct sp_session sp_session = {.timer = SP_OS_NO_TIMER};
__thread struct sp_thread *sp_session_self;

struct sp_region *sp_session_region(void)
{
    if (sp_load_acquire(&sp_session.state) != SP_SESSION_RUNNING || !sp_store_ready(sp_session.region) ||
        !sp_session_is_own_process())
        return NULL;
    return sp_session.region;
}

bool sp_session_is_own_process(void)
{
    /* A child in another namespace of pids may have the same number. Timers are not inherited. */
    return sp_os_getpid() == sp_session.pid && (sp_session.timer == SP_OS_NO_TIMER || sp_os_timer_exists(sp_session.timer));
}
