/* SPDX-License-Identifier: MIT
 * What the command asks of a process that runs (compat/ring.h). No thread of ours waits for that, no descriptor of the program's
 * is used for it: the signal's handler makes a process beside this one, which sees who asks, does what is asked and is gone. What
 * only a thread of this process can do, the handler does once that process has said who asks. */
#ifndef SP_INJECT_DOORBELL_H
#define SP_INJECT_DOORBELL_H

#include <signal.h>

#include "compat/base.h"

/* [hook] Whether the signal was taken for the command's: then it is none of the program's. */
bool sp_doorbell_is_ring(const siginfo_t *info);

/* [hook] ... and then: answers. Nothing is promised; who is not answered rings again. context: the handler's; NULL: there is none. */
void sp_doorbell_answer(const siginfo_t *info, const void *context);

#endif
