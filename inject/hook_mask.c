/* SPDX-License-Identifier: MIT
 * Signal masks. The kernel's mask is the truth, and nothing here mirrors it: a handler's return, siglongjmp, setcontext and
 * raw system calls change it unseen. Timers run on while SIGPROF is blocked, a tick waits then (hook_pending.c hides it).
 * Only this is known of a thread: that it began with SIGPROF blocked, for no reason of the program's own, and we unblocked
 * it. Until the program names SIGPROF such a thread is sampled, and goes on believing that SIGPROF is blocked. */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations" /* they are what we stand before */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "compat/os.h"
#include "inject/hooks.h"
#include "inject/session.h"
#include "sampler/handler.h"

SP_REAL_SLOT(pthread_sigmask);
SP_REAL_SLOT(sigprocmask);
SP_REAL_SLOT(sighold);
SP_REAL_SLOT(sigrelse);

/* Threads: sigprof_named any, and it stays set; the others are the thread's own. */

/* The program named SIGPROF itself: a handler, a wait, a mask other than "all". From then on its masks are kept. */
static bool sigprof_named;

/* This thread believes that SIGPROF is blocked, and we unblocked it. */
static __thread bool hidden;
/* ... but for a wait that this thread is in. */
static __thread bool is_let_in;

void sp_hook_mask_name_sigprof(void)
{
    if (!sp_session.pid || sp_session_is_own_process()) /* not in a vfork child */
        sigprof_named = true;
}

bool sp_hook_mask_is_hidden(void)
{
    return hidden;
}

static uint64_t to_mask(const sigset_t *set)
{
    uint64_t mask;
    memcpy(&mask, set, sizeof mask);
    return mask;
}

static void from_mask(sigset_t *set, uint64_t mask)
{
    memcpy(set, &mask, sizeof mask);
}

static bool is_everything(uint64_t mask)
{
    uint64_t some = SP_OS_MASK(SIGTERM) | SP_OS_MASK(SIGINT) | SP_OS_MASK(SIGHUP) | SP_OS_MASK(SIGUSR1) | SP_OS_MASK(SIGUSR2) |
                    SP_OS_MASK(SIGALRM);
    return (mask & some) == some;
}

typedef int mask_fn(int how, const sigset_t *set, sigset_t *old);

/* A hidden thread changes its mask. SIGPROF stays out of the kernel's mask, and in what the thread is told, until the change
 * would unblock it: then what the thread believes is true, and it is hidden no more. Two cases take SIGPROF out of what the
 * thread believes: a mask that is set without it, and an unblocking that names it. */
static int change_believed(mask_fn *real, int how, const sigset_t *set, sigset_t *old)
{
    bool named = set && to_mask(set) & SP_OS_MASK(SIGPROF);
    bool stays = !set || (how == SIG_SETMASK ? named : how == SIG_BLOCK || !named);
    sigset_t changed;
    if (named && stays) { /* to be blocked: it is believed to be, already */
        changed = *set;
        from_mask(&changed, to_mask(set) & ~SP_OS_MASK(SIGPROF));
        set = &changed;
    }
    int rc = real(how, set, old);
    if (rc != 0)
        return rc;
    if (old)
        from_mask(old, to_mask(old) | SP_OS_MASK(SIGPROF));
    if (!stays && sp_session_is_own_process()) /* a vfork child is about to get a belief of its own */
        hidden = false;
    return rc;
}

/* Who blocks SIGPROF by name, and not among all, wants it blocked; who blocks all (an allocator, a runtime around a fork) does
 * not mean ticks. Both are done as asked: what differs is whether threads that begin so are unblocked. */
static int change_mask(mask_fn *real, int how, const sigset_t *set, sigset_t *old)
{
    if (SP_UNLIKELY(hidden))
        return change_believed(real, how, set, old);
    if (set && !sigprof_named && how != SIG_UNBLOCK && to_mask(set) & SP_OS_MASK(SIGPROF) && !is_everything(to_mask(set)))
        sp_hook_mask_name_sigprof();
    if (SP_UNLIKELY(sp_hook_pending_is_watched))
        return sp_hook_pending_change_mask(real, how, set, old);
    return real(how, set, old);
}

