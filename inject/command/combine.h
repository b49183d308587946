/* SPDX-License-Identifier: MIT
 * Several profiles become one region: each process's stacks stand on a frame of its own, "app.py [4711]", or threads of one name
 * are one. */
#ifndef SP_INJECT_COMMAND_COMBINE_H
#define SP_INJECT_COMMAND_COMBINE_H

#include "inject/command/load.h"
#include "inject/command/processes.h"

struct sp_combined {
    struct sp_loaded all;       /* what was combined, when it is finished */
    bool sum;                   /* threads of one name are one */
    const char *side;           /* all that is added is one thread of this name, with sum; NULL: threads stay what they are */
    uint32_t n;                 /* profiles so far */
    uint64_t first_ns, last_ns; /* wall clock: begin of the first, end of the last */
    bool one_command;           /* all are of the same */
    struct sp_combined_codes {
        uint32_t *slots, n_slots; /* hash table of ids */
        uint32_t n;
    } codes;
    struct sp_processes processes;
    uint32_t *frames; /* of each process; 0: none */
    size_t n_frames;
};

/* [any] An empty one. 0; else 1, and a line on stderr. sp_combine_close() frees it, after a failure as well. */
int sp_combine_open(struct sp_combined *c, bool sum);

/* [any] Adds a profile, which may be unloaded afterwards. 0; else 1, and a line on stderr. */
int sp_combine_add(struct sp_combined *c, const struct sp_loaded *l);

/* [any] c->all.profile is all of it. */
void sp_combine_finish(struct sp_combined *c);

/* [any] Frees it. */
void sp_combine_close(struct sp_combined *c);

#endif
