/* SPDX-License-Identifier: MIT
 * A recording becomes a file. Who calls has the turn (turn.h) and a stack for it. */
#ifndef SP_INJECT_PUBLISH_H
#define SP_INJECT_PUBLISH_H

#include "inject/config.h"
#include "inject/identity.h"
#include "inject/output_file.h"

/* [start] How files are named and who speaks of them; `c` stays the caller's. is_first: the process is the first of the run. */
void sp_publish_init(const struct sp_config *c, const struct sp_identity *i, bool is_first);

/* [hook] A CPython that was loaded and never initialised has no profile. */
bool sp_publish_is_worth(void);

/* [hook] Writes the recording that goes on, which is frozen then. complete: it goes on no more. 0, negative errno (said in a
 * line), or SP_OUTPUT_SKIPPED. */
int sp_publish_live(struct sp_region *r, bool complete);
/* [hook] Writes one that is closed, of which nothing else knows; used_ns: the process's CPU that belongs to it. The next file has
 * another name. */
void sp_publish_closed(struct sp_region *r, uint64_t used_ns);

/* [any] The file that was written last; "": none was, or the last could not be. */
const char *sp_publish_written(void);

/* [fork-child] The parent's files are not this process's. */
void sp_publish_forked(void);

#endif
