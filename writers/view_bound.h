/* SPDX-License-Identifier: MIT
 * Inside of the view: runs, windows, folding. Not for writers. */
#ifndef SP_WRITERS_VIEW_BOUND_H
#define SP_WRITERS_VIEW_BOUND_H

#include "writers/view.h"

/* Sums up every stack, then widens windows and folds light subtrees until all fits. */
bool sp_view_bound(struct sp_view *v, uint64_t most_bytes);

/* Index of the function that stands for `n` elided frames. */
uint32_t sp_view_elided_function(const struct sp_view *v, uint32_t n);

#endif
