/* SPDX-License-Identifier: MIT
 * A program without libpthread that asks whether it has threads: names that a preloaded library exports are there. What it then
 * calls must answer as one expects that has one thread. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <threads.h>
#include <time.h>

#pragma weak pthread_sigmask
#pragma weak pthread_create
#pragma weak pthread_key_create
#pragma weak pthread_condattr_setclock
#pragma weak thrd_create
#pragma weak timer_create

static int by_thread(void *x)
{
    (void)x;
    return 0;
}

static void *run(void *x)
{
    return x;
}

static int set_mask(int how, const sigset_t *set, sigset_t *old)
{
    if (pthread_sigmask)
        return pthread_sigmask(how, set, old);
    return sigprocmask(how, set, old) == 0 ? 0 : errno;
}

int main(void)
{
    sigset_t set, old;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    errno = 0;
    int blocked = set_mask(SIG_BLOCK, &set, &old) == 0 && sigismember(&old, SIGUSR1) == 0;
    raise(SIGUSR1);
    int wrong = set_mask(99, &set, NULL);
    printf("mask %d, wrong %d, errno %d\n", blocked, wrong == EINVAL, errno && !pthread_sigmask ? 0 : errno);
    signal(SIGUSR1, SIG_IGN);
    printf("unblocked %d\n", set_mask(SIG_UNBLOCK, &set, NULL) == 0);

    pthread_t t;
    thrd_t c11;
    pthread_key_t key;
    timer_t timer;
    pthread_condattr_t attr;
    int without = !pthread_create || pthread_create(&t, NULL, run, NULL) == EAGAIN;
    without &= !thrd_create || thrd_create(&c11, by_thread, NULL) == thrd_error;
    without &= !pthread_key_create || pthread_key_create(&key, NULL) == EAGAIN;
    without &= !timer_create || (timer_create(CLOCK_MONOTONIC, NULL, &timer) == -1 && errno == ENOSYS);
    pthread_condattr_init(&attr);
    without &= !pthread_condattr_setclock || pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0;
    printf("one thread %d\n", without);
    return 0;
}
