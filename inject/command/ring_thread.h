/* SPDX-License-Identifier: MIT
 * Which thread of a process is to be rung: the kernel ends one system call there, unless it begins it anew by itself. */
#ifndef SP_INJECT_COMMAND_RING_THREAD_H
#define SP_INJECT_COMMAND_RING_THREAD_H

#include <sys/types.h>

/* [any] The id of a thread that runs, else of one whose wait begins anew; where for 50 ms there was none, of one whose wait CPython
 * begins anew; never of one that waits for a signal, or has this one blocked. 0: there was none for 200 ms, and *why says why. */
pid_t sp_ring_thread(pid_t pid, const char **why);

#endif
