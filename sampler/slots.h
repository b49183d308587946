/* SPDX-License-Identifier: MIT
 * Where slots and stacks go between two owners: lists that any thread, a handler too, takes from and puts to without
 * waiting. One step changes the owner: who has taken something is the only one to write to it. */
#ifndef SP_SAMPLER_SLOTS_H
#define SP_SAMPLER_SLOTS_H

#include "sampler/store.h"

/* [handler] A slot that was freed, or a new one: state STARTING, no stacks, nothing cleared. NULL: there is none. */
SP_SIGSAFE struct sp_thread *sp_slot_take(struct sp_region *r);

/* [handler] The caller's slot, which has neither log nor sums, is free. */
SP_SIGSAFE void sp_slot_free(struct sp_region *r, struct sp_thread *t);

/* [handler] Gives the slot stacks that nobody has, or new ones. False: the region is full. */
SP_SIGSAFE bool sp_slot_give_stacks(struct sp_region *r, struct sp_thread *t);

/* [handler] The room for native frames behind its stacks, in a region that has them; NULL: it has no stacks. */
#define SP_SLOT_NATIVE_BYTES 13312
SP_SIGSAFE void *sp_slot_native(struct sp_region *r, const struct sp_thread *t);

/* [handler] Takes the slot's stacks away: they are the next thread's. */
SP_SIGSAFE void sp_slot_take_stacks(struct sp_region *r, struct sp_thread *t);

/* [handler] The slot's thread has ended; what it used is in its sums. It is kept apart, or, if too many are, it or a
 * lighter one is going to be folded into thread 0. */
SP_SIGSAFE void sp_slot_retire(struct sp_region *r, struct sp_thread *t);

/* [handler] Folds at most `budget` records and sums of threads that are to be folded. */
SP_SIGSAFE void sp_slot_fold(struct sp_region *r, uint32_t budget);

#endif
