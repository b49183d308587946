/* SPDX-License-Identifier: MIT
 * Signal masks as programs change them and ask for what is pending; tests/e2e/masks.py says what is expected. */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations" /* sigpause is in use all the same */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

static sigset_t everything(void)
{
    sigset_t all;
    sigfillset(&all);
    return all;
}

static sigset_t only(int sig)
{
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, sig);
    return one;
}

static void change_raw(int how, const sigset_t *set, sigset_t *old)
{
    syscall(SYS_rt_sigprocmask, how, set, old, 8);
}

static int64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

void burn(long ms)
{
    int64_t end = cpu_ns() + ms * 1000000;
    while (cpu_ns() < end)
        ;
}

/* ---- everything blocked by a call, `ms` of CPU, and let go by what no call of libc's shows */
static long handler_ms;

static void blocks(int sig)
{
    (void)sig;
    sigset_t all = everything();
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    burn(handler_ms);
}

static void blocks_and_restores(int sig)
{
    (void)sig;
    sigset_t all = everything(), old;
    sigprocmask(SIG_SETMASK, &all, &old);
    burn(handler_ms);
    sigprocmask(SIG_SETMASK, &old, NULL);
}

static void in_handler(void (*handler)(int), int is_full)
{
    struct sigaction act = {.sa_handler = handler, .sa_flags = SA_RESTART};
    if (is_full)
        act.sa_mask = everything();
    sigaction(SIGUSR1, &act, NULL);
    raise(SIGUSR1);
}

static void by_longjmp(long ms)
{
    sigjmp_buf back;
    sigset_t all = everything();
    if (sigsetjmp(back, 1) == 0) {
        pthread_sigmask(SIG_SETMASK, &all, NULL);
        burn(ms);
        siglongjmp(back, 1);
    }
}

static void by_setcontext(long ms)
{
    ucontext_t here;
    volatile int is_back = 0;
    sigset_t all = everything();
    getcontext(&here);
    if (is_back++ == 0) {
        pthread_sigmask(SIG_SETMASK, &all, NULL);
        burn(ms);
        setcontext(&here);
    }
}

static ucontext_t outside, inside;

static void coroutine(void)
{
    sigset_t all = everything();
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    burn(handler_ms);
    swapcontext(&inside, &outside);
}

static void by_swapcontext(void)
{
    static char stack[65536];
    getcontext(&inside);
    inside.uc_stack.ss_sp = stack;
    inside.uc_stack.ss_size = sizeof stack;
    makecontext(&inside, coroutine, 0);
    swapcontext(&outside, &inside);
}

int let_go(const char *how, long ms)
{
    sigset_t all = everything(), old;
    handler_ms = ms;
    if (strcmp(how, "handler") == 0) {
        in_handler(blocks, 0);
    } else if (strcmp(how, "restoring handler") == 0) {
        in_handler(blocks_and_restores, 1);
    } else if (strcmp(how, "siglongjmp") == 0) {
        by_longjmp(ms);
    } else if (strcmp(how, "setcontext") == 0) {
        by_setcontext(ms);
    } else if (strcmp(how, "swapcontext") == 0) {
        by_swapcontext();
    } else {
        pthread_sigmask(SIG_SETMASK, &all, &old);
        burn(ms);
        if (strcmp(how, "system call") == 0)
            change_raw(SIG_SETMASK, &old, NULL);
        else
            pthread_sigmask(SIG_SETMASK, &old, NULL);
    }
    sigprocmask(SIG_BLOCK, NULL, &old);
    return sigismember(&old, SIGPROF);
}

/* ---- critical sections: 2 us of every 100 us */
static volatile unsigned long sum;

static void count(int n)
{
    for (int i = 0; i < n; i++)
        sum = sum * 3 + 1;
}

void sections(int rounds, int are_blocked)
{
    sigset_t all = everything(), old;
    for (int i = 0; i < rounds; i++) {
        if (are_blocked)
            pthread_sigmask(SIG_BLOCK, &all, &old);
        count(1000);
        if (are_blocked)
            pthread_sigmask(SIG_SETMASK, &old, NULL);
        count(50000);
    }
}

/* ---- what a program sees while SIGPROF is blocked and nobody sent one */
static volatile sig_atomic_t alarms;

static void on_alarm(int sig)
{
    (void)sig;
    alarms++;
}

