/* SPDX-License-Identifier: MIT
 * Spool files that killed processes left: in a crash loop they would fill the disk. */
#ifndef SP_INJECT_DEAD_SPOOLS_H
#define SP_INJECT_DEAD_SPOOLS_H

#include "compat/base.h"

#define SP_DEAD_SPOOLS_MOST 100u

/* [hook] Leaves at most `most` spool files of dead processes in the directory: the oldest go first, and a line says so. Only files
 * of ours and of this user, and never one that a process may still have. Takes 0.1 s at most: what is left then, goes
 * next time. */
void sp_dead_spools_remove(const char *directory, uint32_t most);

#endif
