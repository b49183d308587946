/* SPDX-License-Identifier: MIT
 * One at a time writes the profile, or changes what is recorded; the others wait for their turn, or leave it. */
#ifndef SP_INJECT_TURN_H
#define SP_INJECT_TURN_H

#include "compat/os.h"

/* What a thread may raise by what it does. */
#define SP_TURN_FAULTS                                                                                          \
    (SP_OS_MASK(SIGSEGV) | SP_OS_MASK(SIGBUS) | SP_OS_MASK(SIGFPE) | SP_OS_MASK(SIGILL) | SP_OS_MASK(SIGTRAP) | \
     SP_OS_MASK(SIGSYS) | SP_OS_MASK(SIGABRT))

/* [hook] Waits until nobody has the turn, or for 10 s in which who has it used no CPU. Signals but those above are blocked then;
 * *mask: those before. False: the end has come, or who has the turn waits for the caller. */
bool sp_turn_take(uint64_t *mask);
/* [hook] Whether the calling thread has it: the caller interrupted it there. Whether nobody gets it any more. */
bool sp_turn_is_mine(void);
bool sp_turn_is_over(void);
/* [handler] Takes the turn if nobody has it. All signals are blocked. */
SP_SIGSAFE bool sp_turn_try(void);
/* [hook] The mask stays for sp_turn_try's caller. is_last: nobody gets it any more. */
void sp_turn_end(bool is_last);
/* [hook] f(arg) on a stack of its own, for who has the turn: it may be a handler on a small stack, or a fibre. */
void sp_turn_call(void (*f)(void *arg), void *arg);
/* [hook] For who has the turn: f(arg) runs in a process beside this one (sp_os_beside), which has the turn from here on and ends
 * it. All signals are blocked. False: there can be none, and the turn is the caller's still. */
bool sp_turn_hand_over(void (*f)(void *arg), void *arg);
/* [hook] For who handed it over: takes it back from that process, which is to wait meanwhile, and gives it again. False: that has
 * died. */
bool sp_turn_take_back(void);
void sp_turn_give_again(void);
/* [hook] Whether such a process is there, dead or alive; a dead one is buried, and if it died at work its turn is over. All signals
 * are blocked. */
bool sp_turn_is_beside(void);
/* [hook] Waits as sp_turn_take() does until it is gone, if it is there. */
void sp_turn_await_beside(void);
/* [hook] It counts among the processes of a user, of which there may be so many and no more: dead until it is buried, and where there
 * may be few, alive as well. The program is about to make one. */
void sp_turn_makes_room(void);
/* [hook] The system refused the program a thread or process: waits until it is gone. False: there was none. */
bool sp_turn_gives_way(void);

/* [fork-child] Nobody has it. */
void sp_turn_forked(void);

#endif
