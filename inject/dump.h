/* SPDX-License-Identifier: MIT
 * Every thread's stack as it is now, for one who asks (doorbell.h). A thread that sleeps is not signalled: its stack is read from
 * outside, and holds if its state and the time that it ran were the same before and after. One that runs is rung and takes its
 * own. Native frames are among them where the options ask for them, and of a sleeper where the system tells at which instruction it
 * sleeps. */
#ifndef SP_INJECT_DUMP_H
#define SP_INJECT_DUMP_H

#include "compat/ring.h"

/* [hook] Writes them to a file (compat/ring.h), in a process beside this one, or here, in a thread that was interrupted in `context` (a
 * ucontext_t; NULL: it took the signal from those that waited); by who has the turn. 0, or negative errno. */
int sp_dump_write(int file, bool is_beside, const void *context);

/* [hook] The calling thread, interrupted in `context` as above, was asked for its stack, with this value. */
void sp_dump_answer(uint64_t value, const void *context);

#endif
