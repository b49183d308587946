/* SPDX-License-Identifier: MIT
 * The facts of a run: who, when, how much CPU, what was lost. */
#ifndef SP_WRITERS_META_H
#define SP_WRITERS_META_H

#include "writers/view.h"

/* [hook] Writes them as one JSON object, the block "spprof" of Speedscope files. wall: the view of whole lives whose
 * profiles and functions stand behind those of v; NULL: there is none. To be called last: see lines.h. */
void sp_meta_write(struct sp_view *v, struct sp_view *wall, struct sp_out *o);

#endif
