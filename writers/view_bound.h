/* SPDX-License-Identifier: MIT
 * What keeps a view small: windows of time, folded subtrees, elided frames. */
#ifndef SP_WRITERS_VIEW_BOUND_H
#define SP_WRITERS_VIEW_BOUND_H

#include "writers/view.h"

enum sp_view_order {
    SP_VIEW_BY_TIME, /* entries follow each other as they happened, for as long as that fits */
    SP_VIEW_BY_STACK /* one entry a stack of a thread */
};

/* Whether the format's output of the view, as it is now, is as small as it must be. */
typedef bool sp_view_fits(struct sp_view *v, void *arg);

/* [any] After sp_view_init: sums up every stack, then widens windows and folds light subtrees until fits(v, arg). What
 * cannot be made to fit stays as small as it can be made. False: the scratch area is too small. */
bool sp_view_bound(struct sp_view *v, enum sp_view_order order, sp_view_fits *fits, void *arg);

#endif
