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

/* [handler] After sp_gate_enter() said no: what the caller left will be seen to before the gate opens. False: it is open
 * again, the caller does it itself. */
SP_SIGSAFE bool sp_gate_leave_work(void);

/* [any] Closes the gate and waits, at most `limit_ns`, until nobody is inside but the calling thread. One at a time. */
void sp_gate_close(uint64_t limit_ns);

/* [any] By who closed it. False: it is closed still, for work was left since; see to it, try again. */
bool sp_gate_open(void);

/* [fork-child] Open, and nobody inside. */
void sp_gate_forked(void);

#endif
