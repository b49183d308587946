/* SPDX-License-Identifier: MIT
 * A thread's second clock: what passed of its life while it was off its CPU. It is the monotonic clock less the thread's CPU
 * clock, and only grows. */
#ifndef SP_SAMPLER_OFFCLOCK_H
#define SP_SAMPLER_OFFCLOCK_H

#include "sampler/store.h"

/* Whether any of this is done in this process. Set before threads are looked at, never again. */
extern bool sp_offclock_is_on;

struct sp_offclock {
    uint64_t at_ns;          /* when last looked at; 0: never yet */
    uint64_t spare_ns;       /* what its recording has of it and no wait took */
    uint64_t queued_base_ns; /* ready to run, before its profile began */
};

/* [handler] The clock of the thread `tid`, which runs, begins at this reading of its CPU clock. is_new: all that it used is of its
 * profile. */
SP_SIGSAFE void sp_offclock_begin(struct sp_offclock *c, int tid, uint64_t cpu_ns, bool is_new);

/* [handler] The clock goes on to this instant; t: the thread's slot. By who may change the thread's times. */
SP_SIGSAFE void sp_offclock_pass(struct sp_offclock *c, struct sp_thread *t, uint64_t mono_ns, uint64_t cpu_ns);

/* [any] ... of a thread in an open wait, where its CPU clock shows cpu_ns, up to the end of a recording that is over. If it has gone on
 * meanwhile nothing happens. */
void sp_offclock_split(struct sp_offclock *c, struct sp_thread *t, uint64_t mono_ns, uint64_t cpu_ns);

/* [any] What a thread that goes on waited for a CPU up to now is its slot's in a recording that is over. */
void sp_offclock_settle(struct sp_offclock *c, struct sp_thread *t);

/* [any] A thread's clock up to now, and its open wait, by who closed the gate or at the thread's end. */
void sp_offclock_stop(struct sp_offclock *c, struct sp_thread *t, uint64_t cpu_ns);

#endif
