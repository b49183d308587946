/* SPDX-License-Identifier: MIT
 * Where a profile goes, and putting it there without ever losing another one. */
#ifndef SP_INJECT_OUTPUT_H
#define SP_INJECT_OUTPUT_H

#include "inject/config.h"
#include "inject/output_file.h"

/* [start] Resolves names against the working directory, looks whether the place can be written to and a format is known for
 * the name, and says so if not. format: number of the one that is forced, from 1; 0: none. Keeps nothing of `environment`. */
void sp_output_init(struct sp_output *o, const char *out, uint64_t format, char *const *environment);

/* [hook] Writes the profile of a frozen region and publishes it. 0, or negative errno (said in a line), or
 * SP_OUTPUT_SKIPPED. Blocks SIGXFSZ meanwhile; allocates nothing. */
int sp_output_write(struct sp_output *o, struct sp_profile *p);

#endif
