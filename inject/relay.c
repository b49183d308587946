/* SPDX-License-Identifier: MIT
 * See relay.h. */
#include "inject/relay.h"

#include <errno.h>
#include <string.h>

#include "compat/cpu.h"
#include "compat/os.h"
#include "compat/ring.h"
#include "inject/doorbell.h"
#include "inject/hooks.h"
#include "inject/self.h"

typedef void relayed_fn(int, siginfo_t *, void *);

/* Threads: a signal's handler by who sets it; handed by who made its way ON_ITS_WAY. */

/* The program's handlers. Called with three arguments whatever they take: so does the kernel. */
static relayed_fn *handlers[SP_OS_SIGNALS];
static bool takes_info[SP_OS_SIGNALS];
static bool restarts[SP_OS_SIGNALS];   /* SA_RESTART */
static bool hands_over[SP_OS_SIGNALS]; /* not with SA_RESETHAND: the disposition is gone when the signal is handed over */

/* What the signal said before it was handed over; one a signal, the next is handled where it arrives. */
static siginfo_t handed[SP_OS_SIGNALS];
static uint32_t way[SP_OS_SIGNALS];
enum { NONE, ON_ITS_WAY, TAKEN_BACK /* handled elsewhere: what arrives is void */ };

#define LOOKS 20
#define LOOKS_EVERY_NS 100000
#define TAKEN_WITHIN 200 /* such times */

enum wants { NO, MAYBE, YES };

/* While the main thread is in a tick or a look of ours at its stack, it has all blocked, and this says nothing of what it wants. At the
 * ends of that nothing tells, for as long as it waits for a CPU there; libc has all blocked for some instants of its own, and a program
 * may by the system call itself. */
static enum wants main_thread_wants(int sig)
{
    const uint64_t never = SP_OS_MASK(SIGKILL) | SP_OS_MASK(SIGSTOP) | SP_OS_MASK(SIGBUS); /* by our handlers */
    for (int looks = 0; looks < LOOKS; looks++) {
        uint64_t blocked, mask;
        if (!sp_os_main_thread_blocks(&blocked))
            return NO;
        if (!(blocked & SP_OS_MASK(sig)))
            return YES;
        if ((blocked | never) != ~0ull)
            return NO;
        if (sp_self_main_is_inside(&mask))
            return mask & SP_OS_MASK(sig) ? NO : YES;
        sp_os_sleep_ns(LOOKS_EVERY_NS);
    }
    return MAYBE;
}

static bool is_taken(int sig)
{
    uint32_t on_its_way = ON_ITS_WAY;
    for (int i = 0; i < TAKEN_WITHIN; i++) {
        if (sp_load_acquire(&way[sig]) != ON_ITS_WAY)
            return true;
        sp_os_sleep_ns(LOOKS_EVERY_NS);
    }
    return !sp_cas(&way[sig], &on_its_way, TAKEN_BACK);
}

static bool can_hand_over(int sig)
{
    switch (sig) {
    case SIGKILL:
    case SIGSTOP:
    case SIGPROF: /* has a handler of ours that asks sp_relay_is_here() */
    case SIGCHLD: /* for the thread that forked */
    case SIGPIPE: /* these two for the thread that wrote, and they do not say so */
    case SIGXFSZ:
    case SIGSEGV:
    case SIGBUS:
    case SIGFPE:
    case SIGILL:
    case SIGTRAP:
    case SIGSYS:
    case SIGABRT:
    case 32: /* libc's own */
    case 33: return false;
    default: return sig > 0 && sig < SP_OS_SIGNALS;
    }
}

/* Sent to the process as such: by kill(), a terminal, alarm(). Other timers, and what sigqueue() sends, may be for the
 * thread in which they arrive. */
static bool is_for_process(int sig, const siginfo_t *info)
{
    bool from_kernel = info->si_code == SI_KERNEL && (sig == SIGALRM || sig == SIGINT || sig == SIGQUIT || sig == SIGHUP ||
                                                      sig == SIGTSTP || sig == SIGCONT || sig == SIGWINCH);
    return info->si_code == SI_USER || from_kernel;
}

/* A tick that waits there swallows a SIGPROF's marker as well, and ends no way. */
static int queue_to_main(int sig, siginfo_t *marker)
{
    uint32_t near = 1;
    struct sp_live *l = sig == SIGPROF ? sp_live_by_tid(marker->si_pid, &near) : NULL;
    bool is_held = sp_hook_pending_hold(l);
    int rc = sp_os_queue_to_thread(marker->si_pid, sig, marker);
    sp_hook_pending_let_go(l, is_held);
    return rc;
}

