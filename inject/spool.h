/* SPDX-License-Identifier: MIT
 * SPPROF_SPOOL: the region in a file, so that a process that is killed leaves its profile, and others can read it
 * while it runs. The file exists while the process does; its blocks are reserved before they are used, no descriptor
 * stays open. `spprof recover` and `spprof snapshot` read it. */
#ifndef SP_INJECT_SPOOL_H
#define SP_INJECT_SPOOL_H

#include "sampler/store.h"

/* [start] `directory` is SPPROF_SPOOL, against the working directory of now. */
void sp_spool_init(const char *directory);

/* [handler] Whether the region should go into a file and is in none. */
SP_SIGSAFE bool sp_spool_is_wanted(void);

/* [any] Of what killed processes left in the directory only the newest stay. Not in a handler: it may take 0.1 s. */
void sp_spool_tidy(void);
/* [any] To be called after a fork(): tidies as above once in a while, for workers that are killed leave files while their
 * parent goes on. */
void sp_spool_forked(void);

/* [handler] Puts the region, `bytes` long, into a new file, with what is in it. The caller has frozen the store, or is
 * alone. If that fails it says so in a line, and the region stays in memory from then on. */
SP_SIGSAFE void sp_spool_enter(struct sp_region *r, uint64_t bytes);

/* [hook] The profile is where it belongs: removes the file. */
void sp_spool_leave(void);

/* [hook] A SIGBUS at `address`: whether that lies in the spool file, which somebody has cut off. Then there is empty memory in
 * its place, and no profile any more. */
bool sp_spool_is_cut(const void *address);

/* [fork-child] Whether the region lies in a file, which may have no name any more: an exec that failed, and is not over
 * yet in the parent. */
bool sp_spool_is_shared(void);

/* [hook] The region that was in the file is gone. */
void sp_spool_closed(void);

/* [fork-child] The file is the parent's, and there is no region in it here. */
void sp_spool_abandon(void);

/* [fork-child] The region becomes empty private memory; the file stays the parent's. *wipes as in sp_os_reserve.
 * False: there is no such memory. */
bool sp_spool_forget(struct sp_region *r, uint64_t bytes, bool *wipes);

/* [handler] Path of the file; "": there is none. */
SP_SIGSAFE const char *sp_spool_path(void);

#endif
