/* SPDX-License-Identifier: MIT
 * What of a loaded profile is wanted: stacks, threads, a span of time. Cut out of its region, so that report, convert, merge and
 * diff mean the same by it. */
#ifndef SP_INJECT_COMMAND_FILTER_H
#define SP_INJECT_COMMAND_FILTER_H

#include <regex.h>

#include "inject/command/command.h"
#include "inject/command/load.h"

/* Rows of a subcommand's options. */
#define SP_FILTER_ROWS                                                                                                       \
    {"--focus RE", NULL, "only stacks with a function, \"name (file:line)\", that this extended regular expression finds",   \
     NULL},                                                                                                                  \
        {"--ignore RE", NULL, "only stacks without such a function", NULL},                                                  \
        {"--thread RE", NULL, "only threads whose name it finds, \"worker (tid 4711)\"", NULL},                              \
        {"--span RE", NULL, "only stacks in a span (spprof.span()) whose name and tags it finds, \"checkout order=17\"",     \
         NULL},                                                                                                              \
        {"--from TIME", NULL, "only what came later: 90s, 1.5m after the process began; of a Speedscope file, which has no", \
         "such times, of each thread's own CPU, as the viewer's time order shows it"},                                       \
    {                                                                                                                        \
        "--to TIME", NULL, "only what came before it", NULL                                                                  \
    }

enum sp_filter_kind { SP_FILTER_FOCUS, SP_FILTER_IGNORE, SP_FILTER_THREAD, SP_FILTER_SPAN, SP_FILTER_N };

struct sp_filter { /* all zero: everything is wanted */
    regex_t re[SP_FILTER_N];
    bool has[SP_FILTER_N];
    bool has_from, has_to;
    uint64_t from_ns, to_ns;
    char said[256]; /* the options, for messages */
};

/* [any] Whether the option is one of these rows; then *why is what sp_cli_take() returns. */
bool sp_filter_take(struct sp_filter *f, const struct sp_cli_given *g, const char **why);

/* [any] Whether anything is left out by it. */
bool sp_filter_is_set(const struct sp_filter *f);

/* [any] Leaves in a loaded profile what is wanted; what cannot be cut is left out, and a line says so. SP_FILTER_NOTHING: no CPU
 * and no wait is left. SP_FILTER_FAILED: a line was said. */
enum sp_filter_left { SP_FILTER_SOME, SP_FILTER_NOTHING, SP_FILTER_FAILED };
enum sp_filter_left sp_filter_apply(const struct sp_filter *f, struct sp_loaded *l);

/* [any] The line for a set of profiles of which nothing is left; 1. */
int sp_filter_refuse(const struct sp_filter *f, const char *name, bool is_one);

/* [any] sp_load(), then sp_filter_apply(). */
enum sp_filter_left sp_filter_load(const struct sp_filter *f, struct sp_loaded *l, const char *name);

#endif
