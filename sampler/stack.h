/* SPDX-License-Identifier: MIT
 * A walked stack becomes a node of the call tree. Only the part that differs from the thread's previous stack is interned. */
#ifndef SP_SAMPLER_STACK_H
#define SP_SAMPLER_STACK_H

#include "compat/py.h"
#include "sampler/store.h"

/* [handler] Before a walk: room for its frames (t->stack_depth of them) in the thread's slot. What the slot knows by address is
 * forgotten if a sampled code object died since. */
SP_SIGSAFE struct sp_py_frame *sp_stack_begin(struct sp_region *r, struct sp_thread *t);

/* [handler] Node of the stack that was walked into these frames, merged with native ones or not, below `root` (0: none); each frame gets its own. 0: the region
 * is full. */
SP_SIGSAFE uint32_t sp_stack_intern(struct sp_region *r, struct sp_thread *t, struct sp_py_walk *w, uint32_t root);

/* [handler] The stack was rejected, or found no room: nothing that it vouched for is believed. The second forgets the previous
 * stack as well. */
SP_SIGSAFE void sp_stack_distrust_pages(struct sp_thread *t);
SP_SIGSAFE void sp_stack_forget(struct sp_thread *t);

#endif
