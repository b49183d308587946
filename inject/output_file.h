/* SPDX-License-Identifier: MIT
 * One profile under the first name of a series that can be had, without ever losing another one. */
#ifndef SP_INJECT_OUTPUT_FILE_H
#define SP_INJECT_OUTPUT_FILE_H

#include "inject/output_name.h"
#include "writers/writer.h"

#define SP_OUTPUT_VARIABLES 32

struct sp_output {
    char out[SP_PATH_BYTES];       /* SPPROF_OUT, absolute; "": default */
    char directory[SP_PATH_BYTES]; /* of default names */
    bool is_owner;                 /* first CPython process of the run */
    uint64_t run_started_ns;       /* wall clock: what is newer belongs to this run */
    uint64_t most_files;           /* of a run; 0: no limit */
    char host[65], script[128];
    char *environment[SP_OUTPUT_VARIABLES + 1]; /* what a name may need of it, copied */
    char variables[4 * SP_PATH_BYTES];
    const char *spool; /* file that holds the profile if it cannot be written; "": none */
    /* what this process wrote last: it may be replaced by the next */
    char written[SP_PATH_BYTES];
    bool is_written;      /* the last that was to be */
    bool replaces_oldest; /* of those that are kept: the next makes them no more */
    uint64_t written_inode, written_device;
    uint32_t written_number;
    bool written_with_pid;
    int failed_with;     /* as was said: of files that follow each other the next says nothing of the same */
    uint64_t skipped_ns; /* CPU in its lines, beyond most_files */
    /* of what it writes next, where closed recordings follow each other; 0: the first */
    uint32_t number;
    bool with_pid; /* ... for somebody's file of this run has the plain name */
};

/* A series of names. */
struct sp_output_naming {
    const char *out; /* "": default names */
    const char *directory;
    bool with_pid, may_replace;
    bool fallback; /* a directory that nobody asked for */
};

/* [hook] What was written last stays: the next profile has the number behind it, if it has one. */
void sp_output_go_on(struct sp_output *o);

#define SP_OUTPUT_SKIPPED 1 /* the run has its files, and a line stands for this one */

/* [hook] Writes the profile to the first name that can be had, which is in `path` (SP_PATH_BYTES) then, and in o->written. 0,
 * SP_OUTPUT_SKIPPED, or negative errno; -EPERM: the name is refused for what it is. One thread at a time. */
int sp_output_publish(struct sp_output *o, struct sp_profile *p, struct sp_output_naming n, struct sp_name_values *v,
                      char *path);

#endif
