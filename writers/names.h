/* SPDX-License-Identifier: MIT
 * What functions, threads and profiles are called: the same in every format. */
#ifndef SP_WRITERS_NAMES_H
#define SP_WRITERS_NAMES_H

#include "compat/buf.h"
#include "writers/view.h"

#define SP_NAMES_PROFILE_BYTES (SP_THREAD_NAME_BYTES + 96)
#define SP_NAMES_TITLE_BYTES 256

/* A name in parts, so that a long one needs no copy. They are not NUL-terminated; what the program gave is valid UTF-8 as
 * a rule, and whatever a damaged file holds otherwise. */
#define SP_NAMES_PARTS 4
struct sp_names_function {
    struct sp_names_part {
        const char *text;
        size_t bytes;
    } parts
        [SP_NAMES_PARTS]; /* the name; of a module its file's short path; its line, or how many frames were elided; of native functions their library */
    char text[48]; /* of parts that are made here */
};

/* [hook] The name of function i of the view, elided ones included, in *name; its parts point into it and into the region. */
void sp_names_function(const struct sp_view *v, uint32_t i, struct sp_names_function *name);

/* [hook] Whether a symbol is one that viewers demangle, C++'s or Rust's: where they do it is to stand alone, without its library. */
bool sp_names_is_mangled(const char *symbol);

/* [hook] Where the part of a path begins that tells it to a person: behind site-packages or the standard library's folder;
 * else its last three names. */
size_t sp_names_short_path(const char *path, size_t bytes);

/* [hook] A profile's name: with `tid` as a viewer lists it, "worker (tid 4711)"; without, what the thread is called. One that
 * has no name is "(thread 4711)" in both. */
void sp_names_profile(const struct sp_view *v, const struct sp_view_profile *p, bool tid, struct sp_buf *b);

/* [hook] "python app.py (pid 4711)". */
void sp_names_title(const struct sp_region *r, struct sp_buf *b);

#endif
