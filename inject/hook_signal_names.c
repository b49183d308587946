/* SPDX-License-Identifier: MIT
 * Other names of sigaction(), older than it. All of it is async-signal-safe, as that is. */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations" /* they are what we stand before */
#include <errno.h>
#include <pthread.h>
#include <signal.h>

#include "compat/os.h"
#include "compat/real.h"
#include "inject/hooks.h"

SP_REAL_SLOT(signal);
SP_REAL_SLOT(siginterrupt);

typedef void handler_fn(int);

extern handler_fn *bsd_signal(int sig, handler_fn *handler);
extern handler_fn *ssignal(int sig, handler_fn *handler);
extern handler_fn *sysv_signal(int sig, handler_fn *handler);
extern handler_fn *__sysv_signal(int sig, handler_fn *handler);
extern handler_fn *sigset(int sig, handler_fn *handler);
extern int sigignore(int sig);
SP_REAL_SLOT(sigset);
SP_REAL_SLOT(sigignore);

/* Threads: as hook_signal.c's. */
static bool interrupts[SP_OS_SIGNALS]; /* siginterrupt(sig, 1) */

static handler_fn *set_handler(int sig, handler_fn *handler, int flags)
{
    struct sigaction act = {.sa_handler = handler, .sa_flags = flags}, old;
    sigemptyset(&act.sa_mask);
    if (!(flags & SA_NODEFER))
        sigaddset(&act.sa_mask, sig);
    return sigaction(sig, &act, &old) == 0 ? old.sa_handler : SIG_ERR;
}

SP_EXPORT handler_fn *signal(int sig, handler_fn *handler)
{
    SP_REAL_UNLESS_OURS(signal, sig < 1 || sig >= SP_OS_SIGNALS, sig, handler); /* else it may be libjsig's */
    if (!sp_hook_signal_is_managed(sig) || handler == SIG_ERR)
        return SP_REAL(signal)(sig, handler);
    return set_handler(sig, handler, interrupts[sig] ? 0 : SA_RESTART);
}

/* Other names of it and of each other, of which a libc may have none: musl, or glibc 2.26 for what it has for old programs only. */
SP_EXPORT handler_fn *bsd_signal(int sig, handler_fn *handler)
{
    return signal(sig, handler);
}

SP_EXPORT handler_fn *ssignal(int sig, handler_fn *handler)
{
    return signal(sig, handler);
}

SP_EXPORT handler_fn *sysv_signal(int sig, handler_fn *handler)
{
    if (handler != SIG_ERR)
        return set_handler(sig, handler, (int)SA_RESETHAND | SA_NODEFER);
    errno = EINVAL;
    return SIG_ERR;
}

SP_EXPORT handler_fn *__sysv_signal(int sig, handler_fn *handler)
{
    return sysv_signal(sig, handler);
}

SP_EXPORT int siginterrupt(int sig, int flag)
{
    if (!sp_hook_signal_is_managed(sig))
        return SP_REAL(siginterrupt)(sig, flag);
    struct sigaction act;
    if (sigaction(sig, NULL, &act) != 0)
        return -1;
    interrupts[sig] = flag != 0;
    act.sa_flags = flag ? act.sa_flags & ~SA_RESTART : act.sa_flags | SA_RESTART;
    return sigaction(sig, &act, NULL);
}

SP_EXPORT handler_fn *sigset(int sig, handler_fn *handler)
{
    if (!sp_hook_signal_is_managed(sig) || handler == SIG_ERR)
        return SP_REAL(sigset)(sig, handler);
    sigset_t one, before;
    struct sigaction old;
    sigemptyset(&one);
    sigaddset(&one, sig);
    bool hold = handler == SIG_HOLD;
    if (pthread_sigmask(hold ? SIG_BLOCK : SIG_UNBLOCK, &one, &before) != 0)
        return SIG_ERR;
    struct sigaction act = {.sa_handler = handler};
    sigemptyset(&act.sa_mask);
    if (sigaction(sig, hold ? NULL : &act, &old) != 0)
        return SIG_ERR;
    return sigismember(&before, sig) ? SIG_HOLD : old.sa_handler;
}

SP_EXPORT int sigignore(int sig)
{
    if (!sp_hook_signal_is_managed(sig))
        return SP_REAL(sigignore)(sig);
    struct sigaction act = {.sa_handler = SIG_IGN};
    sigemptyset(&act.sa_mask);
    return sigaction(sig, &act, NULL);
}
