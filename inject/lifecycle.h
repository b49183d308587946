/* SPDX-License-Identifier: MIT
 * The only file that orders start and stop: OFF -> WATCHING -> RUNNING (session.h), and what ends, forks and failed execs do to that. */
#ifndef SP_INJECT_LIFECYCLE_H
#define SP_INJECT_LIFECYCLE_H

#include "inject/recording.h"
#include "inject/session.h"
#include "sampler/handler.h"

/* [start] The constructor's work: looks for a CPython and starts sampling if there is one. True: there is, and it has not begun. */
bool sp_lifecycle_load(void);

/* [any] A CPython appeared in the library that contains `address` (dlopen), or initialises again. True: it appeared, and the calling
 * thread is initialising it. */
bool sp_lifecycle_python_starts(const void *address);

/* [any] A fork child is going to run Python: makes its profile now. */
void sp_lifecycle_child_runs_python(void);

/* [hook] Writes the profile, once; who comes second waits until it is written, or for 10 s in which the writer
 * used no CPU. Unless it is the end the store thaws afterwards and a later call writes again. */
void sp_lifecycle_finish(enum sp_finish how);

/* [hook] Calls `fork`, which runs no handlers of libc's: those of ours as it would. */
int sp_lifecycle_fork_bare(int (*fork)(void));

/* [any] Whether native frames are wanted. */
bool sp_lifecycle_has_native(void);

/* [any] The program was not replaced after all. */
void sp_lifecycle_exec_failed(void);

/* [hook] Writes the profile on the way into _exit(), where the caller goes next: a signal or a thread that arrives meanwhile
 * changes nothing any more. */
void sp_lifecycle_finish_before_exit(void);

/* [any] A recording begins where there is none, ends, or gives way to another (recording.h), any number of times. False: it did
 * not; there is one, there is none, there is no memory, or the process ends. */
bool sp_lifecycle_begin(void);
bool sp_lifecycle_end(sp_recording_closed *closed, void *arg);
bool sp_lifecycle_swap(sp_recording_closed *closed, void *arg);

/* [any] As sp_lifecycle_begin(), for somebody who is going to end it: the clock (schedule.h) does not. 0: as the options say. */
struct sp_recording_wish {
    uint64_t interval_ns, memory_bytes;
};
bool sp_lifecycle_begin_as(const struct sp_recording_wish *wish);

/* [any] look(arg, r, cpu_ns) while the recording that goes on is frozen; cpu_ns: the process's. Not long, for threads that
 * end wait. False: there is none, or the process ends. */
typedef void sp_lifecycle_looks(void *arg, struct sp_region *r, uint64_t cpu_ns);
bool sp_lifecycle_look(sp_lifecycle_looks *look, void *arg);

/* [any] The options that hold. */
const struct sp_config *sp_lifecycle_config(void);

#endif
