/* SPDX-License-Identifier: MIT
 * Signals: the program sees the dispositions that it set, for SIGPROF and for every signal that has a stand-in of
 * ours. Masks are in hook_mask.c. All of it is async-signal-safe: CPython and faulthandler call these in handlers. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "compat/cpu.h"
#include "compat/diag.h"
#include "compat/os.h"
#include "compat/ring.h"
#include "inject/doorbell.h"
#include "inject/hooks.h"
#include "inject/session.h"
#include "inject/relay.h"
#include "inject/spool.h"
#include "sampler/handler.h"

SP_REAL_SLOT(sigaction);

/* What the program set, for managed signals. Threads: written by the one that calls sigaction; two threads that set
 * the same signal at once race as they would in the kernel. */
static struct sigaction wanted[SP_OS_SIGNALS];
static bool stood_in[SP_OS_SIGNALS]; /* the real disposition is our stand-in */
static bool started, may_spool;
static int asked_by;                       /* the signal that asks for a profile; 0: none */
static void (*finish)(enum sp_finish how); /* writes the profile */

static int real_sigaction_call(int sig, const struct sigaction *act, struct sigaction *old)
{
    return SP_REAL(sigaction)(sig, act, old);
}

static void standin(int sig, siginfo_t *info, void *context);

/* For the kernel SIG_DFL and SIG_IGN count whatever the flags say; sa_sigaction is the same word. */
static bool has_handler(const struct sigaction *act)
{
    return act->sa_handler != SIG_DFL && act->sa_handler != SIG_IGN;
}

/* ---- death */
/* The signal that this thread is about to die of, while the profile is being written; NULL: none. */
static __thread siginfo_t *dying_of;

static bool is_raised_by_kernel(int sig, const siginfo_t *info)
{
    bool synchronous = sig == SIGSEGV || sig == SIGBUS || sig == SIGFPE || sig == SIGILL || sig == SIGTRAP || sig == SIGSYS;
    bool is_only_told = sig == SIGBUS && info->si_code == BUS_MCEERR_AO;
    return synchronous && info->si_code > 0 && !is_only_told;
}

static void set_default(int sig)
{
    struct sigaction dfl = {.sa_handler = SIG_DFL};
    real_sigaction_call(sig, &dfl, NULL);
}

/* The signal once more, with what it said, to be taken when the handler returns: the same end and the same core, with
 * the registers of the interrupted code. The instruction need not repeat it: a breakpoint does not, nor a system call
 * that a filter refused, nor what a crash reporter sent to itself. Nothing else may come first. */
static void die_on_return(int sig, siginfo_t *info, void *context)
{
    uint64_t mask = ~SP_OS_MASK(sig);
    sp_os_mask_block(SP_OS_MASK(sig));
    set_default(sig);
    if (sp_os_requeue(sig, info) != 0 && sp_os_tgkill(sp_os_gettid(), sig) != 0)
        sp_os_kill(sp_os_getpid(), sig);
    memcpy(&((ucontext_t *)context)->uc_sigmask, &mask, sizeof mask);
}

/* What the kernel raises kills PID 1 as well; sending it once more would not. */
static void die_as_init(int sig, bool repeats)
{
    set_default(sig);
    if (!repeats)
        sp_cpu_raise(sig); /* which is blocked here: that kills at once */
}

/* What a runtime sends PID 1 before it kills it. What comes of its own work (SIGPIPE, timers, limits) does not ask. */
static bool asks_to_end(int sig, const siginfo_t *info)
{
    bool by_other = info->si_code == SI_USER && info->si_pid != sp_os_getpid();
    return by_other || sig == SIGTERM || sig == SIGINT || sig == SIGQUIT || sig == SIGHUP;
}

