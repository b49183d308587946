/* SPDX-License-Identifier: MIT
 * The processes of a set of profiles: who started whom, in which run, what each is called. */
#ifndef SP_INJECT_COMMAND_PROCESSES_H
#define SP_INJECT_COMMAND_PROCESSES_H

#include <stdbool.h>
#include <stddef.h>

#include "sampler/region.h"

struct sp_process {
    uint64_t run_ns;
    uint32_t pid, ppid;
    char host[65];
    char *argv; /* NUL-separated, as in the region; owned */
    uint64_t started_wall_ns;
    double ns;
    int parent;    /* index; -1: it is not in the set */
    bool is_child; /* ... and has the same command: it was forked */
};

struct sp_processes {
    struct sp_process *of;
    size_t n, n_runs;
};

/* [any] The index of the process that a region is of, which is added if it is new: a process may have several. */
size_t sp_processes_add(struct sp_processes *all, const struct sp_region *r);

/* [any] Finds parents and counts runs. */
void sp_processes_link(struct sp_processes *all);

/* [any] "app.py [4711]", of a forked child "app.py worker [4712]"; with its run if there are several of the set. */
void sp_processes_name(const struct sp_processes *all, size_t i, char *out, size_t cap);

/* [any] "run of 2026-11-23T08:13:05.123Z". */
void sp_processes_run_name(uint64_t run_ns, char *out, size_t cap);

/* [any] Frees them. */
void sp_processes_free(struct sp_processes *all);

#endif
