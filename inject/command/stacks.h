/* SPDX-License-Identifier: MIT
 * The stacks of a process that runs, as it gave them when it was asked (compat/ring.h): bytes that nobody vouches for, in parts. */
#ifndef SP_INJECT_COMMAND_STACKS_H
#define SP_INJECT_COMMAND_STACKS_H

#include "compat/ring.h"

struct sp_stacks {
    char *bytes;
    size_t n;
};

/* [any] Asks a process. NULL, or why there are none; sp_stacks_free() afterwards. */
const char *sp_stacks_ask(pid_t pid, struct sp_stacks *s);
void sp_stacks_free(struct sp_stacks *s);

/* [any] The next thread, from *at on; false: there is none. */
bool sp_stacks_thread(const struct sp_stacks *s, size_t *at, struct sp_ring_thread *t);

/* [any] Its frame number i, leaf first, at *within (0 for the first), whose texts are copied and cut off where they do not fit; false:
 * there is none. thread_at: where the thread begins. */
struct sp_stacks_frame {
    int32_t line;
    char name[600], file[4096];
};
bool sp_stacks_frame(const struct sp_stacks *s, size_t thread_at, size_t *within, struct sp_stacks_frame *f);

/* [any] What the thread does, in a few words. */
void sp_stacks_doing(const struct sp_ring_thread *t, char *out, size_t cap);

/* [any] Why there are no frames; NULL: there are. */
const char *sp_stacks_missing(const struct sp_ring_thread *t);

#endif