/* For a program without libpthread, before glibc 2.32: there it asks for pthread_sigmask by a weak reference, if at all. */
static int by_sigprocmask(int how, const sigset_t *set, sigset_t *old)
{
    int saved = errno, rc = SP_REAL(sigprocmask)(how, set, old) == 0 ? 0 : errno;
    errno = saved;
    return rc;
}

SP_EXPORT int pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
    mask_fn *real = SP_REAL_IF_FOUND(pthread_sigmask);
    return change_mask(real ? real : by_sigprocmask, how, set, old);
}

SP_EXPORT int sigprocmask(int how, const sigset_t *set, sigset_t *old)
{
    return change_mask(SP_REAL(sigprocmask), how, set, old);
}

/* The old names of the same; libc's own would change the mask behind our back. */
static sigset_t one_signal(int sig)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, sig);
    return set;
}

SP_EXPORT int sighold(int sig)
{
    if (sig != SIGPROF)
        return SP_REAL(sighold)(sig);
    sigset_t set = one_signal(sig);
    return sigprocmask(SIG_BLOCK, &set, NULL);
}

SP_EXPORT int sigrelse(int sig)
{
    if (sig != SIGPROF)
        return SP_REAL(sigrelse)(sig);
    sigset_t set = one_signal(sig);
    return sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static int old_style(int how, int mask)
{
    sigset_t set, old;
    sigemptyset(&set);
    sigemptyset(&old);
    memcpy(&set, &mask, sizeof mask); /* signals 1 to 32 */
    sigprocmask(how, &set, &old);
    memcpy(&mask, &old, sizeof mask);
    return mask;
}

SP_EXPORT int sigblock(int mask)
{
    return old_style(SIG_BLOCK, mask);
}

SP_EXPORT int sigsetmask(int mask)
{
    return old_style(SIG_SETMASK, mask);
}

/* ---- threads */
void sp_hook_mask_thread_begins(bool starts_hidden, uint64_t mask)
{
    bool is_blocked = mask & SP_OS_MASK(SIGPROF);
    hidden = is_blocked ? !sigprof_named : starts_hidden;
    if (hidden && is_blocked)
        sp_os_mask_unblock(SP_OS_MASK(SIGPROF));
}

void sp_hook_mask_believe(void)
{
    if (!hidden)
        return;
    hidden = false;
    sp_os_mask_block(SP_OS_MASK(SIGPROF));
}

bool sp_hook_mask_hand_over(void)
{
    return hidden && !(sp_os_mask_block(SP_OS_MASK(SIGPROF)) & SP_OS_MASK(SIGPROF)); /* it is in a handler's sa_mask */
}

void sp_hook_mask_take_back(bool was_unblocked)
{
    if (was_unblocked)
        sp_os_mask_unblock(SP_OS_MASK(SIGPROF));
}

void sp_hook_mask_is_let_in(bool yes)
{
    is_let_in = yes;
}

bool sp_hook_mask_pass_on(int sig, siginfo_t *info, void *context)
{
    if (!hidden || is_let_in)
        return false;
    /* When the handler returns the thread has it blocked, as it believes; and so has every thread that begins from now on. */
    uint64_t mask;
    memcpy(&mask, &((ucontext_t *)context)->uc_sigmask, sizeof mask);
    mask |= SP_OS_MASK(sig);
    memcpy(&((ucontext_t *)context)->uc_sigmask, &mask, sizeof mask);
    hidden = false;
    sigprof_named = true;
    if (info->si_code == SI_TKILL) /* to this thread alone */
        sp_os_requeue(sig, info);
    else
        sp_os_requeue_to_process(sig, info);
    return true;
}
