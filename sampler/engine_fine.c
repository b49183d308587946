/* SPDX-License-Identifier: MIT
 * Ticks between the clock's: CPU timers expire on the scheduler's tick alone, so they know no interval below it and never see work
 * that runs in step with it. Here the alarm is a one-shot timer on the monotonic clock, and the thread's CPU clock decides. A sample
 * is due when the thread has used a random amount of CPU since the last, uniform in (0, 2 * interval]; the alarm is set to when that
 * may be at the earliest. If the thread was off its CPU meanwhile, the alarm comes too soon and is set again.
 *
 * A thread that sleeps gets no alarm: the hooks of calls that wait stop it before, and set it again after, and at its end a call is
 * sampled if a sample came due in it. Whoever blocks where no hook is has two alarms without having run in between, and is parked: its
 * CPU timer, which every thread has as well, fires once it uses CPU again. That timer also finds a thread whose alarm was lost: it came
 * while the gate was closed, or a wait was left by a jump. A thread without hooks, or without a second timer, has the first alone. */
#include <ucontext.h>

#include "compat/diag.h"
#include "compat/os.h"
#include "sampler/engine_cpu.h"
#include "sampler/sample.h"

#define EARLY_NS 10000u    /* what a sample may be short of its due: less than setting the alarm again costs */
#define STILL_NS 50000u    /* a thread that used less since its last early alarm did not run */
#define SHORT_NS 50000u    /* a call that took less is taken to have run, not waited */
#define COST_SHARE 4u      /* of what a sample took the next gap is as much as that, on average, at least */
#define WATCH_NS 10000000u /* of CPU, between two looks whether the alarm is alive */

enum state { RUNS, WAITS, PARKED, PAUSED };

/* Threads: written where a recording begins. */
static uint64_t interval_ns;

SP_SIGSAFE static uint64_t draw(struct sp_live *l, uint64_t mean_ns)
{
    uint64_t x = l->random;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    l->random = x;
    return x % (2 * mean_ns) + 1;
}

SP_SIGSAFE static void set_alarm(struct sp_live *l, uint64_t ns)
{
    l->alarm_ns = sp_os_mono_fast_ns() + ns;
    sp_os_timer_arm(l->alarm, sp_max_u64(ns, 1), 0);
}

SP_SIGSAFE static void park(struct sp_live *l)
{
    sp_store_relaxed(&l->alarm_state, PARKED);
    sp_os_timer_arm(l->alarm, 0, 0);
    sp_os_timer_arm(l->timer, 1, WATCH_NS); /* on the next clock tick that finds it running */
}

SP_SIGSAFE static void unpark(struct sp_live *l)
{
    sp_store_relaxed(&l->alarm_state, RUNS);
    sp_os_timer_arm(l->timer, WATCH_NS, WATCH_NS);
}

/* ---- the thread's timers */
SP_SIGSAFE static void set_interval(uint64_t wanted_ns)
{
    sp_engine_cpu_open(wanted_ns);
    interval_ns = wanted_ns;
}

SP_SIGSAFE static uint64_t rounded_to(void)
{
    return interval_ns; /* a sample is late by that, at most, as another engine's is by a tick */
}

SP_SIGSAFE static void say_coarse(void)
{
    static bool said;
    if (!said)
        sp_diag_join("a second timer for a thread was refused, see RLIMIT_SIGPENDING; threads from now on are sampled at the "
                     "clock's tick",
                     NULL, NULL, NULL, NULL);
    said = true;
}

/* A tick of the CPU timer may come at any point here: the alarm is to be seen when all else stands. */
SP_SIGSAFE static int thread_start(struct sp_live *l)
{
    int alarm, rc = sp_engine_cpu_start(l);
    if (rc < 0 || l->is_unhooked)
        return rc;
    if (sp_os_timer_create_sparing(SP_OS_CLOCK_MONO, l->tid, sp_engine_cpu_value(l), &alarm) < 0) {
        say_coarse();
        return 0;
    }
    l->random = (sp_os_mono_exact_ns() ^ (uint64_t)l->tid << 40) | 1;
    /* As if the thread had run for ever: what is left of a gap at a moment of chance is the lesser of two. */
    l->due_ns = l->last_cpu_ns + sp_min_u64(draw(l, interval_ns), draw(l, interval_ns));
    sp_store_relaxed(&l->alarm_state, PARKED);
    sp_store_release(&l->alarm, alarm);
    l->first_due_ns = -1; /* counts() is asked for each tick */
    if (l->tid == sp_os_gettid()) {
        unpark(l);
        set_alarm(l, l->due_ns - sp_min_u64(l->due_ns, sp_os_thread_cpu_ns()));
    } else {
        park(l); /* it may be asleep */
    }
    return 0;
}

SP_SIGSAFE static void thread_stop(struct sp_live *l)
{
    sp_engine_cpu_stop(l);
    sp_os_timer_delete(__atomic_exchange_n(&l->alarm, SP_OS_NO_TIMER, __ATOMIC_ACQ_REL));
}

SP_SIGSAFE static void thread_pause(struct sp_live *l)
{
    sp_engine_cpu_pause(l);
    if (l->alarm == SP_OS_NO_TIMER)
        return;
    sp_store_relaxed(&l->alarm_state, PAUSED);
    sp_os_timer_arm(l->alarm, 0, 0);
}

SP_SIGSAFE static void thread_resume(struct sp_live *l)
{
    if (l->alarm == SP_OS_NO_TIMER)
        sp_engine_cpu_resume(l);
    else
        park(l);
}

