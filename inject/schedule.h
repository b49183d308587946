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

/* [hook] Of one who asks from outside, for who has the turn, in a thread of the process: a recording begins, ends, or is left and
 * another one begins. What was closed so is then to be written, or only released, by who has the turn, here or beside. */
enum sp_order { SP_ORDER_BEGIN, SP_ORDER_END, SP_ORDER_RESET };
enum sp_obeyed {
    SP_OBEYED,
    SP_OBEYED_ALREADY, /* something is recorded already; or, of the others, nothing is */
    SP_OBEYED_LATER,   /* the interpreter is not there yet */
    SP_OBEYED_IN_USE,  /* sp_schedule_keep() */
    SP_OBEYED_NO_MEMORY
};
enum sp_obeyed sp_schedule_obey(enum sp_order order);
void sp_schedule_finish(enum sp_order order);
/* [hook] Whether an exec is under way, by who has the turn. */
bool sp_schedule_is_held(void);
/* [hook] All signals are blocked, in a thread that has made a process beside: it is buried at a tick. */
void sp_schedule_bury_soon(void);

/* [hook] A recording has begun. */
void sp_schedule_begun(void);

/* [hook] An exec begins, or has failed: between them no process is made whose end the new program would be told of. Before the
 * exec the turn (turn.h) is to be had once. */
void sp_schedule_hold(bool begins);

/* [hook] For who has the turn: writes what was closed and nobody wrote, for who was to was killed. */
void sp_schedule_write_left(void);

/* [any] Whether ends and rotations wait; by who has the turn (turn.h). They come with the first tick afterwards. */
void sp_schedule_keep(bool keeps);

/* [fork-child] The parent's closed recording is the parent's to write. */
void sp_schedule_forked(void);

#endif
