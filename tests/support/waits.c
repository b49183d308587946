/* SPDX-License-Identifier: MIT
 * A library whose constructor and destructor each start a thread that calls what a preloaded library may stand before, and
 * wait for it: the loader is locked all the while. With -DOPENS=library, it only opens that one in its constructor. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

#define TRY(call)                                                 \
    do {                                                          \
        if (!(call)) {                                            \
            fprintf(stderr, "waits.c:%d: %s\n", __LINE__, #call); \
            _exit(91);                                            \
        }                                                         \
    } while (0)

#ifdef OPENS
__attribute__((constructor)) static void open_other(void)
{
    TRY(dlopen(OPENS, RTLD_NOW));
}
#else

static void *nothing(void *x)
{
    return x;
}

static int nothing_c11(void *x)
{
    (void)x;
    return 7;
}

static void handler(int sig)
{
    (void)sig;
}

static void keys_and_conditions(void)
{
    pthread_key_t key;
    pthread_condattr_t attr;
    TRY(pthread_key_create(&key, free) == 0);
    TRY(pthread_setspecific(key, malloc(1)) == 0);
    pthread_condattr_init(&attr);
    TRY(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
}

static void threads(void)
{
    pthread_t t;
    thrd_t c11;
    void *back;
    int result;
    TRY(pthread_create(&t, NULL, nothing, &t) == 0 && pthread_join(t, &back) == 0 && back == &t);
    TRY(thrd_create(&c11, nothing_c11, NULL) == thrd_success && thrd_join(c11, &result) == thrd_success && result == 7);
}

static void signals(void)
{
    sigset_t set, old;
    struct sigaction act = {.sa_handler = handler}, before;
    struct timespec none = {0, 0};
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    TRY(pthread_sigmask(SIG_BLOCK, &set, &old) == 0);
    TRY(pthread_kill(pthread_self(), SIGUSR2) == 0);
    TRY(sigtimedwait(&set, NULL, &none) == SIGUSR2);
    int fd = signalfd(-1, &set, SFD_CLOEXEC);
    TRY(fd >= 0 && close(fd) == 0);
    TRY(sigaction(SIGUSR2, &act, &before) == 0 && signal(SIGUSR2, SIG_IGN) == handler);
    TRY(sigaction(SIGUSR2, &before, NULL) == 0 && sigprocmask(SIG_SETMASK, &old, NULL) == 0);
}

static void processes(void)
{
    int status;
    timer_t timer;
    struct sigevent none = {.sigev_notify = SIGEV_NONE};
    TRY(timer_create(CLOCK_MONOTONIC, &none, &timer) == 0 && timer_delete(timer) == 0);
    char *arguments[] = {"true", NULL};
    pid_t pid;
    char *environment[] = {NULL}; /* preloaded, we would come here again */
    TRY(posix_spawnp(&pid, "true", NULL, NULL, arguments, environment) == 0);
    TRY(waitpid(pid, &status, 0) == pid && status == 0);
    TRY(execv("/nonexistent", arguments) == -1);
    pid = fork();
    if (pid == 0) {
        execve("/bin/true", arguments, environment);
        _exit(3);
    }
    TRY(waitpid(pid, &status, 0) == pid && status == 0);
}

static void *work(void *x)
{
    keys_and_conditions();
    threads();
    signals();
    processes();
    return x;
}

static void start_and_wait(void)
{
    pthread_t t;
    TRY(pthread_create(&t, NULL, work, NULL) == 0 && pthread_join(t, NULL) == 0);
}

__attribute__((constructor)) static void begin(void)
{
    start_and_wait();
}

__attribute__((destructor)) static void end(void)
{
    start_and_wait();
}
#endif
