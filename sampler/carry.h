/* SPDX-License-Identifier: MIT
 * What a thread used and no sample of its own stands for.
 *
 * Samples fall on each moment of a thread with the same density, one a step of CPU (sp_step_ns), also right after its
 * birth (engine.h). So each sample is owed one step's weight, wherever in a thread it fell: then every function gets
 * its share, however short the threads are. A thread's own CPU pays its own samples first. What is left goes, in the
 * thread's own log (its total is exact), to stacks that samples of other threads with the same target saw: to those
 * that are still owed something, oldest first, because their threads ended too soon to pay; if there is none, to a
 * recent one. Debts and payments are equal on average. A thread that has several samples of its own is left out: its rest
 * is small beside them, and no function is shown in it that it may never have run. */
#ifndef SP_SAMPLER_CARRY_H
#define SP_SAMPLER_CARRY_H

#include "sampler/store.h"

/* CPU that a sample stands for: ticks come at the interval asked for, but not more often than the clock ticks. */
SP_INLINE uint64_t sp_step_ns(const struct sp_region *r)
{
    return sp_max_u64(r->interval_ns, r->tick_ns);
}

/* [handler] Books a sample: what the thread's last sample is still owed to that one's stack, the rest to its own. */
SP_SIGSAFE void sp_carry_sample(struct sp_region *r, struct sp_thread *t, const struct sp_sample *s);

/* [any] A thread ends and has used `cpu_ns` since its last sample: books it. */
void sp_carry_rest(struct sp_region *r, struct sp_thread *t, uint64_t cpu_ns, uint64_t since_ns);

#endif
