/* SPDX-License-Identifier: MIT
 * What the messages of a pprof file refer to by number: its strings, functions and locations. A location is a line of a
 * function; its number less 1 is its place here, the functions of the first view before those of the second. */
#ifndef SP_WRITERS_PPROF_TABLES_H
#define SP_WRITERS_PPROF_TABLES_H

#include "writers/view.h"

/* The strings that every file begins with; then those that sp_pprof_number() numbers. */
enum sp_pprof_string {
    SP_PPROF_EMPTY,
    SP_PPROF_SAMPLES,
    SP_PPROF_COUNT,
    SP_PPROF_CPU,
    SP_PPROF_WALL,
    SP_PPROF_NANOSECONDS,
    SP_PPROF_THREAD,
    SP_PPROF_THREAD_ID,
    SP_PPROF_PID,
    SP_PPROF_TASK,
    SP_PPROF_SPAN,
    SP_PPROF_STRINGS
};

#define SP_PPROF_COMMENTS 7
#define SP_PPROF_COMMENT_BYTES 512

struct sp_pprof_tables {
    const struct sp_view *views[2]; /* by line; the second of whole lives, NULL: there is none */
    uint32_t n_first, n_places;     /* of the first view; of both */
    /* by place */
    uint32_t *function, *name; /* number from 1; string, behind it sp_pprof_second() */
    uint32_t *file;            /* string; 0: none */
    /* strings */
    uint32_t comments, n_comments;      /* first, how many */
    uint32_t program, modules, threads; /* one; path and build id each; a profile each */
    uint32_t n_strings;
};

/* [hook] Numbers all of it, with memory of the first view's scratch area. False: there is no room. */
bool sp_pprof_number(struct sp_pprof_tables *t, struct sp_view *v, const struct sp_view *wall);

/* [hook] The function at a place. */
const struct sp_function *sp_pprof_function(const struct sp_pprof_tables *t, uint32_t place);

enum sp_pprof_second { SP_PPROF_NO_SECOND, SP_PPROF_SYMBOL, SP_PPROF_TASK_NAME, SP_PPROF_SPAN_NAME };

/* [hook] What the string behind a function's name is: a native one's symbol as it is linked, the name alone of an asyncio task or
 * of a span. */
enum sp_pprof_second sp_pprof_second(const struct sp_pprof_tables *t, uint32_t place);

/* [hook] Writes all strings. */
void sp_pprof_put_strings(const struct sp_pprof_tables *t, struct sp_out *o);

/* [hook] Digits of a library's build id in its text (region.h); 0: it has none. */
size_t sp_pprof_build_id(const struct sp_string *library);

#endif
