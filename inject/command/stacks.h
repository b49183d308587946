/* SPDX-License-Identifier: MIT
 * The stacks of a process that runs, as it gave them when it was asked (compat/ring.h): bytes that nobody vouches for, in parts. */
#ifndef SP_INJECT_COMMAND_STACKS_H
#define SP_INJECT_COMMAND_STACKS_H

#include <stdbool.h>

#include "compat/build_id.h"
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
    bool is_native; /* its name is empty: sp_stacks_name() may know it */
    uint64_t place;
    char name[1100], file[4096];
    uint8_t id[SP_BUILD_ID_MAX];
    uint32_t n_id;
};
bool sp_stacks_frame(const struct sp_stacks *s, size_t thread_at, size_t *within, struct sp_stacks_frame *f);

/* [any] The names of all native functions in them, by the symbols of their libraries, as far as these files are here; and of one of
 * their frames, readable, its library behind it as in a profile, "deflate [libz.so.1]": puts it there. */
struct sp_stacks_names;
struct sp_stacks_names *sp_stacks_names(const struct sp_stacks *s);
void sp_stacks_name(const struct sp_stacks_names *n, struct sp_stacks_frame *f);
void sp_stacks_names_free(struct sp_stacks_names *n);

/* [any] What the thread does, in a few words. */
void sp_stacks_doing(const struct sp_ring_thread *t, char *out, size_t cap);

/* [any] Why there are no frames; NULL: there are. */
const char *sp_stacks_missing(const struct sp_ring_thread *t);

#endif
