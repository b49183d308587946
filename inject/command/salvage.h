/* SPDX-License-Identifier: MIT
 * A sound region from bytes that nobody vouches for: a spool file after a kill, another process's memory while it
 * runs, a file that was damaged. Nothing is taken over that was not checked; what does not make sense is left out and
 * counted. For the command, not for the library: it allocates. */
#ifndef SP_INJECT_COMMAND_SALVAGE_H
#define SP_INJECT_COMMAND_SALVAGE_H

#include "sampler/store.h"

/* Two copies of the same region's first `bytes` bytes, `pools` made after `log`: what the records of the first name
 * is in the second, even if the process ran meanwhile. They may be the same copy. */
struct sp_salvage_source {
    const void *log, *pools;
    uint64_t bytes;
    /* What the system calls a thread that lived when the copy was made and has no name in it; NULL: nobody can be asked. */
    void (*thread_name)(int tid, char name[16]);
};

struct sp_salvage_result {
    const char *error; /* why there is no region; NULL: there is one */
    uint64_t lost_ns;  /* CPU of records that name something that is not there; shown as (overflow) */
};

/* Whether `head`, the first `bytes` of something, begins a region that this version reads. NULL, or why not. */
const char *sp_salvage_check(const void *head, uint64_t bytes);

/* Bytes of a region, by its checked head, that hold anything. */
uint64_t sp_salvage_used(const struct sp_region *head);

/* Fills `into`, an all-zero block of `into_bytes` (SP_REGION_MIN ... SP_REGION_MAX; twice the source's is always
 * enough). */
struct sp_salvage_result sp_salvage(struct sp_region *into, uint64_t into_bytes, const struct sp_salvage_source *from);

#endif
