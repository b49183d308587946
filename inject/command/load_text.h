/* SPDX-License-Identifier: MIT
 * The parts of load_speedscope.c: the facts of the block "spprof" (load_facts.c), and what is said of a file that is none. */
#ifndef SP_INJECT_COMMAND_LOAD_TEXT_H
#define SP_INJECT_COMMAND_LOAD_TEXT_H

#include "inject/command/load.h"
#include "inject/command/scan.h"

/* [any] A member of an object: 0, "" if it is not there or something else; sp_fact_u64 also for what is below 0, and 2^53 at
 * most. */
double sp_fact(const cJSON *object, const char *key);
uint64_t sp_fact_u64(const cJSON *object, const char *key);
const char *sp_fact_text(const cJSON *object, const char *key);

/* [any] Makes the region, which was reserved, an empty profile of the process that the block tells of, and fills what the
 * loaded has beside it, but for the lines. */
void sp_load_facts(struct sp_loaded *l, const cJSON *block);

/* [any] The line for a text that is no JSON; 1. */
int sp_load_refuse(const struct sp_loaded *l, const char *text, size_t n);

#endif
