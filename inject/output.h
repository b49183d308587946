/* SPDX-License-Identifier: MIT
 * Where a profile goes, and putting it there without ever losing another one. */
#ifndef SP_INJECT_OUTPUT_H
#define SP_INJECT_OUTPUT_H

#include "inject/config.h"
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
    uint64_t written_inode, written_device;
    uint64_t skipped_ns; /* CPU in its lines, beyond most_files */
};

/* [start] Resolves names against the working directory, looks whether the place can be written to, and says so
 * if not. Keeps nothing of `environment`. */
void sp_output_init(struct sp_output *o, const char *out, char *const *environment);

/* [any] Writes the profile of a frozen region and publishes it. 0, or negative errno (said in a line), or 1: the run has
 * its files, and a line stands for this one. Blocks
 * SIGXFSZ meanwhile; allocates nothing. */
int sp_output_write(struct sp_output *o, struct sp_profile *p);

#endif
