/* SPDX-License-Identifier: MIT
 * Threads: an entry is made by the creator and run in by the thread itself; its end is a thread-specific value's
 * destructor (self.c), which return, pthread_exit and cancellation all run. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <threads.h>
#include <time.h>

#include "inject/hooks.h"
#include "inject/lifecycle.h"
#include "inject/turn.h"
#include "inject/self.h"
#include "sampler/adopt.h"
#include "sampler/gate.h"
#include "sampler/intern.h"

SP_REAL_SLOT(pthread_create);
SP_REAL_SLOT(thrd_create);
SP_REAL_SLOT(timer_create);

/* What the thread is to run, and its slot. */
static void claim_slot(struct sp_live *l, uintptr_t code)
{
    if (!sp_gate_enter())
        return;
    struct sp_region *r = sp_session_region();
    if (r)
        sp_live_claim(r, l);
    if (r && l->slot && code) {
        l->target_code = sp_intern_code(r, code, l->slot->text);
        l->target_profile = r->profile;
    }
    sp_gate_leave();
}

static struct sp_live *prepare(void *start, void *argument)
{
    /* Before our constructor ran: the thread may come to our hooks while a constructor that waits for it has the loader
     * locked. */
    sp_real_find_all();
    sp_lifecycle_child_runs_python();
    struct sp_live *l = sp_session_is_running() ? sp_live_new() : NULL;
    if (!l)
        return NULL;
    int saved = errno;
    l->run = start;
    l->argument = argument;
    l->starts_hidden = sp_hook_mask_is_hidden();
    sp_adopt_expect(1);
    l->routine = (uint64_t)(uintptr_t)start;
    claim_slot(l, sp_hook_python_new_thread(l->name, &l->name_place));
    errno = saved;
    return l;
}

static void *run(void *entry)
{
    struct sp_live *l = entry;
    void *(*start)(void *) = (void *(*)(void *))l->run;
    void *argument = l->argument;
    sp_self_begin(l, (uintptr_t)__builtin_frame_address(0));
    return start(argument);
}

static int run_c11(void *entry)
{
    struct sp_live *l = entry;
    thrd_start_t start = (thrd_start_t)l->run;
    void *argument = l->argument;
    sp_self_begin(l, (uintptr_t)__builtin_frame_address(0));
    return start(argument);
}

SP_EXPORT int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *argument)
{
    if (!SP_REAL(pthread_create))
        return EAGAIN;
    struct sp_live *l = prepare((void *)start, argument);
    if (!l)
        return SP_REAL(pthread_create)(thread, attr, start, argument);
    int rc = SP_REAL(pthread_create)(thread, attr, run, l);
    if (rc == EAGAIN && sp_turn_gives_way())
        rc = SP_REAL(pthread_create)(thread, attr, run, l);
    if (rc != 0)
        sp_self_give_up(l);
    return rc;
}

SP_EXPORT int thrd_create(thrd_t *thread, thrd_start_t start, void *argument)
{
    if (!SP_REAL(thrd_create))
        return thrd_error;
    struct sp_live *l = prepare((void *)start, argument);
    if (!l)
        return SP_REAL(thrd_create)(thread, start, argument);
    int rc = SP_REAL(thrd_create)(thread, run_c11, l);
    if (rc != thrd_success && sp_turn_gives_way())
        rc = SP_REAL(thrd_create)(thread, run_c11, l);
    if (rc != thrd_success)
        sp_self_give_up(l);
    return rc;
}

/* ---- SIGEV_THREAD: libc makes a thread for each expiry, by a call of its own that no hook sees */
static void notify(union sigval v)
{
    const struct sp_live *n = v.sival_ptr; /* lives as long as the process: nothing tells when the last callback ran */
    struct sp_live *l = sp_session_is_running() && !sp_session_self ? sp_live_new() : NULL;
    sp_adopt_expect(l ? 1 : 0);
    if (l)
        sp_self_begin(l, (uintptr_t)__builtin_frame_address(0));
    ((void (*)(union sigval))n->run)((union sigval){.sival_ptr = n->argument});
}

SP_EXPORT int timer_create(clockid_t clock, struct sigevent *event, timer_t *timer)
{
    if (!SP_REAL(timer_create)) {
        errno = ENOSYS;
        return -1;
    }
    struct sigevent ours;
    bool calls = event && event->sigev_notify == SIGEV_THREAD && sp_session_is_running();
    struct sp_live *n = calls ? sp_live_new() : NULL;
    if (n) {
        n->run = (void *)event->sigev_notify_function;
        n->argument = event->sigev_value.sival_ptr;
        ours = *event;
        ours.sigev_notify_function = notify;
        ours.sigev_value.sival_ptr = n;
        event = &ours;
    }
    return SP_REAL(timer_create)(clock, event, timer);
}
