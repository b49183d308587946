/* SPDX-License-Identifier: MIT
 * Signals for the process reach the main thread.
 *
 * The kernel gives a signal for the process to the main thread if that has it unblocked (kernel/signal.c,
 * complete_signal), and CPython counts on it: a system call of the main thread is interrupted, and the program's handler
 * runs. But a thread that enters or leaves a handler at this moment, such as that of a tick, may take the signal, or have
 * it given to a third (retarget_shared_pending): the handler then notes it in the wrong thread, and the main thread
 * sleeps on. So a handler of the program's runs behind one of ours, which in another thread hands the signal to the main
 * thread. Not signals that were sent to a thread or may have been, nor those that the kernel offers to another first.
 *
 * It also ends the system call that a tick's handler, which came first, has begin anew. */
#ifndef SP_INJECT_RELAY_H
#define SP_INJECT_RELAY_H

#include <signal.h>

#include "compat/base.h"

/* [hook] In a handler: false if the signal was for the process and is on its way to the main thread; true: it is to be handled
 * here, and *info is what it said when it was sent. errno may change. */
bool sp_relay_is_here(int sig, siginfo_t *info);

/* [hook] A signal was taken, by sigwaitinfo() or in a handler: whether it had been handed over; then *info is made what it said
 * when it was sent. */
bool sp_relay_arrived(int sig, siginfo_t *info);

/* [hook] Whether handlers of this signal are relayed. */
bool sp_relay_can(int sig);

/* [hook] What to install so that `act` is relayed: `act` itself if it is not, else *ours. */
const struct sigaction *sp_relay_install(int sig, const struct sigaction *act, struct sigaction *ours);

/* [hook] Turns what the kernel says into what the program installed. */
void sp_relay_reveal(int sig, struct sigaction *act);

/* [fork-child] What was on its way to the parent's main thread is not on its way here. */
void sp_relay_forked(void);

#endif
