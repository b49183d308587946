/* SPDX-License-Identifier: MIT
 * Walks of this program's own stack, taken in a handler, and what is asked of the last one. */
#ifndef SP_TESTS_UNWIND_HERE_H
#define SP_TESTS_UNWIND_HERE_H

#include <errno.h>
#include <pthread.h>
#include <signal.h>

#include "compat/os.h"
#include "compat/real.h"
#include "compat/unwind.h"
#include "tests/support/unit.h"

#define CAP 256

static __thread struct sp_unwind_frame frames[CAP]; /* of the last walk */
static __thread struct sp_unwind u;
static volatile int walked;

static inline void on_signal(int sig, siginfo_t *info, void *context)
{
    int kept = errno;
    (void)sig, (void)info;
    u.frames = frames;
    u.cap = CAP;
    sp_unwind(&u, context);
    walked++;
    CHECK_EQ(errno, kept);
}

static inline uintptr_t top_of_stack(void)
{
    pthread_attr_t a;
    void *p;
    size_t n;
    CHECK(pthread_getattr_np(pthread_self(), &a) == 0 && pthread_attr_getstack(&a, &p, &n) == 0);
    pthread_attr_destroy(&a);
    return (uintptr_t)p + n;
}

static inline void prepare(void)
{
    struct sigaction act = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigfillset(&act.sa_mask);
    CHECK(sp_os_probe_init());
    sp_real_find_all();
    CHECK(sigaction(SIGUSR1, &act, NULL) == 0);
    u.stack_top = top_of_stack();
}

/* Which of the frames a function has; -1: none. */
static inline int at(const void *function)
{
    for (uint32_t i = 0; i < u.n; i++)
        if (sp_unwind_function(frames[i].pc - (i ? 1 : 0)) == (uintptr_t)function)
            return (int)i;
    return -1;
}

static inline void frames_ascend(void)
{
    for (uint32_t i = 1; i + 1 < u.n; i++)
        CHECK(frames[i].cfa > frames[i - 1].cfa);
}

#define FRAME __attribute__((noinline, noclone, unused))
static volatile int keep; /* no call is a jump */

FRAME static int leaf(void)
{
    raise(SIGUSR1);
    return ++keep;
}
FRAME static int middle(int n)
{
    return (n ? middle(n - 1) : leaf()) + keep;
}
FRAME static int outer(int n)
{
    return middle(n) + keep;
}

static inline void check_outer(int n, bool to_the_bottom)
{
    int first = at(leaf);
    CHECK(first > 0);
    for (int i = 0; i <= n; i++)
        CHECK(sp_unwind_function(frames[first + 1 + i].pc - 1) == (uintptr_t)middle);
    CHECK_EQ(at(outer), first + n + 2);
    CHECK(!to_the_bottom || u.end == SP_UNWIND_BOTTOM);
    frames_ascend();
}

#endif
