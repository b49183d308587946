/* SPDX-License-Identifier: MIT
 * See session.h. */
#include "inject/session.h"

#include "compat/os.h"
#include "sampler/engine.h"
#include "sampler/handler.h"

/* Threads: by lifecycle.c, at the start and in a fork child while it is alone; `state` last. */
struct sp_session sp_session;
__thread struct sp_live *sp_session_self;

bool sp_session_is_running(void)
{
    return sp_load_acquire(&sp_session.state) == SP_SESSION_RUNNING && sp_session_is_own_process();
}

struct sp_region *sp_session_region(void)
{
    struct sp_region *r = sp_region_now();
    return sp_store_ready(r) && sp_session_is_running() ? r : NULL;
}

bool sp_session_is_own_process(void)
{
    /* A child in another namespace of pids may have the same number. */
    return sp_os_getpid() == sp_session.pid && (!sp_engine || sp_engine->is_here());
}

void sp_session_blocks(uint64_t mask)
{
    if (sp_session_self && !(mask & SP_OS_MASK(SIGPROF)))
        sp_session_self->is_blocked_by_us = true;
}

void sp_session_unblocks(void)
{
    if (sp_session_self)
        sp_session_self->is_blocked_by_us = false;
}
