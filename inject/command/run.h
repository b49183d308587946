/* SPDX-License-Identifier: MIT
 * spprof run: the environment of the program, and what its processes left behind. */
#ifndef SP_INJECT_COMMAND_RUN_H
#define SP_INJECT_COMMAND_RUN_H

#include <stdbool.h>
#include <sys/types.h>
#include <time.h>

/* Where the profiles of one run go. */
struct sp_run_place {
    char directory[4096];        /* "": the working directory */
    const char *prefix, *suffix; /* profiles are PREFIX...SUFFIX there */
    char name[4096];
    bool is_temporary;
    struct timespec since; /* what is older is another run's */
};

/* [any] Of SPPROF_OUT, or a directory of its own if that is not set; false: a line was said. */
bool sp_run_place(struct sp_run_place *place, const char *out);

/* [any] Prints the report of the profiles to standard error, and removes them if nobody asked for them. That there is none
 * is said, unless `is_said`. */
void sp_run_report(struct sp_run_place *place, bool is_said);

#endif
