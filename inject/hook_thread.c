/* SPDX-License-Identifier: MIT
 * Threads: a slot is claimed by the creator and begun by the thread itself; its end is a thread-specific value's
 * destructor (self.c), which return, pthread_exit and cancellation all run. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <threads.h>
#include <time.h>

#include "inject/hooks.h"
#include "inject/lifecycle.h"
#include "inject/self.h"
#include "sampler/adopt.h"
#include "sampler/gate.h"
#include "sampler/intern.h"
#include "sampler/threads.h"

SP_REAL_SLOT(pthread_create);
SP_REAL_SLOT(thrd_create);
SP_REAL_SLOT(timer_create);

static struct sp_birth *prepare(void *start, void *argument)
{
    /* Before our constructor ran: the thread may come to our hooks while a constructor that waits for it has the loader
     * locked. */
    sp_real_find_all();
    sp_lifecycle_child_runs_python();
    struct sp_region *r = sp_session_region();
    struct sp_birth *b = r ? sp_birth_new() : NULL;
    if (!b)
        return NULL;
    int saved = errno;
    b->run = start;
    b->argument = argument;
    b->starts_hidden = sp_hook_mask_is_hidden();
    sp_adopt_expect(1);
    b->target = (uint64_t)(uintptr_t)start;
    uintptr_t code = sp_hook_python_new_thread(b->name, &b->name_place);
    if (sp_gate_enter()) {
        b->slot = sp_thread_claim(r);
        if (b->slot && code && (b->target_code = sp_intern_code(r, code, b->slot->text)) != 0)
            b->target = (uint64_t)1 << 63 | b->target_code;
        sp_gate_leave();
    }
    errno = saved;
    return b;
}

/* The thread was not created. */
static void give_up(struct sp_birth *b)
{
    struct sp_thread *t = b->slot;
    sp_birth_free(b);
    sp_adopt_expect(-1);
    while (t && !sp_gate_enter()) {
        sp_thread_leave(t, SP_THREAD_NEVER_BEGAN);
        if (sp_gate_leave_work() || !sp_thread_take_back(t))
            return;
    }
    if (!t)
        return;
    sp_thread_cancel(sp_session.region, t);
    sp_gate_leave();
}

static void *run(void *birth)
{
    struct sp_birth *b = birth;
    void *(*start)(void *) = (void *(*)(void *))b->run;
    void *argument = b->argument;
    sp_self_begin(b, (uintptr_t)__builtin_frame_address(0));
    return start(argument);
}

static int run_c11(void *birth)
{
    struct sp_birth *b = birth;
    thrd_start_t start = (thrd_start_t)b->run;
    void *argument = b->argument;
    sp_self_begin(b, (uintptr_t)__builtin_frame_address(0));
    return start(argument);
}

SP_EXPORT int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *argument)
{
    if (!SP_REAL(pthread_create))
        return EAGAIN;
    struct sp_birth *b = prepare((void *)start, argument);
    if (!b)
        return SP_REAL(pthread_create)(thread, attr, start, argument);
    int rc = SP_REAL(pthread_create)(thread, attr, run, b);
    if (rc != 0)
        give_up(b);
    return rc;
}

SP_EXPORT int thrd_create(thrd_t *thread, thrd_start_t start, void *argument)
{
    if (!SP_REAL(thrd_create))
        return thrd_error;
    struct sp_birth *b = prepare((void *)start, argument);
    if (!b)
        return SP_REAL(thrd_create)(thread, start, argument);
    int rc = SP_REAL(thrd_create)(thread, run_c11, b);
    if (rc != thrd_success)
        give_up(b);
    return rc;
}

/* ---- SIGEV_THREAD: libc makes a thread for each expiry, by a call of its own that no hook sees */
static void notify(union sigval v)
{
    const struct sp_birth *n = v.sival_ptr; /* lives as long as the process: nothing tells when the last callback ran */
    struct sp_birth *b = sp_session_region() && !sp_session_self ? sp_birth_new() : NULL;
    sp_adopt_expect(b ? 1 : 0);
    if (b)
        sp_self_begin(b, (uintptr_t)__builtin_frame_address(0));
    ((void (*)(union sigval))n->run)((union sigval){.sival_ptr = n->argument});
}

SP_EXPORT int timer_create(clockid_t clock, struct sigevent *event, timer_t *timer)
{
    if (!SP_REAL(timer_create)) {
        errno = ENOSYS;
        return -1;
    }
    struct sigevent ours;
    bool calls = event && event->sigev_notify == SIGEV_THREAD && sp_session_region();
    struct sp_birth *n = calls ? sp_birth_new() : NULL;
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
