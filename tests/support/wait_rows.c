/* SPDX-License-Identifier: MIT
 * Preloaded behind the library: every function of waits.def once more, which passes on what it gets, but in a thread that asked
 * for it waits, past libc, and returns something of its own. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define WAIT_NS 15000000
static __thread __attribute__((tls_model("initial-exec"))) int is_asked, n_arguments, saw[8];
static __thread __attribute__((tls_model("initial-exec"))) int64_t waited_ns;

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

/* By an instruction of its own: libc's syscall() is hooked. */
static void wait_here(void)
{
    struct timespec t = {0, WAIT_NS};
    int64_t begun = now_ns();
    long rc, nr = SYS_nanosleep;
    __asm__ volatile("syscall" : "=a"(rc) : "a"(nr), "D"(&t), "S"(0) : "rcx", "r11", "memory");
    waited_ns = now_ns() - begun;
}

static void note(int n, ...)
{
    va_list more;
    va_start(more, n);
    for (n_arguments = 0; n_arguments < n; n_arguments++)
        saw[n_arguments] = va_arg(more, int); /* of a longer one its lower half */
    va_end(more);
    is_asked = 0;
    wait_here();
    errno = 77;
}

#define COUNT(...) COUNT_(0, ##__VA_ARGS__, 8, 7, 6, 5, 4, 3, 2, 1, 0)
#define COUNT_(z, a, b, c, d, e, f, g, h, n, ...) n
#define NOTE(...) note(COUNT(__VA_ARGS__), ##__VA_ARGS__)
#define SP_WAIT(type, name, shown, at, parameters, arguments, absent)  \
    type fake_##name parameters __asm__(#name);                        \
    __attribute__((visibility("default"))) type fake_##name parameters \
    {                                                                  \
        static type(*next) parameters;                                 \
        if (is_asked) {                                                \
            NOTE arguments;                                            \
            return (type)42;                                           \
        }                                                              \
        if (!next)                                                     \
            next = (type(*) parameters)dlsym(RTLD_NEXT, #name);        \
        return next arguments;                                         \
    }
#define SP_WAIT_ELSEWHERE(name)
#include "inject/waits.def"
#undef SP_WAIT

static const struct row {
    const char *name, *shown;
    void *fake;
} rows[] = {
#define SP_WAIT(type, name, shown, at, parameters, arguments, absent) {#name, shown, (void *)fake_##name},
#include "inject/waits.def"
#undef SP_WAIT
};

const char *row_name(int i)
{
    return i < (int)(sizeof rows / sizeof rows[0]) ? rows[i].name : NULL;
}

const char *row_shown(int i)
{
    return rows[i].shown;
}

int64_t row_waited_ns(void)
{
    return waited_ns;
}

/* Calls the function of that row, which the program finds at f. NULL, or what went wrong. */
const char *row_call(int i, long (*f)(long, long, long, long, long, long, long, long))
{
    waited_ns = 0;
    if (!f || f == rows[i].fake)
        return "is not hooked";
    is_asked = 1;
    int rc = (int)f(1, 2, 3, 4, 5, 6, 7, 8);
    int saved = errno;
    if (is_asked)
        return is_asked = 0, "is not passed on";
    if (rc != 42 || saved != 77)
        return "returns something else";
    for (int k = 0; k < n_arguments; k++)
        if (saw[k] != k + 1)
            return "gets other arguments";
    return NULL;
}

/* Those that have a file of their own, and really wait. */
const char *other_call(const char *name)
{
    struct timespec t = {0, WAIT_NS};
    int word = 5, epoll = epoll_create1(0), rc = -1;
    struct epoll_event event;
    if (strcmp(name, "ppoll") == 0)
        rc = ppoll(NULL, 0, &t, NULL);
    else if (strcmp(name, "pselect") == 0)
        rc = pselect(0, NULL, NULL, NULL, &t, NULL);
    else if (strcmp(name, "epoll_pwait") == 0)
        rc = epoll_pwait(epoll, &event, 1, WAIT_NS / 1000000, NULL);
    else if (strcmp(name, "futex") == 0)
        rc = syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 5, &t, NULL, 0) == -1 && errno == ETIMEDOUT ? 0 : 1;
    waited_ns = WAIT_NS;
    close(epoll);
    return rc == 0 ? NULL : "failed";
}
