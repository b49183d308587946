/* SPDX-License-Identifier: MIT
 * Linux by raw system calls (see os.h): processes, timers, signals, memory; files are in os_linux_files.c, limits in
 * os_linux_limit.c. Numbers and structures: the kernel's own uapi headers. */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#include "compat/buf.h"
#include "compat/os_linux_call.h"
#include "compat/os_linux_peek.h"

#define KERNEL_SIGSET_BYTES 8

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

bool sp_os_on_alternate_stack(void)
{
    stack_t now;
    return sp_syscall6(SYS_sigaltstack, 0, (long)&now, 0, 0, 0, 0) == 0 && now.ss_flags & SS_ONSTACK;
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

int sp_os_tgkill(int tid, int sig)
{
    int pid = sp_os_getpid(); /* a filter may refuse to tell */
    return (int)(pid > 0 ? sp_syscall6(SYS_tgkill, pid, tid, sig, 0, 0, 0) : sp_syscall6(SYS_tkill, tid, sig, 0, 0, 0, 0));
}

int sp_os_kill(int pid, int sig)
{
    return pid > 0 ? (int)sp_syscall6(SYS_kill, pid, sig, 0, 0, 0, 0) : -ESRCH; /* -1 would be everybody */
}

int sp_os_timer_create(int tid, uint64_t value, int *timer)
{
    /* The kernel's struct sigevent (uapi/asm-generic/siginfo.h): 64 bytes, thread id after the union. */
    struct {
        uint64_t value;
        int signo, notify, tid, pad[11];
    } ev = {.value = value, .signo = SIGPROF, .notify = 4 /* SIGEV_THREAD_ID */, .tid = tid};
    int id = SP_OS_NO_TIMER;
    int rc = (int)SYS(SYS_timer_create, thread_clock(tid), &ev, &id, 0);
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

/* rt_sigprocmask reads the new set before it looks at `how`: an impossible `how` answers EINVAL for a
 * readable address and EFAULT for the rest, and changes nothing (kernel/signal.c). */
SP_SIGSAFE static bool probe_sigprocmask(uintptr_t a)
{
    return sp_syscall6(SYS_rt_sigprocmask, ~0l, (long)(a & ~7ul), 0, KERNEL_SIGSET_BYTES, 0, 0) == -EINVAL;
}

SP_SIGSAFE static bool probe_vm_readv(uintptr_t a)
{
    uint64_t word;
    struct {
        void *base;
        size_t len;
    } to = {&word, 8}, from = {(void *)(a & ~7ul), 8};
    return sp_syscall6(SYS_process_vm_readv, sp_os_getpid(), (long)&to, 1, (long)&from, 1, 0) == 8;
}

/* Threads: set at the start, before there are ticks. */
static bool (*probe)(uintptr_t);

SP_SIGSAFE static bool probe_by(bool (*p)(uintptr_t), uintptr_t a)
{
    return p == probe_vm_readv ? probe_vm_readv(a) : probe_sigprocmask(a);
}

bool sp_os_readable(uintptr_t address)
{
    return probe_by(probe, address);
}

bool sp_os_can_read(const void *p, size_t bytes)
{
    uintptr_t first = (uintptr_t)p, last = first + bytes - 1;
    return sp_os_readable(first) && (first >> 3 == last >> 3 || sp_os_readable(last));
}

bool sp_os_probe_init(void)
{
    void *hole = (void *)SYS6(SYS_mmap, 0, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if ((long)hole < 0 && (long)hole > -4096)
        return false;
    bool (*const candidates[])(uintptr_t) = {probe_sigprocmask, probe_vm_readv};
    static const uint64_t mapped = 1;
    bool found = false;
    /* valgrind takes the first for a fault of the program's */
    for (size_t i = sp_cpu_is_valgrind() ? 1 : 0; i < SP_ARRAY_LEN(candidates) && !found; i++) {
        found = candidates[i]((uintptr_t)&mapped) && !candidates[i]((uintptr_t)hole) && !candidates[i](8);
        if (found)
            probe = candidates[i];
    }
    sp_os_release(hole, 4096);
    return found;
}

SP_SIGSAFE static uint64_t mask_change(int how, uint64_t set)
{
    uint64_t old = 0;
    sp_syscall6(SYS_rt_sigprocmask, how, (long)&set, (long)&old, KERNEL_SIGSET_BYTES, ~(long)&set, 0);
    return old;
}

/* A system call of four arguments leaves a fifth register as it was: in our own calls that is a mark. */
bool sp_os_ends_mask_call(const void *context)
{
    struct sp_cpu_call c = sp_cpu_context_call(context);
    bool may_be = c.nr < 0 ? c.args[0] == SIG_UNBLOCK || c.args[0] == SIG_SETMASK : c.nr == SYS_rt_sigprocmask;
    if (!may_be || c.args[3] != KERNEL_SIGSET_BYTES || c.args[4] == ~c.args[1] || !sp_os_readable(c.instruction) ||
        !sp_cpu_is_syscall(c.instruction))
        return false;
    const uint64_t *before = (const uint64_t *)(uintptr_t)c.args[2]; /* what the call said of the mask, if it was asked */
    return !before || !sp_os_readable((uintptr_t)before) || *before & SP_OS_MASK(SIGPROF);
}

uint64_t sp_os_pending(void)
{
    uint64_t set = 0;
    sp_syscall6(SYS_rt_sigpending, (long)&set, KERNEL_SIGSET_BYTES, 0, 0, 0, 0);
    return set;
}

uint64_t sp_os_mask_block(uint64_t add)
{
    return mask_change(SIG_BLOCK, add);
}

uint64_t sp_os_mask_unblock(uint64_t sub)
{
    return mask_change(SIG_UNBLOCK, sub);
}

void sp_os_mask_set(uint64_t mask)
{
    mask_change(SIG_SETMASK, mask);
}

int sp_os_take_pending(uint64_t mask, siginfo_t *info)
{
    struct timespec none = {0, 0};
    long r = sp_syscall6(SYS_rt_sigtimedwait, (long)&mask, (long)info, (long)&none, KERNEL_SIGSET_BYTES, 0, 0);
    return r > 0 ? (int)r : 0;
}

int sp_os_queue_to_thread(int tid, int sig, siginfo_t *info)
{
    return (int)SYS(SYS_rt_tgsigqueueinfo, sp_os_linux_home ? sp_os_linux_home : sp_os_getpid(), tid, sig, info);
}

SP_SIGSAFE static uint64_t parse_hex(const char *s)
{
    uint64_t v = 0;
    for (; (*s >= '0' && *s <= '9') || (*s >= 'a' && *s <= 'f'); s++)
        v = v << 4 | (uint64_t)(*s <= '9' ? *s - '0' : *s - 'a' + 10);
    return v;
}

struct signals {
    uint64_t blocked, pending; /* the latter: sent to the thread itself */
};

/* Whether the thread that /proc describes at `path` lives, and its signals. */
SP_SIGSAFE static bool read_status(const char *path, struct signals *s)
{
    struct sp_peek peek;
    if (!sp_peek_open(&peek, path))
        return false;
    char chunk[256], line[32] = "";
    bool lives = false, has_mask = false;
    size_t used = 0;
    long n;
    while ((n = sp_peek_read(&peek, chunk, sizeof chunk)) > 0)
        for (long i = 0; i < n; i++) {
            if (chunk[i] != '\n') {
                if (used < sizeof line - 1)
                    line[used++] = chunk[i];
                continue;
            }
            line[used] = '\0';
            used = 0;
            if (memcmp(line, "State:\t", 7) == 0) {
                lives = line[7] != 'Z' && line[7] != 'X';
            } else if (memcmp(line, "SigPnd:\t", 8) == 0) {
                s->pending = parse_hex(line + 8);
            } else if (memcmp(line, "SigBlk:\t", 8) == 0) {
                s->blocked = parse_hex(line + 8);
                has_mask = true;
            }
        }
    sp_peek_close(&peek);
    return lives && has_mask;
}

bool sp_os_main_thread_blocks(uint64_t *mask)
{
    char path[32];
    SP_BUF(b, path);
    sp_os_linux_put_self(&b);
    sp_buf_str(&b, "/status");
    struct signals s = {0, 0}; /* the main thread's, whoever reads it */
    bool is_read = read_status(path, &s);
    *mask = s.blocked;
    return is_read;
}

SP_SIGSAFE static struct signals signals_of(int tid)
{
    char path[48];
    SP_BUF(b, path);
    sp_os_linux_put_self(&b);
    sp_buf_str(&b, "/task/");
    sp_buf_u64(&b, (uint64_t)tid);
    sp_buf_str(&b, "/status");
    struct signals s = {0, 0};
    return read_status(path, &s) ? s : (struct signals){0, 0};
}

bool sp_os_thread_blocks(int tid, int sig)
{
    return signals_of(tid).blocked & SP_OS_MASK(sig);
}

bool sp_os_waits_in_thread(int tid, int sig)
{
    return signals_of(tid).pending & SP_OS_MASK(sig);
}

int sp_os_requeue(int sig, siginfo_t *info)
{
    return (int)sp_syscall6(SYS_rt_tgsigqueueinfo, sp_os_getpid(), sp_os_gettid(), sig, (long)info, 0, 0);
}

void sp_os_requeue_to_process(int sig, siginfo_t *info)
{
    /* To itself a process may send any siginfo; si_code SI_USER comes from the kernel only to others. */
    if (sp_syscall6(SYS_rt_sigqueueinfo, sp_os_getpid(), sig, (long)info, 0, 0, 0) != 0)
        sp_os_kill(sp_os_getpid(), sig);
}

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif
#define NO_ADVICE 0x7fff /* the kernel has none of that number: mm/madvise.c, madvise_behavior_valid() */

/* ---- the auxiliary vector (getauxval(3)) */
#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51 /* on x86 since Linux 5.14, on aarch64 since 4.18 */
#endif

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

void *sp_os_pages(size_t bytes)
{
    long p = SYS6(SYS_mmap, 0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p < 0 && p > -4096 ? NULL : (void *)p;
}

/* qemu's emulation of processes (7.2) says yes to every advice, and follows one. */
bool sp_os_linux_takes_advice(const void *p)
{
    return sp_syscall6(SYS_madvise, (long)p, 1, NO_ADVICE, 0, 0, 0) == -EINVAL;
}

SP_SIGSAFE static void *reserve_pages(void *at, int fixed, size_t bytes, bool *wipes)
{
    long p = SYS6(SYS_mmap, at, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | fixed, -1, 0);
    if (p < 0 && p > -4096)
        return NULL;
    SYS(SYS_madvise, p, bytes, MADV_DONTDUMP, 0);
    SYS(SYS_madvise, p, bytes, MADV_NOHUGEPAGE, 0);
    *wipes = SYS(SYS_madvise, p, bytes, MADV_WIPEONFORK, 0) == 0 && sp_os_linux_takes_advice((void *)p);
    return (void *)p;
}

void *sp_os_reserve(size_t bytes, bool *wipes)
{
    return reserve_pages(NULL, 0, bytes, wipes);
}

bool sp_os_reserve_at(void *p, size_t bytes, bool *wipes)
{
    return reserve_pages(p, MAP_FIXED, bytes, wipes) != NULL;
}

/* What cannot be written counts neither as data (mm/mmap.c, is_data_mapping) nor as committed. */
int sp_os_make_writable(void *p, size_t bytes)
{
    return (int)SYS(SYS_mprotect, p, bytes, PROT_READ | PROT_WRITE, 0);
}

bool sp_os_replace(void *p, size_t bytes)
{
    bool wipes;
    void *made = reserve_pages(NULL, 0, bytes, &wipes);
    if (!made)
        return false;
    if (sp_os_make_writable(made, bytes) == 0 &&
        SYS6(SYS_mremap, made, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, p, 0) == (long)p)
        return true;
    SYS(SYS_munmap, made, bytes, 0, 0);
    return false;
}

int sp_os_give_back(void *p, size_t bytes)
{
    int rc = (int)SYS(SYS_madvise, p, bytes, MADV_DONTNEED, 0);
    return rc != 0 ? rc : (int)SYS(SYS_mprotect, p, bytes, PROT_NONE, 0);
}

void sp_os_release(void *p, size_t bytes)
{
    sp_syscall6(SYS_munmap, (long)p, (long)bytes, 0, 0, 0, 0);
}

void sp_os_forbid(void *p, size_t bytes)
{
    sp_syscall6(SYS_mprotect, (long)p, (long)bytes, PROT_NONE, 0, 0, 0);
}

bool sp_os_forget(void *p, size_t bytes)
{
    return sp_syscall6(SYS_madvise, (long)p, (long)bytes, MADV_DONTNEED, 0, 0, 0) == 0;
}
