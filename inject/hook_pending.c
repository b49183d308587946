/* SPDX-License-Identifier: MIT
 * Where a program can see what is pending, it does not see our ticks: they become samples here, as they would have in the
 * handler. sigpending, waits for SIGPROF, a descriptor that reads it; and waits with a mask that lets SIGPROF in, which a
 * tick from before the wait would end at once. (None comes during it: CPU timers do not run while a thread sleeps.) */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations" /* they are what we stand before */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "compat/cpu.h"
#include "compat/os.h"
#include "compat/ring.h"
#include "inject/doorbell.h"
#include "inject/hooks.h"
#include "inject/relay.h"
#include "inject/session.h"
#include "sampler/engine.h"
#include "sampler/handler.h"

/* libc's, without a declaration everywhere */
extern int tgkill(pid_t pid, pid_t tid, int sig);
extern int __sigpause(int sig_or_mask, int is_sig);
extern int __xpg_sigpause(int sig);
extern int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask, size_t bytes);
extern int epoll_pwait2(int fd, struct epoll_event *events, int n, const struct timespec *timeout, const sigset_t *mask);

SP_REAL_SLOT(sigpending);
SP_REAL_SLOT(sigwait);
SP_REAL_SLOT(sigwaitinfo);
SP_REAL_SLOT(sigtimedwait);
SP_REAL_SLOT(signalfd);
SP_REAL_SLOT(raise);
SP_REAL_SLOT(pthread_kill);
SP_REAL_SLOT(tgkill);
SP_REAL_SLOT(sigsuspend);
SP_REAL_SLOT(pause);
SP_REAL_SLOT(pselect);
SP_REAL_SLOT(ppoll);
SP_REAL_SLOT(__ppoll_chk);
SP_REAL_SLOT(epoll_pwait);
SP_REAL_SLOT(epoll_pwait2);

/* Else the kernel says EFAULT. */
static bool can_read(const sigset_t *set)
{
    return set && sp_os_can_read(set, sizeof(uint64_t));
}

static bool has_sigprof(const sigset_t *set)
{
    return set && sigismember(set, SIGPROF) == 1;
}

static bool is_running(void)
{
    return sp_load_relaxed(&sp_session.state) == SP_SESSION_RUNNING;
}

static bool is_tick(const siginfo_t *info)
{
    return is_running() && sp_handler_is_tick(info);
}

/* The tick that was just taken. A signal handler that jumps away from here would leave the sample half done. */
static void sample(const siginfo_t *info)
{
    uint64_t mask = sp_os_mask_block(~0ull);
    sp_handler_taken(info);
    sp_os_mask_set(mask);
}

#define WAITS_NS 50000
#define WAITS 20u

bool sp_hook_pending_hold(struct sp_live *l)
{
    bool is_held = l && sp_engine && sp_engine->hold && sp_engine->hold(l);
    for (uint32_t i = 0; is_held && l != sp_session_self && i < WAITS && sp_os_is_on_its_way(l->tid, SIGPROF); i++)
        sp_os_sleep_ns(WAITS_NS);
    return is_held;
}

void sp_hook_pending_let_go(struct sp_live *l, bool is_held)
{
    if (is_held)
        sp_engine->let_go(l);
}

/* Ticks that wait in the calling thread are taken; what the program was sent waits on. Whether there is such. */
static bool take_ticks(void)
{
    siginfo_t kept[2]; /* one may wait for the thread, one for the process; the kernel looks in this order */
    int n = 0;
    bool is_held = sp_hook_pending_hold(sp_session_self); /* none is there before what is put back */
    while (n < 2 && sp_os_take_pending(SP_OS_MASK(SIGPROF), &kept[n]))
        if (is_tick(&kept[n]))
            sample(&kept[n]);
        else
            n++;
    for (int i = 0; i < n; i++)
        if (kept[i].si_code == SI_TKILL)
            sp_os_requeue(SIGPROF, &kept[i]);
        else
            sp_os_requeue_to_process(SIGPROF, &kept[i]);
    sp_hook_pending_let_go(sp_session_self, is_held);
    return n > 0;
}

