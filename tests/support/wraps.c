/* SPDX-License-Identifier: MIT
 * With -DLIBRARY a library that is preloaded and stands before functions of which glibc has several versions, without one itself;
 * else a program that calls them. Each says so. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

#ifdef LIBRARY
#define WRAP(type, name, version, parameters, arguments)                                \
    type name parameters                                                                \
    {                                                                                   \
        type(*next) parameters = (type(*) parameters)dlvsym(RTLD_NEXT, #name, version); \
        puts(#name);                                                                    \
        fflush(stdout);                                                                 \
        return next arguments;                                                          \
    }
#ifdef __x86_64__
WRAP(int, pthread_cond_timedwait, "GLIBC_2.3.2", (pthread_cond_t * c, pthread_mutex_t *m, const struct timespec *t), (c, m, t))
WRAP(int, timer_create, "GLIBC_2.3.3", (clockid_t c, struct sigevent *e, timer_t *t), (c, e, t))
WRAP(int, posix_spawn, "GLIBC_2.15",
     (pid_t * p, const char *f, const posix_spawn_file_actions_t *a, const posix_spawnattr_t *b, char *const c[],
      char *const d[]),
     (p, f, a, b, c, d))
#endif
#else
int main(void)
{
    pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t c = PTHREAD_COND_INITIALIZER;
    struct timespec past = {0, 0};
    struct sigevent none = {.sigev_notify = SIGEV_NONE};
    char *arguments[] = {"true", NULL}, *environment[] = {NULL};
    timer_t timer;
    pid_t pid;
    int status;
    pthread_mutex_lock(&m);
    pthread_cond_timedwait(&c, &m, &past);
    timer_create(CLOCK_MONOTONIC, &none, &timer);
    if (posix_spawn(&pid, "/bin/true", NULL, NULL, arguments, environment) == 0)
        waitpid(pid, &status, 0);
    return 0;
}
#endif
