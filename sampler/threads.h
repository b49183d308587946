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
 * not its profile's. stack_top: end of its C stack, 0 if unknown. */
SP_SIGSAFE void sp_thread_begin(struct sp_region *r, struct sp_thread *t, int tid, uint64_t base_cpu_ns, uint64_t stack_top);

/* [handler] Of CPU since the last sample, when its tick was held back by a blocked SIGPROF: what belongs to no stack. A
 * section shorter than two periods stays with the stack that it ends in; of a longer one that gets a period. */
SP_INLINE uint64_t sp_thread_held_back_ns(const struct sp_thread *t, uint64_t cpu_ns)
{
    return cpu_ns > 2 * t->period_ns ? cpu_ns - t->period_ns : 0;
}

/* [any] The calling thread ends with this reading of its CPU clock; its timer is gone already. */
void sp_thread_end(struct sp_region *r, struct sp_thread *t, uint64_t cpu_ns, uint64_t since_ns);

/* [any] For a thread that ends while the gate is closed: notes outside the region that sp_thread_end is to be called with
 * this reading, or that the slot's thread will never begin. See sp_gate_leave_work. */
#define SP_THREAD_NEVER_BEGAN (UINT64_MAX - 1)
void sp_thread_leave(const struct sp_thread *t, uint64_t cpu_ns);
/* [any] Takes the note back. False: it was seen to. */
bool sp_thread_take_back(const struct sp_thread *t);
/* [any] By who closed the gate: does what was noted. */
void sp_thread_see_to_left(struct sp_region *r, uint64_t since_ns);
/* [fork-child] What was noted is the parent's. */
void sp_thread_forget_left(void);

/* [handler] The thread that this slot is of has ended; nothing is left to be booked, its timer is gone. */
SP_SIGSAFE void sp_thread_gone(struct sp_region *r, struct sp_thread *t);

/* [any] Where CPU since the last sample belongs, at reading `cpu_ns` of the thread's clock: by category. is_held_back:
 * it has SIGPROF blocked. */
void sp_thread_rest(const struct sp_region *r, const struct sp_thread *t, uint64_t cpu_ns, bool is_held_back,
                    uint64_t rest[SP_CATEGORY_N]);

/* [handler] Slot of a living thread by its tid; NULL: none. The search begins at slot *near and leaves there the number
 * behind the one found: threads are listed, and have their slots, in about the order in which they began. */
SP_SIGSAFE struct sp_thread *sp_thread_by_tid(struct sp_region *r, int tid, uint32_t *near);

#endif
