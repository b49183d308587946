/* SPDX-License-Identifier: MIT
 * What C code does with spprof.h, for api_calls.py: a library for Python (ctypes), and with -DPROGRAM a program without Python.
 * in_1_2() is called in a span "2" in a span "1" alone, in_0() in none. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <spprof.h>

static long long cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static volatile int calls;
int scale = 1; /* of what is burned */

/* Its own frame stays on the stack: the call is not the last thing that it does. */
#define IN(name)                                                              \
    __attribute__((noinline, noclone)) void name(int us)                      \
    {                                                                         \
        for (long long end = cpu_ns() + us * scale * 1000ll; cpu_ns() < end;) \
            for (int i = 0; i < 500; i++)                                     \
                __asm__ volatile("");                                         \
        calls++;                                                              \
    }
IN(in_0)
IN(in_1)
IN(in_1_2)
IN(in_1_2_3)
IN(in_4)
IN(in_5)

/* ---- threads with spans, which end with some open */
static void *with_spans(void *rounds)
{
    in_0(1500);
    for (long i = (long)rounds; i > 0; i--) {
        uint64_t one = spprof_span_begin("1"), two, three;
        in_1(1500);
        two = spprof_span_begin("2");
        in_1_2(1500);
        three = spprof_span_begin("3");
        in_1_2_3(1500);
        spprof_span_end(three);
        in_1_2(1500);
        spprof_span_end(one); /* and with it the second */
        in_0(1500);
        one = spprof_span_begin("4");
        spprof_span_end(two); /* over already, as deep as none is now */
        spprof_span_end(three);
        spprof_span_end(0);
        in_4(1500);
        spprof_span_end(one);
        spprof_span_end(one);
        in_0(1500);
    }
    spprof_span_begin("5");
    spprof_span_begin("6");
    return NULL;
}

int threads_with_spans(int threads, int generations, int rounds)
{
    pthread_t t[64];
    for (int g = 0; g < generations; g++) {
        for (int i = 0; i < threads; i++)
            if (pthread_create(&t[i], NULL, with_spans, (void *)(long)rounds))
                return 1;
        for (int i = 0; i < threads; i++)
            pthread_join(t[i], NULL);
    }
    return 0;
}

/* By who unloads this. */
uint64_t left_open(void)
{
    return spprof_span_begin("left open");
}

static uint64_t tokens[2];
static void *ends_those_of_others(void *unused)
{
    uint64_t own = spprof_span_begin("5");
    spprof_span_end(tokens[0]);
    spprof_span_end(tokens[1]);
    in_5(20000);
    spprof_span_end(own);
    return unused;
}

/* Tokens of one thread in another; forks in spans, whose child ends them. */
int tokens_elsewhere(void)
{
    pthread_t t;
    int status = 1;
    tokens[0] = spprof_span_begin("1");
    tokens[1] = spprof_span_begin("2");
    pthread_create(&t, NULL, ends_those_of_others, NULL);
    pthread_join(t, NULL);
    in_1_2(20000);
    pid_t pid = fork();
    if (pid == 0) {
        in_1_2(30000);
        spprof_span_end(tokens[1]);
        in_1(30000);
        spprof_span_end(tokens[0]);
        in_0(30000);
        exit(0);
    }
    waitpid(pid, &status, 0);
    spprof_span_end(tokens[1]);
    in_1(20000);
    spprof_span_end(tokens[0]);
    in_0(20000);
    return status;
}

/* A thread that has a Python state and no Python frame waits, in a span and in none. */
static struct {
    int (*ensure)(void);
    void (*release)(int);
} gil;

static void *waits_with_state(void *unused)
{
    struct timespec long_enough = {0, 50000000};
    int state = gil.ensure();
    uint64_t span = spprof_span_begin("waits");
    nanosleep(&long_enough, NULL);
    spprof_span_end(span);
    nanosleep(&long_enough, NULL);
    gil.release(state);
    return unused;
}

int thread_with_state(int (*ensure)(void), void (*release)(int))
{
    pthread_t t;
    gil.ensure = ensure;
    gil.release = release;
    return pthread_create(&t, NULL, waits_with_state, NULL) || pthread_join(t, NULL);
}

/* ---- windows in handlers */
static volatile int busy, others, handled;

