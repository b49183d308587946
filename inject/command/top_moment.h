/* SPDX-License-Identifier: MIT
 * What spprof top knows of its sources at one moment: rows, and what stands above them. */
#ifndef SP_INJECT_COMMAND_TOP_MOMENT_H
#define SP_INJECT_COMMAND_TOP_MOMENT_H

#include "inject/command/report.h"

#define SP_TOP_KINDS 3 /* of rows: functions, lines, threads */

/* A file or a process, read anew at each moment. One that had to be asked for its image (load.h) is asked again only when it has used
 * CPU since: a ring costs it some, and tells nothing new of one that sleeps. */
struct sp_top_source {
    const char *name;         /* the caller's */
    pid_t pid;                /* 0: a file */
    struct sp_source image;   /* what it gave; fd -1: nothing */
    unsigned long used_ticks; /* before that */
};

struct sp_top_moment {
    struct sp_report_rows rows[SP_TOP_KINDS];
    double at_s, samples, losses;
    double threads; /* that the processes have now; 0: none of them is one that runs */
    struct {
        double held, waited;          /* ns: some thread had it; threads waited for it, all together */
        bool is_known, is_untold, is; /* of a source with SPPROF_WALL; of one without; of any that has a GIL */
    } gil;
    char python[40], command[512];
};

/* [any] A source of that name, as report has them; what it holds is given back by the second. */
struct sp_top_source sp_top_source(const char *name);
void sp_top_source_close(struct sp_top_source *s);

/* [any] Reads them; lines on stderr say what could not be. NULL: nothing could. sp_top_free() frees it. */
struct sp_top_moment *sp_top_read(struct sp_top_source *sources, int n);
void sp_top_free(struct sp_top_moment *m);

#endif
