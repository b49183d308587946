/* SPDX-License-Identifier: MIT
 * Asks a process that runs under the library (compat/ring.h), by a signal to one of its threads that it does no harm to. */
#ifndef SP_INJECT_COMMAND_RING_H
#define SP_INJECT_COMMAND_RING_H

#include <stdbool.h>
#include <sys/types.h>

#include "compat/ring.h"

/* [any] Rings until there is an answer, for some seconds at most. `file`: what it is to write to; -1: nothing. NULL: *answer is there,
 * and its result is SP_RING_DONE; else why not, in a few words that stay until the next call. */
const char *sp_ring(pid_t pid, enum sp_ring_wish wish, int file, struct sp_ring_answer *answer);

/* [any] From here on nobody is rung: sp_ring() says so. */
void sp_ring_forbid(void);
bool sp_ring_is_forbidden(void);

/* [any] A file without a name, for answers. Negative: errno says why not. */
int sp_ring_file(void);

/* [any] NULL: nothing speaks against ringing this process; or what does. The second looks further: at its threads, and at who asks
 * from where; its words stay until the next call. */
const char *sp_ring_is_deaf(pid_t pid);
const char *sp_ring_speaks_against(pid_t pid);

/* [any] Whether it seems to be at work for its parent (sp_os_beside in compat/os.h), or has ended: it takes no signals. */
bool sp_ring_is_helper(pid_t pid);

#endif
