/* SPDX-License-Identifier: MIT
 * Spans: what the program says that it works on (`with spprof.span("checkout"):`, spprof_span_begin("checkout")). A stack begins with
 * the spans that were open, each a frame. A span is the way to it from the outermost one. Of Python's the program's context variable
 * holds the number of the innermost; C's are of a thread, and stand above all of Python's: a thread runs contexts. */
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
/* [handler] Puts the spans that are open in the context of a thread, whose state this is, on top of *root. False: the region is full. */
SP_SIGSAFE bool sp_span_intern(struct sp_region *r, uintptr_t tstate, uint32_t *root);

/* [hook] Opens a span in the calling thread, within those that are open there by this call: its token, which is unlike that of any
 * other open span of the process. The second ends it, and those that were opened in it and are still open; what is no open span
 * of the calling thread's it leaves alone. A fork child is in its parent's. */
uint64_t sp_span_begin(const char *name);
void sp_span_end(uint64_t token);
/* [handler] Puts these on top of *root, if any is open in the calling thread. False: the region is full. */
SP_SIGSAFE bool sp_span_intern_thread(struct sp_region *r, uint32_t *root);

#endif
