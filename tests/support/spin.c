/* SPDX-License-Identifier: MIT
 * Threads as C libraries make them; each burns `ms` of CPU. Loaded by tests through ctypes. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

int spin_ms(long ms);
int spin_in_thread(int kind, long ms);
int spin_in_sigev_thread(long ms);
int spin_in_raw_clone(long ms);
int spins_done(void);

int spin_and_linger(long ms, long linger_ms);
int leave_main_thread(void);

int spin_ms(long ms)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    int64_t end = t.tv_sec * 1000000000ll + t.tv_nsec + ms * 1000000ll;
    do {
        for (volatile int i = 0; i < 2000; i++)
            ;
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    } while (t.tv_sec * 1000000000ll + t.tv_nsec < end);
    return 0;
}

static atomic_int done;
static int run(const pthread_attr_t *attr, void *(*f)(void *), long ms, int join);

static void *plain(void *ms)
{
    spin_ms((long)ms);
    atomic_fetch_add(&done, 1);
    return ms;
}

static pthread_key_t linger_key;

static void linger(void *ms)
{
    usleep((useconds_t)((long)ms * 1000));
}

static void *plain_with_linger(void *ms)
{
    pthread_setspecific(linger_key, (void *)((long *)ms)[1]);
    plain((void *)((long *)ms)[0]);
    return ms;
}

/* A thread that burns `ms`, and is still there for `linger_ms` after the library's own look at its end. */
int spin_and_linger(long ms, long linger_ms)
{
    long times[2] = {ms, linger_ms};
    return pthread_key_create(&linger_key, linger) ? -1 : run(NULL, plain_with_linger, (long)times, 1);
}

/* The main thread ends, the process goes on. */
int leave_main_thread(void)
{
    pthread_exit(NULL);
}

static void *leaves_by_exit(void *ms)
{
    plain(ms);
    pthread_exit(ms);
}

static void *waits_to_be_cancelled(void *ms)
{
    plain(ms);
    for (;;)
        pause();
    return NULL;
}

static int c11(void *ms)
{
    plain(ms);
    return 7;
}

static int run(const pthread_attr_t *attr, void *(*f)(void *), long ms, int join)
{
    pthread_t t;
    void *result = NULL;
    int rc = pthread_create(&t, attr, f, (void *)ms);
    if (rc == 0 && join)
        rc = pthread_join(t, &result);
    return rc ? rc : join && result != (void *)ms ? -1 : 0;
}

static int run_detached(long ms)
{
    pthread_attr_t a;
    pthread_attr_init(&a);
    pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED);
    int before = atomic_load(&done), rc = run(&a, plain, ms, 0);
    while (rc == 0 && atomic_load(&done) == before)
        usleep(1000);
    usleep(20000);
    return rc;
}

static int run_cancelled(long ms)
{
    pthread_t t;
    void *result;
    int before = atomic_load(&done);
    if (pthread_create(&t, NULL, waits_to_be_cancelled, (void *)ms))
        return -1;
    while (atomic_load(&done) == before)
        usleep(1000);
    pthread_cancel(t);
    pthread_join(t, &result);
    return result == PTHREAD_CANCELED ? 0 : -1;
}

static int run_c11(long ms)
{
    thrd_t t;
    int result = 0;
    if (thrd_create(&t, c11, (void *)ms) != thrd_success)
        return -1;
    thrd_join(t, &result);
    return result == 7 ? 0 : -1;
}

static int run_blocked(long ms)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = run(NULL, plain, ms, 1);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return rc;
}

int spin_in_thread(int kind, long ms)
{
    pthread_attr_t a;
    pthread_attr_init(&a);
    switch (kind) {
    case 0: return run(NULL, plain, ms, 1);
    case 1: return run(NULL, leaves_by_exit, ms, 1);
    case 2: return run_detached(ms);
    case 3: return run_cancelled(ms);
    case 4: return run_c11(ms);
    case 5: pthread_attr_setstacksize(&a, 16384); return run(&a, plain, ms, 1);
    case 6: return run_blocked(ms);
    default: return run(NULL, plain, ms, 1);
    }
}

static void on_timer(union sigval v)
{
    spin_ms(v.sival_int);
    atomic_fetch_add(&done, 1);
}

int spins_done(void)
{
    return atomic_load(&done);
}

int spin_in_sigev_thread(long ms)
{
    struct sigevent ev = {.sigev_notify = SIGEV_THREAD, .sigev_notify_function = on_timer};
    struct itimerspec its = {.it_value = {0, 1000000}};
    timer_t timer;
    ev.sigev_value.sival_int = (int)ms;
    return timer_create(CLOCK_MONOTONIC, &ev, &timer) || timer_settime(timer, 0, &its, NULL);
}

static int raw_thread(void *ms)
{
    struct timespec t = {0, 0}, now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    do
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    while ((now.tv_sec - t.tv_sec) * 1000 + (now.tv_nsec - t.tv_nsec) / 1000000 < (long)ms);
    return 0;
}

int spin_in_raw_clone(long ms)
{
    size_t size = 1 << 18;
    char *stack = malloc(size);
    int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;
    return stack && clone(raw_thread, stack + size, flags, (void *)ms) > 0 ? 0 : errno;
}

/* ---- what signals can break in C code */
#include <poll.h>
#include <semaphore.h>
#include <setjmp.h>
#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/time.h>