/* A signal of this kind that waits for the main thread swallows the marker, as it would swallow any other; whichever of
 * them arrives there ends the way of both. */
static bool hand_over(int sig, const siginfo_t *info)
{
    uint32_t none = NONE;
    if (!is_for_process(sig, info) || sp_load_acquire(&way[sig]) != NONE)
        return false;
    enum wants wants = main_thread_wants(sig);
    if (wants == NO || !sp_cas(&way[sig], &none, ON_ITS_WAY))
        return false;
    handed[sig] = *info;
    siginfo_t marker;
    memset(&marker, 0, sizeof marker);
    marker.si_signo = sig;
    marker.si_code = SI_QUEUE;
    marker.si_pid = sp_os_getpid();
    marker.si_value.sival_ptr = &handed[sig];
    if (queue_to_main(sig, &marker) == 0)
        return wants == YES || is_taken(sig);
    sp_store_release(&way[sig], NONE);
    return false;
}

static bool is_marker(int sig, const siginfo_t *info)
{
    return info->si_code == SI_QUEUE && info->si_value.sival_ptr == &handed[sig];
}

/* What the way was. */
static uint32_t end_way(int sig, siginfo_t *info)
{
    bool was_handed = is_marker(sig, info), ends = was_handed || sp_os_gettid() == sp_os_getpid();
    if (was_handed)
        *info = handed[sig];
    return ends ? __atomic_exchange_n(&way[sig], NONE, __ATOMIC_ACQ_REL) : NONE;
}

bool sp_relay_arrived(int sig, siginfo_t *info)
{
    bool was_handed = is_marker(sig, info);
    end_way(sig, info);
    return was_handed;
}

bool sp_relay_is_here(int sig, siginfo_t *info)
{
    bool was_handed = is_marker(sig, info);
    uint32_t was = end_way(sig, info);
    if (was_handed)
        return was != TAKEN_BACK;
    return sp_os_gettid() == sp_os_getpid() || !hand_over(sig, info);
}

/* A tick came before the signal, or while it was on its way, and its handler makes the system call begin anew: the thread would
 * sleep on, where the call ends without us. */
static void interrupt_call(int sig, void *context)
{
    if (!restarts[sig] && sp_self_takes_restart(context) && sp_os_may_interrupt(context))
        sp_cpu_context_interrupt(context);
}

static void relay(int sig, siginfo_t *info, void *context)
{
    relayed_fn *handler = sp_load_acquire(&handlers[sig]);
    int saved = errno;
    if (sig == SP_RING_SIGNAL && sp_doorbell_is_ring(info)) {
        sp_hook_signal_was_ring();
        sp_doorbell_answer(info, context);
        return;
    }
    bool is_here = !hands_over[sig] || sp_relay_is_here(sig, info);
    errno = saved;
    if (!is_here)
        return;
    interrupt_call(sig, context);
    handler(sig, info, context);
}

bool sp_relay_can(int sig)
{
    return can_hand_over(sig) || sig == SIGCHLD;
}

const struct sigaction *sp_relay_install(int sig, const struct sigaction *act, struct sigaction *ours)
{
    if (sp_relay_can(sig) && act->sa_handler == SIG_DFL)
        takes_info[sig] = true; /* as the kernel has it */
    /* The relay itself: from who asked the kernel. */
    if (!sp_relay_can(sig) || act->sa_sigaction == relay || act->sa_handler == SIG_DFL || act->sa_handler == SIG_IGN ||
        act->sa_handler == SIG_ERR)
        return act;
    *ours = *act;
    takes_info[sig] = act->sa_flags & SA_SIGINFO;
    restarts[sig] = act->sa_flags & SA_RESTART;
    hands_over[sig] = can_hand_over(sig) && !((unsigned)act->sa_flags & SA_RESETHAND);
    sp_store_release(&way[sig], NONE); /* what was is gone if the signal was ignored for a while */
    sp_store_release(&handlers[sig], act->sa_sigaction);
    ours->sa_flags |= SA_SIGINFO;
    ours->sa_sigaction = relay;
    return ours;
}

void sp_relay_reveal(int sig, struct sigaction *act)
{
    relayed_fn *handler = sp_load_acquire(&handlers[sig]);
    bool has_fired = act->sa_handler == SIG_DFL && (unsigned)act->sa_flags & SA_RESETHAND && handler;
    if (act->sa_sigaction == relay)
        act->sa_sigaction = handler;
    else if (!has_fired)
        return;
    if (!takes_info[sig])
        act->sa_flags &= ~SA_SIGINFO;
}

void sp_relay_forked(void)
{
    memset(way, 0, sizeof way);
}