SP_EXPORT int sigpending(sigset_t *set)
{
    int rc = SP_REAL(sigpending)(set);
    if (rc == 0 && is_running() && has_sigprof(set) && !take_ticks())
        sigdelset(set, SIGPROF);
    return rc;
}

/* ---- waiting for SIGPROF: the thread must have it blocked for real, and nobody is unblocked any more. And for what rings. */
static bool waits_for(const sigset_t *set)
{
    if (!can_read(set))
        return false;
    bool may_be_rung = is_running() && sigismember(set, SP_RING_SIGNAL) == 1;
    if (!has_sigprof(set))
        return may_be_rung;
    sp_hook_mask_name_sigprof();
    if (!sp_session_region())
        return may_be_rung;
    sp_hook_mask_believe();
    return true;
}

static uint64_t deadline(const struct timespec *timeout)
{
    uint64_t now = sp_os_mono_exact_ns(), s = (uint64_t)timeout->tv_sec;
    return s > UINT64_MAX / SP_NS_PER_S / 2 ? UINT64_MAX : now + s * SP_NS_PER_S + (uint64_t)timeout->tv_nsec;
}

static const struct timespec *until(uint64_t deadline_ns, struct timespec *left)
{
    uint64_t now = sp_os_mono_exact_ns(), ns = deadline_ns > now ? deadline_ns - now : 0;
    *left = (struct timespec){(time_t)(ns / SP_NS_PER_S), (long)(ns % SP_NS_PER_S)};
    return left;
}

static int wait_past_ticks(const sigset_t *set, siginfo_t *info, const struct timespec *timeout)
{
    siginfo_t own;
    struct timespec left;
    uint64_t deadline_ns = timeout && sp_os_can_read(timeout, sizeof *timeout) ? deadline(timeout) : 0;
    bool is_ignored = sp_hook_signal_rings() && !(sp_os_mask_block(0) & SP_OS_MASK(SP_RING_SIGNAL));
    info = info ? info : &own;
    for (;;) {
        uint64_t since_ns = sp_hook_wait_begin(SP_HOOK_WAIT_sigtimedwait, NULL);
        int sig = SP_REAL(sigtimedwait)(set, info, timeout);
        sp_hook_wait_end(SP_HOOK_WAIT_sigtimedwait, NULL, since_ns);
        bool is_ring = sig == SP_RING_SIGNAL && sp_doorbell_is_ring(info);
        if (is_ring) {
            sp_doorbell_answer(info, NULL);
        } else if (sig == SP_RING_SIGNAL && is_ignored) {
            /* the kernel would have dropped it, were it not for a handler of ours */
        } else if (sig != SIGPROF || !is_tick(info)) {
            if (sig > 0)
                sp_relay_arrived(sig, info);
            if (sig == SIGPROF)
                sp_hook_pending_arrived();
            return sig;
        } else {
            sample(info);
        }
        timeout = timeout ? until(deadline_ns, &left) : NULL;
    }
}

SP_EXPORT int sigwait(const sigset_t *set, int *sig)
{
    if (!waits_for(set)) {
        uint64_t since_ns = sp_hook_wait_begin(SP_HOOK_WAIT_sigwait, NULL);
        int rc = SP_REAL(sigwait)(set, sig);
        sp_hook_wait_end(SP_HOOK_WAIT_sigwait, NULL, since_ns);
        return rc;
    }
    int saved = errno, got;
    do
        got = wait_past_ticks(set, NULL, NULL);
    while (got < 0 && errno == EINTR);
    int rc = got < 0 ? errno : 0;
    errno = saved;
    if (rc == 0)
        *sig = got;
    return rc;
}

