/* SPDX-License-Identifier: MIT
 * What keeps a view small: windows of time, folded subtrees, elided frames. */
#ifndef SP_WRITERS_VIEW_BOUND_H
#define SP_WRITERS_VIEW_BOUND_H

#include "writers/view.h"

/* After sp_view_init: sums up every stack, then widens windows and folds light subtrees until the text stays within
 * `most_bytes`. False: the scratch area is too small. */
bool sp_view_bound(struct sp_view *v, uint64_t most_bytes);

#endif
