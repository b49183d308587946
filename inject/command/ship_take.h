/* SPDX-License-Identifier: MIT
 * What comes into a queue that is not the directory where it appeared: files of another directory, snapshots of a process. */
#ifndef SP_INJECT_COMMAND_SHIP_TAKE_H
#define SP_INJECT_COMMAND_SHIP_TAKE_H

#include <sys/types.h>

#include "inject/command/ship_queue.h"

/* [any] Moves what waits in `from` into the directory of `to`, or copies what is to stay, the oldest first. NULL; or why it stopped there:
 * what is left stays where it is. */
const char *sp_ship_take_files(struct sp_queue *from, const struct sp_queue *to);

/* [any] Writes what a process recorded so far into a file of the queue. NULL, or why not; *is_over: it will not be possible again. */
const char *sp_ship_take_snapshot(const struct sp_queue *to, pid_t pid, bool *is_over);

#endif
