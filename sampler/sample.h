/* SPDX-License-Identifier: MIT
 * One sample, on its way from the walk through the log to the view. */
#ifndef SP_SAMPLER_SAMPLE_H
#define SP_SAMPLER_SAMPLE_H

#include "compat/base.h"
#include "sampler/region.h"

struct sp_sample {
    uint32_t node;
    enum sp_category category; /* of the thread's sums; not kept in the log */
    enum sp_loss loss;         /* SP_LOSS_NONE: there is a Python stack, or none to be had. Not kept in the log */
    uint64_t cpu_ns;           /* that it stands for. struct sp_record has room for wall-clock time and a state beside it */
    uint64_t since_ns;         /* since the start of the profile */
};

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
