/* SPDX-License-Identifier: MIT
 * A function's source with what each line cost beside it. The source is read where the profile says it was. */
#ifndef SP_INJECT_COMMAND_LISTING_H
#define SP_INJECT_COMMAND_LISTING_H

#include "inject/command/load.h"

enum sp_listing_state {
    SP_LISTING_READ,
    SP_LISTING_MISSING, /* it cannot be read, or has not so many lines */
    SP_LISTING_CHANGED, /* it was written to after the profile began, or the function begins elsewhere */
};

struct sp_listing_line {
    int line;
    double self, total; /* ns */
    char *text;         /* owned; NULL: it is not known */
    bool is_near;       /* to a line that cost something, or the function's first */
};

struct sp_listing_function {
    char *name, *file; /* owned */
    int first_line;
    double self, total;     /* ns */
    uint64_t begun_wall_ns; /* the earliest profile; 0: not known */
    struct sp_listing_line *line;
    size_t n;
    enum sp_listing_state state;
    const char *why; /* it is not as it was; NULL */
};

struct sp_listing {
    const char *asked;
    struct sp_listing_function *of;
    size_t n;
    double sum; /* ns of all functions */
};

/* [any] Adds what the functions that are asked for cost. 0; else 1, and a line on stderr. */
int sp_listing_add(struct sp_listing *all, const struct sp_loaded *l);

/* [any] Reads the sources. */
void sp_listing_finish(struct sp_listing *all);

/* [any] For a terminal of so many columns (0: any). */
void sp_listing_print(const struct sp_listing *all, int columns);

#endif
