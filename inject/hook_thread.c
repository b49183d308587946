/* SPDX-License-Identifier: MIT
 * Threads: a slot is claimed by the creator and begun by the thread itself; its end is a thread-specific value's
 * destructor (lifecycle.c), which return, pthread_exit and cancellation all run. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <threads.h>
#include <time.h>

#include "inject/hooks.h"
#include "inject/lifecycle.h"
#include "sampler/threads.h"

SP_REAL_SLOT(pthread_create);
SP_REAL_SLOT(thrd_create);
SP_REAL_SLOT(timer_create);

static struct sp_thread *prepare(struct sp_region **r, void *start, void *argument)
{
    /* Before our constructor ran: the thread may come to our hooks while a constructor that waits for it has the loader
     * locked. */
    sp_real_find_all();
    sp_lifecycle_child_runs_python();
    *r = sp_session_region();
    struct sp_thread *t = *r ? sp_thread_claim(*r) : NULL;
    if (!t)
        return NULL;
    sp_hook_mask_thread_created(t);
    int saved = errno;
    t->start_routine = (uint64_t)(uintptr_t)start;
    t->start_argument = (uint64_t)(uintptr_t)argument;
    sp_hook_python_thread_name(t);
    errno = saved;
    return t;
}

static void begin(struct sp_thread *t, const void *frame)
{
    struct sp_region *r = sp_session_region();
    if (r)
        sp_lifecycle_thread_begins(r, t, (uintptr_t)frame);
}

static void *run(void *slot)
{
    struct sp_thread *t = slot;
    void *(*start)(void *) = (void *(*)(void *))(uintptr_t)t->start_routine;
    void *argument = (void *)(uintptr_t)t->start_argument;
    begin(t, __builtin_frame_address(0));
    return start(argument);
}

static int run_c11(void *slot)
{
    struct sp_thread *t = slot;
    thrd_start_t start = (thrd_start_t)(uintptr_t)t->start_routine;
    void *argument = (void *)(uintptr_t)t->start_argument;
    begin(t, __builtin_frame_address(0));
    return start(argument);
}

SP_EXPORT int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *argument)
{
    if (!SP_REAL(pthread_create))
        return EAGAIN;
    struct sp_region *r;
    struct sp_thread *t = prepare(&r, (void *)start, argument);
    if (!t)
        return SP_REAL(pthread_create)(thread, attr, start, argument);
    int rc = SP_REAL(pthread_create)(thread, attr, run, t);
    if (rc != 0)
        sp_thread_cancel(r, t);
    return rc;
}

SP_EXPORT int thrd_create(thrd_t *thread, thrd_start_t start, void *argument)
{
    if (!SP_REAL(thrd_create))
        return thrd_error;
    struct sp_region *r;
    struct sp_thread *t = prepare(&r, (void *)start, argument);
    if (!t)
        return SP_REAL(thrd_create)(thread, start, argument);
    int rc = SP_REAL(thrd_create)(thread, run_c11, t);
    if (rc != thrd_success)
        sp_thread_cancel(r, t);
    return rc;
}

/* ---- SIGEV_THREAD: libc makes a thread for each expiry, by a call of its own that no hook sees */
struct notification { /* lives in the region as long as the process: nothing tells when the last callback ran */
    void (*call)(union sigval);
    union sigval value;
};

static void notify(union sigval v)
{
    struct notification n = *(struct notification *)v.sival_ptr;
    struct sp_region *r = sp_session_region();
    struct sp_thread *t = r && !sp_session_self ? sp_thread_claim(r) : NULL;
    if (t)
        sp_lifecycle_thread_begins(r, t, (uintptr_t)__builtin_frame_address(0));
    n.call(n.value);
}

SP_EXPORT int timer_create(clockid_t clock, struct sigevent *event, timer_t *timer)
{
    if (!SP_REAL(timer_create)) {
        errno = ENOSYS;
        return -1;
    }
    struct sp_region *r = sp_session_region();
    struct sigevent ours;
    if (r && event && event->sigev_notify == SIGEV_THREAD) {
        uint64_t at = sp_store_alloc(r, sizeof(struct notification), 8);
        if (at) {
            struct notification *n = sp_at(r, at);
            *n = (struct notification){event->sigev_notify_function, event->sigev_value};
            ours = *event;
            ours.sigev_notify_function = notify;
            ours.sigev_value.sival_ptr = n;
            event = &ours;
        }
    }
    return SP_REAL(timer_create)(clock, event, timer);
}
