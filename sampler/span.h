/* SPDX-License-Identifier: MIT
 * Spans: what the program says that it works on (`with spprof.span("checkout"):`). A stack begins with the spans that were open, each
 * a frame. A span is the way to it from the outermost one; the program's context variable holds the number of the innermost. */
#ifndef SP_SAMPLER_SPAN_H
#define SP_SAMPLER_SPAN_H

#include "compat/base.h"
#include "sampler/region.h"

#define SP_SPANS 1000u          /* that are told apart in a process */
#define SP_SPAN_NAME_BYTES 111u /* of a name at most */
#define SP_SPAN_DEPTH 16u       /* one that is opened inside so many is that one */

#define SP_SPAN_FIRST (1u << 20) /* numbers begin above the ints that CPython shares */
#define SP_SPAN_OTHER SP_SPAN_FIRST

/* [any] Number of the span of this name in the span `within` (0: in none), the same whoever asks. `within` itself, and in none
 * SP_SPAN_OTHER, if it is in too many, there are too many, or there is no memory. */
uint32_t sp_span_new(uint32_t within, const char *name);
/* [handler] Puts the spans that are open in a thread, whose state this is, on top of *root. False: the region is full. */
SP_SIGSAFE bool sp_span_intern(struct sp_region *r, uintptr_t tstate, uint32_t *root);

#endif
