/* SPDX-License-Identifier: MIT
 * See self.h. Where the gate is closed nobody waits: a thread that begins there has ticks, and gets a slot with the first
 * behind; one that ends leaves its last reading to who opens the gate. */
#include "inject/self.h"

#include <pthread.h>

#include "compat/cpu.h"
#include "compat/os.h"
#include "compat/py.h"
#include "compat/real.h"
#include "inject/hooks.h"
#include "inject/identity.h"
#include "inject/recording.h"
#include "sampler/adopt.h"
#include "sampler/engine.h"
#include "sampler/gate.h"
#include "sampler/handler.h"

SP_REAL_SLOT(pthread_key_create);
SP_REAL_SLOT(pthread_setspecific);

/* Threads: written at the start. */
static pthread_key_t end_key;
static bool has_end_key;

/* Inside the gate; r NULL: there is no profile. */
static void begin_in(struct sp_region *r, struct sp_live *l, uint64_t mask)
{
    if (r ? !sp_live_slot(r, l) : !sp_recording_is_awaited())
        return;
    sp_engine_start(r, l);
    sp_hook_pending_thread_begins(l, mask);
}

static void begin_thread(struct sp_live *l, uint64_t before_ns, uintptr_t stack_top)
{
    uint64_t mask = sp_os_mask_block(0);
    sp_hook_mask_thread_begins(l->starts_hidden, mask);
    l->stack_top = stack_top;
    sp_session_self = l;
    sp_live_run(l, before_ns);
    if (sp_gate_enter()) {
        begin_in(sp_session_region(), l, mask);
        sp_gate_leave();
    } else if (sp_region_now() || sp_recording_is_awaited()) { /* after the state, see sp_recording_begin() */
        sp_engine_start(NULL, l);
    }
}

static struct sp_live *main_live; /* NULL: it has none */

bool sp_self_main_is_inside(uint64_t *mask)
{
    struct sp_live *l = sp_load_acquire(&main_live);
    if (!l || !sp_load_acquire(&l->in_handler))
        return false;
    *mask = sp_load_relaxed(&l->interrupted_mask);
    return true;
}

bool sp_self_takes_restart(const void *context)
{
    uintptr_t at = sp_os_restarts(context);
    return at && sp_session_self && sp_cas(&sp_session_self->restarts, &at, 0);
}

void sp_self_begin_main(uintptr_t stack_top)
{
    struct sp_live *l = sp_live_new();
    if (sp_os_gettid() == sp_os_getpid())
        sp_store_release(&main_live, l);
    if (l)
        begin_thread(l, sp_os_thread_cpu_ns(), stack_top);
}

void sp_self_begin(struct sp_live *l, uintptr_t stack_top)
{
    sp_py_touch();
    begin_thread(l, 0, stack_top);
    sp_adopt_expect(-1);
    if (has_end_key)
        SP_REAL(pthread_setspecific)(end_key, l); /* any value runs the destructor */
}

/* ---- the end */
/* What is left in front of the closed gate is its opener's affair; unless that has just opened it. */
static void see_to_left(void)
{
    while (!sp_gate_leave_work())
        if (sp_gate_enter()) {
            sp_live_see_to_left(sp_session_region());
            sp_gate_leave();
            return;
        }
}

/* The gate is closed. The entry may have a new owner as soon as it is left. */
static void leave_thread(struct sp_live *l, uint64_t cpu_ns)
{
    enum sp_ticks ticks = sp_engine_ticks(l, NULL, cpu_ns, SP_ASKER_ENDS);
    sp_live_leaves(l, cpu_ns, ticks);
    sp_engine_stop(l);
    sp_live_left(l);
    see_to_left();
}

static void end_thread(struct sp_live *l)
{
    sp_identity_thread_ends(l);
    /* Not by blocking SIGPROF: unblocking makes the kernel look for signals that wait for the whole process, and
     * this thread would take one that was on its way to another. */
    __atomic_store_n(&l->in_handler, 1, __ATOMIC_SEQ_CST);
    if (!sp_gate_enter()) {
        leave_thread(l, sp_os_thread_cpu_ns());
        return;
    }
    struct sp_region *r = sp_session_region();
    uint64_t cpu_ns = sp_os_thread_cpu_ns();
    struct sp_thread *t = r && cpu_ns > l->last_cpu_ns ? sp_live_slot(r, l) : NULL;
    enum sp_ticks ticks = sp_engine_ticks(l, t, cpu_ns, SP_ASKER_ENDS);
    sp_engine_stop(l);
    sp_live_end(r, l, sp_os_thread_cpu_ns(), ticks);
    sp_gate_leave();
}

/* Destructor of the thread's value under end_key: runs on return, pthread_exit and cancellation alike. */
static void ends(void *value)
{
    (void)value;
    struct sp_live *l = sp_session_self;
    sp_hook_stack_thread_ends();
    if (!l || !sp_session_is_own_process() || sp_load_relaxed(&l->state) != SP_LIVE_RUNNING || l->tid != sp_os_gettid())
        return;
    sp_adopt_never(sp_os_gettid());
    sp_session_self = NULL;
    end_thread(l);
}

void sp_self_give_up(struct sp_live *l)
{
    sp_adopt_expect(-1);
    if (sp_gate_enter()) {
        sp_live_end(sp_session_region(), l, SP_LIVE_NEVER_BEGAN, SP_TICKS_NONE);
        sp_gate_leave();
    } else {
        sp_live_leaves(l, SP_LIVE_NEVER_BEGAN, SP_TICKS_NONE);
        sp_live_left(l);
        see_to_left();
    }
}

struct sp_live *sp_self_forked(void)
{
    uintptr_t stack_top = sp_session_self ? sp_session_self->stack_top : 0;
    struct sp_live *l = main_live = sp_session_self = sp_live_forked(sp_session_self);
    sp_adopt_forked();
    if (!l)
        return NULL;
    l->stack_top = stack_top;
    l->saw_python = 1; /* it was forked by Python: (startup) is over */
    sp_live_run(l, 0);
    return l;
}

void sp_self_init(void)
{
    has_end_key =
        SP_REAL(pthread_key_create) && SP_REAL(pthread_setspecific) && SP_REAL(pthread_key_create)(&end_key, ends) == 0;
}
