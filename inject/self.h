/* SPDX-License-Identifier: MIT
 * The calling thread's part in the profile: it begins in a slot, which its creator or itself claimed, and ends there. */
#ifndef SP_INJECT_SELF_H
#define SP_INJECT_SELF_H

#include "inject/birth.h"

/* [start] Threads tell when they end. */
void sp_self_init(void);

/* [any] The calling thread begins; `birth` is what its creator left of it, and is given back. stack_top as in
 * sp_thread_begin. */
void sp_self_begin(struct sp_birth *birth, uintptr_t stack_top);

/* [handler] Begins in slot `t`, inside the gate: clock and timer. before_ns: what its clock showed before its profile
 * began; timer: one that it has already, or SP_OS_NO_TIMER. 0, or why it got none. */
SP_SIGSAFE int sp_self_run_in(struct sp_region *r, struct sp_thread *t, uint64_t before_ns, int timer);

/* [any] The end of the calling thread's stack, for who knows it before sp_self_begin(). */
void sp_self_set_stack_top(uintptr_t stack_top);

/* [fork-child] The calling thread has no slot here. */
void sp_self_forked(void);

#endif
