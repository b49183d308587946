/* SPDX-License-Identifier: MIT
 * What makes the ticks. An engine sends SIGPROF to one thread, with sp_tick_value() as the signal's value. */
#ifndef SP_SAMPLER_ENGINE_H
#define SP_SAMPLER_ENGINE_H

#include "sampler/store.h"

struct sp_engine_ops {
    const char *name;
    /* [handler] Makes a timer for the thread and starts it at a random point of its period. 0, or negative
     * errno: the thread goes unsampled, its CPU time is shown as such. */
    int (*thread_start)(struct sp_region *r, struct sp_thread *t);
    /* [handler] Stops the ticks for a while, and goes on. */
    void (*thread_pause)(struct sp_thread *t);
    void (*thread_resume)(struct sp_region *r, struct sp_thread *t);
    /* [handler] Ends it; safe for a thread that has no timer. */
    void (*thread_stop)(struct sp_thread *t);
};

extern const struct sp_engine_ops sp_engine_cpu;

/* Every signal of ours carries this: a number that is the process's own, and the thread's. */
extern uint32_t sp_tick_cookie;

SP_INLINE uint64_t sp_tick_value(uint32_t number)
{
    return (uint64_t)sp_tick_cookie << 32 | number;
}

#endif