/* ---- ticks */
/* A jump has left the wait: who is in it has its stack below the hook's frame, and that as it was. It may have been a fibre's, whose stack
 * is gone by now. */
SP_SIGSAFE static bool has_jumped(const struct sp_live *l, const struct sp_instant *at)
{
    const stack_t *other = at->context ? &((const ucontext_t *)at->context)->uc_stack : NULL;
    bool is_elsewhere = other && at->sp - (uintptr_t)other->ss_sp < other->ss_size;
    if (is_elsewhere || at->sp > l->wait_sp)
        return !is_elsewhere;
    return sp_os_readable(l->wait_sp + sizeof(uintptr_t)) && sp_live_wait_return(l->wait_sp) != l->wait_return;
}

SP_SIGSAFE static void go_on(struct sp_live *l, uint64_t ns)
{
    if (sp_load_relaxed(&l->alarm_state) == RUNS && !sp_load_relaxed(&l->alarm_is_held))
        set_alarm(l, ns);
}

SP_SIGSAFE static bool counts(struct sp_live *l, const struct sp_instant *at)
{
    if (l->alarm == SP_OS_NO_TIMER)
        return sp_engine_cpu_counts(l, at);
    bool is_due = at->cpu_ns + EARLY_NS >= l->due_ns;
    if (l->wait_sp && has_jumped(l, at)) /* else the next waits would be taken to be within that one, and get alarms */
        sp_store_relaxed(&l->wait_sp, 0);
    switch (sp_load_relaxed(&l->alarm_state)) {
    case PARKED: unpark(l); break;
    case WAITS:
        if (!l->wait_sp)
            sp_store_relaxed(&l->alarm_state, RUNS);
        break;
    case RUNS:
        if (!is_due && at->cpu_ns - l->early_cpu_ns < STILL_NS)
            park(l);
        break;
    }
    l->early_cpu_ns = is_due ? 0 : at->cpu_ns;
    if (!is_due)
        go_on(l, l->due_ns - at->cpu_ns);
    return is_due;
}

/* The gap is the program's own: were the sample's time in it, one that takes longer would come again before the program went on. */
SP_SIGSAFE static void sampled(struct sp_live *l, const struct sp_instant *at)
{
    if (l->alarm == SP_OS_NO_TIMER)
        return;
    uint64_t cpu_ns = sp_os_thread_cpu_ns();
    uint64_t gap_ns = draw(l, sp_max_u64(interval_ns, COST_SHARE * (cpu_ns - at->cpu_ns)));
    l->due_ns = cpu_ns + gap_ns;
    go_on(l, gap_ns);
}

/* ---- waits */
SP_SIGSAFE static void before_wait(struct sp_live *l)
{
    if (l->alarm == SP_OS_NO_TIMER || sp_load_relaxed(&l->alarm_state) != RUNS)
        return;
    l->wait_began_ns = sp_os_mono_fast_ns();
    sp_store_relaxed(&l->alarm_state, WAITS); /* then: a tick between the two leaves the alarm alone */
    sp_os_timer_arm(l->alarm, 0, 0);
}

SP_SIGSAFE static void after_wait(struct sp_live *l)
{
    uint32_t state = sp_load_relaxed(&l->alarm_state);
    if (l->alarm == SP_OS_NO_TIMER || state == RUNS || state == PAUSED)
        return;
    uint64_t now = sp_os_mono_fast_ns(), left;
    bool has_passed = now != l->wait_began_ns; /* it is libc's clock, which another library may have stopped */
    if (state == WAITS && has_passed && now - l->wait_began_ns < SHORT_NS) {
        left = l->alarm_ns - sp_min_u64(l->alarm_ns, now);
    } else {
        uint64_t cpu_ns = sp_os_thread_cpu_ns();
        left = l->due_ns - sp_min_u64(l->due_ns, cpu_ns);
    }
    if (state == PARKED)
        unpark(l);
    sp_store_relaxed(&l->alarm_state, RUNS);
    go_on(l, left);
}

/* ---- a pause, for what two signals that wait at once would spoil */
SP_SIGSAFE static bool hold(struct sp_live *l)
{
    if (l->alarm == SP_OS_NO_TIMER || sp_load_relaxed(&l->alarm_is_held))
        return false;
    __atomic_store_n(&l->alarm_is_held, 1, __ATOMIC_SEQ_CST);
    sp_os_timer_arm(l->alarm, 0, 0);
    return true;
}

SP_SIGSAFE static void let_go(struct sp_live *l)
{
    bool is_own = l->tid == sp_os_gettid();
    sp_store_relaxed(&l->alarm_is_held, 0);
    go_on(l,
          is_own ? l->due_ns - sp_min_u64(l->due_ns, sp_os_thread_cpu_ns()) : 1); /* another's: it finds that too soon itself */
}

SP_SIGSAFE_TABLE const struct sp_engine_ops sp_engine_fine = {
    .name = "fine",
    .signal = SIGPROF,
    .open = set_interval,
    .tick_ns = rounded_to,
    .owns = sp_engine_cpu_owns,
    .thread_start = thread_start,
    .counts = counts,
    .sampled = sampled,
    .thread_pause = thread_pause,
    .thread_resume = thread_resume,
    .thread_stop = thread_stop,
    .before_wait = before_wait,
    .after_wait = after_wait,
    .hold = hold,
    .let_go = let_go,
    .was_held_back = sp_engine_cpu_was_held_back,
    .is_held_back = sp_engine_cpu_is_held_back,
    .child = sp_engine_cpu_child,
    .is_here = sp_engine_cpu_is_here,
};
