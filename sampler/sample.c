/* SPDX-License-Identifier: MIT
 * See sample.h. Knows no signal: whoever can read a thread's stack takes samples of it. */
#include "sampler/sample.h"

#include "compat/os.h"
#include "sampler/weight.h"
#include "sampler/engine.h"
#include "sampler/log.h"
#include "sampler/offcpu.h"
#include "sampler/threads.h"
#include "sampler/walk.h"

/* What the thread used since its last sample and its stack of now stands for. Late for no reason that the engine knows: one
 * long system call, which is the stack's. */
SP_SIGSAFE static uint64_t weigh(struct sp_region *r, struct sp_live *l, const struct sp_instant *at, uint64_t since_ns)
{
    struct sp_thread *t = l->slot;
    uint64_t delta = at->cpu_ns - l->last_cpu_ns;
    sp_live_is_booked(l, t, at->cpu_ns);
    if (delta <= 2 * t->period_ns) {
        t->prompt_ns += delta;
    } else if (sp_engine->was_held_back(l, at->context)) {
        uint64_t blocked = sp_thread_held_back_ns(t, delta);
        sp_log_book_pseudo(r, t, SP_CATEGORY_BLOCKED, blocked, since_ns);
        delta -= blocked;
    }
    l->pause = SP_PAUSE_NONE;
    return delta;
}

#define BEFORE_A_WAIT_NS 1000000 /* of CPU */

/* A tick that came while the stack was taken for a wait is taken right behind that: the wait begins. One for the GIL, which is of many
 * calls, goes on. */
SP_SIGSAFE static bool is_about_to_wait(const struct sp_live *l, const struct sp_instant *at)
{
    if (!l->slot->open_since_ns || (l->open_is_gil && l->open_since_ns))
        return l->slot->open_since_ns;
    return at->sp < l->wait_sp && at->cpu_ns - l->open_cpu_ns < BEFORE_A_WAIT_NS;
}

void sp_sample_take(struct sp_region *r, struct sp_live *l, const struct sp_instant *at)
{
    struct sp_thread *t = l->slot;
    if (SP_UNLIKELY(l->paused_ns))
        sp_offcpu_settle(r, l, __atomic_exchange_n(&l->paused_ns, 0, __ATOMIC_RELAXED), at->sp);
    uint64_t since_ns = at->mono_ns - r->started_mono_ns, cpu_ns = weigh(r, l, at, since_ns);
    struct sp_sample s = sp_walk_stack(r, l, at->sp, at->context);
    s.cpu_ns = cpu_ns;
    s.since_ns = since_ns;
    if (s.loss)
        sp_count_loss(r, s.loss);
    sp_weight_book(r, t, &s);
    t->samples++;
    t->is_python |= s.category == SP_CATEGORY_PYTHON;
    if (SP_UNLIKELY(sp_offclock_is_on)) {
        if (at->sp > l->wait_sp)
            l->wait_since_ns = 0; /* a jump may have left that wait */
        sp_offclock_pass(&l->off, t, sp_os_mono_fast_ns(), at->cpu_ns);
        if (!is_about_to_wait(l, at))
            t->open_since_ns = t->open_ns = 0; /* it runs */
        if (s.category == SP_CATEGORY_PYTHON)
            sp_gil_used(r, t, s.node, cpu_ns);
    }
    sp_store_relaxed(&r->last_ns, since_ns);
}
