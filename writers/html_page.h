/* SPDX-License-Identifier: MIT
 * The pages of writers/html/, each in two halves between which the profile stands: writers/html/embed.cmake makes a file of each. */
#ifndef SP_WRITERS_HTML_PAGE_H
#define SP_WRITERS_HTML_PAGE_H

#include "writers/writer.h"

/* No NUL ends them. That of two profiles is in the command alone. */
extern const char sp_html_page_before[], sp_html_page_after[], sp_html_diff_page_before[], sp_html_diff_page_after[];
extern const size_t sp_html_page_before_bytes, sp_html_page_after_bytes, sp_html_diff_page_before_bytes,
    sp_html_diff_page_after_bytes;

struct sp_html_page {
    const char *before, *after;
    size_t before_bytes, after_bytes;
};

/* What is told of two profiles that became one region, whose threads are called A and B. */
struct sp_compared {
    struct sp_html_page page;
    struct sp_compared_side {
        const char *name, *python;
        uint64_t used_ns, whole_ns; /* whole: what 100 % is */
        uint64_t samples;           /* of the whole */
        uint64_t n_files;
    } of[2];
    const char *per; /* function that is the whole; NULL: all CPU */
};

/* [hook] Writes the page of a profile, or of two. 0, or the first error. compared NULL: of one. */
int sp_html_write(const struct sp_profile *p, const struct sp_compared *compared, struct sp_out *o);

#endif
