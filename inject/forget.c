/* SPDX-License-Identifier: MIT
 * See forget.h. */
#include "inject/forget.h"

#include "compat/py.h"
#include "inject/recording.h"
#include "inject/session.h"
#include "sampler/gate.h"
#include "sampler/handler.h"
#include "sampler/intern.h"

/* Threads: set once, before the hook is in its place. */
static sp_py_dealloc *original_dealloc;

static bool has_region(const struct sp_region *r)
{
    /* A fork child's region is empty until its first sample, or still its parent's; a vfork child runs no Python. */
    return sp_load_relaxed(&sp_session.state) == SP_SESSION_RUNNING && sp_store_ready(r) &&
           (sp_recording_is_wiped() || sp_session_is_own_process());
}

/* What the region knows by this address (NULL: by those of native code) may become something else. */
static void forget(void *code)
{
    while (!sp_gate_enter()) {
        sp_intern_leave_code();
        if (sp_gate_leave_work())
            return;
    }
    struct sp_region *r = sp_region_now();
    if (has_region(r) && code)
        sp_intern_forget_code(r, (uint64_t)(uintptr_t)code);
    else if (has_region(r))
        sp_intern_forget_native(r);
    sp_gate_leave();
}

static void code_dies(void *code)
{
    forget(code);
    original_dealloc(code);
}

void sp_forget_native(void)
{
    forget(NULL);
}

void sp_forget_start(void)
{
    if (sp_py.layout)
        original_dealloc = sp_py_hook_code_dealloc(code_dies);
}
