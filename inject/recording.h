/* SPDX-License-Identifier: MIT
 * A recording: a region, and the ticks that fill it. A process has one at a time and may have any number one after the other;
 * what is done once a process (hooks, interposed originals, fork handlers) is lifecycle.c's. Between two calls of these
 * functions nobody else calls one; threads run, tick, begin, end and fork meanwhile. */
#ifndef SP_INJECT_RECORDING_H
#define SP_INJECT_RECORDING_H

#include "inject/config.h"
#include "inject/identity.h"

/* [start] What recordings are like from now on; both stay the caller's. False: there is no memory for one, and that is said. */
bool sp_recording_init(const struct sp_config *c, const struct sp_identity *i);

/* [hook] A recording begins: all threads that are known get ticks. before_ns: process CPU that is not part of it; is_whole: but for
 * that all that threads did is. False: there is no memory for it. */
bool sp_recording_begin(uint64_t before_ns, bool is_whole);

/* [start] Nothing is recorded yet, but all threads have some ticks: who waits for a moment looks at the clock then. */
void sp_recording_await(void);
/* [handler] Whether that is so. */
SP_SIGSAFE bool sp_recording_is_awaited(void);

/* What gets a closed recording: `used_ns` is the process's CPU that belongs to it. Nobody else knows the region, which is gone
 * when this returns. */
typedef void sp_recording_closed(void *arg, struct sp_region *r, uint64_t used_ns);

/* [hook] The recording ends, and no thread has ticks any more. */
void sp_recording_end(sp_recording_closed *closed, void *arg);

/* One that is closed. */
struct sp_closing {
    struct sp_region *region; /* NULL: none */
    uint64_t bytes, used_ns;
    bool is_left; /* nobody is inside who may know it */
    bool is_settled;
};
/* [hook] The same, and sp_recording_swap(), in steps. Closes, or (false: it cannot be had) puts another region in the place, which
 * takes no time. Then, in whatever process has the memory: waits until nobody is in it, and knows what belongs to it; the region
 * goes. Nobody begins, ends or swaps meanwhile. */
void sp_recording_close(struct sp_closing *c);
bool sp_recording_replace(struct sp_closing *c);
void sp_recording_settle(struct sp_closing *c);
void sp_recording_release(struct sp_closing *c);

/* [hook] Another region takes the place of the one, in one step, while threads sample: what a thread used since its last
 * sample goes with its next one into the new. used_ns of all that follow each other are the process's CPU. False: there is no
 * memory for another, or it lies in a spool file; the recording goes on. */
bool sp_recording_swap(sp_recording_closed *closed, void *arg);

/* [hook] The region lies in a file from now on if one is wanted and there is none. The gate is closed. */
void sp_recording_enter_spool(void);

/* [fork-child] The region is the child's, and empty. False: that cannot be had. */
bool sp_recording_forked(void);
/* [handler] The child's recording begins, while it is alone. */
SP_SIGSAFE void sp_recording_begin_child(void);

/* [handler] Whether the region of a fork child is empty at once, by the kernel. */
SP_SIGSAFE bool sp_recording_is_wiped(void);

#endif
