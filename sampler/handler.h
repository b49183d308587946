/* SPDX-License-Identifier: MIT
 * The signal handler, and the store that it fills. */
#ifndef SP_SAMPLER_HANDLER_H
#define SP_SAMPLER_HANDLER_H

#include <signal.h>

#include "sampler/engine.h"

/* What a handler of ours takes of the stack at most, beside the frame that the kernel puts there. tests/lint/stack.py */
#define SP_HANDLER_BYTES 2560

/* The region of this process; NULL while nothing is recorded. To be read inside the gate: another one may take its place at any
 * moment, and then this one is gone as soon as nobody is inside who may have read it. */
extern struct sp_region *sp_region;

/* The `profile` of the one that was made last. Threads: written by who makes it, read by any. */
extern uint32_t sp_region_newest;

SP_INLINE struct sp_region *sp_region_now(void)
{
    return __atomic_load_n(&sp_region, __ATOMIC_SEQ_CST); /* pairs with the exchange before sp_gate_pass */
}

/* [handler] SIGPROF. A tick of ours becomes a finished sample; any other goes to sp_handler_foreign. */
SP_SIGSAFE void sp_handler(int sig, siginfo_t *info, void *context);

/* [handler] A tick that its thread, the calling one, took where the program would have seen it: becomes the sample that the
 * handler would have made of it. All signals are blocked, as in the handler. */
SP_SIGSAFE void sp_handler_taken(const siginfo_t *info);

/* [handler] Whether the signal is a tick of ours. */
SP_SIGSAFE bool sp_handler_is_tick(const siginfo_t *info);

/* [handler] Whether a handler with this context stands on an alternate stack without SP_HANDLER_BYTES left: one that the
 * program registered past libc, or has nearly used up. */
SP_SIGSAFE bool sp_handler_is_cramped(const void *context);

/* What receives a SIGPROF that is not ours: inject/hook_signal.c sets it. */
extern void (*sp_handler_foreign)(int sig, siginfo_t *info, void *context);
/* What makes the region of a fork child that ticks before anything else did: inject/lifecycle.c sets it. */
extern void (*sp_handler_forked)(void);

/* What is to be done at the first tick from this moment on, on sp_os_mono_ns(): inject/schedule.c sets both. All signals are
 * blocked, the gate may be entered, and what the tick interrupted may be inside it. */
extern uint64_t sp_handler_due_ns;
extern void (*sp_handler_due)(void);

/* [any] The store belongs to the caller: the gate is closed, nobody is inside. Waits at most `limit_ns` for that.
 * False: somebody is inside still.
 * Fills end_cpu_ns and rest_ns of the living threads. */
bool sp_handler_freeze(struct sp_region *r, uint64_t limit_ns);
/* [hook] Opens the gate, once what was left in front of it is done. */
void sp_handler_thaw(struct sp_region *r);

#endif
