/* SPDX-License-Identifier: MIT
 * Threads that no Python knows: short ones begin and end in several threads at once until they are told to stop. */
#include <pthread.h>

static volatile int stop;
static long made[16];
static pthread_t churners[16];
static int n_churners;

static void *nothing(void *count)
{
    for (volatile int i = 0; i < 500; i++)
        ;
    ++*(long *)count;
    return NULL;
}

static void *churn(void *count)
{
    pthread_t t;
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
        if (pthread_create(&t, NULL, nothing, count) == 0)
            pthread_join(t, NULL);
    return NULL;
}

void churn_start(int n)
{
    stop = 0;
    for (n_churners = 0; n_churners < n && n_churners < 16; n_churners++)
        pthread_create(&churners[n_churners], NULL, churn, &made[n_churners]);
}

/* How many began and ended. */
long churn_end(void)
{
    long sum = 0;
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < n_churners; i++) {
        pthread_join(churners[i], NULL);
        sum += made[i];
    }
    return sum;
}

/* Threads in turn, from the calling thread alone. */
void churn_times(long n)
{
    pthread_t t;
    long count;
    for (long i = 0; i < n; i++)
        if (pthread_create(&t, NULL, nothing, &count) == 0)
            pthread_join(t, NULL);
}
