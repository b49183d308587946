/* SPDX-License-Identifier: MIT
 * The only file that orders start and stop: OFF -> RUNNING -> DONE, and what fork and failed execs do to that. */
#ifndef SP_INJECT_LIFECYCLE_H
#define SP_INJECT_LIFECYCLE_H

#include "sampler/handler.h"

/* [start] The constructor's work: looks for a CPython and starts sampling if there is one. */
void sp_lifecycle_load(void);

/* [any] A CPython appeared in the library that contains `address` (dlopen), or initialises again. */
void sp_lifecycle_python_starts(const void *address);

/* Whether this process is being profiled: the region if so, else NULL. False in a vfork child, which runs on
 * its parent's memory. [any], async-signal-safe. */
struct sp_region *sp_lifecycle_region(void);

/* Whether this is the process that our state belongs to: false in a vfork child. */
bool sp_lifecycle_is_own_process(void);

/* [any] A fork child is going to run Python: makes its profile now. */
void sp_lifecycle_child_runs_python(void);

enum sp_finish {
    SP_FINISH_END,
    SP_FINISH_EXEC,    /* the program is about to be replaced */
    SP_FINISH_SNAPSHOT /* it goes on for sure */
};

/* [any] Writes the profile, once; who comes second waits until it is written, at most 10 s. Unless it is the end the
 * store thaws afterwards and a later call writes again. Async-signal-safe. */
void sp_lifecycle_finish(enum sp_finish how);

/* [any] The program was not replaced after all. */
void sp_lifecycle_exec_failed(void);

/* [any] The same on the way into _exit(): what arrives meanwhile changes nothing any more. */
void sp_lifecycle_finish_and_exit(void);

/* The slot of the calling thread; NULL: none. */
struct sp_thread *sp_lifecycle_self(void);
/* [any] The calling thread runs in this slot from now on: clock, mask, timer. stack_top as in sp_thread_begin. */
void sp_lifecycle_thread_begins(struct sp_region *r, struct sp_thread *t, uintptr_t stack_top);

#endif
