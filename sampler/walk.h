/* SPDX-License-Identifier: MIT
 * From an interrupted thread to a node of the call tree: the root of every walk, Python's frames (compat/py.h) and native ones
 * (native.h). */
#ifndef SP_SAMPLER_WALK_H
#define SP_SAMPLER_WALK_H

#include "sampler/live.h"

/* [handler] Walks the calling thread's stack and interns it in its slot, Python's frames, and native ones if they are wanted: node,
 * category and loss of a sample. `sp` is the interrupted stack pointer, `context` the handler's (NULL: it has none). */
SP_SIGSAFE struct sp_sample sp_walk_stack(struct sp_region *r, struct sp_live *l, uintptr_t sp, const void *context);

#endif
