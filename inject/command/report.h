/* SPDX-License-Identifier: MIT
 * The parts of spprof report: files are read one after the other (report_file.c) and added to a table of rows
 * (report_rows.c) and to what the header says of all of them (report_head.c). */
#ifndef SP_INJECT_COMMAND_REPORT_H
#define SP_INJECT_COMMAND_REPORT_H

#include <regex.h>
#include <stdbool.h>
#include <stdint.h>

#include <cjson/cJSON.h>

/* ---- a profile as a file; all of it goes with sp_report_close() */
struct sp_report_file {
    const char *path;
    cJSON *root;
    const cJSON *profiles, *block; /* block: the object "spprof" */
    const cJSON **frame;           /* by index */
    int n_frames;
};

/* [any] 0; else 1, and a line on stderr says why the file is no profile of ours. */
int sp_report_open(struct sp_report_file *f, const char *path);
void sp_report_close(struct sp_report_file *f);
/* [any] A member of an object: 0, "" if it is not there or something else. */
double sp_report_number(const cJSON *object, const char *key);
const char *sp_report_string(const cJSON *object, const char *key);
/* [any] A line on stderr; returns 1. `name` may hold anything. */
int sp_report_fail(const char *name, const char *what);
/* [any] realloc that ends the command where there is no memory. */
void *sp_report_alloc(void *p, size_t n);

/* ---- rows */
enum sp_report_by { SP_REPORT_FUNCTION, SP_REPORT_LINE, SP_REPORT_FILE, SP_REPORT_THREAD, SP_REPORT_PROCESS };

struct sp_report_row {
    char *name;         /* owned */
    double self, total; /* ns */
    uint64_t seen;      /* number of the last stack that it was counted in */
};

struct sp_report_rows {
    enum sp_report_by by;
    const regex_t *thread; /* NULL: all of them */
    struct sp_report_row *row;
    size_t n;
    int *slots; /* hash table of names: row number + 1 */
    size_t n_slots;
    uint64_t n_stacks;
    double sum; /* ns; what 100 % is */
};

/* [any] Adds what a file holds. 0; else 1 and a line on stderr. */
int sp_report_add(struct sp_report_rows *rows, const struct sp_report_file *f);

/* [any] Prints the table: `sort` is self, total or name; at most `limit` rows (0: all). */
void sp_report_print_rows(struct sp_report_rows *rows, const char *sort, long limit);

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
    double used, first_ns, last_ns, longest_ns; /* ns; of wall time: since 1970, the longest run */
    double samples, sampled_ns, prompt_ns, shortest_interval_ns, longest_interval_ns;
    double short_ns; /* CPU of threads that used less than an interval */
    char engine[16];
    struct sp_report_amounts elsewhere, losses;
    double window_ms, folded_ns;
    bool no_order;
    struct sp_report_skipped skipped;
};

/* [any] Adds what a file says of its run. */
void sp_report_add_head(struct sp_report_head *h, const struct sp_report_file *f);
void sp_report_print_head(const struct sp_report_head *h);

/* [any] Whether that is the name of a file of lines; adds what it holds, once. 0; else 1 and a line on stderr. */
bool sp_report_is_skipped(const char *path);
int sp_report_add_skipped(struct sp_report_skipped *s, const char *path);
/* [any] Adds those beside a profile that lie there for processes of its name. */
void sp_report_add_skipped_beside(struct sp_report_skipped *s, const char *profile);
/* [any] A line, or nothing. */
void sp_report_print_skipped(const struct sp_report_skipped *s);

/* [any] "1.23s": a time for people. */
void sp_report_time(double ns, char *out, size_t cap);

#endif
