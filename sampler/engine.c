/* SPDX-License-Identifier: MIT
 * What all engines have in common. */
#include "sampler/engine.h"

#include "compat/diag.h"

const struct sp_engine_ops *sp_engine;

void sp_engine_start(struct sp_region *r, struct sp_live *l)
{
    uint32_t no = 0;
    if (!sp_cas(&l->has_ticks, &no, 1)) /* the thread itself and who begins a profile may both come here */
        return;
    l->is_refused = sp_engine->thread_start(l) < 0;
    if (l->is_refused && r)
        sp_count_loss(r, SP_LOSS_TIMER_REFUSED);
}

void sp_engine_stop(struct sp_live *l)
{
    sp_engine->thread_stop(l);
    l->is_refused = 0;
    sp_store_release(&l->has_ticks, 0);
}

enum sp_ticks sp_engine_ticks(const struct sp_live *l, const struct sp_thread *t, uint64_t cpu_ns, enum sp_asker who)
{
    bool is_late = t && cpu_ns > t->last_cpu_ns && sp_thread_held_back_ns(t, cpu_ns - t->last_cpu_ns);
    if (is_late && sp_engine->is_held_back(l, who))
        return SP_TICKS_HELD_BACK;
    return l->has_ticks && !l->is_refused ? SP_TICKS_COMING : SP_TICKS_NONE;
}

SP_SIGSAFE static uint64_t mixed(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    return x ^ x >> 31;
}

/* A tick that is due at d comes at the first clock tick behind d. So the one tick in (0, tick] stands for what was due in
 * a whole tick's time before it: first dues are uniform in (-tick, interval - tick]. */
int64_t sp_engine_first_due(uint64_t random, uint64_t interval_ns, uint64_t tick_ns)
{
    return (int64_t)(mixed(random) % sp_max_u64(interval_ns, 1)) - (int64_t)tick_ns + 1;
}

/* What was due before the thread began, by more than the tick that comes now can stand for, would have been seen then.
 * With an interval of a tick and less every tick counts. */
bool sp_engine_first_counts(int64_t due_ns, int64_t used_ns, uint64_t interval_ns, uint64_t tick_ns, int64_t *again_ns)
{
    int64_t next_ns = due_ns + (int64_t)interval_ns;
    bool comes = interval_ns <= tick_ns || used_ns >= next_ns;
    *again_ns = comes ? 0 : next_ns - used_ns;
    return comes || used_ns < due_ns + (int64_t)tick_ns;
}
