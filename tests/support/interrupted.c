/* SPDX-License-Identifier: MIT
 * Calls that a signal ends, whatever SA_RESTART says (man 7 signal), between spells of work. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

static long passed_us(clockid_t clock, const struct timespec *since)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (now.tv_sec - since->tv_sec) * 1000000 + (now.tv_nsec - since->tv_nsec) / 1000;
}

static void work(long us)
{
    struct timespec begin;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begin);
    while (passed_us(CLOCK_THREAD_CPUTIME_ID, &begin) < us)
        ;
}

#define ENDED(call) (errno = 0, (call) < 0 && errno == EINTR)

/* How many of seven calls a round were ended so. */
int ended_early(int rounds)
{
    int n = 0, e = epoll_create1(0), pipes[2], s = socket(AF_UNIX, SOCK_DGRAM, 0);
    struct timeval limit = {0, 2000};
    struct epoll_event event;
    sem_t sem;
    char c;
    sem_init(&sem, 0, 0);
    if (pipe(pipes) != 0 || setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0)
        return -1;
    for (int i = 0; i < rounds; i++) {
        struct timespec t = {0, 500000};
        struct timeval v = {0, 700};
        fd_set f;
        FD_ZERO(&f);
        FD_SET(pipes[0], &f);
        work(i % 7 * 100);
        n += ENDED(poll(NULL, 0, i % 3));
        n += ENDED(nanosleep(&t, NULL));
        work(i % 5 * 130);
        n += ENDED(epoll_wait(e, &event, 1, 1));
        n += ENDED(select(pipes[0] + 1, &f, NULL, NULL, &v));
        work(i % 3 * 200);
        clock_gettime(CLOCK_REALTIME, &t);
        t.tv_sec += (t.tv_nsec += 900000) / 1000000000;
        t.tv_nsec %= 1000000000;
        n += ENDED(sem_timedwait(&sem, &t));
        n += ENDED(usleep(300));
        n += ENDED(recv(s, &c, 1, 0));
    }
    close(e);
    close(s);
    close(pipes[0]);
    close(pipes[1]);
    return n;
}

/* A handler jumps out of a read; then the same further in on the stack, behind some work at the place of the jump. */
static sigjmp_buf out;

static void jump(int sig)
{
    (void)sig;
    siglongjmp(out, 1);
}

static int further_in(int depth, int rounds)
{
    volatile char frame[512] = {0};
    return depth ? further_in(depth - 1, rounds) + frame[0] : ended_early(rounds);
}

/* ... unseen_ms: what the thread slept before, where no hook is. */
int ended_early_after_a_jump(int rounds, long unseen_ms)
{
    struct timespec begin, a_bit = {0, 1000000};
    struct sigaction act = {.sa_handler = jump}, old;
    struct itimerval soon = {{0, 0}, {0, 20000}};
    int pipes[2];
    char c;
    if (pipe(pipes) != 0 || sigaction(SIGALRM, &act, &old) != 0)
        return -1;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    while (passed_us(CLOCK_MONOTONIC, &begin) < unseen_ms * 1000)
        syscall(SYS_nanosleep, &a_bit, NULL);
    if (sigsetjmp(out, 1) == 0) {
        setitimer(ITIMER_REAL, &soon, NULL);
        read(pipes[0], &c, 1);
        return -1;
    }
    sigaction(SIGALRM, &old, NULL);
    work(60000);
    int n = further_in(20, rounds);
    close(pipes[0]);
    close(pipes[1]);
    return n;
}

/* A handler jumps out of a fibre's read; the fibre's stack goes, and another fibre, further down in memory, works. */
#define FIBRE_BYTES 262144

static ucontext_t here, fibre;
static int fibre_pipes[2];

static void waits_in_fibre(void)
{
    struct itimerval soon = {{0, 0}, {0, 20000}};
    char c;
    setitimer(ITIMER_REAL, &soon, NULL);
    read(fibre_pipes[0], &c, 1);
}

static void works_in_fibre(void)
{
    work(200000);
}

static void run_on(char *stack, void (*f)(void))
{
    getcontext(&fibre);
    fibre.uc_stack.ss_sp = stack;
    fibre.uc_stack.ss_size = FIBRE_BYTES;
    fibre.uc_link = &here;
    makecontext(&fibre, f, 0);
    swapcontext(&here, &fibre);
}

int works_below_a_stack_that_is_gone(void)
{
    struct sigaction act = {.sa_handler = jump}, old;
    char *stacks = mmap(NULL, 2 * FIBRE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stacks == MAP_FAILED || pipe(fibre_pipes) != 0 || sigaction(SIGALRM, &act, &old) != 0)
        return -1;
    if (sigsetjmp(out, 1) == 0) {
        run_on(stacks + FIBRE_BYTES, waits_in_fibre);
        return -1;
    }
    mprotect(stacks + FIBRE_BYTES, FIBRE_BYTES, PROT_NONE);
    run_on(stacks, works_in_fibre);
    sigaction(SIGALRM, &old, NULL);
    munmap(stacks, 2 * FIBRE_BYTES);
    close(fibre_pipes[0]);
    close(fibre_pipes[1]);
    return 0;
}

#ifdef __x86_64__
/* Sleeps where no hook is, so many ms in all. How often a signal ended that. */
int woken(long ms)
{
    struct timespec begin;
    int n = 0;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (long left_us; (left_us = ms * 1000 - passed_us(CLOCK_MONOTONIC, &begin)) > 0;) {
        struct timespec t = {left_us / 1000000, left_us % 1000000 * 1000};
        register long remaining __asm__("r10") = 0;
        long rc;
        __asm__ volatile("syscall" : "=a"(rc) : "0"(SYS_nanosleep), "D"(&t), "S"(0), "r"(remaining) : "rcx", "r11", "memory");
        n += rc == -EINTR;
    }
    return n;
}
#endif
