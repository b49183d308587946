/* SPDX-License-Identifier: MIT
 * What functions, threads and profiles are called: the same in every format. */
#ifndef SP_WRITERS_NAMES_H
#define SP_WRITERS_NAMES_H

#include "compat/buf.h"
#include "writers/view.h"

#define SP_NAMES_PROFILE_BYTES (SP_THREAD_NAME_BYTES + 96)
#define SP_NAMES_TITLE_BYTES 256

/* A name in two parts, so that a long one needs no copy; neither is NUL-terminated, and what the program gave is in
 * `text`: valid UTF-8 as a rule, and whatever a damaged file holds otherwise. */
struct sp_names_function {
    const char *text;
    size_t bytes;
    char more[48]; /* ":<line>", or the text of elided frames */
    size_t more_bytes;
};

/* [any] The name of function i of the view, elided ones included. */
struct sp_names_function sp_names_function(const struct sp_view *v, uint32_t i);

/* [any] A profile's name: with `tid` as a viewer lists it, "worker (tid 4711)"; without, what the thread is called. */
void sp_names_profile(const struct sp_view *v, const struct sp_view_profile *p, bool tid, struct sp_buf *b);

/* [any] "python app.py (pid 4711)". */
void sp_names_title(const struct sp_region *r, struct sp_buf *b);

#endif
