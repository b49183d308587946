/* SPDX-License-Identifier: MIT
 * What makes the ticks. Timers, signals and what these carry are the engine's own affair: nothing else of the sampler knows
 * one. Several engines may be there; one is used. */
#ifndef SP_SAMPLER_ENGINE_H
#define SP_SAMPLER_ENGINE_H

#include <signal.h>

#include "sampler/live.h"

/* Who asks. */
enum sp_asker {
    SP_ASKER_ENDS /* the thread itself, at its end */,
    SP_ASKER_WRITES /* itself, all is blocked */,
    SP_ASKER_OTHER
};

struct sp_instant;
struct sp_engine_ops {
    const char *name;
    int signal; /* that its ticks are */

    /* [handler] For profiles that begin from now on: the CPU time between two ticks of a thread. There is nothing to close:
     * the threads' ticks are stopped one by one. */
    void (*open)(uint64_t interval_ns);
    /* [handler] What the moments of its ticks are rounded up to. */
    uint64_t (*tick_ns)(void);
    /* [handler] Number of the thread whose tick a signal is; 0: the signal is not the engine's. */
    uint32_t (*owns)(const siginfo_t *info);

    /* [handler] Ticks for the thread, from a random point of its period on. 0, or negative errno: it gets none, and its CPU
     * time is shown as such. */
    int (*thread_start)(struct sp_live *l);
    /* [handler] A tick of a thread whose first_due_ns is negative: whether it is a sample. */
    bool (*counts)(struct sp_live *l, const struct sp_instant *at);
    /* [handler] A tick was a sample, which is taken; NULL: it is all the same to the engine. */
    void (*sampled)(struct sp_live *l, const struct sp_instant *at);
    /* [handler] No ticks for a while, and again. */
    void (*thread_pause)(struct sp_live *l);
    void (*thread_resume)(struct sp_live *l);
    /* [handler] No more; safe for a thread that has none. */
    void (*thread_stop)(struct sp_live *l);
    /* [handler] The calling thread is about to make a call that waits, or has made it, as its hook says; NULL: it is all the
     * same to the engine. */
    void (*before_wait)(struct sp_live *l);
    void (*after_wait)(struct sp_live *l);
    /* [handler] No tick of the thread's comes soon, until it is let go; NULL: two never come so soon one after the other.
     * False: it was held already, and is not to be let go. */
    bool (*hold)(struct sp_live *l);
    void (*let_go)(struct sp_live *l);
    /* [handler] A tick of the thread came late: whether it waited while the thread had it blocked. context: of the handler
     * that it came to; NULL: it came to none. */
    bool (*was_held_back)(const struct sp_live *l, const void *context);
    /* [handler] Whether one is due that the thread has blocked. */
    bool (*is_held_back)(const struct sp_live *l, enum sp_asker who);

    /* [fork-child] What the parent had is not there. */
    void (*child)(void);
    /* [handler] False: this is another process, a child in which child() was not called. True may be wrong. */
    bool (*is_here)(void);
};

extern const struct sp_engine_ops sp_engine_cpu, sp_engine_fine;

/* The engine that sampling runs on; NULL until it starts. */
extern const struct sp_engine_ops *sp_engine;

/* [handler] Starts the thread's ticks unless they are started; r: where it is counted if they are refused, NULL: nowhere yet. */
SP_SIGSAFE void sp_engine_start(struct sp_region *r, struct sp_live *l);
/* [handler] Stops them. */
SP_SIGSAFE void sp_engine_stop(struct sp_live *l);
/* [handler] How they stand, at this reading of the running thread's clock. t: its slot; NULL: it has none. */
SP_SIGSAFE enum sp_ticks sp_engine_ticks(const struct sp_live *l, const struct sp_thread *t, uint64_t cpu_ns,
                                         enum sp_asker who);

/* [handler] When a thread that begins is due for its first tick, on its own clock: as if it had run for ever, so that
 * all its moments are as likely to be seen, those before its first tick too. Negative: before it began. `random`: any number. */
SP_SIGSAFE int64_t sp_engine_first_due(uint64_t random, uint64_t interval_ns, uint64_t tick_ns);
/* [handler] Whether the first tick counts, of a thread that was due at `due_ns` (negative) and has used `used_ns`. *again_ns:
 * how much more it is to use until its next; 0: that comes as it should. */
SP_SIGSAFE bool sp_engine_first_counts(int64_t due_ns, int64_t used_ns, uint64_t interval_ns, uint64_t tick_ns,
                                       int64_t *again_ns);

#endif
