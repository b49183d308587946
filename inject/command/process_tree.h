/* SPDX-License-Identifier: MIT
 * The processes that run below another, by /proc. */
#ifndef SP_INJECT_COMMAND_PROCESS_TREE_H
#define SP_INJECT_COMMAND_PROCESS_TREE_H

#include <stddef.h>
#include <sys/types.h>

struct sp_process_tree {
    pid_t *pid; /* the caller frees it */
    size_t n;
};

/* [any] Adds those below `pid` as they are now, parents first. */
void sp_process_tree_below(pid_t pid, struct sp_process_tree *t);

#endif
