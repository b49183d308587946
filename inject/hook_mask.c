/* SPDX-License-Identifier: MIT
 * Signal masks: the program sees SIGPROF in them as it put it, and nothing of ours is pending while it has it blocked.
 * Threads that libraries create with everything blocked are sampled all the same, until the program names SIGPROF. */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations" /* they are what we stand before */
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>

#include "compat/os.h"
#include "inject/hooks.h"
#include "inject/session.h"
#include "inject/relay.h"
#include "sampler/handler.h"

SP_REAL_SLOT(pthread_sigmask);
SP_REAL_SLOT(sigprocmask);
SP_REAL_SLOT(sighold);
SP_REAL_SLOT(sigrelse);
SP_REAL_SLOT(sigwait);
SP_REAL_SLOT(sigwaitinfo);
SP_REAL_SLOT(sigtimedwait);
SP_REAL_SLOT(signalfd);

/* The program named SIGPROF itself: a handler, a wait, a mask other than "all". From then on its masks are kept. */
static bool sigprof_named;

/* This thread believes that SIGPROF is blocked; it is not. */
static __thread bool hidden;
/* This thread's timer is off because the program blocked SIGPROF. */
static __thread bool paused;

void sp_hook_mask_name_sigprof(void)
{
    sigprof_named = true;
}

bool sp_hook_mask_is_hidden(void)
{
    return hidden;
}

static bool is_everything(const sigset_t *set)
{
    return sigismember(set, SIGTERM) && sigismember(set, SIGINT) && sigismember(set, SIGHUP) &&
           sigismember(set, SIGUSR1) && sigismember(set, SIGUSR2) && sigismember(set, SIGALRM);
}

/* The program blocks SIGPROF: no tick of ours may be pending then, where sigpending, sigwait and signalfd would
 * show it. */
SP_SIGSAFE static void quieten(struct sp_thread *t)
{
    siginfo_t info;
    sp_engine->thread_pause(t);
    paused = true;
    if (!sp_os_take_pending(SP_OS_MASK(SIGPROF), &info) || sp_handler_is_tick(&info))
        return;
    if (info.si_code == SI_TKILL)
        sp_os_requeue(SIGPROF, &info);
    else
        sp_os_requeue_to_process(SIGPROF, &info);
}

static void now_blocked(struct sp_thread *t)
{
    t->blocked_at_ns = sp_os_thread_cpu_ns();
    quieten(t);
}

/* To be called while SIGPROF is still blocked: the tick that waits comes right after. */
static void will_unblock(struct sp_region *r, struct sp_thread *t)
{
    uint64_t now = sp_os_thread_cpu_ns();
    if (now > t->blocked_at_ns)
        t->blocked_ns += now - sp_max_u64(t->blocked_at_ns, t->last_cpu_ns);
    t->blocked_at_ns = UINT64_MAX;
    if (paused)
        sp_engine->thread_resume(r, t);
    paused = false;
}

typedef int mask_fn(int how, const sigset_t *set, sigset_t *old);

static int change_mask(mask_fn *real, int how, const sigset_t *set, sigset_t *old)
{
    struct sp_thread *t = sp_session_self;
    bool touches = set && (how == SIG_SETMASK || sigismember(set, SIGPROF));
    if (!t || (!touches && !hidden))
        return real(how, set, old);
    struct sp_region *r = sp_session_region();
    if (!r)
        return real(how, set, old);

    bool believed = hidden || t->blocked_at_ns != UINT64_MAX, wish = believed;
    sigset_t changed;
    if (touches) {
        wish = how == SIG_SETMASK ? sigismember(set, SIGPROF) == 1 : how == SIG_BLOCK;
        if ((how == SIG_BLOCK || how == SIG_SETMASK) && wish && !believed && !is_everything(set))
            sigprof_named = true;
        changed = *set;
        if (hidden && wish) /* still believed blocked, still not */
            sigdelset(&changed, SIGPROF);
        set = &changed;
    }
    bool really_blocked = t->blocked_at_ns != UINT64_MAX, will_be = !hidden && wish;
    if (really_blocked && !will_be)
        will_unblock(r, t);
    int rc = real(how, set, old);
    if (rc != 0) {
        if (really_blocked && !will_be)
            now_blocked(t);
        return rc;
    }
    if (old && hidden)
        sigaddset(old, SIGPROF);
    if (!wish)
        hidden = false;
    if (will_be && !really_blocked)
        now_blocked(t);
    return rc;
}

SP_EXPORT int pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
    return change_mask(SP_REAL(pthread_sigmask), how, set, old);
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

/* ---- waiting for SIGPROF: the thread must have it blocked for real, and nobody is unblocked any more */
static void will_wait_for(const sigset_t *set)
{
    struct sp_thread *t = sp_session_self;
    if (!set || sigismember(set, SIGPROF) != 1 || !sp_session_region())
        return;
    sigprof_named = true;
    if (t && hidden) {
        hidden = false;
        sp_os_mask_block(SP_OS_MASK(SIGPROF));
        now_blocked(t);
    }
}

SP_EXPORT int sigwait(const sigset_t *set, int *sig)
{
    will_wait_for(set);
    return SP_REAL(sigwait)(set, sig);
}

static int arrived(int sig, siginfo_t *info)
{
    if (sig > 0 && info)
        sp_relay_arrived(sig, info);
    return sig;
}

SP_EXPORT int sigwaitinfo(const sigset_t *set, siginfo_t *info)
{
    will_wait_for(set);
    return arrived(SP_REAL(sigwaitinfo)(set, info), info);
}

SP_EXPORT int sigtimedwait(const sigset_t *set, siginfo_t *info, const struct timespec *timeout)
{
    will_wait_for(set);
    return arrived(SP_REAL(sigtimedwait)(set, info, timeout), info);
}

SP_EXPORT int signalfd(int fd, const sigset_t *set, int flags)
{
    will_wait_for(set);
    return SP_REAL(signalfd)(fd, set, flags);
}

void sp_hook_mask_thread_begins(struct sp_thread *t, uint64_t mask)
{
    hidden = false;
    paused = false;
    if (!(mask & SP_OS_MASK(SIGPROF)))
        return;
    /* Libraries block everything in their threads. The main thread's mask is the program's own. */
    if (t->serial > 1 && !sigprof_named) {
        hidden = true;
        sp_os_mask_unblock(SP_OS_MASK(SIGPROF));
    } else {
        t->blocked_at_ns = t->base_cpu_ns;
    }
}

void sp_hook_mask_thread_started(struct sp_thread *t)
{
    if (t->blocked_at_ns != UINT64_MAX)
        quieten(t);
}

bool sp_hook_mask_pass_on(int sig, siginfo_t *info, void *context)
{
    if (!hidden)
        return false;
    struct sp_thread *t = sp_session_self;
    uint64_t mask;
    memcpy(&mask, &((ucontext_t *)context)->uc_sigmask, sizeof mask);
    mask |= SP_OS_MASK(sig);
    memcpy(&((ucontext_t *)context)->uc_sigmask, &mask, sizeof mask);
    hidden = false;
    sigprof_named = true;
    if (t)
        now_blocked(t);
    sp_os_requeue_to_process(sig, info);
    return true;
}