/* A signal whose default is death, which it is at. */
static void die(int sig, siginfo_t *info, void *context)
{
    int saved = errno;
    bool is_init = sp_os_getpid() == 1;
    enum sp_cpu_fault fault = is_raised_by_kernel(sig, info) && is_init ? sp_cpu_context_fault(context, info) : SP_CPU_SENT;
    if (is_init && fault == SP_CPU_SENT) { /* the kernel ignores it there */
        if (asks_to_end(sig, info))
            finish(SP_FINISH_SNAPSHOT);
    } else if (dying_of && !is_init && sp_session_is_own_process()) { /* a fault while the profile is written */
        set_default(sig);
        die_on_return(dying_of->si_signo, dying_of, context);
    } else {
        dying_of = info;
        if (!sp_handler_is_cramped(context))
            finish(SP_FINISH_END);
        if (is_init)
            die_as_init(sig, fault == SP_CPU_REPEATS);
        else
            die_on_return(sig, info, context);
        dying_of = NULL;
    }
    errno = saved;
}

/* ---- SIGPROF that is not ours */
static uint64_t to_mask(const sigset_t *set)
{
    uint64_t mask;
    memcpy(&mask, set, sizeof mask);
    return mask;
}

static void foreign(int sig, siginfo_t *info, void *context)
{
    struct sigaction act = wanted[sig];
    int saved = errno;
    sp_hook_pending_arrived();
    if (sp_hook_mask_pass_on(sig, info, context))
        return;
    if (act.sa_handler == SIG_IGN)
        return;
    if (act.sa_handler == SIG_DFL) {
        die(sig, info, context);
        return;
    }
    if (!sp_relay_is_here(sig, info)) {
        errno = saved;
        return;
    }
    if ((unsigned)act.sa_flags & SA_RESETHAND)
        wanted[sig].sa_handler = SIG_DFL; /* flags and mask stay, as the kernel has it */
    /* The kernel blocked everything for us; the program's handler expects less. */
    uint64_t interrupted = to_mask(&((ucontext_t *)context)->uc_sigmask);
    uint64_t mask = interrupted | to_mask(&act.sa_mask) | (act.sa_flags & SA_NODEFER ? 0 : SP_OS_MASK(sig));
    sp_os_mask_set(mask);
    errno = saved;
    if (act.sa_flags & SA_SIGINFO)
        act.sa_sigaction(sig, info, context);
    else
        act.sa_handler(sig);
}

/* All of them: sigfillset() leaves out the two by which libc cancels a thread and changes its user, and a thread that was
 * unwound out of our handler would never have left it. */
static void fill(sigset_t *set)
{
    memset(set, 0xff, sizeof *set);
}

/* On the alternate stack: the code that a signal interrupts may have hardly any stack left (goroutines, fibres). */
static int on_stack(void)
{
    return sp_hook_stack_may_be_small() ? 0 : SA_ONSTACK;
}

/* What a flag of the program's means is for us to do; others are the kernel's to know, or to forget (SA_UNSUPPORTED). */
#define MEANT (SA_NOCLDSTOP | SA_NOCLDWAIT | SA_SIGINFO | SA_ONSTACK | SA_RESTART | SA_NODEFER | (int)SA_RESETHAND)

static int unknown_flags(int sig)
{
    return wanted[sig].sa_flags & ~MEANT;
}

/* What the program set, as the kernel would tell it: ours stands there, with those of its flags that mean nothing to us. */
static void keep_as_kernel(int sig)
{
    struct sigaction now, *w = &wanted[sig];
    if (real_sigaction_call(sig, NULL, &now) != 0)
        return;
    now.sa_flags = (w->sa_flags & MEANT) | (now.sa_flags & ~MEANT);
    now.sa_sigaction = w->sa_sigaction;
    now.sa_mask = w->sa_mask;
    sigdelset(&now.sa_mask, SIGKILL);
    sigdelset(&now.sa_mask, SIGSTOP);
    *w = now;
}

/* Our handler, with the program's wish for restarted system calls (only its own signals can interrupt any) and for the
 * stack on which its own handler runs. */
