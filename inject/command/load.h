/* SPDX-License-Identifier: MIT
 * Whatever the command reads becomes a region: a spool file, a running process, a Speedscope file. What the source says and
 * a region has no place for stands beside it; what the source lacks is not made up. */
#ifndef SP_INJECT_COMMAND_LOAD_H
#define SP_INJECT_COMMAND_LOAD_H

#include "inject/command/source.h"
#include "writers/writer.h"

struct sp_loaded_line {
    uint32_t frame;
    int32_t line;
    double self, total; /* ns */
};

struct sp_loaded {
    const char *name; /* for messages; the caller's */
    struct sp_region *region;
    uint64_t bytes;
    struct sp_profile profile; /* of the region */
    uint64_t lost_ns;          /* CPU of records that name something that is not there; shown as (overflow) */
    /* of a Speedscope file, whose stacks are of functions and may have been bounded */
    bool is_text;
    struct sp_told told;
    struct sp_loaded_line *lines; /* what each line cost */
    size_t n_lines;
    uint32_t *sources; /* frames of native functions whose source is known, and that look like Python's here */
    size_t n_sources;
    bool lines_lost;             /* it had some, of all its stacks: some of these were left out (filter.h) */
    double window_ms, folded_ns; /* what bounding did */
    uint64_t whole_ns;           /* CPU before that; 0: nothing was left out */
};

/* [any] Loads a file, or the process of that number if there is no such file. 0; else 1, and a line on stderr says why. What
 * was loaded goes with sp_unload(), after a failure as well. */
int sp_load(struct sp_loaded *l, const char *name);

/* [any] The same, of bytes of a region; s->name is the name. */
int sp_load_region(struct sp_loaded *l, const struct sp_source *s);

/* [any] sp_source_of_process(), or where that is refused what the process itself gives when it is asked. NULL, or why not. */
const char *sp_load_process_source(struct sp_source *s, pid_t pid);

/* [any] The same, of the text of a Speedscope file, with a NUL behind it. (load_speedscope.c) */
int sp_load_speedscope(struct sp_loaded *l, const char *text, size_t n);

/* [any] Frees all of it. */
void sp_unload(struct sp_loaded *l);

/* [any] Memory for a region of so many bytes, all zero, taken as it is touched. False: there is none. */
bool sp_load_reserve(struct sp_loaded *l, uint64_t bytes);

#endif
