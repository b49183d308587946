/* SPDX-License-Identifier: MIT
 * From an interrupted thread to a node of the call tree. */
#ifndef SP_SAMPLER_WALK_PYTHON_H
#define SP_SAMPLER_WALK_PYTHON_H

#include "sampler/store.h"

struct sp_sampled {
    uint32_t node;
    enum sp_category category;
    enum sp_loss loss;
};

/* [handler] Walks and interns the calling thread's Python stack. `sp` is the interrupted stack pointer. Only
 * the part that differs from the thread's previous stack is interned. */
SP_SIGSAFE struct sp_sampled sp_walk_python(struct sp_region *r, struct sp_thread *t, uintptr_t sp);

#endif
