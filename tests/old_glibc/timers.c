/* SPDX-License-Identifier: MIT
 * Timers of each kind expire. Linked with librt, which has two timer_create: the older one takes ids of another size. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

static volatile int n_signals, n_threads;

static void on_signal(int sig)
{
    (void)sig;
    n_signals++;
}

static void on_thread(union sigval v)
{
    if (v.sival_int == 42)
        __atomic_fetch_add(&n_threads, 1, __ATOMIC_RELAXED);
}

int main(void)
{
    struct sigevent by_signal = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    struct sigevent by_thread = {.sigev_notify = SIGEV_THREAD, .sigev_notify_function = on_thread, .sigev_value.sival_int = 42};
    struct itimerspec soon = {.it_value = {0, 1000000}, .it_interval = {0, 1000000}}, left;
    timer_t a, b;
    signal(SIGUSR1, on_signal);
    if (timer_create(CLOCK_MONOTONIC, &by_signal, &a) || timer_create(CLOCK_MONOTONIC, &by_thread, &b) ||
        timer_settime(a, 0, &soon, NULL) || timer_settime(b, 0, &soon, NULL) || timer_gettime(a, &left))
        return 3;
    while (n_signals < 3 || n_threads < 3)
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    if (timer_delete(a) || timer_delete(b))
        return 4;
    puts("expired");
    return 0;
}
