/* SPDX-License-Identifier: MIT
 * The calling thread's part in the profile: it begins in an entry that its creator or itself made, and ends there. */
#ifndef SP_INJECT_SELF_H
#define SP_INJECT_SELF_H

#include "sampler/live.h"

/* [start] Once a process: threads tell when they end. */
void sp_self_init(void);

/* [any] The calling thread begins; `l` is what its creator left of it. stack_top: the end of its stack. */
void sp_self_begin(struct sp_live *l, uintptr_t stack_top);

/* [start] The calling thread, which has begun long ago. There is no recording yet. */
void sp_self_begin_main(uintptr_t stack_top);

/* [hook] Whether the main thread, or who forked, has a tick or a look of ours at its stack right now, all signals blocked; then what
 * it has blocked else. */
bool sp_self_main_is_inside(uint64_t *mask);

/* [hook] In a handler: whether what it interrupted is a system call that begins anew because a tick came in between. Once a tick. */
bool sp_self_takes_restart(const void *context);

/* [hook] The thread of a new entry was not created after all. */
void sp_self_give_up(struct sp_live *l);

/* [fork-child] The calling thread alone is here: its entry, which runs without ticks, and is in no profile; NULL: there is no
 * memory. */
struct sp_live *sp_self_forked(void);

#endif
