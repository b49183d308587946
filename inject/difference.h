/* SPDX-License-Identifier: MIT
 * What a recording gained between two images of its region. */
#ifndef SP_INJECT_DIFFERENCE_H
#define SP_INJECT_DIFFERENCE_H

#include "sampler/store.h"

/* [any] A copy of a frozen region that nothing else knows of; NULL: there is no memory. */
struct sp_region *sp_image_of(const struct sp_region *r);
/* [any] NULL: nothing. */
void sp_image_release(struct sp_region *image);

/* [any] `now`, the later image, becomes what threads used since `before`, of the same region, was taken: by stack, in order of time
 * where their logs have that; the sums are exact, for what a thread had used since its last sample is told in both. Times
 * count from `before` on, which was taken at mono_ns on the monotonic clock. */
void sp_difference(struct sp_region *now, const struct sp_region *before, uint64_t mono_ns);

#endif