static int arrived(int sig, siginfo_t *info)
{
    if (sig > 0 && info)
        sp_relay_arrived(sig, info);
    return sig;
}

SP_EXPORT int sigwaitinfo(const sigset_t *set, siginfo_t *info)
{
    if (waits_for(set))
        return wait_past_ticks(set, info, NULL);
    uint64_t since_ns = sp_hook_wait_begin(SP_HOOK_WAIT_sigwaitinfo, NULL);
    int sig = SP_REAL(sigwaitinfo)(set, info);
    sp_hook_wait_end(SP_HOOK_WAIT_sigwaitinfo, NULL, since_ns);
    return arrived(sig, info);
}

SP_EXPORT int sigtimedwait(const sigset_t *set, siginfo_t *info, const struct timespec *timeout)
{
    if (waits_for(set))
        return wait_past_ticks(set, info, timeout);
    uint64_t since_ns = sp_hook_wait_begin(SP_HOOK_WAIT_sigtimedwait, NULL);
    int sig = SP_REAL(sigtimedwait)(set, info, timeout);
    sp_hook_wait_end(SP_HOOK_WAIT_sigtimedwait, NULL, since_ns);
    return arrived(sig, info);
}

/* ---- what the program sends to a thread in which a tick waits */
void sp_hook_pending_arrived(void)
{
    if (sp_session_self)
        sp_store_release(&sp_session_self->sent, SP_SENT_NONE);
}

static struct sp_live *by_thread_pointer(uintptr_t pointer)
{
    struct sp_live *l = NULL;
    while ((l = sp_live_next(l)) && l->thread_pointer != pointer)
        ;
    return l;
}

/* Before SIGPROF is sent to a thread: its entry again if that could be lost. */
static struct sp_live *sends(struct sp_live *l)
{
    if (!l || !sp_session_region())
        return NULL;
    if (l == sp_session_self) {
        take_ticks();
        return NULL;
    }
    if (sp_hook_pending_is_watched || !sp_os_waits_in_thread(l->tid, SIGPROF))
        return NULL;
    sp_store_release(&l->sent, SP_SENT_NOW);
    return l;
}

/* After that. True: once more. */
static bool was_lost(struct sp_live *l, int rc)
{
    uint32_t now = SP_SENT_NOW;
    if (!l || sp_cas(&l->sent, &now, rc == 0 ? SP_SENT_DONE : SP_SENT_NONE))
        return false;
    return rc == 0 && now == SP_SENT_AGAIN && sp_cas(&l->sent, &now, SP_SENT_NOW);
}

SP_EXPORT int raise(int sig)
{
    SP_REAL_UNLESS_OURS(raise, sig != SIGPROF, sig);
    bool is_held = sig == SIGPROF && sp_hook_pending_hold(sp_session_self);
    if (sig == SIGPROF)
        sends(sp_session_self);
    int rc = SP_REAL(raise)(sig);
    sp_hook_pending_let_go(sp_session_self, is_held);
    return rc;
}

SP_EXPORT int gsignal(int sig) /* another name of raise() */
{
    return raise(sig);
}

SP_EXPORT int pthread_kill(pthread_t thread, int sig)
{
    if (!SP_REAL(pthread_kill)) /* glibc before 2.32, without libpthread */
        return ENOSYS;
    /* The same distance in all threads of a libc. */
    uintptr_t distance = (uintptr_t)pthread_self() - sp_cpu_thread_pointer();
    struct sp_live *to = sig == SIGPROF ? by_thread_pointer((uintptr_t)thread - distance) : NULL;
    bool is_held = sp_hook_pending_hold(to);
    struct sp_live *l = sends(to);
    int rc;
    do
        rc = SP_REAL(pthread_kill)(thread, sig);
    while (was_lost(l, rc));
    sp_hook_pending_let_go(to, is_held);
    return rc;
}

