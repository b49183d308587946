/* SPDX-License-Identifier: MIT
 * A C program for other libcs: uses what we stand before, and prints what it found. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* musl lacks some of these: a program that asks finds ours */
typedef void handler_fn(int);
extern __attribute__((weak)) handler_fn *bsd_signal(int, handler_fn *), *ssignal(int, handler_fn *),
    *sysv_signal(int, handler_fn *), *__sysv_signal(int, handler_fn *);
extern __attribute__((weak)) int pthread_cond_clockwait(pthread_cond_t *, pthread_mutex_t *, clockid_t,
                                                        const struct timespec *);
extern __attribute__((weak)) int execveat(int, const char *, char *const[], char *const[], int);

static void *run(void *arg)
{
    return arg;
}

static volatile sig_atomic_t hits;

static void on(int sig)
{
    (void)sig;
    hits++;
}

/* ... and waits as long as it asked for, by either clock. */
static int waits_by(clockid_t clock)
{
    static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    struct timespec until, now;
    clock_gettime(clock, &until);
    until.tv_nsec += 20000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&mutex);
    int rc = pthread_cond_clockwait(&cond, &mutex, clock, &until);
    pthread_mutex_unlock(&mutex);
    clock_gettime(clock, &now);
    return rc == ETIMEDOUT &&
           (now.tv_sec > until.tv_sec || (now.tv_sec == until.tv_sec && now.tv_nsec >= until.tv_nsec - 2000000));
}

int main(void)
{
    pthread_t t;
    pthread_key_t key;
    void *back = NULL;
    int x, status = -1;
    sigset_t set, old;
    if (pthread_create(&t, NULL, run, &x) || pthread_join(t, &back) || back != &x)
        return 1;
    if (pthread_key_create(&key, NULL) || pthread_setspecific(key, &x) || pthread_getspecific(key) != &x)
        return 2;
    signal(SIGUSR1, on);
    raise(SIGUSR1);
    handler_fn *(*setters[])(int, handler_fn *) = {bsd_signal, ssignal, sysv_signal, __sysv_signal};
    for (int i = 0; i < 4; i++)
        if (setters[i] && (setters[i](SIGUSR2, on) == SIG_ERR || signal(SIGUSR2, SIG_DFL) != on))
            return 4;
    if (pthread_cond_clockwait &&
        (!waits_by(CLOCK_MONOTONIC) || !waits_by(CLOCK_REALTIME) || pthread_cond_clockwait(NULL, NULL, 12345, NULL) != EINVAL))
        return 6;
    char *none[] = {NULL};
    if (execveat && (execveat(-1, "/nonexistent", none, none, 0) != -1))
        return 5;
    sigemptyset(&set);
    sigaddset(&set, SIGPROF);
    if (sigprocmask(SIG_BLOCK, &set, &old) || sigismember(&old, SIGPROF))
        return 3;
    pid_t pid = fork();
    if (pid == 0)
        execl("/bin/sh", "sh", "-c", "exit 5", (char *)NULL);
    waitpid(pid, &status, 0);
    printf("%d %d\n", (int)hits, WEXITSTATUS(status));
    fflush(stdout);
    _exit(7);
}
