/* SPDX-License-Identifier: MIT
 * CPU-time timers, one a thread: they run only while the thread runs, so a sleeping thread gets no signal and
 * no system call is interrupted. They fire on the scheduler's tick. */
#include <errno.h>

#include "compat/diag.h"
#include "compat/os.h"
#include "sampler/engine_cpu.h"
#include "sampler/sample.h"

/* Threads: written where a recording begins; the witness by who made the first timer. */
static uint64_t interval_ns, tick_ns;

/* Every signal of ours carries this, a number that is the process's own, above the thread's. */
static uint32_t cookie;

/* The first timer that was made here; timers are not inherited. It is stopped, never deleted. */
static int witness = SP_OS_NO_TIMER;
static uint32_t witness_number;
static int witness_tid;

void sp_engine_cpu_open(uint64_t wanted_ns)
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

uint32_t sp_engine_cpu_owns(const siginfo_t *info)
{
    uint64_t value = (uint64_t)(uintptr_t)info->si_value.sival_ptr;
    return info->si_code == SI_TIMER && value >> 32 == cookie ? (uint32_t)value : 0;
}

uint64_t sp_engine_cpu_value(const struct sp_live *l)
{
    return (uint64_t)cookie << 32 | l->number;
}

SP_SIGSAFE static int arm(struct sp_live *l)
{
    uint64_t random = sp_os_mono_exact_ns() ^ (uint64_t)l->tid << 32;
    l->first_due_ns = sp_engine_first_due(random, interval_ns, tick_ns);
    return sp_os_timer_arm(l->timer, l->first_due_ns > 0 ? (uint64_t)l->first_due_ns : 1, interval_ns);
}

bool sp_engine_cpu_counts(struct sp_live *l, const struct sp_instant *at)
{
    int64_t again_ns, used_ns = (int64_t)(at->cpu_ns - l->last_cpu_ns);
    bool is_sample = sp_engine_first_counts(l->first_due_ns, used_ns, interval_ns, tick_ns, &again_ns);
    l->first_due_ns = 0;
    if (again_ns)
        sp_os_timer_arm(l->timer, (uint64_t)again_ns, interval_ns);
    return is_sample;
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

int sp_engine_cpu_start(struct sp_live *l)
{
    if (SP_UNLIKELY(take_witness(l)))
        return 0;
    int rc = sp_os_timer_create_sparing(SP_OS_CLOCK_CPU, l->tid, sp_engine_cpu_value(l), &l->timer);
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

void sp_engine_cpu_pause(struct sp_live *l)
{
    if (l->timer != SP_OS_NO_TIMER)
        sp_os_timer_arm(l->timer, 0, 0);
}

void sp_engine_cpu_resume(struct sp_live *l)
{
    if (l->timer != SP_OS_NO_TIMER)
        arm(l);
}

void sp_engine_cpu_stop(struct sp_live *l)
{
    int timer = __atomic_exchange_n(&l->timer, SP_OS_NO_TIMER, __ATOMIC_ACQ_REL);
    if (timer == SP_OS_NO_TIMER)
        return;
    if (timer == sp_load_relaxed(&witness))
        sp_os_timer_arm(timer, 0, 0);
    else
        sp_os_timer_delete(timer);
}

bool sp_engine_cpu_was_held_back(const struct sp_live *l, const void *context)
{
    return !context || l->pause || sp_os_ends_mask_call(context);
}

bool sp_engine_cpu_is_held_back(const struct sp_live *l, enum sp_asker who)
{
    switch (who) {
    case SP_ASKER_ENDS: return sp_os_mask_block(0) & SP_OS_MASK(SIGPROF);
    case SP_ASKER_WRITES: return l->pause || (!l->is_blocked_by_us && sp_os_pending() & SP_OS_MASK(SIGPROF));
    case SP_ASKER_OTHER: return l->pause || sp_os_thread_blocks(l->tid, SIGPROF);
    }
    return false;
}

void sp_engine_cpu_child(void)
{
    witness = SP_OS_NO_TIMER;
    witness_number = 0;
}

bool sp_engine_cpu_is_here(void)
{
    int timer = sp_load_relaxed(&witness);
    return timer == SP_OS_NO_TIMER || sp_os_timer_exists(timer);
}

SP_SIGSAFE_TABLE const struct sp_engine_ops sp_engine_cpu = {
    .name = "cpu",
    .signal = SIGPROF,
    .open = sp_engine_cpu_open,
    .tick_ns = rounded_to,
    .owns = sp_engine_cpu_owns,
    .thread_start = sp_engine_cpu_start,
    .counts = sp_engine_cpu_counts,
    .thread_pause = sp_engine_cpu_pause,
    .thread_resume = sp_engine_cpu_resume,
    .thread_stop = sp_engine_cpu_stop,
    .was_held_back = sp_engine_cpu_was_held_back,
    .is_held_back = sp_engine_cpu_is_held_back,
    .child = sp_engine_cpu_child,
    .is_here = sp_engine_cpu_is_here,
};