static void open_and_close(int sig)
{
    struct spprof_figures stats;
    uint64_t span = spprof_span_begin("handler");
    int saved = errno;
    errno = 77;
    int started = spprof_start(0, 0), looked = spprof_stats(&stats),
        stopped = started ? 0 : spprof_stop("handler.json", &stats);
    if (errno != 77)
        _exit(9);
    errno = saved;
    spprof_span_end(span);
    int at[] = {started, looked, stopped};
    for (int i = 0; i < 3; i++)
        if (at[i] == SPPROF_BUSY)
            busy++;
        else if (at[i] != 0 && at[i] != SPPROF_IS_OPEN && at[i] != SPPROF_NOT_RECORDING)
            others = at[i];
    handled += sig > 0;
}

static volatile int is_over;
static pthread_t target;

/* One at a time, a while after the last was handled: on a machine without CPU they would leave none to who is interrupted. */
static void *sends(void *sig)
{
    unsigned random = 1;
    while (!is_over) {
        int before = handled;
        random = random * 1664525u + 1013904223u;
        struct timespec a_while = {0, 200000 + (random >> 8) % 2000000};
        nanosleep(&a_while, NULL);
        pthread_kill(target, (int)(long)sig);
        while (handled == before && !is_over) {
            struct timespec a_little = {0, 100000};
            nanosleep(&a_little, NULL);
        }
    }
    return NULL;
}

/* A thread opens and closes windows and spans while another sends it signals whose handler does the same, on an alternate stack.
 * How often that was refused, for a fault's handler may come in between; below 0: a result that must not be. */
int windows_in_handlers(int sig, int rounds)
{
    pthread_t t;
    struct sigaction action = {.sa_handler = open_and_close, .sa_flags = SA_ONSTACK | SA_RESTART}, before;
    stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536}, stack_before;
    struct spprof_figures stats;
    open_and_close(0); /* the header has looked for all */
    sigaltstack(&stack, &stack_before);
    sigaction(sig, &action, &before);
    target = pthread_self();
    is_over = others = busy = 0;
    pthread_create(&t, NULL, sends, (void *)(long)sig);
    for (int i = 0; i < rounds; i++) {
        uint64_t span = spprof_span_begin("outer");
        int started = spprof_start(0, 0), looked = spprof_stats(&stats), stopped = started ? 0 : spprof_stop(NULL, &stats);
        if ((started && started != SPPROF_IS_OPEN) || looked || (stopped && stopped != SPPROF_NONE_OPEN))
            others = started ? started : looked ? looked : stopped;
        spprof_span_end(span);
    }
    is_over = 1;
    pthread_join(t, NULL);
    sigaction(sig, &before, NULL);
    sigaltstack(&stack_before, NULL);
    free(stack.ss_sp);
    return others ? others : busy;
}

/* ---- at the end */
static void at_exit(void)
{
    struct spprof_figures stats;
    int opened = spprof_start(0, 0), closed;
    in_0(20000);
    closed = spprof_stop("atexit.json", &stats);
    dprintf(1, "atexit %d %d %d\n", opened, closed, stats.cpu_ns > 19000000);
}

/* Runs after spprof's own: it is in the library that was there first. */
static void after_all(void)
{
    struct spprof_figures stats;
    dprintf(1, "after %d %d %d %d\n", spprof_start(0, 0), spprof_stop(NULL, NULL), spprof_stats(&stats),
            spprof_snapshot(NULL, NULL, 0));
}

static int asks;
__attribute__((destructor)) static void ends(void)
{
    if (asks)
        after_all();
}

int at_the_end(void)
{
    asks = 1;
    return atexit(at_exit);
}

#ifdef PROGRAM
/* Every function once, in a program that has no Python. */
int main(void)
{
    struct spprof_figures stats;
    char name[64] = "unchanged";
    uint64_t span = spprof_span_begin("1");
    in_1(20000);
    spprof_span_end(span);
    printf("%s %d %d %d %d %d %d %s %d\n", spprof_version() ? spprof_version() : "none", spprof_start(0, 0), spprof_is_active(),
           spprof_stats(&stats), spprof_stop("stopped.json", &stats), spprof_snapshot(NULL, name, sizeof name),
           spprof_snapshot("snapshot.json", NULL, 0), name, span != 0);
    return 0;
}
#endif
