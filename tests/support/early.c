/* SPDX-License-Identifier: MIT
 * A library whose constructor runs before ours and calls what we stand before. */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static void *run(void *arg)
{
    return arg;
}

__attribute__((constructor)) static void early(void)
{
    pthread_t t;
    void *back = NULL;
    pthread_key_t key;
    sigset_t set, old;
    struct sigaction act = {.sa_handler = SIG_IGN}, before;
    int x;
    if (pthread_create(&t, NULL, run, &x) || pthread_join(t, &back) || back != &x)
        _exit(91);
    if (pthread_key_create(&key, NULL) || pthread_setspecific(key, &t) || pthread_getspecific(key) != &t)
        _exit(92);
    sigemptyset(&set);
    if (pthread_sigmask(SIG_BLOCK, &set, &old) || sigaction(SIGUSR2, &act, &before) || sigaction(SIGUSR2, &before, NULL))
        _exit(93);
}
