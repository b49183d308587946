/* SPDX-License-Identifier: MIT
 * The run: all processes below the first one that loaded the library. SPPROF_RUN=<start>:<owner>:<namespace> in their
 * environment tells when it began (wall clock, ns) and which CPython process was the first (0: none yet), in which
 * namespace of pids. Its width is fixed: the first CPython changes it where it lies. */
#ifndef SP_INJECT_RUN_H
#define SP_INJECT_RUN_H

#include "compat/base.h"

/* [start] Reads the mark, or makes it: this process is the first then. */
void sp_run_mark(void);
/* [start] Whether no CPython process came before this one in its line of descent. */
bool sp_run_is_first(void);
/* [start] This process runs CPython: becomes the owner if there is none. Returns whether it is. */
bool sp_run_take_ownership(void);
/* [hook] When the run began, by the wall clock. */
uint64_t sp_run_started_ns(void);

#endif