SP_EXPORT int tgkill(pid_t pid, pid_t tid, int sig)
{
    if (!SP_REAL(tgkill)) { /* glibc before 2.30 */
        errno = ENOSYS;
        return -1;
    }
    uint32_t near = 1;
    struct sp_live *to = sig == SIGPROF && pid == sp_session.pid ? sp_live_by_tid(tid, &near) : NULL;
    bool is_held = sp_hook_pending_hold(to);
    struct sp_live *l = sends(to);
    int rc;
    do
        rc = SP_REAL(tgkill)(pid, tid, sig);
    while (was_lost(l, rc));
    sp_hook_pending_let_go(to, is_held);
    return rc;
}

/* ---- a descriptor that reads SIGPROF. What poll() and read() of it show is what is pending in the thread that calls
 * them, and nothing of ours stands there: so no tick may be pending, and the timers of threads that block SIGPROF stop.
 * Threads: any sets it, and it stays set. */
bool sp_hook_pending_is_watched;

static void pause_ticks(struct sp_live *l)
{
    l->pause = SP_PAUSE_NOW;
    sp_engine->thread_pause(l);
    take_ticks();
}

SP_EXPORT int signalfd(int fd, const sigset_t *set, int flags)
{
    if (waits_for(set) && has_sigprof(set) && sp_session_region()) {
        sp_hook_pending_is_watched = true;
        if (sp_session_self && sp_session_self->pause != SP_PAUSE_NOW && sp_os_mask_block(0) & SP_OS_MASK(SIGPROF))
            pause_ticks(sp_session_self);
    }
    return SP_REAL(signalfd)(fd, set, flags);
}

int sp_hook_pending_change_mask(int (*real)(int, const sigset_t *, sigset_t *), int how, const sigset_t *set, sigset_t *old)
{
    struct sp_live *l = sp_session_self && sp_session_region() ? sp_session_self : NULL;
    sigset_t before;
    int rc = real(how, set, &before);
    if (rc == 0 && l) {
        bool was = has_sigprof(&before), named = has_sigprof(set);
        bool is = !set ? was : how == SIG_SETMASK ? named : how == SIG_BLOCK ? was || named : was && !named;
        if (is && !was &&
            l->pause != SP_PAUSE_NOW) /* both: we are in a handler that has it blocked, whose return we do not see */
            pause_ticks(l);
        if (!is && l->pause == SP_PAUSE_NOW) {
            l->pause = SP_PAUSE_OVER;
            sp_engine->thread_resume(l);
        }
    }
    if (rc == 0 && old)
        *old = before;
    return rc;
}

void sp_hook_pending_thread_begins(struct sp_live *l, uint64_t mask)
{
    if (sp_hook_pending_is_watched && mask & SP_OS_MASK(SIGPROF) && !sp_hook_mask_is_hidden())
        pause_ticks(l);
}

/* ---- waits that let SIGPROF in */
static void let_in(const sigset_t *mask)
{
    if (!is_running() || !can_read(mask) || sigismember(mask, SIGPROF) == 1)
        return;
    int saved = errno;
    take_ticks();
    sp_hook_mask_is_let_in(true);
    errno = saved;
}

static int waited(int rc)
{
    sp_hook_mask_is_let_in(false);
    return rc;
}

/* What waits for a signal would be over with one that the program ignores, for a handler of ours that rings. */
static const sigset_t *unrung(const sigset_t *mask, sigset_t *room)
{
    if (!sp_hook_signal_rings() || !can_read(mask))
        return mask;
    *room = *mask;
    sigaddset(room, SP_RING_SIGNAL);
    return room;
}

SP_EXPORT int sigsuspend(const sigset_t *mask)
{
    sigset_t room;
    let_in(mask);
    uint64_t since_ns = sp_hook_wait_begin(SP_HOOK_WAIT_sigsuspend, NULL);
    int rc = SP_REAL(sigsuspend)(unrung(mask, &room));
    sp_hook_wait_end(SP_HOOK_WAIT_sigsuspend, NULL, since_ns);
    return waited(rc);
}

