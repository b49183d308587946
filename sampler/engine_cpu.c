/* SPDX-License-Identifier: MIT
 * CPU-time timers, one a thread: they run only while the thread runs, so a sleeping thread gets no signal and
 * no system call is interrupted. They fire on the scheduler's tick. */
#include <errno.h>

#include "compat/diag.h"
#include "compat/os.h"
#include "sampler/engine.h"

uint32_t sp_tick_cookie;

SP_SIGSAFE static uint64_t mixed(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    return x ^ x >> 31;
}

/* A timer that is due at d fires at the first clock tick behind d. So the one tick in (0, tick] stands for what was due in
 * a whole tick's time before it: first dues are uniform in (-tick, interval - tick]. */
int64_t sp_engine_first_due(uint64_t random, uint64_t interval_ns, uint64_t tick_ns)
{
    return (int64_t)(mixed(random) % sp_max_u64(interval_ns, 1)) - (int64_t)tick_ns + 1;
}

void sp_engine_arm_first(int timer, int64_t due_ns, uint64_t interval_ns)
{
    sp_os_timer_arm(timer, due_ns > 0 ? (uint64_t)due_ns : 1, interval_ns);
}

SP_SIGSAFE static void arm(struct sp_region *r, struct sp_thread *t)
{
    uint64_t random = sp_os_mono_exact_ns() ^ (uint64_t)t->tid << 32;
    t->first_due_ns = sp_engine_first_due(random, r->interval_ns, r->tick_ns);
    sp_engine_arm_first(t->timer, t->first_due_ns, r->interval_ns);
}

/* What was due before the thread began, by more than the tick that comes now can stand for, would have been seen then.
 * With an interval of a tick and less every tick counts. */
SP_SIGSAFE static bool first_tick(struct sp_region *r, struct sp_thread *t, uint64_t now_ns)
{
    int64_t used = (int64_t)(now_ns - t->last_cpu_ns), due = t->first_due_ns;
    int64_t next = due + (int64_t)r->interval_ns;
    t->first_due_ns = 0;
    if (r->interval_ns <= r->tick_ns || used >= next)
        return true;
    sp_os_timer_arm(t->timer, (uint64_t)(next - used), r->interval_ns);
    return used < due + (int64_t)r->tick_ns;
}

SP_SIGSAFE static int thread_start(struct sp_region *r, struct sp_thread *t)
{
    int timer, rc = sp_os_timer_create_sparing(t->tid, sp_tick_value(t->number), &timer);
    t->timer = timer;
    if (rc < 0) {
        sp_count_loss(r, SP_LOSS_TIMER_REFUSED);
        static bool said;
        if (rc == -EAGAIN && !said)
            sp_diag_join(
                "timer_create refused; this user's processes have used up their part of RLIMIT_SIGPENDING; threads from now on "
                "show as (not sampled)",
                NULL, NULL, NULL, NULL);
        said = true;
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

SP_SIGSAFE static bool was_held_back(const struct sp_thread *t, const void *context)
{
    return !context || t->pause || sp_os_ends_mask_call(context);
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
    .first_tick = first_tick,
    .thread_pause = thread_pause,
    .thread_resume = thread_resume,
    .was_held_back = was_held_back,
    .thread_stop = thread_stop,
};
