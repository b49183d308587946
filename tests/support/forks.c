/* SPDX-License-Identifier: MIT
 * A library that, preloaded behind spprof, has a handler of fork() that runs inside spprof's: it forks as well. */
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

extern pid_t _Fork(void) __attribute__((weak));

int forks_within; /* how many were made in the handler */
int forks_wanted;

static void prepare(void)
{
    while (forks_within < forks_wanted) {
        forks_within++; /* fork() takes the lock of its handlers, which one of them must not do before glibc 2.36 */
        pid_t pid = _Fork();
        if (pid == 0)
            _exit(0);
        waitpid(pid, NULL, 0);
    }
}

__attribute__((constructor)) static void load(void)
{
    pthread_atfork(prepare, NULL, NULL);
}
