/* SPDX-License-Identifier: MIT
 * See self.h. Where the gate is closed nobody waits: a thread that begins there runs with a timer of its own, and its
 * first tick behind finds it a slot; one that ends leaves its last reading to who opens the gate. */
#include "inject/self.h"

#include <pthread.h>
#include <string.h>

#include "compat/cpu.h"
#include "compat/os.h"
#include "compat/py.h"
#include "compat/real.h"
#include "inject/hooks.h"
#include "inject/identity.h"
#include "sampler/adopt.h"
#include "sampler/engine.h"
#include "sampler/gate.h"
#include "sampler/handler.h"
#include "sampler/threads.h"

SP_REAL_SLOT(pthread_key_create);
SP_REAL_SLOT(pthread_setspecific);

static pthread_key_t end_key;
static bool has_end_key;

static __thread uintptr_t self_stack_top;
static __thread struct {
    struct sp_birth *birth; /* NULL: the thread is not late */
    int timer;
} late;

int sp_self_run_in(struct sp_region *r, struct sp_thread *t, uint64_t before_ns, int timer)
{
    int rc = 0;
    t->in_handler = 1; /* until the slot is complete */
    sp_thread_begin(r, t, sp_os_gettid(), before_ns, self_stack_top);
    t->thread_pointer = sp_cpu_thread_pointer();
    sp_os_thread_name(t->born_as);
    sp_session_self = t;
    t->timer = timer;
    if (timer == SP_OS_NO_TIMER)
        rc = sp_engine->thread_start(r, t);
    sp_store_release(&t->in_handler, 0);
    return rc;
}

/* The slot that the creator claimed, or one of the thread's own. NULL: there is none. */
SP_SIGSAFE static struct sp_thread *slot_for(struct sp_region *r, const struct sp_birth *b)
{
    struct sp_thread *t = b->slot ? b->slot : sp_thread_claim(r);
    if (!t)
        return NULL;
    memcpy(t->name, b->name, sizeof t->name);
    t->name_place = b->name_place;
    t->target = b->target;
    t->target_code = b->target_code;
    return t;
}

/* The slot of a thread that began while the gate was closed, now that it is open. NULL: there is none. */
SP_SIGSAFE static struct sp_thread *late_slot(struct sp_region *r)
{
    struct sp_birth *b = late.birth;
    if (!b)
        return sp_session_self;
    struct sp_thread *t = slot_for(r, b);
    late.birth = NULL;
    if (t)
        sp_self_run_in(r, t, 0, late.timer);
    sp_birth_free(b);
    return t;
}

static void begin_late(struct sp_birth *birth)
{
    uint64_t interval_ns = sp_session.region->interval_ns, random = sp_os_mono_exact_ns() * 0x9e3779b97f4a7c15ull >> 20;
    late.birth = birth;
    sp_adopt_never(sp_os_gettid());
    if (sp_os_timer_create_sparing(sp_os_gettid(), sp_tick_value(0), &late.timer) == 0)
        sp_os_timer_arm(late.timer, random % sp_max_u64(interval_ns, 1) + 1, interval_ns);
    else
        late.timer = SP_OS_NO_TIMER;
}

void sp_self_begin(struct sp_birth *birth, uintptr_t stack_top)
{
    sp_py_touch();
    self_stack_top = stack_top;
    uint64_t mask = sp_os_mask_block(0);
    sp_hook_mask_thread_begins(birth->starts_hidden, mask);
    if (!sp_gate_enter()) {
        begin_late(birth);
    } else {
        struct sp_region *r = sp_session_region();
        struct sp_thread *t = r ? slot_for(r, birth) : NULL;
        if (t) {
            sp_self_run_in(r, t, 0, SP_OS_NO_TIMER);
            sp_hook_pending_thread_begins(t, mask);
        }
        sp_gate_leave();
        sp_birth_free(birth);
    }
    sp_adopt_expect(-1);
    if (has_end_key)
        SP_REAL(pthread_setspecific)(end_key, &late); /* any value runs the destructor */
}

/* The one that proves whose process this is runs no more, but stays. */
static void stop_timer(int timer)
{
    if (timer != sp_session.timer)
        sp_os_timer_delete(timer);
    else if (timer != SP_OS_NO_TIMER)
        sp_os_timer_arm(timer, 0, 0);
}

static sp_list_head ended_late; /* births of threads that had no slot yet when they ended */

static void see_to_ended(struct sp_region *r)
{
    for (struct sp_birth *b; (b = sp_birth_pop(&ended_late)); sp_birth_free(b)) {
        struct sp_thread *t = slot_for(r, b);
        if (!t)
            continue;
        sp_thread_begin(r, t, b->tid, 0, 0);
        sp_thread_end(r, t, b->cpu_ns, sp_os_mono_ns() - r->started_mono_ns);
    }
}

/* Inside the gate. */
static void end(struct sp_region *r)
{
    struct sp_thread *t = late_slot(r);
    if (!t) { /* it was on the list, and the gate has opened */
        see_to_ended(r);
        return;
    }
    stop_timer(t->timer); /* its number stays: sp_thread_end wants to know whether there was one */
    /* Not by blocking SIGPROF: unblocking makes the kernel look for signals that wait for the whole process, and
     * this thread would take one that was on its way to another. */
    __atomic_store_n(&t->in_handler, 1, __ATOMIC_SEQ_CST);
    sp_identity_thread_ends(t);
    sp_thread_end(r, t, sp_os_thread_cpu_ns(), sp_os_mono_ns() - r->started_mono_ns);
}

/* The gate is closed: who opens it ends the slot. False: it is open again. */
static bool leave_end(void)
{
    struct sp_birth *b = late.birth;
    if (b) {
        stop_timer(late.timer);
        b->tid = sp_os_gettid();
        b->cpu_ns = sp_os_thread_cpu_ns();
        late.birth = NULL;
        sp_birth_push(&ended_late, b);
        return sp_gate_leave_work();
    }
    if (!sp_session_self)
        return sp_gate_leave_work();
    sp_thread_leave(sp_session_self, sp_os_thread_cpu_ns());
    return sp_gate_leave_work() || !sp_thread_take_back(sp_session_self);
}

/* Destructor of the thread's value under end_key: runs on return, pthread_exit and cancellation alike. */
static void ends(void *value)
{
    (void)value;
    struct sp_region *r = sp_session_region();
    struct sp_thread *t = sp_session_self;
    sp_hook_stack_thread_ends();
    if (!r || (!t && !late.birth) || (t && (t->state != SP_THREAD_LIVE || t->tid != sp_os_gettid())))
        return;
    sp_adopt_never(sp_os_gettid());
    bool inside;
    while (!(inside = sp_gate_enter()) && !leave_end())
        ;
    if (inside) {
        end(r);
        sp_gate_leave();
    } else if (t) {
        stop_timer(t->timer);
    }
    sp_session_self = NULL;
}

void sp_self_set_stack_top(uintptr_t stack_top)
{
    self_stack_top = stack_top;
}

void sp_self_forked(void)
{
    sp_session_self = NULL;
    late.birth = NULL;
    ended_late = 0;
    sp_adopt_forked();
}

void sp_self_init(void)
{
    has_end_key =
        SP_REAL(pthread_key_create) && SP_REAL(pthread_setspecific) && SP_REAL(pthread_key_create)(&end_key, ends) == 0;
    sp_handler_late = late_slot;
    sp_handler_thawing = see_to_ended;
}
