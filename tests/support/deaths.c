/* SPDX-License-Identifier: MIT
 * Ways to die of a signal. Loaded by tests through ctypes: die() with the name of a way, in the calling thread or in one
 * of its own. It says what comes back from the dead. */
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

int die(const char *way, int in_thread);

/* ---- by an instruction */
static void by_breakpoint(void)
{
#ifdef __x86_64__
    __asm__ volatile("int3");
#else
    __asm__ volatile("brk #0");
#endif
}

#ifdef __x86_64__
static void by_icebp(void)
{
    __asm__ volatile(".byte 0xf1");
}

static void by_single_step(void)
{
    __asm__ volatile("pushf; orl $0x100, (%%rsp); popf; nop; nop" ::: "memory", "cc");
}
#endif

static void write_to(volatile uintptr_t address)
{
    *(volatile int *)address = 1;
}

static void by_null(void)
{
    write_to(8);
}

static void by_wild_address(void)
{
    write_to(0xdead000000000000); /* not canonical: SI_KERNEL, no address */
}

static void by_division(void)
{
    volatile int zero = 0, result = 10 / zero;
    (void)result;
}

static void by_undefined(void)
{
#ifdef __x86_64__
    __asm__ volatile("ud2");
#else
    __asm__ volatile("udf #0");
#endif
}

static void by_end_of_file(void)
{
    int fd = open(".", O_TMPFILE | O_RDWR, 0600);
    *(volatile int *)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) = 1;
}

static void spoil(int sig, siginfo_t *info, void *context)
{
    (void)sig, (void)info;
#ifdef __x86_64__
    ((ucontext_t *)context)->uc_mcontext.fpregs = (void *)8;
#else
    ((ucontext_t *)context)->uc_mcontext.pstate = 5; /* the kernel's level */
#endif
}

static void by_bad_return(void) /* what its handler leaves behind cannot be restored: a fault of no instruction */
{
    struct sigaction act = {.sa_sigaction = spoil, .sa_flags = SA_SIGINFO};
    sigaction(SIGUSR2, &act, NULL);
    raise(SIGUSR2);
}

/* ---- by a filter */
static void by_forbidden_call(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getpgid, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP | 77),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {4, code};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
    syscall(SYS_getpgid, 0);
}

/* ---- by what the process sends to itself */
static int send(int sig, int code, uintptr_t address)
{
    siginfo_t info;
    memset(&info, 0, sizeof info);
    info.si_signo = sig;
    info.si_code = code;
    info.si_addr = (void *)address;
    return (int)syscall(SYS_rt_tgsigqueueinfo, getpid(), syscall(SYS_gettid), sig, &info);
}

static void in_sigsuspend(void)
{
    sigset_t one, none;
    sigemptyset(&none);
    sigemptyset(&one);
    sigaddset(&one, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &one, NULL);
    raise(SIGTERM);
    sigsuspend(&none);
}

static void run_on(int sig)
{
    (void)sig;
    static const char text[] = "a handler ran\n";
    if (write(1, text, sizeof text - 1) < 0)
        abort();
}

/* Another signal comes while the first kills: its handler has no turn any more. */
static void before_another(void)
{
    struct sigaction act = {.sa_handler = run_on};
    sigset_t all, before;
    sigfillset(&act.sa_mask);
    sigaction(SIGHUP, &act, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    send(SIGTRAP, TRAP_BRKPT, 4096);
    raise(SIGHUP);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

#ifndef TRAP_HWBKPT
#define TRAP_HWBKPT 4
#endif

static int by_name(const char *way)
{
    static const struct {
        const char *way;
        void (*call)(void);
    } calls[] = {
        {"breakpoint", by_breakpoint},
#ifdef __x86_64__
        {"icebp", by_icebp},
        {"single_step", by_single_step},
#endif
        {"null", by_null},
        {"wild_address", by_wild_address},
        {"division", by_division},
        {"undefined", by_undefined},
        {"end_of_file", by_end_of_file},
        {"bad_return", by_bad_return},
        {"forbidden_call", by_forbidden_call},
        {"in_sigsuspend", in_sigsuspend},
        {"before_another", before_another},
        {"abort", abort},
    };
    static const struct {
        const char *way;
        int sig, code;
    } sent[] = {
        {"memory_error_told", SIGBUS, BUS_MCEERR_AO},
        {"memory_error", SIGBUS, BUS_MCEERR_AR},
        {"hardware_breakpoint", SIGTRAP, TRAP_HWBKPT},
        {"told_segv", SIGSEGV, SEGV_MAPERR},
        {"told_bus", SIGBUS, BUS_ADRERR},
        {"told_fpe", SIGFPE, FPE_INTDIV},
        {"told_ill", SIGILL, ILL_ILLOPN},
        {"told_sys", SIGSYS, 1 /* SYS_SECCOMP */},
        {"told_user", SIGUSR1, SI_USER},
        {"told_tkill", SIGQUIT, SI_TKILL},
    };
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
        if (strcmp(way, calls[i].way) == 0)
            return calls[i].call(), 0;
    for (size_t i = 0; i < sizeof sent / sizeof sent[0]; i++)
        if (strcmp(way, sent[i].way) == 0)
            return send(sent[i].sig, sent[i].code, 0x123000);
    if (strncmp(way, "raise_", 6) == 0)
        return raise(atoi(way + 6));
    return -1;
}

static void *thread(void *way)
{
    return (void *)(intptr_t)by_name(way);
}

int die(const char *way, int in_thread)
{
    pthread_t t;
    int rc = 0;
    if (in_thread)
        rc = pthread_create(&t, NULL, thread, (void *)(uintptr_t)way) || pthread_join(t, NULL);
    else
        rc = by_name(way);
    printf("ran on behind %s: %d\n", way, rc);
    fflush(stdout);
    return rc;
}
