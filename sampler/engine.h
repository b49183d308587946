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
    /* [handler] The first tick of a thread whose first_due_ns is negative, at reading `now` of its clock: whether it is
     * a sample. */
    bool (*first_tick)(struct sp_region *r, struct sp_thread *t, uint64_t now_ns);
    /* [handler] Stops the ticks for a while, and goes on. */
    void (*thread_pause)(struct sp_thread *t);
    void (*thread_resume)(struct sp_region *r, struct sp_thread *t);
    /* [handler] A tick of the thread came late: whether it waited while the thread had it blocked. context: of the handler
     * that it came to; NULL: it came to none. */
    bool (*was_held_back)(const struct sp_thread *t, const void *context);
    /* [handler] Ends it; safe for a thread that has no timer. */
    void (*thread_stop)(struct sp_thread *t);
};

extern const struct sp_engine_ops sp_engine_cpu;

/* The engine that sampling runs on; NULL until it starts. */
extern const struct sp_engine_ops *sp_engine;

/* [handler] When a thread that begins is due for its first tick, on its own clock: as if it had run for ever, so that
 * all its moments are as likely to be seen, those before its first tick too. Negative: before it began; whether the
 * first tick counts then is asked by first_tick(). `random`: any number. */
SP_SIGSAFE int64_t sp_engine_first_due(uint64_t random, uint64_t interval_ns, uint64_t tick_ns);

/* [handler] Arms a timer so. */
SP_SIGSAFE void sp_engine_arm_first(int timer, int64_t due_ns, uint64_t interval_ns);

/* Every signal of ours carries this: a number that is the process's own, and the thread's. */
extern uint32_t sp_tick_cookie;

SP_INLINE uint64_t sp_tick_value(uint32_t number)
{
    return (uint64_t)sp_tick_cookie << 32 | number;
}

#endif
