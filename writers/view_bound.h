/* SPDX-License-Identifier: MIT
 * What keeps a view small: windows of time, subtrees that their callers take in, elided frames. */
#ifndef SP_WRITERS_VIEW_BOUND_H
#define SP_WRITERS_VIEW_BOUND_H

#include "writers/view.h"

enum sp_view_order {
    SP_VIEW_BY_TIME, /* entries follow each other as they happened, for as long as that fits */
    SP_VIEW_BY_STACK /* one entry a stack of a thread */
};

/* What a format can hold, and what an entry costs in it. */
struct sp_view_limits {
    enum sp_view_order order;
    bool sums; /* where there are several threads, all of them together are shown as well */
    bool
        others; /* what weighs little stands beside its siblings, as sp_view_is_others() tells, and not in its caller's own time */
    uint64_t most_entries, most_bytes;
    uint64_t (*entry_bytes)(void *arg, uint32_t node);
    uint64_t (*profile_bytes)(void *arg, const struct sp_view_profile *p); /* more of each entry of p; NULL: none */
    void *arg;
};

/* [hook] After sp_view_init: sums up every stack, then widens windows and has light subtrees taken in until the limits are held.
 * What cannot be made to fit stays as small as it can be made. False: the scratch area is too small. */
bool sp_view_bound(struct sp_view *v, const struct sp_view_limits *limits);

/* [hook] The same for `v`, and where whole lives were measured and fit for a view of those, `w`, as well; else w->wall_ns is 0. Each
 * is held to the limits, whose arg is the view then. */
bool sp_view_bound_both(struct sp_view *v, struct sp_view *w, struct sp_view_limits *limits);

#endif
