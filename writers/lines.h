/* SPDX-License-Identifier: MIT
 * What each line cost. */
#ifndef SP_WRITERS_LINES_H
#define SP_WRITERS_LINES_H

#include "writers/view.h"

/* [hook] Writes ,"lines":[[function index,[[line,self,total],...]],...]; nothing when there is none, or no room in the
 * scratch area. Totals count a line once a stack, however often it is on it. To be called last: the view's own
 * tables but the functions are gone afterwards. */
void sp_lines_write(struct sp_view *v, struct sp_out *o);

#endif