int count_eintr(int rounds);
int spin_with_altstack(long size, long ms);
int spin_with_siglongjmp(long ms);

static int failed(int rc)
{
    return rc < 0 && errno == EINTR;
}

int count_eintr(int rounds)
{
    int n = 0, fds[2], ep = epoll_create1(0), queue = msgget(IPC_PRIVATE, 0600);
    struct epoll_event event;
    sem_t sem;
    sem_init(&sem, 0, 0);
    if (pipe(fds))
        return -1;
    for (int i = 0; i < rounds; i++) {
        struct timespec ts = {0, 1000000}, until;
        struct timeval tv = {0, 1000};
        struct pollfd p = {fds[0], POLLIN, 0};
        spin_ms(1);
        n += failed(poll(&p, 1, 1));
        spin_ms(1);
        n += failed(ppoll(&p, 1, &ts, NULL));
        n += failed(select(0, NULL, NULL, NULL, &tv));
        spin_ms(1);
        n += failed(epoll_wait(ep, &event, 1, 1));
        n += failed(nanosleep(&ts, NULL));
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec = (until.tv_nsec + 1000000) % 1000000000;
        n += failed(sem_timedwait(&sem, &until));
        char message[64];
        n += failed((int)msgrcv(queue, message, 8, 0, IPC_NOWAIT));
    }
    msgctl(queue, IPC_RMID, NULL);
    return n;
}

/* The program runs on its alternate stack of `size` bytes, surrounded by known bytes. */
int spin_with_altstack(long size, long ms)
{
    unsigned char *block = malloc((size_t)size + 16384);
    memset(block, 0x5a, (size_t)size + 16384);
    stack_t ss = {.ss_sp = block + 8192, .ss_size = (size_t)size}, old;
    if (sigaltstack(&ss, &old)) {
        return -2;
    }
    /* Nothing of ours asks for it: ticks must stay on the ordinary stack, and the bytes as they are. */
    spin_ms(ms);
    sigaltstack(&old, NULL);
    for (long i = 0; i < size + 16384; i++)
        if (block[i] != 0x5a)
            return (int)(i + 1);
    free(block);
    return 0;
}

static sigjmp_buf back;

static void jump(int sig)
{
    (void)sig;
    siglongjmp(back, 1);
}

int spin_with_siglongjmp(long ms)
{
    struct sigaction act = {.sa_handler = jump}, old;
    struct itimerval it = {{0, 700}, {0, 700}}, none = {{0, 0}, {0, 0}};
    struct timespec t;
    sigaction(SIGALRM, &act, &old);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    volatile int64_t end = t.tv_sec * 1000000000ll + t.tv_nsec + ms * 1000000ll;
    setitimer(ITIMER_REAL, &it, NULL);
    sigsetjmp(back, 1);
    do
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    while (t.tv_sec * 1000000000ll + t.tv_nsec < end);
    setitimer(ITIMER_REAL, &none, NULL);
    sigaction(SIGALRM, &old, NULL);
    return 0;
}

/* ---- a SIGPROF handler that libc knows nothing of */
struct counts {
    volatile int in_main, elsewhere, sender;
};
int count_handlers(struct counts *where);
int raise_in_this_thread(void);
int raw_sigprof_handler(void);
int raw_sigprof_hits(void);
static atomic_int raw_hits;

static void raw_handler(int sig)
{
    (void)sig;
    atomic_fetch_add(&raw_hits, 1);
}

int raw_sigprof_handler(void)
{
    struct {
        void (*handler)(int);
        unsigned long flags;
        void (*restorer)(void);
        unsigned long mask;
    } now, act;
    long rc = syscall(SYS_rt_sigaction, SIGPROF, NULL, &now, 8); /* x86-64 wants a restorer: libc's */
    act = now;
    act.handler = raw_handler;
    act.flags &= ~(unsigned long)SA_SIGINFO;
    return (int)(rc != 0 ? rc : syscall(SYS_rt_sigaction, SIGPROF, &act, NULL, 8));
}

int raw_sigprof_hits(void)
{
    return atomic_load(&raw_hits);
}

static struct counts *counts;

static void note_where(int sig, siginfo_t *info, void *context)
{
    (void)sig;
    (void)context;
    counts->sender = info->si_pid;
    if (syscall(SYS_gettid) == getpid())
        counts->in_main++;
    else
        counts->elsewhere++;
}

/* SIGUSR1 is counted, by the thread in which its handler runs. */
int count_handlers(struct counts *where)
{
    struct sigaction act = {.sa_sigaction = note_where, .sa_flags = SA_SIGINFO | SA_RESTART}, seen;
    counts = where;
    if (sigaction(SIGUSR1, &act, NULL) || sigaction(SIGUSR1, NULL, &seen))
        return -1;
    return seen.sa_sigaction == note_where && seen.sa_flags & SA_SIGINFO ? 0 : -2;
}

/* The signal of a tick with its value, and at once another for the process; the thread does not run in between if it is further back
 * in line on the same processor. */
int tick_and_signal(int tid, unsigned long value, int sig)
{
    siginfo_t info = {.si_signo = SIGPROF, .si_code = SI_TIMER};
    info.si_value.sival_ptr = (void *)value;
    long rc = syscall(SYS_rt_tgsigqueueinfo, getpid(), tid, SIGPROF, &info);
    return rc != 0 ? (int)rc : kill(getpid(), sig);
}

int raise_in_this_thread(void)
{
    return raise(SIGUSR1);
}
