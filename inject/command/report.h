/* SPDX-License-Identifier: MIT
 * The parts of spprof report: what was loaded (load.h) is added to a table of rows (report_rows.c, report_lines.c) and to what
 * the header says of all of it (report_head.c). */
#ifndef SP_INJECT_COMMAND_REPORT_H
#define SP_INJECT_COMMAND_REPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "inject/command/describe.h"
#include "inject/command/load.h"
#include "inject/command/processes.h"
#include "writers/view.h"

/* ---- rows */
#define SP_REPORT_SORTS "self, total, name"

enum sp_report_sort { SP_REPORT_SELF, SP_REPORT_TOTAL, SP_REPORT_NAME }; /* in the order of SP_REPORT_SORTS */

struct sp_report_row {
    char *name;                 /* owned */
    size_t place;               /* where in it " (file:line)" begins */
    double self, total;         /* ns: of CPU, or of whole lives */
    double cpu_self, cpu_total; /* ns of CPU, beside those of lives */
    uint64_t seen;              /* number of the last stack that it was counted in */
    bool is_busy;               /* by threads: one that is not idle is called so */
};

/* A thread of a file. */
struct sp_report_gil {
    char *name;                /* owned */
    double held, waited, most; /* ns; most: of the wait, while one function held the GIL: */
    char *most_of;             /* owned; NULL: none is known */
};

struct sp_report_rows {
    enum sp_report_by by;
    bool wall;                     /* of whole lives, and CPU beside them */
    struct sp_processes processes; /* of a tree of them */
    struct sp_report_tree *tree;   /* NULL: rows are not asked for as a tree */
    bool no_idle;                  /* ... but not those of idle threads: that used a CPU for less than a thousandth of them */
    struct {
        double all, cpu, waits, idle; /* ns */
        double gil, mutex, stopped;   /* of the waits: for the GIL; without one for a PyMutex, and while the world stops */
        double held, explained;       /* the GIL was held; of the waits for it what is known of who did */
        double threads, idle_threads;
        bool natives; /* threads without Python are among them */
    } lives;
    struct sp_report_gil *gil; /* by the GIL: of each thread that held it or waited for it */
    size_t n_gil;
    struct sp_report_row *row;
    size_t n;
    int *slots; /* hash table of names: row number + 1 */
    size_t n_slots;
    uint64_t n_stacks;
    double sum; /* ns; what 100 % is */
};

/* [any] Adds what was loaded. False: there is no memory for a view of it. */
bool sp_report_add(struct sp_report_rows *rows, const struct sp_loaded *l);

/* [any] Adds to the row of that name, which is made if there is none. Until the next is made, the row is the caller's. */
struct sp_report_row *sp_report_row(struct sp_report_rows *rows, const char *name);
void sp_report_add_to(struct sp_report_rows *rows, const char *name, double self, double total);

/* [any] Adds what the threads of a view of whole lives waited for that is the interpreter's own. */
void sp_report_add_gil(struct sp_report_rows *rows, struct sp_view *v);
/* [any] Sorts these threads, and how many of them are shown. */
size_t sp_report_sort_gil(struct sp_report_rows *rows, long limit);

/* [any] The next node of a stack towards its root. 0: there is none. */
SP_INLINE uint32_t sp_report_caller(const struct sp_view *v, uint32_t node)
{
    return v->canon[sp_node_at(v->region, node)->parent];
}

SP_INLINE uint32_t sp_report_function(const struct sp_view *v, uint32_t node)
{
    return v->function_of_frame[sp_node_at(v->region, node)->frame];
}

/* [any] By lines: as sp_report_add(), `self` being the CPU of each node of a fresh view. */
bool sp_report_add_lines(struct sp_report_rows *rows, const struct sp_loaded *l, struct sp_view *v, const uint64_t *self);

/* [any] By process: makes the tree of all that were added, each run's below a row of its own if there are several. */
void sp_report_plant_processes(struct sp_report_rows *rows);

/* [any] Sorts the table, and how many rows are shown of it: at most `limit` (0: all). */
size_t sp_report_sort(struct sp_report_rows *rows, enum sp_report_sort sort, long limit);

/* ---- the header */
#define SP_REPORT_KEYS 64
#define SP_REPORT_COMMANDS 4
#define SP_REPORT_PIDS 8
#define SP_REPORT_SKIPPED 64

struct sp_report_amounts { /* sums by key, in the order in which keys were met */
    char *key[SP_REPORT_KEYS];
    double sum[SP_REPORT_KEYS];
    int n;
};

struct sp_report_command {
    char *text, *python;
    double pids[SP_REPORT_PIDS];
    int n; /* files of it */
};

/* Processes that left a line in a NAME.skipped in place of a profile. */
struct sp_report_skipped {
    uint64_t inode[SP_REPORT_SKIPPED], device[SP_REPORT_SKIPPED]; /* of the files that were read */
    int n_files;
    double n, ns;
};

struct sp_report_head {
    struct sp_report_command command[SP_REPORT_COMMANDS];
    int n_commands, n_files, n_cut, n_other_commands;
    uint64_t runs[SP_REPORT_KEYS];
    int n_runs;                                 /* as many as there is room for */
    int n_without;                              /* files of which a filter left nothing */
    double whole;                               /* CPU before a filter left some of it out */
    double used, first_ns, last_ns, longest_ns; /* ns; of wall time: since 1970, the longest run */
    double samples, sampled_ns, prompt_ns, shortest_interval_ns, longest_interval_ns;
    double short_ns; /* CPU of threads that used less than an interval */
    char engine[16];
    struct sp_report_amounts elsewhere, losses;
    double window_ms, folded_ns;
    bool no_order, hides_waits; /* ...: of whole lives, which are not asked for */
    struct sp_report_skipped skipped;
};

/* [any] Adds what is said of a run. False: there is no memory for a view of it. */
bool sp_report_add_head(struct sp_report_head *h, const struct sp_loaded *l);
/* [any] Prints it in so many columns (0: any). */
void sp_report_print_head(const struct sp_report_head *h, int columns);

/* [any] Whether that is the name of a file of lines; adds what it holds, once. 0; else 1 and a line on stderr. */
bool sp_report_is_skipped(const char *path);
int sp_report_add_skipped(struct sp_report_skipped *s, const char *path);
/* [any] Adds those beside a profile that lie there for processes of its name. */
void sp_report_add_skipped_beside(struct sp_report_skipped *s, const char *profile);
/* [any] A line, or nothing. */
void sp_report_print_skipped(FILE *out, const struct sp_report_skipped *s);

#endif
