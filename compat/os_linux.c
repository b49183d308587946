/* SPDX-License-Identifier: MIT
 * Linux by raw system calls (see os.h): the process and its threads, clocks and timers, what the kernel told the program at its
 * start. Other subjects are in os_linux_*.c. Numbers and structures: the kernel's own uapi headers. */
#include <errno.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>

#include "compat/buf.h"
#include "compat/os_linux_call.h"
#include "compat/os_linux_peek.h"

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51 /* on x86 since Linux 5.14, on aarch64 since 4.18 */
#endif

int sp_os_getpid(void)
{
    return (int)sp_syscall6(SYS_getpid, 0, 0, 0, 0, 0, 0);
}

int sp_os_getppid(void)
{
    return (int)sp_syscall6(SYS_getppid, 0, 0, 0, 0, 0, 0);
}

int sp_os_gettid(void)
{
    return (int)sp_syscall6(SYS_gettid, 0, 0, 0, 0, 0, 0);
}

SP_SIGSAFE static uint64_t clock_ns(clockid_t clock)
{
    struct timespec ts;
    if (sp_syscall6(SYS_clock_gettime, clock, (long)&ts, 0, 0, 0, 0) != 0)
        return 0;
    return (uint64_t)ts.tv_sec * SP_NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* Per-thread CPU clock of any thread of this process: CPUCLOCK_PERTHREAD | CPUCLOCK_SCHED
 * (include/linux/posix-timers.h). */
SP_INLINE clockid_t thread_clock(int tid)
{
    return (clockid_t)((~(unsigned)tid << 3) | 6u);
}

uint64_t sp_os_thread_cpu_ns(void)
{
    return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t sp_os_thread_cpu_ns_of(int tid)
{
    return clock_ns(thread_clock(tid));
}

/* CPUCLOCK_SCHED of another process. */
uint64_t sp_os_process_cpu_ns_of(int pid)
{
    return clock_ns((clockid_t)((~(unsigned)pid << 3) | 2u));
}

uint64_t sp_os_process_cpu_ns(void)
{
    return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

uint64_t sp_os_mono_ns(void)
{
    struct timespec ts; /* through libc: the vDSO answers in 7 ns */
    clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
    return (uint64_t)ts.tv_sec * SP_NS_PER_S + (uint64_t)ts.tv_nsec;
}

uint64_t sp_os_mono_exact_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

uint64_t sp_os_mono_fast_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * SP_NS_PER_S + (uint64_t)ts.tv_nsec;
}

uint64_t sp_os_wall_ns(void)
{
    return clock_ns(CLOCK_REALTIME);
}

uint64_t sp_os_tick_ns(void)
{
    struct timespec ts; /* the coarse clock moves once a tick: its resolution is 1/CONFIG_HZ */
    if (sp_syscall6(SYS_clock_getres, CLOCK_MONOTONIC_COARSE, (long)&ts, 0, 0, 0, 0) != 0)
        return 4000000;
    return (uint64_t)ts.tv_sec * SP_NS_PER_S + (uint64_t)ts.tv_nsec;
}

void sp_os_sleep_ns(uint64_t ns)
{
    struct timespec ts = {(time_t)(ns / SP_NS_PER_S), (long)(ns % SP_NS_PER_S)};
    sp_syscall6(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, (long)&ts, 0, 0, 0);
}

void sp_os_thread_name(char name[16])
{
    name[0] = '\0';
    sp_syscall6(SYS_prctl, PR_GET_NAME, (long)name, 0, 0, 0, 0);
    name[15] = '\0';
}

int sp_os_timer_create(enum sp_os_clock clock, int tid, uint64_t value, int *timer)
{
    /* The kernel's struct sigevent (uapi/asm-generic/siginfo.h): 64 bytes, thread id after the union. */
    struct {
        uint64_t value;
        int signo, notify, tid, pad[11];
    } ev = {.value = value, .signo = SIGPROF, .notify = 4 /* SIGEV_THREAD_ID */, .tid = tid};
    int id = SP_OS_NO_TIMER;
    int rc = (int)SYS(SYS_timer_create, clock == SP_OS_CLOCK_CPU ? thread_clock(tid) : CLOCK_MONOTONIC, &ev, &id, 0);
    *timer = rc == 0 ? id : SP_OS_NO_TIMER;
    return rc;
}

int sp_os_timer_arm(int timer, uint64_t first_ns, uint64_t period_ns)
{
    struct itimerspec its = {
        .it_interval = {(time_t)(period_ns / SP_NS_PER_S), (long)(period_ns % SP_NS_PER_S)},
        .it_value = {(time_t)(first_ns / SP_NS_PER_S), (long)(first_ns % SP_NS_PER_S)},
    };
    return (int)SYS(SYS_timer_settime, timer, 0, &its, 0);
}

bool sp_os_timer_exists(int timer)
{
    return sp_syscall6(SYS_timer_getoverrun, timer, 0, 0, 0, 0, 0) != -EINVAL;
}

void sp_os_timer_delete(int timer)
{
    if (timer != SP_OS_NO_TIMER)
        sp_syscall6(SYS_timer_delete, timer, 0, 0, 0, 0, 0);
}

SP_SIGSAFE static int parse_tid(const char *s)
{
    int v = 0;
    for (; *s >= '0' && *s <= '9'; s++)
        v = v * 10 + (*s - '0');
    return *s == '\0' ? v : 0;
}

int sp_os_each_thread(void (*found)(void *arg, int tid), void *arg)
{
    char path[32];
    SP_BUF(b, path);
    sp_os_linux_put_self(&b);
    sp_buf_str(&b, "/task");
    struct sp_peek peek;
    if (!sp_peek_open(&peek, path))
        return -ENOENT;
    _Alignas(8) char chunk[512]; /* small: it lies on the interrupted thread's stack */
    long n;
    while ((n = SYS(SYS_getdents64, peek.fd, chunk, sizeof chunk, 0)) > 0) {
        for (long at = 0; at < n;) {
            const struct linux_dirent64 *e = (const struct linux_dirent64 *)(chunk + at);
            int tid = parse_tid(e->name);
            if (tid > 0)
                found(arg, tid);
            at += e->reclen;
        }
    }
    sp_peek_close(&peek);
    return (int)n;
}

bool sp_os_is_privileged(void)
{
    return getauxval(AT_SECURE) != 0;
}

uintptr_t sp_os_main_stack(void)
{
    return getauxval(AT_RANDOM);
}

uintptr_t sp_os_program_entry(void)
{
    return getauxval(AT_ENTRY);
}

size_t sp_os_signal_frame_bytes(void)
{
    size_t bytes = getauxval(AT_MINSIGSTKSZ);
    return bytes ? bytes : SP_CPU_SIGNAL_FRAME;
}

size_t sp_os_page_bytes(void)
{
    return getauxval(AT_PAGESZ);
}
