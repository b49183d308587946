/* SPDX-License-Identifier: MIT
 * CPU-time timers, one a thread: they run only while the thread runs, so a sleeping thread gets no signal and
 * no system call is interrupted. They fire on the scheduler's tick. */
#include <errno.h>

#include "compat/diag.h"
#include "compat/os.h"
#include "sampler/engine.h"

/* Threads: written where a recording begins; the witness by who made the first timer. */
static uint64_t interval_ns, tick_ns;

/* Every signal of ours carries this, a number that is the process's own, above the thread's. */
static uint32_t cookie;

/* The first timer that was made here; timers are not inherited. It is stopped, never deleted. */
static int witness = SP_OS_NO_TIMER;
static uint32_t witness_number;
static int witness_tid;

SP_SIGSAFE static void set_interval(uint64_t wanted_ns)
{
    interval_ns = wanted_ns;
    tick_ns = sp_os_tick_ns();
    if (!cookie)
        cookie = (uint32_t)(sp_os_mono_exact_ns() * 2654435761u >> 7) | 1;
}

SP_SIGSAFE static uint64_t rounded_to(void)
{
    return tick_ns;
}

SP_SIGSAFE static uint32_t owns(const siginfo_t *info)
{
    uint64_t value = (uint64_t)(uintptr_t)info->si_value.sival_ptr;
    return info->si_code == SI_TIMER && value >> 32 == cookie ? (uint32_t)value : 0;
}

SP_SIGSAFE static int arm(struct sp_live *l)
{
    uint64_t random = sp_os_mono_exact_ns() ^ (uint64_t)l->tid << 32;
    l->first_due_ns = sp_engine_first_due(random, interval_ns, tick_ns);
    return sp_os_timer_arm(l->timer, l->first_due_ns > 0 ? (uint64_t)l->first_due_ns : 1, interval_ns);
}

SP_SIGSAFE static bool first_tick(struct sp_live *l, uint64_t now_ns)
{
    int64_t again_ns, used_ns = (int64_t)(now_ns - l->last_cpu_ns);
    bool counts = sp_engine_first_counts(l->first_due_ns, used_ns, interval_ns, tick_ns, &again_ns);
    l->first_due_ns = 0;
    if (again_ns)
        sp_os_timer_arm(l->timer, (uint64_t)again_ns, interval_ns);
    return counts;
}

/* Not of -EINVAL and -ESRCH: that thread is gone. */
SP_SIGSAFE static void say_refused(int rc)
{
    static bool said;
    const char *why = rc == -EAGAIN ? "this user's processes have used up their part of RLIMIT_SIGPENDING"
                      : rc == -EPERM || rc == -EACCES || rc == -ENOSYS ? "the system forbids it"
                                                                       : NULL;
    if (why && !said)
        sp_diag_join("timer_create refused; ", why, "; threads from now on show as (not sampled)", NULL, NULL);
    said |= why != NULL;
}

/* Its own thread's again. -ESRCH: that is gone, and another one has its tid. */
SP_SIGSAFE static bool take_witness(struct sp_live *l)
{
    if (l->number != witness_number || l->tid != witness_tid)
        return false;
    l->timer = witness;
    return arm(l) == 0;
}

SP_SIGSAFE static int thread_start(struct sp_live *l)
{
    if (SP_UNLIKELY(take_witness(l)))
        return 0;
    int rc = sp_os_timer_create_sparing(l->tid, (uint64_t)cookie << 32 | l->number, &l->timer);
    if (rc < 0) {
        say_refused(rc);
        return rc;
    }
    int none = SP_OS_NO_TIMER;
    if (SP_UNLIKELY(sp_cas(&witness, &none, l->timer))) {
        witness_number = l->number;
        witness_tid = l->tid;
    }
    arm(l);
    return 0;
}

SP_SIGSAFE static void thread_pause(struct sp_live *l)
{
    if (l->timer != SP_OS_NO_TIMER)
        sp_os_timer_arm(l->timer, 0, 0);
}

SP_SIGSAFE static void thread_resume(struct sp_live *l)
{
    if (l->timer != SP_OS_NO_TIMER)
        arm(l);
}

SP_SIGSAFE static void thread_stop(struct sp_live *l)
{
    int timer = __atomic_exchange_n(&l->timer, SP_OS_NO_TIMER, __ATOMIC_ACQ_REL);
    if (timer == SP_OS_NO_TIMER)
        return;
    if (timer == sp_load_relaxed(&witness))
        sp_os_timer_arm(timer, 0, 0);
    else
        sp_os_timer_delete(timer);
}

SP_SIGSAFE static bool was_held_back(const struct sp_live *l, const void *context)
{
    return !context || l->pause || sp_os_ends_mask_call(context);
}

SP_SIGSAFE static bool is_held_back(const struct sp_live *l, enum sp_asker who)
{
    switch (who) {
    case SP_ASKER_ENDS: return sp_os_mask_block(0) & SP_OS_MASK(SIGPROF);
    case SP_ASKER_WRITES: return l->pause || (!l->is_blocked_by_us && sp_os_pending() & SP_OS_MASK(SIGPROF));
    case SP_ASKER_OTHER: return l->pause || sp_os_thread_blocks(l->tid, SIGPROF);
    }
    return false;
}

SP_SIGSAFE static void in_child(void)
{
    witness = SP_OS_NO_TIMER;
    witness_number = 0;
}

SP_SIGSAFE static bool is_here(void)
{
    int timer = sp_load_relaxed(&witness);
    return timer == SP_OS_NO_TIMER || sp_os_timer_exists(timer);
}

SP_SIGSAFE_TABLE const struct sp_engine_ops sp_engine_cpu = {
    .name = "cpu",
    .signal = SIGPROF,
    .open = set_interval,
    .tick_ns = rounded_to,
    .owns = owns,
    .thread_start = thread_start,
    .first_tick = first_tick,
    .thread_pause = thread_pause,
    .thread_resume = thread_resume,
    .thread_stop = thread_stop,
    .was_held_back = was_held_back,
    .is_held_back = is_held_back,
    .child = in_child,
    .is_here = is_here,
};
