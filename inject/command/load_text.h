/* SPDX-License-Identifier: MIT
 * The parts of load_speedscope.c: the facts of the block "spprof" (load_facts.c), and what is said of a file that is none. */
#ifndef SP_INJECT_COMMAND_LOAD_TEXT_H
#define SP_INJECT_COMMAND_LOAD_TEXT_H

#include <cjson/cJSON.h>

#include "inject/command/load.h"
#include "inject/command/scan.h"

struct sp_load_reader {
    struct sp_loaded *l;
    struct sp_region *r;
    struct sp_scan frames, profiles, block, lines, natives, gil;
    cJSON *facts;      /* the block without its tables of lines and native functions */
    uint32_t *modules; /* texts of libraries (region.h) */
    int n_modules;
    struct native { /* the next native function that the file tells of; frame -1: no more */
        double frame, module, place;
    } native;
    uint32_t *frame; /* of the file -> of the region; 0: no room for it */
    size_t n_frames, cap_frames;
    int n_profiles;
    int n_lives;                /* profiles of whole lives, behind the others */
    struct sp_load_life *lives; /* one for each profile; NULL: no lives are told */
    uint64_t unseen_ns;         /* of a file with one profile: CPU that no thread has and that profile shows */
};

/* A thread, or what stands for several: then there is no slot. */
struct sp_load_owner {
    struct sp_thread *t;
    uint32_t interpreter; /* node that its stacks stand on; 0: none */
    uint64_t since_ns;
    bool is_sum; /* of the others: it is checked, and that is all */
};

struct sp_load_life {
    char *title; /* of the thread's first profile */
    struct sp_thread *t;
    uint64_t cpu_ns; /* of that */
};

typedef void sp_load_book(struct sp_load_reader *in, struct sp_load_owner *o, uint32_t node, uint64_t ns);

/* [any] Books each entry of a profile. 0; else 1, and a line was said. (load_speedscope.c) */
int sp_load_entries(struct sp_load_reader *in, struct sp_load_owner *o, struct sp_scan samples, struct sp_scan weights,
                    sp_load_book *book_entry);

/* [any] Reads the profiles of whole lives, `s` being behind the others: waits go to the threads that are there. 0; else 1, and a
 * line was said. (load_lives.c) */
int sp_load_lives(struct sp_load_reader *in, struct sp_scan *s);
/* [any] Reads where others held the GIL while each thread waited for it. 0; else 1, and a line was said. (load_lives.c) */
int sp_load_gil(struct sp_load_reader *in);
/* [any] The call path of the next stack, root first; 0: it is damaged, or deeper than any. (load_speedscope.c) */
uint32_t sp_load_stack(struct sp_load_reader *in, struct sp_scan *stacks, const struct sp_load_owner *o);
void sp_load_forget_lives(struct sp_load_reader *in);

/* [any] A member of an object: 0, "" if it is not there or something else; sp_fact_u64 also for what is below 0, and 2^53 at
 * most. */
double sp_fact(const cJSON *object, const char *key);
uint64_t sp_fact_u64(const cJSON *object, const char *key);
const char *sp_fact_text(const cJSON *object, const char *key);

/* [any] A value as a tree, cJSON_Delete() by the caller. NULL: it is no JSON, or has more than `most` bytes. */
cJSON *sp_fact_tree(const struct sp_scan *value, size_t most);

/* [any] Makes the region, which was reserved, an empty profile of the process that the block tells of, and fills what the
 * loaded has beside it, but for the lines. */
void sp_load_facts(struct sp_loaded *l, const cJSON *block);

/* [any] The line for a text that is no JSON; 1. */
int sp_load_refuse(const struct sp_loaded *l, const char *text, size_t n);

#endif