/* Waits in which SIGPROF is not blocked end by the alarm, and by nothing before. */
static int ends_early(const char *wait)
{
    struct itimerval soon = {.it_value = {0, 60000}};
    struct epoll_event event;
    sigset_t none;
    sigemptyset(&none);
    alarms = 0;
    setitimer(ITIMER_REAL, &soon, NULL);
    if (strcmp(wait, "sigsuspend") == 0)
        sigsuspend(&none);
    else if (strcmp(wait, "sigpause") == 0)
        sigpause(SIGPROF);
    else if (strcmp(wait, "ppoll") == 0)
        ppoll(NULL, 0, NULL, &none);
    else if (strcmp(wait, "pselect") == 0)
        pselect(0, NULL, NULL, NULL, NULL, &none);
    else
        epoll_pwait(epoll_create1(0), &event, 1, -1, &none);
    return alarms == 0;
}

static int is_pending(int sig)
{
    sigset_t set;
    sigpending(&set);
    return sigismember(&set, sig);
}

static int is_readable(int fd)
{
    struct pollfd p = {fd, POLLIN, 0};
    return poll(&p, 1, 0);
}

/* Names of what showed a signal, with spaces between. */
const char *what_is_seen(int is_raw)
{
    static char seen[256];
    sigset_t prof = only(SIGPROF), old;
    struct timespec none = {0, 0};
    struct sigaction act = {.sa_handler = on_alarm};
    const char *waits[] = {"sigsuspend", "sigpause", "ppoll", "pselect", "epoll_pwait"};
    seen[0] = '\0';
    sigaction(SIGALRM, &act, NULL);
    if (is_raw)
        change_raw(SIG_BLOCK, &prof, &old);
    else
        pthread_sigmask(SIG_BLOCK, &prof, &old);
    for (int i = 0; i < 5; i++) {
        burn(25);
        if (ends_early(waits[i]))
            strcat(strcat(seen, waits[i]), " ");
    }
    burn(25);
    if (is_pending(SIGPROF))
        strcat(seen, "sigpending ");
    burn(25);
    if (sigtimedwait(&prof, NULL, &none) > 0)
        strcat(seen, "sigtimedwait ");
    burn(25);
    int fd = signalfd(-1, &prof, SFD_NONBLOCK);
    if (is_readable(fd))
        strcat(seen, "signalfd ");
    burn(25);
    if (is_readable(fd))
        strcat(seen, "signalfd-later ");
    close(fd);
    if (is_raw)
        change_raw(SIG_SETMASK, &old, NULL);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return seen;
}

/* ---- what it is sent while a tick waits */
static volatile sig_atomic_t profs;

static void on_prof(int sig)
{
    (void)sig;
    profs++;
}

struct sender {
    pthread_t to;
    const char *how;
};

static void send(pthread_t to, const char *how)
{
    if (strcmp(how, "raise") == 0)
        raise(SIGPROF);
    else if (strcmp(how, "kill") == 0)
        kill(getpid(), SIGPROF);
    else
        pthread_kill(to, SIGPROF);
}

static void *send_in_thread(void *arg)
{
    sigset_t all = everything();
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    send(((struct sender *)arg)->to, ((struct sender *)arg)->how);
    return NULL;
}

static void send_by(const char *how)
{
    struct sender s = {pthread_self(), how};
    pthread_t t;
    if (strcmp(how, "thread") != 0) {
        send(s.to, how);
        return;
    }
    pthread_create(&t, NULL, send_in_thread, &s);
    pthread_join(t, NULL);
}

/* Twice: taken by sigwait, taken by the handler. Each must arrive once. 0: all well. */
int is_lost(const char *how)
{
    sigset_t prof = only(SIGPROF), old;
    struct timespec second = {5, 0};
    struct sigaction act = {.sa_handler = on_prof};
    int lost = 0;
    sigaction(SIGPROF, &act, NULL);
    pthread_sigmask(SIG_BLOCK, &prof, &old);
    burn(25);
    send_by(how);
    burn(25);
    lost |= 1 * !is_pending(SIGPROF);
    lost |= 2 * (sigtimedwait(&prof, NULL, &second) != SIGPROF);
    lost |= 4 * is_pending(SIGPROF);
    burn(25);
    send_by(how);
    burn(25);
    profs = 0;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    lost |= 8 * (profs != 1);
    burn(25);
    lost |= 16 * (profs != 1);
    return lost;
}
