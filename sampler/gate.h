/* SPDX-License-Identifier: MIT
 * The one way to the region: whoever writes to it, a handler or a thread that begins or ends, goes in and out here. While
 * the gate is closed the region belongs to the one who closed it. Nobody waits in front of it: who finds it closed leaves
 * what there is to do in a place of their own, and says so. The gate lies in the process's own memory and is passed before
 * the region's address is read. */
#ifndef SP_SAMPLER_GATE_H
#define SP_SAMPLER_GATE_H

#include "compat/base.h"

/* [handler] True: the caller may write to the region until sp_gate_leave(), which must come soon. Nests. */
SP_SIGSAFE bool sp_gate_enter(void);
SP_SIGSAFE void sp_gate_leave(void);

/* [handler] Whether the calling thread is inside, in what a handler interrupted. */
SP_SIGSAFE bool sp_gate_is_inside(void);

/* [handler] After sp_gate_enter() said no: what the caller left will be seen to before the gate opens. False: it is open
 * again, the caller does it itself. */
SP_SIGSAFE bool sp_gate_leave_work(void);

/* [hook] Waits, at most `limit_ns`, until everybody has left who is inside now, but the calling thread. False: somebody has
 * not. The gate stays open; one at a time, and nobody closes it meanwhile. */
bool sp_gate_pass(uint64_t limit_ns);

/* [hook] Closes the gate and waits, at most `limit_ns`, until nobody is inside but the calling thread. False: somebody is, and may
 * be for long. One at a time. */
bool sp_gate_close(uint64_t limit_ns);

/* [any] By who closed it. False: it is closed still, for work was left since; see to it, try again. */
bool sp_gate_open(void);

/* [fork-child] Open, and nobody inside. */
void sp_gate_forked(void);

#endif
