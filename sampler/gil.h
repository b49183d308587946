/* SPDX-License-Identifier: MIT
 * The GIL of the main interpreter, with SPPROF_WALL: how long a thread held it, and where others held it while it waited. A thread
 * that waits is in a short list; who holds the GIL and has a tick, or comes back from another wait, books what passed to each of
 * them, at its own stack. So what is told of a holder is a sample of its CPU as its profile is, and what passed while it could
 * not run, or between two ticks of it, is told of nobody. Free-threaded builds have no part in it. */
#ifndef SP_SAMPLER_GIL_H
#define SP_SAMPLER_GIL_H

#include "sampler/store.h"

/* A thread's waits for it. */
struct sp_gil_wait {
    uint32_t place;              /* in the list of who waits, from 1; 0: it does not */
    uint64_t since_ns, ended_ns; /* the present one began, the last one ended; on the monotonic clock */
};

/* [handler] The calling thread, of that number in the region of that number (0: it has no slot there), begins to wait for the GIL; its
 * wait is over. What the second ends need not have begun. */
SP_SIGSAFE void sp_gil_wait_begins(struct sp_gil_wait *w, uint32_t profile, uint32_t number, uint64_t now_ns);
SP_SIGSAFE void sp_gil_wait_ends(struct sp_gil_wait *w, uint64_t now_ns);

/* [handler] The calling thread, whose slot it is and which has had Python frames, used so much CPU, or waited so long for something
 * else, at this stack: is it the GIL's holder, that is booked. */
SP_SIGSAFE void sp_gil_used(struct sp_region *r, struct sp_thread *t, uint32_t node, uint64_t cpu_ns);
SP_SIGSAFE void sp_gil_waited(struct sp_region *r, struct sp_thread *t, uint32_t node, uint64_t ns, uint64_t now_ns);

/* [fork-child] Nobody waits. */
void sp_gil_forked(void);

#endif
