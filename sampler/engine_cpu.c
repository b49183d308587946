/* SPDX-License-Identifier: MIT
 * CPU-time timers, one a thread: they run only while the thread runs, so a sleeping thread gets no signal and
 * no system call is interrupted. They fire on the scheduler's tick. */
#include "compat/os.h"
#include "sampler/engine.h"

uint32_t sp_tick_cookie;

SP_SIGSAFE static uint64_t next_random(struct sp_thread *t)
{
    uint64_t x = t->random ? t->random
                           : (sp_os_mono_exact_ns() ^ (uint64_t)t->tid << 32 ^ (uint64_t)(uintptr_t)t) | 1;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return t->random = x;
}

SP_SIGSAFE static void arm(struct sp_region *r, struct sp_thread *t)
{
    /* The first expiry is uniform in (0, interval]: else threads shorter than that are never seen. */
    sp_os_timer_arm(t->timer, next_random(t) % sp_max_u64(r->interval_ns, 1) + 1, r->interval_ns);
}

SP_SIGSAFE static int thread_start(struct sp_region *r, struct sp_thread *t)
{
    int timer, rc = sp_os_timer_create(t->tid, sp_tick_value(t->number), &timer);
    t->timer = timer;
    if (rc < 0) {
        sp_count_loss(r, SP_LOSS_TIMER_REFUSED);
        return rc;
    }
    arm(r, t);
    return 0;
}

SP_SIGSAFE static void thread_pause(struct sp_thread *t)
{
    if (t->timer != SP_OS_NO_TIMER)
        sp_os_timer_arm(t->timer, 0, 0);
}

SP_SIGSAFE static void thread_resume(struct sp_region *r, struct sp_thread *t)
{
    if (t->timer != SP_OS_NO_TIMER)
        arm(r, t);
}

SP_SIGSAFE static void thread_stop(struct sp_thread *t)
{
    int timer = t->timer;
    t->timer = SP_OS_NO_TIMER;
    sp_os_timer_delete(timer);
}

SP_SIGSAFE_TABLE const struct sp_engine_ops sp_engine_cpu = {
    .name = "cpu",
    .thread_start = thread_start,
    .thread_pause = thread_pause,
    .thread_resume = thread_resume,
    .thread_stop = thread_stop,
};
