/* SPDX-License-Identifier: MIT
 * Waits take their part of a thread's time off its CPU (offclock.h) to their stacks, which the thread itself walks, at a wait's end or
 * before it: its stack is the same then. What no wait took is (waiting for a CPU), as far as the scheduler says so, and else
 * (not running). */
#ifndef SP_SAMPLER_OFFCPU_H
#define SP_SAMPLER_OFFCPU_H

#include "sampler/live.h"

/* Waits of so much go to their stacks one by one. Shorter ones are summed, and each such sum goes to the stack of the wait that
 * completes it; waits of less than the second are not looked at. */
#define SP_OFFCPU_LONG_NS 1000000u
#define SP_OFFCPU_SHORT_NS 20000u

#define SP_OFFCPU_GIL "(waiting for the GIL)"

/* A wait that is about to begin, or has ended. */
struct sp_offcpu_wait {
    const char *mark; /* what its frame is called, unless CPython itself waits: */
    uintptr_t at;     /* for what is there; 0: not known */
    uintptr_t sp;
    uint64_t since_ns; /* on the monotonic clock */
    bool is_gil;       /* for the GIL */
    bool is_within;    /* in a signal's handler, another goes on */
};

/* [handler] The calling thread is going to wait, for long as it seems: its stack is taken now, in case that it never comes back. It
 * has a slot, and the caller its in_handler. */
SP_SIGSAFE void sp_offcpu_enter(struct sp_region *r, struct sp_live *l, const struct sp_offcpu_wait *w);
/* [handler] ... it waited; `ns` go to its stack. */
SP_SIGSAFE void sp_offcpu_leave(struct sp_region *r, struct sp_live *l, const struct sp_offcpu_wait *w, uint64_t ns);

/* [handler] The open wait ended then (paused_ns) and is not booked yet: what it waited goes to its stack; in another recording than it
 * began in, if it was for the GIL, to the one at `sp`, where its thread is still about to take that. As for sp_offcpu_enter(). */
SP_SIGSAFE void sp_offcpu_settle(struct sp_region *r, struct sp_live *l, uint64_t paused_ns, uintptr_t sp);

/* [any] By who closed the gate, once the thread's clock has stopped: a wait that ended in front of the gate is booked, and one that has not
 * returned and whose stack was not taken is one without a stack. */
void sp_offcpu_unseen(struct sp_region *r, struct sp_live *l, struct sp_thread *t);

/* [any] The same, up to the end of a recording that is over; one whose stack was taken as well. */
void sp_offcpu_split(struct sp_region *r, struct sp_live *l, struct sp_thread *t, uint64_t mono_ns);

/* [handler] How much of the waits so far is to go to a stack now, that of the one that took `ns`; 0: nothing yet. */
SP_SIGSAFE uint64_t sp_offcpu_due(struct sp_live *l, uint64_t ns);

#endif
