/* SPDX-License-Identifier: MIT
 * What a sample weighs: how much CPU is booked to its stack.
 *
 * A sample is to stand for one step of CPU (sp_step_ns), wherever in its thread's life it fell: samples fall on each moment
 * with the same density, one a step, also right after a thread's birth (engine.h), so that then every function gets its
 * share, however short the threads are. What its thread used since the sample before, or since it began, may be less; then
 * the sample is owed the rest. It gets that from what the thread uses next. Where the thread ends too soon for that, it gets
 * it from what other threads with the same target use at their ends and no sample of their own stands for: so the CPU of
 * threads without a sample is shown where one like them was seen. The oldest sample comes first; where none is owed anything,
 * one of the recent gets it. What is owed and what is given are equal on average. It is booked in the log of the thread that
 * used it, whose total is exact. A thread that has several samples of its own is left out: its rest is small beside them, and
 * no function is shown in it that it may never have run. */
#ifndef SP_SAMPLER_WEIGHT_H
#define SP_SAMPLER_WEIGHT_H

#include "sampler/store.h"

/* CPU that a sample stands for: ticks come at the interval asked for, but not more often than the clock ticks. */
SP_INLINE uint64_t sp_step_ns(const struct sp_region *r)
{
    return sp_max_u64(r->interval_ns, r->tick_ns);
}

/* [handler] Books a sample's CPU: to the stack of the sample before as much as that is still owed, the rest to its own. */
SP_SIGSAFE void sp_weight_book(struct sp_region *r, struct sp_thread *t, const struct sp_sample *s);

/* [any] A thread ends and has used `cpu_ns` since its last sample: books it. */
void sp_weight_book_rest(struct sp_region *r, struct sp_thread *t, uint64_t cpu_ns, uint64_t since_ns);

#endif
