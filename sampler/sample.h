/* SPDX-License-Identifier: MIT
 * Taking a sample. */
#ifndef SP_SAMPLER_SAMPLE_H
#define SP_SAMPLER_SAMPLE_H

#include "sampler/store.h"

/* The instant at which a thread is looked at: in its own handler, or while it is stopped. */
struct sp_instant {
    uintptr_t sp;        /* its stack pointer */
    const void *context; /* ucontext_t of the handler; NULL: there is none, the tick was taken while it was blocked */
    uint64_t cpu_ns;     /* its CPU clock: no less than at its last sample */
    uint64_t mono_ns;
};

/* [handler] Takes a sample of the thread: walks its stack, books what it used since the last one. It has a slot, and the caller its
 * in_handler. */
struct sp_live;
SP_SIGSAFE void sp_sample_take(struct sp_region *r, struct sp_live *l, const struct sp_instant *at);

#endif
