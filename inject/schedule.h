/* SPDX-License-Identifier: MIT
 * When recordings begin and end by the clock. No thread waits for that: a tick looks at the clock, so what is due happens when the
 * program next uses CPU. */
#ifndef SP_INJECT_SCHEDULE_H
#define SP_INJECT_SCHEDULE_H

#include "inject/config.h"

/* [start] `c` stays the caller's; what cannot be had is said, and switched off there. */
void sp_schedule_init(struct sp_config *c);

/* [start] Whether a recording begins now; if not, whether one is going to. The process began at the moment of the call. */
bool sp_schedule_begins_now(void);
bool sp_schedule_awaits(void);

/* [hook] A recording has begun. */
void sp_schedule_begun(void);

/* [fork-child] The parent's closed recording is the parent's to write. */
void sp_schedule_forked(void);

#endif