SP_EXPORT int pause(void)
{
    SP_REAL_UNLESS_OURS(pause, true, );
    sigset_t mask, room;
    uint64_t since_ns = sp_hook_wait_begin(SP_HOOK_WAIT_pause, NULL), now = sp_os_mask_block(0);
    sigemptyset(&mask);
    memcpy(&mask, &now, sizeof now);
    int rc = sp_hook_signal_rings() ? SP_REAL(sigsuspend)(unrung(&mask, &room)) : SP_REAL(pause)();
    sp_hook_wait_end(SP_HOOK_WAIT_pause, NULL, since_ns);
    return rc;
}

/* The old name of the same, as libc makes it of sigsuspend: by a call that no hook sees. */
SP_EXPORT int __sigpause(int sig_or_mask, int is_sig)
{
    sigset_t mask;
    if (is_sig) {
        sigprocmask(SIG_BLOCK, NULL, &mask);
        if (sigdelset(&mask, sig_or_mask) != 0)
            return -1;
    } else {
        sigemptyset(&mask);
        memcpy(&mask, &sig_or_mask, sizeof sig_or_mask); /* signals 1 to 32 */
    }
    return sigsuspend(&mask);
}

SP_EXPORT int __xpg_sigpause(int sig)
{
    return __sigpause(sig, 1);
}

SP_EXPORT int pselect(int n, fd_set *in, fd_set *out, fd_set *other, const struct timespec *timeout, const sigset_t *mask)
{
    let_in(mask);
    uint64_t since_ns = sp_hook_wait_begin(SP_HOOK_WAIT_pselect, NULL);
    int rc = SP_REAL(pselect)(n, in, out, other, timeout, mask);
    sp_hook_wait_end(SP_HOOK_WAIT_pselect, NULL, since_ns);
    return waited(rc);
}

SP_EXPORT int ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
    let_in(mask);
    uint64_t since_ns = sp_hook_wait_begin(SP_HOOK_WAIT_ppoll, NULL);
    int rc = SP_REAL(ppoll)(fds, n, timeout, mask);
    sp_hook_wait_end(SP_HOOK_WAIT_ppoll, NULL, since_ns);
    return waited(rc);
}

SP_EXPORT int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask, size_t bytes)
{
    let_in(mask);
    uint64_t since_ns = sp_hook_wait_begin(SP_HOOK_WAIT_ppoll, NULL);
    int rc = SP_REAL(__ppoll_chk)(fds, n, timeout, mask, bytes);
    sp_hook_wait_end(SP_HOOK_WAIT_ppoll, NULL, since_ns);
    return waited(rc);
}

SP_EXPORT int epoll_pwait(int fd, struct epoll_event *events, int n, int timeout_ms, const sigset_t *mask)
{
    let_in(mask);
    uint64_t since_ns = sp_hook_wait_begin(SP_HOOK_WAIT_epoll_pwait, NULL);
    int rc = SP_REAL(epoll_pwait)(fd, events, n, timeout_ms, mask);
    sp_hook_wait_end(SP_HOOK_WAIT_epoll_pwait, NULL, since_ns);
    return waited(rc);
}

SP_EXPORT int epoll_pwait2(int fd, struct epoll_event *events, int n, const struct timespec *timeout, const sigset_t *mask)
{
    if (!SP_REAL(epoll_pwait2)) { /* glibc before 2.35 */
        errno = ENOSYS;
        return -1;
    }
    let_in(mask);
    uint64_t since_ns = sp_hook_wait_begin(SP_HOOK_WAIT_epoll_pwait2, NULL);
    int rc = SP_REAL(epoll_pwait2)(fd, events, n, timeout, mask);
    sp_hook_wait_end(SP_HOOK_WAIT_epoll_pwait2, NULL, since_ns);
    return waited(rc);
}
