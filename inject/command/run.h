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

/* [any] Of SPPROF_OUT, or a directory of its own if that is not set; false: a line was said, with the option that wants to know. */
bool sp_run_place(struct sp_run_place *place, const char *out, const char *option);

/* [any] Writes the profiles as one page (html; NULL: none), prints their report to standard error (report), and removes them if nobody
 * asked for them. That there is none is said, unless `is_said`. */
void sp_run_show(struct sp_run_place *place, const char *html, bool report, bool is_said);

#endif
