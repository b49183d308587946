/* SPDX-License-Identifier: MIT
 * Interposed functions: each returns what the original returns and keeps errno. They may be called before our
 * constructor ran, from a signal handler where the original may, and in a vfork child, where they pass through. */
#ifndef SP_INJECT_HOOKS_H
#define SP_INJECT_HOOKS_H

#include <signal.h>

#include "compat/real.h"
#include "inject/session.h"

/* hook_signal.c */
/* [start] Whether the system lets a handler be installed: without one a tick would kill. */
bool sp_hook_signal_can_start(void);
/* [start] Takes SIGPROF over, and the fatal signals that are at their default: before one of them kills, `on_end` writes
 * the profile. `asks`: one of them (0: none) that kills no more, but writes the profile so far. `spools`: the region may lie in
 * a file, whose pages may go. */
void sp_hook_signal_start(void (*on_end)(enum sp_finish how), int asks, bool spools);
/* [any] Whether we keep what the program sets for the signal. In a vfork child (own dispositions, our parent's memory) and before the
 * start the kernel's word is all. */
bool sp_hook_signal_is_managed(int sig);
/* [hook] Whether ticks reach us: false once the program has set SIGPROF by a raw system call. */
bool sp_hook_signal_is_ours(void);
/* [hook] A handler of the program's was called for a ring (doorbell.h): that was not its one time, if it has SA_RESETHAND. */
void sp_hook_signal_was_ring(void);
/* [hook] Whether a handler of ours stands where the program ignores SP_RING_SIGNAL by default. */
bool sp_hook_signal_rings(void);
/* [any] Before and after an exec or spawn: the program's SIG_IGN and mask for SIGPROF are the real ones between. */
struct sp_handover {
    bool ignored, blocked;
};
struct sp_handover sp_hook_signal_hand_over(void);
void sp_hook_signal_take_back(struct sp_handover h);

/* [any] Installs all handlers of ours again: sp_hook_stack_may_be_small() has changed. */
void sp_hook_signal_reinstall(void);

/* hook_stack.c */
/* [start] The calling thread's alternate stack, if it is a small one, becomes a larger one. */
void sp_hook_stack_start(void);
/* [any] Whether a thread has a small alternate stack that could not be replaced: then no handler of ours may run there. */
bool sp_hook_stack_may_be_small(void);
/* [any] The calling thread will not be here much longer. */
void sp_hook_stack_thread_ends(void);
/* [fork-child] The larger stacks that threads were given here are the calling thread's. */
void sp_hook_stack_forked(void);

/* hook_mask.c */
/* [any] Takes the mask that a thread begins with (low 64 signals), and unblocks SIGPROF where that takes nothing from
 * the program: the thread is "hidden" then, it believes that SIGPROF is blocked; so it does if its creator was. A fork child's thread stays as it was. */
void sp_hook_mask_thread_begins(bool starts_hidden, uint64_t mask);
/* [hook] The program named SIGPROF itself (a handler, a wait, a mask other than "all"): its masks are kept from now on. */
void sp_hook_mask_name_sigprof(void);
bool sp_hook_mask_is_hidden(void);
/* [hook] What the calling thread believes of SIGPROF becomes true. */
void sp_hook_mask_believe(void);
/* [hook] ... for a process that it starts, until taken back. */
bool sp_hook_mask_hand_over(void);
void sp_hook_mask_take_back(bool was_unblocked);
/* [hook] Whether the calling thread is in a wait in which it believes that SIGPROF comes through. */
void sp_hook_mask_is_let_in(bool yes);
/* [hook] In a handler: a SIGPROF that is not ours reached a hidden thread: blocks it there for good and sends it to the process
 * again, for whoever waits for it. False: the thread is not hidden. */
bool sp_hook_mask_pass_on(int sig, siginfo_t *info, void *context);

/* hook_pending.c */
/* [hook] Before SIGPROF is sent to the thread: no tick of its comes, and one that waits there has a millisecond to be taken, for the kernel
 * drops what is sent behind it; and after that. NULL: nothing is done. Of an engine whose ticks may wait where the thread does not block them. */
bool sp_hook_pending_hold(struct sp_live *l);
void sp_hook_pending_let_go(struct sp_live *l, bool is_held);
/* [hook] The calling thread takes a SIGPROF that is the program's. */
void sp_hook_pending_arrived(void);
/* The program has a descriptor that reads SIGPROF. */
extern bool sp_hook_pending_is_watched;
/* [hook] Changes the mask by `real` when that is so: the timer stops while SIGPROF is blocked. */
int sp_hook_pending_change_mask(int (*real)(int, const sigset_t *, sigset_t *), int how, const sigset_t *set, sigset_t *old);
/* [hook] ... and for a thread that begins with this mask, and has its timer. */
void sp_hook_pending_thread_begins(struct sp_live *l, uint64_t mask);

/* hook_wait.c */
enum sp_hook_wait {
#define SP_WAIT(type, name, ...) SP_HOOK_WAIT_##name,
#define SP_WAIT_ELSEWHERE(name) SP_HOOK_WAIT_##name,
#include "inject/waits.def"
#undef SP_WAIT
#undef SP_WAIT_ELSEWHERE
};
/* Waits are seen. Set before threads are looked at, never again. */
extern bool sp_hook_wait_is_on;
/* [hook] The calling thread is about to wait in this call, and has; errno stays. at: what it waits for, NULL: anything. What the
 * one returns, the other wants; 0: it is not looked at. caller: the frame of the function that calls both, with its return address above
 * it. has_given_up: the call ended with ETIMEDOUT. */
uint64_t sp_hook_wait_begins(enum sp_hook_wait call, const void *at, uintptr_t caller);
void sp_hook_wait_ends(enum sp_hook_wait call, const void *at, uint64_t since_ns, uintptr_t caller, bool has_given_up);

/* The two of a wait by one function, whose frame says which waits are within others. */
SP_INLINE uint64_t sp_hook_wait_begin(enum sp_hook_wait call, const void *at)
{
    return sp_hook_wait_begins(call, at, (uintptr_t)__builtin_frame_address(0));
}

SP_INLINE void sp_hook_wait_end(enum sp_hook_wait call, const void *at, uint64_t since_ns)
{
    sp_hook_wait_ends(call, at, since_ns, (uintptr_t)__builtin_frame_address(0), false);
}

/* hook_python.c */
/* [start] Finds what it will ask of the CPython that was found. */
void sp_hook_python_start(void);
/* [any] The name that threading gave the thread that is about to be created, from its creator's Python frame. Returns the
 * code object that it is to run, which lives as long as the caller holds the GIL; 0: none, or not known. */
uintptr_t sp_hook_python_new_thread(char name[SP_THREAD_NAME_BYTES], uint32_t *place);
/* [any] sigaction() was called and will return to `caller`: is that Py_FinalizeEx() at work, the calling thread gets the last
 * name that threading knows it by. */
void sp_hook_python_sets_signal(const void *caller);

#endif
