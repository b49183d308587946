/* SPDX-License-Identifier: MIT
 * C code that sleeps, in a Python thread and in one of its own. */
#include <poll.h>
#include <pthread.h>
#include <stddef.h>

#define FRAME __attribute__((noinline))
#define STAYS __asm__ volatile("" ::: "memory") /* what it calls has it as its caller */

FRAME static void nap_within(void)
{
    poll(NULL, 0, -1);
    STAYS;
}

FRAME int nap(void)
{
    nap_within();
    STAYS;
    return 0;
}

static void *naps(void *arg)
{
    nap();
    return arg;
}

int begin_to_nap(void)
{
    pthread_t t;
    return pthread_create(&t, NULL, naps, NULL);
}
