/* SPDX-License-Identifier: MIT
 * Condition variables: libpthread has two of each of their functions. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t ready, never;
static int turn;

static void *pong(void *x)
{
    for (int i = 0; i < 1000; i++) {
        pthread_mutex_lock(&lock);
        while (turn % 2 == 0)
            pthread_cond_wait(&ready, &lock);
        turn++;
        pthread_cond_broadcast(&ready);
        pthread_mutex_unlock(&lock);
    }
    return x;
}

int main(void)
{
    pthread_condattr_t attr;
    pthread_t t;
    struct timespec soon;
    if (pthread_condattr_init(&attr) || pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) || pthread_cond_init(&ready, &attr) ||
        pthread_cond_init(&never, &attr) || pthread_create(&t, NULL, pong, NULL))
        return 3;
    for (int i = 0; i < 1000; i++) {
        pthread_mutex_lock(&lock);
        while (turn % 2 == 1)
            pthread_cond_wait(&ready, &lock);
        turn++;
        pthread_cond_signal(&ready);
        pthread_mutex_unlock(&lock);
    }
    pthread_join(t, NULL);
    clock_gettime(CLOCK_MONOTONIC, &soon);
    pthread_mutex_lock(&lock);
    int rc = pthread_cond_timedwait(&never, &lock, &soon);
    printf("%d turns, %s\n", turn, rc == ETIMEDOUT ? "timed out" : "?");
    return 0;
}
