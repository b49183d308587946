/* SPDX-License-Identifier: MIT
 * The screen of spprof top; with ncurses (top.c) or without (top_none.c). */
#ifndef SP_INJECT_COMMAND_TOP_H
#define SP_INJECT_COMMAND_TOP_H

#include <stdbool.h>

#include "inject/command/top_moment.h"

/* Whether there is one. */
extern const bool sp_top_can;

/* [any] Shows them until somebody quits. The exit status. */
int sp_top_run(struct sp_top_source *sources, int n_sources);

#endif