static void install_sigprof(void)
{
    int wish = SA_RESTART | on_stack();
    if (has_handler(&wanted[SIGPROF]))
        wish = wanted[SIGPROF].sa_flags & (SA_RESTART | SA_ONSTACK);
    struct sigaction ours = {.sa_sigaction = sp_handler, .sa_flags = SA_SIGINFO | wish | unknown_flags(SIGPROF)};
    fill(&ours.sa_mask);
    if (may_spool)
        sigdelset(&ours.sa_mask, SIGBUS); /* see sp_spool_is_cut */
    real_sigaction_call(SIGPROF, &ours, NULL);
}

bool sp_hook_signal_is_ours(void)
{
    struct sigaction now;
    if (real_sigaction_call(SIGPROF, NULL, &now) != 0 || now.sa_sigaction == sp_handler)
        return true;
    /* another thread is just spawning a process that is to ignore it */
    return now.sa_handler == SIG_IGN && wanted[SIGPROF].sa_handler == SIG_IGN;
}

/* ---- stand-ins */
static bool kills_by_default(int sig)
{
    switch (sig) {
    case SIGKILL:
    case SIGSTOP:
    case SIGCHLD:
    case SIGCONT:
    case SIGTSTP:
    case SIGTTIN:
    case SIGTTOU:
    case SIGURG:
    case SIGWINCH:
    case SIGPROF:
    case 32: /* libc's own */
    case 33: return false;
    default: return sig > 0 && sig < SP_OS_SIGNALS;
    }
}

/* Where we stand in for the default. */
static bool has_standin(int sig)
{
    return kills_by_default(sig) || sig == SP_RING_SIGNAL;
}

/* Whatever the thread was doing, as at a death, but it goes on afterwards. */
static void write_as_asked(void *context)
{
    int saved = errno;
    if (!sp_handler_is_cramped(context))
        finish(SP_FINISH_REQUEST);
    else
        sp_diag("the signal that asks for a profile came to a thread with too little stack; send it again");
    errno = saved;
}

static void standin(int sig, siginfo_t *info, void *context)
{
    if (sig == SIGBUS && info->si_code == BUS_ADRERR && sp_spool_is_cut(info->si_addr))
        return;
    sp_session_blocks(sp_cpu_context_mask(context));
    if (sig == SP_RING_SIGNAL) {
        if (sp_doorbell_is_ring(info))
            sp_doorbell_answer(info, context);
    } else if (sig == asked_by && sp_session_is_own_process())
        write_as_asked(context);
    else
        die(sig, info, context);
    sp_session_unblocks();
}

static int install_standin(int sig)
{
    struct sigaction ours = {.sa_sigaction = standin, .sa_flags = SA_SIGINFO | SA_RESTART | on_stack() | unknown_flags(sig)};
    fill(&ours.sa_mask);
    sigdelset(&ours.sa_mask, SIGSEGV); /* a fault in the writer must end the process, not hang it */
    sigdelset(&ours.sa_mask, SIGBUS);
    return real_sigaction_call(sig, &ours, NULL);
}

void sp_hook_signal_reinstall(void)
{
    if (!started)
        return;
    install_sigprof();
    for (int sig = 1; sig < SP_OS_SIGNALS; sig++)
        if (stood_in[sig])
            install_standin(sig);
}

bool sp_hook_signal_can_start(void)
{
    struct sigaction now;
    return real_sigaction_call(SIGPROF, NULL, &now) == 0; /* it is one system call that asks and sets */
}

static void say_taken(int sig)
{
    static bool said;
    if (sig == asked_by && !said)
        sp_diag("SPPROF_SIGNAL: the program handles this signal itself, or ignores it; it asks for no profile meanwhile");
    said |= sig == asked_by;
}

