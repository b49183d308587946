/* SPDX-License-Identifier: MIT
 * See offclock.h. */
#include "sampler/offclock.h"

#include "compat/os.h"

#define WORTH_READING_NS 1000000 /* it opens a file */

/* Threads: written at the start. */
bool sp_offclock_is_on;

void sp_offclock_begin(struct sp_offclock *c, int tid, uint64_t cpu_ns, bool is_new)
{
    if (!sp_offclock_is_on)
        return;
    c->at_ns = sp_os_mono_fast_ns() - cpu_ns;
    c->queued_base_ns = is_new ? 0 : sp_os_thread_queued_ns(tid);
    c->spare_ns = 0;
}

/* -> by how much. The two clocks do not run at quite the same rate. */
SP_SIGSAFE static uint64_t advance(struct sp_offclock *c, uint64_t now)
{
    uint64_t at = sp_load_relaxed(&c->at_ns);
    while ((int64_t)(now - at) > 0)
        if (sp_cas(&c->at_ns, &at, now))
            return at ? now - at : 0; /* 0: found by a look at the list of threads */
    return 0;
}

void sp_offclock_pass(struct sp_offclock *c, struct sp_thread *t, uint64_t mono_ns, uint64_t cpu_ns)
{
    uint64_t passed = advance(c, mono_ns - cpu_ns);
    t->off_ns += passed;
    t->open_ns += t->open_since_ns ? passed : 0;
    c->spare_ns += passed;
}

void sp_offclock_split(struct sp_offclock *c, struct sp_thread *t, uint64_t mono_ns, uint64_t cpu_ns)
{
    uint64_t passed = advance(c, mono_ns - cpu_ns);
    t->off_ns += passed;
    t->open_ns += passed;
}

static uint64_t queued_of(const struct sp_offclock *c, const struct sp_thread *t)
{
    uint64_t queued = t->off_ns >= WORTH_READING_NS ? sp_os_thread_queued_ns(t->tid) : 0;
    return queued - sp_min_u64(queued, c->queued_base_ns);
}

void sp_offclock_settle(struct sp_offclock *c, struct sp_thread *t)
{
    t->queued_ns = queued_of(c, t);
    sp_store_relaxed(&c->queued_base_ns, c->queued_base_ns + t->queued_ns);
}

void sp_offclock_stop(struct sp_offclock *c, struct sp_thread *t, uint64_t cpu_ns)
{
    if (!sp_offclock_is_on)
        return;
    sp_offclock_pass(c, t, sp_os_mono_fast_ns(), cpu_ns);
    t->queued_ns = queued_of(c, t);
    t->open_ns = t->open_since_ns ? t->open_ns : 0;
}
