/* SPDX-License-Identifier: MIT
 * Thread slots: claimed by who creates a thread, begun and ended by the thread itself. */
#ifndef SP_SAMPLER_THREADS_H
#define SP_SAMPLER_THREADS_H

#include "sampler/store.h"

/* [handler] A cleared slot in state STARTING, or NULL (counted in SP_LOSS_NO_SLOT). */
SP_SIGSAFE struct sp_thread *sp_thread_claim(struct sp_region *r);

/* [any] Gives back a claimed slot whose thread was never created. */
void sp_thread_cancel(struct sp_region *r, struct sp_thread *t);

/* [handler] The thread `tid` runs in this slot from now on; what its CPU clock showed before `base_cpu_ns` is
 * not its profile's. */
SP_SIGSAFE void sp_thread_begin(struct sp_region *r, struct sp_thread *t, int tid, uint64_t base_cpu_ns);

/* [handler] Of CPU since the last sample, when its tick was held back by a blocked SIGPROF: what belongs to no stack. A
 * section shorter than two periods stays with the stack that it ends in; of a longer one that gets a period. */
SP_INLINE uint64_t sp_thread_held_back_ns(const struct sp_thread *t, uint64_t cpu_ns)
{
    return cpu_ns > 2 * t->period_ns ? cpu_ns - t->period_ns : 0;
}

/* How the ticks of a thread stand. */
enum sp_ticks { SP_TICKS_NONE /* it gets none */, SP_TICKS_COMING, SP_TICKS_HELD_BACK /* it has them blocked */ };

/* [any] The thread ends with this reading of its CPU clock. */
void sp_thread_end(struct sp_region *r, struct sp_thread *t, uint64_t cpu_ns, uint64_t since_ns, enum sp_ticks ticks);

/* [handler] The thread that this slot is of has ended; nothing is left to be booked, its timer is gone. */
SP_SIGSAFE void sp_thread_gone(struct sp_region *r, struct sp_thread *t);

/* [any] Where CPU since the last sample belongs, at reading `cpu_ns` of the thread's clock: by category. */
void sp_thread_rest(const struct sp_region *r, const struct sp_thread *t, uint64_t cpu_ns, enum sp_ticks ticks,
                    uint64_t rest[SP_CATEGORY_N]);

#endif
