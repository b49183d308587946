/* SPDX-License-Identifier: MIT
 * Waits that do not end as waits do: cancelled, jumped out of, forked in; and in a child that shares its parent's memory. Each
 * function returns NULL, or what went wrong. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int pipes[2];
static sem_t sem;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int n_cleaned;

static void cleaned(void *arg)
{
    (void)arg;
    n_cleaned++;
}

static void unlock(void *arg)
{
    pthread_mutex_unlock(arg); /* a cancelled wait has it locked again */
}

static void *wait_in(void *which)
{
    char c;
    struct timespec long_time = {1000, 0};
    struct pollfd p = {.fd = pipes[0], .events = POLLIN};
    pthread_cleanup_push(cleaned, NULL);
    switch ((long)which) {
    case 0: read(pipes[0], &c, 1); break;
    case 1: nanosleep(&long_time, NULL); break;
    case 2: sem_wait(&sem); break;
    case 3:
        pthread_mutex_lock(&mutex);
        pthread_cleanup_push(unlock, &mutex);
        pthread_cond_wait(&cond, &mutex);
        pthread_cleanup_pop(1);
        break;
    case 4: poll(&p, 1, -1); break;
    case 5: waitpid(-1, NULL, 0); break; /* ECHILD, unless a child is there */
    }
    pthread_testcancel();
    pause();
    pthread_cleanup_pop(0);
    return NULL;
}

const char *cancel(void)
{
    if (pipe(pipes) != 0 || sem_init(&sem, 0, 0) != 0)
        return "no pipe";
    for (long which = 0; which < 6; which++) {
        pthread_t t;
        void *result;
        struct timespec soon = {0, 5000000};
        n_cleaned = 0;
        if (pthread_create(&t, NULL, wait_in, (void *)which) != 0)
            return "no thread";
        nanosleep(&soon, NULL);
        if (pthread_cancel(t) != 0 || pthread_join(t, &result) != 0)
            return "cannot be cancelled";
        if (result != PTHREAD_CANCELED || n_cleaned != 1)
            return "ended in another way";
    }
    return pthread_mutex_trylock(&mutex) == 0 && pthread_mutex_unlock(&mutex) == 0 ? NULL : "the mutex is locked";
}

/* ---- out of a wait by siglongjmp() */
static sigjmp_buf out;

static void jump(int sig)
{
    (void)sig;
    siglongjmp(out, 1);
}

/* Again and again: the first may come before the wait begins. */
static void after(int ms, void (*handler)(int), struct sigaction *old)
{
    struct sigaction act = {.sa_handler = handler};
    struct itimerval soon = {.it_value = {0, ms * 1000}, .it_interval = {0, 20000}};
    sigaction(SIGALRM, &act, old);
    setitimer(ITIMER_REAL, &soon, NULL);
}

static void no_more(const struct sigaction *old)
{
    struct itimerval none = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &none, NULL);
    sigaction(SIGALRM, old, NULL);
}

const char *jump_out(int times)
{
    struct sigaction old;
    for (volatile int i = 0; i < times; i++) {
        struct timespec long_time = {1000, 0};
        char c;
        if (sigsetjmp(out, 1) == 0) {
            after(1 + i % 4, jump, &old);
            i % 2 ? (void)nanosleep(&long_time, NULL) : (void)read(pipes[0], &c, 1);
            return "the wait returned";
        }
        no_more(&old);
    }
    return NULL;
}

/* ---- a fork in a wait */
static volatile pid_t child;

static void fork_here(int sig)
{
    struct itimerval again = {{0, 20000}, {0, 20000}}; /* a child has no timer */
    (void)sig;
    if (child == -2 && (child = fork()) == 0)
        setitimer(ITIMER_REAL, &again, NULL);
}

const char *fork_in_wait(void)
{
    struct sigaction old;
    struct timespec time = {1000, 0}, left = {0, 0};
    int status;
    child = -2;
    after(50, fork_here, &old);
    errno = 0;
    int rc = nanosleep(&time, &left);
    if (child == 0)
        _exit(rc == -1 && errno == EINTR && left.tv_sec > 0 ? 0 : 1);
    int saved = errno;
    no_more(&old);
    if (rc != -1 || saved != EINTR || left.tv_sec <= 0)
        return "the parent's wait ended otherwise";
    return waitpid(child, &status, 0) == child && status == 0 ? NULL : "the child's wait ended otherwise";
}

/* ---- a child on its parent's memory */
const char *share_memory(void)
{
    int p[2], status;
    char c = 'x';
    struct timespec time = {0, 30000000};
    if (pipe(p) != 0)
        return "no pipe";
    pid_t pid = vfork();
    if (pid == 0) {
        nanosleep(&time, NULL);
        _exit(write(p[1], "a", 1) == 1 && read(p[0], &c, 1) == 1 && c == 'a' ? 0 : 1);
    }
    return waitpid(pid, &status, 0) == pid && status == 0 ? NULL : "the child failed";
}

/* ---- a thread without Python */
static void *sleeps(void *arg)
{
    struct timespec time = {0, 250000000};
    prctl(PR_SET_NAME, "sleeper");
    nanosleep(&time, NULL);
    return arg;
}

const char *native_thread(void)
{
    pthread_t t;
    return pthread_create(&t, NULL, sleeps, NULL) == 0 && pthread_join(t, NULL) == 0 ? NULL : "no thread";
}

/* ---- errors are what they are */
const char *errors(void)
{
    char c;
    struct timespec bad = {0, -1}, past = {0, 0};
    struct timeval none = {0, 0};
    errno = 0;
    if (read(-1, &c, 1) != -1 || errno != EBADF)
        return "read";
    if (write(-1, &c, 1) != -1 || errno != EBADF)
        return "write";
    if (recv(pipes[0], &c, 1, 0) != -1 || errno != ENOTSOCK)
        return "recv";
    if (accept(-1, NULL, NULL) != -1 || errno != EBADF)
        return "accept";
    if (nanosleep(&bad, NULL) != -1 || errno != EINVAL)
        return "nanosleep";
    errno = 77;
    if (clock_nanosleep(CLOCK_MONOTONIC, 0, &bad, NULL) != EINVAL || errno != 77)
        return "clock_nanosleep";
    if (sem_timedwait(&sem, &past) != -1 || errno != ETIMEDOUT)
        return "sem_timedwait";
    pthread_mutex_lock(&mutex);
    errno = 77;
    int rc = pthread_cond_timedwait(&cond, &mutex, &past);
    pthread_mutex_unlock(&mutex);
    if (rc != ETIMEDOUT || errno != 77)
        return "pthread_cond_timedwait";
    if (select(0, NULL, NULL, NULL, &none) != 0 || errno != 77)
        return "select";
    if (waitpid(-1, NULL, 0) != -1 || errno != ECHILD)
        return "waitpid";
    return NULL;
}

/* ---- a signal that does not restart a call, and one that does */
static void nothing(int sig)
{
    (void)sig;
}

const char *interrupted(void)
{
    struct sigaction old;
    struct pollfd p = {.fd = pipes[0], .events = POLLIN};
    after(20, nothing, &old);
    errno = 0;
    int rc = poll(&p, 1, 100000);
    int saved = errno;
    no_more(&old);
    return rc == -1 && saved == EINTR ? NULL : "poll";
}