void sp_hook_signal_start(void (*on_end)(enum sp_finish how), int asks, bool spools)
{
    finish = on_end;
    asked_by = asks;
    may_spool = spools;
    for (int sig = 1; sig < SP_OS_SIGNALS; sig++) {
        if (!has_standin(sig) && sig != SIGPROF)
            continue;
        struct sigaction now;
        if (real_sigaction_call(sig, NULL, &now) != 0)
            continue;
        wanted[sig] = now;
        if (sig == SIGPROF)
            install_sigprof();
        else if (now.sa_handler == SIG_DFL)
            stood_in[sig] = install_standin(sig) == 0;
        else
            say_taken(sig);
    }
    sp_handler_foreign = foreign;
    if (has_handler(&wanted[SIGPROF]))
        sp_hook_mask_name_sigprof();
    started = true;
}

/* ---- dispositions */
bool sp_hook_signal_is_managed(int sig)
{
    if (!started || (sig != SIGPROF && !kills_by_default(sig) && !sp_relay_can(sig)))
        return false;
    return sp_session_is_own_process();
}

static int set_sigprof(const struct sigaction *act)
{
    wanted[SIGPROF] = *act;
    if (has_handler(act))
        sp_hook_mask_name_sigprof();
    install_sigprof();
    keep_as_kernel(SIGPROF);
    return 0;
}

static int set_other(int sig, const struct sigaction *act)
{
    bool is_default = act->sa_handler == SIG_DFL && has_standin(sig);
    bool was = stood_in[sig];
    struct sigaction before = wanted[sig], relayed;
    wanted[sig] = *act;
    stood_in[sig] = is_default;
    /* Of what the kernel ignores by default nothing waits any longer (kernel/signal.c, do_sigaction). */
    if (is_default && sig == SP_RING_SIGNAL)
        set_default(sig);
    int rc = is_default ? install_standin(sig) : real_sigaction_call(sig, sp_relay_install(sig, act, &relayed), NULL);
    if (rc != 0) {
        wanted[sig] = before;
        stood_in[sig] = was;
    } else if (is_default) {
        keep_as_kernel(sig);
    } else {
        say_taken(sig);
    }
    return rc;
}

void sp_hook_signal_was_ring(void)
{
    struct sigaction act = wanted[SP_RING_SIGNAL];
    if ((unsigned)act.sa_flags & SA_RESETHAND)
        set_other(SP_RING_SIGNAL, &act);
}

bool sp_hook_signal_rings(void)
{
    return stood_in[SP_RING_SIGNAL];
}

SP_EXPORT int sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
    sp_hook_python_sets_signal(__builtin_return_address(0));
    if (!sp_hook_signal_is_managed(sig))
        return real_sigaction_call(sig, act, old);
    struct sigaction before = wanted[sig];
    if (sig != SIGPROF && !stood_in[sig]) {
        /* the kernel knows: SA_RESETHAND may have fired */
        if (real_sigaction_call(sig, NULL, &before) != 0)
            return -1;
        sp_relay_reveal(sig, &before);
    }
    if (act) {
        struct sigaction copy = *act; /* old may be the same memory */
        int rc = sig == SIGPROF ? set_sigprof(&copy) : set_other(sig, &copy);
        if (rc != 0)
            return rc;
    }
    if (old)
        *old = before;
    return 0;
}

/* ---- exec */
struct sp_handover sp_hook_signal_hand_over(void)
{
    struct sp_handover h = {false, false};
    if (!started)
        return h;
    if (wanted[SIGPROF].sa_handler == SIG_IGN) {
        struct sigaction act = {.sa_handler = SIG_IGN};
        h.ignored = real_sigaction_call(SIGPROF, &act, NULL) == 0;
    }
    h.blocked = sp_hook_mask_hand_over();
    return h;
}

void sp_hook_signal_take_back(struct sp_handover h)
{
    if (h.ignored)
        install_sigprof();
    sp_hook_mask_take_back(h.blocked);
}
