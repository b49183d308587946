/* SPDX-License-Identifier: MIT
 * The page of spprof diff: two profiles, or sets of them, as one flame graph. */
#ifndef SP_INJECT_COMMAND_DIFF_PAGE_H
#define SP_INJECT_COMMAND_DIFF_PAGE_H

#include "inject/command/combine.h"
#include "writers/html_page.h"

/* [any] Whether a page may have that name; else a line on stderr says why. */
bool sp_diff_page_may_be(const char *name);

/* [any] Of what was loaded: side 0 is A, 1 is B. 0; else 1, and a line on stderr. */
int sp_diff_page_add(struct sp_combined *c, int side, const struct sp_loaded *l);

/* [any] Writes it; of `compared` the page is none of the caller's. 0; else 1, and a line on stderr. */
int sp_diff_page_write(const char *name, struct sp_combined *c, struct sp_compared *compared);

#endif
