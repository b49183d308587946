/* SPDX-License-Identifier: MIT
 * From an interrupted thread to a node of the call tree. */
#ifndef SP_SAMPLER_WALK_PYTHON_H
#define SP_SAMPLER_WALK_PYTHON_H

#include "sampler/live.h"

/* [handler] Walks the calling thread's Python stack and interns it in its slot, with the native frames if they are wanted: node,
 * category and loss of a sample. `sp` is the interrupted stack pointer, `context` the handler's (NULL: it has none). */
SP_SIGSAFE struct sp_sample sp_walk_python(struct sp_region *r, struct sp_live *l, uintptr_t sp, const void *context);

#endif
